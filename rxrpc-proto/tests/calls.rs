//! Client calls: bundles, connections, channels, call numbers, waiting in order.

mod harness;

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{CLIENT, Pair, SERVER, SERVICE, ms, pattern, server_addr};
use rxrpc_proto::wire::{AbortCode, PacketType};
use rxrpc_proto::{
    BeginCallError, CallError, CallId, CallOptions, Event, Fault, News, ServiceOptions, Shard, Target,
};

/// A call whose only connection id counts from the first one used.
fn relative(pair: &Pair) -> Vec<(u32, usize, u32)> {
    let places = pair.places();
    let first = places.first().map_or(0, |p| p.0);
    places.into_iter().map(|(cid, channel, number)| ((cid - first) / 4, channel, number)).collect()
}

/// Answer every call that waits with what it sent.
fn serve(pair: &mut Pair) {
    while let Some(served) = pair.ends[SERVER].waiting(SERVICE) {
        pair.ends[SERVER].accept(served, Default::default()).unwrap();
        let request = pair.read(SERVER, served);
        pair.write_all(SERVER, served, &request);
    }
    pair.pump();
}

#[test]
fn a_small_call_takes_one_packet_each_way_and_a_closing_acknowledgement() {
    let mut pair = Pair::with(|c| c.validate_peers = false);
    assert_eq!(pair.exchange(b"ping", b"pong"), (b"ping".to_vec(), b"pong".to_vec()));
    assert_eq!(pair.count(CLIENT, PacketType::Data), 1);
    assert_eq!(pair.count(SERVER, PacketType::Data), 1);
    assert_eq!((pair.count(CLIENT, PacketType::Ack), pair.count(SERVER, PacketType::Ack)), (1, 0));
}

#[test]
fn payloads_of_every_size_around_packet_edges_arrive_exactly() {
    let mut pair = Pair::new();
    for size in [0, 1, 1411, 1412, 1413, 1416, 2823, 2824, 2825, 100_000, 3_000_000] {
        let (request, reply) = (pattern(size), pattern(size / 2));
        assert!(pair.exchange(&request, &reply) == (request, reply), "size {size}");
    }
}

#[test]
fn four_calls_share_a_connection_and_the_fifth_opens_the_next() {
    let mut pair = Pair::new();
    for _ in 0..5 {
        pair.request(b"x");
    }
    pair.pump();
    assert_eq!(relative(&pair), [(0, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1), (1, 0, 1)]);
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 2);
}

#[test]
fn the_epoch_is_random_with_bit_31_set_and_bit_30_clear_and_one_for_all() {
    let mut pair = Pair::new();
    for _ in 0..9 {
        pair.request(b"x");
    }
    pair.pump();
    let epochs: BTreeSet<u32> = pair.sent.iter().map(|(_, f)| f.header.epoch).collect();
    assert_eq!(epochs.len(), 1);
    assert_eq!(epochs.first().unwrap() >> 30, 0b10);
}

#[test]
fn calls_in_turn_reuse_one_channel_with_numbers_that_grow_by_one() {
    let mut pair = Pair::new();
    for _ in 0..5 {
        pair.exchange(b"q", b"a");
    }
    assert_eq!(relative(&pair), [(0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 0, 4), (0, 0, 5)]);
    assert_eq!((pair.ends[CLIENT].stats().connections, pair.ends[SERVER].stats().connections), (1, 1));
}

#[test]
fn the_channel_used_last_is_used_first() {
    let mut pair = Pair::new();
    let calls: Vec<CallId> = (0..4).map(|_| pair.request(b"x")).collect();
    let served: Vec<CallId> = (0..4).map(|_| pair.accept()).collect();
    for i in [1, 3] {
        pair.write_all(SERVER, served[i], b"y");
        pair.run_to_end(CLIENT, calls[i]).unwrap();
    }
    pair.request(b"x");
    pair.request(b"x");
    pair.request(b"x");
    pair.pump();
    assert_eq!(relative(&pair)[4..], [(0, 3, 2), (0, 1, 2), (1, 0, 1)]);
}

#[test]
fn every_packet_of_a_connection_has_a_serial_of_its_own_from_one() {
    let mut pair = Pair::new();
    pair.exchange(&pattern(40_000), &pattern(40_000));
    pair.exchange(b"q", b"a");
    pair.run_for(ms(100));
    let serials: Vec<u32> =
        pair.sent.iter().filter(|(_, f)| f.from == CLIENT).map(|(_, f)| f.header.serial).collect();
    assert_eq!(serials, (1..=serials.len() as u32).collect::<Vec<_>>());
}

