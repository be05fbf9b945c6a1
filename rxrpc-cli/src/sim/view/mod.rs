//! Ways to look at one run: a capture file, a trace of JSON lines, a page.

mod capture;
mod ip;
mod page;
mod trace;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rxrpc_proto::{CallInfo, Event, Instant, NetworkError, Outcome, Wake};
use rxrpc_sim::{Fate, Kind, NodeId, Observer, Packet, Scenario, Violation, inside, node_at};

use super::watch::CameOfIt;
use crate::decode::live::{Live, Shown};
use crate::failure::Failure;
use capture::Capture;
use page::Page;
use trace::Trace;

/// The files to write.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Options {
    /// Write the packets to a pcapng file: an interface a node, comments on what was lost, copied or damaged.
    #[arg(long, value_name = "FILE")]
    pub(super) pcap: Option<PathBuf>,
    /// Write everything that happens as JSON lines: packets, timers, events, windows, violations.
    #[arg(long, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,
    /// Write a page for a browser: the packets between the nodes, and windows and round trips over time.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

/// An observer that is asked for its result when the run, which owns it, is over.
struct Shared<T>(Rc<RefCell<T>>);

impl<T> Shared<T> {
    fn new(inner: T) -> Self {
        Shared(Rc::new(RefCell::new(inner)))
    }

    /// What it was made of, once the run has let go of it.
    fn take(self) -> io::Result<T> {
        let inner = Rc::try_unwrap(self.0).map(RefCell::into_inner);
        inner.map_err(|_| io::Error::other("the run is not over"))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(Rc::clone(&self.0))
    }
}

impl<T: Observer> Observer for Shared<T> {
    fn datagram(&mut self, now: Instant, packet: &Packet, fate: Fate) {
        self.0.borrow_mut().datagram(now, packet, fate);
    }

    fn timer(&mut self, now: Instant, node: NodeId, wake: Wake) {
        self.0.borrow_mut().timer(now, node, wake);
    }

    fn event(&mut self, now: Instant, node: NodeId, event: &Event) {
        self.0.borrow_mut().event(now, node, event);
    }

    fn sample(&mut self, now: Instant, node: NodeId, call: &CallInfo) {
        self.0.borrow_mut().sample(now, node, call);
    }

    fn error(&mut self, now: Instant, node: NodeId, about: SocketAddr, error: NetworkError) {
        self.0.borrow_mut().error(now, node, about, error);
    }

    fn note(&mut self, now: Instant, node: Option<NodeId>, text: &str) {
        self.0.borrow_mut().note(now, node, text);
    }

    fn violation(&mut self, violation: &Violation) {
        self.0.borrow_mut().violation(violation);
    }
}

type Output = BufWriter<File>;

/// The files of a run.
#[derive(Default)]
pub(super) struct Views {
    capture: Option<(PathBuf, Shared<Capture<Output>>)>,
    trace: Option<(PathBuf, Shared<Trace<Output>>)>,
    page: Option<(PathBuf, Output, Shared<Page>)>,
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::Local(format!("cannot write {}: {error}", path.display()))
}

fn create(path: &Path) -> Result<Output, Failure> {
    File::create(path).map(BufWriter::new).map_err(|error| cannot_write(path, &error))
}

impl Views {
    /// Create the files for a run of the scenario.
    pub(super) fn open(options: &Options, scenario: &Scenario) -> Result<Views, Failure> {
        let about = &about(scenario);
        let mut views = Views::default();
        if let Some(path) = &options.pcap {
            let capture = Capture::new(create(path)?, scenario, about);
            let capture = capture.map_err(|error| cannot_write(path, &error))?;
            views.capture = Some((path.clone(), Shared::new(capture)));
        }
        if let Some(path) = &options.trace {
            let trace = Trace::new(create(path)?, scenario, about);
            views.trace = Some((path.clone(), Shared::new(trace)));
        }
        if let Some(path) = &options.html {
            let page = Page::new(scenario, about);
            views.page = Some((path.clone(), create(path)?, Shared::new(page)));
        }
        Ok(views)
    }

    /// Those who watch the run.
    pub(super) fn observers(&self) -> Vec<Box<dyn Observer>> {
        let mut all: Vec<Box<dyn Observer>> = Vec::new();
        if let Some((_, capture)) = &self.capture {
            all.push(Box::new(capture.clone()));
        }
        if let Some((_, trace)) = &self.trace {
            all.push(Box::new(trace.clone()));
        }
        if let Some((_, _, page)) = &self.page {
            all.push(Box::new(page.clone()));
        }
        all
    }

    /// Complete the files, after the run, even if it panicked.
    pub(super) fn finish(self, came_of_it: &CameOfIt) -> Result<(), Failure> {
        if let Err(panic) = came_of_it {
            self.observers().iter_mut().for_each(|observer| observer.violation(panic));
        }
        let report = came_of_it.as_ref().ok();
        if let Some((path, capture)) = self.capture {
            let done = capture.take().and_then(Capture::finish);
            done.map_err(|error| cannot_write(&path, &error))?;
        }
        if let Some((path, trace)) = self.trace {
            let done = trace.take().and_then(|trace| trace.finish(report));
            done.map_err(|error| cannot_write(&path, &error))?;
        }
        if let Some((path, out, page)) = self.page {
            let done = page.take().and_then(|page| page.finish(out, report));
            done.map_err(|error| cannot_write(&path, &error))?;
        }
        Ok(())
    }
}

/// What is run, in a line.
fn about(scenario: &Scenario) -> String {
    let seed = scenario.seed;
    match scenario.about.lines().next() {
        Some(line) if !line.trim().is_empty() => format!("{} (seed {seed})", line.trim()),
        _ => format!("Seed {seed}"),
    }
}

/// A packet as it was sent, taken apart. Both its ends are the nodes' own addresses, whatever translators did to
/// them, so that a call stays one.
fn show(live: &mut Live, now: Instant, packet: &Packet) -> Shown {
    let time = now.as_nanos();
    match (packet.origin, node_at(&packet.dst)) {
        (Some(from), Some(to)) => {
            let ends = [from, to].map(|node| inside(node, false));
            live.take(time, ends, &packet.bytes)
        }
        _ => Live::stray(time, [packet.src, packet.dst], &packet.bytes),
    }
}

/// Why a timer came, as scenarios and tables name it.
fn wake_name(wake: Wake) -> &'static str {
    Kind::Wake.names().get(wake as usize).copied().unwrap_or("other")
}

/// How a call ended, in words.
fn outcome(outcome: Outcome) -> String {
    outcome.map_or_else(|error| error.to_string(), |()| "ok".into())
}
