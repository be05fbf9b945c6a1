//! All deadlines of an endpoint: an indexed four-ary heap, one entry an owner.

use alloc::vec::Vec;

use crate::event::Wake;
use crate::time::Instant;

/// Children of a heap node.
const ARITY: usize = 4;
const ABSENT: u32 = u32::MAX;

/// Whose deadline it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TimerKey {
    Call(u32),
    Connection(u32),
    Peer(u32),
    Version(u32),
}

impl TimerKey {
    fn split(self) -> (usize, usize) {
        match self {
            TimerKey::Call(key) => (0, key as usize),
            TimerKey::Connection(key) => (1, key as usize),
            TimerKey::Peer(key) => (2, key as usize),
            TimerKey::Version(key) => (3, key as usize),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Instant,
    key: TimerKey,
    wake: Wake,
}

/// The deadlines. The earliest is found in O(1), setting one costs O(log n).
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: Vec<Entry>,
    /// Place in the heap of each owner, by kind and key.
    places: [Vec<u32>; 4],
}

impl Timers {
    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<(Instant, Wake)> {
        self.heap.first().map(|e| (e.at, e.wake))
    }

    /// The owner of the earliest deadline if it has come. It stays until set anew.
    pub(super) fn due(&self, now: Instant) -> Option<TimerKey> {
        self.heap.first().filter(|e| e.at <= now).map(|e| e.key)
    }

    /// How many deadlines are set.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Set, move or clear the deadline of `key`.
    pub(super) fn set(&mut self, key: TimerKey, deadline: Option<(Instant, Wake)>) {
        match (self.place(key), deadline) {
            (None, None) => {}
            (None, Some((at, wake))) => {
                let i = self.heap.len();
                self.heap.push(Entry { at, key, wake });
                self.set_place(key, i as u32);
                self.sift_up(i);
            }
            (Some(i), None) => self.remove(i),
            (Some(i), Some((at, wake))) => {
                let Some(entry) = self.heap.get_mut(i) else { return };
                let earlier = at < entry.at;
                let same = at == entry.at;
                entry.at = at;
                entry.wake = wake;
                if earlier {
                    self.sift_up(i);
                } else if !same {
                    self.sift_down(i);
                }
            }
        }
    }

    fn place(&self, key: TimerKey) -> Option<usize> {
        let (kind, key) = key.split();
        self.places.get(kind)?.get(key).filter(|p| **p != ABSENT).map(|p| *p as usize)
    }

    fn set_place(&mut self, key: TimerKey, place: u32) {
        let (kind, key) = key.split();
        let Some(places) = self.places.get_mut(kind) else { return };
        if places.len() <= key {
            places.resize(key + 1, ABSENT);
        }
        if let Some(p) = places.get_mut(key) {
            *p = place;
        }
    }

    fn remove(&mut self, i: usize) {
        if i >= self.heap.len() {
            return;
        }
        let gone = self.heap.swap_remove(i);
        self.set_place(gone.key, ABSENT);
        if let Some(moved) = self.heap.get(i).copied() {
            self.put(i, moved);
            self.sift_up(i);
            self.sift_down(i);
        }
    }

    fn put(&mut self, i: usize, entry: Entry) {
        if let Some(slot) = self.heap.get_mut(i) {
            *slot = entry;
            self.set_place(entry.key, i as u32);
        }
    }

    /// The entry moves up; those above it come down, each once.
    fn sift_up(&mut self, i: usize) {
        let Some(entry) = self.heap.get(i).copied() else { return };
        let mut hole = i;
        while hole > 0 {
            let parent = (hole - 1) / ARITY;
            let Some(above) = self.heap.get(parent).copied().filter(|above| above.at > entry.at) else {
                break;
            };
            self.put(hole, above);
            hole = parent;
        }
        if hole != i {
            self.put(hole, entry);
        }
    }

    /// The entry moves down; the least of its children come up, each once.
    fn sift_down(&mut self, i: usize) {
        let Some(entry) = self.heap.get(i).copied() else { return };
        let mut hole = i;
        while let Some((child, least)) = self.least_child(hole)
            && least.at < entry.at
        {
            self.put(hole, least);
            hole = child;
        }
        if hole != i {
            self.put(hole, entry);
        }
    }

    fn least_child(&self, i: usize) -> Option<(usize, Entry)> {
        let first = i * ARITY + 1;
        let (mut place, mut least) = (first, self.heap.get(first)?);
        for (i, child) in self.heap.iter().enumerate().skip(first + 1).take(ARITY - 1) {
            if child.at < least.at {
                (place, least) = (i, child);
            }
        }
        Some((place, *least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u64) -> Option<(Instant, Wake)> {
        Some((Instant::from_nanos(n), Wake::Keepalive))
    }

    #[test]
    fn deadlines_come_out_in_order_whatever_was_moved_or_cleared() {
        let mut timers = Timers::default();
        let mut expected = Vec::new();
        for i in 0..500u32 {
            let first = u64::from(i.wrapping_mul(2_654_435_761) % 1000);
            timers.set(TimerKey::Call(i), at(first));
            timers.set(TimerKey::Peer(i), at(first + 5000));
            match i % 3 {
                0 => timers.set(TimerKey::Call(i), None),
                1 => {
                    let moved = u64::from(i.wrapping_mul(40_503) % 1000);
                    timers.set(TimerKey::Call(i), at(moved));
                    expected.push(moved);
                }
                _ => expected.push(first),
            }
            timers.set(TimerKey::Peer(i), None);
        }
        expected.sort_unstable();
        let mut got = Vec::new();
        while let Some((when, _)) = timers.next() {
            got.push(when.as_nanos());
            let key = timers.due(when).unwrap();
            timers.set(key, None);
        }
        assert_eq!(got, expected);
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn an_owner_has_one_deadline() {
        let mut timers = Timers::default();
        timers.set(TimerKey::Connection(7), at(10));
        timers.set(TimerKey::Connection(7), at(20));
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.due(Instant::from_nanos(19)), None);
        assert_eq!(timers.due(Instant::from_nanos(20)), Some(TimerKey::Connection(7)));
    }
}
