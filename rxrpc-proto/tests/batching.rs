//! Batches: equal datagrams to one peer go together, in the order of their classes, and nothing is forgotten.

mod harness;

use std::net::{IpAddr, SocketAddr};

use harness::solo::{Hand, Solo};
use harness::{CLIENT, Pair, SERVER, SERVICE, chance, client_addr, pattern, server_addr};
use rxrpc_proto::wire::{AbortCode, AckReason, Flags, PacketType};
use rxrpc_proto::{CallId, CallOptions, Config, Path, Segments, Target, Transmit, TransmitBuf};

fn trusting(config: &mut Config) {
    config.validate_peers = false;
}

/// A client that has not sent anything yet.
fn quiet() -> Solo {
    Solo::new(|_| {})
}

/// Begin a call to `peer` with this request; nothing is sent.
fn begin(solo: &mut Solo, peer: SocketAddr, request: &[u8]) -> CallId {
    let call = solo.end.begin_call(&Target::new(peer, SERVICE), CallOptions::default()).unwrap();
    let mut view = solo.end.call(call).unwrap();
    assert_eq!(view.write(request), Ok(request.len()));
    view.finish().unwrap();
    call
}

/// Sizes of the datagrams of each batch sent since the last time.
fn sizes(solo: &mut Solo) -> Vec<Vec<usize>> {
    solo.sent.clear();
    let size = |t: &Transmit| (0..t.datagrams()).map(|i| t.segment.min(t.len - i * t.segment)).collect();
    solo.batches.drain(..).map(|t| size(&t)).collect()
}

#[test]
fn many_small_calls_are_one_batch() {
    let mut solo = quiet();
    for i in 0..60 {
        begin(&mut solo, server_addr(), &[i; 100]);
    }
    solo.pump();
    let bodies: Vec<u8> = solo.sent.iter().map(|s| s.bytes[28]).collect();
    assert_eq!(bodies, (0..60).collect::<Vec<u8>>(), "in order");
    assert_eq!(sizes(&mut solo), [vec![128; 60]]);
    let stats = solo.end.stats();
    assert_eq!((stats.batches_sent, stats.datagrams_sent, stats.bytes_sent), (1, 60, 60 * 128));
}

#[test]
fn a_batch_has_64_datagrams_at_most() {
    let mut solo = Solo::server(trusting);
    let mut hands: Vec<Hand> = (0..100).map(|n| Hand::client(0x1000 + n)).collect();
    let datagrams: Vec<Vec<u8>> = hands.iter_mut().map(|h| h.data(1, Flags::REQUEST_ACK, b"q")).collect();
    solo.hear_all(client_addr(), &datagrams);
    assert_eq!(sizes(&mut solo).iter().map(Vec::len).collect::<Vec<_>>(), [64, 36]);
}

#[test]
fn a_batch_has_64_900_bytes_at_most() {
    let mut solo = quiet();
    for _ in 0..10 {
        begin(&mut solo, server_addr(), &pattern(10 * 1412));
    }
    solo.pump();
    let batches = sizes(&mut solo);
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [45, 45, 10]);
    assert!(batches.iter().flatten().all(|size| *size == 1440));
}

#[test]
fn a_shorter_packet_joins_last_and_closes_the_batch() {
    let mut solo = quiet();
    begin(&mut solo, server_addr(), &pattern(1412 * 3 + 100));
    begin(&mut solo, server_addr(), &pattern(1412 * 2));
    solo.pump();
    assert_eq!(sizes(&mut solo), [vec![1440, 1440, 1440, 128], vec![1440, 1440]]);
}

#[test]
fn a_larger_packet_waits_for_the_next_batch_which_it_begins() {
    let mut solo = quiet();
    for len in [100, 200, 100, 300, 100] {
        begin(&mut solo, server_addr(), &pattern(len));
    }
    solo.pump();
    assert_eq!(sizes(&mut solo), [vec![128; 3], vec![228], vec![328]]);
}

#[test]
fn what_was_passed_over_keeps_its_place_before_what_comes_later() {
    let mut solo = quiet();
    for len in [100, 200, 100] {
        begin(&mut solo, server_addr(), &pattern(len));
    }
    let first = solo.end.poll_transmit(solo.now, &mut solo.buf).unwrap();
    assert_eq!((first.datagrams(), first.segment), (2, 128));
    for len in [100, 200, 150] {
        begin(&mut solo, server_addr(), &pattern(len));
    }
    solo.pump();
    // The one passed over sets the size; its equal joins, and the shorter one that was first closes.
    assert_eq!(sizes(&mut solo), [vec![228, 128], vec![228, 178]]);
}

