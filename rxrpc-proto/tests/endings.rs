//! How calls end: by abort from either side in every state, by a fault, by release and close; and that they
//! end once.

mod harness;

use std::time::Duration;

use harness::solo::{Hand, Solo};
use harness::{CLIENT, Pair, SERVER, SERVICE, client_addr, ms, pattern, server_addr};
use rxrpc_proto::wire::{AbortCode, AckReason, Flags, PacketType};
use rxrpc_proto::{
    BeginCallError, CallError, CallId, CallOptions, Event, Fault, NetworkError, News, ReadError, Target,
    VersionError, WriteError,
};

const CODE: AbortCode = AbortCode(4711);

fn both(pair: &mut Pair, client: CallId, server: CallId) -> [Option<Result<(), CallError>>; 2] {
    [pair.outcome(CLIENT, client), pair.outcome(SERVER, server)]
}

/// The news of a call up to its end: the last says ended, and none before.
fn ended_once(pair: &mut Pair, side: usize, call: CallId) -> News {
    pair.run_for(Duration::from_secs(30));
    let news = pair.news(side, call);
    assert_eq!(news.iter().filter(|n| n.ended()).count(), 1, "{news:?}");
    assert!(news.last().unwrap().ended(), "{news:?}");
    *news.last().unwrap()
}

/// A call under way: how far its client and server sides are.
struct Stage {
    name: &'static str,
    request: usize,
    request_ends: bool,
    reply: usize,
    reply_ends: bool,
}

const STAGES: [Stage; 4] = [
    Stage { name: "request under way", request: 3000, request_ends: false, reply: 0, reply_ends: false },
    Stage { name: "server works", request: 3000, request_ends: true, reply: 0, reply_ends: false },
    Stage { name: "reply under way", request: 10, request_ends: true, reply: 3000, reply_ends: false },
    Stage { name: "reply sent, not received", request: 10, request_ends: true, reply: 10, reply_ends: true },
];

impl Stage {
    fn reach(&self) -> (Pair, CallId, CallId) {
        let mut pair = Pair::new();
        let call = pair.begin(CallOptions::default());
        pair.ends[CLIENT].call(call).unwrap().write(&pattern(self.request)).unwrap();
        pair.ends[CLIENT].call(call).unwrap().flush();
        if self.request_ends {
            pair.ends[CLIENT].call(call).unwrap().finish().unwrap();
        }
        let served = pair.accept();
        pair.run_for(ms(20));
        pair.read(SERVER, served);
        if self.reply > 0 {
            pair.ends[SERVER].call(served).unwrap().write(&pattern(self.reply)).unwrap();
            pair.ends[SERVER].call(served).unwrap().flush();
        }
        if self.reply_ends {
            // On its way, but not there.
            pair.ends[SERVER].call(served).unwrap().finish().unwrap();
            pair.pump();
        } else {
            pair.run_for(ms(50));
        }
        (pair, call, served)
    }
}

#[test]
fn an_abort_by_the_client_reaches_the_server_from_every_state() {
    for stage in &STAGES {
        let (mut pair, call, served) = stage.reach();
        assert!(pair.ends[CLIENT].call(call).unwrap().abort(CODE));
        pair.pump();
        assert_eq!(pair.all(CLIENT, PacketType::Abort).len(), 1, "{}", stage.name);
        pair.run_for(ms(5));
        let ends = [Some(Err(CallError::LocalAbort(CODE))), Some(Err(CallError::RemoteAbort(CODE)))];
        assert_eq!(both(&mut pair, call, served), ends, "{}", stage.name);
        ended_once(&mut pair, CLIENT, call);
        ended_once(&mut pair, SERVER, served);
        assert_eq!(pair.count(SERVER, PacketType::Abort), 0, "{}: an abort is not answered", stage.name);
    }
}

#[test]
fn an_abort_that_follows_the_whole_reply_does_not_undo_the_clients_success() {
    let (mut pair, call, served) = STAGES[3].reach();
    assert!(pair.ends[SERVER].call(served).unwrap().abort(CODE));
    pair.run_for(ms(100));
    assert_eq!(both(&mut pair, call, served), [Some(Ok(())), Some(Err(CallError::LocalAbort(CODE)))]);
    assert_eq!(pair.read(CLIENT, call), pattern(10));
}

