//! Datagrams in: checks that need no call, then on to the connection.

use core::net::SocketAddr;
use core::time::Duration;

use super::peers::{ServiceKey, is_usable};
use super::{Endpoint, Path, Segments};
use crate::error::{CallError, NetworkError};
use crate::fault::Fault;
use crate::time::Instant;
use crate::wire::{AbortCode, AckReason, Body, Header, Malformed, Version};

/// A client that the network says is gone may be heard from a new address for this long.
const CLIENT_MAY_MOVE: Duration = Duration::from_secs(2);

impl Endpoint {
    /// Take datagrams that came in: one batch of one sender.
    ///
    /// The bytes are read in place. A datagram that makes no sense is counted by its
    /// [`Fault`](crate::Fault) and dropped or refused.
    pub fn handle_datagrams(&mut self, now: Instant, path: &Path, segments: Segments<'_>) {
        let now = self.advance(now);
        if !is_usable(&path.peer) {
            self.fault(Fault::UnusableSource);
            return;
        }
        self.peer_index.find(&path.peer);
        for datagram in segments.iter() {
            self.stats.datagrams_received += 1;
            self.stats.bytes_received += datagram.len() as u64;
            self.datagram(now, path, datagram);
        }
        if let Some(peer) = self.known_peer(&path.peer) {
            self.ready_peer(peer);
        }
        self.settle(now);
    }

    fn datagram(&mut self, now: Instant, path: &Path, datagram: &[u8]) {
        if let Some(key) = self.known_peer(&path.peer)
            && let Some(peer) = self.peers.get_mut(key as usize)
        {
            peer.validation.on_received(datagram.len());
        }
        let (header, body) = match Header::parse(datagram) {
            Ok(parts) => parts,
            Err(malformed) => return self.fault(malformed),
        };
        match Body::parse(&header, body) {
            Ok(Body::Version(version)) => self.on_version(now, path, &header, &version),
            Ok(Body::Ignored) => {}
            Ok(Body::Debug(_)) => self.fault(Fault::DebugOff),
            Ok(body) if header.from_client() => {
                self.on_client_packet(now, path, &header, &body, datagram.len())
            }
            Ok(body) => self.on_server_packet(now, path, &header, &body),
            Err(malformed) => self.on_malformed(now, path, &header, malformed),
        }
    }

    /// Rows 2 to 12: some are worth an answer.
    fn on_malformed(&mut self, now: Instant, path: &Path, header: &Header, malformed: Malformed) {
        self.fault(malformed);
        match malformed {
            Malformed::ZeroCallNumber
            | Malformed::ZeroCallOnData
            | Malformed::ZeroSeq
            | Malformed::UnknownType
            | Malformed::ZeroService => {
                self.refuse_packet(now, path, header, AbortCode::RX_PROTOCOL_ERROR, false);
            }
            Malformed::ShortHeader
            | Malformed::ShortAck
            | Malformed::VersionNotRequest
            | Malformed::VersionMalformed
            | Malformed::BusyFromClient
            | Malformed::ShortAbort
            | Malformed::ChallengeToServer
            | Malformed::ResponseToClient => {}
        }
    }

    fn on_version(&mut self, now: Instant, path: &Path, header: &Header, version: &Version<'_>) {
        match version.request() {
            Ok(()) => self.answer_version(now, path, header),
            Err(malformed) => {
                if !self.on_version_reply(now, path, header, version) {
                    self.fault(malformed);
                }
            }
        }
    }

    /// A packet of a server. The connection is known by its id and epoch; of the address only the port counts,
    /// since a server with several addresses may answer from another one
    /// (QUIRKS.md#server-may-answer-from-elsewhere).
    fn on_server_packet(&mut self, now: Instant, path: &Path, header: &Header, body: &Body<'_>) {
        let found = self.client_index.get(&header.connection_id()).copied().filter(|key| {
            self.connections.get(*key as usize).is_some_and(|c| {
                let port = self.peers.get(c.peer as usize).map(|p| p.addr.port());
                c.epoch == header.epoch && port == Some(path.peer.port())
            })
        });
        match found {
            Some(key) => self.on_connection(now, path, key, header, body),
            None => {
                self.fault(Fault::NoClientConnection);
                if !is_answer(body) {
                    self.refuse_packet(now, path, header, AbortCode::RX_PROTOCOL_ERROR, false);
                }
            }
        }
    }

    fn on_client_packet(&mut self, now: Instant, path: &Path, header: &Header, body: &Body<'_>, len: usize) {
        let key = ServiceKey::new(path.peer, header.epoch, header.connection_id());
        match (self.service_index.get(&key).copied(), body) {
            (Some(key), _) => self.on_connection(now, path, key, header, body),
            (None, Body::Data(_)) => self.on_new_connection(now, path, header, body, len),
            (None, Body::Ack(ack))
                if ack.fields.reason == AckReason::Ping && self.refuse_evicted(now, path, header) => {}
            // No answer to an ACK: QUIRKS.md#unknown-call-acks.
            (None, Body::Ack(_) | Body::Abort(_)) => self.fault(Fault::NoServiceConnection),
            (None, _) => {
                self.fault(Fault::NoServiceConnection);
                self.refuse_packet(now, path, header, AbortCode::RX_PROTOCOL_ERROR, false);
            }
        }
    }

    /// Take an error that the network or the socket reported about packets to `peer`.
    ///
    /// Every call of ours that has sent something there ends with [`CallError::Network`]. A call that we serve
    /// does so two seconds later if nothing is heard of it: its client may have a new address. A packet that was
    /// too large only makes later ones smaller.
    pub fn handle_network_error(&mut self, now: Instant, peer: SocketAddr, error: NetworkError) {
        let now = self.advance(now);
        self.fail_versions_to(peer, error);
        let Some(key) = self.known_peer(&peer) else { return };
        let Some(p) = self.peers.get_mut(key as usize) else { return };
        if let NetworkError::MessageTooLong { mtu } = error {
            if mtu > 0 {
                p.on_path_mtu(mtu);
            }
            return;
        }
        for connection in p.connections.clone() {
            let calls = self.connections.get(connection as usize).map(|c| c.calls()).unwrap_or_default();
            for call in calls {
                self.on_unreachable(now, call, error);
            }
        }
        self.settle(now);
    }

    fn on_unreachable(&mut self, now: Instant, key: u32, error: NetworkError) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if !call.is_client() {
            call.deadlines.unreachable.get_or_insert((now + CLIENT_MAY_MOVE, error));
            self.touch(key);
        } else if call.is_exposed() {
            self.complete(now, key, Err(CallError::Network(error)));
        }
    }
}

/// Packets that are never answered with an ABORT: doing so could go on for ever
/// (QUIRKS.md#never-abort-an-abort).
fn is_answer(body: &Body<'_>) -> bool {
    matches!(body, Body::Abort(_) | Body::Busy)
}
