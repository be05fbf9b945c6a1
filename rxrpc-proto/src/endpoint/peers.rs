//! Peers and connections as tables: finding, counting, expiring.

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::Endpoint;
use super::table::{KeyedState, Table};
use super::timers::TimerKey;
use crate::connection::{Connection, Role};
use crate::event::Wake;
use crate::peer::Peer;
use crate::time::Instant;
use crate::wire::EPOCH_RANDOM;

/// How long an unused peer's round trip and threshold are remembered.
const PEER_MEMORY: Duration = Duration::from_secs(600);
/// A client connection that takes no further call is kept this long, to repeat its last answers.
const RETIRED_LIFE: Duration = Duration::from_secs(10);

/// A connection that has yet to say something is not dropped before this long.
const RING_WAIT: Duration = Duration::from_secs(1);

/// What a server knows a connection by. With a random epoch the address does not count: the client may
/// come from another one after its translator forgot it (QUIRKS.md#epoch-bit-31).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ServiceKey {
    addr: Option<SocketAddr>,
    epoch: u32,
    cid: u32,
}

impl ServiceKey {
    pub(super) fn new(addr: SocketAddr, epoch: u32, cid: u32) -> Self {
        ServiceKey { addr: (epoch & EPOCH_RANDOM == 0).then_some(addr), epoch, cid }
    }
}

impl Hash for ServiceKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(addr) = self.addr {
            addr.hash(state);
        }
        // One word for both costs half of two.
        state.write_u64(u64::from(self.epoch) << 32 | u64::from(self.cid));
    }
}

/// Keys of peers by their addresses.
#[derive(Debug)]
pub(super) struct PeerIndex {
    table: Table<SocketAddr, u32>,
    /// The last one found: datagrams of a peer come together, and are looked up more than once.
    last: Option<(SocketAddr, u32)>,
}

impl PeerIndex {
    pub(super) fn new(state: KeyedState) -> Self {
        PeerIndex { table: Table::with_hasher(state), last: None }
    }

    pub(super) fn get(&self, addr: &SocketAddr) -> Option<u32> {
        match self.last {
            Some((last, key)) if last == *addr => Some(key),
            _ => self.table.get(addr).copied(),
        }
    }

    /// Find the peer, and remember that it was asked about.
    pub(super) fn find(&mut self, addr: &SocketAddr) -> Option<u32> {
        let key = self.get(addr)?;
        self.last = Some((*addr, key));
        Some(key)
    }

    fn insert(&mut self, addr: SocketAddr, key: u32) {
        self.table.insert(addr, key);
    }

    fn remove(&mut self, addr: &SocketAddr) {
        self.table.remove(addr);
        self.last = None;
    }
}

