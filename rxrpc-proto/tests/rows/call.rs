//! Rows 30 to 43: what a packet says to a call.

use std::time::Duration;

use rxrpc_proto::wire::{AbortCode, AckReason, Flags, Header, JumboFault, PacketType};
use rxrpc_proto::{CallError, CallId, CallOptions, Event, Fault, News, Target};

use crate::raw::{Packet, Raw, SERVICE, Sent, from_client, from_server};
use crate::{aborted, dropped};

pub(crate) const ROWS: &[fn()] = &[
    row_30_a_second_last_packet_aborts_the_call,
    row_31_data_after_the_last_packet_aborts_the_call,
    row_32_a_packet_received_already_is_acknowledged_as_duplicate,
    row_33_a_packet_beyond_the_window_is_refused_and_leaves_no_trace,
    row_34_a_jumbo_cut_short_aborts_the_call,
    row_34_a_last_packet_inside_a_jumbo_aborts_the_call,
    row_34_a_jumbo_of_too_many_segments_aborts_the_call,
    row_34_a_jumbo_past_the_last_number_aborts_the_call,
    row_35_a_reply_before_the_whole_request_was_sent_aborts_the_call,
    row_37_an_ack_of_packet_0_aborts_the_call,
    row_37_an_ack_of_packets_never_sent_aborts_the_call,
    row_37_a_table_beyond_what_was_sent_aborts_the_call,
    row_37_a_table_cut_short_aborts_the_call,
    row_38_an_ack_in_a_state_that_sends_nothing_aborts_the_call,
    row_39_a_stale_ack_is_ignored_but_its_question_answered,
    row_40_a_server_that_lost_the_call_ends_it,
    row_41_a_hole_at_the_start_ends_the_call_only_after_a_hard_ack,
    row_42_a_challenge_on_a_connection_without_security_is_dropped,
    row_43_a_response_on_a_connection_without_security_is_dropped,
];

fn data(seq: u32) -> Packet {
    from_client(PacketType::Data).seq(seq).serial(seq).body(b"data")
}

/// A server with an accepted call of which packet 1, not the last, has come.
fn taking() -> (Raw, CallId) {
    let mut raw = Raw::new();
    raw.give(&data(1));
    let call = raw.accept();
    raw.events();
    (raw, call)
}

/// A client that has sent a whole request of `packets` packets; the header of the first.
fn asking(packets: usize) -> (Raw, CallId, Header) {
    let mut raw = Raw::new();
    let (call, out) = raw.begin(&vec![7; 1412 * packets - 1], CallOptions::default());
    assert_eq!(out.len(), packets);
    (raw, call, out[0].header)
}

/// The call ended with this fault, told by one ABORT, which names the call and comes again when asked for.
fn fails(raw: &mut Raw, call: CallId, sent: &[Sent], fault: Fault) {
    aborted(sent);
    let header = sent[0].header;
    assert_eq!((header.call_number, header.seq, header.security_index, header.user_status), (1, 0, 0, 0));
    assert_eq!(raw.outcome(call), Some(Err(CallError::Protocol(fault))));
    assert_eq!(raw.faults(), [fault]);
    let events = raw.events();
    let ended = |e: &Event| matches!(e, Event::Call { call: id, news, .. } if *id == call && news.ended());
    assert!(events.last().is_some_and(ended), "{events:?}");
    let again = match raw.end.call(call).unwrap().is_client() {
        true => raw.give(&from_server(&header, PacketType::Data).last()),
        false => raw.give(&data(1)),
    };
    aborted(&again);
    assert_ne!(again[0].header.serial, header.serial);
}

#[test]
fn row_30_a_second_last_packet_aborts_the_call() {
    for second in [3, 5] {
        let (mut raw, call) = taking();
        raw.give(&data(4).last());
        let sent = raw.give(&data(second).last());
        fails(&mut raw, call, &sent, Fault::DifferentLast);
    }
}

#[test]
fn row_31_data_after_the_last_packet_aborts_the_call() {
    let (mut raw, call) = taking();
    raw.give(&data(4).last());
    let sent = raw.give(&data(5));
    fails(&mut raw, call, &sent, Fault::DataAfterLast);
    // In the other order: what says it is the last lies before what has come.
    let (mut raw, call) = taking();
    raw.give(&data(4));
    let sent = raw.give(&data(3).last());
    fails(&mut raw, call, &sent, Fault::DataAfterLast);
}

