//! What we write in our packets.

use std::time::Duration;

use rxrpc_proto::wire::{AckReason, Body, Flags, Header, PacketType};
use rxrpc_proto::{CallOptions, ServiceOptions, TransmitBuf};

use crate::harness::{CLIENT, Pair, SERVER, chance, pattern};
use crate::raw::{Raw, SERVICE, Sent, from_client, from_server};

/// A server's reply of `len` bytes to a client that misses its last packet once.
fn replies(len: usize) -> Vec<Sent> {
    let mut raw = Raw::new();
    let call = raw.serve();
    raw.write(call, &pattern(len));
    let mut all = raw.poll();
    for serial in 10..1000 {
        if raw.outcome(call).is_some() {
            return all;
        }
        let last = all.iter().filter(|s| s.header.flags.contains(Flags::LAST_PACKET)).count();
        let highest = all.iter().map(|s| s.header.seq).max().unwrap_or(0);
        let have = if last == 1 { highest - 1 } else { highest };
        let ack = from_client(PacketType::Ack).acks(AckReason::Requested, have + 1, have, &[]);
        all.extend(raw.give(&ack.serial(serial)));
        all.extend(raw.wait(Duration::from_millis(1500)));
    }
    panic!("the reply was never delivered");
}

#[test]
fn the_last_packet_of_a_reply_never_asks_for_an_ack_not_even_when_sent_again() {
    for len in [0, 1, 1412, 5000, 30_000] {
        let last: Vec<_> = replies(len)
            .into_iter()
            .filter(|s| s.is(PacketType::Data) && s.header.flags.contains(Flags::LAST_PACKET))
            .collect();
        assert!(last.len() >= 2, "{len} bytes: sent {} times", last.len());
        assert!(last.iter().all(|s| !s.header.flags.contains(Flags::REQUEST_ACK)), "{len} bytes");
    }
}

/// What holds for every packet on the wire.
fn check(from: usize, header: &Header, bytes: &[u8]) {
    let side = if from == CLIENT { Flags::CLIENT_INITIATED } else { Flags::NONE };
    assert_eq!(header.flags.contains(Flags::CLIENT_INITIATED), side == Flags::CLIENT_INITIATED);
    assert_eq!((header.user_status, header.security_index, header.checksum), (0, 0, 0));
    assert!(header.serial != 0 && header.call_number != 0 && header.epoch & 0xc000_0000 == 0x8000_0000);
    let flags = header.flags.without(side);
    match Body::parse(header, &bytes[28..]).unwrap() {
        Body::Data(data) => {
            assert!(bytes.len() <= 28 + 1412 && header.seq != 0 && !data.is_jumbo());
            assert_eq!(flags.without(Flags::REQUEST_ACK | Flags::LAST_PACKET), Flags::NONE);
        }
        Body::Ack(ack) => {
            let asks = if ack.fields.reason == AckReason::Ping { Flags::REQUEST_ACK } else { Flags::NONE };
            assert_eq!((header.seq, flags), (0, Flags::SLOW_START_OK | asks));
            assert_eq!((ack.fields.buffer_space, ack.fields.max_skew), (0, 0));
            let table = ack.table().unwrap();
            assert!(table.iter().all(|octet| *octet <= 1));
            assert_eq!(ack.rest()[table.len()..][..3], [0; 3]);
            assert!(ack.trailer().is_some_and(|t| t.rwind.is_some() && t.jumbo_max.is_some()));
        }
        Body::Abort(code) => assert!(code.0 != 0 && header.seq == 0 && flags == Flags::NONE),
        other => panic!("{other:?} is never sent"),
    }
}

#[test]
fn every_packet_we_send_keeps_to_what_all_peers_read() {
    let mut pair = Pair::new();
    pair.script(chance(7, 0.05, 0.03, 0.1));
    for len in [0, 10, 5000, 400_000] {
        let (request, reply) = (pattern(len), pattern(len / 2));
        assert!(pair.exchange(&request, &reply) == (request, reply));
    }
    let call = pair.request(&pattern(9000));
    let served = pair.accept();
    pair.ends[SERVER].call(served).unwrap().abort(rxrpc_proto::wire::AbortCode(1));
    assert!(pair.run_to_end(CLIENT, call).is_err());
    assert!(pair.sent.len() > 500);
    for (_, flight) in &pair.sent {
        check(flight.from, &flight.header, &flight.bytes);
    }
}

