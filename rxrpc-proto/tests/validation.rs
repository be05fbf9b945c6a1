//! Proof of address: what a stranger is sent before it, how it comes about, and clients that move.

mod harness;

use std::net::SocketAddr;
use std::time::Duration;

use harness::solo::{Hand, Sent, Solo};
use harness::{CLIENT, Pair, SERVER, SERVICE, chance, client_addr, ms, pattern};
use rxrpc_proto::wire::{AbortCode, AckReason, Flags, PacketType};
use rxrpc_proto::{AcceptOptions, CallId, CallOptions, Config, Fault, Rejection, Target};

const NONE: Flags = Flags::NONE;
const LAST: Flags = Flags::LAST_PACKET;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A server and a spoofed address, with every byte between them counted, 28 for each datagram's headers.
struct Spoofed {
    solo: Solo,
    received: usize,
    sent: usize,
}

impl Spoofed {
    fn new() -> Self {
        Spoofed { solo: Solo::server(|_| {}), received: 0, sent: 0 }
    }

    /// All that was sent is within three times what came.
    fn check(&mut self) -> Vec<Sent> {
        let sent = self.solo.take();
        self.sent += sent.iter().map(Sent::cost).sum::<usize>();
        assert!(self.sent <= 3 * self.received, "{} sent for {} received", self.sent, self.received);
        sent
    }

    fn hear(&mut self, bytes: &[u8]) -> Vec<Sent> {
        self.received += bytes.len() + 28;
        self.solo.hear(client_addr(), bytes);
        self.check()
    }

    fn wait(&mut self, time: Duration) -> Vec<Sent> {
        self.solo.wait(time);
        self.check()
    }

    fn accept(&mut self) -> CallId {
        let call = self.solo.accept();
        self.check();
        call
    }

    fn reply(&mut self, call: CallId, len: usize) -> Vec<Sent> {
        self.solo.write_all(call, &pattern(len));
        self.check()
    }
}

#[test]
fn a_spoofed_address_is_never_sent_more_than_three_times_what_came_from_it() {
    for request in [0, 1, 100, 1412] {
        for reply in [0, 1, 100, 1412, 100_000] {
            let mut spoofed = Spoofed::new();
            let packet = Hand::client(0x100).whole(&pattern(request));
            spoofed.hear(&packet);
            let call = spoofed.accept();
            spoofed.reply(call, reply);
            spoofed.wait(secs(200));
            assert!(spoofed.sent > 0, "{request} {reply}");
        }
    }
}

#[test]
fn sending_the_request_again_and_again_does_not_change_that() {
    let mut spoofed = Spoofed::new();
    let mut hand = Hand::client(0x100);
    spoofed.hear(&hand.whole(b"q"));
    let call = spoofed.accept();
    spoofed.reply(call, 100_000);
    for _ in 0..100 {
        spoofed.hear(&hand.whole(b"q"));
        spoofed.wait(ms(700));
    }
}

#[test]
fn many_calls_and_connections_and_requests_of_many_packets_do_not_either() {
    let mut spoofed = Spoofed::new();
    for n in 0..40 {
        let mut hand = Hand { call: 1 + n / 20, ..Hand::client(0x100 + n % 20) };
        for seq in [1, 4, 2, 2, 3] {
            spoofed.hear(&hand.data(seq, if seq == 4 { LAST } else { NONE }, &[7; 60]));
        }
        while spoofed.solo.end.waiting(SERVICE).is_some() {
            let call = spoofed.accept();
            spoofed.reply(call, 3000);
        }
        spoofed.wait(ms(300));
    }
    spoofed.wait(secs(100));
}

#[test]
fn acknowledgements_that_are_padded_to_one_size_are_counted_as_they_are_sent() {
    let mut spoofed = Spoofed::new();
    // One call's acknowledgement has a long table; those of the others are padded to its size.
    let mut datagrams = vec![Hand::client(0x100).data(200, NONE, b"")];
    datagrams.extend((1..4).map(|channel| Hand::client(0x100 + channel).data(1, Flags::REQUEST_ACK, b"")));
    for _ in 0..5 {
        spoofed.received += datagrams.iter().map(|d| d.len() + 28).sum::<usize>();
        spoofed.solo.hear_all(client_addr(), &datagrams);
        spoofed.check();
        spoofed.wait(ms(100));
    }
}