#[test]
fn row_32_a_packet_received_already_is_acknowledged_as_duplicate() {
    let (mut raw, call) = taking();
    raw.give(&data(3));
    for (seq, serial) in [(1, 20), (3, 21)] {
        let sent = raw.give(&data(seq).serial(serial));
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].ack_says(), (AckReason::Duplicate, serial, 2, 3, vec![0, 1]));
    }
    assert_eq!((raw.faults(), raw.count(Fault::DuplicateData)), (vec![Fault::DuplicateData], 2));
    assert_eq!((raw.outcome(call), raw.read(call)), (None, b"data".to_vec()));
}

#[test]
fn row_33_a_packet_beyond_the_window_is_refused_and_leaves_no_trace() {
    let mut raw = Raw::with(|config| config.limits.window = 8);
    raw.give(&data(1));
    raw.accept();
    let offered = raw.give(&data(2))[0].ack().trailer().unwrap().rwind.unwrap();
    assert_eq!(offered, 8);
    let sent = raw.give(&data(11).last().serial(50));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].ack_says(), (AckReason::ExceedsWindow, 50, 3, 2, vec![]));
    assert_eq!(raw.faults(), [Fault::BeyondWindow]);
    // Its LAST flag is not remembered: one after it is beyond the window too, not after the last.
    let sent = raw.give(&data(12).serial(51));
    assert_eq!(sent[0].ack_says(), (AckReason::ExceedsWindow, 51, 3, 2, vec![]));
    let sent = raw.give(&data(10).serial(52));
    assert_eq!(sent[0].ack_says().0, AckReason::OutOfSequence, "the window ends here");
}

/// A body of `segments` full segments followed by one of 3 octets; flags of each but the first from `flags`.
fn jumbo(segments: usize, flags: impl Fn(usize) -> Flags) -> Vec<u8> {
    let mut body = Vec::new();
    for i in 1..=segments {
        body.extend_from_slice(&[i as u8; 1412]);
        body.extend_from_slice(&[flags(i).0, 0, 0, 0]);
    }
    body.extend_from_slice(b"end");
    body
}

fn more_but_last(segments: usize) -> impl Fn(usize) -> Flags {
    move |i| if i < segments { Flags::JUMBO } else { Flags::NONE }
}

#[test]
fn row_34_a_jumbo_cut_short_aborts_the_call() {
    let body = jumbo(2, more_but_last(2));
    for len in [0, 1412, 1415, 2000] {
        let (mut raw, call) = taking();
        let sent = raw.give(&data(2).flag(Flags::JUMBO).body(&body[..len]));
        fails(&mut raw, call, &sent, Fault::Jumbo(JumboFault::Short));
    }
    let (mut raw, call) = taking();
    raw.give(&data(2).flag(Flags::JUMBO).body(&body));
    assert_eq!((raw.faults(), raw.read(call).len()), (vec![], 4 + 2 * 1412 + 3));
}

#[test]
fn row_34_a_last_packet_inside_a_jumbo_aborts_the_call() {
    let (mut raw, call) = taking();
    let body = jumbo(2, |_| Flags::JUMBO | Flags::LAST_PACKET);
    let sent = raw.give(&data(2).flag(Flags::JUMBO).body(&body));
    fails(&mut raw, call, &sent, Fault::Jumbo(JumboFault::LastNotFinal));
}

#[test]
fn row_34_a_jumbo_of_too_many_segments_aborts_the_call() {
    let (mut raw, call) = taking();
    let body = jumbo(46, more_but_last(46));
    let sent = raw.give(&data(2).flag(Flags::JUMBO).body(&body));
    fails(&mut raw, call, &sent, Fault::Jumbo(JumboFault::TooMany));
    let (mut raw, call) = taking();
    raw.give(&data(2).flag(Flags::JUMBO).body(&jumbo(45, more_but_last(45))));
    assert_eq!(raw.read(call).len(), 4 + 45 * 1412 + 3);
}

