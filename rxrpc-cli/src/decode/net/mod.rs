//! UDP datagrams out of frames.

mod fragment;
mod ip;
mod link;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::Stop;
use super::capture::{Damage, Frame, Source};
use fragment::Reassembly;
use ip::Inside;

pub(super) use link::name as link_name;

/// A UDP datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Datagram {
    /// Number of the frame that completed it.
    pub(super) frame: u64,
    /// When that frame was captured, in nanoseconds since 1970.
    pub(super) time: u64,
    /// Who sent it.
    pub(super) from: SocketAddr,
    /// Who it is for.
    pub(super) to: SocketAddr,
    /// What was captured of its payload.
    pub(super) payload: Vec<u8>,
    /// Octets of payload by the UDP header; more than `payload` if the capture cut the frame.
    pub(super) declared: usize,
    /// IP fragments it came in, 1 if it was whole.
    pub(super) fragments: usize,
}

/// A datagram of which fragments are missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Incomplete {
    /// Frame of the last fragment seen.
    pub(super) frame: u64,
    /// When that was captured.
    pub(super) time: u64,
    /// Who sent it.
    pub(super) from: IpAddr,
    /// Who it was for.
    pub(super) to: IpAddr,
    /// UDP ports of sender and receiver, if the first fragment is there.
    pub(super) ports: Option<(u16, u16)>,
    /// Fragments seen.
    pub(super) fragments: usize,
}

/// What comes out of a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Found {
    Datagram(Datagram),
    Incomplete(Incomplete),
}

/// What a capture held besides datagrams.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Totals {
    /// Frames in the file.
    pub(super) frames: u64,
    /// When the first was captured.
    pub(super) begin: u64,
    /// Frames that the capture cut off before the UDP header was complete.
    pub(super) cut_early: u64,
    /// Frames whose headers contradict themselves.
    pub(super) broken: u64,
    /// Frames of link types that are not read, by type.
    pub(super) unknown_links: BTreeMap<u32, u64>,
    /// Why reading stopped early, if it did.
    pub(super) damage: Option<Damage>,
}

/// Gives every datagram of a capture to `sink`.
pub(super) fn datagrams(
    source: &Source,
    sink: &mut dyn FnMut(&Totals, Found) -> Result<(), Stop>,
) -> Result<Totals, Stop> {
    let mut totals = Totals::default();
    let mut reassembly = Reassembly::default();
    let damage = source.read(&mut |frame| {
        if totals.frames == 0 {
            totals.begin = frame.time;
        }
        totals.frames = totals.frames.saturating_add(1);
        let found = in_frame(&frame, &mut totals, &mut reassembly);
        for lost in reassembly.take_lost() {
            sink(&totals, Found::Incomplete(lost))?;
        }
        found.map_or(Ok(()), |datagram| sink(&totals, Found::Datagram(datagram)))
    })?;
    totals.damage = damage;
    for lost in reassembly.finish() {
        sink(&totals, Found::Incomplete(lost))?;
    }
    Ok(totals)
}

/// The datagram that a frame holds or completes.
fn in_frame(frame: &Frame, totals: &mut Totals, reassembly: &mut Reassembly) -> Option<Datagram> {
    let packet = match link::network(frame.link, &frame.data) {
        Ok(packet) => packet?,
        Err(link::Unknown) => {
            let count = totals.unknown_links.entry(frame.link).or_default();
            *count = count.saturating_add(1);
            return None;
        }
    };
    match ip::parse(packet) {
        Inside::Udp { from, to, octets, declared } => {
            udp(frame, [from, to], octets, declared, 1).or_else(|| note_early_end(frame, totals))
        }
        Inside::Fragment(fragment) => {
            let whole = reassembly.add(frame.number, frame.time, fragment)?;
            udp(frame, whole.addresses, &whole.octets, whole.octets.len(), whole.fragments)
        }
        Inside::Cut => note_early_end(frame, totals),
        Inside::Other => None,
    }
}

/// Counts a frame that ends before its headers do: cut by the capture, or broken when it was sent.
fn note_early_end(frame: &Frame, totals: &mut Totals) -> Option<Datagram> {
    let counter = if frame.original > frame.data.len() { &mut totals.cut_early } else { &mut totals.broken };
    *counter = counter.saturating_add(1);
    None
}

