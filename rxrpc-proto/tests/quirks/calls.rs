//! Beginning, refusing and ending calls.

use std::time::Duration;

use rxrpc_proto::wire::{AbortCode, AckReason, Header, PacketType};
use rxrpc_proto::{
    AcceptOptions, BusyPolicy, CallError, CallId, CallOptions, Event, Fault, Rejection, ServiceOptions,
    Target, TimeoutKind,
};

use crate::raw::{CID, Packet, Raw, SERVICE, Sent, from_client, from_server};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn reply(header: &Header) -> Packet {
    from_server(header, PacketType::Data).last().body(b"reply")
}

#[test]
fn an_upgraded_call_counts_in_the_backlog_of_the_service_it_waits_at() {
    let mut raw = Raw::new();
    raw.end.unlisten(SERVICE);
    raw.end.listen(SERVICE, ServiceOptions { upgrade_to: Some(60), ..Default::default() }).unwrap();
    raw.end.listen(60, ServiceOptions { backlog: 1, ..Default::default() }).unwrap();
    let wish = |n: u32| from_client(PacketType::Data).cid(CID + 4 * n).status(1).last();
    assert_eq!(raw.give(&wish(0)).len(), 0);
    assert!(raw.end.waiting(60).is_some());
    let second = raw.give(&wish(1));
    assert_eq!((second.len(), &second[0].bytes), (1, &wish(1).busy()));
}

#[test]
fn a_call_turned_away_revives_no_older_one() {
    let mut raw = Raw::new();
    let call = raw.serve();
    raw.write(call, b"reply");
    raw.poll();
    raw.give(&from_client(PacketType::Data).call(2).last().serial(2));
    let second = raw.end.waiting(SERVICE).unwrap();
    raw.end.reject(second, Rejection::Busy).unwrap();
    assert_eq!(raw.poll().len(), 1);
    raw.events();
    assert_eq!(raw.give(&from_client(PacketType::Data).call(1).last().serial(1)).len(), 0);
    assert_eq!(raw.events(), []);
    assert_eq!(raw.count(Fault::FinishedCall), 1);
    // The one turned away may come again.
    raw.give(&from_client(PacketType::Data).call(2).last().serial(3));
    assert!(matches!(raw.events()[..], [Event::Incoming { .. }]));
}

#[test]
fn a_late_ack_cannot_end_a_call_whose_reply_is_coming_in() {
    let mut raw = Raw::new();
    let (call, out) = raw.begin(&[7; 2000], CallOptions::default());
    let header = out[0].header;
    raw.give(&from_server(&header, PacketType::Data).body(b"first half"));
    let late = from_server(&header, PacketType::Ack).acks(AckReason::OutOfSequence, 1, 0, &[0, 1]);
    raw.give(&late);
    assert_eq!((raw.outcome(call), raw.faults()), (None, vec![Fault::StaleAck]));
}

#[test]
fn a_remembered_peer_is_sent_no_more_than_a_stranger() {
    let mut raw = Raw::with(|config| config.validate_peers = true);
    // Proved by naming the serial of the reply.
    let call = raw.serve();
    raw.write(call, b"reply");
    let sent = raw.poll();
    let data = sent.iter().find(|s| s.is(PacketType::Data)).unwrap();
    let proof = from_client(PacketType::Ack).acks(AckReason::Delay, 2, 1, &[]).answering(data.header.serial);
    raw.give(&proof.serial(2));
    assert_eq!(raw.outcome(call), Some(Ok(())));
    raw.end.release(call);
    raw.wait(Duration::from_secs(700));
    assert_eq!((raw.end.stats().connections, raw.end.stats().peers), (0, 1));
    let request = from_client(PacketType::Data).cid(CID + 4).last().body(b"ask");
    let mut sent = raw.give(&request);
    let call = raw.accept();
    raw.write(call, &[7; 100_000]);
    sent.extend(raw.wait(Duration::from_secs(10)));
    let bytes: usize = sent.iter().map(|s| s.bytes.len() + 28).sum();
    assert!(bytes <= 3 * (28 + 3 + 28), "{bytes} bytes");
}