#[test]
fn aborts_go_before_acknowledgements_those_before_repetitions_and_new_data_is_last() {
    let mut solo = Solo::server(trusting);
    let mut hands = [0, 1, 2, 3].map(|channel| Hand::client(0x100 + channel));
    let mut calls = Vec::new();
    for hand in &mut hands {
        solo.hear(client_addr(), &hand.whole(&[7; 50]));
        calls.push(solo.accept());
    }
    // Call 0 has a packet in flight that will be lost. Then everything happens at once.
    solo.write_all(calls[0], &pattern(500));
    let lost_at = solo.end.poll_timeout().unwrap().0;
    solo.now = lost_at.max(solo.now + std::time::Duration::from_secs(1));
    solo.take();
    solo.end.handle_timeout(solo.now);
    solo.end.call(calls[3]).unwrap().write(&pattern(600)).unwrap();
    solo.end.call(calls[3]).unwrap().finish().unwrap();
    let ping = hands[2].ack(AckReason::Ping, 1, 0, &[]);
    solo.end.handle_datagrams(solo.now, &Path::from_peer(client_addr()), Segments::single(&ping));
    solo.end.call(calls[1]).unwrap().abort(AbortCode(9));
    solo.pump();
    let order: Vec<(PacketType, usize)> = solo
        .take()
        .iter()
        .map(|s| (s.header.packet_type, s.header.channel()))
        .filter(|(kind, channel)| *kind != PacketType::Ack || *channel == 2)
        .collect();
    let expected =
        [(PacketType::Abort, 1), (PacketType::Ack, 2), (PacketType::Data, 0), (PacketType::Data, 3)];
    assert_eq!(order, expected);
}

#[test]
fn acknowledgements_of_different_length_are_padded_to_the_first_one() {
    let mut solo = Solo::server(trusting);
    let mut hands = [0, 1, 2, 3].map(|channel| Hand::client(0x100 + channel));
    // Tables of 9, 1, 0 and 4 entries; none of the calls is accepted, so what came in order is in them too.
    let datagrams: Vec<Vec<u8>> = [9, 1, 2, 4]
        .iter()
        .zip(&mut hands)
        .map(|(seq, hand)| hand.data(*seq, Flags::REQUEST_ACK, b""))
        .collect();
    solo.hear_all(client_addr(), &datagrams);
    let sent = solo.take();
    let size = 28 + 18 + 9 + 3 + 16;
    assert_eq!(sizes(&mut solo), [vec![size; 4]]);
    for (packet, entries) in sent.iter().zip([9, 1, 2, 4]) {
        assert_eq!(packet.table().len(), entries);
        assert!(packet.ack().after_trailer().iter().all(|b| *b == 0));
        assert!(packet.rwind() > 200, "the trailer is where it belongs");
    }
}

#[test]
fn a_longer_acknowledgement_is_not_cut_but_begins_a_batch_of_its_own() {
    let mut solo = Solo::server(trusting);
    let mut hands = [0, 1, 2].map(|channel| Hand::client(0x100 + channel));
    let datagrams: Vec<Vec<u8>> = [1, 9, 1]
        .iter()
        .zip(&mut hands)
        .map(|(seq, hand)| hand.data(*seq, Flags::REQUEST_ACK, b""))
        .collect();
    solo.hear_all(client_addr(), &datagrams);
    assert_eq!(sizes(&mut solo), [vec![66, 66], vec![74]]);
}

#[test]
fn with_one_datagram_a_batch_the_same_datagrams_go_out_one_by_one() {
    let run = |segments: usize| {
        let mut solo = quiet();
        solo.buf = TransmitBuf::new(segments);
        for len in [100, 1412 * 3, 200, 100] {
            begin(&mut solo, server_addr(), &pattern(len));
        }
        solo.pump();
        assert!(segments > 1 || solo.batches.iter().all(|t| t.datagrams() == 1 && t.segment == t.len));
        let mut payloads: Vec<Vec<u8>> = solo.take().into_iter().map(|s| s.bytes[28..].to_vec()).collect();
        payloads.sort();
        payloads
    };
    assert_eq!(run(1).len(), 6);
    assert_eq!(run(1), run(64));
    assert_eq!(run(0), run(1), "none is taken for one");
    assert_eq!(run(1000), run(64), "and no more than 64 are taken");
}

#[test]
fn peers_take_turns() {
    let mut solo = quiet();
    let peers: Vec<SocketAddr> = (1..=3).map(|n| SocketAddr::from(([10, 0, 2, n], 7000))).collect();
    for peer in &peers {
        begin(&mut solo, *peer, &pattern(100));
        begin(&mut solo, *peer, &pattern(200));
    }
    solo.pump();
    let order: Vec<SocketAddr> = solo.batches.iter().map(|t| t.peer).collect();
    assert_eq!(order, [&peers[..], &peers[..]].concat());
}

