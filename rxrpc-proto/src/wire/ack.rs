//! ACK bodies.

use alloc::vec::Vec;

use super::constants::{ACK_FILLER_LEN, ACK_FIXED_LEN, MAX_SACK, TRAILER_LEN};
use super::fault::Malformed;
use super::reason::AckReason;

/// The fixed fields of an ACK body, without the count of table entries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AckFields {
    /// Body offset 0: without a meaning today; sent as 0.
    pub buffer_space: u16,
    /// Body offset 2: without a meaning today; sent as 0.
    pub max_skew: u16,
    /// Body offset 4: everything before this sequence number is acknowledged for good. From 1.
    pub first_packet: u32,
    /// Body offset 8: the highest sequence number received; some peers write something else.
    pub previous_packet: u32,
    /// Body offset 12: serial of the packet that this ACK answers, 0 if none.
    pub serial: u32,
    /// Body offset 16: why the ACK was sent.
    pub reason: AckReason,
}

/// What the sender of an ACK says about its limits: the words after the soft-ACK table.
///
/// On the wire it is two, three or four words; the later ones were added over the years. Peers
/// disagree whether the two MTU values count the 28 octets of the header: `OpenAFS` counts them,
/// Linux does not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Trailer {
    /// Word 0: the largest datagram the peer takes, jumbos included, in octets. Not zero.
    pub max_mtu: u32,
    /// Word 1: the largest single packet by the peer's interface, in octets.
    pub if_mtu: u32,
    /// Word 2: the receive window in packets, 0 if closed.
    pub rwind: Option<u32>,
    /// Word 3: the most segments of a jumbo; 0 if the peer probes the path MTU instead.
    pub jumbo_max: Option<u32>,
}

impl Trailer {
    /// Reads the words at the start of `octets`: as many as are complete, at most four.
    ///
    /// `None` with fewer than two words, or if the first word is zero, which says that the sender
    /// knows nothing.
    fn parse(octets: &[u8]) -> Option<Trailer> {
        let (words, _) = octets.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_be_bytes(*word));
        let (max_mtu, if_mtu) = (words.next()?, words.next()?);
        let (rwind, jumbo_max) = (words.next(), words.next());
        (max_mtu != 0).then_some(Trailer { max_mtu, if_mtu, rwind, jumbo_max })
    }

    /// Appends the words up to the first that is absent.
    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.max_mtu.to_be_bytes());
        out.extend_from_slice(&self.if_mtu.to_be_bytes());
        let Some(rwind) = self.rwind else { return };
        out.extend_from_slice(&rwind.to_be_bytes());
        let Some(jumbo_max) = self.jumbo_max else { return };
        out.extend_from_slice(&jumbo_max.to_be_bytes());
    }
}

/// A received ACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack<'a> {
    /// The fixed fields.
    pub fields: AckFields,
    declared: u8,
    rest: &'a [u8],
}

impl<'a> Ack<'a> {
    /// Reads an ACK body.
    ///
    /// # Errors
    /// [`Malformed::ShortAck`] if the fixed part is incomplete. A table shorter than declared is no
    /// fault here, see [`table`](Self::table).
    pub fn parse(body: &'a [u8]) -> Result<Ack<'a>, Malformed> {
        let (fixed, rest) = body.split_first_chunk::<ACK_FIXED_LEN>().ok_or(Malformed::ShortAck)?;
        #[rustfmt::skip]
        let &[
            b0, b1, w0, w1,  f0, f1, f2, f3,  p0, p1, p2, p3,  s0, s1, s2, s3,  reason, declared,
        ] = fixed;
        let fields = AckFields {
            buffer_space: u16::from_be_bytes([b0, b1]),
            max_skew: u16::from_be_bytes([w0, w1]),
            first_packet: u32::from_be_bytes([f0, f1, f2, f3]),
            previous_packet: u32::from_be_bytes([p0, p1, p2, p3]),
            serial: u32::from_be_bytes([s0, s1, s2, s3]),
            reason: AckReason::from(reason),
        };
        Ok(Ack { fields, declared, rest })
    }

    /// The number of table entries the packet says it has (body offset 17), 0 to 255.
    #[must_use]
    pub const fn declared(&self) -> u8 {
        self.declared
    }

    /// Whether it says that any data has come, in order or not. Who sends it has a call: an answer about one of which
    /// nothing has come has firstPacket 1 and no table.
    #[must_use]
    pub const fn acknowledges_data(&self) -> bool {
        self.fields.first_packet > 1 || self.declared > 0
    }

    /// The soft-ACK table: entry `i` is about sequence number `first_packet + i`, read it with
    /// [`received`](Self::received).
    ///
    /// `None` if the packet holds fewer entries than it declares. That is a fault of the call.
    #[must_use]
    pub fn table(&self) -> Option<&'a [u8]> {
        self.rest.get(..usize::from(self.declared))
    }

