//! What peers write in their packets, and what is made of it.

use std::time::Duration;

use rxrpc_proto::wire::{AbortCode, AckReason, Flags, Header, PacketType};
use rxrpc_proto::{CallError, CallId, CallOptions, Config, Event, ServiceOptions, Target};

use crate::raw::{CID, Packet, Raw, SERVICE, from_client, from_server};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A client with a whole request of ten packets on the wire; the header of the first.
fn asking(tune: impl FnOnce(&mut Config)) -> (Raw, CallId, Header) {
    let mut raw = Raw::with(tune);
    let (call, out) = raw.begin(&vec![7; 1412 * 9 + 5], CallOptions::default());
    assert_eq!(out.len(), 10);
    let header = out[0].header;
    (raw, call, header)
}

fn ack(to: &Header) -> Packet {
    from_server(to, PacketType::Ack)
}

/// What a call knows of its peer's window, and how much it has in flight.
fn window(raw: &mut Raw, call: CallId) -> (u32, u32) {
    let stats = raw.end.call(call).unwrap().stats();
    (stats.peer_window, stats.in_flight)
}

#[test]
fn a_trailer_may_end_after_any_word_and_what_follows_it_is_padding() {
    for (words, expected) in [
        (&[][..], 16),
        (&[1444], 16),
        (&[1444, 1444], 16),
        (&[1444, 1444, 77], 77),
        (&[1444, 1444, 77, 4], 77),
        (&[1444, 1444, 77, 4, 0, 0, 0, 0], 77),
        // The first word says that nothing is known.
        (&[0, 1444, 77, 4], 16),
    ] {
        let (mut raw, call, header) = asking(|_| {});
        raw.give(&ack(&header).acks_with(AckReason::Requested, 3, 2, &[], words));
        assert_eq!(window(&mut raw, call), (expected, 8), "{words:?}");
        assert_eq!((raw.outcome(call), raw.faults()), (None, vec![]));
    }
    // A word cut short, and no filler at all.
    for cut in [1, 2, 3, 17, 18, 19] {
        let (mut raw, call, header) = asking(|_| {});
        let mut packet = ack(&header).acks(AckReason::Requested, 3, 2, &[]);
        packet.body.truncate(packet.body.len() - cut);
        raw.give(&packet);
        assert_eq!(raw.end.call(call).unwrap().stats().in_flight, 8, "{cut} octets less");
        assert_eq!(raw.faults(), []);
    }
}

#[test]
fn buffer_space_skew_and_the_extended_sack_flag_say_nothing() {
    for (octets, flags) in
        [([0xff; 4], Flags::NONE), ([0, 8, 0, 0], Flags::NONE), ([0; 4], Flags::EXTENDED_SACK)]
    {
        let (mut raw, call, header) = asking(|_| {});
        let mut packet = ack(&header).acks(AckReason::Requested, 3, 2, &[0, 1]).flag(flags);
        packet.body[..4].copy_from_slice(&octets);
        // With the flag the filler would have a meaning.
        packet.body[20..23].copy_from_slice(&[1, 4, 1]);
        raw.give(&packet);
        assert_eq!((window(&mut raw, call).0, raw.outcome(call), raw.faults()), (255, None, vec![]));
        assert_eq!(raw.end.call(call).unwrap().stats().acks_received, 1);
    }
}

#[test]
fn an_ack_of_any_reason_is_an_ack() {
    for reason in (0..=5).chain(8..=10).chain([200, 255]) {
        let (mut raw, call, header) = asking(|_| {});
        let sent = raw.give(&ack(&header).acks(AckReason::from(reason), 3, 2, &[]));
        assert_eq!(window(&mut raw, call).1, 8, "reason {reason}");
        assert!(sent.is_empty(), "reason {reason} asks nothing");
    }
}

