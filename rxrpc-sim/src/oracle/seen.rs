//! Packets as the oracles see them: read once, with the place where each oracle keeps what it knows of the connection.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rxrpc_proto::wire::{Body, Data, Header, JumboFault, Malformed, PacketType, Segment};

use crate::packet::Packet;

/// The keys are random enough to be their own hash.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {}
    fn write_u64(&mut self, n: u64) {
        self.0 = (n ^ (n >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// The connections that were seen, in the order in which they were.
#[derive(Debug, Default)]
pub(super) struct Connections {
    places: HashMap<u64, usize, BuildHasherDefault<Plain>>,
}

impl Connections {
    /// Where the connection of a packet is that a node sends, if there is one or it makes one.
    pub(super) fn of_sent(&mut self, header: &Header) -> Option<usize> {
        self.place(header, header.serial != 0 || header.packet_type == PacketType::Data)
    }

    /// The same for one that reaches a node.
    pub(super) fn of_delivered(&mut self, header: &Header) -> Option<usize> {
        let is_call = matches!(header.packet_type, PacketType::Data | PacketType::Ack | PacketType::Busy);
        self.place(header, is_call)
    }

    fn place(&mut self, header: &Header, makes_one: bool) -> Option<usize> {
        let key = u64::from(header.epoch) << 32 | u64::from(header.connection_id());
        let known = self.places.get(&key).copied();
        if known.is_none() && makes_one {
            let next = self.places.len();
            self.places.insert(key, next);
            return Some(next);
        }
        known
    }
}

/// What a packet with a header says.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) header: &'a Header,
    pub(super) body: &'a Result<Body<'a>, Malformed>,
    /// Where its connection is; `None` if it has none.
    pub(super) place: Option<usize>,
}

impl<'a> Seen<'a> {
    /// How many whole segments the datagram has; their numbers follow one another.
    pub(super) fn whole(&self, data: &Data<'_>) -> u32 {
        if data.is_jumbo() { data.segments().flatten().count() as u32 } else { 1 }
    }

    /// What `judge` finds in one of the segments, or in what is no segment. Only a jumbogram has several.
    pub(super) fn judge_segments<T>(
        &self,
        data: &Data<'a>,
        mut judge: impl FnMut(Result<Segment<'a>, JumboFault>) -> Option<T>,
    ) -> Option<T> {
        if data.is_jumbo() {
            return data.segments().find_map(judge);
        }
        let Header { seq, serial, flags, checksum, .. } = *self.header;
        judge(Ok(Segment { seq, serial, flags, checksum, payload: data.body() }))
    }
}

/// What follows a header, if there is one.
pub(super) fn body_of<'a>(read: &Result<(Header, &'a [u8]), Malformed>) -> Result<Body<'a>, Malformed> {
    match read {
        Ok((header, rest)) => Body::parse(header, rest),
        Err(malformed) => Err(*malformed),
    }
}

/// A packet, and what it says if it has a whole header.
pub(super) type Sight<'a> = (&'a Packet, Option<Seen<'a>>);

/// What is known at this place, which may be new.
pub(super) fn at<T>(known: &mut Vec<T>, place: usize, new: impl FnMut() -> T) -> &mut T {
    if known.len() <= place {
        known.resize_with(place + 1, new);
    }
    &mut known[place]
}
