//! Loss, duplication, reordering: what is lost is sent again, and bytes arrive exactly.

mod harness;

use harness::{Pair, chance, pattern};

#[test]
fn bytes_arrive_exactly_through_loss_duplication_and_reordering() {
    for seed in 1..=30 {
        let mut pair = Pair::new();
        pair.script = Box::new(chance(seed, 0.05, 0.03, 0.1));
        let (request, reply) = (pattern(200_000), pattern(150_000));
        assert!(pair.exchange(&request, &reply) == (request, reply), "seed {seed}");
    }
}

#[test]
fn small_calls_survive_heavy_loss() {
    for seed in 1..=30 {
        let mut pair = Pair::with(|config| config.validate_peers = false);
        pair.script = Box::new(chance(seed, 0.2, 0.05, 0.1));
        for _ in 0..20 {
            assert_eq!(pair.exchange(b"question", b"answer"), (b"question".to_vec(), b"answer".to_vec()));
        }
    }
}
