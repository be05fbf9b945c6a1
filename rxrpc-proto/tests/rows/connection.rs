//! Rows 14 to 29: which connection and which call a packet is for.

use std::net::IpAddr;
use std::time::Duration;

use rxrpc_proto::wire::{AbortCode, AckReason, Flags, Header, PacketType};
use rxrpc_proto::{BusyPolicy, CallError, CallId, CallOptions, Event, Fault, ServiceOptions, Target};

use crate::raw::{CID, Packet, Raw, SERVICE, Sent, from_client, from_server};
use crate::{answered, dropped};

pub(crate) const ROWS: &[fn()] = &[
    row_14_a_packet_to_an_unknown_client_connection_is_refused,
    row_15_a_packet_to_an_unknown_service_connection_is_refused_unless_it_is_an_ack,
    row_16_the_first_packet_to_a_service_not_offered_ends_the_connection,
    row_17_a_later_packet_to_a_service_not_offered_is_dropped,
    row_18_an_unknown_security_class_ends_the_connection,
    row_20_a_closed_endpoint_ends_the_connection,
    row_21_a_call_beyond_the_backlog_gets_busy,
    row_21_a_connection_beyond_its_limit_is_dropped,
    row_21_a_call_whose_connection_made_room_is_dead,
    row_22_another_security_index_is_dropped,
    row_23_another_service_is_refused,
    row_24_a_second_change_of_service_is_refused,
    row_25_a_call_older_than_the_last_is_dropped,
    row_26_of_a_service_call_that_ended_well_everything_is_dropped,
    row_27_a_call_not_begun_is_refused_beside_a_live_one,
    row_28_a_packet_to_an_idle_channel_is_refused,
    row_29_data_from_the_middle_of_an_unknown_call_is_told_that_nothing_is_here,
    row_29_only_data_of_the_next_call_ends_the_current_one,
    row_29_a_packet_from_elsewhere_is_counted,
];

fn ack(packet: Packet) -> Packet {
    packet.acks(AckReason::Requested, 1, 0, &[])
}

/// A client with a call in flight; the header of its first packet.
fn asking() -> (Raw, CallId, Header) {
    let mut raw = Raw::new();
    let (call, out) = raw.begin(b"ask", CallOptions::default());
    let header = out[0].header;
    (raw, call, header)
}

/// A client whose first call has been answered.
fn answered_call() -> (Raw, CallId, Header) {
    let (mut raw, call, header) = asking();
    raw.give(&from_server(&header, PacketType::Data).last().body(b"reply"));
    assert_eq!(raw.outcome(call), Some(Ok(())));
    raw.wait(Duration::from_millis(10));
    (raw, call, header)
}

/// A server whose first call has been answered, and the answer acknowledged.
fn served_call() -> Raw {
    let mut raw = Raw::new();
    let call = raw.serve();
    raw.write(call, b"reply");
    assert_eq!(raw.poll().len(), 1);
    raw.give(&from_client(PacketType::Ack).acks(AckReason::Delay, 2, 1, &[]).serial(2));
    assert_eq!(raw.outcome(call), Some(Ok(())));
    raw
}

fn bytes(sent: &[Sent]) -> Vec<&[u8]> {
    sent.iter().map(|s| &s.bytes[..]).collect()
}

#[test]
fn row_14_a_packet_to_an_unknown_client_connection_is_refused() {
    let to = from_client(PacketType::Data).header;
    for packet in [
        from_server(&to, PacketType::Data),
        ack(from_server(&to, PacketType::Ack)),
        from_server(&to, PacketType::AckAll),
        from_server(&to, PacketType::Challenge).call(0),
    ] {
        let mut raw = Raw::new();
        let sent = raw.give(&packet);
        answered(&raw, &sent, &packet.refusal(packet.header.call_number, -5), Fault::NoClientConnection);
    }
    for packet in
        [from_server(&to, PacketType::Abort).body(&[0, 0, 0, 1]), from_server(&to, PacketType::Busy)]
    {
        let mut raw = Raw::new();
        let sent = raw.give(&packet);
        dropped(&raw, &sent, Fault::NoClientConnection);
    }
}

