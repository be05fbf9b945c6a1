//! What happens next: events by time, and by the order in which they were asked for.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use rxrpc_proto::Instant;

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Happening {
    /// The packet with this key goes on to its next hop.
    Packet(u32),
    /// The element with this number wanted to be woken.
    Wake(u32),
    /// The action with this number in the scenario is due.
    Action(u32),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u64,
    order: u64,
    what: Happening,
}

impl Entry {
    /// By time, and by the order in which it was asked for. No two have the same.
    fn key(&self) -> u128 {
        u128::from(self.at) << 64 | u128::from(self.order)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// All that is yet to happen.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Packets that go on no earlier than those that were asked for before them: most do, for a link has one length.
    line: VecDeque<Entry>,
    /// All else.
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Instant, what: Happening) {
        self.order += 1;
        let entry = Entry { at: at.as_nanos(), order: self.order, what };
        let is_last = self.line.back().is_none_or(|last| last.at <= entry.at);
        if is_last && matches!(what, Happening::Packet(_)) {
            self.line.push_back(entry);
        } else {
            self.heap.push(Reverse(entry));
        }
    }

    /// The next entry, and whether it stands in the line.
    fn next(&self) -> Option<(&Entry, bool)> {
        match (self.line.front(), self.heap.peek()) {
            (Some(first), Some(Reverse(top))) if top < first => Some((top, false)),
            (Some(first), _) => Some((first, true)),
            (None, top) => top.map(|Reverse(top)| (top, false)),
        }
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.next().map(|(entry, _)| Instant::from_nanos(entry.at))
    }

    #[cfg(test)]
    fn pop(&mut self) -> Option<(Instant, Happening)> {
        self.pop_by(Instant::FAR_FUTURE)
    }

    /// The next thing that happens, if it does by then.
    pub(crate) fn pop_by(&mut self, limit: Instant) -> Option<(Instant, Happening)> {
        let (next, in_line) = self.next()?;
        if next.at > limit.as_nanos() {
            return None;
        }
        let entry = if in_line { self.line.pop_front() } else { self.heap.pop().map(|Reverse(e)| e) };
        entry.map(|e| (Instant::from_nanos(e.at), e.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn equal_times_come_out_in_the_order_they_were_pushed() {
        let mut queue = Queue::default();
        let at = Instant::from_nanos;
        queue.push(at(5), Happening::Wake(9));
        queue.push(at(5), Happening::Packet(1));
        queue.push(at(4), Happening::Action(2));
        assert_eq!(queue.next_at(), Some(at(4)));
        let all: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, what)| what).collect();
        assert_eq!(all, [Happening::Action(2), Happening::Wake(9), Happening::Packet(1)]);
    }

    #[test]
    fn packets_come_out_by_time_however_they_stood() {
        let mut rng = Rng::new(1);
        let (mut queue, mut expected) = (Queue::default(), Vec::new());
        for key in 0..1000 {
            let at = Instant::from_nanos(rng.below(if key % 3 == 0 { 1000 } else { u64::from(key) }));
            let what = if rng.chance(0.8) { Happening::Packet(key) } else { Happening::Wake(key) };
            queue.push(at, what);
            expected.push((at, what));
            if rng.chance(0.3) {
                expected.sort_by_key(|(at, _)| *at);
                assert_eq!(queue.next_at(), Some(expected[0].0));
                assert_eq!(queue.pop(), Some(expected.remove(0)));
            }
        }
        expected.sort_by_key(|(at, _)| *at);
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), expected);
        assert_eq!((queue.next_at(), queue.pop()), (None, None));
    }
}
