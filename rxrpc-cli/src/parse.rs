//! Values that several subcommands take.

use std::time::Duration;

/// A number of seconds, above 0 and up to an hour.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let bad = || format!("'{text}' is no number of seconds above 0 and up to 3600");
    let seconds: f64 = text.parse().map_err(|_| bad())?;
    if !(seconds > 0.0 && seconds <= 3600.0) {
        return Err(bad());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_are_seconds_within_an_hour() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "nan", "inf", "3601", "x", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
