//! The files that `rxrpc sim run` writes of a single run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const SCENARIO: &str = "about = \"A lossy link.\"
seed = 5
[[nodes]]
[[nodes]]
[[links]]
from = 0
to = 1
elements = [{ kind = { loss = { bernoulli = { p = 0.2 } } } }]
[[calls]]
client = 0
server = 1
request = { len = 100_000 }
reply = { len = 100 }
";

fn rxrpc(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rxrpc"));
    command.args(args).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

fn well(folder: &Path, args: &[&str]) -> String {
    let output = rxrpc(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rxrpc-sim-view-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("lossy.toml"), SCENARIO).unwrap();
    folder
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

#[test]
fn decode_reads_the_capture_back_and_agrees_with_the_trace() {
    let folder = folder("capture");
    let plain = well(&folder, &["sim", "run", "--scenario", "lossy.toml"]);
    let files = ["--pcap", "run.pcapng", "--trace", "run.jsonl", "--html", "run.html"];
    let watched = well(&folder, &[&["sim", "run", "--scenario", "lossy.toml"][..], &files].concat());
    assert_eq!(plain, watched, "the same run");
    let trace = lines(&fs::read_to_string(folder.join("run.jsonl")).unwrap());
    let (sent, delivered) = (of(&trace, "sent"), of(&trace, "delivered"));
    assert!(of(&trace, "lost").len() > 5);
    let all = lines(&well(&folder, &["decode", "--json", "run.pcapng"]));
    assert_eq!(of(&all, "packet").len(), sent.len() + delivered.len());
    for node in [0, 1] {
        let name = format!("node{node}");
        let decoded = lines(&well(&folder, &["decode", "--json", "--interface", &name, "run.pcapng"]));
        let at = |lines: &[&Value]| lines.iter().filter(|line| line["node"] == node).count();
        assert_eq!(of(&decoded, "packet").len(), at(&sent) + at(&delivered), "{name}");
        let call = of(&decoded, "call")[0];
        assert_eq!(
            (&call["request"]["bytes"], &call["end"]),
            (&100_000.into(), &"complete".into()),
            "{name}"
        );
    }
    let left = |lines: &[&Value]| {
        let serials = lines.iter().filter(|line| line["from"] == "10.0.0.1:7000").map(|line| {
            let packet = if line["rx"].is_null() { line } else { &line["rx"] };
            (packet["serial"].as_u64().unwrap(), packet["type"].to_string())
        });
        serials.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(left(&of(&all, "packet")), left(&sent), "serials and types");
    let html = fs::read_to_string(folder.join("run.html")).unwrap();
    assert!(html.contains("<title>A lossy link. (seed 5) - rxrpc sim</title>"));
    let _ = fs::remove_dir_all(folder);
}

#[test]
fn files_are_for_a_single_run_and_for_places_that_can_be_written() {
    let folder = folder("usage");
    for option in ["--pcap", "--trace", "--html"] {
        let refused = rxrpc(&folder, &["sim", "run", "--seeds", "0..5", option, "file"]);
        assert_eq!(refused.status.code(), Some(2), "{option}");
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(text.contains(&format!("{option} is about one run")), "{text}");
        let failed = rxrpc(&folder, &["sim", "run", "--seeds", "1", option, "no/such/folder"]);
        assert_eq!(failed.status.code(), Some(1), "{option}");
        let text = String::from_utf8(failed.stderr).unwrap();
        assert!(text.contains("cannot write no/such/folder"), "{text}");
    }
    let _ = fs::remove_dir_all(folder);
}

#[test]
fn the_trace_of_either_harness_shows_windows_and_round_trips_and_how_calls_end() {
    let folder = folder("samples");
    for harness in ["direct", "full"] {
        let args = ["sim", "run", "--scenario", "lossy.toml", "--trace", "run.jsonl", "--harness", harness];
        well(&folder, &args);
        let trace = lines(&fs::read_to_string(folder.join("run.jsonl")).unwrap());
        let samples = of(&trace, "sample");
        let largest = |key: &str| samples.iter().filter_map(|s| s[key].as_u64()).max();
        assert!(largest("congestion_window") > Some(4), "{harness}");
        assert!(largest("in_flight") > Some(4), "{harness}");
        assert!(largest("srtt_ns").is_some(), "{harness}");
        assert_eq!(largest("bytes_acknowledged"), Some(100_000), "{harness}");
        for side in ["client", "server"] {
            let last = samples.iter().rfind(|s| s["side"] == side).unwrap();
            assert_eq!(last["outcome"], "ok", "{harness}, {side}");
        }
    }
    let _ = fs::remove_dir_all(folder);
}

#[test]
fn an_interface_is_asked_of_files_that_have_them() {
    let folder = folder("interface");
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let old = fs::read_dir(old).unwrap().map(|entry| entry.unwrap().path());
    let old = old.into_iter().find(|path| path.extension().is_some_and(|e| e == "pcap")).unwrap();
    let refused = rxrpc(&folder, &["decode", "--interface", "node0", old.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("only pcapng files do"), "{text}");
    let _ = fs::remove_dir_all(folder);
}
