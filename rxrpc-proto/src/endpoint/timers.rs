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

/// What the heap is ordered by: no later than the owner's deadline.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Instant,
    key: TimerKey,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    deadline: Option<(Instant, Wake)>,
    /// Place of its entry in the heap.
    place: u32,
}

const NOBODY: Owner = Owner { deadline: None, place: ABSENT };

/// The deadlines. The earliest is found in O(1), setting one costs O(log n).
///
/// Most deadlines are put off or cleared long before they come. That is noted at the owner alone; the entry moves when it
/// comes to the top of the heap. So the entry at the top is always exact.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: Vec<Entry>,
    /// By kind and key.
    owners: [Vec<Owner>; 4],
}

impl Timers {
    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<(Instant, Wake)> {
        self.owner(self.heap.first()?.key).deadline
    }

    /// The owner of the earliest deadline if it has come. It stays until set anew.
    pub(super) fn due(&self, now: Instant) -> Option<TimerKey> {
        self.heap.first().filter(|e| e.at <= now).map(|e| e.key)
    }

    /// Entries of the heap.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Set, move or clear the deadline of `key`.
    pub(super) fn set(&mut self, key: TimerKey, deadline: Option<(Instant, Wake)>) {
        let Some(owner) = self.owner_mut(key) else {
            return self.add(key, deadline);
        };
        owner.deadline = deadline;
        let place = owner.place;
        match (deadline, self.heap.get(place as usize)) {
            (Some(_), None) => self.add(key, deadline),
            (Some((at, _)), Some(entry)) if at < entry.at => self.advance(place as usize, at),
            _ if place == 0 => self.settle_top(),
            _ => {}
        }
    }

    /// The owner's first deadline, or the first one since its entry came to the top.
    #[inline(never)]
    fn add(&mut self, key: TimerKey, deadline: Option<(Instant, Wake)>) {
        let Some((at, _)) = deadline else { return };
        let place = self.heap.len();
        self.heap.push(Entry { at, key });
        self.set_owner(key, Owner { deadline, place: place as u32 });
        self.sift_up(place);
    }

    /// A deadline comes sooner.
    #[inline(never)]
    fn advance(&mut self, place: usize, at: Instant) {
        if let Some(entry) = self.heap.get_mut(place) {
            entry.at = at;
        }
        self.sift_up(place);
    }

    /// Move what was put off, and remove what was cleared, until the top is exact.
    #[inline(never)]
    fn settle_top(&mut self) {
        while let Some(top) = self.heap.first().copied() {
            match self.owner(top.key).deadline {
                Some((at, _)) if at == top.at => return,
                Some((at, _)) => self.put(0, Entry { at, ..top }),
                None => {
                    let last = self.heap.pop().filter(|last| last.key != top.key);
                    self.set_owner(top.key, NOBODY);
                    let Some(last) = last else { return };
                    self.put(0, last);
                }
            }
            self.sift_down(0);
        }
    }

    fn owner(&self, key: TimerKey) -> Owner {
        let (kind, key) = key.split();
        self.owners.get(kind).and_then(|owners| owners.get(key)).copied().unwrap_or(NOBODY)
    }

    fn owner_mut(&mut self, key: TimerKey) -> Option<&mut Owner> {
        let (kind, key) = key.split();
        self.owners.get_mut(kind)?.get_mut(key)
    }

    fn set_owner(&mut self, key: TimerKey, owner: Owner) {
        let (kind, key) = key.split();
        let Some(owners) = self.owners.get_mut(kind) else { return };
        if owners.len() <= key {
            owners.resize(key + 1, NOBODY);
        }
        if let Some(slot) = owners.get_mut(key) {
            *slot = owner;
        }
    }

    fn put(&mut self, i: usize, entry: Entry) {
        if let Some(slot) = self.heap.get_mut(i) {
            *slot = entry;
            if let Some(owner) = self.owner_mut(entry.key) {
                owner.place = i as u32;
            }
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
    fn what_is_put_off_or_cleared_below_the_top_moves_when_it_comes_there() {
        let mut timers = Timers::default();
        for key in 0..100 {
            timers.set(TimerKey::Call(key), at(u64::from(key)));
        }
        for key in 1..100 {
            timers.set(TimerKey::Call(key), if key % 2 == 0 { None } else { at(1000 - u64::from(key)) });
        }
        assert_eq!((timers.next(), timers.len()), (at(0), 100));
        timers.set(TimerKey::Call(0), None);
        assert_eq!((timers.next(), timers.len()), (at(901), 50), "the rest moved at once");
        timers.set(TimerKey::Call(2), at(5));
        timers.set(TimerKey::Call(7), at(4));
        assert_eq!((timers.next(), timers.due(Instant::from_nanos(4))), (at(4), Some(TimerKey::Call(7))));
        for key in 0..100 {
            timers.set(TimerKey::Call(key), None);
        }
        assert_eq!((timers.next(), timers.len()), (None, 0));
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
