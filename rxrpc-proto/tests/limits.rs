//! Every limit: what reaching it is answered with, and that things go on afterwards.

mod harness;

use std::net::SocketAddr;
use std::time::Duration;

use harness::solo::{Hand, Sent, Solo};
use harness::{CLIENT, Pair, SERVER, SERVICE, client_addr, ms, pattern, server_addr};
use rxrpc_proto::wire::{AbortCode, AckReason, Flags, PacketType, emit_version_request};
use rxrpc_proto::{
    BeginCallError, CallError, CallId, CallOptions, Config, Event, Fault, LimitStats, News, Path, ReadError,
    Segments, Target, VersionError, WriteError,
};

const NONE: Flags = Flags::NONE;
const ASKS: Flags = Flags::REQUEST_ACK;

fn trusting(config: &mut Config) {
    config.validate_peers = false;
}

/// A client's address of its own.
fn stranger(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, n], 7001))
}

fn begin(solo: &mut Solo, peer: SocketAddr) -> Result<CallId, BeginCallError> {
    solo.end.begin_call(&Target::new(peer, SERVICE), CallOptions::default())
}

/// Types of the packets sent since the last time.
fn types(solo: &mut Solo) -> Vec<PacketType> {
    solo.take().iter().map(|s| s.header.packet_type).collect()
}

#[test]
fn one_call_too_many_on_the_endpoint_is_refused_until_one_is_released() {
    let mut solo = Solo::new(|c| c.limits.calls = 3);
    let calls: Vec<CallId> = (0..3).map(|i| begin(&mut solo, stranger(i)).unwrap()).collect();
    assert_eq!(begin(&mut solo, stranger(9)), Err(BeginCallError::TooManyCalls));
    solo.end.call(calls[0]).unwrap().abort(AbortCode(1));
    solo.pump();
    assert_eq!(begin(&mut solo, stranger(9)), Err(BeginCallError::TooManyCalls), "over, but not released");
    solo.end.release(calls[0]);
    assert!(begin(&mut solo, stranger(9)).is_ok());
    assert_eq!(begin(&mut solo, stranger(9)), Err(BeginCallError::TooManyCalls));
}

#[test]
fn one_call_too_many_to_a_peer_is_refused_and_other_peers_are_not_concerned() {
    let mut solo = Solo::new(|c| c.limits.calls_per_peer = 2);
    let calls: Vec<CallId> = (0..2).map(|_| begin(&mut solo, stranger(1)).unwrap()).collect();
    assert_eq!(begin(&mut solo, stranger(1)), Err(BeginCallError::TooManyCallsToPeer(stranger(1))));
    assert!(begin(&mut solo, stranger(2)).is_ok());
    solo.end.release(calls[1]);
    solo.pump();
    assert!(begin(&mut solo, stranger(1)).is_ok());
}

#[test]
fn an_incoming_call_beyond_the_limit_of_calls_gets_busy() {
    for per_peer in [false, true] {
        let mut solo = Solo::server(|c| {
            trusting(c);
            let limits = &mut c.limits;
            *(if per_peer { &mut limits.calls_per_peer } else { &mut limits.calls }) = 2;
        });
        let mut hands = [0, 1, 2].map(|channel| Hand::client(0x100 + channel));
        for hand in &mut hands {
            solo.hear(client_addr(), &hand.whole(b"q"));
        }
        assert_eq!(types(&mut solo), [PacketType::Busy]);
        let first = solo.accept();
        solo.end.release(first);
        solo.pump();
        solo.take();
        solo.hear(client_addr(), &hands[2].whole(b"q"));
        assert_eq!(types(&mut solo), [], "there is room");
        assert_eq!(solo.end.stats().calls, 2);
    }
}

