//! `rxrpc sim` as people run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A folder of one test, in which the command runs.
struct Folder(PathBuf);

/// Exit code, standard output and standard error.
type Ended = (Option<i32>, String, String);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("rxrpc-sim-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn sim(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rxrpc"));
        command.arg("sim").args(args).current_dir(&self.0).stdin(Stdio::null());
        command.env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR");
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// The output of a run that must go well.
    fn well(&self, args: &[&str]) -> String {
        let (code, out, err) = self.sim(args);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}: {out}");
        out
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// What a file of results says, without how long it took.
    fn results(&self, name: &str) -> Value {
        let mut results: Value = serde_json::from_str(&self.read(name)).unwrap();
        assert!(results["seconds"].as_f64().unwrap() > 0.0);
        results.as_object_mut().unwrap().remove("seconds");
        results
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(folder)).into_iter().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn expected(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim").join(name)
}

fn scenario() -> String {
    fs::read_to_string(expected("second-packet.toml")).unwrap()
}

/// Compares with `tests/sim/NAME`; writes that file instead if `UPDATE_EXPECTED` is set.
fn expect(name: &str, found: &str) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(expected(name), found).unwrap();
    }
    let text = fs::read_to_string(expected(name)).unwrap_or_default();
    assert!(text == found, "{name} should be\n{text}\nand is\n{found}");
}

#[test]
fn a_scenario_is_told_drawn_and_held_against_what_it_expects() {
    let folder = Folder::new("scenario");
    folder.write("a.toml", &scenario());
    expect("second-packet.txt", &folder.well(&["run", "--scenario", "a.toml", "--ladder"]));
    assert_eq!(folder.files("."), ["a.toml"]);
}

#[test]
fn the_example_of_the_manual_runs() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rxrpc-sim/SCENARIOS.md");
    let manual = fs::read_to_string(manual).unwrap();
    let example = manual.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = Folder::new("manual");
    folder.write("a.toml", example);
    let out = folder.well(&["run", "--scenario", "a.toml"]);
    assert!(out.contains(" 4 calls (3 remote-abort, 1 silence), "), "{out}");
}

#[test]
fn the_example_of_the_help_runs() {
    let folder = Folder::new("help");
    let help = folder.well(&["run", "--help"]);
    let example = help.split("\n  about").nth(1).unwrap().split("\n\n").next().unwrap();
    folder.write("a.toml", &format!("about{example}"));
    let out = folder.well(&["run", "--scenario", "a.toml"]);
    assert!(out.contains(" 2 calls (2 ok), "), "{out}");
}

#[test]
fn an_expectation_that_is_not_met_fails_the_run_and_is_named() {
    let folder = Folder::new("expectation");
    folder.write("a.toml", &scenario().replace("ok = 1", "ok = 2, busy = 1"));
    let (code, out, err) = folder.sim(&["run", "--scenario", "a.toml"]);
    assert_eq!((code, err.as_str()), (Some(1), "rxrpc: the run failed\n"));
    let start = "The second DATA packet of a request is lost.\n\
                 seed 1\n\
                 \x20 Expectation: expected 2 calls to end with ok, and 1 did (at ";
    assert!(out.starts_with(start), "{out}");
    assert!(out.contains("\n  Expectation: expected 1 calls to end with busy, and 0 did (at "), "{out}");
    assert!(out.contains("|-------x         |  DATA "), "{out}");
    assert!(out.contains("\nreplay: rxrpc sim run --scenario a.toml\n"), "{out}");
    assert!(out.ends_with(": the run failed\n"), "{out}");
    // The ladder is drawn once, asked for or not.
    let (_, also, _) = folder.sim(&["run", "--scenario", "a.toml", "--ladder"]);
    assert_eq!(also.matches("|-------x         |  DATA ").count(), 1, "{also}");
    // The scenario is there already, and none smaller would say more.
    assert_eq!(folder.files("."), ["a.toml"]);
}

