//! Packets that come twice: soon after, or long after.

use rxrpc_proto::Instant;

use super::{Control, Element};
use crate::packet::Packet;
use crate::rng::Rng;
use crate::scenario::{Micros, us};
use crate::world::World;

pub(super) struct Duplicate {
    p: f64,
    spread: Micros,
    rng: Rng,
    healed: bool,
}

impl Duplicate {
    pub(super) fn new(p: f64, spread: Micros, rng: Rng) -> Self {
        Duplicate { p, spread, rng, healed: false }
    }
}

impl Element for Duplicate {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        if !self.healed && self.rng.chance(self.p) {
            world.coverage.fault("duplicate");
            let copy = world.duplicate(&packet);
            let later = us(self.rng.between(0, self.spread));
            world.forward(packet);
            world.forward_at(now + later, copy);
        } else {
            world.forward(packet);
        }
    }

    fn control(&mut self, _now: Instant, control: &Control, _world: &mut World) {
        self.healed |= *control == Control::Heal;
    }
}

/// Old packets again, after calls and channels have moved on.
pub(super) struct Replay {
    p: f64,
    after: Micros,
    rng: Rng,
    healed: bool,
}

impl Replay {
    pub(super) fn new(p: f64, after: Micros, rng: Rng) -> Self {
        Replay { p, after, rng, healed: false }
    }
}

impl Element for Replay {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        if !self.healed && self.rng.chance(self.p) {
            world.coverage.fault("replay");
            let copy = world.duplicate(&packet);
            world.forward_at(now + us(self.after), copy);
        }
        world.forward(packet);
    }

    fn control(&mut self, _now: Instant, control: &Control, _world: &mut World) {
        self.healed |= *control == Control::Heal;
    }
}