#[test]
fn a_small_reply_goes_at_once() {
    // A request that pays for both is answered with a PING beside.
    for (request, reply) in [(1, 115), (100, 300), (1412, 1412)] {
        let mut spoofed = Spoofed::new();
        let packet = Hand::client(0x100).whole(&pattern(request));
        spoofed.hear(&packet);
        let call = spoofed.accept();
        let sent = spoofed.reply(call, reply);
        assert_eq!(sent.iter().filter(|s| s.is(PacketType::Data)).count(), 1, "{request} {reply}");
    }
}

#[test]
fn a_reply_larger_than_the_budget_asks_for_proof_instead() {
    let mut spoofed = Spoofed::new();
    spoofed.hear(&Hand::client(0x100).whole(b"q"));
    let call = spoofed.accept();
    let sent = spoofed.reply(call, 116);
    assert_eq!(sent.iter().map(|s| s.acked().0).collect::<Vec<_>>(), [AckReason::Ping]);
}

#[test]
fn a_large_reply_goes_on_when_the_ping_is_answered() {
    let mut pair = Pair::new();
    let call = pair.request(b"q");
    let served = pair.accept();
    let start = pair.now;
    pair.write_all(SERVER, served, &pattern(14_120));
    pair.run_for(ms(9));
    assert_eq!(pair.count(SERVER, PacketType::Data), 0);
    pair.run_for(ms(1));
    assert_eq!(pair.count(SERVER, PacketType::Data), 10, "one round trip later");
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
    assert_eq!(pair.now - start, ms(15));
}

#[test]
fn the_first_packets_of_a_reply_go_with_the_ping_when_the_budget_allows() {
    let mut pair = Pair::new();
    let call = pair.request(&pattern(1412));
    let served = pair.accept();
    let start = pair.now;
    pair.write_all(SERVER, served, &pattern(14_120));
    pair.pump();
    let first = pair.count(SERVER, PacketType::Data);
    assert!((1..=2).contains(&first), "{first}");
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
    assert_eq!(pair.now - start, ms(15));
}

#[test]
fn a_lost_ping_is_asked_again_when_the_client_is_heard_again() {
    let mut pair = Pair::new();
    let mut lost = 0;
    pair.script(move |f| {
        lost += usize::from(f.is(SERVER, PacketType::Ack));
        if f.is(SERVER, PacketType::Ack) && lost == 1 { vec![] } else { vec![Duration::ZERO] }
    });
    let call = pair.request(b"q");
    let served = pair.accept();
    let start = pair.now;
    pair.write_all(SERVER, served, &pattern(100_000));
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
    assert!(pair.now - start < ms(1200), "{:?}", pair.now - start);
}

#[test]
fn large_replies_to_new_clients_survive_loss() {
    for seed in 1..=60 {
        let mut pair = Pair::new();
        pair.script(chance(seed, 0.2, 0.05, 0.1));
        assert!(pair.exchange(b"q", &pattern(60_000)).1 == pattern(60_000), "seed {seed}");
    }
}

/// A service call of a stranger whose reply is held back, and the PING that went out.
fn held_back() -> (Solo, Hand, CallId, u32) {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    solo.hear(client_addr(), &hand.whole(b"q"));
    let call = solo.accept();
    solo.write_all(call, &pattern(20_000));
    let ping = solo.take().pop().unwrap();
    assert_eq!(ping.acked().0, AckReason::Ping);
    (solo, hand, call, ping.header.serial)
}

#[test]
fn serials_of_service_connections_start_at_random_below_two_to_the_thirtieth() {
    let serials: Vec<u32> = (0..40u8)
        .map(|n| {
            let mut solo = Solo::server(|c| c.seed = [n; 32]);
            solo.hear(client_addr(), &Hand::client(0x100).whole(b"q"));
            let call = solo.accept();
            solo.write_all(call, b"a");
            solo.take().pop().unwrap().header.serial
        })
        .collect();
    assert!(serials.iter().all(|s| (1..1 << 30).contains(s)));
    assert!(serials.iter().max().unwrap() - serials.iter().min().unwrap() > 1 << 28);
}

