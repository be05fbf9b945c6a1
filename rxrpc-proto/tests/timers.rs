//! Deadlines: what happens when nothing else does, and that nothing is left in the end.

mod harness;

use std::time::Duration;

use harness::solo::{Hand, Sent, Solo};
use harness::{CLIENT, Pair, SERVER, SERVICE, client_addr, ms, pattern, server_addr};
use rxrpc_proto::wire::{AbortCode, AckReason, Flags, PacketType};
use rxrpc_proto::{
    AcceptOptions, CallError, CallId, CallOptions, Config, NetworkError, Target, TimeoutKind, Wake,
};

const NONE: Flags = Flags::NONE;
const NANO: Duration = Duration::from_nanos(1);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn trusting(config: &mut Config) {
    config.validate_peers = false;
}

fn timed_out(kind: TimeoutKind) -> Option<Result<(), CallError>> {
    Some(Err(CallError::Timeout(kind)))
}

/// A client whose request is out, and its server's hand.
fn asking(options: CallOptions) -> (Solo, Hand, CallId) {
    let mut solo = Solo::new(|_| {});
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), options).unwrap();
    solo.write_all(call, b"q");
    let hand = Hand::answering(&solo.take()[0].header);
    (solo, hand, call)
}

/// A service call that was accepted with the whole request or with one packet of it.
fn serving(whole: bool, tune: impl Fn(&mut Config)) -> (Solo, Hand, CallId) {
    let mut solo = Solo::server(|config| {
        trusting(config);
        tune(config);
    });
    let mut hand = Hand::client(0x100);
    let flags = if whole { Flags::LAST_PACKET } else { NONE };
    solo.hear(client_addr(), &hand.data(1, flags, b"q"));
    let call = solo.accept();
    (solo, hand, call)
}

impl Solo {
    fn outcome(&mut self, call: CallId) -> Option<Result<(), CallError>> {
        self.end.call(call).unwrap().outcome()
    }
}

#[test]
fn a_call_under_way_pings_when_it_has_sent_nothing_else_for_3_333_seconds() {
    let mut pair = Pair::with(trusting);
    let start = pair.now;
    pair.request(b"q");
    pair.accept();
    pair.run_for(secs(11));
    let times = |side| pair.all(side, PacketType::Ack).iter().map(|(at, _)| *at - start).collect::<Vec<_>>();
    assert_eq!(times(CLIENT)[..2], [3333, 6666].map(ms));
    assert_eq!(times(SERVER)[..2], [15, 3338].map(ms), "an answer is as good as a question");
}

#[test]
fn a_server_pings_a_client_that_says_nothing() {
    let (mut solo, _, _) = serving(true, |_| {});
    solo.wait(ms(10));
    solo.take();
    solo.wait(ms(3333) - NANO);
    assert_eq!(solo.take().len(), 0);
    solo.wait(NANO);
    assert_eq!(solo.take()[0].acked().0, AckReason::Ping);
}

#[test]
fn keepalives_hold_a_call_open_for_hours() {
    let mut pair = Pair::with(trusting);
    let call = pair.request(b"q");
    let served = pair.accept();
    pair.run_for(secs(3 * 3600));
    pair.write_all(SERVER, served, b"a");
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
}

#[test]
fn a_call_that_hears_nothing_ends_twenty_seconds_after_its_first_packet() {
    let (mut solo, _, call) = asking(CallOptions::default());
    solo.wait(secs(20) - NANO);
    assert_eq!(solo.outcome(call), None);
    solo.take();
    solo.wait(NANO);
    assert_eq!(solo.outcome(call), timed_out(TimeoutKind::Silence));
    assert_eq!(solo.take_type(PacketType::Abort)[0].abort_code(), AbortCode::RX_CALL_TIMEOUT);
}

#[test]
fn the_silence_is_counted_from_the_last_packet_heard_and_may_be_set_per_call() {
    let (mut solo, mut hand, call) = asking(CallOptions { silence: Some(secs(5)), ..Default::default() });
    solo.wait(secs(4));
    solo.hear(server_addr(), &hand.ack(AckReason::Delay, 2, 0, &[]));
    solo.wait(secs(5) - NANO);
    assert_eq!(solo.outcome(call), None);
    solo.wait(NANO);
    assert_eq!(solo.outcome(call), timed_out(TimeoutKind::Silence));
}

