//! Makes calls and checks what comes back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rxrpc_tokio::{
    AbortCode, Builder, Call, CallError, CallOptions, Endpoint, ReadError, Target, WriteError,
};

use crate::Common;
use crate::wire::{
    Checksum, MAGIC, PERF_SERVICE, PERF_VERSION, Reader, TEST_SERVICE, pattern, perf, test, words,
    write_pattern,
};

/// Chunk sizes of the rxperf protocol.
const CHUNK: u32 = 512 * 1024;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Calls at once.
    #[arg(short = 'n', long, default_value_t = 1)]
    threads: usize,
    /// Calls at once on one connection: 1 (each call has its own), or 4 and more (those above 4 wait for their turn).
    #[arg(short = 'c', long, default_value_t = 4, value_parser = calls_per_connection)]
    calls_per_connection: usize,
    /// Calls of each, one after the other.
    #[arg(short = 'T', long, default_value_t = 1)]
    times: usize,
    /// Longest a call may take, in seconds.
    #[arg(short = 'd', long, default_value_t = 60)]
    deadline: u64,
    op: Op,
    #[arg(default_value_t = 0, allow_negative_numbers = true)]
    a: i64,
    #[arg(default_value_t = 0, allow_negative_numbers = true)]
    b: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Op {
    Echo,
    Sink,
    Src,
    Abort,
    Sleep,
    Who,
    Send,
    Recv,
    Rpc,
}

/// Why a call did not do what it should.
#[derive(Debug)]
pub(crate) enum Failed {
    Call(CallError),
    Wrong(String),
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Ended(error) => Failed::Call(error),
            other => Failed::Wrong(other.to_string()),
        }
    }
}

impl From<WriteError> for Failed {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Ended(error) => Failed::Call(error),
            other => Failed::Wrong(other.to_string()),
        }
    }
}

fn check(right: bool, what: &str) -> Result<(), Failed> {
    if right { Ok(()) } else { Err(Failed::Wrong(what.to_string())) }
}

/// A bundle fills the four channels of a connection before it opens the next; fewer than that cannot be asked for.
fn calls_per_connection(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(calls) if calls == 1 || calls >= 4 => Ok(calls),
        _ => Err("1, or at least 4".to_string()),
    }
}

/// Make all calls; the first failure is the answer.
pub(crate) async fn run(options: Options) -> Result<(), String> {
    let connections = options.threads.div_ceil(options.calls_per_connection).max(1);
    let endpoint = Builder::new()
        .configure(|config| config.limits.connections_per_bundle = connections)
        .bind_any()
        .map_err(|e| e.to_string())?;
    let begun = Instant::now();
    let tasks: Vec<_> = (0..options.threads)
        .map(|_| {
            let (endpoint, options) = (endpoint.clone(), options.clone());
            tokio::spawn(async move {
                for _ in 0..options.times {
                    one(&endpoint, &options).await?;
                }
                Ok(())
            })
        })
        .collect();
    let mut done: Result<(), Failed> = Ok(());
    for task in tasks {
        let one = task.await.unwrap_or_else(|e| Err(Failed::Wrong(e.to_string())));
        done = done.and(one);
    }
    let took = begun.elapsed();
    endpoint.close().await;
    let stats = endpoint.stats();
    println!("sent {} datagrams, received {}", stats.datagrams_sent, stats.datagrams_received);
    match done {
        Ok(()) => {
            let calls = options.threads * options.times;
            println!("{:?}: ok {calls}  {:.6} s", options.op, took.as_secs_f64());
            Ok(())
        }
        Err(Failed::Wrong(what)) => Err(what),
        Err(Failed::Call(error)) => Err(format!("{error}")),
    }
}