#[test]
fn row_14_epoch_and_port_must_fit_but_not_the_address() {
    let reply = |header: &Header| from_server(header, PacketType::Data).last().body(b"reply");
    let (mut raw, call, header) = asking();
    let other_epoch = reply(&header).epoch(header.epoch ^ 1);
    let sent = raw.give(&other_epoch);
    answered(&raw, &sent, &other_epoch.refusal(1, -5), Fault::NoClientConnection);
    let (ip, port) = (raw.peer.ip(), raw.peer.port());
    assert_eq!(raw.give_from((ip, port + 1).into(), &reply(&header).bytes()).len(), 1);
    assert_eq!((raw.count(Fault::NoClientConnection), raw.outcome(call)), (2, None));
    raw.give_from(("10.99.0.1".parse::<IpAddr>().unwrap(), port).into(), &reply(&header).bytes());
    assert_eq!(raw.outcome(call), Some(Ok(())));
}

#[test]
fn row_15_a_packet_to_an_unknown_service_connection_is_refused_unless_it_is_an_ack() {
    for packet in [from_client(PacketType::AckAll), from_client(PacketType::Response).call(0)] {
        let mut raw = Raw::new();
        let sent = raw.give(&packet);
        answered(&raw, &sent, &packet.refusal(packet.header.call_number, -5), Fault::NoServiceConnection);
    }
    let ping = from_client(PacketType::Ack).acks(AckReason::Ping, 1, 0, &[]).flag(Flags::REQUEST_ACK);
    for packet in [ack(from_client(PacketType::Ack)), ping, from_client(PacketType::Abort).body(&[0; 4])] {
        let mut raw = Raw::new();
        let sent = raw.give(&packet);
        dropped(&raw, &sent, Fault::NoServiceConnection);
    }
}

#[test]
fn row_16_the_first_packet_to_a_service_not_offered_ends_the_connection() {
    let mut raw = Raw::new();
    let packet = from_client(PacketType::Data).service(99).channel(2).call(5);
    let sent = raw.give(&packet);
    answered(&raw, &sent, &packet.refusal(0, -2), Fault::ServiceNotOffered);
    assert_eq!(raw.end.stats().connections, 0);
}

#[test]
fn row_17_a_later_packet_to_a_service_not_offered_is_dropped() {
    let mut raw = Raw::new();
    let sent = raw.give(&from_client(PacketType::Data).service(99).seq(2));
    dropped(&raw, &sent, Fault::ServiceNotOfferedLate);
}

#[test]
fn row_18_an_unknown_security_class_ends_the_connection() {
    for index in 1..=255 {
        let mut raw = Raw::new();
        let packet = from_client(PacketType::Data).index(index);
        let sent = raw.give(&packet);
        answered(&raw, &sent, &packet.refusal(0, -2), Fault::UnsupportedSecurity);
        assert_eq!((raw.events(), raw.end.stats().connections), (vec![], 0));
    }
}

/// No class with keys exists yet, so "a class without keys" is a class that is not supported: row 18.
#[test]
fn row_19_without_classes_that_need_keys_is_row_18() {
    let mut raw = Raw::new();
    let rxkad = from_client(PacketType::Data).index(2);
    let sent = raw.give(&rxkad);
    answered(&raw, &sent, &rxkad.refusal(0, -2), Fault::UnsupportedSecurity);
}

#[test]
fn row_20_a_closed_endpoint_ends_the_connection() {
    let mut raw = Raw::new();
    raw.end.close();
    for seq in [1, 2] {
        let packet = from_client(PacketType::Data).seq(seq);
        assert_eq!(bytes(&raw.give(&packet)), [&packet.refusal(0, -2)[..]]);
    }
    assert_eq!((raw.faults(), raw.count(Fault::Closed)), (vec![Fault::Closed], 2));
}

#[test]
fn row_20_a_service_withdrawn_refuses_who_waits_and_who_comes() {
    let mut raw = Raw::new();
    raw.give(&from_client(PacketType::Data).last());
    raw.end.unlisten(SERVICE);
    let sent = raw.poll();
    assert_eq!((sent.len(), sent[0].header.call_number, sent[0].abort_code()), (1, 1, AbortCode(-2)));
    // The connection may carry calls that were accepted: only the new call is refused.
    let next = from_client(PacketType::Data).channel(1).last();
    assert_eq!(bytes(&raw.give(&next)), [&next.refusal(1, -2)[..]]);
}