#[test]
fn an_answer_with_another_serial_proves_nothing() {
    let (mut solo, mut hand, call, serial) = held_back();
    let mut received = 29 + 28;
    for wrong in [0, 1, serial - 1, serial + 1, !serial] {
        let packet = hand.ack(AckReason::PingResponse, 1, wrong, &[]);
        received += packet.len() + 28;
        solo.hear(client_addr(), &packet);
    }
    let sent: usize = solo.take().iter().map(Sent::cost).sum();
    assert!(65 + 28 + sent <= 3 * received);
    assert_eq!(solo.end.stats().unvalidated_connections, 1);
    solo.hear(client_addr(), &hand.ack(AckReason::PingResponse, 1, serial, &[]));
    assert_eq!(solo.end.stats().unvalidated_connections, 0);
    assert!(solo.take_type(PacketType::Data).len() >= 9);
    assert_eq!(solo.end.call(call).unwrap().outcome(), None);
}

#[test]
fn the_right_answer_from_another_address_proves_nothing_of_this_one() {
    let (mut solo, mut hand, _, serial) = held_back();
    let elsewhere = "10.0.0.66:40000".parse().unwrap();
    solo.hear(elsewhere, &hand.ack(AckReason::PingResponse, 1, serial, &[]));
    assert_eq!(solo.end.stats().unvalidated_connections, 1);
    assert_eq!(solo.take_type(PacketType::Data).len(), 0);
}

#[test]
fn acknowledging_a_reply_by_its_serial_is_proof_enough() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand::client(0x100);
    solo.hear(client_addr(), &hand.whole(b"q"));
    let call = solo.accept();
    solo.write_all(call, b"a");
    let reply = solo.take_type(PacketType::Data).pop().unwrap();
    solo.hear(client_addr(), &hand.ack(AckReason::Delay, 2, reply.header.serial, &[]));
    assert_eq!(solo.end.stats().unvalidated_connections, 0);
}

#[test]
fn a_next_call_or_an_ackall_proves_nothing() {
    for ack_all in [false, true] {
        let mut solo = Solo::server(|_| {});
        let mut hand = Hand::client(0x100);
        solo.hear(client_addr(), &hand.whole(b"q"));
        let call = solo.accept();
        solo.write_all(call, b"a");
        let packet = if ack_all {
            hand.bare(PacketType::AckAll)
        } else {
            hand.call = 2;
            hand.whole(b"q")
        };
        solo.hear(client_addr(), &packet);
        assert_eq!(solo.end.call(call).unwrap().outcome(), Some(Ok(())));
        assert_eq!(solo.end.stats().unvalidated_connections, 1);
    }
}

#[test]
fn a_proof_holds_for_sixty_seconds_and_for_every_connection_of_the_address() {
    let (mut solo, mut hand, call, serial) = held_back();
    solo.hear(client_addr(), &hand.ack(AckReason::PingResponse, 1, serial, &[]));
    solo.end.call(call).unwrap().abort(AbortCode(1));
    let reply_at_once = |solo: &mut Solo, cid: u32| {
        solo.hear(client_addr(), &Hand::client(cid).whole(b"q"));
        let call = solo.accept();
        solo.take();
        solo.write_all(call, &pattern(14_120));
        solo.take_type(PacketType::Data).len()
    };
    solo.wait(secs(60) - Duration::from_nanos(1));
    assert_eq!(reply_at_once(&mut solo, 0x200), 10);
    solo.wait(Duration::from_nanos(1));
    assert!(reply_at_once(&mut solo, 0x300) < 3, "counted anew");
}

#[test]
fn a_long_reply_goes_on_beyond_the_life_of_its_proof() {
    let mut pair = Pair::with(|c| c.limits.receive_per_call = 20_000);
    let call = pair.request(b"q");
    let served = pair.accept();
    pair.write_all(SERVER, served, &pattern(400_000));
    let mut got = Vec::new();
    for _ in 0..100 {
        pair.run_for(secs(5));
        let mut piece = vec![0; 5000];
        if let Ok((n, _)) = pair.ends[CLIENT].call(call).unwrap().read(&mut piece) {
            got.extend_from_slice(&piece[..n]);
        }
        pair.pump();
    }
    assert!(got == pattern(400_000)[..got.len()] && got.len() == 400_000, "{}", got.len());
}