async fn one(endpoint: &Endpoint, o: &Options) -> Result<(), Failed> {
    let service = if matches!(o.op, Op::Send | Op::Recv | Op::Rpc) { PERF_SERVICE } else { TEST_SERVICE };
    let target = Target::new(SocketAddr::new(o.common.host, o.common.port), service);
    let options = CallOptions {
        lifetime: Some(Duration::from_secs(o.deadline)),
        exclusive: o.calls_per_connection == 1,
        ..CallOptions::default()
    };
    let mut call = endpoint.call(target, options).map_err(|e| Failed::Wrong(e.to_string()))?;
    match o.op {
        Op::Send | Op::Recv | Op::Rpc => perf_call(&mut call, o).await?,
        Op::Abort => return aborted(&mut call, o).await,
        _ => test_call(&mut call, o).await?,
    }
    call.outcome().await.map_err(Failed::Call)
}

async fn perf_call(call: &mut Call, o: &Options) -> Result<(), Failed> {
    let (a, b) = (o.a as u32, o.b as u32);
    let (operation, out, back) = match o.op {
        Op::Send => (perf::SEND, a, 0),
        Op::Recv => (perf::RECV, 0, a),
        _ => (perf::RPC, a, b),
    };
    let mut head = words(&[PERF_VERSION, operation, CHUNK, CHUNK, a]);
    if operation == perf::RPC {
        head.extend_from_slice(&b.to_be_bytes());
    }
    call.write_all(&head).await?;
    write_pattern(call, u64::from(out), true).await?;
    call.finish()?;
    let mut reader = Reader::new(call, o.common.pause);
    check(reader.take(u64::from(back), |_| {}).await?, "the reply is too short")?;
    check(reader.word().await? == Some(MAGIC), "the reply does not end with its mark")?;
    check(reader.piece().await?.is_none(), "the reply is too long")?;
    reader.report();
    Ok(())
}

async fn test_call(call: &mut Call, o: &Options) -> Result<(), Failed> {
    let len = o.a as u64;
    let long = [(len >> 32) as u32, len as u32];
    match o.op {
        Op::Echo => {
            call.write_all(&words(&[test::ECHO, len as u32])).await?;
            write_pattern(call, len, false).await?;
        }
        Op::Sink => {
            call.write_all(&words(&[test::SINK, long[0], long[1]])).await?;
            write_pattern(call, len, false).await?;
        }
        Op::Src => call.write_all(&words(&[test::SRC, long[0], long[1]])).await?,
        Op::Sleep => call.write_all(&words(&[test::SLEEP, len as u32])).await?,
        _ => call.write_all(&words(&[test::WHO])).await?,
    }
    call.finish()?;
    let mut reader = Reader::new(call, o.common.pause);
    match o.op {
        Op::Echo | Op::Src => {
            let (mut at, mut right) = (0, true);
            let all = reader
                .take(len, |piece| {
                    right &= pattern(at, piece.len()) == piece;
                    at += piece.len() as u64;
                })
                .await?;
            check(all && right, "the bytes are not those that were sent")?;
        }
        Op::Sink => {
            let mut sum = Checksum::new();
            sum.add(&pattern(0, usize::try_from(len).unwrap_or(0)));
            check(reader.word().await? == Some(sum.0), "the checksum is wrong")?;
        }
        Op::Sleep => check(reader.word().await? == Some(0), "the reply is not 0")?,
        _ => check(reader.word().await? == Some(0), "the security index is not 0")?,
    }
    while o.op == Op::Who && reader.piece().await?.is_some() {}
    check(reader.piece().await?.is_none(), "the reply is too long")?;
    reader.report();
    Ok(())
}

async fn aborted(call: &mut Call, o: &Options) -> Result<(), Failed> {
    call.write_all(&words(&[test::ABORT, o.a as u32])).await?;
    call.finish()?;
    let code = AbortCode(o.a as i32);
    match call.outcome().await {
        Err(CallError::RemoteAbort(got)) => check(got == code, &format!("aborted with {got}, not {code}")),
        other => Err(Failed::Wrong(format!("not aborted with {code}: {other:?}"))),
    }
}
