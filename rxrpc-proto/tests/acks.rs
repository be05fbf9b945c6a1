//! Acknowledgements: when they go out, what they say, and what they make the sender do.

mod harness;

use std::time::Duration;

use harness::solo::{Hand, Sent, Solo};
use harness::{CLIENT, Pair, SERVER, SERVICE, client_addr, ms, pattern, server_addr};
use rxrpc_proto::wire::{AbortCode, AckReason, Flags, JUMBO_DATA_LEN, PacketType};
use rxrpc_proto::{CallId, CallOptions, Fault, Target};

const NONE: Flags = Flags::NONE;
const LAST: Flags = Flags::LAST_PACKET;
const ASKS: Flags = Flags::REQUEST_ACK;

/// A service call that was accepted and has received one packet, acknowledged 10 ms later.
fn receiving(tune: impl Fn(&mut rxrpc_proto::Config)) -> (Solo, Hand, CallId) {
    let mut solo = Solo::server(|c| {
        // No PINGs of ours among the acknowledgements.
        c.validate_peers = false;
        tune(c);
    });
    let mut hand = Hand::client(0x100);
    solo.hear(client_addr(), &hand.data(1, NONE, b"1"));
    let call = solo.accept();
    solo.wait(ms(20));
    solo.take();
    (solo, hand, call)
}

/// Why, firstPacket, serial answered, and table of each ACK sent since the last time.
fn acks(solo: &mut Solo) -> Vec<(AckReason, u32, u32, Vec<u8>)> {
    let acks = solo.take_type(PacketType::Ack);
    acks.iter().map(|a| (a.acked().0, a.acked().1, a.acked().2, a.table())).collect()
}

#[test]
fn one_packet_in_order_is_acknowledged_when_the_delay_is_over() {
    let (mut solo, mut hand, _) = receiving(|_| {});
    let packet = hand.data(2, NONE, b"x");
    solo.hear(client_addr(), &packet);
    solo.wait(ms(10) - Duration::from_nanos(1));
    assert_eq!(acks(&mut solo), []);
    solo.wait(Duration::from_nanos(1));
    assert_eq!(acks(&mut solo), [(AckReason::Delay, 3, hand.serial - 1, vec![])]);
}

#[test]
fn the_second_packet_in_order_is_acknowledged_at_once() {
    let (mut solo, mut hand, _) = receiving(|_| {});
    for pair in [2, 4, 6] {
        solo.hear(client_addr(), &hand.data(pair, NONE, b"x"));
        assert_eq!(acks(&mut solo), []);
        solo.hear(client_addr(), &hand.data(pair + 1, NONE, b"x"));
        assert_eq!(acks(&mut solo), [(AckReason::Idle, pair + 2, hand.serial - 1, vec![])]);
    }
    solo.wait(ms(100));
    assert_eq!(acks(&mut solo), [], "nothing is owed");
}

#[test]
fn a_request_for_an_acknowledgement_is_answered_at_once() {
    let (mut solo, mut hand, _) = receiving(|_| {});
    solo.hear(client_addr(), &hand.data(2, ASKS, b"x"));
    assert_eq!(acks(&mut solo), [(AckReason::Requested, 3, hand.serial - 1, vec![])]);
}

#[test]
fn a_hole_is_told_at_once_with_a_table_and_so_is_its_filling() {
    let (mut solo, mut hand, _) = receiving(|_| {});
    solo.hear(client_addr(), &hand.data(3, NONE, b"3"));
    assert_eq!(acks(&mut solo), [(AckReason::OutOfSequence, 2, hand.serial - 1, vec![0, 1])]);
    solo.hear(client_addr(), &hand.data(5, NONE, b"5"));
    assert_eq!(acks(&mut solo), [(AckReason::OutOfSequence, 2, hand.serial - 1, vec![0, 1, 0, 1])]);
    solo.hear(client_addr(), &hand.data(2, NONE, b"2"));
    assert_eq!(acks(&mut solo), [(AckReason::Delay, 4, hand.serial - 1, vec![0, 1])]);
    solo.hear(client_addr(), &hand.data(4, NONE, b"4"));
    assert_eq!(acks(&mut solo), [(AckReason::Delay, 6, hand.serial - 1, vec![])]);
}

