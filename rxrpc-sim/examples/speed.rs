//! How many datagrams a second the direct harness simulates, oracles on: small calls, and large ones with loss.
//! `speed [SCALE [small|1]]`. Each is run twenty times, shortly: others on the machine, and those that share its processors,
//! only make it slower, so the fastest counts.

use rxrpc_sim::scenario::{ElementKind, LossModel};
use rxrpc_sim::{Report, Scenario, Sim};

const RUNS: usize = 20;

/// Processor time of this thread: others may be using the machine as well.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|n| n.parse::<f64>().ok()).expect("nanoseconds") / 1e9
}

fn small(calls: u32) -> Scenario {
    let mut s = Scenario::new(1, 2);
    s.delay = 50;
    for _ in 0..32 {
        s.call(0, 1, 100, 100).repeat = calls / 32;
    }
    s.heal_at = 100_000_000_000;
    s
}

fn large(calls: u32) -> Scenario {
    let mut s = Scenario::new(1, 2);
    let loss = || [ElementKind::Loss(LossModel::Bernoulli { p: 0.01 })];
    s.delay = 500;
    s.link(0, 1, loss()).link(1, 0, loss());
    for _ in 0..4 {
        s.call(0, 1, 1 << 20, 100).repeat = calls / 4;
    }
    s.heal_at = 100_000_000_000;
    s
}

/// How long a run takes, and what came of it.
fn timed(scenario: &Scenario) -> (f64, Report) {
    let began = cpu_seconds();
    let report = Sim::new(scenario.clone()).run();
    let took = cpu_seconds() - began;
    assert!(report.is_good(), "{:?}", report.violations);
    (took, report)
}

fn main() {
    let scale: f64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1.0);
    let only = std::env::args().nth(2);
    let skip = |name: &str| only.as_ref().is_some_and(|o| !name.starts_with(o.as_str()));
    for (name, scenario) in [
        ("small calls", small((200_000.0 * scale) as u32)),
        ("1 MiB, 1 % loss", large((200.0 * scale) as u32)),
    ] {
        if skip(name) {
            continue;
        }
        let mut runs: Vec<(f64, Report)> = (0..RUNS).map(|_| timed(&scenario)).collect();
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let [fastest, .., slowest] = &runs[..] else { unreachable!("some runs") };
        let rate = |(took, report): &(f64, Report)| report.datagrams as f64 / took / 1e6;
        let (took, report) = fastest;
        println!(
            "{name}: {:.2} million datagrams/s, {:.2} in the slowest of {RUNS} runs ({} in {took:.2} s of CPU, {} calls, \
             {} succeeded, {:.1} s simulated)",
            rate(fastest),
            rate(slowest),
            report.datagrams,
            report.calls,
            report.succeeded,
            report.ended.as_nanos() as f64 / 1e9,
        );
    }
}
