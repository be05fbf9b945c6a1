//! Packets that own their octets and can be written out again, octet for octet.
//!
//! The views of this module's siblings drop what a receiver ignores; these types keep it. They are
//! for tools and tests: the protocol itself reads views.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::abort::AbortCode;
use super::ack::{Ack, AckFields, emit_fixed};
use super::challenge::{Family, RxgkChallenge, RxkadChallenge};
use super::constants::{ABORT_LEN, ACK_FILLER_LEN};
use super::data::{Data, Piece};
use super::debug::{DebugReply, DebugRequest};
use super::fault::{FrameFault, JumboFault, Malformed};
use super::flags::Flags;
use super::header::Header;
use super::packet::Body;
use super::response::{RxgkResponse, RxkadResponse};
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

/// The segments of a DATA packet. The header of the packet is the header of the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedData {
    /// Payload of the first segment.
    pub first: Vec<u8>,
    /// The segments after it.
    pub more: Vec<OwnedSegment>,
    /// If set, the payload of the last segment is not a payload but all octets from the fault on.
    pub fault: Option<JumboFault>,
}

/// A segment after the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedSegment {
    /// Sub-header offset 0.
    pub flags: Flags,
    /// Sub-header offset 1: unused.
    pub spare: u8,
    /// Sub-header offset 2.
    pub checksum: u16,
    /// What follows the sub-header.
    pub payload: Vec<u8>,
}

impl OwnedData {
    fn new(data: &Data<'_>) -> OwnedData {
        let mut segments = data.segments();
        let mut owned = OwnedData { first: Vec::new(), more: Vec::new(), fault: None };
        if let Some(Piece { segment, fault, .. }) = segments.next_piece() {
            owned.first = segment.payload.to_vec();
            owned.fault = fault;
        }
        while let Some(Piece { segment, spare, fault }) = segments.next_piece() {
            let (flags, checksum, payload) = (segment.flags, segment.checksum, segment.payload.to_vec());
            owned.more.push(OwnedSegment { flags, spare, checksum, payload });
            owned.fault = fault;
        }
        owned
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first);
        for segment in &self.more {
            let [k0, k1] = segment.checksum.to_be_bytes();
            out.extend_from_slice(&[segment.flags.0, segment.spare, k0, k1]);
            out.extend_from_slice(&segment.payload);
        }
    }
}

/// An ACK body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedAck {
    /// The fixed fields.
    pub fields: AckFields,
    /// How many table entries the packet says it has.
    pub declared: u8,
    /// The table; shorter than declared if the packet ends within it.
    pub table: Vec<u8>,
    /// The filler, three octets unless the packet ends within it.
    pub filler: Vec<u8>,
    /// The complete words of the trailer, at most four.
    pub words: Vec<u32>,
    /// What follows them.
    pub rest: Vec<u8>,
}

impl OwnedAck {
    fn new(ack: &Ack<'_>) -> OwnedAck {
        let (table, rest) = split_most(ack.rest(), usize::from(ack.declared()));
        let (filler, rest) = split_most(rest, ACK_FILLER_LEN);
        let complete = rest.len().min(super::TRAILER_LEN) / 4;
        let (words, rest) = split_most(rest, complete.saturating_mul(4));
        OwnedAck {
            fields: ack.fields,
            declared: ack.declared(),
            table: table.to_vec(),
            filler: filler.to_vec(),
            words: words.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect(),
            rest: rest.to_vec(),
        }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        emit_fixed(out, &self.fields, self.declared);
        out.extend_from_slice(&self.table);
        out.extend_from_slice(&self.filler);
        out.extend(self.words.iter().flat_map(|word| word.to_be_bytes()));
        out.extend_from_slice(&self.rest);
    }
}

/// The first `len` octets, or all if they are fewer, and the rest.
fn split_most(octets: &[u8], len: usize) -> (&[u8], &[u8]) {
    octets.split_at_checked(len).unwrap_or((octets, &[]))
}

/// A CHALLENGE body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedChallenge {
    /// Security index 2 or 3, and what follows.
    Rxkad(RxkadChallenge, Vec<u8>),
    /// Security index 4 or 6, and what follows.
    Rxgk(RxgkChallenge, Vec<u8>),
    /// Too short, or of another class.
    Other(Vec<u8>),
}

