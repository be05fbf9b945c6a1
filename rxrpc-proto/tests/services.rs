//! Service calls: offering, accepting, turning away, upgrading, ending implicitly.

mod harness;

use std::time::Duration;

use harness::solo::{Hand, Solo};
use harness::{CLIENT, Pair, SERVER, SERVICE, client_addr, ms, pattern, server_addr};
use rxrpc_proto::wire::{AbortCode, Flags, PacketType};
use rxrpc_proto::{
    AcceptError, AcceptOptions, BusyPolicy, CallError, CallId, CallOptions, Config, Endpoint, Event, Fault,
    ListenError, Rejection, ServiceOptions, Target, TimeoutKind,
};

fn backlog(backlog: usize) -> ServiceOptions {
    ServiceOptions { backlog, upgrade_to: None }
}

fn incoming(events: impl IntoIterator<Item = Event>) -> Vec<(CallId, u16)> {
    let pick = |e| match e {
        Event::Incoming { call, service } => Some((call, service)),
        _ => None,
    };
    events.into_iter().filter_map(pick).collect()
}

#[test]
fn one_endpoint_offers_any_number_of_services() {
    let mut pair = Pair::new();
    for service in 1000..1200 {
        pair.ends[SERVER].listen(service, Default::default()).unwrap();
    }
    for service in [1199, 1000, 1100, SERVICE] {
        let target = Target::new(server_addr(), service);
        let call = pair.ends[CLIENT].begin_call(&target, CallOptions::default()).unwrap();
        pair.write_all(CLIENT, call, b"x");
    }
    pair.run_for(ms(6));
    let offered = incoming(pair.events[SERVER].clone());
    assert_eq!(offered.iter().map(|o| o.1).collect::<Vec<_>>(), [1199, 1000, 1100, SERVICE]);
    for (call, service) in offered {
        assert_eq!(pair.ends[SERVER].waiting(service), Some(call));
        let view = pair.ends[SERVER].call(call).unwrap();
        assert_eq!((view.service(), view.peer(), view.is_client()), (service, client_addr(), false));
    }
}

#[test]
fn a_service_is_offered_once_and_not_as_number_zero() {
    let mut solo = Solo::server(|_| {});
    assert_eq!(solo.end.listen(0, backlog(1)), Err(ListenError::ZeroService));
    assert_eq!(solo.end.listen(SERVICE, backlog(1)), Err(ListenError::InUse(SERVICE)));
    solo.end.unlisten(SERVICE);
    assert_eq!(solo.end.listen(SERVICE, backlog(1)), Ok(()));
    solo.end.close();
    assert_eq!(solo.end.listen(7, backlog(1)), Err(ListenError::EndpointClosed));
}

#[test]
fn calls_wait_to_be_accepted_in_order_and_any_of_them_can_be_taken_first() {
    let mut pair = Pair::new();
    for i in 0..4 {
        pair.request(&[i]);
    }
    pair.run_for(ms(6));
    let offered: Vec<CallId> = incoming(pair.events[SERVER].clone()).iter().map(|o| o.0).collect();
    assert_eq!(offered.len(), 4);
    let end = &mut pair.ends[SERVER];
    assert_eq!(end.waiting(SERVICE), Some(offered[0]));
    end.accept(offered[2], AcceptOptions::default()).unwrap();
    end.accept(offered[0], AcceptOptions::default()).unwrap();
    assert_eq!(end.waiting(SERVICE), Some(offered[1]));
    assert_eq!(pair.read(SERVER, offered[2]), [2]);
    assert_eq!(pair.read(SERVER, offered[0]), [0]);
}

#[test]
fn the_first_event_of_an_accepted_call_tells_of_what_it_had_received() {
    let mut pair = Pair::new();
    pair.request(b"x");
    pair.run_for(ms(20));
    let call = pair.ends[SERVER].waiting(SERVICE).unwrap();
    assert_eq!(pair.news(SERVER, call), []);
    pair.ends[SERVER].accept(call, AcceptOptions { tag: 9, lifetime: None }).unwrap();
    pair.pump();
    let expected = Event::Call { call, tag: 9, news: rxrpc_proto::News::READABLE };
    assert_eq!(pair.events[SERVER].pop_back(), Some(expected));
}