#[test]
fn switched_off_a_large_reply_goes_at_once_and_nobody_is_asked() {
    let mut pair = Pair::with(|c: &mut Config| c.validate_peers = false);
    let call = pair.request(b"q");
    let served = pair.accept();
    pair.write_all(SERVER, served, &pattern(14_120));
    pair.pump();
    assert_eq!(pair.count(SERVER, PacketType::Data), 10);
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
    assert_eq!(pair.count(SERVER, PacketType::Ack), 0);
    assert_eq!(pair.ends[SERVER].stats().unvalidated_connections, 0);
}

fn new_addr() -> SocketAddr {
    "10.0.0.1:51000".parse().unwrap()
}

/// The client's port changes now; its old one is gone.
fn move_client(pair: &mut Pair) {
    pair.rebind(CLIENT, new_addr());
}

/// What the server sent to the new address, in order, until it was answered from there.
fn before_the_answer(pair: &Pair) -> Vec<(PacketType, AckReason)> {
    let answered = pair.sent.iter().position(|(_, f)| {
        f.src == new_addr()
            && matches!(f.body(), rxrpc_proto::wire::Body::Ack(ack) if ack.fields.reason == AckReason::PingResponse)
    });
    let to_new = pair.sent[..answered.expect("an answer")].iter().filter(|(_, f)| f.dst == new_addr());
    to_new
        .map(|(_, f)| match f.body() {
            rxrpc_proto::wire::Body::Ack(ack) => (f.header.packet_type, ack.fields.reason),
            _ => (f.header.packet_type, AckReason::Zero),
        })
        .collect()
}

#[test]
fn a_client_that_moves_within_its_request_is_asked_at_its_new_address_and_goes_on() {
    let mut pair = Pair::new();
    let data = pattern(3_000_000);
    let call = pair.request(&data);
    let served = pair.accept();
    pair.run_for(ms(50));
    move_client(&mut pair);
    assert!(pair.read_request(served) == data);
    assert_eq!(before_the_answer(&pair), [(PacketType::Ack, AckReason::Ping)]);
    assert_eq!(pair.ends[SERVER].call(served).unwrap().peer(), new_addr());
    pair.write_all(SERVER, served, &pattern(50_000));
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
}

#[test]
fn a_client_that_moves_while_it_waits_for_a_long_reply_gets_the_rest_at_its_new_address() {
    let mut pair = Pair::new();
    let call = pair.request(b"q");
    let served = pair.accept();
    pair.write_all(SERVER, served, &pattern(500_000));
    pair.run_for(ms(50));
    let moved = pair.now;
    move_client(&mut pair);
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
    assert!(pair.read(CLIENT, call) == pattern(500_000));
    assert_eq!(before_the_answer(&pair), [(PacketType::Ack, AckReason::Ping)]);
    assert!(pair.now - moved < secs(8), "{:?}", pair.now - moved);
}

#[test]
fn calls_that_wait_on_the_connection_move_with_it() {
    let mut pair = Pair::new();
    let calls: Vec<CallId> = (0..4).map(|_| pair.request(b"q")).collect();
    let served: Vec<CallId> = (0..4).map(|_| pair.accept()).collect();
    pair.run_for(ms(50));
    move_client(&mut pair);
    // Keepalives of the calls tell the new address.
    pair.run_for(secs(5));
    for id in &served {
        assert_eq!(pair.ends[SERVER].call(*id).unwrap().peer(), new_addr());
        pair.write_all(SERVER, *id, b"a");
    }
    for call in calls {
        assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
    }
    pair.run_for(ms(100));
    served.iter().for_each(|id| pair.ends[SERVER].release(*id));
    assert_eq!(pair.ends[SERVER].stats().calls, 0);
}

/// A service call of a proved client, and a packet of it from elsewhere.
fn strayed() -> (Solo, Hand, CallId) {
    let (mut solo, mut hand, call, serial) = held_back();
    solo.hear(client_addr(), &hand.ack(AckReason::PingResponse, 1, serial, &[]));
    solo.take();
    (solo, hand, call)
}

