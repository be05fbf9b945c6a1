//! What the fuzz targets found, one test a finding, as small as it could be made.

mod harness;

use std::net::SocketAddr;
use std::time::Duration;

use harness::solo::{Hand, Sent, Solo};
use harness::{SERVICE, client_addr, ms, pattern, server_addr};
use rxrpc_proto::wire::{AbortCode, AckReason, Flags, Header, PacketType};
use rxrpc_proto::{BusyPolicy, CallError, CallOptions, Event, Rejection, Target, TimeoutKind};

/// What three times these datagrams is, headers counted.
fn allowance(datagrams: &[Vec<u8>]) -> usize {
    3 * datagrams.iter().map(|bytes| bytes.len() + 28).sum::<usize>()
}

fn cost(sent: &[Sent], to: SocketAddr) -> usize {
    sent.iter().filter(|s| s.to == to).map(Sent::cost).sum()
}

#[test]
fn no_event_tells_of_a_version_answer_that_was_taken() {
    let mut solo = Solo::new(|_| {});
    let id = solo.end.ask_version(server_addr(), Duration::ZERO).unwrap();
    while solo.end.poll_transmit(solo.now, &mut solo.buf).is_some() {}
    solo.end.handle_timeout(solo.now);
    assert!(solo.end.take_version(id).is_some());
    assert_eq!(solo.end.poll_event(), None);
}

#[test]
fn the_padding_of_acknowledgements_counts_as_sent_to_a_stranger() {
    let mut solo = Solo::server(|_| {});
    let (mut one, mut two) = (Hand::client(4), Hand::client(8));
    // The first is acknowledged with a table of 200 entries, which the second is padded to.
    let datagrams = [one.data(200, Flags::NONE, &[0; 20]), two.data(1, Flags::REQUEST_ACK, b"")];
    solo.hear_all(client_addr(), &datagrams);
    solo.wait(ms(900));
    let sent = solo.take();
    assert!(cost(&sent, client_addr()) <= allowance(&datagrams), "{sent:?}");
}

#[test]
fn refusals_count_as_sent_to_a_stranger_that_has_a_connection() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(4);
    let mut datagrams = vec![hand.whole(b"ask")];
    solo.hear(client_addr(), &datagrams[0]);
    let call = solo.accept();
    solo.write_all(call, &pattern(100_000));
    for connection in 1..50 {
        // Row 15: refused, since there is no such connection. Each also lets more of the reply out.
        let bytes = Hand::client(4 + 4 * connection).bare(PacketType::AckAll);
        solo.hear(client_addr(), &bytes);
        datagrams.push(bytes);
    }
    let sent = solo.take();
    assert!(cost(&sent, client_addr()) <= allowance(&datagrams));
    assert!(sent.iter().any(|s| s.is(PacketType::Abort)), "those that can be paid for go out");
}

#[test]
fn a_new_address_is_not_asked_more_than_it_pays_for() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(4);
    solo.hear(client_addr(), &hand.whole(b"ask"));
    solo.accept();
    let stranger: SocketAddr = "10.9.9.9:9".parse().unwrap();
    let forged = hand.bare(PacketType::AckAll);
    solo.hear(stranger, &forged);
    solo.wait(Duration::from_secs(10));
    let sent = solo.take();
    assert!(cost(&sent, stranger) > 0, "asked once");
    assert!(cost(&sent, stranger) <= allowance(&[forged]));
}

#[test]
fn a_reply_held_back_from_a_stranger_is_no_endless_loop() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(4);
    // It pays for a PING and a bit more, but not for a second PING.
    solo.hear(client_addr(), &hand.whole(b"ask"));
    let call = solo.accept();
    solo.write_all(call, &pattern(100_000));
    for _ in 0..5 {
        solo.wait(ms(700));
    }
    assert!(!solo.end.wants_transmit());
}

#[test]
fn a_call_goes_out_to_a_peer_whose_own_calls_must_wait_for_its_proof() {
    let mut solo = Solo::server(|_| {});
    // The acknowledgement of this, with a table of 200 entries, costs more than it has paid for.
    solo.hear(server_addr(), &Hand::client(4).data(200, Flags::NONE, b""));
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(call, b"ask");
    assert!(solo.take().iter().any(|s| s.is(PacketType::Data)), "our request went out");
}

