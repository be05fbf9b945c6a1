//! New service calls: who is let in, and what the others are told.

use super::events::Queued;
use super::peers::ServiceKey;
use super::service::Unvalidated;
use super::{Endpoint, Path};
use crate::call::{CallInit, Place, Side, State};
use crate::connection::{Connection, ConnectionInit, Role};
use crate::event::CallId;
use crate::fault::Fault;
use crate::peer::DATAGRAM_COST;
use crate::time::Instant;
use crate::wire::{AbortCode, Body, Header};

/// Service connections start at a random serial below this, so that who names it has received it. Peers
/// compare serials by their signed difference, hence not larger (QUIRKS.md#proof-of-address).
const FIRST_SERIAL_MASK: u32 = 0x3fff_ffff;
/// Client asks for a newer service: userStatus of the first packet (QUIRKS.md#upgrade-wish).
const UPGRADE_WISH: u8 = 1;

impl Endpoint {
    /// DATA of an unknown connection: open it, if its call is let in.
    pub(super) fn on_new_connection(
        &mut self,
        now: Instant,
        path: &Path,
        header: &Header,
        body: &Body<'_>,
        len: usize,
    ) {
        if self.refuse_evicted(now, path, header) {
            return;
        }
        let service = self.service_of(header);
        if let Err(fault) = self.admit(path, header, service) {
            return self.refuse(now, path, header, fault, true);
        }
        let known = self.known_peer(&path.peer).is_some();
        let peer = self.peer_for(path.peer);
        if let Some(p) = self.peers.get_mut(peer as usize).filter(|_| !known) {
            // The datagram came before the peer was known.
            p.validation.on_received(len);
        }
        // It leaves its place to the one that makes room for it.
        let id = ServiceKey::new(path.peer, header.epoch, header.connection_id());
        let before = self.evicted.take(&id);
        if let Err(fault) = self.make_room(now, path, peer) {
            if let Some(calls) = before {
                self.remember_evicted(now, id, calls);
            }
            self.peer_unused(peer);
            return self.refuse(now, path, header, fault, true);
        }
        let connection = self.insert_service_connection(now, path, peer, header, service);
        if let (Some(calls), Some(c)) = (before, self.connections.get_mut(connection as usize)) {
            c.resume(calls);
        }
        self.start_call(now, path, connection, header, body);
    }

    /// DATA of the next call on a channel: it ends the call that lives there.
    pub(super) fn on_next_call(
        &mut self,
        now: Instant,
        path: &Path,
        key: u32,
        header: &Header,
        body: &Body<'_>,
    ) {
        let Some(connection) = self.connections.get(key as usize) else { return };
        let service = connection.service;
        if let Some(call) = connection.channel(header.channel()).and_then(|c| c.call) {
            self.end_implicitly(now, call);
        }
        if let Err(fault) = self.admit(path, header, service) {
            if fault == Fault::MidCallStart && self.is_elsewhere(key, path) {
                // The question that goes there is all that the packet pays for.
                return self.fault(fault);
            }
            if let (Fault::NoRoom, Some(c)) = (fault, self.connections.get_mut(key as usize))
                && let Some(channel) = c.channel_mut(header.channel())
            {
                channel.turn_away(header.call_number);
            }
            return self.refuse(now, path, header, fault, false);
        }
        if let Some(connection) = self.connections.get_mut(key as usize)
            && let Some(channel) = connection.channel_mut(header.channel())
        {
            // Whatever was to be said of the last call, the client has moved on.
            channel.replay = None;
        }
        self.start_call(now, path, key, header, body);
    }

    /// Whether a packet of the connection came from another address than its peer's.
    fn is_elsewhere(&self, key: u32, path: &Path) -> bool {
        let peer = self.connections.get(key as usize).and_then(|c| self.peers.get(c.peer as usize));
        peer.is_none_or(|peer| peer.addr != path.peer)
    }

