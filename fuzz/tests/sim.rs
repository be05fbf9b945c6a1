//! The committed corpus of the `sim` target, and that what its inputs make is in bounds and does something.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rxrpc_fuzz::{files, sim, sim_scenario};
use rxrpc_sim::Sim;

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/sim");
    let paths = files(&folder).unwrap();
    assert!(paths.len() >= 20, "only {} inputs", paths.len());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn no_oracle_finds_anything() {
    corpus().iter().for_each(|input| sim(input));
    sim(&[]);
}

#[test]
fn scenarios_are_in_bounds_and_reach_faults_of_many_kinds() {
    let (mut reached, mut succeeded) = (BTreeSet::new(), 0);
    for input in corpus() {
        let scenario = sim_scenario(&input);
        assert!((2..=4).contains(&scenario.nodes.len()) && scenario.calls.len() <= 20);
        assert!(scenario.calls.iter().all(|c| c.client != c.server && c.request.len < 20_000));
        let report = Sim::new(scenario).run();
        succeeded += report.succeeded;
        let table = report.coverage.table();
        reached.extend(table.into_iter().filter(|(_, _, n)| *n > 0).map(|(kind, name, _)| (kind, name)));
    }
    assert!(succeeded > 50, "{succeeded} calls succeeded");
    assert!(reached.len() > 120, "{} things reached", reached.len());
}
