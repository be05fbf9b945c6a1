//! Hazards of the protocol without a CVE number, tried here. `HAZARDS.md` lists all of them; H1 has a part in
//! `hazards_memory.rs`.

#[path = "harness/raw.rs"]
mod raw;

use std::net::SocketAddr;
use std::time::Duration;

use raw::{CID, Packet, Raw, SERVICE, Sent, from_client, from_server};
use rxrpc_proto::wire::{AbortCode, AckReason, Flags, Header, PacketType};
use rxrpc_proto::{
    CallError, CallId, CallOptions, Config, Event, Fault, Instant, NetworkError, News, Path, Rejection,
    Segments, Target, TimeoutKind, WriteError,
};

const SECOND: Duration = Duration::from_secs(1);

fn data(seq: u32) -> Packet {
    from_client(PacketType::Data).seq(seq).serial(seq).body(&[seq as u8; 1412])
}

/// A jumbogram of full segments, numbered from `seq`.
fn jumbo(seq: u32, segments: usize) -> Packet {
    let mut body = vec![0; 1412];
    for i in 1..segments {
        let flags = if i + 1 < segments { Flags::JUMBO } else { Flags::NONE };
        body.extend_from_slice(&[flags.0, 0, 0, 0]);
        body.extend_from_slice(&[i as u8; 1412]);
    }
    data(seq).flag(Flags::JUMBO).body(&body)
}

fn reply(header: &Header) -> Packet {
    from_server(header, PacketType::Data).last().body(b"reply")
}

fn ping(serial: u32) -> Packet {
    from_client(PacketType::Ack).acks(AckReason::Ping, 1, 0, &[]).serial(serial)
}

fn reasons(sent: &[Sent]) -> Vec<AckReason> {
    sent.iter().map(|s| s.ack_says().0).collect()
}

fn begin(raw: &mut Raw, options: CallOptions) -> CallId {
    raw.end.begin_call(&Target::new(raw.peer, SERVICE), options).unwrap()
}

#[test]
fn h1_overlapping_jumbos_hold_each_packet_once() {
    let mut raw = Raw::with(|config| config.socket_receive_buffer = 8 << 20);
    raw.give(&data(1));
    raw.accept();
    for seq in (3..200).rev() {
        assert_eq!(raw.give(&jumbo(seq, 46)).len(), 1);
    }
    // Packets 3 to 244, and the one that was not read.
    let held = raw.end.stats().unread;
    assert!((243 * 1412..243 * 1412 + 20_000).contains(&held), "{held}");
}

#[test]
fn h1_what_is_held_is_bounded_for_call_peer_and_endpoint() {
    const ONE: usize = 1412 + 64;
    let mut raw = Raw::with(|config| {
        config.limits.receive_per_call = 20_000;
        config.limits.receive_per_peer = 30_000;
        config.limits.receive_total = 45_000;
    });
    let other: SocketAddr = "10.0.0.11:7001".parse().unwrap();
    let mut most = Vec::new();
    for (peer, channel) in [(raw.peer, 0), (raw.peer, 1), (other, 2), (other, 3)] {
        // In order, then ahead with a hole.
        for seq in (1..=40).chain(50..90) {
            let packet = data(seq).cid(if peer == other { CID + 4 } else { CID }).channel(channel);
            raw.give_from(peer, &packet.bytes());
        }
        most.push(raw.end.stats().unread);
    }
    for (held, limit) in most.iter().zip([20_000, 30_000, 45_000, 45_000]) {
        // A packet that comes while the window is closed is held as well, one a call.
        assert!((limit - ONE..=limit + 4 * ONE).contains(held), "{most:?}");
    }
}

#[test]
fn h2_a_datagram_gets_one_ack_whatever_its_segments() {
    let mut raw = Raw::with(|config| config.socket_receive_buffer = 8 << 20);
    raw.give(&jumbo(1, 46));
    raw.accept();
    assert_eq!(reasons(&raw.give(&jumbo(1, 46))), [AckReason::Duplicate]);
    assert_eq!(reasons(&raw.give(&jumbo(100, 46))), [AckReason::OutOfSequence]);
    assert_eq!(reasons(&raw.give(&jumbo(500, 46))), [AckReason::ExceedsWindow]);
    assert_eq!(raw.count(Fault::DuplicateData), 46);
    // So does a batch that the network gave at once.
    let batch = [data(1), data(2), data(3)].map(|p| p.bytes()).concat();
    let segments = Segments { bytes: &batch, stride: 28 + 1412 };
    raw.end.handle_datagrams(raw.now, &Path::from_peer(raw.peer), segments);
    assert_eq!(reasons(&raw.poll()), [AckReason::Duplicate]);
}

