//! Which packets are lost, by the time and order of their sending (RFC 8985).
//!
//! A serial is never used twice on a connection, so it orders transmissions exactly and takes the
//! place of TCP's time stamps.

use core::time::Duration;

use crate::time::Instant;

/// Rounds that a widened reordering window is kept.
const PERSIST: u32 = 16;

/// One transmission of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) serial: u32,
}

impl Sent {
    /// Whether this was sent after `other`.
    pub(crate) fn is_after(&self, other: &Sent) -> bool {
        (self.at, serial_after(self.serial, other.serial)) > (other.at, false)
    }
}

/// Serial order modulo 2^32.
pub(crate) fn serial_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// What to think of a packet that has not been acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It was sent after everything that is known to have arrived.
    InFlight,
    /// Later ones arrived; lost if it has not come by then.
    SuspectUntil(Instant),
    /// Lost.
    Lost,
}

/// Loss detection of one call's sending half.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rack {
    /// The latest-sent transmission known to have arrived, and its round trip.
    newest: Option<(Sent, Duration)>,
    /// Highest sequence number known to have arrived.
    highest_seq: u32,
    /// A packet arrived after one that was sent later.
    reordering_seen: bool,
    /// Quarters of the minimum round trip that reordering is allowed.
    multiplier: u32,
    persist: u32,
    /// End of the round in which the multiplier last grew.
    round_end: Option<u32>,
    /// Highest serial that an acknowledgement named.
    acked_serial: Option<u32>,
}

impl Rack {
    /// Whether this serial is later than every one an acknowledgement has named.
    fn is_later(&self, serial: u32) -> bool {
        self.acked_serial.is_none_or(|highest| serial_after(serial, highest))
    }

    /// An acknowledgement named this serial.
    pub(crate) fn note_serial(&mut self, serial: u32) {
        if self.is_later(serial) {
            self.acked_serial = Some(serial);
        }
    }

    /// A packet is newly known to have arrived.
    pub(crate) fn on_delivered(&mut self, packet: Delivered, now: Instant, min_rtt: Option<Duration>) {
        let Delivered { seq, sent, retransmitted } = packet;
        let rtt = now.saturating_duration_since(sent.at);
        if retransmitted {
            // The first transmission may be what arrived; then this one tells nothing.
            let named = self.acked_serial.is_some_and(|s| !serial_after(sent.serial, s));
            if !named || min_rtt.is_some_and(|min| rtt < min) {
                return;
            }
        } else if seq < self.highest_seq {
            self.reordering_seen = true;
        }
        self.highest_seq = self.highest_seq.max(seq);
        if self.newest.is_none_or(|(newest, _)| sent.is_after(&newest)) {
            self.newest = Some((sent, rtt));
        }
    }

    /// The peer got something twice: a retransmission was needless, so allow more reordering.
    pub(crate) fn on_duplicate(&mut self, una: u32, next: u32) {
        if self.round_end.is_some_and(|end| una < end) {
            return;
        }
        self.round_end = Some(next);
        self.multiplier = self.multiplier.saturating_add(1).min(16);
        self.persist = PERSIST;
    }

    /// A recovery ended.
    pub(crate) fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.multiplier = 0;
        }
    }

    /// How much later than a later packet one may arrive.
    fn reordering_window(&self, rtt: Duration, path: &PathTimes, recovering: bool) -> Duration {
        if !self.reordering_seen && self.multiplier == 0 && recovering {
            return Duration::ZERO;
        }
        let quarter = path.min_rtt.unwrap_or(rtt) / 4;
        (quarter * self.multiplier.max(1)).min(path.smoothed.unwrap_or(rtt))
    }

    /// Judge a packet in flight that was last sent as `sent`.
    pub(crate) fn judge(&self, sent: &Sent, now: Instant, path: &PathTimes, recovering: bool) -> Verdict {
        let Some((newest, rtt)) = self.newest else { return Verdict::InFlight };
        if !newest.is_after(sent) {
            return Verdict::InFlight;
        }
        let deadline = sent.at + rtt + self.reordering_window(rtt, path, recovering);
        if deadline <= now { Verdict::Lost } else { Verdict::SuspectUntil(deadline) }
    }

    /// How long after its sending a packet counts as lost when a time-out fires.
    pub(crate) fn patience(&self, path: &PathTimes) -> Duration {
        let rtt = self.newest.map_or(Duration::ZERO, |(_, rtt)| rtt);
        rtt + self.reordering_window(rtt, path, true)
    }
}

