//! How many packets may be in flight (RFC 5681, RFC 6582).

use core::time::Duration;

use crate::time::Instant;

/// Packets a call may send before anything is acknowledged (RFC 6928).
const INITIAL_WINDOW: u32 = 10;
/// Least window after a loss.
const MIN_WINDOW: u32 = 2;

/// What an acknowledgement told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckSample {
    /// Packets newly known to have arrived.
    pub(crate) acked: u32,
    /// Packets that were in flight before it came.
    pub(crate) in_flight: u32,
    /// When the newest of them was sent.
    pub(crate) newest_sent: Instant,
}

/// The rule that says how much may be in flight. One lives in each call.
pub(crate) trait Controller {
    /// Packets that may be in flight.
    fn window(&self) -> u32;
    /// Packets arrived.
    fn on_ack(&mut self, sample: &AckSample);
    /// Packets were lost; `sent` is when the newest lost one was sent.
    fn on_loss(&mut self, now: Instant, sent: Instant, in_flight: u32);
    /// Nothing came back for a whole time-out.
    fn on_timeout(&mut self, now: Instant, in_flight: u32);
    /// The last time-out was a false alarm: what was in flight had arrived (RFC 4015).
    fn on_false_alarm(&mut self);
    /// The slow-start threshold, for the next call to the same peer.
    fn threshold(&self) -> Option<u32>;
}

/// Slow start, then one packet a round trip; half on loss, one packet on a time-out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewReno {
    window: u32,
    threshold: u32,
    /// Packets acknowledged towards the next step of congestion avoidance.
    credit: u32,
    /// Losses of packets sent before this belong to a loss already answered.
    recovery_since: Option<Instant>,
    /// Window and threshold before the time-outs of late.
    before_timeout: Option<(u32, u32)>,
}

impl NewReno {
    /// Start a call. `threshold` is what the peer's last call left, if any.
    pub(crate) fn new(threshold: Option<u32>) -> Self {
        NewReno {
            window: INITIAL_WINDOW,
            threshold: threshold.unwrap_or(u32::MAX).max(MIN_WINDOW),
            credit: 0,
            recovery_since: None,
            before_timeout: None,
        }
    }

    fn in_recovery(&self, sent: Instant) -> bool {
        self.recovery_since.is_some_and(|since| sent <= since)
    }
}

impl Controller for NewReno {
    fn window(&self) -> u32 {
        self.window
    }

    fn on_ack(&mut self, sample: &AckSample) {
        // Something got through: whether the time-outs before it were false alarms is decided.
        self.before_timeout = None;
        // A window that was not used proves nothing about the path: do not let it grow.
        if self.in_recovery(sample.newest_sent) || sample.in_flight < self.window / 2 {
            return;
        }
        if self.window < self.threshold {
            self.window = self.window.saturating_add(sample.acked).min(self.threshold.max(self.window));
            return;
        }
        self.credit = self.credit.saturating_add(sample.acked);
        if self.credit >= self.window {
            self.credit -= self.window;
            self.window = self.window.saturating_add(1);
        }
    }

    fn on_loss(&mut self, now: Instant, sent: Instant, in_flight: u32) {
        if self.in_recovery(sent) {
            return;
        }
        self.threshold = (self.window.min(in_flight.max(self.window / 2)) / 2).max(MIN_WINDOW);
        self.window = self.threshold;
        self.credit = 0;
        self.recovery_since = Some(now);
    }

    fn on_timeout(&mut self, now: Instant, in_flight: u32) {
        // Time-outs in a row find one packet in flight: they must not shrink the threshold again.
        if self.window > 1 {
            self.before_timeout = Some((self.window, self.threshold));
            self.threshold = (in_flight / 2).max(MIN_WINDOW);
        }
        self.window = 1;
        self.credit = 0;
        // What is sent again now counts as sent after it: slow start begins with its acknowledgement.
        self.recovery_since = Some(now - Duration::from_nanos(1));
    }

    fn on_false_alarm(&mut self) {
        let Some((window, threshold)) = self.before_timeout.take() else { return };
        (self.window, self.threshold) = (window.max(self.window), threshold);
        self.recovery_since = None;
    }

    fn threshold(&self) -> Option<u32> {
        (self.threshold != u32::MAX).then_some(self.threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u64) -> Instant {
        Instant::from_nanos(n)
    }

    fn acked(n: u32, in_flight: u32, sent: u64) -> AckSample {
        AckSample { acked: n, in_flight, newest_sent: at(sent) }
    }

    #[test]
    fn slow_start_grows_by_what_was_acknowledged() {
        let mut cc = NewReno::new(None);
        cc.on_ack(&acked(10, 10, 1));
        assert_eq!(cc.window(), 20);
    }

    #[test]
    fn slow_start_stops_at_the_threshold_of_the_last_call() {
        let mut cc = NewReno::new(Some(14));
        cc.on_ack(&acked(10, 10, 1));
        assert_eq!(cc.window(), 14);
        cc.on_ack(&acked(14, 14, 2));
        assert_eq!(cc.window(), 15);
    }

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut cc = NewReno::new(None);
        cc.on_ack(&acked(1, 1, 1));
        assert_eq!(cc.window(), 10);
    }

    #[test]
    fn one_round_of_losses_halves_once() {
        let mut cc = NewReno::new(None);
        cc.on_ack(&acked(30, 10, 1));
        assert_eq!(cc.window(), 40);
        cc.on_loss(at(100), at(50), 40);
        assert_eq!(cc.window(), 20);
        cc.on_loss(at(110), at(90), 20);
        assert_eq!(cc.window(), 20, "sent before the recovery began");
        cc.on_loss(at(200), at(150), 20);
        assert_eq!(cc.window(), 10);
    }

    #[test]
    fn a_time_out_leaves_one_packet_and_keeps_the_threshold_when_repeated() {
        let mut cc = NewReno::new(None);
        cc.on_ack(&acked(30, 10, 1));
        cc.on_timeout(at(100), 40);
        assert_eq!((cc.window(), cc.threshold()), (1, Some(20)));
        cc.on_timeout(at(200), 1);
        assert_eq!((cc.window(), cc.threshold()), (1, Some(20)));
        cc.on_ack(&acked(1, 1, 250));
        assert_eq!(cc.window(), 2);
    }

    #[test]
    fn a_false_alarm_gives_back_nothing_that_an_earlier_true_one_took() {
        let mut cc = NewReno::new(None);
        cc.on_ack(&acked(30, 10, 1));
        cc.on_timeout(at(100), 40);
        cc.on_ack(&acked(1, 1, 50));
        cc.on_timeout(at(200), 1);
        cc.on_false_alarm();
        assert_eq!(cc.window(), 1);
    }

    #[test]
    fn a_false_alarm_gives_back_what_time_outs_took_once() {
        let mut cc = NewReno::new(None);
        cc.on_ack(&acked(30, 10, 1));
        cc.on_timeout(at(100), 40);
        cc.on_timeout(at(200), 1);
        cc.on_false_alarm();
        assert_eq!((cc.window(), cc.threshold()), (40, None));
        cc.on_ack(&acked(40, 40, 50));
        assert_eq!(cc.window(), 80);
        cc.on_loss(at(300), at(250), 80);
        cc.on_false_alarm();
        assert_eq!(cc.window(), 40);
    }
}