#[test]
fn beyond_the_backlog_calls_get_busy_and_fail_as_busy() {
    let mut pair = Pair::new();
    pair.ends[SERVER].listen(9, backlog(2)).unwrap();
    let target = Target::new(server_addr(), 9);
    let calls: Vec<CallId> = (0..3)
        .map(|_| {
            let call = pair.ends[CLIENT].begin_call(&target, CallOptions::default()).unwrap();
            pair.write_all(CLIENT, call, b"x");
            call
        })
        .collect();
    pair.run_for(ms(10));
    assert_eq!(pair.count(SERVER, PacketType::Busy), 1);
    assert_eq!(pair.ends[SERVER].stats().fault(Fault::NoRoom), 1);
    let outcomes: Vec<_> = calls.iter().map(|c| pair.outcome(CLIENT, *c)).collect();
    assert_eq!(outcomes, [None, None, Some(Err(CallError::Busy))]);
}

#[test]
fn a_backlog_of_zero_turns_every_call_away() {
    let mut pair = Pair::new();
    pair.ends[SERVER].listen(9, backlog(0)).unwrap();
    let target = Target::new(server_addr(), 9);
    let call = pair.ends[CLIENT].begin_call(&target, CallOptions::default()).unwrap();
    pair.write_all(CLIENT, call, b"x");
    assert_eq!(pair.run_to_end(CLIENT, call), Err(CallError::Busy));
}

#[test]
fn a_client_that_is_turned_away_ends_as_busy_though_the_rest_of_its_request_is_unknown() {
    let mut pair = Pair::with(|c| {
        c.limits.window = 2;
        c.timing.silence = Duration::from_secs(2);
        c.timing.rto_initial = Duration::from_secs(3);
    });
    pair.ends[SERVER].listen(9, backlog(0)).unwrap();
    let options = CallOptions { busy: BusyPolicy::Retry, ..Default::default() };
    let call = pair.ends[CLIENT].begin_call(&Target::new(server_addr(), 9), options).unwrap();
    pair.write_all(CLIENT, call, &pattern(4_612));
    assert_eq!(pair.run_to_end(CLIENT, call), Err(CallError::Busy));
    assert!(pair.all(SERVER, PacketType::Ack).len() >= 2, "packets beyond the window");
}

#[test]
fn accepting_makes_room_for_a_client_that_retries() {
    let mut pair = Pair::new();
    pair.ends[SERVER].listen(9, backlog(1)).unwrap();
    let target = Target::new(server_addr(), 9);
    let begin = |pair: &mut Pair, data: &[u8]| {
        let options = CallOptions { busy: BusyPolicy::Retry, ..Default::default() };
        let call = pair.ends[CLIENT].begin_call(&target, options).unwrap();
        pair.write_all(CLIENT, call, data);
        call
    };
    begin(&mut pair, b"first");
    let second = begin(&mut pair, b"second");
    let start = pair.now;
    pair.run_for(ms(500));
    let first = pair.ends[SERVER].waiting(9).unwrap();
    pair.ends[SERVER].accept(first, AcceptOptions::default()).unwrap();
    pair.run_for(ms(504));
    assert_eq!(pair.ends[SERVER].waiting(9), None);
    pair.run_for(ms(1));
    assert_eq!(pair.now - start, ms(1005), "one initial time-out and the way there");
    let taken = pair.ends[SERVER].waiting(9).unwrap();
    pair.ends[SERVER].accept(taken, AcceptOptions::default()).unwrap();
    assert_eq!(pair.read(SERVER, taken), b"second");
    assert_eq!(pair.outcome(CLIENT, second), None);
}

