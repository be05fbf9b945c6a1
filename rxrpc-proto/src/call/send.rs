//! The sending half of a call: cutting data into packets, and what is known of each packet sent.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::acked::AckOrder;
use super::buffer::SendBuffer;
use super::queues::{SendQueues, empty};
use crate::recovery::{Controller, NewReno, PathTimes, Rack, RtoBounds, Rtt, Sent, Verdict};
use crate::time::Instant;
use crate::wire::{INITIAL_WINDOW, MAX_SACK};

/// A packet that was sent and is not acknowledged for good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentPacket {
    /// Stream offset of its first byte.
    pub(crate) offset: u64,
    pub(crate) sent: Sent,
    pub(crate) len: u16,
    pub(crate) last: bool,
    /// The peer said that it has it, but may still drop it.
    pub(crate) acked: bool,
    /// Judged lost and not sent again yet.
    pub(crate) lost: bool,
    pub(crate) retransmitted: bool,
    /// Gave its round-trip sample.
    pub(crate) sampled: bool,
}

/// How often a peer may drop what it has acknowledged softly before it is given time.
const RENEGES_AT_ONCE: u32 = 3;

/// The next new packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fresh {
    pub(crate) offset: u64,
    pub(crate) len: usize,
    pub(crate) last: bool,
    /// Nothing more can be sent after it for want of data.
    pub(crate) drained: bool,
}

/// What a time-out of the sending half does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LossTimer {
    /// A suspect packet is lost if it has not come by then.
    Reorder(Instant),
    /// Everything in flight is lost if nothing has come by then.
    Timeout(Instant),
}

#[derive(Debug)]
pub(crate) struct SendHalf {
    pub(crate) buffer: SendBuffer,
    /// Packets from `una` up to `next`, in order.
    pub(crate) packets: VecDeque<SentPacket>,
    /// First packet not acknowledged for good.
    pub(crate) una: u32,
    /// Number of the next new packet.
    pub(crate) next: u32,
    /// Stream offset of the next new packet.
    cut: u64,
    /// Stream offset up to which the peer has acknowledged everything for good.
    pub(crate) acknowledged: u64,
    /// Data before this offset goes out even in a packet that is not full.
    flushed: u64,
    /// No more data follows.
    pub(crate) finished: bool,
    /// The last packet has been sent at least once.
    pub(crate) last_sent: bool,
    /// Window the peer offers, in packets from `una`.
    pub(crate) peer_window: u32,
    /// Packets sent, not lost, not acknowledged.
    pub(crate) in_flight: u32,
    /// Packets judged lost, in the order they are sent again. May name packets acknowledged since.
    pub(crate) lost: VecDeque<u32>,
    /// Retransmitted packets that are not acknowledged.
    pub(crate) retransmitted: u32,
    /// Packets acknowledged softly.
    pub(crate) soft_acked: u32,
    pub(crate) rack: Rack,
    pub(crate) cc: NewReno,
    /// A loss recovery goes on until this packet is acknowledged.
    pub(crate) recovery_end: Option<u32>,
    /// Time-outs in a row.
    pub(crate) backoff: u32,
    /// Number and new serial of the first packet that went out after time-outs, while nothing has been
    /// acknowledged since.
    pub(super) first_retry: Option<(u32, u32)>,
    /// How often the peer dropped what it had acknowledged softly, since it last acknowledged anything for good.
    dropped: u32,
    /// It did so time and again: nothing goes out before the time-out.
    held: bool,
    /// A random number since the peer turned the call away at once, 0 before.
    spread: u32,
    /// A time-out is not longer than this, a quarter of the silence that ends the call; or than the round trip, up to
    /// half of it.
    longest_timeout: Duration,
    pub(crate) timer: Option<LossTimer>,
    /// firstPacket and previousPacket of the last acknowledgement that was used.
    pub(crate) newest_ack: (u32, u32),
    /// The peer has acknowledged something, if only softly, and may have dropped it since.
    pub(crate) ever_acked: bool,
    /// The newest ACK packet that was used.
    pub(crate) newest_ack_packet: Option<AckOrder>,
    /// When a packet that asked for an acknowledgement was last sent.
    pub(crate) asked_at: Option<Instant>,
    pub(crate) last_sent_at: Option<Instant>,
}

