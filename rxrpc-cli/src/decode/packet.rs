//! One Rx packet, taken apart.

use std::net::SocketAddr;

use rxrpc_proto::Fault;
use rxrpc_proto::wire::{
    Body, Data, DebugKind, DebugReply, Flags, FrameFault, HEADER_LEN, Header, JumboFault, OwnedAck,
    OwnedBody, OwnedChallenge, OwnedDebug, OwnedPacket, OwnedResponse, PacketType, RxgkChallenge,
    RxgkResponse, RxkadChallenge, RxkadResponse, SECURITY_RXGK, SECURITY_RXKAD, SECURITY_RXKAD_CRYPT,
    SECURITY_YFS_RXGK,
};

use super::net::Datagram;
use super::offload;

/// A packet and where it was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Packet {
    /// Number of its frame in the file.
    pub(super) frame: u64,
    /// When it was captured, in nanoseconds since 1970.
    pub(super) time: u64,
    /// Who sent it.
    pub(super) from: SocketAddr,
    /// Who it is for.
    pub(super) to: SocketAddr,
    /// Octets of the packet, header included.
    pub(super) len: usize,
    /// How many of them were captured.
    pub(super) captured: usize,
    /// IP fragments it came in, 1 if it was whole.
    pub(super) fragments: usize,
    /// The header, if it is complete.
    pub(super) header: Option<Header>,
    /// What follows it.
    pub(super) content: Content,
    /// What is wrong with the packet.
    pub(super) fault: Option<Wrong>,
}

/// What follows a header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// Segments of a call, without their octets.
    Data(Vec<Piece>),
    /// Any other body.
    Body(OwnedBody),
    /// Nothing that can be read.
    Nothing,
}

/// A segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// Number of the packet in its direction of the call.
    pub(super) seq: u32,
    /// Serial of the packet.
    pub(super) serial: u32,
    /// Flags of this segment.
    pub(super) flags: Flags,
    /// Value of the security class for this segment.
    pub(super) checksum: u16,
    /// Octets of payload.
    pub(super) len: usize,
    /// The first four octets of a request in the clear, by convention the number of the operation.
    pub(super) operation: Option<u32>,
}

/// What is wrong with a packet: the name of a fault of the protocol, and a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wrong {
    /// The sender broke the protocol.
    Malformed(&'static str, String),
    /// Nothing, maybe: the capture cut the packet.
    Cut,
}

impl Packet {
    /// The side that opened the connection and the other one.
    pub(super) fn client_and_server(&self) -> Option<[SocketAddr; 2]> {
        let header = self.header?;
        Some(if header.from_client() { [self.from, self.to] } else { [self.to, self.from] })
    }

    /// Reads an answer of the debug service again, now that it is known what was asked. Answers that are
    /// longer than usual cannot be told by their length.
    pub(super) fn read_debug_reply(&mut self, asked: DebugKind) {
        let Content::Body(OwnedBody::Debug(OwnedDebug::Other(octets))) = &self.content else { return };
        if let Ok(reply) = DebugReply::parse(asked, octets) {
            self.content = Content::Body(OwnedBody::Debug(OwnedDebug::Reply(reply)));
            self.fault = None;
        }
    }

    /// The segments, none in packets of other types.
    pub(super) fn pieces(&self) -> &[Piece] {
        if let Content::Data(pieces) = &self.content { pieces } else { &[] }
    }

    /// The ACK, if the packet is one.
    pub(super) fn ack(&self) -> Option<&OwnedAck> {
        if let Content::Body(OwnedBody::Ack(ack)) = &self.content { Some(ack) } else { None }
    }
}

/// The packets of a datagram: one, unless segmentation offload has left several together.
pub(super) fn packets(datagram: &Datagram) -> Vec<Packet> {
    // What a capture cut off cannot be told from a boundary.
    let parts = if datagram.payload.len() == datagram.declared {
        offload::split(&datagram.payload)
    } else {
        vec![&datagram.payload[..]]
    };
    let alone = parts.len() == 1;
    parts
        .iter()
        .map(|octets| packet(datagram, octets, if alone { datagram.declared } else { octets.len() }))
        .collect()
}

