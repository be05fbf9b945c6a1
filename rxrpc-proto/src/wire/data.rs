//! DATA bodies: one segment, or several joined into a jumbo.

use alloc::vec::Vec;
use core::iter::FusedIterator;

use super::constants::{HEADER_LEN, JUMBO_DATA_LEN, JUMBO_HEADER_LEN, MAX_DATAGRAM, MAX_JUMBO_SEGMENTS};
use super::fault::{JoinFault, JumboFault};
use super::flags::Flags;
use super::header::{Header, next_serial};

/// Offset of the flags octet in a header.
const FLAGS_OFFSET: usize = 21;

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
