//! When the receiving half owes an acknowledgement, and which.

use core::time::Duration;

use super::recv::Arrival;
use crate::time::Instant;
use crate::wire::AckReason;

/// Packets received in order before an acknowledgement is owed at once.
const ACK_EVERY: u32 = 2;

/// The acknowledgement a call owes. At most one goes out for all that a batch of datagrams brought.
#[derive(Debug, Default)]
pub(crate) struct AckPolicy {
    /// Owed now: why, and the serial it answers.
    due: Option<(AckReason, u32)>,
    /// A PING to answer now, by its serial.
    answer: Option<u32>,
    /// Owed by then, for this serial.
    delayed: Option<(Instant, u32)>,
    /// Packets received in order since the last acknowledgement.
    unacked: u32,
    /// Send a PING of our own.
    ping: bool,
}

/// One acknowledgement to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DueAck {
    pub(crate) reason: AckReason,
    pub(crate) serial: u32,
}

/// Higher wins when one datagram gives several reasons.
fn priority(reason: AckReason) -> u8 {
    match reason {
        AckReason::OutOfSequence => 6,
        AckReason::ExceedsWindow => 5,
        AckReason::Duplicate => 4,
        AckReason::Requested => 3,
        AckReason::Delay => 2,
        _ => 1,
    }
}

impl AckPolicy {
    /// A DATA packet came and this became of it.
    pub(crate) fn on_data(&mut self, arrival: Arrival, requested: bool, serial: u32, deadline: Instant) {
        match arrival {
            Arrival::InOrder { filled_hole } => {
                self.unacked += 1;
                if requested {
                    self.propose(AckReason::Requested, serial);
                } else if filled_hole {
                    self.propose(AckReason::Delay, serial);
                } else if self.unacked >= ACK_EVERY {
                    self.propose(AckReason::Idle, serial);
                } else {
                    self.delay(deadline, serial);
                }
            }
            Arrival::OutOfOrder => self.propose(AckReason::OutOfSequence, serial),
            Arrival::Held => self.propose(AckReason::Requested, serial),
            Arrival::Duplicate => self.propose(AckReason::Duplicate, serial),
            Arrival::BeyondWindow => self.propose(AckReason::ExceedsWindow, serial),
        }
    }

    /// Owe one now.
    pub(crate) fn propose(&mut self, reason: AckReason, serial: u32) {
        let better = match self.due {
            None => true,
            Some((old, _)) => {
                priority(reason) > priority(old)
                    || (reason == old && matches!(reason, AckReason::Requested | AckReason::Idle))
            }
        };
        if better {
            self.due = Some((reason, serial));
        }
    }

    /// Owe one by `deadline`. An earlier deadline stands.
    pub(crate) fn delay(&mut self, deadline: Instant, serial: u32) {
        match &mut self.delayed {
            Some((at, newest)) => {
                *at = (*at).min(deadline);
                *newest = serial;
            }
            none => *none = Some((deadline, serial)),
        }
    }

    /// Owe the answer to a PING.
    pub(crate) fn answer_ping(&mut self, serial: u32) {
        self.answer = Some(serial);
    }

    /// Send a PING. False if one was to be sent already.
    pub(crate) fn ask(&mut self) -> bool {
        !core::mem::replace(&mut self.ping, true)
    }

    /// The reader made room: tell the peer.
    pub(crate) fn open_window(&mut self) {
        self.propose(AckReason::Idle, 0);
    }

    /// Reply data goes out, which acknowledges the request.
    pub(crate) fn forget_delayed(&mut self) {
        self.delayed = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.delayed.map(|(at, _)| at)
    }

    /// The deadline may have come.
    pub(crate) fn on_time(&mut self, now: Instant) {
        if let Some((at, serial)) = self.delayed
            && at <= now
        {
            self.delayed = None;
            self.propose(AckReason::Delay, serial);
        }
    }

    /// Whether anything is owed now.
    pub(crate) fn is_due(&self) -> bool {
        self.due.is_some() || self.answer.is_some() || self.ping
    }

    /// What goes out next. The answer to a PING carries all that another acknowledgement would say.
    pub(crate) fn next(&self) -> Option<DueAck> {
        if let Some(serial) = self.answer {
            return Some(DueAck { reason: AckReason::PingResponse, serial });
        }
        if let Some((reason, serial)) = self.due {
            return Some(DueAck { reason, serial });
        }
        self.ping.then_some(DueAck { reason: AckReason::Ping, serial: 0 })
    }

    /// What is owed has to wait until the peer has paid for it. A peer that asked measures its path by the answer, so
    /// from here on it is one that was put off (QUIRKS.md#rtt-memory).
    pub(crate) fn hold_back(&mut self) {
        let answer = self.answer.take();
        self.due = match self.due {
            Some((AckReason::ExceedsWindow, serial)) => Some((AckReason::ExceedsWindow, serial)),
            Some((_, serial)) => Some((AckReason::Delay, serial)),
            None => answer.map(|serial| (AckReason::Delay, serial)),
        };
    }

