//! What holds for all packets: what is written is read back, and whatever is read is written again.

use proptest::collection::vec;
use proptest::prelude::*;
use rxrpc_proto::wire::*;

fn header() -> impl Strategy<Value = Header> {
    let places = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    let octets = (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>(), any::<u16>(), any::<u16>());
    (places, octets).prop_map(|((epoch, cid, call_number, seq, serial), octets)| {
        let (packet_type, flags, user_status, security_index, checksum, service_id) = octets;
        let (packet_type, flags) = (PacketType::from(packet_type), Flags(flags));
        Header {
            epoch,
            cid,
            call_number,
            seq,
            serial,
            packet_type,
            flags,
            user_status,
            security_index,
            checksum,
            service_id,
        }
    })
}

/// A header of a type that exists, of a security class that exists, and without a fault of its own.
fn sound_header() -> impl Strategy<Value = Header> {
    (header(), 1..=13_u8, 0..=6_u8).prop_map(|(header, packet_type, security_index)| {
        let packet_type = PacketType::from(if packet_type == 12 { 1 } else { packet_type });
        let flags = match packet_type {
            PacketType::Busy | PacketType::Challenge => header.flags.without(Flags::CLIENT_INITIATED),
            PacketType::Response => header.flags.with(Flags::CLIENT_INITIATED),
            _ => header.flags,
        };
        let (call_number, seq) = (header.call_number.max(1), header.seq.max(1));
        Header {
            packet_type,
            flags,
            security_index,
            call_number,
            seq,
            service_id: header.service_id.max(1),
            ..header
        }
    })
}

fn fields() -> impl Strategy<Value = AckFields> {
    (any::<u16>(), any::<u16>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u8>()).prop_map(
        |(buffer_space, max_skew, first_packet, previous_packet, serial, reason)| {
            let reason = AckReason::from(reason);
            AckFields { buffer_space, max_skew, first_packet, previous_packet, serial, reason }
        },
    )
}

fn trailer() -> impl Strategy<Value = Trailer> {
    (1_u32.., any::<u32>(), any::<Option<u32>>(), any::<Option<u32>>()).prop_map(
        |(max_mtu, if_mtu, rwind, jumbo_max)| Trailer {
            max_mtu,
            if_mtu,
            rwind,
            jumbo_max: rwind.and(jumbo_max),
        },
    )
}

/// Bodies that are more than noise: zeros, the start of a jumbo, small counts.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let jumbo = (0..4_usize, any::<[u8; 3]>(), 0..1500_usize).prop_map(|(segments, sub_header, last)| {
        let mut body = Vec::new();
        for place in 0..segments {
            body.resize(body.len() + JUMBO_DATA_LEN, 1);
            let flags = if place + 1 < segments { Flags::JUMBO.0 } else { sub_header[0] };
            body.extend_from_slice(&[flags, sub_header[1], sub_header[2], 0]);
        }
        body.resize(body.len() + last, 2);
        body
    });
    let small = vec(prop_oneof![8 => Just(0), 2 => 1..40_u8, 1 => any::<u8>()], 0..330);
    prop_oneof![3 => vec(any::<u8>(), 0..400), 3 => small, 2 => jumbo]
}

