//! What a campaign, or a shard of it, has come to, as a file that can be merged with others.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use clap::ValueEnum;
use rxrpc_sim::Coverage;
use rxrpc_sim::campaign::{ENOUGH, Results, Shard};
use serde::{Deserialize, Serialize};

use super::harness::Nodes;
use super::seeds::Seeds;
use crate::failure::Failure;

/// Counts by kind, then by name.
pub(super) type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// The results of one command.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tally {
    /// The range of seeds that all shards share.
    pub(super) seeds: Seeds,
    /// What the nodes were.
    pub(super) harness: String,
    /// The scenario file, if it was not swarm mode.
    pub(super) scenario: Option<String>,
    /// The share of the seeds.
    pub(super) shard: Share,
    /// Seeds run.
    pub(super) runs: u64,
    /// How long it took.
    pub(super) seconds: f64,
    /// Datagrams sent.
    pub(super) datagrams: u64,
    /// Events simulated.
    pub(super) events: u64,
    /// Calls that ended.
    pub(super) calls: u64,
    /// Of them, with success.
    pub(super) succeeded: u64,
    /// Sum over a hash of every run.
    pub(super) hash: Hash,
    /// What was reached, and how often.
    pub(super) coverage: Counts,
    /// Every seed that failed.
    pub(super) failed: Vec<u64>,
    /// The first of them, with what was found.
    pub(super) failures: Vec<Failed>,
}

/// A share: `index` of `count`, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Share {
    pub(super) index: u64,
    pub(super) count: u64,
}

/// A seed that failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failed {
    pub(super) seed: u64,
    pub(super) oracle: String,
    pub(super) text: String,
    /// The scenario that replays it, if it was written.
    pub(super) replay: Option<String>,
    /// The same with everything taken away that it fails without.
    pub(super) shrunk: Option<String>,
}

/// A hash, in hexadecimal where people read it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Hash(pub(super) u64);

impl From<Hash> for String {
    fn from(hash: Hash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        u64::from_str_radix(&text, 16).map(Hash).map_err(|_| format!("'{text}' is no hash"))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<Shard> for Share {
    fn from(shard: Shard) -> Self {
        Share { index: shard.index, count: shard.count }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Tally {
    /// The results as a tally. The failures are without files.
    pub(super) fn new(
        seeds: Seeds,
        shard: Shard,
        harness: String,
        scenario: Option<String>,
        results: &Results,
    ) -> Self {
        let failures = results.failures.iter().map(|failure| {
            let first = failure.violations.first();
            Failed {
                seed: failure.seed,
                oracle: first.map_or_else(String::new, |v| format!("{:?}", v.oracle)),
                text: first.map_or_else(String::new, ToString::to_string),
                replay: None,
                shrunk: None,
            }
        });
        Tally {
            seeds,
            harness,
            scenario,
            shard: shard.into(),
            runs: results.seeds,
            seconds: 0.0,
            datagrams: results.datagrams,
            events: results.events,
            calls: results.calls,
            succeeded: results.succeeded,
            hash: Hash(results.hash),
            coverage: counts(&results.coverage),
            failed: results.failed.clone(),
            failures: failures.collect(),
        }
    }

    /// All of it in a line.
    pub(super) fn told(&self) -> String {
        let Tally { runs, seconds, datagrams, calls, succeeded, hash, .. } = self;
        let each = seconds * 1e3 / (*runs).max(1) as f64;
        format!(
            "{runs} seeds in {seconds:.1} s ({each:.2} ms each), {datagrams} datagrams, {calls} calls of which {succeeded} \
             succeeded, hash {hash}"
        )
    }

    /// The counts as coverage.
    ///
    /// # Errors
    /// What is counted and has no name here.
    pub(super) fn coverage(&self) -> Result<Coverage, String> {
        let nodes =
            Nodes::from_str(&self.harness, false).map_err(|_| format!("no harness '{}'", self.harness))?;
        let mut coverage = nodes.coverage();
        for (kind, names) in &self.coverage {
            for (name, n) in names {
                let kind = kind.parse()?;
                if !coverage.add(kind, name, *n) {
                    return Err(format!("nothing of kind {kind} is named '{name}'"));
                }
            }
        }
        Ok(coverage)
    }

    /// The file to write results to, opened before there are any: a campaign is long. What is in it stays until then.
    pub(super) fn open(path: &Path) -> Result<File, Failure> {
        OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(|e| failure(path, e))
    }

    pub(super) fn write(&self, path: &Path, mut file: &File) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).map_err(|e| failure(path, e))? + "\n";
        // What is no file, such as a pipe, has no length.
        let _ = file.set_len(0);
        file.write_all(text.as_bytes()).map_err(|e| failure(path, e))
    }

    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|e| failure(path, e))?;
        let tally: Tally = serde_json::from_str(&text).map_err(|e| failure(path, e))?;
        if tally.shard.index >= tally.shard.count || tally.seeds.from > tally.seeds.to {
            return Err(failure(path, "no such shard or range"));
        }
        Ok(tally)
    }
}

