//! VERSION: answering, asking, and what the network says about a peer.

mod harness;

use std::net::SocketAddr;
use std::time::Duration;

use harness::solo::{Hand, Solo};
use harness::{CLIENT, Pair, SERVER, client_addr, ms, server_addr};
use rxrpc_proto::wire::{
    Flags, Header, Malformed, PacketType, VERSION_LEN, emit_keepalive, emit_version_reply,
    emit_version_request,
};
use rxrpc_proto::{CallError, Event, Fault, NetworkError, VersionError, VersionId};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A question with this number.
fn question(number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    emit_version_request(number, &mut out);
    out
}

/// The answer to a question.
fn answer(question: &Header, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    emit_version_reply(question, text, &mut out);
    out
}

/// An endpoint that has asked the server.
fn asking(timeout: Duration) -> (Solo, VersionId) {
    let mut solo = Solo::new(|_| {});
    let id = solo.end.ask_version(server_addr(), timeout).unwrap();
    solo.pump();
    (solo, id)
}

fn told(solo: &Solo) -> Vec<VersionId> {
    solo.events.iter().filter_map(|e| if let Event::Version(id) = e { Some(*id) } else { None }).collect()
}

#[test]
fn a_question_is_answered_with_65_bytes_that_name_the_software() {
    let mut solo = Solo::server(|c| c.version_text = "rxrpc test 1".into());
    solo.hear(client_addr(), &question(101));
    let sent = solo.take().remove(0);
    assert_eq!((sent.to, sent.bytes.len()), (client_addr(), 28 + VERSION_LEN));
    let header = &sent.header;
    assert_eq!((header.epoch, header.cid, header.call_number, header.service_id), (999, 0, 101, 0));
    assert_eq!((header.packet_type, header.flags), (PacketType::Version, Flags::LAST_PACKET));
    assert_eq!((header.seq, header.serial, header.security_index), (0, 0, 0));
    assert_eq!(&sent.bytes[28..40], b"rxrpc test 1");
    assert!(sent.bytes[40..].iter().all(|b| *b == 0));
    assert_eq!((solo.end.stats().peers, solo.end.stats().connections), (0, 0), "nothing is remembered");
}

#[test]
fn a_long_text_is_cut_so_that_a_zero_ends_it() {
    let mut solo = Solo::server(|c| c.version_text = "x".repeat(200).into());
    solo.hear(client_addr(), &question(1));
    let sent = solo.take().remove(0);
    assert_eq!(sent.bytes.len(), 28 + 65);
    assert_eq!((sent.bytes[28 + 63], sent.bytes[28 + 64]), (b'x', 0));
}

#[test]
fn answers_and_keepalives_are_not_answered() {
    let mut solo = Solo::server(|_| {});
    let mut keepalive = Vec::new();
    emit_keepalive(7, &mut keepalive);
    let header = Header::parse(&question(1)).unwrap().0;
    for bytes in [keepalive, answer(&header, "x")] {
        solo.hear(client_addr(), &bytes);
    }
    assert_eq!(solo.take().len(), 0);
    assert_eq!(solo.end.stats().fault(Fault::Malformed(Malformed::VersionNotRequest)), 2);
}

#[test]
fn two_endpoints_ask_each_other() {
    let mut pair = Pair::new();
    let id = pair.ends[CLIENT].ask_version(server_addr(), secs(5)).unwrap();
    let back = pair.ends[SERVER].ask_version(client_addr(), secs(5)).unwrap();
    pair.run_for(ms(10));
    for (side, id) in [(CLIENT, id), (SERVER, back)] {
        assert_eq!(pair.events[side].pop_front(), Some(Event::Version(id)));
        let answer = pair.ends[side].take_version(id).unwrap().unwrap();
        assert!(answer.text.starts_with("rxrpc "), "{}", answer.text);
        assert_eq!(answer.rtt, ms(10));
        assert_eq!(pair.ends[side].take_version(id), None, "taken once");
        assert_eq!(pair.ends[side].poll_timeout(), None);
    }
}