#[test]
fn a_service_connection_beyond_the_limit_is_dropped_in_silence_until_one_expires() {
    let mut solo = Solo::server(|c| {
        trusting(c);
        c.limits.service_connections = 2;
    });
    for n in 0..3 {
        solo.hear(stranger(n), &Hand::client(0x100).whole(b"q"));
    }
    assert_eq!(solo.end.stats().connections, 1, "one epoch and id is one connection");
    for n in 0..3 {
        solo.hear(stranger(n), &Hand::client(0x200 + 4 * u32::from(n)).whole(b"q"));
    }
    assert_eq!(solo.end.stats().connections, 2);
    assert_eq!(solo.end.stats().fault(Fault::NoRoomForConnection), 2);
    assert_eq!(solo.end.stats().limits, LimitStats { service_connections: 2, ..LimitStats::default() });
    assert_eq!(solo.take_type(PacketType::Busy).len() + solo.take_type(PacketType::Abort).len(), 0);
    // Both calls end by silence; their connections are unused ten minutes more.
    solo.wait(Duration::from_secs(20 + 600));
    assert_eq!(solo.end.stats().connections, 0);
    solo.hear(stranger(3), &Hand::client(0x300).whole(b"q"));
    assert_eq!(solo.end.stats().connections, 1);
}

#[test]
fn client_connections_do_not_count_among_service_connections() {
    let mut solo = Solo::server(|c| {
        trusting(c);
        c.limits.service_connections = 1;
    });
    for n in 0..5 {
        let call = begin(&mut solo, stranger(n)).unwrap();
        solo.write_all(call, b"q");
    }
    solo.hear(client_addr(), &Hand::client(0x100).whole(b"q"));
    assert_eq!(solo.end.stats().fault(Fault::NoRoomForConnection), 0);
}

#[test]
fn of_the_connections_without_proof_the_oldest_makes_room_for_a_new_one() {
    let mut solo = Solo::server(|c| c.limits.unvalidated_connections = 3);
    let mut calls = Vec::new();
    for n in 0..5u8 {
        solo.hear(stranger(n), &Hand::client(0x100 + 4 * u32::from(n)).whole(b"q"));
        calls.push(solo.accept());
        solo.wait(ms(1));
    }
    assert_eq!(solo.end.stats().unvalidated_connections, 3);
    assert_eq!(solo.end.stats().limits, LimitStats { unvalidated_connections: 2, ..LimitStats::default() });
    let outcomes: Vec<_> = calls.iter().map(|c| solo.end.call(*c).unwrap().outcome()).collect();
    let dead = Some(Err(CallError::LocalAbort(AbortCode::RX_CALL_DEAD)));
    assert_eq!(outcomes, [dead, dead, None, None, None]);
    assert!(solo.news(calls[0]).last().unwrap().ended());
}

#[test]
fn a_connection_with_proof_never_makes_room() {
    let mut solo = Solo::server(|c| c.limits.unvalidated_connections = 1);
    let mut hand = Hand::client(0x100);
    solo.hear(stranger(0), &hand.data(1, NONE, &[0; 1412]));
    let proved = solo.accept();
    let ping =
        solo.take().into_iter().find(|s| s.is(PacketType::Ack) && s.acked().0 == AckReason::Ping).unwrap();
    solo.hear(stranger(0), &hand.ack(AckReason::PingResponse, 1, ping.header.serial, &[]));
    assert_eq!(solo.end.stats().unvalidated_connections, 0);
    for n in 1..9u8 {
        solo.hear(stranger(n), &Hand::client(0x100 + 4 * u32::from(n)).whole(b"q"));
    }
    assert_eq!((solo.end.stats().connections, solo.end.stats().unvalidated_connections), (2, 1));
    assert_eq!(solo.end.call(proved).unwrap().outcome(), None);
}

#[test]
fn one_address_without_proof_has_few_connections_and_live_ones_are_not_sacrificed() {
    let mut solo = Solo::server(|c| c.limits.unvalidated_per_peer = 2);
    for n in 0..4 {
        solo.hear(client_addr(), &Hand::client(0x100 + 4 * n).whole(b"q"));
    }
    solo.hear(stranger(1), &Hand::client(0x900).whole(b"q"));
    assert_eq!(solo.end.stats().connections, 3, "two of the one address, one of the other");
    assert_eq!(solo.end.stats().fault(Fault::NoRoomForConnection), 2);
    assert_eq!(solo.end.stats().limits, LimitStats { unvalidated_per_peer: 2, ..LimitStats::default() });
    assert_eq!(solo.take_type(PacketType::Abort).len(), 0);
}

