//! Joining segments into one DATA datagram.

use alloc::vec::Vec;

use super::constants::{HEADER_LEN, JUMBO_DATA_LEN, JUMBO_HEADER_LEN, MAX_DATAGRAM, MAX_JUMBO_SEGMENTS};
use super::data::Segment;
use super::fault::JoinFault;
use super::flags::Flags;
use super::header::Header;

/// Offset of the flags octet in a header.
const FLAGS_OFFSET: usize = 21;

/// Joins segments into one datagram at the end of a caller's buffer.
///
/// The builder sets and clears [`Flags::JUMBO`] itself. A segment it refuses leaves the buffer as
/// it was, so the datagram built so far can be sent and the segment can start the next one.
#[derive(Debug)]
pub struct JumboBuilder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    flags_at: usize,
    last_len: usize,
    last_flags: Flags,
    segments: usize,
}

impl<'a> JumboBuilder<'a> {
    /// Starts a datagram with the header and its first segment. Sequence number, serial, flags and
    /// checksum of the header are those of that segment.
    pub fn new(out: &'a mut Vec<u8>, header: &Header, payload: &[u8]) -> JumboBuilder<'a> {
        let start = out.len();
        let flags = header.flags.without(Flags::JUMBO);
        Header { flags, ..*header }.emit(out);
        out.extend_from_slice(payload);
        let flags_at = start.saturating_add(FLAGS_OFFSET);
        JumboBuilder { out, start, flags_at, last_len: payload.len(), last_flags: flags, segments: 1 }
    }

    /// Adds the segment with the next sequence number and the next serial.
    ///
    /// # Errors
    /// [`JoinFault`] if the datagram cannot take the segment. It is unchanged then.
    pub fn push(&mut self, flags: Flags, checksum: u16, payload: &[u8]) -> Result<(), JoinFault> {
        self.check(payload.len())?;
        if let Some(before) = self.out.get_mut(self.flags_at) {
            *before |= Flags::JUMBO.0;
        }
        let flags = flags.without(Flags::JUMBO);
        let [k0, k1] = checksum.to_be_bytes();
        self.flags_at = self.out.len();
        self.out.extend_from_slice(&[flags.0, 0, k0, k1]);
        self.out.extend_from_slice(payload);
        self.last_len = payload.len();
        self.last_flags = flags;
        self.segments = self.segments.saturating_add(1);
        Ok(())
    }

    fn check(&self, payload: usize) -> Result<(), JoinFault> {
        if self.last_len != JUMBO_DATA_LEN {
            return Err(JoinFault::NotFull);
        }
        if self.last_flags.contains(Flags::LAST_PACKET) {
            return Err(JoinFault::AfterLast);
        }
        if self.segments >= MAX_JUMBO_SEGMENTS {
            return Err(JoinFault::TooMany);
        }
        let len = self.len().saturating_add(JUMBO_HEADER_LEN).saturating_add(payload);
        if len > MAX_DATAGRAM { Err(JoinFault::TooLong) } else { Ok(()) }
    }

    /// Segments in the datagram, 1 to 46.
    #[must_use]
    pub const fn segments(&self) -> usize {
        self.segments
    }

    /// Octets of the datagram so far, at least 28.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a datagram with a header is never empty")]
    pub const fn len(&self) -> usize {
        self.out.len().saturating_sub(self.start)
    }
}

/// Appends one datagram that holds all `segments`. The header gives every field that segments do not have.
///
/// Sequence numbers and serials of the segments after the first are not on the wire; they have to
/// follow one another.
///
/// # Errors
/// [`JoinFault`] if they do not fit into one datagram; `out` is as before then.
pub fn emit_jumbo(out: &mut Vec<u8>, header: &Header, segments: &[Segment<'_>]) -> Result<(), JoinFault> {
    let (first, others) = segments.split_first().ok_or(JoinFault::Empty)?;
    let start = out.len();
    let &Segment { seq, serial, flags, checksum, payload } = first;
    let mut joined = JumboBuilder::new(out, &Header { seq, serial, flags, checksum, ..*header }, payload);
    for other in others {
        if let Err(fault) = joined.push(other.flags, other.checksum, other.payload) {
            out.truncate(start);
            return Err(fault);
        }
    }
    Ok(())
}

/// Octets of a datagram of `segments` segments (1 to 46) whose last payload has `last` octets.
#[must_use]
pub const fn jumbo_len(segments: usize, last: usize) -> usize {
    let full = segments.saturating_sub(1).saturating_mul(JUMBO_DATA_LEN.saturating_add(JUMBO_HEADER_LEN));
    HEADER_LEN.saturating_add(full).saturating_add(last)
}

#[cfg(test)]
mod tests {
    use super::super::data::Data;
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

    #[test]
    fn the_builder_writes_what_the_splitter_reads() {
        let (full, tail) = ([9; JUMBO_DATA_LEN], [8; 17]);
        let mut out = alloc::vec![0xaa];
        let mut joined = JumboBuilder::new(&mut out, &header(Flags::JUMBO | Flags::REQUEST_ACK), &full);
        joined.push(Flags::MORE_PACKETS, 2, &full).unwrap();
        joined.push(Flags::LAST_PACKET | Flags::JUMBO, 3, &tail).unwrap();
        assert_eq!((joined.segments(), joined.len()), (3, jumbo_len(3, 17)));
        let (header, body) = Header::parse(&out[1..]).unwrap();
        let segments: Vec<_> = Data::new(&header, body).segments().map(Result::unwrap).collect();
        let flags =
            [Flags::REQUEST_ACK | Flags::JUMBO, Flags::MORE_PACKETS | Flags::JUMBO, Flags::LAST_PACKET];
        assert_eq!(segments.iter().map(|s| s.flags).collect::<Vec<_>>(), flags);
        assert_eq!(segments.iter().map(|s| s.checksum).collect::<Vec<_>>(), [0x1111, 2, 3]);
        assert_eq!(
            [segments[0].payload, segments[1].payload, segments[2].payload],
            [&full[..], &full, &tail]
        );

        let mut again = Vec::new();
        emit_jumbo(&mut again, &header, &segments).unwrap();
        assert_eq!(again, out[1..]);
    }

    #[test]
    fn the_builder_refuses_what_cannot_be_split_again_and_changes_nothing() {
        let full = [9; JUMBO_DATA_LEN];
        let refused = |flags, first: &[u8], fault| {
            let mut out = Vec::new();
            let mut joined = JumboBuilder::new(&mut out, &header(flags), first);
            assert_eq!(joined.push(Flags::NONE, 0, &[1]), Err(fault));
            assert_eq!((joined.segments(), joined.len()), (1, jumbo_len(1, first.len())));
            assert_eq!(out[FLAGS_OFFSET], flags.0);
        };
        refused(Flags::NONE, &full[1..], JoinFault::NotFull);
        refused(Flags::NONE, &[9; JUMBO_DATA_LEN + 1], JoinFault::NotFull);
        refused(Flags::LAST_PACKET, &full, JoinFault::AfterLast);
    }

    #[test]
    fn the_builder_looks_at_the_segment_before_not_at_the_first() {
        let full = [9; JUMBO_DATA_LEN];
        for (flags, second, fault) in [
            (Flags::NONE, &full[1..], JoinFault::NotFull),
            (Flags::LAST_PACKET, &full[..], JoinFault::AfterLast),
        ] {
            let mut out = Vec::new();
            let mut joined = JumboBuilder::new(&mut out, &header(Flags::NONE), &full);
            joined.push(flags, 0, second).unwrap();
            assert_eq!(joined.push(Flags::NONE, 0, &[]), Err(fault));
        }
    }

    #[test]
    fn the_last_segment_may_fill_the_datagram_to_the_octet() {
        let full = [9; JUMBO_DATA_LEN];
        let room = MAX_DATAGRAM - jumbo_len(2, 0);
        let mut out = Vec::new();
        let mut joined = JumboBuilder::new(&mut out, &header(Flags::NONE), &full);
        assert_eq!(joined.push(Flags::NONE, 0, &alloc::vec![0; room + 1]), Err(JoinFault::TooLong));
        joined.push(Flags::NONE, 0, &alloc::vec![0; room]).unwrap();
        assert_eq!(joined.len(), 65_507);
    }

    #[test]
    fn the_builder_stops_at_forty_six_segments() {
        let full = [9; JUMBO_DATA_LEN];
        let mut out = Vec::new();
        let mut joined = JumboBuilder::new(&mut out, &header(Flags::NONE), &full);
        for _ in 1..45 {
            joined.push(Flags::NONE, 0, &full).unwrap();
        }
        joined.push(Flags::NONE, 0, &full).unwrap();
        assert_eq!((joined.segments(), joined.len()), (46, 65_160));
        assert_eq!(joined.push(Flags::NONE, 0, &[]), Err(JoinFault::TooMany));
    }

    #[test]
    fn joining_nothing_or_too_much_leaves_the_buffer_alone() {
        let mut out = alloc::vec![1, 2, 3];
        assert_eq!(emit_jumbo(&mut out, &header(Flags::NONE), &[]), Err(JoinFault::Empty));
        let short = Segment { seq: 1, serial: 1, flags: Flags::NONE, checksum: 0, payload: &[0; 3] };
        assert_eq!(emit_jumbo(&mut out, &header(Flags::NONE), &[short, short]), Err(JoinFault::NotFull));
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn lengths_are_those_of_full_jumbos() {
        let lengths: Vec<_> = [1, 2, 3, 4, 5, 6, 7, 8, 46].map(|count| jumbo_len(count, 1412)).into();
        assert_eq!(lengths, [1440, 2856, 4272, 5688, 7104, 8520, 9936, 11_352, 65_160]);
    }
}