#[test]
fn a_hole_is_filled_even_if_what_lies_behind_it_takes_all_the_room() {
    let mut solo = Solo::server(|config| config.limits.receive_per_call = 5_000);
    let mut hand = Hand::client(4);
    let data = pattern(4 * 1412);
    let piece = |seq: usize| &data[(seq - 1) * 1412..seq * 1412];
    for seq in 2..=4 {
        solo.hear(client_addr(), &hand.data(seq as u32, Flags::NONE, piece(seq)));
    }
    let call = solo.accept();
    solo.hear(client_addr(), &hand.data(1, Flags::NONE, piece(1)));
    assert_eq!(solo.read(call), data);
}

#[test]
fn a_hole_is_filled_though_the_window_was_closed_while_there_was_something_to_read() {
    let mut solo = Solo::server(|config| config.limits.receive_per_call = 5_000);
    let mut hand = Hand::client(4);
    let data = pattern(5 * 1412);
    let piece = |seq: usize| &data[(seq - 1) * 1412..seq * 1412];
    solo.hear(client_addr(), &hand.data(1, Flags::NONE, piece(1)));
    let call = solo.accept();
    // The second comes last, when one is unread and two wait behind it.
    for seq in [3, 4, 2] {
        solo.hear(client_addr(), &hand.data(seq as u32, Flags::NONE, piece(seq)));
    }
    let first = solo.read(call);
    assert_eq!([first, solo.read(call)].concat(), data[..4 * 1412]);
}

#[test]
fn a_server_that_wants_again_what_it_acknowledged_has_lost_the_call() {
    for (late, expected) in [(true, None), (false, Some(Err(CallError::PeerRestarted)))] {
        let mut solo = Solo::new(|_| {});
        let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
        solo.write_all(call, &pattern(3 * 1412));
        let sent = solo.take_type(PacketType::Data);
        let mut server = Hand::answering(&sent[0].header);
        solo.hear(server_addr(), &server.ack(AckReason::Delay, 3, sent[1].header.serial, &[]));
        solo.wait(Duration::from_secs(2));
        let again = solo.take_type(PacketType::Data);
        assert_eq!(again[0].header.seq, 3, "sent again, after that acknowledgement");
        // Its packets 1 and 2 are gone here; only one that answers an earlier packet may come late.
        let serial = if late { sent[2].header.serial } else { again[0].header.serial };
        solo.hear(server_addr(), &server.ack(AckReason::OutOfSequence, 1, serial, &[0, 0, 1]));
        assert_eq!(solo.end.call(call).unwrap().outcome(), expected);
    }
}

#[test]
fn a_reply_is_not_put_together_of_packets_from_two_lives_of_a_server() {
    for (jump, expected) in [
        (60_000, Ok(())),
        (70_000, Err(CallError::PeerRestarted)),
        (u32::MAX - 70_000, Err(CallError::PeerRestarted)),
    ] {
        let mut solo = Solo::new(|_| {});
        let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
        solo.write_all(call, b"?");
        let mut server = Hand::answering(&solo.sent.last().unwrap().header);
        server.serial = 1_000_000;
        solo.hear(server_addr(), &server.data(1, Flags::NONE, &pattern(1412)));
        // An acknowledgement is of no reply, wherever it comes from.
        let mut other = Hand { serial: 500_000_000, ..server };
        solo.hear(server_addr(), &other.ack(AckReason::Delay, 2, 0, &[]));
        server.serial = server.serial.wrapping_add(jump);
        solo.take();
        solo.hear(server_addr(), &server.data(2, Flags::LAST_PACKET, b"the rest"));
        assert_eq!(solo.end.call(call).unwrap().outcome(), Some(expected), "after {jump} serials");
        let told = solo.take().iter().any(|sent| sent.is(PacketType::Abort));
        assert_eq!(told, expected.is_err());
    }
}

