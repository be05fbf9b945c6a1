//! Client calls: begin, find a connection and a channel.

use core::net::SocketAddr;

use super::Endpoint;
use crate::call::{CallInit, Place, Side, State};
use crate::config::CallOptions;
use crate::connection::{Bundle, BundleKey, Connection, ConnectionInit, Ending, Role};
use crate::error::BeginCallError;
use crate::event::CallId;
use crate::time::Instant;
use crate::wire::CHANNELS;

/// Connections of a bundle while the server has no proof of our address.
const FIRST_CONNECTIONS: usize = 16;
/// Largest connection id; the two bits below it hold the channel.
const MAX_CONNECTION_ID: u32 = 0x3fff_ffff;

/// Whom to call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// The server's address.
    pub peer: SocketAddr,
    /// The service, not 0.
    pub service: u16,
    /// Ask the server for a newer version of the service; the view's `service()` says which one answered.
    /// Understood by AuriStor and Linux.
    pub upgrade: bool,
}

impl Target {
    /// `service` at `peer`.
    #[must_use]
    pub fn new(peer: SocketAddr, service: u16) -> Self {
        Target { peer, service, upgrade: false }
    }
}

impl Endpoint {
    /// Begin a call. Its request is written, and its reply read, through [`call`](Self::call).
    ///
    /// The call waits in order until a channel is free; its lifetime starts with the next
    /// [`poll_transmit`](Self::poll_transmit).
    ///
    /// # Errors
    /// [`BeginCallError`] at a limit, for a target that cannot be called, and on a closed endpoint.
    pub fn begin_call(&mut self, target: &Target, options: CallOptions) -> Result<CallId, BeginCallError> {
        if self.closed {
            return Err(BeginCallError::EndpointClosed);
        }
        if target.service == 0 || !super::peers::is_usable(&target.peer) {
            return Err(BeginCallError::InvalidTarget);
        }
        if self.calls.len() >= self.config.limits.calls {
            return Err(BeginCallError::TooManyCalls);
        }
        let known = self.known_peer(&target.peer).and_then(|key| self.peers.get(key as usize));
        if known.map_or(0, |p| p.calls) >= self.config.limits.calls_per_peer {
            return Err(BeginCallError::TooManyCallsToPeer(target.peer));
        }
        let peer = self.peer_for(target.peer);
        let key = BundleKey { peer, service: target.service, upgrade: target.upgrade };
        let bundle = self.bundle_for(key, options.exclusive);
        let init = CallInit {
            generation: self.take_generation(),
            tag: options.tag,
            side: Side::Client { bundle, busy: options.busy, after_abort: false },
            peer,
            service: target.service,
            state: State::Queued,
            window: self.config.limits.window,
            threshold: self.peers.get(peer as usize).and_then(|p| p.threshold),
            silence: options.silence.unwrap_or(self.config.timing.silence),
            lifetime: options.lifetime.or(self.config.timing.lifetime),
        };
        let id = self.insert_call(&init);
        if let Some(call) = self.calls.get_mut(id.index) {
            call.total_length = options.total_length;
        }
        if let Some(b) = self.bundles.get_mut(bundle as usize) {
            b.wait(id);
        }
        self.touch_bundle(bundle);
        Ok(id)
    }

    pub(super) fn take_generation(&mut self) -> u64 {
        self.next_generation += 1;
        self.next_generation
    }

    pub(super) fn insert_call(&mut self, init: &CallInit) -> CallId {
        if let Some(peer) = self.peers.get_mut(init.peer as usize) {
            peer.calls += 1;
        }
        let key = self.calls.insert(init);
        self.touch(key);
        CallId { index: key, generation: init.generation }
    }

    fn bundle_for(&mut self, key: BundleKey, exclusive: bool) -> u32 {
        if !exclusive && let Some(&bundle) = self.bundle_index.get(&key) {
            return bundle;
        }
        let bundle = self.bundles.insert(Bundle::new(key, exclusive)) as u32;
        if !exclusive {
            self.bundle_index.insert(key, bundle);
        }
        if let Some(peer) = self.peers.get_mut(key.peer as usize) {
            peer.users += 1;
        }
        bundle
    }

    /// Give free channels to waiting calls, in order; open connections as needed and allowed.
    pub(super) fn settle_bundle(&mut self, now: Instant, key: u32) {
        loop {
            let Some(bundle) = self.bundles.get_mut(key as usize) else { return };
            let Some(id) = bundle.next_waiting() else { break };
            let Some(call) = self.call_key(id).filter(|c| self.is_queued(*c)) else { continue };
            let free = match self.bundles.get_mut(key as usize).and_then(Bundle::take_free) {
                Some(free) => Some((free.connection, free.channel)),
                None => self.open_connection(now, key),
            };
            match free {
                Some((connection, channel)) => self.place_call(call, connection, channel),
                None => {
                    if let Some(bundle) = self.bundles.get_mut(key as usize) {
                        bundle.wait_first(id);
                    }
                    break;
                }
            }
        }
        self.drop_unused_bundle(key);
    }

