//! Packets that no capture holds, one after the other: what is in each, and which call it belongs to.

use std::net::SocketAddr;

use rxrpc_proto::wire::{AckReason, Header, OwnedBody};
use serde::Serialize;
use serde_json::{Map, Value};

use super::calls::{Call, Calls, Observation, Role, Side};
use super::fields::Fields;
use super::json::Line;
use super::net::Datagram;
use super::packet::{self, Content, Packet, Wrong};
use super::summary::ending;

/// Takes packets apart, and knows the calls of those before.
#[derive(Debug, Default)]
pub(crate) struct Live {
    calls: Calls,
}

/// A packet, taken apart.
#[derive(Debug)]
pub(crate) struct Shown {
    packet: Packet,
    observation: Observation,
}

fn read(time: u64, [from, to]: [SocketAddr; 2], octets: &[u8]) -> Packet {
    let (payload, declared) = (octets.to_vec(), octets.len());
    let datagram = Datagram { frame: 0, time, from, to, payload, declared, fragments: 1 };
    packet::packet(&datagram, octets, declared)
}

impl Live {
    /// A packet that belongs to the traffic.
    pub(crate) fn take(&mut self, time: u64, ends: [SocketAddr; 2], octets: &[u8]) -> Shown {
        let mut packet = read(time, ends, octets);
        let observation = self.calls.observe(&mut packet);
        Shown { packet, observation }
    }

    /// A packet that does not, whatever call it names.
    pub(crate) fn stray(time: u64, ends: [SocketAddr; 2], octets: &[u8]) -> Shown {
        Shown { packet: read(time, ends, octets), observation: Observation::default() }
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> impl Iterator<Item = CallRow> {
        self.calls.all().iter().map(CallRow::new)
    }
}

impl Shown {
    /// Place of its call among the calls.
    pub(crate) fn call(&self) -> Option<usize> {
        self.observation.call
    }

    /// The header, if it is complete.
    pub(crate) fn header(&self) -> Option<&Header> {
        self.packet.header.as_ref()
    }

    /// Why it is sent, if it is an ACK.
    pub(crate) fn reason(&self) -> Option<AckReason> {
        self.packet.ack().map(|ack| ack.fields.reason)
    }

    /// What is wrong with it: the name of the fault, and a sentence.
    pub(crate) fn fault(&self) -> Option<(&'static str, &str)> {
        match &self.packet.fault {
            Some(Wrong::Malformed(name, text)) => Some((name, text)),
            _ => None,
        }
    }

    /// The round trip that it completes, in nanoseconds.
    pub(crate) fn rtt(&self) -> Option<u64> {
        self.observation.rtt
    }

    /// What `rxrpc decode --json` says of a packet, without what is about a capture.
    pub(crate) fn object(&self) -> Map<String, Value> {
        let line = serde_json::to_value(Line::packet(&self.packet, &self.observation, 0));
        let Ok(Value::Object(mut object)) = line else { return Map::new() };
        for field in ["kind", "frame", "time", "time_ns", "from", "to", "call"] {
            object.remove(field);
        }
        object
    }

