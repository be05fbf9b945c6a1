//! `rxrpc-interop-peer`: our twin of the C peer beside it, with the same services, operations and options.
//!
//! Services on one UDP port: 147 is the rxperf protocol, version 3 (send, recv, rpc); 148 has operations for tests.

mod client;
mod server;
mod wire;

use std::net::IpAddr;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Options of both sides.
#[derive(Args, Clone, Debug)]
#[command(disable_help_flag = true)]
struct Common {
    /// Address to serve at, or to call.
    #[arg(short = 'h', long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// UDP port.
    #[arg(short, long, default_value_t = 7009)]
    port: u16,
    /// Pause the reader of a call this many milliseconds after its first bytes of data, and say how that went.
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// Print help.
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

#[derive(Parser, Debug)]
#[command(about = "Our side of the tests against OpenAFS's library", disable_help_flag = true)]
struct Cli {
    #[command(subcommand)]
    side: Side,
}

#[derive(Subcommand, Debug)]
enum Side {
    /// Serve until killed.
    #[command(disable_help_flag = true)]
    Server(Common),
    /// Make calls and check them.
    #[command(disable_help_flag = true)]
    Client(client::Options),
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let done = match Cli::parse().side {
        Side::Server(common) => server::run(&common).await.map_err(|e| e.to_string()),
        Side::Client(options) => client::run(options).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rxrpc-interop-peer: {error}");
            ExitCode::FAILURE
        }
    }
}
