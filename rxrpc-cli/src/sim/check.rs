//! `rxrpc sim check`: does every seed repeat?

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::path::Path;

use rxrpc_sim::campaign::{Shard, guarded};
use rxrpc_sim::{Divergence, Harness, Scenario, check};
use serde::Serialize;

use super::folder;
use super::help;
use super::progress::Progress;
use super::which::{Which, quiet};
use super::work::spread;
use crate::failure::Failure;
use crate::output;

/// Arguments of `rxrpc sim check`.
#[derive(clap::Args, Debug)]
#[command(after_help = help::CHECK)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// What came of all of them.
#[derive(Serialize)]
struct Summary {
    good: bool,
    /// So many were run twice each.
    runs: u64,
    /// Those that could not be read, or did not repeat.
    failed: Vec<Failed>,
}

/// One that does not repeat, or could not be run.
#[derive(Serialize)]
struct Failed {
    seed: Option<u64>,
    scenario: Option<String>,
    text: String,
    #[serde(skip)]
    unreadable: bool,
}

/// Run each seed twice.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let harness = args.which.harness.harness();
    match args.which.folder() {
        Some(path) if args.which.seeds.is_some() => {
            Err(Failure::Usage(format!("--seeds does not go with a folder of scenarios: {}", path.display())))
        }
        Some(path) => {
            let (runs, failed) = folder(path, harness, args.which.jobs())?;
            tell(args, "scenarios", runs, failed)
        }
        None => {
            let (runs, failed) = seeds(&args.which, harness)?;
            tell(args, "seeds", runs, failed)
        }
    }
}

/// What is wrong with a scenario: nothing if it repeats.
fn wrong(scenario: &Scenario, harness: Harness) -> Option<String> {
    match guarded(|| check(scenario, harness)) {
        Ok(Ok(_)) => None,
        Ok(Err(divergence)) => Some(Divergence::to_string(&divergence)),
        Err(violation) => Some(format!("seed {}: {violation}", scenario.seed)),
    }
}

/// The seeds, in chunks.
fn seeds(which: &Which, harness: Harness) -> Result<(u64, Vec<Failed>), Failure> {
    let task = which.task()?;
    let work = |range: RangeInclusive<u64>| -> Vec<(u64, Option<String>)> {
        range.map(|seed| (seed, wrong(&task.scenario(seed), harness))).collect()
    };
    let count = task.seeds.count(Shard::WHOLE);
    let mut progress = Progress::new(count);
    let mut bad = Vec::new();
    let _quiet = quiet();
    spread(task.seeds, Shard::WHOLE, which.jobs(), work, |results| {
        let before = bad.len();
        let count = results.len() as u64;
        bad.extend(results.into_iter().filter_map(|(seed, text)| Some((seed, text?))));
        progress.add(count, (bad.len() - before) as u64);
    });
    bad.sort_unstable();
    let failed = |(seed, text)| Failed { seed: Some(seed), scenario: None, text, unreadable: false };
    Ok((count, bad.into_iter().map(failed).collect()))
}

/// Every scenario of a folder, each with its own seed.
fn folder(path: &Path, harness: Harness, jobs: usize) -> Result<(u64, Vec<Failed>), Failure> {
    let files = folder::files(path)?;
    let work = |path: &Path| match super::file::read(path) {
        Ok(scenario) => wrong(&scenario, harness).map(|text| (format!("{}: {text}", path.display()), false)),
        Err(failure) => Some((failure.to_string(), true)),
    };
    let results = folder::each(&files, jobs, work, Option::is_some);
    let failed = files.iter().zip(results).filter_map(|(path, text)| {
        let (text, unreadable) = text?;
        Some(Failed { seed: None, scenario: Some(path.display().to_string()), text, unreadable })
    });
    Ok((files.len() as u64, failed.collect()))
}

fn tell(args: &Args, what: &str, runs: u64, failed: Vec<Failed>) -> Result<(), Failure> {
    let unreadable = failed.iter().filter(|failed| failed.unreadable).count();
    let (part, all) = (failed.len() - unreadable, runs);
    let mut wrong = String::new();
    if part > 0 {
        let _ = write!(wrong, "{part} do not repeat");
    }
    if unreadable > 0 {
        let _ = write!(wrong, "{}{unreadable} cannot be read", if part > 0 { ", " } else { "" });
    }
    let told = if wrong.is_empty() { "all repeat" } else { &wrong };
    if args.json {
        output::json(&Summary { good: wrong.is_empty(), runs, failed })?;
    } else {
        failed.iter().try_for_each(|failed| output::line(&failed.text))?;
        output::line(format_args!("{all} {what}, each run twice: {told}"))?;
    }
    match (part, unreadable) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Usage(format!("of {all} {what} {wrong}"))),
        _ => Err(Failure::Local(format!("of {all} {what} {wrong}"))),
    }
}
