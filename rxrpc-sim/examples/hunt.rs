//! Runs seeds in swarm mode until one fails: `hunt FROM TO`. Prints how many it took and what was found.
//! Ends with 1 if something was found.

use rxrpc_sim::campaign::{Shard, campaign};
use rxrpc_sim::{Sim, swarm};

fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let [from, to] = args[..] else { panic!("hunt FROM TO") };
    std::panic::set_hook(Box::new(|_| {}));
    let results = campaign(from..to, Shard::WHOLE, Sim::new, swarm::scenario, |_, good| good);
    let Some(failure) = results.failures.first() else {
        println!("nothing in {} seeds", results.seeds);
        return;
    };
    let found = &failure.violations[0];
    println!("{}\t{}\t{:?}\t{}", results.seeds, failure.seed, found.oracle, found.text);
    std::process::exit(1);
}