/// One packet, which is `len` octets long if the capture has cut it.
pub(super) fn packet(datagram: &Datagram, octets: &[u8], len: usize) -> Packet {
    let header = Header::parse(octets).ok();
    let (content, fault) = match header {
        Some((header, body)) if header.packet_type == PacketType::Data => data(&header, body, len),
        _ => other(octets),
    };
    let cut = octets.len() < len;
    Packet {
        frame: datagram.frame,
        time: datagram.time,
        from: datagram.from,
        to: datagram.to,
        len,
        captured: octets.len(),
        fragments: datagram.fragments,
        header: header.map(|(header, _)| header),
        content,
        fault: if cut { Some(Wrong::Cut) } else { fault },
    }
}

fn malformed(name: &'static str, text: impl ToString) -> Option<Wrong> {
    Some(Wrong::Malformed(name, text.to_string()))
}

/// The segments of a DATA packet of `len` octets, of which `body` was captured.
fn data(header: &Header, body: &[u8], len: usize) -> (Content, Option<Wrong>) {
    if let Err(fault) = Body::parse(header, body) {
        return (Content::Nothing, malformed(fault.name(), fault));
    }
    let missing = len.saturating_sub(HEADER_LEN).saturating_sub(body.len());
    let first_request = header.from_client() && header.seq == 1 && header.security_index == 0;
    let (mut pieces, mut fault) = (Vec::new(), None);
    let mut segments = Data::new(header, body).segments();
    for segment in segments.by_ref() {
        match segment {
            Ok(segment) => pieces.push(Piece {
                seq: segment.seq,
                serial: segment.serial,
                flags: segment.flags,
                checksum: segment.checksum,
                len: segment.payload.len(),
                operation: segment
                    .payload
                    .first_chunk()
                    .filter(|_| first_request && segment.seq == 1)
                    .map(|octets| u32::from_be_bytes(*octets)),
            }),
            Err(found) => fault = Some(found),
        }
    }
    if let (Some(last), None) = (pieces.last_mut(), fault) {
        last.len = last.len.saturating_add(missing);
    }
    (Content::Data(pieces), fault.and_then(|fault: JumboFault| malformed(fault.name(), fault)))
}

/// The body of a packet of any other type.
fn other(octets: &[u8]) -> (Content, Option<Wrong>) {
    match OwnedPacket::parse(octets) {
        Ok(packet) => {
            let fault = body_fault(packet.header.security_index, &packet.body);
            (Content::Body(packet.body), fault)
        }
        Err(fault) => (Content::Nothing, malformed(fault.name(), fault)),
    }
}

/// What is wrong inside a body that as such can be read.
fn body_fault(security_index: u8, body: &OwnedBody) -> Option<Wrong> {
    match body {
        OwnedBody::Ack(ack) if ack.table.len() < usize::from(ack.declared) => {
            malformed(Fault::ShortSack.name(), Fault::ShortSack)
        }
        OwnedBody::Ack(ack) if ack.fields.first_packet == 0 => {
            malformed(Fault::AckZeroFirst.name(), Fault::AckZeroFirst)
        }
        OwnedBody::Challenge(OwnedChallenge::Other(octets)) => frame_fault(match security_index {
            SECURITY_RXKAD | SECURITY_RXKAD_CRYPT => RxkadChallenge::parse(octets).err(),
            SECURITY_RXGK | SECURITY_YFS_RXGK => RxgkChallenge::parse(octets).err(),
            _ => None,
        }),
        OwnedBody::Response(OwnedResponse::Other(octets)) => frame_fault(match security_index {
            SECURITY_RXKAD | SECURITY_RXKAD_CRYPT => RxkadResponse::parse(octets).err(),
            SECURITY_RXGK | SECURITY_YFS_RXGK => RxgkResponse::parse(octets).err(),
            _ => None,
        }),
        OwnedBody::Debug(OwnedDebug::Other(_)) => frame_fault(Some(FrameFault::Short)),
        _ => None,
    }
}