/// The words of the trailer of the ACK that answers a PING whose trailer has this `jumbo_max`.
fn offered(offer: u32, jumbo_max: u32) -> [Option<u32>; 4] {
    let mut raw = Raw::with(|config| config.jumbo_offer = offer);
    raw.serve();
    let ping = from_client(PacketType::Ack).serial(2);
    let words = [1444, 1444, 255, jumbo_max];
    let sent = raw.give(&ping.acks_with(AckReason::Ping, 1, 0, &[], &words));
    let trailer = sent[0].ack().trailer().unwrap();
    [Some(trailer.max_mtu), Some(trailer.if_mtu), trailer.rwind.map(|w| w.min(9)), trailer.jumbo_max]
}

#[test]
fn jumbograms_are_offered_to_peers_that_do_not_probe_their_path() {
    let some = |words: [u32; 4]| words.map(Some);
    assert_eq!(offered(4, 1), some([5692, 1444, 9, 4]));
    assert_eq!(offered(4, 0), some([1444, 1444, 9, 0]));
    assert_eq!(offered(0, 1), some([1444, 1444, 9, 0]));
    assert_eq!(offered(1, 1), some([1444, 1444, 9, 1]));
}

#[test]
fn no_jumbogram_is_sent_whatever_the_peer_offers() {
    let mut raw = Raw::new();
    let (_, out) = raw.begin(&pattern(100_000), CallOptions::default());
    let ack = from_server(&out[0].header, PacketType::Ack);
    let sent = raw.give(&ack.acks_with(AckReason::Requested, 11, 10, &[], &[65_000, 65_000, 255, 46]));
    assert!(sent.len() >= 10);
    assert!(sent.iter().all(|s| s.bytes.len() <= 1440 && !s.header.flags.contains(Flags::JUMBO)));
}

#[test]
fn ten_packets_go_out_before_anything_is_known_and_the_network_may_fragment_them() {
    let mut raw = Raw::new();
    let (call, _) = raw.begin(b"", CallOptions::default());
    raw.end.release(call);
    raw.poll();
    let target = rxrpc_proto::Target::new(raw.peer, SERVICE);
    let call = raw.end.begin_call(&target, CallOptions::default()).unwrap();
    raw.write(call, &pattern(100_000));
    let mut buf = TransmitBuf::new(64);
    let mut datagrams = 0;
    while let Some(transmit) = raw.end.poll_transmit(raw.now, &mut buf) {
        assert!(transmit.may_fragment);
        datagrams += transmit.datagrams();
    }
    assert_eq!(datagrams, 10);
}

#[test]
fn a_server_writes_the_upgraded_service_into_every_packet() {
    let mut raw = Raw::new();
    raw.end.unlisten(SERVICE);
    raw.end.listen(SERVICE, ServiceOptions { upgrade_to: Some(60), ..Default::default() }).unwrap();
    raw.end.listen(60, ServiceOptions::default()).unwrap();
    let mut sent = raw.give(&from_client(PacketType::Data).status(1).body(b"first of two"));
    let call = raw.end.waiting(60).unwrap();
    raw.end.accept(call, Default::default()).unwrap();
    // The client's later packets name the old one still, or the new one.
    for (seq, service) in [(2, 52), (1, 60), (3, 60)] {
        let data = from_client(PacketType::Data).seq(seq).serial(seq + 5).service(service);
        sent.extend(raw.give(&if seq == 3 { data.last() } else { data }));
    }
    raw.write(call, b"reply");
    sent.extend(raw.poll());
    sent.extend(raw.wait(Duration::from_secs(30)));
    let types: std::collections::BTreeSet<_> = sent.iter().map(|s| s.header.packet_type.to_u8()).collect();
    assert_eq!(Vec::from_iter(types), [1, 2, 4], "DATA, ACK, and the ABORT when the client stays silent");
    assert!(sent.iter().all(|s| s.header.service_id == 60));
    assert_eq!(raw.faults().len(), 1, "only the duplicate");
}