/// Octets of a UDP header.
const UDP_LEN: usize = 8;

/// Reads the UDP header in front of `octets`, of which the IP header declares `declared`.
fn udp(
    frame: &Frame,
    [from, to]: [IpAddr; 2],
    octets: &[u8],
    declared: usize,
    fragments: usize,
) -> Option<Datagram> {
    let (&[s0, s1, d0, d1, l0, l1, _, _], rest) = octets.split_first_chunk::<UDP_LEN>()?;
    let declared = match usize::from(u16::from_be_bytes([l0, l1])) {
        // Segmentation offload leaves no length in frames larger than one datagram can be.
        0 => declared,
        length => length,
    };
    let declared = declared.checked_sub(UDP_LEN)?;
    Some(Datagram {
        frame: frame.number,
        time: frame.time,
        from: SocketAddr::new(from, u16::from_be_bytes([s0, s1])),
        to: SocketAddr::new(to, u16::from_be_bytes([d0, d1])),
        payload: rest.get(..declared).unwrap_or(rest).to_vec(),
        declared,
        fragments,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::capture::tests::pcap;
    use super::*;

    /// An Ethernet frame with a UDP datagram over IPv4 from 10.0.0.1 to 10.0.0.2.
    pub(in crate::decode) fn ethernet(ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
        let udp_len = (payload.len() + 8) as u16;
        let mut frame = [&[2; 12][..], &[8, 0, 0x45, 0]].concat();
        frame.extend((udp_len + 20).to_be_bytes());
        frame.extend([0, 7, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(ports[0].to_be_bytes());
        frame.extend(ports[1].to_be_bytes());
        frame.extend(udp_len.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend_from_slice(payload);
        frame
    }

    fn found(file: Vec<u8>) -> (Vec<Found>, Totals) {
        let mut all = Vec::new();
        let totals = datagrams(&Source::Memory(file), &mut |_, found| {
            all.push(found);
            Ok(())
        });
        (all, totals.unwrap())
    }

    #[test]
    fn a_datagram_has_addresses_and_payload() {
        let mut frame = ethernet([40_000, 7_000], b"hello");
        frame.extend([0; 13]);
        let (all, totals) = found(pcap(1, 1000, &[(5, &frame, frame.len() as u32)]));
        let expected = Datagram {
            frame: 1,
            time: 5_000,
            from: "10.0.0.1:40000".parse().unwrap(),
            to: "10.0.0.2:7000".parse().unwrap(),
            payload: b"hello".to_vec(),
            declared: 5,
            fragments: 1,
        };
        assert_eq!((all, totals.frames), (vec![Found::Datagram(expected)], 1));
    }

    #[test]
    fn a_frame_cut_by_the_capture_keeps_its_length_or_is_counted() {
        let frame = ethernet([40_000, 7_000], &[7; 100]);
        for len in 0..=frame.len() {
            let (all, totals) = found(pcap(1, 1000, &[(5, &frame[..len], frame.len() as u32)]));
            match &all[..] {
                [Found::Datagram(datagram)] => {
                    assert_eq!((datagram.declared, datagram.payload.len()), (100, len - 42));
                }
                [] => assert!(len < 42 && (totals.cut_early == 1 || len <= 14), "{len} octets"),
                more => panic!("{more:?}"),
            }
        }
    }

    #[test]
    fn a_udp_length_below_eight_is_counted_as_broken() {
        let mut frame = ethernet([40_000, 7_000], &[7; 10]);
        frame[39] = 5;
        let (all, totals) = found(pcap(1, 1000, &[(5, &frame, frame.len() as u32)]));
        assert_eq!((all.len(), totals.broken, totals.cut_early), (0, 1, 0));
    }

    #[test]
    fn link_types_that_are_not_read_are_counted() {
        let (all, totals) = found(pcap(105, 1000, &[(5, &[1, 2, 3], 3), (6, &[4], 1)]));
        assert_eq!((all.len(), totals.unknown_links), (0, BTreeMap::from([(105, 2)])));
    }
}