#[test]
fn aborts_that_cross_leave_each_side_with_its_own() {
    let (mut pair, call, served) = STAGES[1].reach();
    pair.ends[CLIENT].call(call).unwrap().abort(AbortCode(1));
    pair.ends[SERVER].call(served).unwrap().abort(AbortCode(2));
    pair.run_for(ms(100));
    let own = |code| Some(Err(CallError::LocalAbort(AbortCode(code))));
    assert_eq!(both(&mut pair, call, served), [own(1), own(2)]);
    assert_eq!((pair.count(CLIENT, PacketType::Abort), pair.count(SERVER, PacketType::Abort)), (1, 1));
}

#[test]
fn the_first_abort_wins_and_nothing_can_be_done_with_the_call_from_then_on() {
    let (mut pair, call, _) = STAGES[0].reach();
    let mut view = pair.ends[CLIENT].call(call).unwrap();
    assert!(view.abort(CODE));
    assert!(!view.abort(AbortCode(5)));
    let error = CallError::LocalAbort(CODE);
    for _ in 0..2 {
        let mut view = pair.ends[CLIENT].call(call).unwrap();
        assert_eq!(view.write(b"x"), Err(WriteError::Ended(error)));
        assert_eq!(view.finish(), Err(WriteError::Ended(error)));
        assert_eq!(view.read_chunk(1), Err(ReadError::Ended(error)));
        assert_eq!(view.read(&mut [0]), Err(ReadError::Ended(error)));
        assert_eq!(view.peek(&mut [0]), Err(ReadError::Ended(error)));
        assert_eq!(view.read_exact(&mut [0], false), Err(ReadError::Ended(error)));
        assert!(!view.abort(AbortCode(6)));
        pair.pump();
    }
    assert_eq!(pair.outcome(CLIENT, call), Some(Err(error)));
}

#[test]
fn what_arrives_right_after_an_abort_does_not_undo_it() {
    for last in [PacketType::Abort, PacketType::Ack] {
        let mut solo = Solo::server(|_| {});
        let mut hand = Hand::client(0x100);
        solo.hear(client_addr(), &hand.whole(b"q"));
        let call = solo.accept();
        let mut view = solo.end.call(call).unwrap();
        assert_eq!(view.read_chunk(9).unwrap().unwrap(), b"q"[..]);
        view.write(b"a").unwrap();
        view.finish().unwrap();
        solo.pump();
        assert!(solo.end.call(call).unwrap().abort(CODE));
        let packet = match last {
            PacketType::Abort => hand.abort(77),
            _ => hand.ack(AckReason::Idle, 2, 0, &[]),
        };
        solo.hear(client_addr(), &packet);
        assert_eq!(
            solo.end.call(call).unwrap().outcome(),
            Some(Err(CallError::LocalAbort(CODE))),
            "{last:?}"
        );
    }
}

#[test]
fn an_abort_code_of_zero_is_sent_as_user_abort() {
    let (mut pair, call, served) = STAGES[1].reach();
    pair.ends[CLIENT].call(call).unwrap().abort(AbortCode(0));
    pair.run_for(ms(10));
    let code = AbortCode::RX_USER_ABORT;
    let ends = [Some(Err(CallError::LocalAbort(code))), Some(Err(CallError::RemoteAbort(code)))];
    assert_eq!(both(&mut pair, call, served), ends);
}

#[test]
fn failing_a_call_tells_the_peer_user_abort_and_keeps_the_reason_here() {
    for error in [CallError::TooLong, CallError::Short, CallError::Excess] {
        let (mut pair, call, served) = STAGES[2].reach();
        assert!(pair.ends[CLIENT].call(call).unwrap().fail(error));
        pair.run_for(ms(10));
        let remote = CallError::RemoteAbort(AbortCode::RX_USER_ABORT);
        assert_eq!(both(&mut pair, call, served), [Some(Err(error)), Some(Err(remote))]);
    }
}

#[test]
fn aborting_discards_unread_and_unsent_data_and_frees_its_room() {
    let mut pair = Pair::new();
    let call = pair.request(&pattern(500_000));
    let served = pair.accept();
    pair.run_for(ms(40));
    assert!(pair.ends[SERVER].stats().unread > 0 && pair.ends[CLIENT].stats().unacknowledged > 0);
    pair.ends[SERVER].call(served).unwrap().abort(CODE);
    pair.run_for(ms(10));
    assert_eq!((pair.ends[SERVER].stats().unread, pair.ends[CLIENT].stats().unacknowledged), (0, 0));
    assert_eq!(pair.outcome(CLIENT, call), Some(Err(CallError::RemoteAbort(CODE))));
}