#[test]
fn row_21_a_call_beyond_the_backlog_gets_busy() {
    let mut raw = Raw::new();
    raw.end.unlisten(SERVICE);
    raw.end.listen(SERVICE, ServiceOptions { backlog: 1, ..Default::default() }).unwrap();
    assert_eq!(raw.give(&from_client(PacketType::Data).last()).len(), 0);
    for packet in
        [from_client(PacketType::Data).channel(1), from_client(PacketType::Data).cid(CID + 4).seq(3)]
    {
        assert_eq!(bytes(&raw.give(&packet)), [&packet.busy()[..]]);
    }
    assert_eq!((raw.faults(), raw.count(Fault::NoRoom)), (vec![Fault::NoRoom], 2));
    assert_eq!((raw.end.stats().calls, raw.end.stats().connections), (1, 1));
    // The place is free again once the waiting call is taken; the same packet is welcome then.
    raw.accept();
    assert_eq!(raw.give(&from_client(PacketType::Data).channel(1).last()).len(), 0);
    assert_eq!(raw.end.stats().calls, 2);
}

#[test]
fn row_21_calls_of_endpoint_and_peer_are_limited_by_busy_too() {
    for limit_peer in [false, true] {
        let mut raw = Raw::with(|config| {
            let limits = &mut config.limits;
            *(if limit_peer { &mut limits.calls_per_peer } else { &mut limits.calls }) = 2;
        });
        for channel in [0, 1] {
            assert_eq!(raw.give(&from_client(PacketType::Data).channel(channel).last()).len(), 0);
        }
        let third = from_client(PacketType::Data).channel(2).last();
        let sent = raw.give(&third);
        answered(&raw, &sent, &third.busy(), Fault::NoRoom);
        let elsewhere = raw.give_from("10.0.0.10:7001".parse().unwrap(), &third.cid(CID + 8).bytes());
        assert_eq!(elsewhere.len(), usize::from(!limit_peer));
    }
}

#[test]
fn row_21_a_connection_beyond_its_limit_is_dropped() {
    let mut raw = Raw::with(|config| config.limits.service_connections = 2);
    for n in 0..2 {
        assert_eq!(raw.give(&from_client(PacketType::Data).cid(CID + 4 * n).last()).len(), 0);
    }
    let sent = raw.give(&from_client(PacketType::Data).cid(CID + 8).last());
    dropped(&raw, &sent, Fault::NoRoomForConnection);
    assert_eq!(raw.end.stats().connections, 2);
}

#[test]
fn row_21_a_call_whose_connection_made_room_is_dead() {
    let late =
        [from_client(PacketType::Data).last(), from_client(PacketType::Ack).acks(AckReason::Ping, 1, 0, &[])];
    for packet in late {
        let mut raw = Raw::with(|config| {
            config.validate_peers = true;
            config.limits.unvalidated_connections = 1;
        });
        for n in 0..2 {
            raw.give(&from_client(PacketType::Data).cid(CID + 4 * n).last());
        }
        let sent = raw.give(&packet);
        answered(&raw, &sent, &packet.refusal(1, -1), Fault::EvictedCall);
        assert_eq!(raw.end.stats().connections, 1);
    }
}

#[test]
fn row_22_another_security_index_is_dropped() {
    let mut raw = Raw::new();
    let call = raw.serve();
    let sent = raw.give(&from_client(PacketType::Data).index(2).last());
    dropped(&raw, &sent, Fault::SecurityMismatch);
    assert_eq!(raw.outcome(call), None);

    let (mut raw, call, header) = asking();
    let sent = raw.give(&from_server(&header, PacketType::Data).index(2).last());
    dropped(&raw, &sent, Fault::SecurityMismatch);
    assert_eq!(raw.outcome(call), None);
}

#[test]
fn row_22_abort_and_busy_are_known_whatever_their_index() {
    for (packet_type, expected) in [
        (PacketType::Abort, CallError::RemoteAbort(AbortCode(0x0101_0101))),
        (PacketType::Busy, CallError::Busy),
    ] {
        let (mut raw, call, header) = asking();
        raw.give(&from_server(&header, packet_type).index(2).service(9).body(&[1; 4]));
        assert_eq!((raw.outcome(call), raw.faults()), (Some(Err(expected)), vec![]));
    }
}

