//! Every packet type with every body length from 0 to 40, from both sides, with bodies of all zeros,
//! all ones and of counting octets.

use rxrpc_proto::wire::{Flags, Header, Malformed, OwnedBody, OwnedDebug, OwnedPacket, PacketType};

const BODIES: [fn(usize) -> u8; 3] = [|_| 0, |_| 0xff, |place| place as u8];

fn datagram(packet_type: u8, flags: Flags, security_index: u8, body: &[u8]) -> Vec<u8> {
    let header = Header {
        epoch: 1,
        cid: 4,
        call_number: 1,
        seq: 1,
        serial: 1,
        packet_type: PacketType::from(packet_type),
        flags,
        user_status: 0,
        security_index,
        checksum: 0,
        service_id: 1,
    };
    [&header.to_bytes()[..], body].concat()
}

/// The fault a packet of this type has with such a body, by the rules of the format.
fn expected(packet_type: u8, from_client: bool, body: &[u8]) -> Option<Malformed> {
    match (packet_type, from_client) {
        (2, _) => (body.len() < 18).then_some(Malformed::ShortAck),
        (3, true) => Some(Malformed::BusyFromClient),
        (4, _) => (body.len() < 4).then_some(Malformed::ShortAbort),
        (6, true) => Some(Malformed::ChallengeToServer),
        (7, false) => Some(Malformed::ResponseToClient),
        (13, true) => (body.first() != Some(&0)).then_some(Malformed::VersionMalformed),
        (1 | 3..=11 | 13, _) => None,
        _ => Some(Malformed::UnknownType),
    }
}

#[test]
fn every_type_at_every_length_is_refused_by_its_rule_or_written_again() {
    let mut sound = 0;
    for (packet_type, len) in
        (0..=u8::MAX).flat_map(|packet_type| (0..=40).map(move |len| (packet_type, len)))
    {
        for (flags, security_index) in [(0, 0), (1, 0), (0, 2), (1, 2), (0, 4), (1, 6), (4, 0), (0xde, 255)] {
            for fill in BODIES {
                let body: Vec<u8> = (0..len).map(fill).collect();
                let datagram = datagram(packet_type, Flags(flags), security_index, &body);
                let read = OwnedPacket::parse(&datagram);
                let case = (packet_type, flags, security_index, &body);
                assert_eq!(
                    read.as_ref().err().copied(),
                    expected(packet_type, flags & 1 == 1, &body),
                    "{case:?}"
                );
                if let Ok(packet) = read {
                    assert_eq!(packet.to_vec(), datagram, "{case:?}");
                    sound += 1;
                }
            }
        }
    }
    assert_eq!(sound, EXPECTED_SOUND);
}

/// 41 lengths, 8 combinations of flags and index (5 of them from the server), 3 bodies.
const EXPECTED_SOUND: usize = {
    let (server, client) = (5 * 3, 3 * 3);
    let either = 41 * (server + client);
    let (data, ackall, debug, ignored) = (either, either, either, 3 * either);
    let ack = (41 - 18) * (server + client);
    let abort = (41 - 4) * (server + client);
    let (busy, challenge, response) = (41 * server, 41 * server, 41 * client);
    // A question needs a first octet of zero: two of the three bodies have it, unless empty.
    let version = 41 * server + 40 * 3 * 2;
    data + ack + busy + abort + ackall + challenge + response + debug + ignored + version
};

#[test]
fn a_jumbo_of_up_to_forty_octets_is_kept_with_its_fault() {
    for len in 0..=40 {
        let datagram = datagram(1, Flags::JUMBO, 0, &vec![7; len]);
        let packet = OwnedPacket::parse(&datagram).unwrap();
        assert!(matches!(&packet.body, OwnedBody::Data(data) if data.fault.is_some()), "{len} octets");
        assert_eq!(packet.to_vec(), datagram);
    }
}

#[test]
fn a_debug_question_needs_eight_octets() {
    for len in 0..=40 {
        let packet = OwnedPacket::parse(&datagram(8, Flags(5), 0, &vec![0; len])).unwrap();
        let framed = matches!(packet.body, OwnedBody::Debug(OwnedDebug::Request(..)));
        assert_eq!(framed, len >= 8, "{len} octets");
    }
}
