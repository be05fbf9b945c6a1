//! Loss by chance: alone, in bursts, or after other losses.

use rxrpc_proto::Instant;

use super::{Control, Element};
use crate::observer::LossReason;
use crate::packet::Packet;
use crate::rng::Rng;
use crate::scenario::LossModel;
use crate::world::World;

pub(super) struct Loss {
    name: &'static str,
    model: LossModel,
    rng: Rng,
    /// Gilbert-Elliott: in the bad state. Correlated: the last packet was lost.
    bad: bool,
    healed: bool,
}

impl Loss {
    pub(super) fn new(name: &'static str, model: LossModel, mut rng: Rng) -> Self {
        let begins_bad = if let LossModel::Correlated { p, .. } = model { p } else { 0.0 };
        let bad = rng.chance(begins_bad);
        Loss { name, model, rng, bad, healed: false }
    }

    fn loses(&mut self) -> bool {
        match self.model {
            LossModel::Bernoulli { p } => self.rng.chance(p),
            LossModel::Gilbert { to_bad, to_good, good, bad } => {
                let change = if self.bad { to_good } else { to_bad };
                self.bad ^= self.rng.chance(change);
                self.rng.chance(if self.bad { bad } else { good })
            }
            // A chain of two states whose fates correlate by just that much, and whose mean is `p` whatever it is.
            // Mixing numbers drawn before, as others do, narrows their spread: a small `p` would never be met.
            LossModel::Correlated { p, correlation } => {
                let fresh = p * (1.0 - correlation);
                self.bad = self.rng.chance(if self.bad { correlation + fresh } else { fresh });
                self.bad
            }
        }
    }
}

impl Element for Loss {
    fn handle(&mut self, _now: Instant, packet: Packet, world: &mut World) {
        if !self.healed && self.loses() {
            world.coverage.fault(self.name);
            world.lose(packet, LossReason::Loss);
        } else {
            world.forward(packet);
        }
    }

    fn control(&mut self, _now: Instant, control: &Control, _world: &mut World) {
        self.healed |= *control == Control::Heal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(model: LossModel) -> Vec<bool> {
        let mut loss = Loss::new("test", model, Rng::new(5));
        (0..100_000).map(|_| loss.loses()).collect()
    }

    fn rate(losses: &[bool]) -> f64 {
        losses.iter().filter(|l| **l).count() as f64 / losses.len() as f64
    }

    /// How often a loss follows a loss.
    fn burst(losses: &[bool]) -> f64 {
        let after: Vec<bool> = losses.windows(2).filter(|w| w[0]).map(|w| w[1]).collect();
        rate(&after)
    }

    #[test]
    fn bernoulli_loses_its_share_without_memory() {
        let l = losses(LossModel::Bernoulli { p: 0.1 });
        assert!((rate(&l) - 0.1).abs() < 0.01);
        assert!((burst(&l) - 0.1).abs() < 0.02);
    }

    #[test]
    fn gilbert_loses_in_bursts() {
        let l = losses(LossModel::preset("satellite").unwrap());
        // A fifth of the time is bad, of which 80 % are lost.
        assert!((rate(&l) - 0.16).abs() < 0.04, "{}", rate(&l));
        assert!(burst(&l) > 0.7);
    }

    #[test]
    fn correlated_losses_are_as_many_as_without_and_come_together() {
        for (p, correlation) in [(0.1, 0.8), (0.1, 0.3), (0.3, 0.8), (0.3, 0.3), (0.7, 0.8), (0.5, 0.0)] {
            let l = losses(LossModel::Correlated { p, correlation });
            assert!((rate(&l) - p).abs() < 0.02, "{p} {correlation}: {}", rate(&l));
            let expected = p + correlation * (1.0 - p);
            assert!((burst(&l) - expected).abs() < 0.02, "{p} {correlation}: {}", burst(&l));
        }
        assert_eq!(rate(&losses(LossModel::Correlated { p: 0.0, correlation: 1.0 })), 0.0);
        assert_eq!(rate(&losses(LossModel::Correlated { p: 1.0, correlation: 0.9 })), 1.0);
    }
}