    /// Whether a table entry says that the packet has arrived: its lowest bit. The other bits are
    /// reserved.
    #[must_use]
    pub const fn received(octet: u8) -> bool {
        octet & 1 == 1
    }

    /// The trailer, if it is there. A first word of zero counts as no trailer.
    #[must_use]
    pub fn trailer(&self) -> Option<Trailer> {
        Trailer::parse(self.after_filler()?)
    }

    /// The octets after a complete trailer of four words: padding, or an extension. Empty if the
    /// trailer is shorter.
    #[must_use]
    pub fn after_trailer(&self) -> &'a [u8] {
        self.after_filler().and_then(|words| words.get(TRAILER_LEN..)).unwrap_or_default()
    }

    fn after_filler(&self) -> Option<&'a [u8]> {
        self.rest.get(usize::from(self.declared).saturating_add(ACK_FILLER_LEN)..)
    }

    /// Everything after the count of entries, unsplit: table, filler, trailer, padding.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Appends the fixed part of an ACK body with a count of `declared` table entries.
pub(super) fn emit_fixed(out: &mut Vec<u8>, fields: &AckFields, declared: u8) {
    out.extend_from_slice(&fields.buffer_space.to_be_bytes());
    out.extend_from_slice(&fields.max_skew.to_be_bytes());
    out.extend_from_slice(&fields.first_packet.to_be_bytes());
    out.extend_from_slice(&fields.previous_packet.to_be_bytes());
    out.extend_from_slice(&fields.serial.to_be_bytes());
    out.extend_from_slice(&[fields.reason.to_u8(), declared]);
}

/// Appends an ACK body, to go after a header.
///
/// `table` says from sequence number `first_packet` on what has arrived; entries after the 255th
/// are left out. Entries are written as exactly 0 or 1, as old peers demand. The filler is always
/// written, the trailer if given. Pad the datagram with [`pad_to`] afterwards if it has to be longer.
pub fn emit_ack(
    out: &mut Vec<u8>,
    fields: &AckFields,
    table: impl Iterator<Item = bool>,
    trailer: Option<&Trailer>,
) {
    let fixed_at = out.len();
    emit_fixed(out, fields, 0);
    let table_at = out.len();
    out.extend(table.take(MAX_SACK).map(u8::from));
    let entries = out.len().saturating_sub(table_at);
    let count_at = fixed_at.saturating_add(ACK_FIXED_LEN.saturating_sub(1));
    if let Some(count) = out.get_mut(count_at) {
        *count = u8::try_from(entries).unwrap_or(u8::MAX);
    }
    out.extend_from_slice(&[0; ACK_FILLER_LEN]);
    if let Some(trailer) = trailer {
        trailer.emit(out);
    }
}

/// Octets of an ACK body with `entries` table entries (counted up to 255) and the whole trailer, if any.
#[must_use]
pub const fn ack_body_len(entries: usize, trailer: bool) -> usize {
    let entries = if entries > MAX_SACK { MAX_SACK } else { entries };
    let fixed = ACK_FIXED_LEN.saturating_add(ACK_FILLER_LEN);
    fixed.saturating_add(entries).saturating_add(if trailer { TRAILER_LEN } else { 0 })
}

