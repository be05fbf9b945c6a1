//! What is found on the wire, and what is not, in single packets.

use rxrpc_proto::wire::{AckFields, emit_ack};

use super::*;
use crate::oracle::seen::Connections;
use crate::packet::inside;

const CLIENT: NodeId = 1;
const SERVER: NodeId = 0;

/// The oracle of a server and a client, and what it is told.
struct Bench {
    connections: Connections,
    wire: Wire,
    allow: Allowances,
    coverage: Coverage,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let scenario = Scenario { nodes: vec![NodeSpec::default(); 2], ..Scenario::default() };
        Bench {
            connections: Connections::default(),
            wire: Wire::new(&scenario),
            allow: Allowances { kept: Duration::from_secs(20), ..Allowances::of(&scenario) },
            coverage: Coverage::default(),
            now: Instant::ORIGIN,
        }
    }

    /// A node sends it. What is wrong?
    fn send(&mut self, from: NodeId, bytes: Vec<u8>) -> Option<Oracle> {
        let packet = packet(from, bytes);
        let (header, rest) = Header::parse(&packet.bytes).expect("a header");
        let (body, place) = (Body::parse(&header, rest), self.connections.of_sent(&header));
        let sight = (&packet, Some(Seen { header: &header, body: &body, place }));
        let found = self.wire.on_sent(self.now, from, sight, &mut self.allow, &mut self.coverage);
        found.map(|(oracle, _)| oracle)
    }

    /// The client's request is on its way to the server, and there.
    fn request(&mut self) {
        let bytes = data(CLIENT, 1, 1, Flags::LAST_PACKET);
        assert_eq!(self.send(CLIENT, bytes.clone()), None);
        let packet = packet(CLIENT, bytes);
        let (header, rest) = Header::parse(&packet.bytes).expect("a header");
        let (body, place) = (Body::parse(&header, rest), self.connections.of_delivered(&header));
        let sight = (&packet, Some(Seen { header: &header, body: &body, place }));
        assert_eq!(self.wire.on_delivered(self.now, SERVER, sight, &mut self.coverage), None);
    }

    fn pass(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
    }
}

fn packet(from: NodeId, bytes: Vec<u8>) -> Packet {
    let [src, dst] = [from, 1 - from].map(|node| inside(node, false));
    Packet { origin: Some(from), ..Packet::new(src, dst, bytes) }
}

fn header(from: NodeId, packet_type: PacketType, serial: u32, seq: u32, flags: Flags) -> Vec<u8> {
    let origin = if from == CLIENT { Flags::CLIENT_INITIATED } else { Flags::NONE };
    let header = Header {
        epoch: 7,
        cid: 8,
        call_number: 1,
        seq,
        serial,
        packet_type,
        flags: flags | origin,
        user_status: 0,
        security_index: 0,
        checksum: 0,
        service_id: 1,
    };
    let mut bytes = Vec::new();
    header.emit(&mut bytes);
    bytes
}

fn data(from: NodeId, serial: u32, seq: u32, flags: Flags) -> Vec<u8> {
    let mut bytes = header(from, PacketType::Data, serial, seq, flags);
    bytes.push(7);
    bytes
}

fn ack(serial: u32, reason: AckReason, table: &[bool]) -> Vec<u8> {
    let mut bytes = header(SERVER, PacketType::Ack, serial, 0, Flags::NONE);
    let fields =
        AckFields { buffer_space: 0, max_skew: 0, first_packet: 1, previous_packet: 0, serial: 1, reason };
    emit_ack(&mut bytes, &fields, table.iter().copied(), None);
    bytes
}

#[test]
fn a_server_may_begin_a_connection_anew_only_when_it_had_the_time_to_forget_it() {
    for (secs, expected) in [(19, Some(Oracle::Sequence)), (20, None)] {
        for serial in [40, 900_000] {
            let mut bench = Bench::new();
            bench.request();
            assert_eq!(bench.send(SERVER, data(SERVER, 400_000, 1, Flags::NONE)), None);
            assert_eq!(bench.send(SERVER, data(SERVER, 400_001, 2, Flags::NONE)), None);
            bench.pass(secs);
            let found = bench.send(SERVER, data(SERVER, serial, 1, Flags::LAST_PACKET));
            assert_eq!(found, expected, "serial {serial} after {secs} s");
            assert_eq!(bench.allow.forgot, expected.is_none());
        }
    }
}

#[test]
fn a_connection_begun_anew_without_a_call_may_soon_begin_anew_again() {
    let mut bench = Bench::new();
    bench.request();
    assert_eq!(bench.send(SERVER, data(SERVER, 400_000, 1, Flags::LAST_PACKET)), None);
    bench.pass(30);
    // When it was begun is not known: what did so was turned away. It answers a question now.
    assert_eq!(bench.send(SERVER, ack(900_000, AckReason::PingResponse, &[])), None);
    bench.pass(19);
    assert_eq!(bench.send(SERVER, data(SERVER, 500_000, 1, Flags::LAST_PACKET)), None);
    // It has a call now.
    bench.pass(19);
    assert_eq!(bench.send(SERVER, ack(90, AckReason::Requested, &[true])), Some(Oracle::Sequence));
}

