//! The receiving half of a call: order, duplicates, the window, and the bytes the application reads.

use alloc::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::queues::{RecvQueues, empty};
use crate::fault::Fault;
use crate::wire::{INITIAL_WINDOW, JUMBO_DATA_LEN, MAX_SACK};

/// Largest chunk that payload is copied into.
const CHUNK: usize = 64 * 1024;
/// What keeping one piece costs beside its bytes.
const PIECE_COST: usize = 64;

/// What became of a received packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrival {
    /// In order; how many bytes became readable, and whether a hole was filled.
    InOrder { filled_hole: bool },
    /// Held until what is missing before it comes.
    OutOfOrder,
    /// Held although the window is closed: the one packet that some peers send then
    /// (QUIRKS.md#closed-window-holds-one).
    Held,
    /// Had it already.
    Duplicate,
    /// Beyond the window; dropped.
    BeyondWindow,
}

#[derive(Debug)]
pub(crate) struct RecvHalf {
    /// Next packet in order: everything before it is acknowledged for good.
    base: u32,
    /// Highest packet accepted so far, 0 for none.
    highest: u32,
    /// First packet that is refused: the right edge of the largest window offered.
    edge: u32,
    /// Right edge of the window offered last, which the peer keeps to.
    told: u32,
    /// Number of the last packet, once accepted.
    last: Option<u32>,
    /// Packets held from `base` on. The first entry is filled only while the window is closed.
    held: VecDeque<Option<BytesMut>>,
    held_bytes: usize,
    /// In-order bytes that were not read, in pieces as large as their chunks allow.
    ready: VecDeque<BytesMut>,
    ready_bytes: usize,
    /// The chunk that the next payload is copied into.
    chunk: BytesMut,
    received: u64,
    largest: usize,
    /// The application wants no more of it.
    discarding: bool,
    /// The end of the data was handed to the application.
    pub(crate) end_read: bool,
}

impl RecvHalf {
    pub(super) fn new(window: u32, queues: RecvQueues) -> Self {
        RecvHalf {
            base: 1,
            highest: 0,
            edge: 1 + window,
            told: 1 + window.min(INITIAL_WINDOW),
            last: None,
            held: queues.held,
            held_bytes: 0,
            ready: queues.ready,
            ready_bytes: 0,
            chunk: BytesMut::new(),
            received: 0,
            largest: JUMBO_DATA_LEN,
            discarding: false,
            end_read: false,
        }
    }

    pub(super) fn take_queues(&mut self) -> RecvQueues {
        RecvQueues { held: core::mem::take(&mut self.held), ready: core::mem::take(&mut self.ready) }
    }

    /// firstPacket of our acknowledgements.
    pub(crate) fn base(&self) -> u32 {
        self.base
    }

    /// previousPacket of our acknowledgements.
    pub(crate) fn highest(&self) -> u32 {
        self.highest
    }

