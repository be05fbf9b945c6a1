//! Deadlines that have come.

use core::time::Duration;

use super::Endpoint;
use super::timers::TimerKey;
use crate::call::{Call, LossTimer};
use crate::error::{CallError, TimeoutKind};
use crate::time::Instant;

/// Waits between questions about a closed window double up to this share of the keepalive time.
const WINDOW_PROBE: Duration = Duration::from_millis(250);

impl Endpoint {
    /// Do what is due. Early, late and needless calls are harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        // Each owner gets one turn, whatever deadline it sets next: this ends.
        let mut due = core::mem::take(&mut self.due);
        while let Some(key) = self.timers.due(now) {
            self.timers.set(key, None);
            due.push(key);
        }
        for key in due.drain(..) {
            match key {
                TimerKey::Call(key) => self.on_call_timer(now, key),
                TimerKey::Connection(key) => self.on_connection_timer(now, key),
                TimerKey::Peer(key) => self.on_peer_timer(now, key),
                TimerKey::Version(key) => self.on_version_timer(now, key),
            }
        }
        self.due = due;
        self.settle(now);
    }

    fn on_call_timer(&mut self, now: Instant, key: u32) {
        let request_gap = now + self.config.timing.request_gap;
        let Some(call) = self.calls.get_mut(key) else { return };
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(call.deadlines.request_gap) && call.recv.offered() == 0 {
            // The client may send nothing: the pause is ours (QUIRKS.md#request-gap).
            call.deadlines.restart_gap(request_gap);
        }
        let Some(call) = self.calls.get(key) else { return };
        let gap = call.deadlines.request_gap.filter(|_| call.state == crate::call::State::RecvRequest);
        let end = if due(call.deadlines.lifetime) {
            Some(CallError::Timeout(TimeoutKind::Lifetime))
        } else if due(call.deadlines.silence) {
            Some(self.silence_error(call))
        } else if let Some((at, error)) = call.deadlines.unreachable
            && at <= now
        {
            Some(CallError::Network(error))
        } else if due(gap) {
            Some(CallError::Timeout(TimeoutKind::RequestGap))
        } else {
            None
        };
        if let Some(error) = end {
            return self.complete(now, key, Err(error));
        }
        self.on_loss_timer(now, key);
        let interval = self.config.timing.keepalive;
        let Some(call) = self.calls.get_mut(key) else { return };
        call.ack.on_time(now);
        if call.deadlines.keepalive.is_some_and(|at| at <= now) {
            self.doubt(now, key);
            let Some(call) = self.calls.get_mut(key) else { return };
            call.ack.ask();
            call.deadlines.keepalive = Some(now + next_question(call, interval));
        }
        self.touch(key);
    }

    /// A question that the path had the time to answer was not, or the call hears nothing for half of its silence, if
    /// the path looks as slow as that. If all that was sent is acknowledged, but none of it for good, the peer may have
    /// dropped it, and the news of that was lost: it is sent again.
    fn doubt(&mut self, now: Instant, key: u32) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(peer) = self.peers.get(call.peer as usize) else { return };
        let Some((_, asked)) = call.ping else { return };
        let answer_by = asked + peer.rtt.rto(&self.bounds, 0);
        let answer_by = call.deadlines.half_silent().map_or(answer_by, |half| half.min(answer_by));
        if answer_by <= now && call.send.is_acked_softly() {
            call.send.on_doubt(now, &peer.path_times());
        }
    }

    /// Nothing was heard for the call. If the peer was asked about it when it had been silent for long, and its
    /// connection was heard when the answer should have come, the peer lives but has lost the call. When the path
    /// fails, calls of a connection fall silent one soon after the other: that says nothing. Nor does what is heard
    /// just after a leap of the clock, when the time for an answer only seems to be over. Nor does silence about a call
    /// of which the peer never had anything: it answers a few questions about such calls and no more
    /// (QUIRKS.md#early-question).
    fn silence_error(&self, call: &Call) -> CallError {
        if call.turned_away {
            return CallError::Busy;
        }
        let connection = call.place.and_then(|p| self.connections.get(p.connection as usize));
        let peer = self.peers.get(call.peer as usize);
        let answer_by = call.deadlines.doubted.zip(peer).map(|(at, peer)| at + peer.rtt.rto(&self.bounds, 0));
        let heard = |since| connection.is_some_and(|c| c.heard_serial.is_some() && c.heard_at >= since);
        if call.is_known_to_peer() && answer_by.is_some_and(heard) {
            return CallError::PeerRestarted;
        }
        CallError::Timeout(TimeoutKind::Silence)
    }

    fn on_loss_timer(&mut self, now: Instant, key: u32) {
        let bounds = self.bounds;
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(peer) = self.peers.get(call.peer as usize) else { return };
        match call.send.timer {
            Some(LossTimer::Reorder(at)) if at <= now => {
                call.send.timer = None;
                call.send.detect_losses(now, &peer.path_times());
                call.send.settle_timer(now, false, &peer.rtt, &bounds);
            }
            Some(LossTimer::Timeout(at)) if at <= now => {
                call.stats.timeouts += 1;
                call.send.on_timeout(now, &peer.path_times());
            }
            _ => {}
        }
    }
}

/// When the next PING goes out: soon and then later while a closed window holds data back.
fn next_question(call: &mut Call, interval: Duration) -> Duration {
    if call.deadlines.window_probes == 0 {
        return interval;
    }
    let wait = WINDOW_PROBE * (1 << call.deadlines.window_probes.min(8));
    call.deadlines.window_probes += 1;
    wait.min(interval)
}
