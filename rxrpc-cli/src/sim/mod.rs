//! `rxrpc sim`: endpoints on simulated networks, one seed or millions of them.
//!
//! [`which`] says what to run, [`work`] shares it out over threads, [`tally`] is what came of it and [`report`] merges
//! several of those. [`failures`] keeps what failed. [`watch`] is for those who look at a single run, and [`view`] writes
//! the files they look at.

mod check;
mod coverage;
mod failures;
mod file;
mod folder;
mod harness;
mod help;
mod label;
mod ladder;
mod observers;
mod overlap;
mod progress;
mod report;
mod run;
mod samples;
mod seeds;
mod tally;
mod view;
mod watch;
mod which;
mod work;

use clap::Subcommand;

use crate::failure::Failure;

/// Arguments of `rxrpc sim`.
#[derive(clap::Args, Debug)]
#[command(after_help = help::SIM)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run seeds in swarm mode, or a scenario, and check that everything holds.
    Run(Box<run::Args>),
    /// Run each seed twice: do the runs repeat?
    Check(check::Args),
    /// Merge what several commands have come to.
    Report(report::Args),
}

/// Simulate.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Report(args) => report::run(args),
    }
}
