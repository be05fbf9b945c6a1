//! Partitions: a link that passes nothing at certain times.

use rxrpc_proto::Instant;

use super::{Control, Element};
use crate::observer::LossReason;
use crate::packet::Packet;
use crate::scenario::{Micros, us};
use crate::world::World;

pub(crate) struct Gate {
    closed: Vec<(Micros, Micros)>,
    /// When the other direction is closed.
    back: Vec<(Micros, Micros)>,
}

impl Gate {
    pub(crate) fn new(closed: Vec<(Micros, Micros)>, back: Vec<(Micros, Micros)>) -> Self {
        Gate { closed, back }
    }
}

impl Element for Gate {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        let at = |micros| Instant::ORIGIN + us(micros);
        let is_closed =
            |times: &[(Micros, Micros)]| times.iter().any(|(from, to)| (at(*from)..at(*to)).contains(&now));
        if is_closed(&self.closed) {
            let both = is_closed(&self.back);
            world.coverage.fault(if both { "partition-both-ways" } else { "partition-one-way" });
            world.lose(packet, LossReason::Partition);
        } else {
            world.forward(packet);
        }
    }

    fn control(&mut self, _now: Instant, control: &Control, _world: &mut World) {
        if *control == Control::Heal {
            self.closed.clear();
        }
    }
}
