//! The calls of a capture: which packet belongs to which, and what became of each.

use std::collections::HashMap;
use std::net::SocketAddr;

use rxrpc_proto::wire::{
    AbortCode, AckReason, CHANNEL_MASK, CHANNELS, CONNECTION_MASK, DebugKind, Flags, Header, OwnedBody,
    OwnedDebug, PacketType,
};

use super::packet::{Content, Packet, Piece};
use super::rtt::{Awaiting, Rtt};

/// What tells one call from another. Both addresses count, so the two sides of a proxy are two calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct CallKey {
    /// The side that opened the connection.
    pub(super) client: SocketAddr,
    /// The other side.
    pub(super) server: SocketAddr,
    /// Epoch of the connection.
    pub(super) epoch: u32,
    /// Connection id and channel.
    pub(super) cid: u32,
    /// Number of the call on the channel.
    pub(super) number: u32,
}

/// A side of a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Role {
    Client,
    Server,
}

impl Role {
    /// Both, the client first.
    pub(super) const BOTH: [Role; 2] = [Role::Client, Role::Server];

    /// Who sent a packet with this header.
    pub(super) fn of(header: &Header) -> Role {
        if header.from_client() { Role::Client } else { Role::Server }
    }

    /// The name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Server => "server",
        }
    }
}

/// Whether a segment is new.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Mark {
    /// Its sequence number was not seen before.
    New,
    /// Its sequence number was seen before, with another serial: the sender sent it again.
    Again,
    /// Its serial was seen before too: the network, or the capture, doubled it.
    Copy,
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// The end is not in the capture.
    Open,
    /// Both sides sent their last packet.
    Complete,
    /// One side gave up, the call alone or the whole connection.
    Aborted { by: Role, code: AbortCode, connection: bool },
    /// The server said that it was busy, and nothing else.
    Busy,
    /// The server said nothing.
    Unanswered,
}

/// What one side sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    /// DATA packets with different sequence numbers.
    pub(super) packets: u64,
    /// Octets of payload in them.
    pub(super) bytes: u64,
    /// Packets that were sent again.
    pub(super) again: u64,
    /// Packets that came twice with one serial.
    pub(super) copies: u64,
    /// ACKs.
    pub(super) acks: u64,
    /// BUSY packets.
    pub(super) busies: u64,
    /// Whether anything came from this side.
    pub(super) heard: bool,
    /// Sequence number of the last packet, once it was seen.
    pub(super) last: Option<u32>,
    /// Time from a packet of this side to the ACK that names it.
    pub(super) rtt: Rtt,
    seen: HashMap<u32, u32>,
    awaiting: Awaiting,
}

impl Side {
    fn take(&mut self, piece: &Piece) -> Mark {
        if piece.flags.contains(Flags::LAST_PACKET) {
            self.last = Some(piece.seq);
        }
        match self.seen.insert(piece.seq, piece.serial) {
            None => {
                self.packets = self.packets.saturating_add(1);
                self.bytes = self.bytes.saturating_add(piece.len as u64);
                Mark::New
            }
            Some(serial) if serial == piece.serial => {
                self.copies = self.copies.saturating_add(1);
                Mark::Copy
            }
            Some(_) => {
                self.again = self.again.saturating_add(1);
                Mark::Again
            }
        }
    }
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// What tells it from others.
    pub(super) key: CallKey,
    /// Service that was asked for.
    pub(super) service: u16,
    /// Service that answered, if it is another.
    pub(super) upgraded: Option<u16>,
    /// Security index of the connection.
    pub(super) security_index: u8,
    /// When its first packet was captured, in nanoseconds since 1970.
    pub(super) begin: u64,
    /// When its last packet was captured.
    pub(super) end: u64,
    /// From the first packet of the call to the first DATA of the server, in nanoseconds.
    pub(super) first_reply: Option<u64>,
    aborted: Option<Ending>,
    sides: [Side; 2],
}

impl Call {
    fn new(key: CallKey, header: &Header, time: u64) -> Call {
        Call {
            key,
            service: header.service_id,
            upgraded: None,
            security_index: header.security_index,
            begin: time,
            end: time,
            first_reply: None,
            aborted: None,
            sides: Default::default(),
        }
    }

    /// What a side sent.
    pub(super) fn side(&self, role: Role) -> &Side {
        let [client, server] = &self.sides;
        match role {
            Role::Client => client,
            Role::Server => server,
        }
    }

    fn side_mut(&mut self, role: Role) -> (&mut Side, &mut Side) {
        let [client, server] = &mut self.sides;
        match role {
            Role::Client => (client, server),
            Role::Server => (server, client),
        }
    }

