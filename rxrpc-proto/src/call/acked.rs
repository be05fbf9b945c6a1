//! What an acknowledgement does to the sending half.

use super::send::{LossTimer, SendHalf, SentPacket};
use crate::fault::Fault;
use crate::recovery::{AckSample, Controller, Delivered, PathTimes, RtoBounds, Rtt, serial_after};
use crate::time::Instant;
use crate::wire::{Ack, AckReason};

/// An acknowledgement of the peer, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckInput<'a> {
    pub(crate) first: u32,
    pub(crate) previous: u32,
    /// Serial of the packet it answers, 0 for none.
    pub(crate) serial: u32,
    pub(crate) reason: AckReason,
    pub(crate) table: &'a [u8],
    /// Serial of the ACK packet itself, which orders the ACKs of a peer.
    pub(crate) own_serial: u32,
    /// The serial that our next packet will have: nothing from there on can have been answered yet.
    pub(crate) next_serial: u32,
}

impl<'a> AckInput<'a> {
    /// The parts of a received ACK.
    pub(crate) fn new(ack: &Ack<'a>, own_serial: u32, next_serial: u32) -> Result<Self, Fault> {
        let fields = ack.fields;
        if fields.first_packet == 0 {
            return Err(Fault::AckZeroFirst);
        }
        Ok(AckInput {
            first: fields.first_packet,
            previous: fields.previous_packet,
            serial: fields.serial,
            reason: fields.reason,
            table: ack.table().ok_or(Fault::ShortSack)?,
            own_serial,
            next_serial,
        })
    }
}

/// What the acknowledgement changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AckEffect {
    /// Older than one already used: nothing.
    Stale,
    /// Used.
    Used {
        /// A packet is newly known to have arrived, or to have arrived for good.
        progress: bool,
        /// It named the serial of a packet that was in flight: its sender received that packet.
        named: bool,
    },
}

/// An acknowledgement being applied, with its running totals.
struct Tally<'a> {
    now: Instant,
    ack: &'a AckInput<'a>,
    rtt: &'a mut Rtt,
    bounds: &'a RtoBounds,
    acked: u32,
    named: bool,
    newest_sent: Option<Instant>,
}

/// When an ACK packet came, in the order of serials: the peer's and ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckOrder {
    /// Its own serial.
    own: u32,
    /// The serial of the packet that we sent next.
    next: u32,
}

impl AckOrder {
    /// Whether the peer sent `ack` after this one, or is this one itself.
    ///
    /// A peer that lost the connection and opened it again numbers anew. What it answers tells the order then: it was
    /// sent later if we sent that after this one had come. That the answered serial is higher does not suffice, since
    /// packets are overtaken both ways.
    fn is_before(&self, ack: &AckInput<'_>) -> bool {
        !serial_after(self.own, ack.own_serial) || (ack.serial != 0 && !serial_after(self.next, ack.serial))
    }
}