#[test]
fn a_copy_is_answered_at_once_as_duplicate() {
    let (mut solo, mut hand, _) = receiving(|_| {});
    solo.hear(client_addr(), &hand.data(3, NONE, b"3"));
    acks(&mut solo);
    for seq in [1, 3] {
        solo.hear(client_addr(), &hand.data(seq, NONE, b"x"));
        assert_eq!(acks(&mut solo), [(AckReason::Duplicate, 2, hand.serial - 1, vec![0, 1])]);
    }
    assert_eq!(solo.end.stats().fault(Fault::DuplicateData), 2);
}

#[test]
fn data_beyond_the_window_is_refused_and_leaves_no_trace() {
    let (mut solo, mut hand, call) = receiving(|c| c.limits.window = 8);
    for seq in [10, 11, 300, u32::MAX] {
        solo.hear(client_addr(), &hand.data(seq, LAST, b"x"));
        assert_eq!(acks(&mut solo), [(AckReason::ExceedsWindow, 2, hand.serial - 1, vec![])], "{seq}");
    }
    solo.hear(client_addr(), &hand.data(9, NONE, b"x"));
    assert_eq!(acks(&mut solo)[0].0, AckReason::OutOfSequence, "the last packet within it");
    assert_eq!(solo.end.call(call).unwrap().outcome(), None);
    assert_eq!(solo.end.call(call).unwrap().stats().beyond_window, 4);
}

#[test]
fn all_that_came_before_anything_could_be_sent_gives_one_acknowledgement() {
    let (mut solo, mut hand, _) = receiving(|_| {});
    let batch: Vec<Vec<u8>> = (2..=40).map(|seq| hand.data(seq, NONE, b"x")).collect();
    solo.hear_all(client_addr(), &batch);
    assert_eq!(acks(&mut solo), [(AckReason::Idle, 41, hand.serial - 1, vec![])]);
}

#[test]
fn of_several_reasons_the_gravest_is_given() {
    use AckReason::{Delay, Duplicate, Idle, OutOfSequence, Requested};
    for (packets, reason) in [
        (&[(2, NONE), (3, NONE)][..], Idle),
        (&[(3, NONE), (2, NONE)], OutOfSequence),
        (&[(2, NONE), (3, ASKS), (4, NONE)], Requested),
        (&[(2, ASKS), (2, NONE)], Duplicate),
        (&[(2, NONE), (2, NONE), (4, NONE)], OutOfSequence),
    ] {
        let (mut solo, mut hand, _) = receiving(|_| {});
        let batch: Vec<Vec<u8>> = packets.iter().map(|(seq, flags)| hand.data(*seq, *flags, b"x")).collect();
        solo.hear_all(client_addr(), &batch);
        let sent = acks(&mut solo);
        assert_eq!((sent.len(), sent[0].0), (1, reason), "{packets:?}");
        assert_ne!(sent[0].0, Delay);
    }
}

#[test]
fn a_jumbogram_gives_one_acknowledgement_for_its_last_packet() {
    let (mut solo, mut hand, call) = receiving(|_| {});
    let segment = [7; JUMBO_DATA_LEN];
    let sub = |flags: Flags| [flags.0, 0, 0, 0];
    let first = hand.data(2, Flags::JUMBO, &segment);
    let serial = hand.serial - 1;
    let jumbo = [&first[..], &sub(Flags::JUMBO), &segment, &sub(ASKS | LAST), b"end"].concat();
    solo.hear(client_addr(), &jumbo);
    assert_eq!(acks(&mut solo), [(AckReason::Requested, 5, serial + 2, vec![])]);
    assert_eq!(solo.read(call).len(), 1 + 2 * JUMBO_DATA_LEN + 3);
}

