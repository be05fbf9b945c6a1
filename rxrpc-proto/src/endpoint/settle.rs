//! After something happened to a call: do what was wished, see what it has to send, set its timer.

use core::time::Duration;

use super::Endpoint;
use super::timers::TimerKey;
use crate::call::{Call, State};
use crate::error::CallError;
use crate::event::News;
use crate::peer::{Class, Peer, Token};
use crate::recovery::RtoBounds;
use crate::time::Instant;
use crate::wire::MAX_SACK;

/// Least wait before a closed window is asked about.
const WINDOW_PROBE: Duration = Duration::from_millis(250);
/// A writer is woken when this share of its buffer is free again, or this many bytes.
const WAKE_SHARE: usize = 4;
const WAKE_BYTES: usize = 256 * 1024;

impl Endpoint {
    /// Note the time. It never goes back.
    pub(super) fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// Look after every call and bundle that something happened to.
    pub(super) fn settle(&mut self, now: Instant) {
        loop {
            while let Some(key) = self.dirty_calls.pop_front() {
                if let Some(call) = self.calls.get_mut(key) {
                    call.dirty = false;
                    self.settle_call(now, key);
                }
            }
            let Some(key) = self.dirty_bundles.pop_front() else { return };
            if let Some(bundle) = self.bundles.get_mut(key as usize) {
                bundle.dirty = false;
                self.settle_bundle(now, key);
            }
        }
    }