/// Reads `datagram`; if it is sound, checks that it is written again, and splits what can be split.
fn rewrite(datagram: &[u8]) -> Result<bool, TestCaseError> {
    let Ok(packet) = OwnedPacket::parse(datagram) else { return Ok(false) };
    prop_assert_eq!(&packet.to_vec()[..], datagram);
    let (header, octets) = Header::parse(datagram).expect("parsed above");
    match Body::parse(&header, octets).expect("parsed above") {
        Body::Data(data) => {
            let payload: usize = data.segments().map_while(Result::ok).map(|s| s.payload.len()).sum();
            prop_assert!(payload <= octets.len());
        }
        Body::Ack(ack) => {
            let table = ack.table().map_or(0, <[u8]>::len);
            prop_assert!(table == 0 || table == usize::from(ack.declared()));
            prop_assert!(ack.after_trailer().is_empty() || octets.len() > 18 + 3 + 16 + table);
        }
        _ => {}
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_header_is_read_back(header in header(), rest in vec(any::<u8>(), 0..20)) {
        let mut datagram = Vec::new();
        header.emit(&mut datagram);
        datagram.extend_from_slice(&rest);
        prop_assert_eq!(Header::parse(&datagram), Ok((header, &rest[..])));
    }

    #[test]
    fn random_octets_are_refused_or_written_again(datagram in vec(any::<u8>(), 0..2000)) {
        rewrite(&datagram)?;
    }

    #[test]
    fn a_header_with_noise_behind_it_is_refused_or_written_again(header in header(), body in body()) {
        rewrite(&[&header.to_bytes()[..], &body].concat())?;
    }

    #[test]
    fn a_sound_header_with_noise_behind_it_fails_by_its_body_alone(
        header in sound_header(), body in body(),
    ) {
        let sound = rewrite(&[&header.to_bytes()[..], &body].concat())?;
        let may_fail = match header.packet_type {
            PacketType::Ack => body.len() < 18,
            PacketType::Abort => body.len() < 4,
            PacketType::Version => header.from_client() && body.first() != Some(&0),
            _ => false,
        };
        prop_assert_eq!(sound, !may_fail);
    }

    #[test]
    fn a_sound_packet_cut_anywhere_is_refused_or_written_again(
        header in sound_header(), body in body(), cut in any::<prop::sample::Index>(),
    ) {
        let datagram = [&header.to_bytes()[..], &body].concat();
        rewrite(&datagram[..cut.index(datagram.len())])?;
    }

    #[test]
    fn an_ack_is_read_back(
        fields in fields(), table in vec(any::<bool>(), 0..300), trailer in prop::option::of(trailer()),
        extension in vec(any::<u8>(), 0..80),
    ) {
        let mut body = Vec::new();
        emit_ack(&mut body, &fields, table.iter().copied(), trailer.as_ref());
        let complete = trailer.is_some_and(|trailer| trailer.jumbo_max.is_some());
        if complete {
            prop_assert_eq!(body.len(), ack_body_len(table.len(), true));
            body.extend_from_slice(&extension);
        }
        let ack = Ack::parse(&body).unwrap();
        let read: Vec<bool> = ack.table().unwrap().iter().map(|octet| Ack::received(*octet)).collect();
        prop_assert_eq!(ack.fields, fields);
        prop_assert_eq!(&read[..], &table[..table.len().min(MAX_SACK)]);
        prop_assert_eq!(ack.trailer(), trailer);
        prop_assert_eq!(ack.after_trailer(), if complete { &extension[..] } else { &[] });
    }

    #[test]
    fn a_jumbo_is_read_back(
        header in sound_header(), flags in vec(any::<u8>(), 1..=MAX_JUMBO_SEGMENTS),
        last in 0..=JUMBO_DATA_LEN, fill in any::<u8>(),
    ) {
        let header = Header { packet_type: PacketType::Data, seq: header.seq >> 1 | 1, ..header };
        let full = [fill; JUMBO_DATA_LEN];
        let count = flags.len();
        let clean = |place: usize| {
            let flags = Flags(flags[place]).without(Flags::JUMBO);
            if place + 1 < count { flags.without(Flags::LAST_PACKET).with(Flags::JUMBO) } else { flags }
        };
        let payload = |place: usize| if place + 1 < count { &full[..] } else { &full[..last] };
        let mut serial = header.serial;
        let mut segments = Vec::new();
        for place in 0..count {
            let (seq, checksum) = (header.seq + place as u32, place as u16);
            segments.push(Segment { seq, serial, flags: clean(place), checksum, payload: payload(place) });
            serial = next_serial(serial);
        }
        let mut datagram = Vec::new();
        emit_jumbo(&mut datagram, &header, &segments).unwrap();
        prop_assert_eq!(datagram.len(), jumbo_len(count, last));
        let (read, octets) = Header::parse(&datagram).unwrap();
        let Ok(Body::Data(data)) = Body::parse(&read, octets) else { panic!("not DATA") };
        let again: Result<Vec<_>, _> = data.segments().collect();
        prop_assert_eq!(again, Ok(segments));
    }

    #[test]
    fn handshakes_are_read_back(
        words in any::<[u32; 4]>(), sealed in vec(any::<u8>(), 40), ticket in vec(any::<u8>(), 0..50),
        authenticator in vec(any::<u8>(), 0..50), start_time in any::<u64>(), rest in vec(any::<u8>(), 0..5),
    ) {
        let [version, spare, kvno, nonce] = words;
        let (ticket, authenticator) = (&ticket[..], &authenticator[..]);
        let mut body = Vec::new();
        let rxkad = RxkadResponse { version, spare, sealed: sealed.try_into().unwrap(), kvno, ticket };
        rxkad.emit(&mut body);
        body.extend_from_slice(&rest);
        prop_assert_eq!(RxkadResponse::parse(&body), Ok((rxkad, &rest[..])));

        body.clear();
        let rxgk = RxgkResponse { start_time, token: ticket, authenticator };
        rxgk.emit(&mut body);
        body.extend_from_slice(&rest);
        prop_assert_eq!(RxgkResponse::parse(&body), Ok((rxgk, &rest[..])));

        body.clear();
        let challenge = RxkadChallenge { version, nonce, min_level: kvno, spare };
        challenge.emit(&mut body);
        prop_assert_eq!(RxkadChallenge::parse(&body), Ok((challenge, &[][..])));
    }

    #[test]
    fn an_owned_ack_is_read_back(
        header in sound_header(), fields in fields(), table in vec(any::<u8>(), 0..=255),
        words in vec(any::<u32>(), 4), rest in vec(any::<u8>(), 0..40),
    ) {
        let declared = table.len() as u8;
        let ack = OwnedAck { fields, declared, table, filler: vec![1, 2, 3], words, rest };
        let packet = OwnedPacket {
            header: Header { packet_type: PacketType::Ack, ..header },
            body: OwnedBody::Ack(ack),
        };
        prop_assert_eq!(OwnedPacket::parse(&packet.to_vec()), Ok(packet));
    }

    #[test]
    fn debug_packets_are_read_back(
        call_number in any::<u32>(), kind in any::<i32>(), index in any::<i32>(),
        body in vec(any::<u8>(), 284),
    ) {
        let question = DebugRequest { kind: DebugKind::from(kind), index };
        let mut datagram = Vec::new();
        emit_debug_request(call_number, &question, &mut datagram);
        let (header, octets) = Header::parse(&datagram).unwrap();
        prop_assert_eq!(header.call_number, call_number);
        prop_assert_eq!(DebugRequest::parse(octets), Ok((question, &[][..])));

        for (number, len) in (1..).zip([56, 176, 176, 284, 132]) {
            let reply = DebugReply::parse(DebugKind::from(number), &body[..len]).unwrap();
            datagram.clear();
            emit_debug_reply(&header, &reply, &mut datagram);
            prop_assert_eq!(&datagram[HEADER_LEN..], &body[..len]);
        }
    }

    #[test]
    fn a_version_text_is_read_back(call_number in any::<u32>(), text in "[a-zA-Z0-9 .é€-]{0,80}") {
        let (mut asked, mut told) = (Vec::new(), Vec::new());
        emit_version_request(call_number, &mut asked);
        let (request, _) = Header::parse(&asked).unwrap();
        emit_version_reply(&request, &text, &mut told);
        prop_assert_eq!(told.len(), HEADER_LEN + VERSION_LEN);
        let (header, octets) = Header::parse(&told).unwrap();
        let version = Version::parse(&header, octets).unwrap();
        let read = str::from_utf8(version.text().unwrap()).unwrap();
        prop_assert!(text.starts_with(read) && header.call_number == call_number);
        prop_assert!(read == text || read.len() > VERSION_LEN - 5);
    }
}