#[test]
fn the_final_ack_is_repeated_until_the_next_call_is_on_the_wire() {
    let mut raw = Raw::new();
    let (_, out) = raw.begin(b"ask", CallOptions::default());
    let header = out[0].header;
    raw.give(&reply(&header));
    raw.wait(ms(5));
    // The next call has the channel but has written nothing.
    raw.end.begin_call(&Target::new(raw.peer, SERVICE), CallOptions::default()).unwrap();
    assert_eq!(raw.poll().len(), 0);
    let again = raw.give(&reply(&header).serial(2));
    assert_eq!((again.len(), again[0].ack_says().0), (1, AckReason::Duplicate));
}

fn begin_upgrade(raw: &mut Raw) -> CallId {
    let target = Target { upgrade: true, ..Target::new(raw.peer, SERVICE) };
    raw.end.begin_call(&target, CallOptions::default()).unwrap()
}

#[test]
fn a_call_that_never_went_out_leaves_the_upgrade_to_the_next() {
    let mut raw = Raw::new();
    let first = begin_upgrade(&mut raw);
    assert_eq!(raw.poll().len(), 0);
    raw.end.call(first).unwrap().abort(AbortCode(1));
    assert_eq!(raw.poll().len(), 0);
    let second = begin_upgrade(&mut raw);
    raw.write(second, b"ask");
    let out = raw.poll();
    assert_eq!((out.len(), out[0].header.user_status), (1, 1));
}

#[test]
fn the_wish_for_an_upgrade_is_repeated_with_the_first_packet() {
    let mut raw = Raw::new();
    let call = begin_upgrade(&mut raw);
    raw.write(call, &[7; 2000]);
    let first = raw.poll();
    let again = raw.wait(ms(1100));
    let wishes =
        |sent: &[Sent]| sent.iter().map(|s| (s.header.seq, s.header.user_status)).collect::<Vec<_>>();
    assert_eq!((wishes(&first), wishes(&again)), (vec![(1, 1), (2, 0)], vec![(1, 1)]));
}

#[test]
fn after_a_failed_upgrade_call_the_next_one_asks_again() {
    let mut raw = Raw::new();
    let first = begin_upgrade(&mut raw);
    raw.write(first, b"ask");
    let header = raw.poll()[0].header;
    raw.give(&from_server(&header, PacketType::Busy));
    assert_eq!(raw.outcome(first), Some(Err(CallError::Busy)));
    let second = begin_upgrade(&mut raw);
    raw.write(second, b"ask");
    let out = raw.poll();
    assert_eq!((out.len(), out[0].header.user_status), (1, 1));
    assert_ne!(out[0].header.cid, header.cid);
}

#[test]
fn a_client_is_not_blamed_for_a_window_we_closed() {
    let mut raw = Raw::with(|config| config.limits.receive_per_call = 10_000);
    let mut last = raw.give(&from_client(PacketType::Data).body(&[7; 1412]));
    let call = raw.accept();
    for seq in 2..=6 {
        last = raw.give(&from_client(PacketType::Data).seq(seq).serial(seq).body(&[7; 1412]));
    }
    assert_eq!(last[0].ack().trailer().unwrap().rwind, Some(0));
    let mut serial = 100;
    for _ in 0..40 {
        raw.wait(Duration::from_secs(3));
        serial += 1;
        raw.give(&from_client(PacketType::Ack).acks(AckReason::Ping, 1, 0, &[]).serial(serial));
    }
    assert_eq!(raw.outcome(call), None);
    // Once it is open the client has its whole time.
    raw.read(call);
    raw.poll();
    raw.wait(Duration::from_secs(15));
    raw.give(&from_client(PacketType::Ack).acks(AckReason::Ping, 1, 0, &[]).serial(500));
    for _ in 0..3 {
        raw.wait(Duration::from_secs(14));
        assert_eq!(raw.outcome(call), None);
        serial += 1;
        raw.give(&from_client(PacketType::Ack).acks(AckReason::Ping, 1, 0, &[]).serial(serial));
    }
    raw.wait(Duration::from_secs(5));
    assert_eq!(raw.outcome(call), Some(Err(CallError::Timeout(TimeoutKind::RequestGap))));
}