#[test]
fn a_lost_abort_is_said_again_when_the_peer_goes_on() {
    let (mut pair, call, served) = STAGES[1].reach();
    pair.script(|f| if f.is(CLIENT, PacketType::Abort) { vec![] } else { vec![Duration::ZERO] });
    pair.ends[CLIENT].call(call).unwrap().abort(CODE);
    pair.run_for(ms(10));
    pair.script(|_| vec![Duration::ZERO]);
    assert_eq!(pair.outcome(SERVER, served), None);
    pair.write_all(SERVER, served, b"late");
    pair.run_for(ms(20));
    assert_eq!(pair.outcome(SERVER, served), Some(Err(CallError::RemoteAbort(CODE))));
    assert_eq!(pair.count(CLIENT, PacketType::Abort), 2);
}

#[test]
fn success_is_told_with_what_came_and_what_was_delivered() {
    let mut pair = Pair::new();
    let call = pair.request(b"q");
    let served = pair.accept();
    pair.write_all(SERVER, served, b"a");
    pair.run_to_end(CLIENT, call).unwrap();
    let news = ended_once(&mut pair, CLIENT, call);
    assert!(news.readable() && news.delivered() && !news.writable(), "{news:?}");
    let news = ended_once(&mut pair, SERVER, served);
    assert!(news.delivered() && !news.readable(), "{news:?}");
    let mut view = pair.ends[CLIENT].call(call).unwrap();
    assert_eq!(view.write(b"x"), Err(WriteError::Complete));
    assert_eq!(view.finish(), Err(WriteError::Complete));
    assert!(!view.abort(CODE));
    assert_eq!(view.read_chunk(10).unwrap().unwrap(), b"a"[..]);
    assert_eq!(view.read_chunk(10), Ok(None));
    assert_eq!(view.read_chunk(10), Ok(None), "the end stays");
}

#[test]
fn a_connection_abort_ends_every_call_of_the_connection_and_no_other() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    let mut calls = Vec::new();
    for channel in 0..4 {
        hand.cid = 0x100 + channel;
        solo.hear(client_addr(), &hand.whole(b"q"));
        calls.push(solo.accept());
    }
    let mut other = Hand::client(0x104);
    solo.hear(client_addr(), &other.whole(b"q"));
    let other = solo.accept();
    hand.call = 0;
    solo.hear(client_addr(), &hand.abort(77));
    for call in calls {
        let aborted = Some(Err(CallError::RemoteAbort(AbortCode(77))));
        assert_eq!(solo.end.call(call).unwrap().outcome(), aborted);
        assert!(solo.news(call).last().unwrap().ended());
    }
    assert_eq!(solo.end.call(other).unwrap().outcome(), None);
}

#[test]
fn a_fault_of_the_peer_ends_the_call_by_name_and_with_a_protocol_error() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    solo.hear(client_addr(), &hand.data(2, Flags::LAST_PACKET, b"b"));
    let call = solo.accept();
    solo.hear(client_addr(), &hand.data(3, Flags::LAST_PACKET, b"c"));
    let outcome = solo.end.call(call).unwrap().outcome();
    assert_eq!(outcome, Some(Err(CallError::Protocol(Fault::DifferentLast))));
    let aborts = solo.take_type(PacketType::Abort);
    assert_eq!(aborts.iter().map(|a| a.abort_code()).collect::<Vec<_>>(), [AbortCode::RX_PROTOCOL_ERROR]);
}

#[test]
fn a_network_error_ends_exactly_the_calls_that_were_on_the_wire_to_that_peer() {
    let mut solo = Solo::new(|_| {});
    let elsewhere = "10.0.0.3:7000".parse().unwrap();
    let mut begin = |peer, send: bool| {
        let call = solo.end.begin_call(&Target::new(peer, SERVICE), CallOptions::default()).unwrap();
        if send {
            solo.write_all(call, b"x");
        }
        call
    };
    let (sent, unsent, other) =
        (begin(server_addr(), true), begin(server_addr(), false), begin(elsewhere, true));
    let error = NetworkError::PortUnreachable;
    solo.end.handle_network_error(solo.now, server_addr(), error);
    solo.pump();
    let mut outcome = |call| solo.end.call(call).unwrap().outcome();
    assert_eq!(outcome(sent), Some(Err(CallError::Network(error))));
    assert_eq!((outcome(unsent), outcome(other)), (None, None));
    assert_eq!(solo.take_type(PacketType::Abort).len(), 0, "nobody there to tell");
    solo.end.handle_network_error(solo.now, "10.0.0.77:1".parse().unwrap(), error);
    let too_long = NetworkError::MessageTooLong { mtu: 1200 };
    solo.end.handle_network_error(solo.now, elsewhere, too_long);
    assert_eq!(solo.end.call(other).unwrap().outcome(), None, "too large a packet ends nothing");
}

