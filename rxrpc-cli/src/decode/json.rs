//! JSON lines: one object a packet, a note, a call, and at the end one about the capture.

use std::net::SocketAddr;

use rxrpc_proto::wire::{Flags, Header, OwnedAck, OwnedBody, PacketType};
use serde::Serialize;
use serde_json::Value;

use super::calls::{Call, Ending, Mark, Observation, Role, Side};
use super::fields::Fields;
use super::net::{Incomplete, Totals};
use super::packet::{Content, Packet, Piece, Wrong};
use super::summary::{Counts, ending};
use super::text::call_id;

/// A line. Fields that do not apply are left out.
#[derive(Serialize, Debug)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Line {
    Packet(Box<PacketLine>),
    Incomplete(IncompleteLine),
    Call(Box<CallLine>),
    Capture(CaptureLine),
}

/// A packet.
#[derive(Serialize, Debug)]
pub(super) struct PacketLine {
    frame: u64,
    /// Seconds since the first frame.
    time: f64,
    /// Nanoseconds since 1970.
    time_ns: u64,
    from: SocketAddr,
    to: SocketAddr,
    /// Octets, header included.
    length: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    captured: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fragments: Option<usize>,
    #[serde(flatten)]
    header: Option<HeaderPart>,
    /// Ordinal of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Vec<SegmentPart>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<AckPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    abort: Option<AbortPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    malformed: Option<FaultPart>,
}

#[derive(Serialize, Debug)]
struct HeaderPart {
    /// What --call takes.
    id: String,
    epoch: u32,
    cid: u32,
    call_number: u32,
    seq: u32,
    serial: u32,
    #[serde(rename = "type")]
    packet_type: &'static str,
    type_number: u8,
    flags: Vec<&'static str>,
    flags_octet: u8,
    user_status: u8,
    security_index: u8,
    checksum: u16,
    service: u16,
}

#[derive(Serialize, Debug)]
struct SegmentPart {
    seq: u32,
    serial: u32,
    flags: Vec<&'static str>,
    flags_octet: u8,
    checksum: u16,
    length: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<u32>,
    retransmission: bool,
    copy: bool,
}

#[derive(Serialize, Debug)]
struct AckPart {
    reason: &'static str,
    reason_number: u8,
    first: u32,
    previous: u32,
    serial: u32,
    buffer_space: u16,
    max_skew: u16,
    /// Entries of the table, as the packet counts them.
    entries: u8,
    table: Vec<u8>,
    /// The words after the table: the largest datagram, the largest single packet, window, jumbo limit.
    trailer: Vec<u32>,
    octets_after: usize,
}

#[derive(Serialize, Debug)]
struct AbortPart {
    code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
}

#[derive(Serialize, Debug)]
struct FaultPart {
    fault: &'static str,
    text: String,
}

/// A datagram whose fragments are not all there.
#[derive(Serialize, Debug)]
pub(super) struct IncompleteLine {
    frame: u64,
    time_ns: u64,
    from: String,
    to: String,
    fragments: usize,
}

/// A call.
#[derive(Serialize, Debug)]
pub(super) struct CallLine {
    call: usize,
    id: String,
    client: SocketAddr,
    server: SocketAddr,
    epoch: u32,
    service: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    upgraded_service: Option<u16>,
    security_index: u8,
    begin_ns: u64,
    duration_ns: u64,
    /// From the first packet to the first DATA of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_reply_ns: Option<u64>,
    request: SidePart,
    reply: SidePart,
    end: &'static str,
    end_text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    abort: Option<AbortPart>,
}

#[derive(Serialize, Debug)]
struct SidePart {
    bytes: u64,
    packets: u64,
    retransmissions: u64,
    copies: u64,
    /// Whether the packet flagged as the last was seen.
    ended: bool,
    /// ACKs sent by this side.
    acks: u64,
    /// From packets of this side to the ACKs that name them.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<RttPart>,
}

#[derive(Serialize, Debug)]
struct RttPart {
    samples: u64,
    min_ns: u64,
    mean_ns: u64,
    max_ns: u64,
}

/// The capture.
#[derive(Serialize, Debug)]
pub(super) struct CaptureLine {
    frames: u64,
    packets: u64,
    segments: u64,
    calls: usize,
    retransmissions: u64,
    malformed: u64,
    cut: u64,
    incomplete: u64,
    other_datagrams: u64,
}

impl Line {
    /// The line of a packet.
    pub(super) fn packet(packet: &Packet, observation: &Observation, begin: u64) -> Line {
        let index = packet.header.map_or(0, |header| header.security_index);
        let body = if let Content::Body(body) = &packet.content { Some(body) } else { None };
        let segments = |pieces: &Vec<Piece>| {
            let marks = observation.marks.iter().map(Some).chain(std::iter::repeat(None));
            pieces.iter().zip(marks).map(|(piece, mark)| SegmentPart::new(piece, mark)).collect()
        };
        Line::Packet(Box::new(PacketLine {
            frame: packet.frame,
            time: seconds(packet.time, begin),
            time_ns: packet.time,
            from: packet.from,
            to: packet.to,
            length: packet.len,
            captured: (packet.captured < packet.len).then_some(packet.captured),
            fragments: (packet.fragments > 1).then_some(packet.fragments),
            header: packet.header.as_ref().map(HeaderPart::new),
            call: observation.call.map(|index| index + 1),
            segments: if let Content::Data(pieces) = &packet.content { Some(segments(pieces)) } else { None },
            ack: packet.ack().map(AckPart::new),
            abort: body.and_then(|body| match body {
                OwnedBody::Abort(code, _) => Some(AbortPart { code: code.0, name: code.name_for(index) }),
                _ => None,
            }),
            body: body.and_then(Fields::of).map(|fields| fields.object()),
            rtt_ns: observation.rtt,
            malformed: packet.fault.as_ref().and_then(|fault| match fault {
                Wrong::Malformed(fault, text) => Some(FaultPart { fault, text: text.clone() }),
                Wrong::Cut => None,
            }),
        }))
    }

