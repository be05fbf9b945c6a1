//! Chooses a small corpus: `cargo run --release --example distill -- TARGET FROM TO COUNT`.
//!
//! First the shortest inputs that reach each fault and each outcome, then others, evenly over their names, which
//! are hashes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use rxrpc_fuzz::{endpoint_report, files, pair_report};

fn reached(target: &str, input: &[u8]) -> BTreeSet<String> {
    match target {
        "endpoint" => {
            let report = endpoint_report(input);
            let sent = format!("sent about {}", report.sent.next_power_of_two());
            report.faults.iter().map(|f| f.name().to_owned()).chain(report.outcomes).chain([sent]).collect()
        }
        "pair" => {
            let report = pair_report(input);
            report.faults.iter().map(|f| f.name().to_owned()).chain(report.outcomes).collect()
        }
        _ => BTreeSet::new(),
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [target, from, to, count] = &arguments[..] else { panic!("TARGET FROM TO COUNT") };
    let count: usize = count.parse().expect("a number");
    let mut inputs: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for path in files(Path::new(from))? {
        let bytes = fs::read(&path)?;
        inputs.push((path, bytes));
    }
    inputs.sort_by_key(|(_, bytes)| bytes.len());
    let mut seen = BTreeSet::new();
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    for input in inputs {
        let new = reached(target, &input.1).into_iter().filter(|what| seen.insert(what.clone())).count();
        if new > 0 { chosen.push(input) } else { others.push(input) }
    }
    others.sort();
    let step = (others.len() / count.saturating_sub(chosen.len()).max(1)).max(1);
    let rest = others.into_iter().step_by(step).filter(|(_, bytes)| bytes.len() <= 3000);
    fs::create_dir_all(to)?;
    for (path, bytes) in chosen.into_iter().chain(rest).take(count) {
        fs::write(Path::new(to).join(path.file_name().expect("a file")), bytes)?;
    }
    println!("{} faults and outcomes: {seen:?}", seen.len());
    Ok(())
}