#[test]
fn row_23_another_service_is_refused() {
    let mut raw = Raw::new();
    let call = raw.serve();
    let packet = from_client(PacketType::Data).service(53).last();
    let sent = raw.give(&packet);
    answered(&raw, &sent, &packet.refusal(1, -5), Fault::ServiceMismatch);
    assert_eq!(raw.outcome(call), None);

    let (mut raw, call, header) = asking();
    let packet = from_server(&header, PacketType::Data).service(53).last();
    let sent = raw.give(&packet);
    answered(&raw, &sent, &packet.refusal(1, -5), Fault::ServiceMismatch);
    assert_eq!(raw.outcome(call), None);
}

#[test]
fn row_24_a_second_change_of_service_is_refused() {
    let mut raw = Raw::new();
    let target = Target { upgrade: true, ..Target::new(raw.peer, SERVICE) };
    let call = raw.end.begin_call(&target, CallOptions::default()).unwrap();
    raw.write(call, b"ask");
    let header = raw.poll()[0].header;
    raw.give(&ack(from_server(&header, PacketType::Ack).service(60)));
    assert_eq!(raw.end.call(call).unwrap().service(), 60);
    let packet = from_server(&header, PacketType::Data).service(61).last();
    let sent = raw.give(&packet);
    answered(&raw, &sent, &packet.refusal(1, -5), Fault::SecondUpgrade);
    assert_eq!((raw.end.call(call).unwrap().service(), raw.outcome(call)), (60, None));
}

#[test]
fn row_25_a_call_older_than_the_last_is_dropped() {
    let mut raw = served_call();
    raw.give(&from_client(PacketType::Data).call(2).last().serial(3));
    for packet in [
        from_client(PacketType::Data).call(1).last(),
        ack(from_client(PacketType::Ack)),
        from_client(PacketType::Abort).body(&[0; 4]),
    ] {
        assert_eq!(raw.give(&packet).len(), 0, "the last call is left alone once there is a next one");
    }
    let second = raw.accept();
    raw.give(&from_client(PacketType::Data).call(4).last().serial(4));
    assert_eq!(raw.outcome(second), Some(Err(CallError::LocalAbort(AbortCode::RX_CALL_DEAD))));
    let before = raw.count(Fault::AncientCall);
    for number in [1, 3] {
        assert_eq!(raw.give(&from_client(PacketType::Data).call(number).last()).len(), 0, "call {number}");
    }
    assert_eq!(raw.count(Fault::AncientCall), before + 2);
    assert_eq!(raw.end.stats().calls, 3, "none of them began anything");
}

#[test]
fn row_26_of_a_service_call_that_ended_well_everything_is_dropped() {
    let ping = from_client(PacketType::Ack).acks(AckReason::Ping, 2, 1, &[]).flag(Flags::REQUEST_ACK);
    for packet in [from_client(PacketType::Data).last(), ping, from_client(PacketType::Abort).body(&[0; 4])] {
        let mut raw = served_call();
        let sent = raw.give(&packet.serial(3));
        dropped(&raw, &sent, Fault::FinishedCall);
    }
}

#[test]
fn row_26_a_call_that_we_aborted_is_aborted_again_at_a_limited_rate() {
    let mut raw = Raw::with(|config| config.limits.replays_per_second = 3);
    let call = raw.serve();
    raw.end.call(call).unwrap().abort(AbortCode(77));
    assert_eq!(raw.poll()[0].abort_code(), AbortCode(77));
    let mut again = 0;
    for serial in 2..12 {
        for sent in raw.give(&from_client(PacketType::Data).last().serial(serial)) {
            assert_eq!((sent.header.call_number, sent.abort_code()), (1, AbortCode(77)));
            again += 1;
        }
    }
    assert_eq!((again, raw.end.stats().answers_suppressed), (3, 7));
}

