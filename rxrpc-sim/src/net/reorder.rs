//! Reordering: packets held back for a time, or until others have passed.

use std::collections::VecDeque;

use rxrpc_proto::Instant;

use super::{Control, Element};
use crate::packet::Packet;
use crate::rng::Rng;
use crate::scenario::{Micros, us};
use crate::world::World;

pub(super) struct ByDelay {
    p: f64,
    by: Micros,
    rng: Rng,
    healed: bool,
}

impl ByDelay {
    pub(super) fn new(p: f64, by: Micros, rng: Rng) -> Self {
        ByDelay { p, by, rng, healed: false }
    }
}

impl Element for ByDelay {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        if !self.healed && self.rng.chance(self.p) {
            world.coverage.fault("reorder-delay");
            let by = us(self.rng.between(1, self.by));
            world.forward_at(now + by, packet);
        } else {
            world.forward(packet);
        }
    }

    fn control(&mut self, _now: Instant, control: &Control, _world: &mut World) {
        self.healed |= *control == Control::Heal;
    }
}

struct Held {
    packet: Packet,
    /// Packets that are still to pass it.
    gap: u32,
    until: Instant,
}

pub(super) struct ByGap {
    every: u32,
    gap: u32,
    at_most: Micros,
    seen: u32,
    held: VecDeque<Held>,
    healed: bool,
}

impl ByGap {
    pub(super) fn new(every: u32, gap: u32, at_most: Micros) -> Self {
        ByGap { every: every.max(1), gap, at_most, seen: 0, held: VecDeque::new(), healed: false }
    }

    fn release(&mut self, now: Instant, world: &mut World) {
        while self.held.front().is_some_and(|h| h.gap == 0 || h.until <= now || self.healed) {
            if let Some(held) = self.held.pop_front() {
                world.forward(held.packet);
            }
        }
    }
}

impl Element for ByGap {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        self.seen = self.seen.wrapping_add(1);
        if !self.healed && self.seen.is_multiple_of(self.every) {
            world.coverage.fault("reorder-gap");
            let by = us(self.at_most);
            world.held(now + by, by, &packet);
            self.held.push_back(Held { packet, gap: self.gap, until: now + by });
            return;
        }
        world.forward(packet);
        self.held.iter_mut().for_each(|h| h.gap = h.gap.saturating_sub(1));
        self.release(now, world);
    }

    fn wake(&mut self, now: Instant, world: &mut World) {
        self.release(now, world);
    }

    fn next_wake(&mut self) -> Option<Instant> {
        self.held.front().map(|h| h.until)
    }

    fn control(&mut self, now: Instant, control: &Control, world: &mut World) {
        if *control == Control::Heal {
            self.healed = true;
            self.release(now, world);
        }
    }
}
