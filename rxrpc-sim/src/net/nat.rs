//! An address translator in front of a node: one element in both directions.

use std::net::SocketAddr;

use rxrpc_proto::Instant;

use super::{Control, Element};
use crate::observer::LossReason;
use crate::packet::{NodeId, Packet, outside};
use crate::rng::Rng;
use crate::scenario::{NatSpec, us};
use crate::world::World;

/// A mapping, one for all destinations of the node's one socket.
struct Mapping {
    port: u16,
    used: Instant,
    /// Whom the node has sent to through it.
    peers: Vec<SocketAddr>,
}

pub(crate) struct Nat {
    node: NodeId,
    inside: SocketAddr,
    spec: NatSpec,
    rng: Rng,
    mapping: Option<Mapping>,
    healed: bool,
}

impl Nat {
    pub(crate) fn new(node: NodeId, inside: SocketAddr, spec: NatSpec, rng: Rng) -> Self {
        Nat { node, inside, spec, rng, mapping: None, healed: false }
    }

    fn expire(&mut self, now: Instant, world: &mut World) {
        let life = us(self.spec.timeout);
        let expired = |m: &Mapping| self.spec.timeout > 0 && m.used + life <= now;
        if !self.healed && self.mapping.as_ref().is_some_and(expired) {
            world.coverage.fault("nat-timeout");
            world.oracles.disturbances.on_node(self.node, now);
            self.mapping = None;
        }
    }

    fn outbound(&mut self, now: Instant, mut packet: Packet, world: &mut World) {
        let port = self.rng.between(1024, 65_535) as u16;
        let mapping = self.mapping.get_or_insert_with(|| Mapping { port, used: now, peers: Vec::new() });
        mapping.used = now;
        if !mapping.peers.contains(&packet.dst) {
            mapping.peers.push(packet.dst);
        }
        packet.src = outside(self.node, mapping.port, self.inside.is_ipv6());
        world.forward(packet);
    }

    fn inbound(&mut self, mut packet: Packet, world: &mut World) {
        let restricted = self.spec.restricted;
        let passes = self
            .mapping
            .as_ref()
            .is_some_and(|m| m.port == packet.dst.port() && (!restricted || m.peers.contains(&packet.src)));
        if passes {
            packet.dst = self.inside;
            world.forward(packet);
        } else {
            world.coverage.fault("nat-blocks");
            world.lose(packet, LossReason::NoMapping);
        }
    }
}

impl Element for Nat {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        self.expire(now, world);
        if packet.src == self.inside {
            self.outbound(now, packet, world);
        } else {
            self.inbound(packet, world);
        }
    }

    fn control(&mut self, _now: Instant, control: &Control, world: &mut World) {
        match control {
            Control::Heal => self.healed = true,
            Control::Rebind if !self.healed => {
                world.coverage.fault("nat-rebinding");
                self.mapping = None;
            }
            _ => {}
        }
    }
}
