//! `rxrpc decode` as people run it, on the captures in testdata/.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn testdata(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name);
    path.with_extension("pcap").to_str().unwrap().to_owned()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rxrpc"));
    command.arg("decode").args(args).stdin(Stdio::null()).env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR");
    command
}

/// Exit code, standard output and standard error.
fn text(output: &Output) -> (Option<i32>, String, String) {
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), utf8(&output.stdout), utf8(&output.stderr))
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    text(&command(args).output().unwrap())
}

/// The output of a run that must succeed and say nothing else.
fn ok(args: &[&str]) -> String {
    let (code, out, err) = run(args);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
    out
}

fn json(args: &[&str]) -> Vec<Value> {
    let out = ok(&[&["--json"], args].concat());
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(lines: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["kind"] == kind)
}

/// A file for the results of one test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("rxrpc-decode-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Compares with `tests/decode/NAME`; writes that file instead if `UPDATE_EXPECTED` is set.
fn expect(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decode").join(name);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == found, "{name} should be\n{expected}\nand is\n{found}");
}

#[test]
fn the_lines_are_as_expected() {
    for name in [
        "oafs-null-small",
        "oafs-null-checkreach",
        "oafs-null-long-call-keepalive",
        "oafs-afs-abort-denied",
        "oafs-afs-ubik-udebug",
        "oafs-rxkad-des-auth",
        "oafs-rxkad-err-unknownkey",
        "oafs-rxkad-err-level",
        "oafs-dead-server",
    ] {
        expect(&format!("{name}.txt"), &ok(&[&testdata(name)]));
    }
}

#[test]
fn jumbograms_holes_and_retransmissions_are_as_expected() {
    let lines = ok(&[&testdata("oafs-null-loss3pct-send-200k"), "--call", "1"]);
    let (packets, summary) = lines.split_once("\n\n").unwrap();
    let packets: Vec<_> = packets.lines().collect();
    // A time of loss, and the end with its jumbograms.
    let shown = [&packets[..1], &packets[45..75], &packets[packets.len() - 40..], &["", summary]].concat();
    expect("oafs-null-loss3pct-send-200k.part.txt", &shown.join("\n"));
}

#[test]
fn debug_and_version_bodies_are_as_expected() {
    let lines = ok(&[&testdata("oafs-afs-rxdebug-fileserver")]);
    let shown =
        |kind: &str, count| lines.lines().filter(|l| l.contains(kind)).take(count).collect::<Vec<_>>();
    let parts = [
        ("VERSION", 2),
        (" stats ", 1),
        (" rxstats ", 1),
        (" connection ", 2),
        (" peer ", 1),
        ("no more", 1),
    ];
    let shown: Vec<_> = parts.iter().flat_map(|(kind, count)| shown(kind, *count)).collect();
    expect("oafs-afs-rxdebug-fileserver.part.txt", &(shown.join("\n") + "\n"));
}

#[test]
fn the_objects_are_as_expected() {
    for name in ["oafs-null-checkreach", "oafs-rxkad-err-unknownkey"] {
        expect(&format!("{name}.json"), &ok(&["--json", &testdata(name)]));
    }
}

#[test]
fn every_capture_is_decoded_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (mut captures, mut packets, mut segments) = (0, 0, 0);
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "pcap")) {
        let lines = json(&[file.to_str().unwrap()]);
        let capture = lines.last().unwrap();
        assert_eq!(capture["kind"], "capture");
        for nothing in ["malformed", "cut", "incomplete", "other_datagrams"] {
            assert_eq!(capture[nothing], 0, "{nothing} in {}", file.display());
        }
        assert_eq!(capture["frames"], capture["packets"]);
        captures += 1;
        packets += of_kind(&lines, "packet").count();
        segments +=
            of_kind(&lines, "packet").filter_map(|p| Some(p["segments"].as_array()?.len())).sum::<usize>();
    }
    // The numbers of the test of the wire formats.
    assert_eq!((captures, packets, segments), (38, 2793, 1810));
}