#[test]
fn a_call_that_sent_nothing_leaves_its_number_and_says_nothing_when_aborted() {
    let mut pair = Pair::new();
    let call = pair.begin(CallOptions::default());
    pair.pump();
    assert!(pair.ends[CLIENT].call(call).unwrap().abort(AbortCode(7)));
    pair.pump();
    assert_eq!(pair.outcome(CLIENT, call), Some(Err(CallError::LocalAbort(AbortCode(7)))));
    assert_eq!(pair.sent.len(), 0);
    pair.request(b"x");
    pair.pump();
    assert_eq!(relative(&pair), [(0, 0, 1)]);
}

#[test]
fn calls_beyond_the_connections_wait_and_get_channels_in_order() {
    let mut pair = Pair::with(|c| c.limits.connections_per_bundle = 1);
    let calls: Vec<CallId> = (0..7).map(|i| pair.request(&[i])).collect();
    pair.pump();
    assert_eq!(pair.count(CLIENT, PacketType::Data), 4);
    let mut order = Vec::new();
    for _ in 0..7 {
        let served = pair.accept();
        order.extend(pair.read_request(served));
        pair.write_all(SERVER, served, b"y");
        pair.run_for(ms(20));
    }
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6]);
    for call in calls {
        assert_eq!(pair.outcome(CLIENT, call), Some(Ok(())));
    }
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 1);
}

#[test]
fn a_waiting_call_can_be_cancelled_and_the_next_takes_its_turn() {
    let mut pair = Pair::with(|c| c.limits.connections_per_bundle = 1);
    let first = pair.request(b"0");
    let rest: Vec<CallId> = (1..4).map(|_| pair.request(b"x")).collect();
    let (cancelled, next) = (pair.request(b"c"), pair.request(b"n"));
    pair.pump();
    assert!(pair.ends[CLIENT].call(cancelled).unwrap().abort(AbortCode::RX_USER_ABORT));
    pair.pump();
    assert_eq!(pair.news(CLIENT, cancelled), [News::ENDED]);
    let aborted = Some(Err(CallError::LocalAbort(AbortCode::RX_USER_ABORT)));
    assert_eq!(pair.outcome(CLIENT, cancelled), aborted);
    let served = pair.accept();
    pair.write_all(SERVER, served, b"y");
    pair.run_to_end(CLIENT, first).unwrap();
    pair.pump();
    assert_eq!(relative(&pair)[4..], [(0, 0, 2)]);
    assert_eq!(pair.count(CLIENT, PacketType::Abort), 0);
    assert_eq!(pair.outcome(CLIENT, next), None);
    assert!(rest.iter().all(|c| pair.ends[CLIENT].call(*c).unwrap().outcome().is_none()));
}

#[test]
fn half_of_a_long_queue_cancelled_leaves_the_others_in_order() {
    let mut pair = Pair::with(|c| c.limits.connections_per_bundle = 1);
    let calls: Vec<CallId> = (0..60).map(|i| pair.request(&[i])).collect();
    pair.pump();
    for call in calls[4..].iter().step_by(2) {
        pair.ends[CLIENT].release(*call);
    }
    let mut order = Vec::new();
    while order.len() < 32 {
        let served = pair.accept();
        order.extend(pair.read_request(served));
        pair.write_all(SERVER, served, b"y");
        pair.run_for(ms(20));
    }
    let expected: Vec<u8> = (0..60).filter(|i| *i < 4 || i % 2 == 1).collect();
    assert_eq!(order, expected);
    assert_eq!(pair.ends[CLIENT].stats().calls, 32);
}

#[test]
fn an_exclusive_call_has_a_connection_that_no_other_call_uses() {
    let mut pair = Pair::new();
    let exclusive = || CallOptions { exclusive: true, ..Default::default() };
    pair.exchange(b"q", b"a");
    let call = pair.begin(exclusive());
    pair.write_all(CLIENT, call, b"q");
    let served = pair.accept();
    pair.request(b"shared");
    pair.write_all(SERVER, served, b"a");
    pair.run_to_end(CLIENT, call).unwrap();
    let call = pair.begin(exclusive());
    pair.write_all(CLIENT, call, b"q");
    pair.pump();
    assert_eq!(relative(&pair), [(0, 0, 1), (1, 0, 1), (0, 0, 2), (2, 0, 1)]);
}

#[test]
fn the_connection_of_an_exclusive_call_goes_ten_seconds_after_it() {
    let mut pair = Pair::new();
    let call = pair.begin(CallOptions { exclusive: true, ..Default::default() });
    pair.write_all(CLIENT, call, b"q");
    let served = pair.accept();
    pair.write_all(SERVER, served, b"a");
    pair.run_to_end(CLIENT, call).unwrap();
    pair.run_for(Duration::from_secs(10) - ms(1));
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 1);
    pair.run_for(ms(1));
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 0);
}

