//! Datagrams that are almost right: from a sound header with a field or two off, or from what the endpoint sent.

use rxrpc_proto::wire::{AckFields, AckReason, Flags, Header, JUMBO_DATA_LEN, PacketType, Trailer, emit_ack};

use super::{SERVICES, World};
use crate::input::Input;

/// Epochs of the peers: two that count as random, one that is a date, the one of debugging tools.
const EPOCHS: [u32; 4] = [0x8000_0001, 0x1234_5678, 0xbfff_fff0, 999];

/// What a crafted datagram is built upon.
struct Base {
    header: Header,
    /// Serial and sequence number of the packet it answers, 0 if none.
    serial: u32,
    seq: u32,
}

impl World {
    fn take_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    /// An answer to a packet the endpoint sent, or a packet of a client of ours.
    fn base(&mut self, input: &mut Input<'_>) -> Base {
        let which = input.byte();
        let serial = self.take_serial();
        let index = usize::from(which & 31);
        if which & 128 != 0
            && let Some((_, bytes)) = self.sent.iter().rev().nth(index)
        {
            let seen = Header::parse(bytes).expect("we sent it").0;
            let flags = if seen.from_client() { Flags::NONE } else { Flags::CLIENT_INITIATED };
            let header = Header { seq: 1, serial, flags, user_status: 0, ..seen };
            return Base { header, serial: seen.serial, seq: seen.seq };
        }
        let place = input.byte();
        let header = Header {
            epoch: EPOCHS[usize::from(which & 3)],
            cid: u32::from(which >> 2 & 3) * 4 + 4 + u32::from(place & 3),
            call_number: 1 + u32::from(place >> 2 & 3),
            seq: 1,
            serial,
            packet_type: PacketType::Data,
            flags: Flags::CLIENT_INITIATED,
            user_status: u8::from(place & 128 != 0),
            security_index: 0,
            checksum: 0,
            service_id: SERVICES[usize::from(place >> 4 & 7)],
        };
        Base { header, serial: 0, seq: 0 }
    }

    /// A datagram.
    pub(super) fn craft(&mut self, input: &mut Input<'_>) -> Vec<u8> {
        let mut base = self.base(input);
        let kind = input.byte();
        base.header.packet_type = match kind & 15 {
            0..=5 => PacketType::Data,
            6..=10 => PacketType::Ack,
            11 => PacketType::Abort,
            12 => PacketType::Busy,
            13 => PacketType::AckAll,
            14 if kind & 16 == 0 => PacketType::Challenge,
            14 => PacketType::Response,
            _ => PacketType::from(input.byte()),
        };
        if !matches!(base.header.packet_type, PacketType::Data) {
            base.header.seq = 0;
        }
        let wrong = kind >> 5;
        let mut body = Vec::new();
        match base.header.packet_type {
            PacketType::Data => data(input, &mut base.header, &mut body),
            PacketType::Ack => ack(input, &base, &mut body),
            PacketType::Abort => body.extend_from_slice(&input.number().to_be_bytes()),
            _ => {
                let len = input.below(24);
                body.extend_from_slice(input.bytes(len));
            }
        }
        let mut cut = None;
        for _ in 0..wrong.saturating_sub(4) {
            spoil(input, &mut base.header, &mut cut);
        }
        let mut datagram = base.header.to_bytes().to_vec();
        datagram.append(&mut body);
        if let Some(cut) = cut {
            datagram.truncate(cut);
        }
        datagram
    }

    /// A datagram the endpoint sent, back at it or turned round, with an octet changed.
    pub(super) fn echo(&mut self, input: &mut Input<'_>) -> Option<Vec<u8>> {
        let which = input.byte();
        let mut bytes = self.sent.iter().rev().nth(usize::from(which & 31))?.1.clone();
        if which & 128 != 0 {
            bytes[21] ^= Flags::CLIENT_INITIATED.0;
        }
        if which & 64 != 0 {
            let place = usize::from(input.word()) % bytes.len();
            bytes[place] = input.byte();
        }
        Some(bytes)
    }
}

/// A captured packet: its first octets as they are, the rest by length.
pub(super) fn raw(input: &mut Input<'_>) -> Vec<u8> {
    let head = usize::from(input.byte());
    let rest = usize::from(input.word() % 9000);
    let mut bytes = input.bytes(head).to_vec();
    bytes.resize(bytes.len() + rest, 0);
    bytes
}