/// The offer of the last ACK sent.
fn offered(sent: &[Sent]) -> u32 {
    sent.iter().rfind(|s| s.is(PacketType::Ack)).unwrap().rwind()
}

/// The calls that were offered, in order.
fn offers(solo: &Solo) -> Vec<CallId> {
    let call = |event: &Event| match event {
        Event::Incoming { call, .. } => Some(*call),
        _ => None,
    };
    solo.events.iter().filter_map(call).collect()
}

/// Send full packets to several calls in turn, whatever they offer, for so many rounds.
fn flood(solo: &mut Solo, hands: &mut [(SocketAddr, Hand)], rounds: u32, most: usize) {
    for seq in 1..=rounds {
        for (from, hand) in hands.iter_mut() {
            solo.hear(*from, &hand.data(seq, ASKS, &[7; 1412]));
            assert!(solo.end.stats().unread <= most, "{} held", solo.end.stats().unread);
        }
        while let Some(call) = solo.end.waiting(SERVICE) {
            solo.end.accept(call, Default::default()).unwrap();
        }
    }
}

#[test]
fn unread_data_of_one_peer_closes_the_windows_of_all_its_calls_and_of_no_other_peer() {
    const LIMIT: usize = 40_000;
    let mut solo = Solo::server(|c| {
        trusting(c);
        c.limits.receive_per_peer = LIMIT;
    });
    let mut hands = [0, 1, 2].map(|channel| (client_addr(), Hand::client(0x100 + channel)));
    flood(&mut solo, &mut hands, 100, LIMIT + 6 * 1412);
    assert_eq!(offered(&solo.take()), 0);
    let limits = solo.end.stats().limits;
    assert!(limits.receive_per_peer > 0, "{limits:?}");
    assert_eq!(LimitStats { receive_per_peer: 0, ..limits }, LimitStats::default());
    let mut other = Hand::client(0x900);
    solo.hear(stranger(1), &other.data(1, ASKS, &[7; 1412]));
    assert!(offered(&solo.take()) > 20);
    let calls = offers(&solo);
    solo.read(calls[0]);
    solo.hear(client_addr(), &hands[1].1.ack(AckReason::Ping, 1, 0, &[]));
    assert!(offered(&solo.take()) > 0, "what one call gave back another may use");
}

#[test]
fn unread_data_of_all_peers_closes_every_window_and_reading_opens_them() {
    const LIMIT: usize = 60_000;
    let mut solo = Solo::server(|c| {
        trusting(c);
        c.limits.receive_total = LIMIT;
    });
    let mut hands = [0, 1, 2, 3].map(|n| (stranger(n), Hand::client(0x100 + 4 * u32::from(n))));
    flood(&mut solo, &mut hands, 100, LIMIT + 8 * 1412);
    assert_eq!(offered(&solo.take()), 0);
    let limits = solo.end.stats().limits;
    assert!(limits.receive_total > 0, "{limits:?}");
    assert_eq!(LimitStats { receive_total: 0, ..limits }, LimitStats::default());
    let calls = offers(&solo);
    assert_eq!(calls.len(), 4);
    for call in &calls {
        solo.read(*call);
    }
    for call in &calls {
        solo.read(*call);
    }
    assert_eq!(solo.end.stats().unread, 0);
    solo.take();
    for (i, expected) in [(0, 10..=10), (3, 10..=10), (2, 13..=14), (1, 20..=21), (0, 40..=42)] {
        // Each is offered its share of the room; the next one is over then, and has none.
        let (from, hand) = &mut hands[i];
        solo.hear(*from, &hand.ack(AckReason::Ping, 1, 0, &[]));
        let window = offered(&solo.take());
        assert!(expected.contains(&window), "call {i} is offered {window}");
        if window > 10 || i == 3 {
            solo.hear(*from, &hand.abort(1));
        }
    }
}