    /// How it ended.
    pub(super) fn ending(&self) -> Ending {
        let [client, server] = &self.sides;
        match self.aborted {
            Some(aborted) => aborted,
            None if client.last.is_some() && server.last.is_some() => Ending::Complete,
            None if !server.heard => Ending::Unanswered,
            None if server.busies > 0 && server.packets == 0 && server.acks == 0 => Ending::Busy,
            None => Ending::Open,
        }
    }

    /// DATA packets of both sides, those sent again included.
    pub(super) fn data_packets(&self) -> u64 {
        self.sides.iter().map(|side| side.packets.saturating_add(side.again)).fold(0, u64::saturating_add)
    }

    /// From the first packet to the last, in nanoseconds.
    pub(super) fn duration(&self) -> u64 {
        self.end.saturating_sub(self.begin)
    }
}

/// What is known about a packet beyond its octets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Observation {
    /// Index of its call.
    pub(super) call: Option<usize>,
    /// For a packet about a connection: the calls that are on its channels.
    pub(super) on_channels: [Option<usize>; CHANNELS],
    /// One for each segment.
    pub(super) marks: Vec<Mark>,
    /// The round trip that an ACK completes, in nanoseconds.
    pub(super) rtt: Option<u64>,
}

/// A connection between two addresses.
type ConnectionKey = (SocketAddr, SocketAddr, u32, u32);

/// Questions to the debug service that are remembered.
const MAX_QUESTIONS: usize = 4096;

/// All calls of a capture, in the order of their first packets.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    by_key: HashMap<CallKey, usize>,
    channels: HashMap<ConnectionKey, [Option<usize>; CHANNELS]>,
    questions: HashMap<(SocketAddr, SocketAddr, u32), DebugKind>,
}

impl Calls {
    /// The calls, in the order of their first packets.
    pub(super) fn all(&self) -> &[Call] {
        &self.calls
    }

    /// Takes a packet in. An answer of the debug service is read again with what was asked.
    pub(super) fn observe(&mut self, packet: &mut Packet) -> Observation {
        let mut observation = Observation::default();
        let (Some(header), Some([client, server])) = (packet.header, packet.client_and_server()) else {
            return observation;
        };
        if matches!(packet.content, Content::Nothing) {
            return observation;
        }
        match header.packet_type {
            PacketType::Debug => self.debug(packet, (client, server, header.call_number)),
            PacketType::Data
            | PacketType::Ack
            | PacketType::Busy
            | PacketType::Abort
            | PacketType::AckAll
                if header.call_number != 0 =>
            {
                let key = CallKey {
                    client,
                    server,
                    epoch: header.epoch,
                    cid: header.cid,
                    number: header.call_number,
                };
                let index = self.index(key, &header, packet.time);
                observation.call = Some(index);
                if let Some(call) = self.calls.get_mut(index) {
                    call.take(&header, packet, &mut observation);
                }
            }
            PacketType::Abort | PacketType::Challenge | PacketType::Response => {
                let key = (client, server, header.epoch, header.cid & CONNECTION_MASK);
                observation.on_channels = self.channels.get(&key).copied().unwrap_or_default();
                self.about_connection(&header, packet, observation.on_channels);
            }
            _ => {}
        }
        observation
    }

    /// The index of a call, which is made if this is its first packet.
    fn index(&mut self, key: CallKey, header: &Header, time: u64) -> usize {
        if let Some(index) = self.by_key.get(&key) {
            return *index;
        }
        let index = self.calls.len();
        self.calls.push(Call::new(key, header, time));
        self.by_key.insert(key, index);
        let connection = (key.client, key.server, key.epoch, key.cid & CONNECTION_MASK);
        let channels = self.channels.entry(connection).or_default();
        if let Some(channel) = channels.get_mut((key.cid & CHANNEL_MASK) as usize) {
            *channel = Some(index);
        }
        index
    }

    /// An abort of a connection ends the calls on it.
    fn about_connection(&mut self, header: &Header, packet: &Packet, calls: [Option<usize>; CHANNELS]) {
        let Content::Body(OwnedBody::Abort(code, _)) = &packet.content else { return };
        for index in calls.into_iter().flatten() {
            let Some(call) = self.calls.get_mut(index) else { continue };
            if matches!(call.ending(), Ending::Open | Ending::Busy | Ending::Unanswered) {
                call.end = call.end.max(packet.time);
                call.abort(Role::of(header), *code, true);
            }
        }
    }

