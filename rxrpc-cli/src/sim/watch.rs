//! What can be had of a single run: the ladder of its last packets, and whatever else watches it.

use rxrpc_sim::{Observer, Report, Scenario, Violation};

use super::ladder::{Ladder, ROWS};
use super::view::{self, Views};
use crate::failure::Failure;
use crate::output;

/// Options that are for a run of one seed.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Options for a run of one seed")]
pub(super) struct Watch {
    /// Draw the last packets of the run, also if all held.
    #[arg(long)]
    pub(super) ladder: bool,
    #[command(flatten)]
    view: view::Options,
}

/// What is done when the run is over.
type Finish = Box<dyn FnOnce(&CameOfIt) -> Result<(), Failure>>;

/// What a run has come to; if it panicked, what that said.
pub(super) type CameOfIt = Result<Report, Violation>;

/// Those who watch a run.
#[derive(Default)]
pub(super) struct Watchers {
    /// They are told everything.
    pub(super) observers: Vec<Box<dyn Observer>>,
    finish: Vec<Finish>,
}

impl Watch {
    /// The first option that was given, if any was.
    pub(super) fn given(&self) -> Option<&'static str> {
        let view = &self.view;
        let all = [
            ("--ladder", self.ladder),
            ("--pcap", view.pcap.is_some()),
            ("--trace", view.trace.is_some()),
            ("--html", view.html.is_some()),
        ];
        all.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    /// Those who watch a run of the scenario.
    pub(super) fn watchers(&self, scenario: &Scenario, colour: bool) -> Result<Watchers, Failure> {
        let mut watchers = Watchers::default();
        if self.ladder {
            let (ladder, nodes) = (Ladder::new(ROWS), scenario.nodes.len());
            watchers.add(ladder.clone(), move |_| output::line(ladder.draw(nodes, colour).trim_end()));
        }
        let views = Views::open(&self.view, scenario)?;
        watchers.observers.extend(views.observers());
        watchers.finish.push(Box::new(move |came_of_it| views.finish(came_of_it)));
        Ok(watchers)
    }
}

impl Watchers {
    /// One more, and what it does when the run is over.
    fn add(
        &mut self,
        observer: impl Observer + 'static,
        finish: impl FnOnce(&CameOfIt) -> Result<(), Failure> + 'static,
    ) {
        self.observers.push(Box::new(observer));
        self.finish.push(Box::new(finish));
    }

    /// The observers, to be given to the run.
    pub(super) fn take(&mut self) -> Vec<Box<dyn Observer>> {
        std::mem::take(&mut self.observers)
    }

    /// The run is over.
    pub(super) fn finish(self, came_of_it: &CameOfIt) -> Result<(), Failure> {
        self.finish.into_iter().try_for_each(|finish| finish(came_of_it))
    }
}
