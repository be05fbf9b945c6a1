//! IPv4 and IPv6 headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an IP packet holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Inside<'a> {
    /// A UDP datagram, as much of it as there is, and the octets there should be.
    Udp { from: IpAddr, to: IpAddr, octets: &'a [u8], declared: usize },
    /// A part of a UDP datagram.
    Fragment(Fragment<'a>),
    /// The packet ends within its headers.
    Cut,
    /// Another protocol.
    Other,
}

/// A part of a UDP datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fragment<'a> {
    /// Sender and receiver.
    pub(super) addresses: [IpAddr; 2],
    /// What all parts of one datagram share.
    pub(super) id: u32,
    /// Octets of the datagram before this part.
    pub(super) offset: usize,
    /// Whether others follow.
    pub(super) more: bool,
    /// The octets of this part.
    pub(super) octets: &'a [u8],
    /// Whether all of them were captured.
    pub(super) whole: bool,
}

const UDP: u8 = 17;
/// IPv6 extension headers with a length in units of eight octets.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const DESTINATION: u8 = 60;
/// The IPv6 header of fragments, always eight octets.
const FRAGMENT: u8 = 44;
/// The authentication header, with a length in units of four octets.
const AUTHENTICATION: u8 = 51;
/// More extension headers than any stack sends.
const MAX_EXTENSIONS: usize = 16;

/// Reads the IP header in front of a packet.
pub(super) fn parse(packet: &[u8]) -> Inside<'_> {
    let inside = match packet.first().map(|first| first >> 4) {
        Some(4) => parse_v4(packet),
        Some(6) => parse_v6(packet),
        _ => return Inside::Other,
    };
    inside.unwrap_or(Inside::Cut)
}

fn parse_v4(packet: &[u8]) -> Option<Inside<'_>> {
    #[rustfmt::skip]
    let &[
        first, _, l0, l1,  i0, i1, f0, f1,  _, protocol, _, _,  s0, s1, s2, s3,  d0, d1, d2, d3,
    ] = packet.first_chunk::<20>()?;
    if protocol != UDP {
        return Some(Inside::Other);
    }
    let header = usize::from(first & 15).saturating_mul(4).max(20);
    let total = match usize::from(u16::from_be_bytes([l0, l1])) {
        // Segmentation offload writes no length that does not fit.
        0 => packet.len(),
        total => total,
    };
    let declared = total.checked_sub(header)?;
    let octets = packet.get(header..)?;
    let octets = octets.get(..declared).unwrap_or(octets);
    let addresses = [Ipv4Addr::new(s0, s1, s2, s3).into(), Ipv4Addr::new(d0, d1, d2, d3).into()];
    let place = u16::from_be_bytes([f0, f1]);
    let (offset, more) = (usize::from(place & 0x1fff).saturating_mul(8), place & 0x2000 != 0);
    let id = u32::from(u16::from_be_bytes([i0, i1]));
    Some(part_or_whole(
        Fragment { addresses, id, offset, more, octets, whole: octets.len() == declared },
        declared,
    ))
}

fn parse_v6(packet: &[u8]) -> Option<Inside<'_>> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    let &[_, _, _, _, l0, l1, mut next, _, ref addresses @ ..] = header;
    let address = |octets: Option<&[u8; 16]>| octets.copied().map(Ipv6Addr::from).map(IpAddr::from);
    let addresses = [address(addresses.first_chunk())?, address(addresses.last_chunk())?];
    let mut declared = match usize::from(u16::from_be_bytes([l0, l1])) {
        0 => rest.len(),
        length => length,
    };
    let mut octets = rest.get(..declared).unwrap_or(rest);
    let (mut id, mut offset, mut more) = (0, 0, false);
    for _ in 0..MAX_EXTENSIONS {
        let length = match next {
            UDP => {
                let whole = octets.len() == declared;
                return Some(part_or_whole(
                    Fragment { addresses, id, offset, more, octets, whole },
                    declared,
                ));
            }
            HOP_BY_HOP | ROUTING | DESTINATION => {
                usize::from(*octets.get(1)?).saturating_add(1).saturating_mul(8)
            }
            AUTHENTICATION => usize::from(*octets.get(1)?).saturating_add(2).saturating_mul(4),
            FRAGMENT => {
                let &[_, _, o0, o1, i0, i1, i2, i3] = octets.first_chunk::<8>()?;
                let place = u16::from_be_bytes([o0, o1]);
                (offset, more) = (usize::from(place & 0xfff8), place & 1 != 0);
                id = u32::from_be_bytes([i0, i1, i2, i3]);
                8
            }
            _ => return Some(Inside::Other),
        };
        next = *octets.first()?;
        octets = octets.get(length..)?;
        declared = declared.checked_sub(length)?;
    }
    Some(Inside::Other)
}

