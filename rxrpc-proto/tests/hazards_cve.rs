//! Faults that were found in Linux's RxRPC and have a CVE number, tried here. `HAZARDS.md` lists all of them.

#[path = "harness/raw.rs"]
mod raw;

use std::net::SocketAddr;
use std::time::Duration;

use raw::{CID, Packet, Raw, SERVICE, Sent, from_client, from_server};
use rxrpc_proto::wire::{AbortCode, AckReason, Flags, Header, Malformed, PacketType};
use rxrpc_proto::{
    AcceptError, AcceptOptions, BeginCallError, CallError, CallId, CallOptions, Event, Fault, News, ReadMore,
    Rejection, ServiceOptions, Target, Wake,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn reply(header: &Header) -> Packet {
    from_server(header, PacketType::Data).last().body(b"reply")
}

fn begin(raw: &mut Raw) -> CallId {
    raw.end.begin_call(&Target::new(raw.peer, SERVICE), CallOptions::default()).unwrap()
}

/// The news of one call among these events.
fn news(events: &[Event], call: CallId) -> Vec<News> {
    let of_call = |e: &Event| match e {
        Event::Call { call: id, news, .. } if *id == call => Some(*news),
        _ => None,
    };
    events.iter().filter_map(of_call).collect()
}

fn ended(raw: &mut Raw, calls: &[CallId], code: i32) {
    for call in calls {
        assert_eq!(raw.outcome(*call), Some(Err(CallError::RemoteAbort(AbortCode(code)))));
    }
}

#[test]
fn cve_2022_49149_a_call_that_is_gone_leaves_no_timer_behind() {
    // Retransmission, delayed ACK, keepalive, silence and lifetime are armed when the call goes.
    let mut raw = Raw::new();
    let options = CallOptions { lifetime: Some(Duration::from_secs(9)), ..Default::default() };
    let (call, _) = raw.begin(&[7; 5000], options);
    raw.end.release(call);
    let sent = raw.poll();
    assert_eq!((sent.len(), sent[0].abort_code()), (1, AbortCode::RX_USER_ABORT));
    // The next call takes its slot. None of the old deadlines may reach it.
    let next = begin(&mut raw);
    assert_eq!(next.slot(), call.slot());
    assert_eq!(raw.poll().len(), 0);
    assert_eq!(raw.wait(Duration::from_secs(60)).len(), 0);
    assert_eq!((raw.outcome(next), raw.end.call(call).is_none()), (None, true));

    let mut raw = Raw::new();
    raw.give(&from_client(PacketType::Data).body(b"first of two"));
    let call = raw.accept();
    raw.end.release(call);
    assert_eq!(raw.poll()[0].abort_code(), AbortCode::RX_USER_ABORT);
    assert_eq!(raw.wait(Duration::from_secs(120)).len(), 0);

    // One that is over and not released waits for nothing either: its connection is what expires next.
    let mut raw = Raw::new();
    let call = raw.serve();
    raw.end.call(call).unwrap().abort(AbortCode(1));
    raw.poll();
    assert_eq!(raw.end.poll_timeout().map(|t| t.1), Some(Wake::ConnectionExpiry));
}

#[test]
fn cve_2022_49450_a_backlog_of_any_size_takes_so_many_and_no_more() {
    for backlog in [0, 1, 2, 31, 32, 33, 128, usize::MAX] {
        let mut raw = Raw::new();
        raw.end.unlisten(SERVICE);
        raw.end.listen(SERVICE, ServiceOptions { backlog, ..Default::default() }).unwrap();
        let mut refused = 0;
        for n in 0..130 {
            let packet = from_client(PacketType::Data).cid(CID + 4 * (n / 4)).channel(n % 4).last();
            let sent = raw.give(&packet);
            assert!(sent.iter().all(|s| s.is(PacketType::Busy)));
            refused += sent.len();
        }
        let waiting = backlog.min(130);
        assert_eq!((refused, raw.events().len()), (130 - waiting, waiting), "backlog {backlog}");
        // A place is free with each call that is taken, in the order they came.
        for _ in 0..waiting {
            raw.accept();
        }
        assert_eq!(raw.end.waiting(SERVICE), None);
    }
}

/// What an application does to a call.
const WISHES: [fn(&mut Raw, CallId); 5] = [
    |raw, call| _ = raw.end.call(call).map(|mut c| c.write(&[7; 3000])),
    |raw, call| _ = raw.end.call(call).map(|mut c| c.finish()),
    |raw, call| _ = raw.end.call(call).map(|mut c| c.abort(AbortCode(5))),
    |raw, call| raw.end.release(call),
    |raw, _| raw.end.close(),
];

/// There are no locks to take wrongly; but every order of sending, aborting, releasing and closing must end the
/// call once, and leave nothing.
#[test]
fn cve_2022_49998_sending_aborting_and_closing_in_any_order_ends_a_call_once() {
    for order in 0..5 * 5 * 5 * 5 {
        for polls in 0..16 {
            let mut raw = Raw::new();
            let call = begin(&mut raw);
            let mut events = Vec::new();
            for step in 0..4 {
                WISHES[order / 5usize.pow(step) % 5](&mut raw, call);
                if polls >> step & 1 == 1 {
                    raw.poll();
                    events.extend(raw.events());
                }
            }
            raw.end.close();
            raw.poll();
            events.extend(raw.events());
            let news = news(&events, call);
            let released = raw.end.call(call).is_none();
            let ends = news.iter().filter(|n| n.ended()).count();
            assert!(ends <= 1 && (ends == 1 || released), "order {order}, polls {polls}: {news:?}");
            assert!(news.iter().position(|n| n.ended()).is_none_or(|i| i + 1 == news.len()));
            assert_eq!(raw.end.stats().calls, usize::from(!released));
            assert_eq!(raw.end.stats().unacknowledged, 0);
        }
    }
}

#[test]
fn cve_2023_53345_a_call_cancelled_while_it_waits_for_a_channel_is_skipped() {
    let mut raw = Raw::with(|config| config.limits.connections_per_bundle = 1);
    let live: Vec<_> = (0..4).map(|_| raw.begin(b"ask", CallOptions::default())).collect();
    let (second, third) = (begin(&mut raw), begin(&mut raw));
    raw.write(third, b"third");
    assert_eq!(raw.poll().len(), 0, "no channel is free");
    raw.end.call(second).unwrap().abort(AbortCode(1));
    assert_eq!(raw.poll().len(), 0, "the server never heard of it");
    assert_eq!(raw.outcome(second), Some(Err(CallError::LocalAbort(AbortCode(1)))));
    let sent = raw.give(&reply(&live[2].1[0].header));
    let data: Vec<_> = sent.iter().filter(|s| s.is(PacketType::Data)).collect();
    assert_eq!((data.len(), data[0].header.channel(), data[0].header.call_number), (1, 2, 2));
}

#[test]
fn cve_2024_49864_any_datagram_may_be_the_first_thing_that_happens() {
    for number in 0..=255 {
        for flags in [Flags::CLIENT_INITIATED, Flags::NONE] {
            for listens in [false, true] {
                let mut raw = Raw::new();
                if !listens {
                    raw.end.unlisten(SERVICE);
                }
                let mut packet = from_client(PacketType::from(number)).body(&[0; 40]);
                packet.header.flags = flags;
                packet.header.seq = 1;
                let sent = raw.give(&packet);
                assert!(sent.len() <= 1);
                let begins = number == 1 && listens && flags == Flags::CLIENT_INITIATED;
                assert_eq!(raw.end.stats().calls, usize::from(begins));
            }
        }
    }
}

#[test]
fn cve_2024_50294_beginning_and_aborting_while_others_wait_loses_no_call() {
    let mut raw = Raw::with(|config| config.limits.connections_per_bundle = 1);
    let first: Vec<_> = (0..4).map(|_| raw.begin(b"ask", CallOptions::default())).collect();
    let mut waiting = Vec::new();
    for n in 0..200 {
        let call = begin(&mut raw);
        raw.write(call, b"ask");
        if n % 3 != 0 {
            raw.end.call(call).unwrap().abort(AbortCode(1));
        } else {
            waiting.push(call);
        }
        if n % 7 == 0 {
            raw.poll();
        }
    }
    assert!(raw.poll().is_empty());
    // Each answer lets the next one of those that still wait go, in order.
    let mut on_wire: Vec<_> = first.into_iter().map(|(call, out)| (call, out[0].header)).collect();
    let mut done = 0;
    while !on_wire.is_empty() {
        let (call, header) = on_wire.remove(0);
        let sent = raw.give(&reply(&header).serial(header.serial));
        assert_eq!(raw.outcome(call), Some(Ok(())));
        done += 1;
        for data in sent.iter().filter(|s| s.is(PacketType::Data)) {
            on_wire.push((waiting.remove(0), data.header));
        }
    }
    assert_eq!((done, waiting.len()), (4 + 67, 0));
}

#[test]
fn cve_2024_58053_a_connection_abort_ends_its_four_calls_and_wakes_each() {
    let mut raw = Raw::new();
    let calls: Vec<_> = (0..4).map(|_| raw.begin(b"ask", CallOptions::default())).collect();
    let (other, _) = raw.begin(b"ask", CallOptions::default());
    raw.events();
    let header = calls[1].1[0].header;
    let sent = raw.give(&from_server(&header, PacketType::Abort).call(0).body(&[0, 0, 0, 33]));
    assert!(sent.is_empty(), "never an ABORT for an ABORT");
    let ids: Vec<_> = calls.iter().map(|c| c.0).collect();
    ended(&mut raw, &ids, 33);
    let events = raw.events();
    for call in ids {
        assert_eq!(news(&events, call), [News::ENDED]);
    }
    assert_eq!(raw.outcome(other), None, "it lives on another connection");
    // No further call goes there.
    let (_, out) = raw.begin(b"ask", CallOptions::default());
    assert_ne!(out[0].header.connection_id(), header.connection_id());

    // The server's side of the same.
    let mut raw = Raw::new();
    let calls: Vec<_> = (0..4)
        .map(|channel| {
            raw.give(&from_client(PacketType::Data).channel(channel).last());
            raw.accept()
        })
        .collect();
    raw.events();
    raw.give(&from_client(PacketType::Abort).call(0).body(&[0, 0, 0, 34]));
    ended(&mut raw, &calls, 34);
    assert_eq!(raw.events().len(), 4);
}

#[test]
fn cve_2025_38514_a_call_to_an_endpoint_that_offers_nothing_is_refused() {
    let mut raw = Raw::new();
    raw.end.unlisten(SERVICE);
    let packet = from_client(PacketType::Data).last();
    let sent = raw.give(&packet);
    assert_eq!(sent[0].bytes, packet.refusal(0, -2));
    assert_eq!((raw.end.stats().calls, raw.end.stats().peers, raw.events()), (0, 0, vec![]));
}

#[test]
fn cve_2025_38524_a_complete_call_can_be_read_again_and_again() {
    let mut raw = Raw::new();
    let (call, out) = raw.begin(b"ask", CallOptions::default());
    raw.give(&reply(&out[0].header));
    let mut buf = [0; 16];
    let mut view = raw.end.call(call).unwrap();
    assert_eq!(view.read(&mut buf), Ok((5, ReadMore::End)));
    for _ in 0..3 {
        assert_eq!(view.read(&mut buf), Ok((0, ReadMore::End)));
        assert_eq!(view.read_chunk(9), Ok(None));
        assert_eq!(view.outcome(), Some(Ok(())));
    }
}

#[test]
fn cve_2025_39962_a_body_of_any_length_from_0_to_40_is_judged_by_its_length() {
    for number in 1..=13 {
        for len in 0..=40 {
            for (side, live) in [(0, false), (0, true), (1, false), (1, true)] {
                let mut raw = Raw::new();
                let header = match (side, live) {
                    (0, true) => raw.begin(b"ask", CallOptions::default()).1[0].header,
                    (_, true) => {
                        raw.serve();
                        from_client(PacketType::Data).header
                    }
                    _ => from_client(PacketType::Data).header,
                };
                let packet = match side {
                    0 => from_server(&header, PacketType::from(number)),
                    _ => from_client(PacketType::from(number)).serial(5),
                };
                raw.give(&packet.body(&vec![0; len]));
                let short = |fault: Malformed| raw.count(Fault::Malformed(fault)) == 1;
                assert_eq!(short(Malformed::ShortAck), number == 2 && len < 18, "type {number}, {len}");
                assert_eq!(short(Malformed::ShortAbort), number == 4 && len < 4, "type {number}, {len}");
            }
        }
    }
}

#[test]
fn cve_2026_23066_reading_a_failed_call_makes_no_further_event() {
    let mut raw = Raw::new();
    let (call, out) = raw.begin(b"ask", CallOptions::default());
    raw.give(&from_server(&out[0].header, PacketType::Data).body(b"some"));
    raw.give(&from_server(&out[0].header, PacketType::Abort).body(&[0, 0, 0, 9]));
    let events = raw.events();
    assert_eq!(news(&events, call).iter().filter(|n| n.ended()).count(), 1);
    let error = rxrpc_proto::ReadError::Ended(CallError::RemoteAbort(AbortCode(9)));
    for _ in 0..3 {
        let mut view = raw.end.call(call).unwrap();
        assert_eq!(view.read_chunk(9), Err(error));
        assert_eq!(view.read(&mut [0; 9]), Err(error));
        assert_eq!(view.peek(&mut [0; 9]), Err(error));
        assert!(raw.poll().is_empty());
        assert_eq!(raw.events(), []);
    }
}

#[test]
fn cve_2026_31630_the_longest_address_is_printed_whole() {
    let longest = "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535";
    let addr: SocketAddr = longest.parse().unwrap();
    assert_eq!(
        BeginCallError::TooManyCallsToPeer(addr).to_string(),
        format!("too many calls to {longest}; end some first")
    );
    let mut raw = Raw::new();
    raw.give_from(addr, &from_client(PacketType::Data).last().bytes());
    let call = raw.accept();
    assert_eq!(raw.end.call(call).unwrap().peer(), addr);
    assert!(format!("{:?}", raw.end).contains(longest));
}

#[test]
fn cve_2026_31638_a_packet_to_an_idle_channel_with_a_higher_number_is_refused() {
    for number in (1..=13).chain([200]) {
        let mut raw = Raw::new();
        let (call, out) = raw.begin(b"ask", CallOptions::default());
        let header = out[0].header;
        raw.give(&reply(&header));
        assert_eq!(raw.outcome(call), Some(Ok(())));
        for (channel, call) in [(0, 2), (0, 0xffff_ffff), (3, 1)] {
            let packet = from_server(&header, PacketType::from(number)).channel(channel).call(call);
            let sent = raw.give(&packet.body(&[1; 40]));
            assert!(sent.iter().all(|s| s.is(PacketType::Abort)), "type {number}: {sent:?}");
            assert_eq!(sent.len(), usize::from(matches!(number, 1 | 2 | 5 | 12 | 200)), "type {number}");
        }
    }
}

#[test]
fn cve_2026_31642_what_exists_can_be_counted_while_calls_come_and_go() {
    let mut raw = Raw::new();
    let mut released = 0;
    for n in 0u32..300 {
        let packet = from_client(PacketType::Data).cid(CID + 4 * (n % 50)).call(1 + n / 50).last();
        raw.give(&packet.serial(1 + n / 50));
        let call = raw.accept();
        match n % 3 {
            0 => _ = raw.end.call(call).unwrap().abort(AbortCode(1)),
            1 => raw.end.release(call),
            _ => {}
        }
        raw.poll();
        released += usize::from(n % 3 == 1);
        let stats = raw.end.stats();
        assert_eq!(stats.calls, n as usize + 1 - released);
        assert_eq!(stats.connections, 50.min(n as usize + 1));
    }
}

/// Without a security class there is nothing to answer: whatever the connection's state, it stays as it is.
#[test]
fn cve_2026_31676_a_response_changes_no_connection_without_security() {
    let response = || from_client(PacketType::Response).call(0).serial(9).body(&[0; 60]);
    let mut raw = Raw::new();
    assert_eq!(raw.give(&response())[0].bytes, response().refusal(0, -5), "no connection");
    let call = raw.serve();
    for packet in [response(), response().index(2)] {
        assert!(raw.give(&packet).is_empty(), "a live call");
    }
    assert_eq!(raw.outcome(call), None);
    raw.end.call(call).unwrap().abort(AbortCode(1));
    assert_eq!(raw.poll().len(), 1);
    assert!(raw.give(&response()).is_empty(), "an aborted one");
    assert_eq!((raw.count(Fault::UnexpectedResponse), raw.count(Fault::SecurityMismatch)), (2, 1));
}

#[test]
fn cve_2026_45998_data_that_cannot_be_kept_is_dropped_and_asked_for_again() {
    let mut raw = Raw::with(|config| config.limits.receive_total = 4000);
    let data = |seq| from_client(PacketType::Data).seq(seq).serial(seq).body(&[seq as u8; 1412]);
    raw.give(&data(1));
    let call = raw.accept();
    let mut sent = Vec::new();
    for seq in 2..10 {
        sent = raw.give(&data(seq));
        assert!(raw.end.stats().unread <= 4000 + 1412 + 64, "one packet is held while the window is closed");
    }
    assert_eq!(sent[0].ack_says().0, AckReason::ExceedsWindow);
    assert_eq!(sent[0].ack().trailer().unwrap().rwind, Some(0));
    // Once it is read the rest is welcome.
    let read = raw.read(call).len();
    assert!(raw.poll().iter().any(|s| s.ack().trailer().unwrap().rwind > Some(0)));
    let base = 1 + (read / 1412) as u32;
    let again = raw.give(&data(base + 1));
    assert!(again.iter().all(|s| s.ack_says().0 != AckReason::ExceedsWindow), "{again:?}");
}

#[test]
fn cve_2026_53151_a_table_of_any_length_cut_anywhere_is_read_or_refused() {
    for entries in 0..=255usize {
        for kept in [0, 1, entries / 2, entries.saturating_sub(1), entries, entries + 1, entries + 19] {
            let mut raw = Raw::new();
            let (call, out) = raw.begin(&vec![7; 1412 * 10], CallOptions::default());
            assert_eq!(out.len(), 10);
            let table: Vec<u8> = (0..entries).map(|i| if i % 2 == 1 { 0xff } else { 0 }).collect();
            let mut packet =
                from_server(&out[0].header, PacketType::Ack).acks(AckReason::Requested, 1, 10, &table);
            packet.body.truncate(18 + kept);
            let before = packet.bytes();
            let bytes = packet.bytes();
            raw.give_bytes(&bytes);
            assert_eq!(bytes, before, "what comes in is only read");
            let expected = if kept < entries {
                Some(Err(CallError::Protocol(Fault::ShortSack)))
            } else if entries > 10 {
                Some(Err(CallError::Protocol(Fault::SackOverflow)))
            } else {
                None
            };
            assert_eq!(raw.outcome(call), expected, "{entries} entries, {kept} octets");
            if expected.is_none() {
                let acked = raw.end.call(call).unwrap().stats().in_flight as usize;
                assert!(acked <= 10 - entries / 2);
            }
        }
    }
}

/// A client call in each of its states, brought there by hand; the header its server would answer.
fn client_states() -> Vec<(&'static str, Raw, CallId, Header)> {
    let mut states = Vec::new();
    let mut raw = Raw::with(|config| config.limits.connections_per_bundle = 1);
    let header = (0..4).map(|_| raw.begin(b"ask", CallOptions::default()).1[0].header).next_back().unwrap();
    let call = begin(&mut raw);
    raw.poll();
    states.push(("queued", raw, call, Header { call_number: 2, ..header }));

    let mut raw = Raw::new();
    let (first, out) = raw.begin(b"ask", CallOptions::default());
    raw.give(&reply(&out[0].header));
    raw.end.release(first);
    raw.wait(ms(10));
    let call = begin(&mut raw);
    raw.poll();
    states.push(("nothing sent", raw, call, Header { call_number: 2, ..out[0].header }));

    let mut raw = Raw::new();
    let call = begin(&mut raw);
    raw.end.call(call).unwrap().write(&[7; 3000]).unwrap();
    let header = raw.poll()[0].header;
    states.push(("sending", raw, call, header));

    let mut raw = Raw::new();
    let (call, out) = raw.begin(b"ask", CallOptions::default());
    states.push(("sent", raw, call, out[0].header));

    let mut raw = Raw::new();
    let (call, out) = raw.begin(b"ask", CallOptions::default());
    raw.give(&from_server(&out[0].header, PacketType::Data).body(b"half"));
    states.push(("receiving", raw, call, out[0].header));

    let mut raw = Raw::new();
    let (call, out) = raw.begin(b"ask", CallOptions::default());
    raw.give(&reply(&out[0].header));
    states.push(("done", raw, call, out[0].header));
    states
}

#[test]
fn cve_2026_74429_reply_data_in_every_state_of_a_client_call() {
    let early = Some(Err(CallError::Protocol(Fault::EarlyReply)));
    let expected = [
        ("queued", None, 1),
        ("nothing sent", early, 0),
        ("sending", early, 1),
        // The first final acknowledgement to a server goes out at once: it proves our address.
        ("sent", Some(Ok(())), 1),
        ("receiving", Some(Ok(())), 1),
        ("done", Some(Ok(())), 1),
    ];
    for ((state, mut raw, call, header), (name, outcome, answers)) in
        client_states().into_iter().zip(expected)
    {
        assert_eq!(state, name);
        let seq = if state == "receiving" { 2 } else { 1 };
        let sent = raw.give(&reply(&header).seq(seq).serial(20));
        assert_eq!((raw.outcome(call), sent.len()), (outcome, answers), "{state}: {sent:?}");
    }
}

/// What an ACKALL did in a state.
fn ack_all(raw: &mut Raw, packet: &Packet, call: CallId) -> (Option<Result<(), CallError>>, u32, Vec<Sent>) {
    let sent = raw.give(packet);
    let in_flight = raw.end.call(call).unwrap().stats().in_flight;
    (raw.outcome(call), in_flight, sent)
}

#[test]
fn cve_2026_74430_ackall_in_every_state_of_a_call() {
    for (state, mut raw, call, header) in client_states() {
        let before = raw.outcome(call);
        let packet = from_server(&header, PacketType::AckAll).serial(20);
        let (outcome, in_flight, sent) = ack_all(&mut raw, &packet, call);
        assert_eq!((outcome, in_flight), (before, 0), "{state}");
        // The queued call has no number yet, so this is to a call not begun.
        let answers = usize::from(state == "queued") + usize::from(state == "done");
        assert_eq!(sent.len(), answers, "{state}: {sent:?}");
    }

    let ack = || from_client(PacketType::AckAll).serial(20);
    let mut raw = Raw::new();
    raw.give(&from_client(PacketType::Data).body(b"half"));
    let call = raw.accept();
    assert_eq!(ack_all(&mut raw, &ack(), call).0, None, "receiving");
    raw.give(&from_client(PacketType::Data).seq(2).last().serial(2));
    assert_eq!(ack_all(&mut raw, &ack(), call).0, None, "working");
    raw.end.call(call).unwrap().write(&[7; 3000]).unwrap();
    assert_eq!(raw.poll().len(), 2);
    let (outcome, in_flight, _) = ack_all(&mut raw, &ack(), call);
    assert_eq!((outcome, in_flight), (None, 0), "replying: what was sent has arrived, no more than that");
    raw.end.call(call).unwrap().finish().unwrap();
    assert_eq!(raw.poll().len(), 1);
    assert_eq!(ack_all(&mut raw, &ack(), call).0, Some(Ok(())), "replied");
    assert!(ack_all(&mut raw, &ack(), call).2.is_empty(), "over");
}

#[test]
fn cve_2026_74434_peeking_takes_nothing() {
    let mut raw = Raw::new();
    raw.give(&from_client(PacketType::Data).last().body(b"ask"));
    let call = raw.accept();
    let mut buf = [0; 8];
    let mut view = raw.end.call(call).unwrap();
    for _ in 0..3 {
        assert_eq!(view.peek(&mut buf), Ok((3, ReadMore::End)));
        assert_eq!(view.peek(&mut buf[..2]), Ok((2, ReadMore::More)));
    }
    assert_eq!(view.read(&mut buf), Ok((3, ReadMore::End)));
}

#[test]
fn cve_2026_74436_closing_while_calls_wait_ends_each_once() {
    for closes in [true, false] {
        let mut raw = Raw::new();
        for n in 0..5 {
            raw.give(&from_client(PacketType::Data).cid(CID + 4 * n).last());
        }
        let waiting: Vec<_> = raw
            .events()
            .iter()
            .map(|e| match e {
                Event::Incoming { call, .. } => *call,
                other => panic!("{other:?}"),
            })
            .collect();
        raw.end.accept(waiting[0], AcceptOptions::default()).unwrap();
        if closes {
            raw.end.close()
        } else {
            raw.end.unlisten(SERVICE)
        }
        let codes: Vec<_> = raw.poll().iter().map(|s| s.abort_code().0).collect();
        assert_eq!(codes, if closes { vec![-1; 5] } else { vec![-2; 4] });
        let again = raw.end.accept(waiting[0], AcceptOptions::default());
        assert_eq!(again, Err(AcceptError::NothingWaiting), "it was taken");
        for call in &waiting[1..] {
            let expected = if closes {
                AcceptError::Aborted(CallError::EndpointClosed)
            } else {
                AcceptError::NothingWaiting
            };
            assert_eq!(raw.end.accept(*call, AcceptOptions::default()), Err(expected));
            assert_eq!(raw.end.reject(*call, Rejection::Busy), Err(AcceptError::NothingWaiting));
        }
        assert_eq!(raw.end.stats().calls, 1);
    }
}
