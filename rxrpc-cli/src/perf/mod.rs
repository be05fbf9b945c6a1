//! `rxrpc perf`: the rxperf protocol, version 3, both sides, and a measurement of both in one process.

mod client;
mod cpu;
mod load;
mod local;
mod progress;
mod protocol;
mod report;
mod server;

use std::net::IpAddr;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use crate::failure::Failure;
use crate::{block_on, parse};

const AFTER_HELP: &str = "\
Without a subcommand, client and server run in this process over loopback UDP, and a table is printed:
send and recv move 1 MiB a call, rpc moves 4 bytes each way. MB and GB are powers of ten, and count the
payload only. CPU is the time of both sides.

Examples:
  rxrpc perf
  rxrpc perf --json > perf.json
  rxrpc perf server --bind 127.0.0.1
  rxrpc perf client -c recv -b 10000000 -T 10 -s 127.0.0.1";

const SERVER_AFTER_HELP: &str = "\
Any rxperf of version 3 can call it: OpenAFS's, and `rxrpc perf client`. The operations are send, recv and
rpc; what a request asks for is streamed, so that its size costs no memory.

Examples:
  rxrpc perf server                       every address, port 7009
  rxrpc perf server -p 0 --bind ::1       a free port, which is printed";

const CLIENT_AFTER_HELP: &str = "\
One call is made before the clock starts, to find out about the path; it moves at most 1 MiB.

Examples:
  rxrpc perf client -c send -b 10000000 -T 10 -s fs.example.org
  rxrpc perf client -c rpc -S 4 -R 4 -T 10000 -t 16 -s 192.0.2.1 -p 7010
  rxrpc perf client -c recv -s '[2001:db8::1]:7009' --json";

/// Most calls at the same time: what an endpoint begins to one peer.
const MAX_THREADS: i64 = 10_000;

/// Arguments of `rxrpc perf`.
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
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
#[command(after_help = SERVER_AFTER_HELP)]
pub(crate) struct ServerArgs {
    /// UDP port; 0 is a free one.
    #[arg(short, long, default_value_t = protocol::PORT)]
    port: u16,
    /// Address to serve at; every address unless given.
    #[arg(long, value_name = "ADDR")]
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
#[derive(clap::Args, Debug)]
#[command(after_help = CLIENT_AFTER_HELP)]
pub(crate) struct ClientArgs {
    /// What each call does.
    #[arg(short = 'c', long = "command", value_enum, ignore_case = true)]
    case: Case,
    /// Bytes of each send or recv.
    #[arg(short, long, default_value_t = 1_048_576)]
    bytes: u32,
    /// Bytes that each rpc sends.
    #[arg(short = 'S', long, value_name = "BYTES", default_value_t = 3)]
    send_bytes: u32,
    /// Bytes that each rpc receives.
    #[arg(short = 'R', long, value_name = "BYTES", default_value_t = 30)]
    recv_bytes: u32,
    /// Calls of each thread, one after the other.
    #[arg(short = 'T', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Calls at the same time. They are tasks, not threads of the system.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MAX_THREADS))]
    threads: u32,
    /// Server, by name or address; a port in it counts instead of --port.
    #[arg(short, long, value_name = "HOST[:PORT]", default_value = "127.0.0.1")]
    server: String,
    /// UDP port of the server.
    #[arg(short, long, default_value_t = protocol::PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Read chunk that the server is asked to use.
    #[arg(short, long, value_name = "BYTES", default_value_t = protocol::CHUNK, value_parser = chunk())]
    read: u32,
    /// Write chunk that the server is asked to use.
    #[arg(short, long, value_name = "BYTES", default_value_t = protocol::CHUNK, value_parser = chunk())]
    write: u32,
    /// End each request with the cookie that the server of the Linux kernel wants.
    #[arg(long)]
    request_cookie: bool,
    /// Seconds until a call is given up. A server that is silent is given up after 20 all the same.
    #[arg(long, value_name = "SECONDS", value_parser = parse::seconds)]
    timeout: Option<Duration>,
    /// Print a JSON array of one object instead of rxperf's line.
    #[arg(long)]
    json: bool,
}

fn chunk() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(protocol::CHUNK))
}

/// Measure or serve.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    match args.side {
        None => local::run(args.json, args.quick),
        Some(Side::Server(server)) => block_on(server::run(&server)),
        Some(Side::Client(client)) => client::run(&client),
    }
}
