//! What applications read and write: how much, in which order, and what they are told when it cannot be.

mod harness;

use std::time::Duration;

use bytes::Bytes;
use harness::solo::{Hand, Solo};
use harness::{CLIENT, Pair, SERVER, SERVICE, client_addr, ms, pattern, server_addr};
use rxrpc_proto::wire::{AckReason, Flags, PacketType};
use rxrpc_proto::{CallError, CallId, CallOptions, Event, News, ReadError, ReadMore, Target, WriteError};

/// A service call that has received these packets, the last of them the last if `ends`.
fn receiving(packets: &[&[u8]], ends: bool) -> (Solo, Hand, CallId) {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    for (i, payload) in packets.iter().enumerate() {
        let last = ends && i + 1 == packets.len();
        let flags = if last { Flags::LAST_PACKET } else { Flags::NONE };
        solo.hear(client_addr(), &hand.data(i as u32 + 1, flags, payload));
    }
    let call = solo.accept();
    (solo, hand, call)
}

/// A client call that has sent this request and got `acked` of its packets acknowledged.
fn requesting(data: &[u8], tune: impl Fn(&mut rxrpc_proto::Config)) -> (Solo, Hand, CallId) {
    let mut solo = Solo::new(tune);
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.end.call(call).unwrap().write(data).unwrap();
    solo.end.call(call).unwrap().flush();
    solo.pump();
    let hand = Hand::answering(&solo.sent[0].header);
    (solo, hand, call)
}

#[test]
fn read_drains_across_packets_until_the_buffer_is_full_or_nothing_is_left() {
    let (mut solo, _, call) = receiving(&[b"abc", b"defg", b"hi"], true);
    let mut view = solo.end.call(call).unwrap();
    let mut buf = [0; 5];
    assert_eq!((view.read(&mut buf), &buf), (Ok((5, ReadMore::More)), b"abcde"));
    assert_eq!(view.readable(), 4);
    assert_eq!(view.read(&mut buf), Ok((4, ReadMore::End)));
    assert_eq!(&buf[..4], b"fghi");
    assert_eq!(view.read(&mut buf), Ok((0, ReadMore::End)), "the end stays");
}

#[test]
fn read_says_blocked_while_nothing_has_come_and_more_while_the_end_has_not() {
    let (mut solo, mut hand, call) = receiving(&[b"abc"], false);
    let mut buf = [0; 5];
    assert_eq!(solo.end.call(call).unwrap().read(&mut buf), Ok((3, ReadMore::More)));
    assert_eq!(solo.end.call(call).unwrap().read(&mut buf), Err(ReadError::Blocked));
    assert_eq!(solo.end.call(call).unwrap().read_chunk(9), Err(ReadError::Blocked));
    solo.hear(client_addr(), &hand.data(2, Flags::LAST_PACKET, b""));
    assert_eq!(solo.end.call(call).unwrap().read(&mut buf), Ok((0, ReadMore::End)));
}

#[test]
fn peek_leaves_the_data_where_it_is() {
    let (mut solo, _, call) = receiving(&[b"abc", b"de"], true);
    let mut view = solo.end.call(call).unwrap();
    let mut buf = [0; 4];
    for _ in 0..2 {
        assert_eq!((view.peek(&mut buf), &buf), (Ok((4, ReadMore::More)), b"abcd"));
    }
    let mut buf = [0; 9];
    assert_eq!(view.peek(&mut buf), Ok((5, ReadMore::End)));
    assert_eq!(view.readable(), 5);
    assert_eq!(view.read(&mut buf), Ok((5, ReadMore::End)));
    assert_eq!(view.peek(&mut buf), Ok((0, ReadMore::End)));
}

#[test]
fn read_chunk_gives_at_most_what_was_asked_and_none_at_the_end() {
    let (mut solo, _, call) = receiving(&[b"abc", b"de"], true);
    let mut view = solo.end.call(call).unwrap();
    let mut got = Vec::new();
    while let Some(piece) = view.read_chunk(2).unwrap() {
        assert!((1..=2).contains(&piece.len()));
        got.extend_from_slice(&piece);
    }
    assert_eq!(got, b"abcde");
    assert_eq!(view.read_chunk(0), Ok(None));
}

