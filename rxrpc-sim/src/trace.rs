//! The running hash of a run, over every datagram, timer and event.

use std::fmt;

/// Odd constants for the four lanes.
const LANES: [u64; 4] =
    [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3];

/// Multiply to 128 bits and fold: every input bit reaches every output bit.
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hash of bytes, read in words of eight, four at a time. Endianness does not matter to it.
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut lanes = LANES;
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks().0) {
            *lane = fold(*lane ^ u64::from_le_bytes(*word), LANES[1]);
        }
    }
    let (words, rest) = rest.as_chunks();
    let mut tail = lanes.iter_mut();
    for (word, lane) in words.iter().zip(&mut tail) {
        *lane = fold(*lane ^ u64::from_le_bytes(*word), LANES[2]);
    }
    if let (Some(lane), false) = (tail.next(), rest.is_empty()) {
        *lane = fold(*lane ^ word_of(rest), LANES[2]);
    }
    let [a, b, c, d] = lanes;
    fold(fold(a ^ bytes.len() as u64, b | 1) ^ c.rotate_left(17), d | 1)
}

fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// What a record of the trace is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Record {
    /// A datagram left a node, or was made up by a fault.
    Sent = 1,
    /// A datagram reached a node.
    Delivered,
    /// A datagram was lost.
    Lost,
    /// A timer of a node's endpoint came due.
    Timer,
    /// An endpoint told its application something.
    Event,
    /// The application did something.
    Application,
    /// A fault was switched, or an error reported.
    Fault,
    /// The run went into another phase.
    Phase,
}

/// The hash so far and the number of records in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trace {
    hash: u64,
    records: u64,
    last: Last,
}

/// The last record, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Last {
    record: Option<Record>,
    who: u32,
    a: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Trace { hash: LANES[0], records: 0, last: Last { record: None, who: 0, a: 0 } }
    }
}

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Last { record, who, a } = self;
        match record {
            None => write!(f, "nothing"),
            Some(Record::Sent) if *who == u32::MAX => write!(f, "packet {a} injected"),
            Some(Record::Sent) => write!(f, "packet {a} sent by node {who}"),
            Some(Record::Delivered) => write!(f, "packet {a} delivered to node {who}"),
            Some(Record::Lost) => write!(f, "packet {a} lost"),
            Some(Record::Timer) => write!(f, "a timer of node {who}"),
            Some(Record::Event) => write!(f, "an event at node {who}"),
            Some(Record::Application) => write!(f, "a step of the application of node {who}"),
            Some(Record::Fault) => write!(f, "a fault at node {who}"),
            Some(Record::Phase) => write!(f, "the next phase"),
        }
    }
}

impl Trace {
    /// Add a record: what, when (nanoseconds), whose, and two words of detail.
    pub fn add(&mut self, record: Record, at: u64, who: u32, a: u64, b: u64) {
        let head = u64::from(record as u8) | (u64::from(who) << 8);
        // The words are mixed side by side, then folded into the chain: one multiplication deep.
        let left = fold(at ^ LANES[1], a ^ LANES[2]);
        let right = fold(head ^ LANES[3], b ^ LANES[0]);
        self.hash = fold(self.hash ^ left, right | 1).wrapping_add(left);
        self.records += 1;
        self.last = Last { record: Some(record), who, a };
    }

    /// The hash of everything so far.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// The last record in words, such as "packet 17 sent by node 0".
    #[must_use]
    pub fn last(&self) -> String {
        self.last.to_string()
    }

    /// How many records it covers.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }
}

/// One number for a run of a seed; such numbers can be added up.
pub(crate) fn splitmix_hash(seed: u64, trace: Trace) -> u64 {
    crate::rng::splitmix64(trace.hash ^ crate::rng::splitmix64(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        let mut bytes = vec![0u8; 100];
        let mut seen = vec![hash_bytes(&bytes)];
        for i in 0..bytes.len() {
            bytes[i] = 1;
            seen.push(hash_bytes(&bytes));
            bytes[i] = 0;
            seen.push(hash_bytes(&bytes[..i]));
        }
        seen.sort_unstable();
        let all = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn the_order_and_every_word_of_a_record_count() {
        let hash = |records: &[(u64, u32, u64, u64)]| {
            let mut trace = Trace::default();
            records.iter().for_each(|r| trace.add(Record::Sent, r.0, r.1, r.2, r.3));
            trace.hash()
        };
        let base = hash(&[(1, 2, 3, 4), (5, 6, 7, 8)]);
        for other in [
            [(5, 6, 7, 8), (1, 2, 3, 4)],
            [(1, 2, 4, 3), (5, 6, 7, 8)],
            [(0, 2, 3, 4), (5, 6, 7, 8)],
            [(1, 0, 3, 4), (5, 6, 7, 8)],
        ] {
            assert_ne!(hash(&other), base);
        }
    }

    #[test]
    fn the_hash_is_pinned() {
        let mut trace = Trace::default();
        trace.add(Record::Timer, 1, 2, hash_bytes(b"pinned for every platform and build"), 4);
        assert_eq!(trace.hash(), PINNED);
    }

    const PINNED: u64 = 3_756_932_676_930_345_677;
}