    /// The service of a new connection: the one named, or the newer one that the client is moved to.
    fn service_of(&self, header: &Header) -> u16 {
        let named = header.service_id;
        let newer = self.services.get(&named).and_then(|s| s.options.upgrade_to);
        let wishes = header.user_status == UPGRADE_WISH;
        newer.filter(|newer| wishes && self.services.contains_key(newer)).unwrap_or(named)
    }

    /// Rows 16 to 21: may this call of `service` begin?
    fn admit(&mut self, path: &Path, header: &Header, service: u16) -> Result<(), Fault> {
        let limits = &self.config.limits;
        if self.closed {
            return Err(Fault::Closed);
        }
        let Some(offered) = self.services.get(&service) else {
            let first = header.seq == 1;
            return Err(if first { Fault::ServiceNotOffered } else { Fault::ServiceNotOfferedLate });
        };
        if header.security_index != 0 {
            return Err(Fault::UnsupportedSecurity);
        }
        if header.seq > limits.window {
            return Err(Fault::MidCallStart);
        }
        let peer = self.known_peer(&path.peer).and_then(|key| self.peers.get(key as usize));
        let peer_full = peer.is_some_and(|p| p.calls >= limits.calls_per_peer);
        if offered.is_full() {
            self.clear_dead(service);
        }
        let full = self.services.get(&service).is_none_or(|s| s.is_full());
        if full || peer_full || self.calls.len() >= self.config.limits.calls {
            return Err(Fault::NoRoom);
        }
        Ok(())
    }

    /// `connection`: nothing lives on the connection, so all of it is refused.
    fn refuse(&mut self, now: Instant, path: &Path, header: &Header, fault: Fault, connection: bool) {
        self.fault(fault);
        match fault {
            Fault::Closed | Fault::ServiceNotOffered | Fault::UnsupportedSecurity => {
                self.refuse_packet(now, path, header, AbortCode::RX_INVALID_OPERATION, connection);
            }
            Fault::NoRoom => self.reject_busy(now, path, header),
            Fault::MidCallStart => self.disown(now, path, header),
            _ => {}
        }
    }

    /// Make room for a connection of `peer`. If only those that make room use it, it stays nonetheless: what it was
    /// sent because of this datagram must not be forgotten.
    fn make_room(&mut self, now: Instant, path: &Path, peer: u32) -> Result<(), Fault> {
        if let Some(p) = self.peers.get_mut(peer as usize) {
            p.users += 1;
        }
        let room = self.keep_limits(now, path);
        if let Some(p) = self.peers.get_mut(peer as usize) {
            p.users = p.users.saturating_sub(1);
        }
        room
    }

    /// Keep the limits of service connections; the oldest that is not validated makes room.
    fn keep_limits(&mut self, now: Instant, path: &Path) -> Result<(), Fault> {
        if !self.is_trusted(now, path) {
            self.make_room_for_peer(now, path)?;
            if self.unvalidated.count() >= self.config.limits.unvalidated_connections {
                self.stats.limits.unvalidated_connections += 1;
                self.evict_oldest(now)?;
            }
        }
        let services = self.connections.len().saturating_sub(self.client_connections);
        if services >= self.config.limits.service_connections {
            self.stats.limits.service_connections += 1;
            self.evict_oldest(now)?;
        }
        Ok(())
    }

    /// Of the connections of one peer that are not validated, the oldest unused one makes room. Calls are not
    /// ended for it: the packet is dropped and comes again, perhaps after a proof.
    fn make_room_for_peer(&mut self, now: Instant, path: &Path) -> Result<(), Fault> {
        let Some(peer) = self.known_peer(&path.peer).and_then(|key| self.peers.get(key as usize)) else {
            return Ok(());
        };
        if peer.unvalidated < self.config.limits.unvalidated_per_peer {
            return Ok(());
        }
        self.stats.limits.unvalidated_per_peer += 1;
        let unused = peer.connections.iter().filter_map(|key| {
            let c = self.connections.get(*key as usize)?;
            (c.role == (Role::Service { validated: false }) && c.is_idle()).then_some((c.created, *key))
        });
        let (_, key) = unused.min().ok_or(Fault::NoRoomForConnection)?;
        self.evict(now, key);
        Ok(())
    }

