//! Every packet of every capture in `testdata/`: read, taken apart, and written again as it was.
//!
//! The captures are traffic of another implementation, so a field misread in the same way by our
//! parser and our emitter would show here: many tests write the packet anew from the values of the
//! views and compare octets.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use rxrpc_proto::wire::*;

/// Name, Rx packets and DATA segments of each capture.
const CAPTURES: [(&str, usize, usize); 38] = [
    ("oafs-afs-abort-denied", 13, 7),
    ("oafs-afs-bos-anon", 14, 9),
    ("oafs-afs-bos-getlog-rxkad", 12, 6),
    ("oafs-afs-fs-anon", 74, 39),
    ("oafs-afs-fs-fetch-300k", 748, 448),
    ("oafs-afs-fs-rxkad-crypt", 64, 38),
    ("oafs-afs-localauth-aes-clear", 17, 7),
    ("oafs-afs-localauth-aes-crypt", 17, 7),
    ("oafs-afs-localauth-des-clear", 10, 4),
    ("oafs-afs-pr-anon", 32, 21),
    ("oafs-afs-rxdebug-fileserver", 122, 0),
    ("oafs-afs-ubik-udebug", 5, 3),
    ("oafs-afs-vl-anon", 22, 14),
    ("oafs-afs-vos-dump-rxkad-clear", 21, 11),
    ("oafs-dead-server", 1, 1),
    ("oafs-null-4calls-1conn", 61, 32),
    ("oafs-null-abort-app", 4, 2),
    ("oafs-null-checkreach", 5, 2),
    ("oafs-null-long-call-keepalive", 10, 2),
    ("oafs-null-loss3pct-recv-200k", 274, 286),
    ("oafs-null-loss3pct-send-200k", 385, 306),
    ("oafs-null-nojumbo-mtu1024", 26, 15),
    ("oafs-null-recv-200k", 140, 143),
    ("oafs-null-recv-20k-window64", 25, 16),
    ("oafs-null-send-200k", 149, 143),
    ("oafs-null-small", 12, 8),
    ("oafs-rxdebug-rxpeer", 93, 2),
    ("oafs-rxkad-des-auth", 28, 12),
    ("oafs-rxkad-des-auth-send-200k", 112, 78),
    ("oafs-rxkad-des-clear", 28, 12),
    ("oafs-rxkad-des-crypt", 27, 12),
    ("oafs-rxkad-des-crypt-send-200k", 128, 76),
    ("oafs-rxkad-err-level", 3, 1),
    ("oafs-rxkad-err-unknownkey", 4, 1),
    ("oafs-rxkad-k5-auth", 28, 12),
    ("oafs-rxkad-k5-clear", 28, 12),
    ("oafs-rxkad-k5-crypt", 28, 12),
    ("oafs-rxkad-kdc-aes256", 23, 10),
];

/// Packets of each type number in all captures together.
const TYPES: [(u8, usize); 7] = [(1, 1349), (2, 1124), (4, 34), (6, 38), (7, 37), (8, 207), (13, 4)];

/// DATA segments in all captures, and the DATA packets by their number of segments.
const SEGMENTS: usize = 1810;
const JUMBOS: [(usize, usize); 4] = [(1, 1172), (2, 28), (3, 14), (4, 135)];