#[test]
fn a_stranger_s_packet_does_not_begin_its_call_again_that_has_just_timed_out() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(4);
    solo.hear(client_addr(), &hand.data(1, Flags::NONE, b"half"));
    let call = solo.accept();
    solo.wait(Duration::from_secs(21));
    assert_eq!(solo.end.call(call).unwrap().outcome(), Some(Err(CallError::Timeout(TimeoutKind::Silence))));
    solo.events.clear();
    solo.take();
    solo.hear(client_addr(), &hand.data(2, Flags::LAST_PACKET, b"the rest"));
    assert!(!solo.events.iter().any(|e| matches!(e, Event::Incoming { .. })), "{:?}", solo.events);
    assert!(solo.take().iter().any(|s| s.is(PacketType::Abort)), "it is told that the call is over");
}

#[test]
fn asking_a_new_address_acknowledges_nothing_for_good_while_the_call_waits() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(4);
    solo.hear(client_addr(), &hand.whole(b"ask"));
    solo.take();
    let moved: SocketAddr = "10.0.0.1:40002".parse().unwrap();
    solo.hear(moved, &hand.whole(b"ask"));
    let asked = solo.take().into_iter().find(|s| s.to == moved).expect("asked");
    assert_eq!(asked.acked(), (AckReason::Ping, 1, 0), "it may be turned away yet");
}

#[test]
fn a_new_address_is_asked_although_the_old_one_may_not_be_told_of_an_ended_call() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(4);
    // Two calls on one connection. The first ends, and how is told at the old address until that has had its share.
    solo.hear(client_addr(), &hand.data(1, Flags::NONE, b"one"));
    let mut second = Hand { cid: 5, ..hand };
    solo.hear(client_addr(), &second.whole(b"two"));
    let first = solo.accept();
    solo.end.call(first).unwrap().abort(rxrpc_proto::AbortCode(7));
    solo.pump();
    let moved: SocketAddr = "10.0.0.1:40002".parse().unwrap();
    for _ in 0..30 {
        solo.hear(moved, &hand.data(2, Flags::NONE, b"late"));
        solo.wait(ms(100));
    }
    solo.wait(ms(1100));
    solo.take();
    solo.hear(moved, &hand.data(2, Flags::NONE, b"late"));
    solo.hear(moved, &second.whole(b"two"));
    solo.wait(ms(100));
    let asked = solo.take().into_iter().find(|s| s.to == moved).expect("asked");
    assert_eq!(asked.acked().0, AckReason::Ping);
}

#[test]
fn a_connection_that_may_not_say_how_its_calls_ended_expires_without_a_spin() {
    let mut solo = Solo::server(|_| {});
    // PINGs use up what two calls have paid for, but for one of the ABORTs when they time out.
    for cid in 4..6 {
        solo.hear(client_addr(), &Hand::client(cid).data(1, Flags::NONE, b"a"));
        let call = solo.accept();
        solo.end.call(call).unwrap().discard_input();
    }
    // Waiting fails on timers that are always due.
    solo.wait(Duration::from_secs(60));
    assert_eq!(solo.take_type(PacketType::Abort).len(), 1);
    assert_eq!(solo.end.stats().connections, 0);
}

#[test]
fn a_new_address_is_asked_about_the_call_that_it_speaks_of() {
    let mut solo = Solo::server(|_| {});
    let (mut one, mut two) = (Hand::client(4), Hand::client(5));
    for hand in [&mut one, &mut two] {
        solo.hear(client_addr(), &hand.data(1, Flags::NONE, b"a"));
        solo.accept();
    }
    let moved: SocketAddr = "10.0.0.1:40002".parse().unwrap();
    solo.take();
    // The client may have forgotten the first call and answer nothing about it.
    solo.hear(moved, &two.data(2, Flags::NONE, b"b"));
    let asked = solo.take().into_iter().find(|s| s.to == moved).expect("asked");
    assert_eq!((asked.acked().0, asked.header.cid), (AckReason::Ping, 5));
    solo.hear(moved, &two.ack(AckReason::PingResponse, 1, asked.header.serial, &[]));
    assert!(solo.take().iter().all(|s| s.to == moved), "believed");
}