#[test]
fn a_connection_that_made_room_begins_anew_at_once_but_its_calls_do_not() {
    let mut bench = Bench::new();
    bench.allow.eviction = true;
    bench.request();
    assert_eq!(bench.send(SERVER, data(SERVER, 400_000, 1, Flags::NONE)), None);
    let found = bench.send(SERVER, data(SERVER, 40, 1, Flags::LAST_PACKET));
    assert_eq!((found, bench.allow.forgot), (Some(Oracle::AtMostOnce), false));
    let mut next = data(SERVER, 41, 1, Flags::LAST_PACKET);
    next[11] = 2;
    assert_eq!(bench.send(SERVER, next), None);
    bench.allow.overflow = true;
    assert_eq!(bench.send(SERVER, data(SERVER, 900_000, 1, Flags::LAST_PACKET)), None);
}

#[test]
fn a_server_is_crowded_by_more_than_it_has_room_for_and_forgets_by_more_than_it_remembers() {
    for (remembers, expected) in [(3, (true, false)), (2, (true, true))] {
        let mut scenario = Scenario::new(1, 2);
        let server = &mut scenario.nodes[usize::from(SERVER)].endpoint;
        (server.unvalidated_connections, server.evicted_connections) = (1, remembers);
        let mut wire = Wire::new(&scenario);
        wire.rooms[usize::from(SERVER)].had = 1;
        assert_eq!(wire.crowd(SERVER), (false, false));
        wire.rooms[usize::from(SERVER)].had = 3;
        assert_eq!(wire.crowd(SERVER), expected);
    }
}

#[test]
fn a_serial_is_not_used_twice_however_long_the_server_was_silent() {
    let mut bench = Bench::new();
    bench.request();
    assert_eq!(bench.send(SERVER, data(SERVER, 5, 1, Flags::NONE)), None);
    bench.pass(19);
    assert_eq!(bench.send(SERVER, data(SERVER, 5, 2, Flags::NONE)), Some(Oracle::Sequence));
}

#[test]
fn an_end_of_a_reply_that_moves_is_found_as_long_as_the_connection_is_the_same() {
    let mut bench = Bench::new();
    bench.request();
    assert_eq!(bench.send(SERVER, data(SERVER, 5, 1, Flags::LAST_PACKET)), None);
    bench.pass(60);
    assert_eq!(bench.send(SERVER, data(SERVER, 6, 1, Flags::NONE)), Some(Oracle::Sequence));
}

#[test]
fn work_and_form_are_judged_after_damage_too() {
    for tainted in [false, true] {
        let mut bench = Bench::new();
        bench.wire.tainted = tainted;
        bench.request();
        let asks = data(SERVER, 1, 1, Flags::LAST_PACKET | Flags::REQUEST_ACK);
        assert_eq!(bench.send(SERVER, asks), Some(Oracle::Format));
        let mut wrong = ack(2, AckReason::Requested, &[true]);
        assert_eq!(bench.send(SERVER, wrong.clone()), None);
        let serial_at = 12;
        wrong[serial_at..serial_at + 4].copy_from_slice(&3_u32.to_be_bytes());
        *wrong.iter_mut().skip(28 + 18).find(|octet| **octet == 1).expect("a table") = 2;
        assert_eq!(bench.send(SERVER, wrong), Some(Oracle::Format));
        let again = |serial| data(CLIENT, serial, 1, Flags::LAST_PACKET);
        let found = (2..=STORM + 2).find_map(|serial| bench.send(CLIENT, again(serial)));
        assert_eq!(found, Some(Oracle::Work));
    }
}

#[test]
fn only_what_answers_strangers_goes_without_a_serial() {
    let mut bench = Bench::new();
    bench.request();
    assert_eq!(bench.send(SERVER, header(SERVER, PacketType::Busy, 0, 0, Flags::NONE)), None);
    assert_eq!(bench.send(SERVER, ack(0, AckReason::ExceedsWindow, &[])), None);
    assert_eq!(bench.send(SERVER, ack(0, AckReason::ExceedsWindow, &[true])), Some(Oracle::Format));
    assert_eq!(bench.send(SERVER, ack(0, AckReason::Ping, &[])), Some(Oracle::Format));
    assert_eq!(bench.send(SERVER, data(SERVER, 0, 1, Flags::NONE)), Some(Oracle::Format));
}

#[test]
fn arrivals_out_of_order_are_remembered_and_move_the_base() {
    let mut arrived = Arrived::NONE;
    for seq in [3, 2, 200, 100] {
        arrived.add(seq);
    }
    assert!(arrived.has(3) && !arrived.has(1) && !arrived.is_below(2));
    arrived.add(1);
    assert_eq!(arrived.base, 4);
    assert!(arrived.has(200) && arrived.has(100) && !arrived.has(150));
    (4..=300).for_each(|seq| arrived.add(seq));
    assert_eq!(arrived.base, 301);
    assert!(arrived.is_below(301) && !arrived.is_below(302));
}
