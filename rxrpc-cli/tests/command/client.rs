//! `rxrpc perf client`: with our server, and with servers that misbehave.

use std::net::SocketAddr;

use rxrpc_tokio::{AbortCode, Call, Endpoint, Incoming, ServiceOptions, bind};

use crate::rig::{self, Server, check_reports, nowhere, rxrpc, socket};

const SERVICE: u16 = 147;
const RPC: [&str; 6] = ["-c", "rpc", "-T", "3", "-t", "2"];

#[tokio::test]
async fn prints_the_line_of_rxperf() {
    let server = Server::start("127.0.0.1").await;
    for (args, label) in [
        (["-c", "send", "-b", "5000", "-T", "3"], "SEND: threads\t1, times\t3, bytes\t5000:\t"),
        (["-c", "RECV", "-b", "50000", "-t", "2"], "RECV: threads\t2, times\t100, bytes\t50000:\t"),
        (
            ["-c", "rpc", "-S", "7", "-R", "9"],
            "RPC: threads\t1, times\t100, write bytes\t7, read bytes\t9:\t",
        ),
    ] {
        let out = server.client(&args).await.well();
        let rest = out.strip_prefix(label).unwrap_or_else(|| panic!("{out}"));
        let (msec, rate) = rest.split_once(" msec\t[").unwrap();
        assert!(msec.len() == 8 && msec.trim().parse::<u64>().is_ok(), "{out}");
        let (rate, unit) = rate.split_once(' ').unwrap();
        assert!(rate.parse::<f64>().unwrap() > 0.0, "{out}");
        assert!(["Gbit/s]\n", "Mbit/s]\n", "kbit/s]\n"].contains(&unit), "{out}");
    }
}

#[tokio::test]
async fn the_defaults_are_those_of_rxperf() {
    let server = Server::start("127.0.0.1").await;
    let out = server.client(&["-c", "rpc"]).await.well();
    assert!(out.starts_with("RPC: threads\t1, times\t100, write bytes\t3, read bytes\t30:\t"), "{out}");
    let out = server.client(&["-c", "send", "-T", "2"]).await.well();
    assert!(out.starts_with("SEND: threads\t1, times\t2, bytes\t1048576:\t"), "{out}");
}

#[tokio::test]
async fn every_operation_works_with_and_without_the_cookie_after_the_request() {
    let server = Server::start("127.0.0.1").await;
    for case in ["send", "recv", "rpc"] {
        for cookie in [&[][..], &["--request-cookie"]] {
            let args = [&["-c", case, "-b", "100000", "-T", "5", "-t", "4", "--json"], cookie].concat();
            check_reports(&server.client(&args).await.well(), &[(case, 4)]);
        }
    }
}

#[tokio::test]
async fn sizes_may_be_nothing_and_both_sides_of_what_is_written_whole() {
    let server = Server::start("127.0.0.1").await;
    for bytes in ["0", "1", "32768", "32769", "3000000"] {
        for case in ["send", "recv"] {
            server.client(&["-c", case, "-b", bytes, "-T", "2", "--request-cookie"]).await.well();
        }
        server.client(&["-c", "rpc", "-S", bytes, "-R", bytes, "-T", "2"]).await.well();
    }
}

#[tokio::test]
async fn more_calls_at_a_time_than_connections_carry_wait_for_one_another() {
    let server = Server::start("127.0.0.1").await;
    let out = server.client(&["-c", "rpc", "-t", "500", "-T", "2", "--json"]).await.well();
    check_reports(&out, &[("rpc", 500)]);
}

#[tokio::test]
async fn works_over_ipv6_and_by_name() {
    let server = Server::start("::1").await;
    server.client(&RPC).await.well();
    let port = server.addr.port().to_string();
    for host in ["::1", "[::1]"] {
        rxrpc(&[&["perf", "client", "-s", host, "-p", &port][..], &RPC].concat()).await.well();
    }
    let server = Server::start("127.0.0.1").await;
    let port = server.addr.port().to_string();
    rxrpc(&[&["perf", "client", "-s", "localhost", "-p", &port][..], &RPC].concat()).await.well();
}