#[test]
fn a_service_call_ends_twenty_seconds_after_its_client_fell_silent() {
    let (mut solo, _, call) = serving(true, |_| {});
    solo.wait(secs(20) - NANO);
    assert_eq!(solo.outcome(call), None);
    solo.wait(NANO);
    assert_eq!(solo.outcome(call), timed_out(TimeoutKind::Silence));
}

#[test]
fn a_call_that_waits_for_a_channel_or_for_its_writer_is_not_silent() {
    let mut pair = Pair::with(|c| {
        trusting(c);
        c.limits.connections_per_bundle = 1;
    });
    let unwritten: Vec<CallId> = (0..4).map(|_| pair.begin(CallOptions::default())).collect();
    let queued = pair.begin(CallOptions::default());
    pair.run_for(secs(1000));
    assert!(unwritten.iter().all(|c| pair.outcome(CLIENT, *c).is_none()));
    assert_eq!(pair.outcome(CLIENT, queued), None);
    assert_eq!(pair.ends[CLIENT].poll_timeout(), None);
}

/// A client with two calls, and their requests as sent.
fn asking_twice() -> (Solo, [CallId; 2], Vec<Sent>) {
    let mut solo = Solo::new(|_| {});
    let target = Target::new(server_addr(), SERVICE);
    let calls = [(); 2].map(|()| {
        let call = solo.end.begin_call(&target, CallOptions::default()).unwrap();
        solo.write_all(call, b"q");
        call
    });
    let sent = solo.take();
    (solo, calls, sent)
}

#[test]
fn a_peer_heard_on_the_connection_but_not_for_the_call_has_lost_it() {
    let (mut solo, calls, sent) = asking_twice();
    let mut hand = Hand::answering(&sent[0].header);
    solo.hear(server_addr(), &hand.ack(AckReason::Delay, 2, 0, &[]));
    hand.cid = sent[1].header.cid;
    for _ in 0..7 {
        solo.wait(secs(3));
        solo.hear(server_addr(), &hand.ack(AckReason::Delay, 2, 0, &[]));
    }
    assert_eq!(solo.outcome(calls[0]), Some(Err(CallError::PeerRestarted)));
    assert_eq!(solo.outcome(calls[1]), None);
}

#[test]
fn a_call_that_never_came_to_its_peer_was_not_lost_there() {
    let (mut solo, calls, sent) = asking_twice();
    let mut hand = Hand::answering(&sent[0].header);
    // The peer answers a question about the first call, of which it has nothing, and then no more.
    solo.hear(server_addr(), &hand.ack(AckReason::PingResponse, 1, 0, &[]));
    hand.cid = sent[1].header.cid;
    for _ in 0..7 {
        solo.wait(secs(3));
        solo.hear(server_addr(), &hand.ack(AckReason::Delay, 2, 0, &[]));
    }
    assert_eq!(calls.map(|call| solo.outcome(call)), [timed_out(TimeoutKind::Silence), None]);
}

#[test]
fn calls_that_fall_silent_together_have_no_restarted_peer() {
    let (mut solo, calls, sent) = asking_twice();
    let mut hand = Hand::answering(&sent[0].header);
    for sent in &sent {
        solo.wait(secs(1));
        hand.cid = sent.header.cid;
        solo.hear(server_addr(), &hand.ack(AckReason::Delay, 2, 0, &[]));
    }
    solo.wait(secs(21));
    assert_eq!(calls.map(|call| solo.outcome(call)), [timed_out(TimeoutKind::Silence); 2]);
}

#[test]
fn a_client_that_pauses_within_its_request_is_given_sixty_seconds_though_it_pings() {
    let (mut solo, mut hand, call) = serving(false, |_| {});
    solo.wait(secs(30));
    assert_eq!(solo.outcome(call), timed_out(TimeoutKind::Silence), "without a sign of life");
    let (mut solo, mut pinging, call) = serving(false, |_| {});
    std::mem::swap(&mut hand, &mut pinging);
    for seq in 2..5 {
        for _ in 0..5 {
            solo.wait(secs(10));
            solo.hear(client_addr(), &hand.ack(AckReason::Ping, 1, 0, &[]));
        }
        solo.hear(client_addr(), &hand.data(seq, NONE, b"q"));
    }
    for _ in 0..5 {
        solo.wait(secs(10));
        solo.hear(client_addr(), &hand.ack(AckReason::Ping, 1, 0, &[]));
    }
    solo.wait(secs(10) - NANO);
    assert_eq!(solo.outcome(call), None);
    solo.take();
    solo.wait(NANO);
    assert_eq!(solo.outcome(call), timed_out(TimeoutKind::RequestGap));
    assert_eq!(solo.take_type(PacketType::Abort)[0].abort_code(), AbortCode::RX_CALL_TIMEOUT);
}

