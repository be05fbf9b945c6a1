//! The link header: what stands before the IP packet of a frame.

/// The frame has a link type that is not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unknown;

/// Link types, as pcap numbers them.
const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const RAW: [u32; 5] = [101, 12, 14, 228, 229];
const LOOP: u32 = 108;
const LINUX_SLL: u32 = 113;
const LINUX_SLL2: u32 = 276;

/// Protocols, as Ethernet numbers them.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Protocols that put a tag of four octets before the next protocol.
const TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
/// More tags than any network stacks.
const MAX_TAGS: usize = 8;

/// The IP packet in a frame; `None` if the frame holds something else, or ends within the link header.
pub(super) fn network(link: u32, frame: &[u8]) -> Result<Option<&[u8]>, Unknown> {
    match link {
        ETHERNET => Ok(frame.split_at_checked(12).and_then(|(_, rest)| by_protocol(rest))),
        LINUX_SLL => Ok(frame.split_at_checked(14).and_then(|(_, rest)| by_protocol(rest))),
        LINUX_SLL2 => Ok(cooked2(frame)),
        NULL | LOOP => Ok(frame.split_at_checked(4).and_then(|(_, packet)| ip(packet))),
        raw if RAW.contains(&raw) => Ok(ip(frame)),
        _ => Err(Unknown),
    }
}

/// The name of a link type that is not read, for messages.
pub(in crate::decode) fn name(link: u32) -> String {
    match link {
        u32::MAX => "no described interface".into(),
        link => format!("link type {link}"),
    }
}

/// What follows a protocol number, VLAN tags taken off.
fn by_protocol(mut rest: &[u8]) -> Option<&[u8]> {
    for _ in 0..=MAX_TAGS {
        let (&[p0, p1], inside) = rest.split_first_chunk::<2>()?;
        match u16::from_be_bytes([p0, p1]) {
            IPV4 | IPV6 => return ip(inside),
            tag if TAGS.contains(&tag) => rest = inside.get(2..)?,
            _ => return None,
        }
    }
    None
}

/// The second cooked format begins with the protocol; a tag is in the data, not in the header.
fn cooked2(frame: &[u8]) -> Option<&[u8]> {
    let (header, inside) = frame.split_at_checked(20)?;
    let &[p0, p1] = header.first_chunk::<2>()?;
    match u16::from_be_bytes([p0, p1]) {
        IPV4 | IPV6 => ip(inside),
        tag if TAGS.contains(&tag) => by_protocol(inside.get(2..)?),
        _ => None,
    }
}

/// The packet, if its version says that it is IP. That decides, rather than the number before it: the
/// loopback formats number IPv6 differently on every system.
fn ip(packet: &[u8]) -> Option<&[u8]> {
    matches!(packet.first()? >> 4, 4 | 6).then_some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: [u8; 3] = [0x45, 1, 2];

    fn frame(before: &[u8]) -> Vec<u8> {
        [before, &PACKET].concat()
    }

    #[test]
    fn the_packet_is_found_behind_every_link_header() {
        let sll = [&[0, 0, 3, 4, 0, 6][..], &[0; 8], &[8, 0]].concat();
        let sll2 = [&[8, 0, 0, 0, 0, 0, 0, 1][..], &[0; 12]].concat();
        for (link, before) in [
            (ETHERNET, &[&[2; 12][..], &[8, 0]].concat()[..]),
            (ETHERNET, &[&[2; 12][..], &[0x81, 0, 0, 5, 8, 0]].concat()),
            (ETHERNET, &[&[2; 12][..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0]].concat()),
            (LINUX_SLL, &sll),
            (LINUX_SLL2, &sll2),
            (NULL, &[2, 0, 0, 0]),
            (NULL, &[0, 0, 0, 2]),
            (LOOP, &[0, 0, 0, 2]),
            (101, &[]),
            (228, &[]),
            (12, &[]),
        ] {
            assert_eq!(network(link, &frame(before)), Ok(Some(&PACKET[..])), "{link} {before:x?}");
            for len in 0..=before.len() {
                assert_eq!(network(link, &frame(before)[..len]), Ok(None), "{link} cut at {len}");
            }
        }
    }

    #[test]
    fn other_protocols_are_nothing_and_other_links_unknown() {
        let arp = [&[2; 12][..], &[8, 6, 0x45, 0, 0]].concat();
        assert_eq!(network(ETHERNET, &arp), Ok(None));
        assert_eq!(network(101, &[0x15, 0]), Ok(None));
        assert_eq!(network(105, &frame(&[])), Err(Unknown));
    }

    #[test]
    fn endless_tags_end() {
        let tags = [&[2; 12][..], &[0x81, 0, 0x81, 0].repeat(1000)].concat();
        assert_eq!(network(ETHERNET, &tags), Ok(None));
    }
}