#[test]
fn packets_of_one_byte_cannot_hold_more_than_the_limit_in_order_or_not() {
    const LIMIT: usize = 8000;
    for first in [1, 2] {
        let mut solo = Solo::server(|c| {
            trusting(c);
            c.limits.receive_per_call = LIMIT;
        });
        let mut hand = Hand::client(0x100);
        solo.hear(client_addr(), &hand.data(first, NONE, b"x"));
        let call = solo.accept();
        for seq in first + 1..12_000 {
            solo.hear(client_addr(), &hand.data(seq, NONE, b"x"));
            assert!(solo.end.stats().unread <= LIMIT + 200, "{}", solo.end.stats().unread);
        }
        assert!(solo.end.stats().fault(Fault::BeyondWindow) > 0);
        let kept = solo.end.call(call).unwrap().stats().packets_received as usize;
        // In order they share memory; with the first one missing each is kept by itself, which costs more.
        let most = if first == 1 { LIMIT } else { LIMIT / 64 };
        assert!((most / 2..=most).contains(&kept), "{kept}");
    }
}

#[test]
fn a_packet_far_ahead_cannot_hold_more_than_the_limit_by_the_holes_before_it() {
    let mut solo = Solo::server(|c| c.limits.receive_total = 6000);
    let mut hand = Hand::client(4);
    for seq in [255, 1, 40] {
        solo.hear(client_addr(), &hand.data(seq, Flags::NONE, b"x"));
        assert!(solo.end.stats().unread <= 6000, "{} bytes", solo.end.stats().unread);
    }
    assert!(solo.end.stats().unread > 39 * 32, "one that fits is kept");
}

#[test]
fn packets_of_two_calls_in_one_batch_cannot_hold_more_than_the_limit_together() {
    const LIMIT: usize = 20_000;
    for which in 0..2 {
        let mut solo = Solo::server(|c| {
            trusting(c);
            let all = [&mut c.limits.receive_per_peer, &mut c.limits.receive_total];
            *all.into_iter().nth(which).unwrap() = LIMIT;
        });
        let mut hands = [Hand::client(0x100), Hand::client(0x104)];
        for hand in &mut hands {
            solo.hear(client_addr(), &hand.data(1, NONE, &[1; 1412]));
            solo.accept();
        }
        let mut bytes = Vec::new();
        for seq in 2..=12 {
            for hand in &mut hands {
                bytes.extend(hand.data(seq, NONE, &[1; 1412]));
            }
        }
        let stride = bytes.len() / 22;
        let batch = Segments { bytes: &bytes, stride };
        solo.end.handle_datagrams(solo.now, &Path::from_peer(client_addr()), batch);
        let unread = solo.end.stats().unread;
        // The last packet that fits may take somewhat more than its bytes.
        assert!((LIMIT - 1412..LIMIT + 2 * 1412).contains(&unread), "{unread} bytes");
    }
}

#[test]
fn a_window_of_one_packet_carries_any_amount() {
    let mut pair = Pair::with(|c| c.limits.window = 1);
    let (request, reply) = (pattern(30_000), pattern(30_000));
    assert!(pair.exchange(&request, &reply) == (request, reply));
}

/// A client with calls to as many peers, each with this much written.
fn writing(bytes: &[usize], tune: impl Fn(&mut Config)) -> (Solo, Vec<CallId>) {
    let mut solo = Solo::new(tune);
    let mut calls = Vec::new();
    for (i, len) in bytes.iter().enumerate() {
        let call = begin(&mut solo, stranger(i as u8)).unwrap();
        solo.pump();
        assert_eq!(solo.end.call(call).unwrap().write(&pattern(*len)), Ok(*len));
        solo.end.call(call).unwrap().flush();
        calls.push(call);
    }
    solo.pump();
    (solo, calls)
}

