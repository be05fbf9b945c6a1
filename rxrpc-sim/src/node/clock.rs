//! A node's own clock: ahead, too fast, jumping, with coarse and late timers.

use std::time::Duration;

use rxrpc_proto::Instant;

use crate::rng::Rng;
use crate::scenario::{ClockSpec, us};

const MILLION: i128 = 1_000_000;

/// Where every node's clock starts, so that a skew never makes it negative.
const START: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct NodeClock {
    spec: ClockSpec,
    rng: Rng,
    /// True time and own time of the last change of rate.
    base: (Instant, Instant),
    /// The deadline whose wake was drawn last, and the wake.
    drawn: Option<(Instant, Instant)>,
    /// A timer came late or coarse.
    pub(crate) disturbed: bool,
}

impl NodeClock {
    pub(crate) fn new(spec: ClockSpec, rng: Rng) -> Self {
        let base = (Instant::ORIGIN, Instant::ORIGIN + START + us(spec.skew));
        NodeClock { spec, rng, base, drawn: None, disturbed: false }
    }

    fn rate(&self) -> i128 {
        (MILLION + i128::from(self.spec.drift_ppm)).max(1)
    }

    /// The node's time at this true time.
    pub(crate) fn local(&self, now: Instant) -> Instant {
        let passed = now.saturating_duration_since(self.base.0);
        if self.spec.drift_ppm == 0 {
            return self.base.1 + passed;
        }
        let scaled = passed.as_nanos() as i128 * self.rate() / MILLION;
        self.base.1 + Duration::from_nanos(scaled as u64)
    }

    /// The first true time at which the node's clock shows `local`.
    fn global(&self, local: Instant) -> Instant {
        let ahead = local.saturating_duration_since(self.base.1);
        if self.spec.drift_ppm == 0 {
            return self.base.0 + ahead;
        }
        let rate = self.rate();
        let scaled = (ahead.as_nanos() as i128 * MILLION + rate - 1) / rate;
        self.base.0 + Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// The true time at which a timer for the node's time `deadline` fires: coarse, and late.
    pub(crate) fn timer(&mut self, deadline: Instant) -> Instant {
        if let Some((known, at)) = self.drawn
            && known == deadline
        {
            return at;
        }
        let mut wanted = deadline;
        if self.spec.granularity > 0 {
            let step = us(self.spec.granularity).as_nanos() as u64;
            wanted = Instant::from_nanos(deadline.as_nanos().div_ceil(step).saturating_mul(step));
            self.disturbed = true;
        }
        let mut at = self.global(wanted);
        if self.spec.late > 0 {
            at += us(self.rng.between(0, self.spec.late));
            self.disturbed = true;
        }
        self.drawn = Some((deadline, at));
        at
    }

    /// Jump forward.
    pub(crate) fn jump(&mut self, now: Instant, by: Duration) {
        self.base = (now, self.local(now) + by);
        self.drawn = None;
    }

    /// From now on the clock is right, though it does not go back.
    pub(crate) fn heal(&mut self, now: Instant) {
        self.base = (now, self.local(now));
        self.spec = ClockSpec::default();
        self.drawn = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn a_fast_clock_shows_more_and_its_timers_come_sooner() {
        let spec = ClockSpec { drift_ppm: 100_000, ..ClockSpec::default() };
        let mut clock = NodeClock::new(spec, Rng::new(1));
        assert_eq!(clock.local(at(1000)) - clock.local(at(0)), Duration::from_millis(1100));
        let deadline = clock.local(at(0)) + Duration::from_millis(1100);
        assert_eq!(clock.timer(deadline), at(1000));
        assert!(clock.local(clock.global(deadline)) >= deadline);
    }

    #[test]
    fn a_jump_and_healing_never_turn_the_clock_back() {
        let spec = ClockSpec { drift_ppm: -50_000, skew: 5, ..ClockSpec::default() };
        let mut clock = NodeClock::new(spec, Rng::new(1));
        let before = clock.local(at(10));
        clock.jump(at(10), Duration::from_secs(3));
        assert_eq!(clock.local(at(10)) - before, Duration::from_secs(3));
        let before = clock.local(at(20));
        clock.heal(at(20));
        assert_eq!(clock.local(at(20)), before);
    }

    #[test]
    fn coarse_and_late_timers_are_never_early_and_keep_their_bound() {
        let spec = ClockSpec { granularity: 4000, late: 3000, ..ClockSpec::default() };
        let slack = us(spec.granularity) + us(spec.late);
        let mut clock = NodeClock::new(spec, Rng::new(1));
        for millis in 1..200 {
            let deadline = clock.local(at(millis));
            let fires = clock.timer(deadline);
            assert_eq!(clock.timer(deadline), fires, "drawn once");
            assert!(fires >= at(millis) && fires <= at(millis) + slack);
        }
    }
}
