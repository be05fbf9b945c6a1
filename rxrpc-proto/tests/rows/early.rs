//! Row 29, PINGs about calls that have not begun here: their requests were lost, or turned away, or are another server's.

use std::time::Duration;

use rxrpc_proto::wire::{AckReason, Flags, PacketType};
use rxrpc_proto::{Event, Fault, Rejection};

use crate::raw::{Packet, Raw, from_client};

fn ping(call: u32, serial: u32) -> Packet {
    from_client(PacketType::Ack).acks(AckReason::Ping, 1, 0, &[]).call(call).serial(serial)
}

/// How many answers each of so many PINGs gets.
fn answers(raw: &mut Raw, call: u32, pings: u32) -> Vec<usize> {
    (0..pings).map(|n| raw.give(&ping(call, 1_000 + n)).len()).collect()
}

/// A call that is over, its reply acknowledged.
fn finished(raw: &mut Raw, number: u32) {
    raw.give(&from_client(PacketType::Data).call(number).last().serial(10 * number));
    let call = raw.accept();
    raw.end.call(call).unwrap().finish().unwrap();
    raw.poll();
    let ack = from_client(PacketType::Ack).acks(AckReason::Delay, 2, 1, &[]);
    raw.give(&ack.call(number).serial(10 * number + 1));
    assert_eq!(raw.outcome(call), Some(Ok(())));
}

#[test]
fn row_29_a_ping_about_a_call_whose_request_was_lost_is_answered() {
    let mut raw = Raw::new();
    finished(&mut raw, 1);
    let sent = raw.give(&ping(2, 77));
    assert_eq!(sent.len(), 1);
    let header = &sent[0].header;
    assert_eq!((header.call_number, header.seq, header.flags), (2, 0, Flags::SLOW_START_OK));
    assert_eq!(sent[0].ack_says(), (AckReason::PingResponse, 77, 1, 0, vec![]));
    // However often it is lost: its client has acknowledged the call before it here, so nobody else has accepted it.
    assert_eq!(answers(&mut raw, 2, 20), [1; 20]);
    // The number is not taken: the request begins the call when it comes.
    raw.give(&from_client(PacketType::Data).call(2).last().serial(98));
    let second = raw.accept();
    assert_eq!(raw.outcome(second), None);
    // A connection that is not known.
    assert_eq!(raw.give(&ping(2, 99).cid(0x7700_0000)).len(), 0);
    // A call that is older than one that is over, and answers to questions of ours.
    assert_eq!(raw.give(&ping(1, 100)).len(), 0);
    let response = from_client(PacketType::Ack).acks(AckReason::PingResponse, 1, 0, &[]).call(3);
    assert_eq!(raw.give(&response).len(), 0);
}

#[test]
fn row_29_a_ping_about_a_call_that_an_earlier_server_may_have_accepted_is_answered_four_times() {
    let mut raw = Raw::new();
    finished(&mut raw, 1);
    // A channel that had no call yet, and a number after one of which nothing came.
    for (channel, call) in [(1, 1), (2, 7), (0, 3)] {
        let answers: Vec<usize> =
            (0..6).map(|n| raw.give(&ping(call, 200 + n).channel(channel)).len()).collect();
        assert_eq!(answers, [1, 1, 1, 1, 0, 0], "channel {channel}");
    }
    // What came of the call before it may have been a late copy.
    let mut raw = Raw::new();
    raw.serve();
    assert_eq!(answers(&mut raw, 2, 6), [1, 1, 1, 1, 0, 0]);
}

#[test]
fn row_29_a_ping_about_a_call_that_an_earlier_server_had_answered_is_not_answered() {
    let mut raw = Raw::new();
    finished(&mut raw, 1);
    // A packet of the reply has come, or the second one before the first.
    for (first, table) in [(2, &[][..]), (1, &[0, 1][..])] {
        let ping = from_client(PacketType::Ack).acks(AckReason::Ping, first, 0, table).call(2).serial(20);
        assert_eq!(raw.give(&ping).len(), 0, "first {first}");
    }
    assert_eq!((raw.faults(), raw.count(Fault::UnknownServiceCall)), (vec![Fault::UnknownServiceCall], 2));
}

#[test]
fn row_29_a_ping_about_a_call_that_was_turned_away_gets_busy_four_times_after_each_request() {
    // An ACK would be taken for a sign of life by a client that tries again, and its call would never end.
    let mut raw = Raw::with(|config| config.limits.calls = 1);
    raw.serve();
    for again in 0..2 {
        let sent = raw.give(&from_client(PacketType::Data).call(2).last().serial(2 + again));
        assert!(sent[0].is(PacketType::Busy));
        for serial in 10..14 {
            let sent = raw.give(&ping(2, serial));
            assert_eq!((sent.len(), sent[0].bytes.clone()), (1, ping(2, serial).busy()));
        }
        assert_eq!(answers(&mut raw, 2, 3), [0; 3], "BUSY is a sign of life to OpenAFS");
    }
}

#[test]
fn row_29_so_does_one_that_the_application_turned_away_after_it_was_acknowledged() {
    let mut raw = Raw::new();
    finished(&mut raw, 1);
    raw.give(&from_client(PacketType::Data).call(2).last().serial(20));
    let Some(Event::Incoming { call, .. }) = raw.events().pop() else { panic!("no call") };
    let ack = raw.wait(Duration::from_millis(20));
    assert_eq!(ack[0].ack_says().4, [1], "OpenAFS will not send it again");
    raw.end.reject(call, Rejection::Busy).unwrap();
    assert!(raw.poll()[0].is(PacketType::Busy));
    assert_eq!(raw.give(&ping(2, 21))[0].bytes, ping(2, 21).busy());
    assert_eq!(answers(&mut raw, 2, 5), [1, 1, 1, 0, 0]);
    // The one after it is the client's next.
    assert_eq!(answers(&mut raw, 3, 9), [1; 9]);
    // It may come again.
    raw.give(&from_client(PacketType::Data).call(2).last().serial(30));
    raw.accept();
}

#[test]
fn row_29_a_connection_stays_known_while_its_client_asks() {
    let mut raw = Raw::with(|config| config.validate_peers = true);
    finished(&mut raw, 1);
    // A connection of one that never proved its address is kept for 20 s after its last call.
    let answers: Vec<usize> = (0..20)
        .map(|n| {
            raw.wait(Duration::from_secs(4));
            raw.give(&ping(2, 100 + n)).len()
        })
        .collect();
    assert_eq!(answers, [1; 20]);
    raw.wait(Duration::from_secs(19));
    assert_eq!(raw.end.stats().connections, 1);
    raw.wait(Duration::from_secs(2));
    assert_eq!(raw.end.stats().connections, 0);
}