#[test]
fn read_exact_takes_all_or_nothing() {
    let (mut solo, mut hand, call) = receiving(&[b"abcd"], false);
    let mut buf = [0; 4];
    assert_eq!(solo.end.call(call).unwrap().read_exact(&mut [0; 5], true), Err(ReadError::Blocked));
    assert_eq!(
        solo.end.call(call).unwrap().read_exact(&mut buf, false),
        Err(ReadError::Blocked),
        "end unknown"
    );
    assert_eq!(solo.end.call(call).unwrap().read_exact(&mut [0; 3], false), Err(ReadError::Excess));
    assert_eq!(solo.end.call(call).unwrap().read_exact(&mut buf[..3], true), Ok(()));
    assert_eq!(&buf[..3], b"abc");
    solo.hear(client_addr(), &hand.data(2, Flags::LAST_PACKET, b"ef"));
    let mut view = solo.end.call(call).unwrap();
    assert_eq!(view.read_exact(&mut [0; 4], false), Err(ReadError::Short));
    assert_eq!(view.read_exact(&mut [0; 3], true), Err(ReadError::Short), "nothing would follow");
    assert_eq!(view.read_exact(&mut [0; 2], false), Err(ReadError::Excess));
    assert_eq!(view.readable(), 3);
    assert_eq!((view.read_exact(&mut buf[..3], false), &buf[..3]), (Ok(()), &b"def"[..]));
    assert_eq!(view.read_exact(&mut [], false), Ok(()));
    assert_eq!(view.read_exact(&mut [], true), Err(ReadError::Short));
    assert_eq!(view.read_exact(&mut [0], false), Err(ReadError::Short));
}

#[test]
fn read_exact_does_not_wait_for_more_than_it_was_asked_for() {
    let (mut solo, _, call) = receiving(&[b"abcd"], false);
    assert_eq!(solo.end.call(call).unwrap().read_exact(&mut [0; 4], true), Ok(()));
    assert_eq!(solo.end.call(call).unwrap().read_exact(&mut [], true), Err(ReadError::Blocked));
}

#[test]
fn a_call_that_waits_to_be_accepted_can_be_looked_at_but_not_read_or_written() {
    let mut solo = Solo::server(|_| {});
    solo.hear(client_addr(), &Hand::client(0x100).whole(b"abc"));
    let call = solo.end.waiting(SERVICE).unwrap();
    let mut view = solo.end.call(call).unwrap();
    assert_eq!((view.readable(), view.peer(), view.service()), (3, client_addr(), SERVICE));
    assert_eq!(view.read_chunk(9), Err(ReadError::NotAccepted));
    assert_eq!(view.peek(&mut [0]), Err(ReadError::NotAccepted));
    assert_eq!(view.write(b"x"), Err(WriteError::NotAccepted));
    assert_eq!(view.finish(), Err(WriteError::NotAccepted));
}

#[test]
fn a_reply_before_the_request_has_ended_is_refused() {
    let (mut solo, mut hand, call) = receiving(&[b"abc"], false);
    let mut view = solo.end.call(call).unwrap();
    assert_eq!(view.write(b"x"), Err(WriteError::RequestUnfinished));
    assert_eq!(view.finish(), Err(WriteError::RequestUnfinished));
    solo.hear(client_addr(), &hand.data(2, Flags::LAST_PACKET, b""));
    assert_eq!(solo.end.call(call).unwrap().write(b"x"), Ok(1), "though it has not been read");
}

#[test]
fn a_reply_can_be_written_from_the_event_that_delivered_the_last_byte() {
    let (mut solo, mut hand, call) = receiving(&[b"abc"], false);
    solo.events.clear();
    solo.hear(client_addr(), &hand.data(2, Flags::LAST_PACKET, b"d"));
    assert_eq!(solo.events.pop_front(), Some(Event::Call { call, tag: 0, news: News::READABLE }));
    assert_eq!(solo.end.call(call).unwrap().read(&mut [0; 9]), Ok((4, ReadMore::End)));
    solo.write_all(call, b"reply");
    assert_eq!(&solo.take_type(PacketType::Data)[0].bytes[28..], b"reply");
}