/// The hand of the server of the call to that peer.
fn server_of(sent: &[Sent], peer: SocketAddr) -> Hand {
    Hand::answering(&sent.iter().find(|s| s.to == peer).unwrap().header)
}

#[test]
fn a_call_takes_what_there_is_room_for_then_says_blocked() {
    let (mut solo, calls) = writing(&[3000], |c| c.limits.send_per_call = 5000);
    let mut view = solo.end.call(calls[0]).unwrap();
    assert_eq!(view.writable(), 2000);
    assert_eq!(view.write(&pattern(9000)), Ok(2000));
    assert_eq!(view.write(b"x"), Err(WriteError::Blocked));
    assert_eq!(view.write(b""), Ok(0), "nothing needs no room");
    assert_eq!(view.finish(), Ok(()), "nor does the end");
    assert_eq!(solo.end.stats().limits, LimitStats { send_per_call: 1, ..LimitStats::default() });
}

#[test]
fn writers_that_wait_for_the_endpoints_room_are_told_in_order() {
    let (mut solo, calls) = writing(&[6000, 1, 1, 1], |c| c.limits.send_total = 6003);
    for i in [2, 1, 3] {
        assert_eq!(solo.end.call(calls[i]).unwrap().write(b"x"), Err(WriteError::Blocked));
    }
    assert_eq!(solo.end.stats().limits, LimitStats { send_total: 3, ..LimitStats::default() });
    let sent = solo.take();
    let mut hand = server_of(&sent, stranger(0));
    solo.events.clear();
    solo.hear(stranger(0), &hand.ack(AckReason::Idle, 2, 0, &[]));
    let told: Vec<CallId> = solo
        .events
        .iter()
        .filter_map(|e| match e {
            Event::Call { call, news, .. } if *news == News::WRITABLE => Some(*call),
            _ => None,
        })
        .collect();
    assert_eq!(told, [calls[2], calls[1], calls[3]]);
    assert_eq!(solo.end.call(calls[2]).unwrap().write(&pattern(9000)), Ok(1412));
}

#[test]
fn the_end_of_a_call_gives_its_room_to_writers_that_wait() {
    let (mut solo, calls) = writing(&[6000, 1], |c| c.limits.send_total = 6001);
    assert_eq!(solo.end.call(calls[1]).unwrap().write(b"x"), Err(WriteError::Blocked));
    solo.events.clear();
    solo.end.call(calls[0]).unwrap().abort(AbortCode(1));
    solo.pump();
    assert_eq!(solo.news(calls[1]), [News::WRITABLE]);
}

#[test]
fn calls_that_wait_for_a_channel_leave_room_to_those_that_have_one() {
    let mut solo = Solo::new(|c| {
        c.limits.connections_per_bundle = 1;
        c.limits.send_total = 20_000;
    });
    let calls: Vec<CallId> = (0..6).map(|_| begin(&mut solo, server_addr()).unwrap()).collect();
    solo.pump();
    let mut write = |i: usize, len| solo.end.call(calls[i]).unwrap().write(&pattern(len));
    assert_eq!(write(4, 7000), Ok(7000));
    assert_eq!(write(5, 7000), Ok(3000), "half of the room is for all that wait");
    assert_eq!(write(4, 1), Err(WriteError::Blocked));
    assert_eq!(write(0, 30_000), Ok(10_000));
    solo.pump();
    solo.events.clear();
    solo.end.call(calls[0]).unwrap().abort(AbortCode(1));
    solo.pump();
    assert_eq!(solo.news(calls[4]), [News::WRITABLE], "it has the channel now");
    assert_eq!(solo.end.call(calls[4]).unwrap().write(&pattern(30_000)), Ok(10_000));
    assert_eq!(solo.end.call(calls[5]).unwrap().writable(), 0);
    solo.end.call(calls[4]).unwrap().abort(AbortCode(1));
    solo.pump();
    solo.end.call(calls[5]).unwrap().abort(AbortCode(1));
    solo.pump();
    assert_eq!(solo.end.stats().unacknowledged, 0);
    let another = begin(&mut solo, stranger(1)).unwrap();
    assert_eq!(solo.end.call(another).unwrap().writable(), 10_000, "nothing is left counted");
}

