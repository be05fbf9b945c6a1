//! What goes in and out: batches of datagrams with their addresses.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

/// Where a batch of datagrams came from, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// The sender.
    pub peer: SocketAddr,
    /// The address of ours it was sent to, if known. Answers leave from there.
    pub local_ip: Option<IpAddr>,
    /// The two ECN bits of the IP header.
    pub ecn: u8,
}

impl Path {
    /// A path of which only the sender is known.
    #[must_use]
    pub fn from_peer(peer: SocketAddr) -> Self {
        Path { peer, local_ip: None, ecn: 0 }
    }
}

/// Datagrams of one sender, back to back: each `stride` bytes long, the last one perhaps shorter.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    /// All of them. Read in place, never written.
    pub bytes: &'a [u8],
    /// Length of each but the last. 0 means one datagram.
    pub stride: usize,
}

impl<'a> Segments<'a> {
    /// A single datagram.
    #[must_use]
    pub fn single(bytes: &'a [u8]) -> Self {
        Segments { bytes, stride: bytes.len() }
    }

    /// Each datagram.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let stride = if self.stride == 0 { self.bytes.len() } else { self.stride };
        self.bytes.chunks(stride.max(1))
    }
}

/// A batch to send: the datagrams lie back to back in the buffer it was written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Whom to send it to.
    pub peer: SocketAddr,
    /// The address of ours to send it from, if that matters.
    pub local_ip: Option<IpAddr>,
    /// The two ECN bits to set.
    pub ecn: u8,
    /// Let the network fragment it (DF clear).
    pub may_fragment: bool,
    /// Length of each datagram but the last, which may be shorter.
    pub segment: usize,
    /// Length of all of them.
    pub len: usize,
}

impl Transmit {
    /// How many datagrams the batch has.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        self.len.div_ceil(self.segment.max(1))
    }
}

/// The memory that [`poll_transmit`](crate::Endpoint::poll_transmit) writes a batch to. The owner keeps it
/// and gives it again, so nothing is allocated for a packet.
#[derive(Debug)]
pub struct TransmitBuf {
    pub(super) bytes: Vec<u8>,
    pub(super) max_segments: usize,
}

impl TransmitBuf {
    /// Bytes of a batch at most; more is refused by common systems.
    pub const MAX_LEN: usize = 64_900;
    /// Datagrams of a batch at most; more is refused by common systems.
    pub const MAX_SEGMENTS: usize = 64;

    /// A buffer for batches of at most `max_segments` datagrams, 1 where the system sends one at a time.
    #[must_use]
    pub fn new(max_segments: usize) -> Self {
        let mut buf = TransmitBuf { bytes: Vec::with_capacity(Self::MAX_LEN), max_segments: 1 };
        buf.set_max_segments(max_segments);
        buf
    }

    /// Change the number of datagrams of a batch.
    pub fn set_max_segments(&mut self, max_segments: usize) {
        self.max_segments = max_segments.clamp(1, Self::MAX_SEGMENTS);
    }

    /// What the last batch holds.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_cut_at_its_stride_and_the_rest_is_the_last() {
        let segments = Segments { bytes: b"aabbc", stride: 2 };
        assert_eq!(segments.iter().collect::<Vec<_>>(), [&b"aa"[..], b"bb", b"c"]);
        assert_eq!(Segments::single(b"xyz").iter().count(), 1);
        assert_eq!(Segments { bytes: b"", stride: 0 }.iter().count(), 0);
    }
}