#[test]
fn after_discarding_the_request_a_reply_may_be_written_and_goes_out_when_it_has_ended() {
    let (mut solo, mut hand, call) = receiving(&[b"abc"], false);
    solo.end.call(call).unwrap().discard_input();
    solo.pump();
    assert_eq!((solo.end.call(call).unwrap().readable(), solo.end.stats().unread), (0, 0));
    solo.write_all(call, b"early");
    assert_eq!(solo.take_type(PacketType::Data).len(), 0, "the client still sends");
    for seq in 2..200 {
        solo.hear(client_addr(), &hand.data(seq, Flags::NONE, &[7; 1412]));
    }
    assert_eq!(solo.end.stats().unread, 0, "what comes is thrown away");
    assert_eq!(solo.take_type(PacketType::Data).len(), 0);
    solo.hear(client_addr(), &hand.data(200, Flags::LAST_PACKET, &[7; 10]));
    assert_eq!(&solo.take_type(PacketType::Data)[0].bytes[28..], b"early");
    assert_eq!(solo.end.call(call).unwrap().read_chunk(9), Ok(None));
}

#[test]
fn discarding_held_packets_keeps_their_place_in_the_order() {
    let (mut solo, mut hand, call) = receiving(&[b"a"], false);
    solo.hear(client_addr(), &hand.data(3, Flags::LAST_PACKET, b"c"));
    solo.end.call(call).unwrap().discard_input();
    solo.hear(client_addr(), &hand.data(2, Flags::NONE, b"b"));
    assert_eq!(solo.end.call(call).unwrap().read_chunk(9), Ok(None));
    assert_eq!(solo.end.call(call).unwrap().write(b"x"), Ok(1));
}

#[test]
fn an_empty_request_and_an_empty_reply_are_one_packet_each() {
    let mut pair = Pair::new();
    assert_eq!(pair.exchange(b"", b""), (vec![], vec![]));
    assert_eq!((pair.count(CLIENT, PacketType::Data), pair.count(SERVER, PacketType::Data)), (1, 1));
    assert!(pair.all(CLIENT, PacketType::Data)[0].1.header.flags.contains(Flags::LAST_PACKET));
}

#[test]
fn a_full_last_packet_is_the_last_and_no_empty_one_follows() {
    let mut pair = Pair::new();
    let call = pair.begin(CallOptions::default());
    pair.ends[CLIENT].call(call).unwrap().write(&pattern(2824)).unwrap();
    pair.pump();
    assert_eq!(pair.count(CLIENT, PacketType::Data), 1, "the second waits to learn if it is the last");
    pair.ends[CLIENT].call(call).unwrap().finish().unwrap();
    pair.pump();
    let data = pair.all(CLIENT, PacketType::Data);
    assert_eq!(data.len(), 2);
    assert!(data[1].1.header.flags.contains(Flags::LAST_PACKET));
}

#[test]
fn what_does_not_fill_a_packet_waits_for_more_for_the_end_or_for_a_flush() {
    let (mut solo, _, call) = requesting(b"flushed", |_| {});
    assert_eq!(solo.take_type(PacketType::Data).len(), 1);
    solo.end.call(call).unwrap().write(&[1; 1000]).unwrap();
    solo.pump();
    assert_eq!(solo.take_type(PacketType::Data).len(), 0);
    solo.end.call(call).unwrap().write(&[2; 1000]).unwrap();
    solo.pump();
    assert_eq!(solo.take_type(PacketType::Data)[0].bytes.len(), 28 + 1412);
    solo.end.call(call).unwrap().finish().unwrap();
    solo.pump();
    assert_eq!(solo.take_type(PacketType::Data)[0].bytes.len(), 28 + 588);
}

#[test]
fn after_finish_nothing_more_can_be_written() {
    let (mut solo, _, call) = requesting(b"x", |_| {});
    let mut view = solo.end.call(call).unwrap();
    view.finish().unwrap();
    assert_eq!(view.write(b"y"), Err(WriteError::Finished));
    assert_eq!(view.write(b""), Err(WriteError::Finished));
    assert_eq!(view.finish(), Err(WriteError::Finished));
    solo.pump();
    assert_eq!(solo.end.call(call).unwrap().write(b"y"), Err(WriteError::Finished));
}