#[test]
fn seeds_that_fail_are_kept_and_can_be_replayed() {
    let folder = Folder::new("failures");
    folder.write("a.toml", &scenario().replace("\"loss script 2\"", "\"loss script\""));
    let run = ["run", "--scenario", "a.toml", "--seeds", "5..9", "--keep", "2", "--out", "out.json"];
    let (code, out, err) = folder.sim(&[&run[..], &["--failures", "kept"]].concat());
    assert_eq!(code, Some(1));
    // Each is told when it is found.
    let said: Vec<&str> = err.lines().collect();
    assert_eq!((said.len(), said[4]), (5, "rxrpc: 4 of 4 seeds failed"), "{err}");
    for (seed, line) in (5..9).zip(&said) {
        assert!(line.starts_with(&format!("seed {seed} failed: Expectation: ")), "{err}");
    }
    assert_eq!(folder.files("kept"), ["5.toml", "6.toml"]);
    assert!(out.contains("\nfailed as well: 7, 8\n"), "{out}");
    assert!(out.ends_with(": 4 of 4 seeds failed\n"), "{out}");

    let text = "Expectation: expected loss script less than 1, and there were 1 (at ";
    let results = folder.results("out.json");
    assert_eq!(results["failed"], serde_json::json!([5, 6, 7, 8]));
    for (failure, seed) in results["failures"].as_array().unwrap().iter().zip(5..) {
        assert_eq!((&failure["seed"], &failure["oracle"]), (&seed.into(), &"Expectation".into()));
        assert!(failure["text"].as_str().unwrap().starts_with(text), "{failure}");
        let replay = if seed < 7 { format!("kept/{seed}.toml").into() } else { Value::Null };
        assert_eq!((&failure["replay"], &failure["shrunk"]), (&replay, &Value::Null));
    }

    let kept = folder.read("kept/6.toml");
    let comment = format!("# Seed 6 failed: {text}");
    assert!(kept.starts_with(&comment), "{kept}");
    assert!(kept.contains("\n# Replay: rxrpc sim run --scenario kept/6.toml\n"), "{kept}");
    let (code, again, _) = folder.sim(&["run", "--scenario", "kept/6.toml"]);
    assert_eq!(code, Some(1));
    let ladder =
        |out: &str| out.split("seed 6\n").nth(1).unwrap().split("replay:").next().unwrap().to_owned();
    assert_eq!(ladder(&again), ladder(&out));
}

