//! The same seed and the same inputs give the same outputs, byte for byte.

mod harness;

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{CLIENT, Pair, SERVER, SERVICE, chance, pattern, server_addr};
use rxrpc_proto::wire::AbortCode;
use rxrpc_proto::{CallId, CallOptions, EndpointStats, Event, Instant};

/// What a busy hour on a bad network gives: every datagram with its time, every event, the counters at the end.
type Trace = (Vec<(Instant, usize, Vec<u8>)>, Vec<Event>, Vec<EndpointStats>);

fn run(seed: u8, network: u64) -> Trace {
    let mut pair = Pair::with(|c| {
        c.seed[31] = seed;
        c.limits.connections_per_bundle = 3;
        c.limits.send_total = 60_000;
        c.limits.receive_per_peer = 60_000;
        c.timing.nat_keepalive = Some(Duration::from_secs(20));
    });
    pair.script(chance(network, 0.1, 0.1, 0.2));
    let piece = pattern(900);
    let mut events = Vec::new();
    let mut served: Vec<CallId> = Vec::new();
    let mut calls: Vec<CallId> = Vec::new();
    for step in 0..1500u32 {
        if step % 25 == 0 && step < 900 {
            let exclusive = step % 100 == 0;
            let call = pair.begin(CallOptions { tag: u64::from(step), exclusive, ..Default::default() });
            let mut view = pair.ends[CLIENT].call(call).unwrap();
            let _ = view.write(&pattern(step as usize * 13));
            let _ = view.finish();
            calls.push(call);
        }
        if step == 400 {
            pair.ends[CLIENT].ask_version(server_addr(), Duration::from_secs(3)).unwrap();
        }
        while let Some(id) = pair.ends[SERVER].waiting(SERVICE) {
            pair.ends[SERVER].accept(id, Default::default()).unwrap();
            served.push(id);
        }
        for (i, id) in served.iter().enumerate() {
            let Some(mut view) = pair.ends[SERVER].call(*id) else { continue };
            while let Ok(Some(_)) = view.read_chunk(1000) {}
            if (step as usize + i) % 97 == 5 {
                view.abort(AbortCode(77));
            } else if view.write(&piece).is_ok() && (step as usize + i) % 31 == 7 {
                let _ = view.finish();
            }
        }
        if step % 40 == 39 {
            calls.drain(..calls.len() / 4).for_each(|call| pair.ends[CLIENT].release(call));
        }
        if !pair.step() {
            pair.run_for(Duration::from_millis(10));
        }
        events.extend(pair.events.iter_mut().flat_map(|queue| queue.drain(..)));
    }
    pair.run_for(Duration::from_secs(30));
    events.extend(pair.events.iter_mut().flat_map(|queue| queue.drain(..)));
    let sent = pair.sent.iter().map(|(at, f)| (*at, f.from, f.bytes.clone())).collect();
    (sent, events, pair.ends.iter().map(|end| end.stats()).collect())
}

#[test]
fn the_same_seed_and_inputs_give_the_same_outputs_byte_for_byte() {
    for network in 1..=4 {
        let (first, second) = (run(9, network), run(9, network));
        assert!(first.0.len() > 500, "{} datagrams are a weak test", first.0.len());
        assert!(first.0 == second.0, "datagrams, network {network}");
        assert_eq!(first.1, second.1, "events, network {network}");
        assert_eq!(first.2, second.2, "counters, network {network}");
    }
}

#[test]
fn another_seed_gives_another_epoch_other_connection_ids_and_other_serials() {
    let firsts = |seed| {
        let (sent, ..) = run(seed, 1);
        let client =
            rxrpc_proto::wire::Header::parse(&sent.iter().find(|s| s.1 == CLIENT).unwrap().2).unwrap().0;
        let server =
            rxrpc_proto::wire::Header::parse(&sent.iter().find(|s| s.1 == SERVER).unwrap().2).unwrap().0;
        (client.epoch, client.cid, server.serial)
    };
    let all: Vec<_> = (0..12).map(firsts).collect();
    for distinct in [
        all.iter().map(|f| f.0).collect::<BTreeSet<u32>>(),
        all.iter().map(|f| f.1).collect(),
        all.iter().map(|f| f.2).collect(),
    ] {
        assert_eq!(distinct.len(), 12);
    }
}

#[test]
fn only_identifiers_depend_on_the_seed_not_what_happens() {
    // On a network without chance the same calls take the same packets at the same times.
    let shape = |seed: u8| {
        let mut pair = Pair::with(|c| c.seed[31] = seed);
        pair.exchange(&pattern(50_000), &pattern(70_000));
        pair.exchange(b"q", b"a");
        pair.run_for(Duration::from_secs(200));
        pair.sent.iter().map(|(at, f)| (*at, f.from, f.header.packet_type, f.bytes.len())).collect::<Vec<_>>()
    };
    assert_eq!(shape(1), shape(2));
}