    /// The soft-ACK table: entry i is packet `base + i`, up to the highest one held.
    pub(crate) fn table(&self) -> impl ExactSizeIterator<Item = bool> + '_ {
        self.held.iter().map(Option::is_some)
    }

    /// Whether packets are missing before one that is held.
    pub(crate) fn has_hole(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether every packet of the peer's data is here, in order.
    pub(crate) fn is_complete(&self) -> bool {
        self.last.is_some_and(|last| self.base == last.wrapping_add(1))
    }

    /// Whether the data goes on for more than a packet and its end has not come.
    pub(crate) fn is_streaming(&self) -> bool {
        self.last.is_none() && self.highest > 1
    }

    /// Bytes that can be read.
    pub(crate) fn readable(&self) -> usize {
        self.ready_bytes
    }

    /// Memory held in all: the bytes, and for each piece what keeping it costs, so that a peer that
    /// sends a byte a packet cannot hold more than the limit says.
    pub(crate) fn held_total(&self) -> usize {
        self.ready_bytes + self.held_bytes + PIECE_COST * (self.ready.len() + self.held.len())
    }

    /// What a call must be able to hold to move on at all: a packet while the window is closed, and one after it.
    pub(crate) fn least_room(&self) -> usize {
        2 * (self.largest + PIECE_COST)
    }

    /// Whether the application has read up to the end.
    pub(crate) fn is_drained(&self) -> bool {
        self.ready_bytes == 0 && self.is_complete()
    }

    /// Payload bytes received in order.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The window to offer with `free` bytes of room, at most `cap` packets.
    pub(crate) fn window(&self, free: usize, cap: u32) -> u32 {
        let packets = u32::try_from(free / self.largest).unwrap_or(u32::MAX);
        packets.min(cap).min(MAX_SACK as u32)
    }

    /// Note that the window was offered.
    pub(crate) fn offer(&mut self, window: u32) {
        self.told = self.base.saturating_add(window);
        self.edge = self.edge.max(self.told);
    }

    /// Packets the peer will still send by what it was told last.
    pub(crate) fn offered(&self) -> u32 {
        self.told.saturating_sub(self.base)
    }

    /// Take a packet. `free` is the room for its payload; one that does not fit counts as beyond the window.
    pub(crate) fn accept(
        &mut self,
        seq: u32,
        last: bool,
        payload: &[u8],
        free: usize,
    ) -> Result<Arrival, Fault> {
        self.check_last(seq, last)?;
        if seq < self.base || self.holds(seq) {
            return Ok(Arrival::Duplicate);
        }
        if seq >= self.edge || payload.len() > free {
            // There is no number after the last one to move on to.
            if seq != self.base || seq == u32::MAX {
                return Ok(Arrival::BeyondWindow);
            }
            if self.ready_bytes > 0 {
                self.hold(seq, last, payload);
                return Ok(Arrival::Held);
            }
            // Nothing can be read, so no reading will make room: what is held behind this packet takes it all.
        }
        self.largest = self.largest.max(payload.len());
        if seq > self.base {
            if seq - self.base >= MAX_SACK as u32 || self.cost_of_holes(seq) + payload.len() > free {
                return Ok(Arrival::BeyondWindow);
            }
            self.hold(seq, last, payload);
            return Ok(Arrival::OutOfOrder);
        }
        self.note_accepted(seq, last);
        let filled_hole = self.has_hole();
        let payload = self.copy_in(payload, last);
        self.append(payload);
        self.advance_past_held();
        Ok(Arrival::InOrder { filled_hole })
    }

    /// The last packet is the last: no second one, and nothing after it. Only what was accepted counts.
    fn check_last(&self, seq: u32, last: bool) -> Result<(), Fault> {
        match self.last {
            Some(known) if last && seq != known => Err(Fault::DifferentLast),
            Some(known) if seq > known => Err(Fault::DataAfterLast),
            None if last && seq < self.highest => Err(Fault::DataAfterLast),
            _ => Ok(()),
        }
    }

    fn holds(&self, seq: u32) -> bool {
        let i = seq.wrapping_sub(self.base) as usize;
        self.held.get(i).is_some_and(Option::is_some)
    }

    /// What keeping a packet ahead costs for the places of those before it that are missing.
    fn cost_of_holes(&self, seq: u32) -> usize {
        let ahead = seq.wrapping_sub(self.base) as usize;
        PIECE_COST * ahead.saturating_sub(self.held.len())
    }

    fn note_accepted(&mut self, seq: u32, last: bool) {
        self.highest = self.highest.max(seq);
        if last {
            self.last = Some(seq);
        }
    }

    fn hold(&mut self, seq: u32, last: bool, payload: &[u8]) {
        self.note_accepted(seq, last);
        // In memory of its own: as a part of a chunk, one byte held would hold the chunk after the rest of it
        // was read.
        let payload = if self.discarding { BytesMut::new() } else { BytesMut::from(payload) };
        let i = seq.wrapping_sub(self.base) as usize;
        while self.held.len() <= i {
            self.held.push_back(None);
        }
        self.held_bytes += payload.len();
        if let Some(slot) = self.held.get_mut(i) {
            *slot = Some(payload);
        }
    }

    /// Copy payload into pooled memory. Chunks grow with the call, so a small call stays small.
    fn copy_in(&mut self, payload: &[u8], is_all: bool) -> BytesMut {
        if self.discarding {
            return BytesMut::new();
        }
        if self.chunk.capacity() - self.chunk.len() < payload.len() {
            if is_all {
                return BytesMut::from(payload);
            }
            let grown = usize::try_from(self.received.saturating_mul(2)).unwrap_or(CHUNK).min(CHUNK);
            self.chunk = BytesMut::with_capacity(payload.len().max(grown));
        }
        self.chunk.extend_from_slice(payload);
        self.chunk.split()
    }

    /// Make a packet's payload readable, and move on.
    fn append(&mut self, payload: BytesMut) {
        self.base += 1;
        self.received += payload.len() as u64;
        if payload.is_empty() {
            return;
        }
        self.ready_bytes += payload.len();
        match self.ready.back_mut() {
            // Neighbours of one chunk become one piece again, without copying.
            Some(tail) if tail.as_ptr_range().end == payload.as_ptr() => tail.unsplit(payload),
            _ => self.ready.push_back(payload),
        }
    }

    /// Move packets that are in order now out of the held ones. The front entry is that of `base - 1`.
    fn advance_past_held(&mut self) {
        self.held.pop_front();
        self.take_in_held();
    }

    fn take_in_held(&mut self) {
        while let Some(Some(_)) = self.held.front() {
            if let Some(Some(payload)) = self.held.pop_front() {
                self.held_bytes = self.held_bytes.saturating_sub(payload.len());
                self.append(payload);
            }
        }
    }

    /// The window is open again: take in what was held while it was closed. True if anything moved.
    pub(crate) fn release_held(&mut self) -> bool {
        let before = self.base;
        self.take_in_held();
        self.edge = self.edge.max(self.base);
        self.base != before
    }

    /// Whether the packet at the base is held because the window was closed.
    pub(crate) fn holds_base(&self) -> bool {
        matches!(self.held.front(), Some(Some(_)))
    }

    /// Whether packets are held for one that is missing, and nothing is there to be read: no reading will make room.
    pub(crate) fn waits_for_base(&self) -> bool {
        self.ready_bytes == 0 && self.has_hole() && !self.holds_base()
    }

    /// Copy readable bytes out without taking them.
    pub(crate) fn peek(&self, buf: &mut [u8]) -> usize {
        let mut done = 0;
        for piece in &self.ready {
            let room = buf.get_mut(done..).unwrap_or_default();
            let n = room.len().min(piece.len());
            if n == 0 {
                break;
            }
            if let (Some(to), Some(from)) = (room.get_mut(..n), piece.get(..n)) {
                to.copy_from_slice(from);
            }
            done += n;
        }
        done
    }

    /// Forget `n` readable bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        let mut left = n.min(self.ready_bytes);
        self.ready_bytes -= left;
        while left > 0 {
            let Some(front) = self.ready.front_mut() else { return };
            if front.len() > left {
                let _ = front.split_to(left);
                return;
            }
            left -= front.len();
            self.ready.pop_front();
        }
    }

    /// Take the next piece, at most `max` bytes, without copying.
    pub(crate) fn take_chunk(&mut self, max: usize) -> Option<Bytes> {
        let front = self.ready.front_mut()?;
        let piece = if front.len() > max { front.split_to(max) } else { self.ready.pop_front()? };
        self.ready_bytes -= piece.len();
        Some(piece.freeze())
    }

    /// Drop what is readable and whatever comes yet.
    pub(crate) fn discard(&mut self) {
        self.discarding = true;
        self.ready.clear();
        self.ready_bytes = 0;
        for payload in self.held.iter_mut().flatten() {
            *payload = BytesMut::new();
        }
        self.held_bytes = 0;
        self.chunk = BytesMut::new();
    }

    /// Whether the rest is thrown away.
    pub(crate) fn is_discarding(&self) -> bool {
        self.discarding
    }

    /// Drop everything: the call failed.
    pub(crate) fn clear(&mut self) {
        self.discard();
        empty(&mut self.ready);
        empty(&mut self.held);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    const FREE: usize = 1 << 20;

    fn half_of(window: u32) -> RecvHalf {
        RecvHalf::new(window, RecvQueues::default())
    }

    fn in_order(filled_hole: bool) -> Result<Arrival, Fault> {
        Ok(Arrival::InOrder { filled_hole })
    }

    fn read_all(half: &mut RecvHalf) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(piece) = half.take_chunk(usize::MAX) {
            out.extend_from_slice(&piece);
        }
        out
    }

    #[test]
    fn packets_out_of_order_become_readable_in_order() {
        let mut half = half_of(255);
        assert_eq!(half.accept(3, true, b"ef", FREE), Ok(Arrival::OutOfOrder));
        assert_eq!(half.accept(2, false, b"cd", FREE), Ok(Arrival::OutOfOrder));
        assert_eq!(half.table().collect::<Vec<_>>(), [false, true, true]);
        assert_eq!((half.base(), half.highest(), half.readable()), (1, 3, 0));
        assert_eq!(half.accept(1, false, b"ab", FREE), in_order(true));
        assert!(half.is_complete() && !half.has_hole());
        assert_eq!(read_all(&mut half), b"abcdef");
        assert!(half.is_drained());
    }

    #[test]
    fn duplicates_are_told_whether_read_readable_or_held() {
        let mut half = half_of(255);
        half.accept(1, false, b"a", FREE).unwrap();
        half.accept(3, false, b"c", FREE).unwrap();
        assert_eq!(half.accept(1, false, b"a", FREE), Ok(Arrival::Duplicate));
        assert_eq!(half.accept(3, false, b"c", FREE), Ok(Arrival::Duplicate));
        assert_eq!(read_all(&mut half), b"a");
        assert_eq!(half.accept(1, false, b"a", FREE), Ok(Arrival::Duplicate));
    }

    #[test]
    fn nothing_beyond_the_offered_edge_is_kept_even_if_it_says_last() {
        let mut half = half_of(4);
        assert_eq!(half.accept(5, true, b"x", FREE), Ok(Arrival::BeyondWindow));
        assert_eq!(
            half.accept(9, false, b"y", FREE),
            Ok(Arrival::BeyondWindow),
            "the refused last left no trace"
        );
        assert_eq!(half.highest(), 0);
        assert_eq!(half.accept(4, false, b"z", FREE), Ok(Arrival::OutOfOrder));
    }

    #[test]
    fn an_edge_once_offered_holds_when_the_window_shrinks() {
        let mut half = half_of(4);
        half.accept(1, false, b"a", FREE).unwrap();
        half.offer(1);
        assert_eq!(half.offered(), 1, "what the peer was told last");
        assert_eq!(half.accept(4, false, b"d", FREE), Ok(Arrival::OutOfOrder));
    }

    #[test]
    fn with_the_window_closed_one_packet_is_held_softly_and_taken_in_later() {
        let mut half = half_of(1);
        half.accept(1, false, b"a", FREE).unwrap();
        half.offer(0);
        assert_eq!(half.accept(2, false, b"b", FREE), Ok(Arrival::Held));
        assert_eq!(half.accept(2, false, b"b", FREE), Ok(Arrival::Duplicate));
        assert_eq!(half.accept(3, false, b"c", FREE), Ok(Arrival::BeyondWindow));
        assert_eq!((half.base(), half.table().collect::<Vec<_>>()), (2, vec![true]));
        assert_eq!(read_all(&mut half), b"a");
        assert!(half.release_held());
        assert_eq!((half.base(), read_all(&mut half)), (3, b"b".to_vec()));
    }

    #[test]
    fn the_last_number_there_is_is_never_taken() {
        let mut half = half_of(255);
        half.base = u32::MAX - 1;
        half.offer(255);
        assert_eq!(half.accept(u32::MAX - 1, false, b"a", FREE), in_order(false));
        half.offer(255);
        assert_eq!(half.accept(u32::MAX, true, b"b", FREE), Ok(Arrival::BeyondWindow));
    }

    #[test]
    fn the_last_packet_is_unique_and_nothing_follows_it() {
        let mut half = half_of(255);
        half.accept(3, true, b"c", FREE).unwrap();
        assert_eq!(half.accept(2, true, b"b", FREE), Err(Fault::DifferentLast));
        assert_eq!(half.accept(4, true, b"d", FREE), Err(Fault::DifferentLast));
        assert_eq!(half.accept(4, false, b"d", FREE), Err(Fault::DataAfterLast));
        assert_eq!(half.accept(3, true, b"c", FREE), Ok(Arrival::Duplicate));
    }

    #[test]
    fn a_last_packet_below_one_already_accepted_is_a_fault() {
        let mut half = half_of(255);
        half.accept(3, false, b"c", FREE).unwrap();
        assert_eq!(half.accept(2, true, b"b", FREE), Err(Fault::DataAfterLast));
    }

    #[test]
    fn neighbours_of_one_chunk_are_read_as_one_piece() {
        let mut half = half_of(255);
        for seq in 1..=60 {
            half.accept(seq, false, &[seq as u8; 1412], FREE).unwrap();
        }
        let mut pieces = 0;
        let mut bytes = 0;
        while let Some(piece) = half.take_chunk(usize::MAX) {
            pieces += 1;
            bytes += piece.len();
        }
        assert_eq!(bytes, 60 * 1412);
        assert!(pieces < 12, "{pieces} pieces");
    }

    #[test]
    fn peek_leaves_and_consume_takes_across_pieces() {
        let mut half = half_of(255);
        half.accept(1, false, b"abc", FREE).unwrap();
        half.accept(2, true, b"defg", FREE).unwrap();
        let mut buf = [0; 5];
        assert_eq!((half.peek(&mut buf), &buf), (5, b"abcde"));
        half.consume(4);
        assert_eq!((half.readable(), half.peek(&mut buf), &buf[..3]), (3, 3, &b"efg"[..]));
    }

    #[test]
    fn a_discarded_stream_is_still_taken_in_order_to_its_end() {
        let mut half = half_of(255);
        half.accept(1, false, b"abc", FREE).unwrap();
        half.discard();
        half.accept(2, true, b"def", FREE).unwrap();
        assert!(half.is_complete() && half.is_drained());
        assert_eq!(half.held_total(), 0);
    }

    #[test]
    fn the_window_is_the_free_room_in_packets() {
        let half = half_of(255);
        assert_eq!(half.window(1412 * 10 + 5, 255), 10);
        assert_eq!(half.window(FREE, 64), 64);
        assert_eq!(half.window(1000, 64), 0);
    }
}
