//! Round-trip times, told by serials.

use std::collections::{HashMap, VecDeque};

/// Serials that wait for an answer; more are in flight nowhere.
const MAX_AWAITING: usize = 4096;

/// Packets that no ACK has named yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Awaiting {
    sent: HashMap<u32, u64>,
    order: VecDeque<u32>,
}

impl Awaiting {
    /// A packet was captured on its way.
    pub(super) fn sent(&mut self, serial: u32, time: u64) {
        // Serial 0 names no packet. A copy does not start the clock anew.
        if serial == 0 || self.sent.contains_key(&serial) {
            return;
        }
        self.sent.insert(serial, time);
        self.order.push_back(serial);
        if self.order.len() > MAX_AWAITING
            && let Some(oldest) = self.order.pop_front()
        {
            self.sent.remove(&oldest);
        }
    }

    /// An ACK names the packet. Only the first one that does gives a time.
    pub(super) fn answered(&mut self, serial: u32, time: u64) -> Option<u64> {
        time.checked_sub(self.sent.remove(&serial)?)
    }
}

/// A summary of round-trip times, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Rtt {
    /// How many there were.
    pub(super) samples: u64,
    /// The shortest.
    pub(super) min: u64,
    /// The longest.
    pub(super) max: u64,
    sum: u64,
}

impl Rtt {
    /// Takes a round trip in, if there is one.
    pub(super) fn sample(&mut self, rtt: Option<u64>) {
        let Some(rtt) = rtt else { return };
        self.min = if self.samples == 0 { rtt } else { self.min.min(rtt) };
        self.max = self.max.max(rtt);
        self.samples = self.samples.saturating_add(1);
        self.sum = self.sum.saturating_add(rtt);
    }

    /// The mean, if there was a sample.
    pub(super) fn mean(&self) -> Option<u64> {
        self.sum.checked_div(self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_serials_are_forgotten() {
        let mut awaiting = Awaiting::default();
        for serial in 1..=MAX_AWAITING as u32 + 1 {
            awaiting.sent(serial, 10);
        }
        assert_eq!((awaiting.answered(1, 15), awaiting.answered(2, 15)), (None, Some(5)));
        assert_eq!(awaiting.sent.len(), MAX_AWAITING - 1);
    }

    #[test]
    fn an_answer_before_the_question_is_no_round_trip() {
        let mut awaiting = Awaiting::default();
        awaiting.sent(1, 10);
        awaiting.sent(1, 12);
        assert_eq!(awaiting.answered(1, 9), None);
    }

    #[test]
    fn a_summary_has_minimum_mean_and_maximum() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.mean(), None);
        for sample in [Some(4), None, Some(1), Some(7)] {
            rtt.sample(sample);
        }
        assert_eq!((rtt.samples, rtt.min, rtt.mean(), rtt.max), (3, 1, Some(4), 7));
    }
}