#[test]
fn h3_a_sender_that_ignores_the_window_fills_no_memory() {
    let mut raw = Raw::with(|config| config.limits.receive_per_call = 20_000);
    let mut refused = 0;
    for seq in 1..=1000 {
        let sent = raw.give(&data(seq));
        refused += reasons(&sent).iter().filter(|r| **r == AckReason::ExceedsWindow).count();
        if seq == 1 {
            raw.accept();
        }
        assert!(raw.end.stats().unread <= 20_000 + 1412 + 64);
    }
    assert!(refused > 900, "{refused}");
    let call = raw.events().iter().find_map(|e| match e {
        Event::Incoming { call, .. } | Event::Call { call, .. } => Some(*call),
        Event::Version(_) => None,
    });
    // What was taken is what comes first, without a gap.
    let read = raw.read(call.unwrap());
    assert!(read.chunks(1412).zip(1..).all(|(packet, seq)| packet == [seq as u8; 1412]));
}

#[test]
fn h4_a_last_packet_far_outside_the_window_changes_nothing() {
    let mut raw = Raw::new();
    raw.give(&data(1));
    let call = raw.accept();
    for seq in [300, 1 << 31, u32::MAX] {
        assert_eq!(reasons(&raw.give(&data(seq).last())), [AckReason::ExceedsWindow], "{seq}");
    }
    raw.give(&data(2).last());
    assert_eq!(raw.read(call).len(), 2 * 1412);
    assert_eq!((raw.outcome(call), raw.faults()), (None, vec![Fault::BeyondWindow]));
}

/// An endpoint that wants proof of addresses, with few connections for those who give none.
fn suspicious(config: &mut Config) {
    config.validate_peers = true;
    config.limits.unvalidated_connections = 8;
    config.limits.unvalidated_per_peer = 3;
}

#[test]
fn h5_connections_of_strangers_are_few_and_the_oldest_goes_first() {
    let mut raw = Raw::with(suspicious);
    for n in 0..20u32 {
        raw.give(&from_client(PacketType::Data).cid(CID + 4 * n).last());
    }
    assert_eq!((raw.end.stats().connections, raw.count(Fault::NoRoomForConnection)), (3, 17), "one peer");
    for n in 0..20u32 {
        let peer = SocketAddr::from(([10, 0, 1, n as u8], 7001));
        raw.give_from(peer, &from_client(PacketType::Data).cid(0x4000 + 4 * n).last().bytes());
        assert!(raw.end.stats().connections <= 8);
    }
    assert_eq!(raw.end.stats().unvalidated_connections, 8);
    // The newest are there: another packet of theirs is a duplicate, not a new connection.
    let before = raw.end.stats().calls;
    let newest = from_client(PacketType::Data).cid(0x4000 + 4 * 19).last().serial(2);
    raw.give_from(SocketAddr::from(([10, 0, 1, 19], 7001)), &newest.bytes());
    assert_eq!((raw.end.stats().calls, raw.count(Fault::DuplicateData)), (before, 1));
}