#[test]
fn a_time_out_sends_the_first_missing_packet_and_not_the_next_in_turn() {
    let mut solo = Solo::new(|_| {});
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(call, &pattern(5 * 1412));
    assert_eq!(solo.take_type(PacketType::Data).len(), 5);
    solo.wait(Duration::from_secs(16));
    let again: Vec<u32> = solo.take_type(PacketType::Data).iter().map(|s| s.header.seq).collect();
    assert_eq!(again, [1, 1, 1, 1], "after 1, 3, 7 and 15 s");
}

/// Sends a request of five packets to a server that turns it away again and again; how many packets that takes.
fn packets_to_a_busy_server(solo: &mut Solo, options: CallOptions) -> usize {
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), options).unwrap();
    solo.write_all(call, &pattern(5 * 1412));
    let mut server = Hand::answering(&solo.sent.last().unwrap().header);
    let mut packets = 0;
    let end = solo.now + Duration::from_secs(10);
    while solo.now < end {
        let sent = solo.take_type(PacketType::Data);
        packets += sent.len();
        solo.wait(ms(10));
        // Each packet seems to begin the call, which waits for a moment and is turned away.
        for packet in sent {
            let (seq, serial) = (packet.header.seq, packet.header.serial);
            let table: Vec<u8> = (1..=seq).map(|s| u8::from(s == seq)).collect();
            solo.end.handle_datagrams(
                solo.now,
                &rxrpc_proto::Path::from_peer(server_addr()),
                rxrpc_proto::Segments::single(&server.ack(AckReason::Requested, 1, serial, &table)),
            );
            let busy = server.bare(PacketType::Busy);
            solo.hear(server_addr(), &busy);
        }
    }
    packets
}

#[test]
fn a_request_of_several_packets_that_is_turned_away_is_not_sent_again_each_round_trip() {
    let mut solo = Solo::new(|_| {});
    let packets = packets_to_a_busy_server(
        &mut solo,
        CallOptions { busy: BusyPolicy::Retry, ..CallOptions::default() },
    );
    assert!(packets < 15, "{packets} packets in 10 s");
}

#[test]
fn nor_is_one_whose_channel_the_server_may_still_be_busy_with() {
    let mut solo = Solo::new(|_| {});
    let before = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(before, b"ask");
    solo.end.call(before).unwrap().abort(rxrpc_proto::AbortCode(7));
    solo.pump();
    solo.take();
    let packets = packets_to_a_busy_server(&mut solo, CallOptions::default());
    assert!((2..15).contains(&packets), "{packets} packets in 10 s");
}

/// Sends a request of many packets to a server that forgets the call after each answer, and says BUSY a moment after
/// it or not; how many packets that takes in ten seconds. Of several packets sent at once the first is lost.
fn packets_to_a_forgetful_server(busy: bool) -> usize {
    let mut solo = Solo::new(|_| {});
    let options = CallOptions { busy: BusyPolicy::Retry, ..CallOptions::default() };
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), options).unwrap();
    solo.write_all(call, &pattern(50 * 1412));
    let mut server = Hand::answering(&solo.sent.last().unwrap().header);
    let mut packets = 0;
    let end = solo.now + Duration::from_secs(10);
    while solo.now < end {
        let mut sent = solo.take_type(PacketType::Data);
        packets += sent.len();
        if sent.len() > 1 {
            sent.remove(0);
        }
        solo.wait(ms(1));
        let Some(newest) = sent.last().map(|s| s.header.serial) else { continue };
        let came: Vec<u32> = sent.iter().map(|s| s.header.seq).collect();
        let table: Vec<u8> =
            (1..=came.iter().max().copied().unwrap()).map(|s| came.contains(&s).into()).collect();
        let ack = server.ack(AckReason::OutOfSequence, 1, newest, &table);
        solo.hear(server_addr(), &ack);
        if busy {
            let busy = server.bare(PacketType::Busy);
            solo.hear(server_addr(), &busy);
        }
    }
    packets
}

#[test]
fn a_server_that_turns_a_call_away_a_moment_after_each_answer_is_not_asked_each_round_trip() {
    let packets = packets_to_a_forgetful_server(true);
    assert!((6..80).contains(&packets), "{packets} packets in 10 s");
}

