//! `rxrpc sim report`: the results of several commands as one.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, TableStyle, presets};
use rxrpc_sim::Coverage;
use serde::Serialize;

use super::coverage;
use super::help;
use super::overlap::{Overlap, overlap};
use super::tally::{Counts, Failed, Hash, Share, Tally, counts, not_reached, verdict};
use crate::failure::Failure;
use crate::output;

/// Arguments of `rxrpc sim report`.
#[derive(clap::Args, Debug)]
#[command(after_help = help::REPORT)]
pub(crate) struct Args {
    /// What `rxrpc sim run --out` wrote.
    #[arg(required = true, value_name = "FILE.json")]
    files: Vec<PathBuf>,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// One file, or all of them.
#[derive(Clone, PartialEq, Serialize, Debug, Default)]
struct Line {
    file: String,
    harness: String,
    scenario: Option<String>,
    seeds: String,
    shard: String,
    runs: u64,
    failed: usize,
    seconds: f64,
    datagrams: u64,
    calls: u64,
    succeeded: u64,
    hash: Hash,
}

/// Everything together.
#[derive(Serialize, Debug)]
struct Whole {
    good: bool,
    /// What is wrong, if anything is.
    verdict: Option<String>,
    /// Whether all shards of each campaign are here.
    complete: bool,
    /// What is odd about the files.
    notices: Vec<String>,
    total: Line,
    files: Vec<Line>,
    coverage: Counts,
    not_reached: Vec<String>,
    failed: Vec<u64>,
    failures: Vec<Failed>,
}

/// Merge the files, and tell what they come to.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut tallies = Vec::new();
    for path in &args.files {
        tallies.push((path.display().to_string(), Tally::read(path)?));
    }
    let (whole, coverage) = merge(&tallies)?;
    if args.json {
        output::json(&whole)?;
    } else {
        output::line(whole.text(&coverage))?;
    }
    whole.verdict.map_or(Ok(()), |text| Err(Failure::Local(text)))
}

fn merge(tallies: &[(String, Tally)]) -> Result<(Whole, Coverage), Failure> {
    let mut total = Line { file: "all".into(), ..Line::default() };
    let (mut coverage, mut swarm, mut swarm_runs) = (Coverage::default(), Coverage::default(), 0);
    let (mut files, mut failed, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for (file, tally) in tallies {
        let reached = tally.coverage().map_err(|e| Failure::Local(format!("{file}: {e}")))?;
        coverage.merge(&reached);
        if tally.scenario.is_none() {
            swarm.merge(&reached);
            swarm_runs += tally.runs;
        }
        failed.extend(&tally.failed);
        failures.extend(tally.failures.iter().cloned());
        let line = Line::of(file, tally);
        total.add(&line);
        files.push(line);
    }
    failed.sort_unstable();
    failures.sort_by_key(|failure| failure.seed);
    let Overlap { twice, missing } = overlap(tallies);
    let counted_twice = (!twice.is_empty()).then(|| "seeds are counted twice".to_owned());
    let wrong = verdict(total.runs, total.failed, &not_reached(swarm_runs, &swarm));
    let wrong: Vec<String> = counted_twice.into_iter().chain(wrong).collect();
    let verdict = (!wrong.is_empty()).then(|| wrong.join("; "));
    let not_reached = coverage.zeroes().iter().map(|(kind, name)| format!("{kind} {name}")).collect();
    let whole = Whole {
        good: verdict.is_none(),
        verdict,
        complete: missing.is_empty(),
        notices: [twice, missing].concat(),
        total,
        files,
        coverage: counts(&coverage),
        not_reached,
        failed,
        failures,
    };
    Ok((whole, coverage))
}

impl Line {
    fn of(file: &str, tally: &Tally) -> Self {
        Line {
            file: file.to_owned(),
            harness: tally.harness.clone(),
            scenario: tally.scenario.clone(),
            seeds: tally.seeds.to_string(),
            shard: Share::to_string(&tally.shard),
            runs: tally.runs,
            failed: tally.failed.len(),
            seconds: tally.seconds,
            datagrams: tally.datagrams,
            calls: tally.calls,
            succeeded: tally.succeeded,
            hash: tally.hash,
        }
    }

    fn add(&mut self, other: &Line) {
        self.runs += other.runs;
        self.failed += other.failed;
        self.seconds += other.seconds;
        self.datagrams += other.datagrams;
        self.calls += other.calls;
        self.succeeded += other.succeeded;
        self.hash.0 = self.hash.0.wrapping_add(other.hash.0);
    }

    fn cells(&self) -> [String; 12] {
        let Line { file, harness, scenario, seeds, shard, runs, failed, datagrams, calls, succeeded, .. } =
            self;
        let [runs, datagrams, calls, succeeded] = [runs, datagrams, calls, succeeded].map(u64::to_string);
        [
            file.clone(),
            harness.clone(),
            scenario.clone().unwrap_or_default(),
            seeds.clone(),
            shard.clone(),
            runs,
            failed.to_string(),
            datagrams,
            calls,
            succeeded,
            format!("{:.1}", self.seconds),
            self.hash.to_string(),
        ]
    }
}

/// The numbers are aligned to the right from this column on, but for the hash.
const NUMBERS: usize = 5;

impl Whole {
    fn text(&self, coverage: &Coverage) -> String {
        let style = if stdout().is_terminal() { presets::UTF8_FULL_CONDENSED } else { presets::NOTHING };
        let mut text = format!("{}\n\n{}\n\n", self.table(style), coverage::draw(coverage, style));
        for Failed { seed, text: what, replay, .. } in &self.failures {
            let replay = replay.as_ref().map_or_else(String::new, |path| format!(", replay: {path}"));
            text += &format!("failed: seed {seed}: {what}{replay}\n");
        }
        for notice in &self.notices {
            text += &format!("notice: {notice}\n");
        }
        let (files, runs) = (self.files.len(), self.total.runs);
        let held = if self.complete { "all held" } else { "all held so far, but shards are missing" };
        let held = self.verdict.as_deref().unwrap_or(held);
        text + &format!("{files} files, {runs} seeds: {held}")
    }

    fn table(&self, style: TableStyle) -> String {
        let mut table = Table::new();
        table.load_style(style);
        table.set_header([
            "file",
            "harness",
            "scenario",
            "seeds",
            "shard",
            "runs",
            "failed",
            "datagrams",
            "calls",
            "succeeded",
            "seconds",
            "hash",
        ]);
        for line in self.files.iter().chain([&self.total]) {
            table.add_row(line.cells());
        }
        for column in table.column_iter_mut().skip(NUMBERS).take(6) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.trim_fmt()
    }
}
