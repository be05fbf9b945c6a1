//! Does a seed repeat? Two runs side by side, compared after every event.

use std::fmt;

use rxrpc_proto::Instant;

use crate::scenario::Scenario;
use crate::sim::{Harness, Sim};
use crate::trace::Trace;

/// Where two runs of one scenario part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Seed of the scenario.
    pub seed: u64,
    /// The event, counted from 0, after which they differ.
    pub event: u64,
    /// The time in each.
    pub at: [Instant; 2],
    /// The hash and count of records in each.
    pub trace: [Trace; 2],
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Divergence { seed, event, at: [a, b], trace: [x, y] } = self;
        write!(
            f,
            "seed {seed}: the runs part at event {event}, record {} or {}, ",
            x.records(),
            y.records()
        )?;
        write!(f, "at {a:?} or {b:?}: {} or {}, ", x.last(), y.last())?;
        write!(f, "hash {:016x} or {:016x}", x.hash(), y.hash())
    }
}

/// Run the scenario twice, side by side. The hash of the whole run.
///
/// # Errors
/// The first event after which the runs differ.
pub fn check(scenario: &Scenario, harness: Harness) -> Result<Trace, Divergence> {
    compare(harness(scenario.clone()), harness(scenario.clone()), scenario.seed)
}

/// Run both to their ends, comparing after every event.
///
/// # Errors
/// The first event after which they differ.
pub fn compare(mut a: Sim, mut b: Sim, seed: u64) -> Result<Trace, Divergence> {
    for event in 0.. {
        let (goes, also) = (a.step(), b.step());
        if goes != also || a.trace() != b.trace() {
            let (at, trace) = ([a.now(), b.now()], [a.trace(), b.trace()]);
            return Err(Divergence { seed, event, at, trace });
        }
        if !goes {
            break;
        }
    }
    Ok(a.trace())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Damage, ElementKind};
    use crate::swarm;

    #[test]
    fn seeds_repeat() {
        for seed in 0..20 {
            assert!(check(&swarm::scenario(seed), Sim::new).is_ok());
        }
    }

    #[test]
    fn a_difference_is_found_where_it_begins() {
        let mut scenario = Scenario::new(1, 2);
        scenario.call(0, 1, 100, 100);
        let mut other = scenario.clone();
        other.call(0, 1, 100, 100).at = 2_000_000;
        let divergence = compare(Sim::new(scenario), Sim::new(other), 1).unwrap_err();
        assert!(divergence.event > 0);
        assert!(divergence.at[1] <= Instant::from_nanos(2_000_000_000));
        assert!(divergence.to_string().contains("seed 1: the runs part at event"));
    }

    #[test]
    fn what_differs_is_named_by_its_packet_and_node() {
        let mut scenario = Scenario::new(1, 2);
        scenario.call(0, 1, 100, 100);
        let mut other = scenario.clone();
        other.nodes[1].services[0].reject_every = 1;
        let text = compare(Sim::new(scenario), Sim::new(other), 1).unwrap_err().to_string();
        assert!(text.contains("node 1") || text.contains("packet "), "{text}");
    }

    #[test]
    fn how_a_packet_was_damaged_counts() {
        let scenario = |damage| {
            let mut scenario = Scenario::new(1, 2);
            scenario.call(0, 1, 1_000, 1_000);
            scenario.link(0, 1, [ElementKind::Corrupt { p: 1.0, damage, checked: false }]);
            scenario.heal_at = 1;
            scenario
        };
        // The first packet is sent before the faults end. One byte or another: both arrive, and neither is answered.
        let run = |damage| {
            let mut sim = Sim::new(scenario(damage));
            while sim.trace().records() < 4 && sim.step() {}
            (sim.trace().records(), sim.trace().hash())
        };
        let (bit, byte) = (run(Damage::Bit), run(Damage::Byte));
        assert_eq!(bit, run(Damage::Bit));
        assert!(bit.0 == byte.0 && bit.1 != byte.1, "{bit:?} {byte:?}");
    }
}
