//! The queues of calls that are over, kept for calls to come: a small call then allocates for its bytes alone.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::BytesMut;

use super::buffer::Pieces;
use super::send::SentPacket;

/// Entries of the largest queue that is kept.
const KEEP_ENTRIES: usize = 16;
/// Calls whose queues are kept.
const KEEP_CALLS: usize = 64;

/// What a call queues, empty.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(super) packets: VecDeque<SentPacket>,
    pub(super) lost: VecDeque<u32>,
    pub(super) pieces: Pieces,
    pub(super) held: VecDeque<Option<BytesMut>>,
    pub(super) ready: VecDeque<BytesMut>,
}

/// Queues for calls to come.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    spares: Vec<Queues>,
}

impl Spares {
    /// Queues for a new call.
    pub(crate) fn take(&mut self) -> Queues {
        self.spares.pop().unwrap_or_default()
    }

    /// The call they were of is gone.
    pub(crate) fn give(&mut self, mut queues: Queues) {
        if self.spares.len() >= KEEP_CALLS {
            return;
        }
        empty(&mut queues.packets);
        empty(&mut queues.lost);
        queues.pieces.empty();
        empty(&mut queues.held);
        empty(&mut queues.ready);
        self.spares.push(queues);
    }
}

/// Take out all there is, and give back the memory of more than a few entries.
pub(super) fn empty<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > KEEP_ENTRIES {
        *queue = VecDeque::new();
    } else {
        queue.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_queues_come_back_empty_and_large_ones_give_their_memory_back() {
        let mut queues = Queues::default();
        queues.lost.extend([1, 2]);
        queues.ready.extend((0..100).map(|_| BytesMut::new()));
        let mut spares = Spares::default();
        spares.give(queues);
        let again = spares.take();
        assert!(again.lost.is_empty() && again.lost.capacity() >= 2);
        assert_eq!((again.ready.len(), again.ready.capacity()), (0, 0));
        assert_eq!(spares.take().lost.capacity(), 0, "there was one");
    }

    #[test]
    fn no_more_than_some_are_kept() {
        let mut spares = Spares::default();
        for _ in 0..=KEEP_CALLS {
            spares.give(Queues::default());
        }
        assert_eq!(spares.spares.len(), KEEP_CALLS);
    }
}