    /// The line of a datagram whose fragments are not all there.
    pub(super) fn incomplete(incomplete: &Incomplete) -> Line {
        let Incomplete { frame, time, from, to, ports, fragments } = *incomplete;
        let end = |address: std::net::IpAddr, port: Option<u16>| match port {
            Some(port) => SocketAddr::new(address, port).to_string(),
            None => address.to_string(),
        };
        let (from_port, to_port) = ports.unzip();
        let (from, to) = (end(from, from_port), end(to, to_port));
        Line::Incomplete(IncompleteLine { frame, time_ns: time, from, to, fragments })
    }

    /// The line of a call.
    pub(super) fn call(ordinal: usize, call: &Call) -> Line {
        let key = &call.key;
        let (end, abort) = match call.ending() {
            Ending::Open => ("open", None),
            Ending::Complete => ("complete", None),
            Ending::Busy => ("busy", None),
            Ending::Unanswered => ("unanswered", None),
            Ending::Aborted { code, .. } => ("aborted", Some(code)),
        };
        Line::Call(Box::new(CallLine {
            call: ordinal,
            id: format!("{:08x}:{}", key.cid, key.number),
            client: key.client,
            server: key.server,
            epoch: key.epoch,
            service: call.service,
            upgraded_service: call.upgraded,
            security_index: call.security_index,
            begin_ns: call.begin,
            duration_ns: call.duration(),
            first_reply_ns: call.first_reply,
            request: SidePart::new(call.side(Role::Client)),
            reply: SidePart::new(call.side(Role::Server)),
            end,
            end_text: ending(call),
            abort: abort.map(|code| AbortPart { code: code.0, name: code.name_for(call.security_index) }),
        }))
    }

    /// The line of the capture.
    pub(super) fn capture(totals: &Totals, counts: &Counts, calls: usize) -> Line {
        Line::Capture(CaptureLine {
            frames: totals.frames,
            packets: counts.packets,
            segments: counts.segments,
            calls,
            retransmissions: counts.retransmissions,
            malformed: counts.malformed,
            cut: counts.cut,
            incomplete: counts.incomplete,
            other_datagrams: counts.other_datagrams,
        })
    }
}

impl HeaderPart {
    fn new(header: &Header) -> HeaderPart {
        HeaderPart {
            id: call_id(header),
            epoch: header.epoch,
            cid: header.cid,
            call_number: header.call_number,
            seq: header.seq,
            serial: header.serial,
            packet_type: header.packet_type.name(),
            type_number: header.packet_type.to_u8(),
            flags: flag_names(header.packet_type, header.flags),
            flags_octet: header.flags.0,
            user_status: header.user_status,
            security_index: header.security_index,
            checksum: header.checksum,
            service: header.service_id,
        }
    }
}

impl SegmentPart {
    fn new(piece: &Piece, mark: Option<&Mark>) -> SegmentPart {
        SegmentPart {
            seq: piece.seq,
            serial: piece.serial,
            flags: flag_names(PacketType::Data, piece.flags),
            flags_octet: piece.flags.0,
            checksum: piece.checksum,
            length: piece.len,
            operation: piece.operation,
            retransmission: mark == Some(&Mark::Again),
            copy: mark == Some(&Mark::Copy),
        }
    }
}

impl AckPart {
    fn new(ack: &OwnedAck) -> AckPart {
        AckPart {
            reason: ack.fields.reason.name(),
            reason_number: ack.fields.reason.to_u8(),
            first: ack.fields.first_packet,
            previous: ack.fields.previous_packet,
            serial: ack.fields.serial,
            buffer_space: ack.fields.buffer_space,
            max_skew: ack.fields.max_skew,
            entries: ack.declared,
            table: ack.table.clone(),
            trailer: ack.words.clone(),
            octets_after: ack.rest.len(),
        }
    }
}

impl SidePart {
    fn new(side: &Side) -> SidePart {
        let rtt = &side.rtt;
        SidePart {
            bytes: side.bytes,
            packets: side.packets,
            retransmissions: side.again,
            copies: side.copies,
            ended: side.last.is_some(),
            acks: side.acks,
            rtt: rtt.mean().map(|mean_ns| RttPart {
                samples: rtt.samples,
                min_ns: rtt.min,
                mean_ns,
                max_ns: rtt.max,
            }),
        }
    }
}

/// Seconds with nine digits after the point.
fn seconds(time: u64, begin: u64) -> f64 {
    let nanos = time.abs_diff(begin) as f64 / 1e9;
    if time < begin { -nanos } else { nanos }
}

/// The names of the flags that are set; they depend on the type.
fn flag_names(packet_type: PacketType, flags: Flags) -> Vec<&'static str> {
    let ack = packet_type == PacketType::Ack;
    let names = [
        (Flags::CLIENT_INITIATED, "CLIENT_INITIATED"),
        (Flags::REQUEST_ACK, "REQUEST_ACK"),
        (Flags::LAST_PACKET, "LAST_PACKET"),
        (Flags::MORE_PACKETS, if ack { "EXTENDED_SACK" } else { "MORE_PACKETS" }),
        (Flags::JUMBO, if ack { "SLOW_START_OK" } else { "JUMBO" }),
    ];
    names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect()
}
