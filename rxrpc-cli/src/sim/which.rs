//! What to run: seeds of swarm mode, or of a scenario.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use clap::ArgGroup;
use rxrpc_sim::{Scenario, swarm};

use super::file;
use super::harness::Nodes;
use super::seeds::Seeds;
use crate::failure::Failure;

/// Options that say what to run.
#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
pub(super) struct Which {
    /// Seeds from A on and below B, or a single seed. Each draws a scenario of its own (swarm mode).
    #[arg(long, value_name = "A..B", group = "what")]
    pub(super) seeds: Option<Seeds>,
    /// The scenario; with --seeds, everything of it but the seed. A folder: every scenario in it, each with its own seed.
    #[arg(long, value_name = "FILE.toml", group = "what")]
    pub(super) scenario: Option<PathBuf>,
    /// What the nodes are.
    #[arg(long, value_enum, default_value_t = Nodes::Direct)]
    pub(super) harness: Nodes,
    /// Seeds run at the same time; as many as there are cores unless given.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZero<usize>>,
}

/// What to run.
pub(super) struct Task {
    /// Its seeds.
    pub(super) seeds: Seeds,
    /// The scenario, if it is a single one.
    pub(super) single: Option<Scenario>,
    base: Option<Scenario>,
}

impl Which {
    /// What is to be run; reads the scenario.
    pub(super) fn task(&self) -> Result<Task, Failure> {
        let base = self.scenario.as_deref().map(file::read).transpose()?;
        let (seeds, single) = match (self.seeds, &base) {
            (Some(seeds), _) => (seeds, seeds.single()),
            (None, base) => {
                let seed = base.as_ref().map_or(0, |base| base.seed);
                (Seeds::one(seed), Some(seed))
            }
        };
        let mut task = Task { seeds, single: None, base };
        task.single = single.map(|seed| task.scenario(seed));
        Ok(task)
    }

    /// The folder of scenarios, if it is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.scenario.as_deref().filter(|path| path.is_dir())
    }

    /// The scenario, as a command is given it, with a space before.
    pub(super) fn base(&self) -> String {
        self.scenario.as_ref().map_or_else(String::new, |path| format!(" --scenario {}", path.display()))
    }

    pub(super) fn jobs(&self) -> usize {
        self.jobs.or_else(|| available_parallelism().ok()).map_or(1, NonZero::get)
    }
}

impl Task {
    /// The scenario of a seed.
    pub(super) fn scenario(&self, seed: u64) -> Scenario {
        match &self.base {
            Some(base) => Scenario { seed, ..base.clone() },
            None => swarm::scenario(seed),
        }
    }
}

type Hook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Sync + Send + 'static>;

/// Panics are not printed while this lives: they are told as what the oracles find is.
pub(super) struct Quiet(Option<Hook>);

pub(super) fn quiet() -> Quiet {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    Quiet(Some(before))
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // The hook cannot be set while this thread panics itself.
        if let Some(before) = self.0.take().filter(|_| !std::thread::panicking()) {
            std::panic::set_hook(before);
        }
    }
}
