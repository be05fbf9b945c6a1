//! `rxrpc perf server`: what it answers to each request, right and wrong, and what strangers cannot make it do.

use std::time::Duration;

use rxrpc_tokio::{
    AbortCode, Builder, Bytes, CallError, CallOptions, Endpoint, Target, UnaryError, bind_any,
};
use tokio::time::timeout;

use crate::rig::{Server, command, rxrpc};

const SERVICE: u16 = 147;
const COOKIE: u32 = 0x4711;
const CHUNK: u32 = 512 * 1024;
const LONG: Duration = Duration::from_secs(60);

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// What the server answers to these words.
async fn answer(endpoint: &Endpoint, server: &Server, request: &[u32]) -> Result<Bytes, UnaryError> {
    let call = endpoint.call_unary(Target::new(server.addr, SERVICE), words(request), 1 << 20);
    timeout(LONG, call).await.expect("no answer")
}

#[tokio::test]
async fn answers_each_operation_with_the_bytes_asked_for_and_the_cookie() {
    let (server, endpoint) = (Server::start("127.0.0.1").await, bind_any().unwrap());
    for (request, reply) in [
        (&[3, 0, CHUNK, CHUNK, 0][..], 0),
        (&[3, 0, CHUNK, CHUNK, 8, 1, 2], 0),
        (&[3, 0, 1, 1, 8, 1, 2, COOKIE], 0),
        (&[3, 1, CHUNK, CHUNK, 0], 0),
        (&[3, 1, CHUNK, CHUNK, 10_000], 10_000),
        (&[3, 1, CHUNK, CHUNK, 5, COOKIE], 5),
        (&[3, 3, CHUNK, CHUNK, 4, 4, 0], 4),
        (&[3, 3, CHUNK, CHUNK, 0, 3, COOKIE], 3),
    ] {
        let right = [vec![0; reply], words(&[COOKIE])].concat();
        assert_eq!(answer(&endpoint, &server, request).await, Ok(right.into()), "{request:?}");
    }
}

#[tokio::test]
async fn aborts_what_it_cannot_serve_with_the_code_that_says_why() {
    let (server, endpoint) = (Server::start("127.0.0.1").await, bind_any().unwrap());
    let (version, opcode, short) =
        (AbortCode::RX_CALL_DEAD, AbortCode::RXGEN_OPCODE, AbortCode::RXGEN_SS_UNMARSHAL);
    for (request, code) in [
        (&[2, 0, CHUNK, CHUNK, 0][..], version),
        (&[4], version),
        (&[3, 2, CHUNK, CHUNK, 0], opcode),
        // FILE.
        (&[3, 4, CHUNK, CHUNK, 1, 0], opcode),
        (&[3, u32::MAX], opcode),
        (&[], short),
        (&[3], short),
        (&[3, 0, CHUNK, CHUNK], short),
        (&[3, 3, CHUNK, CHUNK, 0], short),
        (&[3, 0, CHUNK, CHUNK, 9, 1, 2], short),
        (&[3, 0, CHUNK, CHUNK, u32::MAX], short),
        // More than it says, and not by the cookie.
        (&[3, 0, CHUNK, CHUNK, 4, 1, 2], short),
        (&[3, 1, CHUNK, CHUNK, 4, COOKIE, COOKIE], short),
        (&[3, 1, 0, CHUNK, 4], short),
        (&[3, 1, CHUNK, CHUNK + 1, 4], short),
    ] {
        let refused = Err(UnaryError::Call(CallError::RemoteAbort(code)));
        assert_eq!(answer(&endpoint, &server, request).await, refused, "{request:?}");
    }
    assert!(answer(&endpoint, &server, &[3, 3, CHUNK, CHUNK, 0, 0]).await.is_ok());
}

#[tokio::test]
async fn a_request_that_ends_within_a_word_is_short() {
    let (server, endpoint) = (Server::start("127.0.0.1").await, bind_any().unwrap());
    let target = Target::new(server.addr, SERVICE);
    let reply = timeout(LONG, endpoint.call_unary(target, &[0, 0, 0][..], 100)).await.unwrap();
    assert_eq!(reply, Err(UnaryError::Call(CallError::RemoteAbort(AbortCode::RXGEN_SS_UNMARSHAL))));
}