#[test]
fn releasing_a_live_call_aborts_it_and_no_event_follows() {
    let (mut pair, call, served) = STAGES[2].reach();
    pair.news(CLIENT, call);
    pair.ends[CLIENT].release(call);
    assert!(pair.ends[CLIENT].call(call).is_none());
    pair.run_for(ms(100));
    assert_eq!(pair.outcome(SERVER, served), Some(Err(CallError::RemoteAbort(AbortCode::RX_USER_ABORT))));
    assert_eq!(pair.news(CLIENT, call), []);
    assert_eq!((pair.ends[CLIENT].stats().calls, pair.ends[CLIENT].stats().unread), (0, 0));
}

#[test]
fn releasing_a_finished_call_frees_what_was_not_read_and_drops_its_event() {
    let mut pair = Pair::new();
    let call = pair.request(b"q");
    let served = pair.accept();
    pair.write_all(SERVER, served, &pattern(5000));
    pair.run_to_end(CLIENT, call).unwrap();
    assert!(pair.ends[CLIENT].stats().unread >= 5000);
    pair.ends[CLIENT].release(call);
    assert_eq!((pair.ends[CLIENT].stats().calls, pair.ends[CLIENT].stats().unread), (0, 0));
    assert_eq!(pair.ends[CLIENT].poll_event(), None);
}

#[test]
fn a_call_that_is_over_but_not_released_keeps_its_data() {
    let mut pair = Pair::new();
    let call = pair.request(b"q");
    let served = pair.accept();
    pair.write_all(SERVER, served, &pattern(5000));
    pair.run_to_end(CLIENT, call).unwrap();
    pair.run_for(Duration::from_secs(1000));
    assert_eq!(pair.ends[CLIENT].stats().connections, 0);
    assert_eq!(pair.read(CLIENT, call), pattern(5000));
}

#[test]
fn closing_ends_every_call_tells_the_peers_and_refuses_new_ones() {
    let mut pair = Pair::new();
    let (sent, queued) = (pair.request(b"q"), pair.begin(CallOptions::default()));
    let served = pair.accept();
    let question = pair.ends[CLIENT].ask_version(server_addr(), Duration::from_secs(9)).unwrap();
    pair.ends[CLIENT].close();
    assert!(pair.ends[CLIENT].is_closed());
    pair.run_for(ms(10));
    let closed = Some(Err(CallError::EndpointClosed));
    assert_eq!((pair.outcome(CLIENT, sent), pair.outcome(CLIENT, queued)), (closed, closed));
    assert_eq!(pair.outcome(SERVER, served), Some(Err(CallError::RemoteAbort(AbortCode::RX_CALL_DEAD))));
    assert_eq!(pair.ends[CLIENT].take_version(question), Some(Err(VersionError::EndpointClosed)));
    let end = &mut pair.ends[CLIENT];
    let target = Target::new(server_addr(), SERVICE);
    let refused = end.begin_call(&target, CallOptions::default());
    assert_eq!(refused, Err(BeginCallError::EndpointClosed));
    assert_eq!(end.ask_version(server_addr(), ms(1)), Err(VersionError::EndpointClosed));
    end.close();
    assert_eq!(ended_once(&mut pair, CLIENT, sent), News::ENDED);
}

#[test]
fn a_closed_server_refuses_calls_that_wait_and_new_ones() {
    let mut pair = Pair::new();
    let waiting = pair.request(b"q");
    pair.run_for(ms(10));
    pair.ends[SERVER].close();
    let new = pair.request(b"q");
    pair.run_for(ms(10));
    assert_eq!(pair.outcome(CLIENT, waiting), Some(Err(CallError::RemoteAbort(AbortCode::RX_CALL_DEAD))));
    assert_eq!(pair.outcome(CLIENT, new), Some(Err(CallError::RemoteAbort(AbortCode::RX_INVALID_OPERATION))));
}

