//! Rows 1 to 13: the packet alone shows the fault.

use rxrpc_proto::wire::{AbortCode, AckReason, Flags, Header, Malformed, PacketType};
use rxrpc_proto::{CallError, CallOptions, Event, Fault};

use crate::raw::{EPOCH, Packet, Raw, from_client, from_server, peer_addr};
use crate::{answered, dropped};

pub(crate) const ROWS: &[fn()] = &[
    row_01_a_datagram_shorter_than_a_header_is_dropped,
    row_02_an_ack_shorter_than_46_bytes_is_dropped,
    row_03_a_version_answer_or_keepalive_is_dropped,
    row_04_a_malformed_version_request_is_dropped,
    row_05_busy_from_a_client_is_dropped,
    row_06_busy_ack_or_ackall_without_a_call_is_refused,
    row_07_an_abort_without_its_code_is_dropped,
    row_08_data_without_a_call_is_refused,
    row_08_data_without_a_number_is_refused,
    row_09_a_challenge_to_a_server_is_dropped,
    row_09_a_response_to_a_client_is_dropped,
    row_11_an_unknown_type_is_refused,
    row_11_debug_is_dropped_while_the_service_is_off,
    row_12_service_zero_is_refused,
    row_13_a_source_that_cannot_be_answered_is_dropped,
];

/// A packet of the server side that belongs to nothing.
fn stray_from_server(packet_type: PacketType) -> Packet {
    from_server(&from_client(PacketType::Data).header, packet_type)
}

#[test]
fn row_01_a_datagram_shorter_than_a_header_is_dropped() {
    for packet_type in [PacketType::Data, PacketType::Abort, PacketType::Version] {
        let whole = from_client(packet_type).bytes();
        for len in 1..28 {
            let mut raw = Raw::new();
            let sent = raw.give_bytes(&whole[..len]);
            dropped(&raw, &sent, Malformed::ShortHeader);
            assert_eq!(raw.end.stats().datagrams_received, 1);
        }
    }
}

#[test]
fn row_02_an_ack_shorter_than_46_bytes_is_dropped() {
    for len in 0..18 {
        let mut raw = Raw::new();
        let sent = raw.give(&from_client(PacketType::Ack).body(&vec![0; len]));
        dropped(&raw, &sent, Malformed::ShortAck);
    }
    // The call it names lives on.
    let mut raw = Raw::new();
    let call = raw.serve();
    let sent = raw.give(&from_client(PacketType::Ack).body(&[0; 17]));
    dropped(&raw, &sent, Malformed::ShortAck);
    assert_eq!(raw.outcome(call), None);
}

#[test]
fn row_03_a_version_answer_or_keepalive_is_dropped() {
    for len in [0, 1, 2, 65, 1000] {
        let mut raw = Raw::new();
        let sent = raw.give(&stray_from_server(PacketType::Version).last().body(&vec![0; len]));
        dropped(&raw, &sent, Malformed::VersionNotRequest);
        assert_eq!(raw.events(), []);
    }
}

#[test]
fn row_04_a_malformed_version_request_is_dropped() {
    for body in [&[][..], &[1], &[0x41, 0, 0]] {
        let mut raw = Raw::new();
        let sent = raw.give(&from_client(PacketType::Version).body(body));
        dropped(&raw, &sent, Malformed::VersionMalformed);
    }
    // A sound one is answered, whatever service and call it names.
    let mut raw = Raw::new();
    let sent = raw.give(&from_client(PacketType::Version).call(0).service(0).body(&[0]));
    assert_eq!((sent.len(), sent[0].bytes.len(), sent[0].header.flags), (1, 28 + 65, Flags::LAST_PACKET));
    assert_eq!(raw.faults(), []);
}

#[test]
fn row_05_busy_from_a_client_is_dropped() {
    let mut raw = Raw::new();
    let sent = raw.give(&from_client(PacketType::Busy));
    dropped(&raw, &sent, Malformed::BusyFromClient);
    let call = raw.serve();
    assert_eq!(raw.give(&from_client(PacketType::Busy)).len(), 0);
    assert_eq!(raw.outcome(call), None);
}

#[test]
fn row_06_busy_ack_or_ackall_without_a_call_is_refused() {
    let state = |packet: Packet| packet.call(0).acks(AckReason::Ping, 1, 0, &[]);
    for packet in [
        state(from_client(PacketType::Ack)),
        state(stray_from_server(PacketType::Ack)),
        from_client(PacketType::AckAll).call(0),
        stray_from_server(PacketType::AckAll).call(0),
        stray_from_server(PacketType::Busy).call(0),
    ] {
        let mut raw = Raw::new();
        let sent = raw.give(&packet);
        answered(&raw, &sent, &packet.refusal(0, -5), Malformed::ZeroCallNumber);
    }
}

#[test]
fn row_07_an_abort_without_its_code_is_dropped() {
    for len in 0..4 {
        let mut raw = Raw::new();
        let (call, out) = raw.begin(b"ask", CallOptions::default());
        let abort = from_server(&out[0].header, PacketType::Abort);
        let sent = raw.give(&abort.clone().body(&vec![0xff; len]));
        dropped(&raw, &sent, Malformed::ShortAbort);
        assert_eq!(raw.outcome(call), None);
        // Octets after the code do not matter.
        raw.give(&abort.body(&[0, 0, 0, 9, 1, 2, 3]));
        assert_eq!(raw.outcome(call), Some(Err(CallError::RemoteAbort(AbortCode(9)))));
    }
}