#[test]
fn calls_of_one_peer_take_turns_however_much_one_has_to_send() {
    let mut solo = quiet();
    let mut big = Vec::new();
    for _ in 0..8 {
        big.push(begin(&mut solo, server_addr(), &pattern(1_000_000)));
    }
    begin(&mut solo, server_addr(), &pattern(1412 * 5));
    solo.pump();
    // The congestion window of each allows ten at first.
    let small =
        solo.sent.iter().position(|s| s.header.channel() == 0 && s.header.cid != solo.sent[0].header.cid);
    assert!(small.unwrap() <= 80, "{small:?}");
    assert_eq!(solo.sent.len(), 85);
}

#[test]
fn answers_leave_from_the_address_they_were_asked_at_and_do_not_mix() {
    let mut solo = Solo::server(trusting);
    let ips: [IpAddr; 2] = ["10.9.0.1".parse().unwrap(), "10.9.0.2".parse().unwrap()];
    for n in 0..6 {
        let bytes = Hand::client(0x100 + 4 * n).data(1, Flags::REQUEST_ACK, b"q");
        let path = Path { peer: client_addr(), local_ip: Some(ips[n as usize % 2]), ecn: 0 };
        solo.end.handle_datagrams(solo.now, &path, Segments::single(&bytes));
    }
    solo.pump();
    let batches: Vec<_> = solo.batches.iter().map(|t| (t.local_ip, t.datagrams())).collect();
    assert_eq!(batches, [(Some(ips[0]), 3), (Some(ips[1]), 3)]);
    let ids: Vec<u32> = solo.sent.iter().map(|s| (s.header.connection_id() - 0x100) / 4).collect();
    assert_eq!(ids, [0, 2, 4, 1, 3, 5]);
}

#[test]
fn one_received_batch_of_many_datagrams_is_read_datagram_by_datagram() {
    let mut solo = Solo::server(trusting);
    let mut hand = Hand::client(0x100);
    let mut bytes = Vec::new();
    for seq in 1..=9 {
        bytes.extend(hand.data(seq, Flags::NONE, &[seq as u8; 100]));
    }
    bytes.extend(hand.data(10, Flags::LAST_PACKET, &[10; 30]));
    let batch = Segments { bytes: &bytes, stride: 128 };
    solo.end.handle_datagrams(solo.now, &Path::from_peer(client_addr()), batch);
    let call = solo.accept();
    let data = solo.read(call);
    assert_eq!((data.len(), data[0], data[899], data[929]), (930, 1, 9, 10));
    assert_eq!(solo.end.stats().datagrams_received, 10);
}

#[test]
fn every_batch_is_of_equal_datagrams_but_for_a_shorter_last_one() {
    for seed in 1..=6 {
        let mut pair = Pair::new();
        pair.script(chance(seed, 0.1, 0.1, 0.2));
        let calls: Vec<CallId> = (0..25).map(|i| pair.request(&pattern(i * 777))).collect();
        for _ in 0..600 {
            while let Some(id) = pair.ends[SERVER].waiting(SERVICE) {
                pair.ends[SERVER].accept(id, Default::default()).unwrap();
                pair.ends[SERVER].call(id).unwrap().discard_input();
                pair.write_all(SERVER, id, &pattern(3000));
            }
            pair.step();
        }
        assert!(calls.iter().filter(|c| pair.outcome(CLIENT, **c).is_some()).count() > 10);
        for (side, t, bytes) in &pair.batches {
            assert!(t.segment > 0 && t.len == bytes.len() && t.len <= TransmitBuf::MAX_LEN, "{side}");
            assert!((1..=TransmitBuf::MAX_SEGMENTS).contains(&t.datagrams()));
            for datagram in bytes.chunks(t.segment) {
                assert!(datagram.len() >= 28);
                rxrpc_proto::wire::OwnedPacket::parse(datagram).unwrap();
            }
        }
    }
}

#[test]
fn a_loose_answer_is_a_batch_of_its_own() {
    let mut solo = Solo::server(trusting);
    let mut hand = Hand { service: 999, ..Hand::client(0x100) };
    let datagrams: Vec<Vec<u8>> = (0..3).map(|_| hand.whole(b"q")).collect();
    solo.hear_all(client_addr(), &datagrams);
    assert_eq!(sizes(&mut solo), [[32]; 3].map(|s| s.to_vec()));
}
