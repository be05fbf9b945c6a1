//! `rxrpc sim check`: does every seed repeat?

use std::ops::Range;

use rxrpc_sim::campaign::{Shard, guarded};
use rxrpc_sim::{Divergence, check};

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
}

/// Run each seed twice.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let task = args.which.task()?;
    let seeds = task.seeds;
    let harness = args.which.harness.harness();
    let work = |range: Range<u64>| -> Vec<(u64, Option<String>)> {
        let result = |seed| match guarded(|| check(&task.scenario(seed), harness)) {
            Ok(Ok(_)) => None,
            Ok(Err(divergence)) => Some(Divergence::to_string(&divergence)),
            Err(violation) => Some(format!("seed {seed}: {violation}")),
        };
        range.map(|seed| (seed, result(seed))).collect()
    };
    let mut progress = Progress::new(seeds.to - seeds.from);
    let mut bad = Vec::new();
    let quiet = quiet();
    spread(seeds, Shard::WHOLE, args.which.jobs(), work, |results| {
        let before = bad.len();
        let count = results.len() as u64;
        bad.extend(results.into_iter().filter_map(|(seed, text)| Some((seed, text?))));
        progress.add(count, (bad.len() - before) as u64);
    });
    drop((progress, quiet));
    bad.sort_unstable();
    for (_, text) in &bad {
        output::line(text)?;
    }
    let count = seeds.to - seeds.from;
    match bad.len() {
        0 => output::line(format_args!("{count} seeds, each run twice: all repeat")),
        n => {
            output::line(format_args!("{count} seeds, each run twice: {n} do not repeat"))?;
            Err(Failure::Local(format!("{n} of {count} seeds do not repeat")))
        }
    }
}