#[test]
fn answers_to_strangers_are_limited_over_all_kinds_and_resume() {
    let mut solo = Solo::server(|c| {
        trusting(c);
        c.limits.stranger_answers_per_second = 5;
    });
    let mut version = Vec::new();
    emit_version_request(1, &mut version);
    let mut hand = Hand { service: 999, ..Hand::client(0x100) };
    let mut ask = |solo: &mut Solo| {
        for _ in 0..5 {
            solo.hear(stranger(1), &version);
            solo.hear(stranger(2), &hand.whole(b"q"));
        }
        solo.take().len()
    };
    assert_eq!(ask(&mut solo), 5);
    assert_eq!(solo.end.stats().answers_suppressed, 5);
    assert_eq!(
        solo.end.stats().limits,
        LimitStats { stranger_answers_per_second: 5, ..LimitStats::default() }
    );
    solo.wait(ms(199));
    assert_eq!(ask(&mut solo), 0);
    solo.wait(ms(1));
    assert_eq!(ask(&mut solo), 1);
    solo.wait(Duration::from_secs(5));
    assert_eq!(ask(&mut solo), 5);
}

#[test]
fn calls_are_served_while_strangers_are_answered_with_silence() {
    let mut pair = Pair::with(|c| c.limits.stranger_answers_per_second = 0);
    let mut hand = Hand { service: 999, ..Hand::client(0x100) };
    pair.inject(SERVER, stranger(1), &hand.whole(b"q"));
    assert_eq!(pair.sent.len(), 0);
    assert_eq!(pair.exchange(b"q", b"a").1, b"a");
}

#[test]
fn one_open_version_question_too_many_is_refused_until_an_answer_was_taken() {
    let mut solo = Solo::new(|c| c.limits.version_queries = 2);
    let first = solo.end.ask_version(server_addr(), ms(100)).unwrap();
    solo.end.ask_version(server_addr(), ms(100)).unwrap();
    assert_eq!(solo.end.stats().version_queries, 2);
    assert_eq!(solo.end.ask_version(stranger(1), ms(100)), Err(VersionError::TooMany));
    solo.wait(ms(100));
    assert_eq!(solo.end.ask_version(stranger(1), ms(100)), Err(VersionError::TooMany), "not taken yet");
    assert_eq!(solo.end.take_version(first), Some(Err(VersionError::NoAnswer)));
    assert!(solo.end.ask_version(stranger(1), ms(100)).is_ok());
}

#[test]
fn a_writer_that_filled_its_own_room_is_told_though_others_filled_the_endpoints_meanwhile() {
    let (mut solo, calls) = writing(&[14_120, 1], |c| {
        c.limits.send_per_call = 14_120;
        c.limits.send_total = 15_000;
    });
    let sent = solo.take();
    let (full, other) = (calls[0], calls[1]);
    assert_eq!(solo.end.call(full).unwrap().write(b"x"), Err(WriteError::Blocked));
    let mut hand = server_of(&sent, stranger(0));
    // Whatever is acknowledged, the other call takes the room before it is enough to tell the first.
    for first in 2..=11 {
        assert!(solo.end.call(other).unwrap().write(&pattern(2000)).is_ok());
        solo.hear(stranger(0), &hand.ack(AckReason::Idle, first, 0, &[]));
    }
    assert!(solo.end.call(other).unwrap().write(&pattern(2000)).is_ok());
    let mut hand = server_of(&sent, stranger(1));
    solo.end.call(other).unwrap().flush();
    solo.pump();
    while solo.end.stats().unacknowledged > 0 {
        let sent = solo.end.call(other).unwrap().stats().packets_sent as u32;
        solo.hear(stranger(1), &hand.ack(AckReason::Idle, sent + 1, 0, &[]));
    }
    assert!(solo.news(full).iter().any(|n| n.writable()));
}

