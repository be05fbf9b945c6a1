//! DATA bodies: one segment, or several that have to be split.

use core::iter::FusedIterator;

use super::constants::{JUMBO_DATA_LEN, JUMBO_HEADER_LEN, MAX_JUMBO_SEGMENTS};
use super::fault::JumboFault;
use super::flags::Flags;
use super::header::{Header, next_serial};

/// The body of a DATA packet, not yet split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Data<'a> {
    seq: u32,
    serial: u32,
    flags: Flags,
    checksum: u16,
    body: &'a [u8],
}

impl<'a> Data<'a> {
    /// The body of the DATA packet that `header` starts.
    #[must_use]
    pub const fn new(header: &Header, body: &'a [u8]) -> Data<'a> {
        Data { seq: header.seq, serial: header.serial, flags: header.flags, checksum: header.checksum, body }
    }

    /// Whether more than one segment is announced.
    #[must_use]
    pub const fn is_jumbo(&self) -> bool {
        self.flags.contains(Flags::JUMBO)
    }

    /// Everything after the header, sub-headers included.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The segments in order. The first fault ends the sequence.
    #[must_use]
    pub const fn segments(&self) -> Segments<'a> {
        let Data { seq, serial, flags, checksum, body } = *self;
        Segments { state: Some(Next { seq, serial, flags, spare: 0, checksum }), rest: body, taken: 0 }
    }
}

/// One packet of a call, out of a DATA datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// Number of the packet in its direction of the call.
    pub seq: u32,
    /// Serial of the packet; never zero unless the header's is.
    pub serial: u32,
    /// Flags of this segment.
    pub flags: Flags,
    /// Value of the security class for this segment.
    pub checksum: u16,
    /// The payload, as the security class left it.
    pub payload: &'a [u8],
}

/// What the header or a sub-header says about the segment that follows it.
#[derive(Clone, Copy, Debug)]
struct Next {
    seq: u32,
    serial: u32,
    flags: Flags,
    spare: u8,
    checksum: u16,
}

/// Iterator over the segments of a DATA datagram. After an error it is at its end.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    state: Option<Next>,
    rest: &'a [u8],
    taken: usize,
}

impl<'a> Segments<'a> {
    /// The octets not yet split. After an error: those from the faulty segment on.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next segment, or all that is left if it is faulty.
    pub(super) fn next_piece(&mut self) -> Option<Piece<'a>> {
        let next = self.state.take()?;
        let (payload, fault) = if next.flags.contains(Flags::JUMBO) {
            match self.split(next) {
                Ok(payload) => (payload, None),
                Err(fault) => (self.rest, Some(fault)),
            }
        } else {
            (core::mem::take(&mut self.rest), None)
        };
        let Next { seq, serial, flags, spare, checksum } = next;
        Some(Piece { segment: Segment { seq, serial, flags, checksum, payload }, spare, fault })
    }

    /// Takes the payload of a segment that another follows, and the sub-header of that one.
    fn split(&mut self, this: Next) -> Result<&'a [u8], JumboFault> {
        if this.flags.contains(Flags::LAST_PACKET) {
            return Err(JumboFault::LastNotFinal);
        }
        let taken = self.taken.saturating_add(1);
        if taken >= MAX_JUMBO_SEGMENTS {
            return Err(JumboFault::TooMany);
        }
        let (payload, tail) = self.rest.split_at_checked(JUMBO_DATA_LEN).ok_or(JumboFault::Short)?;
        let (&[flags, spare, k0, k1], tail) =
            tail.split_first_chunk::<JUMBO_HEADER_LEN>().ok_or(JumboFault::Short)?;
        let seq = this.seq.checked_add(1).ok_or(JumboFault::SeqOverflow)?;
        let (serial, checksum) = (next_serial(this.serial), u16::from_be_bytes([k0, k1]));
        self.state = Some(Next { seq, serial, flags: Flags(flags), spare, checksum });
        self.rest = tail;
        self.taken = taken;
        Ok(payload)
    }
}

/// A segment with what [`Segment`] leaves out.
pub(super) struct Piece<'a> {
    pub(super) segment: Segment<'a>,
    /// The unused octet of the sub-header, zero for the first segment.
    pub(super) spare: u8,
    /// If set, `segment.payload` is all that was left of the datagram.
    pub(super) fault: Option<JumboFault>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = Result<Segment<'a>, JumboFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let Piece { segment, fault, .. } = self.next_piece()?;
        Some(fault.map_or(Ok(segment), Err))
    }
}

