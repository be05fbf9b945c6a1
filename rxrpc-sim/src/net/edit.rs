//! Packets rewritten on the way, so that they look as another implementation would have sent them.

use rxrpc_proto::wire::{Ack, Body, Flags, HEADER_LEN, Header, JUMBO_DATA_LEN, JUMBO_HEADER_LEN, PacketType};

use crate::packet::{Packet, elsewhere};
use crate::scenario::Edit;

/// Offsets in a packet: of its header, then of the body of an ACK.
const TYPE: usize = 20;
const FLAGS: usize = 21;
const USER_STATUS: usize = 22;
const SECURITY_INDEX: usize = 23;
const SERVICE: usize = 26;
const BUFFER_SPACE: usize = 28;
const FIRST: usize = 32;
const PREVIOUS: usize = 36;
const SERIAL: usize = 40;
const REASON: usize = 44;
const COUNT: usize = 45;
const TABLE: usize = 46;
/// Octets between table and trailer.
const FILLER: usize = 3;
/// The epoch's bit that says that it is random.
const RANDOM_EPOCH: u8 = 0x80;

/// Rewrite the packet. What it has not got is left alone.
pub(super) fn edit(packet: &mut Packet, edit: Edit) {
    let bytes = &mut packet.bytes;
    match edit {
        Edit::Epoch => flip(bytes),
        Edit::Flags(flags) => or(bytes, FLAGS, flags),
        Edit::UserStatus(status) => put(bytes, USER_STATUS, &[status]),
        Edit::SecurityIndex(index) => put(bytes, SECURITY_INDEX, &[index]),
        Edit::Service(service) => put(bytes, SERVICE, &service.to_be_bytes()),
        Edit::Cut(len) => bytes.truncate(usize::from(len)),
        Edit::TornJumbogram(segments) => tear(bytes, segments),
        Edit::Elsewhere => packet.src = elsewhere(packet.src),
        _ => {
            if let Some(count) = table_of(bytes) {
                edit_ack(bytes, count, edit);
            }
        }
    }
}

/// How many entries the packet's table has, if it is an ACK.
fn table_of(bytes: &[u8]) -> Option<usize> {
    let (header, rest) = Header::parse(bytes).ok()?;
    let Ok(Body::Ack(ack)) = Body::parse(&header, rest) else { return None };
    ack.table().map(<[u8]>::len)
}