#[test]
fn h5_who_has_proved_an_address_is_not_driven_out() {
    let mut raw = Raw::with(suspicious);
    let stranger = SocketAddr::from(([10, 0, 2, 1], 7001));
    raw.give_from(stranger, &from_client(PacketType::Data).cid(0x9000).last().bytes());
    raw.end.reject(raw.end.waiting(SERVICE).unwrap(), Rejection::Abort(AbortCode(1))).unwrap();
    let call = raw.serve();
    raw.write(call, b"reply");
    let serial = raw.poll().iter().find(|s| s.is(PacketType::Data)).unwrap().header.serial;
    let proof = from_client(PacketType::Ack).acks(AckReason::Delay, 2, 1, &[]).answering(serial).serial(2);
    raw.give(&proof);
    assert_eq!((raw.outcome(call), raw.end.stats().unvalidated_connections), (Some(Ok(())), 1));
    for n in 0..100u32 {
        let peer = SocketAddr::from(([10, 0, 1, n as u8], 7001));
        raw.give_from(peer, &from_client(PacketType::Data).cid(0x4000 + 4 * n).last().bytes());
    }
    assert_eq!(raw.end.stats().connections, 9);
    raw.give(&from_client(PacketType::Data).last().serial(3));
    assert_eq!(raw.count(Fault::FinishedCall), 1, "the connection remembers its call");
}

#[test]
fn h7_an_ack_of_what_was_written_but_not_sent_is_a_fault() {
    for (first, table) in [(12, 0), (11, 1), (1, 11)] {
        let mut raw = Raw::new();
        let (call, out) = raw.begin(&vec![7; 1412 * 50], CallOptions::default());
        assert_eq!(out.len(), 10, "the congestion window lets out as many");
        let ack = from_server(&out[0].header, PacketType::Ack);
        let sent = raw.give(&ack.acks(AckReason::Requested, first, 10, &vec![1; table]));
        assert_eq!(sent[0].abort_code(), AbortCode::RX_PROTOCOL_ERROR);
        let fault = if table == 0 { Fault::AckOutsideWindow } else { Fault::SackOverflow };
        assert_eq!(raw.outcome(call), Some(Err(CallError::Protocol(fault))));
    }
    // With nothing to free an ACK is an ACK.
    let mut raw = Raw::new();
    let (call, out) = raw.begin(b"ask", CallOptions::default());
    for serial in 1..4 {
        let ack = from_server(&out[0].header, PacketType::Ack).acks(AckReason::Requested, 2, 1, &[]);
        assert!(raw.give(&ack.serial(serial)).is_empty());
    }
    assert_eq!((raw.outcome(call), raw.faults()), (None, vec![]));
}

#[test]
fn h8_strangers_get_few_answers_and_none_to_answers() {
    let mut raw = Raw::with(|config| config.limits.stranger_answers_per_second = 50);
    let mut answers = 0;
    for n in 0..1000 {
        answers += raw.give(&from_client(PacketType::Data).service(99).cid(CID + 4 * n)).len();
    }
    assert_eq!((answers, raw.end.stats().answers_suppressed), (50, 950));
    raw.wait(SECOND);
    let to = from_client(PacketType::Data).header;
    for answer in [
        from_server(&to, PacketType::Abort).body(&[0; 4]),
        from_server(&to, PacketType::Busy),
        from_server(&to, PacketType::Version).last().body(&[0; 65]),
        from_client(PacketType::Abort).body(&[0; 4]),
        from_client(PacketType::Busy),
    ] {
        assert!(raw.give(&answer).is_empty(), "{answer:?}");
    }
}

/// An ABORT has four octets more than the shortest packet, so "no more than came" cannot be kept to the octet.
#[test]
fn h8_no_answer_to_a_stranger_but_version_is_longer_than_its_packet_and_a_code() {
    for number in 0..=255u8 {
        for flags in [Flags::CLIENT_INITIATED, Flags::NONE] {
            for len in [0, 1, 18, 40] {
                let mut raw = Raw::new();
                let mut packet = from_client(PacketType::from(number)).service(99).body(&vec![0; len]);
                packet.header.flags = flags;
                let bytes = packet.bytes();
                let sent: usize = raw.give_bytes(&bytes).iter().map(|s| s.bytes.len()).sum();
                let limit = if number == 13 { 28 + 65 } else { 28 + 4 };
                assert!(sent <= limit, "type {number}: {sent} bytes for {}", bytes.len());
                assert!(sent + 28 <= 3 * (bytes.len() + 28));
            }
        }
    }
}

