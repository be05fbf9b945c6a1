//! Packets that own their octets and can be written out again, octet for octet.
//!
//! The views of this module's siblings drop what a receiver ignores; these types keep it. They are
//! for tools and tests: the protocol itself reads views.

mod call;
mod handshake;

use alloc::vec::Vec;

pub use call::{OwnedAck, OwnedData, OwnedSegment};
pub use handshake::{OwnedChallenge, OwnedResponse};

use super::abort::AbortCode;
use super::constants::ABORT_LEN;
use super::debug::{DebugReply, DebugRequest};
use super::fault::Malformed;
use super::header::Header;
use super::packet::Body;
use super::version::Version;

/// A whole datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedPacket {
    /// The header.
    pub header: Header,
    /// What follows it.
    pub body: OwnedBody,
}

impl OwnedPacket {
    /// Reads a datagram, with the checks of [`Body::parse`].
    ///
    /// # Errors
    /// The first [`Malformed`] that applies.
    pub fn parse(datagram: &[u8]) -> Result<OwnedPacket, Malformed> {
        let (header, octets) = Header::parse(datagram)?;
        let body = OwnedBody::new(&header, Body::parse(&header, octets)?, octets);
        Ok(OwnedPacket { header, body })
    }

    /// Appends the datagram to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.header.emit(out);
        self.body.emit(out);
    }

    /// The datagram.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.emit(&mut out);
        out
    }
}

/// What follows a header. The variants are those of [`Body`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedBody {
    /// Payload, one segment or several.
    Data(OwnedData),
    /// Acknowledgement.
    Ack(OwnedAck),
    /// BUSY, with octets that nobody reads.
    Busy(Vec<u8>),
    /// The abort code, and octets that nobody reads.
    Abort(AbortCode, Vec<u8>),
    /// ACKALL, with octets that nobody reads.
    AckAll(Vec<u8>),
    /// Challenge of a security class.
    Challenge(OwnedChallenge),
    /// Answer to a challenge.
    Response(OwnedResponse),
    /// Debug question or answer.
    Debug(OwnedDebug),
    /// Version question, answer or keepalive.
    Version(OwnedVersion),
    /// The body of a type that is ignored.
    Ignored(Vec<u8>),
}

impl OwnedBody {
    /// Owns `body`, which was read from `octets`.
    fn new(header: &Header, body: Body<'_>, octets: &[u8]) -> OwnedBody {
        match body {
            Body::Data(data) => OwnedBody::Data(OwnedData::new(&data)),
            Body::Ack(ack) => OwnedBody::Ack(OwnedAck::new(&ack)),
            Body::Busy => OwnedBody::Busy(octets.to_vec()),
            Body::Abort(code) => OwnedBody::Abort(code, octets.iter().skip(ABORT_LEN).copied().collect()),
            Body::AckAll => OwnedBody::AckAll(octets.to_vec()),
            Body::Challenge(octets) => {
                OwnedBody::Challenge(OwnedChallenge::parse(header.security_index, octets))
            }
            Body::Response(octets) => {
                OwnedBody::Response(OwnedResponse::parse(header.security_index, octets))
            }
            Body::Debug(octets) => OwnedBody::Debug(OwnedDebug::parse(header, octets)),
            Body::Version(version) => OwnedBody::Version(OwnedVersion::new(version)),
            Body::Ignored => OwnedBody::Ignored(octets.to_vec()),
        }
    }

    /// Appends the body to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            OwnedBody::Data(data) => data.emit(out),
            OwnedBody::Ack(ack) => ack.emit(out),
            OwnedBody::Abort(code, rest) => {
                out.extend_from_slice(&code.to_bytes());
                out.extend_from_slice(rest);
            }
            OwnedBody::Busy(octets) | OwnedBody::AckAll(octets) | OwnedBody::Ignored(octets) => {
                out.extend_from_slice(octets);
            }
            OwnedBody::Challenge(challenge) => challenge.emit(out),
            OwnedBody::Response(response) => response.emit(out),
            OwnedBody::Debug(debug) => debug.emit(out),
            OwnedBody::Version(version) => version.emit(out),
        }
    }
}

