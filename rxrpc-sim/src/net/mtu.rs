//! A path that carries no large packet: it reports, fragments or swallows them.
//!
//! A router of IPv4 cuts what may be cut. One of IPv6 cuts nothing: it reports, if it does, and the sender's host cuts
//! what it sends to that address from then on.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use rxrpc_proto::{Instant, NetworkError};

use super::{Control, Element};
use crate::observer::LossReason;
use crate::packet::Packet;
use crate::rng::Rng;
use crate::scenario::MtuSpec;
use crate::world::World;

/// IPv4 header, which each fragment carries.
const IP_HEADER: usize = 20;
/// IPv6 header.
const IPV6_HEADER: usize = 40;
/// What each fragment of IPv6 carries beyond that.
const FRAGMENT_HEADER: usize = 8;

pub(super) struct Mtu {
    name: &'static str,
    spec: MtuSpec,
    rng: Rng,
    /// IPv6: from and to which addresses packets were reported.
    told: BTreeSet<(SocketAddr, SocketAddr)>,
    healed: bool,
}

impl Mtu {
    pub(super) fn new(name: &'static str, spec: MtuSpec, rng: Rng) -> Self {
        Mtu { name, spec, rng, told: BTreeSet::new(), healed: false }
    }

    /// How many fragments the packet becomes: their data are multiples of eight bytes.
    fn fragments(&self, packet: &Packet) -> usize {
        let (header, each) = match packet.dst {
            SocketAddr::V4(_) => (IP_HEADER, IP_HEADER),
            SocketAddr::V6(_) => (IPV6_HEADER, IPV6_HEADER + FRAGMENT_HEADER),
        };
        let room = (self.spec.mtu as usize).saturating_sub(each) / 8 * 8;
        (packet.ip_len() - header).div_ceil(room.max(8))
    }

    /// Whether somebody has cut the packet before it is too large here.
    fn is_cut(&self, packet: &Packet) -> bool {
        let by_host = packet.dst.is_ipv6();
        !packet.df && self.spec.fragment && (!by_host || self.told.contains(&(packet.src, packet.dst)))
    }
}

impl Element for Mtu {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        if self.healed || packet.ip_len() <= self.spec.mtu as usize {
            return world.forward(packet);
        }
        world.coverage.fault(self.name);
        if !self.is_cut(&packet) {
            if self.spec.report {
                self.told.insert((packet.src, packet.dst));
                world.report(now, &packet, NetworkError::MessageTooLong { mtu: self.spec.mtu });
            }
            return world.lose(packet, LossReason::TooLarge);
        }
        let lost = (0..self.fragments(&packet)).any(|_| self.rng.chance(self.spec.fragment_loss));
        if lost {
            world.lose(packet, LossReason::Fragment);
        } else {
            world.forward(packet);
        }
    }

    fn control(&mut self, _now: Instant, control: &Control, _world: &mut World) {
        self.healed |= *control == Control::Heal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::inside;

    fn packet(len: usize, ipv6: bool, df: bool) -> Packet {
        Packet { df, origin: Some(0), ..Packet::new(inside(0, ipv6), inside(1, ipv6), vec![0; len]) }
    }

    fn path(mtu: u32) -> Mtu {
        let spec = MtuSpec { mtu, report: true, fragment: true, fragment_loss: 0.0 };
        Mtu::new("test", spec, Rng::new(1))
    }

    #[test]
    fn headers_are_those_of_the_family() {
        assert_eq!([false, true].map(|v6| packet(1444, v6, false).ip_len()), [1472, 1492]);
        // 1452 bytes of IPv4 in pieces of 976; as many of IPv6 in pieces of 952.
        assert_eq!([false, true].map(|v6| path(1000).fragments(&packet(1444, v6, false))), [2, 2]);
        assert_eq!([false, true].map(|v6| path(772).fragments(&packet(1444, v6, false))), [2, 3]);
    }

    #[test]
    fn routers_of_ipv4_cut_and_for_ipv6_hosts_do_once_they_are_told() {
        let mut path = path(1280);
        assert!(path.is_cut(&packet(1444, false, false)) && !path.is_cut(&packet(1444, false, true)));
        assert!(!path.is_cut(&packet(1444, true, false)));
        path.told.insert((inside(0, true), inside(1, true)));
        assert!(path.is_cut(&packet(1444, true, false)) && !path.is_cut(&packet(1444, true, true)));
    }
}
