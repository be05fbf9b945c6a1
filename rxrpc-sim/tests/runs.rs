//! Whole runs: what they show, and that they repeat.

use rxrpc_sim::scenario::{ElementKind, LossModel};
use rxrpc_sim::{Report, Scenario, Sim};

fn lossy(seed: u64) -> Scenario {
    let mut s = Scenario::new(seed, 2);
    let loss = || [ElementKind::Loss(LossModel::Bernoulli { p: 0.1 })];
    s.link(0, 1, loss()).link(1, 0, loss());
    for i in 0..20 {
        s.call(0, 1, 20 + i * 100, 30 + i * 70).at = i * 1000;
    }
    s
}

fn good(report: &Report) {
    assert!(report.is_good(), "seed {}: {:#?}", report.seed, report.violations);
}

#[test]
fn small_calls_survive_loss() {
    for seed in 0..50 {
        let report = Sim::new(lossy(seed)).run();
        good(&report);
        assert_eq!((report.calls, report.succeeded), (20, 20));
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let hash = |seed| Sim::new(lossy(seed)).run().trace;
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}