#[test]
fn a_ping_is_answered_at_once_by_its_serial_even_in_a_stale_acknowledgement() {
    let (mut solo, mut hand, call) = receiving(|_| {});
    solo.hear(client_addr(), &hand.ack(AckReason::Ping, 1, 0, &[]));
    assert_eq!(acks(&mut solo), [(AckReason::PingResponse, 2, hand.serial - 1, vec![])]);
    solo.hear(client_addr(), &hand.data(2, LAST, b"2"));
    solo.write_all(call, &pattern(5000));
    solo.hear(client_addr(), &hand.ack(AckReason::Idle, 3, 0, &[]));
    acks(&mut solo);
    solo.hear(client_addr(), &hand.ack(AckReason::Ping, 1, 0, &[]));
    assert_eq!(acks(&mut solo), [(AckReason::PingResponse, 3, hand.serial - 1, vec![])]);
    assert_eq!(solo.end.stats().fault(Fault::StaleAck), 1);
}

#[test]
fn an_acknowledgement_that_asks_for_one_gets_it() {
    let (mut solo, mut hand, _) = receiving(|_| {});
    let mut packet = hand.ack(AckReason::Delay, 1, 0, &[]);
    packet[21] |= ASKS.0;
    solo.hear(client_addr(), &packet);
    assert_eq!(acks(&mut solo), [(AckReason::Requested, 2, hand.serial - 1, vec![])]);
}

#[test]
fn previous_packet_is_the_highest_accepted_and_never_goes_back() {
    let (mut solo, mut hand, _) = receiving(|c| c.limits.window = 20);
    for (seq, highest) in [(5, 5), (3, 5), (4, 5), (100, 5), (5, 5), (2, 5), (6, 6)] {
        solo.hear(client_addr(), &hand.data(seq, ASKS, b"x"));
        assert_eq!(solo.take_type(PacketType::Ack)[0].ack().fields.previous_packet, highest, "after {seq}");
    }
}

#[test]
fn an_acknowledgement_has_zero_counts_the_flag_for_slow_start_and_a_trailer_of_four_words() {
    let (mut solo, mut hand, _) = receiving(|_| {});
    solo.hear(client_addr(), &hand.data(3, NONE, b"x"));
    let sent = solo.take_type(PacketType::Ack).remove(0);
    assert_eq!((sent.header.flags, sent.header.seq, sent.header.checksum), (Flags::SLOW_START_OK, 0, 0));
    let ack = sent.ack();
    assert_eq!((ack.fields.buffer_space, ack.fields.max_skew, ack.after_trailer().len()), (0, 0, 0));
    let trailer = ack.trailer().unwrap();
    assert_eq!((trailer.max_mtu, trailer.if_mtu), (5692, 1444));
    assert_eq!((trailer.rwind, trailer.jumbo_max), (Some(255), Some(4)));
    assert_eq!(sent.bytes.len(), 28 + 18 + 2 + 3 + 16);
}

#[test]
fn a_request_is_acknowledged_by_its_reply_alone() {
    let (mut solo, mut hand, call) = receiving(|_| {});
    solo.hear(client_addr(), &hand.data(2, LAST, b"x"));
    solo.wait(ms(9));
    solo.write_all(call, b"reply");
    solo.wait(ms(50));
    assert_eq!(acks(&mut solo), []);
}

#[test]
fn a_request_whose_reply_takes_longer_is_acknowledged_after_the_delay() {
    let (mut solo, mut hand, _) = receiving(|_| {});
    solo.hear(client_addr(), &hand.data(2, LAST, b"x"));
    solo.wait(ms(10));
    assert_eq!(acks(&mut solo), [(AckReason::Delay, 3, hand.serial - 1, vec![])]);
}

