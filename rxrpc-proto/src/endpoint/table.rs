//! Hash tables whose hash is keyed from the seed, so that a peer cannot choose colliding keys.

use core::hash::BuildHasher;

use hashbrown::HashMap;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use siphasher::sip::SipHasher13;

/// A table looked up by what a peer chooses. Never iterated: its order is not reproducible.
pub(super) type Table<K, V> = HashMap<K, V, KeyedState>;

/// The key of the hash.
#[derive(Clone, Debug)]
pub(super) struct KeyedState(u64, u64);

impl KeyedState {
    pub(super) fn new(rng: &mut ChaCha20Rng) -> Self {
        KeyedState(rng.next_u64(), rng.next_u64())
    }
}

impl BuildHasher for KeyedState {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}