#[test]
fn h10_a_reported_error_reaches_only_calls_on_the_wire_to_that_port() {
    let mut raw = Raw::new();
    let (live, out) = raw.begin(b"ask", CallOptions::default());
    let waiting = begin(&mut raw, CallOptions::default());
    raw.poll();
    let other = SocketAddr::new(raw.peer.ip(), raw.peer.port() + 1);
    let error = NetworkError::PortUnreachable;
    raw.end.handle_network_error(raw.now, other, error);
    assert_eq!(raw.outcome(live), None, "another port");
    raw.end.handle_network_error(raw.now, raw.peer, error);
    assert_eq!(raw.outcome(live), Some(Err(CallError::Network(error))));
    assert_eq!(raw.outcome(waiting), None, "it has sent nothing");
    assert!(raw.poll().is_empty(), "the peer cannot be told");
    // It was only a guess of somebody: packets of the call are answered as of a dead one.
    assert_eq!(raw.give(&reply(&out[0].header))[0].abort_code(), AbortCode::RX_CALL_DEAD);
}

#[test]
fn h10_no_reported_mtu_makes_packets_smaller_than_500() {
    for (mtu, expected) in [(0, 1412), (1, 472), (68, 472), (576, 500), (1280, 1204), (9000, 1412)] {
        let mut raw = Raw::new();
        let (call, _) = raw.begin(b"", CallOptions::default());
        raw.end.release(call);
        raw.poll();
        raw.end.handle_network_error(raw.now, raw.peer, NetworkError::MessageTooLong { mtu });
        let (call, out) = raw.begin(&[7; 5000], CallOptions::default());
        assert_eq!(out[0].bytes.len(), 28 + expected, "MTU {mtu}");
        assert_eq!(raw.outcome(call), None);
    }
}

/// A server that answers every PING and has its window closed, for `time`.
fn stall(raw: &mut Raw, header: &Header, time: Duration) -> u32 {
    let mut questions = 0;
    let end = raw.now + time;
    let mut serial = 2;
    while raw.now < end {
        for sent in raw.wait(Duration::from_millis(100)) {
            if sent.is(PacketType::Ack) && sent.ack_says().0 == AckReason::Ping {
                questions += 1;
                serial += 1;
                let closed = from_server(header, PacketType::Ack).serial(serial);
                let words = [1444, 1444, 0, 4];
                raw.give(
                    &closed
                        .acks_with(AckReason::PingResponse, 3, 2, &[], &words)
                        .answering(sent.header.serial),
                );
            }
        }
    }
    questions
}

#[test]
fn h11_a_window_closed_for_ever_is_asked_about_and_ends_with_the_lifetime() {
    for lifetime in [None, Some(Duration::from_secs(120))] {
        let mut raw = Raw::new();
        let call = begin(&mut raw, CallOptions { lifetime, ..Default::default() });
        raw.write(call, &[7; 1412 * 10]);
        let header = raw.poll()[0].header;
        let words = [1444, 1444, 0, 4];
        let closed = from_server(&header, PacketType::Ack).acks_with(AckReason::Idle, 3, 2, &[], &words);
        raw.give(&closed.serial(2));
        let questions = stall(&mut raw, &header, Duration::from_secs(119));
        assert!((20..60).contains(&questions), "{questions}");
        assert_eq!(raw.outcome(call), None, "nothing tells a slow reader from a dead one");
        stall(&mut raw, &header, Duration::from_secs(2));
        let expected = lifetime.map(|_| Err(CallError::Timeout(TimeoutKind::Lifetime)));
        assert_eq!(raw.outcome(call), expected);
        assert_eq!(raw.end.stats().unacknowledged == 0, lifetime.is_some(), "its memory is free");
    }
}

#[test]
fn h12_a_peer_that_only_pings_keeps_a_call_until_its_lifetime_is_over() {
    for lifetime in [None, Some(Duration::from_secs(600))] {
        let mut raw = Raw::with(|config| config.timing.lifetime = lifetime);
        let call = raw.serve();
        for n in 0..199 {
            assert_eq!(reasons(&raw.give(&ping(10 + n)))[0], AckReason::PingResponse);
            raw.wait(3 * SECOND);
        }
        assert_eq!(raw.outcome(call), None);
        raw.give(&ping(1000));
        raw.wait(4 * SECOND);
        let expected = lifetime.map(|_| Err(CallError::Timeout(TimeoutKind::Lifetime)));
        assert_eq!(raw.outcome(call), expected);
    }
}

