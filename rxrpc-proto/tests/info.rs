//! What can be seen of calls from outside, without touching them.

mod harness;

use harness::{CLIENT, Pair, SERVER, SERVICE, ms, pattern, server_addr};
use rxrpc_proto::wire::PacketType;
use rxrpc_proto::{AbortCode, CallError, CallInfo, CallOptions, WireCall};

const ON: std::time::Duration = std::time::Duration::ZERO;

fn infos(pair: &Pair, side: usize) -> Vec<CallInfo> {
    pair.ends[side].call_infos().collect()
}

#[test]
fn both_sides_name_a_call_as_its_packets_do() {
    let mut pair = Pair::new();
    let call = pair.begin(CallOptions { tag: 7, ..CallOptions::default() });
    pair.write_all(CLIENT, call, b"question");
    assert_eq!(pair.ends[CLIENT].call_info(call).unwrap().wire, None, "it has no channel yet");
    let served = pair.accept();
    let header = pair.all(CLIENT, PacketType::Data)[0].1.header;
    let wire = WireCall { epoch: header.epoch, cid: header.cid, number: header.call_number };
    let ours = pair.ends[CLIENT].call_info(call).unwrap();
    assert_eq!((ours.id, ours.tag, ours.peer, ours.service), (call, 7, server_addr(), SERVICE));
    assert_eq!((ours.is_client, ours.wire, ours.outcome), (true, Some(wire), None));
    let theirs = pair.ends[SERVER].call_info(served).unwrap();
    assert_eq!((theirs.id, theirs.is_client, theirs.wire), (served, false, Some(wire)));
    assert_eq!(theirs.stats.bytes_received, 8);
    assert_eq!((infos(&pair, CLIENT), infos(&pair, SERVER)), (vec![ours], vec![theirs]));
}

#[test]
fn only_what_is_acknowledged_for_good_counts_as_that() {
    let mut pair = Pair::new();
    let size = 100_000;
    let call = pair.request(&pattern(size));
    let served = pair.accept();
    let mut before = 0;
    while pair.ends[CLIENT].call_info(call).unwrap().stats.bytes_acknowledged < size as u64 {
        let stats = pair.ends[CLIENT].call_info(call).unwrap().stats;
        let arrived = pair.ends[SERVER].call_info(served).unwrap().stats.bytes_received;
        assert!(before <= stats.bytes_acknowledged && stats.bytes_acknowledged <= arrived);
        assert!(arrived <= stats.bytes_sent);
        before = stats.bytes_acknowledged;
        pair.read(SERVER, served);
        assert!(pair.step());
    }
    pair.write_all(SERVER, served, b"done");
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
    assert_eq!(pair.ends[CLIENT].call_info(call).unwrap().stats.bytes_acknowledged, size as u64);
}

#[test]
fn an_abort_leaves_the_count_of_acknowledged_bytes_as_it_was() {
    let mut pair = Pair::new();
    let call = pair.request(&pattern(100_000));
    pair.accept();
    pair.run_for(ms(12));
    let before = pair.ends[CLIENT].call_info(call).unwrap().stats;
    assert!(before.bytes_acknowledged < before.bytes_sent);
    pair.ends[CLIENT].call(call).unwrap().abort(AbortCode(9));
    pair.pump();
    let info = pair.ends[CLIENT].call_info(call).unwrap();
    assert_eq!((info.outcome, info.wire), (Some(Err(CallError::LocalAbort(AbortCode(9)))), None));
    assert_eq!(info.stats.bytes_acknowledged, before.bytes_acknowledged);
    pair.ends[CLIENT].release(call);
    assert_eq!((pair.ends[CLIENT].call_info(call), infos(&pair, CLIENT)), (None, vec![]));
}

#[test]
fn a_time_out_doubles_the_next_and_sets_a_threshold() {
    let mut pair = Pair::new();
    pair.exchange(b"q", b"a");
    let call = pair.request(b"question");
    pair.script(|f| if f.from == CLIENT { vec![] } else { vec![ON] });
    pair.pump();
    let stats = |pair: &Pair| pair.ends[CLIENT].call_info(call).unwrap().stats;
    let fresh = stats(&pair);
    assert_eq!((fresh.slow_start_threshold, fresh.timeouts), (None, 0));
    assert!(fresh.srtt.is_some_and(|srtt| srtt >= ms(10) && srtt < fresh.rto));
    while stats(&pair).timeouts == 0 {
        assert!(pair.step());
    }
    let after = stats(&pair);
    assert_eq!((after.rto, after.congestion_window), (fresh.rto * 2, 1));
    assert_eq!(after.slow_start_threshold, Some(2));
}