#[test]
fn a_window_closed_by_what_is_held_behind_a_hole_lets_the_missing_packet_in() {
    let mut raw = Raw::with(|config| config.limits.receive_per_call = 10_000);
    let mut last = Vec::new();
    for seq in 2..=7 {
        last = raw.give(&from_client(PacketType::Data).seq(seq).serial(seq).body(&[7; 1412]));
    }
    assert_eq!(last[0].ack_says(), (AckReason::OutOfSequence, 7, 1, 7, vec![0, 1, 1, 1, 1, 1, 1]));
    assert_eq!(last[0].ack().trailer().unwrap().rwind, Some(1), "no reading can make room for it");
    let call = raw.accept();
    // A client that sends only other things is given its time and no more: late copies that came to a server which has
    // started again are no call.
    for serial in 100..119 {
        raw.wait(Duration::from_secs(3));
        assert_eq!(raw.outcome(call), None);
        raw.give(&from_client(PacketType::Ack).acks(AckReason::Ping, 1, 0, &[]).serial(serial));
    }
    raw.wait(Duration::from_secs(4));
    assert_eq!(raw.outcome(call), Some(Err(CallError::Timeout(TimeoutKind::RequestGap))));
}

#[test]
fn a_waiting_call_is_acknowledged_softly_so_that_busy_can_still_turn_it_away() {
    let mut raw = Raw::new();
    raw.give(&from_client(PacketType::Data).last().body(b"ask"));
    let ack = raw.wait(ms(20));
    assert_eq!(ack[0].ack_says(), (AckReason::Delay, 1, 1, 1, vec![1]));
    let call = raw.end.waiting(SERVICE).unwrap();
    raw.end.reject(call, Rejection::Busy).unwrap();
    let sent = raw.poll();
    assert_eq!((sent.len(), sent[0].header.packet_type), (1, PacketType::Busy));
}

#[test]
fn a_reply_held_back_asks_for_proof_at_once() {
    let mut raw = Raw::with(|config| config.validate_peers = true);
    let call = raw.serve();
    raw.write(call, &[7; 5000]);
    let sent = raw.poll();
    assert_eq!(sent.iter().map(|s| s.ack_says().0).collect::<Vec<_>>(), [AckReason::Ping]);
}

#[test]
fn a_call_that_hears_nothing_but_busy_ends_busy() {
    let mut raw = Raw::new();
    let options = CallOptions { busy: BusyPolicy::Retry, ..Default::default() };
    let (call, out) = raw.begin(b"ask", options);
    for _ in 0..60 {
        raw.wait(Duration::from_secs(1));
        raw.give(&from_server(&out[0].header, PacketType::Busy));
        if raw.outcome(call).is_some() {
            break;
        }
    }
    assert_eq!(raw.outcome(call), Some(Err(CallError::Busy)));
}

#[test]
fn the_life_of_an_accepted_call_counts_from_its_first_packet() {
    let mut raw = Raw::new();
    raw.give(&from_client(PacketType::Data).last());
    raw.wait(Duration::from_secs(6));
    let call = raw.end.waiting(SERVICE).unwrap();
    let options = AcceptOptions { lifetime: Some(Duration::from_secs(10)), ..Default::default() };
    raw.end.accept(call, options).unwrap();
    raw.wait(ms(3_999));
    assert_eq!(raw.outcome(call), None);
    raw.wait(ms(1));
    assert_eq!(raw.outcome(call), Some(Err(CallError::Timeout(TimeoutKind::Lifetime))));
}

/// A client of whose four packets the server has acknowledged the first for good, after a while.
fn acknowledged() -> (Raw, CallId, Vec<Sent>) {
    let mut raw = Raw::new();
    let (call, out) = raw.begin(&[7; 5000], CallOptions::default());
    raw.now += ms(20);
    let ack = from_server(&out[0].header, PacketType::Ack).acks(AckReason::Requested, 2, 1, &[]);
    raw.give(&ack.answering(out[0].header.serial));
    (raw, call, out)
}

#[test]
fn an_ack_of_a_hole_that_comes_late_is_not_a_lost_call() {
    let (mut raw, call, out) = acknowledged();
    let late = from_server(&out[0].header, PacketType::Ack).acks(AckReason::OutOfSequence, 1, 0, &[0, 1]);
    raw.give(&late.clone().answering(out[1].header.serial));
    assert_eq!((raw.outcome(call), raw.faults()), (None, vec![Fault::StaleAck]));
    // In answer to what was sent since, it is.
    let again = raw.wait(ms(500));
    let serial = again.iter().find(|s| s.is(PacketType::Data)).unwrap().header.serial;
    raw.give(&late.serial(3).answering(serial));
    assert_eq!(raw.outcome(call), Some(Err(CallError::PeerRestarted)));
}
