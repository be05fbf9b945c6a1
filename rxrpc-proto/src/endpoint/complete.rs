//! The end of a call, whatever the reason: once, with everything that must be let go.

use alloc::vec::Vec;

use super::Endpoint;
use super::timers::TimerKey;
use crate::call::{Outcome, Place, Side, State};
use crate::connection::{Bundle, Ending, Role, Terminal};
use crate::error::{CallError, TimeoutKind};
use crate::event::{CallId, News};
use crate::recovery::Controller;
use crate::time::Instant;
use crate::wire::{AbortCode, CHANNELS};

/// The code that tells the peer of an end, `None` when the peer knows or cannot be told.
fn abort_code(error: &CallError) -> Option<AbortCode> {
    match error {
        CallError::LocalAbort(code) => Some(*code),
        CallError::Protocol(_) => Some(AbortCode::RX_PROTOCOL_ERROR),
        CallError::Timeout(TimeoutKind::Silence | TimeoutKind::RequestGap | TimeoutKind::Lifetime) => {
            Some(AbortCode::RX_CALL_TIMEOUT)
        }
        // A server that has lost the call may hold packets of it as the start of another.
        CallError::EndpointClosed | CallError::PeerRestarted => Some(AbortCode::RX_CALL_DEAD),
        CallError::TooLong | CallError::Short | CallError::Excess => Some(AbortCode::RX_USER_ABORT),
        _ => None,
    }
}

/// The code an application aborts with. Peers take 0 for no error at all.
pub(super) fn not_zero(code: AbortCode) -> AbortCode {
    if code.0 == 0 { AbortCode::RX_USER_ABORT } else { code }
}