fn edit_ack(bytes: &mut Vec<u8>, count: usize, edit: Edit) {
    let trailer = TABLE + count + FILLER;
    match edit {
        Edit::AckAll => {
            put(bytes, TYPE, &[PacketType::AckAll.to_u8()]);
            bytes.truncate(BUFFER_SPACE);
        }
        Edit::BufferSpace(n) => put(bytes, BUFFER_SPACE, &n.to_be_bytes()),
        Edit::Reason(n) => put(bytes, REASON, &[n]),
        Edit::Previous(n) => put(bytes, PREVIOUS, &n.to_be_bytes()),
        Edit::PreviousIsSerial => bytes.copy_within(SERIAL..SERIAL + 4, PREVIOUS),
        Edit::Serial(n) => put(bytes, SERIAL, &n.to_be_bytes()),
        Edit::Softly(n) => softly(bytes, count, n),
        Edit::TableBits(bits) => bytes[TABLE..TABLE + count].iter_mut().for_each(|octet| *octet |= bits),
        Edit::Filler(n) => put(bytes, TABLE + count, &[n; FILLER]),
        Edit::Trailer(words) => bytes.truncate(trailer + 4 * usize::from(words)),
        Edit::Mtu(mtu) => {
            put(bytes, trailer, &mtu.to_be_bytes());
            put(bytes, trailer + 4, &mtu.to_be_bytes());
        }
        Edit::Window(packets) => put(bytes, trailer + 8, &packets.to_be_bytes()),
        Edit::Jumbo(segments) => put(bytes, trailer + 12, &segments.to_be_bytes()),
        _ => {}
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn or(bytes: &mut [u8], at: usize, bits: u8) {
    if let Some(octet) = bytes.get_mut(at) {
        *octet |= bits;
    }
}

fn flip(bytes: &mut [u8]) {
    if let Some(octet) = bytes.first_mut() {
        *octet ^= RANDOM_EPOCH;
    }
}

/// Let DATA be a jumbogram of so many segments, the last of them cut short.
fn tear(bytes: &mut Vec<u8>, segments: u8) {
    if bytes.len() < HEADER_LEN || bytes[TYPE] != PacketType::Data.to_u8() {
        return;
    }
    bytes[FLAGS] = bytes[FLAGS] & !Flags::LAST_PACKET.0 | Flags::JUMBO.0;
    let mut segment = bytes.split_off(HEADER_LEN);
    segment.resize(JUMBO_DATA_LEN, 0);
    for _ in 1..segments {
        let mut another = [0; JUMBO_HEADER_LEN];
        another[0] = Flags::JUMBO.0;
        bytes.extend_from_slice(&segment);
        bytes.extend_from_slice(&another);
    }
    bytes.extend_from_slice(&segment[..JUMBO_DATA_LEN / 2]);
}

/// Of what the ACK acknowledges for good, let it acknowledge the last `n` packets only softly.
fn softly(bytes: &mut Vec<u8>, count: usize, n: u32) {
    let Some(first) = bytes.get(FIRST..FIRST + 4) else { return };
    let first = u32::from_be_bytes([first[0], first[1], first[2], first[3]]);
    let back = n.min(first.saturating_sub(1)).min((u8::MAX as usize - count) as u32);
    put(bytes, FIRST, &(first - back).to_be_bytes());
    put(bytes, COUNT, &[(count + back as usize) as u8]);
    bytes.splice(TABLE..TABLE, std::iter::repeat_n(1, back as usize));
    debug_assert!(Ack::parse(&bytes[BUFFER_SPACE..]).is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{inside, node_at};
    use rxrpc_proto::wire::{AckFields, AckReason, JumboFault, MAX_JUMBO_SEGMENTS, Trailer, emit_ack};

    const SEQ: usize = 12;

    fn packet() -> Packet {
        let mut header = Header::parse(&[0u8; 28]).unwrap().0;
        (header.epoch, header.packet_type, header.service_id) = (0xc000_0001, PacketType::Ack, 52);
        header.call_number = 1;
        let mut bytes = Vec::new();
        header.emit(&mut bytes);
        let fields = AckFields {
            buffer_space: 0,
            max_skew: 0,
            first_packet: 5,
            previous_packet: 7,
            serial: 99,
            reason: AckReason::Delay,
        };
        let trailer = Trailer { max_mtu: 5692, if_mtu: 1444, rwind: Some(255), jumbo_max: Some(4) };
        emit_ack(&mut bytes, &fields, [false, true].into_iter(), Some(&trailer));
        Packet { id: 1, origin: Some(0), ..Packet::new(inside(0, false), inside(1, false), bytes) }
    }

    fn edited(what: Edit) -> Packet {
        let mut packet = packet();
        edit(&mut packet, what);
        packet
    }

    /// What is said of the ACK once it is edited.
    fn ack<T>(what: Edit, say: impl FnOnce(Header, Ack<'_>) -> T) -> T {
        let packet = edited(what);
        let (header, rest) = Header::parse(&packet.bytes).unwrap();
        match Body::parse(&header, rest) {
            Ok(Body::Ack(ack)) => say(header, ack),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fields_of_the_header_are_rewritten() {
        assert_eq!(ack(Edit::Epoch, |h, _| h.epoch), 0x4000_0001);
        assert!(ack(Edit::Flags(4), |h, _| h.flags.contains(Flags::LAST_PACKET)));
        assert_eq!(ack(Edit::UserStatus(1), |h, _| h.user_status), 1);
        assert_eq!(ack(Edit::SecurityIndex(2), |h, _| h.security_index), 2);
        assert_eq!(ack(Edit::Service(7), |h, _| h.service_id), 7);
        assert_eq!(edited(Edit::Cut(28)).bytes.len(), 28);
        let moved = edited(Edit::Elsewhere).src;
        assert_ne!(moved, packet().src);
        assert_eq!((node_at(&moved), moved.port()), (Some(0), packet().src.port()));
    }

    #[test]
    fn fields_of_an_ack_are_rewritten() {
        assert_eq!(ack(Edit::BufferSpace(8), |_, a| a.fields.buffer_space), 8);
        assert_eq!(ack(Edit::Reason(0), |_, a| a.fields.reason.to_u8()), 0);
        assert_eq!(ack(Edit::Previous(3), |_, a| a.fields.previous_packet), 3);
        assert_eq!(ack(Edit::Serial(0), |_, a| a.fields.serial), 0);
        assert_eq!(ack(Edit::PreviousIsSerial, |_, a| a.fields.previous_packet), 99);
        assert_eq!(ack(Edit::TableBits(0xfe), |_, a| a.table().map(<[u8]>::to_vec)), Some(vec![0xfe, 0xff]));
        assert_eq!(ack(Edit::Filler(6), |_, a| a.rest()[2..5].to_vec()), [6; 3]);
        let (header, rest) = (edited(Edit::AckAll).bytes, 28);
        assert_eq!((header[TYPE], header.len()), (PacketType::AckAll.to_u8(), rest));
    }

    #[test]
    fn the_trailer_is_rewritten_or_cut() {
        let trailer = |what| ack(what, |_, a| a.trailer());
        let whole = trailer(Edit::Trailer(4)).unwrap();
        assert_eq!((whole.max_mtu, whole.rwind, whole.jumbo_max), (5692, Some(255), Some(4)));
        assert_eq!(trailer(Edit::Trailer(3)).map(|t| (t.rwind, t.jumbo_max)), Some((Some(255), None)));
        assert_eq!(trailer(Edit::Trailer(0)), None);
        assert_eq!(trailer(Edit::Mtu(1)).map(|t| (t.max_mtu, t.if_mtu)), Some((1, 1)));
        assert_eq!(trailer(Edit::Window(32)).and_then(|t| t.rwind), Some(32));
        assert_eq!(trailer(Edit::Jumbo(0)).and_then(|t| t.jumbo_max), Some(0));
    }

    #[test]
    fn packets_acknowledged_for_good_can_be_so_softly() {
        let say = |n| {
            let table = |_, a: Ack<'_>| (a.fields.first_packet, a.table().unwrap().to_vec(), a.trailer());
            ack(Edit::Softly(n), table)
        };
        assert_eq!(say(0), (5, vec![0, 1], say(9).2));
        assert_eq!(say(3), (2, vec![1, 1, 1, 0, 1], say(9).2));
        assert_eq!((say(9).0, say(9).1.len()), (1, 6));
        assert!(say(9).2.is_some());
    }

    #[test]
    fn data_becomes_a_jumbogram_whose_last_segment_is_cut_short() {
        let said = |segments| {
            let mut data = packet();
            put(&mut data.bytes, SEQ, &1u32.to_be_bytes());
            data.bytes[TYPE] = PacketType::Data.to_u8();
            data.bytes[FLAGS] = (Flags::LAST_PACKET | Flags::CLIENT_INITIATED).0;
            edit(&mut data, Edit::TornJumbogram(segments));
            let (header, rest) = Header::parse(&data.bytes).unwrap();
            assert_eq!(header.flags, Flags::JUMBO | Flags::CLIENT_INITIATED);
            let Ok(Body::Data(body)) = Body::parse(&header, rest) else { panic!("no DATA") };
            let whole: Vec<_> = body.segments().map_while(Result::ok).collect();
            assert!(whole.iter().all(|s| s.payload.starts_with(&packet().bytes[HEADER_LEN..])));
            (whole.len(), body.segments().last().unwrap().unwrap_err())
        };
        assert_eq!(said(1), (0, JumboFault::Short));
        assert_eq!(said(4), (3, JumboFault::Short));
        assert_eq!(said(MAX_JUMBO_SEGMENTS as u8), (45, JumboFault::TooMany));
    }

    #[test]
    fn what_is_no_ack_has_no_fields_of_one() {
        let mut data = packet();
        data.bytes[TYPE] = PacketType::Data.to_u8();
        let before = data.clone();
        for what in [Edit::AckAll, Edit::Reason(0), Edit::Softly(2), Edit::Trailer(0)] {
            edit(&mut data, what);
        }
        assert_eq!(data, before);
        let mut ack = packet();
        edit(&mut ack, Edit::TornJumbogram(2));
        assert_eq!(ack, packet());
        data.bytes.truncate(10);
        edit(&mut data, Edit::Service(3));
        edit(&mut data, Edit::TornJumbogram(3));
        assert_eq!(data.bytes.len(), 10);
    }
}
