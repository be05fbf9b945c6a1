//! The command as people run it.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Output, Stdio};

fn rxrpc(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rxrpc")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), utf8(&output.stdout), utf8(&output.stderr))
}

/// `rxrpc perf server` on a port of its own; ends with the test.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    fn start(bind: &str) -> Self {
        let any = UdpSocket::bind((bind, 0)).unwrap();
        let port = any.local_addr().unwrap().port().to_string();
        drop(any);
        let mut child = Command::new(env!("CARGO_BIN_EXE_rxrpc"))
            .args(["perf", "server", "--bind", bind, "-p", &port])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("serving the rxperf protocol at "), "{line}");
        Server { child, port }
    }

    fn client(&self, args: &[&str]) -> (Option<i32>, String, String) {
        text(&rxrpc(&[&["perf", "client", "-p", &self.port], args].concat()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Checks that a JSON array has one object a case, each with all fields as numbers above 0.
fn check_reports(json: &str, cases: &[(&str, u64)]) {
    let reports: serde_json::Value = serde_json::from_str(json).unwrap();
    let reports = reports.as_array().unwrap();
    assert_eq!(reports.len(), cases.len());
    for (report, (case, concurrency)) in reports.iter().zip(cases) {
        assert_eq!((&report["case"], &report["concurrency"]), (&(*case).into(), &(*concurrency).into()));
        assert_eq!(report.as_object().unwrap().len(), 8);
        for field in ["mb_per_s", "calls_per_s", "p50_us", "p99_us"] {
            assert!(report[field].as_f64().unwrap() > 0.0, "{case} {concurrency} {field}: {report}");
        }
        for field in ["cpu_s_per_gb", "cpu_us_per_call"] {
            assert!(report[field].as_f64().unwrap() >= 0.0, "{case} {concurrency} {field}: {report}");
        }
    }
}

#[test]
fn perf_without_arguments_measures_every_case_at_every_concurrency() {
    let (code, out, err) = text(&rxrpc(&["perf", "--json", "--quick"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let cases = ["send", "recv", "rpc"].map(|case| [1, 16, 100].map(|n| (case, n))).concat();
    check_reports(&out, &cases);
}

#[test]
fn perf_client_prints_the_line_of_rxperf() {
    let server = Server::start("127.0.0.1");
    for (args, label) in [
        (["-c", "send", "-b", "5000", "-T", "3"], "SEND: threads\t1, times\t3, bytes\t5000:\t"),
        (["-c", "RECV", "-b", "5000", "-T", "3"], "RECV: threads\t1, times\t3, bytes\t5000:\t"),
        (
            ["-c", "rpc", "-S", "7", "-R", "9"],
            "RPC: threads\t1, times\t100, write bytes\t7, read bytes\t9:\t",
        ),
    ] {
        let (code, out, err) = server.client(&args);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let rest = out.strip_prefix(label).unwrap_or_else(|| panic!("{out}"));
        let (msec, rate) = rest.split_once(" msec\t[").unwrap();
        assert!(msec.len() == 8 && msec.trim().parse::<u64>().is_ok(), "{out}");
        assert!(rate.ends_with("bit/s]\n"), "{out}");
    }
}

#[test]
fn perf_client_reports_as_json_and_may_end_its_requests_with_the_cookie() {
    let server = Server::start("127.0.0.1");
    let (code, out, _) = server.client(&["-c", "rpc", "-T", "20", "-t", "4", "--request-cookie", "--json"]);
    assert_eq!(code, Some(0));
    check_reports(&out, &[("rpc", 4)]);
    let (code, _, err) = server.client(&["-c", "send", "-b", "100000", "-T", "2", "--request-cookie"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[test]
fn perf_and_version_work_over_ipv6() {
    let server = Server::start("::1");
    let (code, _, err) = server.client(&["-c", "rpc", "-T", "3", "-s", "::1"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let (code, out, _) = text(&rxrpc(&["version", &format!("[::1]:{}", server.port), "--json"]));
    assert_eq!(code, Some(0));
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["address"], format!("[::1]:{}", server.port));
    assert_eq!(answer["version"], concat!("rxrpc ", env!("CARGO_PKG_VERSION")));
    assert!(answer["rtt_us"].as_u64().is_some());
}

#[test]
fn a_peer_that_says_nothing_is_exit_code_1_after_the_time_out() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let (code, out, err) = text(&rxrpc(&["version", &address, "--timeout", "0.4"]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, format!("rxrpc: no answer from {address} within 0.4 s\n"));
}

#[test]
fn a_closed_port_is_exit_code_1_by_the_networks_word() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, _, err) = text(&rxrpc(&["version", &gone.to_string(), "--timeout", "60"]));
    assert_eq!((code, err), (Some(1), format!("rxrpc: {gone}: nothing listens at its port\n")));
    let port = gone.port().to_string();
    let (code, _, err) = text(&rxrpc(&["perf", "client", "-c", "rpc", "-p", &port]));
    assert_eq!(code, Some(1));
    assert_eq!(err, "rxrpc: the peer cannot be reached: nothing listens at its port\n");
}

#[test]
fn a_remote_abort_is_exit_code_3_with_its_code_and_name() {
    let server = Server::start("127.0.0.1");
    // The server takes no chunks above 512 KiB.
    let (code, _, err) = server.client(&["-c", "rpc", "-r", "1000000"]);
    assert_eq!(code, Some(3));
    assert_eq!(err, "rxrpc: the peer aborted the call with code -453 (RXGEN_SS_UNMARSHAL)\n");
}

#[test]
fn usage_errors_are_exit_code_2() {
    for args in [
        &["perf", "client"][..],
        &["perf", "client", "-c", "file"],
        &["perf", "client", "-c", "rpc", "-t", "0"],
        &["version"],
        &["version", "host:0"],
        &["version", "127.0.0.1", "--timeout", "-1"],
        &["nonsense"],
    ] {
        assert_eq!(rxrpc(args).status.code(), Some(2), "{args:?}");
    }
    assert_eq!(rxrpc(&["--help"]).status.code(), Some(0));
}
