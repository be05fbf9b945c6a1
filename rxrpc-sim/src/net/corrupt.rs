//! Damage: bits, bytes, lengths, and packets glued together.

use rxrpc_proto::Instant;

use super::{Control, Element};
use crate::observer::LossReason;
use crate::packet::Packet;
use crate::rng::Rng;
use crate::scenario::Damage;
use crate::world::World;

pub(super) struct Corrupt {
    name: &'static str,
    p: f64,
    damage: Damage,
    checked: bool,
    rng: Rng,
    /// The packet before, for splicing.
    before: Vec<u8>,
    healed: bool,
}

impl Corrupt {
    pub(super) fn new(name: &'static str, p: f64, damage: Damage, checked: bool, rng: Rng) -> Self {
        Corrupt { name, p, damage, checked, rng, before: Vec::new(), healed: false }
    }

    /// Damage the bytes. False if they are what they were.
    fn spoil(&mut self, bytes: &mut Vec<u8>) -> bool {
        let len = bytes.len() as u64;
        if len == 0 {
            return false;
        }
        let at = self.rng.below(len) as usize;
        match self.damage {
            Damage::Bit => bytes[at] ^= 1 << self.rng.below(8),
            Damage::Byte => bytes[at] ^= self.rng.between(1, 255) as u8,
            Damage::Truncate => bytes.truncate(at),
            Damage::Extend => {
                let more = self.rng.between(1, 64) as usize;
                let end = bytes.len();
                bytes.resize(end + more, 0);
                self.rng.fill(&mut bytes[end..]);
            }
            Damage::Splice => {
                let tail = self.before.get(at..).unwrap_or_default();
                if bytes[at..] == *tail {
                    return false;
                }
                bytes.truncate(at);
                bytes.extend_from_slice(tail);
            }
        }
        true
    }
}

impl Element for Corrupt {
    fn handle(&mut self, _now: Instant, mut packet: Packet, world: &mut World) {
        let strikes = !self.healed && self.rng.chance(self.p);
        if strikes && self.checked {
            world.coverage.fault(self.name);
            world.lose(packet, LossReason::Checksum);
            return;
        }
        if strikes && self.spoil(&mut packet.bytes) {
            world.coverage.fault(self.name);
            world.damaged(&mut packet);
        }
        if self.damage == Damage::Splice && !self.healed {
            self.before.clear();
            self.before.extend_from_slice(&packet.bytes);
        }
        world.forward(packet);
    }

    fn control(&mut self, _now: Instant, control: &Control, _world: &mut World) {
        self.healed |= *control == Control::Heal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_damage_changes_what_it_says() {
        for damage in Damage::ALL {
            let mut corrupt = Corrupt::new("test", 1.0, damage, false, Rng::new(2));
            corrupt.before = vec![9; 70];
            for _ in 0..100 {
                let mut bytes = vec![1u8; 50];
                assert!(corrupt.spoil(&mut bytes));
                let differing = bytes.iter().filter(|b| **b != 1).count();
                match damage {
                    Damage::Bit | Damage::Byte => assert_eq!((bytes.len(), differing), (50, 1)),
                    Damage::Truncate => assert!(bytes.len() < 50 && differing == 0),
                    Damage::Extend => assert!(bytes.len() > 50),
                    Damage::Splice => assert_eq!(bytes.len(), 70),
                }
            }
            assert!(!corrupt.spoil(&mut Vec::new()));
        }
    }
}
