//! Datagrams out of their IP fragments.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::Incomplete;
use super::ip::Fragment;

/// Datagrams in pieces that are kept; the oldest goes first.
const MAX_PENDING: usize = 256;
/// Parts of a datagram that are kept: 64 KiB over the smallest IPv4 links, twice.
const MAX_PARTS: usize = 256;
/// The longest datagram.
const MAX_OCTETS: usize = 65_535;
/// How long the parts of a datagram may be apart, in nanoseconds; ids are used again some time later.
const MAX_AGE: u64 = 30_000_000_000;

/// A datagram whose parts are all there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Whole {
    /// Sender and receiver.
    pub(super) addresses: [IpAddr; 2],
    /// The datagram from its UDP header on.
    pub(super) octets: Vec<u8>,
    /// In how many parts it came.
    pub(super) fragments: usize,
}

/// The parts that are there of a datagram.
#[derive(Debug)]
struct Pending {
    addresses: [IpAddr; 2],
    id: u32,
    begin: u64,
    frame: u64,
    time: u64,
    /// Offset and octets of each part.
    parts: Vec<(usize, Vec<u8>)>,
    /// Sum of the octets of all parts.
    octets: usize,
    /// Length of the datagram, once its last part is there.
    total: Option<usize>,
    /// Whether a part is useless, so that the datagram will never be whole.
    spoilt: bool,
}

/// Puts fragments together.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    pending: VecDeque<Pending>,
    lost: Vec<Incomplete>,
}

impl Reassembly {
    /// Takes a fragment, and gives the datagram if it was the last one missing.
    pub(super) fn add(&mut self, frame: u64, time: u64, part: Fragment<'_>) -> Option<Whole> {
        self.give_up_before(time.saturating_sub(MAX_AGE));
        let known = |p: &Pending| p.id == part.id && p.addresses == part.addresses;
        let place = self.pending.iter().position(known).unwrap_or_else(|| self.begin(time, &part));
        let pending = self.pending.get_mut(place)?;
        (pending.frame, pending.time) = (frame, time);
        pending.take(&part);
        let octets = pending.joined()?;
        let done = self.pending.remove(place)?;
        Some(Whole { addresses: done.addresses, octets, fragments: done.parts.len() })
    }

    /// Datagrams that were given up since the last call.
    pub(super) fn take_lost(&mut self) -> Vec<Incomplete> {
        std::mem::take(&mut self.lost)
    }

    /// The datagrams that are incomplete at the end.
    pub(super) fn finish(mut self) -> Vec<Incomplete> {
        while let Some(oldest) = self.pending.pop_front() {
            self.lost.push(oldest.incomplete());
        }
        self.lost
    }

    /// Makes room for a new datagram and returns its place.
    fn begin(&mut self, time: u64, part: &Fragment<'_>) -> usize {
        if self.pending.len() >= MAX_PENDING {
            self.lost.extend(self.pending.pop_front().map(Pending::incomplete));
        }
        self.pending.push_back(Pending {
            addresses: part.addresses,
            id: part.id,
            begin: time,
            frame: 0,
            time,
            parts: Vec::new(),
            octets: 0,
            total: None,
            spoilt: false,
        });
        self.pending.len().saturating_sub(1)
    }

    fn give_up_before(&mut self, time: u64) {
        while self.pending.front().is_some_and(|oldest| oldest.begin < time) {
            self.lost.extend(self.pending.pop_front().map(Pending::incomplete));
        }
    }
}

impl Pending {
    fn take(&mut self, part: &Fragment<'_>) {
        let end = part.offset.saturating_add(part.octets.len());
        let room = self.parts.len() < MAX_PARTS && end <= MAX_OCTETS;
        if !part.more {
            self.total = Some(end);
        }
        self.spoilt |= !part.whole || !room;
        if room {
            self.octets = self.octets.saturating_add(part.octets.len());
            self.parts.push((part.offset, part.octets.to_vec()));
        }
    }

