//! Which datagrams are Rx.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use rxrpc_proto::wire::{Ack, Body, DEBUG_EPOCH, Flags, Header, PacketType, VERSION_LEN};

use super::net::{Datagram, Incomplete};

/// Ports that AFS and the benchmark services use.
const KNOWN_PORTS: [u16; 11] = [7000, 7001, 7002, 7003, 7004, 7005, 7006, 7007, 7008, 7009, 7021];

/// The highest security index that means anything.
const MAX_SECURITY_INDEX: u8 = 6;

/// Packets of a call and calls of a channel are seldom counted this far. Later packets of a call that is
/// as long are taken all the same, because the first ones were.
const UNUSUAL: u32 = 1 << 24;

/// Chooses datagrams: by port if ports are given, else by what they look like and who exchanges them.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    ports: Vec<u16>,
    /// Pairs of addresses that have exchanged an Rx packet, the lower address first.
    flows: HashSet<[SocketAddr; 2]>,
}

impl Selector {
    /// Takes everything from or to these ports and nothing else; without ports, all that seems to be Rx.
    pub(super) fn new(ports: &[u16]) -> Selector {
        Selector { ports: ports.to_vec(), flows: HashSet::new() }
    }

    /// Whether the datagram is taken. Once two addresses have exchanged a packet that is beyond doubt,
    /// all of theirs is taken, so that malformed packets are shown too.
    pub(super) fn takes(&mut self, datagram: &Datagram) -> bool {
        let ports = [datagram.from.port(), datagram.to.port()];
        if !self.ports.is_empty() {
            return ports.iter().any(|port| self.ports.contains(port));
        }
        let flow = flow(datagram.from, datagram.to);
        if self.flows.contains(&flow) {
            return true;
        }
        let sound = looks_like_rx(&datagram.payload);
        if sound {
            self.flows.insert(flow);
        }
        sound || (ports.iter().any(|port| KNOWN_PORTS.contains(port)) && has_rx_type(&datagram.payload))
    }

    /// Whether a datagram that was never completed would probably have been taken.
    pub(super) fn would_take(&self, incomplete: &Incomplete) -> bool {
        let Some((from, to)) = incomplete.ports else {
            return self.ports.is_empty() && self.flow_between(incomplete.from, incomplete.to);
        };
        let wanted = if self.ports.is_empty() { &KNOWN_PORTS[..] } else { &self.ports };
        let exchanged = flow(SocketAddr::new(incomplete.from, from), SocketAddr::new(incomplete.to, to));
        self.flows.contains(&exchanged) || wanted.contains(&from) || wanted.contains(&to)
    }

    fn flow_between(&self, one: IpAddr, other: IpAddr) -> bool {
        let mut addresses = [one, other];
        addresses.sort();
        self.flows.iter().any(|flow| flow.map(|end| end.ip()) == addresses)
    }
}

fn flow(from: SocketAddr, to: SocketAddr) -> [SocketAddr; 2] {
    if from <= to { [from, to] } else { [to, from] }
}

/// Whether there is a header whose type is a number in use.
fn has_rx_type(payload: &[u8]) -> bool {
    Header::parse(payload).is_ok_and(|(header, _)| matches!(header.packet_type.to_u8(), 1..=13))
}

/// Whether a payload is an Rx packet beyond reasonable doubt: sound, and every field that has to be zero
/// or small is. Payload of other protocols, all zeros included, does not pass.
pub(super) fn looks_like_rx(payload: &[u8]) -> bool {
    let Ok((header, octets)) = Header::parse(payload) else { return false };
    let Ok(body) = Body::parse(&header, octets) else { return false };
    let Header { packet_type, seq, call_number, cid, user_status, .. } = header;
    let plain = header.security_index <= MAX_SECURITY_INDEX && header.flags.0 & 0xd0 == 0;
    let status = user_status == 0 || (user_status == 1 && packet_type == PacketType::Data);
    plain
        && status
        && match body {
            Body::Data(_) => {
                let small = [seq, call_number].iter().all(|number| *number < UNUSUAL);
                small && header.serial >= seq && header.epoch != 0 && cid != 0
            }
            Body::Ack(ack) => seq == 0 && cid != 0 && is_usual_ack(&ack),
            Body::Abort(_) => seq == 0 && cid != 0 && octets.len() == 4,
            Body::Busy | Body::AckAll => seq == 0 && cid != 0 && octets.is_empty(),
            Body::Challenge(_) | Body::Response(_) => {
                seq == 0 && call_number == 0 && cid != 0 && header.security_index != 0
            }
            Body::Debug(_) => is_question(&header),
            Body::Version(_) => is_question(&header) && matches!(octets.len(), 1 | VERSION_LEN),
            Body::Ignored => false,
        }
}