#[test]
fn services_peers_and_upgrade_wishes_do_not_share_connections() {
    let mut pair = Pair::new();
    pair.ends[SERVER].listen(53, Default::default()).unwrap();
    let plain = Target::new(server_addr(), SERVICE);
    let other_port = Target::new("10.0.0.2:7001".parse().unwrap(), SERVICE);
    for target in [plain, Target::new(server_addr(), 53), Target { upgrade: true, ..plain }, other_port] {
        let call = pair.ends[CLIENT].begin_call(&target, CallOptions::default()).unwrap();
        pair.write_all(CLIENT, call, b"x");
    }
    pair.pump();
    let cids: BTreeSet<u32> = pair.sent.iter().map(|(_, f)| f.header.cid).collect();
    assert_eq!(cids.len(), 4);
    assert_eq!(pair.sent.iter().map(|(_, f)| f.header.user_status).sum::<u8>(), 1, "one wish");
}

#[test]
fn connection_ids_are_those_of_the_shard() {
    let mut pair = Pair::with(|c| c.shard = Shard { index: 5, count: 8 });
    for _ in 0..40 {
        pair.request(b"x");
    }
    pair.pump();
    let ids: BTreeSet<u32> = pair.places().iter().map(|(cid, ..)| cid >> 2).collect();
    assert_eq!(ids.len(), 10);
    assert!(ids.iter().all(|id| id % 8 == 5));
}

#[test]
fn what_cannot_be_called_is_refused() {
    let mut pair = Pair::new();
    for (addr, service) in [
        ("10.0.0.2:7000", 0),
        ("10.0.0.2:0", SERVICE),
        ("0.0.0.0:7000", SERVICE),
        ("224.0.0.1:7000", SERVICE),
        ("255.255.255.255:7000", SERVICE),
        ("[::]:7000", SERVICE),
        ("[ff02::1]:7000", SERVICE),
    ] {
        let target = Target::new(addr.parse().unwrap(), service);
        let refused = pair.ends[CLIENT].begin_call(&target, CallOptions::default());
        assert_eq!(refused, Err(BeginCallError::InvalidTarget), "{addr} {service}");
    }
    assert_eq!(pair.ends[CLIENT].stats(), rxrpc_proto::EndpointStats::default());
}

#[test]
fn every_event_of_a_call_carries_its_tag() {
    let mut pair = Pair::new();
    let call = pair.begin(CallOptions { tag: 4711, ..Default::default() });
    pair.write_all(CLIENT, call, b"q");
    while pair.ends[SERVER].waiting(SERVICE).is_none() {
        pair.step();
    }
    let served = pair.ends[SERVER].waiting(SERVICE).unwrap();
    let options = rxrpc_proto::AcceptOptions { tag: u64::MAX, ..Default::default() };
    pair.ends[SERVER].accept(served, options).unwrap();
    pair.write_all(SERVER, served, b"a");
    pair.run_to_end(CLIENT, call).unwrap();
    pair.run_to_end(SERVER, served).unwrap();
    pair.pump();
    for (side, id, tag) in [(CLIENT, call, 4711), (SERVER, served, u64::MAX)] {
        assert_eq!(pair.ends[side].call(id).unwrap().tag(), tag);
        let events = pair.events[side].iter();
        let tags = events.filter_map(|e| match e {
            Event::Call { call, tag, .. } if *call == id => Some(*tag),
            _ => None,
        });
        assert_eq!(tags.collect::<BTreeSet<u64>>(), BTreeSet::from([tag]));
    }
}

#[test]
fn a_released_id_is_unknown_for_ever_and_never_given_again() {
    let mut pair = Pair::new();
    let mut ids = BTreeSet::new();
    let mut last = None;
    for _ in 0..50 {
        let call = pair.request(b"q");
        assert!(ids.insert(call));
        let served = pair.accept();
        pair.write_all(SERVER, served, b"a");
        pair.run_to_end(CLIENT, call).unwrap();
        pair.ends[CLIENT].release(call);
        pair.run_to_end(SERVER, served).unwrap();
        pair.ends[SERVER].release(served);
        assert!(pair.ends[CLIENT].call(call).is_none());
        last = Some(call);
    }
    let fresh = pair.request(b"q");
    assert_eq!(fresh.slot(), last.unwrap().slot(), "the slot is used again");
    pair.ends[CLIENT].release(last.unwrap());
    pair.pump();
    assert!(pair.ends[CLIENT].call(fresh).is_some(), "an old id does not reach the new call");
    assert!(ids.iter().all(|old| pair.ends[CLIENT].call(*old).is_none()));
}

