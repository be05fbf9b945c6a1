//! What the tests have: the command with a guard against hangs, its server, and reports to check.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Nothing here takes this long unless it hangs.
const HANG: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The output of a run that went well.
    pub(crate) fn well(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// What a run said that ended with this code and gave no result.
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{}", self.err);
        self.err
    }
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rxrpc"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// Run `rxrpc` with these arguments to its end.
pub(crate) async fn rxrpc(args: &[&str]) -> Ended {
    ended(command(args)).await
}

/// Run to its end what may have been given an output of its own.
pub(crate) async fn ended(mut command: Command) -> Ended {
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let output = timeout(HANG, child.wait_with_output()).await.expect("the command hangs").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// `rxrpc perf server` at a port of its own. It ends with the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) addr: SocketAddr,
}

impl Server {
    pub(crate) async fn start(bind: &str) -> Self {
        let mut child =
            command(&["perf", "server", "--bind", bind, "-p", "0"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        timeout(HANG, out.read_line(&mut line)).await.expect("the server hangs").unwrap();
        let addr = line.trim_end().strip_prefix("serving the rxperf protocol at ").expect("another line");
        Server { child, addr: addr.parse().unwrap() }
    }

    /// `rxrpc perf client` with this server.
    pub(crate) async fn client(&self, args: &[&str]) -> Ended {
        client(self.addr, args).await
    }
}

/// `rxrpc perf client` with the server at this address.
pub(crate) async fn client(addr: SocketAddr, args: &[&str]) -> Ended {
    rxrpc(&[&["perf", "client", "-s", &addr.to_string()], args].concat()).await
}

/// A socket at a port of its own, for a peer that is not one of ours.
pub(crate) async fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// An address where nothing listens.
pub(crate) async fn nowhere() -> SocketAddr {
    socket().await.1
}

/// Checks that a JSON array has one object a case, each with all fields, as numbers that can be.
pub(crate) fn check_reports(json: &str, cases: &[(&str, u64)]) {
    let reports: Value = serde_json::from_str(json).unwrap();
    let reports = reports.as_array().unwrap();
    assert_eq!(reports.len(), cases.len());
    for (report, (case, concurrency)) in reports.iter().zip(cases) {
        assert_eq!((&report["case"], &report["concurrency"]), (&(*case).into(), &(*concurrency).into()));
        assert_eq!(report.as_object().unwrap().len(), 8, "{report}");
        let number = |field: &str| report[field].as_f64().unwrap_or_else(|| panic!("{field}: {report}"));
        for field in ["mb_per_s", "calls_per_s", "p50_us", "p99_us"] {
            assert!(number(field) > 0.0, "{case} {concurrency} {field}: {report}");
        }
        assert!(number("p50_us") <= number("p99_us"), "{report}");
        // The system may count CPU time in steps larger than a short run.
        for field in ["cpu_s_per_gb", "cpu_us_per_call"] {
            assert!(number(field) >= 0.0, "{case} {concurrency} {field}: {report}");
        }
    }
}