impl SendHalf {
    /// Take an acknowledgement.
    pub(crate) fn on_ack(
        &mut self,
        now: Instant,
        ack: &AckInput<'_>,
        rtt: &mut Rtt,
        bounds: &RtoBounds,
    ) -> Result<AckEffect, Fault> {
        if self.is_stale(ack) {
            return Ok(AckEffect::Stale);
        }
        let outstanding = self.packets.len();
        let moved = ack.first.wrapping_sub(self.una) as usize;
        if moved > outstanding {
            return Err(Fault::AckOutsideWindow);
        }
        if ack.table.len() > outstanding - moved {
            return Err(Fault::SackOverflow);
        }
        let newer = self.newest_ack_packet.is_none_or(|newest| newest.is_before(ack));
        self.newest_ack = (ack.first, ack.previous);
        if newer {
            self.newest_ack_packet = Some(AckOrder { own: ack.own_serial, next: ack.next_serial });
        }
        let in_flight = self.in_flight;
        if ack.serial != 0 {
            self.rack.note_serial(ack.serial);
            if ack.reason == AckReason::Duplicate {
                self.rack.on_duplicate(self.una, self.next);
            }
        }
        let mut tally = Tally { now, ack, rtt, bounds, acked: 0, named: false, newest_sent: None };
        self.hard_ack(moved, &mut tally);
        if moved > 0 {
            self.release();
        }
        let reneged = self.soft_ack(newer, &mut tally);
        let Tally { acked, named, newest_sent, .. } = tally;
        if let Some(newest_sent) = newest_sent {
            // It has the packet that was sent again, and answers one from before: that was not lost, answers were
            // slow.
            let older = |serial: u32| ack.serial != 0 && (ack.serial.wrapping_sub(serial) as i32) < 0;
            let retry = self.first_retry.take();
            if retry.is_some_and(|(seq, serial)| older(serial) && self.has_arrived(seq)) {
                self.cc.on_false_alarm();
                self.unlose();
            }
            self.cc.on_ack(&AckSample { acked, in_flight, newest_sent });
            self.backoff = 0;
        }
        if reneged {
            self.on_reneged(now, bounds, rtt);
        }
        self.after_ack(now, acked > 0, rtt, bounds);
        let progress = acked > 0 || moved > 0;
        self.ever_acked |= progress;
        Ok(AckEffect::Used { progress, named })
    }

    /// previousPacket is not to be trusted, it only breaks ties (QUIRKS.md#previous-packet).
    fn is_stale(&self, ack: &AckInput<'_>) -> bool {
        let (first, previous) = self.newest_ack;
        let ahead = ack.first.wrapping_sub(first) as i32;
        let looks_like_serial = ack.previous > self.next.wrapping_add(self.peer_window);
        ahead < 0 || (ahead == 0 && ack.previous < previous && looks_like_serial)
    }

    fn hard_ack(&mut self, count: usize, tally: &mut Tally<'_>) {
        for _ in 0..count {
            let Some(packet) = self.packets.pop_front() else { break };
            let seq = self.una;
            self.una = seq.wrapping_add(1);
            self.retransmitted = self.retransmitted.saturating_sub(u32::from(packet.retransmitted));
            if packet.acked {
                self.soft_acked = self.soft_acked.saturating_sub(1);
                continue;
            }
            self.in_flight = self.in_flight.saturating_sub(u32::from(!packet.lost));
            self.note_delivered(seq, &packet, tally);
        }
        if count > 0 {
            let start = self.packets.front().map_or(u64::MAX, |p| p.offset);
            self.acknowledged = start.min(self.cut_offset());
            self.buffer.forget_before(self.acknowledged);
        }
    }

    /// True if the peer dropped something.
    fn soft_ack(&mut self, newer: bool, tally: &mut Tally<'_>) -> bool {
        let mut reneged = false;
        // A table ends with the last packet that the peer has, so it has none beyond. A PING may come without one.
        let told =
            if tally.ack.reason == AckReason::Ping { tally.ack.table.len() } else { self.packets.len() };
        let rest = core::iter::repeat(&0);
        for (i, octet) in tally.ack.table.iter().chain(rest).enumerate().take(told) {
            let received = Ack::received(*octet);
            let Some(packet) = self.packets.get_mut(i) else { break };
            if received && !packet.acked {
                packet.acked = true;
                let was_lost = core::mem::replace(&mut packet.lost, false);
                let packet = *packet;
                self.soft_acked += 1;
                self.in_flight = self.in_flight.saturating_sub(u32::from(!was_lost));
                self.note_delivered(self.una.wrapping_add(i as u32), &packet, tally);
                if let Some(p) = self.packets.get_mut(i) {
                    p.sampled = true;
                }
            } else if !received && packet.acked && newer {
                // The peer dropped what it had acknowledged softly, as it may: it is in flight again
                // (QUIRKS.md#reneging-by-serial).
                packet.acked = false;
                self.soft_acked = self.soft_acked.saturating_sub(1);
                self.in_flight += 1;
                reneged = true;
            }
        }
        reneged
    }

