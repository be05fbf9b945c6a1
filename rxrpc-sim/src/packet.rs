//! Datagrams on their way, and the memory they lie in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A node of the scenario, by its place.
pub type NodeId = u16;

/// Bytes of IPv4 and UDP headers.
pub const IP_UDP: usize = 28;
/// Bytes of IPv6 and UDP headers.
pub const IPV6_UDP: usize = 48;

/// The port every node uses.
const PORT: u16 = 7000;

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Number of the datagram; copies keep it.
    pub id: u64,
    /// Where it says it comes from. Changed by address translators.
    pub src: SocketAddr,
    /// Where it goes.
    pub dst: SocketAddr,
    /// UDP payload.
    pub bytes: Vec<u8>,
    /// No router may cut it into fragments.
    pub df: bool,
    /// ECN bits.
    pub ecn: u8,
    /// Node that sent it; `None` if an attacker did.
    pub origin: Option<NodeId>,
    /// Its bytes are no longer what was sent.
    pub damaged: bool,
    /// It is a copy.
    pub copy: bool,
    /// It was made earlier than it was sent: the socket was blocked.
    pub late: bool,
    /// Link it travels along.
    pub(crate) chain: u32,
    /// Elements of the link it has passed.
    pub(crate) hop: u32,
}

impl Packet {
    /// A packet that nothing has happened to yet.
    pub(crate) fn new(src: SocketAddr, dst: SocketAddr, bytes: Vec<u8>) -> Self {
        Packet {
            id: 0,
            src,
            dst,
            bytes,
            df: false,
            ecn: 0,
            origin: None,
            damaged: false,
            copy: false,
            late: false,
            chain: 0,
            hop: 0,
        }
    }

    /// Bytes of the IP packet.
    #[must_use]
    pub fn ip_len(&self) -> usize {
        self.bytes.len() + if self.dst.is_ipv6() { IPV6_UDP } else { IP_UDP }
    }
}

/// Memory of packets that have arrived or were lost, for the next ones.
#[derive(Debug, Default)]
pub struct Pool {
    free: Vec<Vec<u8>>,
}

impl Pool {
    /// Memory with a copy of `bytes`.
    #[must_use]
    pub fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut memory = self.free.pop().unwrap_or_default();
        memory.clear();
        memory.extend_from_slice(bytes);
        memory
    }

    /// Give memory back.
    pub fn give(&mut self, memory: Vec<u8>) {
        if self.free.len() < 4096 {
            self.free.push(memory);
        }
    }
}

/// Address of a node itself.
#[must_use]
pub fn inside(node: NodeId, ipv6: bool) -> SocketAddr {
    let [high, low] = (node + 1).to_be_bytes();
    let ip: IpAddr = if ipv6 {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, node + 1).into()
    } else {
        Ipv4Addr::new(10, 0, high, low).into()
    };
    SocketAddr::new(ip, PORT)
}

/// Outer address of the translator in front of a node, with this port.
#[must_use]
pub fn outside(node: NodeId, port: u16, ipv6: bool) -> SocketAddr {
    let [high, low] = (node + 1).to_be_bytes();
    let ip: IpAddr = if ipv6 {
        Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, node + 1).into()
    } else {
        Ipv4Addr::new(10, 1, high, low).into()
    };
    SocketAddr::new(ip, port)
}

/// Another address of the same host, same port.
#[must_use]
pub(crate) fn elsewhere(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) => {
            let [a, _, high, low] = ip.octets();
            Ipv4Addr::new(a, 2, high, low).into()
        }
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !(0xffff << 112) | 0xfd02 << 112).into(),
    };
    SocketAddr::new(ip, addr.port())
}

/// Whether a packet to `dst` reaches the host with this address, which has another one as well.
#[must_use]
pub(crate) fn reaches(dst: &SocketAddr, addr: &SocketAddr) -> bool {
    dst == addr || *dst == elsewhere(*addr)
}

/// Address of somebody who is no node.
#[must_use]
pub fn stranger(n: u32, ipv6: bool) -> SocketAddr {
    let [_, _, high, low] = n.to_be_bytes();
    // Now and then one that nobody can answer.
    let port = if n.is_multiple_of(64) { 0 } else { 1024 + (n % 50_000) as u16 };
    let ip: IpAddr = if ipv6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n as u16).into()
    } else {
        Ipv4Addr::new(198, 18, high, low).into()
    };
    SocketAddr::new(ip, port)
}

/// The node that an address, one of its own or its translator's, belongs to.
#[must_use]
pub fn node_at(addr: &SocketAddr) -> Option<NodeId> {
    match addr {
        SocketAddr::V4(addr) => match addr.ip().octets() {
            [10, 0..=2, high, low] => u16::from_be_bytes([high, low]).checked_sub(1),
            _ => None,
        },
        SocketAddr::V6(addr) => match addr.ip().segments() {
            [0xfd00..=0xfd02, .., node] => node.checked_sub(1),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_back_to_their_nodes() {
        for node in [0, 1, 255, 256, 60_000] {
            for v6 in [false, true] {
                assert_eq!(node_at(&inside(node, v6)), Some(node));
                assert_eq!(node_at(&outside(node, 5, v6)), Some(node));
                assert_eq!(node_at(&elsewhere(inside(node, v6))), Some(node));
            }
        }
        for v6 in [false, true] {
            assert_eq!((node_at(&stranger(7, v6)), stranger(7, v6).is_ipv6()), (None, v6));
        }
    }
}
