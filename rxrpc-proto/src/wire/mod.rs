//! Packet formats.
//!
//! Everything here turns octets into values and values into octets. There is no state and no policy:
//! a fault is named, not answered. Views borrow from the datagram and are read in place.
//!
//! ```
//! use rxrpc_proto::wire::{Body, Header, PacketType};
//!
//! let datagram = [
//!     0x80, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 5, 0, 0, 0, 0, 0, 52, 0xaa, 0xbb,
//! ];
//! let (header, rest) = Header::parse(&datagram)?;
//! assert_eq!((header.packet_type, header.service_id, header.channel()), (PacketType::Data, 52, 0));
//! let Body::Data(data) = Body::parse(&header, rest)? else { unreachable!() };
//! let payloads: Vec<_> = data.segments().map(|segment| segment.map(|s| s.payload)).collect();
//! assert_eq!(payloads, [Ok(&[0xaa, 0xbb][..])]);
//! # Ok::<(), rxrpc_proto::wire::Malformed>(())
//! ```
// Octets from strangers come in here: nothing below may panic on any of them.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::arithmetic_side_effects
    )
)]

mod abort;
mod ack;
mod challenge;
mod constants;
mod data;
mod debug;
mod fault;
mod flags;
mod header;
mod jumbo;
mod layout;
mod owned;
mod packet;
mod reason;
mod response;
mod version;

pub use abort::{AbortCode, RxgkCode, emit_abort};
pub use ack::{Ack, AckFields, Trailer, ack_body_len, emit_ack, pad_to};
pub use challenge::{RxgkChallenge, RxkadChallenge};
pub use constants::*;
pub use data::{Data, Segment, Segments};
pub use debug::{
    CallMode, CallState, DebugConnection, DebugKind, DebugPeer, DebugReply, DebugRequest, DebugStats,
    RxStats, SecurityStats, Timeval, emit_debug_reply, emit_debug_request,
};
pub use fault::{FrameFault, JoinFault, JumboFault, Malformed};
pub use flags::{Flags, PacketType};
pub use header::{Header, next_serial};
pub use jumbo::{JumboBuilder, emit_jumbo, jumbo_len};
pub use owned::{
    OwnedAck, OwnedBody, OwnedChallenge, OwnedData, OwnedDebug, OwnedPacket, OwnedResponse, OwnedSegment,
    OwnedVersion,
};
pub use packet::Body;
pub use reason::AckReason;
pub use response::{RxgkResponse, RxkadResponse, RxkadSealed};
pub use version::{Version, emit_keepalive, emit_version_reply, emit_version_request};