fn failure(path: &Path, error: impl fmt::Display) -> Failure {
    Failure::Local(format!("{}: {error}", path.display()))
}

/// The counts of a file.
pub(super) fn counts(coverage: &Coverage) -> Counts {
    let mut counts = Counts::new();
    for (kind, name, n) in coverage.table() {
        counts.entry(kind.to_string()).or_default().insert(name.to_owned(), n);
    }
    counts
}

/// What so many runs of swarm mode were to reach and did not. A scenario is about something; it need not reach the rest.
pub(super) fn not_reached(runs: u64, coverage: &Coverage) -> Vec<String> {
    let zeroes = if runs >= ENOUGH { coverage.zeroes() } else { Vec::new() };
    zeroes.iter().map(|(kind, name)| format!("{kind} {name}")).collect()
}

/// What is wrong with so many runs of which so many failed and that did not reach this. `None` if all is well.
pub(super) fn verdict(runs: u64, failed: usize, not_reached: &[String]) -> Option<String> {
    match (failed, not_reached.is_empty()) {
        (0, true) => None,
        (0, false) => Some(format!("not reached: {}", not_reached.join(", "))),
        (1, true) if runs == 1 => Some("the run failed".into()),
        (n, true) => Some(format!("{n} of {runs} seeds failed")),
        (n, false) => Some(format!("{n} of {runs} seeds failed; not reached: {}", not_reached.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_read_as_it_was_written() {
        for nodes in Nodes::value_variants() {
            let mut results = Results { coverage: nodes.coverage(), ..Results::default() };
            let names = results.coverage.table();
            names
                .iter()
                .zip(1..)
                .for_each(|((kind, name, _), n)| assert!(results.coverage.add(*kind, name, n)));
            let seeds = Seeds { from: 0, to: 1 };
            let tally = Tally::new(seeds, Shard::WHOLE, nodes.name(), None, &results);
            assert_eq!(tally.coverage().unwrap(), results.coverage);
        }
    }

    #[test]
    fn a_zero_counts_from_enough_seeds_on() {
        let mut coverage = Coverage::default();
        for (kind, name, _) in Coverage::default().table().into_iter().skip(1) {
            coverage.add(kind, name, 1);
        }
        let verdict = |runs, failed| verdict(runs, failed, &not_reached(runs, &coverage));
        assert_eq!(verdict(9_999, 0), None);
        assert_eq!(verdict(10_000, 0).unwrap(), "not reached: fault loss-bernoulli");
        assert_eq!(verdict(5, 2).unwrap(), "2 of 5 seeds failed");
        assert_eq!(verdict(10_000, 1).unwrap(), "1 of 10000 seeds failed; not reached: fault loss-bernoulli");
    }
}