    /// A packet is newly known to have arrived.
    fn note_delivered(&mut self, seq: u32, packet: &SentPacket, tally: &mut Tally<'_>) {
        let Tally { now, ack, .. } = *tally;
        tally.acked += 1;
        tally.newest_sent = tally.newest_sent.max(Some(packet.sent.at));
        tally.named |= packet.sent.serial == ack.serial;
        if packet.sent.serial == ack.serial && !packet.sampled {
            let rtt = now.saturating_duration_since(packet.sent.at);
            match ack.reason {
                // It was held back by a timer: the path takes less.
                AckReason::Delay => tally.rtt.implicit_sample(now, rtt, tally.bounds),
                _ => tally.rtt.sample(now, rtt),
            }
        }
        let delivered = Delivered { seq, sent: packet.sent, retransmitted: packet.retransmitted };
        self.rack.on_delivered(delivered, now, tally.rtt.min());
    }

    fn after_ack(&mut self, now: Instant, progress: bool, rtt: &Rtt, bounds: &RtoBounds) {
        if self.recovery_end.is_some_and(|end| self.una.wrapping_sub(end) as i32 >= 0) {
            self.recovery_end = None;
            self.rack.on_recovered();
        }
        if self.is_held() {
            return;
        }
        self.detect_losses(now, &PathTimes { min_rtt: rtt.min(), smoothed: rtt.smoothed() });
        self.settle_timer(now, progress, rtt, bounds);
    }

    /// Keep the one timer true to what is outstanding.
    pub(crate) fn settle_timer(&mut self, now: Instant, progress: bool, rtt: &Rtt, bounds: &RtoBounds) {
        if self.is_held() {
            // The time-out that ends it is set.
        } else if !self.is_under_way() {
            self.timer = None;
        } else if !matches!(self.timer, Some(LossTimer::Reorder(_))) && (progress || self.timer.is_none()) {
            self.arm_timeout(now, bounds, rtt);
        }
    }