#[test]
fn row_34_a_jumbo_past_the_last_number_aborts_the_call() {
    let (mut raw, call) = taking();
    let body = jumbo(1, more_but_last(1));
    let sent = raw.give(&data(u32::MAX).flag(Flags::JUMBO).body(&body));
    fails(&mut raw, call, &sent, Fault::Jumbo(JumboFault::SeqOverflow));
}

#[test]
fn row_35_a_reply_before_the_whole_request_was_sent_aborts_the_call() {
    // Two packets are on the wire, the end is not written.
    let mut raw = Raw::new();
    let call = raw.end.begin_call(&Target::new(raw.peer, SERVICE), CallOptions::default()).unwrap();
    raw.end.call(call).unwrap().write(&[7; 3000]).unwrap();
    let out = raw.poll();
    assert_eq!(out.len(), 2);
    let sent = raw.give(&from_server(&out[0].header, PacketType::Data).last());
    aborted(&sent);
    assert_eq!(raw.outcome(call), Some(Err(CallError::Protocol(Fault::EarlyReply))));
    assert_eq!(raw.faults(), [Fault::EarlyReply]);
}

#[test]
fn row_35_a_reply_before_anything_was_sent_ends_the_call_silently() {
    let mut raw = Raw::new();
    // The connection is known from an earlier call; the next one has a channel and has sent nothing.
    let (first, out) = raw.begin(b"ask", CallOptions::default());
    raw.give(&from_server(&out[0].header, PacketType::Data).last());
    assert_eq!(raw.outcome(first), Some(Ok(())));
    raw.wait(Duration::from_millis(5));
    let call = raw.end.begin_call(&Target::new(raw.peer, SERVICE), CallOptions::default()).unwrap();
    assert_eq!(raw.poll().len(), 0);
    let sent = raw.give(&from_server(&out[0].header, PacketType::Data).call(2).last().serial(3));
    dropped(&raw, &sent, Fault::EarlyReply);
    assert_eq!(raw.outcome(call), Some(Err(CallError::Protocol(Fault::EarlyReply))));
    // The number was never used and goes to the next call.
    let (_, out) = raw.begin(b"ask", CallOptions::default());
    assert_eq!(out[0].header.call_number, 2);
}

/// No packet finds a call in a state that takes no data. One that waits for a channel has no number yet.
#[test]
fn row_36_a_reply_to_a_call_that_waits_for_a_channel_is_of_no_call() {
    let mut raw = Raw::new();
    let (_, out) = raw.begin(b"ask", CallOptions::default());
    let reply = from_server(&out[0].header, PacketType::Data).last();
    raw.give(&reply);
    raw.wait(Duration::from_millis(5));
    let call = raw.end.begin_call(&Target::new(raw.peer, SERVICE), CallOptions::default()).unwrap();
    raw.end.call(call).unwrap().write(b"ask").unwrap();
    aborted(&raw.give(&reply.call(2).serial(2)));
    assert_eq!(raw.faults(), [Fault::NoCall]);
    // It has its channel now, and lives.
    raw.end.call(call).unwrap().finish().unwrap();
    let out = raw.poll();
    raw.give(&from_server(&out[0].header, PacketType::Data).last().serial(3));
    assert_eq!(raw.outcome(call), Some(Ok(())));
}

/// One that is over has left its channel, which remembers how it ended.
#[test]
fn row_36_a_reply_to_a_call_that_is_over_is_of_the_last_call() {
    let mut raw = Raw::new();
    let (call, out) = raw.begin(b"ask", CallOptions::default());
    let reply = from_server(&out[0].header, PacketType::Data).last().body(b"reply");
    raw.give(&reply);
    let sent = raw.give(&reply.seq(2).serial(2));
    assert_eq!(sent[0].ack_says(), (AckReason::Duplicate, 2, 2, 1, vec![]));
    assert_eq!((raw.faults(), raw.read(call)), (vec![Fault::FinishedCall], b"reply".to_vec()));
}