#[test]
fn an_announced_length_refuses_more_when_written_and_less_when_finished() {
    let mut solo = Solo::new(|_| {});
    let options = CallOptions { total_length: Some(10), ..Default::default() };
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), options).unwrap();
    let mut view = solo.end.call(call).unwrap();
    assert_eq!(view.write(b"12345678901"), Err(WriteError::TooLong));
    assert_eq!(view.write(b"123456"), Ok(6));
    assert_eq!(view.finish(), Err(WriteError::Short));
    assert_eq!(view.write(b"78901"), Err(WriteError::TooLong));
    assert_eq!(view.write_bytes(&mut Bytes::from_static(b"78901")), Err(WriteError::TooLong));
    assert_eq!(view.write(b"789"), Ok(3));
    assert_eq!(view.finish(), Err(WriteError::Short), "one byte");
    assert_eq!(view.write(b"0"), Ok(1));
    assert_eq!(view.finish(), Ok(()));
    solo.pump();
    assert_eq!(&solo.take_type(PacketType::Data)[0].bytes[28..], b"1234567890");
}

#[test]
fn an_announced_length_of_zero_takes_nothing_and_finishes() {
    let mut solo = Solo::new(|_| {});
    let options = CallOptions { total_length: Some(0), ..Default::default() };
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), options).unwrap();
    let mut view = solo.end.call(call).unwrap();
    assert_eq!(view.write(b"1"), Err(WriteError::TooLong));
    assert_eq!(view.finish(), Ok(()));
}

#[test]
fn write_bytes_takes_what_there_is_room_for_off_the_front() {
    let (mut solo, _, call) = requesting(b"x", |c| c.limits.send_per_call = 5000);
    let mut data = Bytes::from(pattern(8000));
    let mut view = solo.end.call(call).unwrap();
    assert_eq!(view.write_bytes(&mut data), Ok(4999));
    assert_eq!(data, pattern(8000)[4999..]);
    assert_eq!(view.writable(), 0);
    assert_eq!(view.write_bytes(&mut data), Err(WriteError::Blocked));
    assert_eq!(data.len(), 3001, "nothing was taken");
}

#[test]
fn a_blocked_writer_is_told_once_a_quarter_of_its_room_is_free() {
    let (mut solo, mut hand, call) = requesting(&pattern(14_120), |c| c.limits.send_per_call = 14_120);
    assert_eq!(solo.end.call(call).unwrap().write(b"x"), Err(WriteError::Blocked));
    solo.news(call);
    solo.hear(server_addr(), &hand.ack(AckReason::Idle, 3, 0, &[]));
    assert_eq!(solo.news(call), [], "2824 of 3530 bytes");
    assert_eq!(solo.end.call(call).unwrap().writable(), 2824);
    solo.hear(server_addr(), &hand.ack(AckReason::Idle, 4, 0, &[]));
    assert_eq!(solo.news(call), [News::WRITABLE]);
    solo.hear(server_addr(), &hand.ack(AckReason::Idle, 5, 0, &[]));
    assert_eq!(solo.news(call), [], "told once");
}

#[test]
fn a_soft_acknowledgement_makes_no_room() {
    let (mut solo, mut hand, call) = requesting(&pattern(14_120), |c| c.limits.send_per_call = 14_120);
    assert_eq!(solo.end.call(call).unwrap().write(b"x"), Err(WriteError::Blocked));
    solo.hear(server_addr(), &hand.ack(AckReason::OutOfSequence, 1, 0, &[0, 1, 1, 1, 1, 1, 1, 1, 1]));
    assert_eq!(solo.end.call(call).unwrap().writable(), 0);
    assert_eq!(solo.news(call), []);
}