impl OwnedChallenge {
    fn parse(security_index: u8, octets: &[u8]) -> OwnedChallenge {
        let framed = match Family::of(security_index) {
            Some(Family::Rxkad) => {
                RxkadChallenge::parse(octets).map(|(one, rest)| OwnedChallenge::Rxkad(one, rest.to_vec()))
            }
            Some(Family::Rxgk) => {
                RxgkChallenge::parse(octets).map(|(one, rest)| OwnedChallenge::Rxgk(one, rest.to_vec()))
            }
            None => Err(FrameFault::Short),
        };
        framed.unwrap_or_else(|_| OwnedChallenge::Other(octets.to_vec()))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let rest = match self {
            OwnedChallenge::Rxkad(challenge, rest) => {
                challenge.emit(out);
                rest
            }
            OwnedChallenge::Rxgk(challenge, rest) => {
                challenge.emit(out);
                rest
            }
            OwnedChallenge::Other(octets) => octets,
        };
        out.extend_from_slice(rest);
    }
}

/// A RESPONSE body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedResponse {
    /// Security index 2 or 3.
    Rxkad {
        /// The words before the sealed part: version and a spare one.
        start: [u32; 2],
        /// What is sealed with the session key.
        sealed: Box<[u8; 40]>,
        /// The kind of ticket.
        kvno: u32,
        /// The ticket.
        ticket: Vec<u8>,
        /// What follows the ticket.
        rest: Vec<u8>,
    },
    /// Security index 4 or 6.
    Rxgk {
        /// The client's start time.
        start_time: u64,
        /// The token.
        token: Vec<u8>,
        /// The sealed authenticator.
        authenticator: Vec<u8>,
        /// What follows the authenticator.
        rest: Vec<u8>,
    },
    /// Cut short, padded with something else than zeros, or of another class.
    Other(Vec<u8>),
}

impl OwnedResponse {
    fn parse(security_index: u8, octets: &[u8]) -> OwnedResponse {
        let framed = match Family::of(security_index) {
            Some(Family::Rxkad) => OwnedResponse::rxkad(octets),
            Some(Family::Rxgk) => OwnedResponse::rxgk(octets),
            None => Err(FrameFault::Short),
        };
        framed.unwrap_or_else(|_| OwnedResponse::Other(octets.to_vec()))
    }

    fn rxkad(octets: &[u8]) -> Result<OwnedResponse, FrameFault> {
        let (response, rest) = RxkadResponse::parse(octets)?;
        let RxkadResponse { version, spare, sealed, kvno, ticket } = response;
        Ok(OwnedResponse::Rxkad {
            start: [version, spare],
            sealed: Box::new(sealed),
            kvno,
            ticket: ticket.to_vec(),
            rest: rest.to_vec(),
        })
    }

    fn rxgk(octets: &[u8]) -> Result<OwnedResponse, FrameFault> {
        let (response, rest) = RxgkResponse::parse(octets)?;
        let RxgkResponse { start_time, token, authenticator } = response;
        let owned = OwnedResponse::Rxgk {
            start_time,
            token: token.to_vec(),
            authenticator: authenticator.to_vec(),
            rest: rest.to_vec(),
        };
        // Padding is not kept, so it has to be what will be written.
        let mut again = Vec::new();
        owned.emit(&mut again);
        if again == octets { Ok(owned) } else { Ok(OwnedResponse::Other(octets.to_vec())) }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let rest = match self {
            OwnedResponse::Rxkad { start: [version, spare], sealed, kvno, ticket, rest } => {
                let (version, spare, sealed, kvno) = (*version, *spare, **sealed, *kvno);
                RxkadResponse { version, spare, sealed, kvno, ticket }.emit(out);
                rest
            }
            OwnedResponse::Rxgk { start_time, token, authenticator, rest } => {
                RxgkResponse { start_time: *start_time, token, authenticator }.emit(out);
                rest
            }
            OwnedResponse::Other(octets) => octets,
        };
        out.extend_from_slice(rest);
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