    /// Remembers what is asked, or looks up what was.
    fn debug(&mut self, packet: &mut Packet, question: (SocketAddr, SocketAddr, u32)) {
        if let Content::Body(OwnedBody::Debug(OwnedDebug::Request(request, _))) = &packet.content {
            if self.questions.len() >= MAX_QUESTIONS {
                self.questions.clear();
            }
            self.questions.insert(question, request.kind);
        } else if let Some(kind) = self.questions.get(&question) {
            packet.read_debug_reply(*kind);
        }
    }
}

impl Call {
    fn take(&mut self, header: &Header, packet: &Packet, observation: &mut Observation) {
        self.end = self.end.max(packet.time);
        let role = Role::of(header);
        let (side, other) = self.side_mut(role);
        side.heard = true;
        match &packet.content {
            Content::Data(pieces) => {
                observation.marks = pieces.iter().map(|piece| side.take(piece)).collect();
                for piece in pieces {
                    side.awaiting.sent(piece.serial, packet.time);
                }
            }
            Content::Body(OwnedBody::Ack(ack)) => {
                side.acks = side.acks.saturating_add(1);
                if ack.fields.reason != AckReason::Delay {
                    observation.rtt = other.awaiting.answered(ack.fields.serial, packet.time);
                    other.rtt.sample(observation.rtt);
                }
                if ack.fields.reason == AckReason::Ping || header.flags.contains(Flags::REQUEST_ACK) {
                    side.awaiting.sent(header.serial, packet.time);
                }
            }
            Content::Body(OwnedBody::Busy(_)) => side.busies = side.busies.saturating_add(1),
            Content::Body(OwnedBody::Abort(code, _)) => self.abort(role, *code, false),
            _ => {}
        }
        if header.packet_type == PacketType::Data && role == Role::Server {
            self.first_reply.get_or_insert(packet.time.saturating_sub(self.begin));
            self.upgraded = Some(header.service_id).filter(|service| *service != self.service);
        }
    }

    /// The first abort counts.
    fn abort(&mut self, by: Role, code: AbortCode, connection: bool) {
        self.aborted.get_or_insert(Ending::Aborted { by, code, connection });
    }
}

#[cfg(test)]
mod tests {
    use rxrpc_proto::wire::{AckFields, emit_abort, emit_ack, emit_debug_request};
    use rxrpc_proto::wire::{DebugReply, DebugRequest, DebugStats, emit_debug_reply};

    use super::super::net::Datagram;
    use super::super::packet::packets;
    use super::super::select::tests::header;
    use super::*;

    /// Packets between two addresses, one a millisecond.
    #[derive(Default)]
    struct Wire {
        calls: Calls,
        time: u64,
    }

    impl Wire {
        fn packet(&mut self, from_client: bool, payload: &[u8]) -> (Packet, Observation) {
            let [mut from, mut to] = [7001, 7000].map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
            if !from_client {
                std::mem::swap(&mut from, &mut to);
            }
            self.time += 1_000_000;
            let (payload, declared) = (payload.to_vec(), payload.len());
            let time = self.time;
            let datagram = Datagram { frame: 1, time, from, to, payload, declared, fragments: 1 };
            let mut packet = packets(&datagram).remove(0);
            let observation = self.calls.observe(&mut packet);
            (packet, observation)
        }

        fn send(&mut self, header: Header, body: &[u8]) -> Observation {
            self.packet(header.from_client(), &[&header.to_bytes()[..], body].concat()).1
        }

        fn ack(&mut self, reason: AckReason, serial: u32, flags: Flags) -> Observation {
            let fields = AckFields {
                buffer_space: 0,
                max_skew: 0,
                first_packet: 1,
                previous_packet: 0,
                serial,
                reason,
            };
            let header = Header { serial: 50, ..header(PacketType::Ack, flags) };
            let mut out = Vec::new();
            emit_ack(&mut out, &fields, [].into_iter(), None);
            self.send(header, &out)
        }
    }

    fn data(seq: u32, serial: u32, flags: Flags) -> Header {
        Header { seq, serial, ..header(PacketType::Data, flags) }
    }

    const CLIENT: Flags = Flags::CLIENT_INITIATED;

    #[test]
    fn a_packet_sent_again_is_told_from_a_copy() {
        let mut wire = Wire::default();
        let marks: Vec<_> = [(1, 1), (2, 2), (1, 3), (1, 3), (2, 4)]
            .into_iter()
            .flat_map(|(seq, serial)| wire.send(data(seq, serial, CLIENT), &[0; 10]).marks)
            .collect();
        assert_eq!(marks, [Mark::New, Mark::New, Mark::Again, Mark::Copy, Mark::Again]);
        let side = wire.calls.all()[0].side(Role::Client);
        assert_eq!((side.packets, side.bytes, side.again, side.copies), (2, 20, 2, 1));
        assert_eq!(wire.send(data(1, 1, Flags::NONE), &[]).marks, [Mark::New]);
    }

