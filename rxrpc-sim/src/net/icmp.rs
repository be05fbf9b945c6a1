//! Routers that refuse packets and say so, at once or late.

use rxrpc_proto::Instant;

use super::{Control, Element, network_error};
use crate::observer::LossReason;
use crate::packet::Packet;
use crate::rng::Rng;
use crate::scenario::{IcmpKind, Micros, us};
use crate::world::World;

pub(super) struct Icmp {
    p: f64,
    after: Micros,
    kind: IcmpKind,
    rng: Rng,
    healed: bool,
}

impl Icmp {
    pub(super) fn new(p: f64, after: Micros, kind: IcmpKind, rng: Rng) -> Self {
        Icmp { p, after, kind, rng, healed: false }
    }
}

impl Element for Icmp {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        if !self.healed && self.rng.chance(self.p) {
            world.coverage.fault(if self.after > 0 { "icmp-late" } else { "icmp-true" });
            world.report(now + us(self.after), &packet, network_error(self.kind));
            world.lose(packet, LossReason::Refused);
        } else {
            world.forward(packet);
        }
    }

    fn control(&mut self, _now: Instant, control: &Control, _world: &mut World) {
        self.healed |= *control == Control::Heal;
    }
}