#[test]
fn row_26_an_abort_or_the_answer_to_a_ping_is_not_answered_with_an_abort() {
    let mut raw = Raw::new();
    let call = raw.serve();
    raw.end.call(call).unwrap().abort(AbortCode(77));
    assert_eq!(raw.poll().len(), 1);
    let pong = from_client(PacketType::Ack).acks(AckReason::PingResponse, 1, 0, &[]);
    for packet in [from_client(PacketType::Abort).body(&[0; 4]), pong] {
        assert_eq!(raw.give(&packet).len(), 0);
    }
    let state = from_client(PacketType::Ack).acks(AckReason::Idle, 1, 0, &[]);
    assert_eq!(raw.give(&state)[0].abort_code(), AbortCode(77));
}

#[test]
fn row_26_a_call_that_failed_otherwise_is_aborted_as_dead() {
    let (mut raw, call, header) = asking();
    raw.give(&from_server(&header, PacketType::Abort).body(&[0, 0, 0, 1]));
    assert_eq!(raw.outcome(call), Some(Err(CallError::RemoteAbort(AbortCode(1)))));
    let sent = raw.give(&from_server(&header, PacketType::Data).last());
    assert_eq!((sent.len(), sent[0].abort_code()), (1, AbortCode::RX_CALL_DEAD));
}

#[test]
fn row_26_a_client_repeats_its_final_ack_for_data_and_questions_only() {
    let (mut raw, _, header) = answered_call();
    let last = raw.give(&from_server(&header, PacketType::Data).last().serial(9));
    assert_eq!((last.len(), last[0].header.call_number), (1, 1));
    assert_eq!(last[0].ack_says(), (AckReason::Duplicate, 9, 2, 1, vec![]));
    let ping = from_server(&header, PacketType::Ack).acks(AckReason::Ping, 2, 1, &[]);
    assert_eq!(raw.give(&ping.serial(10))[0].ack_says(), (AckReason::Duplicate, 10, 2, 1, vec![]));
    for reason in [AckReason::PingResponse, AckReason::Requested, AckReason::Idle, AckReason::Delay] {
        let state = from_server(&header, PacketType::Ack).acks(reason, 2, 1, &[]);
        assert_eq!(raw.give(&state.serial(11)).len(), 0, "{reason:?}");
    }
    for packet_type in [PacketType::Abort, PacketType::Busy] {
        assert_eq!(raw.give(&from_server(&header, packet_type).body(&[0; 4])).len(), 0);
    }
}

#[test]
fn row_26_an_old_call_is_left_alone_once_a_new_one_is_on_the_wire() {
    let (mut raw, _, header) = answered_call();
    let (_, out) = raw.begin(b"again", CallOptions::default());
    assert_eq!((out[0].header.cid, out[0].header.call_number), (header.cid, 2));
    assert_eq!(raw.give(&from_server(&header, PacketType::Data).last().serial(9)).len(), 0);
    assert_eq!(raw.faults(), [Fault::FinishedCall]);
}

#[test]
fn row_27_a_call_not_begun_is_refused_beside_a_live_one() {
    for packet_type in [PacketType::Data, PacketType::Ack, PacketType::AckAll] {
        let (mut raw, call, header) = asking();
        let mut packet = from_server(&header, packet_type).call(2);
        if packet_type == PacketType::Ack {
            packet = ack(packet);
        }
        let sent = raw.give(&packet);
        answered(&raw, &sent, &packet.refusal(2, -5), Fault::FutureCall);
        assert_eq!(raw.outcome(call), None);
    }
    for packet_type in [PacketType::Abort, PacketType::Busy] {
        let (mut raw, call, header) = asking();
        let sent = raw.give(&from_server(&header, packet_type).call(2).body(&[0; 4]));
        dropped(&raw, &sent, Fault::FutureCall);
        assert_eq!(raw.outcome(call), None);
    }
}

#[test]
fn row_28_a_packet_to_an_idle_channel_is_refused() {
    for packet_type in [PacketType::Data, PacketType::Ack, PacketType::AckAll] {
        let (mut raw, call, header) = asking();
        let mut packet = from_server(&header, packet_type).channel(2);
        if packet_type == PacketType::Ack {
            packet = ack(packet);
        }
        let sent = raw.give(&packet);
        answered(&raw, &sent, &packet.refusal(1, -5), Fault::NoCall);
        assert_eq!(raw.outcome(call), None);
    }
    let (mut raw, _, header) = answered_call();
    let packet = from_server(&header, PacketType::Data).call(2);
    let sent = raw.give(&packet);
    answered(&raw, &sent, &packet.refusal(2, -5), Fault::NoCall);
}

