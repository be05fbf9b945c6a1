//! Services, and the calls that wait to be accepted.

use alloc::collections::VecDeque;

use super::Endpoint;
use super::complete::not_zero;
use crate::call::{Outcome, Side};
use crate::config::{AcceptOptions, ServiceOptions};
use crate::error::{AcceptError, CallError, ListenError};
use crate::event::{CallId, News};
use crate::time::Instant;
use crate::wire::{AbortCode, Flags, Header, PacketType};

/// How a waiting call is turned away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// With BUSY: the client may try again. Clients that heed BUSY (ours do) get it at any time. Others, like
    /// OpenAFS and Linux, know it only from repeating a request that nobody acknowledges: if the call has
    /// waited longer than [`Timing::delayed_ack`](crate::Timing::delayed_ack) they wait for their own time-out,
    /// and an abort code tells them more.
    Busy,
    /// With an abort code. 0 would say "no error": RX_USER_ABORT is sent instead.
    Abort(AbortCode),
}

/// A service that is offered.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) options: ServiceOptions,
    waiting: VecDeque<CallId>,
}

impl Service {
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.options.backlog
    }

    pub(super) fn wait(&mut self, id: CallId) {
        self.waiting.push_back(id);
    }
}

/// Service connections whose peers have not proved their address, oldest first.
#[derive(Debug, Default)]
pub(super) struct Unvalidated {
    queue: VecDeque<(u32, Instant)>,
    count: usize,
}

impl Unvalidated {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn push(&mut self, key: u32, created: Instant) {
        self.queue.push_back((key, created));
        self.count += 1;
    }

    /// One of them was validated or is gone. Its place in the queue stays until it comes to the front, or
    /// until such places are the most.
    pub(super) fn on_gone(&mut self) {
        self.count = self.count.saturating_sub(1);
        if self.count == 0 {
            self.queue.clear();
        }
    }

    /// Take the oldest that `is_unvalidated` still says is one.
    pub(super) fn oldest(&mut self, is_unvalidated: impl Fn(u32, Instant) -> bool) -> Option<u32> {
        if self.queue.len() > 2 * self.count + 64 {
            self.queue.retain(|(key, created)| is_unvalidated(*key, *created));
        }
        while let Some((key, created)) = self.queue.pop_front() {
            if is_unvalidated(key, created) {
                return Some(key);
            }
        }
        None
    }
}

impl Endpoint {
    /// Offer a service: its calls come as [`Event::Incoming`](crate::Event::Incoming).
    ///
    /// # Errors
    /// [`ListenError`] for service 0, one offered already, and on a closed endpoint.
    pub fn listen(&mut self, service: u16, options: ServiceOptions) -> Result<(), ListenError> {
        if self.closed {
            return Err(ListenError::EndpointClosed);
        }
        if service == 0 {
            return Err(ListenError::ZeroService);
        }
        if self.services.contains_key(&service) {
            return Err(ListenError::InUse(service));
        }
        self.services.insert(service, Service { options, waiting: VecDeque::new() });
        Ok(())
    }

    /// Stop offering a service. Calls that wait are refused with RX_INVALID_OPERATION; accepted ones go on.
    pub fn unlisten(&mut self, service: u16) {
        let Some(gone) = self.services.remove(&service) else { return };
        let now = self.now;
        for id in gone.waiting {
            if let Some(key) = self.call_key(id) {
                self.complete(now, key, Err(CallError::LocalAbort(AbortCode::RX_INVALID_OPERATION)));
                self.forget_waiting(key);
            }
        }
    }

    /// The call of `service` that has waited longest to be accepted.
    #[must_use]
    pub fn waiting(&self, service: u16) -> Option<CallId> {
        self.services.get(&service)?.waiting.front().copied()
    }

    /// Take a waiting call. Its events come from now on, the first with what it has received so far.
    ///
    /// # Errors
    /// [`AcceptError`] says why there is no such call. The id is unknown afterwards.
    pub fn accept(&mut self, id: CallId, options: AcceptOptions) -> Result<(), AcceptError> {
        let key = self.take_waiting(id)?;
        let by = self.now + self.config.timing.delayed_ack;
        let Some(call) = self.calls.get_mut(key) else { return Err(AcceptError::NothingWaiting) };
        if call.revocable() > 0 && call.stats.acks_sent > 0 {
            call.ack.delay(by, 0);
        }
        call.side = Side::Service { accepted: true };
        call.tag = options.tag;
        if let Some(lifetime) = options.lifetime {
            call.deadlines.limit_life(lifetime);
        }
        self.notify(key, News::NONE);
        self.touch(key);
        Ok(())
    }

