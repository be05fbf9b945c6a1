//! One peer of a peer.

use core::net::Ipv4Addr;

use super::Timeval;
use crate::wire::layout::layout;

layout! {
    /// The answer to GETPEER.
    pub struct DebugPeer {
        /// Offset 0: the address; [`END`](Self::END) if there are no more peers.
        pub host: Ipv4Addr,
        /// Offset 4: the UDP port.
        pub port: u16,
        /// Offset 6: packet size of the interface, in octets.
        pub if_mtu: u16,
        /// Offset 8: when the last connection went away, in seconds since 1970.
        pub idle_when: u32,
        /// Offset 12: connections that refer to the peer.
        pub references: i16,
        /// Offset 14: unused.
        pub burst_size: u8,
        /// Offset 15: unused.
        pub burst: u8,
        /// Offset 16: unused.
        pub burst_wait: Timeval,
        /// Offset 24: smoothed round-trip time in 1/8 ms.
        pub rtt: i32,
        /// Offset 28: deviation of the round-trip time in 1/4 ms.
        pub rtt_deviation: i32,
        /// Offset 32: retransmission time-out; 0 from current peers.
        pub timeout: Timeval,
        /// Offset 40: packets sent.
        pub sent: i32,
        /// Offset 44: packets sent again.
        pub resent: i32,
        /// Offset 48: reordering seen.
        pub in_skew: i32,
        /// Offset 52: reordering that the other side reported.
        pub out_skew: i32,
        /// Offset 56: unused.
        pub rate_flag: i32,
        /// Offset 60: packet size learnt for the path, in octets.
        pub nat_mtu: u16,
        /// Offset 62: the largest datagram the other side takes, in octets.
        pub max_mtu: u16,
        /// Offset 64: the most jumbo segments the other side takes.
        pub max_segments: u16,
        /// Offset 66: the most jumbo segments this interface takes.
        pub if_segments: u16,
        /// Offset 68: packet size that new calls start with, in octets.
        pub mtu: u16,
        /// Offset 70: congestion window that new calls start with, in packets.
        pub cwnd: u16,
        /// Offset 72: jumbo segments that new calls start with.
        pub segments: u16,
        /// Offset 74: counts changes of the congestion state.
        pub congestion_seq: u16,
        /// Offset 76: octets sent.
        pub bytes_sent: u64,
        /// Offset 84: octets received.
        pub bytes_received: u64,
        /// Offset 92: unused.
        pub spares: [i32; 10],
    }
}

impl DebugPeer {
    /// The address in the answer for an index past the last peer.
    pub const END: Ipv4Addr = Ipv4Addr::BROADCAST;

    /// Whether this answer says that there are no more peers.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        self.host.to_bits() == DebugPeer::END.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn peer_fields_stand_at_their_offsets() {
        let body: Vec<u8> = (0..=u8::MAX).take(DebugPeer::LEN).collect();
        let (peer, rest) = DebugPeer::parse(&body).unwrap();
        assert!(rest.is_empty());
        assert_eq!((peer.host, peer.port, peer.if_mtu), (Ipv4Addr::new(0, 1, 2, 3), 0x0405, 0x0607));
        assert_eq!((peer.references, peer.burst_size, peer.burst), (0x0c0d, 14, 15));
        assert_eq!((peer.rtt, peer.rtt_deviation, peer.sent), (0x1819_1a1b, 0x1c1d_1e1f, 0x2829_2a2b));
        assert_eq!((peer.rate_flag, peer.nat_mtu, peer.max_mtu), (0x3839_3a3b, 0x3c3d, 0x3e3f));
        assert_eq!(
            (peer.mtu, peer.cwnd, peer.segments, peer.congestion_seq),
            (0x4445, 0x4647, 0x4849, 0x4a4b)
        );
        assert_eq!((peer.bytes_sent, peer.bytes_received), (0x4c4d_4e4f_5051_5253, 0x5455_5657_5859_5a5b));
        assert_eq!(peer.spares[9], 0x8081_8283_u32 as i32);
    }

    #[test]
    fn the_end_of_the_list_is_an_address_of_all_ones() {
        let mut body = [0; DebugPeer::LEN];
        assert!(!DebugPeer::parse(&body).unwrap().0.is_end());
        body[..4].fill(0xff);
        assert!(DebugPeer::parse(&body).unwrap().0.is_end());
    }
}
