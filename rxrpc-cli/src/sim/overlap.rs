//! Whether results belong together: seeds that were run twice, shards that are missing.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{Share, Tally};

/// Shards of so many that are told by their numbers.
const TOLD: usize = 8;

/// What is odd about files, in words.
pub(super) struct Overlap {
    /// Seeds that two of them count.
    pub(super) twice: Vec<String>,
    /// Shards that none of them counts.
    pub(super) missing: Vec<String>,
}

/// What is odd about the files.
pub(super) fn overlap(tallies: &[(String, Tally)]) -> Overlap {
    let mut seen = Vec::new();
    for (i, (name, tally)) in tallies.iter().enumerate() {
        for (other_name, other) in &tallies[i + 1..] {
            let twice = common(tally, other);
            if twice > 0 {
                seen.push(format!("{twice} seeds are counted twice: they are in {name} and in {other_name}"));
            }
        }
    }
    Overlap { twice: seen, missing: missing(tallies) }
}

/// How many seeds both ran.
fn common(a: &Tally, b: &Tally) -> u64 {
    if (&a.harness, &a.scenario) != (&b.harness, &b.scenario) {
        return 0;
    }
    let (from, to) = (a.seeds.from.max(b.seeds.from), a.seeds.to.min(b.seeds.to));
    let Share { index, count } = a.shard;
    let first = from + (index + count - from % count) % count;
    // Of the seeds of one shard each so many-th is in the other, if any is.
    let gcd = gcd(count, b.shard.count);
    let steps = b.shard.count / gcd;
    let step = (0..steps).find(|step| (first + step * count) % b.shard.count == b.shard.index);
    let Some(first) = step.map(|step| first + step * count) else { return 0 };
    if first >= to { 0 } else { (to - 1 - first) / (count * steps) + 1 }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Shards whose brothers are here.
fn missing(tallies: &[(String, Tally)]) -> Vec<String> {
    let mut here: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
    for (_, tally) in tallies {
        let range = (tally.seeds.from, tally.seeds.to);
        let whole = (&tally.harness, &tally.scenario, range, tally.shard.count);
        here.entry(whole).or_default().insert(tally.shard.index);
    }
    let mut notices = Vec::new();
    for ((harness, _, (from, to), count), here) in here {
        let absent = count - here.len() as u64;
        if absent == 0 {
            continue;
        }
        let first = (0..count).filter(|index| !here.contains(index)).take(TOLD);
        let mut names: Vec<String> = first.map(|index| Share { index, count }.to_string()).collect();
        if absent > TOLD as u64 {
            names.push("...".into());
        }
        notices.push(format!("of {harness} {from}..{to} shards are missing: {}", names.join(", ")));
    }
    notices
}

#[cfg(test)]
mod tests {
    use rxrpc_sim::campaign::{Results, Shard};

    use super::*;
    use crate::sim::seeds::Seeds;

    fn tally(from: u64, to: u64, index: u64, count: u64) -> Tally {
        let (seeds, shard) = (Seeds { from, to }, Shard { index, count });
        Tally::new(seeds, shard, "direct".into(), None, &Results::default())
    }

    #[test]
    fn seeds_in_two_files_are_counted() {
        let ranges = [(0, 100), (50, 60), (7, 8), (99, 200)];
        let shards = [(0, 1), (0, 2), (1, 2), (1, 4), (3, 4), (2, 6), (5, 6)];
        let all: Vec<_> = ranges.iter().flat_map(|r| shards.iter().map(move |s| (*r, *s))).collect();
        for ((from, to), (index, count)) in &all {
            for ((from2, to2), (index2, count2)) in &all {
                let both =
                    (*from.max(from2)..*to.min(to2)).filter(|s| s % count == *index && s % count2 == *index2);
                let found =
                    common(&tally(*from, *to, *index, *count), &tally(*from2, *to2, *index2, *count2));
                assert_eq!(
                    found,
                    both.count() as u64,
                    "{from}..{to} {index}/{count} {from2}..{to2} {index2}/{count2}"
                );
            }
        }
    }

    #[test]
    fn twice_and_not_at_all_are_noticed() {
        let notices = |tallies: &[(String, Tally)]| {
            let Overlap { twice, missing } = overlap(tallies);
            [twice, missing].concat()
        };
        let files = |shards: &[u64]| -> Vec<_> {
            shards.iter().map(|index| (format!("{index}.json"), tally(0, 100, *index, 4))).collect()
        };
        assert_eq!(notices(&files(&[0, 1, 2, 3])), [""; 0]);
        assert_eq!(
            notices(&files(&[0, 1, 1])),
            [
                "25 seeds are counted twice: they are in 1.json and in 1.json",
                "of direct 0..100 shards are missing: 2/4, 3/4",
            ]
        );
        let mut other = files(&[0, 1, 2, 3, 0]);
        other[4].1.harness = "full".into();
        assert_eq!(notices(&other), ["of full 0..100 shards are missing: 1/4, 2/4, 3/4"]);
    }
}