impl SendHalf {
    /// `silence` of the peer ends the call.
    pub(super) fn new(threshold: Option<u32>, silence: Duration, queues: SendQueues) -> Self {
        SendHalf {
            buffer: SendBuffer::new(queues.pieces),
            packets: queues.packets,
            una: 1,
            next: 1,
            cut: 0,
            acknowledged: 0,
            flushed: 0,
            finished: false,
            last_sent: false,
            peer_window: INITIAL_WINDOW,
            in_flight: 0,
            lost: queues.lost,
            retransmitted: 0,
            soft_acked: 0,
            rack: Rack::default(),
            cc: NewReno::new(threshold),
            recovery_end: None,
            backoff: 0,
            first_retry: None,
            dropped: 0,
            held: false,
            spread: 0,
            longest_timeout: silence / 4,
            timer: None,
            newest_ack: (1, 0),
            ever_acked: false,
            newest_ack_packet: None,
            asked_at: None,
            last_sent_at: None,
        }
    }

    pub(super) fn take_queues(&mut self) -> SendQueues {
        SendQueues {
            packets: core::mem::take(&mut self.packets),
            lost: core::mem::take(&mut self.lost),
            pieces: self.buffer.take_pieces(),
        }
    }

    /// Send what is written so far without waiting for a full packet.
    pub(crate) fn flush(&mut self) {
        self.flushed = self.buffer.end();
    }

    /// Whether any packet was sent.
    pub(crate) fn is_exposed(&self) -> bool {
        self.next > 1
    }

    /// Stream offset up to which packets were cut.
    pub(crate) fn cut_offset(&self) -> u64 {
        self.cut
    }

    /// Whether everything, the last packet included, is acknowledged for good.
    pub(crate) fn is_delivered(&self) -> bool {
        self.last_sent && self.packets.is_empty()
    }

