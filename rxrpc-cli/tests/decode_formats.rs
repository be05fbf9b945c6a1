//! `rxrpc decode` on captures made by the tests themselves: every link type and both IP versions, fragments,
//! cut frames, offloaded batches, foreign traffic, malformed packets.

use std::io::Write;
use std::process::{Command, Stdio};

use rxrpc_proto::wire::{AckFields, AckReason, Flags, Header, PacketType, emit_ack};

/// What `rxrpc decode - ARGS` prints of a file, if it ends with code 0.
fn decode(file: &[u8], args: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rxrpc"))
        .args(["decode", "-"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(file).unwrap();
    let output = child.wait_with_output().unwrap();
    let utf8 = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    assert_eq!((output.status.code(), utf8(&output.stderr).as_str()), (Some(0), ""));
    utf8(&output.stdout)
}

/// The lines of packets, without the columns before the type and with single spaces.
fn packets(text: &str) -> Vec<String> {
    let lines = text.lines().skip(1).take_while(|line| !line.is_empty());
    lines.map(|line| line.split_whitespace().skip(5).collect::<Vec<_>>().join(" ")).collect()
}

fn pcap_of(link: u32, frames: &[(&[u8], usize)]) -> Vec<u8> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0];
    file.extend(link.to_le_bytes());
    for (place, (frame, original)) in frames.iter().enumerate() {
        for word in [1, place, frame.len(), *original] {
            file.extend((word as u32).to_le_bytes());
        }
        file.extend_from_slice(frame);
    }
    file
}

fn pcap(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    pcap_of(link, &frames.iter().map(|frame| (&frame[..], frame.len())).collect::<Vec<_>>())
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u16 + 8;
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

/// An IPv4 packet; `place` are the flags and the offset of a fragment.
fn ipv4(place: u16, id: u8, inside: &[u8]) -> Vec<u8> {
    let len = inside.len() as u16 + 20;
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, id]);
    packet.extend(place.to_be_bytes());
    packet.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend_from_slice(inside);
    packet
}