    /// `ack` went out.
    pub(crate) fn on_sent(&mut self, ack: DueAck) {
        if ack.reason == AckReason::Ping {
            self.ping = false;
        } else {
            self.answer = None;
        }
        self.due = None;
        self.delayed = None;
        self.unacked = 0;
    }
}

/// How long an in-order packet may wait: no longer than the path takes, within the limit.
pub(crate) fn patience(smoothed: Option<Duration>, limit: Duration) -> Duration {
    /// Waiting less only makes more packets.
    const FLOOR: Duration = Duration::from_millis(5);
    smoothed.map_or(limit, |srtt| srtt.max(FLOOR)).min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Instant = Instant::from_nanos(1000);
    const IN_ORDER: Arrival = Arrival::InOrder { filled_hole: false };

    fn due(reason: AckReason, serial: u32) -> Option<DueAck> {
        Some(DueAck { reason, serial })
    }

    #[test]
    fn the_second_packet_in_order_is_acknowledged_at_once_the_first_by_the_deadline() {
        let mut policy = AckPolicy::default();
        policy.on_data(IN_ORDER, false, 7, SOON);
        assert_eq!((policy.next(), policy.deadline()), (None, Some(SOON)));
        policy.on_data(IN_ORDER, false, 8, SOON);
        assert_eq!(policy.next(), due(AckReason::Idle, 8));
    }

    #[test]
    fn the_deadline_is_never_pushed_back() {
        let mut policy = AckPolicy::default();
        policy.delay(SOON, 1);
        policy.delay(SOON + Duration::from_secs(1), 2);
        assert_eq!(policy.deadline(), Some(SOON));
        policy.on_time(SOON);
        assert_eq!(policy.next(), due(AckReason::Delay, 2));
    }

    #[test]
    fn one_batch_gives_one_ack_for_the_gravest_reason() {
        let mut policy = AckPolicy::default();
        policy.on_data(Arrival::Duplicate, true, 1, SOON);
        policy.on_data(Arrival::OutOfOrder, false, 2, SOON);
        policy.on_data(IN_ORDER, true, 3, SOON);
        assert_eq!(policy.next(), due(AckReason::OutOfSequence, 2));
        policy.on_sent(DueAck { reason: AckReason::OutOfSequence, serial: 2 });
        assert!(!policy.is_due() && policy.deadline().is_none());
    }

    #[test]
    fn of_several_requests_the_latest_is_answered() {
        let mut policy = AckPolicy::default();
        policy.on_data(IN_ORDER, true, 3, SOON);
        policy.on_data(IN_ORDER, true, 4, SOON);
        assert_eq!(policy.next(), due(AckReason::Requested, 4));
    }

    #[test]
    fn an_ack_that_is_held_back_says_that_it_was_put_off_and_a_new_reason_counts_again() {
        let mut policy = AckPolicy::default();
        policy.on_data(IN_ORDER, true, 3, SOON);
        policy.hold_back();
        assert_eq!(policy.next(), due(AckReason::Delay, 3));
        policy.on_data(IN_ORDER, true, 4, SOON);
        assert_eq!(policy.next(), due(AckReason::Requested, 4));
        // Who sent beyond the window is to know, whenever.
        policy.on_data(Arrival::BeyondWindow, false, 5, SOON);
        policy.hold_back();
        assert_eq!(policy.next(), due(AckReason::ExceedsWindow, 5));
    }

    #[test]
    fn nor_does_the_answer_to_a_ping_that_is_held_back_measure_a_path() {
        let mut policy = AckPolicy::default();
        policy.answer_ping(9);
        policy.hold_back();
        assert_eq!(policy.next(), due(AckReason::Delay, 9));
        policy.answer_ping(10);
        assert_eq!(policy.next(), due(AckReason::PingResponse, 10));
        policy.on_data(Arrival::BeyondWindow, false, 11, SOON);
        policy.hold_back();
        assert_eq!(policy.next(), due(AckReason::ExceedsWindow, 11));
    }

    #[test]
    fn a_ping_is_answered_first_and_our_own_still_follows() {
        let mut policy = AckPolicy::default();
        policy.ask();
        policy.on_data(Arrival::Duplicate, false, 5, SOON);
        policy.answer_ping(9);
        assert_eq!(policy.next(), due(AckReason::PingResponse, 9));
        policy.on_sent(DueAck { reason: AckReason::PingResponse, serial: 9 });
        assert_eq!(policy.next(), due(AckReason::Ping, 0));
    }
}