    /// Whether data waits that was never sent.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.last_sent && (self.finished || self.cut < self.flushed.max(self.buffer.end()))
    }

    /// Whether data waits that no packet number is left for.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.next == u32::MAX && self.has_unsent()
    }

    /// Packets the peer's window and the soft-ACK table leave room for.
    fn window_room(&self) -> u32 {
        let window = self.peer_window.min(MAX_SACK as u32);
        window.saturating_sub(self.next.wrapping_sub(self.una))
    }

    /// Whether data waits, nothing is under way and the peer's window is what holds it back.
    pub(crate) fn is_window_blocked(&self) -> bool {
        let waits = || self.has_unsent() || !self.lost.is_empty();
        self.in_flight == 0 && waits() && !self.is_under_way() && self.window_room() == 0
    }

    /// The next new packet of at most `max` bytes that may be sent now.
    pub(crate) fn fresh(&self, max: usize) -> Option<Fresh> {
        let full = self.window_room() == 0 || self.in_flight >= self.cc.window();
        if self.last_sent || full || self.is_held() {
            return None;
        }
        self.cut_next(max)
    }

    /// How the next new packet would be cut, were there room for it. A full packet waits for the byte
    /// or the end that follows it, so that the last packet of a call is never an empty one.
    fn cut_next(&self, max: usize) -> Option<Fresh> {
        let waiting = self.buffer.end().saturating_sub(self.cut);
        let len = usize::try_from(waiting).unwrap_or(usize::MAX).min(max);
        let rest = waiting > len as u64;
        let flushed = self.flushed > self.cut;
        if !(rest || self.finished || flushed) || (len == 0 && !self.finished) || self.next == u32::MAX {
            return None;
        }
        let last = self.finished && !rest;
        Some(Fresh { offset: self.cut, len, last, drained: !rest && !last })
    }

    /// Note that `fresh` was sent. Returns its sequence number.
    pub(crate) fn on_sent(&mut self, fresh: &Fresh, sent: Sent, bounds: &RtoBounds, rtt: &Rtt) -> u32 {
        let seq = self.next;
        self.packets.push_back(SentPacket {
            offset: fresh.offset,
            sent,
            len: u16::try_from(fresh.len).unwrap_or(u16::MAX),
            last: fresh.last,
            acked: false,
            lost: false,
            retransmitted: false,
            sampled: false,
        });
        self.next = seq.wrapping_add(1);
        self.cut += fresh.len as u64;
        self.last_sent = fresh.last;
        self.in_flight += 1;
        self.last_sent_at = Some(sent.at);
        if self.timer.is_none() {
            self.arm_timeout(sent.at, bounds, rtt);
        }
        seq
    }

    pub(crate) fn packet(&self, seq: u32) -> Option<&SentPacket> {
        self.packets.get(seq.wrapping_sub(self.una) as usize)
    }

    /// Whether the peer has said that it has the packet.
    pub(super) fn has_arrived(&self, seq: u32) -> bool {
        self.packet(seq).is_none_or(|packet| packet.acked)
    }

    fn packet_mut(&mut self, seq: u32) -> Option<&mut SentPacket> {
        self.packets.get_mut(seq.wrapping_sub(self.una) as usize)
    }

    /// The next packet to send again, if the congestion window has room for it. One may always be on its way:
    /// a recovery that waits for its window to drain would wait for the very packets that are missing.
    pub(crate) fn next_lost(&mut self) -> Option<(u32, SentPacket)> {
        while let Some(&seq) = self.lost.front()
            && !self.packet(seq).is_some_and(|p| p.lost)
        {
            self.lost.pop_front();
        }
        if self.lost.is_empty() || self.is_held() {
            return None;
        }
        if self.in_flight >= self.cc.window() && self.is_repairing() {
            return self.due_to_timeout();
        }
        self.lost.iter().find_map(|&seq| self.resendable(seq).map(|packet| (seq, packet)))
    }

    /// The first packet that the peer has not got, once a time-out: what else is thought to be on its way may be long
    /// gone, if the path seems slower than it is.
    fn due_to_timeout(&self) -> Option<(u32, SentPacket)> {
        let i = self.packets.iter().position(|p| !p.acked)?;
        let seq = self.una.wrapping_add(i as u32);
        self.resendable(seq).filter(|packet| packet.lost && self.backoff > 0).map(|packet| (seq, packet))
    }

    /// Whether a packet that was sent again is on its way. One that is lost once more is not.
    fn is_repairing(&self) -> bool {
        self.retransmitted > 0 && self.packets.iter().any(|p| p.retransmitted && !p.lost && !p.acked)
    }

    /// The packet, if it is lost and the peer's window takes it. The first one not acknowledged always may go.
    fn resendable(&self, seq: u32) -> Option<SentPacket> {
        let within = seq.wrapping_sub(self.una) < self.peer_window.max(1);
        self.packet(seq).copied().filter(|p| p.lost && within)
    }

    fn has_resendable(&self) -> bool {
        self.lost.iter().any(|seq| self.resendable(*seq).is_some())
    }

    /// The peer refused what lay beyond its window: it has to be sent again once the window opens. No
    /// congestion is to blame.
    pub(crate) fn on_refused(&mut self) {
        for i in self.peer_window.max(1)..self.packets.len() as u32 {
            self.mark_lost(self.una.wrapping_add(i));
        }
    }

    /// The peer turned the call away and dropped what it had: all is sent again when the time-out comes, which
    /// waits longer each time this happens. Until then nothing goes out: what crosses on the way may make the peer
    /// begin the call again and turn that away too, and each of its answers would draw the next packets. If it had
    /// nothing yet, `random` sets apart those that were turned away together.
    pub(crate) fn on_turned_away(&mut self, now: Instant, bounds: &RtoBounds, rtt: &Rtt, random: u32) {
        if self.soft_acked == 0 {
            self.spread = random;
            // What it had may be told later yet; the time-out that runs is wait enough.
            if !matches!(self.timer, Some(LossTimer::Timeout(_))) {
                self.arm_timeout(now, bounds, rtt);
            }
            self.held = true;
            return;
        }
        self.unacknowledge();
        self.on_dropped(now, bounds, rtt, 0);
    }

    /// What was marked lost may still arrive: it is on its way again, and not sent again for now.
    pub(super) fn unlose(&mut self) {
        for packet in &mut self.packets {
            self.in_flight += u32::from(core::mem::take(&mut packet.lost));
        }
        self.lost.clear();
    }

    /// Nothing that was acknowledged softly is with the peer any more: all of it is in flight again.
    fn unacknowledge(&mut self) {
        for packet in &mut self.packets {
            let was_acked = core::mem::take(&mut packet.acked);
            self.in_flight += u32::from(core::mem::take(&mut packet.lost) || was_acked);
        }
        self.lost.clear();
        self.soft_acked = 0;
    }

    /// The peer lacks what it had acknowledged softly. Now and then that may be; a peer that does it all the time
    /// loses the call over and over, and is asked ever more seldom (QUIRKS.md#reneging-by-serial).
    pub(super) fn on_reneged(&mut self, now: Instant, bounds: &RtoBounds, rtt: &Rtt) {
        self.on_dropped(now, bounds, rtt, RENEGES_AT_ONCE);
    }

    /// Whether all that was sent is acknowledged, but only softly.
    pub(crate) fn is_acked_softly(&self) -> bool {
        self.soft_acked > 0 && !self.is_under_way() && !self.held
    }

    /// The peer says nothing of what it acknowledged softly: it may be gone there.
    pub(crate) fn on_doubt(&mut self, now: Instant, path: &PathTimes) {
        self.unacknowledge();
        self.on_timeout(now, path);
    }

    fn on_dropped(&mut self, now: Instant, bounds: &RtoBounds, rtt: &Rtt, at_once: u32) {
        if self.held {
            return;
        }
        self.dropped = self.dropped.saturating_add(1);
        if self.dropped > at_once {
            self.backoff = self.dropped;
            self.held = true;
            self.arm_timeout(now, bounds, rtt);
        }
    }

    /// The peer acknowledged something for good.
    pub(super) fn release(&mut self) {
        self.dropped = 0;
        if core::mem::take(&mut self.held) {
            self.timer = None;
        }
    }

    /// Whether nothing may go out before the time-out.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Whether anything is under way, or could be, so that a time-out makes sense.
    pub(crate) fn is_under_way(&self) -> bool {
        self.in_flight > 0 || self.has_resendable()
    }

    /// Note that the packet was sent again.
    pub(crate) fn on_resent(&mut self, seq: u32, sent: Sent, bounds: &RtoBounds, rtt: &Rtt) {
        if let Some(i) = self.lost.iter().position(|lost| *lost == seq) {
            self.lost.remove(i);
        }
        let Some(packet) = self.packet_mut(seq) else { return };
        let again = core::mem::replace(&mut packet.retransmitted, true);
        packet.lost = false;
        packet.sampled = false;
        packet.sent = sent;
        self.retransmitted += u32::from(!again);
        self.in_flight += 1;
        if self.backoff > 0 {
            self.first_retry.get_or_insert((seq, sent.serial));
        }
        self.last_sent_at = Some(sent.at);
        self.arm_timeout(sent.at, bounds, rtt);
    }

    /// Start the retransmission time-out anew. It must not outlast the silence that ends the call
    /// (QUIRKS.md#time-out-ends-before-the-call).
    pub(crate) fn arm_timeout(&mut self, now: Instant, bounds: &RtoBounds, rtt: &Rtt) {
        // Half of the silence leaves the answer the other half, however slow the path looks.
        let round_trip = rtt.smoothed().map_or(bounds.initial, |rtt| rtt.min(self.longest_timeout * 2));
        let longest = self.longest_timeout.max(round_trip);
        let mut wait = rtt.rto(bounds, self.backoff).min(longest);
        if self.spread > 0 && self.una == 1 && self.soft_acked == 0 {
            // All or half of it, or something in between (QUIRKS.md#busy-is-told).
            wait -= wait / 2 * (self.spread >> 16) / (1 << 16);
        }
        self.timer = Some(LossTimer::Timeout(now + wait));
    }

    /// Mark a packet lost. Does nothing to one that is acknowledged or lost already.
    pub(super) fn mark_lost(&mut self, seq: u32) {
        let Some(packet) = self.packet_mut(seq) else { return };
        if packet.acked || packet.lost {
            return;
        }
        packet.lost = true;
        self.in_flight = self.in_flight.saturating_sub(1);
        // In order of their numbers: the peer can do nothing with later ones while the first is missing.
        let place = self.lost.partition_point(|lost| (lost.wrapping_sub(seq) as i32) < 0);
        self.lost.insert(place, seq);
    }

    /// Judge every packet in flight by what has arrived. `now` is the time of the news.
    pub(crate) fn detect_losses(&mut self, now: Instant, path: &PathTimes) {
        let recovering = self.recovery_end.is_some() || self.soft_acked >= 3;
        let mut newest_lost: Option<Instant> = None;
        let mut wake: Option<Instant> = None;
        let in_flight = self.in_flight;
        for i in 0..self.packets.len() {
            let Some(packet) = self.packets.get(i).copied() else { break };
            if packet.acked || packet.lost {
                continue;
            }
            match self.rack.judge(&packet.sent, now, path, recovering) {
                // Packets sent once are in the order of their sending: none of the rest is older.
                Verdict::InFlight if self.retransmitted == 0 => break,
                Verdict::InFlight => {}
                Verdict::SuspectUntil(at) => wake = Some(wake.map_or(at, |w| w.min(at))),
                Verdict::Lost => {
                    newest_lost = newest_lost.max(Some(packet.sent.at));
                    self.mark_lost(self.una.wrapping_add(i as u32));
                }
            }
        }
        if let Some(sent) = newest_lost {
            self.cc.on_loss(now, sent, in_flight);
            self.recovery_end.get_or_insert(self.next);
        }
        if let Some(at) = wake {
            self.timer = Some(LossTimer::Reorder(at));
        } else if let Some(LossTimer::Reorder(_)) = self.timer {
            self.timer = None;
        }
    }

    /// The retransmission time-out fired: what was in flight is lost, except what was sent too recently.
    pub(crate) fn on_timeout(&mut self, now: Instant, path: &PathTimes) {
        if core::mem::take(&mut self.held) {
            // What it acknowledged meanwhile may be what it had dropped before.
            self.unacknowledge();
        }
        let patience = self.rack.patience(path);
        let in_flight = self.in_flight;
        for i in 0..self.packets.len() {
            let Some(packet) = self.packets.get(i).copied() else { break };
            if i == 0 || packet.sent.at + patience <= now {
                self.mark_lost(self.una.wrapping_add(i as u32));
            }
        }
        self.mark_first_unacked_lost();
        self.cc.on_timeout(now, in_flight.max(1));
        self.recovery_end = Some(self.next);
        self.backoff = self.backoff.saturating_add(1);
        self.timer = None;
    }

    /// A time-out must send something: at least the first packet the peer has not got.
    fn mark_first_unacked_lost(&mut self) {
        let first = self.packets.iter().position(|p| !p.acked);
        if let Some(i) = first {
            self.mark_lost(self.una.wrapping_add(i as u32));
        } else if !self.packets.is_empty() {
            // All are acknowledged softly, so the peer may have dropped them since: ask with the first.
            if let Some(packet) = self.packets.front_mut() {
                packet.acked = false;
                self.soft_acked = self.soft_acked.saturating_sub(1);
                self.in_flight += 1;
            }
            self.mark_lost(self.una);
        }
    }

    /// Put down everything: the call is over.
    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        empty(&mut self.packets);
        empty(&mut self.lost);
        self.in_flight = 0;
        self.timer = None;
    }
}
