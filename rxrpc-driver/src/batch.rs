//! Memory for what a socket receives at once.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::slice::ChunksMut;

use rxrpc_proto::{Path, Segments};

/// Bytes of one buffer: no datagram and no batch that a system coalesces is larger.
const BUFFER: usize = 64 * 1024;

/// How many messages are asked for while they are small.
pub(crate) const MESSAGES: usize = 8;

/// How many messages are asked for while they are large. Two, so that a single one still shows an
/// empty queue; not more, so that what was received stays in the processor's cache until it is read.
const LARGE_MESSAGES: usize = 2;

/// From this size on a message is large.
const LARGE: usize = 16 * 1024;

/// Room for several messages, each of which is one datagram, or several of equal size that the system
/// coalesced.
///
/// An [`Io`](crate::Io) either copies messages in with [`push`](RecvBatch::push), or lets the system
/// write into the [`free`](RecvBatch::free) buffers and then names what is in them, in order, with
/// [`commit`](RecvBatch::commit).
pub struct RecvBatch {
    memory: Box<[u8]>,
    messages: [Message; MESSAGES],
    filled: usize,
    wanted: usize,
}

#[derive(Clone, Copy)]
struct Message {
    path: Path,
    len: usize,
    stride: usize,
}

impl RecvBatch {
    /// An empty batch. The memory, half a megabyte, is taken from the system as it is first used.
    #[must_use]
    pub fn new() -> Self {
        let nobody =
            Path { peer: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), local_ip: None, ecn: 0 };
        RecvBatch {
            memory: vec![0; MESSAGES * BUFFER].into_boxed_slice(),
            messages: [Message { path: nobody, len: 0, stride: 0 }; MESSAGES],
            filled: 0,
            wanted: MESSAGES,
        }
    }

    /// How many more messages the batch wants now.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.wanted.saturating_sub(self.filled)
    }

    /// The buffers of the messages that are wanted, 64 KiB each.
    pub fn free(&mut self) -> ChunksMut<'_, u8> {
        let from = self.filled.min(self.wanted) * BUFFER;
        let to = self.wanted * BUFFER;
        self.memory.get_mut(from..to).unwrap_or_default().chunks_mut(BUFFER)
    }

    /// The next free buffer now holds `len` bytes from `path`: datagrams of `stride` bytes each, of which
    /// the last may be shorter. Says whether there was such a buffer.
    pub fn commit(&mut self, path: Path, len: usize, stride: usize) -> bool {
        if self.filled >= self.wanted {
            return false;
        }
        let Some(message) = self.messages.get_mut(self.filled) else { return false };
        *message = Message { path, len: len.min(BUFFER), stride };
        self.filled += 1;
        true
    }

    /// Copies a message in. Says whether there was room.
    pub fn push(&mut self, path: Path, bytes: &[u8], stride: usize) -> bool {
        let Some(room) = self.free().next().and_then(|buffer| buffer.get_mut(..bytes.len())) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.commit(path, bytes.len(), stride)
    }

    /// Forgets the messages. How large they were decides how many are wanted next.
    pub(crate) fn clear(&mut self) {
        if self.filled > 0 {
            let bytes: usize = self.messages.iter().take(self.filled).map(|m| m.len).sum();
            self.wanted = if bytes / self.filled >= LARGE { LARGE_MESSAGES } else { MESSAGES };
        }
        self.filled = 0;
    }

    /// The messages, in the order in which they came.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (&Path, Segments<'_>)> {
        self.messages.iter().take(self.filled).zip(self.memory.chunks(BUFFER)).map(|(message, buffer)| {
            let bytes = buffer.get(..message.len).unwrap_or_default();
            (&message.path, Segments { bytes, stride: message.stride.max(1) })
        })
    }
}

impl Default for RecvBatch {
    fn default() -> Self {
        RecvBatch::new()
    }
}

impl fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvBatch").field("filled", &self.filled).field("wanted", &self.wanted).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path { peer: SocketAddr::from(([127, 0, 0, 1], port)), local_ip: None, ecn: 0 }
    }

    #[test]
    fn messages_come_out_as_and_in_the_order_they_went_in() {
        let mut batch = RecvBatch::new();
        assert!(batch.push(path(1), b"one", 3));
        batch.free().next().unwrap()[..6].copy_from_slice(b"aabbcc");
        assert!(batch.commit(path(2), 6, 2));
        let got: Vec<_> = batch.messages().map(|(p, s)| (p.peer.port(), s.bytes, s.stride)).collect();
        assert_eq!(got, [(1, &b"one"[..], 3), (2, &b"aabbcc"[..], 2)]);
    }

    #[test]
    fn a_full_batch_takes_no_more() {
        let mut batch = RecvBatch::new();
        for port in 0..8 {
            assert!(batch.push(path(port), b"x", 1));
        }
        assert!(!batch.push(path(8), b"x", 1));
        assert!(!batch.commit(path(8), 1, 1));
        assert_eq!((batch.wanted(), batch.free().count(), batch.messages().count()), (0, 0, 8));
    }

    #[test]
    fn large_messages_are_received_two_at_a_time_until_small_ones_come() {
        let mut batch = RecvBatch::new();
        batch.push(path(1), &[0; 60_000], 1_400);
        batch.clear();
        assert_eq!(batch.wanted(), 2);
        batch.push(path(1), b"small", 5);
        batch.clear();
        assert_eq!(batch.wanted(), 8);
    }
}
