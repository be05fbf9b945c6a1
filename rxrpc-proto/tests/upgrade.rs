//! Moving a client that asks for it to a newer service.

mod harness;

use harness::solo::{Hand, Solo};
use harness::{CLIENT, Pair, SERVER, SERVICE, client_addr, ms, server_addr};
use rxrpc_proto::wire::{AbortCode, Flags, PacketType};
use rxrpc_proto::{AcceptOptions, CallId, CallOptions, Fault, ServiceOptions, Target};

fn backlog(backlog: usize) -> ServiceOptions {
    ServiceOptions { backlog, upgrade_to: None }
}

/// A server with `newer` as the upgrade of [`SERVICE`], and a client that asks for it.
fn upgrading(newer: ServiceOptions) -> (Pair, Target) {
    let mut pair = Pair::new();
    pair.ends[SERVER].unlisten(SERVICE);
    pair.ends[SERVER]
        .listen(SERVICE, ServiceOptions { upgrade_to: Some(2000), ..Default::default() })
        .unwrap();
    pair.ends[SERVER].listen(2000, newer).unwrap();
    (pair, Target { upgrade: true, ..Target::new(server_addr(), SERVICE) })
}

fn begin(pair: &mut Pair, target: &Target, data: &[u8]) -> CallId {
    let call = pair.ends[CLIENT].begin_call(target, CallOptions::default()).unwrap();
    pair.write_all(CLIENT, call, data);
    call
}

#[test]
fn an_upgrade_moves_the_connection_to_the_newer_service_and_the_client_learns_it() {
    let (mut pair, target) = upgrading(Default::default());
    let call = begin(&mut pair, &target, b"q");
    pair.run_for(ms(10));
    assert_eq!(pair.ends[SERVER].waiting(SERVICE), None);
    let served = pair.ends[SERVER].waiting(2000).unwrap();
    pair.ends[SERVER].accept(served, AcceptOptions::default()).unwrap();
    assert_eq!(pair.ends[SERVER].call(served).unwrap().service(), 2000);
    assert_eq!(pair.ends[CLIENT].call(call).unwrap().service(), SERVICE);
    pair.write_all(SERVER, served, b"a");
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
    assert_eq!(pair.ends[CLIENT].call(call).unwrap().service(), 2000);
    let first = &pair.all(CLIENT, PacketType::Data)[0].1.header;
    assert_eq!((first.user_status, first.service_id), (1, SERVICE));
    assert!(pair.sent.iter().filter(|(_, f)| f.from == SERVER).all(|(_, f)| f.header.service_id == 2000));
}

#[test]
fn while_an_upgrade_is_asked_for_one_call_is_under_way_and_the_others_follow_its_answer() {
    let (mut pair, target) = upgrading(Default::default());
    let calls: Vec<CallId> = (0..6u8).map(|i| begin(&mut pair, &target, &[i])).collect();
    pair.run_for(ms(10));
    assert_eq!(pair.count(CLIENT, PacketType::Data), 1);
    let served = pair.ends[SERVER].waiting(2000).unwrap();
    pair.ends[SERVER].accept(served, AcceptOptions::default()).unwrap();
    pair.write_all(SERVER, served, b"a");
    pair.run_to_end(CLIENT, calls[0]).unwrap();
    pair.run_for(ms(10));
    let data = pair.all(CLIENT, PacketType::Data);
    let later: Vec<_> = data[1..].iter().map(|(_, f)| (f.header.user_status, f.header.service_id)).collect();
    assert_eq!(later[..4], [(0, 2000); 4], "the connection has its service");
}

#[test]
fn without_an_upgrade_on_offer_the_wish_is_ignored() {
    let mut pair = Pair::new();
    let target = Target { upgrade: true, ..Target::new(server_addr(), SERVICE) };
    let call = begin(&mut pair, &target, b"q");
    let served = pair.accept();
    pair.write_all(SERVER, served, b"a");
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
    assert_eq!(pair.ends[CLIENT].call(call).unwrap().service(), SERVICE);
}

#[test]
fn both_service_numbers_are_taken_on_an_upgraded_connection() {
    let mut solo = Solo::server(|_| {});
    solo.end.unlisten(SERVICE);
    solo.end.listen(SERVICE, ServiceOptions { upgrade_to: Some(2000), ..Default::default() }).unwrap();
    solo.end.listen(2000, Default::default()).unwrap();
    let mut hand = Hand { user_status: 1, ..Hand::client(0x100) };
    solo.hear(client_addr(), &hand.data(1, Flags::NONE, b"a"));
    solo.hear(client_addr(), &hand.data(2, Flags::NONE, b"b"));
    hand.service = 2000;
    solo.hear(client_addr(), &hand.data(3, Flags::LAST_PACKET, b"c"));
    let call = solo.end.waiting(2000).unwrap();
    solo.end.accept(call, AcceptOptions::default()).unwrap();
    assert_eq!(solo.read(call), b"abc");
    hand.service = 77;
    solo.hear(client_addr(), &hand.data(3, Flags::LAST_PACKET, b"c"));
    assert_eq!(solo.end.stats().fault(Fault::ServiceMismatch), 1);
}

#[test]
fn a_second_change_of_service_is_refused() {
    let mut solo = Solo::new(|_| {});
    let target = Target { upgrade: true, ..Target::new(server_addr(), SERVICE) };
    let call = solo.end.begin_call(&target, CallOptions::default()).unwrap();
    solo.write_all(call, b"q");
    let mut hand = Hand::answering(&solo.take()[0].header);
    let ack = |hand: &mut Hand| hand.ack(rxrpc_proto::wire::AckReason::Idle, 2, 0, &[]);
    hand.service = 2000;
    solo.hear(server_addr(), &ack(&mut hand));
    assert_eq!(solo.end.call(call).unwrap().service(), 2000);
    hand.service = 2001;
    solo.hear(server_addr(), &ack(&mut hand));
    assert_eq!(solo.end.stats().fault(Fault::SecondUpgrade), 1);
    assert_eq!(solo.end.call(call).unwrap().service(), 2000);
    assert_eq!(solo.take_type(PacketType::Abort)[0].abort_code(), AbortCode::RX_PROTOCOL_ERROR);
}

#[test]
fn the_backlog_of_the_newer_service_holds_for_upgraded_calls() {
    let (mut pair, target) = upgrading(backlog(1));
    let first = begin(&mut pair, &target, b"q");
    pair.run_for(ms(10));
    assert!(pair.ends[SERVER].waiting(2000).is_some());
    let mut hand = Hand { user_status: 1, ..Hand::client(0x4000) };
    pair.inject(SERVER, "10.0.0.9:1".parse().unwrap(), &hand.whole(b"q"));
    assert_eq!(pair.count(SERVER, PacketType::Busy), 1);
    assert_eq!(pair.outcome(CLIENT, first), None);
}