#[test]
fn the_next_call_on_the_channel_of_one_turned_away_is_let_in() {
    let mut pair = Pair::new();
    pair.exchange(b"q", b"a");
    let call = pair.request(b"x");
    pair.run_for(ms(10));
    let waiting = pair.ends[SERVER].waiting(SERVICE).unwrap();
    pair.ends[SERVER].reject(waiting, Rejection::Busy).unwrap();
    assert_eq!(pair.run_to_end(CLIENT, call), Err(CallError::Busy));
    assert_eq!(pair.exchange(b"q", b"a").0, b"q");
    assert_eq!(pair.places().iter().map(|p| p.2).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn accepting_and_rejecting_say_when_there_is_nothing_to_take() {
    let mut pair = Pair::new();
    let call = pair.request(b"x");
    pair.run_for(ms(10));
    let waiting = pair.ends[SERVER].waiting(SERVICE).unwrap();
    let end = &mut pair.ends[SERVER];
    assert_eq!(end.accept(waiting, AcceptOptions::default()), Ok(()));
    let nothing = Err(AcceptError::NothingWaiting);
    assert_eq!(end.accept(waiting, AcceptOptions::default()), nothing);
    assert_eq!(end.reject(waiting, Rejection::Busy), nothing);
    let end = &mut pair.ends[CLIENT];
    assert_eq!(end.accept(call, AcceptOptions::default()), nothing, "a call of ours");
    end.release(call);
    pair.pump();
    assert_eq!(pair.ends[CLIENT].reject(call, Rejection::Busy), nothing);
}

#[test]
fn a_call_aborted_while_it_waited_says_so_when_accepted_or_rejected() {
    for accept in [true, false] {
        let mut pair = Pair::new();
        let call = pair.request(b"x");
        pair.run_for(ms(10));
        let waiting = pair.ends[SERVER].waiting(SERVICE).unwrap();
        pair.ends[CLIENT].call(call).unwrap().abort(AbortCode(33));
        pair.run_for(ms(10));
        let end = &mut pair.ends[SERVER];
        let result = match accept {
            true => end.accept(waiting, AcceptOptions::default()),
            false => end.reject(waiting, Rejection::Busy),
        };
        assert_eq!(result, Err(AcceptError::Aborted(CallError::RemoteAbort(AbortCode(33)))));
        assert!(end.call(waiting).is_none());
        assert_eq!((end.waiting(SERVICE), end.stats().calls), (None, 0));
        pair.run_for(ms(100));
        assert_eq!(pair.news(SERVER, waiting), [], "no event of a call that nobody took");
    }
}

#[test]
fn a_call_that_timed_out_while_it_waited_says_so() {
    let mut pair = Pair::new();
    pair.request(b"x");
    pair.run_for(ms(10));
    let waiting = pair.ends[SERVER].waiting(SERVICE).unwrap();
    pair.script(|_| vec![]);
    pair.run_for(Duration::from_secs(21));
    let timed_out = AcceptError::TimedOut(TimeoutKind::Silence);
    assert_eq!(pair.ends[SERVER].accept(waiting, AcceptOptions::default()), Err(timed_out));
}

#[test]
fn calls_that_died_while_they_waited_make_room_in_the_backlog() {
    let mut pair = Pair::new();
    pair.ends[SERVER].listen(9, backlog(2)).unwrap();
    let target = Target::new(server_addr(), 9);
    for _ in 0..5 {
        let call = pair.ends[CLIENT].begin_call(&target, CallOptions::default()).unwrap();
        pair.write_all(CLIENT, call, b"x");
        pair.run_for(ms(10));
        pair.ends[CLIENT].release(call);
        pair.run_for(ms(10));
    }
    assert_eq!(pair.count(SERVER, PacketType::Busy), 0);
}

#[test]
fn a_released_waiting_call_is_aborted_and_leaves_the_queue() {
    let mut pair = Pair::new();
    let call = pair.request(b"x");
    pair.run_for(ms(10));
    let waiting = pair.ends[SERVER].waiting(SERVICE).unwrap();
    pair.ends[SERVER].release(waiting);
    assert_eq!(pair.run_to_end(CLIENT, call), Err(CallError::RemoteAbort(AbortCode::RX_USER_ABORT)));
    assert_eq!((pair.ends[SERVER].waiting(SERVICE), pair.ends[SERVER].stats().calls), (None, 0));
}

#[test]
fn a_next_call_on_the_channel_says_that_the_reply_has_arrived() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    solo.hear(client_addr(), &hand.whole(b"q"));
    let served = solo.accept();
    solo.write_all(served, b"a");
    assert_eq!(solo.end.call(served).unwrap().outcome(), None);
    hand.call = 2;
    solo.hear(client_addr(), &hand.whole(b"q2"));
    assert_eq!(solo.end.call(served).unwrap().outcome(), Some(Ok(())));
    let news = solo.news(served);
    assert!(news.last().unwrap().ended() && news.last().unwrap().delivered());
    assert_eq!(solo.take_type(PacketType::Abort).len(), 0);
}

#[test]
fn a_next_call_ends_one_whose_reply_was_not_finished_as_dead() {
    for replied in [false, true] {
        let mut solo = Solo::server(|_| {});
        let mut hand = Hand::client(0x100);
        solo.hear(client_addr(), &hand.whole(b"q"));
        let served = solo.accept();
        if replied {
            solo.end.call(served).unwrap().write(&[1; 2000]).unwrap();
            solo.pump();
        }
        hand.call = 2;
        solo.hear(client_addr(), &hand.whole(b"q2"));
        let dead = Some(Err(CallError::LocalAbort(AbortCode::RX_CALL_DEAD)));
        assert_eq!(solo.end.call(served).unwrap().outcome(), dead);
        assert!(solo.end.waiting(SERVICE).is_some());
        assert_eq!(solo.take_type(PacketType::Abort).len(), 0, "the client knows");
    }
}

#[test]
fn only_data_ends_the_call_before_it() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    solo.hear(client_addr(), &hand.whole(b"q"));
    let served = solo.accept();
    hand.call = 2;
    let packets = [
        hand.bare(PacketType::AckAll),
        hand.abort(5),
        hand.ack(rxrpc_proto::wire::AckReason::Ping, 1, 0, &[]),
    ];
    for packet in packets {
        solo.hear(client_addr(), &packet);
    }
    assert_eq!(solo.end.call(served).unwrap().outcome(), None);
    assert_eq!(solo.end.stats().fault(Fault::UnknownServiceCall), 3);
}

