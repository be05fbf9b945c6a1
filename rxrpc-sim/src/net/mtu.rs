//! A path that carries no large packet: it reports, fragments or swallows them.

use rxrpc_proto::{Instant, NetworkError};

use super::{Control, Element};
use crate::observer::LossReason;
use crate::packet::Packet;
use crate::rng::Rng;
use crate::scenario::MtuSpec;
use crate::world::World;

/// IP header, which each fragment carries.
const IP_HEADER: usize = 20;

pub(super) struct Mtu {
    name: &'static str,
    spec: MtuSpec,
    rng: Rng,
    healed: bool,
}

impl Mtu {
    pub(super) fn new(name: &'static str, spec: MtuSpec, rng: Rng) -> Self {
        Mtu { name, spec, rng, healed: false }
    }

    /// How many fragments the packet becomes: their data are multiples of eight bytes.
    fn fragments(&self, packet: &Packet) -> usize {
        let room = (self.spec.mtu as usize).saturating_sub(IP_HEADER) / 8 * 8;
        (packet.ip_len() - IP_HEADER).div_ceil(room.max(8))
    }
}

impl Element for Mtu {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        if self.healed || packet.ip_len() <= self.spec.mtu as usize {
            return world.forward(packet);
        }
        world.coverage.fault(self.name);
        if packet.df || !self.spec.fragment {
            if self.spec.report {
                world.report(now, &packet, NetworkError::MessageTooLong { mtu: self.spec.mtu });
            }
            return world.lose(packet, LossReason::TooLarge);
        }
        let lost = (0..self.fragments(&packet)).any(|_| self.rng.chance(self.spec.fragment_loss));
        if lost {
            world.lose(packet, LossReason::Fragment);
        } else {
            world.forward(packet);
        }
    }

    fn control(&mut self, _now: Instant, control: &Control, _world: &mut World) {
        self.healed |= *control == Control::Heal;
    }
}
