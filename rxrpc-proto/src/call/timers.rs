//! The deadlines of a call, folded into the earliest one.

use core::time::Duration;

use super::{Call, LossTimer, State};
use crate::error::NetworkError;
use crate::event::Wake;
use crate::time::Instant;

/// Deadlines that are not owned by one of the halves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    silence_after: Duration,
    lifetime_after: Option<Duration>,
    started: Option<Instant>,
    /// The call ends if nothing is heard by then.
    pub(crate) silence: Option<Instant>,
    /// When the peer was asked about the call for the first time since half of its silence was over.
    pub(crate) doubted: Option<Instant>,
    /// The call ends then.
    pub(crate) lifetime: Option<Instant>,
    /// A service call ends if the request does not go on by then.
    pub(crate) request_gap: Option<Instant>,
    /// The network says that the peer is not there; the call ends for it unless something is heard by then.
    pub(crate) unreachable: Option<(Instant, NetworkError)>,
    /// A PING goes out then.
    pub(crate) keepalive: Option<Instant>,
    /// PINGs in a row that asked for a closed window.
    pub(crate) window_probes: u32,
}

impl Deadlines {
    pub(crate) fn new(silence: Duration, lifetime: Option<Duration>) -> Self {
        Deadlines {
            silence_after: silence,
            lifetime_after: lifetime,
            started: None,
            silence: None,
            doubted: None,
            lifetime: None,
            request_gap: None,
            unreachable: None,
            keepalive: None,
            window_probes: 0,
        }
    }

    /// The call begins to live.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.started.is_none() {
            self.started = Some(now);
            self.lifetime = self.lifetime_after.map(|after| now + after);
        }
    }

    /// The client may take its time anew within its request.
    pub(crate) fn restart_gap(&mut self, end: Instant) {
        self.request_gap = self.request_gap.map(|_| end);
    }

    /// Limit the life of the call, counted from its start.
    pub(crate) fn limit_life(&mut self, after: Duration) {
        self.lifetime_after = Some(after);
        self.lifetime = self.started.map(|started| started + after);
    }

    /// Half of the silence that ends the call.
    pub(crate) fn half_silence(&self) -> Duration {
        self.silence_after / 2
    }

    /// When half of the silence was over that ends the call.
    pub(crate) fn half_silent(&self) -> Option<Instant> {
        Some(self.silence? - self.half_silence())
    }

    /// The peer is sent something that it must answer.
    pub(crate) fn asked(&mut self, now: Instant) {
        if self.doubted.is_none() && self.half_silent().is_some_and(|half| half <= now) {
            self.doubted = Some(now);
        }
    }

    /// Something was heard, or the waiting begins.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.silence = Some(now + self.silence_after);
        self.doubted = None;
        self.unreachable = None;
    }
}

impl Call {
    /// The earliest deadline of the call and what it is for.
    pub(crate) fn next_deadline(&self) -> Option<(Instant, Wake)> {
        if !self.state.is_live() {
            return None;
        }
        // One by one: an array of options costs several times as much, and this runs for each packet.
        let mut first: Option<(Instant, Wake)> = None;
        let mut consider = |at: Option<Instant>, wake| {
            if let Some(at) = at
                && first.is_none_or(|(earliest, _)| at < earliest)
            {
                first = Some((at, wake));
            }
        };
        match self.send.timer {
            Some(LossTimer::Reorder(at)) => consider(Some(at), Wake::Reorder),
            Some(LossTimer::Timeout(at)) => consider(Some(at), Wake::Retransmit),
            None => {}
        }
        let d = &self.deadlines;
        consider(self.ack.deadline(), Wake::DelayedAck);
        consider(d.keepalive, Wake::Keepalive);
        consider(d.silence, Wake::Silence);
        consider(d.request_gap.filter(|_| self.state == State::RecvRequest), Wake::RequestGap);
        consider(d.unreachable.map(|(at, _)| at), Wake::Unreachable);
        consider(d.lifetime, Wake::Lifetime);
        first
    }
}
