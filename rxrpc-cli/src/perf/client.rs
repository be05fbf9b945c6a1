//! The calling side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rxrpc_tokio::{CallOptions, Client, Endpoint, Target, bind_any};

use super::cpu::CpuTime;
use super::protocol::{self, COOKIE, Reader, SERVICE, Zeros, words};
use super::report::{Measured, rxperf_line};
use super::{Case, ClientArgs};
use crate::address::Address;
use crate::failure::Failure;
use crate::output;

/// One kind of call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) case: Case,
    pub(crate) sent: u32,
    pub(crate) received: u32,
    pub(crate) read_chunk: u32,
    pub(crate) write_chunk: u32,
    pub(crate) request_cookie: bool,
}

impl Kind {
    pub(crate) fn new(case: Case, sent: u32, received: u32) -> Self {
        Kind {
            case,
            sent,
            received,
            read_chunk: protocol::CHUNK,
            write_chunk: protocol::CHUNK,
            request_cookie: false,
        }
    }

    fn head(&self) -> Vec<u8> {
        let (operation, sizes) = match self.case {
            Case::Send => (protocol::SEND, vec![self.sent]),
            Case::Recv => (protocol::RECV, vec![self.received]),
            Case::Rpc => (protocol::RPC, vec![self.sent, self.received]),
        };
        let mut head = words(&[protocol::VERSION, operation, self.read_chunk, self.write_chunk]);
        head.extend_from_slice(&words(&sizes));
        head.to_vec()
    }

    /// Payload bytes of one call, both ways.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.sent) + u64::from(self.received)
    }
}

/// Make one call and check its reply.
pub(crate) async fn call_once(client: &Client, kind: &Kind, zeros: &Zeros) -> Result<(), Failure> {
    let mut call = client.call().map_err(|e| Failure::Local(e.to_string()))?;
    call.write_all(&kind.head()).await?;
    zeros.write(&mut call, kind.sent).await?;
    if kind.request_cookie {
        call.write_all(&COOKIE.to_be_bytes()).await?;
    }
    call.finish()?;
    let mut reader = Reader::new(&mut call);
    let right =
        reader.skip(kind.received).await? && reader.word().await? == Some(COOKIE) && reader.at_end().await?;
    if right {
        Ok(())
    } else {
        Err(Failure::Local("the server's reply is not what was asked for".to_string()))
    }
}

/// When a worker stops.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Calls(u32),
    Time(Instant),
}

/// Call with `workers` calls at a time and measure.
pub(crate) async fn measure(
    client: &Client,
    kind: Kind,
    workers: u32,
    until: Until,
) -> Result<Measured, Failure> {
    let zeros = Zeros::new();
    // What the first call costs, finding out about the path, is not what is measured.
    call_once(client, &kind, &zeros).await?;
    let cpu = CpuTime::now();
    let begun = Instant::now();
    let workers: Vec<_> =
        (0..workers).map(|_| tokio::spawn(worker(client.clone(), kind, zeros.clone(), until))).collect();
    let mut measured = Measured::new(kind, workers.len());
    for worker in workers {
        let times = worker.await.map_err(|e| Failure::Local(e.to_string()))??;
        measured.add(&times);
    }
    measured.took = begun.elapsed();
    measured.cpu = CpuTime::now().since(&cpu);
    Ok(measured)
}

/// Latencies of the calls of one worker, in nanoseconds.
async fn worker(client: Client, kind: Kind, zeros: Zeros, until: Until) -> Result<Histogram<u64>, Failure> {
    let mut times = new_histogram()?;
    let mut calls = 0;
    loop {
        let over = match until {
            Until::Calls(limit) => calls >= limit,
            Until::Time(end) => Instant::now() >= end,
        };
        if over {
            return Ok(times);
        }
        let begun = Instant::now();
        call_once(&client, &kind, &zeros).await?;
        times.saturating_record(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        calls += 1;
    }
}

/// Latencies up to an hour, to three digits.
fn new_histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).map_err(|e| Failure::Local(e.to_string()))
}

/// A client of `endpoint` for the service at the address.
pub(crate) fn client(endpoint: &Endpoint, peer: std::net::SocketAddr) -> Client {
    endpoint.client(Target::new(peer, SERVICE)).with_options(CallOptions::default())
}

/// `rxrpc perf client`.
pub(crate) async fn run(args: ClientArgs) -> Result<(), Failure> {
    if args.threads == 0 || args.times == 0 {
        return Err(Failure::Usage("-t and -T are at least 1".to_string()));
    }
    let peer = Address::new(&args.server, args.port).resolve().await?;
    let endpoint = bind_any().map_err(|e| Failure::Local(format!("cannot open a socket: {e}")))?;
    let (sent, received) = match args.case {
        Case::Send => (args.bytes, 0),
        Case::Recv => (0, args.bytes),
        Case::Rpc => (args.send_bytes, args.recv_bytes),
    };
    let mut kind = Kind::new(args.case, sent, received);
    (kind.read_chunk, kind.write_chunk) = (args.read, args.write);
    kind.request_cookie = args.request_cookie;
    let args = Arc::new(args);
    let client = client(&endpoint, peer);
    let measured = measure(&client, kind, args.threads, Until::Calls(args.times)).await?;
    // The last reply is acknowledged before the process goes.
    let _ = tokio::time::timeout(Duration::from_secs(1), endpoint.close()).await;
    if args.json { output::json(&[measured.report()]) } else { output::line(rxperf_line(&args, &measured)) }
}
