//! Campaigns: many seeds, what they reached, and which of them failed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rxrpc_proto::Instant;

use crate::coverage::{Coverage, Kind};
use crate::oracle::{Oracle, Violation};
use crate::scenario::Scenario;
use crate::sim::{Harness, Report};
use crate::trace::splitmix_hash;

/// From so many seeds on, a campaign that does not reach everything has failed.
pub const ENOUGH: u64 = 10_000;

/// Which seeds to run: those of the range whose number modulo `count` is `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which share, below `count`.
    pub index: u64,
    /// How many shares.
    pub count: u64,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };
}

/// A seed that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was found, first things first.
    pub violations: Vec<Violation>,
    /// Everything the run was made of: it replays without the seed's generator.
    pub scenario: Scenario,
}

/// What a campaign, or a share of it, has come to.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Seeds run.
    pub seeds: u64,
    /// Seeds that failed; of the first ones everything is kept.
    pub failed: Vec<u64>,
    /// The first failures.
    pub failures: Vec<Failure>,
    /// What was reached.
    pub coverage: Coverage,
    /// Datagrams sent in all.
    pub datagrams: u64,
    /// Events simulated in all.
    pub events: u64,
    /// Calls made in all.
    pub calls: u64,
    /// Of them, ended with success.
    pub succeeded: u64,
    /// Sum of a hash of all runs, the same however the seeds are shared out.
    pub hash: u64,
}

/// Failures that are kept whole.
pub const KEPT: usize = 32;

impl Results {
    /// Add another share.
    pub fn merge(&mut self, other: Results) {
        self.seeds += other.seeds;
        self.failed.extend(other.failed);
        self.failed.sort_unstable();
        self.failures.extend(other.failures);
        self.failures.sort_by_key(|f| f.seed);
        self.failures.truncate(KEPT);
        self.coverage.merge(&other.coverage);
        self.datagrams += other.datagrams;
        self.events += other.events;
        self.calls += other.calls;
        self.succeeded += other.succeeded;
        self.hash = self.hash.wrapping_add(other.hash);
    }

    /// What was to be reached and was not.
    #[must_use]
    pub fn zeroes(&self) -> Vec<(Kind, &'static str)> {
        self.coverage.zeroes()
    }

    /// Whether nothing failed and, if there were enough seeds, everything was reached.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && (self.seeds < ENOUGH || self.zeroes().is_empty())
    }

    /// Add what a run of the scenario has come to. Whether it was good.
    pub fn add(&mut self, scenario: &Scenario, came_of_it: Result<Report, Violation>) -> bool {
        self.seeds += 1;
        let report = match came_of_it {
            Ok(report) => report,
            Err(violation) => {
                self.fail(scenario, vec![violation]);
                return false;
            }
        };
        self.coverage.merge(&report.coverage);
        self.datagrams += report.datagrams;
        self.events += report.events;
        self.calls += report.calls;
        self.succeeded += report.succeeded;
        self.hash = self.hash.wrapping_add(splitmix_hash(report.seed, report.trace));
        let good = report.is_good();
        if !good {
            self.fail(scenario, report.violations);
        }
        good
    }

    fn fail(&mut self, scenario: &Scenario, violations: Vec<Violation>) {
        self.failed.push(scenario.seed);
        if self.failures.len() < KEPT {
            self.failures.push(Failure { seed: scenario.seed, violations, scenario: scenario.clone() });
        }
    }
}

/// Run a scenario. A panic is a violation like any other.
///
/// # Errors
/// What the panic said.
pub fn run(scenario: &Scenario, harness: Harness) -> Result<Report, Violation> {
    guarded(|| harness(scenario.clone()).run())
}

/// Do a run. A panic in it is a violation like any other.
///
/// # Errors
/// What the panic said.
pub fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_string()));
        let text = text.unwrap_or_default();
        Violation { at: Instant::ORIGIN, node: None, oracle: Oracle::Panic, text }
    })
}

/// Run those of the seeds that are in the shard, each with the scenario that `make` draws. `each` is told of every seed
/// and whether it was good, and stops the campaign by returning false.
pub fn campaign(
    seeds: impl IntoIterator<Item = u64>,
    shard: Shard,
    harness: Harness,
    make: impl Fn(u64) -> Scenario,
    mut each: impl FnMut(u64, bool) -> bool,
) -> Results {
    let mut results = Results::default();
    let count = shard.count.max(1);
    for seed in seeds.into_iter().filter(|seed| seed % count == shard.index) {
        let scenario = make(seed);
        let good = results.add(&scenario, run(&scenario, harness));
        if !each(seed, good) {
            break;
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Sim;
    use crate::swarm;

    #[test]
    fn shards_together_are_the_whole() {
        let whole = campaign(0..20, Shard::WHOLE, Sim::new, swarm::scenario, |_, _| true);
        let mut parts = Results::default();
        for index in 0..3 {
            parts.merge(campaign(0..20, Shard { index, count: 3 }, Sim::new, swarm::scenario, |_, _| true));
        }
        assert_eq!((parts.seeds, parts.hash, &parts.coverage), (whole.seeds, whole.hash, &whole.coverage));
        assert_eq!(parts.failed, whole.failed);
    }
}