#[test]
fn previous_packet_may_be_a_serial_the_last_seen_or_the_highest() {
    // Each style of writing it while the window stands still: none of these ACKs is taken for an old one.
    for previous in [[5000, 5001, 5002], [4, 2, 3], [4, 5, 6]] {
        let (mut raw, call, header) = asking(|_| {});
        raw.now += ms(20);
        for (i, (previous, have)) in previous.into_iter().zip([2, 3, 4]).enumerate() {
            let table: Vec<u8> = (0..5).map(|n| u8::from(n > 0 && n <= have)).collect();
            let packet = ack(&header).acks(AckReason::OutOfSequence, 1, previous, &table);
            raw.give(&packet.serial(2 + i as u32));
        }
        assert_eq!((raw.faults(), raw.end.call(call).unwrap().stats().acks_received), (vec![], 3));
    }
}

#[test]
fn a_window_beyond_what_a_table_describes_is_used_up_to_255() {
    let mut raw = Raw::new();
    let (call, out) = raw.begin(&vec![7; 1412 * 2000], CallOptions::default());
    let header = out[0].header;
    let mut sent = out.len() as u32;
    let mut most = 0;
    for serial in 2..60 {
        raw.now += ms(5);
        let first = sent + 1;
        let packet = ack(&header).acks_with(AckReason::Requested, first, sent, &[], &[1444, 1444, 65_535, 4]);
        sent += raw.give(&packet.serial(serial)).len() as u32;
        most = most.max(window(&mut raw, call).1);
        if most == 255 {
            break;
        }
    }
    assert_eq!((window(&mut raw, call).0, most), (65_535, 255));
}

#[test]
fn more_packets_checksum_and_the_unknown_flag_of_data_say_nothing() {
    let mut raw = Raw::new();
    let mut first = from_client(PacketType::Data).flag(Flags::MORE_PACKETS | Flags(0xd0)).body(b"ab");
    first.header.checksum = 0xffff;
    raw.give(&first);
    // The end is where LAST_PACKET is, whatever the packets before it said of more.
    raw.give(&from_client(PacketType::Data).seq(2).serial(2).flag(Flags::MORE_PACKETS).last().body(b"cd"));
    let call = raw.accept();
    assert_eq!(raw.read(call), b"abcd");
    assert_eq!(raw.faults(), []);
}

#[test]
fn only_user_status_1_of_the_first_data_packet_wishes_for_an_upgrade() {
    let service_for = |packets: &[Packet]| {
        let mut raw = Raw::new();
        raw.end.unlisten(SERVICE);
        raw.end.listen(SERVICE, ServiceOptions { upgrade_to: Some(60), ..Default::default() }).unwrap();
        raw.end.listen(60, ServiceOptions::default()).unwrap();
        for packet in packets {
            raw.give(packet);
        }
        let incoming = |e: &Event| match e {
            Event::Incoming { service, .. } => Some(*service),
            _ => None,
        };
        let services: Vec<_> = raw.events().iter().filter_map(incoming).collect();
        services
    };
    let data = || from_client(PacketType::Data).last();
    assert_eq!(service_for(&[data().status(1)]), [60]);
    for status in [0, 2, 3, 255] {
        assert_eq!(service_for(&[data().status(status)]), [52], "status {status}");
    }
    // OpenAFS's file server writes it into ACKs; and a later call cannot move the connection.
    let state = from_client(PacketType::Ack).acks(AckReason::Ping, 1, 0, &[]).status(1).serial(2);
    assert_eq!(service_for(&[data(), state, data().call(2).status(1).serial(3)]), [52, 52]);
}

#[test]
fn what_a_peer_said_of_sizes_holds_for_its_later_calls() {
    let mut raw = Raw::new();
    let call = raw.serve();
    let words = [1024, 1444, 255, 4];
    raw.give(&from_client(PacketType::Ack).acks_with(AckReason::Ping, 1, 0, &[], &words).serial(2));
    raw.end.call(call).unwrap().abort(AbortCode(1));
    raw.poll();
    // Neither a next call nor a new connection makes packets larger again.
    raw.give(&from_client(PacketType::Data).cid(CID + 4).last().body(b"ask"));
    let call = raw.accept();
    raw.write(call, &[7; 4000]);
    let sizes: Vec<_> = raw.poll().iter().map(|s| s.bytes.len()).collect();
    assert_eq!(sizes[..4], [1024; 4]);
}