    fn settle_call(&mut self, now: Instant, key: u32) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if !call.state.is_live() {
            self.recharge(key);
            self.drop_if_released(key);
            return;
        }
        if let Some(error) = call.abort_wish {
            self.complete(now, key, Err(error));
            return;
        }
        if call.send.is_exhausted() {
            self.complete(now, key, Err(CallError::TooLong));
            return;
        }
        call.deadlines.start(now);
        // A writer that waits for room writes nothing that would fill the packet.
        if call.write_blocked && call.send.packets.is_empty() {
            call.send.flush();
        }
        if call.state == State::Queued {
            // Nothing of it is on its way, and nothing can go out.
            let deadline = call.next_deadline();
            return self.set_timer(TimerKey::Call(key), deadline);
        }
        if call.state == State::AckRequest && call.send.has_unsent() {
            call.state = State::SendReply;
        }
        self.recharge(key);
        self.update_window(key);
        self.schedule_call(now, key);
    }

    /// Count what the call holds unread, in its peer's and the endpoint's budget, and whether it streams.
    pub(super) fn recharge(&mut self, key: u32) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let held = call.recv.held_total();
        let before = core::mem::replace(&mut call.charged, held);
        let streams = call.state.is_live() && call.recv.is_streaming();
        let streamed = core::mem::replace(&mut call.streaming, streams);
        if (held, streams) == (before, streamed) {
            return;
        }
        let [streams, streamed] = [streams, streamed].map(usize::from);
        self.unread = (self.unread + held).saturating_sub(before);
        self.streaming = (self.streaming + streams).saturating_sub(streamed);
        if let Some(peer) = self.peers.get_mut(call.peer as usize) {
            peer.unread = (peer.unread + held).saturating_sub(before);
            peer.streaming = (peer.streaming + streams).saturating_sub(streamed);
        }
    }

    /// Bytes that may still be received for the call.
    pub(super) fn receive_room(&self, call: &Call) -> usize {
        let [own, peer, all] = self.receive_rooms(call);
        own.min(peer).min(all)
    }

    /// The same by each limit: of the call, of its peer, of the endpoint.
    fn receive_rooms(&self, call: &Call) -> [usize; 3] {
        let limits = &self.config.limits;
        let peer = self.peers.get(call.peer as usize).map_or(0, |p| p.unread);
        // What this call itself has charged is old news by what it holds now.
        let own = call.recv.held_total();
        let grown = own.saturating_sub(call.charged);
        let least = call.recv.least_room();
        let room_call = limits.receive_per_call.max(least).saturating_sub(own);
        let room_peer = limits.receive_per_peer.max(least).saturating_sub(peer + grown);
        let room_all = limits.receive_total.max(least).saturating_sub(self.unread + grown);
        [room_call, room_peer, room_all]
    }

    /// The window that an ACK of the call offers now. What closes it is counted.
    pub(super) fn offer_window(&mut self, key: u32) -> u32 {
        let Some(call) = self.calls.get(key) else { return 0 };
        let window = self.receive_window(call);
        if window == 0 || call.recv.waits_for_base() {
            let [own, peer, all] =
                self.receive_rooms(call).map(|room| u64::from(call.recv.window(room, 1) == 0));
            let limits = &mut self.stats.limits;
            limits.receive_per_call += own;
            limits.receive_per_peer += peer;
            limits.receive_total += all;
        }
        window
    }

    /// The window to offer the call's peer now: the call's share of what there is room for, and of half the socket's
    /// buffer. Room that two calls were offered is used by one, and what the other one sends is sent in vain.
    pub(super) fn receive_window(&self, call: &Call) -> u32 {
        /// What a packet costs in a socket's buffer beside its bytes.
        const OVERHEAD: usize = 512;
        /// Every call may have this much on the way.
        const LEAST: usize = 4;
        let share = self.config.socket_receive_buffer / 2 / self.streaming.max(1);
        let by_socket = (share / (crate::wire::JUMBO_DATA_LEN + OVERHEAD)).max(LEAST);
        let cap = self.config.limits.window.min(u32::try_from(by_socket).unwrap_or(u32::MAX));
        // What is acknowledged softly takes its part of the window, which a table has to describe.
        let describable = self.config.limits.window.min(MAX_SACK as u32).saturating_sub(call.revocable());
        let [own, peer, all] = self.receive_rooms(call);
        let window = |room, calls: usize| {
            // One packet may come wherever one fits.
            call.recv.window(room / calls.max(1), cap).max(call.recv.window(room, 1))
        };
        let of_peer = self.peers.get(call.peer as usize).map_or(1, |p| p.streaming);
        let fits =
            window(own, 1).min(window(peer, of_peer)).min(window(all, self.streaming)).min(describable);
        // The packet that is missing is taken nonetheless, and its sender owes it.
        fits.max(u32::from(call.recv.waits_for_base()))
    }

    /// The reader made room: take in what waited for it, and tell the peer if it nears the old edge.
    fn update_window(&mut self, key: u32) {
        let Some(call) = self.calls.get(key) else { return };
        if call.recv.is_complete() || call.recv.highest() == 0 {
            return;
        }
        let window = self.receive_window(call);
        let request_gap = self.now + self.config.timing.request_gap;
        let Some(call) = self.calls.get_mut(key) else { return };
        if window > 0 && call.recv.offered() == 0 {
            call.deadlines.restart_gap(request_gap);
        }
        // With nothing to read, no reading will ever make room.
        if (window > 0 || call.recv.readable() == 0) && call.recv.holds_base() {
            if call.recv.release_held() {
                call.ack.open_window();
            }
            self.after_release(key);
            return;
        }
        let offered = call.recv.offered();
        if offered <= window / 2 && window > offered {
            call.ack.open_window();
        }
    }

    /// Packets held while the window was closed are in order now.
    fn after_release(&mut self, key: u32) {
        let now = self.now;
        self.notify(key, News::READABLE);
        self.end_of_input(now, key);
        self.recharge(key);
    }

    /// See what the call has to send, and when it is to be looked at again.
    fn schedule_call(&mut self, now: Instant, key: u32) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(peer) = self.peers.get_mut(call.peer as usize) else { return };
        probe_window(now, call, peer, &self.bounds);
        let hangs = hang(call, key, peer);
        let (peer, deadline) = (call.peer, call.next_deadline());
        if hangs {
            self.ready_peer(peer);
        }
        self.set_timer(TimerKey::Call(key), deadline);
    }

    /// Hang the connection in its peer's control ring if it has something to say itself.
    pub(super) fn schedule_connection(&mut self, now: Instant, key: u32) {
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        if !connection.has_control(now) {
            return;
        }
        let hangs = core::mem::replace(&mut connection.in_ring, true);
        let peer = connection.peer;
        if let Some(p) = self.peers.get_mut(peer as usize).filter(|_| !hangs) {
            p.ready.push_back(Class::Control, Token::Connection(key));
        }
        self.ready_peer(peer);
    }

    /// Hang the peer in the ring of those with something to send.
    pub(super) fn ready_peer(&mut self, key: u32) {
        if let Some(peer) = self.peers.get_mut(key as usize)
            && !peer.in_ring
            && !peer.ready.is_empty()
        {
            peer.in_ring = true;
            self.ring.push_back(key);
        }
    }

    /// Room a call has to write into. Calls that wait for a channel share half of the endpoint's budget: with all
    /// of it they would keep those from writing whose channels they wait for.
    pub(super) fn write_room(&self, call: &Call) -> usize {
        let limits = &self.config.limits;
        let own = limits.send_per_call.saturating_sub(call.send.buffer.len());
        let all = limits.send_total.saturating_sub(self.unacknowledged);
        let share = match call.state {
            State::Queued => (limits.send_total / 2).saturating_sub(self.queued),
            _ => all,
        };
        own.min(all).min(share)
    }

    /// A call has its channel: what it wrote so far no longer counts among what waits, and it may write more.
    pub(super) fn on_placed(&mut self, key: u32) {
        let Some(call) = self.calls.get(key) else { return };
        self.queued = self.queued.saturating_sub(call.send.buffer.len());
        if call.write_blocked {
            self.wait_to_write(key);
            self.wake_writers();
        }
    }

    /// The peer acknowledged data of this call: its writer may go on once there is a worthwhile amount of room.
    pub(super) fn after_freed(&mut self, key: u32, freed: usize) {
        self.unacknowledged = self.unacknowledged.saturating_sub(freed);
        let Some(call) = self.calls.get(key) else { return };
        let limit = self.config.limits.send_per_call;
        let enough = (limit / WAKE_SHARE).clamp(1, WAKE_BYTES);
        let own = limit.saturating_sub(call.send.buffer.len());
        if call.write_blocked && own >= enough {
            // It has room of its own again; for the endpoint's it waits in line like the others.
            self.wait_to_write(key);
        }
        self.wake_writers();
    }

    /// Put a blocked writer in the line of those that wait for room in the endpoint's send budget.
    pub(super) fn wait_to_write(&mut self, key: u32) {
        let id = self.call_id(key);
        if let Some(call) = self.calls.get_mut(key)
            && !core::mem::replace(&mut call.in_line, true)
        {
            self.write_waiters.push_back(id);
        }
    }

    /// Room in the endpoint's send budget goes to those that wait for it, in order.
    pub(super) fn wake_writers(&mut self) {
        while self.unacknowledged < self.config.limits.send_total {
            let Some(id) = self.write_waiters.pop_front() else { return };
            let Some(key) = self.call_key(id) else { continue };
            let Some(call) = self.calls.get_mut(key) else { continue };
            call.in_line = false;
            if core::mem::take(&mut call.write_blocked) {
                self.notify(key, News::WRITABLE);
            }
        }
    }
}

