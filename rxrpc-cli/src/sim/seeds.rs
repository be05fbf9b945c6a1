//! Which seeds: ranges and shares of them, as options spell them.

use std::fmt;
use std::str::FromStr;

use rxrpc_sim::campaign::Shard;
use serde::{Deserialize, Serialize};

/// Seeds from one on and below another. The last seed has none above it: alone it is written with itself as the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seeds {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Seeds {
    /// One seed.
    pub(super) fn one(seed: u64) -> Seeds {
        Seeds { from: seed, to: seed.saturating_add(1) }
    }

    /// The only one, if it is one.
    pub(super) fn single(self) -> Option<u64> {
        (self.from == self.last()).then_some(self.from)
    }

    /// The last of them.
    pub(super) fn last(self) -> u64 {
        self.from.max(self.to.saturating_sub(1))
    }

    /// How many of them are in the shard.
    pub(super) fn count(self, shard: Shard) -> u64 {
        let Shard { index, count } = shard;
        let place = self.from % count;
        let ahead = if index < place { count - (place - index) } else { index - place };
        (self.last() - self.from).checked_sub(ahead).map_or(0, |rest| rest / count + 1)
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
        let neither = || "neither a range such as 0..1000 nor a seed below 2^64".to_owned();
        let Some((from, to)) = text.split_once("..") else {
            return number(text).map(Seeds::one).ok_or_else(neither);
        };
        match number(from).zip(number(to)) {
            Some((from, to)) if from < to => Ok(Seeds { from, to }),
            Some(_) => Err("there is no seed in that range; the second number is not included".into()),
            None => Err(neither()),
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
        let last: Seeds = "18446744073709551615".parse().unwrap();
        assert_eq!((last.single(), last.last(), last.count(Shard::WHOLE)), (Some(u64::MAX), u64::MAX, 1));
        for text in ["", "..", "5..", "5..5", "6..5", "-1", "a..b", "0..=5", "18446744073709551616"] {
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