/// The most memory a process has used, in KiB.
#[cfg(target_os = "linux")]
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn sizes_that_strangers_ask_for_cost_no_memory() {
    let (server, endpoint) = (Server::start("127.0.0.1").await, bind_any().unwrap());
    let mut calls = Vec::new();
    for request in [[3, 1, CHUNK, CHUNK, u32::MAX], [3, 0, CHUNK, CHUNK, u32::MAX]] {
        for _ in 0..8 {
            let mut call = endpoint.call(Target::new(server.addr, SERVICE), CallOptions::default()).unwrap();
            call.write_all(&words(&request)).await.unwrap();
            if request[1] == 1 {
                call.finish().unwrap();
                let mut some = vec![0; 1_000_000];
                timeout(LONG, call.read_exact(&mut some, true)).await.expect("no reply").unwrap();
            } else {
                timeout(LONG, call.write_bytes(vec![0; 3_000_000].into())).await.expect("blocked").unwrap();
            }
            calls.push(call);
        }
    }
    let mib = peak_memory(server.child.id().unwrap()) / 1024;
    assert!(mib < 256, "{mib} MiB");
}

#[tokio::test]
async fn calls_beyond_those_it_serves_at_once_wait_their_turn() {
    let server = Server::start("127.0.0.1").await;
    let many = Builder::new().configure(|config| config.limits.connections_per_bundle = 300);
    let endpoint = many.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    assert!(answer(&endpoint, &server, &[3, 3, CHUNK, CHUNK, 0, 0]).await.is_ok());
    let mut held = Vec::new();
    for _ in 0..1_024 {
        let mut call = endpoint.call(Target::new(server.addr, SERVICE), CallOptions::default()).unwrap();
        call.write_all(&words(&[3, 0, CHUNK, CHUNK, 4])).await.unwrap();
        call.flush();
        held.push(call);
    }
    // A few may come before the last of those that hold a place; then one waits.
    let (one_more, a_while) = ([3, 3, CHUNK, CHUNK, 0, 0], Duration::from_millis(500));
    let mut served = 0;
    while timeout(a_while, answer(&endpoint, &server, &one_more)).await.is_ok() {
        served += 1;
        assert!(served < 1_000, "none waits");
    }
    for call in &mut held {
        call.write_all(&[0; 4]).await.unwrap();
        call.finish().unwrap();
    }
    assert!(answer(&endpoint, &server, &one_more).await.is_ok());
    for call in &mut held {
        let reply = timeout(LONG, call.read_to_end(100)).await.expect("no reply").unwrap();
        assert_eq!(reply, words(&[COOKIE]));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn an_interrupt_ends_it_well_and_its_clients_are_told() {
    let (server, endpoint) = (Server::start("127.0.0.1").await, bind_any().unwrap());
    assert!(answer(&endpoint, &server, &[3, 3, CHUNK, CHUNK, 0, 0]).await.is_ok());
    let mut call = endpoint.call(Target::new(server.addr, SERVICE), CallOptions::default()).unwrap();
    call.write_all(&words(&[3, 1, CHUNK, CHUNK, u32::MAX])).await.unwrap();
    call.finish().unwrap();
    call.read_chunk(1).await.unwrap();
    let pid = server.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = timeout(LONG, server.child.wait_with_output()).await.expect("it goes on").unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    let outcome = timeout(LONG, call.outcome()).await.expect("the client was told nothing");
    assert!(matches!(outcome, Err(CallError::RemoteAbort(_) | CallError::Network(_))), "{outcome:?}");
}

#[tokio::test]
async fn serves_both_families_unless_told_an_address() {
    let mut child = command(&["perf", "server", "-p", "0"]).spawn().unwrap();
    let mut line = String::new();
    let mut out = tokio::io::BufReader::new(child.stdout.take().unwrap());
    tokio::io::AsyncBufReadExt::read_line(&mut out, &mut line).await.unwrap();
    let port = line.trim_end().rsplit(':').next().unwrap().to_string();
    let hosts: &[&str] = if line.contains("[::]") { &["127.0.0.1", "::1"] } else { &["127.0.0.1"] };
    for host in hosts {
        rxrpc(&["perf", "client", "-c", "rpc", "-T", "3", "-s", host, "-p", &port]).await.well();
    }
}

#[tokio::test]
async fn a_port_that_is_taken_and_an_address_of_another_host_are_exit_code_1() {
    let server = Server::start("127.0.0.1").await;
    let port = server.addr.port().to_string();
    for args in [&["--bind", "127.0.0.1"][..], &[]] {
        let err = rxrpc(&[&["perf", "server", "-p", &port], args].concat()).await.failed(1);
        assert!(
            err.starts_with("rxrpc: cannot serve at ") && err.ends_with("; -p 0 takes a free port\n"),
            "{err}"
        );
    }
    let err = rxrpc(&["perf", "server", "--bind", "192.0.2.1", "-p", "0"]).await.failed(1);
    assert!(err.starts_with("rxrpc: cannot serve at 192.0.2.1 port 0: "), "{err}");
}