    /// The datagram, if no octet is missing. Where parts overlap, the one before keeps its octets.
    fn joined(&mut self) -> Option<Vec<u8>> {
        let total = self.total.filter(|total| self.octets >= *total && !self.spoilt)?;
        self.parts.sort_by_key(|(offset, _)| *offset);
        let mut octets = Vec::with_capacity(total);
        for (offset, part) in &self.parts {
            // No difference: a hole before this part.
            let known = octets.len().checked_sub(*offset)?;
            octets.extend_from_slice(part.get(known..).unwrap_or_default());
        }
        octets.truncate(total);
        (octets.len() == total).then_some(octets)
    }

    fn incomplete(self) -> Incomplete {
        let first =
            self.parts.iter().find(|(offset, _)| *offset == 0).and_then(|(_, o)| o.first_chunk::<4>());
        let ports =
            first.map(|&[s0, s1, d0, d1]| (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])));
        let [from, to] = self.addresses;
        let (frame, time, fragments) = (self.frame, self.time, self.parts.len());
        Incomplete { frame, time, from, to, ports, fragments }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: [IpAddr; 2] =
        [IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2))];

    fn part(id: u32, offset: usize, more: bool, octets: &[u8]) -> Fragment<'_> {
        Fragment { addresses: ADDRESSES, id, offset, more, octets, whole: true }
    }

    #[test]
    fn parts_in_any_order_make_the_datagram() {
        let octets: Vec<u8> = (0..40).collect();
        let parts = [(0, true, &octets[..16]), (16, true, &octets[16..32]), (32, false, &octets[32..])];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut reassembly = Reassembly::default();
            let whole: Vec<_> = order
                .iter()
                .filter_map(|place| {
                    let (offset, more, octets) = parts[*place];
                    reassembly.add(1, 0, part(7, offset, more, octets))
                })
                .collect();
            assert_eq!(whole, [Whole { addresses: ADDRESSES, octets: octets.clone(), fragments: 3 }]);
            assert!(reassembly.finish().is_empty());
        }
    }

    #[test]
    fn an_overlap_keeps_what_came_at_the_lower_offset() {
        let mut reassembly = Reassembly::default();
        assert_eq!(reassembly.add(1, 0, part(7, 8, false, &[9; 8])), None);
        let whole = reassembly.add(2, 0, part(7, 0, true, &[1; 12])).unwrap();
        assert_eq!(whole.octets, [[1; 8].as_slice(), &[1; 4], &[9; 4]].concat());
    }

    #[test]
    fn holes_cut_parts_and_impossible_offsets_never_complete() {
        for parts in [
            vec![part(7, 0, true, &[0; 8]), part(7, 16, false, &[0; 8]), part(7, 16, false, &[0; 8])],
            vec![Fragment { whole: false, ..part(7, 0, true, &[0; 8]) }, part(7, 8, false, &[0; 8])],
            vec![part(7, 0, true, &[0; 8]), part(7, 65_528, false, &[0; 8])],
        ] {
            let mut reassembly = Reassembly::default();
            let count = parts.len();
            assert!(parts.into_iter().all(|part| reassembly.add(3, 5, part).is_none()));
            let lost = reassembly.finish();
            assert_eq!((lost.len(), lost[0].ports, lost[0].frame), (1, Some((0, 0)), 3));
            assert!(lost[0].fragments <= count);
        }
    }

    #[test]
    fn old_and_superfluous_datagrams_are_given_up() {
        let mut reassembly = Reassembly::default();
        assert_eq!(reassembly.add(1, 0, part(1, 8, false, &[1; 8])), None);
        assert_eq!(reassembly.add(2, MAX_AGE + 1, part(1, 0, true, &[1; 8])), None);
        let lost = reassembly.take_lost();
        assert_eq!((lost.len(), lost[0].frame, lost[0].ports), (1, 1, None));
        for id in 0..1_000 {
            assert_eq!(reassembly.add(3, MAX_AGE + 2, part(id + 2, 0, true, &[1; 8])), None);
        }
        assert_eq!(reassembly.pending.len(), MAX_PENDING);
    }

    #[test]
    fn a_flood_of_parts_is_bounded() {
        let mut reassembly = Reassembly::default();
        for _ in 0..10_000 {
            assert_eq!(reassembly.add(1, 0, part(7, 8, true, &[1; 8])), None);
        }
        assert_eq!(reassembly.pending[0].parts.len(), MAX_PARTS);
    }
}