fn frame_fault(fault: Option<FrameFault>) -> Option<Wrong> {
    fault.and_then(|fault| malformed(fault.name(), fault))
}

#[cfg(test)]
mod tests {
    use rxrpc_proto::wire::{AckReason, JumboBuilder};

    use super::super::select::tests::header;
    use super::*;

    pub(super) fn datagram(payload: &[u8], declared: usize) -> Datagram {
        let [from, to] = [1, 2].map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        Datagram { frame: 1, time: 0, from, to, payload: payload.to_vec(), declared, fragments: 1 }
    }

    fn one(payload: &[u8], declared: usize) -> Packet {
        let mut all = packets(&datagram(payload, declared));
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn jumbo() -> Vec<u8> {
        let mut out = Vec::new();
        let mut joined =
            JumboBuilder::new(&mut out, &header(PacketType::Data, Flags::CLIENT_INITIATED), &[7; 1412]);
        joined.push(Flags::CLIENT_INITIATED, 5, &[8; 1412]).unwrap();
        joined.push(Flags::CLIENT_INITIATED | Flags::LAST_PACKET, 6, &[9; 3]).unwrap();
        out
    }

    #[test]
    fn a_jumbo_is_split() {
        let payload = jumbo();
        let packet = one(&payload, payload.len());
        let listed: Vec<_> = packet.pieces().iter().map(|p| (p.seq, p.serial, p.checksum, p.len)).collect();
        assert_eq!(listed, [(1, 1, 0, 1412), (2, 2, 5, 1412), (3, 3, 6, 3)]);
        assert_eq!(packet.pieces()[0].operation, Some(0x0707_0707));
        assert_eq!((packet.pieces()[1].operation, packet.fault), (None, None));
    }

    #[test]
    fn what_the_capture_cut_is_no_fault_of_the_sender() {
        let payload = jumbo();
        let packet = one(&payload[..2000], payload.len());
        assert_eq!((packet.pieces().len(), packet.fault), (1, Some(Wrong::Cut)));
        let packet = one(&payload[..2000], 2000);
        let short = Wrong::Malformed("Short", "jumbo segment cut short".into());
        assert_eq!((packet.pieces().len(), packet.fault), (1, Some(short)));
        let plain = &payload[..100];
        let mut plain = plain.to_vec();
        plain[21] = 1;
        assert_eq!(one(&plain, 1440).pieces()[0].len, 1412);
    }

    #[test]
    fn faults_have_their_names() {
        let ack = |body: &[u8]| [&header(PacketType::Ack, Flags::NONE).to_bytes()[..], body].concat();
        let mut zero_first = vec![0; 18];
        zero_first[16] = AckReason::Idle.to_u8();
        let mut short_table = vec![1; 20];
        short_table[17] = 9;
        let typed = |number: u8| header(PacketType::from(number), Flags::NONE).to_bytes().to_vec();
        let mut challenge = typed(6);
        challenge[23] = 2;
        for (payload, name) in [
            (vec![1; 27], "ShortHeader"),
            (ack(&[0; 17]), "ShortAck"),
            (ack(&zero_first), "AckZeroFirst"),
            (ack(&short_table), "ShortSack"),
            (typed(4), "ShortAbort"),
            (typed(7), "ResponseToClient"),
            (typed(99), "UnknownType"),
            (challenge, "Short"),
            (typed(8), "Short"),
        ] {
            let fault = one(&payload, payload.len()).fault;
            assert!(
                matches!(&fault, Some(Wrong::Malformed(found, _)) if *found == name),
                "{name}: {fault:?}"
            );
        }
    }
}