/// A DEBUG body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedDebug {
    /// From the client side: the question, and octets that nobody reads.
    Request(DebugRequest, Vec<u8>),
    /// From the server side: an answer known by its length.
    Reply(DebugReply),
    /// Anything else.
    Other(Vec<u8>),
}

impl OwnedDebug {
    fn parse(header: &Header, octets: &[u8]) -> OwnedDebug {
        let known = if header.from_client() {
            DebugRequest::parse(octets).ok().map(|(one, rest)| OwnedDebug::Request(one, rest.to_vec()))
        } else {
            DebugReply::by_length(octets).map(OwnedDebug::Reply)
        };
        known.unwrap_or_else(|| OwnedDebug::Other(octets.to_vec()))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        match self {
            OwnedDebug::Request(request, rest) => {
                request.emit(out);
                out.extend_from_slice(rest);
            }
            OwnedDebug::Reply(reply) => reply.emit(out),
            OwnedDebug::Other(octets) => out.extend_from_slice(octets),
        }
    }
}

/// A VERSION body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedVersion {
    /// The question: a zero octet and whatever follows.
    Request(Vec<u8>),
    /// The text with its padding.
    Reply(Vec<u8>),
    /// One zero octet.
    Keepalive,
}

impl OwnedVersion {
    fn new(version: Version<'_>) -> OwnedVersion {
        match version {
            Version::Request(body) => OwnedVersion::Request(body.to_vec()),
            Version::Reply(body) => OwnedVersion::Reply(body.to_vec()),
            Version::Keepalive => OwnedVersion::Keepalive,
        }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let view = match self {
            OwnedVersion::Request(body) => Version::Request(body),
            OwnedVersion::Reply(body) => Version::Reply(body),
            OwnedVersion::Keepalive => Version::Keepalive,
        };
        out.extend_from_slice(view.body());
    }
}

#[cfg(test)]
mod tests {
    use super::super::constants::{JUMBO_DATA_LEN, SECURITY_NONE, SECURITY_RXGK, SECURITY_RXKAD};
    use super::super::fault::JumboFault;
    use super::super::flags::{Flags, PacketType};
    use super::*;

    fn header(packet_type: PacketType, security_index: u8) -> Header {
        Header {
            epoch: 1,
            cid: 5,
            call_number: 2,
            seq: 3,
            serial: 4,
            packet_type,
            flags: Flags::NONE,
            user_status: 0,
            security_index,
            checksum: 6,
            service_id: 7,
        }
    }

    /// Parses, checks that the packet is written again as it was, and returns its body.
    fn body_of(header: &Header, octets: &[u8]) -> OwnedBody {
        let datagram = [&header.to_bytes()[..], octets].concat();
        let packet = OwnedPacket::parse(&datagram).unwrap();
        assert_eq!(packet.header, *header);
        assert_eq!(packet.to_vec(), datagram);
        packet.body
    }

    #[test]
    fn ignored_octets_are_kept() {
        assert_eq!(body_of(&header(PacketType::Busy, 0), b"x"), OwnedBody::Busy(b"x".to_vec()));
        assert_eq!(body_of(&header(PacketType::AckAll, 0), b"y"), OwnedBody::AckAll(b"y".to_vec()));
        assert_eq!(body_of(&header(PacketType::Params, 0), b"z"), OwnedBody::Ignored(b"z".to_vec()));
        let abort = body_of(&header(PacketType::Abort, 0), b"\0\0\0\x09tail");
        assert_eq!(abort, OwnedBody::Abort(AbortCode(9), b"tail".to_vec()));
    }

    #[test]
    fn the_spare_octet_of_a_sub_header_is_kept() {
        let octets = [&[1; JUMBO_DATA_LEN][..], &[4, 0x5a, 0x12, 0x34], b"end"].concat();
        let jumbo = Header { flags: Flags::JUMBO, ..header(PacketType::Data, 0) };
        let OwnedBody::Data(data) = body_of(&jumbo, &octets) else { panic!("not DATA") };
        let more = OwnedSegment { flags: Flags(4), spare: 0x5a, checksum: 0x1234, payload: b"end".to_vec() };
        assert_eq!((data.first.len(), data.more, data.fault), (JUMBO_DATA_LEN, alloc::vec![more], None));
    }

