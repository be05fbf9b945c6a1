//! Owned bodies of DATA and ACK.

use alloc::vec::Vec;

use crate::wire::ack::{Ack, AckFields, emit_fixed};
use crate::wire::constants::{ACK_FILLER_LEN, TRAILER_LEN};
use crate::wire::data::{Data, Piece};
use crate::wire::fault::JumboFault;
use crate::wire::flags::Flags;

/// The segments of a DATA packet. The header of the packet is the header of the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedData {
    /// Payload of the first segment.
    pub first: Vec<u8>,
    /// The segments after it.
    pub more: Vec<OwnedSegment>,
    /// If set, the payload of the last segment is not a payload but all octets from the fault on.
    pub fault: Option<JumboFault>,
}

/// A segment after the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedSegment {
    /// Sub-header offset 0.
    pub flags: Flags,
    /// Sub-header offset 1: unused.
    pub spare: u8,
    /// Sub-header offset 2.
    pub checksum: u16,
    /// What follows the sub-header.
    pub payload: Vec<u8>,
}

impl OwnedData {
    pub(super) fn new(data: &Data<'_>) -> OwnedData {
        let mut segments = data.segments();
        let mut owned = OwnedData { first: Vec::new(), more: Vec::new(), fault: None };
        if let Some(Piece { segment, fault, .. }) = segments.next_piece() {
            owned.first = segment.payload.to_vec();
            owned.fault = fault;
        }
        while let Some(Piece { segment, spare, fault }) = segments.next_piece() {
            let (flags, checksum, payload) = (segment.flags, segment.checksum, segment.payload.to_vec());
            owned.more.push(OwnedSegment { flags, spare, checksum, payload });
            owned.fault = fault;
        }
        owned
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first);
        for segment in &self.more {
            let [k0, k1] = segment.checksum.to_be_bytes();
            out.extend_from_slice(&[segment.flags.0, segment.spare, k0, k1]);
            out.extend_from_slice(&segment.payload);
        }
    }
}

/// An ACK body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedAck {
    /// The fixed fields.
    pub fields: AckFields,
    /// How many table entries the packet says it has.
    pub declared: u8,
    /// The table; shorter than declared if the packet ends within it.
    pub table: Vec<u8>,
    /// The filler, three octets unless the packet ends within it.
    pub filler: Vec<u8>,
    /// The complete words of the trailer, at most four.
    pub words: Vec<u32>,
    /// What follows them.
    pub rest: Vec<u8>,
}

impl OwnedAck {
    pub(super) fn new(ack: &Ack<'_>) -> OwnedAck {
        let (table, rest) = split_most(ack.rest(), usize::from(ack.declared()));
        let (filler, rest) = split_most(rest, ACK_FILLER_LEN);
        let complete = rest.len().min(TRAILER_LEN) / 4;
        let (words, rest) = split_most(rest, complete.saturating_mul(4));
        OwnedAck {
            fields: ack.fields,
            declared: ack.declared(),
            table: table.to_vec(),
            filler: filler.to_vec(),
            words: words.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect(),
            rest: rest.to_vec(),
        }
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        emit_fixed(out, &self.fields, self.declared);
        out.extend_from_slice(&self.table);
        out.extend_from_slice(&self.filler);
        out.extend(self.words.iter().flat_map(|word| word.to_be_bytes()));
        out.extend_from_slice(&self.rest);
    }
}

/// The first `len` octets, or all if they are fewer, and the rest.
fn split_most(octets: &[u8], len: usize) -> (&[u8], &[u8]) {
    octets.split_at_checked(len).unwrap_or((octets, &[]))
}