    /// Everything that was sent has arrived: a reply, a next call or an ACKALL says so.
    pub(crate) fn ack_everything(&mut self, now: Instant, rtt: &mut Rtt, bounds: &RtoBounds) {
        if let Some(packet) = self.packets.back()
            && !packet.retransmitted
            && !packet.acked
            && !packet.sampled
        {
            rtt.implicit_sample(now, now.saturating_duration_since(packet.sent.at), bounds);
        }
        self.release();
        self.una = self.next;
        self.newest_ack = (self.next, self.newest_ack.1);
        self.packets.clear();
        self.lost.clear();
        self.in_flight = 0;
        self.soft_acked = 0;
        self.retransmitted = 0;
        self.recovery_end = None;
        self.backoff = 0;
        self.timer = None;
        self.acknowledged = self.cut_offset();
        self.buffer.forget_before(self.acknowledged);
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::super::queues::SendQueues;
    use super::super::send::Fresh;
    use super::*;
    use crate::recovery::Sent;

    const BOUNDS: RtoBounds = RtoBounds {
        initial: Duration::from_secs(1),
        min: Duration::from_millis(30),
        max: Duration::from_secs(60),
    };

    fn ms(n: u64) -> Instant {
        Instant::from_nanos(n * 1_000_000)
    }

    /// A sending half with `count` packets of 10 bytes in flight, packet n with serial 100 + n, sent at 0.
    fn sending(count: u32) -> SendHalf {
        let mut half = SendHalf::new(None, Duration::from_secs(20), SendQueues::default());
        half.peer_window = 255;
        for i in 1..=count {
            half.buffer.push(&[i as u8; 10]);
            let fresh = Fresh { offset: u64::from(i - 1) * 10, len: 10, last: false, drained: false };
            half.on_sent(&fresh, Sent { at: ms(0), serial: 100 + i }, &BOUNDS, &Rtt::default());
        }
        half
    }

    fn ack<'a>(first: u32, previous: u32, serial: u32, table: &'a [u8]) -> AckInput<'a> {
        AckInput {
            first,
            previous,
            serial,
            reason: AckReason::Requested,
            table,
            own_serial: first + previous,
            next_serial: 200,
        }
    }

    fn used(progress: bool) -> Result<AckEffect, Fault> {
        Ok(AckEffect::Used { progress, named: false })
    }

    #[test]
    fn a_hard_ack_frees_the_bytes_and_samples_the_named_serial() {
        let (mut half, mut rtt) = (sending(4), Rtt::default());
        let named = Ok(AckEffect::Used { progress: true, named: true });
        assert_eq!(half.on_ack(ms(20), &ack(4, 3, 103, &[]), &mut rtt, &BOUNDS), named);
        assert_eq!((half.una, half.in_flight, half.buffer.len()), (4, 1, 10));
        assert_eq!(rtt.smoothed(), Some(Duration::from_millis(20)));
    }

    #[test]
    fn acks_of_things_never_sent_are_told_apart() {
        let (mut half, mut rtt) = (sending(4), Rtt::default());
        let mut try_ack = |a: AckInput<'_>| half.on_ack(ms(20), &a, &mut rtt, &BOUNDS);
        assert_eq!(try_ack(ack(6, 5, 0, &[])), Err(Fault::AckOutsideWindow));
        assert_eq!(try_ack(ack(4, 5, 0, &[0, 1])), Err(Fault::SackOverflow));
        assert_eq!(try_ack(ack(5, 4, 0, &[])), used(true));
        assert_eq!(try_ack(ack(4, 4, 0, &[])), Ok(AckEffect::Stale));
    }

    #[test]
    fn previous_packet_breaks_ties_only_when_it_looks_like_a_serial() {
        let (mut half, mut rtt) = (sending(10), Rtt::default());
        let mut try_ack = |a: AckInput<'_>| half.on_ack(ms(20), &a, &mut rtt, &BOUNDS);
        assert_eq!(try_ack(ack(1, 9000, 0, &[0, 1])), used(true));
        assert_eq!(try_ack(ack(1, 5, 0, &[0, 1, 1])), used(true), "went backwards, but is a sequence number");
        assert_eq!(try_ack(ack(1, 9001, 0, &[])), used(false));
        assert_eq!(try_ack(ack(1, 8999, 0, &[])), Ok(AckEffect::Stale));
    }

    #[test]
    fn a_hole_is_lost_once_a_packet_sent_later_was_in_for_a_quarter_round_trip() {
        let (mut half, mut rtt) = (sending(5), Rtt::default());
        half.on_ack(ms(20), &ack(1, 2, 102, &[0, 1]), &mut rtt, &BOUNDS).unwrap();
        assert_eq!(half.timer, Some(LossTimer::Reorder(ms(25))));
        assert_eq!((half.in_flight, half.next_lost().map(|l| l.0)), (4, None));
        half.detect_losses(ms(25), &PathTimes { min_rtt: rtt.min(), smoothed: rtt.smoothed() });
        assert_eq!(half.next_lost().map(|l| l.0), Some(1));
        assert_eq!((half.in_flight, half.lost.len()), (3, 1), "packets 3 to 5 were sent later");
    }

    #[test]
    fn a_dropped_soft_ack_puts_the_packet_in_flight_again_but_only_by_a_newer_ack() {
        let (mut half, mut rtt) = (sending(3), Rtt::default());
        let mut a = ack(1, 3, 0, &[0, 1, 1]);
        a.own_serial = 50;
        half.on_ack(ms(20), &a, &mut rtt, &BOUNDS).unwrap();
        assert_eq!((half.in_flight, half.soft_acked), (1, 2));
        let mut old = ack(1, 3, 0, &[0, 0, 1]);
        old.own_serial = 49;
        half.on_ack(ms(21), &old, &mut rtt, &BOUNDS).unwrap();
        assert_eq!((half.in_flight, half.soft_acked), (1, 2));
        old.own_serial = 51;
        half.on_ack(ms(22), &old, &mut rtt, &BOUNDS).unwrap();
        assert_eq!((half.in_flight, half.soft_acked), (2, 1));
    }

    #[test]
    fn what_a_newer_table_does_not_reach_the_peer_has_dropped() {
        let (mut half, mut rtt) = (sending(3), Rtt::default());
        let mut a = ack(1, 3, 0, &[0, 1, 1]);
        a.own_serial = 50;
        half.on_ack(ms(20), &a, &mut rtt, &BOUNDS).unwrap();
        let ping = AckInput { reason: AckReason::Ping, own_serial: 51, ..ack(2, 1, 0, &[]) };
        half.on_ack(ms(21), &ping, &mut rtt, &BOUNDS).unwrap();
        assert_eq!((half.in_flight, half.soft_acked), (0, 2), "a question may come without a table");
        let answer = AckInput { own_serial: 52, ..ack(2, 1, 0, &[]) };
        half.on_ack(ms(22), &answer, &mut rtt, &BOUNDS).unwrap();
        assert_eq!((half.in_flight, half.soft_acked), (2, 0));
        assert!(half.timer.is_some(), "they are sent again");
    }

    #[test]
    fn a_peer_that_numbers_its_acks_anew_is_believed_when_it_answers_what_was_sent_since() {
        let (mut half, mut rtt) = (sending(3), Rtt::default());
        let before = AckInput { own_serial: 5000, next_serial: 104, ..ack(1, 3, 101, &[1]) };
        half.on_ack(ms(20), &before, &mut rtt, &BOUNDS).unwrap();
        let mut again = AckInput { own_serial: 7, next_serial: 105, ..ack(1, 3, 103, &[0, 1]) };
        half.on_ack(ms(21), &again, &mut rtt, &BOUNDS).unwrap();
        assert_eq!(half.soft_acked, 2, "this may be an old one");
        again.serial = 104;
        half.on_ack(ms(22), &again, &mut rtt, &BOUNDS).unwrap();
        assert_eq!((half.in_flight, half.soft_acked), (2, 1));
    }

    #[test]
    fn an_ack_that_was_overtaken_takes_nothing_back_though_it_answers_a_packet_sent_later() {
        let (mut half, mut rtt) = (sending(3), Rtt::default());
        let second = AckInput { own_serial: 51, ..ack(1, 3, 102, &[0, 1, 1]) };
        half.on_ack(ms(20), &second, &mut rtt, &BOUNDS).unwrap();
        let first = AckInput { own_serial: 50, ..ack(1, 3, 103, &[0, 0, 1]) };
        half.on_ack(ms(21), &first, &mut rtt, &BOUNDS).unwrap();
        assert_eq!((half.in_flight, half.soft_acked), (1, 2));
    }

    #[test]
    fn only_bit_zero_of_a_table_octet_counts() {
        let (mut half, mut rtt) = (sending(3), Rtt::default());
        half.on_ack(ms(20), &ack(1, 3, 0, &[0, 0xfe, 0xff]), &mut rtt, &BOUNDS).unwrap();
        assert_eq!((half.in_flight, half.soft_acked), (2, 1));
    }

    #[test]
    fn a_delayed_ack_starts_and_lowers_the_round_trip_but_never_raises_it() {
        let mut rtt = Rtt::default();
        for (after, smoothed) in [(500, None), (120, Some(120)), (300, Some(120)), (40, Some(110))] {
            let mut half = sending(1);
            let delayed = AckInput { reason: AckReason::Delay, ..ack(2, 1, 101, &[]) };
            half.on_ack(ms(after), &delayed, &mut rtt, &BOUNDS).unwrap();
            assert_eq!(rtt.smoothed(), smoothed.map(Duration::from_millis), "after {after} ms");
        }
    }

    #[test]
    fn data_beyond_the_last_number_is_never_sent_and_told() {
        let mut half = sending(0);
        (half.una, half.next) = (u32::MAX - 1, u32::MAX - 1);
        half.buffer.push(&[1; 20]);
        let fresh = half.fresh(10).unwrap();
        assert!(!half.is_exhausted());
        half.on_sent(&fresh, Sent { at: ms(0), serial: 9 }, &BOUNDS, &Rtt::default());
        assert_eq!((half.fresh(10), half.is_exhausted()), (None, true));
    }

    #[test]
    fn a_time_out_marks_all_lost_and_leaves_one_packet_of_window() {
        let mut half = sending(8);
        half.on_timeout(ms(1000), &PathTimes::default());
        assert_eq!((half.in_flight, half.lost.len(), half.cc.window(), half.backoff), (0, 8, 1, 1));
        assert_eq!(half.next_lost().map(|l| l.0), Some(1));
        half.on_resent(1, Sent { at: ms(1000), serial: 200 }, &BOUNDS, &Rtt::default());
        assert_eq!(half.timer, Some(LossTimer::Timeout(ms(3000))), "re-armed, backed off");
        assert_eq!(half.next_lost().map(|l| l.0), None, "the window is full");
    }

    #[test]
    fn a_time_out_is_a_false_alarm_only_if_the_packet_sent_again_had_arrived() {
        for (table, window, lost) in [(&[1, 1, 1][..], 10, 0), (&[0, 1, 1], 1, 7)] {
            let (mut half, mut rtt) = (sending(8), Rtt::default());
            half.on_timeout(ms(1000), &PathTimes::default());
            half.on_resent(1, Sent { at: ms(1000), serial: 200 }, &BOUNDS, &rtt);
            half.on_ack(ms(1010), &ack(1, 3, 103, table), &mut rtt, &BOUNDS).unwrap();
            assert_eq!((half.cc.window(), half.lost.len()), (window, lost));
        }
    }

    #[test]
    fn a_packet_lost_twice_goes_again_though_a_later_one_is_on_its_way() {
        let (mut half, rtt) = (sending(2), Rtt::default());
        // The path was found so slow that a time-out says nothing of the second packet.
        let slow = Delivered { seq: 9, sent: Sent { at: ms(0), serial: 9 }, retransmitted: false };
        half.rack.on_delivered(slow, ms(3_600_000), None);
        for at in [ms(1000), ms(3000)] {
            half.on_timeout(at, &PathTimes::default());
            assert_eq!((half.in_flight, half.cc.window()), (1, 1));
            assert_eq!(half.next_lost().map(|l| l.0), Some(1));
            half.on_resent(1, Sent { at, serial: 200 }, &BOUNDS, &rtt);
        }
    }

    #[test]
    fn a_time_out_sends_the_first_packet_though_others_sent_again_may_be_on_their_way() {
        let (mut half, rtt) = (sending(3), Rtt::default());
        // A clock that jumped by an hour made the path look that slow.
        let slow = Delivered { seq: 9, sent: Sent { at: ms(0), serial: 9 }, retransmitted: false };
        half.rack.on_delivered(slow, ms(3_600_000), None);
        half.mark_lost(2);
        half.on_resent(2, Sent { at: ms(10), serial: 200 }, &BOUNDS, &rtt);
        half.on_timeout(ms(1000), &PathTimes::default());
        assert_eq!((half.in_flight, half.cc.window()), (2, 1));
        assert_eq!(half.next_lost().map(|l| l.0), Some(1));
        half.on_resent(1, Sent { at: ms(1000), serial: 201 }, &BOUNDS, &rtt);
        half.mark_lost(3);
        assert_eq!(half.next_lost().map(|l| l.0), None, "only once a time-out");
    }

    #[test]
    fn a_time_out_with_everything_acked_softly_asks_with_the_first() {
        let (mut half, mut rtt) = (sending(2), Rtt::default());
        half.on_ack(ms(20), &ack(1, 2, 0, &[1, 1]), &mut rtt, &BOUNDS).unwrap();
        assert_eq!(half.timer, None);
        half.on_timeout(ms(2000), &PathTimes::default());
        assert_eq!(half.next_lost().map(|l| l.0), Some(1));
    }
}
