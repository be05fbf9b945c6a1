//! The bytes a call has written and the peer has not acknowledged.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::queues::empty;

/// Largest chunk that is filled by copying.
const CHUNK: usize = 64 * 1024;
/// A shared piece smaller than this is copied: keeping it would cost more.
const SHARE_FROM: usize = 1024;
/// Largest chunk that is kept to be filled again.
const KEEP: usize = 1024;

/// One stretch of the stream.
#[derive(Debug)]
enum Piece {
    /// The application's own memory.
    Shared(Bytes),
    /// Filled by copying; may have room left.
    Owned(Vec<u8>),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Piece::Shared(bytes) => bytes,
            Piece::Owned(bytes) => bytes,
        }
    }
}

/// The pieces of a stream in order.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// Each piece with the stream offset it starts at.
    queue: VecDeque<(u64, Piece)>,
    /// A small chunk to be filled again.
    spare: Vec<u8>,
}

impl Pieces {
    /// Forget all of them.
    pub(super) fn empty(&mut self) {
        while let Some((_, piece)) = self.queue.pop_front() {
            self.keep(piece);
        }
        empty(&mut self.queue);
    }

    /// The piece is forgotten; its memory may be of use.
    fn keep(&mut self, piece: Piece) {
        if let Piece::Owned(mut chunk) = piece
            && chunk.capacity() <= KEEP
            && chunk.capacity() > self.spare.capacity()
        {
            chunk.clear();
            self.spare = chunk;
        }
    }

    /// An empty chunk of at least this capacity.
    fn chunk(&mut self, capacity: usize) -> Vec<u8> {
        if self.spare.capacity() >= capacity {
            core::mem::take(&mut self.spare)
        } else {
            Vec::with_capacity(capacity)
        }
    }
}

/// A byte stream that grows at the end and is forgotten from the front.
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    pieces: Pieces,
    /// Everything before this offset is forgotten.
    start: u64,
    end: u64,
}

impl SendBuffer {
    /// An empty stream with the memory of another.
    pub(super) fn new(pieces: Pieces) -> Self {
        SendBuffer { pieces, ..SendBuffer::default() }
    }

    /// Offset after the last byte written.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes held.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.end - self.start).unwrap_or(usize::MAX)
    }

    /// Append a copy of `data`.
    pub(crate) fn push(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let room = match self.pieces.queue.back_mut() {
                Some((_, Piece::Owned(tail))) if tail.len() < tail.capacity() => tail,
                _ => {
                    let chunk = self.pieces.chunk(data.len().max(self.len()).clamp(64, CHUNK));
                    self.pieces.queue.push_back((self.end, Piece::Owned(chunk)));
                    continue;
                }
            };
            let (now, later) = data.split_at(data.len().min(room.capacity() - room.len()));
            room.extend_from_slice(now);
            self.end += now.len() as u64;
            data = later;
        }
    }

    /// Append `data`, keeping the application's memory when it is large enough to be worth it.
    pub(crate) fn push_shared(&mut self, data: Bytes) {
        if data.len() < SHARE_FROM {
            self.push(&data);
        } else {
            let at = self.end;
            self.end += data.len() as u64;
            self.pieces.queue.push_back((at, Piece::Shared(data)));
        }
    }

    /// Append `len` bytes from `offset` to `out`. Bytes not held are left out.
    pub(crate) fn copy_to(&self, offset: u64, len: usize, out: &mut Vec<u8>) {
        let mut offset = offset;
        let mut left = len;
        let queue = &self.pieces.queue;
        let mut next = match queue.len() {
            0 | 1 => 0,
            _ => queue.partition_point(|(at, _)| *at <= offset).saturating_sub(1),
        };
        while left > 0
            && let Some((at, piece)) = queue.get(next)
        {
            let skip = usize::try_from(offset.saturating_sub(*at)).unwrap_or(usize::MAX);
            let bytes = piece.as_slice().get(skip..).unwrap_or_default();
            let taken = bytes.get(..left).unwrap_or(bytes);
            out.extend_from_slice(taken);
            offset += taken.len() as u64;
            left -= taken.len();
            next += 1;
        }
    }

    /// Forget everything before `offset`.
    pub(crate) fn forget_before(&mut self, offset: u64) {
        self.start = self.start.max(offset.min(self.end));
        while let Some((at, piece)) = self.pieces.queue.front() {
            if at + piece.as_slice().len() as u64 > self.start {
                break;
            }
            if let Some((_, piece)) = self.pieces.queue.pop_front() {
                self.pieces.keep(piece);
            }
        }
    }

    /// Forget everything.
    pub(crate) fn clear(&mut self) {
        self.pieces.empty();
        self.start = self.end;
    }

    /// The memory, for another stream: this one is over.
    pub(super) fn take_pieces(&mut self) -> Pieces {
        core::mem::take(&mut self.pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn read(buffer: &SendBuffer, offset: u64, len: usize) -> Vec<u8> {
        let mut out = Vec::new();
        buffer.copy_to(offset, len, &mut out);
        out
    }

    #[test]
    fn small_writes_share_a_chunk_and_read_back_across_pieces() {
        let mut buffer = SendBuffer::default();
        buffer.push(b"abc");
        buffer.push(b"def");
        buffer.push_shared(Bytes::from(vec![7; 2000]));
        buffer.push(b"xyz");
        assert_eq!(buffer.pieces.queue.len(), 3);
        assert_eq!(read(&buffer, 1, 4), b"bcde");
        assert_eq!(read(&buffer, 4, 4), [b'e', b'f', 7, 7]);
        assert_eq!(read(&buffer, 2005, 10), [7, b'x', b'y', b'z']);
        assert_eq!(buffer.len(), 2009);
    }

    #[test]
    fn forgetting_frees_whole_pieces_and_keeps_offsets() {
        let mut buffer = SendBuffer::default();
        buffer.push_shared(Bytes::from(vec![1; 2000]));
        buffer.push_shared(Bytes::from(vec![2; 2000]));
        buffer.forget_before(2500);
        assert_eq!((buffer.pieces.queue.len(), buffer.len()), (1, 1500));
        assert_eq!(read(&buffer, 3998, 5), [2, 2]);
        buffer.forget_before(9999);
        assert_eq!((buffer.pieces.queue.len(), buffer.len(), buffer.end()), (0, 0, 4000));
    }

    #[test]
    fn a_small_chunk_is_filled_again() {
        let mut buffer = SendBuffer::default();
        buffer.push(&[1; 100]);
        let chunk = buffer.pieces.queue[0].1.as_slice().as_ptr();
        buffer.forget_before(100);
        buffer.push(&[2; 90]);
        assert_eq!(buffer.pieces.queue[0].1.as_slice().as_ptr(), chunk);
        assert_eq!(read(&buffer, 100, 90), [2; 90]);
        buffer.push(&[3; 5000]);
        buffer.forget_before(u64::MAX);
        assert!(buffer.pieces.spare.capacity() <= KEEP);
    }

    #[test]
    fn large_copies_are_cut_into_chunks_of_64_kib() {
        let mut buffer = SendBuffer::default();
        let data: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
        buffer.push(&data);
        assert_eq!(buffer.pieces.queue.len(), 4);
        assert_eq!(read(&buffer, 0, 200_000), data);
    }
}