/// The captures, by name.
fn captures() -> Vec<(String, Vec<Vec<u8>>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let paths =
        fs::read_dir(&folder).expect("testdata can be listed").map(|entry| entry.expect("entry").path());
    let captures = paths.filter(|path| path.extension().is_some_and(|extension| extension == "pcap"));
    let mut named: Vec<_> = captures.map(|path| (name(&path), datagrams(&path))).collect();
    named.sort();
    named
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// Every datagram of every capture.
fn all() -> Vec<Vec<u8>> {
    captures().into_iter().flat_map(|(_, datagrams)| datagrams).collect()
}

/// The UDP payloads of a capture. Fails on anything that is not a whole, unfragmented UDP datagram
/// over IPv4 and Ethernet, since it would be left out silently otherwise.
fn datagrams(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    assert_eq!(reader.header().datalink, DataLink::ETHERNET);
    let mut found = Vec::new();
    while let Some(frame) = reader.next_packet() {
        let frame = frame.unwrap();
        assert_eq!(frame.orig_len as usize, frame.data.len(), "frame cut by the capture");
        found.push(udp_payload(&frame.data).to_vec());
    }
    found
}

fn udp_payload(frame: &[u8]) -> &[u8] {
    let word = |octets: &[u8], at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    assert_eq!(word(frame, 12), 0x0800, "IPv4");
    let ip = &frame[14..];
    assert_eq!(usize::from(word(ip, 2)), ip.len(), "nothing after the IP datagram");
    assert_eq!(word(ip, 6) & 0x3fff, 0, "not a fragment");
    assert_eq!(ip[9], 17, "UDP");
    let udp = &ip[usize::from(ip[0] & 15) * 4..];
    assert_eq!(usize::from(word(udp, 4)), udp.len(), "UDP fills the IP datagram");
    &udp[8..]
}

/// Header, body octets and checked body of a datagram.
fn read(datagram: &[u8]) -> (Header, &[u8], Body<'_>) {
    let (header, octets) = Header::parse(datagram).unwrap();
    let body = Body::parse(&header, octets).unwrap_or_else(|fault| panic!("{fault} in {header:?}"));
    (header, octets, body)
}

fn tally<K: Ord>(keys: impl IntoIterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[test]
fn every_packet_of_every_capture_is_written_again_octet_for_octet() {
    let captures = captures();
    let (mut files, mut types, mut segments) = (Vec::new(), Vec::new(), 0);
    for (name, datagrams) in &captures {
        let before = segments;
        for (place, datagram) in datagrams.iter().enumerate() {
            let packet =
                OwnedPacket::parse(datagram).unwrap_or_else(|fault| panic!("{name} {place}: {fault}"));
            assert_eq!(packet.to_vec(), *datagram, "{name} packet {place}");
            types.push(packet.header.packet_type.to_u8());
            if let OwnedBody::Data(data) = &packet.body {
                assert_eq!(data.fault, None, "{name} packet {place}");
                segments += 1 + data.more.len();
            }
        }
        files.push((&name[..], datagrams.len(), segments - before));
    }
    assert_eq!(files, CAPTURES);
    assert_eq!(tally(types), BTreeMap::from(TYPES));
    assert_eq!(segments, SEGMENTS);
}

#[test]
fn every_jumbo_is_joined_again_from_its_segments() {
    let mut sizes = Vec::new();
    for datagram in all() {
        let (header, _, Body::Data(data)) = read(&datagram) else { continue };
        let segments: Vec<_> = data.segments().collect::<Result<_, _>>().unwrap();
        let mut joined = Vec::new();
        emit_jumbo(&mut joined, &header, &segments).unwrap();
        assert_eq!(joined, datagram);
        sizes.push(segments.len());
    }
    assert_eq!(tally(sizes), BTreeMap::from(JUMBOS));
}

#[test]
fn every_ack_is_written_again_from_its_values() {
    let (mut reasons, mut trailers, mut longest) = (Vec::new(), Vec::new(), 0);
    for datagram in all() {
        let (_, octets, Body::Ack(ack)) = read(&datagram) else { continue };
        let (table, trailer) = (ack.table().unwrap(), ack.trailer().unwrap());
        let mut again = Vec::new();
        emit_ack(&mut again, &ack.fields, table.iter().map(|octet| Ack::received(*octet)), Some(&trailer));
        assert_eq!(again, octets);
        assert_eq!(again.len(), ack_body_len(table.len(), true));
        assert!(ack.after_trailer().is_empty());
        reasons.push(ack.fields.reason.name());
        trailers.push((trailer.max_mtu, trailer.if_mtu, trailer.rwind.unwrap(), trailer.jumbo_max.unwrap()));
        longest = longest.max(table.len());
    }
    let expected =
        [("DELAY", 406), ("DUP", 12), ("IDLE", 508), ("OOS", 29), ("PING", 12), ("PONG", 12), ("REQ", 145)];
    assert_eq!(tally(reasons), BTreeMap::from(expected));
    let expected = [
        ((1024, 1024, 16, 1), 1),
        ((1024, 1024, 32, 1), 4),
        ((1444, 1444, 16, 1), 11),
        ((1444, 1444, 32, 1), 143),
        ((5692, 1444, 16, 4), 71),
        ((5692, 1444, 32, 4), 886),
        ((5692, 1444, 64, 4), 8),
    ];
    assert_eq!(tally(trailers), BTreeMap::from(expected));
    assert_eq!(longest, 32);
}

/// These peers do not write the checksum field of packets that need none: it holds what was in memory.
/// The field is kept as it is and compared like any other, but nothing can be said about its value.
#[test]
fn stale_checksums_of_acks_challenges_and_responses_are_kept_though_they_mean_nothing() {
    let stale = all().into_iter().filter_map(|datagram| {
        let (header, _, body) = read(&datagram);
        let unset = matches!(body, Body::Ack(_) | Body::Challenge(_) | Body::Response(_));
        (unset && header.checksum != 0).then_some(header.packet_type.name())
    });
    assert_eq!(tally(stale), BTreeMap::from([("ACK", 202), ("CHALLENGE", 29), ("RESPONSE", 29)]));
}

/// The refusal of an unknown service swaps two fields: service zero, and the service as checksum. It
/// has to be read all the same, so service zero is no fault of an ABORT.
#[test]
fn every_abort_is_written_again_even_the_one_with_its_service_in_the_checksum_field() {
    let (mut codes, mut without_service) = (Vec::new(), Vec::new());
    for datagram in all() {
        let (header, _, Body::Abort(code)) = read(&datagram) else { continue };
        let mut again = Vec::new();
        emit_abort(&mut again, &header, code);
        assert_eq!(again, datagram);
        codes.push(code.0);
        if header.service_id == 0 {
            without_service.push((code, header.checksum, header.serial));
        }
    }
    assert_eq!(without_service, [(AbortCode::RX_INVALID_OPERATION, 99, 0)]);
    let expected = [
        (-455, 21),
        (-453, 1),
        (-2, 1),
        (-1, 1),
        (2, 1),
        (103, 1),
        (12_345, 1),
        (39_429, 1),
        (267_269, 2),
        (363_524, 1),
        (363_546, 1),
        (19_270_402, 1),
        (19_270_407, 1),
    ];
    assert_eq!(tally(codes), BTreeMap::from(expected));
}

#[test]
fn every_rxkad_handshake_is_framed() {
    let (mut levels, mut kinds, mut tickets) = (Vec::new(), Vec::new(), Vec::new());
    for datagram in all() {
        match OwnedPacket::parse(&datagram).unwrap().body {
            OwnedBody::Challenge(OwnedChallenge::Rxkad(challenge, rest)) => {
                assert_eq!((challenge.version, challenge.spare, rest.len()), (2, 0, 0));
                levels.push(challenge.min_level);
            }
            OwnedBody::Response(OwnedResponse::Rxkad { start, kvno, ticket, rest, .. }) => {
                assert_eq!((start, rest.len()), ([2, 0], 0));
                kinds.push(kvno);
                tickets.push(ticket.len());
            }
            OwnedBody::Challenge(_) | OwnedBody::Response(_) => panic!("not framed"),
            _ => {}
        }
    }
    assert_eq!(tally(levels), BTreeMap::from([(0, 37), (2, 1)]));
    assert_eq!(tally(kinds), BTreeMap::from([(3, 14), (213, 20), (256, 3)]));
    assert_eq!(tally(tickets), BTreeMap::from([(32, 2), (40, 12), (154, 9), (164, 2), (165, 9), (434, 3)]));
}

#[test]
fn every_debug_question_and_answer_is_written_again_from_its_values() {
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for (_, datagrams) in captures() {
        let mut open: BTreeMap<u32, (Header, DebugKind)> = BTreeMap::new();
        for datagram in datagrams {
            let (header, octets, Body::Debug(body)) = read(&datagram) else { continue };
            let mut again = Vec::new();
            if header.from_client() {
                let (request, rest) = DebugRequest::parse(body).unwrap();
                assert!(rest.is_empty());
                emit_debug_request(header.call_number, &request, &mut again);
                open.insert(header.call_number, (header, request.kind));
                asked.push(request.kind.name());
            } else {
                let (request, kind) =
                    open.remove(&header.call_number).expect("answers follow their questions");
                let reply = DebugReply::parse(kind, body).unwrap();
                assert_eq!(DebugReply::by_length(octets).as_ref(), Some(&reply));
                emit_debug_reply(&request, &reply, &mut again);
                answered.push(kind.name());
            }
            assert_eq!(again, datagram);
        }
    }
    let expected = [("GETALLCONN", 47), ("GETCONN", 19), ("GETPEER", 30), ("GETSTATS", 6), ("RXSTATS", 2)];
    assert_eq!(tally(asked), BTreeMap::from(expected));
    // One capture ends before the last peer was told.
    let expected = [("GETALLCONN", 47), ("GETCONN", 19), ("GETPEER", 29), ("GETSTATS", 6), ("RXSTATS", 2)];
    assert_eq!(tally(answered), BTreeMap::from(expected));
}

/// Values that make sense only if the offsets are right.
#[test]
fn debug_answers_hold_sensible_values() {
    let (mut peers, mut connections, mut ends) = (0, 0, 0);
    for datagram in all() {
        let (header, _, Body::Debug(body)) = read(&datagram) else { continue };
        match (header.from_client(), DebugReply::by_length(body)) {
            (false, Some(DebugReply::Stats(stats))) => {
                assert_eq!(stats.version, DebugStats::WITH_PACKETS);
                assert!(stats.packets >= stats.free_packets && stats.free_packets > 0);
                assert_eq!(stats.spares, [0; 6]);
            }
            (false, Some(DebugReply::Connection(one))) if one.is_end() => ends += 1,
            (false, Some(DebugReply::Connection(one))) => {
                assert!(one.host.is_loopback() && one.port > 1024, "{}:{}", one.host, one.port);
                assert!(one.role <= 1 && matches!(one.security_index, 0 | 2));
                assert_eq!(one.epoch >> 30, 2, "random epoch");
                assert_eq!(one.cid & 3, 0);
                assert!(matches!(one.nat_mtu, 1024 | 1444), "{}", one.nat_mtu);
                assert!(
                    one.call_states
                        .iter()
                        .all(|state| !matches!(CallState::from(*state), CallState::Other(_)))
                );
                connections += 1;
            }
            (false, Some(DebugReply::Peer(one))) => {
                assert!(one.host.is_loopback() && one.port > 1024);
                assert_eq!((one.if_mtu, one.spares), (1444, [0; 10]));
                assert!(one.rtt >= 0 && one.rtt <= 24_000, "{} eighths of a millisecond", one.rtt);
                peers += 1;
            }
            (false, Some(DebugReply::RxStats(stats))) => {
                assert!(stats.received[0] > 0 && stats.received[7] > 0, "DATA and DEBUG were received");
                assert_eq!(stats.received[9..12], [0; 3]);
                assert_eq!((stats.spares, stats.total_rtt.microseconds / 1_000_000), ([0; 4], 0));
            }
            (false, other) => panic!("{other:?}"),
            (true, _) => {}
        }
    }
    assert_eq!((connections + ends, peers), (66, 29));
    assert_eq!(ends, 2);
}

#[test]
fn every_version_packet_is_written_again_from_its_text() {
    let (mut request, mut texts) = (None, Vec::new());
    for datagram in all() {
        let (header, _, Body::Version(version)) = read(&datagram) else { continue };
        let mut again = Vec::new();
        match version {
            Version::Request(_) => {
                emit_version_request(header.call_number, &mut again);
                request = Some(header);
            }
            Version::Reply(_) => {
                let text = str::from_utf8(version.text().unwrap()).unwrap();
                emit_version_reply(&request.unwrap(), text, &mut again);
                texts.push(text.to_owned());
            }
            Version::Keepalive => panic!("no keepalive was captured"),
        }
        assert_eq!(again, datagram);
    }
    assert_eq!(texts.len(), 2);
    assert!(texts.iter().all(|text| text.contains("OpenAFS 1.8.9")), "{texts:?}");
}
