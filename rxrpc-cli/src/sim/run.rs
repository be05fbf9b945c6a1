//! `rxrpc sim run`: one seed, or a campaign of many.

use std::io::stdout;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anstream::{AutoStream, ColorChoice};
use rxrpc_sim::campaign::{KEPT, Results, Shard, campaign};
use rxrpc_sim::{Report, Scenario};
use serde::Serialize;

use super::coverage;
use super::failures::{Keeper, try_folder};
use super::folder;
use super::help;
use super::observers::run_observed;
use super::progress::Progress;
use super::seeds::shard;
use super::tally::{Tally, not_reached, verdict};
use super::watch::Watch;
use super::which::{Task, Which, quiet};
use super::work::spread;
use crate::failure::Failure;
use crate::output;

/// Where scenarios that replay failures go, unless told otherwise.
const FAILURES: &str = "sim-failures";
/// How many failures are shown whole, unless told otherwise.
const KEEP: u8 = 3;
/// Runs for shrinking one of them, unless told otherwise.
const SHRINK_RUNS: u32 = 2_000;

/// Arguments of `rxrpc sim run`.
#[derive(clap::Args, Debug)]
#[command(after_help = help::RUN)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Run only the seeds whose number modulo N is I, from 0/N to N-1/N.
    #[arg(long, value_name = "I/N", value_parser = shard, default_value = "0/1")]
    shard: Shard,
    /// Write what came of it as JSON, for `rxrpc sim report`.
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Print what was reached, and how often: faults, packets, stages of calls, limits, errors and more.
    #[arg(long)]
    coverage: bool,
    /// Print a JSON object, that of --out with a verdict, instead of text.
    #[arg(long, conflicts_with_all = ["coverage", "ladder"])]
    json: bool,
    /// Folder for scenarios that replay failures [default: sim-failures].
    #[arg(long, value_name = "DIR")]
    failures: Option<PathBuf>,
    /// So many failures are shown, written and shrunk; of the others only the seed is told [default: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=KEPT as i64))]
    keep: Option<u8>,
    /// Runs that may be spent on shrinking a failure [default: 2000].
    #[arg(long, value_name = "N")]
    shrink_runs: Option<u32>,
    /// Do not shrink failures.
    #[arg(long, conflicts_with = "shrink_runs")]
    no_shrink: bool,
    #[command(flatten)]
    watch: Watch,
}

/// Everything that came of it, for programs.
#[derive(Serialize)]
struct Summary<'a> {
    good: bool,
    /// What is wrong, if anything is.
    verdict: Option<&'a str>,
    #[serde(flatten)]
    tally: &'a Tally,
}

/// Run, and tell what came of it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(path) = args.which.folder() {
        return all_of(args, path);
    }
    let task = args.which.task()?;
    // What cannot be written is better known before the work is done.
    let out = args.out.as_deref().map(|path| Tally::open(path).map(|file| (path, file))).transpose()?;
    args.failures.as_deref().map_or(Ok(()), try_folder)?;
    let mut troubles = Vec::new();
    let began = Instant::now();
    let (results, report) = match task.single.as_ref().filter(|_| args.shard == Shard::WHOLE) {
        Some(scenario) => one(args, scenario, &mut troubles)?,
        None => (many(args, &task)?, None),
    };
    let seconds = began.elapsed().as_secs_f64();
    let scenario = args.which.scenario.as_ref().map(|path| path.display().to_string());
    let mut tally = Tally::new(task.seeds, args.shard, args.which.harness.name(), scenario, &results);
    tally.seconds = seconds;
    keep(args, &results, &mut tally, &mut troubles)?;
    if args.coverage {
        output::line(coverage::table(&results.coverage))?;
    }
    if let Some((path, file)) = &out {
        troubles.extend(tally.write(path, file).err());
    }
    let swarm = if args.which.scenario.is_none() { results.seeds } else { 0 };
    let verdict = verdict(results.seeds, results.failed.len(), &not_reached(swarm, &results.coverage));
    let held = verdict.as_deref().unwrap_or("all held");
    match &report {
        _ if args.json => {
            let good = verdict.is_none();
            output::json(&Summary { good, verdict: verdict.as_deref(), tally: &tally })?;
        }
        Some(report) => output::line(format_args!("{}: {held}", told(report)))?,
        None => output::line(format_args!("{}: {held}", tally.told()))?,
    }
    troubles.extend(verdict.map(Failure::Local));
    end(troubles)
}