#[test]
fn h13_what_is_over_leaves_nothing() {
    // A refused call leaves no peer.
    let mut raw = Raw::new();
    raw.give(&from_client(PacketType::Data).service(99));
    assert_eq!((raw.end.stats().peers, raw.end.stats().connections), (0, 0));
    // A released call is unknown, with what was peeked at.
    let call = raw.serve();
    raw.give(&from_client(PacketType::Data).call(2).last().body(b"more").serial(2));
    let second = raw.accept();
    assert_eq!(raw.end.call(second).unwrap().peek(&mut [0; 9]).unwrap().0, 4);
    for call in [call, second] {
        raw.end.release(call);
        assert!(raw.end.call(call).is_none());
    }
    raw.poll();
    assert_eq!((raw.end.stats().calls, raw.end.stats().unread), (0, 0));
    let (call, out) = raw.begin(b"ask", CallOptions::default());
    raw.give(&reply(&out[0].header));
    raw.end.release(call);
    raw.wait(Duration::from_secs(2000));
    let stats = raw.end.stats();
    assert_eq!((stats.calls, stats.connections, stats.peers), (0, 0, 0));
    assert_eq!((stats.unread, stats.unacknowledged, stats.client_connections), (0, 0, 0));
    assert_eq!((raw.end.poll_timeout(), raw.events().len()), (None, 0));
}

#[test]
fn h14_nothing_follows_the_event_of_the_end() {
    // The call waits for room to write, which another call's end makes, after its own.
    let mut raw = Raw::with(|config| config.limits.send_total = 4000);
    let big = begin(&mut raw, CallOptions { tag: 7, ..Default::default() });
    raw.poll();
    assert_eq!(raw.end.call(big).unwrap().write(&[7; 9000]), Ok(4000));
    let waits = begin(&mut raw, CallOptions { tag: 7, ..Default::default() });
    assert_eq!(raw.end.call(waits).unwrap().write(b"more"), Err(WriteError::Blocked));
    raw.poll();
    raw.end.call(waits).unwrap().abort(AbortCode(1));
    raw.poll();
    let ended = |call| Event::Call { call, tag: 7, news: News::ENDED };
    assert_eq!(raw.events(), [ended(waits)]);
    raw.end.call(big).unwrap().abort(AbortCode(1));
    raw.poll();
    assert_eq!(raw.events(), [ended(big)]);
    // Nor does anything follow a release.
    let (call, out) = raw.begin(b"ask", CallOptions { tag: 7, ..Default::default() });
    raw.give(&reply(&out[0].header));
    raw.end.release(call);
    assert_eq!(raw.events(), []);
}

