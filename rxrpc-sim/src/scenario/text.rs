//! How values look in files: times with a unit, seeds of any size, packet types and reasons by name.
//!
//! A time is written as "250ms" and read with any of the units us, ms, s, min, h; a bare number is microseconds.

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::Micros;
use crate::coverage::{PACKETS, REASONS};

/// An `id` that a file leaves out: see [`super::Scenario::number`].
pub(crate) const fn unnumbered() -> u32 {
    super::number::UNNUMBERED
}

pub(crate) fn is_unnumbered(id: &u32) -> bool {
    *id == unnumbered()
}

pub(crate) const fn one() -> u32 {
    1
}

/// The units, the largest first, in microseconds. Times are written in the first three of `s`, `ms` and `us`.
const UNITS: [(&str, Micros); 6] =
    [("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1), ("\u{b5}s", 1)];

/// The time that a text such as "12.5ms" says, to the microsecond; `None` if it says none.
#[must_use]
pub fn time(text: &str) -> Option<Micros> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')?;
    let (number, unit) = text.split_at(digits);
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    let number = number.replace('_', "");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, "0"));
    let whole: Micros = whole.parse().ok()?;
    let places = u32::try_from(fraction.len()).ok()?;
    let scaled = fraction.parse::<Micros>().ok()?.checked_mul(*unit)?;
    let scale = 10_u64.checked_pow(places)?;
    let exact = scaled % scale == 0;
    exact.then_some(whole.checked_mul(*unit)?.checked_add(scaled / scale)?)
}

/// The time in the largest unit in which it has at most three places.
struct Written(Micros);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, per) = match self.0 {
            n if n >= 1_000_000 && n % 1_000 == 0 || n == 0 => ("s", 1_000_000),
            n if n >= 1_000 => ("ms", 1_000),
            _ => ("us", 1),
        };
        let (whole, rest) = (self.0 / per, self.0 % per * 1_000 / per);
        if rest == 0 {
            return write!(f, "{whole}{unit}");
        }
        let rest = format!("{rest:03}");
        write!(f, "{whole}.{}{unit}", rest.trim_end_matches('0'))
    }
}