    #[test]
    fn a_jumbo_that_cannot_be_split_is_kept_with_its_fault() {
        let jumbo = Header { flags: Flags::JUMBO, ..header(PacketType::Data, 0) };
        let OwnedBody::Data(data) = body_of(&jumbo, b"short") else { panic!("not DATA") };
        assert_eq!((&data.first[..], data.fault), (&b"short"[..], Some(JumboFault::Short)));
        let octets = [&[1; JUMBO_DATA_LEN][..], &[0x24, 0, 0, 0], b"end"].concat();
        let OwnedBody::Data(data) = body_of(&jumbo, &octets) else { panic!("not DATA") };
        assert_eq!((&data.more[0].payload[..], data.fault), (&b"end"[..], Some(JumboFault::LastNotFinal)));
    }

    #[test]
    fn an_ack_is_taken_apart_wherever_it_ends() {
        let mut octets: Vec<u8> = (0..18).collect();
        octets[17] = 2;
        octets.extend(100..130);
        for len in 18..octets.len() {
            let OwnedBody::Ack(ack) = body_of(&header(PacketType::Ack, 0), &octets[..len]) else {
                panic!("not ACK")
            };
            let lengths = (ack.table.len(), ack.filler.len(), ack.words.len(), ack.rest.len());
            let expected = match len - 18 {
                n @ 0..2 => (n, 0, 0, 0),
                n @ 2..5 => (2, n - 2, 0, 0),
                n @ 5..21 => (2, 3, (n - 5) / 4, (n - 5) % 4),
                n => (2, 3, 4, n - 21),
            };
            assert_eq!((ack.declared, lengths), (2, expected), "{len} octets");
        }
    }

    #[test]
    fn handshake_bodies_are_framed_by_the_security_index() {
        let challenge = |index, octets: &[u8]| match body_of(&header(PacketType::Challenge, index), octets) {
            OwnedBody::Challenge(challenge) => challenge,
            other => panic!("{other:?}"),
        };
        assert!(matches!(challenge(SECURITY_RXKAD, &[1; 17]), OwnedChallenge::Rxkad(_, rest) if rest == [1]));
        assert!(
            matches!(challenge(SECURITY_RXGK, &[1; 22]), OwnedChallenge::Rxgk(_, rest) if rest == [1, 1])
        );
        assert!(matches!(challenge(SECURITY_RXKAD, &[1; 8]), OwnedChallenge::Other(_)));
        assert!(matches!(challenge(SECURITY_NONE, &[1; 32]), OwnedChallenge::Other(_)));
    }

    #[test]
    fn an_rxgk_response_with_dirty_padding_is_kept_whole() {
        let response = |octets: &[u8]| {
            let header =
                Header { flags: Flags::CLIENT_INITIATED, ..header(PacketType::Response, SECURITY_RXGK) };
            body_of(&header, octets)
        };
        let clean = *b"12345678\0\0\0\x01T\0\0\0\0\0\0\x04auth!";
        let OwnedBody::Response(OwnedResponse::Rxgk { token, rest, .. }) = response(&clean) else {
            panic!("not framed")
        };
        assert_eq!((&token[..], &rest[..]), (&b"T"[..], &b"!"[..]));
        let mut dirty = clean;
        dirty[15] = 9;
        assert!(
            matches!(response(&dirty), OwnedBody::Response(OwnedResponse::Other(octets)) if octets == dirty)
        );
    }

    #[test]
    fn debug_packets_are_told_apart_by_direction_and_length() {
        let debug = |flags, octets: &[u8]| {
            let header = Header { flags, service_id: 0, ..header(PacketType::Debug, 0) };
            match body_of(&header, octets) {
                OwnedBody::Debug(debug) => debug,
                other => panic!("{other:?}"),
            }
        };
        assert!(matches!(debug(Flags(5), &[0; 9]), OwnedDebug::Request(_, rest) if rest == [0]));
        assert!(matches!(debug(Flags(5), &[0; 7]), OwnedDebug::Other(_)));
        assert!(matches!(debug(Flags(4), &[0; 132]), OwnedDebug::Reply(DebugReply::Peer(_))));
        assert!(matches!(debug(Flags(4), &[0; 131]), OwnedDebug::Other(_)));
    }
}
