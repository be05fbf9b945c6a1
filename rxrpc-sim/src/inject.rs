//! Packets of attackers. Most see nothing of the traffic, and all they can do is guess; some have seen a packet pass.

use rxrpc_proto::wire::{
    AbortCode, AckFields, AckReason, Flags, Header, PacketType, Trailer, emit_abort, emit_ack,
};

use crate::insider;
use crate::packet::{NodeId, Packet, inside, stranger};
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::world::World;

/// Share of the attackers with a node's address who have seen a packet pass.
const INSIDERS: f64 = 0.5;

/// What an attacker does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    /// Where his packets arrive.
    pub(crate) to: NodeId,
    /// The node that they claim to be of, or strangers.
    pub(crate) claims: Option<NodeId>,
    /// How many.
    pub(crate) count: u32,
    /// He has seen no packet pass.
    pub(crate) blind: bool,
}

/// Let the packets of an attacker arrive.
pub(crate) fn inject(world: &mut World, scenario: &Scenario, attack: Attack, mut rng: Rng) {
    let Attack { to, claims, count, blind } = attack;
    let ipv6 = |node: NodeId| scenario.nodes.get(usize::from(node)).is_some_and(|n| n.ipv6);
    let start = rng.next_u32();
    let overheard = world.overheard(to).filter(|_| !blind && claims.is_some() && rng.chance(INSIDERS));
    for i in 0..count {
        let src = match (overheard, claims) {
            (Some(overheard), _) => overheard.src,
            (None, Some(node)) => inside(node, ipv6(node)),
            (None, None) => stranger(start.wrapping_add(i / 4), ipv6(to)),
        };
        let mut bytes = world.pool.copy(&[]);
        match overheard {
            Some(overheard) => insider::make(&mut rng, &overheard.header, &mut bytes),
            None => make(&mut rng, &mut bytes),
        }
        world.coverage.fault(if overheard.is_some() { "injected-inside" } else { "injected" });
        world.inject(
            to,
            Packet { damaged: overheard.is_some(), ..Packet::new(src, inside(to, ipv6(to)), bytes) },
        );
    }
}

/// A packet: of every type, with every header field guessed, well formed or not.
fn make(rng: &mut Rng, out: &mut Vec<u8>) {
    let packet_type = PacketType::from(rng.between(0, 14) as u8);
    let flags = if rng.chance(0.5) { Flags::CLIENT_INITIATED } else { Flags::NONE };
    let last = if rng.chance(0.5) { Flags::LAST_PACKET } else { Flags::NONE };
    let asks = if rng.chance(0.5) { Flags::REQUEST_ACK } else { Flags::NONE };
    let header = Header {
        epoch: rng.next_u32(),
        cid: rng.next_u32(),
        call_number: rng.below(4) as u32,
        seq: rng.below(4) as u32,
        serial: rng.below(1000) as u32,
        packet_type,
        flags: flags | last | asks,
        user_status: rng.below(3) as u8,
        security_index: *rng.pick(&[0, 0, 0, 2, 4, 6]),
        checksum: 0,
        service_id: *rng.pick(&[crate::scenario::SERVICE, crate::scenario::SERVICE, 0, 7]),
    };
    match packet_type {
        PacketType::Abort => emit_abort(out, &header, AbortCode(rng.next_u32() as i32)),
        PacketType::Ack => {
            header.emit(out);
            let fields = AckFields {
                buffer_space: 0,
                max_skew: 0,
                first_packet: rng.below(300) as u32,
                previous_packet: rng.below(300) as u32,
                serial: rng.below(300) as u32,
                reason: AckReason::from(rng.between(0, 11) as u8),
            };
            let trailer = Trailer {
                max_mtu: rng.next_u32(),
                if_mtu: 1444,
                rwind: Some(rng.next_u32()),
                jumbo_max: Some(0),
            };
            let table = vec![true; rng.below(20) as usize];
            emit_ack(out, &fields, table.into_iter(), Some(&trailer));
        }
        _ => {
            header.emit(out);
            let len = *rng.pick(&[0, 1, 4, 8, 20, 65, 200, 1412]);
            let start = out.len();
            out.resize(start + len, 0);
            rng.fill(&mut out[start..]);
        }
    }
    if rng.chance(0.1) {
        out.truncate(rng.below(out.len() as u64 + 1) as usize);
    }
}
