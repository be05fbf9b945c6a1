//! What a run of a scenario must come to, beyond what must hold in every run.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rxrpc_proto::Instant;

#[cfg(feature = "serde")]
use super::text;
use super::{Micros, us};
use crate::coverage::{Coverage, Kind, OUTCOMES};
use crate::oracle::Figures;

/// A name in the tables of coverage. Spelled with `&`, derived code would borrow it from the file.
type Name = &'static str;

/// What a run must come to. Nothing, unless said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Expect {
    /// What must be reached, and how often at least.
    pub reached: Vec<Reach>,
    /// What must not be reached; a number with it is how often is too often.
    pub never: Vec<Reach>,
    /// How many calls end how at their clients, exactly: an end that is not named must not occur. Any will do if
    /// none is named.
    pub outcome: BTreeMap<EndName, u64>,
    /// When the last call has ended at its client, at the latest; 0 for any time.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub within: Micros,
    /// Datagrams that all nodes together may send, 0 for any number.
    pub datagrams: u64,
    /// Bytes a second that calls carry, from the first begin to the last end, at the least. Only those that end well
    /// count.
    pub goodput: u64,
}

/// Something that coverage counts, and how often: "limit window", "packet busy 3".
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "String", into = "String")
)]
pub struct Reach {
    kind: Kind,
    name: Name,
    count: u64,
}

/// An end of a call, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "String", into = "String")
)]
pub struct EndName(Name);

impl Expect {
    /// What of it a run has not come to, by what it reached and how its calls ended at their clients.
    #[must_use]
    pub fn unmet(&self, coverage: &Coverage, ends: &BTreeMap<&'static str, u64>) -> Vec<String> {
        let mut unmet = Vec::new();
        // Of what the harness cannot see, such as the timers of a driver's endpoint, nothing can be expected.
        for Reach { kind, name, count } in
            self.reached.iter().filter(|r| coverage.is_reachable(r.kind, r.name))
        {
            let found = coverage.count(*kind, name).unwrap_or(0);
            if found < *count {
                unmet.push(format!("{kind} {name} {count} or more, and there were {found}"));
            }
        }
        for Reach { kind, name, count } in &self.never {
            let found = coverage.count(*kind, name).unwrap_or(0);
            if found >= *count {
                unmet.push(format!("{kind} {name} less than {count}, and there were {found}"));
            }
        }
        for end in if self.outcome.is_empty() { &[][..] } else { &OUTCOMES } {
            let wanted = self.outcome.get(&EndName(end)).copied().unwrap_or(0);
            let found = ends.get(end).copied().unwrap_or(0);
            if wanted != found {
                unmet.push(format!("{wanted} calls to end with {end}, and {found} did"));
            }
        }
        unmet
    }
}

impl Expect {
    /// What of the figures a run has not come to, by its calls and the datagrams it took.
    #[must_use]
    pub fn missed(&self, figures: &Figures, datagrams: u64) -> Vec<String> {
        let mut missed = Vec::new();
        if self.within > 0 && figures.last > Instant::ORIGIN + us(self.within) {
            let last = figures.last - Instant::ORIGIN;
            missed.push(format!(
                "calls to end within {:?}, and the last one ended at {last:?}",
                us(self.within)
            ));
        }
        if self.datagrams > 0 && datagrams > self.datagrams {
            missed.push(format!("{} datagrams at most, and there were {datagrams}", self.datagrams));
        }
        let goodput = figures.goodput();
        if goodput < self.goodput {
            missed.push(format!("{} bytes a second or more, and there were {goodput}", self.goodput));
        }
        missed
    }
}

impl FromStr for Reach {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let (Some(kind), Some(name), count, None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(format!("'{text}' is not KIND NAME or KIND NAME COUNT, such as \"limit window 2\""));
        };
        let kind: Kind = kind.parse()?;
        let known: Vec<&'static str> = kind.reachable().collect();
        let name = known.iter().find(|known| known.eq_ignore_ascii_case(name)).ok_or_else(|| {
            format!("nothing of kind {kind} is named '{name}'; there are {}", known.join(", "))
        })?;
        let count = match count.map(str::parse) {
            None => 1,
            Some(Ok(count)) if count > 0 => count,
            Some(_) => return Err(format!("the count in '{text}' is no number above 0")),
        };
        Ok(Reach { kind, name, count })
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)?;
        if self.count != 1 { write!(f, " {}", self.count) } else { Ok(()) }
    }
}

impl FromStr for EndName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known: Vec<&'static str> = Kind::Outcome.reachable().collect();
        let found = known.iter().find(|name| **name == text);
        found
            .map(|name| EndName(name))
            .ok_or_else(|| format!("no call ends with '{text}'; they end with {}", known.join(", ")))
    }
}

impl fmt::Display for EndName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

macro_rules! as_text {
    ($($name:ident),+) => {$(
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.to_string()
            }
        }
    )+};
}

as_text!(Reach, EndName);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Limit;

    #[test]
    fn what_is_to_be_reached_is_read_and_written() {
        for text in ["limit window", "packet busy 3", "ack PING", "fault crash"] {
            assert_eq!(text.parse::<Reach>().unwrap().to_string(), text);
        }
        for text in
            ["limit", "limit window 0", "limit window x", "limit window 1 2", "nothing x", "limit nothing"]
        {
            assert!(text.parse::<Reach>().is_err(), "{text}");
        }
        assert!("outcome".parse::<EndName>().is_err());
    }

    #[test]
    fn what_is_unmet_is_named() {
        let mut coverage = Coverage::default();
        coverage.limit(Limit::Window);
        coverage.limit(Limit::Window);
        let ends = BTreeMap::from([("ok", 2), ("busy", 1)]);
        let reach = |text: &str| vec![text.parse().unwrap()];
        let met = Expect {
            reached: reach("limit window 2"),
            never: reach("limit window 3"),
            outcome: ["ok", "busy"].iter().map(|name| (name.parse().unwrap(), ends[name])).collect(),
            ..Expect::default()
        };
        assert_eq!(met.unmet(&coverage, &ends), [""; 0]);
        assert_eq!(Expect::default().unmet(&coverage, &ends), [""; 0]);
        let unmet = Expect {
            reached: reach("limit window 3"),
            never: reach("limit window"),
            outcome: BTreeMap::from([("ok".parse().unwrap(), 3)]),
            ..Expect::default()
        };
        assert_eq!(
            unmet.unmet(&coverage, &ends),
            [
                "limit window 3 or more, and there were 2",
                "limit window less than 1, and there were 2",
                "3 calls to end with ok, and 2 did",
                "0 calls to end with busy, and 1 did",
            ]
        );
    }

    #[test]
    fn figures_that_are_missed_are_named() {
        let at = |millis: u64| Instant::ORIGIN + us(millis * 1_000);
        let mut figures = Figures::default();
        figures.add(at(500), at(700), 300);
        figures.add(at(1_500), at(2_500), 700);
        figures.add(at(600), at(1_000), 0);
        let expect = |millis: u64, datagrams, goodput| {
            let expect = Expect { within: millis * 1_000, datagrams, goodput, ..Expect::default() };
            expect.missed(&figures, 20)
        };
        assert_eq!(expect(2_500, 20, 500), [""; 0]);
        assert_eq!(expect(0, 0, 0), [""; 0]);
        assert_eq!(
            expect(2_499, 19, 501),
            [
                "calls to end within 2.499s, and the last one ended at 2.5s",
                "19 datagrams at most, and there were 20",
                "501 bytes a second or more, and there were 500",
            ]
        );
    }
}