#[test]
fn a_wrong_answer_from_elsewhere_moves_nothing_the_right_one_does() {
    let (mut solo, mut hand, call) = strayed();
    solo.hear(new_addr(), &hand.ack(AckReason::Delay, 1, 0, &[]));
    let question = solo.take().into_iter().find(|s| s.to == new_addr()).unwrap();
    for wrong in [0, question.header.serial + 1, question.header.serial - 1] {
        solo.hear(new_addr(), &hand.ack(AckReason::PingResponse, 1, wrong, &[]));
    }
    solo.hear(
        "10.0.0.77:1".parse().unwrap(),
        &hand.ack(AckReason::PingResponse, 1, question.header.serial, &[]),
    );
    assert_eq!(solo.end.call(call).unwrap().peer(), client_addr());
    assert!(solo.end.stats().fault(Fault::AddressUnproven) >= 5);
    solo.take();
    solo.hear(new_addr(), &hand.ack(AckReason::PingResponse, 1, question.header.serial, &[]));
    assert_eq!(solo.end.call(call).unwrap().peer(), new_addr());
    solo.wait(secs(2));
    let sent = solo.take();
    assert!(!sent.is_empty() && sent.iter().all(|s| s.to == new_addr()));
}

#[test]
fn a_client_with_a_dated_epoch_is_known_by_its_address() {
    let mut solo = Solo::server(|_| {});
    let mut hand = Hand { epoch: 0x1234_5678, ..Hand::client(0x100) };
    solo.hear(client_addr(), &hand.whole(b"q"));
    let call = solo.accept();
    solo.hear(new_addr(), &hand.whole(b"q"));
    assert_eq!(solo.end.stats().connections, 2, "another client");
    assert_eq!(solo.end.call(call).unwrap().peer(), client_addr());
    let other = solo.end.waiting(SERVICE).unwrap();
    solo.end.accept(other, AcceptOptions::default()).unwrap();
    assert_eq!(solo.end.call(other).unwrap().peer(), new_addr());
}

#[test]
fn a_server_may_answer_from_another_address_of_the_same_port() {
    let mut solo = Solo::new(|_| {});
    let server = "10.0.0.2:7000".parse().unwrap();
    let call = solo.end.begin_call(&Target::new(server, SERVICE), CallOptions::default()).unwrap();
    solo.write_all(call, b"q");
    let mut hand = Hand::answering(&solo.take()[0].header);
    solo.hear("10.0.0.3:7001".parse().unwrap(), &hand.whole(b"a"));
    assert_eq!(solo.end.call(call).unwrap().outcome(), None);
    solo.hear("10.0.0.3:7000".parse().unwrap(), &hand.whole(b"a"));
    assert_eq!(solo.end.call(call).unwrap().outcome(), Some(Ok(())));
    solo.wait(ms(10));
    assert!(solo.take().iter().filter(|s| s.is(PacketType::Ack)).all(|s| s.to == server));
}

#[test]
fn aborts_refusals_busy_and_their_repetitions_are_counted_too() {
    let mut spoofed = Spoofed::new();
    let mut hand = Hand::client(0x100);
    spoofed.hear(&hand.whole(b"q"));
    let call = spoofed.accept();
    spoofed.reply(call, 100_000);
    let mut other = Hand { service: 999, ..Hand::client(0x200) };
    let mut junk = Hand::client(0x300);
    let mut turned = Hand::client(0x101);
    for n in 0..50 {
        // A service that is not offered, a packet that makes no sense, a call that is turned away.
        spoofed.hear(&other.whole(b""));
        spoofed.hear(&junk.bare(PacketType::AckAll));
        spoofed.hear(&turned.whole(b""));
        if let Some(waiting) = spoofed.solo.end.waiting(SERVICE) {
            let how = if n % 2 == 0 { Rejection::Busy } else { Rejection::Abort(AbortCode(1)) };
            spoofed.solo.end.reject(waiting, how).unwrap();
        }
        spoofed.solo.pump();
        spoofed.check();
        spoofed.hear(&hand.whole(b""));
    }
    spoofed.solo.end.call(call).unwrap().abort(AbortCode(5));
    spoofed.wait(secs(30));
    for _ in 0..50 {
        spoofed.hear(&hand.whole(b""));
    }
}

