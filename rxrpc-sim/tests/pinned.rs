//! Debug and release builds, and all platforms, run the same: the hash of some seeds is written here.
//!
//! The seeds are few and short, and between them meet most faults. A change of the core or of swarm mode changes the
//! hash; then both builds have to agree on the new one: `cargo test --test pinned` and the same with `--release`.

use rxrpc_sim::campaign::{Shard, campaign};
use rxrpc_sim::{Sim, swarm};

const HASH: u64 = 0xc177_59fd_f385_c413;

#[test]
fn some_seeds_run_as_they_are_written_down() {
    let results = campaign(0..60, Shard::WHOLE, Sim::new, swarm::scenario, |_, _| true);
    assert_eq!(results.hash, HASH, "it is now {:#018x}", results.hash);
    assert!(results.failed.is_empty() && results.datagrams > 10_000);
}
