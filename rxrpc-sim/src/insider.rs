//! Packets of an attacker who has seen a packet pass: he names a connection and a call that live.
//!
//! Without security nothing keeps him from ending calls or putting bytes into them. So nothing of content is promised
//! once one of his packets has arrived; limits, work and what is left at the end are.

use std::net::SocketAddr;

use rxrpc_proto::wire::{
    AckFields, AckReason, Flags, Header, JUMBO_DATA_LEN, MAX_JUMBO_SEGMENTS, PacketType, emit_ack,
};

use crate::rng::Rng;

/// What he has seen arrive at a node last: the header, and who sent it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overheard {
    pub(crate) header: Header,
    pub(crate) src: SocketAddr,
}

/// A packet of the call that was overheard.
pub(crate) fn make(rng: &mut Rng, overheard: &Header, out: &mut Vec<u8>) {
    let mut header = *overheard;
    header.serial = header.serial.wrapping_add(rng.between(1, 20) as u32);
    header.flags = Flags(header.flags.0 & Flags::CLIENT_INITIATED.0);
    match rng.below(6) {
        0 => jumbo(rng, header, out),
        1 => data(rng, header, out),
        2 => ack(rng, header, out),
        3 if rng.chance(0.2) => handshake(rng, header, out),
        _ => {
            // Another service, as if it had been upgraded.
            header.packet_type = PacketType::Data;
            header.seq = 1;
            header.service_id = header.service_id.wrapping_add(rng.between(1, 5) as u16);
            header.emit(out);
        }
    }
}

fn data(rng: &mut Rng, mut header: Header, out: &mut Vec<u8>) {
    header.packet_type = PacketType::Data;
    header.call_number = header.call_number.wrapping_add(rng.below(2) as u32);
    header.seq = rng.between(1, 5) as u32;
    let last = if rng.chance(0.5) { Flags::LAST_PACKET } else { Flags::NONE };
    header.flags |= last;
    header.emit(out);
    out.extend_from_slice(&[0; 12]);
}

/// Several segments in one datagram, wrong in one way or another.
fn jumbo(rng: &mut Rng, mut header: Header, out: &mut Vec<u8>) {
    header.packet_type = PacketType::Data;
    header.flags |= Flags::JUMBO;
    header.call_number = header.call_number.wrapping_add(rng.below(2) as u32);
    header.seq = *rng.pick(&[1, u32::MAX]);
    let count = *rng.pick(&[1, 2, MAX_JUMBO_SEGMENTS]);
    let wrong = rng.below(3);
    if wrong == 0 && count < MAX_JUMBO_SEGMENTS {
        header.flags |= Flags::LAST_PACKET;
    }
    header.emit(out);
    for _ in 0..count {
        out.resize(out.len() + JUMBO_DATA_LEN, 7);
        out.extend_from_slice(&[Flags::JUMBO.0, 0, 0, 0]);
    }
    if wrong == 1 {
        out.truncate(out.len() - 3);
    }
}

fn ack(rng: &mut Rng, mut header: Header, out: &mut Vec<u8>) {
    header.packet_type = PacketType::Ack;
    header.seq = 0;
    header.emit(out);
    let fields = AckFields {
        buffer_space: 0,
        max_skew: 0,
        first_packet: rng.below(4) as u32,
        previous_packet: rng.below(4) as u32,
        serial: rng.below(4) as u32,
        reason: AckReason::from(rng.between(1, 9) as u8),
    };
    emit_ack(out, &fields, vec![false; rng.below(300) as usize].into_iter(), None);
    if rng.chance(0.2) {
        // The table is said to be longer than what follows.
        let end = out.len();
        out.truncate(end - rng.below(4).min(end as u64) as usize);
    }
}

fn handshake(rng: &mut Rng, mut header: Header, out: &mut Vec<u8>) {
    let from_client = header.from_client();
    header.packet_type = if from_client { PacketType::Response } else { PacketType::Challenge };
    (header.call_number, header.seq) = (0, 0);
    header.emit(out);
    let start = out.len();
    out.resize(start + 16, 0);
    rng.fill(&mut out[start..]);
}