    /// What follows the header, as short as can be.
    pub(crate) fn detail(&self) -> Detail {
        let marks = self.observation.marks.iter().map(|mark| *mark as u8).chain(std::iter::repeat(0));
        let body = match &self.packet.content {
            Content::Data(pieces) => {
                let segments = pieces.iter().zip(marks);
                let segments = segments.map(|(p, mark)| {
                    Segment(p.seq, p.serial, p.flags.0, p.checksum, p.len, mark, p.operation)
                });
                return Detail::Data(segments.collect());
            }
            Content::Body(body) => body,
            Content::Nothing => return Detail::Nothing,
        };
        match body {
            OwnedBody::Ack(ack) => {
                let f = &ack.fields;
                let table =
                    ack.table.iter().map(|octet| char::from(if octet & 1 == 1 { b'1' } else { b'0' }));
                let numbers = [f.first_packet, f.previous_packet, f.serial];
                let rest = (u32::from(f.buffer_space), u32::from(f.max_skew), u32::from(ack.declared));
                Detail::Ack(f.reason.to_u8(), numbers, rest, table.collect(), ack.words.clone())
            }
            OwnedBody::Abort(code, _) => {
                let index = self.packet.header.map_or(0, |header| header.security_index);
                Detail::Abort(code.0, code.name_for(index))
            }
            body => Fields::of(body).map_or(Detail::Nothing, |fields| Detail::Fields(fields.object())),
        }
    }
}

/// What follows a header: arrays without names.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub(crate) enum Detail {
    /// The segments of a DATA packet.
    Data(Vec<Segment>),
    /// Reason; first, previous, serial; buffer space, skew, declared entries; the table as a digit an entry; the
    /// words after it.
    Ack(u8, [u32; 3], (u32, u32, u32), String, Vec<u32>),
    /// Code and its name.
    Abort(i32, Option<&'static str>),
    /// Whatever else, as an object with names.
    Fields(Value),
    /// Nothing that can be read.
    Nothing,
}

/// Sequence number, serial, flags, checksum, length, mark (0 new, 1 sent again, 2 a copy), operation.
#[derive(Serialize, Debug)]
pub(crate) struct Segment(u32, u32, u8, u16, usize, u8, Option<u32>);

/// A call, as its packets tell.
#[derive(Serialize, Debug)]
pub(crate) struct CallRow {
    id: String,
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) epoch: u32,
    pub(crate) cid: u32,
    pub(crate) number: u32,
    service: u16,
    begin: u64,
    end: u64,
    first_reply: Option<u64>,
    request: SideRow,
    reply: SideRow,
    ending: String,
}

/// Bytes, packets, packets sent again, ACKs of one side of a call.
#[derive(Serialize, Debug)]
struct SideRow(u64, u64, u64, u64);

impl SideRow {
    fn new(side: &Side) -> SideRow {
        SideRow(side.bytes, side.packets, side.again, side.acks)
    }
}

impl CallRow {
    fn new(call: &Call) -> CallRow {
        let key = &call.key;
        CallRow {
            id: format!("{:08x}:{}", key.cid, key.number),
            client: key.client,
            server: key.server,
            epoch: key.epoch,
            cid: key.cid,
            number: key.number,
            service: call.upgraded.unwrap_or(call.service),
            begin: call.begin,
            end: call.end,
            first_reply: call.first_reply,
            request: SideRow::new(call.side(Role::Client)),
            reply: SideRow::new(call.side(Role::Server)),
            ending: ending(call),
        }
    }
}

#[cfg(test)]
mod tests {
    use rxrpc_proto::wire::{Flags, PacketType};

    use super::super::select::tests::header;
    use super::*;

    fn ends() -> [SocketAddr; 2] {
        [1, 2].map(|port| SocketAddr::from(([10, 0, 0, 1], port)))
    }

    fn data(seq: u32, serial: u32) -> Vec<u8> {
        let flags = Flags::CLIENT_INITIATED | Flags::LAST_PACKET;
        let header = Header { seq, serial, ..header(PacketType::Data, flags) };
        [&header.to_bytes()[..], b"abcde"].concat()
    }

    #[test]
    fn a_packet_that_is_sent_again_is_marked_in_both_forms() {
        let mut live = Live::default();
        live.take(1, ends(), &data(1, 1));
        let again = live.take(2, ends(), &data(1, 2));
        assert_eq!(again.call(), Some(0));
        assert_eq!(again.object()["segments"][0]["retransmission"], true);
        let detail = serde_json::to_string(&again.detail()).unwrap();
        assert_eq!(detail, "[[1,2,5,0,5,1,1633837924]]");
        assert!(again.object().get("frame").is_none());
        let call = live.calls().next().unwrap();
        assert_eq!((call.request.0, call.request.1, call.request.2), (5, 1, 1));
    }

    #[test]
    fn a_stray_packet_makes_no_call() {
        let live = Live::default();
        let shown = Live::stray(1, ends(), &data(1, 1));
        assert_eq!((shown.call(), live.calls().count()), (None, 0));
        let short = Live::stray(1, ends(), &[1; 10]);
        assert_eq!((short.header(), short.fault().unwrap().0), (None, "ShortHeader"));
    }
}