impl FusedIterator for Segments<'_> {}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::flags::PacketType;
    use super::*;

    fn header(flags: Flags) -> Header {
        Header {
            epoch: 1,
            cid: 4,
            call_number: 1,
            seq: 10,
            serial: 20,
            packet_type: PacketType::Data,
            flags,
            user_status: 0,
            security_index: 2,
            checksum: 0x1111,
            service_id: 147,
        }
    }

    /// `count` segments, all full but the last, which has `last` octets.
    fn jumbo(count: usize, last: usize) -> Vec<u8> {
        let mut body = Vec::new();
        for place in 1..count {
            body.extend_from_slice(&[place as u8; JUMBO_DATA_LEN]);
            let flags = if place + 1 < count { Flags::JUMBO } else { Flags::LAST_PACKET };
            body.extend_from_slice(&[flags.0, 0xee, 0x22, place as u8]);
        }
        body.resize(body.len() + last, count as u8);
        body
    }

    fn split(flags: Flags, body: &[u8]) -> (Vec<Segment<'_>>, Option<JumboFault>) {
        let mut segments = Data::new(&header(flags), body).segments();
        let good: Vec<_> = segments.by_ref().map_while(Result::ok).collect();
        let all: Vec<_> = Data::new(&header(flags), body).segments().collect();
        assert!(all[..good.len()].iter().all(Result::is_ok));
        assert!(all.len() <= good.len() + 1, "nothing follows a fault");
        (good, all.last().and_then(|last| last.err()))
    }

    #[test]
    fn a_plain_packet_is_one_segment_of_any_length() {
        for len in [0, 1, 1412, 1413, 1444, 16_000] {
            let body = alloc::vec![7; len];
            let (segments, fault) = split(Flags::LAST_PACKET, &body);
            let expected =
                Segment { seq: 10, serial: 20, flags: Flags::LAST_PACKET, checksum: 0x1111, payload: &body };
            assert_eq!((segments, fault), (alloc::vec![expected], None));
        }
    }

    #[test]
    fn three_segments_take_flags_and_checksum_from_their_sub_headers() {
        let body = jumbo(3, 5);
        let (segments, fault) = split(Flags::JUMBO, &body);
        assert_eq!(fault, None);
        let listed: Vec<_> =
            segments.iter().map(|s| (s.seq, s.serial, s.flags.0, s.checksum, s.payload.len())).collect();
        let (more, last) = (Flags::JUMBO.0, Flags::LAST_PACKET.0);
        assert_eq!(
            listed,
            [(10, 20, more, 0x1111, 1412), (11, 21, more, 0x2201, 1412), (12, 22, last, 0x2202, 5)]
        );
        assert!(segments.iter().zip(1..).all(|(s, fill)| s.payload.iter().all(|octet| *octet == fill)));
    }

    #[test]
    fn the_final_segment_may_be_empty() {
        let body = jumbo(2, 0);
        assert_eq!(body.len(), 1416);
        let (segments, fault) = split(Flags::JUMBO, &body);
        assert_eq!((segments.len(), segments[1].payload, fault), (2, &[][..], None));
    }

    #[test]
    fn a_jumbo_cut_within_a_segment_or_its_sub_header_is_short() {
        let body = jumbo(3, 5);
        for (len, sound) in [(0, 0), (1411, 0), (1412, 0), (1415, 0), (1416, 1), (2831, 1)] {
            let (segments, fault) = split(Flags::JUMBO, &body[..len]);
            assert_eq!((segments.len(), fault), (sound, Some(JumboFault::Short)), "{len} octets");
        }
        assert_eq!(split(Flags::JUMBO, &body[..2832]).1, None);
    }

    #[test]
    fn the_last_packet_of_a_call_has_nothing_after_it() {
        let mut body = jumbo(3, 5);
        assert_eq!(
            split(Flags::JUMBO | Flags::LAST_PACKET, &body),
            (Vec::new(), Some(JumboFault::LastNotFinal))
        );
        body[1412] |= Flags::LAST_PACKET.0;
        let (segments, fault) = split(Flags::JUMBO, &body);
        assert_eq!((segments.len(), fault), (1, Some(JumboFault::LastNotFinal)));
    }

    #[test]
    fn forty_six_segments_are_taken_and_no_more() {
        let body = jumbo(46, 3);
        let (segments, fault) = split(Flags::JUMBO, &body);
        assert_eq!((segments.len(), segments[45].seq, fault), (46, 55, None));
        let body = jumbo(47, 3);
        let (segments, fault) = split(Flags::JUMBO, &body);
        assert_eq!((segments.len(), fault), (45, Some(JumboFault::TooMany)));
    }

    #[test]
    fn serials_skip_zero_and_sequence_numbers_do_not_wrap() {
        let body = jumbo(3, 1);
        let data = Data::new(&Header { serial: u32::MAX, ..header(Flags::JUMBO) }, &body);
        let serials: Vec<_> = data.segments().map(|segment| segment.unwrap().serial).collect();
        assert_eq!(serials, [u32::MAX, 1, 2]);
        let data = Data::new(&Header { seq: u32::MAX - 1, ..header(Flags::JUMBO) }, &body);
        let seqs: Vec<_> = data.segments().map(|segment| segment.map(|s| s.seq)).collect();
        assert_eq!(seqs, [Ok(u32::MAX - 1), Err(JumboFault::SeqOverflow)]);
    }

    #[test]
    fn after_a_fault_the_rest_starts_at_the_faulty_segment() {
        let body = jumbo(3, 5);
        let mut segments = Data::new(&header(Flags::JUMBO), &body[..2000]).segments();
        assert_eq!(segments.by_ref().count(), 2);
        assert_eq!(segments.rest(), &body[1416..2000]);
        let mut segments = Data::new(&header(Flags::JUMBO), &body).segments();
        assert_eq!((segments.by_ref().count(), segments.rest()), (3, &[][..]));
    }
}