#[test]
fn one_packet_from_elsewhere_is_worth_one_small_question() {
    let (mut solo, mut hand, call) = strayed();
    let stray = hand.ack(AckReason::Delay, 1, 0, &[]);
    solo.hear(new_addr(), &stray);
    solo.wait(secs(10));
    let there: Vec<Sent> = solo.take().into_iter().filter(|s| s.to == new_addr()).collect();
    assert!(there.iter().all(|s| s.acked().0 == AckReason::Ping));
    let cost: usize = there.iter().map(Sent::cost).sum();
    assert!(cost <= 3 * (28 + 28), "{cost} bytes, whatever the packet's size");
    assert_eq!(solo.end.call(call).unwrap().peer(), client_addr());
}

#[test]
fn what_is_held_back_for_a_stranger_does_not_hold_back_our_own_calls_to_it() {
    let (mut solo, _, _, _) = held_back();
    let call = solo.end.begin_call(&Target::new(client_addr(), 9), CallOptions::default()).unwrap();
    solo.write_all(call, &pattern(5000));
    assert_eq!(solo.take_type(PacketType::Data).len(), 4);
}

#[test]
fn a_path_slower_than_the_questions_come_is_proved_and_measured_nonetheless() {
    let side = std::cell::Cell::new(CLIENT);
    let mut pair = Pair::with(|c| {
        if side.replace(SERVER) == SERVER {
            c.timing.keepalive = ms(100);
        }
    });
    let call = pair.request(b"?");
    let served = pair.accept();
    pair.read_request(served);
    // What the client has paid for is used up by packets that are lost. With what there is between them anyway it is
    // 300 ms there and back: what is sent again comes with a PING, and is acknowledged by the answer to that.
    let mut lost = 0;
    pair.script(move |flight| {
        let is_lost = lost < 10 && flight.is(SERVER, PacketType::Data);
        lost += usize::from(is_lost);
        if is_lost { vec![] } else { vec![ms(145)] }
    });
    pair.run_for(secs(1));
    let start = pair.now;
    pair.write_all(SERVER, served, &pattern(100_000));
    assert_eq!(pair.run_to_end(CLIENT, call), Ok(()));
    assert!(pair.now - start < secs(10), "it took {:?}", pair.now - start);
    let srtt = pair.ends[SERVER].call(served).unwrap().stats().srtt;
    assert_eq!(srtt, Some(ms(300)));
}

#[test]
fn a_late_answer_counts_whether_asked_once_or_again_since() {
    for again in [false, true] {
        let (mut solo, mut hand, call) = strayed();
        solo.hear(new_addr(), &hand.ack(AckReason::Delay, 1, 0, &[]));
        let question = solo.take().into_iter().find(|s| s.to == new_addr()).unwrap();
        solo.wait(ms(500));
        if again {
            solo.hear(new_addr(), &hand.ack(AckReason::Delay, 1, 0, &[]));
        }
        solo.wait(ms(1000));
        solo.hear(new_addr(), &hand.ack(AckReason::PingResponse, 1, question.header.serial, &[]));
        assert_eq!(solo.end.call(call).unwrap().peer(), new_addr(), "after one and a half seconds");
    }
}

#[test]
fn a_reply_that_not_even_a_ping_can_be_sent_for_waits_without_a_spin() {
    for wait in [0, 5, 20, 5000] {
        let mut spoofed = Spoofed::new();
        let mut hand = Hand::client(0x100);
        spoofed.hear(&hand.whole(b"q"));
        let call = spoofed.accept();
        spoofed.wait(ms(wait));
        spoofed.reply(call, 100_000);
        spoofed.wait(secs(1));
        // What comes next pays for the question.
        let mut sent = spoofed.hear(&hand.whole(b"q"));
        sent.extend(spoofed.wait(ms(10)));
        let asked = sent.iter().any(|s| s.is(PacketType::Ack) && s.acked().0 == AckReason::Ping);
        assert!(asked, "after {wait} ms");
        spoofed.wait(secs(30));
    }
}