#[test]
fn no_call_has_two_ends_whatever_the_network_and_the_applications_do() {
    for seed in 1..=40u64 {
        let mut pair = Pair::new();
        pair.script(harness::chance(seed, 0.1, 0.1, 0.2));
        let calls: Vec<CallId> = (0..12).map(|i| pair.request(&pattern(i * 900))).collect();
        let mut served = Vec::new();
        for step in 0..400 {
            pair.step();
            while let Some(id) = pair.ends[SERVER].waiting(SERVICE) {
                pair.ends[SERVER].accept(id, Default::default()).unwrap();
                served.push(id);
            }
            let pick = (seed as usize * 31 + step * 7) % 12;
            if step % 50 == 3 {
                pair.ends[CLIENT].call(calls[pick]).unwrap().abort(CODE);
            }
            let Some(mut view) = served.get(pick).and_then(|id| pair.ends[SERVER].call(*id)) else {
                continue;
            };
            if step % 60 == 5 {
                view.abort(CODE);
            } else if step % 10 == 7 {
                let _ = view.write(&pattern(2000)).and_then(|_| view.finish());
            }
        }
        pair.script(|_| vec![Duration::ZERO]);
        for id in &served {
            pair.ends[SERVER].call(*id).unwrap().abort(CODE);
        }
        pair.run_for(Duration::from_secs(60));
        for (side, ids) in [(CLIENT, calls), (SERVER, served)] {
            for id in ids {
                assert!(pair.outcome(side, id).is_some(), "seed {seed}");
                let news = pair.news(side, id);
                let ends: Vec<usize> = (0..news.len()).filter(|i| news[*i].ended()).collect();
                assert_eq!(ends, [news.len() - 1], "seed {seed}: {news:?}");
            }
        }
        assert!(pair.events.iter().flatten().all(|e| !matches!(e, Event::Call { .. })));
    }
}

#[test]
fn acknowledgements_of_a_call_that_is_over_change_nothing() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    solo.hear(client_addr(), &hand.whole(b"q"));
    let call = solo.accept();
    solo.write_all(call, b"a");
    let reply = solo.take_type(PacketType::Data).pop().unwrap();
    solo.hear(client_addr(), &hand.ack(AckReason::Delay, 2, reply.header.serial, &[]));
    assert_eq!(solo.end.call(call).unwrap().outcome(), Some(Ok(())));
    solo.take();
    for reason in [AckReason::Delay, AckReason::Ping, AckReason::Duplicate] {
        solo.hear(client_addr(), &hand.ack(reason, 2, reply.header.serial, &[]));
    }
    solo.hear(client_addr(), &hand.abort(5));
    assert_eq!(solo.take().len(), 0);
    assert_eq!(solo.end.call(call).unwrap().outcome(), Some(Ok(())));
}

#[test]
fn no_event_follows_the_end_of_a_call_that_waited_to_write() {
    let mut pair = Pair::with(|c| c.limits.send_total = 20_000);
    let hog = pair.begin(CallOptions::default());
    let waits = pair.begin(CallOptions::default());
    pair.pump();
    assert_eq!(pair.ends[CLIENT].call(hog).unwrap().write(&pattern(20_000)), Ok(20_000));
    assert_eq!(pair.ends[CLIENT].call(waits).unwrap().write(b"x"), Err(WriteError::Blocked));
    pair.ends[CLIENT].call(waits).unwrap().abort(CODE);
    pair.ends[CLIENT].call(hog).unwrap().finish().unwrap();
    let served = pair.accept();
    pair.read_request(served);
    pair.run_for(ms(100));
    assert_eq!(pair.ends[CLIENT].stats().unacknowledged, 0);
    assert_eq!(ended_once(&mut pair, CLIENT, waits), News::ENDED);
}

#[test]
fn a_remote_abort_is_told_ahead_of_unread_data_which_is_gone() {
    let (mut pair, call, served) = STAGES[2].reach();
    assert_eq!(pair.ends[CLIENT].call(call).unwrap().readable(), 3000);
    pair.ends[SERVER].call(served).unwrap().abort(CODE);
    pair.run_for(ms(10));
    let mut view = pair.ends[CLIENT].call(call).unwrap();
    assert_eq!(view.readable(), 0);
    assert_eq!(view.read_chunk(10), Err(ReadError::Ended(CallError::RemoteAbort(CODE))));
    assert_eq!(pair.ends[CLIENT].stats().unread, 0);
}

#[test]
fn an_abort_by_the_server_reaches_the_client_from_every_state() {
    for stage in &STAGES[..3] {
        let (mut pair, call, served) = stage.reach();
        assert!(pair.ends[SERVER].call(served).unwrap().abort(CODE));
        pair.pump();
        pair.run_for(ms(5));
        let ends = [Some(Err(CallError::RemoteAbort(CODE))), Some(Err(CallError::LocalAbort(CODE)))];
        assert_eq!(both(&mut pair, call, served), ends, "{}", stage.name);
        ended_once(&mut pair, CLIENT, call);
        ended_once(&mut pair, SERVER, served);
        assert_eq!(pair.count(CLIENT, PacketType::Abort), 0, "{}: an abort is not answered", stage.name);
    }
}
