//! A clock that leaps, or a process that stood still, makes the path look slower than any silence is long.

mod harness;

use std::time::Duration;

use harness::solo::{Hand, Sent, Solo};
use harness::{SERVICE, ms, pattern, server_addr};
use rxrpc_proto::wire::{AckReason, Header, PacketType};
use rxrpc_proto::{CallError, CallId, CallOptions, Target, TimeoutKind};

const HOUR: Duration = Duration::from_secs(3_600);

/// Begins a call; the header of its last packet.
fn begin(solo: &mut Solo, request: &[u8]) -> (CallId, Header) {
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(call, request);
    (call, solo.take().pop().expect("the request").header)
}

fn round_trip(solo: &Solo, call: CallId) -> Option<Duration> {
    solo.end.call_info(call).unwrap().stats.srtt
}

/// An endpoint that has measured one round trip: it stood still, and found the answer when it went on.
fn after_standstill(time: Duration) -> Solo {
    let mut solo = Solo::new(|_| {});
    let (call, sent) = begin(&mut solo, &pattern(2_000));
    solo.now += time;
    solo.hear(server_addr(), &Hand::answering(&sent).ack(AckReason::Requested, 3, sent.serial, &[]));
    assert_eq!(round_trip(&solo, call), Some(time));
    solo.take();
    solo
}

#[test]
fn a_leap_of_an_hour_is_not_taken_for_a_round_trip() {
    let mut solo = after_standstill(ms(100));
    let (call, sent) = begin(&mut solo, &pattern(2_000));
    solo.now += HOUR;
    solo.hear(server_addr(), &Hand::answering(&sent).ack(AckReason::Requested, 3, sent.serial, &[]));
    assert_eq!(round_trip(&solo, call), Some(ms(100)));
}

#[test]
fn nor_if_it_comes_between_a_ping_and_its_answer() {
    let mut solo = after_standstill(ms(100));
    let (call, sent) = begin(&mut solo, &pattern(2_000));
    let mut server = Hand::answering(&sent);
    solo.hear(server_addr(), &server.ack(AckReason::Requested, 3, 0, &[]));
    solo.wait(ms(3_400));
    let ping = solo.take_type(PacketType::Ack).pop().expect("a keepalive").header;
    solo.now += HOUR;
    solo.hear(server_addr(), &server.ack(AckReason::PingResponse, 3, ping.serial, &[]));
    assert_eq!(round_trip(&solo, call), Some(ms(100)));
}

#[test]
fn what_is_lost_on_a_path_that_looks_slower_than_the_silence_is_long_is_sent_again() {
    let mut solo = after_standstill(Duration::from_secs(30));
    let (_, lost) = begin(&mut solo, b"ask");
    solo.wait(Duration::from_secs(19));
    let again = solo.take().iter().filter(|s| s.header.cid == lost.cid && s.is(PacketType::Data)).count();
    assert_eq!(again, 1, "at 10 s of 20 s");
}

#[test]
fn nor_does_it_keep_a_request_from_being_sent_again_that_nobody_answers_for() {
    let mut solo = after_standstill(Duration::from_secs(30));
    let (_, sent) = begin(&mut solo, b"ask");
    solo.hear(server_addr(), &Hand::answering(&sent).ack(AckReason::Requested, 1, 0, &[1]));
    solo.take();
    solo.wait(Duration::from_secs(9));
    let again = |solo: &mut Solo| {
        solo.take().iter().filter(|s| s.header.cid == sent.cid && s.is(PacketType::Data)).count()
    };
    assert_eq!(again(&mut solo), 0, "the server has it");
    solo.wait(Duration::from_secs(10));
    assert_eq!(again(&mut solo), 1, "a BUSY may have been lost");
}

/// A client with two calls on one connection, after the clock has leapt. Of the first one the server has a part; it is
/// silent about it `for_so_long` before, and the first packet that comes after the leap is of the other.
fn heard_of_another_call_after_a_leap(for_so_long: Duration) -> (Solo, CallId) {
    let mut solo = after_standstill(ms(100));
    let (call, sent) = begin(&mut solo, &pattern(2_000));
    let (_, other) = begin(&mut solo, b"ask");
    assert_eq!(other.cid & !3, sent.cid & !3);
    solo.hear(server_addr(), &Hand::answering(&sent).ack(AckReason::Requested, 2, 0, &[]));
    let mut server = Hand { serial: 2, ..Hand::answering(&other) };
    solo.hear(server_addr(), &server.ack(AckReason::Requested, 2, 0, &[]));
    solo.wait(for_so_long);
    solo.now += HOUR;
    solo.hear(server_addr(), &server.ack(AckReason::Delay, 2, 0, &[]));
    solo.wait(ms(1));
    (solo, call)
}

#[test]
fn a_server_heard_of_another_call_after_a_leap_has_not_lost_one_that_nobody_asked_about() {
    let (mut solo, call) = heard_of_another_call_after_a_leap(ms(0));
    let outcome = solo.end.call(call).unwrap().outcome();
    assert_eq!(outcome, Some(Err(CallError::Timeout(TimeoutKind::Silence))));
}

#[test]
fn nor_one_that_it_was_asked_about_a_moment_before() {
    let (mut solo, call) = heard_of_another_call_after_a_leap(ms(1_500));
    let again = solo.take_type(PacketType::Data);
    assert!(!again.is_empty(), "it is sent again, and asks");
    let outcome = solo.end.call(call).unwrap().outcome();
    assert_eq!(outcome, Some(Err(CallError::Timeout(TimeoutKind::Silence))));
}

#[test]
fn nor_one_whose_answer_may_be_on_its_way() {
    for (later, lost) in [(ms(900), false), (ms(1_100), true)] {
        let mut solo = Solo::new(|_| {});
        let (call, sent) = begin(&mut solo, b"ask");
        let (_, other) = begin(&mut solo, b"ask");
        solo.hear(server_addr(), &Hand::answering(&sent).ack(AckReason::Delay, 2, 0, &[]));
        solo.wait(Duration::from_secs(12));
        solo.take();
        let asked = |s: &Sent| s.is(PacketType::Ack) && s.header.cid == sent.cid;
        while !solo.take().iter().any(asked) {
            solo.wait(ms(1));
        }
        solo.wait(later);
        // Nothing was measured yet: an answer may take a second.
        let mut server = Hand { serial: 2, ..Hand::answering(&other) };
        solo.hear(server_addr(), &server.ack(AckReason::Delay, 2, 0, &[]));
        solo.wait(Duration::from_secs(20));
        let error = if lost { CallError::PeerRestarted } else { CallError::Timeout(TimeoutKind::Silence) };
        assert_eq!(solo.end.call(call).unwrap().outcome(), Some(Err(error)), "{later:?}");
    }
}