/// Appends zeros until the octets from `start` on are `len`. Does nothing if they are as many already.
pub fn pad_to(out: &mut Vec<u8>, start: usize, len: usize) {
    let end = start.saturating_add(len);
    if out.len() < end {
        out.resize(end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: AckFields = AckFields {
        buffer_space: 0x0102,
        max_skew: 0x0304,
        first_packet: 0x0506_0708,
        previous_packet: 0x090a_0b0c,
        serial: 0x0d0e_0f10,
        reason: AckReason::Idle,
    };
    const TRAILER: Trailer = Trailer { max_mtu: 5692, if_mtu: 1444, rwind: Some(32), jumbo_max: Some(4) };

    fn emitted(table: &[bool], trailer: Option<&Trailer>) -> Vec<u8> {
        let mut out = Vec::new();
        emit_ack(&mut out, &FIELDS, table.iter().copied(), trailer);
        out
    }

    #[test]
    fn data_has_come_if_the_first_packet_is_not_the_first_or_a_table_follows() {
        for (first_packet, table, expected) in
            [(1, &[][..], false), (0, &[], false), (2, &[], true), (1, &[false, true], true)]
        {
            let mut body = Vec::new();
            emit_ack(&mut body, &AckFields { first_packet, ..FIELDS }, table.iter().copied(), None);
            assert_eq!(Ack::parse(&body).unwrap().acknowledges_data(), expected, "{first_packet} {table:?}");
        }
    }

    #[test]
    fn fields_stand_at_their_offsets() {
        let body = emitted(&[false, true], Some(&TRAILER));
        let expected = [
            &(1..=16).collect::<Vec<u8>>()[..],
            &[9, 2, 0, 1, 0, 0, 0],
            &[0, 0, 0x16, 0x3c, 0, 0, 5, 0xa4, 0, 0, 0, 32, 0, 0, 0, 4],
        ];
        assert_eq!(body, expected.concat());
        let ack = Ack::parse(&body).unwrap();
        assert_eq!((ack.fields, ack.declared()), (FIELDS, 2));
        assert_eq!(
            (ack.table(), ack.trailer(), ack.after_trailer()),
            (Some(&[0, 1][..]), Some(TRAILER), &[][..])
        );
    }

    #[test]
    fn fewer_than_eighteen_octets_are_short() {
        for len in 0..ACK_FIXED_LEN {
            assert_eq!(Ack::parse(&[0; ACK_FIXED_LEN][..len]), Err(Malformed::ShortAck), "{len} octets");
        }
        assert!(Ack::parse(&[0; ACK_FIXED_LEN]).is_ok());
    }

    #[test]
    fn a_table_shorter_than_declared_parses_but_is_not_handed_out() {
        let body = emitted(&[true; 200], None);
        for len in 18..body.len() {
            let ack = Ack::parse(&body[..len]).unwrap();
            assert_eq!(ack.table().is_some(), len >= 218, "{len} octets");
            assert_eq!((ack.trailer(), ack.after_trailer()), (None, &[][..]));
        }
    }

    #[test]
    fn the_trailer_has_two_three_or_four_words() {
        let body = emitted(&[true; 3], Some(&TRAILER));
        let words_at = 18 + 3 + 3;
        let two = Trailer { rwind: None, jumbo_max: None, ..TRAILER };
        let three = Trailer { jumbo_max: None, ..TRAILER };
        for extra in 0..=16 {
            let expected = match extra {
                0..8 => None,
                8..12 => Some(two),
                12..16 => Some(three),
                _ => Some(TRAILER),
            };
            assert_eq!(Ack::parse(&body[..words_at + extra]).unwrap().trailer(), expected, "{extra} octets");
        }
        for trailer in [two, three, TRAILER] {
            assert_eq!(Ack::parse(&emitted(&[], Some(&trailer))).unwrap().trailer(), Some(trailer));
        }
    }

    #[test]
    fn a_first_word_of_zero_is_no_trailer() {
        let body = emitted(&[], Some(&Trailer { max_mtu: 0, ..TRAILER }));
        assert_eq!(Ack::parse(&body).unwrap().trailer(), None);
        let body = emitted(&[], Some(&Trailer { if_mtu: 0, ..TRAILER }));
        assert_eq!(Ack::parse(&body).unwrap().trailer(), Some(Trailer { if_mtu: 0, ..TRAILER }));
    }

    #[test]
    fn what_follows_four_words_is_handed_out_and_padding_is_zero() {
        let mut out = alloc::vec![0xaa; 5];
        emit_ack(&mut out, &FIELDS, [true].into_iter(), Some(&TRAILER));
        assert_eq!(out.len(), 5 + ack_body_len(1, true));
        pad_to(&mut out, 5, 60);
        assert_eq!(out.len(), 65);
        assert_eq!(Ack::parse(&out[5..]).unwrap().after_trailer(), [0; 60 - 38]);
        pad_to(&mut out, 5, 10);
        assert_eq!(out.len(), 65);
    }

    #[test]
    fn the_table_is_cut_at_255_entries() {
        for (entries, written) in [(0, 0), (1, 1), (255, 255), (256, 255), (1000, 255)] {
            let body = emitted(&alloc::vec![true; entries], Some(&TRAILER));
            assert_eq!(body.len(), ack_body_len(entries, true));
            let ack = Ack::parse(&body).unwrap();
            assert_eq!((usize::from(ack.declared()), ack.table().unwrap().len()), (written, written));
            assert_eq!(ack.trailer(), Some(TRAILER));
        }
    }

    #[test]
    fn an_iterator_that_promises_too_much_does_not_spoil_the_count() {
        struct Liar(u8);
        impl Iterator for Liar {
            type Item = bool;
            fn next(&mut self) -> Option<bool> {
                self.0 = self.0.checked_sub(1)?;
                Some(true)
            }
        }
        impl ExactSizeIterator for Liar {
            fn len(&self) -> usize {
                99
            }
        }
        let mut body = Vec::new();
        emit_ack(&mut body, &FIELDS, Liar(7), None);
        assert_eq!((Ack::parse(&body).unwrap().declared(), body.len()), (7, ack_body_len(7, false)));
    }

    #[test]
    fn only_the_lowest_bit_of_an_entry_counts() {
        let received: Vec<_> = (0..=5).map(Ack::received).collect();
        assert_eq!(received, [false, true, false, true, false, true]);
        assert_eq!((Ack::received(0xfe), Ack::received(0xff)), (false, true));
    }
}
