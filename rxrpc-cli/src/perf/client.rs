//! `rxrpc perf client`.

use std::net::SocketAddr;
use std::time::Duration;

use rxrpc_tokio::{CallOptions, Client, Endpoint, Target, bind_any};

use super::load::{Kind, Load, Times, Until, measure};
use super::progress::Progress;
use super::protocol::SERVICE;
use super::report::{Measured, rxperf_line};
use super::{Case, ClientArgs};
use crate::address::Address;
use crate::failure::Failure;
use crate::{block_on, output};

/// How long looking up the server's name may take.
const LOOKUP: Duration = Duration::from_secs(10);
/// How long the last acknowledgements, or aborts, may take to leave.
const CLOSING: Duration = Duration::from_secs(1);

/// Call, measure and print.
pub(crate) fn run(args: &ClientArgs) -> Result<(), Failure> {
    let server = Address::parse(&args.server, args.port)?;
    let measured = block_on(call(args, &server))?;
    if args.json { output::json(&[measured.report()]) } else { output::line(rxperf_line(args, &measured)) }
}

async fn call(args: &ClientArgs, server: &Address) -> Result<Measured, Failure> {
    let peer = server.resolve(args.timeout.unwrap_or(LOOKUP)).await?;
    let endpoint = bind_any().map_err(|e| Failure::Local(format!("cannot open a socket: {e}")))?;
    let load = Load::new(client(&endpoint, peer, args.timeout), kind(args));
    let times = Times::new()?;
    let progress = Progress::new(u64::from(args.times) * u64::from(args.threads));
    progress.say(format!("{} at {peer}", args.case.name()));
    let work = measure(&load, args.threads, Until::Calls(args.times), &times);
    let measured = progress.during(work, || times.calls()).await;
    let _ = tokio::time::timeout(CLOSING, endpoint.close()).await;
    measured
}

/// A client of the service at `peer`.
pub(crate) fn client(endpoint: &Endpoint, peer: SocketAddr, timeout: Option<Duration>) -> Client {
    let options = CallOptions { lifetime: timeout, ..CallOptions::default() };
    endpoint.client(Target::new(peer, SERVICE)).with_options(options)
}

fn kind(args: &ClientArgs) -> Kind {
    let (sent, received) = match args.case {
        Case::Send => (args.bytes, 0),
        Case::Recv => (0, args.bytes),
        Case::Rpc => (args.send_bytes, args.recv_bytes),
    };
    Kind {
        read_chunk: args.read,
        write_chunk: args.write,
        request_cookie: args.request_cookie,
        ..Kind::new(args.case, sent, received)
    }
}