/// A server that has the whole request takes what comes as a duplicate, or as data after the last.
#[test]
fn row_36_request_data_while_the_reply_goes_out_is_a_duplicate_or_after_the_last() {
    let mut raw = Raw::new();
    let call = raw.serve();
    raw.write(call, b"reply");
    raw.poll();
    let sent = raw.give(&from_client(PacketType::Data).last().serial(9));
    assert_eq!(sent[0].ack_says(), (AckReason::Duplicate, 9, 2, 1, vec![]));
    let sent = raw.give(&from_client(PacketType::Data).seq(2).serial(10));
    aborted(&sent);
    assert_eq!(raw.outcome(call), Some(Err(CallError::Protocol(Fault::DataAfterLast))));
}

fn ack(header: &Header) -> Packet {
    from_server(header, PacketType::Ack)
}

#[test]
fn row_37_an_ack_of_packet_0_aborts_the_call() {
    let (mut raw, call, header) = asking(3);
    let sent = raw.give(&ack(&header).acks(AckReason::Requested, 0, 0, &[]));
    fails(&mut raw, call, &sent, Fault::AckZeroFirst);
}

#[test]
fn row_37_an_ack_of_packets_never_sent_aborts_the_call() {
    for first in [5, 1000, 0x7fff_ffff] {
        let (mut raw, call, header) = asking(3);
        let sent = raw.give(&ack(&header).acks(AckReason::Requested, first, 0, &[]));
        fails(&mut raw, call, &sent, Fault::AckOutsideWindow);
    }
    let (mut raw, call, header) = asking(3);
    raw.give(&ack(&header).acks(AckReason::Requested, 4, 3, &[]));
    assert_eq!((raw.outcome(call), raw.faults()), (None, vec![]));
}

#[test]
fn row_37_a_table_beyond_what_was_sent_aborts_the_call() {
    for (first, entries) in [(1, 4), (3, 2), (4, 1), (1, 255)] {
        let (mut raw, call, header) = asking(3);
        let sent = raw.give(&ack(&header).acks(AckReason::Requested, first, 3, &vec![1; entries]));
        fails(&mut raw, call, &sent, Fault::SackOverflow);
    }
}

#[test]
fn row_37_a_table_cut_short_aborts_the_call() {
    for kept in 0..3 {
        let (mut raw, call, header) = asking(3);
        let mut packet = ack(&header).acks(AckReason::Requested, 1, 3, &[0, 1, 1]);
        packet.body.truncate(18 + kept);
        let sent = raw.give(&packet);
        fails(&mut raw, call, &sent, Fault::ShortSack);
    }
}

#[test]
fn row_38_an_ack_in_a_state_that_sends_nothing_aborts_the_call() {
    let (mut raw, call) = taking();
    let packet = from_client(PacketType::Ack).serial(2);
    let sent = raw.give(&packet.clone().acks(AckReason::Requested, 2, 1, &[]));
    fails(&mut raw, call, &sent, Fault::UnexpectedAck);
    // One that says that nothing has come is no fault: keepalives look like this.
    let (mut raw, call) = taking();
    assert_eq!(raw.give(&packet.acks(AckReason::Ping, 1, 0, &[])).len(), 1);
    assert_eq!((raw.outcome(call), raw.faults()), (None, vec![]));
}

#[test]
fn row_39_a_stale_ack_is_ignored_but_its_question_answered() {
    let (mut raw, call, header) = asking(3);
    raw.give(&ack(&header).acks(AckReason::Requested, 3, 2, &[]).serial(2));
    let stale = ack(&header).acks(AckReason::Idle, 2, 1, &[1, 1, 1, 1]);
    assert_eq!(raw.give(&stale).len(), 0, "not even its impossible table counts");
    let ping = ack(&header).acks(AckReason::Ping, 1, 0, &[]).serial(5);
    assert_eq!(raw.give(&ping)[0].ack_says().0, AckReason::PingResponse);
    let asks = ack(&header).acks(AckReason::Idle, 1, 0, &[]).serial(6).flag(Flags::REQUEST_ACK);
    let sent = raw.give(&asks);
    assert_eq!((sent[0].ack_says().0, sent[0].ack_says().1), (AckReason::Requested, 6));
    assert_eq!((raw.faults(), raw.count(Fault::StaleAck)), (vec![Fault::StaleAck], 3));
    assert_eq!((raw.outcome(call), raw.end.call(call).unwrap().stats().in_flight), (None, 1));
}

