//! How much a sender has on its way, and how much its congestion window can be at most.
//!
//! A loss-based controller starts with ten packets, gains at most one for each that is acknowledged, halves when it
//! finds the first loss, and gains at most one for two acknowledged from then on. That is all that the wire shows,
//! and it holds for each of our controllers.

use rxrpc_proto::wire::{Ack, AckReason};

use super::wire::Arrived;

/// Packets that may go out before anything is acknowledged (RFC 6928).
const INITIAL: u32 = 10;
/// Least window after a loss.
const LEAST: u32 = 2;

/// What the window was at most, and how much was acknowledged.
type Loss = (u32, u32);

/// One direction of a call, as its sender knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// What it was told has arrived.
    acked: Arrived,
    /// At the first packet sent again.
    lost: Option<Loss>,
    /// The first packet sent again since it last heard of one: number, serial, and what `lost` was before.
    retry: Option<(u32, u32, Option<Loss>)>,
    /// The receiver refused or dropped packets, which is no congestion: nothing is known of the window.
    refused: bool,
    /// Bytes of the largest packet.
    largest: usize,
    /// The newest acknowledgement.
    newest: Option<Order>,
}

/// When an acknowledgement reached the sender: its own serial, and the last one that the sender had used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) own: u32,
    pub(super) sent: u32,
}

impl Order {
    /// Whether this one was sent before `newest`. One that answers what was sent after that had come was not, whatever
    /// its serial: a peer that lost the connection numbers anew.
    fn is_old(&self, newest: Order, answered: u32) -> bool {
        let before = |a: u32, b: u32| (a.wrapping_sub(b) as i32) < 0;
        before(self.own, newest.own) && (answered == 0 || !before(newest.sent, answered))
    }
}

impl Flight {
    pub(super) const NONE: Flight =
        Flight { acked: Arrived::NONE, lost: None, retry: None, refused: false, largest: 0, newest: None };

    /// The receiver turned the call away.
    pub(super) fn on_refused(&mut self) {
        self.refused = true;
    }

    /// An acknowledgement has reached the sender.
    pub(super) fn on_ack(&mut self, ack: &Ack<'_>, order: Order) {
        let old = self.newest.is_some_and(|newest| order.is_old(newest, ack.fields.serial));
        if !old {
            self.newest = Some(order);
        }
        self.refused |= ack.fields.reason == AckReason::ExceedsWindow;
        let first = ack.fields.first_packet;
        self.acked.advance_to(first);
        let table = ack.table().unwrap_or_default();
        // What lies behind the table was dropped as well, and counts once more when it is acknowledged again. An old
        // acknowledgement only does not know of it.
        self.refused |= !old && self.acked.has_from(first.saturating_add(table.len() as u32));
        for (i, octet) in table.iter().enumerate() {
            let seq = first.wrapping_add(i as u32);
            if Ack::received(*octet) {
                self.acked.add(seq);
            } else {
                self.refused |= !old && self.acked.has(seq);
            }
        }
        self.judge_retry(ack.fields.serial);
    }

    /// If the packet that was sent again had arrived before, nothing was lost, and the window is as it was (RFC 4015).
    fn judge_retry(&mut self, answered: u32) {
        if let Some((seq, serial, before)) = self.retry
            && self.acked.has(seq)
        {
            if answered != 0 && (answered.wrapping_sub(serial) as i32) < 0 {
                self.lost = before;
            }
            self.retry = None;
        }
    }

    fn most(&self) -> u32 {
        let acked = self.acked.count();
        match self.lost {
            None => INITIAL.saturating_add(acked),
            Some((window, then)) => {
                (window / 2).max(LEAST).saturating_add(acked.saturating_sub(then) / 2 + 1)
            }
        }
    }

    /// A packet goes out again. If it is known to have arrived, it waited in a blocked socket while the sender learned
    /// that nothing was lost.
    pub(super) fn on_again(&mut self, seq: u32, serial: u32) {
        if self.acked.has(seq) {
            return;
        }
        let now = (self.most(), self.acked.count());
        self.retry.get_or_insert((seq, serial, self.lost));
        self.lost.get_or_insert(now);
    }

    /// Packet `seq` of `len` bytes goes out, the first time. How many are on their way then and how many may be, if
    /// that is fewer. A small one may go ahead of larger ones that were lost, where an address that is not proved
    /// may be sent no more than that.
    pub(super) fn excess(&mut self, seq: u32, len: usize) -> Option<(u32, u32)> {
        let flight = seq.saturating_sub(self.acked.count());
        self.largest = self.largest.max(len);
        (!self.refused && len >= self.largest && flight > self.most()).then(|| (flight, self.most()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acked(count: u32) -> Flight {
        let mut flight = Flight::NONE;
        flight.acked.advance_to(count + 1);
        flight
    }

    #[test]
    fn the_window_grows_by_what_is_acknowledged_and_halves_with_the_first_loss() {
        assert_eq!((acked(0).excess(10, 1000), acked(0).excess(11, 1000)), (None, Some((11, 10))));
        let mut flight = acked(30);
        assert_eq!((flight.excess(70, 1000), flight.excess(71, 1000)), (None, Some((41, 40))));
        flight.on_again(31, 200);
        flight.on_again(32, 201);
        assert_eq!((flight.excess(51, 1000), flight.excess(52, 1000)), (None, Some((22, 21))));
        flight.acked.advance_to(41);
        assert_eq!((flight.excess(66, 1000), flight.excess(67, 1000)), (None, Some((27, 26))));
        assert_eq!(flight.excess(67, 999), None);
        flight.on_refused();
        assert_eq!(flight.excess(200, 1000), None);
    }
}
