//! DEBUG bodies: questions about the state of a peer, and the answers.
//!
//! They stand outside calls and connections. The asker chooses a call number, which the answer
//! copies; nothing else ties the two together.

mod connection;
mod peer;
mod stats;

use alloc::boxed::Box;
use alloc::vec::Vec;

pub use connection::{CallMode, CallState, DebugConnection, SecurityStats};
pub use peer::DebugPeer;
pub use stats::{DebugStats, RxStats, Timeval};

use super::abort::AbortCode;
use super::constants::DEBUG_EPOCH;
use super::fault::FrameFault;
use super::flags::{Flags, PacketType};
use super::header::Header;
use super::layout::{Field, layout};

/// What a DEBUG request asks for (body offset 0).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DebugKind {
    /// 1: counters of the process, answered by [`DebugStats`].
    Stats,
    /// 2: one of the connections in which something goes on, answered by [`DebugConnection`].
    ActiveConnection,
    /// 3: one of all connections, answered by [`DebugConnection`].
    AnyConnection,
    /// 4: packet statistics, answered by [`RxStats`].
    RxStats,
    /// 5: one of the peers, answered by [`DebugPeer`].
    Peer,
    /// Any other number, answered by [`DebugReply::BadKind`].
    Other(i32),
}

impl DebugKind {
    /// The number on the wire.
    #[must_use]
    pub const fn to_i32(self) -> i32 {
        match self {
            DebugKind::Stats => 1,
            DebugKind::ActiveConnection => 2,
            DebugKind::AnyConnection => 3,
            DebugKind::RxStats => 4,
            DebugKind::Peer => 5,
            DebugKind::Other(number) => number,
        }
    }

    /// The name that documents of the protocol use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DebugKind::Stats => "GETSTATS",
            DebugKind::ActiveConnection => "GETCONN",
            DebugKind::AnyConnection => "GETALLCONN",
            DebugKind::RxStats => "RXSTATS",
            DebugKind::Peer => "GETPEER",
            DebugKind::Other(_) => "UNKNOWN",
        }
    }
}

impl From<i32> for DebugKind {
    fn from(number: i32) -> DebugKind {
        match number {
            1 => DebugKind::Stats,
            2 => DebugKind::ActiveConnection,
            3 => DebugKind::AnyConnection,
            4 => DebugKind::RxStats,
            5 => DebugKind::Peer,
            other => DebugKind::Other(other),
        }
    }
}

impl Field for DebugKind {
    const LEN: usize = 4;

    fn take(octets: &mut &[u8]) -> Option<DebugKind> {
        i32::take(octets).map(DebugKind::from)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.to_i32().put(out);
    }
}

layout! {
    /// The body of a DEBUG request.
    pub struct DebugRequest {
        /// Offset 0: what is asked for.
        pub kind: DebugKind,
        /// Offset 4: which connection or peer, counted from 0 until the answer says that there are no
        /// more. Without a meaning for the other kinds.
        pub index: i32,
    }
}

/// The body of a DEBUG answer. The packet does not say which kind it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum DebugReply {
    /// 56 octets.
    Stats(DebugStats),
    /// 176 octets.
    Connection(Box<DebugConnection>),
    /// 284 octets.
    RxStats(Box<RxStats>),
    /// 132 octets.
    Peer(Box<DebugPeer>),
    /// 8 octets, -8 twice: the kind of the request is unknown.
    BadKind,
}

/// The answer to a request of unknown kind.
const BAD_KIND: [i32; 2] = [AbortCode::RX_DEBUGI_BADTYPE.0; 2];

impl DebugReply {
    /// Reads the answer to a question of the given kind. Octets after it are ignored.
    ///
    /// # Errors
    /// [`FrameFault::Short`] if the answer is incomplete, or the kind has none.
    pub fn parse(kind: DebugKind, body: &[u8]) -> Result<DebugReply, FrameFault> {
        if is_bad_kind(body) {
            return Ok(DebugReply::BadKind);
        }
        match kind {
            DebugKind::Stats => DebugStats::parse(body).map(|(stats, _)| DebugReply::Stats(stats)),
            DebugKind::ActiveConnection | DebugKind::AnyConnection => {
                DebugConnection::parse(body).map(|(one, _)| DebugReply::Connection(Box::new(one)))
            }
            DebugKind::RxStats => RxStats::parse(body).map(|(all, _)| DebugReply::RxStats(Box::new(all))),
            DebugKind::Peer => DebugPeer::parse(body).map(|(one, _)| DebugReply::Peer(Box::new(one))),
            DebugKind::Other(_) => Err(FrameFault::Short),
        }
    }

    /// Reads an answer to an unknown question: the length tells the kinds apart. `None` if no kind
    /// has this length.
    #[must_use]
    pub fn by_length(body: &[u8]) -> Option<DebugReply> {
        let kind = match body.len() {
            DebugStats::LEN => DebugKind::Stats,
            DebugConnection::LEN => DebugKind::AnyConnection,
            RxStats::LEN => DebugKind::RxStats,
            DebugPeer::LEN => DebugKind::Peer,
            _ => return is_bad_kind(body).then_some(DebugReply::BadKind),
        };
        DebugReply::parse(kind, body).ok()
    }

