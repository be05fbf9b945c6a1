//! Debug and release builds, and all platforms, run the same: the hash of some seeds is written here.
//!
//! The seeds are few and short, and between them meet most faults. A change of the core or of swarm mode changes the
//! hash; then both builds have to agree on the new one: `cargo test --test pinned` and the same with `--release`.

use rxrpc_sim::campaign::{Shard, campaign};
use rxrpc_sim::{Harness, Sim, swarm};

/// Of bare endpoints.
const DIRECT: u64 = 0x3c72_277e_4605_719b;

/// Of drivers.
#[cfg(feature = "full")]
const FULL: u64 = 0xba72_d973_9335_290c;

fn holds(harness: Harness, hash: u64) {
    let results = campaign(0..60, Shard::WHOLE, harness, swarm::scenario, |_, _| true);
    assert_eq!(results.hash, hash, "it is now {:#018x}", results.hash);
    assert!(results.failed.is_empty() && results.datagrams > 10_000);
}

#[test]
fn some_seeds_run_as_they_are_written_down() {
    holds(Sim::new, DIRECT);
}

#[cfg(feature = "full")]
#[test]
fn so_do_they_with_drivers() {
    holds(rxrpc_sim::full::sim, FULL);
}