#[test]
fn a_call_may_start_with_any_packet_of_its_request() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    let packets = [
        hand.data(1, Flags::NONE, b"ab"),
        hand.data(2, Flags::NONE, b"cd"),
        hand.data(3, Flags::LAST_PACKET, b"ef"),
    ];
    for i in [2, 1, 0] {
        solo.hear(client_addr(), &packets[i]);
    }
    let call = solo.accept();
    assert_eq!(solo.read(call), b"abcdef");
}

#[test]
fn a_waiting_call_can_be_refused_with_any_code_but_zero() {
    for (code, told) in [(4242, 4242), (-455, -455), (0, AbortCode::RX_USER_ABORT.0)] {
        let mut pair = Pair::new();
        let call = pair.request(b"x");
        pair.run_for(ms(10));
        let waiting = pair.ends[SERVER].waiting(SERVICE).unwrap();
        pair.ends[SERVER].reject(waiting, Rejection::Abort(AbortCode(code))).unwrap();
        assert!(pair.ends[SERVER].call(waiting).is_none());
        assert_eq!(pair.run_to_end(CLIENT, call), Err(CallError::RemoteAbort(AbortCode(told))));
        assert_eq!(pair.ends[SERVER].stats().calls, 0);
    }
}

#[test]
fn a_service_no_longer_offered_refuses_waiting_and_new_calls_and_keeps_accepted_ones() {
    let mut pair = Pair::new();
    let accepted = pair.request(b"a");
    let served = pair.accept();
    let waiting = pair.request(b"w");
    pair.run_for(ms(6));
    pair.ends[SERVER].unlisten(SERVICE);
    let new = pair.request(b"n");
    pair.run_for(ms(50));
    let refused = Some(Err(CallError::RemoteAbort(AbortCode::RX_INVALID_OPERATION)));
    assert_eq!(pair.outcome(CLIENT, waiting), refused);
    assert_eq!(pair.outcome(CLIENT, new), refused);
    pair.write_all(SERVER, served, b"still here");
    assert_eq!(
        pair.run_to_end(CLIENT, accepted),
        Ok(()),
        "the refusal is of one call, not of the connection"
    );
}