fn data(input: &mut Input<'_>, header: &mut Header, body: &mut Vec<u8>) {
    header.seq = input.number();
    let flags = input.byte();
    header.flags |= Flags(flags & (Flags::REQUEST_ACK.0 | Flags::LAST_PACKET.0 | Flags::MORE_PACKETS.0));
    let len = match input.byte() {
        n @ 0..=127 => usize::from(n),
        128..=199 => JUMBO_DATA_LEN,
        200..=219 => usize::from(input.word() % 9000),
        n => return jumbo(usize::from(n - 218), input, header, body),
    };
    body.resize(len, header.seq as u8);
}

/// Up to 39 segments, or as many as make too many.
fn jumbo(segments: usize, input: &mut Input<'_>, header: &mut Header, body: &mut Vec<u8>) {
    let segments = if segments > 36 { 46 } else { segments };
    let (end, flaw) = (input.byte(), input.byte());
    header.flags = header.flags.without(Flags::LAST_PACKET) | Flags::JUMBO;
    for place in 1..segments {
        body.resize(body.len() + JUMBO_DATA_LEN, place as u8);
        let more = if place + 1 < segments || flaw & 3 == 3 { Flags::JUMBO } else { Flags(end & 7) };
        let last = if usize::from(flaw >> 3) == place { Flags::LAST_PACKET } else { Flags::NONE };
        body.extend_from_slice(&[(more | last).0, 0, 0, 0]);
    }
    body.resize(body.len() + usize::from(end), 7);
    if flaw & 3 == 2 {
        body.truncate(body.len() / 2);
    }
}

fn ack(input: &mut Input<'_>, base: &Base, body: &mut Vec<u8>) {
    let (modes, reason) = (input.byte(), input.byte());
    let first_packet = match modes & 3 {
        0 => base.seq.wrapping_add(1),
        1 => base.seq.max(1),
        2 => 1,
        _ => input.number(),
    };
    let previous_packet = match modes >> 2 & 3 {
        0 => 0,
        1 => first_packet.wrapping_sub(1),
        2 => input.number(),
        _ => 1,
    };
    let serial = match modes >> 4 & 3 {
        0 | 1 => base.serial,
        2 => 0,
        _ => input.number(),
    };
    let reason = AckReason::from(reason % 12);
    let fields = AckFields { buffer_space: 0, max_skew: 0, first_packet, previous_packet, serial, reason };
    let (entries, pattern) = (input.byte(), input.byte());
    let count = if entries < 64 { usize::from(entries >> 4) } else { usize::from(entries) };
    let table = (0..count).map(|i| pattern >> (i % 8) & 1 == 1).collect::<Vec<_>>();
    let numbers = |input: &mut Input<'_>| Trailer {
        max_mtu: input.number(),
        if_mtu: input.number(),
        rwind: Some(input.number()),
        jumbo_max: Some(input.number()),
    };
    let trailer = match modes >> 6 {
        0 => None,
        1 => Some(Trailer { max_mtu: 1444, if_mtu: 1444, rwind: Some(input.number()), jumbo_max: Some(4) }),
        _ => Some(numbers(input)),
    };
    emit_ack(body, &fields, table.into_iter(), trailer.as_ref());
    if modes >> 6 == 3 {
        body.truncate(body.len().saturating_sub(input.below(24)));
    }
    if entries == 63 && body.len() > 17 {
        body[17] = 200;
    }
}

/// Set one field to something else, or cut the datagram short.
fn spoil(input: &mut Input<'_>, header: &mut Header, cut: &mut Option<usize>) {
    let field = input.below(14);
    let value = input.number();
    match field {
        0 => header.epoch = value,
        1 => header.cid = value,
        2 => header.call_number = value,
        3 => header.seq = value,
        4 => header.serial = value,
        5 => header.packet_type = PacketType::from(value as u8),
        6 => header.flags = Flags(value as u8),
        7 => header.user_status = value as u8,
        8 => header.security_index = value as u8,
        9 => header.checksum = value as u16,
        10 => header.service_id = value as u16,
        11 => header.call_number = header.call_number.wrapping_add(value).wrapping_sub(2),
        12 => header.cid ^= value & 3,
        _ => *cut = Some(value as usize),
    }
}
