//! The bytes of calls: different everywhere, cheap to make and to check.

use std::sync::OnceLock;

use bytes::Bytes;

use crate::rng::Rng;

/// Period of the pattern. A prime, so that no chunk size divides it and misplaced data is seen.
const PERIOD: usize = 65_521;
/// Longest piece that lies in one stretch.
pub(crate) const MAX_PIECE: usize = 64 * 1024;

fn table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = vec![0; PERIOD];
        Rng::new(0x7278_7270_6300).fill(&mut table);
        let again: Vec<u8> = table.iter().copied().cycle().take(PERIOD + MAX_PIECE).collect();
        again
    })
}

/// The stream that belongs to `key`: at most `len` bytes of it from `offset` on.
pub(crate) fn piece(key: u64, offset: u64, len: usize) -> &'static [u8] {
    let start = (key % PERIOD as u64 + offset % PERIOD as u64) % PERIOD as u64;
    let start = start as usize;
    &table()[start..start + len.min(MAX_PIECE)]
}

/// The same, as shared memory.
pub(crate) fn shared(key: u64, offset: u64, len: usize) -> Bytes {
    Bytes::from_static(piece(key, offset, len))
}

/// Whether `bytes` are what the stream of `key` has at `offset`.
pub(crate) fn is_right(key: u64, offset: u64, bytes: &[u8]) -> bool {
    let mut at = offset;
    bytes.chunks(MAX_PIECE).all(|chunk| {
        let right = *chunk == *piece(key, at, chunk.len());
        at += chunk.len() as u64;
        right
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_however_it_is_cut() {
        let whole: Vec<u8> = piece(99, 10, 60_000).to_vec();
        assert!(is_right(99, 10, &whole));
        assert!(is_right(99, 10_010, &whole[10_000..]));
        assert!(!is_right(99, 11, &whole));
        assert!(!is_right(98, 10, &whole));
        assert_eq!(shared(99, 1 << 40, 70_000).len(), MAX_PIECE);
    }
}
