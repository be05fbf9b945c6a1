//! A client that comes from another address: its translator may have forgotten it. It is believed once it
//! answers there (QUIRKS.md#client-may-move).

use core::net::SocketAddr;
use core::time::Duration;

use super::{Endpoint, Path};
use crate::connection::{Candidate, Role};
use crate::fault::Fault;
use crate::time::Instant;
use crate::wire::{AckReason, Body, Header};

/// A new address is asked again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Endpoint {
    /// A packet of a known connection came along `path`.
    pub(super) fn note_address(
        &mut self,
        now: Instant,
        path: &Path,
        key: u32,
        header: &Header,
        body: &Body<'_>,
    ) {
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        if connection.is_client() {
            return;
        }
        let Some(peer) = self.peers.get(connection.peer as usize) else { return };
        if peer.addr == path.peer {
            connection.local_ip = path.local_ip.or(connection.local_ip);
            return;
        }
        self.fault(Fault::AddressUnproven);
        let lives = self.is_of_live_call(key, header);
        let credit = u32::from(self.known_peer(&path.peer).is_none());
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        if let Some(candidate) = connection.candidate.as_mut().filter(|c| c.addr == path.peer) {
            candidate.heard = candidate.heard.saturating_add(1);
            candidate.credit += credit;
            candidate.channel = if lives { header.channel() } else { candidate.channel };
        }
        match connection.candidate {
            Some(candidate) if candidate.addr == path.peer => {
                let answered = matches!(body, Body::Ack(ack)
                    if ack.fields.reason == AckReason::PingResponse
                        && candidate.was_asked(ack.fields.serial));
                if answered && header.call_number != 0 {
                    self.move_connection(now, key, &candidate);
                } else {
                    self.schedule_connection(now, key);
                    self.set_connection_timer(key);
                }
            }
            Some(candidate) if now < candidate.ask_at => {}
            _ => {
                connection.candidate = Some(Candidate {
                    addr: path.peer,
                    local_ip: path.local_ip,
                    pings: [0; 3],
                    ask_at: now,
                    asked: 0,
                    heard: 1,
                    credit,
                    channel: header.channel(),
                });
                self.schedule_connection(now, key);
                self.set_connection_timer(key);
            }
        }
    }

    fn is_of_live_call(&self, key: u32, header: &Header) -> bool {
        let call = self.connections.get(key as usize).and_then(|c| c.channel(header.channel())?.call);
        let place = call.and_then(|call| self.calls.get(call)?.place);
        place.is_some_and(|place| place.number == header.call_number)
    }

    /// Whether the new address has paid for a question, which is taken from it.
    pub(super) fn pay_question(&mut self, now: Instant, key: u32, addr: &SocketAddr, len: usize) -> bool {
        if self.known_peer(addr).is_some() {
            return self.afford(now, addr, len);
        }
        let candidate = self.connections.get_mut(key as usize).and_then(|c| c.candidate.as_mut());
        let Some(candidate) = candidate.filter(|c| c.credit > 0) else { return false };
        candidate.credit -= 1;
        true
    }

    /// The PING to the new address goes out.
    pub(super) fn on_candidate_asked(&mut self, now: Instant, key: u32, serial: u32) {
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        if let Some(candidate) = &mut connection.candidate {
            candidate.on_asked(serial, now + ASK_AGAIN);
        }
        self.set_connection_timer(key);
    }

    /// It is time to ask again, or to give the address up.
    pub(super) fn on_candidate_timer(&mut self, now: Instant, key: u32) {
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        connection.candidate = connection.candidate.filter(|c| !c.is_over(now));
    }

    /// The client answered from its new address: go on there.
    fn move_connection(&mut self, now: Instant, key: u32, candidate: &Candidate) {
        let new = self.peer_for(candidate.addr);
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        let old = core::mem::replace(&mut connection.peer, new);
        connection.candidate = None;
        connection.local_ip = candidate.local_ip;
        connection.in_ring = false;
        let unvalidated = usize::from(connection.role == (Role::Service { validated: false }));
        let calls = connection.calls();
        if let Some(peer) = self.peers.get_mut(new as usize) {
            peer.connections.insert(key);
            peer.unvalidated += unvalidated;
        }
        if let Some(peer) = self.peers.get_mut(old as usize) {
            peer.connections.remove(&key);
            peer.unvalidated = peer.unvalidated.saturating_sub(unvalidated);
        }
        for key in calls {
            self.move_call(key, old, new);
        }
        self.prove_peer(now, new);
        self.schedule_connection(now, key);
        self.peer_unused(old);
    }

    fn move_call(&mut self, key: u32, old: u32, new: u32) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.peer = new;
        call.rings = 0;
        let (charged, streaming) = (call.charged, usize::from(call.streaming));
        if let Some(peer) = self.peers.get_mut(old as usize) {
            peer.calls = peer.calls.saturating_sub(1);
            peer.unread = peer.unread.saturating_sub(charged);
            peer.streaming = peer.streaming.saturating_sub(streaming);
        }
        if let Some(peer) = self.peers.get_mut(new as usize) {
            peer.calls += 1;
            peer.unread += charged;
            peer.streaming += streaming;
        }
        self.touch(key);
    }
}
