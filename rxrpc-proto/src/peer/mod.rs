//! One remote address: what is known of the path to it, and what waits to be sent to it.

mod ready;
mod validation;

use alloc::collections::BTreeSet;
use core::net::SocketAddr;
use core::time::Duration;

pub(crate) use ready::{Class, ReadyRings, Token};
pub(crate) use validation::Validation;

use crate::recovery::{PathTimes, Rtt};
use crate::time::Instant;
use crate::wire::{HEADER_LEN, JUMBO_DATA_LEN, MIN_MTU, Trailer};

/// Bytes of IP and UDP headers that a datagram costs, as the budget counts them.
pub(crate) const DATAGRAM_COST: usize = 28;
/// IP, UDP and Rx headers over IPv6, which an MTU from the network includes.
const PATH_HEADERS: u32 = 48 + HEADER_LEN as u32;

/// How long peers count on a proof of our address, less what a path may take: OpenAFS and we do for 60 s.
const PROOF_LASTS: Duration = Duration::from_secs(50);

/// A remote address.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    pub(crate) rtt: Rtt,
    /// Slow-start threshold that the last call left.
    pub(crate) threshold: Option<u32>,
    /// Largest payload of a DATA packet.
    max_payload: usize,
    /// Packets per jumbogram that our acknowledgements offer it.
    pub(crate) jumbo_offer: u32,
    pub(crate) validation: Validation,
    /// When we last named a serial of its, which proves our address to it.
    pub(crate) proved_to: Option<Instant>,
    /// Keys of its connections, in order.
    pub(crate) connections: BTreeSet<u32>,
    /// Of them, client connections.
    pub(crate) client_connections: usize,
    /// Of the service connections, those not validated.
    pub(crate) unvalidated: usize,
    /// Client bundles to it, questions that wait for it, and a connection of its that is let in.
    pub(crate) users: usize,
    /// Calls with it that exist.
    pub(crate) calls: usize,
    /// What its calls hold unread.
    pub(crate) unread: usize,
    /// Of its calls, those that are receiving more than a packet.
    pub(crate) streaming: usize,
    pub(crate) ready: ReadyRings,
    /// Hangs in the endpoint's ring of peers with something to send.
    pub(crate) in_ring: bool,
    /// When something was last sent to it.
    pub(crate) last_sent: Instant,
    /// When its memory is dropped, while nothing uses it.
    pub(crate) forget_at: Option<Instant>,
}

impl Peer {
    pub(crate) fn new(addr: SocketAddr, jumbo_offer: u32, now: Instant) -> Self {
        Peer {
            addr,
            rtt: Rtt::default(),
            threshold: None,
            max_payload: JUMBO_DATA_LEN,
            jumbo_offer,
            validation: Validation::default(),
            proved_to: None,
            connections: BTreeSet::new(),
            client_connections: 0,
            unvalidated: 0,
            users: 0,
            calls: 0,
            unread: 0,
            streaming: 0,
            ready: ReadyRings::default(),
            in_ring: false,
            last_sent: now,
            forget_at: None,
        }
    }

    /// Largest payload of a DATA packet to this peer.
    pub(crate) fn max_payload(&self) -> usize {
        self.max_payload
    }

    pub(crate) fn path_times(&self) -> PathTimes {
        PathTimes { min_rtt: self.rtt.min(), smoothed: self.rtt.smoothed() }
    }

    /// Whether anything needs the peer to stay.
    pub(crate) fn is_used(&self) -> bool {
        !self.connections.is_empty() || self.users > 0 || self.calls > 0
    }

    /// Whether it has had a proof of our address that it may still count on.
    pub(crate) fn knows_us(&self, now: Instant) -> bool {
        self.proved_to.is_some_and(|at| now < at + PROOF_LASTS)
    }

    /// Take what an acknowledgement says of the peer's limits. Some peers count the Rx header in the two
    /// sizes and some do not; reading both as counting it is safe with either.
    pub(crate) fn on_trailer(&mut self, trailer: &Trailer) {
        let size = trailer.max_mtu.min(trailer.if_mtu).max(MIN_MTU);
        self.limit_payload(size.saturating_sub(HEADER_LEN as u32));
        if trailer.jumbo_max == Some(0) {
            self.jumbo_offer = 0;
        }
    }

    /// The network carries no IP packet larger than `mtu`.
    pub(crate) fn on_path_mtu(&mut self, mtu: u32) {
        self.limit_payload(mtu.saturating_sub(PATH_HEADERS).max(MIN_MTU - HEADER_LEN as u32));
    }

    fn limit_payload(&mut self, payload: u32) {
        self.max_payload = self.max_payload.min(payload as usize);
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    fn peer() -> Peer {
        Peer::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 7000)), 4, Instant::ORIGIN)
    }

    fn trailer(max_mtu: u32, if_mtu: u32) -> Trailer {
        Trailer { max_mtu, if_mtu, rwind: Some(32), jumbo_max: Some(1) }
    }

    #[test]
    fn the_smaller_size_of_a_trailer_limits_the_payload() {
        let mut peer = peer();
        peer.on_trailer(&trailer(5692, 1444));
        assert_eq!(peer.max_payload(), 1412);
        peer.on_trailer(&trailer(1024, 1444));
        assert_eq!(peer.max_payload(), 996);
        peer.on_trailer(&trailer(5692, 1444));
        assert_eq!(peer.max_payload(), 996, "sizes only go down");
    }

    #[test]
    fn absurd_sizes_are_clamped() {
        let mut peer = peer();
        peer.on_trailer(&trailer(1, 0));
        assert_eq!(peer.max_payload(), 472);
        peer.on_path_mtu(0);
        assert_eq!(peer.max_payload(), 472);
    }

    #[test]
    fn a_peer_that_probes_its_path_is_offered_no_jumbograms() {
        let mut peer = peer();
        peer.on_trailer(&Trailer { jumbo_max: Some(0), ..trailer(1444, 1444) });
        assert_eq!(peer.jumbo_offer, 0);
    }
}