#[test]
fn an_endpoint_serves_and_calls_at_once_even_the_client_it_serves() {
    let mut pair = Pair::new();
    pair.ends[CLIENT].listen(9, Default::default()).unwrap();
    let call = pair.request(b"open");
    let served = pair.accept();
    let back = Target::new(pair.addrs[CLIENT], 9);
    let callback = pair.ends[SERVER].begin_call(&back, CallOptions::default()).unwrap();
    pair.write_all(SERVER, callback, &pattern(50_000));
    let mut got = Vec::new();
    let taken = loop {
        if let Some(id) = pair.ends[CLIENT].waiting(9) {
            pair.ends[CLIENT].accept(id, Default::default()).unwrap();
            break id;
        }
        assert!(pair.step());
    };
    while pair.ends[CLIENT].call(taken).unwrap().writable() == 0 || got.len() < 50_000 {
        got.extend(pair.read(CLIENT, taken));
        assert!(pair.step());
    }
    assert!(got == pattern(50_000));
    pair.write_all(CLIENT, taken, b"noted");
    pair.run_to_end(SERVER, callback).unwrap();
    assert_eq!(pair.read(SERVER, callback), b"noted");
    pair.write_all(SERVER, served, b"opened");
    pair.run_to_end(CLIENT, call).unwrap();
    assert_eq!(pair.read(CLIENT, call), b"opened");
}

#[test]
fn forty_calls_at_once_get_each_its_own_reply() {
    let mut pair = Pair::new();
    let calls: Vec<CallId> = (0..40u8).map(|i| pair.request(&vec![i; usize::from(i) * 100])).collect();
    for _ in 0..200 {
        serve(&mut pair);
        pair.step();
    }
    for (i, call) in calls.iter().enumerate() {
        assert_eq!(pair.outcome(CLIENT, *call), Some(Ok(())), "call {i}");
        assert_eq!(pair.read(CLIENT, *call), vec![i as u8; i * 100]);
    }
}

#[test]
fn connections_that_the_server_aborted_do_not_hold_up_further_calls() {
    let mut pair = Pair::with(|c| c.limits.connections_per_bundle = 2);
    let target = Target::new(server_addr(), 999);
    for _ in 0..10 {
        let call = pair.ends[CLIENT].begin_call(&target, CallOptions::default()).unwrap();
        pair.write_all(CLIENT, call, b"x");
        pair.run_for(ms(20));
        let refused = Some(Err(CallError::RemoteAbort(AbortCode::RX_INVALID_OPERATION)));
        assert_eq!(pair.outcome(CLIENT, call), refused);
    }
}

#[test]
fn a_bundle_grows_to_32_connections_once_its_server_has_a_proof_of_our_address() {
    let mut pair = Pair::new();
    pair.ends[SERVER].listen(9, ServiceOptions { backlog: 200, upgrade_to: None }).unwrap();
    let target = Target::new(server_addr(), 9);
    for _ in 0..130 {
        let call = pair.ends[CLIENT].begin_call(&target, CallOptions::default()).unwrap();
        pair.write_all(CLIENT, call, b"x");
    }
    pair.pump();
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 16);
    pair.run_for(ms(500));
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 32);
    assert_eq!(pair.count(CLIENT, PacketType::Data), 128, "none was sent twice");
    assert_eq!(pair.ends[SERVER].stats().fault(Fault::NoRoomForConnection), 0);
    assert_eq!(pair.ends[SERVER].stats().connections, 32);
}

#[test]
fn calls_that_wait_do_not_keep_the_proof_of_our_address_from_the_server() {
    let mut pair = Pair::new();
    pair.ends[SERVER].listen(9, ServiceOptions { backlog: 200, upgrade_to: None }).unwrap();
    let target = Target::new(server_addr(), 9);
    let begin = |pair: &mut Pair| {
        let call = pair.ends[CLIENT].begin_call(&target, CallOptions::default()).unwrap();
        pair.write_all(CLIENT, call, b"x");
    };
    // The server's PINGs are lost; the first reply is not.
    pair.script(|f| if f.is(SERVER, PacketType::Ack) { vec![] } else { vec![Duration::ZERO] });
    (0..130).for_each(|_| begin(&mut pair));
    pair.run_for(ms(50));
    let served = pair.ends[SERVER].waiting(9).unwrap();
    pair.ends[SERVER].accept(served, Default::default()).unwrap();
    pair.write_all(SERVER, served, b"y");
    pair.run_for(ms(200));
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 32);
    assert_eq!(pair.places().iter().collect::<BTreeSet<_>>().len(), 129);
    assert_eq!(pair.ends[SERVER].stats().fault(Fault::NoRoomForConnection), 0);
}
