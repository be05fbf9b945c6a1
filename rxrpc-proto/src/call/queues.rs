//! What a call queues, for the next call to use its memory.

use alloc::collections::VecDeque;

use bytes::BytesMut;

use super::buffer::Pieces;
use super::send::SentPacket;

/// Entries of the largest queue that is kept.
const KEEP_ENTRIES: usize = 16;

/// What a call queues, empty.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(super) send: SendQueues,
    pub(super) recv: RecvQueues,
}

#[derive(Debug, Default)]
pub(crate) struct SendQueues {
    pub(super) packets: VecDeque<SentPacket>,
    pub(super) lost: VecDeque<u32>,
    pub(super) pieces: Pieces,
}

#[derive(Debug, Default)]
pub(crate) struct RecvQueues {
    pub(super) held: VecDeque<Option<BytesMut>>,
    pub(super) ready: VecDeque<BytesMut>,
}

/// Take out all there is, and give back the memory of more than a few entries.
pub(super) fn empty<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > KEEP_ENTRIES {
        *queue = VecDeque::new();
    } else if !queue.is_empty() {
        queue.clear();
    }
}