#[test]
fn nor_is_one_that_drops_what_it_acknowledged_over_and_over() {
    let packets = packets_to_a_forgetful_server(false);
    assert!((6..80).contains(&packets), "{packets} packets in 10 s");
}

#[test]
fn a_call_turned_away_goes_on_although_the_news_of_what_had_arrived_comes_after_the_refusal() {
    let mut solo = Solo::new(|_| {});
    let options = CallOptions { busy: BusyPolicy::Retry, ..CallOptions::default() };
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), options).unwrap();
    solo.write_all(call, b"ask");
    let request = solo.take_type(PacketType::Data).remove(0);
    let mut server = Hand::answering(&request.header);
    let ack = server.ack(AckReason::Requested, 1, request.header.serial, &[1]);
    let busy = server.bare(PacketType::Busy);
    solo.hear(server_addr(), &busy);
    solo.hear(server_addr(), &ack);
    solo.wait(Duration::from_secs(8));
    assert!(!solo.take_type(PacketType::Data).is_empty(), "the server has forgotten the request");
}

#[test]
fn a_request_acknowledged_softly_is_sent_again_when_nobody_answers_for_it() {
    let mut solo = Solo::new(|_| {});
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(call, b"ask");
    let request = solo.take_type(PacketType::Data).remove(0);
    let ack = Hand::answering(&request.header).ack(AckReason::Requested, 1, request.header.serial, &[1]);
    solo.hear(server_addr(), &ack);
    solo.wait(Duration::from_secs(5));
    assert!(solo.take_type(PacketType::Data).is_empty(), "the server has it");
    solo.wait(Duration::from_secs(5));
    assert!(!solo.take_type(PacketType::Data).is_empty(), "a BUSY may have been lost");
}

#[test]
fn nor_does_it_wait_for_a_window_that_was_offered_before_the_refusal() {
    let mut solo = Solo::new(|_| {});
    let options = CallOptions { busy: BusyPolicy::Retry, ..CallOptions::default() };
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), options).unwrap();
    solo.write_all(call, &pattern(5 * 1412));
    let request = solo.take_type(PacketType::Data).remove(0);
    let mut server = Hand::answering(&request.header);
    server.rwind = 4;
    let ack = server.ack(AckReason::ExceedsWindow, 1, request.header.serial, &[1; 4]);
    let busy = server.bare(PacketType::Busy);
    solo.hear(server_addr(), &busy);
    solo.hear(server_addr(), &ack);
    solo.wait(Duration::from_secs(8));
    assert!(!solo.take_type(PacketType::Data).is_empty(), "the server has forgotten the request");
}

#[test]
fn what_a_forgotten_peer_has_spent_does_not_pay_for_a_question_again() {
    let mut solo = Solo::server(|_| {});
    let (mut one, mut two) = (Hand::client(4), Hand::client(8));
    solo.hear(client_addr(), &one.data(1, Flags::NONE, b"a"));
    solo.accept();
    // From a second address come packets of that call, and a call of its own, whose reply takes what is left.
    let second: SocketAddr = "10.0.0.1:40002".parse().unwrap();
    let datagrams = [two.whole(b"ask"), one.data(2, Flags::NONE, b"b"), one.data(3, Flags::NONE, b"c")];
    for datagram in &datagrams {
        solo.hear(second, datagram);
    }
    let call = solo.accept();
    let left = allowance(&datagrams) - cost(&solo.sent, second);
    solo.write_all(call, &pattern(left - 56));
    assert_eq!(cost(&solo.sent, second), allowance(&datagrams));
    // Its own call moves on to a third, and nothing is remembered of it.
    let third: SocketAddr = "10.0.0.1:40003".parse().unwrap();
    solo.hear(third, &two.whole(b"ask"));
    let asked = solo.sent.iter().find(|s| s.to == third).expect("asked").header.serial;
    solo.hear(third, &two.ack(AckReason::PingResponse, 1, asked, &[]));
    solo.wait(Duration::from_secs(5));
    assert!(cost(&solo.sent, second) <= allowance(&datagrams));
}