#[test]
fn limits_of_nothing_refuse_and_break_nothing() {
    let mut solo = Solo::server(|c| {
        c.limits.calls = 0;
        c.limits.version_queries = 0;
        c.limits.unvalidated_connections = 0;
    });
    assert_eq!(begin(&mut solo, server_addr()), Err(BeginCallError::TooManyCalls));
    assert_eq!(solo.end.ask_version(server_addr(), ms(1)), Err(VersionError::TooMany));
    solo.hear(client_addr(), &Hand::client(0x100).whole(b"q"));
    assert_eq!((solo.end.stats().connections, solo.end.stats().peers), (0, 0));
    let mut solo = Solo::new(|c| c.limits.calls_per_peer = 0);
    assert_eq!(begin(&mut solo, server_addr()), Err(BeginCallError::TooManyCallsToPeer(server_addr())));
    assert_eq!(solo.end.stats().peers, 0, "nothing is remembered of a peer that was refused");
    let mut pair = Pair::with(|c| c.limits.send_total = 0);
    let call = pair.begin(CallOptions::default());
    assert_eq!(pair.ends[CLIENT].call(call).unwrap().write(b"x"), Err(WriteError::Blocked));
    assert_eq!(pair.ends[CLIENT].call(call).unwrap().finish(), Ok(()));
    let served = pair.accept();
    assert_eq!(pair.read_request(served), b"");
    assert_eq!(pair.ends[CLIENT].call(call).unwrap().read_chunk(1), Err(ReadError::Blocked));
}

#[test]
fn a_receive_limit_below_a_packet_still_carries_any_amount() {
    for limit in [0, 1, 1000, 1500, 3000] {
        for which in 0..3 {
            let mut pair = Pair::with(|c| {
                let limits = &mut c.limits;
                let all =
                    [&mut limits.receive_per_call, &mut limits.receive_per_peer, &mut limits.receive_total];
                *all.into_iter().nth(which).unwrap() = limit;
            });
            let (request, reply) = (pattern(20_000), b"a".to_vec());
            assert!(pair.exchange(&request, &reply) == (request, reply), "{limit}");
        }
    }
}

#[test]
fn of_one_address_without_proof_an_unused_connection_makes_room() {
    let mut solo = Solo::server(|c| c.limits.unvalidated_per_peer = 2);
    for n in 0..6 {
        let mut hand = Hand::client(0x100 + 4 * n);
        solo.hear(client_addr(), &hand.whole(b"q"));
        let call = solo.accept();
        solo.end.call(call).unwrap().abort(AbortCode(7));
        solo.pump();
        solo.wait(ms(1));
    }
    assert_eq!(solo.end.stats().connections, 2);
    assert_eq!(solo.end.stats().fault(Fault::NoRoomForConnection), 0);
    assert_eq!(solo.take_type(PacketType::Abort).len(), 6);
}

#[test]
fn a_send_limit_below_a_packet_still_carries_any_amount() {
    for limit in [1, 100, 1412] {
        let mut pair = Pair::with(|config| config.limits.send_per_call = limit);
        let call = pair.begin(CallOptions::default());
        let data = pattern(5 * limit + 3);
        let (mut written, mut served, mut got) = (0, None, Vec::new());
        while got.len() < data.len() {
            match pair.ends[CLIENT].call(call).unwrap().write(&data[written..]) {
                Ok(n) => written += n,
                Err(WriteError::Blocked) => assert!(pair.step(), "limit {limit}: {written} bytes went"),
                Err(error) => panic!("{error}"),
            }
            if written == data.len() {
                pair.ends[CLIENT].call(call).unwrap().flush();
                pair.step();
            }
            if served.is_none() && pair.ends[SERVER].waiting(SERVICE).is_some() {
                served = Some(pair.accept());
            }
            if let Some(served) = served {
                got.extend(pair.read(SERVER, served));
            }
        }
        assert!(got == data, "limit {limit}");
    }
}