fn is_usual_ack(ack: &Ack<'_>) -> bool {
    let fields = ack.fields;
    (1..=9).contains(&fields.reason.to_u8())
        && fields.first_packet != 0
        && ack.table().is_some_and(|table| table.iter().all(|entry| *entry <= 1))
}

/// Whether the header is one that askers write, or its answer, or that of a keepalive.
fn is_question(header: &Header) -> bool {
    header.epoch == DEBUG_EPOCH
        && header.cid == 0
        && header.seq == 0
        && header.serial == 0
        && header.flags.without(Flags::CLIENT_INITIATED | Flags::LAST_PACKET) == Flags::NONE
}

#[cfg(test)]
pub(super) mod tests {
    use rxrpc_proto::wire::{AbortCode, AckFields, AckReason, emit_abort, emit_ack, emit_keepalive};

    use super::*;

    pub(in crate::decode) fn header(packet_type: PacketType, flags: Flags) -> Header {
        Header {
            epoch: 0x8000_1234,
            cid: 0x1234_5678,
            call_number: 1,
            seq: u32::from(packet_type == PacketType::Data),
            serial: 1,
            packet_type,
            flags,
            user_status: 0,
            security_index: 0,
            checksum: 0,
            service_id: 148,
        }
    }

    fn datagram(ports: [u16; 2], payload: &[u8]) -> Datagram {
        let [from, to] = ports.map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        let (payload, declared) = (payload.to_vec(), payload.len());
        Datagram { frame: 1, time: 0, from, to, payload, declared, fragments: 1 }
    }

    pub(in crate::decode) fn data(call_number: u32, payload: &[u8]) -> Vec<u8> {
        let header = Header { call_number, ..header(PacketType::Data, Flags::CLIENT_INITIATED) };
        [&header.to_bytes()[..], payload].concat()
    }

    fn samples() -> Vec<Vec<u8>> {
        let ack = AckFields {
            buffer_space: 0,
            max_skew: 0,
            first_packet: 2,
            previous_packet: 1,
            serial: 1,
            reason: AckReason::Idle,
        };
        let mut acked = header(PacketType::Ack, Flags::SLOW_START_OK).to_bytes().to_vec();
        emit_ack(&mut acked, &ack, [false, true].into_iter(), None);
        let mut aborted = Vec::new();
        emit_abort(&mut aborted, &header(PacketType::Abort, Flags::NONE), AbortCode(-1));
        let mut kept = Vec::new();
        emit_keepalive(DEBUG_EPOCH, &mut kept);
        vec![data(1, b"hello"), acked, aborted, kept]
    }

    #[test]
    fn sound_packets_are_taken_on_any_port() {
        for payload in samples() {
            assert!(looks_like_rx(&payload), "{payload:?}");
            assert!(Selector::new(&[]).takes(&datagram([1, 2], &payload)));
        }
    }

    #[test]
    fn other_protocols_are_not() {
        for payload in
            [vec![0; 100], vec![0xff; 100], vec![1; 100], b"GET / HTTP/1.1\r\nHost: example\r\n\r\n".to_vec()]
        {
            assert!(!looks_like_rx(&payload));
            assert!(!Selector::new(&[]).takes(&datagram([1, 2], &payload)));
        }
    }

    #[test]
    fn known_ports_need_no_more_than_a_type() {
        let mut odd = data(1, b"");
        odd[12..16].fill(0);
        assert!(!looks_like_rx(&odd));
        assert!(Selector::new(&[]).takes(&datagram([1, 7003], &odd)));
        assert!(!Selector::new(&[]).takes(&datagram([1, 7010], &odd)));
        assert!(!Selector::new(&[]).takes(&datagram([1, 7003], &odd[..27])));
    }

    #[test]
    fn after_one_sound_packet_everything_between_two_addresses_is_taken() {
        let mut selector = Selector::new(&[]);
        assert!(!selector.takes(&datagram([1, 2], b"?")));
        assert!(selector.takes(&datagram([1, 2], &data(1, b""))));
        assert!(selector.takes(&datagram([2, 1], b"?")));
        assert!(!selector.takes(&datagram([3, 1], b"?")));
    }

    #[test]
    fn given_ports_decide_alone() {
        let mut selector = Selector::new(&[7039, 53]);
        assert!(selector.takes(&datagram([1, 53], b"?")));
        assert!(selector.takes(&datagram([7039, 1], b"?")));
        assert!(!selector.takes(&datagram([7000, 1], &data(1, b""))));
    }
}
