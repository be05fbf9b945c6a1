//! Which seeds: ranges and shares of them, as options spell them.

use std::fmt;
use std::str::FromStr;

use rxrpc_sim::campaign::Shard;
use serde::{Deserialize, Serialize};

/// Seeds from one on and below another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seeds {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Seeds {
    /// The only one, if it is one.
    pub(super) fn single(self) -> Option<u64> {
        (self.to - self.from == 1).then_some(self.from)
    }

    /// How many of them are in the shard.
    pub(super) fn count(self, shard: Shard) -> u64 {
        let below = |end: u64| end / shard.count + u64::from(end % shard.count > shard.index);
        below(self.to) - below(self.from)
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seeds = match text.split_once("..") {
            Some((from, to)) => number(from).zip(number(to)),
            None => number(text).and_then(|seed| Some((seed, seed.checked_add(1)?))),
        };
        match seeds {
            Some((from, to)) if from < to => Ok(Seeds { from, to }),
            Some(_) => Err("there is no seed in that range; the second number is not included".into()),
            None => Err("neither a range such as 0..1000 nor a seed".into()),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// A shard as `I/N`.
pub(super) fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((index, count)) if index < count => Ok(Shard { index, count }),
        Some(_) => Err("the shards of N are 0/N to N-1/N".into()),
        None => Err("not I/N, such as 0/4".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_half_open_range_or_one_number() {
        assert_eq!("0..200_000".parse(), Ok(Seeds { from: 0, to: 200_000 }));
        assert_eq!("7".parse(), Ok(Seeds { from: 7, to: 8 }));
        assert_eq!("0xfffffffffffffffe".parse(), Ok(Seeds { from: u64::MAX - 1, to: u64::MAX }));
        for text in ["", "..", "5..", "5..5", "6..5", "-1", "a..b", "0..=5", "18446744073709551615"] {
            assert!(text.parse::<Seeds>().is_err(), "{text}");
        }
    }

    #[test]
    fn shards_count_from_0() {
        assert_eq!(shard("0/1"), Ok(Shard::WHOLE));
        assert_eq!(shard("2/3"), Ok(Shard { index: 2, count: 3 }));
        for text in ["", "1", "1/1", "3/3", "0/0", "-1/2", "a/2"] {
            assert!(shard(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_seeds_of_a_shard_are_counted() {
        for (from, to) in [(0, 10), (3, 4), (7, 30)] {
            for count in 1..5 {
                for index in 0..count {
                    let seeds = (from..to).filter(|seed| seed % count == index).count() as u64;
                    assert_eq!(Seeds { from, to }.count(Shard { index, count }), seeds);
                }
            }
        }
    }
}