#[test]
fn reply_data_acknowledges_the_whole_request() {
    let mut solo = Solo::new(|_| {});
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(call, &pattern(3 * 1412));
    let mut hand = Hand::answering(&solo.take()[0].header);
    solo.hear(server_addr(), &hand.data(1, NONE, b"r"));
    assert_eq!(solo.end.stats().unacknowledged, 0);
    assert!(solo.news(call)[0].delivered());
    let stats = solo.end.call(call).unwrap().stats();
    assert_eq!((stats.in_flight, stats.retransmissions), (0, 0));
}

#[test]
fn an_acknowledgement_other_than_data_does_not_end_the_request() {
    let mut solo = Solo::new(|_| {});
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(call, &pattern(3 * 1412));
    let mut hand = Hand::answering(&solo.take()[0].header);
    solo.hear(server_addr(), &hand.ack(AckReason::Delay, 3, 0, &[]));
    assert_eq!(solo.end.stats().unacknowledged, 1412);
    solo.hear(server_addr(), &hand.bare(PacketType::Busy));
    assert_eq!(solo.end.call(call).unwrap().outcome(), None, "nothing acknowledged for good is busy");
}

/// A pair whose first exchange is over, so that server and client know each other.
fn warm() -> Pair {
    let mut pair = Pair::new();
    pair.exchange(b"q", b"a");
    pair.run_for(ms(100));
    pair.sent.clear();
    pair
}

#[test]
fn the_last_reply_is_acknowledged_two_milliseconds_after_it() {
    let mut pair = warm();
    let call = pair.request(b"q");
    let served = pair.accept();
    pair.write_all(SERVER, served, b"a");
    pair.run_to_end(CLIENT, call).unwrap();
    let end = pair.now;
    pair.run_for(ms(50));
    let acks = pair.all(CLIENT, PacketType::Ack);
    assert_eq!(acks.iter().map(|(at, _)| *at - end).collect::<Vec<_>>(), [ms(2)]);
    let rxrpc_proto::wire::Body::Ack(ack) = acks[0].1.body() else { panic!() };
    let reply = &pair.all(SERVER, PacketType::Data)[0].1.header;
    assert_eq!(
        (ack.fields.reason, ack.fields.first_packet, ack.fields.serial),
        (AckReason::Delay, 2, reply.serial)
    );
    assert_eq!(pair.outcome(SERVER, served), Some(Ok(())));
}

#[test]
fn a_next_call_on_the_channel_takes_the_place_of_the_last_acknowledgement() {
    let mut pair = warm();
    for _ in 0..5 {
        let call = pair.request(b"q");
        let served = pair.accept();
        pair.write_all(SERVER, served, b"a");
        pair.run_to_end(CLIENT, call).unwrap();
        pair.run_for(ms(1));
    }
    assert_eq!(pair.count(CLIENT, PacketType::Ack), 0);
    pair.run_for(ms(50));
    assert_eq!((pair.count(CLIENT, PacketType::Ack), pair.count(CLIENT, PacketType::Data)), (1, 5));
}

#[test]
fn the_first_reply_ever_is_acknowledged_at_once_for_it_proves_the_address() {
    let mut pair = Pair::new();
    let call = pair.request(b"q");
    let served = pair.accept();
    pair.write_all(SERVER, served, b"a");
    pair.run_to_end(CLIENT, call).unwrap();
    pair.pump();
    assert_eq!(pair.all(CLIENT, PacketType::Ack)[0].0, pair.now);
}

/// A client that has finished a call, and the server's hand to go on with.
fn finished() -> (Solo, Hand) {
    let mut solo = Solo::new(|_| {});
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(call, b"q");
    let mut hand = Hand::answering(&solo.take()[0].header);
    solo.hear(server_addr(), &hand.whole(b"a"));
    assert_eq!(solo.end.call(call).unwrap().outcome(), Some(Ok(())));
    solo.wait(ms(10));
    solo.take();
    (solo, hand)
}