#[test]
fn an_unread_reply_of_many_sizes_is_read_byte_by_byte_exactly() {
    let mut pair = Pair::new();
    let call = pair.request(b"q");
    let served = pair.accept();
    pair.write_all(SERVER, served, &pattern(20_000));
    pair.run_to_end(CLIENT, call).unwrap();
    let mut got = Vec::new();
    let mut byte = [0];
    while pair.ends[CLIENT].call(call).unwrap().read(&mut byte).unwrap() != (0, ReadMore::End) {
        got.push(byte[0]);
        if got.len() == 20_000 {
            break;
        }
    }
    assert!(got == pattern(20_000));
    pair.pump();
    assert_eq!(pair.ends[CLIENT].stats().unread, 0);
}

#[test]
fn a_client_may_read_its_reply_after_success_but_not_after_failure() {
    let mut pair = Pair::new();
    let call = pair.request(b"q");
    let served = pair.accept();
    pair.ends[SERVER].call(served).unwrap().write(&pattern(1412 * 3)).unwrap();
    pair.run_for(ms(100));
    assert!(pair.ends[CLIENT].call(call).unwrap().readable() > 0);
    pair.script(|_| vec![]);
    pair.run_for(Duration::from_secs(25));
    let timed_out = CallError::Timeout(rxrpc_proto::TimeoutKind::Silence);
    assert_eq!(pair.outcome(CLIENT, call), Some(Err(timed_out)));
    assert_eq!(pair.ends[CLIENT].call(call).unwrap().read_chunk(9), Err(ReadError::Ended(timed_out)));
}

#[test]
fn counters_of_a_call_say_what_it_did() {
    let mut pair = Pair::new();
    let call = pair.request(&pattern(10_000));
    let served = pair.accept();
    pair.read_request(served);
    pair.write_all(SERVER, served, &pattern(5000));
    pair.run_to_end(CLIENT, call).unwrap();
    let stats = pair.ends[CLIENT].call(call).unwrap().stats();
    assert_eq!((stats.bytes_sent, stats.packets_sent), (10_000, 8));
    assert_eq!((stats.bytes_received, stats.packets_received), (5000, 4));
    assert_eq!((stats.retransmissions, stats.timeouts, stats.duplicates, stats.beyond_window), (0, 0, 0, 0));
    assert_eq!(stats.srtt, Some(ms(10)));
    assert_eq!(stats.in_flight, 0);
}

#[test]
fn delivered_is_told_when_the_peer_has_the_whole_request_for_good() {
    let (mut solo, mut hand, call) = requesting(&pattern(3000), |_| {});
    solo.end.call(call).unwrap().finish().unwrap();
    solo.pump();
    let packets = solo.take_type(PacketType::Data).len() as u32;
    assert_eq!(packets, 4, "1412, 1412, 176 flushed, the end");
    solo.hear(server_addr(), &hand.ack(AckReason::Idle, 4, 0, &[1]));
    assert_eq!(solo.news(call), []);
    solo.hear(server_addr(), &hand.ack(AckReason::Idle, 5, 0, &[]));
    assert_eq!(solo.news(call), [News::DELIVERED]);
    solo.hear(server_addr(), &hand.ack(AckReason::Idle, 5, 0, &[]));
    assert_eq!(solo.news(call), [], "once");
}

#[test]
fn a_writer_whose_room_is_smaller_than_a_packet_goes_on_all_the_same() {
    let mut pair = Pair::with(|config| config.limits.send_per_call = 10);
    let call = pair.begin(CallOptions::default());
    let data = pattern(25);
    let write = |pair: &mut Pair, at: usize| pair.ends[CLIENT].call(call).unwrap().write(&data[at..]);
    assert_eq!(write(&mut pair, 0), Ok(10));
    assert_eq!(write(&mut pair, 10), Err(WriteError::Blocked));
    let served = pair.accept();
    let mut written = 10;
    while written < data.len() {
        match write(&mut pair, written) {
            Ok(n) => written += n,
            Err(error) => {
                assert_eq!(error, WriteError::Blocked);
                assert!(pair.step(), "nothing happens after {written} bytes");
            }
        }
    }
    pair.ends[CLIENT].call(call).unwrap().finish().unwrap();
    assert_eq!(pair.read_request(served), data);
}