#[test]
fn a_complete_request_has_no_gap() {
    let (mut solo, mut hand, call) = serving(true, |_| {});
    for _ in 0..30 {
        solo.wait(secs(10));
        solo.hear(client_addr(), &hand.ack(AckReason::Ping, 1, 0, &[]));
    }
    assert_eq!(solo.outcome(call), None);
}

#[test]
fn a_lifetime_ends_a_call_however_lively_from_its_begin() {
    let options = CallOptions { lifetime: Some(secs(7)), ..Default::default() };
    let (mut solo, mut hand, call) = asking(options);
    for _ in 0..6 {
        solo.wait(secs(1));
        solo.hear(server_addr(), &hand.ack(AckReason::Ping, 2, 0, &[]));
    }
    solo.wait(secs(1) - NANO);
    assert_eq!(solo.outcome(call), None);
    solo.wait(NANO);
    assert_eq!(solo.outcome(call), timed_out(TimeoutKind::Lifetime));
}

#[test]
fn a_lifetime_counts_the_wait_for_a_channel() {
    let mut solo = Solo::new(|c| c.limits.connections_per_bundle = 1);
    let target = Target::new(server_addr(), SERVICE);
    (0..4).for_each(|_| assert!(solo.end.begin_call(&target, CallOptions::default()).is_ok()));
    let options = CallOptions { lifetime: Some(secs(7)), ..Default::default() };
    let queued = solo.end.begin_call(&target, options).unwrap();
    solo.wait(secs(7) - NANO);
    assert_eq!(solo.outcome(queued), None);
    solo.wait(NANO);
    assert_eq!(solo.outcome(queued), timed_out(TimeoutKind::Lifetime));
}

#[test]
fn the_lifetime_of_the_configuration_holds_unless_a_call_has_its_own() {
    let mut solo = Solo::new(|c| c.timing.lifetime = Some(secs(3)));
    let target = Target::new(server_addr(), SERVICE);
    let own = CallOptions { lifetime: Some(secs(9)), ..Default::default() };
    let calls = [CallOptions::default(), own].map(|o| solo.end.begin_call(&target, o).unwrap());
    solo.wait(secs(3));
    assert_eq!(solo.outcome(calls[0]), timed_out(TimeoutKind::Lifetime));
    assert_eq!(solo.outcome(calls[1]), None);
    solo.wait(secs(6));
    assert_eq!(solo.outcome(calls[1]), timed_out(TimeoutKind::Lifetime));
}

#[test]
fn an_unused_client_connection_goes_after_two_minutes_and_a_used_one_never() {
    let mut pair = Pair::with(trusting);
    pair.exchange(b"q", b"a");
    let end = pair.all(SERVER, PacketType::Data)[0].0 + ms(5);
    pair.run_for(secs(60));
    pair.exchange(b"q", b"a");
    assert_eq!(pair.places().iter().map(|p| p.2).collect::<Vec<_>>(), [1, 2], "used again, not anew");
    let again = pair.all(SERVER, PacketType::Data)[1].0 + ms(5);
    assert!(again - end > secs(60));
    pair.run_for(again + secs(120) - NANO - pair.now);
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 1);
    pair.run_for(NANO);
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 0);
    assert_eq!(pair.ends[SERVER].stats().connections, 1, "servers keep theirs longer");
}

#[test]
fn an_unused_service_connection_goes_after_ten_minutes() {
    let (mut solo, mut hand, call) = serving(true, |_| {});
    solo.write_all(call, b"a");
    let serial = solo.take_type(PacketType::Data)[0].header.serial;
    solo.hear(client_addr(), &hand.ack(AckReason::Delay, 2, serial, &[]));
    solo.wait(secs(600) - NANO);
    assert_eq!(solo.end.stats().connections, 1);
    solo.wait(NANO);
    assert_eq!(solo.end.stats().connections, 0);
}