#[test]
fn a_finished_call_repeats_its_last_acknowledgement_when_the_reply_comes_again() {
    let (mut solo, mut hand) = finished();
    solo.hear(server_addr(), &hand.whole(b"a"));
    assert_eq!(acks(&mut solo), [(AckReason::Duplicate, 2, hand.serial - 1, vec![])]);
    solo.hear(server_addr(), &hand.ack(AckReason::Ping, 2, 0, &[]));
    assert_eq!(acks(&mut solo), [(AckReason::Duplicate, 2, hand.serial - 1, vec![])]);
    for silent in
        [hand.ack(AckReason::Delay, 2, 0, &[]), hand.ack(AckReason::PingResponse, 2, 0, &[]), hand.abort(5)]
    {
        solo.hear(server_addr(), &silent);
        assert_eq!(solo.take().len(), 0);
    }
}

#[test]
fn replays_are_ten_a_second_a_connection() {
    let (mut solo, mut hand) = finished();
    let mut ask = |solo: &mut Solo, times: usize| {
        (0..times).for_each(|_| solo.hear(server_addr(), &hand.whole(b"a")));
        acks(solo).len()
    };
    assert_eq!(ask(&mut solo, 50), 10);
    assert_eq!(solo.end.stats().answers_suppressed, 40);
    solo.wait(ms(99));
    assert_eq!(ask(&mut solo, 5), 0);
    solo.wait(ms(1));
    assert_eq!(ask(&mut solo, 5), 1);
    solo.wait(ms(1000));
    assert_eq!(ask(&mut solo, 50), 10);
}

#[test]
fn an_aborted_call_repeats_its_abort_within_the_same_limit() {
    let (mut solo, mut hand, call) = receiving(|_| {});
    solo.end.call(call).unwrap().abort(AbortCode(99));
    solo.pump();
    assert_eq!(solo.take_type(PacketType::Abort).len(), 1);
    for _ in 0..30 {
        solo.hear(client_addr(), &hand.data(2, NONE, b"x"));
    }
    let aborts = solo.take_type(PacketType::Abort);
    assert_eq!(aborts.len(), 10);
    assert!(aborts.iter().all(|a| a.abort_code() == AbortCode(99)));
    assert_eq!(solo.end.stats().answers_suppressed, 20);
    assert_eq!(solo.end.stats().limits.replays_per_second, 20);
}

#[test]
fn a_call_before_the_last_is_not_answered() {
    let (mut solo, mut hand) = finished();
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(call, b"q");
    solo.take();
    solo.hear(server_addr(), &hand.whole(b"a"));
    assert_eq!((solo.take().len(), solo.end.stats().fault(Fault::FinishedCall)), (0, 1), "a new call lives");
    hand.call = 2;
    solo.hear(server_addr(), &hand.whole(b"a"));
    solo.wait(ms(10));
    solo.take();
    hand.call = 1;
    solo.hear(server_addr(), &hand.whole(b"a"));
    assert_eq!((solo.take().len(), solo.end.stats().fault(Fault::AncientCall)), (0, 1));
}

#[test]
fn packets_in_any_order_give_the_same_bytes() {
    let mut order = [1u32, 2, 3, 4, 5];
    // Every permutation of five, by Heap's method.
    let mut counters = [0usize; 5];
    let mut i = 0;
    let mut tried = 0;
    while i < 5 {
        let mut solo = Solo::server(|_| {});
        let mut hand = Hand::client(0x100);
        for seq in order {
            let flags = if seq == 5 { LAST } else { NONE };
            solo.hear(client_addr(), &hand.data(seq, flags, &[seq as u8; 3]));
        }
        let call = solo.accept();
        assert_eq!(solo.read(call), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5], "{order:?}");
        tried += 1;
        while i < 5 && counters[i] >= i {
            counters[i] = 0;
            i += 1;
        }
        if i < 5 {
            order.swap(if i % 2 == 0 { 0 } else { counters[i] }, i);
            counters[i] += 1;
            i = 0;
        }
    }
    assert_eq!(tried, 120);
}

/// The offer of the last ACK sent.
fn offered(sent: &[Sent]) -> u32 {
    sent.iter().rfind(|s| s.is(PacketType::Ack)).unwrap().rwind()
}

