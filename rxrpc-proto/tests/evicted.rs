//! Connections that had to make room for others: no call of theirs begins a second time.

mod harness;

use std::net::SocketAddr;
use std::time::Duration;

use harness::solo::{Hand, Sent, Solo};
use harness::{SERVICE, ms, pattern};
use rxrpc_proto::wire::{AbortCode, AckReason, Flags, PacketType};
use rxrpc_proto::{CallError, Config, Fault, LimitStats, Rejection};

const LIFE: Duration = Duration::from_secs(20);

fn stranger(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, n], 7001))
}

fn hand(n: u8) -> Hand {
    Hand::client(0x100 + 4 * u32::from(n))
}

/// A server that keeps the connection of one stranger, and what else `tune` says.
fn server(tune: impl Fn(&mut Config)) -> Solo {
    Solo::server(|c| {
        c.limits.unvalidated_connections = 1;
        tune(c);
    })
}

/// A stranger's request comes and is accepted; what was sent because of it is of no interest.
fn ask(solo: &mut Solo, n: u8) -> (Hand, rxrpc_proto::CallId) {
    let mut hand = hand(n);
    solo.hear(stranger(n), &hand.whole(b"ask"));
    let call = solo.accept();
    solo.take();
    (hand, call)
}

/// The ABORTs sent since the last time: to whom, of which call, with which code.
fn aborts(solo: &mut Solo) -> Vec<(SocketAddr, u32, AbortCode)> {
    let sent = solo.take_type(PacketType::Abort);
    sent.iter().map(|s| (s.to, s.header.call_number, s.abort_code())).collect()
}

fn dead(n: u8, call: u32) -> (SocketAddr, u32, AbortCode) {
    (stranger(n), call, AbortCode::RX_CALL_DEAD)
}

#[test]
fn who_is_pushed_out_in_mid_call_is_told() {
    let mut solo = server(|_| {});
    let (_, call) = ask(&mut solo, 0);
    solo.hear(stranger(1), &hand(1).whole(b"ask"));
    assert_eq!(
        solo.end.call(call).unwrap().outcome(),
        Some(Err(CallError::LocalAbort(AbortCode::RX_CALL_DEAD)))
    );
    assert_eq!(aborts(&mut solo), [dead(0, 1)]);
}

#[test]
fn a_late_copy_of_a_request_of_theirs_is_not_executed_again() {
    let mut solo = server(|_| {});
    let (mut first, call) = ask(&mut solo, 0);
    solo.write_all(call, &pattern(100));
    ask(&mut solo, 1);
    solo.hear(stranger(0), &first.whole(b"ask"));
    assert_eq!(solo.end.waiting(SERVICE), None);
    assert_eq!(aborts(&mut solo), [dead(0, 1)]);
    assert_eq!(solo.end.stats().fault(Fault::EvictedCall), 1);
    assert_eq!(solo.end.stats().connections, 1, "nor is anybody pushed out for it");
}

#[test]
fn nor_if_an_unused_connection_made_room_for_one_of_the_same_address() {
    let mut solo = Solo::server(|c| c.limits.unvalidated_per_peer = 1);
    let mut first = hand(0);
    solo.hear(stranger(0), &first.whole(b"ask"));
    let call = solo.accept();
    solo.end.call(call).unwrap().abort(AbortCode(7));
    solo.pump();
    solo.hear(stranger(0), &hand(1).whole(b"ask"));
    solo.accept();
    solo.take();
    solo.hear(stranger(0), &first.whole(b"ask"));
    assert_eq!(solo.end.waiting(SERVICE), None);
    assert_eq!(aborts(&mut solo), [dead(0, 1)]);
}

#[test]
fn nor_if_it_comes_from_where_the_client_has_moved_to() {
    let mut solo = server(|_| {});
    let (mut first, _) = ask(&mut solo, 0);
    ask(&mut solo, 1);
    solo.hear(stranger(9), &first.whole(b"ask"));
    assert_eq!(solo.end.waiting(SERVICE), None);
    assert_eq!(aborts(&mut solo), [dead(9, 1)]);
}

#[test]
fn their_next_call_begins_and_those_before_it_stay_over() {
    let mut solo = server(|_| {});
    let (first, _) = ask(&mut solo, 0);
    let mut other = Hand { cid: first.cid + 1, call: 5, ..first };
    solo.hear(stranger(0), &other.whole(b"ask"));
    solo.accept();
    ask(&mut solo, 1);
    let mut next = Hand { call: 2, serial: 9, ..first };
    solo.hear(stranger(0), &next.whole(b"ask"));
    solo.accept();
    solo.take();
    assert_eq!(solo.end.stats().fault(Fault::EvictedCall), 0);
    for (mut late, answers) in
        [(first, vec![]), (other, vec![dead(0, 5)]), (Hand { call: 4, ..other }, vec![])]
    {
        solo.hear(stranger(0), &late.whole(b"ask"));
        assert_eq!(solo.end.waiting(SERVICE), None);
        assert_eq!(aborts(&mut solo), answers, "call {}", late.call);
    }
}