    fn is_queued(&self, call: u32) -> bool {
        self.calls.get(call).is_some_and(|c| c.state == State::Queued)
    }

    /// Forget a bundle that no call and no connection uses.
    fn drop_unused_bundle(&mut self, key: u32) {
        let Some(bundle) = self.bundles.get(key as usize) else { return };
        if bundle.has_waiting() || !bundle.connections.is_empty() {
            return;
        }
        let bundle = self.bundles.remove(key as usize);
        if !bundle.exclusive {
            self.bundle_index.remove(&bundle.key);
        }
        if let Some(peer) = self.peers.get_mut(bundle.key.peer as usize) {
            peer.users = peer.users.saturating_sub(1);
        }
        self.peer_unused(bundle.key.peer);
    }

    /// A new connection for the bundle, if it may have one: its first channel.
    fn open_connection(&mut self, now: Instant, key: u32) -> Option<(u32, usize)> {
        let bundle = self.bundles.get(key as usize)?;
        let limit = if bundle.exclusive { 1 } else { self.config.limits.connections_per_bundle };
        // A server keeps few connections of a client that has not proved its address: wait until we have
        // acknowledged something of it rather than have them dropped.
        let known = self.peers.get(bundle.key.peer as usize).is_some_and(|p| p.knows_us(now));
        let limit = if known { limit } else { limit.min(FIRST_CONNECTIONS) };
        if bundle.connections.len() >= limit || bundle.is_probing() {
            return None;
        }
        let (BundleKey { peer, service, upgrade }, exclusive) = (bundle.key, bundle.exclusive);
        let cid = self.allocate_connection_id()? << 2;
        let init = ConnectionInit {
            role: Role::Client { bundle: key, probing: upgrade },
            peer,
            local_ip: None,
            epoch: self.epoch,
            cid,
            service,
            first_serial: 1,
            now,
            replays_per_second: self.config.limits.replays_per_second,
        };
        let mut connection = Connection::new(&init);
        connection.retired = exclusive;
        let connection = self.connections.insert(connection) as u32;
        self.client_index.insert(cid, connection);
        self.client_connections += 1;
        if let Some(p) = self.peers.get_mut(peer as usize) {
            p.connections.insert(connection);
            p.client_connections += 1;
        }
        let bundle = self.bundles.get_mut(key as usize)?;
        bundle.connections.push(connection);
        bundle.set_probing(upgrade);
        if !upgrade && !exclusive {
            (1..CHANNELS).rev().for_each(|channel| bundle.add_free(connection, channel));
        }
        self.set_peer_timer(peer);
        Some((connection, 0))
    }

    fn allocate_connection_id(&mut self) -> Option<u32> {
        let count = self.config.shard.count.clamp(1, MAX_CONNECTION_ID);
        let index = self.config.shard.index % count;
        for _ in 0..=self.client_index.len() {
            let next = (self.next_connection_id & MAX_CONNECTION_ID) + count;
            let id = next - next % count + index;
            self.next_connection_id = if id > MAX_CONNECTION_ID { 0 } else { id };
            if id <= MAX_CONNECTION_ID && id != 0 && !self.client_index.contains_key(&(id << 2)) {
                return Some(id);
            }
        }
        // The cursor wrapped in this search: once more from the bottom.
        let id = if index == 0 { count } else { index };
        (!self.client_index.contains_key(&(id << 2))).then_some(id)
    }

    fn place_call(&mut self, key: u32, connection: u32, channel: usize) {
        let Some(c) = self.connections.get_mut(connection as usize) else { return };
        c.idle_since = None;
        let service = c.service;
        let Some(ch) = c.channel_mut(channel) else { return };
        ch.call = Some(key);
        let number = ch.counter + 1;
        let aborted = matches!(ch.last, Some(last) if matches!(last.ending, Ending::Aborted(_)));
        let Some(call) = self.calls.get_mut(key) else { return };
        call.place = Some(Place { connection, channel, number });
        call.service = service;
        call.state = State::PreSend;
        if let Side::Client { after_abort, .. } = &mut call.side {
            *after_abort = aborted;
        }
        self.on_placed(key);
        self.touch(key);
        self.set_connection_timer(connection);
    }
}