    /// Turn a waiting call away. Its id is unknown afterwards.
    ///
    /// # Errors
    /// [`AcceptError`] says why there is no such call.
    pub fn reject(&mut self, id: CallId, how: Rejection) -> Result<(), AcceptError> {
        let key = self.take_waiting(id)?;
        let now = self.now;
        match how {
            Rejection::Abort(code) => {
                self.complete(now, key, Err(CallError::LocalAbort(not_zero(code))));
            }
            Rejection::Busy => self.turn_away(now, key),
        }
        self.forget_waiting(key);
        Ok(())
    }

    /// Refuse a call that has begun as if it had not: the client may send it again.
    fn turn_away(&mut self, now: Instant, key: u32) {
        let Some(call) = self.calls.get(key) else { return };
        if call.abort_wish.is_some() {
            // The application has aborted it, and that stands.
            return self.complete(now, key, Err(CallError::Busy));
        }
        let (place, peer) = (call.place, call.peer);
        // The call before it stays the last one: a late packet of it must not begin it again.
        let before =
            place.and_then(|p| self.connections.get(p.connection as usize)?.channel(p.channel)?.last);
        self.complete(now, key, Err(CallError::Busy));
        let Some(place) = place else { return };
        let Some(connection) = self.connections.get_mut(place.connection as usize) else { return };
        let header = Header {
            epoch: connection.epoch,
            cid: connection.cid | place.channel as u32,
            call_number: place.number,
            seq: 0,
            serial: 0,
            packet_type: PacketType::Busy,
            flags: Flags::NONE,
            user_status: 0,
            security_index: 0,
            checksum: 0,
            service_id: connection.asked_service,
        };
        let local_ip = connection.local_ip;
        if let Some(channel) = connection.channel_mut(place.channel) {
            channel.last = before;
            channel.counter = place.number - 1;
            channel.turn_away(place.number);
        }
        let Some(addr) = self.peers.get(peer as usize).map(|p| p.addr) else { return };
        let bytes = header.to_bytes().to_vec();
        if self.afford(now, &addr, bytes.len()) {
            self.outbox.push(addr, local_ip, bytes);
        }
    }

    /// Key of a call that waits and lives; one that ended meanwhile is removed and its end told.
    fn take_waiting(&mut self, id: CallId) -> Result<u32, AcceptError> {
        let key = self.call_key(id).ok_or(AcceptError::NothingWaiting)?;
        let call = self.calls.get(key).ok_or(AcceptError::NothingWaiting)?;
        if call.is_accepted() {
            return Err(AcceptError::NothingWaiting);
        }
        let outcome = call.outcome();
        self.unwait(key);
        let Some(outcome) = outcome else { return Ok(key) };
        self.forget_waiting(key);
        Err(ended(outcome))
    }

    /// Take a call out of the queue of its service.
    pub(super) fn unwait(&mut self, key: u32) {
        let Some(call) = self.calls.get(key) else { return };
        if call.is_accepted() {
            return;
        }
        let (generation, service) = (call.generation, call.service);
        if let Some(service) = self.services.get_mut(&service)
            && let Some(i) = service.waiting.iter().position(|w| w.generation == generation)
        {
            service.waiting.remove(i);
        }
    }

    /// Remove calls that ended while they waited; the backlog is full of them.
    pub(super) fn clear_dead(&mut self, service: u16) {
        let waiting = self.services.get(&service).map(|s| s.waiting.clone()).unwrap_or_default();
        for id in waiting {
            if let Some(key) = self.call_key(id)
                && self.calls.get(key).is_some_and(|c| !c.state.is_live())
            {
                self.forget_waiting(key);
            }
        }
    }

    fn forget_waiting(&mut self, key: u32) {
        if let Some(call) = self.calls.get_mut(key) {
            call.released = true;
        }
        self.drop_if_released(key);
    }
}

fn ended(outcome: Outcome) -> AcceptError {
    match outcome {
        Err(CallError::Timeout(kind)) => AcceptError::TimedOut(kind),
        Err(error) => AcceptError::Aborted(error),
        Ok(()) => AcceptError::NothingWaiting,
    }
}
