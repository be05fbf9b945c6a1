//! The IP and UDP headers that a simulated datagram would have had.

use std::net::{IpAddr, Ipv6Addr};

use rxrpc_sim::Packet;

/// The number of UDP among the protocols over IP.
const UDP: u8 = 17;
const TTL: u8 = 64;
/// Bit of the IPv4 header that forbids fragments.
const DONT_FRAGMENT: u16 = 0x4000;

/// The whole IP packet.
pub(super) fn whole(packet: &Packet) -> Vec<u8> {
    match (packet.src.ip(), packet.dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => v4(packet, src.octets(), dst.octets()),
        (src, dst) => v6(packet, sixth(src).octets(), sixth(dst).octets()),
    }
}

/// The address, one of the older kind as IPv6 writes it.
fn sixth(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn v4(packet: &Packet, src: [u8; 4], dst: [u8; 4]) -> Vec<u8> {
    let udp = udp(packet, &[&src[..], &dst[..]].concat());
    let mut out = Vec::with_capacity(20 + udp.len());
    out.extend([0x45, packet.ecn & 3]);
    out.extend(short(20 + udp.len()));
    // Copies and what else is sent of a packet keep its number.
    out.extend((packet.id as u16).to_be_bytes());
    out.extend((if packet.df { DONT_FRAGMENT } else { 0 }).to_be_bytes());
    out.extend([TTL, UDP, 0, 0]);
    out.extend(src);
    out.extend(dst);
    let sum = checksum(&[&out]);
    out[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend(udp);
    out
}

fn v6(packet: &Packet, src: [u8; 16], dst: [u8; 16]) -> Vec<u8> {
    let udp = udp(packet, &[&src[..], &dst[..]].concat());
    let mut out = Vec::with_capacity(40 + udp.len());
    out.extend([0x60, (packet.ecn & 3) << 4, 0, 0]);
    out.extend(short(udp.len()));
    out.extend([UDP, TTL]);
    out.extend(src);
    out.extend(dst);
    out.extend(udp);
    out
}

fn udp(packet: &Packet, addresses: &[u8]) -> Vec<u8> {
    let len = short(8 + packet.bytes.len());
    let mut out = Vec::with_capacity(8 + packet.bytes.len());
    out.extend(packet.src.port().to_be_bytes());
    out.extend(packet.dst.port().to_be_bytes());
    out.extend(len);
    out.extend([0, 0]);
    out.extend_from_slice(&packet.bytes);
    // Zero would say that there is none.
    let sum = match checksum(&[addresses, &[0, UDP], &len, &out]) {
        0 => 0xffff,
        sum => sum,
    };
    out[6..8].copy_from_slice(&sum.to_be_bytes());
    out
}

fn short(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

/// The Internet checksum (RFC 1071). All parts but the last have even lengths.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u64 = words.map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |low| u64::from(*low))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rxrpc_sim::{Fate, Observer, Scenario, Sim};

    use super::*;

    /// A packet of a run, with these ends and this payload.
    fn packet(src: &str, dst: &str, bytes: &[u8]) -> Packet {
        struct First(std::rc::Rc<std::cell::RefCell<Option<Packet>>>);
        impl Observer for First {
            fn datagram(&mut self, _: rxrpc_proto::Instant, packet: &Packet, _: Fate) {
                self.0.borrow_mut().get_or_insert_with(|| packet.clone());
            }
        }
        let first = std::rc::Rc::default();
        let mut scenario = Scenario::new(1, 2);
        scenario.call(0, 1, 10, 10);
        let mut sim = Sim::new(scenario);
        sim.observe(Box::new(First(std::rc::Rc::clone(&first))));
        while first.borrow().is_none() && sim.step() {}
        let mut packet = first.borrow_mut().take().unwrap();
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        (packet.src, packet.dst, packet.bytes) = (at(src), at(dst), bytes.to_vec());
        (packet.df, packet.ecn) = (true, 2);
        packet
    }

    /// What a receiver finds: all words of what is summed, checksum included, give zero.
    fn holds(parts: &[&[u8]]) -> bool {
        checksum(parts) == 0
    }

    #[test]
    fn an_ipv4_packet_is_as_a_receiver_wants_it() {
        for payload in [&b""[..], b"odd", b"even"] {
            let out = whole(&packet("10.0.1.2:7000", "10.1.2.3:40000", payload));
            assert_eq!(out.len(), 28 + payload.len());
            assert_eq!((out[0], out[1], out[6], out[9]), (0x45, 2, 0x40, 17));
            assert_eq!(out[12..20], [10, 0, 1, 2, 10, 1, 2, 3]);
            assert_eq!(out[20..24], [27, 88, 156, 64]);
            assert_eq!(&out[28..], payload);
            assert!(holds(&[&out[..20]]));
            assert!(holds(&[&out[12..20], &[0, 17], &out[24..26], &out[20..]]));
        }
    }

    #[test]
    fn ipv6_is_used_if_one_end_has_it() {
        for (src, first) in [("[fd00::1]:7000", 0xfd), ("10.0.1.2:7000", 0)] {
            let out = whole(&packet(src, "[fd00::2]:7000", b"odd"));
            assert_eq!((out.len(), out[0], out[1], out[6], out[8]), (51, 0x60, 0x20, 17, first));
            assert!(holds(&[&out[8..40], &[0, 17], &out[44..46], &out[40..]]));
        }
    }

    #[test]
    fn a_checksum_of_zero_is_written_as_all_ones() {
        let any = whole(&packet("10.0.1.2:1", "10.0.1.3:2", &[0, 0]));
        let sum = u16::from_be_bytes([any[26], any[27]]);
        let out = whole(&packet("10.0.1.2:1", "10.0.1.3:2", &sum.to_be_bytes()));
        assert_eq!(out[26..28], [0xff, 0xff]);
    }

    #[test]
    fn one_wrong_bit_shows() {
        let mut out = whole(&packet("10.0.1.2:7000", "10.0.1.3:7000", b"payload"));
        out[30] ^= 4;
        assert!(!holds(&[&out[12..20], &[0, 17], &out[24..26], &out[20..]]));
    }
}