#[tokio::test]
async fn a_closed_port_is_exit_code_1_by_the_networks_word() {
    let gone = nowhere().await;
    let err = rig::client(gone, &RPC).await.failed(1);
    let told = "nothing listens at its port: is the server running, and the port right?";
    assert_eq!(err, format!("rxrpc: {gone}: {told}\n"));
}

#[tokio::test]
async fn a_silent_server_is_exit_code_1_after_the_time_out() {
    let (_silent, addr) = socket().await;
    let err = rig::client(addr, &[&RPC[..], &["--timeout", "0.3"]].concat()).await.failed(1);
    assert_eq!(err, format!("rxrpc: {addr}: the call took longer than it may: --timeout allows more\n"));
}

/// A server that does `what` with each call.
fn serve<F>(what: impl Fn(Incoming) -> F + Send + 'static) -> (Endpoint, SocketAddr)
where
    F: Future<Output = ()> + Send + 'static,
{
    let endpoint = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut listener = endpoint.listen(SERVICE, ServiceOptions::default()).unwrap();
    tokio::spawn(async move {
        while let Some(incoming) = listener.accept().await {
            tokio::spawn(what(incoming));
        }
    });
    let addr = endpoint.local_addr().unwrap();
    (endpoint, addr)
}

async fn taken(incoming: Incoming) -> Call {
    let mut call = incoming.accept().unwrap();
    call.read_to_end(1_000_000).await.unwrap();
    call
}

#[tokio::test]
async fn a_server_of_another_version_is_exit_code_3_with_code_and_name() {
    let (_server, addr) = serve(|incoming| async move {
        incoming.reject(AbortCode::RX_CALL_DEAD).unwrap();
    });
    let err = rig::client(addr, &RPC).await.failed(3);
    assert_eq!(err, format!("rxrpc: {addr}: the peer aborted the call with code -1 (RX_CALL_DEAD)\n"));
}

#[tokio::test]
async fn an_abort_in_the_middle_of_a_large_request_is_exit_code_3() {
    let (_server, addr) = serve(|incoming| async move {
        let mut call = incoming.accept().unwrap();
        let _ = call.read_chunk(1_000).await;
        call.abort(AbortCode(7));
    });
    let err = rig::client(addr, &["-c", "send", "-b", "50000000", "-T", "1"]).await.failed(3);
    assert!(err.starts_with(&format!("rxrpc: {addr}: the peer aborted the call with code 7")), "{err}");
}

#[tokio::test]
async fn a_reply_that_is_not_rxperfs_is_exit_code_1() {
    let right = [&[0; 30][..], &0x4711_u32.to_be_bytes()].concat();
    let (short, long) = (right[..33].to_vec(), [&right[..], &[0]].concat());
    for reply in [Vec::new(), short, long, vec![0; 34]] {
        let (_server, addr) = serve(move |incoming| {
            let reply = reply.clone();
            async move {
                let mut call = taken(incoming).await;
                call.write_all(&reply).await.unwrap();
                call.finish().unwrap();
                let _ = call.outcome().await;
            }
        });
        let err = rig::client(addr, &RPC).await.failed(1);
        let told = "the reply is not what was asked for: is it an rxperf server?";
        assert_eq!(err, format!("rxrpc: {addr}: {told}\n"));
    }
}

#[tokio::test]
async fn a_server_that_never_replies_is_exit_code_1_after_the_time_out() {
    let (_server, addr) = serve(|incoming| async move {
        let _call = taken(incoming).await;
        std::future::pending().await
    });
    let err = rig::client(addr, &[&RPC[..], &["--timeout", "0.5"]].concat()).await.failed(1);
    assert!(err.ends_with("--timeout allows more\n"), "{err}");
}

#[tokio::test]
async fn a_busy_server_is_exit_code_1() {
    let (_server, addr) = serve(|incoming| async move { incoming.reject_busy().unwrap() });
    let err = rig::client(addr, &RPC).await.failed(1);
    assert_eq!(err, format!("rxrpc: {addr}: the server is busy; try again later\n"));
}