/// A client whose first packet was acknowledged for good.
fn hard_acked() -> (Raw, CallId, Header) {
    let (mut raw, call, header) = asking(3);
    raw.give(&ack(&header).acks(AckReason::Requested, 2, 1, &[]));
    (raw, call, header)
}

#[test]
fn row_40_a_server_that_lost_the_call_ends_it() {
    let (mut raw, call, header) = hard_acked();
    let sent = raw.give(&ack(&header).acks(AckReason::ExceedsWindow, 1, 0, &[]).serial(2));
    assert_eq!(raw.outcome(call), Some(Err(CallError::PeerRestarted)));
    assert_eq!(CallError::PeerRestarted.abort_code(), None);
    // What it holds of our packets, as of a new call, it is told to drop.
    assert_eq!((sent.len(), sent[0].abort_code()), (1, AbortCode::RX_CALL_DEAD));
    assert_eq!(raw.faults(), [Fault::ServerForgot]);
    assert!(raw.events().iter().any(|e| matches!(e, Event::Call { news, .. } if *news == News::ENDED)));
    // Nothing was hard-acknowledged: only the first packets came out of order.
    let (mut raw, call, header) = asking(3);
    raw.give(&ack(&header).acks(AckReason::ExceedsWindow, 1, 0, &[]));
    assert_eq!((raw.outcome(call), raw.faults()), (None, vec![]));
}

#[test]
fn row_40_what_a_server_said_before_the_call_began_there_does_not_end_it() {
    // Its answer to a packet that overtook the others was overtaken by the acknowledgement of those.
    let (mut raw, call, header) = hard_acked();
    let overtaken = ack(&header).acks(AckReason::ExceedsWindow, 1, 0, &[]).serial(2);
    raw.give(&overtaken.answering(header.serial.wrapping_add(2)));
    assert_eq!((raw.outcome(call), raw.faults()), (None, vec![Fault::StaleAck]));
}

#[test]
fn row_41_a_hole_at_the_start_ends_the_call_only_after_a_hard_ack() {
    let (mut raw, call, header) = hard_acked();
    raw.give(&ack(&header).acks(AckReason::OutOfSequence, 1, 0, &[0, 1]).serial(2));
    assert_eq!(raw.outcome(call), Some(Err(CallError::PeerRestarted)));
    assert_eq!(raw.faults(), [Fault::ServerForgot]);
    let (mut raw, call, header) = asking(3);
    raw.give(&ack(&header).acks(AckReason::OutOfSequence, 1, 0, &[0, 1]));
    assert_eq!((raw.outcome(call), raw.faults()), (None, vec![]));
    // A server that knows of later packets has not forgotten: an old ACK came late.
    let (mut raw, call, header) = hard_acked();
    raw.give(&ack(&header).acks(AckReason::OutOfSequence, 1, 2, &[0, 1]).serial(2));
    assert_eq!((raw.outcome(call), raw.faults()), (None, vec![Fault::StaleAck]));
}

#[test]
fn row_42_a_challenge_on_a_connection_without_security_is_dropped() {
    let (mut raw, call, header) = asking(1);
    let sent = raw.give(&from_server(&header, PacketType::Challenge).call(0).body(&[0; 16]));
    dropped(&raw, &sent, Fault::ChallengeOnNull);
    assert_eq!(raw.outcome(call), None);
    // As real ones do, it names a class; then that is the fault.
    let (mut raw, call, header) = asking(1);
    let sent = raw.give(&from_server(&header, PacketType::Challenge).call(0).index(2).body(&[0; 16]));
    dropped(&raw, &sent, Fault::SecurityMismatch);
    assert_eq!(raw.outcome(call), None);
}

#[test]
fn row_43_a_response_on_a_connection_without_security_is_dropped() {
    let mut raw = Raw::new();
    let call = raw.serve();
    let sent = raw.give(&from_client(PacketType::Response).call(0).body(&[0; 60]));
    dropped(&raw, &sent, Fault::UnexpectedResponse);
    assert_eq!(raw.outcome(call), None);
}
