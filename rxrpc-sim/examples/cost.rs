//! Which seeds of swarm mode cost most: `cost FROM TO`.

use std::time::Instant;

use rxrpc_sim::{Sim, swarm};

fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let [from, to, ..] = &args[..] else { panic!("cost FROM TO") };
    let mut slowest = Vec::new();
    let mut costs: Vec<_> = (*from..*to)
        .map(|seed| {
            let began = Instant::now();
            let report = Sim::new(swarm::scenario(seed)).run();
            if let Some((took, allowed)) = report.recovery {
                slowest.push((took.as_secs_f64() / allowed.as_secs_f64().max(1e-9), seed, took, allowed));
            }
            (began.elapsed(), seed, report.events, report.datagrams, report.ended)
        })
        .collect();
    costs.sort_unstable_by(|a, b| b.cmp(a));
    let total: std::time::Duration = costs.iter().map(|c| c.0).sum();
    println!("{total:?} in all, {:?} each", total / costs.len() as u32);
    for (cost, seed, events, datagrams, ended) in costs.iter().take(12) {
        println!("seed {seed}: {cost:?}, {events} events, {datagrams} datagrams, {ended:?}");
    }
    slowest.sort_by(|a, b| b.partial_cmp(a).expect("numbers"));
    for (share, seed, took, allowed) in slowest.iter().take(12) {
        println!("seed {seed}: recovered in {took:?} of {allowed:?}, {share:.2}");
    }
}