#[test]
fn above_900_client_connections_unused_ones_go_after_two_seconds() {
    let mut pair = Pair::with(|c| {
        trusting(c);
        c.timing.fast_reap_above = 3;
    });
    let calls: Vec<CallId> =
        (0..6).map(|_| pair.begin(CallOptions { exclusive: true, ..Default::default() })).collect();
    for call in &calls {
        pair.write_all(CLIENT, *call, b"q");
    }
    for _ in 0..6 {
        let served = pair.accept();
        pair.write_all(SERVER, served, b"a");
    }
    pair.run_for(ms(20));
    assert!(calls.iter().all(|c| pair.outcome(CLIENT, *c) == Some(Ok(()))));
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 6);
    pair.run_for(ms(1970));
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 6);
    pair.run_for(ms(30));
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 3, "down to the limit");
    pair.run_for(secs(9));
    assert_eq!(pair.ends[CLIENT].stats().client_connections, 0);
}

#[test]
fn a_connection_whose_client_never_proved_its_address_goes_twenty_seconds_after_its_last_call() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    solo.hear(client_addr(), &hand.whole(b"q"));
    let call = solo.accept();
    solo.wait(secs(5));
    solo.hear(client_addr(), &hand.abort(9));
    assert_eq!(solo.outcome(call), Some(Err(CallError::RemoteAbort(AbortCode(9)))));
    assert_eq!(solo.end.stats().unvalidated_connections, 1);
    solo.wait(secs(20) - NANO);
    assert_eq!(solo.end.stats().connections, 1);
    solo.wait(NANO);
    assert_eq!((solo.end.stats().connections, solo.end.stats().unvalidated_connections), (0, 0));
}

#[test]
fn an_unused_path_is_held_open_every_twenty_seconds_while_there_is_a_client_connection() {
    let mut pair = Pair::with(|c| c.timing.nat_keepalive = Some(secs(20)));
    pair.exchange(b"q", b"a");
    pair.run_for(secs(1));
    let last = pair.all(CLIENT, PacketType::Ack).last().unwrap().0;
    pair.run_for(secs(300));
    let kept = pair.all(CLIENT, PacketType::Version);
    let times: Vec<Duration> = kept.iter().map(|(at, _)| *at - last).collect();
    assert_eq!(times, [20, 40, 60, 80, 100].map(secs), "the connection goes after two minutes");
    let header = &kept[0].1.header;
    assert_eq!((header.cid, header.call_number, header.serial, header.service_id), (0, 0, 0, 0));
    assert_eq!((header.flags, kept[0].1.bytes.len()), (Flags::LAST_PACKET, 29));
    assert_eq!(pair.count(SERVER, PacketType::Version), 0, "nobody answers");
}

#[test]
fn a_busy_path_is_not_held_open_beside() {
    let mut pair = Pair::with(|c| c.timing.nat_keepalive = Some(secs(20)));
    pair.request(b"q");
    pair.accept();
    pair.run_for(secs(200));
    assert_eq!(pair.count(CLIENT, PacketType::Version), 0, "keepalive PINGs do");
}

/// The next deadline from now and its reason.
fn next(solo: &Solo) -> (Duration, Wake) {
    let (at, wake) = solo.end.poll_timeout().unwrap();
    (at - solo.now, wake)
}

#[test]
fn poll_timeout_says_why_for_calls() {
    let (mut solo, mut hand, _) = asking(CallOptions::default());
    assert_eq!(next(&solo), (secs(1), Wake::Retransmit));
    solo.hear(server_addr(), &hand.ack(AckReason::Delay, 2, 0, &[]));
    assert_eq!(next(&solo), (ms(3333), Wake::Keepalive));
    let (solo, _, _) = asking(CallOptions { lifetime: Some(ms(5)), ..Default::default() });
    assert_eq!(next(&solo), (ms(5), Wake::Lifetime));
    let (mut solo, mut hand, _) = asking(CallOptions { silence: Some(secs(2)), ..Default::default() });
    solo.hear(server_addr(), &hand.ack(AckReason::Delay, 2, 0, &[]));
    assert_eq!(next(&solo), (secs(2), Wake::Silence));
    let (mut solo, _, _) = serving(true, |_| {});
    assert_eq!(next(&solo), (ms(10), Wake::DelayedAck));
    solo.wait(ms(10));
    assert_eq!(next(&solo), (ms(3333), Wake::Keepalive));
    solo.end.handle_network_error(solo.now, client_addr(), NetworkError::PortUnreachable);
    assert_eq!(next(&solo), (secs(2), Wake::Unreachable));
    let (mut solo, _, _) = serving(false, |c| c.timing.request_gap = secs(1));
    solo.wait(ms(10));
    assert_eq!(next(&solo), (ms(990), Wake::RequestGap));
}