/// Data waits and the peer's window is closed: ask before long, since the news of its opening may be lost
/// (QUIRKS.md#closed-window-is-asked-about).
fn probe_window(now: Instant, call: &mut Call, peer: &Peer, bounds: &RtoBounds) {
    if !call.send.is_window_blocked() {
        call.deadlines.window_probes = 0;
        return;
    }
    if call.deadlines.window_probes == 0 {
        call.deadlines.window_probes = 1;
        let at = now + peer.rtt.rto(bounds, 0).max(WINDOW_PROBE);
        call.deadlines.keepalive = Some(call.deadlines.keepalive.map_or(at, |k| k.min(at)));
    }
}

/// Hang the call in the rings of what it has to send. False if that is nothing.
fn hang(call: &mut Call, key: u32, peer: &mut Peer) -> bool {
    if call.place.is_none() {
        return false;
    }
    let ack = call.ack.is_due();
    let retransmit = call.send.next_lost().is_some();
    let fresh = call.may_send_data() && call.send.fresh(peer.max_payload()).is_some();
    let mut want = |class: Class, wanted: bool| {
        if wanted && call.rings & class.bit() == 0 {
            call.rings |= class.bit();
            peer.ready.push_back(class, Token::Call(key));
        }
    };
    want(Class::Ack, ack);
    want(Class::Retransmit, retransmit);
    want(Class::Fresh, fresh);
    ack || retransmit || fresh
}
