//! Whether a peer receives at the address it sends from, and how much it may be sent before that is proved.

use core::time::Duration;

use super::DATAGRAM_COST;
use crate::time::Instant;

/// Bytes that may go out for each one that came in, before the address is proved.
const AMPLIFICATION: u64 = 3;
/// A PING that proves the address is sent again after this long without an answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Proof of address of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Validation {
    until: Option<Instant>,
    received: u64,
    sent: u64,
    asked_at: Option<Instant>,
}

impl Validation {
    /// Whether a proof holds.
    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Whether there ever was a proof.
    pub(crate) fn was_valid(&self) -> bool {
        self.until.is_some()
    }

    /// The peer has proved its address: it answered something only it could have received.
    pub(crate) fn prove(&mut self, now: Instant, lasts: Duration) {
        *self = Validation { until: Some(now + lasts), ..Validation::default() };
    }

    /// A datagram came.
    pub(crate) fn on_received(&mut self, len: usize) {
        self.received = self.received.saturating_add((len + DATAGRAM_COST) as u64);
    }

    /// Whether a datagram of `len` bytes may go out.
    pub(crate) fn may_send(&self, now: Instant, len: usize) -> bool {
        let after = self.sent.saturating_add((len + DATAGRAM_COST) as u64);
        self.is_valid(now) || after <= self.received.saturating_mul(AMPLIFICATION)
    }

    /// A datagram went out.
    pub(crate) fn on_sent(&mut self, now: Instant, len: usize) {
        if !self.is_valid(now) {
            self.sent = self.sent.saturating_add((len + DATAGRAM_COST) as u64);
        }
    }

    /// Whether a PING should go out for the proof. One at a time.
    pub(crate) fn wants_ping(&self, now: Instant) -> bool {
        !self.is_valid(now) && self.asked_at.is_none_or(|at| at + ASK_AGAIN <= now)
    }

    /// A PING goes out.
    pub(crate) fn on_asked(&mut self, now: Instant) {
        self.asked_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(s)
    }

    #[test]
    fn a_stranger_is_sent_three_times_what_it_sent_headers_counted() {
        let mut v = Validation::default();
        assert!(!v.may_send(at(0), 0));
        v.on_received(72);
        assert!(v.may_send(at(0), 272));
        assert!(!v.may_send(at(0), 273));
        v.on_sent(at(0), 172);
        assert!(v.may_send(at(0), 72) && !v.may_send(at(0), 73));
    }

    #[test]
    fn a_proof_lifts_the_limit_and_its_end_starts_the_counting_anew() {
        let mut v = Validation::default();
        v.on_received(28);
        v.prove(at(0), Duration::from_secs(60));
        assert!(v.may_send(at(59), 1 << 20));
        v.on_sent(at(59), 1 << 20);
        assert!(!v.may_send(at(60), 1));
        v.on_received(72);
        assert!(v.may_send(at(60), 272));
    }

    #[test]
    fn one_ping_at_a_time_and_again_after_a_second() {
        let mut v = Validation::default();
        assert!(v.wants_ping(at(0)));
        v.on_asked(at(0));
        assert!(!v.wants_ping(at(0)));
        assert!(v.wants_ping(at(1)));
        v.prove(at(1), Duration::from_secs(60));
        assert!(!v.wants_ping(at(1)));
    }
}
