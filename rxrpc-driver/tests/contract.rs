//! What the driver does with a socket that misbehaves.

mod support;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use rxrpc_driver::{CallError, CallOptions, Endpoint, NetworkError, NetworkReport, Target, UnaryError};
use support::{Knobs, SERVICE, Sim, echo, pattern};

const EIO: i32 = 5;
const EINVAL: i32 = 22;

/// A server that echoes and a client, with the knobs of the client's socket.
fn pair(sim: &mut Sim) -> (Endpoint, Target, Knobs) {
    let (server, at) = sim.endpoint(1);
    let (client, knobs) = sim.endpoint(2);
    sim.spawn(echo(server));
    (client, Target::new(at.addr, SERVICE), knobs)
}

fn echoes(sim: &mut Sim, client: Endpoint, target: Target, len: usize) {
    let reply = sim.run(async move { client.call_unary(target, pattern(len), len).await });
    assert!(reply == Ok(Bytes::from(pattern(len))));
}

fn retransmissions(sim: &mut Sim, client: &Endpoint, target: Target, len: usize) -> u64 {
    let mut call = client.call(target, CallOptions::default()).unwrap();
    let call = sim.run(async move {
        call.write_bytes(pattern(len).into()).await.unwrap();
        call.finish().unwrap();
        assert!(call.read_to_end(len).await.unwrap() == pattern(len));
        call
    });
    call.stats().retransmissions
}

#[test]
fn batches_that_the_system_refuses_go_out_one_by_one_and_nothing_is_lost() {
    for errno in [EIO, EINVAL] {
        let mut sim = Sim::new();
        let (client, target, knobs) = pair(&mut sim);
        knobs.refuse_batches(errno);
        assert_eq!(retransmissions(&mut sim, &client, target, 200_000), 0);
        assert!(knobs.sends().iter().all(|&count| count == 1));
        // The first refusal is the last: batches are not tried again.
        knobs.refuse_batches(1);
        echoes(&mut sim, client.clone(), target, 200_000);
        assert!(knobs.sends().iter().all(|&count| count == 1));
    }
}

#[test]
fn a_socket_that_sends_no_batches_is_given_none() {
    let mut sim = Sim::new();
    let (client, target, knobs) = pair(&mut sim);
    echoes(&mut sim, client.clone(), target, 100_000);
    assert!(knobs.sends().iter().any(|&count| count > 1));
    knobs.segments(1);
    // The socket asserts that it gets what it can send.
    echoes(&mut sim, client, target, 100_000);
}

#[test]
fn what_a_full_socket_does_not_take_is_sent_when_it_does() {
    let mut sim = Sim::new();
    let (client, target, knobs) = pair(&mut sim);
    knobs.block(true);
    let mut call = client.call(target, CallOptions::default()).unwrap();
    let reply = sim.spawn(async move {
        call.write_bytes(pattern(50_000).into()).await.unwrap();
        call.finish().unwrap();
        let reply = call.read_to_end(50_000).await.unwrap();
        (reply == pattern(50_000), call.stats().retransmissions)
    });
    sim.settle();
    assert_eq!((knobs.sends(), reply.take()), (vec![], None));
    knobs.block(false);
    sim.settle();
    assert_eq!(reply.take(), Some((true, 0)));
}

#[test]
fn a_batch_that_was_split_continues_where_a_full_socket_stopped_it() {
    let mut sim = Sim::new();
    let (client, target, knobs) = pair(&mut sim);
    knobs.refuse_batches(EINVAL);
    for _ in 0..30 {
        knobs.fail_send(io::ErrorKind::Interrupted.into());
        knobs.fail_send(io::ErrorKind::WouldBlock.into());
    }
    assert_eq!(retransmissions(&mut sim, &client, target, 60_000), 0);
}

#[test]
fn timers_run_while_the_socket_is_full() {
    let mut sim = Sim::new();
    let (client, target, knobs) = pair(&mut sim);
    knobs.block(true);
    let options = CallOptions { lifetime: Some(Duration::from_secs(5)), ..CallOptions::default() };
    let reply = sim.spawn(async move { client.call_unary_with(target, options, "request", 100).await });
    sim.advance(Duration::from_secs(6));
    let error = reply.take().unwrap().unwrap_err().call_error().unwrap();
    assert!(matches!(error, CallError::Timeout(_)), "{error:?}");
}

#[test]
fn errors_of_receiving_stop_nothing() {
    let mut sim = Sim::new();
    let (client, target, knobs) = pair(&mut sim);
    for _ in 0..50 {
        knobs.fail_receive(io::Error::from_raw_os_error(111));
        knobs.fail_receive(io::ErrorKind::Interrupted.into());
        knobs.fail_receive(io::Error::from_raw_os_error(12));
    }
    echoes(&mut sim, client, target, 100_000);
}

#[test]
fn a_full_device_queue_loses_a_datagram_and_no_call() {
    const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };
    let mut sim = Sim::new();
    let (client, target, knobs) = pair(&mut sim);
    knobs.fail_send(io::Error::from_raw_os_error(ENOBUFS));
    echoes(&mut sim, client, target, 10);
}

#[test]
fn a_send_that_fails_for_good_ends_the_calls_to_that_peer() {
    let mut sim = Sim::new();
    let (client, target, knobs) = pair(&mut sim);
    knobs.fail_send(io::ErrorKind::NetworkUnreachable.into());
    let reply = sim.run({
        let client = client.clone();
        async move { client.call_unary(target, "request", 100).await }
    });
    let unreachable = NetworkError::NetworkUnreachable;
    let error = reply.unwrap_err();
    assert!(
        [CallError::Network(unreachable), CallError::Local(unreachable)]
            .map(UnaryError::Call)
            .contains(&error),
        "{error:?}"
    );
    echoes(&mut sim, client, target, 10);
}

#[test]
fn a_reported_error_ends_the_calls_to_that_peer_alone() {
    let mut sim = Sim::new();
    let (client, target, knobs) = pair(&mut sim);
    let nobody = "10.0.0.99:7000".parse().unwrap();
    let call = sim.spawn({
        let client = client.clone();
        async move { client.call_unary(Target::new(nobody, 1), "request", 100).await }
    });
    sim.settle();
    assert_eq!(call.take(), None);
    knobs.report(NetworkReport { peer: nobody, error: NetworkError::PortUnreachable });
    sim.settle();
    let error = CallError::Network(NetworkError::PortUnreachable);
    assert_eq!(call.take(), Some(Err(UnaryError::Call(error))));
    echoes(&mut sim, client, target, 10);
}

#[test]
fn lost_datagrams_are_sent_again() {
    let mut sim = Sim::new();
    let (client, target, knobs) = pair(&mut sim);
    knobs.lose(3);
    echoes(&mut sim, client, target, 100_000);
}

#[test]
fn wakes_without_a_reason_are_harmless() {
    let mut sim = Sim::new();
    sim.spurious = true;
    let (client, target, knobs) = pair(&mut sim);
    for _ in 0..100 {
        knobs.wake();
        sim.settle();
    }
    echoes(&mut sim, client, target, 1_000_000);
}

#[test]
fn an_idle_driver_is_not_polled() {
    let mut sim = Sim::new();
    let (client, target, knobs) = pair(&mut sim);
    echoes(&mut sim, client.clone(), target, 10);
    sim.advance(Duration::from_secs(1));
    let before = knobs.sends().len();
    sim.settle();
    assert_eq!(knobs.sends().len(), before);
}