#[test]
fn row_08_data_without_a_call_is_refused() {
    for packet in [from_client(PacketType::Data), stray_from_server(PacketType::Data)] {
        let mut raw = Raw::new();
        let packet = packet.call(0);
        let sent = raw.give(&packet);
        answered(&raw, &sent, &packet.refusal(0, -5), Malformed::ZeroCallOnData);
    }
}

#[test]
fn row_08_data_without_a_number_is_refused() {
    let mut raw = Raw::new();
    let packet = from_client(PacketType::Data).seq(0).last();
    let sent = raw.give(&packet);
    answered(&raw, &sent, &packet.refusal(1, -5), Malformed::ZeroSeq);
    assert_eq!((raw.events(), raw.end.stats().connections), (vec![], 0));
}

#[test]
fn row_09_a_challenge_to_a_server_is_dropped() {
    let mut raw = Raw::new();
    let sent = raw.give(&from_client(PacketType::Challenge).call(0).index(2).body(&[0; 16]));
    dropped(&raw, &sent, Malformed::ChallengeToServer);
}

#[test]
fn row_09_a_response_to_a_client_is_dropped() {
    let mut raw = Raw::new();
    let (call, out) = raw.begin(b"ask", CallOptions::default());
    let sent = raw.give(&from_server(&out[0].header, PacketType::Response).call(0).body(&[0; 60]));
    dropped(&raw, &sent, Malformed::ResponseToClient);
    assert_eq!(raw.outcome(call), None);
}

#[test]
fn row_10_types_9_10_and_11_are_ignored() {
    for number in [9, 10, 11] {
        let packet_type = PacketType::from(number);
        let mut raw = Raw::new();
        let call = raw.serve();
        for packet in [from_client(packet_type), stray_from_server(packet_type)] {
            for packet in [packet.clone(), packet.call(0).service(0).body(&[0xff; 40])] {
                assert_eq!(raw.give(&packet).len(), 0, "type {number}");
            }
        }
        assert_eq!((raw.faults(), raw.outcome(call)), (vec![], None));
    }
}

#[test]
fn row_11_an_unknown_type_is_refused() {
    for number in [0, 12].into_iter().chain(14..=255) {
        for packet in [from_client(PacketType::from(number)), stray_from_server(PacketType::from(number))] {
            let mut raw = Raw::new();
            let sent = raw.give(&packet);
            answered(&raw, &sent, &packet.refusal(1, -5), Malformed::UnknownType);
        }
    }
}

#[test]
fn row_11_debug_is_dropped_while_the_service_is_off() {
    for packet in [from_client(PacketType::Debug), stray_from_server(PacketType::Debug)] {
        let mut raw = Raw::new();
        let sent = raw.give(&packet.epoch(999).cid(0).body(&[0, 0, 0, 1, 0, 0, 0, 0]));
        dropped(&raw, &sent, Fault::DebugOff);
    }
}

#[test]
fn row_12_service_zero_is_refused() {
    for packet in [
        from_client(PacketType::Data),
        stray_from_server(PacketType::Data),
        from_client(PacketType::Ack).acks(AckReason::Idle, 1, 0, &[]),
        from_client(PacketType::AckAll),
        from_client(PacketType::Response).call(0),
        stray_from_server(PacketType::Challenge).call(0),
    ] {
        let mut raw = Raw::new();
        let packet = packet.service(0);
        let sent = raw.give(&packet);
        answered(&raw, &sent, &packet.refusal(packet.header.call_number, -5), Malformed::ZeroService);
    }
}

#[test]
fn row_12_abort_and_busy_are_known_without_a_service() {
    for (packet_type, code, expected) in [
        (PacketType::Abort, &[0, 0, 0, 110][..], CallError::RemoteAbort(AbortCode(110))),
        (PacketType::Busy, &[], CallError::Busy),
    ] {
        let mut raw = Raw::new();
        let (call, out) = raw.begin(b"ask", CallOptions::default());
        let sent = raw.give(&from_server(&out[0].header, packet_type).service(0).body(code));
        assert_eq!((sent.len(), raw.faults()), (0, vec![]));
        assert_eq!(raw.outcome(call), Some(Err(expected)));
    }
}

#[test]
fn row_13_a_source_that_cannot_be_answered_is_dropped() {
    for source in
        ["10.0.0.9:0", "0.0.0.0:7001", "255.255.255.255:7001", "224.0.0.1:7001", "[::]:1", "[ff02::1]:1"]
    {
        let mut raw = Raw::new();
        let sent = raw.give_from(source.parse().unwrap(), &from_client(PacketType::Data).last().bytes());
        dropped(&raw, &sent, Fault::UnusableSource);
        assert_eq!(raw.events(), []);
    }
    // Families do not matter to the core: an address is one value.
    let mut raw = Raw::new();
    raw.give_from("[2001:db8::1]:7001".parse().unwrap(), &from_client(PacketType::Data).last().bytes());
    assert!(matches!(raw.events()[..], [Event::Incoming { .. }]));
}

#[test]
fn a_refusal_goes_back_where_the_packet_came_from_and_copies_nothing_else() {
    let packet = from_client(PacketType::Other(77)).channel(3).call(9).seq(8).serial(7).status(1).index(2);
    let mut raw = Raw::new();
    let sent = raw.give(&packet);
    let header = sent[0].header;
    let expected = Header {
        epoch: EPOCH,
        cid: packet.header.cid,
        call_number: 9,
        seq: 0,
        serial: 0,
        packet_type: PacketType::Abort,
        flags: Flags::NONE,
        user_status: 0,
        security_index: 0,
        checksum: 0,
        service_id: 52,
    };
    assert_eq!((header, sent[0].to), (expected, peer_addr()));
}