    #[test]
    fn round_trips_go_by_serial_once_and_never_by_delayed_acks() {
        let mut wire = Wire::default();
        wire.send(data(1, 7, CLIENT), &[]);
        wire.send(data(2, 8, CLIENT), &[]);
        assert_eq!(wire.ack(AckReason::Delay, 8, Flags::NONE).rtt, None);
        assert_eq!(wire.ack(AckReason::Idle, 8, Flags::NONE).rtt, Some(2_000_000));
        assert_eq!(wire.ack(AckReason::Duplicate, 8, Flags::NONE).rtt, None);
        assert_eq!(wire.ack(AckReason::Idle, 0, Flags::NONE).rtt, None);
        assert_eq!(wire.ack(AckReason::Idle, 7, CLIENT).rtt, None);
        assert_eq!(wire.calls.all()[0].side(Role::Client).rtt.mean(), Some(2_000_000));
    }

    #[test]
    fn a_ping_and_its_answer_are_a_round_trip() {
        let mut wire = Wire::default();
        assert_eq!(wire.ack(AckReason::Ping, 0, Flags::REQUEST_ACK).rtt, None);
        assert_eq!(wire.ack(AckReason::PingResponse, 50, CLIENT).rtt, Some(1_000_000));
        assert_eq!(wire.calls.all()[0].side(Role::Server).rtt.mean(), Some(1_000_000));
    }

    #[test]
    fn calls_end_in_different_ways() {
        let ending = |play: &dyn Fn(&mut Wire)| {
            let mut wire = Wire::default();
            wire.send(data(1, 1, CLIENT | Flags::LAST_PACKET), &[]);
            play(&mut wire);
            wire.calls.all()[0].ending()
        };
        assert_eq!(ending(&|_| {}), Ending::Unanswered);
        assert_eq!(ending(&|wire| drop(wire.send(data(1, 1, Flags::NONE), &[]))), Ending::Open);
        assert_eq!(ending(&|wire| drop(wire.send(data(1, 1, Flags::LAST_PACKET), &[]))), Ending::Complete);
        assert_eq!(ending(&|wire| drop(wire.send(header(PacketType::Busy, Flags::NONE), &[]))), Ending::Busy);
        let (by, code) = (Role::Server, AbortCode(-5));
        for (number, connection) in [(1, false), (0, true)] {
            let abort = Header { call_number: number, ..header(PacketType::Abort, Flags::NONE) };
            let aborted = ending(&|wire| {
                let mut out = Vec::new();
                emit_abort(&mut out, &abort, code);
                wire.packet(false, &out);
            });
            assert_eq!(aborted, Ending::Aborted { by, code, connection });
        }
    }

    #[test]
    fn an_abort_of_the_connection_spares_calls_that_are_over() {
        let mut wire = Wire::default();
        wire.send(data(1, 1, CLIENT | Flags::LAST_PACKET), &[]);
        wire.send(data(1, 1, Flags::LAST_PACKET), &[]);
        wire.send(Header { cid: 0x1234_5679, ..data(1, 2, CLIENT) }, &[]);
        let abort = Header { call_number: 0, ..header(PacketType::Abort, Flags::NONE) };
        let observation = wire.send(abort, &[0, 0, 0, 1]);
        assert_eq!(observation.on_channels, [Some(0), Some(1), None, None]);
        let endings: Vec<_> = wire.calls.all().iter().map(Call::ending).collect();
        assert_eq!(endings[0], Ending::Complete);
        assert!(matches!(endings[1], Ending::Aborted { connection: true, .. }));
    }

    #[test]
    fn a_long_debug_answer_is_read_by_what_was_asked() {
        let mut wire = Wire::default();
        let mut request = Vec::new();
        emit_debug_request(101, &DebugRequest { kind: DebugKind::Stats, index: 0 }, &mut request);
        let (stats, _) = DebugStats::parse(&[3; 56]).unwrap();
        let mut reply = Vec::new();
        emit_debug_reply(&Header::parse(&request).unwrap().0, &DebugReply::Stats(stats), &mut reply);
        reply.extend([0; 9]);
        assert!(wire.packet(false, &reply).0.fault.is_some());
        wire.packet(true, &request);
        let (packet, _) = wire.packet(false, &reply);
        assert_eq!(packet.fault, None);
        let expected = OwnedBody::Debug(OwnedDebug::Reply(DebugReply::Stats(stats)));
        assert_eq!(packet.content, Content::Body(expected));
    }
}
