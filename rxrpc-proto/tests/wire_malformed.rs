//! Packets that are refused without a look at calls or connections. The rows are those of the table
//! of malformed and unexpected input in the order in which a receiver makes its checks; row 13 and
//! the following need to know a connection.

use rxrpc_proto::wire::{Body, Flags, Header, Malformed, PacketType};

const DATA: u8 = 1;
const ACK: u8 = 2;
const BUSY: u8 = 3;
const ABORT: u8 = 4;
const ACKALL: u8 = 5;
const CHALLENGE: u8 = 6;
const RESPONSE: u8 = 7;
const DEBUG: u8 = 8;
const VERSION: u8 = 13;

const CLIENT: Flags = Flags::CLIENT_INITIATED;
const SERVER: Flags = Flags::NONE;

/// A header without a fault.
fn header(packet_type: u8, flags: Flags) -> Header {
    Header {
        epoch: 0x8000_0001,
        cid: 0x1234_5678,
        call_number: 1,
        seq: 1,
        serial: 1,
        packet_type: PacketType::from(packet_type),
        flags,
        user_status: 0,
        security_index: 0,
        checksum: 0,
        service_id: 52,
    }
}

/// What is found in a datagram of this header and a body of so many zeros.
fn fault(header: &Header, body: usize) -> Option<Malformed> {
    fault_in(&[&header.to_bytes()[..], &vec![0; body]].concat())
}

fn fault_in(datagram: &[u8]) -> Option<Malformed> {
    match Header::parse(datagram) {
        Ok((header, body)) => match Body::parse(&header, body) {
            Ok(Body::Version(version)) => version.request().err(),
            Ok(_) => None,
            Err(fault) => Some(fault),
        },
        Err(fault) => Some(fault),
    }
}

#[test]
fn row_01_datagram_shorter_than_28_bytes_is_short_header() {
    for packet_type in [DATA, ACK, ABORT, VERSION, 0] {
        let whole = header(packet_type, SERVER).to_bytes();
        for len in 0..28 {
            assert_eq!(fault_in(&whole[..len]), Some(Malformed::ShortHeader), "{len} octets");
        }
    }
    assert_eq!(fault(&header(DATA, CLIENT), 0), None);
}

#[test]
fn row_02_ack_shorter_than_46_bytes_is_short_ack() {
    for len in 0..18 {
        assert_eq!(fault(&header(ACK, CLIENT), len), Some(Malformed::ShortAck), "{len} octets");
    }
    assert_eq!(fault(&header(ACK, CLIENT), 18), None);
}

#[test]
fn row_02_comes_before_the_call_number_and_the_service() {
    let nameless = Header { call_number: 0, service_id: 0, ..header(ACK, SERVER) };
    assert_eq!(fault(&nameless, 17), Some(Malformed::ShortAck));
    assert_eq!(fault(&nameless, 18), Some(Malformed::ZeroCallNumber));
}

#[test]
fn row_03_version_without_client_initiated_is_version_not_request() {
    for body in [0, 1, 65, 66] {
        assert_eq!(fault(&header(VERSION, Flags::LAST_PACKET), body), Some(Malformed::VersionNotRequest));
    }
}

#[test]
fn row_04_version_request_without_body_is_version_malformed() {
    assert_eq!(fault(&header(VERSION, CLIENT), 0), Some(Malformed::VersionMalformed));
    assert_eq!(fault(&header(VERSION, CLIENT), 1), None);
}

#[test]
fn row_04_version_request_with_another_first_octet_is_version_malformed() {
    for octet in 1..=u8::MAX {
        let datagram = [&header(VERSION, CLIENT).to_bytes()[..], &[octet, 0]].concat();
        assert_eq!(fault_in(&datagram), Some(Malformed::VersionMalformed), "{octet}");
    }
}

#[test]
fn row_05_busy_from_the_client_is_busy_from_client() {
    assert_eq!(fault(&header(BUSY, CLIENT), 0), Some(Malformed::BusyFromClient));
    assert_eq!(fault(&Header { call_number: 0, ..header(BUSY, CLIENT) }, 0), Some(Malformed::BusyFromClient));
    assert_eq!(fault(&header(BUSY, SERVER), 0), None);
}

#[test]
fn row_06_busy_ack_or_ackall_without_a_call_is_zero_call_number() {
    for (packet_type, flags) in
        [(BUSY, SERVER), (ACK, SERVER), (ACK, CLIENT), (ACKALL, SERVER), (ACKALL, CLIENT)]
    {
        let nameless = Header { call_number: 0, ..header(packet_type, flags) };
        assert_eq!(fault(&nameless, 18), Some(Malformed::ZeroCallNumber), "type {packet_type}");
        assert_eq!(fault(&header(packet_type, flags), 18), None, "type {packet_type}");
    }
}

#[test]
fn row_07_abort_shorter_than_32_bytes_is_short_abort() {
    for len in 0..4 {
        assert_eq!(fault(&header(ABORT, CLIENT), len), Some(Malformed::ShortAbort), "{len} octets");
        assert_eq!(fault(&header(ABORT, SERVER), len), Some(Malformed::ShortAbort), "{len} octets");
    }
    assert_eq!(fault(&header(ABORT, SERVER), 4), None);
}

