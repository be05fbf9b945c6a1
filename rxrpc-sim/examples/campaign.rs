//! Runs seeds in swarm mode: `campaign FROM TO [THREADS] [full]`. Prints what failed, and why. With `full`, on drivers
//! and tasks instead of bare endpoints.

use std::time::Instant;

use rxrpc_sim::campaign::{Results, Shard, campaign};
use rxrpc_sim::{Harness, Sim, full, swarm};

fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let [from, to, rest @ ..] = &args[..] else { panic!("campaign FROM TO [THREADS] [full]") };
    let harness: Harness = if std::env::args().any(|a| a == "full") { full::sim } else { Sim::new };
    let threads = rest.first().copied().unwrap_or(1).max(1);
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let shards: Vec<_> = (0..threads)
        .map(|index| {
            let seeds = *from..*to;
            std::thread::spawn(move || {
                campaign(seeds, Shard { index, count: threads }, harness, swarm::scenario, |_, _| true)
            })
        })
        .collect();
    let mut results = Results::default();
    for shard in shards {
        results.merge(shard.join().expect("a shard ran"));
    }
    let took = began.elapsed();
    for failure in &results.failures {
        println!("seed {}: {}", failure.seed, failure.violations[0]);
    }
    println!("{}", results.coverage);
    println!("not reached: {:?}", results.zeroes());
    println!("failed: {:?}", results.failed);
    println!(
        "{} seeds, {} failed, {:.2} ms each, {} datagrams, {} calls of which {} succeeded, hash {:016x}",
        results.seeds,
        results.failed.len(),
        took.as_secs_f64() * 1e3 * threads as f64 / results.seeds as f64,
        results.datagrams,
        results.calls,
        results.succeeded,
        results.hash,
    );
}