#[test]
fn a_call_that_was_turned_away_before_may_come_again() {
    let mut solo = server(|_| {});
    let mut first = hand(0);
    solo.hear(stranger(0), &first.whole(b"ask"));
    let call = solo.end.waiting(SERVICE).unwrap();
    solo.end.reject(call, Rejection::Busy).unwrap();
    ask(&mut solo, 1);
    solo.hear(stranger(0), &first.whole(b"ask"));
    assert_ne!(solo.end.waiting(SERVICE), None);
}

#[test]
fn a_question_about_a_call_of_theirs_is_answered_with_its_end_and_nothing_else_is() {
    let mut solo = server(|_| {});
    let (mut first, _) = ask(&mut solo, 0);
    ask(&mut solo, 1);
    solo.hear(stranger(0), &first.ack(AckReason::Ping, 1, 0, &[]));
    assert_eq!(aborts(&mut solo), [dead(0, 1)]);
    assert_eq!(solo.end.stats().fault(Fault::EvictedCall), 1);
    solo.hear(stranger(0), &first.ack(AckReason::Delay, 1, 0, &[]));
    solo.hear(stranger(0), &first.abort(7));
    let mut next = Hand { call: 2, ..first };
    solo.hear(stranger(0), &next.ack(AckReason::Ping, 1, 0, &[]));
    assert_eq!(solo.take().len(), 0);
    assert_eq!(solo.end.stats().fault(Fault::NoServiceConnection), 3);
}

#[test]
fn they_are_answered_no_more_often_than_other_strangers() {
    let mut solo = server(|c| c.limits.stranger_answers_per_second = 2);
    let (mut first, _) = ask(&mut solo, 0);
    ask(&mut solo, 1);
    for _ in 0..9 {
        solo.hear(stranger(0), &first.data(1, Flags::NONE, b""));
    }
    assert_eq!(aborts(&mut solo), [dead(0, 1); 2]);
}

#[test]
fn of_more_than_there_is_room_for_the_oldest_is_forgotten() {
    let mut solo = server(|c| c.limits.evicted_connections = 2);
    let mut hands: Vec<Hand> = (0..4).map(|n| ask(&mut solo, n).0).collect();
    let limits = LimitStats { unvalidated_connections: 3, evicted_connections: 1, ..LimitStats::default() };
    assert_eq!(solo.end.stats().limits, limits);
    assert_eq!(solo.end.stats().evicted_connections, 2);
    for n in [1, 2] {
        solo.hear(stranger(n), &hands[usize::from(n)].whole(b"ask"));
        assert_eq!(solo.end.waiting(SERVICE), None);
    }
    solo.hear(stranger(0), &hands[0].whole(b"ask"));
    assert_ne!(solo.end.waiting(SERVICE), None);
}

#[test]
fn a_limit_of_nothing_remembers_nothing() {
    let mut solo = server(|c| c.limits.evicted_connections = 0);
    let (mut first, _) = ask(&mut solo, 0);
    ask(&mut solo, 1);
    assert_eq!(solo.end.stats().limits.evicted_connections, 1);
    solo.hear(stranger(0), &first.whole(b"ask"));
    assert_ne!(solo.end.waiting(SERVICE), None);
}

#[test]
fn they_are_remembered_as_long_as_an_unused_connection_of_a_stranger() {
    for (after, over) in [(LIFE - ms(1), false), (LIFE, true)] {
        let mut solo = server(|_| {});
        let (mut first, _) = ask(&mut solo, 0);
        ask(&mut solo, 1);
        solo.wait(after);
        solo.hear(stranger(0), &first.whole(b"ask"));
        assert_eq!(solo.end.waiting(SERVICE).is_some(), over, "{after:?}");
    }
}

#[test]
fn whose_connection_is_opened_anew_takes_no_room_among_them() {
    let mut solo = server(|c| c.limits.evicted_connections = 1);
    for call in 1..200 {
        for n in [0, 1] {
            let mut hand = Hand { call, ..hand(n) };
            solo.hear(stranger(n), &hand.whole(b"ask"));
            solo.accept();
        }
    }
    assert_eq!(solo.end.stats().evicted_connections, 1);
    assert_eq!(solo.end.stats().limits.evicted_connections, 0);
}

#[test]
fn a_datagram_does_not_pay_twice_when_its_sender_pushes_itself_out() {
    let mut solo = server(|_| {});
    let (mut received, mut sent) = (0, 0);
    for n in 0..20 {
        let mut hand = Hand::client(0x100 + 4 * n);
        let request = hand.whole(b"ask");
        received += request.len() + 28;
        solo.hear(stranger(0), &request);
        let call = solo.accept();
        // All that the request pays for.
        solo.write_all(call, &pattern(110));
        solo.end.release(call);
        solo.pump();
        sent += solo.take().iter().map(Sent::cost).sum::<usize>();
        assert!(sent <= 3 * received, "{sent} bytes for {received}");
    }
}
