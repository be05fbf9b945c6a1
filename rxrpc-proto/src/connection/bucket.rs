//! A limit on how often something is done.

use core::time::Duration;

use crate::time::Instant;

/// Allows `rate` takes a second, and as many at once after a quiet second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    rate: u32,
    tokens: u32,
    /// Up to when the tokens are counted.
    counted: Option<Instant>,
}

impl TokenBucket {
    pub(crate) fn new(rate: u32) -> Self {
        TokenBucket { rate, tokens: rate, counted: None }
    }

    /// Take one token if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let some = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        some
    }

    fn refill(&mut self, now: Instant) {
        let counted = *self.counted.get_or_insert(now);
        let Some(interval) = Duration::from_secs(1).checked_div(self.rate) else { return };
        let passed = now.saturating_duration_since(counted);
        let new = u32::try_from(passed.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u32::MAX);
        if new >= self.rate.saturating_sub(self.tokens) {
            // While it is full nothing is earned, no part of a token either.
            self.tokens = self.rate;
            self.counted = Some(now);
        } else if new > 0 {
            self.tokens = self.tokens.saturating_add(new);
            self.counted = Some(counted + interval * new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Instant {
        Instant::from_nanos(n * 1_000_000)
    }

    #[test]
    fn a_burst_of_one_second_then_one_each_interval() {
        let mut bucket = TokenBucket::new(10);
        assert_eq!((0..20).filter(|_| bucket.take(ms(0))).count(), 10);
        assert!(!bucket.take(ms(99)));
        assert!(bucket.take(ms(100)));
        assert!(!bucket.take(ms(100)));
        assert_eq!((0..20).filter(|_| bucket.take(ms(1350))).count(), 10, "no more than a second's worth");
    }

    #[test]
    fn a_rate_of_zero_allows_nothing() {
        let mut bucket = TokenBucket::new(0);
        assert!(!bucket.take(ms(0)) && !bucket.take(ms(100_000)));
    }

    #[test]
    fn a_full_bucket_earns_nothing() {
        let mut bucket = TokenBucket::new(5);
        assert!(bucket.take(ms(0)));
        // Full again after 200 ms.
        assert_eq!((0..9).filter(|_| bucket.take(ms(399))).count(), 5);
        assert!(!bucket.take(ms(400)), "1 ms is not enough for another one");
        assert!(bucket.take(ms(599)));
    }
}
