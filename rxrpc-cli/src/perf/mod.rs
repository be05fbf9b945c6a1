//! `rxrpc perf`: the rxperf protocol, version 3, both sides, and a measurement of both in one process.

mod client;
mod cpu;
mod local;
mod protocol;
mod report;
mod server;

use std::net::IpAddr;

use clap::{Subcommand, ValueEnum};

use crate::block_on;
use crate::failure::Failure;

const AFTER_HELP: &str = "\
Without a subcommand, client and server run in this process over loopback UDP, and a table is printed:
send and recv move 1 MiB a call, rpc moves 4 bytes each way.

Examples:
  rxrpc perf
  rxrpc perf --json > perf.json
  rxrpc perf server --bind 127.0.0.1
  rxrpc perf client -c recv -b 10000000 -T 10 -s 127.0.0.1";

/// Arguments of `rxrpc perf`.
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    side: Option<Side>,
    /// Print a JSON array: one object a case.
    #[arg(long)]
    json: bool,
    /// Measure each case for a moment only.
    #[arg(long, hide = true)]
    quick: bool,
}

#[derive(Subcommand, Debug)]
enum Side {
    /// Serve the rxperf protocol until interrupted.
    Server(ServerArgs),
    /// Call an rxperf server and measure.
    Client(ClientArgs),
}

/// Arguments of `rxrpc perf server`.
#[derive(clap::Args, Debug)]
pub(crate) struct ServerArgs {
    /// UDP port.
    #[arg(short, long, default_value_t = 7009)]
    port: u16,
    /// Address to serve at; every address unless given.
    #[arg(long)]
    bind: Option<IpAddr>,
}

/// What a call does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Case {
    /// A large request.
    Send,
    /// A large reply.
    Recv,
    /// A request and a reply of given sizes.
    Rpc,
}

impl Case {
    const fn name(self) -> &'static str {
        match self {
            Case::Send => "send",
            Case::Recv => "recv",
            Case::Rpc => "rpc",
        }
    }
}

/// Arguments of `rxrpc perf client`.
#[derive(clap::Args, Clone, Debug)]
#[command(disable_version_flag = true)]
pub(crate) struct ClientArgs {
    /// What each call does.
    #[arg(short = 'c', long = "command", value_enum, ignore_case = true)]
    case: Case,
    /// Bytes of each send or recv.
    #[arg(short, long, default_value_t = 1_048_576)]
    bytes: u32,
    /// Bytes that each rpc sends.
    #[arg(short = 'S', long, default_value_t = 3)]
    send_bytes: u32,
    /// Bytes that each rpc receives.
    #[arg(short = 'R', long, default_value_t = 30)]
    recv_bytes: u32,
    /// Calls of each thread.
    #[arg(short = 'T', long, default_value_t = 100)]
    times: u32,
    /// Calls at the same time.
    #[arg(short = 't', long, default_value_t = 1)]
    threads: u32,
    /// Server, by name or address.
    #[arg(short = 's', long, default_value = "127.0.0.1")]
    server: String,
    /// UDP port of the server.
    #[arg(short, long, default_value_t = 7009)]
    port: u16,
    /// Read chunk that the server is asked to use.
    #[arg(short, long, default_value_t = protocol::CHUNK)]
    read: u32,
    /// Write chunk that the server is asked to use.
    #[arg(short, long, default_value_t = protocol::CHUNK)]
    write: u32,
    /// End each request with the cookie that the server of the Linux kernel wants.
    #[arg(long)]
    request_cookie: bool,
    /// Print a JSON array of one object instead of rxperf's line.
    #[arg(long)]
    json: bool,
}

/// Measure or serve.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    match args.side {
        None => local::run(args.json, args.quick),
        Some(Side::Server(server)) => block_on(server::run(&server)),
        Some(Side::Client(mut client)) => {
            client.json |= args.json;
            block_on(client::run(client))
        }
    }
}