#[test]
fn row_07_abort_of_a_connection_has_call_number_zero_and_is_sound() {
    assert_eq!(fault(&Header { call_number: 0, ..header(ABORT, SERVER) }, 4), None);
}

#[test]
fn row_08_data_without_a_call_is_zero_call_on_data() {
    for flags in [CLIENT, SERVER] {
        let nameless = Header { call_number: 0, seq: 0, service_id: 0, ..header(DATA, flags) };
        assert_eq!(fault(&nameless, 4), Some(Malformed::ZeroCallOnData));
    }
}

#[test]
fn row_08_data_without_a_sequence_number_is_zero_seq() {
    for flags in [CLIENT, SERVER] {
        let unnumbered = Header { seq: 0, service_id: 0, ..header(DATA, flags) };
        assert_eq!(fault(&unnumbered, 4), Some(Malformed::ZeroSeq));
    }
}

#[test]
fn row_09_challenge_from_the_client_is_challenge_to_server() {
    let sound = Header { call_number: 0, seq: 0, ..header(CHALLENGE, SERVER) };
    assert_eq!(fault(&sound, 16), None);
    assert_eq!(fault(&Header { flags: CLIENT, ..sound }, 16), Some(Malformed::ChallengeToServer));
}

#[test]
fn row_09_response_from_the_server_is_response_to_client() {
    let sound = Header { call_number: 0, seq: 0, ..header(RESPONSE, CLIENT) };
    assert_eq!(fault(&sound, 96), None);
    assert_eq!(fault(&Header { flags: SERVER, ..sound }, 96), Some(Malformed::ResponseToClient));
}

#[test]
fn row_10_types_9_10_and_11_are_ignored_whatever_else_they_hold() {
    for packet_type in 9..=11 {
        for flags in [CLIENT, SERVER] {
            let empty = Header { call_number: 0, seq: 0, service_id: 0, ..header(packet_type, flags) };
            assert_eq!(Body::parse(&empty, &[1, 2, 3]), Ok(Body::Ignored));
        }
    }
}

#[test]
fn row_11_other_types_are_unknown_type() {
    for packet_type in [0, 12].into_iter().chain(14..=u8::MAX) {
        for service_id in [0, 52] {
            let unknown = Header { service_id, ..header(packet_type, CLIENT) };
            assert_eq!(fault(&unknown, 4), Some(Malformed::UnknownType), "type {packet_type}");
        }
    }
}

/// Whether a debug question is answered is a matter of configuration, so the packet is handed out.
#[test]
fn row_11_debug_is_handed_out_with_its_body() {
    let question = Header { call_number: 0, service_id: 0, ..header(DEBUG, CLIENT) };
    assert_eq!(Body::parse(&question, &[0, 0, 0, 1]), Ok(Body::Debug(&[0, 0, 0, 1])));
}

#[test]
fn row_12_service_zero_is_zero_service() {
    for (packet_type, flags) in [
        (DATA, CLIENT),
        (DATA, SERVER),
        (ACK, CLIENT),
        (ACKALL, SERVER),
        (CHALLENGE, SERVER),
        (RESPONSE, CLIENT),
    ] {
        let nameless = Header { service_id: 0, ..header(packet_type, flags) };
        assert_eq!(fault(&nameless, 20), Some(Malformed::ZeroService), "type {packet_type}");
        assert_eq!(fault(&header(packet_type, flags), 20), None, "type {packet_type}");
    }
}

/// Peers write service zero where they refuse a packet without knowing a connection, and the question
/// for a version names no service.
#[test]
fn row_12_does_not_apply_to_version_abort_and_busy() {
    for (packet_type, flags) in [(VERSION, CLIENT), (ABORT, CLIENT), (ABORT, SERVER), (BUSY, SERVER)] {
        let nameless = Header { service_id: 0, ..header(packet_type, flags) };
        assert_eq!(fault(&nameless, 20), None, "type {packet_type}");
    }
}

#[test]
fn every_fault_is_the_fault_of_some_packet() {
    let found = [
        fault_in(&[0; 27]),
        fault(&header(ACK, CLIENT), 17),
        fault(&header(VERSION, SERVER), 65),
        fault(&header(VERSION, CLIENT), 0),
        fault(&header(BUSY, CLIENT), 0),
        fault(&Header { call_number: 0, ..header(ACKALL, CLIENT) }, 0),
        fault(&header(ABORT, SERVER), 3),
        fault(&Header { call_number: 0, ..header(DATA, CLIENT) }, 0),
        fault(&Header { seq: 0, ..header(DATA, CLIENT) }, 0),
        fault(&header(CHALLENGE, CLIENT), 16),
        fault(&header(RESPONSE, SERVER), 96),
        fault(&header(99, CLIENT), 0),
        fault(&Header { service_id: 0, ..header(DATA, CLIENT) }, 0),
    ];
    assert_eq!(found.map(Option::unwrap), *Malformed::ALL);
}