#[test]
fn after_a_jump_of_the_clock_questions_go_out_one_by_one() {
    let (mut solo, _) = asking(secs(20));
    solo.take();
    solo.now += secs(3);
    for _ in 0..5 {
        solo.end.handle_timeout(solo.now);
        solo.pump();
    }
    assert_eq!(solo.take().len(), 1, "though four were due meanwhile");
    assert!(solo.end.poll_timeout().is_some_and(|(at, _)| at == solo.now + ms(250)));
}

#[test]
fn a_question_is_repeated_at_doubling_intervals_until_its_time_is_over() {
    let (mut solo, id) = asking(secs(20));
    let start = solo.now;
    solo.wait(secs(20) - Duration::from_nanos(1));
    assert_eq!((told(&solo), solo.end.take_version(id)), (vec![], None));
    solo.wait(Duration::from_nanos(1));
    let sent = solo.take();
    let times: Vec<Duration> = sent.iter().map(|s| s.at - start).collect();
    assert_eq!(times, [0, 250, 500, 1000, 2000, 4000, 8000, 16_000].map(ms));
    assert!(sent.iter().all(|s| s.to == server_addr() && s.bytes.len() == 29));
    assert!(sent.iter().all(|s| s.header.flags == Flags::CLIENT_INITIATED | Flags::LAST_PACKET));
    let first = sent[0].header.call_number;
    let numbers: Vec<u32> = sent.iter().map(|s| s.header.call_number - first).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7], "an answer tells which it answers");
    assert_eq!(told(&solo), [id]);
    assert_eq!(solo.end.take_version(id), Some(Err(VersionError::NoAnswer)));
}

#[test]
fn a_long_wait_does_not_ask_more_than_eight_times() {
    let (mut solo, id) = asking(secs(3600));
    solo.wait(secs(3600));
    assert_eq!(solo.take().len(), 8);
    assert_eq!(solo.end.take_version(id), Some(Err(VersionError::NoAnswer)));
    assert_eq!(solo.end.poll_timeout(), None);
}

#[test]
fn a_short_wait_ends_before_the_first_repetition() {
    let (mut solo, id) = asking(ms(100));
    solo.wait(ms(100));
    assert_eq!((solo.take().len(), told(&solo)), (1, vec![id]));
    let (mut solo, id) = asking(Duration::ZERO);
    solo.wait(Duration::ZERO);
    assert_eq!((solo.take().len(), told(&solo)), (1, vec![id]), "asked once even so");
}

#[test]
fn the_round_trip_is_that_of_the_question_answered() {
    let (mut solo, id) = asking(secs(20));
    solo.wait(ms(600));
    let sent = solo.take();
    assert_eq!(sent.len(), 3);
    solo.hear(server_addr(), &answer(&sent[1].header, "other software"));
    let got = solo.end.take_version(id).unwrap().unwrap();
    assert_eq!((got.text.as_str(), got.rtt), ("other software", ms(350)));
    solo.wait(secs(30));
    assert_eq!(solo.take().len(), 0, "no further question");
}

#[test]
fn only_the_peer_asked_and_a_number_given_answer() {
    let (mut solo, id) = asking(secs(5));
    let asked = solo.take()[0].header;
    let elsewhere: SocketAddr = "10.0.0.3:7000".parse().unwrap();
    solo.hear(elsewhere, &answer(&asked, "x"));
    for number in [asked.call_number + 1, asked.call_number + 8, 0] {
        solo.hear(server_addr(), &answer(&Header { call_number: number, ..asked }, "x"));
    }
    assert_eq!(told(&solo), []);
    solo.hear(server_addr(), &answer(&asked, "x"));
    solo.hear(server_addr(), &answer(&asked, "y"));
    assert_eq!(told(&solo), [id], "one answer");
    assert_eq!(solo.end.take_version(id).unwrap().unwrap().text, "x");
}