#[test]
fn poll_timeout_says_why_when_loss_is_suspected() {
    let mut solo = Solo::new(|_| {});
    let call = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(call, &pattern(3 * 1412));
    let sent = solo.take();
    let mut hand = Hand::answering(&sent[0].header);
    solo.wait(ms(40));
    solo.hear(server_addr(), &hand.ack(AckReason::OutOfSequence, 1, sent[1].header.serial, &[0, 1]));
    assert_eq!(next(&solo), (ms(10), Wake::Reorder));
}

#[test]
fn poll_timeout_says_why_for_connections_peers_and_questions() {
    let (mut solo, mut hand, call) = asking(CallOptions::default());
    solo.hear(server_addr(), &hand.whole(b"a"));
    assert_eq!(next(&solo), (secs(120), Wake::ConnectionExpiry));
    let again = solo.end.begin_call(&Target::new(server_addr(), SERVICE), CallOptions::default()).unwrap();
    solo.write_all(again, b"q");
    hand.call = 2;
    solo.hear(server_addr(), &hand.whole(b"a"));
    assert_eq!(next(&solo), (ms(2), Wake::FinalAck));
    solo.wait(secs(120));
    solo.end.release(call);
    solo.end.release(again);
    assert_eq!(next(&solo), (secs(600), Wake::Peer), "its round trip is remembered");
    let mut solo = Solo::new(|_| {});
    solo.end.ask_version(server_addr(), secs(9)).unwrap();
    solo.pump();
    assert_eq!(next(&solo), (ms(250), Wake::Version));
    let (mut solo, mut hand, _) = serving(true, |_| {});
    solo.wait(ms(10));
    for _ in 0..2 {
        solo.hear("10.0.0.1:40001".parse().unwrap(), &hand.ack(AckReason::Delay, 1, 0, &[]));
    }
    assert_eq!(next(&solo), (secs(1), Wake::AddressCheck), "the second packet pays for a second question");
}

#[test]
fn a_hundred_thousand_idle_calls_cost_nothing_until_the_first_has_something_to_do() {
    const CALLS: u32 = 100_000;
    let mut solo = Solo::server(|c| {
        trusting(c);
        c.limits.calls_per_peer = CALLS as usize;
        c.timing.delayed_ack = secs(1000);
    });
    solo.end.unlisten(SERVICE);
    let options = rxrpc_proto::ServiceOptions { backlog: CALLS as usize, upgrade_to: None };
    solo.end.listen(SERVICE, options).unwrap();
    let start = solo.now;
    for i in 0..CALLS {
        let mut hand = Hand::client(0x1000 + i);
        solo.now += Duration::from_micros(1);
        solo.hear(client_addr(), &hand.whole(b"q"));
        solo.accept();
    }
    solo.events.clear();
    assert_eq!(solo.end.stats().calls, CALLS as usize);
    solo.take();
    let first = start + Duration::from_micros(1) + ms(3333);
    assert_eq!(solo.end.poll_timeout(), Some((first, Wake::Keepalive)));
    let before = solo.end.stats();
    solo.now = first - NANO;
    solo.end.handle_timeout(solo.now);
    solo.pump();
    assert_eq!((solo.take().len(), solo.events.len()), (0, 0));
    assert_eq!(solo.end.stats(), before);
    assert_eq!(solo.end.poll_timeout(), Some((first, Wake::Keepalive)));
    solo.now = first;
    solo.end.handle_timeout(solo.now);
    solo.pump();
    assert_eq!(solo.take().len(), 1, "one call's PING");
    assert_eq!(solo.end.poll_timeout(), Some((first + Duration::from_micros(1), Wake::Keepalive)));
}

