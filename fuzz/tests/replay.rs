//! The committed corpus through every target, on stable Rust, and what it reaches.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rxrpc_fuzz::{endpoint_report, files, packet, pair_report};
use rxrpc_proto::Fault;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let paths = files(&folder).unwrap();
    assert!(paths.len() >= 20, "only {} inputs for {target}", paths.len());
    paths.iter().map(|p| (p.display().to_string(), fs::read(p).unwrap())).collect()
}

/// Replays one by one, so that a panic tells which input it was.
fn replay(target: &str, mut run: impl FnMut(&[u8])) {
    for (name, input) in corpus(target) {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&input))).is_err() {
            panic!("see above: {name}");
        }
    }
}

#[test]
fn packets() {
    replay("packet", packet);
}

#[test]
fn endpoints_and_pairs_reach_every_fault() {
    let (mut faults, mut outcomes) = (BTreeSet::new(), BTreeSet::new());
    replay("endpoint", |input| {
        let report = endpoint_report(input);
        faults.extend(report.faults);
        outcomes.extend(report.outcomes);
    });
    replay("pair", |input| faults.extend(pair_report(input).faults));
    let missing: Vec<Fault> = Fault::all().filter(|fault| !faults.contains(fault)).collect();
    assert!(missing.is_empty(), "no input reaches {missing:?}");
    println!("{} of {} faults, outcomes {outcomes:?}", faults.len(), Fault::COUNT);
    for fault in faults {
        println!("reached {}", fault.name());
    }
}

/// `.clusterfuzzlite/build.sh` copies the options and the corpus of every target, and ends at the first that is missing.
#[test]
fn every_target_has_options_a_corpus_and_its_rows_in_the_readme() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let mut targets = Vec::new();
    for target in manifest.split("[[bin]]\nname = \"").skip(1) {
        let target = target.split('"').next().unwrap();
        targets.push(target);
        let options = folder.join(format!("fuzz_targets/{target}.options"));
        let options = fs::read_to_string(&options).unwrap_or_else(|e| panic!("{}: {e}", options.display()));
        let most: usize =
            options.split("max_len = ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        assert!(!corpus(target).is_empty());
        let (what, run) = readme.split_once("## What was run").unwrap();
        for (table, text) in [("what holds", what), ("what was run", run)] {
            assert!(text.contains(&format!("\n| `{target}`")), "{target} is not in the table of {table}");
        }
        assert!(what.contains(&format!("-max_len={most}")), "{target}: {most}");
    }
    assert_eq!(targets.len(), 4);
}
