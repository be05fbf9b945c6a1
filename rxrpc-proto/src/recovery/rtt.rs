//! Round-trip time of a path and the retransmission time-out that follows from it (RFC 6298).

use core::time::Duration;

use crate::time::{Instant, nanos};

/// How long a minimum counts before a newer, larger one replaces it.
const MIN_WINDOW: Duration = Duration::from_secs(300);
/// Longest round trip that is believed, three times the usual silence. Who measures more has stood still, or its clock
/// has leapt.
const LONGEST: Duration = Duration::from_secs(60);
/// Finest difference the time-out relies on.
const GRANULARITY: Duration = Duration::from_millis(1);
/// Samples after which the estimate needs no more asking for.
const ENOUGH: u8 = 3;

/// The range a retransmission time-out is kept in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtoBounds {
    pub(crate) initial: Duration,
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// What is known of one path's round trip.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    /// Minimum of the current window and when the window began.
    min: Option<(Duration, Instant)>,
    /// Minimum of the window before.
    previous_min: Option<Duration>,
    samples: u8,
}

impl Rtt {
    /// Take a measured round trip: a serial of ours that came back. One that no path takes is not used: time-outs
    /// would come too late for long (QUIRKS.md#rtt-memory).
    pub(crate) fn sample(&mut self, now: Instant, rtt: Duration) {
        if rtt > LONGEST {
            return;
        }
        self.note_min(now, rtt);
        self.samples = self.samples.saturating_add(1).min(ENOUGH);
        match self.smoothed {
            None => self.start(rtt),
            Some(smoothed) => {
                let error = smoothed.abs_diff(rtt);
                self.variation = (self.variation * 3 + error) / 4;
                self.smoothed = Some((smoothed * 7 + rtt) / 8);
            }
        }
    }

    /// Take the time from a request to its reply, or to an acknowledgement that was put off. It contains the
    /// server's work or its patience, so it may start or lower the estimate, never raise it; nor start it so
    /// high that a time-out comes later than if nothing were known (QUIRKS.md#rtt-memory).
    pub(crate) fn implicit_sample(&mut self, now: Instant, rtt: Duration, bounds: &RtoBounds) {
        match self.smoothed {
            None if rtt * 3 <= bounds.initial => {
                self.note_min(now, rtt);
                self.start(rtt);
            }
            None => {}
            Some(smoothed) if rtt < smoothed => {
                self.note_min(now, rtt);
                let error = smoothed - rtt;
                self.variation = self.variation.min((self.variation * 3 + error) / 4);
                self.smoothed = Some((smoothed * 7 + rtt) / 8);
            }
            Some(_) => {}
        }
    }

    fn start(&mut self, rtt: Duration) {
        self.smoothed = Some(rtt);
        self.variation = rtt / 2;
    }

    fn note_min(&mut self, now: Instant, rtt: Duration) {
        match self.min {
            Some((min, since)) if now.saturating_duration_since(since) < MIN_WINDOW => {
                self.min = Some((min.min(rtt), since));
            }
            old => {
                self.previous_min = old.map(|(min, _)| min);
                self.min = Some((rtt, now));
            }
        }
    }

    /// Smoothed round trip, `None` before the first sample.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// Least round trip of the last five to ten minutes.
    pub(crate) fn min(&self) -> Option<Duration> {
        match (self.min, self.previous_min) {
            (Some((a, _)), Some(b)) => Some(a.min(b)),
            (Some((a, _)), None) => Some(a),
            (None, _) => None,
        }
    }

    /// Whether enough measured samples came.
    pub(crate) fn is_settled(&self) -> bool {
        self.samples >= ENOUGH
    }

    /// The time-out after `backoff` time-outs in a row.
    pub(crate) fn rto(&self, bounds: &RtoBounds, backoff: u32) -> Duration {
        // In whole nanoseconds: this is asked for each packet.
        let longest = nanos(bounds.max);
        let base = match self.smoothed {
            None => nanos(bounds.initial),
            Some(smoothed) => {
                let spread = nanos(self.variation).saturating_mul(4).max(nanos(GRANULARITY));
                nanos(smoothed).saturating_add(spread).max(nanos(bounds.min)).min(longest)
            }
        };
        Duration::from_nanos(base.saturating_mul(1 << backoff.min(20)).min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: RtoBounds = RtoBounds {
        initial: Duration::from_secs(1),
        min: Duration::from_millis(30),
        max: Duration::from_secs(60),
    };

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn first_sample_sets_rto_to_three_times_itself() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.rto(&BOUNDS, 0), ms(1000));
        rtt.sample(Instant::ORIGIN, ms(100));
        assert_eq!(rtt.rto(&BOUNDS, 0), ms(300));
    }

    #[test]
    fn variation_decays_with_steady_samples() {
        let mut rtt = Rtt::default();
        for i in 0..100 {
            rtt.sample(Instant::from_nanos(i), ms(100));
        }
        assert_eq!(rtt.rto(&BOUNDS, 0), ms(101));
    }

    #[test]
    fn implicit_sample_starts_and_lowers_but_never_raises() {
        let mut rtt = Rtt::default();
        rtt.implicit_sample(Instant::ORIGIN, ms(334), &BOUNDS);
        assert_eq!((rtt.smoothed(), rtt.rto(&BOUNDS, 0)), (None, ms(1000)));
        rtt.implicit_sample(Instant::ORIGIN, ms(50), &BOUNDS);
        assert_eq!(rtt.smoothed(), Some(ms(50)));
        rtt.implicit_sample(Instant::ORIGIN, ms(5000), &BOUNDS);
        assert_eq!(rtt.smoothed(), Some(ms(50)));
        rtt.implicit_sample(Instant::ORIGIN, ms(10), &BOUNDS);
        assert_eq!(rtt.smoothed(), Some(ms(45)));
        assert!(!rtt.is_settled(), "implicit samples do not replace asking");
    }

    #[test]
    fn implicit_sample_never_raises_the_time_out() {
        let mut rtt = Rtt::default();
        for i in 0..50 {
            rtt.sample(Instant::from_nanos(i), ms(100));
        }
        let before = rtt.rto(&BOUNDS, 0);
        rtt.implicit_sample(Instant::ORIGIN, ms(1), &BOUNDS);
        assert!(rtt.rto(&BOUNDS, 0) <= before);
    }

    #[test]
    fn what_no_path_takes_is_not_measured() {
        let mut rtt = Rtt::default();
        rtt.sample(Instant::ORIGIN, LONGEST + GRANULARITY);
        assert_eq!((rtt.smoothed(), rtt.min(), rtt.is_settled()), (None, None, false));
        rtt.sample(Instant::ORIGIN, LONGEST);
        assert_eq!((rtt.smoothed(), rtt.rto(&BOUNDS, 0)), (Some(LONGEST), ms(60_000)));
    }

    #[test]
    fn back_off_doubles_up_to_the_maximum() {
        let rtt = Rtt::default();
        assert_eq!(rtt.rto(&BOUNDS, 3), ms(8000));
        assert_eq!(rtt.rto(&BOUNDS, 40), ms(60_000));
    }

    #[test]
    fn minimum_forgets_after_two_windows() {
        let mut rtt = Rtt::default();
        rtt.sample(Instant::ORIGIN, ms(10));
        let at = |s| Instant::ORIGIN + Duration::from_secs(s);
        rtt.sample(at(301), ms(40));
        assert_eq!(rtt.min(), Some(ms(10)));
        rtt.sample(at(602), ms(50));
        assert_eq!(rtt.min(), Some(ms(40)));
    }
}
