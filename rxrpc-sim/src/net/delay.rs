//! Delay that varies.

use rxrpc_proto::Instant;

use super::{Control, Element};
use crate::packet::Packet;
use crate::rng::Rng;
use crate::scenario::{Distribution, Micros, us};
use crate::world::World;

/// A delay that varies.
pub(super) struct Delay {
    name: &'static str,
    by: Distribution,
    correlation: f64,
    ordered: bool,
    rng: Rng,
    last: Option<f64>,
    /// When the last packet goes on.
    latest: Instant,
    healed: bool,
}

impl Delay {
    pub(super) fn new(
        name: &'static str,
        by: Distribution,
        correlation: f64,
        ordered: bool,
        rng: Rng,
    ) -> Self {
        Delay { name, by, correlation, ordered, rng, last: None, latest: Instant::ORIGIN, healed: false }
    }

    fn draw(&mut self) -> f64 {
        match &self.by {
            Distribution::Fixed(micros) => *micros as f64,
            Distribution::Uniform { low, high } => self.rng.between(*low, *high) as f64,
            Distribution::Normal { mean, deviation } => {
                (*mean as f64 + *deviation as f64 * self.rng.normal()).max(0.0)
            }
            Distribution::Pareto { least, shape, most } => {
                let u = 1.0 - self.rng.unit();
                (*least as f64 / libm::pow(u, 1.0 / shape.max(0.01))).min(*most as f64)
            }
            Distribution::Samples(samples) if samples.is_empty() => 0.0,
            Distribution::Samples(samples) => *self.rng.pick(samples) as f64,
        }
    }

    fn next(&mut self) -> Micros {
        let fresh = self.draw();
        let value = match self.last {
            Some(last) => self.correlation * last + (1.0 - self.correlation) * fresh,
            None => fresh,
        };
        self.last = Some(value);
        value as Micros
    }
}

impl Element for Delay {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        let mut at = now;
        if !self.healed {
            world.coverage.fault(self.name);
            if self.correlation > 0.0 {
                world.coverage.fault("delay-correlated");
            }
            at += us(self.next());
        }
        if self.ordered {
            at = at.max(self.latest);
            self.latest = at;
        }
        world.forward_at(at, packet);
    }

    fn control(&mut self, _now: Instant, control: &Control, _world: &mut World) {
        self.healed |= *control == Control::Heal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(by: Distribution, correlation: f64) -> Vec<Micros> {
        let mut delay = Delay::new("test", by, correlation, false, Rng::new(1));
        (0..20_000).map(|_| delay.next()).collect()
    }

    fn mean(all: &[Micros]) -> f64 {
        all.iter().sum::<u64>() as f64 / all.len() as f64
    }

    #[test]
    fn each_distribution_has_its_shape() {
        assert!(delays(Distribution::Fixed(7), 0.0).iter().all(|d| *d == 7));
        let uniform = delays(Distribution::Uniform { low: 10, high: 30 }, 0.0);
        assert!((mean(&uniform) - 20.0).abs() < 0.5 && uniform.iter().all(|d| (10..=30).contains(d)));
        let normal = delays(Distribution::Normal { mean: 1000, deviation: 100 }, 0.0);
        assert!((mean(&normal) - 1000.0).abs() < 5.0);
        let pareto = delays(Distribution::Pareto { least: 100, shape: 2.0, most: 10_000 }, 0.0);
        assert!((mean(&pareto) - 200.0).abs() < 15.0 && pareto.iter().all(|d| (100..=10_000).contains(d)));
        let samples = delays(Distribution::Samples(vec![3, 9]), 0.0);
        assert!(samples.iter().all(|d| [3, 9].contains(d)));
        assert_eq!(delays(Distribution::Samples(vec![]), 0.0)[0], 0);
    }

    #[test]
    fn correlation_keeps_neighbours_close() {
        let step =
            |all: &[u64]| all.windows(2).map(|w| w[0].abs_diff(w[1])).sum::<u64>() as f64 / all.len() as f64;
        let free = delays(Distribution::Uniform { low: 0, high: 1000 }, 0.0);
        let tied = delays(Distribution::Uniform { low: 0, high: 1000 }, 0.9);
        assert!(step(&tied) < step(&free) / 3.0);
    }
}