#[test]
fn several_questions_to_one_peer_are_told_apart() {
    let (mut solo, first) = asking(secs(5));
    let second = solo.end.ask_version(server_addr(), secs(5)).unwrap();
    solo.pump();
    let sent = solo.take();
    assert_ne!(first, second);
    solo.hear(server_addr(), &answer(&sent[1].header, "second"));
    assert_eq!((solo.end.take_version(first), told(&solo)), (None, vec![second]));
    assert_eq!(solo.end.take_version(second).unwrap().unwrap().text, "second");
}

#[test]
fn text_that_is_not_utf_8_is_replaced_and_ends_at_the_first_zero() {
    let (mut solo, id) = asking(secs(5));
    let mut bytes = answer(&solo.take()[0].header, "abcdef");
    bytes[29] = 0xff;
    bytes[31] = 0;
    solo.hear(server_addr(), &bytes);
    assert_eq!(solo.end.take_version(id).unwrap().unwrap().text, "a\u{fffd}c");
}

#[test]
fn an_id_is_not_that_of_a_later_question() {
    let (mut solo, first) = asking(ms(100));
    solo.wait(ms(100));
    solo.end.take_version(first).unwrap().unwrap_err();
    let second = solo.end.ask_version(server_addr(), ms(100)).unwrap();
    solo.wait(ms(100));
    assert_eq!(solo.end.take_version(first), None);
    assert_eq!(solo.end.take_version(second), Some(Err(VersionError::NoAnswer)));
}

#[test]
fn an_address_that_cannot_be_asked_is_refused() {
    let mut solo = Solo::new(|_| {});
    for addr in ["0.0.0.0:7000", "10.0.0.1:0", "224.0.0.5:7000", "[::]:1"] {
        let refused = solo.end.ask_version(addr.parse().unwrap(), secs(1));
        assert_eq!(refused, Err(VersionError::Network(NetworkError::HostUnreachable)), "{addr}");
    }
}

#[test]
fn a_network_error_ends_the_questions_to_that_peer_and_no_others() {
    let (mut solo, here) = asking(secs(5));
    let elsewhere: SocketAddr = "10.0.0.3:7000".parse().unwrap();
    let there = solo.end.ask_version(elsewhere, secs(5)).unwrap();
    solo.pump();
    solo.end.handle_network_error(solo.now, server_addr(), NetworkError::MessageTooLong { mtu: 600 });
    solo.pump();
    assert_eq!(told(&solo), [], "too large a packet says nothing of the peer");
    solo.end.handle_network_error(solo.now, server_addr(), NetworkError::PortUnreachable);
    solo.pump();
    assert_eq!(told(&solo), [here]);
    let error = VersionError::Network(NetworkError::PortUnreachable);
    assert_eq!(solo.end.take_version(here), Some(Err(error)));
    assert_eq!(solo.end.take_version(there), None);
}

#[test]
fn a_question_not_sent_yet_is_sent_though_the_peer_was_unreachable_before() {
    let mut solo = Solo::new(|_| {});
    solo.end.handle_network_error(solo.now, server_addr(), NetworkError::PortUnreachable);
    solo.end.ask_version(server_addr(), secs(5)).unwrap();
    solo.pump();
    assert_eq!((solo.take().len(), told(&solo)), (1, vec![]));
}

#[test]
fn a_service_call_is_given_two_seconds_when_its_client_seems_gone() {
    for heard in [false, true] {
        let mut solo = Solo::server(|c| c.validate_peers = false);
        let mut hand = Hand::client(0x100);
        solo.hear(client_addr(), &hand.whole(b"q"));
        let call = solo.accept();
        let error = NetworkError::HostUnreachable;
        solo.end.handle_network_error(solo.now, client_addr(), error);
        solo.wait(secs(1));
        // A second error does not put it off.
        solo.end.handle_network_error(solo.now, client_addr(), error);
        if heard {
            solo.hear(client_addr(), &hand.whole(b"q"));
        }
        solo.wait(secs(1) - Duration::from_nanos(1));
        assert_eq!(solo.end.call(call).unwrap().outcome(), None);
        solo.wait(Duration::from_nanos(1));
        let expected = if heard { None } else { Some(Err(CallError::Network(error))) };
        assert_eq!(solo.end.call(call).unwrap().outcome(), expected);
    }
}
