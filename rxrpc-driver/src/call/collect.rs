//! Gathering all of a peer's data.

use bytes::{Bytes, BytesMut};
use rxrpc_proto::{CallMut, ReadError};

/// The pieces of a peer's data, up to a limit. They are moved under the lock and joined after it.
pub(crate) struct Collector {
    first: Bytes,
    others: Vec<Bytes>,
    len: usize,
    limit: usize,
}

impl Collector {
    pub(crate) fn new(limit: usize) -> Self {
        Collector { first: Bytes::new(), others: Vec::new(), len: 0, limit }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes what can be read: `Ok` at the end of the data, [`ReadError::Excess`] past the limit.
    pub(crate) fn take_from(&mut self, call: &mut CallMut<'_>) -> Result<(), ReadError> {
        loop {
            let room = self.limit.saturating_sub(self.len);
            match call.read_chunk(room.saturating_add(1))? {
                None => return Ok(()),
                Some(chunk) if chunk.len() > room => return Err(ReadError::Excess),
                Some(chunk) => self.push(chunk),
            }
        }
    }

    fn push(&mut self, chunk: Bytes) {
        self.len += chunk.len();
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.others.push(chunk);
        }
    }

    /// All of it; a single piece is not copied.
    pub(crate) fn into_bytes(self) -> Bytes {
        if self.others.is_empty() {
            return self.first;
        }
        let mut whole = BytesMut::with_capacity(self.len);
        whole.extend_from_slice(&self.first);
        for chunk in &self.others {
            whole.extend_from_slice(chunk);
        }
        whole.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_piece_is_handed_on_without_a_copy() {
        let piece = Bytes::from(vec![1; 100]);
        let mut collector = Collector::new(100);
        collector.push(piece.clone());
        assert_eq!(collector.into_bytes().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn pieces_are_joined_in_order() {
        let mut collector = Collector::new(100);
        for piece in [&b"one "[..], b"two ", b"three"] {
            collector.push(Bytes::copy_from_slice(piece));
        }
        assert_eq!(collector.len(), 13);
        assert_eq!(collector.into_bytes(), "one two three");
    }
}