#[test]
fn the_window_offered_is_the_room_left_and_opens_as_the_application_reads() {
    let (mut solo, mut hand, call) = receiving(|c| c.limits.receive_per_call = 20 * 1412);
    for seq in 2..=11 {
        solo.hear(client_addr(), &hand.data(seq, ASKS, &[7; 1412]));
    }
    let after_ten = offered(&solo.take());
    assert!((8..10).contains(&after_ten), "ten of twenty, less what keeping them costs: {after_ten}");
    solo.read(call);
    let opened = acks(&mut solo);
    assert_eq!(opened, [(AckReason::Idle, 12, 0, vec![])], "told without being asked");
}

#[test]
fn a_peer_that_ignores_the_window_cannot_make_us_hold_more() {
    let limit = 50_000;
    let (mut solo, mut hand, call) = receiving(|c| c.limits.receive_per_call = limit);
    for seq in 2..500 {
        solo.hear(client_addr(), &hand.data(seq, ASKS, &[7; 1412]));
        assert!(solo.end.stats().unread <= limit + 2 * 1412, "{}", solo.end.stats().unread);
    }
    let sent = solo.take();
    assert_eq!(offered(&sent), 0);
    assert_eq!(sent.last().unwrap().acked().0, AckReason::ExceedsWindow);
    let held = solo.end.call(call).unwrap().readable();
    assert!(held > limit * 9 / 10, "{held}");
    solo.read(call);
    let next = solo.take_type(PacketType::Ack).pop().unwrap();
    assert!(next.rwind() > 30, "{}", next.rwind());
}

#[test]
fn in_order_data_beyond_what_was_consumed_and_offered_is_refused() {
    let (mut solo, mut hand, call) = receiving(|c| c.limits.window = 8);
    // Eight packets of a window of eight are read one by one; the edge follows, and no further.
    for seq in 2..100 {
        solo.hear(client_addr(), &hand.data(seq, ASKS, b"x"));
        solo.read(call);
        solo.hear(client_addr(), &hand.data(seq + 9, NONE, b"x"));
        assert_eq!(acks(&mut solo).last().unwrap().0, AckReason::ExceedsWindow, "{seq}");
    }
}

#[test]
fn with_the_window_closed_one_packet_is_kept_softly_and_counts_when_there_is_room() {
    let (mut solo, mut hand, call) = receiving(|c| c.limits.receive_per_call = 3000);
    solo.hear(client_addr(), &hand.data(2, ASKS, &[2; 1412]));
    solo.hear(client_addr(), &hand.data(3, ASKS, &[3; 1412]));
    assert_eq!(offered(&solo.take()), 0);
    solo.hear(client_addr(), &hand.data(4, NONE, &[4; 1412]));
    assert_eq!(acks(&mut solo), [(AckReason::Requested, 4, hand.serial - 1, vec![1])]);
    solo.hear(client_addr(), &hand.data(5, LAST, &[5; 10]));
    assert_eq!(acks(&mut solo), [(AckReason::ExceedsWindow, 4, hand.serial - 1, vec![1])]);
    assert_eq!(solo.read(call).len(), 1 + 2 * 1412);
    assert_eq!(acks(&mut solo), [(AckReason::Idle, 5, 0, vec![])]);
    assert_eq!(solo.read(call), [4; 1412]);
    solo.hear(client_addr(), &hand.data(5, LAST, &[5; 10]));
    assert_eq!(solo.read(call), [5; 10]);
}

/// A client with much to send, and its server's hand. The first packets are out.
fn sending(bytes: usize) -> (Solo, Hand, CallId, Vec<Sent>) {
    let mut solo = Solo::new(|_| {});
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(call, &pattern(bytes));
    let sent = solo.take();
    let hand = Hand::answering(&sent[0].header);
    (solo, hand, call, sent)
}