#[test]
fn turning_a_call_away_does_not_make_the_finished_call_before_it_begin_again() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    solo.hear(client_addr(), &hand.whole(b"once"));
    let served = solo.accept();
    solo.write_all(served, b"done");
    hand.call = 2;
    solo.hear(client_addr(), &hand.whole(b"second"));
    assert_eq!(solo.end.call(served).unwrap().outcome(), Some(Ok(())));
    let second = solo.end.waiting(SERVICE).unwrap();
    solo.end.reject(second, Rejection::Busy).unwrap();
    solo.events.clear();
    hand.call = 1;
    solo.hear(client_addr(), &hand.whole(b"once"));
    assert_eq!(incoming(solo.events.clone()), [], "a late copy of call 1");
    assert_eq!(solo.end.stats().fault(Fault::FinishedCall), 1);
    hand.call = 2;
    solo.hear(client_addr(), &hand.whole(b"second"));
    assert_eq!(incoming(solo.events.clone()).len(), 1, "call 2 comes again");
}

#[test]
fn what_a_waiting_call_received_is_acknowledged_softly_until_it_is_accepted() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    for seq in 1..=3 {
        solo.hear(client_addr(), &hand.data(seq, Flags::NONE, &[7; 100]));
    }
    solo.wait(ms(10));
    let acks = solo.take_type(PacketType::Ack);
    let last = acks.last().unwrap();
    assert_eq!((last.acked().1, last.table(), last.rwind()), (1, vec![1, 1, 1], 255));
    let call = solo.accept();
    solo.wait(ms(10));
    let ack = solo.take_type(PacketType::Ack).pop().unwrap();
    assert_eq!((ack.acked().1, ack.table(), ack.rwind()), (4, vec![], 255));
    assert_eq!(solo.read(call).len(), 300);
}

#[test]
fn a_waiting_call_takes_no_more_than_a_table_describes_and_goes_on_once_accepted() {
    let mut pair = Pair::new();
    let data = pattern(1_000_000);
    let call = pair.request(&data);
    pair.run_for(Duration::from_secs(5));
    let distinct = pair.all(CLIENT, PacketType::Data).iter().map(|(_, f)| f.header.seq).max();
    assert_eq!(distinct, Some(255));
    let served = pair.accept();
    assert!(pair.read_request(served) == data);
    assert_eq!(pair.outcome(CLIENT, call), None);
}

#[test]
fn a_call_turned_away_after_its_request_was_acknowledged_fails_as_busy_or_is_sent_again() {
    for (busy, outcome) in [(BusyPolicy::Fail, Some(Err(CallError::Busy))), (BusyPolicy::Retry, None)] {
        let mut pair = Pair::new();
        let call = pair.begin(CallOptions { busy, ..Default::default() });
        pair.write_all(CLIENT, call, b"x");
        pair.run_for(ms(100));
        assert_eq!(pair.count(SERVER, PacketType::Ack), 1);
        let waiting = pair.ends[SERVER].waiting(SERVICE).unwrap();
        pair.ends[SERVER].reject(waiting, Rejection::Busy).unwrap();
        pair.run_for(ms(5));
        assert_eq!(pair.outcome(CLIENT, call), outcome);
        if outcome.is_none() {
            let served = pair.accept();
            assert_eq!(pair.read_request(served), b"x");
        }
    }
}

#[test]
fn a_client_turned_away_again_and_again_asks_at_growing_intervals() {
    let mut pair = Pair::new();
    let call = pair.begin(CallOptions { busy: BusyPolicy::Retry, ..Default::default() });
    pair.write_all(CLIENT, call, b"x");
    for _ in 0..5 {
        while pair.ends[SERVER].waiting(SERVICE).is_none() {
            assert!(pair.step());
        }
        pair.run_for(ms(100));
        let waiting = pair.ends[SERVER].waiting(SERVICE).unwrap();
        pair.ends[SERVER].reject(waiting, Rejection::Busy).unwrap();
    }
    let sent: Vec<Duration> =
        pair.all(CLIENT, PacketType::Data).iter().map(|(at, _)| *at - pair.sent[0].0).collect();
    // 0.11 s to be turned away, then twice a time-out of 60 ms, and nearly twice as long each further time.
    let waits: Vec<Duration> = sent.windows(2).map(|w| w[1] - w[0] - ms(110)).collect();
    assert_eq!(waits[0], ms(120));
    assert!(waits.len() == 4 && waits.windows(2).all(|w| w[1] > w[0] * 3 / 2), "{waits:?}");
}