#[test]
fn a_round_trip_that_grew_does_not_multiply_the_time_outs_already_waited() {
    let mut solo = Solo::new(|_| {});
    let begin = |solo: &mut Solo| {
        let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
        solo.write_all(call, b"ask");
        solo.take().pop().expect("the request").header
    };
    let answer = |solo: &mut Solo, header: &Header| {
        let ack = Hand::answering(header).ack(AckReason::Requested, 2, header.serial, &[]);
        solo.hear(server_addr(), &ack);
    };
    // A short round trip, so that five time-outs are over within a second. Then a long one, of another call.
    let quick = begin(&mut solo);
    solo.wait(ms(10));
    answer(&mut solo, &quick);
    let (lost, slow) = (begin(&mut solo), begin(&mut solo));
    solo.wait(ms(1_880));
    let sent = solo.take();
    let of = |call: &Header, sent: &[Sent]| -> Vec<Header> {
        sent.iter()
            .map(|s| s.header)
            .filter(|h| h.cid == call.cid && h.packet_type == PacketType::Data)
            .collect()
    };
    assert_eq!(of(&lost, &sent).len(), 5);
    answer(&mut solo, of(&slow, &sent).last().expect("sent again"));
    solo.wait(Duration::from_secs(17));
    let again = of(&lost, &solo.take()).len();
    assert!(again >= 4, "sent {again} times in the 17 s that were left");
}

#[test]
fn one_long_round_trip_does_not_make_the_time_out_outlast_the_silence() {
    let mut solo = Solo::new(|_| {});
    let begin = |solo: &mut Solo, request: &[u8]| {
        let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
        solo.write_all(call, request);
        solo.take().pop().expect("the request").header
    };
    // The last packet, which was sent only once, is acknowledged after 7.5 s.
    let slow = begin(&mut solo, &pattern(2000));
    assert_eq!(slow.seq, 2);
    solo.wait(ms(7_500));
    let ack = Hand::answering(&slow).ack(AckReason::Requested, 3, slow.serial, &[]);
    solo.hear(server_addr(), &ack);
    solo.take();
    let lost = begin(&mut solo, b"ask");
    solo.wait(Duration::from_secs(19));
    let again = solo.take().iter().filter(|s| s.header.cid == lost.cid && s.is(PacketType::Data)).count();
    assert_eq!(again, 2, "at 7.5 s and at 15 s of 20 s");
}

#[test]
fn a_waiting_call_that_was_aborted_is_not_turned_away_after_that() {
    let mut solo = Solo::server(|_| {});
    solo.hear(client_addr(), &Hand::client(4).whole(b"ask"));
    let call = solo.end.waiting(SERVICE).unwrap();
    assert!(solo.end.call(call).unwrap().abort(AbortCode(9)));
    solo.end.reject(call, Rejection::Busy).unwrap();
    solo.wait(ms(1));
    let types: Vec<PacketType> = solo.take().iter().map(|sent| sent.header.packet_type).collect();
    assert!(types.contains(&PacketType::Abort) && !types.contains(&PacketType::Busy), "{types:?}");
    // There was an ABORT to repeat and nothing to repeat it of: the connection's timer came for ever.
    for _ in 0..20 {
        solo.wait(ms(3_600_000));
    }
    assert_eq!((solo.end.stats().connections, solo.end.poll_timeout()), (0, None));
}

#[test]
fn one_packet_from_elsewhere_does_not_pay_for_a_question_and_for_word_that_its_call_is_not_here() {
    let mut solo = Solo::server(|_| {});
    solo.hear(client_addr(), &Hand::client(4).whole(b"ask"));
    solo.accept();
    solo.take();
    // The middle of a call on another channel of the connection.
    let late = Hand::client(5).data(300, Flags::NONE, b"");
    let elsewhere = SocketAddr::from(([10, 0, 0, 99], 7001));
    solo.hear(elsewhere, &late);
    solo.wait(ms(1));
    let sent = solo.take();
    let there: Vec<&Sent> = sent.iter().filter(|s| s.to == elsewhere).collect();
    assert!(cost(&sent, elsewhere) <= allowance(&[late]), "{there:?}");
    assert_eq!(there.len(), 1, "the question");
}
