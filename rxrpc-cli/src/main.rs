//! The `rxrpc` command. One module a subcommand.

mod address;
mod call;
mod codes;
mod decode;
mod failure;
mod output;
mod parse;
mod perf;
mod sim;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

const AFTER_HELP: &str = "\
Exit codes: 0 ok, 1 no answer or a local or network error, 2 usage, 3 the peer aborted the call.

Examples:
  rxrpc perf                                   measure calls within this machine
  rxrpc perf server -p 7009                    serve the rxperf protocol
  rxrpc perf client -c rpc -s 192.0.2.1 -t 16  measure calls to an rxperf server
  rxrpc call db.example:7003 52 514            one call: VL_ProbeServer
  rxrpc version afs.example.org:7003           ask what software runs there
  rxrpc decode afs.pcap                        show the calls in a capture
  rxrpc sim run --seeds 0..1000                simulate a thousand bad networks";

/// RxRPC, the remote-call transport of AFS: measure it, ask its peers.
#[derive(Parser, Debug)]
#[command(name = "rxrpc", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Measure throughput, latency and CPU of calls.
    Perf(perf::Args),
    /// Make one call to any service, with arguments spelled here.
    Call(call::Args),
    /// Ask a peer for its version, and measure how far away it is.
    Version(version::Args),
    /// Show the Rx packets and calls of a capture file.
    Decode(decode::Args),
    /// Simulate endpoints on bad networks, one seed or millions of them.
    Sim(sim::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Perf(args) => perf::run(args),
        Command::Call(args) => call::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Decode(args) => decode::run(&args),
        Command::Sim(args) => sim::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::error(&failure);
            failure.code()
        }
    }
}

/// Most threads of the runtime. An endpoint does its work in one task, and a process here has two at most.
const MAX_WORKERS: usize = 4;

/// Run a future of a subcommand on a runtime of its own.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(MAX_WORKERS))
        .enable_all()
        .build()
        .map_err(|e| Failure::Local(format!("no runtime: {e}")))?;
    let done = runtime.block_on(future);
    // Dropping the runtime would wait for a name lookup that hangs.
    runtime.shutdown_background();
    done
}