#[test]
fn calls_turned_away_together_do_not_come_back_together() {
    let mut pair = Pair::new();
    pair.ends[SERVER].unlisten(SERVICE);
    pair.ends[SERVER].listen(SERVICE, backlog(0)).unwrap();
    let calls = 20;
    for _ in 0..calls {
        let call = pair.begin(CallOptions { busy: BusyPolicy::Retry, ..Default::default() });
        pair.write_all(CLIENT, call, b"x");
    }
    pair.run_for(Duration::from_secs(18));
    let sent: Vec<u128> =
        pair.all(CLIENT, PacketType::Data).iter().map(|(at, _)| (*at - pair.sent[0].0).as_millis()).collect();
    let mut late: Vec<u128> = sent.iter().copied().filter(|at| *at > 1_500).collect();
    let (tries, total) = (late.len(), sent.len());
    late.dedup();
    assert!(late.len() > tries / 2, "{tries} tries at {} times: {late:?}", late.len());
    // Twice as long each time, and no less than half of that: four or five tries each.
    assert!((3 * calls..8 * calls).contains(&total), "{total} packets of {calls} calls");
}

#[test]
fn a_request_of_several_packets_that_is_turned_away_is_not_sent_at_every_answer() {
    for (busy, after_abort) in [(BusyPolicy::Retry, false), (BusyPolicy::Fail, true)] {
        let mut pair = Pair::new();
        if after_abort {
            let first = pair.request(b"x");
            let _ = pair.accept();
            pair.ends[CLIENT].call(first).unwrap().abort(AbortCode::RX_USER_ABORT);
            pair.run_for(ms(100));
        }
        let call = pair.begin(CallOptions { busy, ..Default::default() });
        pair.write_all(CLIENT, call, &pattern(4000));
        let end = pair.now + Duration::from_secs(10);
        while pair.now < end && pair.step() {
            while let Some(waiting) = pair.ends[SERVER].waiting(SERVICE) {
                pair.ends[SERVER].reject(waiting, Rejection::Busy).unwrap();
            }
        }
        let sent = pair.count(CLIENT, PacketType::Data);
        assert!((6..30).contains(&sent), "{sent} packets of three in ten seconds");
    }
}

#[test]
fn a_call_turned_away_by_choice_succeeds_when_its_client_sends_it_again() {
    let mut pair = Pair::new();
    let call = pair.begin(CallOptions { busy: BusyPolicy::Retry, ..Default::default() });
    pair.write_all(CLIENT, call, b"again");
    for _ in 0..2 {
        while pair.ends[SERVER].waiting(SERVICE).is_none() {
            assert!(pair.step());
        }
        let waiting = pair.ends[SERVER].waiting(SERVICE).unwrap();
        pair.ends[SERVER].reject(waiting, Rejection::Busy).unwrap();
        assert!(pair.ends[SERVER].call(waiting).is_none());
    }
    pair.pump();
    assert_eq!(pair.count(SERVER, PacketType::Busy), 2);
    let served = pair.accept();
    assert_eq!(pair.read_request(served), b"again");
    pair.write_all(SERVER, served, b"done");
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
    assert_eq!(pair.places().iter().map(|p| p.2).collect::<Vec<_>>(), [1, 1, 1], "one call number");
}

#[test]
fn a_server_that_restarts_in_mid_request_is_found_out_in_a_round_trip() {
    let mut pair = Pair::new();
    let call = pair.begin(CallOptions::default());
    pair.write_all(CLIENT, call, &pattern(1_000_000));
    let served = pair.accept();
    let mut read = 0;
    while read < 600_000 {
        assert!(pair.step());
        read += pair.read(SERVER, served).len();
    }
    let mut config = Config::new([9; 32]);
    config.socket_receive_buffer = 4 << 20;
    pair.ends[SERVER] = Endpoint::new(config);
    pair.ends[SERVER].listen(SERVICE, backlog(1)).unwrap();
    pair.run_for(ms(50));
    assert_eq!(pair.outcome(CLIENT, call), Some(Err(CallError::PeerRestarted)));
    assert_eq!(pair.ends[SERVER].stats().connections, 0);
}
