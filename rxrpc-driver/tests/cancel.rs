//! What cancelling an operation costs: nothing, where it says so.

mod support;

use bytes::Bytes;
use rxrpc_driver::{AbortCode, CallError, CallOptions, ReadError, ServiceOptions, Target};
use std::pin::pin;
use support::{SERVICE, Sim, echo, pattern};

/// Polls a future once and drops it.
macro_rules! cancelled {
    ($future:expr) => {
        assert!(Sim::poll_once(&mut pin!($future)).is_pending())
    };
}

#[test]
fn a_cancelled_read_has_read_nothing() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    sim.spawn(echo(server));
    let mut call = client.call(Target::new(knobs.addr, SERVICE), CallOptions::default()).unwrap();
    let mut buf = [0; 100];
    cancelled!(call.read(&mut buf));
    cancelled!(call.read_chunk(100));
    cancelled!(call.outcome());
    let mut call = sim.run(async move {
        call.write_all(&pattern(5_000)).await.unwrap();
        call
    });
    cancelled!(call.read(&mut buf));
    call.finish().unwrap();
    cancelled!(call.read_chunk(100));
    let reply = sim.run(async move { call.read_to_end(5_000).await });
    assert_eq!(reply, Ok(Bytes::from(pattern(5_000))));
}

#[test]
fn a_cancelled_write_has_written_nothing_and_a_cancelled_write_buf_keeps_the_rest() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint_with(2, |config| config.limits.send_per_call = 20_000);
    let mut call = client.call(Target::new(knobs.addr, SERVICE), CallOptions::default()).unwrap();
    let mut data = Bytes::from(pattern(100_000));
    // Without an echo, and with the driver not run, the limit is reached.
    let blocked = Sim::poll_once(&mut pin!(call.write_buf(&mut data)));
    assert!(blocked.is_pending());
    assert!(data.len() < 100_000);
    cancelled!(call.write(b"not written"));
    cancelled!(call.write_buf(&mut Bytes::from_static(b"not written")));
    sim.spawn(echo(server));
    let reply = sim.run(async move {
        call.write_buf(&mut data).await.unwrap();
        call.finish().unwrap();
        call.read_to_end(100_000).await
    });
    assert!(reply == Ok(Bytes::from(pattern(100_000))));
}

#[test]
fn a_cancelled_unary_call_is_aborted() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    let outcome = sim.spawn(async move {
        let mut call = listener.accept().await.unwrap().accept().unwrap();
        call.read_to_end(100).await.unwrap();
        call.outcome().await
    });
    let mut unary = Box::pin({
        let client = client.clone();
        async move { client.call_unary(Target::new(knobs.addr, SERVICE), "request", 100).await }
    });
    assert!(Sim::poll_once(&mut unary).is_pending());
    sim.settle();
    drop(unary);
    sim.settle();
    assert_eq!(outcome.take(), Some(Err(CallError::RemoteAbort(AbortCode::RX_USER_ABORT))));
}

#[test]
fn a_cancelled_accept_loses_no_call() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    cancelled!(listener.accept());
    let reply = sim.spawn({
        let client = client.clone();
        async move { client.call_unary(Target::new(knobs.addr, SERVICE), "request", 100).await }
    });
    sim.settle();
    let request = sim.run(async move {
        let mut call = listener.accept().await.unwrap().accept().unwrap();
        call.read_to_end(100).await
    });
    assert_eq!(request, Ok(Bytes::from_static(b"request")));
    sim.settle();
    let error = reply.take().unwrap().unwrap_err().call_error();
    assert_eq!(error, Some(CallError::RemoteAbort(AbortCode::RX_USER_ABORT)));
}

#[test]
fn a_cancelled_version_question_is_forgotten() {
    let mut sim = Sim::new();
    let (_server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint_with(2, |config| config.limits.version_queries = 1);
    let time = std::time::Duration::from_secs(1);
    cancelled!(client.version(knobs.addr, time));
    sim.settle();
    let answer = sim.run({
        let client = client.clone();
        async move { client.version(knobs.addr, time).await }
    });
    assert!(answer.is_ok(), "{answer:?}");
}

#[test]
fn a_failed_call_says_the_same_however_often_it_is_asked() {
    let mut sim = Sim::new();
    let (client, _) = sim.endpoint(2);
    let target = Target::new("10.0.0.9:7000".parse().unwrap(), 1);
    let mut call = client.call(target, CallOptions::default()).unwrap();
    call.abort(AbortCode(5));
    sim.settle();
    let error = CallError::LocalAbort(AbortCode(5));
    for _ in 0..2 {
        assert_eq!(Sim::poll_once(&mut pin!(call.outcome())), std::task::Poll::Ready(Err(error)));
        let read = Sim::poll_once(&mut pin!(call.read_chunk(9)));
        assert_eq!(read, std::task::Poll::Ready(Err(ReadError::Ended(error))));
    }
}