/// All that went wrong: the last is what the command ends with, each is said once.
fn end(mut troubles: Vec<Failure>) -> Result<(), Failure> {
    let Some(last) = troubles.pop() else { return Ok(()) };
    let mut said: Vec<String> = Vec::new();
    for trouble in &troubles {
        let text = trouble.to_string();
        if !said.contains(&text) {
            output::error(trouble);
            said.push(text);
        }
    }
    Err(last)
}

/// Run every scenario of a folder.
fn all_of(args: &Args, path: &Path) -> Result<(), Failure> {
    let given = [
        ("--seeds", args.which.seeds.is_some()),
        ("--shard", args.shard != Shard::WHOLE),
        ("--out", args.out.is_some()),
        ("--coverage", args.coverage),
        ("--failures", args.failures.is_some()),
        ("--keep", args.keep.is_some()),
        ("--shrink-runs", args.shrink_runs.is_some()),
        ("--no-shrink", args.no_shrink),
    ];
    let given = given.into_iter().find(|(_, given)| *given).map(|(name, _)| name);
    if let Some(option) = given.or_else(|| args.watch.given()) {
        return Err(Failure::Usage(format!("{option} does not go with a folder of scenarios")));
    }
    folder::run(path, args.which.harness, args.which.jobs(), args.json)
}

/// Run a single seed, watched by whoever was asked for. What they cannot write is added to `troubles`.
fn one(
    args: &Args,
    scenario: &Scenario,
    troubles: &mut Vec<Failure>,
) -> Result<(Results, Option<Report>), Failure> {
    if !scenario.about.is_empty() && !args.json {
        output::line(scenario.about.trim_end())?;
    }
    let mut watchers = args.watch.watchers(scenario, colour())?;
    let came_of_it = run_observed(scenario, args.which.harness.harness(), watchers.take());
    troubles.extend(watchers.finish(&came_of_it).err());
    let report = came_of_it.as_ref().ok().cloned();
    let mut results = Results::default();
    results.add(scenario, came_of_it);
    Ok((results, report))
}

/// Run many seeds, in chunks.
fn many(args: &Args, task: &Task) -> Result<Results, Failure> {
    if let Some(option) = args.watch.given() {
        let text = format!("{option} is about one run: choose one with --seeds SEED, or a --scenario alone");
        return Err(Failure::Usage(text));
    }
    let mut results = Results::default();
    let mut progress = Progress::new(task.seeds.count(args.shard));
    let _quiet = quiet();
    let harness = args.which.harness.harness();
    let chunk = |range| campaign(range, args.shard, harness, |seed| task.scenario(seed), |_, _| true);
    spread(task.seeds, args.shard, args.which.jobs(), chunk, |chunk| {
        progress.add(chunk.seeds, chunk.failed.len() as u64);
        for failure in &chunk.failures {
            progress.say(failure.seed, failure.violations.first());
        }
        results.merge(chunk);
    });
    Ok(results)
}

/// Show the first failures, and write files that replay them.
fn keep(
    args: &Args,
    results: &Results,
    tally: &mut Tally,
    troubles: &mut Vec<Failure>,
) -> Result<(), Failure> {
    let most = args.keep.unwrap_or(KEEP).into();
    let keeper = Keeper {
        folder: args.failures.as_deref().unwrap_or(Path::new(FAILURES)),
        harness: args.which.harness.harness(),
        option: args.which.harness.option(),
        budget: if args.no_shrink { 0 } else { args.shrink_runs.unwrap_or(SHRINK_RUNS) },
        source: args.which.scenario.as_deref().filter(|_| args.which.seeds.is_none()),
        base: args.which.base(),
        ladder: !args.watch.ladder && !args.json,
        colour: colour(),
    };
    let _quiet = quiet();
    let kept = results.failures.iter().zip(&mut tally.failures).take(most);
    for (found, failed) in kept {
        let text = keeper.keep(found, failed, troubles);
        if !args.json {
            output::line(text)?;
        }
    }
    let rest: Vec<String> = results.failed.iter().skip(most).map(u64::to_string).collect();
    if !rest.is_empty() && !args.json {
        output::line(format_args!("failed as well: {}", rest.join(", ")))?;
    }
    Ok(())
}

/// Whether to colour what is printed.
pub(super) fn colour() -> bool {
    AutoStream::choice(&stdout()) != ColorChoice::Never
}

/// One run in a line.
fn told(report: &Report) -> String {
    let ends: Vec<String> = report.ends.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let ends = if ends.is_empty() { String::new() } else { format!(" ({})", ends.join(", ")) };
    format!(
        "seed {}: {:.3} s simulated, {} datagrams, {} calls{ends}, hash {:016x}",
        report.seed,
        report.ended.as_nanos() as f64 / 1e9,
        report.datagrams,
        report.calls,
        report.trace.hash(),
    )
}