#[test]
fn nothing_is_left_when_everything_has_expired() {
    for seed in 1..=5 {
        let mut pair = Pair::with(|c| c.timing.nat_keepalive = Some(secs(20)));
        pair.script(harness::chance(seed, 0.1, 0.05, 0.1));
        let mut calls: Vec<CallId> = (0..40).map(|i| pair.request(&pattern(i * 700))).collect();
        let mut served = Vec::new();
        calls.push(pair.begin(CallOptions { exclusive: true, ..Default::default() }));
        for step in 0..600 {
            pair.step();
            while let Some(id) = pair.ends[SERVER].waiting(SERVICE) {
                pair.ends[SERVER].accept(id, AcceptOptions::default()).unwrap();
                served.push(id);
            }
            let Some(mut view) = served.get(step % 41).and_then(|id| pair.ends[SERVER].call(*id)) else {
                continue;
            };
            if step % 7 == 0 {
                view.abort(AbortCode(5));
            } else if view.write(&pattern(3000)).is_ok() {
                view.finish().unwrap();
            }
        }
        pair.ends[CLIENT].ask_version(server_addr(), secs(3)).map(|_| ()).unwrap();
        for (side, ids) in [(CLIENT, &calls), (SERVER, &served)] {
            ids.iter().for_each(|id| pair.ends[side].release(*id));
        }
        pair.run_for(secs(2000));
        while let Some(id) = pair.ends[SERVER].waiting(SERVICE) {
            pair.ends[SERVER].release(id);
        }
        pair.run_for(secs(2000));
        for end in &pair.ends {
            let stats = end.stats();
            assert_eq!((stats.calls, stats.connections, stats.peers), (0, 0, 0), "seed {seed}");
            assert_eq!((stats.unread, stats.unacknowledged), (0, 0), "seed {seed}");
            assert_eq!((stats.client_connections, stats.unvalidated_connections), (0, 0), "seed {seed}");
            assert_eq!(end.poll_timeout(), None, "seed {seed}");
            assert!(!end.wants_transmit(), "seed {seed}");
        }
    }
}

#[test]
fn needless_timeouts_and_polls_change_nothing() {
    let run = |needless: bool| {
        let mut pair = Pair::new();
        pair.script(harness::chance(9, 0.1, 0.05, 0.1));
        let call = pair.request(&pattern(100_000));
        let served = pair.accept();
        let mut got = Vec::new();
        while got.len() < 100_000 {
            got.extend(pair.read(SERVER, served));
            if needless {
                let now = pair.now;
                pair.ends.iter_mut().for_each(|end| end.handle_timeout(now));
                pair.pump();
                pair.pump();
            }
            assert!(pair.step());
        }
        pair.write_all(SERVER, served, b"a");
        pair.run_to_end(CLIENT, call).unwrap();
        pair.sent.into_iter().map(|(at, f)| (at, f.bytes.clone())).collect::<Vec<_>>()
    };
    assert!(run(false) == run(true));
}

#[test]
fn a_clock_that_goes_back_is_taken_to_stand_still() {
    let (mut solo, _, call) = asking(CallOptions::default());
    solo.wait(ms(500));
    let late = solo.now;
    solo.now = rxrpc_proto::Instant::ORIGIN;
    solo.end.handle_timeout(solo.now);
    solo.pump();
    assert_eq!(solo.take().len(), 0);
    solo.now = late;
    solo.wait(ms(500));
    assert_eq!(solo.take()[0].at, late + ms(500));
    assert_eq!(solo.outcome(call), None);
}

#[test]
fn the_lifetime_of_an_accepted_call_counts_from_its_first_packet() {
    let mut solo = Solo::server(trusting);
    let mut hand = Hand::client(0x100);
    solo.hear(client_addr(), &hand.whole(b"q"));
    solo.wait(secs(4));
    let call = solo.end.waiting(SERVICE).unwrap();
    solo.end.accept(call, AcceptOptions { lifetime: Some(secs(10)), ..Default::default() }).unwrap();
    solo.wait(secs(6) - NANO);
    assert_eq!(solo.outcome(call), None);
    solo.wait(NANO);
    assert_eq!(solo.outcome(call), timed_out(TimeoutKind::Lifetime));
}
