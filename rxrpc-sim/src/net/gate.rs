//! Partitions: a link that passes nothing at certain times.

use rxrpc_proto::Instant;

use super::{Control, Element};
use crate::observer::LossReason;
use crate::packet::Packet;
use crate::scenario::{Micros, us};
use crate::world::World;

pub(super) struct Gate {
    closed: Vec<(Micros, Micros)>,
}

impl Gate {
    pub(super) fn new(closed: Vec<(Micros, Micros)>) -> Self {
        Gate { closed }
    }
}

impl Element for Gate {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        let at = |micros| Instant::ORIGIN + us(micros);
        if self.closed.iter().any(|(from, to)| (at(*from)..at(*to)).contains(&now)) {
            world.coverage.fault("partition");
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