#[test]
fn the_window_the_peer_offers_is_kept() {
    let (mut solo, mut hand, _, sent) = sending(1_000_000);
    assert_eq!(sent.len(), 10, "the initial congestion window");
    hand.rwind = 3;
    solo.hear(server_addr(), &hand.ack(AckReason::Idle, 11, 0, &[]));
    assert_eq!(solo.take().iter().map(|s| s.header.seq).collect::<Vec<_>>(), [11, 12, 13]);
    hand.rwind = 0;
    solo.hear(server_addr(), &hand.ack(AckReason::Idle, 14, 0, &[]));
    assert_eq!(solo.take().len(), 0);
    hand.rwind = 1;
    solo.hear(server_addr(), &hand.ack(AckReason::Idle, 14, 0, &[]));
    assert_eq!(solo.take().iter().map(|s| s.header.seq).collect::<Vec<_>>(), [14]);
}

#[test]
fn no_more_than_sixteen_packets_go_out_before_the_peer_has_said_what_it_takes() {
    let (mut solo, mut hand, _, _) = sending(1_000_000);
    let mut bare = hand.ack(AckReason::Idle, 1, 0, &[1; 10]);
    bare.truncate(28 + 18 + 10 + 3);
    solo.hear(server_addr(), &bare);
    assert_eq!(solo.take().iter().map(|s| s.header.seq).max(), Some(16));
}

#[test]
fn a_closed_window_is_asked_about_at_growing_intervals_up_to_the_keepalive() {
    let (mut solo, mut hand, _, _) = sending(1_000_000);
    hand.rwind = 0;
    solo.hear(server_addr(), &hand.ack(AckReason::Idle, 11, 0, &[]));
    solo.take();
    let start = solo.now;
    let mut times = Vec::new();
    for _ in 0..7 {
        let from = solo.now;
        while solo.sent.is_empty() {
            assert!(solo.now - from < Duration::from_secs(5));
            solo.wait(ms(1));
        }
        solo.hear(server_addr(), &hand.ack(AckReason::PingResponse, 11, solo.sent[0].header.serial, &[]));
        let sent = solo.take();
        assert_eq!(sent.iter().map(|s| s.acked().0).collect::<Vec<_>>(), [AckReason::Ping]);
        times.push(sent[0].at - start);
    }
    assert_eq!(times, [1000, 1500, 2500, 4500, 7833, 11_166, 14_499].map(ms));
}

#[test]
fn a_lost_window_update_is_made_good_by_the_probes() {
    let mut pair = Pair::with(|c| c.limits.receive_per_call = 30_000);
    let data = pattern(100_000);
    pair.request(&data);
    let served = pair.accept();
    pair.run_for(Duration::from_secs(5));
    // The update that reading sends is lost.
    pair.script(|_| vec![]);
    let mut got = pair.read(SERVER, served);
    pair.pump();
    pair.script(|_| vec![Duration::ZERO]);
    let resumed = pair.now;
    while got.len() < data.len() {
        got.extend(pair.read(SERVER, served));
        assert!(pair.step());
    }
    assert!(got == data);
    assert!(pair.now - resumed < Duration::from_secs(4), "{:?}", pair.now - resumed);
}

#[test]
fn a_paused_reader_stops_its_sender_and_both_go_on_without_losing_a_byte() {
    for pause in [1, 7, 100] {
        let mut pair = Pair::with(|c| c.limits.receive_per_call = 30_000);
        let data = pattern(300_000);
        let call = pair.request(&data);
        let served = pair.accept();
        let mut got = pair.read(SERVER, served);
        pair.run_for(Duration::from_secs(pause));
        assert_eq!(pair.outcome(CLIENT, call), None);
        assert!(pair.ends[SERVER].stats().unread <= 30_000 + 1412);
        assert_eq!(pair.ends[CLIENT].call(call).unwrap().stats().peer_window, 0);
        let resumed = pair.now;
        while got.len() < data.len() {
            got.extend(pair.read(SERVER, served));
            assert!(pair.step());
        }
        assert!(got == data, "after {pause} s");
        assert!(pair.now - resumed < Duration::from_secs(1), "{:?} after {pause} s", pair.now - resumed);
    }
}