fn ipv6(next: u8, inside: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((inside.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    for last in [1, 2] {
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend_from_slice(inside);
    packet
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    let kind = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    [&[2; 12][..], &kind, packet].concat()
}

fn header(packet_type: u8, flags: u8, seq: u32, serial: u32) -> Header {
    Header {
        epoch: 0x8000_0042,
        cid: 0x1000_0004,
        call_number: 1,
        seq,
        serial,
        packet_type: PacketType::from(packet_type),
        flags: Flags(flags),
        user_status: 0,
        security_index: 0,
        checksum: 0,
        service_id: 52,
    }
}

fn data(seq: u32, serial: u32, payload: &[u8]) -> Vec<u8> {
    [&header(1, 1, seq, serial).to_bytes()[..], payload].concat()
}

const ONE: &str = "DATA C---- 10000004:1 1 1 5 52 0 op 1751477356";

#[test]
fn the_packet_is_the_same_over_every_link_and_ip() {
    let inside = udp(40_000, 7_003, &data(1, 1, b"hello"));
    let (four, six) = (ipv4(0, 1, &inside), ipv6(17, &inside));
    let tagged = [&[2; 12][..], &[0x81, 0, 0, 7, 8, 0], &four].concat();
    let twice = [&[2; 12][..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 0x86, 0xdd], &six].concat();
    let cooked = |kind: [u8; 2], packet: &[u8]| [&[0; 14][..], &kind, packet].concat();
    let cooked2 = |kind: [u8; 2], packet: &[u8]| [&kind[..], &[0; 18], packet].concat();
    let null = |family: [u8; 4], packet: &[u8]| [&family[..], packet].concat();
    for (link, frame) in [
        (1, ethernet(&four)),
        (1, ethernet(&six)),
        (1, tagged),
        (1, twice),
        (113, cooked([8, 0], &four)),
        (113, cooked([0x86, 0xdd], &six)),
        (276, cooked2([8, 0], &four)),
        (276, cooked2([0x86, 0xdd], &six)),
        (101, four.clone()),
        (101, six.clone()),
        (228, four.clone()),
        (229, six.clone()),
        (0, null([2, 0, 0, 0], &four)),
        (0, null([30, 0, 0, 0], &six)),
        (108, null([0, 0, 0, 24], &six)),
        (1, ethernet(&ipv6(0, &[&[17, 0, 0, 0, 0, 0, 0, 0][..], &inside].concat()))),
    ] {
        let text = decode(&pcap(link, &[frame]), &[]);
        assert_eq!(packets(&text), [ONE], "link type {link}: {text}");
        let ends = ["10.0.0.1:40000 > 10.0.0.2:7003", "[fd00::1]:40000 > [fd00::2]:7003"];
        assert!(ends.iter().any(|ends| text.contains(ends)), "{text}");
    }
}

#[test]
fn fragments_are_joined_and_missing_ones_reported() {
    let inside = udp(40_000, 7_003, &data(1, 1, &[7; 3000]));
    let part = |from: usize, to: usize, more: u16| {
        ethernet(&ipv4(more << 13 | (from / 8) as u16, 9, &inside[from..to.min(inside.len())]))
    };
    let all = [part(0, 1480, 1), part(2960, 9000, 0), part(1480, 2960, 1)];
    let text = decode(&pcap(1, &all), &[]);
    assert_eq!(packets(&text), ["DATA C---- 10000004:1 1 1 3000 52 0 op 117901063 3 IP fragments"]);
    let text = decode(
        &pcap(
            1,
            &[all[0].clone(), all[1].clone(), ethernet(&ipv4(0, 1, &udp(40_000, 7_003, &data(2, 2, b""))))],
        ),
        &[],
    );
    assert!(
        text.contains(
            "2 IP fragments from 10.0.0.1 to 10.0.0.2, ports 40000 and 7003; the rest is not in the capture"
        ),
        "{text}"
    );
    assert!(
        text.ends_with("3 frames, 1 Rx packet, 1 DATA segment, 1 call, 1 datagram with fragments missing\n"),
        "{text}"
    );

    let part6 = |from: usize, to: usize, more: u16| {
        let place = (from as u16 | more).to_be_bytes();
        let extension = [17, 0, place[0], place[1], 0, 0, 0, 5];
        ethernet(&ipv6(44, &[&extension[..], &inside[from..to.min(inside.len())]].concat()))
    };
    let text = decode(&pcap(1, &[part6(1480, 9000, 0), part6(0, 1480, 1)]), &[]);
    assert_eq!(packets(&text), ["DATA C---- 10000004:1 1 1 3000 52 0 op 117901063 2 IP fragments"]);
}

#[test]
fn frames_that_the_capture_cut_say_so() {
    let whole = ethernet(&ipv4(0, 1, &udp(40_000, 7_003, &data(1, 1, &[7; 1412]))));
    let file =
        pcap_of(1, &[(&whole[..96], whole.len()), (&whole[..60], whole.len()), (&whole[..30], whole.len())]);
    let text = decode(&file, &[]);
    let expected = [
        "DATA C---- 10000004:1 1 1 1412 52 0 op 117901063 54 of 1440 octets captured",
        "- 1440 18 of 1440 octets captured",
    ];
    assert_eq!(packets(&text), expected);
    let end = "2 packets cut by the capture, 1 frame cut before the end of the UDP header\n";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn a_batch_that_was_sent_as_one_buffer_is_shown_packet_by_packet() {
    let batch = [data(1, 1, &[7; 100]), data(2, 2, &[8; 100]), data(3, 3, &[9; 40])].concat();
    let text = decode(&pcap(1, &[ethernet(&ipv4(0, 1, &udp(40_000, 7_003, &batch)))]), &[]);
    let expected = [
        "DATA C---- 10000004:1 1 1 100 52 0 op 117901063",
        "DATA C---- 10000004:1 2 2 100 52 0",
        "DATA C---- 10000004:1 3 3 40 52 0",
    ];
    assert_eq!(packets(&text), expected);
}

#[test]
fn without_a_port_only_rx_is_taken_and_with_one_everything_of_that_port() {
    let datagram = |ports: [u16; 2], payload: &[u8]| ethernet(&ipv4(0, 1, &udp(ports[0], ports[1], payload)));
    let frames = [
        datagram([5353, 5353], &[0; 40]),
        datagram([40_000, 12_345], &data(1, 1, b"hello")),
        datagram([40_000, 7_001], b"hello"),
        datagram([40_000, 12_345], b"hello"),
        ethernet(&[&[0x45, 0, 0, 24, 0, 0, 0, 0, 64, 6, 0, 0][..], &[10; 12]].concat()),
    ];
    let file = pcap(1, &frames);
    let short = "- 5 malformed: ShortHeader (datagram shorter than a header)";
    let text = decode(&file, &[]);
    assert_eq!(packets(&text), [ONE, short], "{text}");
    assert!(
        text.ends_with(
            "5 frames, 2 Rx packets, 1 DATA segment, 1 call, 1 packet malformed, 2 other UDP datagrams\n"
        ),
        "{text}"
    );
    assert_eq!(packets(&decode(&file, &["--port", "7001"])), [short]);
    assert_eq!(packets(&decode(&file, &["-p", "5353", "-p", "7001"])).len(), 2);
}

#[test]
fn malformed_packets_are_shown_with_the_name_of_their_fault() {
    let bad = |packet_type: u8, flags: u8, body: &[u8]| {
        [&header(packet_type, flags, u32::from(packet_type == 1), 1).to_bytes()[..], body].concat()
    };
    let mut no_service = header(1, 1, 1, 1);
    no_service.service_id = 0;
    let mut no_call = header(1, 1, 1, 1);
    no_call.call_number = 0;
    let fields = |first_packet| AckFields {
        buffer_space: 0,
        max_skew: 0,
        first_packet,
        previous_packet: 0,
        serial: 0,
        reason: AckReason::Idle,
    };
    let ack = |first_packet, declared| {
        let mut out = Vec::new();
        emit_ack(&mut out, &fields(first_packet), [true].into_iter(), None);
        out[17] = declared;
        bad(2, 0, &out)
    };
    let jumbo = |len: usize, flags: u8| bad(1, flags, &vec![7; len]);
    for (payload, name) in [
        (bad(2, 0, &[0; 17]), "ShortAck"),
        (ack(0, 1), "AckZeroFirst"),
        (ack(1, 200), "ShortSack"),
        (bad(4, 0, &[0; 3]), "ShortAbort"),
        (bad(13, 1, &[1]), "VersionMalformed"),
        (bad(3, 1, &[]), "BusyFromClient"),
        (no_call.to_bytes().to_vec(), "ZeroCallOnData"),
        (header(1, 1, 0, 1).to_bytes().to_vec(), "ZeroSeq"),
        (bad(6, 1, &[]), "ChallengeToServer"),
        (bad(7, 0, &[]), "ResponseToClient"),
        (bad(99, 0, &[]), "UnknownType"),
        (no_service.to_bytes().to_vec(), "ZeroService"),
        (jumbo(1000, 0x21), "Short"),
        (jumbo(3000, 0x25), "LastNotFinal"),
    ] {
        let frame = ethernet(&ipv4(0, 1, &udp(40_000, 7_003, &payload)));
        let text = decode(&pcap(1, std::slice::from_ref(&frame)), &["--port", "7003"]);
        let lines = packets(&text);
        assert!(lines.len() == 1 && lines[0].contains(&format!("malformed: {name} (")), "{name}: {text}");
        let object = decode(&pcap(1, &[frame]), &["--port", "7003", "--json"]);
        let object: serde_json::Value = serde_json::from_str(object.lines().next().unwrap()).unwrap();
        assert_eq!(object["malformed"]["fault"], name);
    }
}

#[test]
fn odd_bits_and_tables_of_the_largest_size_are_shown() {
    let mut out = header(2, 0xd1, 0, 1).to_bytes().to_vec();
    let fields = AckFields {
        buffer_space: 0,
        max_skew: 0,
        first_packet: 1,
        previous_packet: 0,
        serial: 0,
        reason: AckReason::Other(77),
    };
    emit_ack(&mut out, &fields, (0..255).map(|place| place % 2 == 1), None);
    out[28 + 18] = 2;
    let text = decode(&pcap(1, &[ethernet(&ipv4(0, 1, &udp(7_003, 7_001, &out)))]), &["-p", "7003"]);
    let table = format!("[o{}]", "#.".repeat(127));
    let expected =
        format!("ACK C----+ 10000004:1 - 1 276 52 0 REASON 77 first 1 prev 0 serial 0 {table} flag bits d0");
    assert_eq!(packets(&text), [expected]);
}