#[test]
fn h14_a_tag_can_be_used_again_at_once() {
    let mut raw = Raw::new();
    let options = CallOptions { tag: 42, ..Default::default() };
    let (first, out) = raw.begin(b"ask", options.clone());
    raw.give(&reply(&out[0].header));
    let (second, _) = raw.begin(b"again", options);
    let tagged: Vec<_> = raw
        .events()
        .iter()
        .map(|e| match e {
            Event::Call { call, tag, .. } => (*call, *tag),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((tagged, first == second), (vec![(first, 42)], false));
}

#[test]
fn h17_a_call_begun_when_its_connection_expires_goes_out() {
    for expires_first in [false, true] {
        let mut raw = Raw::new();
        let (first, out) = raw.begin(b"ask", CallOptions::default());
        raw.give(&reply(&out[0].header));
        raw.end.release(first);
        raw.wait(Duration::from_secs(119));
        let (at, _) = raw.end.poll_timeout().unwrap();
        raw.now = at;
        let call = begin(&mut raw, CallOptions::default());
        raw.write(call, b"ask");
        if expires_first {
            raw.end.handle_timeout(at);
        }
        let sent = raw.poll();
        raw.end.handle_timeout(at);
        assert_eq!((sent.len(), raw.poll().len()), (1, 0));
        assert_eq!(sent[0].header.cid == out[0].header.cid, !expires_first);
        raw.give(&reply(&sent[0].header));
        assert_eq!((raw.outcome(call), raw.end.stats().connections), (Some(Ok(())), 1));
    }
}

#[test]
fn h18_closing_ends_every_call_with_rx_call_dead() {
    let mut raw = Raw::new();
    let served = raw.serve();
    raw.give(&from_client(PacketType::Data).channel(1).last());
    raw.give(&from_client(PacketType::Data).channel(2).body(b"half"));
    let (asked, _) = raw.begin(b"ask", CallOptions::default());
    let silent = begin(&mut raw, CallOptions::default());
    raw.poll();
    raw.events();
    raw.end.close();
    let sent = raw.poll();
    assert_eq!(sent.len(), 4, "the one that has sent nothing has nobody to tell");
    assert!(sent.iter().all(|s| s.abort_code() == AbortCode::RX_CALL_DEAD));
    for call in [served, asked, silent] {
        assert_eq!(raw.outcome(call), Some(Err(CallError::EndpointClosed)));
    }
    assert_eq!(raw.events().len(), 3);
    assert!(raw.end.begin_call(&Target::new(raw.peer, SERVICE), CallOptions::default()).is_err());
    raw.end.close();
    assert_eq!((raw.poll().len(), raw.events().len()), (0, 0), "once");
}

#[test]
fn h20_serials_are_ordered_across_their_wrap() {
    let mut raw = Raw::new();
    let (call, out) = raw.begin(&vec![7; 1412 * 5], CallOptions::default());
    let ack = |serial: u32, table: &[u8]| {
        from_server(&out[0].header, PacketType::Ack).acks(AckReason::Idle, 1, 5, table).serial(serial)
    };
    raw.now += Duration::from_millis(50);
    let in_flight = |raw: &mut Raw| raw.end.call(call).unwrap().stats().in_flight;
    let have: &[u8] = &[0, 1, 1];
    let dropped: &[u8] = &[0, 0, 1];
    for (serial, table, expected) in [
        (u32::MAX - 5, have, 3),
        // Older: what it does not have, the newer one has.
        (u32::MAX - 6, dropped, 3),
        // Newer: the peer has dropped packet 2.
        (u32::MAX - 4, dropped, 4),
        (u32::MAX, have, 3),
        (u32::MAX - 1, dropped, 3),
        // What follows the highest serial is 1.
        (1, dropped, 4),
    ] {
        raw.give(&ack(serial, table));
        assert_eq!(in_flight(&mut raw), expected, "serial {serial}");
    }
    assert_eq!(raw.outcome(call), None);
}

#[test]
fn h20_call_numbers_reach_the_last_one_and_do_not_wrap() {
    let mut raw = Raw::new();
    for number in [1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        raw.give(&from_client(PacketType::Data).call(number).last());
        let call = raw.accept();
        assert_eq!(raw.outcome(call), None, "call {number}");
    }
    let before = raw.end.stats().calls;
    for number in [1, 2, 0x7fff_ffff] {
        assert!(raw.give(&from_client(PacketType::Data).call(number).last()).is_empty());
    }
    assert_eq!(raw.end.stats().calls, before);
}

#[test]
fn h21_a_clock_that_goes_back_is_held() {
    let mut raw = Raw::new();
    let (call, out) = raw.begin(&vec![7; 3000], CallOptions::default());
    let before = raw.end.poll_timeout().unwrap().0;
    raw.now = Instant::from_nanos(1);
    assert!(raw.poll().is_empty());
    raw.end.handle_timeout(raw.now);
    assert_eq!(raw.end.poll_timeout().unwrap().0, before, "no deadline came early");
    let (_, other) = raw.begin(b"ask", CallOptions::default());
    assert_eq!((other.len(), raw.end.poll_timeout().unwrap().0), (1, before), "nor one set since");
    let named = from_server(&out[1].header, PacketType::Ack).acks(AckReason::Requested, 3, 2, &[]);
    raw.give(&named.answering(out[1].header.serial));
    assert_eq!(raw.end.call(call).unwrap().stats().srtt, Some(Duration::ZERO), "not a negative round trip");
    raw.give(&reply(&out[0].header));
    assert_eq!(raw.outcome(call), Some(Ok(())));
    assert_eq!(raw.end.call(call).unwrap().read(&mut [0; 9]).map(|r| r.0), Ok(5));
}