#[test]
fn a_service_that_is_not_there_is_told_by_the_call_or_by_the_connection() {
    for number in [0, 1] {
        let mut raw = Raw::new();
        let (call, out) = raw.begin(b"ask", CallOptions::default());
        // As OpenAFS writes it: service 0, and the direction not turned round where the packet lacked it.
        let abort = from_server(&out[0].header, PacketType::Abort).call(number).service(0).serial(0);
        raw.give(&abort.body(&(-2i32).to_be_bytes()));
        let expected = CallError::RemoteAbort(AbortCode::RX_INVALID_OPERATION);
        assert_eq!(raw.outcome(call), Some(Err(expected)), "call number {number}");
    }
}

#[test]
fn after_an_upgrade_both_service_numbers_are_the_servers() {
    let mut raw = Raw::new();
    let target = Target { upgrade: true, ..Target::new(raw.peer, SERVICE) };
    let call = raw.end.begin_call(&target, CallOptions::default()).unwrap();
    raw.write(call, &[7; 3000]);
    let out = raw.poll();
    assert_eq!(
        out.iter().map(|s| s.header.user_status).collect::<Vec<_>>(),
        [1, 0, 0],
        "only the first asks"
    );
    let header = out[0].header;
    raw.give(&ack(&header).acks(AckReason::Requested, 2, 1, &[]).service(60));
    // Linux writes the number that the client named into its ACKs, and the newer one into its DATA.
    raw.give(&ack(&header).acks(AckReason::Requested, 3, 2, &[]).service(52).serial(2));
    raw.give(&from_server(&header, PacketType::Data).service(60).last().serial(3));
    assert_eq!((raw.outcome(call), raw.faults()), (Some(Ok(())), vec![]));
    assert_eq!(raw.end.call(call).unwrap().service(), 60);
}

#[test]
fn the_channel_of_a_connection_abort_does_not_matter() {
    for channel in 0..4 {
        let mut raw = Raw::new();
        let (call, out) = raw.begin(b"ask", CallOptions::default());
        let abort = from_server(&out[0].header, PacketType::Abort).call(0).channel(channel);
        raw.give(&abort.body(&[0, 0, 0, 3]));
        assert_eq!(raw.outcome(call), Some(Err(CallError::RemoteAbort(AbortCode(3)))));
    }
}

#[test]
fn the_answer_to_a_ping_is_measured_once() {
    let mut raw = Raw::with(|config| config.validate_peers = true);
    let call = raw.serve();
    raw.write(call, &[7; 3000]);
    let ping = raw.poll().remove(0);
    assert_eq!(ping.ack_says().0, AckReason::Ping);
    let pong = from_client(PacketType::Ack).acks(AckReason::PingResponse, 1, 0, &[]);
    let pong = pong.answering(ping.header.serial);
    raw.now += ms(40);
    raw.give(&pong.clone().serial(2));
    assert_eq!(raw.end.call(call).unwrap().stats().srtt, Some(ms(40)));
    raw.now += ms(400);
    raw.give(&pong.serial(3));
    assert_eq!(raw.end.call(call).unwrap().stats().srtt, Some(ms(40)));
}

#[test]
fn what_was_refused_beyond_the_window_is_sent_again_when_it_opens_without_blame() {
    let (mut raw, call, header) = asking(|_| {});
    raw.now += ms(20);
    let refusal = |serial, rwind| {
        let words = [1444, 1444, rwind, 4];
        ack(&header).acks_with(AckReason::ExceedsWindow, 4, 3, &[], &words).serial(serial)
    };
    let sent = raw.give(&refusal(2, 2));
    assert!(sent.is_empty(), "two are still under way: {sent:?}");
    let opened = ack(&header).acks_with(AckReason::Idle, 6, 5, &[], &[1444, 1444, 64, 4]);
    let again: Vec<_> = raw.give(&opened.serial(3)).iter().map(|s| s.header.seq).collect();
    assert_eq!(again, [6, 7, 8, 9, 10]);
    assert!(raw.end.call(call).unwrap().stats().congestion_window >= 10);
}