/// A time in a file.
struct Time(Micros);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Written(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as \"250ms\" (units us, ms, s, min, h), or microseconds")
            }
            fn visit_u64<E: Error>(self, micros: u64) -> Result<Time, E> {
                Ok(Time(micros))
            }
            fn visit_i64<E: Error>(self, micros: i64) -> Result<Time, E> {
                let micros =
                    u64::try_from(micros).map_err(|_| E::invalid_value(Unexpected::Signed(micros), &self));
                micros.map(Time)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                time(text).map(Time).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// A time.
pub(crate) mod micros {
    use super::{Deserialize, Deserializer, Micros, Serialize, Serializer, Time};

    pub(crate) fn serialize<S: Serializer>(time: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
        Time(*time).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Micros, D::Error> {
        Time::deserialize(deserializer).map(|time| time.0)
    }
}

/// Times.
pub(crate) mod list {
    use super::{Deserialize, Deserializer, Micros, Serializer, Time};

    pub(crate) fn serialize<S: Serializer>(times: &[Micros], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(times.iter().map(|time| Time(*time)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Micros>, D::Error> {
        let times: Vec<Time> = Vec::deserialize(deserializer)?;
        Ok(times.into_iter().map(|time| time.0).collect())
    }
}

/// Spans of time: pairs of from and to.
pub(crate) mod spans {
    use super::{Deserialize, Deserializer, Micros, Serializer, Time};

    type Spans = Vec<(Micros, Micros)>;

    pub(crate) fn serialize<S: Serializer>(
        spans: &[(Micros, Micros)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(spans.iter().map(|(from, to)| (Time(*from), Time(*to))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spans, D::Error> {
        let spans: Vec<(Time, Time)> = Vec::deserialize(deserializer)?;
        Ok(spans.into_iter().map(|(from, to)| (from.0, to.0)).collect())
    }
}

/// A seed: a number, or a text where the format has no number that large.
pub(crate) mod seed {
    use super::{Deserializer, Error, Serializer, Unexpected, Visitor, fmt};

    pub(crate) fn serialize<S: Serializer>(seed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(*seed) {
            Ok(seed) => serializer.serialize_i64(seed),
            Err(_) => serializer.collect_str(&format_args!("{seed:#x}")),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = u64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a seed from 0 to 2^64-1; above 2^63-1 as a string, \"0x...\" or decimal")
            }
            fn visit_u64<E: Error>(self, seed: u64) -> Result<u64, E> {
                Ok(seed)
            }
            fn visit_i64<E: Error>(self, seed: i64) -> Result<u64, E> {
                u64::try_from(seed).map_err(|_| E::invalid_value(Unexpected::Signed(seed), &self))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
                let seed = match text.strip_prefix("0x") {
                    Some(hex) => u64::from_str_radix(hex, 16),
                    None => text.parse(),
                };
                seed.map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// A number with a name, or none.
struct Named<'a> {
    names: &'a [&'a str],
    what: &'a str,
}

impl Named<'_> {
    fn write<S: Serializer>(&self, number: Option<u8>, serializer: S) -> Result<S::Ok, S::Error> {
        let name = |n: u8| self.names.get(usize::from(n)).filter(|name| !name.is_empty());
        match number {
            None => serializer.serialize_none(),
            Some(n) => match name(n) {
                Some(name) => serializer.serialize_some(name),
                None => serializer.serialize_some(&n),
            },
        }
    }
}

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Option<u8>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names.iter().copied().filter(|name| !name.is_empty()).collect();
        write!(f, "{}: one of {}, or a number to 255", self.what, names.join(", "))
    }
    fn visit_none<E: Error>(self) -> Result<Option<u8>, E> {
        Ok(None)
    }
    fn visit_unit<E: Error>(self) -> Result<Option<u8>, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u8>, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_u64<E: Error>(self, n: u64) -> Result<Option<u8>, E> {
        u8::try_from(n).map(Some).map_err(|_| E::invalid_value(Unexpected::Unsigned(n), &self))
    }
    fn visit_i64<E: Error>(self, n: i64) -> Result<Option<u8>, E> {
        u8::try_from(n).map(Some).map_err(|_| E::invalid_value(Unexpected::Signed(n), &self))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Option<u8>, E> {
        let place = self.names.iter().position(|name| !name.is_empty() && name.eq_ignore_ascii_case(text));
        place.map(|n| Some(n as u8)).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// A packet type.
pub(crate) mod packet_type {
    use super::{Deserializer, Named, PACKETS, Serializer};

    const NAMED: Named<'static> = Named { names: &PACKETS, what: "a packet type" };

    pub(crate) fn serialize<S: Serializer>(number: &Option<u8>, serializer: S) -> Result<S::Ok, S::Error> {
        NAMED.write(*number, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
        deserializer.deserialize_option(NAMED)
    }
}

/// A reason of an acknowledgement.
pub(crate) mod reason {
    use super::{Deserializer, Named, REASONS, Serializer};

    const NAMED: Named<'static> = Named { names: &REASONS, what: "a reason of an ACK" };

    pub(crate) fn serialize<S: Serializer>(number: &Option<u8>, serializer: S) -> Result<S::Ok, S::Error> {
        NAMED.write(*number, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
        deserializer.deserialize_option(NAMED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        for (text, micros) in [
            ("5us", Some(5)),
            ("5 \u{b5}s", Some(5)),
            ("250ms", Some(250_000)),
            ("1.5 s", Some(1_500_000)),
            ("0.000001s", Some(1)),
            ("30 s", Some(30_000_000)),
            ("2min", Some(120_000_000)),
            ("1h", Some(3_600_000_000)),
            ("1_000ms", Some(1_000_000)),
            ("0.0000001s", None),
            ("0.5us", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("5 days", None),
            ("99999999999999h", None),
        ] {
            assert_eq!(time(text), micros, "{text}");
        }
    }

    #[test]
    fn times_are_written_short_and_exact() {
        for (micros, text) in [
            (0, "0s"),
            (7, "7us"),
            (1_500, "1.5ms"),
            (1_234_567, "1234.567ms"),
            (1_230_000, "1.23s"),
            (3_600_000_000, "3600s"),
        ] {
            assert_eq!(Written(micros).to_string(), text);
        }
        for micros in [1, 999, 1_001, 999_999, 1_000_001, u64::MAX / 1_000 * 1_000, u64::MAX] {
            assert_eq!(time(&Written(micros).to_string()), Some(micros));
        }
    }
}
