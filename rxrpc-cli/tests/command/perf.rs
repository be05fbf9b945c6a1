//! `rxrpc perf` without a subcommand.

use crate::rig::{check_reports, command, ended, rxrpc};

#[tokio::test]
async fn measures_every_case_at_every_concurrency() {
    let out = rxrpc(&["perf", "--json", "--quick"]).await.well();
    let cases = ["send", "recv", "rpc"].map(|case| [1, 16, 100].map(|n| (case, n))).concat();
    check_reports(&out, &cases);
}

#[tokio::test]
async fn the_table_in_a_file_is_plain_with_a_line_a_case() {
    let out = rxrpc(&["perf", "--quick"]).await.well();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 1 + 9, "{out}");
    assert!(out.is_ascii(), "{out}");
    assert!(lines[0].starts_with(" case"), "{out}");
    let words: Vec<Vec<&str>> = lines[1..].iter().map(|line| line.split_whitespace().collect()).collect();
    for (index, words) in words.iter().enumerate() {
        let begin = (["send", "recv", "rpc"][index / 3], ["1", "16", "100"][index % 3]);
        assert_eq!((words[0], words[1], words.len()), (begin.0, begin.1, 8), "{out}");
    }
}

#[tokio::test]
async fn a_reader_that_has_gone_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command(&["perf", "--quick"]);
    command.stdout(writer);
    ended(command).await.well();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_is_full_is_exit_code_1() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = command(&["perf", "--quick", "--json"]);
    command.stdout(full);
    let err = ended(command).await.failed(1);
    assert!(err.starts_with("rxrpc: cannot write: "), "{err}");
}

#[tokio::test]
async fn help_has_examples() {
    for args in [
        &["--help"][..],
        &["perf", "--help"],
        &["perf", "server", "--help"],
        &["perf", "client", "--help"],
        &["version", "--help"],
        &["call", "--help"],
    ] {
        let out = rxrpc(args).await.well();
        assert!(out.contains("Examples:\n  rxrpc "), "{args:?}: {out}");
        assert!(!out.contains("--quick"), "{args:?}: {out}");
    }
}