    /// Appends the body to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            DebugReply::Stats(stats) => stats.emit(out),
            DebugReply::Connection(connection) => connection.emit(out),
            DebugReply::RxStats(stats) => stats.emit(out),
            DebugReply::Peer(peer) => peer.emit(out),
            DebugReply::BadKind => BAD_KIND.put(out),
        }
    }
}

fn is_bad_kind(mut body: &[u8]) -> bool {
    <[i32; 2]>::take(&mut body) == Some(BAD_KIND) && body.is_empty()
}

/// Appends a whole DEBUG request. The answer copies `call_number`.
pub fn emit_debug_request(call_number: u32, request: &DebugRequest, out: &mut Vec<u8>) {
    let header = Header {
        epoch: DEBUG_EPOCH,
        cid: 0,
        call_number,
        seq: 0,
        serial: 0,
        packet_type: PacketType::Debug,
        flags: Flags::CLIENT_INITIATED.with(Flags::LAST_PACKET),
        user_status: 0,
        security_index: 0,
        checksum: 0,
        service_id: 0,
    };
    header.emit(out);
    request.emit(out);
}

/// Appends the whole answer to a DEBUG request: its header turned round, and the body.
pub fn emit_debug_reply(request: &Header, reply: &DebugReply, out: &mut Vec<u8>) {
    Header { flags: request.flags.without(Flags::CLIENT_INITIATED), ..*request }.emit(out);
    reply.emit(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_wire() {
        let sizes = [DebugRequest::LEN, DebugStats::LEN, DebugConnection::LEN, RxStats::LEN, DebugPeer::LEN];
        assert_eq!(sizes, [8, 56, 176, 284, 132]);
        assert_eq!(SecurityStats::LEN, 76);
    }

    #[test]
    fn kinds_survive_the_round_trip() {
        for number in [i32::MIN, -1, 0, 1, 2, 3, 4, 5, 6, i32::MAX] {
            assert_eq!(DebugKind::from(number).to_i32(), number);
        }
        assert_eq!(DebugKind::from(3).name(), "GETALLCONN");
    }

    #[test]
    fn a_request_has_the_header_askers_use() {
        let mut out = Vec::new();
        emit_debug_request(101, &DebugRequest { kind: DebugKind::Peer, index: 7 }, &mut out);
        let (header, body) = Header::parse(&out).unwrap();
        assert_eq!((header.epoch, header.cid, header.call_number, header.flags), (999, 0, 101, Flags(5)));
        assert_eq!((header.packet_type, body), (PacketType::Debug, &[0, 0, 0, 5, 0, 0, 0, 7][..]));
    }

    #[test]
    fn an_answer_copies_the_header_without_the_client_flag() {
        let mut out = Vec::new();
        emit_debug_request(101, &DebugRequest { kind: DebugKind::Other(9), index: 0 }, &mut out);
        let (request, _) = Header::parse(&out).unwrap();
        out.clear();
        emit_debug_reply(&request, &DebugReply::BadKind, &mut out);
        let (header, body) = Header::parse(&out).unwrap();
        assert_eq!(header, Header { flags: Flags::LAST_PACKET, ..request });
        assert_eq!(body, [0xff, 0xff, 0xff, 0xf8, 0xff, 0xff, 0xff, 0xf8]);
    }

    /// A body in which no two octets at a distance below 251 are equal.
    fn body(len: usize) -> Vec<u8> {
        (0..len).map(|place| (place % 251) as u8).collect()
    }

    #[test]
    fn every_answer_re_emits_to_itself_and_is_recognised_by_its_length() {
        for (kind, len) in [
            (DebugKind::Stats, 56),
            (DebugKind::ActiveConnection, 176),
            (DebugKind::AnyConnection, 176),
            (DebugKind::RxStats, 284),
            (DebugKind::Peer, 132),
        ] {
            let body = body(len);
            let reply = DebugReply::parse(kind, &body).unwrap();
            let mut out = Vec::new();
            reply.emit(&mut out);
            assert_eq!(out, body, "{kind:?}");
            assert_eq!(DebugReply::by_length(&body), Some(reply));
            assert_eq!(DebugReply::parse(kind, &body[..len - 1]), Err(FrameFault::Short));
        }
        assert_eq!(DebugReply::by_length(&body(8)), None);
    }

    #[test]
    fn an_unknown_kind_is_recognised_whatever_was_asked() {
        let mut body = Vec::new();
        DebugReply::BadKind.emit(&mut body);
        for number in 0..7 {
            assert_eq!(DebugReply::parse(DebugKind::from(number), &body), Ok(DebugReply::BadKind));
        }
        assert_eq!(DebugReply::by_length(&body), Some(DebugReply::BadKind));
    }

    #[test]
    fn a_longer_answer_that_starts_alike_is_not_taken_for_an_unknown_kind() {
        let mut body = Vec::new();
        DebugReply::BadKind.emit(&mut body);
        body.resize(DebugStats::LEN, 0);
        let reply = DebugReply::parse(DebugKind::Stats, &body).unwrap();
        assert!(matches!(reply, DebugReply::Stats(stats) if stats.packet_reclaims == -8));
    }

    #[test]
    fn other_kinds_have_no_answer() {
        assert_eq!(DebugReply::parse(DebugKind::Other(6), &body(300)), Err(FrameFault::Short));
    }
}
