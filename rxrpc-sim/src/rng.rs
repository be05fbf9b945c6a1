//! Randomness of a run: one seed, split into labelled streams.
//!
//! The generator is xoshiro256++, seeded through splitmix64. Both are written out here and pinned by their
//! published test vectors, so that a seed means the same run with every version of every dependency.

/// The golden ratio as splitmix64 steps by it.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Splitmix64: turns any number into a well mixed one. Used to seed and to derive keys.
#[must_use]
pub const fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One stream of random numbers: xoshiro256++.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    s: [u64; 4],
}

impl Rng {
    /// The stream that starts at this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let at = |n: u64| splitmix64(seed.wrapping_add(GOLDEN.wrapping_mul(n)));
        Rng { s: [at(0), at(1), at(2), at(3)] }
    }

    /// The stream with exactly this state, not all zero.
    #[must_use]
    pub const fn from_state(s: [u64; 4]) -> Self {
        Rng { s }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [s0, s1, s2, s3] = self.s;
        let result = s0.wrapping_add(s3).rotate_left(23).wrapping_add(s0);
        let t = s1 << 17;
        let s2 = s2 ^ s0;
        let s3 = s3 ^ s1;
        self.s = [s0 ^ s3, s1 ^ s2, s2 ^ t, s3.rotate_left(45)];
        result
    }

    /// The upper half of the next 64 bits.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// A number from 0 to 1, 1 excluded.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A number of mean 0 and deviation 1, the sum of twelve uniform ones: no libm function is in its way.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let i = self.below(choices.len() as u64) as usize;
        &choices[i]
    }

    /// Random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// The seed of a run, from which every part gets its own stream.
///
/// A stream depends on the seed, the label and the number only. So a draw added in one place, or a part added
/// or removed, changes no other part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// All streams of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Streams { seed }
    }

    /// The stream of part number `id` of the kind `label`.
    #[must_use]
    pub fn stream(&self, label: &str, id: u64) -> Rng {
        Rng::new(self.key(label, id))
    }

    /// The number that such a stream starts from.
    #[must_use]
    pub fn key(&self, label: &str, id: u64) -> u64 {
        let label = label
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
        splitmix64(splitmix64(self.seed ^ label).wrapping_add(splitmix64(id)))
    }

    /// 32 bytes for part number `id` of the kind `label`.
    #[must_use]
    pub fn bytes(&self, label: &str, id: u64) -> [u8; 32] {
        let mut out = [0; 32];
        self.stream(label, id).fill(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xoshiro_gives_the_published_numbers() {
        let mut rng = Rng::from_state([1, 2, 3, 4]);
        let expected: [u64; 10] = [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
            9_228_616_714_210_784_205,
            9_973_669_472_204_895_162,
            14_011_001_112_246_962_877,
            12_406_186_145_184_390_807,
            15_849_039_046_786_891_736,
            10_450_023_813_501_588_000,
        ];
        assert_eq!(expected.map(|_| rng.next_u64()), expected);
    }

    #[test]
    fn splitmix_gives_the_published_numbers() {
        let seed = 1_234_567u64;
        let at = |n: u64| splitmix64(seed.wrapping_add(GOLDEN.wrapping_mul(n)));
        let expected: [u64; 5] = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!([0, 1, 2, 3, 4].map(at), expected);
    }

    #[test]
    fn streams_are_pinned_and_differ_by_label_and_number() {
        let streams = Streams::new(7);
        assert_eq!(streams.stream("link", 0), streams.stream("link", 0));
        let all = [("link", 0), ("link", 1), ("node", 0), ("node", 1)].map(|(l, i)| streams.key(l, i));
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
        assert_eq!(streams.stream("link", 1).next_u64(), PINNED);
    }

    const PINNED: u64 = 11_590_082_745_124_241_617;

    #[test]
    fn draws_keep_their_bounds() {
        let mut rng = Rng::new(3);
        for _ in 0..1000 {
            assert!((5..=9).contains(&rng.between(5, 9)));
            assert!((0.0..1.0).contains(&rng.unit()));
            assert!(rng.normal().abs() <= 6.0);
        }
        assert_eq!(rng.below(0), 0);
        assert!(!rng.chance(0.0));
        assert!(rng.chance(1.0));
    }
}
