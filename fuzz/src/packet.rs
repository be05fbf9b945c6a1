//! `packet`: read a datagram, write it again, compare.

use rxrpc_proto::wire::*;

/// Reads the octets as a datagram. What is sound must be written again octet for octet, from the packet as a
/// whole and from the values of its views.
pub fn packet(data: &[u8]) {
    let owned = OwnedPacket::parse(data);
    let Ok((header, octets)) = Header::parse(data) else {
        assert!(data.len() < HEADER_LEN && owned == Err(Malformed::ShortHeader));
        return;
    };
    assert_eq!(header.to_bytes()[..], data[..HEADER_LEN]);
    if matches!(header.packet_type, PacketType::Challenge | PacketType::Response | PacketType::Debug) {
        // Whoever sent it: the layouts of security classes and of debug packets do not depend on that.
        layouts(octets);
    }
    let body = Body::parse(&header, octets);
    match (body, owned) {
        (Ok(body), Ok(owned)) => {
            assert_eq!(owned.to_vec(), data);
            check_body(&header, octets, &body);
        }
        (Err(one), Err(other)) => assert_eq!(one, other),
        (body, owned) => panic!("{body:?} against {owned:?}"),
    }
}

fn check_body(header: &Header, octets: &[u8], body: &Body<'_>) {
    match body {
        Body::Data(data) => check_data(header, octets, data),
        Body::Ack(ack) => check_ack(octets, ack),
        Body::Abort(code) => assert_eq!(code.to_bytes(), octets[..ABORT_LEN]),
        Body::Version(version) => {
            assert_eq!(version.body(), octets);
            assert_eq!(version.request().is_ok(), header.from_client());
            assert!(version.text().is_none_or(|text| text.len() <= octets.len() && !text.contains(&0)));
        }
        Body::Challenge(inner) | Body::Response(inner) | Body::Debug(inner) => assert_eq!(*inner, octets),
        Body::Busy | Body::AckAll | Body::Ignored => {}
    }
}

/// Sound jumbos are joined again from their segments.
fn check_data(header: &Header, octets: &[u8], data: &Data<'_>) {
    let mut segments = Vec::new();
    let mut rest = data.segments();
    let fault = loop {
        match rest.next() {
            None => break None,
            Some(Ok(segment)) => segments.push(segment),
            Some(Err(fault)) => break Some(fault),
        }
    };
    assert!(rest.next().is_none(), "nothing follows the end");
    assert!(segments.len() <= MAX_JUMBO_SEGMENTS);
    for (place, pair) in segments.windows(2).enumerate() {
        assert_eq!(pair[1].seq, header.seq + place as u32 + 1);
        assert_eq!((pair[1].serial, pair[0].payload.len()), (next_serial(pair[0].serial), JUMBO_DATA_LEN));
    }
    let Some(last) = segments.last() else { return assert!(fault.is_some()) };
    if fault.is_some() || last.payload.len() > JUMBO_DATA_LEN || data.body().len() > MAX_DATAGRAM - HEADER_LEN
    {
        return;
    }
    let mut again = Vec::new();
    match emit_jumbo(&mut again, header, &segments) {
        // Only the spare octet of each sub-header is not kept.
        Ok(()) => {
            assert!(again.len() == HEADER_LEN + octets.len() && differs_only_in_spares(&again[28..], octets))
        }
        Err(error) => panic!("{error} joining {} segments", segments.len()),
    }
}

fn differs_only_in_spares(one: &[u8], other: &[u8]) -> bool {
    let stride = JUMBO_DATA_LEN + JUMBO_HEADER_LEN;
    one.iter().zip(other).enumerate().all(|(i, (a, b))| a == b || i % stride == JUMBO_DATA_LEN + 1)
}

/// An ACK of our own kind is written again from its fields.
fn check_ack(octets: &[u8], ack: &Ack<'_>) {
    let Some(table) = ack.table() else {
        assert!(octets.len() < ACK_FIXED_LEN + usize::from(ack.declared()));
        assert!(ack.trailer().is_none() && ack.after_trailer().is_empty());
        return;
    };
    assert_eq!(table.len(), usize::from(ack.declared()));
    let trailer = ack.trailer();
    let mut again = Vec::new();
    emit_ack(&mut again, &ack.fields, table.iter().map(|octet| Ack::received(*octet)), trailer.as_ref());
    let read = Ack::parse(&again).expect("we wrote it");
    assert_eq!((read.fields, read.declared(), read.trailer()), (ack.fields, ack.declared(), trailer));
    let bits = |table: &[u8]| table.iter().map(|o| Ack::received(*o)).collect::<Vec<_>>();
    assert_eq!(read.table().map(bits), Some(bits(table)));
    if trailer.is_some_and(|t| t.jumbo_max.is_some()) {
        assert_eq!(again.len(), ack_body_len(table.len(), true));
        assert_eq!(ack.after_trailer(), &octets[again.len()..]);
    }
}

/// Bodies whose layout others decide, read from any octets.
fn layouts(octets: &[u8]) {
    let mut again = Vec::new();
    if let Ok((challenge, rest)) = RxkadChallenge::parse(octets) {
        challenge.emit(&mut again);
        again.extend_from_slice(rest);
        assert_eq!(again, octets);
    }
    if let Ok((response, rest)) = RxkadResponse::parse(octets) {
        again.clear();
        response.emit(&mut again);
        again.extend_from_slice(rest);
        assert_eq!(again, octets);
    }
    if let Ok((response, rest)) = RxgkResponse::parse(octets) {
        // The padding of token and authenticator may hold anything; its length is what must agree.
        again.clear();
        response.emit(&mut again);
        assert_eq!(again.len() + rest.len(), octets.len());
        assert_eq!(RxgkResponse::parse(&again), Ok((response, &[][..])));
    }
    if let Ok((request, rest)) = DebugRequest::parse(octets) {
        again.clear();
        request.emit(&mut again);
        again.extend_from_slice(rest);
        assert_eq!(again, octets);
    }
    if let Some(reply) = DebugReply::by_length(octets) {
        again.clear();
        reply.emit(&mut again);
        assert_eq!(again, octets);
    }
    if octets.len() <= MAX_DATAGRAM {
        for kind in 1..=5 {
            if let Ok(reply) = DebugReply::parse(DebugKind::from(kind), octets) {
                again.clear();
                reply.emit(&mut again);
                assert_eq!(again, octets[..again.len().min(octets.len())]);
            }
        }
    }
}