    /// Whether the sender's address is proved, or need not be.
    fn is_trusted(&self, now: Instant, path: &Path) -> bool {
        let peer = self.known_peer(&path.peer).and_then(|key| self.peers.get(key as usize));
        !self.config.validate_peers || peer.is_some_and(|p| p.validation.is_valid(now))
    }

    fn evict_oldest(&mut self, now: Instant) -> Result<(), Fault> {
        let connections = &self.connections;
        let is_unvalidated = |key: u32, created: Instant| {
            connections
                .get(key as usize)
                .is_some_and(|c| c.created == created && c.role == (Role::Service { validated: false }))
        };
        let oldest = Unvalidated::oldest(&mut self.unvalidated, is_unvalidated);
        let Some(key) = oldest else { return Err(Fault::NoRoomForConnection) };
        self.evict(now, key);
        Ok(())
    }

    fn insert_service_connection(
        &mut self,
        now: Instant,
        path: &Path,
        peer: u32,
        header: &Header,
        service: u16,
    ) -> u32 {
        let validated = self.is_trusted(now, path);
        let init = ConnectionInit {
            role: Role::Service { validated },
            peer,
            local_ip: path.local_ip,
            epoch: header.epoch,
            cid: header.connection_id(),
            service,
            first_serial: (rand_core::Rng::next_u32(&mut self.rng) & FIRST_SERIAL_MASK).max(1),
            now,
            replays_per_second: self.config.limits.replays_per_second,
        };
        let mut connection = Connection::new(&init);
        connection.asked_service = header.service_id;
        let key = self.connections.insert(connection) as u32;
        self.service_index.insert(ServiceKey::new(path.peer, init.epoch, init.cid), key);
        if let Some(p) = self.peers.get_mut(peer as usize) {
            p.connections.insert(key);
            p.unvalidated += usize::from(!validated);
        }
        if !validated {
            self.unvalidated.push(key, now);
        }
        key
    }

    /// The call is let in: make it and take its first packet.
    fn start_call(&mut self, now: Instant, path: &Path, connection: u32, header: &Header, body: &Body<'_>) {
        let Some(c) = self.connections.get(connection as usize) else { return };
        let (peer, service) = (c.peer, c.service);
        let init = CallInit {
            generation: self.take_generation(),
            tag: 0,
            side: Side::Service { accepted: false },
            peer,
            service,
            state: State::RecvRequest,
            window: self.config.limits.window,
            threshold: self.peers.get(peer as usize).and_then(|p| p.threshold),
            silence: self.config.timing.silence,
            lifetime: self.config.timing.lifetime,
        };
        let id = self.insert_call(&init);
        let (channel, number) = (header.channel(), header.call_number);
        if let Some(call) = self.calls.get_mut(id.index) {
            call.place = Some(Place { connection, channel, number });
            call.deadlines.start(now);
            call.deadlines.keepalive = Some(now + self.config.timing.keepalive);
        }
        if let Some(c) = self.connections.get_mut(connection as usize) {
            c.idle_since = None;
            if let Some(channel) = c.channel_mut(channel) {
                channel.call = Some(id.index);
                channel.counter = number;
            }
        }
        self.set_connection_timer(connection);
        self.announce(service, id);
        self.on_call(now, path, id.index, header, body);
    }

    fn announce(&mut self, service: u16, id: CallId) {
        if let Some(service) = self.services.get_mut(&service) {
            service.wait(id);
        }
        self.events.push_back(Queued::Incoming(id));
    }
}

/// A datagram of the least size that makes a call must pay for the BUSY or ABORT that refuses it.
const _: () = assert!(32 + DATAGRAM_COST <= 3 * (28 + DATAGRAM_COST));
