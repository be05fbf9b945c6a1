//! What happens next: events by time, and by the order in which they were asked for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry {
    at: u64,
    order: u64,
    what: Happening,
}

/// All that is yet to happen.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Instant, what: Happening) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at: at.as_nanos(), order: self.order, what }));
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(e)| Instant::from_nanos(e.at))
    }

    pub(crate) fn pop(&mut self) -> Option<(Instant, Happening)> {
        self.heap.pop().map(|Reverse(e)| (Instant::from_nanos(e.at), e.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