#[test]
fn what_cannot_be_written_is_told_before_the_work() {
    let folder = Folder::new("unwritable");
    folder.write("file", "");
    for (option, place) in [("--out", "none/o.json"), ("--failures", "file/kept"), ("--failures", "file")] {
        let (code, out, err) = folder.sim(&["run", "--seeds", "0..2", option, place]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{option} {place}");
        assert!(err.starts_with(&format!("rxrpc: {place}: ")), "{err}");
    }
    // To find that out leaves nothing behind.
    folder.well(&["run", "--seeds", "0..2", "--failures", "new/kept"]);
    assert_eq!(folder.files("."), ["file"]);
}

#[test]
fn what_cannot_be_written_in_the_end_costs_no_result() {
    let folder = Folder::new("spoilt");
    folder.write("a.toml", &scenario().replace("\"loss script 2\"", "\"loss script\""));
    folder.write("sim-failures", "a file where the folder should be");
    let run = ["run", "--scenario", "a.toml", "--seeds", "5..7", "--out", "o.json"];
    let (code, out, err) = folder.sim(&run);
    assert_eq!(code, Some(1));
    let said: Vec<&str> = err.lines().collect();
    assert!(said.len() == 4 && said[2].starts_with("rxrpc: sim-failures: "), "{err}");
    assert_eq!(said[3], "rxrpc: 2 of 2 seeds failed");
    assert!(out.contains("\nreplay: rxrpc sim run --scenario a.toml --seeds 6\n"), "{out}");
    assert!(out.ends_with(": 2 of 2 seeds failed\n"), "{out}");
    let results = folder.results("o.json");
    assert_eq!(
        (&results["failed"], &results["failures"][0]["replay"]),
        (&serde_json::json!([5, 6]), &Value::Null)
    );
}

#[test]
fn programs_are_told_in_json() {
    let folder = Folder::new("json");
    folder.write("a.toml", &scenario());
    let out = folder.well(&["run", "--scenario", "a.toml", "--json", "--out", "o.json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["good"], &told["verdict"], &told["runs"]), (&true.into(), &Value::Null, &1.into()));
    assert_eq!(told["hash"], folder.results("o.json")["hash"]);
    folder.write("a.toml", &scenario().replace("ok = 1", "ok = 2"));
    let (code, out, err) = folder.sim(&["run", "--scenario", "a.toml", "--json"]);
    assert_eq!((code, err.as_str()), (Some(1), "rxrpc: the run failed\n"));
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["good"], &told["verdict"]), (&false.into(), &"the run failed".into()));
    assert_eq!(told["failures"][0]["replay"], "a.toml");
}

#[test]
fn the_results_do_not_depend_on_the_number_of_threads() {
    let folder = Folder::new("jobs");
    for jobs in ["1", "3"] {
        folder.well(&["run", "--seeds", "0..100", "--jobs", jobs, "--out", &format!("{jobs}.json")]);
    }
    assert_eq!(folder.results("1.json"), folder.results("3.json"));
    assert_eq!(folder.results("1.json")["runs"], 100);
}

#[test]
fn drivers_and_bare_endpoints_are_not_counted_as_the_same() {
    let folder = Folder::new("harness");
    folder.write("a.toml", &scenario());
    for harness in ["direct", "full"] {
        let out = format!("{harness}.json");
        folder.well(&["run", "--scenario", "a.toml", "--harness", harness, "--out", &out]);
        assert_eq!(folder.results(&out)["harness"], harness);
    }
    assert_ne!(folder.results("direct.json")["hash"], folder.results("full.json")["hash"]);
    let out = folder.well(&["report", "direct.json", "full.json"]);
    assert!(out.ends_with("\n\n2 files, 2 seeds: all held\n"), "{out}");
}

#[test]
fn shards_together_are_the_whole() {
    let folder = Folder::new("shards");
    folder.well(&["run", "--seeds", "0..50", "--out", "whole.json"]);
    let mut shards = Vec::new();
    for (i, runs) in [(0, 17), (1, 17), (2, 16)] {
        let name = format!("{i}.json");
        folder.well(&["run", "--seeds", "0..50", "--shard", &format!("{i}/3"), "--out", &name]);
        assert_eq!(folder.results(&name)["runs"], runs);
        shards.push(name);
    }
    let report = |files: &[&str]| -> Value {
        let (_, out, _) = folder.sim(&[&["report", "--json"], files].concat());
        serde_json::from_str(&out).unwrap()
    };
    let (whole, parts) = (report(&["whole.json"]), report(&["0.json", "1.json", "2.json"]));
    for field in ["coverage", "not_reached", "failed", "failures", "notices", "good", "verdict"] {
        assert_eq!(parts[field], whole[field], "{field}");
    }
    for field in ["runs", "failed", "datagrams", "calls", "succeeded", "hash"] {
        assert_eq!(parts["total"][field], whole["total"][field], "{field}");
    }
    let odd = report(&["0.json", "whole.json", "1.json"]);
    let notices = serde_json::json!([
        "17 seeds are counted twice: they are in 0.json and in whole.json",
        "17 seeds are counted twice: they are in whole.json and in 1.json",
        "of direct 0..50 shards are missing: 2/3",
    ]);
    assert_eq!(odd["notices"], notices);
    assert_eq!((&odd["good"], &odd["complete"]), (&false.into(), &false.into()));
    let out = folder.well(&["report", "0.json", "1.json"]);
    assert!(out.ends_with("\n2 files, 34 seeds: all held so far, but shards are missing\n"), "{out}");
}

#[test]
fn a_report_shows_totals_coverage_and_what_is_odd() {
    let folder = Folder::new("report");
    folder.write("a.toml", &scenario());
    for name in ["a.json", "b.json"] {
        folder.well(&["run", "--scenario", "a.toml", "--seeds", "0..4", "--out", name]);
        let mut results: Value = serde_json::from_str(&folder.read(name)).unwrap();
        results["seconds"] = 1.25.into();
        folder.write(name, &results.to_string());
    }
    let hash = folder.results("a.json")["hash"].as_str().unwrap().to_owned();
    let twice = format!("{:016x}", u64::from_str_radix(&hash, 16).unwrap().wrapping_mul(2));
    let (code, out, err) = folder.sim(&["report", "a.json", "b.json"]);
    assert_eq!((code, err.as_str()), (Some(1), "rxrpc: seeds are counted twice\n"));
    assert!(out.is_ascii(), "{out}");
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    let head = "file harness scenario seeds shard runs failed datagrams calls succeeded seconds hash";
    let of = |file| format!("{file} direct a.toml 0..4 0/1 4 0 64 4 4 1.2 {hash}");
    let (a, b, all) = (of("a.json"), of("b.json"), format!("all 8 0 128 8 8 2.5 {twice}"));
    let top = [head, &a, &b, &all, "", "kind reached times"];
    assert!(rows.iter().map(|row| row.join(" ")).take(6).eq(top), "{out}");
    // The number of a kind that is named before stands in the third column all the same.
    let column = |name: &str| {
        let line = out.lines().find(|line| line.split_whitespace().any(|word| word == name)).unwrap();
        line.find(|c: char| c.is_ascii_digit()).unwrap()
    };
    assert!(rows.contains(&vec!["fault", "loss-bernoulli", "0", "never"]), "{out}");
    assert!(rows.contains(&vec!["script", "8"]), "{out}");
    assert_eq!(column("loss-bernoulli"), column("script"), "{out}");
    let end = "\nnotice: 4 seeds are counted twice: they are in a.json and in b.json\n\
               2 files, 8 seeds: seeds are counted twice\n";
    assert!(out.ends_with(end), "{out}");
}

#[test]
fn many_seeds_that_leave_something_out_are_a_failure() {
    let folder = Folder::new("zeroes");
    let mut results = Vec::new();
    for name in ["a.json", "b.json"] {
        // A seed without faults, so that a kind of fault is certain to be missing.
        folder.well(&["run", "--seeds", if name == "a.json" { "0" } else { "1" }, "--out", name]);
        let mut file: Value = serde_json::from_str(&folder.read(name)).unwrap();
        file["coverage"]["fault"]["replay"] = 0.into();
        results.push(file);
    }
    for (runs, code) in [(4_999, 0), (5_000, 1)] {
        for (name, results) in ["a.json", "b.json"].iter().zip(&mut results) {
            results["runs"] = runs.into();
            folder.write(name, &results.to_string());
        }
        let (ended, out, err) = folder.sim(&["report", "a.json", "b.json"]);
        assert_eq!(ended, Some(code), "{out}");
        let named = err.starts_with("rxrpc: not reached: ") && err.contains("fault replay");
        assert_eq!(named, code == 1, "{err}");
    }
    // A scenario is about something, and need not reach the rest.
    for (name, results) in ["a.json", "b.json"].iter().zip(&results) {
        let mut results = results.clone();
        results["scenario"] = "a.toml".into();
        folder.write(name, &results.to_string());
    }
    assert!(folder.well(&["report", "a.json", "b.json"]).ends_with("\n2 files, 10000 seeds: all held\n"));
    let mut results = results.swap_remove(0);
    results["coverage"]["limit"]["nonsense"] = 1.into();
    folder.write("a.json", &results.to_string());
    let (code, out, err) = folder.sim(&["report", "a.json"]);
    let text = "rxrpc: a.json: nothing of kind limit is named 'nonsense'\n";
    assert_eq!((code, out.as_str(), err.as_str()), (Some(1), "", text));
}

#[test]
fn seeds_repeat() {
    let folder = Folder::new("check");
    assert_eq!(folder.well(&["check", "--seeds", "0..20"]), "20 seeds, each run twice: all repeat\n");
    folder.write("a.toml", &scenario());
    let out = folder.well(&["check", "--scenario", "a.toml", "--seeds", "3..5", "--jobs", "1"]);
    assert_eq!(out, "2 seeds, each run twice: all repeat\n");
    let out = folder.well(&["check", "--seeds", "0..5", "--harness", "full"]);
    assert_eq!(out, "5 seeds, each run twice: all repeat\n");
    let out = folder.well(&["check", "--seeds", "18446744073709551615", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told, serde_json::json!({ "good": true, "runs": 1, "failed": [] }));
    fs::create_dir(folder.0.join("all")).unwrap();
    folder.write("all/a.toml", &scenario().replace("seed = 1", "seed = \"0xffffffffffffffff\""));
    folder.write("all/b.toml", &scenario());
    let check = ["check", "--scenario", "all", "--harness", "full"];
    assert_eq!(folder.well(&check), "2 scenarios, each run twice: all repeat\n");
    let out = folder.well(&["check", "--scenario", "all/a.toml"]);
    assert_eq!(out, "1 seeds, each run twice: all repeat\n");
    folder.write("all/c.toml", "nodes = 7\n");
    let (code, out, err) = folder.sim(&check);
    assert_eq!((code, err.as_str()), (Some(2), "rxrpc: of 3 scenarios 1 cannot be read\n"));
    assert!(out.starts_with("all/c.toml: TOML parse error at line 1"), "{out}");
    assert!(out.ends_with("\n3 scenarios, each run twice: 1 cannot be read\n"), "{out}");
    let (code, _, err) = folder.sim(&[&check[..], &["--seeds", "0..2"]].concat());
    assert_eq!((code, err.contains("--seeds does not go with a folder")), (Some(2), true), "{err}");
}

#[test]
fn a_seed_too_large_for_a_number_of_toml_is_a_text() {
    let folder = Folder::new("seed");
    folder.write("a.toml", &scenario().replace("seed = 1", "seed = \"0xffffffffffffffff\""));
    let out = folder.well(&["run", "--scenario", "a.toml"]);
    assert!(out.contains("\nseed 18446744073709551615: "), "{out}");
    let out = folder.well(&["run", "--scenario", "a.toml", "--seeds", "18446744073709551615"]);
    assert!(out.contains("\nseed 18446744073709551615: "), "{out}");
}

#[test]
fn what_is_wrong_with_a_scenario_is_named_with_its_line() {
    let folder = Folder::new("wrong");
    folder.write("a.toml", &scenario().replace("server = 1", "sever = 1"));
    let (code, out, err) = folder.sim(&["run", "--scenario", "a.toml"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let start = "rxrpc: a.toml: TOML parse error at line 16, column 1\n   |\n16 | sever = 1\n   | ^^^^^\nunknown field `sever`";
    assert!(err.starts_with(start), "{err}");
    folder.write("a.toml", &scenario().replace("server = 1", "server = 2"));
    let (code, _, err) = folder.sim(&["run", "--scenario", "a.toml"]);
    let text = "rxrpc: a.toml: calls[0]: there is no node 2, the last is 1\n";
    assert_eq!((code, err.as_str()), (Some(2), text));
    for command in ["run", "check"] {
        let (code, out, err) = folder.sim(&[command, "--scenario", "b.toml"]);
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(err.starts_with("rxrpc: b.toml: "), "{err}");
    }
}

#[test]
fn a_call_that_would_never_begin_is_no_scenario_that_held() {
    let folder = Folder::new("never");
    let late = "heal_at = \"30s\"\nnodes = [{}, {}]\n[[calls]]\nclient = 0\nserver = 1\nat = \"40s\"\n\
                [expect]\nwithin = \"10s\"\nnever = [\"packet abort\"]\n";
    folder.write("a.toml", late);
    let (code, _, err) = folder.sim(&["run", "--scenario", "a.toml"]);
    let text = "rxrpc: a.toml: calls[0], at: 40000000 us is not before heal_at, 30000000 us\n";
    assert_eq!((code, err.as_str()), (Some(2), text));
    // The first call is over when faults are, and the second one is not made any more.
    let after = "heal_at = \"1s\"\nnodes = [{}, {}]\n[[calls]]\nclient = 0\nserver = 1\nrequest = { len = 8 }\nwork = \"5s\"\n\
                 [[calls]]\nclient = 0\nserver = 1\nafter = 0\n";
    folder.write("a.toml", after);
    folder.well(&["run", "--scenario", "a.toml"]);
    folder.write("a.toml", &format!("{after}[expect]\nnever = [\"packet abort\"]\n"));
    let (code, out, _) = folder.sim(&["run", "--scenario", "a.toml"]);
    let text = "Expectation: expected calls[1] to begin, and it did not before the faults ended";
    assert!(code == Some(1) && out.contains(text), "{out}");
}

#[test]
fn usage_errors_are_exit_code_2() {
    let folder = Folder::new("usage");
    for args in [
        &[][..],
        &["run"],
        &["check"],
        &["report"],
        &["run", "--seeds", "5..5"],
        &["run", "--seeds", "x"],
        &["run", "--seeds", "0..5", "--shard", "5/5"],
        &["run", "--seeds", "0..5", "--jobs", "0"],
        &["run", "--seeds", "0..5", "--keep", "33"],
        &["run", "--seeds", "0..5", "--harness", "nonsense"],
        &["run", "--seeds", "0..5", "--no-shrink", "--shrink-runs", "5"],
    ] {
        let (code, out, err) = folder.sim(args);
        assert_eq!((code, out.as_str(), err.is_empty()), (Some(2), "", false), "{args:?}");
    }
    let (code, out, err) = folder.sim(&["run", "--seeds", "0..5", "--ladder"]);
    let text = "rxrpc: --ladder is about one run: choose one with --seeds SEED, or a --scenario alone\n";
    assert_eq!((code, out.as_str(), err.as_str()), (Some(2), "", text));
}
