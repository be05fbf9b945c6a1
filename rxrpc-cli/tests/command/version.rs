//! `rxrpc version`.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rig::{Server, nowhere, rxrpc, socket};

const OURS: &str = concat!("rxrpc ", env!("CARGO_PKG_VERSION"));

#[tokio::test]
async fn prints_what_a_peer_says_and_how_far_away_it_is() {
    let server = Server::start("127.0.0.1").await;
    let addr = server.addr.to_string();
    let out = rxrpc(&["version", &addr]).await.well();
    let rest = out.strip_prefix(&format!("{addr}  {OURS}  ")).unwrap_or_else(|| panic!("{out}"));
    assert!(rest.strip_suffix(" ms\n").is_some_and(|ms| ms.parse::<f64>().is_ok()), "{out}");
}

#[tokio::test]
async fn json_has_address_version_and_round_trip_over_both_families() {
    for bind in ["127.0.0.1", "::1"] {
        let server = Server::start(bind).await;
        let addr = server.addr.to_string();
        let out = rxrpc(&["version", &addr, "--json"]).await.well();
        let answer: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(answer.as_object().unwrap().len(), 3);
        assert_eq!((&answer["address"], &answer["version"]), (&addr.into(), &OURS.into()));
        assert!(answer["rtt_us"].is_u64(), "{out}");
    }
}

#[tokio::test]
async fn asks_again_when_a_question_is_lost() {
    let (peer, addr) = socket().await;
    let answering = tokio::spawn(async move {
        let mut packet = [0; 2_000];
        peer.recv_from(&mut packet).await.unwrap();
        let (len, from) = peer.recv_from(&mut packet).await.unwrap();
        assert!(len > 28, "{len}");
        let mut answer = packet[..28].to_vec();
        // Not by a client.
        answer[21] = 0;
        answer.extend_from_slice(b"a peer\x1b[2J\0rest");
        peer.send_to(&answer, from).await.unwrap();
    });
    let out = rxrpc(&["version", &addr.to_string(), "--timeout", "60"]).await.well();
    assert!(out.starts_with(&format!("{addr}  a peer.[2J  ")), "{out}");
    answering.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_exit_code_1_after_the_time_out() {
    let (_silent, addr) = socket().await;
    let begun = Instant::now();
    let err = rxrpc(&["version", &addr.to_string(), "--timeout", "0.4"]).await.failed(1);
    assert!(begun.elapsed() >= Duration::from_millis(400));
    let told = "no answer within 0.4 s: is the address right, and does every firewall let UDP through?";
    assert_eq!(err, format!("rxrpc: {addr}: {told}\n"));
}

#[tokio::test]
async fn packets_that_are_no_answer_are_none() {
    let (peer, addr) = socket().await;
    tokio::spawn(async move {
        let mut packet = [0; 2_000];
        loop {
            let (_, from) = peer.recv_from(&mut packet).await.unwrap();
            // Not by a client, and of a number that was not asked: the lowest three bits count the questions.
            (packet[21], packet[11]) = (0, packet[11] ^ 8);
            peer.send_to(&packet[..40], from).await.unwrap();
            peer.send_to(&packet[..27], from).await.unwrap();
            peer.send_to(&[255; 100], from).await.unwrap();
        }
    });
    let err = rxrpc(&["version", &addr.to_string(), "--timeout", "0.4"]).await.failed(1);
    assert!(err.contains("no answer within 0.4 s"), "{err}");
}

#[tokio::test]
async fn a_closed_port_is_exit_code_1_long_before_the_time_out() {
    let gone = nowhere().await;
    let err = rxrpc(&["version", &gone.to_string(), "--timeout", "3600"]).await.failed(1);
    let told = "nothing listens at its port: is the server running, and the port right?";
    assert_eq!(err, format!("rxrpc: {gone}: {told}\n"));
}

#[tokio::test]
async fn a_name_that_cannot_be_found_is_exit_code_1() {
    let err = rxrpc(&["version", "no-such-host.invalid", "--timeout", "5"]).await.failed(1);
    assert!(err.starts_with("rxrpc: cannot find host 'no-such-host.invalid': "), "{err}");
}