/// A fragment that is the whole datagram is no fragment.
fn part_or_whole(part: Fragment<'_>, declared: usize) -> Inside<'_> {
    if part.offset == 0 && !part.more {
        let [from, to] = part.addresses;
        Inside::Udp { from, to, octets: part.octets, declared }
    } else {
        Inside::Fragment(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(flags: u16, total: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x46, 0];
        packet.extend(total.to_be_bytes());
        packet.extend([0, 9]);
        packet.extend(flags.to_be_bytes());
        packet.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 0]);
        packet.extend_from_slice(payload);
        packet
    }

    /// An IPv6 packet; `extensions` follow the header, whose next header is `next`.
    fn v6(next: u8, extensions: &[u8], payload: &[u8]) -> Vec<u8> {
        let length = (extensions.len() + payload.len()) as u16;
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([next, 64]);
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend("fe80::2".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend_from_slice(extensions);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn options_are_skipped_and_what_follows_the_packet_is_left_out() {
        let packet = [v4(0x4000, 27, &[1, 2, 3]), vec![0; 9]].concat();
        let (from, to) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        assert_eq!(parse(&packet), Inside::Udp { from, to, octets: &[1, 2, 3], declared: 3 });
        assert_eq!(parse(&packet[..25]), Inside::Udp { from, to, octets: &[1], declared: 3 });
        assert_eq!(parse(&packet[..23]), Inside::Cut);
        assert_eq!(parse(&v4(0, 5, &[1])), Inside::Cut);
    }

    #[test]
    fn fragments_of_both_versions_are_told() {
        let packet = v4(0x2003, 25, &[7]);
        let Inside::Fragment(part) = parse(&packet) else { panic!() };
        assert_eq!((part.id, part.offset, part.more, part.octets, part.whole), (9, 24, true, &[7][..], true));
        let packet = v6(44, &[17, 0, 0, 0x19, 0, 0, 0, 5], &[7]);
        let Inside::Fragment(part) = parse(&packet) else { panic!() };
        assert_eq!((part.id, part.offset, part.more, part.octets, part.whole), (5, 24, true, &[7][..], true));
        let packet = v6(44, &[17, 0, 0, 0x18, 0, 0, 0, 5], &[7, 8]);
        let Inside::Fragment(part) = parse(&packet[..packet.len() - 1]) else { panic!() };
        assert_eq!((part.more, part.octets, part.whole), (false, &[7][..], false));
    }

    #[test]
    fn extension_headers_are_skipped() {
        let extensions =
            [&[43, 0, 0, 0, 0, 0, 0, 0][..], &[60, 1], &[0; 14], &[51, 0], &[0; 6], &[17, 1], &[0; 10]];
        let packet = v6(0, &extensions.concat(), &[1, 2]);
        let (from, to) = ("::1".parse().unwrap(), "fe80::2".parse().unwrap());
        assert_eq!(parse(&packet), Inside::Udp { from, to, octets: &[1, 2], declared: 2 });
        let last = packet.len() - 2;
        for len in 0..last {
            assert!(matches!(parse(&packet[..len]), Inside::Cut | Inside::Other), "{len} octets");
        }
    }

    #[test]
    fn a_lone_fragment_header_is_no_fragment_and_other_protocols_are_other() {
        assert!(matches!(parse(&v6(44, &[17, 0, 0, 0, 0, 0, 0, 5], &[7])), Inside::Udp { .. }));
        assert_eq!(parse(&v6(58, &[], &[1])), Inside::Other);
        assert_eq!(parse(&v6(0, &[0, 0, 0, 0, 0, 0, 0, 0].repeat(40), &[])), Inside::Other);
        assert_eq!(parse(&[0x20, 1]), Inside::Other);
    }
}
