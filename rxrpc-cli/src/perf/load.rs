//! Making the same call again and again, many at a time, and measuring it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use rxrpc_tokio::Client;
use tokio::task::JoinSet;

use super::Case;
use super::cpu::CpuTime;
use super::protocol::{self, COOKIE, Reader, Zeros, words};
use super::report::Measured;
use crate::failure::Failure;

/// Longest latency that is told apart from longer ones: an hour.
const LONGEST_NANOS: u64 = 3_600_000_000_000;
/// A request up to this size is written in one piece.
const WHOLE: u32 = 32 * 1024;
/// What the call before the measurement moves at most.
const WARM_UP: u32 = 1 << 20;

/// What each call asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
        let (read_chunk, write_chunk) = (protocol::CHUNK, protocol::CHUNK);
        Kind { case, sent, received, read_chunk, write_chunk, request_cookie: false }
    }

    /// Payload bytes of one call, both ways.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.sent) + u64::from(self.received)
    }

    /// The words that begin the request.
    fn head(&self) -> Vec<u8> {
        let (operation, sizes) = match self.case {
            Case::Send => (protocol::SEND, vec![self.sent]),
            Case::Recv => (protocol::RECV, vec![self.received]),
            Case::Rpc => (protocol::RPC, vec![self.sent, self.received]),
        };
        let mut head = words(&[protocol::VERSION, operation, self.read_chunk, self.write_chunk]);
        head.extend_from_slice(&words(&sizes));
        head
    }

    fn tail(&self) -> Vec<u8> {
        if self.request_cookie { words(&[COOKIE]) } else { Vec::new() }
    }
}

/// A request, made once for all calls: `zeros` bytes of data between `head` and `tail`.
#[derive(Clone, Debug)]
struct Request {
    head: Bytes,
    zeros: u32,
    tail: Bytes,
}

impl Request {
    fn new(kind: &Kind) -> Self {
        let (mut head, tail) = (kind.head(), kind.tail());
        if kind.sent > WHOLE {
            return Request { head: head.into(), zeros: kind.sent, tail: tail.into() };
        }
        head.resize(head.len() + kind.sent as usize, 0);
        head.extend_from_slice(&tail);
        Request { head: head.into(), zeros: 0, tail: Bytes::new() }
    }
}

/// A kind of call, ready to be made.
#[derive(Clone)]
pub(crate) struct Load {
    client: Client,
    kind: Kind,
    request: Request,
    zeros: Zeros,
}

impl Load {
    pub(crate) fn new(client: Client, kind: Kind) -> Self {
        Load { client, kind, request: Request::new(&kind), zeros: Zeros::new() }
    }

    /// Make one call and check its reply.
    async fn call(&self) -> Result<(), Failure> {
        let peer = self.client.target().peer;
        match self.exchange().await.map_err(|failure| failure.at(peer))? {
            true => Ok(()),
            false => Err(Failure::of(peer, "the reply is not what was asked for: is it an rxperf server?")),
        }
    }

    /// Says whether the reply is right.
    async fn exchange(&self) -> Result<bool, Failure> {
        let mut call = self.client.call()?;
        call.write_bytes(self.request.head.clone()).await?;
        self.zeros.write(&mut call, self.request.zeros).await?;
        call.write_bytes(self.request.tail.clone()).await?;
        call.finish()?;
        let mut reader = Reader::new(&mut call);
        Ok(reader.skip(self.kind.received).await?
            && reader.word().await? == Some(COOKIE)
            && reader.at_end().await?)
    }

    /// Make one call that is not measured: it finds out about the path, and proves our address to a server
    /// that would send little to a stranger.
    async fn warm_up(&self) -> Result<(), Failure> {
        let mut kind = self.kind;
        kind.sent = kind.sent.min(WARM_UP);
        kind.received = kind.received.min(WARM_UP);
        Load::new(self.client.clone(), kind).call().await
    }
}

/// When the calls end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After so many calls of each worker.
    Calls(u32),
    /// No call begins after this long.
    Time(Duration),
}

/// Latencies of calls, by all workers. Shared, so that ten thousand of them need no more memory than one.
#[derive(Clone)]
pub(crate) struct Times(Arc<Mutex<Histogram<u64>>>);

impl Times {
    pub(crate) fn new() -> Result<Self, Failure> {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NANOS, 3);
        histogram.map(|h| Times(Arc::new(Mutex::new(h)))).map_err(|e| Failure::Local(e.to_string()))
    }

    fn lock(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.lock().saturating_record(nanos);
    }

    /// How many calls have ended.
    pub(crate) fn calls(&self) -> u64 {
        self.lock().len()
    }
}

/// Keep `workers` calls going and measure them. `times` is empty, for the caller to watch.
pub(crate) async fn measure(
    load: &Load,
    workers: u32,
    until: Until,
    times: &Times,
) -> Result<Measured, Failure> {
    load.warm_up().await?;
    let cpu = CpuTime::now();
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        tasks.spawn(worker(load.clone(), times.clone(), until, begun));
    }
    // The first that fails ends all.
    while let Some(done) = tasks.join_next().await {
        done.map_err(|e| Failure::Local(format!("a worker is gone: {e}")))??;
    }
    let took = begun.elapsed();
    let cpu = CpuTime::now().since(&cpu);
    let times = times.lock().clone();
    Ok(Measured { kind: load.kind, concurrency: workers, times, took, cpu })
}

async fn worker(load: Load, times: Times, until: Until, begun: Instant) -> Result<(), Failure> {
    let mut calls = 0;
    let mut now = Instant::now();
    loop {
        let over = match until {
            Until::Calls(limit) => calls >= limit,
            Until::Time(limit) => now.duration_since(begun) >= limit,
        };
        if over {
            return Ok(());
        }
        load.call().await?;
        let then = now;
        now = Instant::now();
        times.record(now.duration_since(then));
        calls += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(case: Case, sent: u32, received: u32, request_cookie: bool) -> Request {
        Request::new(&Kind { request_cookie, ..Kind::new(case, sent, received) })
    }

    #[test]
    fn small_requests_are_one_piece_and_large_ones_are_streamed() {
        let small = request(Case::Rpc, 3, 30, true);
        let words = [3, 3, protocol::CHUNK, protocol::CHUNK, 3, 30].map(u32::to_be_bytes).concat();
        assert_eq!(small.head, [&words[..], &[0; 3], &COOKIE.to_be_bytes()].concat());
        assert_eq!((small.zeros, small.tail.len()), (0, 0));

        let large = request(Case::Send, u32::MAX, 0, true);
        assert_eq!((large.head.len(), large.zeros), (20, u32::MAX));
        assert_eq!(large.tail, &COOKIE.to_be_bytes()[..]);
    }

    #[test]
    fn without_being_told_a_request_ends_with_its_data() {
        assert_eq!(request(Case::Send, 5, 0, false).head.len(), 20 + 5);
        assert_eq!(request(Case::Recv, 0, 5, false).head.len(), 20);
    }
}