#[test]
fn a_summary_counts_bytes_retransmissions_and_round_trips() {
    let lines = json(&[&testdata("oafs-null-loss3pct-send-200k")]);
    let calls: Vec<_> = of_kind(&lines, "call").collect();
    let [client_side, server_side] = calls[..] else { panic!("{calls:?}") };
    for (call, again) in [(client_side, 14), (server_side, 6)] {
        let request = &call["request"];
        assert_eq!((&call["service"], &call["end"]), (&147.into(), &"complete".into()));
        assert_eq!((&request["bytes"], &request["packets"]), (&200_020.into(), &142.into()));
        assert_eq!((&request["retransmissions"], &request["copies"]), (&again.into(), &0.into()));
        let rtt = |field: &str| request["rtt"][field].as_u64().unwrap();
        assert!(0 < rtt("min_ns") && rtt("min_ns") <= rtt("mean_ns") && rtt("mean_ns") <= rtt("max_ns"));
        assert_eq!((&call["reply"]["bytes"], &call["reply"]["rtt"]), (&4.into(), &Value::Null));
    }
    assert_eq!(client_side["duration_ns"], 717_019_000);
    // Every sample stands beside the ACK it comes from.
    let samples = of_kind(&lines, "packet").filter(|packet| packet["rtt_ns"].is_u64()).count() as u64;
    let counted = calls.iter().map(|call| call["request"]["rtt"]["samples"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(samples, counted);
    let delayed = of_kind(&lines, "packet").filter(|packet| packet["ack"]["reason"] == "DELAY");
    let delayed: Vec<_> = delayed.collect();
    assert!(!delayed.is_empty() && delayed.iter().all(|packet| packet["rtt_ns"].is_null()));
}

#[test]
fn pings_are_round_trips_of_their_sender() {
    let lines = json(&[&testdata("oafs-null-long-call-keepalive")]);
    let call = of_kind(&lines, "call").next().unwrap();
    assert_eq!((&call["request"]["rtt"], &call["reply"]["rtt"]["samples"]), (&Value::Null, &3.into()));
}

#[test]
fn one_call_is_chosen_by_ordinal_or_by_id() {
    let file = testdata("oafs-null-loss3pct-send-200k");
    let frames = |call: &str| {
        let lines = json(&[&file, "--call", call]);
        let calls: Vec<_> = of_kind(&lines, "call").map(|call| call["call"].as_u64().unwrap()).collect();
        (of_kind(&lines, "packet").count(), calls)
    };
    let (first, second) = (frames("1"), frames("2"));
    assert_eq!((first.1, second.1, first.0 + second.0), (vec![1], vec![2], 385));
    // Both sides of the proxy have the same id.
    assert_eq!(frames("7634f0fc:1"), (385, vec![1, 2]));
}

#[test]
fn the_handshake_is_shown_with_the_call_it_is_for() {
    let lines = json(&[&testdata("oafs-rxkad-des-auth"), "--call", "2"]);
    let types: Vec<_> = of_kind(&lines, "packet").map(|packet| packet["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["DATA", "CHALLENGE", "RESPONSE", "DATA", "ACK"]);
}

#[test]
fn a_port_forces_and_restricts() {
    let file = testdata("oafs-null-loss3pct-send-200k");
    let frames = |ports: &[&str]| {
        let ports: Vec<_> = ports.iter().flat_map(|port| ["--port", port]).collect();
        let lines = json(&[&[file.as_str()], &ports[..]].concat());
        (of_kind(&lines, "packet").count(), lines.last().unwrap()["other_datagrams"].as_u64().unwrap())
    };
    let (front, back) = (frames(&["7039"]), frames(&["7009"]));
    assert_eq!((front.0 + back.0, front.1), (385, back.0 as u64));
    assert_eq!(frames(&["7009", "7039"]), (385, 0));
}

#[test]
fn what_cannot_be_done_is_said_with_code_1() {
    let file = testdata("oafs-null-small");
    let questions = testdata("oafs-afs-rxdebug-fileserver");
    let cut = Scratch::new("cut.pcap");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&cut.0, &whole[..whole.len() - 1]).unwrap();
    let other = Scratch::new("other.txt");
    std::fs::write(&other.0, "not a capture").unwrap();
    for (args, said) in [
        (&["/nonexistent.pcap"][..], "/nonexistent.pcap: No such file or directory (os error 2)"),
        (&[other.path()], &format!("{}: neither a pcap nor a pcapng file", other.path())),
        (
            &[cut.path()],
            &format!("{}: read up to frame 11: it is cut short, or a length in it is wrong", cut.path()),
        ),
        (&[&file, "--call", "9"], &format!("{file}: no call 9 among its 4 calls")),
        (
            &[&file, "--port", "9"],
            &format!(
                "{file}: no Rx packet in it (12 frames, 0 Rx packets, 12 other UDP datagrams); \
                 --port N takes a port for Rx"
            ),
        ),
        (
            &[&file, "--plot", "/nonexistent/plot.svg"],
            "cannot write /nonexistent/plot.svg: No such file or directory (os error 2)",
        ),
        (&[&questions, "--plot", "/nonexistent/plot.svg"], &format!("{questions}: no call in it to draw")),
    ] {
        let (code, _, err) = run(args);
        assert_eq!((code, err), (Some(1), format!("rxrpc: {said}\n")), "{args:?}");
    }
    // What can be read of a damaged file is shown all the same.
    assert_eq!(run(&[cut.path()]).1.lines().filter(|line| line.contains("127.0.0.1:7009 ")).count(), 11 + 4);
}

#[test]
fn usage_errors_have_code_2() {
    let file = testdata("oafs-null-small");
    for args in [&[][..], &[&file, "--port", "70000"], &[&file, "--call", "0"], &[&file, "--call", "zz:1"]] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.starts_with("error: "), "{err}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command(&[&testdata("oafs-afs-fs-fetch-300k")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output), (Some(0), String::new(), String::new()));
}

#[test]
fn a_plot_is_whole_even_if_nobody_reads_the_lines() {
    let (read, unread) = (Scratch::new("read.svg"), Scratch::new("unread.svg"));
    let file = testdata("oafs-afs-fs-fetch-300k");
    ok(&[&file, "--plot", read.path()]);
    let mut child = command(&[&file, "--plot", unread.path()]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read(&read.0).unwrap(), std::fs::read(&unread.0).unwrap());
}

#[test]
fn standard_input_is_as_good_as_a_file() {
    let file = testdata("oafs-null-small");
    let mut child = command(&["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&std::fs::read(&file).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output), (Some(0), ok(&[&file]), String::new()));
}

#[test]
fn colours_are_for_terminals() {
    let file = testdata("oafs-null-abort-app");
    let escapes = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = command(&[&[file.as_str()], args].concat());
        command.envs(variables.iter().copied());
        text(&command.output().unwrap()).1.contains('\x1b')
    };
    assert!(!escapes(&[], &[]));
    assert!(escapes(&[("CLICOLOR_FORCE", "1")], &[]));
    assert!(!escapes(&[("CLICOLOR_FORCE", "1")], &["--json"]));
    assert!(!escapes(&[("NO_COLOR", "1")], &[]));
}

#[test]
fn a_plot_has_every_point_of_the_call() {
    let svg = Scratch::new("plot.svg");
    ok(&[&testdata("oafs-null-loss3pct-send-200k"), "--plot", svg.path()]);
    let text = std::fs::read_to_string(&svg.0).unwrap();
    assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
    for name in [
        "Rx call 7634f0fc:1 to service 147, 127.0.0.1:39273 to 127.0.0.1:7039",
        "request 200020 bytes in 142 packets (14 again)",
        ">DATA of the request<",
        ">retransmission<",
        ">hard ACK<",
        ">soft ACK<",
        ">window<",
        ">sequence number (packets)<",
        ">milliseconds since the first packet of the call<",
        ">pause of 389.1 ms<",
    ] {
        assert!(text.contains(name), "{name}");
    }
    // Of the two diagrams the second has room for all points.
    let dots = |colour: &str| {
        let paths = text.lines().filter(|line| line.contains("linecap") && line.contains(colour));
        paths.map(|line| line.matches('M').count()).max().unwrap()
    };
    assert_eq!((dots("#1f5fbf"), dots("#d62728")), (142, 14));
    let opened =
        text.matches("<g ").count() + text.matches("<text ").count() + text.matches("<clipPath ").count();
    let closed =
        ["</g>", "</text>", "</clipPath>"].iter().map(|tag| text.matches(tag).count()).sum::<usize>();
    assert_eq!(opened, closed);
}