#[test]
fn row_29_data_of_the_next_call_ends_the_current_one() {
    // Answered: well.
    let mut raw = Raw::new();
    let call = raw.serve();
    raw.write(call, b"reply");
    raw.poll();
    assert_eq!(raw.give(&from_client(PacketType::Data).call(2).last().serial(2)).len(), 0);
    assert_eq!(raw.outcome(call), Some(Ok(())));
    // Not answered: it is dead. The client knows that it has moved on and is told nothing.
    let second = raw.accept();
    assert_eq!(raw.give(&from_client(PacketType::Data).call(7).last().serial(3)).len(), 0);
    assert_eq!(raw.outcome(second), Some(Err(CallError::LocalAbort(AbortCode::RX_CALL_DEAD))));
    let third = raw.accept();
    assert_eq!(raw.outcome(third), None);
    assert_eq!(raw.faults(), []);
}

#[test]
fn row_29_only_data_of_the_next_call_ends_the_current_one() {
    let mut raw = Raw::new();
    let call = raw.serve();
    for packet in [
        ack(from_client(PacketType::Ack)),
        from_client(PacketType::AckAll),
        from_client(PacketType::Abort).body(&[0; 4]),
    ] {
        assert_eq!(raw.give(&packet.call(2)).len(), 0);
    }
    assert_eq!((raw.faults(), raw.count(Fault::UnknownServiceCall)), (vec![Fault::UnknownServiceCall], 3));
    assert_eq!(raw.give(&from_client(PacketType::Ack).acks(AckReason::Ping, 1, 0, &[]).call(2)).len(), 1);
    assert_eq!(raw.outcome(call), None);
}

#[test]
fn row_29_data_from_the_middle_of_an_unknown_call_is_told_that_nothing_is_here() {
    let mut raw = Raw::new();
    let sent = raw.give(&from_client(PacketType::Data).call(3).seq(256).serial(77));
    assert_eq!((sent.len(), raw.faults()), (1, vec![Fault::MidCallStart]));
    assert_eq!(sent[0].ack_says(), (AckReason::ExceedsWindow, 77, 1, 0, vec![]));
    assert!(sent[0].ack().trailer().is_some(), "or OpenAFS takes us for an old peer");
    assert_eq!((sent[0].header.call_number, sent[0].header.serial), (3, 0));
    assert_eq!(sent[0].bytes.len(), 65);
    assert_eq!(raw.end.stats().connections, 0);
    // Within the window it may be the first that arrives.
    let sent = raw.give(&from_client(PacketType::Data).seq(255));
    assert_eq!(sent[0].ack_says().0, AckReason::OutOfSequence);
    assert!(matches!(raw.events()[..], [Event::Incoming { .. }]));
}

#[test]
fn row_29_a_packet_from_elsewhere_is_counted() {
    let mut raw = Raw::new();
    let call = raw.serve();
    let elsewhere = "10.5.5.5:1234".parse().unwrap();
    let sent = raw.give_from(elsewhere, &from_client(PacketType::Data).last().serial(2).bytes());
    assert_eq!((raw.count(Fault::AddressUnproven), raw.outcome(call)), (1, None));
    let to: Vec<_> = sent.iter().map(|s| (s.to, s.ack_says().0)).collect();
    assert_eq!(to, [(elsewhere, AckReason::Ping), (raw.peer, AckReason::Duplicate)]);
}

#[test]
fn a_call_may_ask_to_be_tried_again_after_busy() {
    let mut raw = Raw::new();
    let options = CallOptions { busy: BusyPolicy::Retry, ..Default::default() };
    let (call, out) = raw.begin(b"ask", options);
    raw.give(&from_server(&out[0].header, PacketType::Busy));
    assert_eq!(raw.outcome(call), None);
    let again = raw.wait(Duration::from_millis(1100));
    assert_eq!((again.len(), again[0].header.seq, again[0].header.call_number), (1, 1, 1));
}