impl Endpoint {
    /// End a call. Does nothing to one that is over.
    pub(super) fn complete(&mut self, now: Instant, key: u32, outcome: Outcome) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if !call.state.is_live() {
            return;
        }
        // The application was told that its abort ends the call: what came after that changes nothing.
        let outcome = call.abort_wish.take().map_or(outcome, Err);
        let was_queued = call.state == State::Queued;
        if was_queued {
            self.queued = self.queued.saturating_sub(call.send.buffer.len());
        }
        let exposed = call.is_exposed();
        let received =
            Ending::Received { last_seq: call.recv.highest(), serial: call.heard_serial.unwrap_or(0) };
        let delivered = call.send.is_delivered();
        call.state = State::Complete(outcome);
        self.unacknowledged = self.unacknowledged.saturating_sub(call.send.buffer.len());
        call.send.clear();
        call.write_blocked = false;
        if outcome.is_err() {
            call.recv.clear();
        }
        let (place, peer, side) = (call.place.take(), call.peer, call.side);
        let mut news = News::ENDED;
        if outcome.is_ok() {
            if let Some(p) = self.peers.get_mut(peer as usize) {
                p.threshold = call.send.cc.threshold().or(p.threshold);
            }
            news = if call.is_client() { news.with(News::READABLE) } else { news };
            news = if delivered { news.with(News::DELIVERED) } else { news };
        }
        self.recharge(key);
        self.set_timer(TimerKey::Call(key), None);
        if let Some(place) = place {
            let end = exposed.then_some((outcome, received));
            self.leave_channel(now, place, end);
        }
        if let Side::Client { bundle, .. } = side {
            if was_queued {
                self.cancel_waiting(bundle);
            }
            self.touch_bundle(bundle);
        }
        if let Side::Service { accepted: false } = side {
            self.touch(key);
        }
        self.wake_writers();
        self.notify(key, news);
        self.drop_if_released(key);
    }

    fn cancel_waiting(&mut self, bundle: u32) {
        let calls = &self.calls;
        let is_waiting = |id: CallId| {
            calls.get(id.index).is_some_and(|c| c.generation == id.generation && c.state == State::Queued)
        };
        if let Some(bundle) = self.bundles.get_mut(bundle as usize) {
            bundle.on_cancelled(is_waiting);
        }
    }

    /// The call leaves its channel. `end` is how, if the peer has ever seen the call.
    fn leave_channel(&mut self, now: Instant, place: Place, end: Option<(Outcome, Ending)>) {
        let final_ack = now + self.config.timing.final_ack;
        let Some(connection) = self.connections.get_mut(place.connection as usize) else { return };
        let is_client = connection.is_client();
        let known = self.peers.get(connection.peer as usize).is_some_and(|p| p.knows_us(now));
        let Some(channel) = connection.channel_mut(place.channel) else { return };
        channel.call = None;
        if let Some((outcome, received)) = end {
            let (ending, tell) = match outcome {
                Ok(()) => (received, false),
                Err(error) => {
                    let code = abort_code(&error);
                    (Ending::Aborted(code.unwrap_or(AbortCode::RX_CALL_DEAD)), code.is_some())
                }
            };
            channel.last = Some(Terminal { number: place.number, ending });
            channel.replay = tell.then_some(0);
            if outcome.is_ok() && is_client {
                // To a server that may doubt our address it goes out now: it is the proof.
                channel.final_ack_at = known.then_some(final_ack);
                channel.replay = (!known).then_some(0);
            }
        }
        self.end_probe(place, end.map(|(outcome, _)| outcome));
        self.free_channel(now, place);
        self.schedule_connection(now, place.connection);
    }

    /// The first call of an upgrading connection is over, `end` says how if it was on the wire: whatever answered
    /// is the service from now on.
    fn end_probe(&mut self, place: Place, end: Option<Outcome>) {
        let Some(connection) = self.connections.get_mut(place.connection as usize) else { return };
        let Role::Client { bundle, probing } = &mut connection.role else { return };
        // A call that never went out has asked nothing; the next one does.
        if !*probing || (end.is_none() && !connection.retired) {
            return;
        }
        // Nobody knows what a failed call has asked: a new connection asks anew. On this one the answer may still
        // come (QUIRKS.md#upgrade-probe-again).
        *probing = end != Some(Ok(()));
        connection.retired |= end != Some(Ok(()));
        let retired = connection.retired;
        if let Some(bundle) = self.bundles.get_mut(*bundle as usize) {
            bundle.set_probing(false);
            if !retired {
                (1..CHANNELS).rev().for_each(|channel| bundle.add_free(place.connection, channel));
            }
        }
    }

    /// The channel can take another call, unless the connection is used up.
    fn free_channel(&mut self, now: Instant, place: Place) {
        let Some(connection) = self.connections.get_mut(place.connection as usize) else { return };
        if connection.is_idle() {
            connection.idle_since = Some(now);
        }
        if let Role::Client { bundle, .. } = connection.role {
            let used_up = connection.channels.iter().any(|c| c.is_used_up());
            connection.retired |= used_up;
            let retired = connection.retired;
            if let Some(bundle) = self.bundles.get_mut(bundle as usize) {
                give_back(bundle, place, retired);
            }
        }
        self.set_connection_timer(place.connection);
    }

    /// Remove a call that is over and that the application has forgotten.
    pub(super) fn drop_if_released(&mut self, key: u32) {
        let Some(call) = self.calls.get(key) else { return };
        if call.state.is_live() || !call.released {
            return;
        }
        let (peer, charged, waits) = (call.peer, call.charged, !call.is_accepted());
        if waits {
            self.unwait(key);
        }
        self.calls.remove(key);
        self.timers.set(TimerKey::Call(key), None);
        self.unread = self.unread.saturating_sub(charged);
        if let Some(peer) = self.peers.get_mut(peer as usize) {
            peer.unread = peer.unread.saturating_sub(charged);
            peer.calls = peer.calls.saturating_sub(1);
        }
        self.peer_unused(peer);
    }

    /// Forget a call: no event of it follows and its id is unknown from now on. A live one is aborted with
    /// RX_USER_ABORT.
    pub fn release(&mut self, id: CallId) {
        let Some(key) = self.call_key(id) else { return };
        let Some(call) = self.calls.get_mut(key) else { return };
        call.released = true;
        if call.state.is_live() {
            call.abort_wish.get_or_insert(CallError::LocalAbort(AbortCode::RX_USER_ABORT));
            self.touch(key);
        } else {
            self.drop_if_released(key);
        }
    }

    pub(super) fn close_calls(&mut self) {
        let now = self.now;
        let keys: Vec<u32> = self.calls.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.complete(now, key, Err(CallError::EndpointClosed));
        }
        self.fail_versions();
        self.send_final_acks(now);
    }

    /// The servers of finished calls need not wait for a next call that will never come.
    fn send_final_acks(&mut self, now: Instant) {
        let keys: Vec<u32> = self.connections.iter().map(|(key, _)| key as u32).collect();
        for key in keys {
            let Some(connection) = self.connections.get_mut(key as usize) else { continue };
            for channel in &mut connection.channels {
                if channel.final_ack_at.take().is_some() {
                    channel.replay = Some(0);
                }
            }
            self.schedule_connection(now, key);
            self.set_connection_timer(key);
        }
    }
}

fn give_back(bundle: &mut Bundle, place: Place, retired: bool) {
    if retired {
        bundle.drop_free(place.connection);
    } else {
        bundle.add_free(place.connection, place.channel);
    }
}
