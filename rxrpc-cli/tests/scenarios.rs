//! The scenarios that come with the project, and the command that runs a folder of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Exit code, standard output and standard error.
type Ended = (Option<i32>, String, String);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rxrpc-sim/scenarios")
}

fn scenarios(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    files
}

fn run(args: &[&str], scenario: &Path) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rxrpc"));
    command.args(["sim", "run", "--scenario"]).arg(scenario).args(args);
    let output = command.current_dir(std::env::temp_dir()).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_scenario_comes_to_what_it_expects() {
    let files = scenarios(&folder());
    assert!(files.len() > 60);
    for file in files {
        let (code, out, err) = run(&["--no-shrink"], &file);
        assert_eq!(code, Some(0), "{}: {out}{err}", file.display());
    }
}

#[test]
fn every_scenario_tells_its_story_and_has_its_row() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let named: Vec<&str> = readme.split('`').skip(1).step_by(2).collect();
    let mut known = 0;
    for (place, prefix) in [(folder(), ""), (folder().join("slow"), "slow/")] {
        for file in scenarios(&place) {
            let text = fs::read_to_string(&file).unwrap();
            let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
            for part in ["# ", "\n# Expected: ", "\n# Matters: ", "\nabout = \"", "\n[expect]\n"] {
                let begins = part == "# ";
                assert!(
                    text.contains(part) && (!begins || text.starts_with(part)),
                    "{}: {part:?}",
                    file.display()
                );
            }
            assert!(named.contains(&format!("{prefix}{stem}").as_str()), "{stem} is in no table");
            known += 1;
        }
    }
    let rows = named.iter().filter(|name| !name.contains(['\n', ' '])).filter(|name| **name != "slow/");
    for name in rows.filter(|name| !name.ends_with("benches/") && !name.is_empty()) {
        let exists = folder().join(format!("{name}.toml")).exists();
        assert!(exists, "there is no scenario {name}");
    }
    assert!(known > 70);
}

#[test]
fn they_hold_for_drivers_as_well() {
    for file in scenarios(&folder()) {
        let (code, out, err) = run(&["--no-shrink", "--harness", "full"], &file);
        assert_eq!(code, Some(0), "{}: {out}{err}", file.display());
    }
}

#[test]
fn a_folder_of_scenarios_is_run_as_a_whole() {
    let place = std::env::temp_dir().join(format!("rxrpc-scenarios-{}", std::process::id()));
    fs::create_dir_all(place.join("more")).unwrap();
    let (code, _, err) = run(&[], &place);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("there is no scenario"), "{err}");
    let text = |seconds| {
        format!(
            "nodes = [{{}}, {{}}]\n[[calls]]\nclient = 0\nserver = 1\nwork = \"2s\"\nrequest = {{ len = 1_000_000 }}\n\
             [expect]\nwithin = \"{seconds}s\"\n"
        )
    };
    fs::write(place.join("b.toml"), text(3)).unwrap();
    fs::write(place.join("more/a.toml"), text(4)).unwrap();
    fs::write(place.join("more/notes.txt"), "no scenario").unwrap();
    let (code, out, err) = run(&[], &place);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["scenario", "last", "call", "ended", "calls", "datagrams", "MB/s", "took"]);
    assert_eq!((lines[1][0], lines[1][1], lines[1][4]), ("b.toml", "held", "1"));
    assert_eq!((lines[2][0], lines[2][1]), ("more/a.toml", "held"));
    assert_eq!(out.lines().last(), Some("2 scenarios: all held"));

    fs::write(place.join("more/c.toml"), text(1)).unwrap();
    fs::write(place.join("more/d.toml"), "nodes = 7\n").unwrap();
    let (code, out, err) = run(&[], &place);
    let told = "rxrpc: 1 of 4 scenarios failed, and 1 cannot be read\n";
    assert_eq!((code, err.as_str()), (Some(1), told), "{out}");
    assert!(out.contains("more/c.toml: Expectation: expected calls to end within 1s"), "{out}");
    assert!(out.contains("d.toml: TOML parse error at line 1"), "{out}");
    let replays: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("replay: ")).collect();
    let path = place.join("more/c.toml");
    assert_eq!(replays, [format!("rxrpc sim run --scenario {}", path.display())]);
    // What happened is drawn, and the summary comes last.
    assert!(out.contains("---->|  DATA "), "{out}");
    assert_eq!(out.lines().last(), Some("1 of 4 scenarios failed, and 1 cannot be read"));
    let verdict = |name: &str| {
        out.lines().find(|line| line.trim_start().starts_with(name)).unwrap().split_whitespace().nth(1)
    };
    assert_eq!((verdict("more/c.toml"), verdict("more/d.toml")), (Some("FAILED"), Some("unreadable")));
    fs::remove_file(path).unwrap();
    let (code, _, err) = run(&[], &place);
    assert_eq!((code, err.as_str()), (Some(2), "rxrpc: 1 of 3 scenarios cannot be read\n"));
    for args in [
        &["--seeds", "0..3"][..],
        &["--failures", "kept"],
        &["--keep", "3"],
        &["--shrink-runs", "2000"],
        &["--no-shrink"],
    ] {
        let (code, _, err) = run(args, &place);
        let told = format!("rxrpc: {} does not go with a folder of scenarios\n", args[0]);
        assert_eq!((code, err), (Some(2), told));
    }
    fs::remove_dir_all(&place).unwrap();
}

#[test]
fn a_folder_is_told_in_json() {
    let place = std::env::temp_dir().join(format!("rxrpc-scenarios-json-{}", std::process::id()));
    fs::create_dir_all(place.join("more")).unwrap();
    let text = |end| {
        format!(
            "nodes = [{{}}, {{}}]\n[[calls]]\nclient = 0\nserver = 1\n[expect]\noutcome = {{ {end} = 1 }}\n"
        )
    };
    fs::write(place.join("a.toml"), text("ok")).unwrap();
    fs::write(place.join("more/b.toml"), text("busy")).unwrap();
    fs::write(place.join("more/c.toml"), "nodes = 7\n").unwrap();
    let (code, json, err) = run(&["--json", "--harness", "full"], &place);
    assert_eq!((code, err.as_str()), (Some(1), "rxrpc: 1 of 3 scenarios failed, and 1 cannot be read\n"));
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&told["good"], &told["harness"]), (&false.into(), &"full".into()));
    let found = told["scenarios"].as_array().unwrap();
    let found: Vec<_> = found.iter().map(|one| (one["scenario"].as_str(), one["verdict"].as_str())).collect();
    let expected = [("a.toml", "held"), ("more/b.toml", "FAILED"), ("more/c.toml", "unreadable")];
    assert!(found.into_iter().eq(expected.map(|(name, verdict)| (Some(name), Some(verdict)))), "{json}");
    fs::remove_dir_all(&place).unwrap();
}