/// A packet that arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    pub(crate) seq: u32,
    pub(crate) sent: Sent,
    pub(crate) retransmitted: bool,
}

/// What the path is known to take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PathTimes {
    pub(crate) min_rtt: Option<Duration>,
    pub(crate) smoothed: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Instant {
        Instant::from_nanos(n * 1_000_000)
    }

    fn sent(at: u64, serial: u32) -> Sent {
        Sent { at: ms(at), serial }
    }

    const PATH: PathTimes =
        PathTimes { min_rtt: Some(Duration::from_millis(40)), smoothed: Some(Duration::from_millis(40)) };

    fn first(seq: u32, s: Sent) -> Delivered {
        Delivered { seq, sent: s, retransmitted: false }
    }

    #[test]
    fn an_earlier_packet_is_lost_a_quarter_round_trip_after_a_later_one_arrived() {
        let mut rack = Rack::default();
        rack.on_delivered(first(2, sent(1, 2)), ms(41), None);
        assert_eq!(rack.judge(&sent(0, 1), ms(41), &PATH, false), Verdict::SuspectUntil(ms(50)));
        assert_eq!(rack.judge(&sent(0, 1), ms(50), &PATH, false), Verdict::Lost);
        assert_eq!(rack.judge(&sent(2, 3), ms(90), &PATH, false), Verdict::InFlight);
    }

    #[test]
    fn packets_of_one_instant_are_ordered_by_serial_across_its_wrap() {
        let mut rack = Rack::default();
        rack.on_delivered(first(2, sent(0, 3)), ms(40), None);
        assert_eq!(rack.judge(&sent(0, u32::MAX), ms(100), &PATH, false), Verdict::Lost);
        assert_eq!(rack.judge(&sent(0, 4), ms(100), &PATH, false), Verdict::InFlight);
    }

    #[test]
    fn within_a_recovery_without_reordering_loss_is_told_at_once() {
        let mut rack = Rack::default();
        rack.on_delivered(first(2, sent(1, 2)), ms(41), None);
        assert_eq!(rack.judge(&sent(0, 1), ms(41), &PATH, true), Verdict::Lost);
    }

    #[test]
    fn reordering_is_seen_only_on_packets_sent_once() {
        let mut rack = Rack::default();
        rack.on_delivered(first(5, sent(1, 5)), ms(41), None);
        rack.note_serial(9);
        rack.on_delivered(Delivered { seq: 2, sent: sent(2, 9), retransmitted: true }, ms(60), None);
        assert!(!rack.reordering_seen);
        rack.on_delivered(first(3, sent(1, 3)), ms(61), None);
        assert!(rack.reordering_seen);
    }

    #[test]
    fn a_retransmission_that_no_ack_named_moves_nothing() {
        let mut rack = Rack::default();
        rack.note_serial(5);
        rack.on_delivered(Delivered { seq: 1, sent: sent(30, 7), retransmitted: true }, ms(41), None);
        assert!(rack.newest.is_none());
        rack.note_serial(7);
        rack.on_delivered(Delivered { seq: 1, sent: sent(30, 7), retransmitted: true }, ms(70), None);
        assert_eq!(rack.newest, Some((sent(30, 7), Duration::from_millis(40))));
    }

    #[test]
    fn needless_retransmissions_widen_the_window_once_a_round_up_to_the_smoothed_round_trip() {
        let mut rack = Rack::default();
        rack.on_delivered(first(9, sent(1, 9)), ms(41), None);
        rack.on_duplicate(5, 10);
        rack.on_duplicate(6, 12);
        rack.on_duplicate(10, 20);
        assert_eq!(rack.reordering_window(Duration::ZERO, &PATH, true), Duration::from_millis(20));
        for una in 0..20 {
            rack.on_duplicate(20 + una * 10, 30 + una * 10);
        }
        assert_eq!(rack.reordering_window(Duration::ZERO, &PATH, true), Duration::from_millis(40));
        for _ in 0..16 {
            rack.on_recovered();
        }
        assert_eq!(rack.reordering_window(Duration::ZERO, &PATH, true), Duration::ZERO);
    }
}