/// Whether packets can be exchanged with the address.
pub(super) fn is_usable(addr: &SocketAddr) -> bool {
    let ip = addr.ip();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

impl Endpoint {
    /// Key of the peer with this address; made if it does not exist.
    pub(super) fn peer_for(&mut self, addr: SocketAddr) -> u32 {
        if let Some(key) = self.peer_index.find(&addr) {
            if let Some(peer) = self.peers.get_mut(key as usize)
                && peer.forget_at.take().is_some()
            {
                self.set_peer_timer(key);
            }
            return key;
        }
        let key = self.peers.insert(Peer::new(addr, self.config.jumbo_offer, self.now)) as u32;
        self.peer_index.insert(addr, key);
        key
    }

    pub(super) fn known_peer(&self, addr: &SocketAddr) -> Option<u32> {
        self.peer_index.get(addr)
    }

    /// A user of the peer is gone. One that nothing uses is remembered for a while if it was proved to
    /// exist, and forgotten at once otherwise.
    pub(super) fn peer_unused(&mut self, key: u32) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(key as usize) else { return };
        if peer.is_used() {
            return;
        }
        if peer.validation.was_valid() || peer.rtt.smoothed().is_some() {
            peer.forget_at.get_or_insert(now + PEER_MEMORY);
            self.set_peer_timer(key);
        } else {
            self.forget_peer(key);
        }
    }

    fn forget_peer(&mut self, key: u32) {
        let peer = self.peers.remove(key as usize);
        self.peer_index.remove(&peer.addr);
        self.set_timer(TimerKey::Peer(key), None);
        if peer.in_ring {
            self.ring.retain(|k| *k != key);
        }
    }

    pub(super) fn set_peer_timer(&mut self, key: u32) {
        let Some(peer) = self.peers.get(key as usize) else { return };
        let keepalive = self.config.timing.nat_keepalive.filter(|_| peer.client_connections > 0);
        let keepalive = keepalive.map(|after| peer.last_sent + after);
        let at = [keepalive, peer.forget_at].into_iter().flatten().min();
        self.set_timer(TimerKey::Peer(key), at.map(|at| (at, Wake::Peer)));
    }

    /// The peer's deadline has come.
    pub(super) fn on_peer_timer(&mut self, now: Instant, key: u32) {
        let Some(peer) = self.peers.get_mut(key as usize) else { return };
        if peer.forget_at.is_some_and(|at| at <= now) && !peer.is_used() {
            self.forget_peer(key);
            return;
        }
        peer.forget_at = peer.forget_at.filter(|at| *at > now);
        let quiet = self.config.timing.nat_keepalive.is_some_and(|after| peer.last_sent + after <= now);
        if quiet && peer.client_connections > 0 {
            peer.last_sent = now;
            let addr = peer.addr;
            self.send_nat_keepalive(addr);
        }
        self.set_peer_timer(key);
    }

    /// When an unused connection is dropped.
    fn expiry(&self, connection: &Connection) -> Option<Instant> {
        let timing = &self.config.timing;
        let idle_since = connection.idle_since?;
        Some(match connection.role {
            Role::Client { .. } if self.client_connections > timing.fast_reap_above => {
                idle_since + timing.idle_client_fast
            }
            Role::Client { .. } if connection.retired => idle_since + RETIRED_LIFE,
            Role::Client { .. } => idle_since + timing.idle_client,
            Role::Service { validated: true } => idle_since + timing.idle_service,
            Role::Service { validated: false } => idle_since + timing.unvalidated_life,
        })
    }

    pub(super) fn set_connection_timer(&mut self, key: u32) {
        let Some(connection) = self.connections.get(key as usize) else { return };
        // What waits in the ring goes out first; if its peer may not be sent anything, look again later.
        let waits = connection.in_ring;
        let expiry = self.expiry(connection).map(|at| if waits { at.max(self.now + RING_WAIT) } else { at });
        let candidate = connection.candidate.map(|c| c.deadline()).filter(|at| !waits || *at > self.now);
        let mut deadline = connection.final_ack_at().map(|at| (at, Wake::FinalAck));
        for (at, wake) in [(candidate, Wake::AddressCheck), (expiry, Wake::ConnectionExpiry)] {
            if let Some(at) = at
                && deadline.is_none_or(|(first, _)| at < first)
            {
                deadline = Some((at, wake));
            }
        }
        self.set_timer(TimerKey::Connection(key), deadline);
    }

    /// The connection's deadline has come.
    pub(super) fn on_connection_timer(&mut self, now: Instant, key: u32) {
        let Some(connection) = self.connections.get(key as usize) else { return };
        let expiry = self.expiry(connection);
        let expired = expiry.is_some_and(|at| at <= now);
        let overdue = expiry.is_some_and(|at| at + RETIRED_LIFE <= now);
        let owes = connection.final_ack_at().is_some();
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        for channel in &mut connection.channels {
            if channel.final_ack_at.is_some_and(|at| at <= now || expired) {
                channel.final_ack_at = None;
                channel.replay = Some(0);
            }
        }
        if overdue || (expired && !owes && !connection.has_control(now)) {
            self.drop_connection(key);
            return;
        }
        self.on_candidate_timer(now, key);
        self.schedule_connection(now, key);
        self.set_connection_timer(key);
    }

    /// Forget a connection on which no call lives.
    pub(super) fn drop_connection(&mut self, key: u32) {
        let connection = self.connections.remove(key as usize);
        self.set_timer(TimerKey::Connection(key), None);
        let peer_addr = self.peers.get(connection.peer as usize).map(|p| p.addr);
        match connection.role {
            Role::Client { bundle, probing } => {
                self.client_index.remove(&connection.cid);
                self.client_connections = self.client_connections.saturating_sub(1);
                if let Some(bundle) = self.bundles.get_mut(bundle as usize) {
                    bundle.remove(key);
                    if probing {
                        bundle.set_probing(false);
                    }
                }
                self.touch_bundle(bundle);
            }
            Role::Service { validated } => {
                let addr = peer_addr.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
                self.service_index.remove(&ServiceKey::new(addr, connection.epoch, connection.cid));
                if !validated {
                    self.unvalidated.on_gone();
                }
            }
        }
        if let Some(peer) = self.peers.get_mut(connection.peer as usize) {
            peer.connections.remove(&key);
            match connection.role {
                Role::Client { .. } => peer.client_connections = peer.client_connections.saturating_sub(1),
                Role::Service { validated: false } => peer.unvalidated = peer.unvalidated.saturating_sub(1),
                Role::Service { validated: true } => {}
            }
        }
        self.set_peer_timer(connection.peer);
        self.peer_unused(connection.peer);
    }

    /// The peer has proved its address: its connections count as validated, and what was held back goes out.
    pub(super) fn prove_peer(&mut self, now: Instant, key: u32) {
        let lasts = self.config.timing.validated_for;
        let Some(peer) = self.peers.get_mut(key as usize) else { return };
        peer.validation.prove(now, lasts);
        if peer.unvalidated == 0 {
            return;
        }
        peer.unvalidated = 0;
        for connection in peer.connections.clone() {
            let Some(c) = self.connections.get_mut(connection as usize) else { continue };
            if c.role == (Role::Service { validated: false }) {
                c.role = Role::Service { validated: true };
                self.unvalidated.on_gone();
                self.set_connection_timer(connection);
            }
        }
        self.ready_peer(key);
    }
}
