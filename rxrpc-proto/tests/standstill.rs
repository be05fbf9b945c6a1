//! A clock that leaps, or a process that stood still, makes the path look slower than any silence is long.

mod harness;

use std::time::Duration;

use harness::solo::{Hand, Solo};
use harness::{SERVICE, ms, pattern, server_addr};
use rxrpc_proto::wire::{AckReason, Header, PacketType};
use rxrpc_proto::{CallId, CallOptions, Target};

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
