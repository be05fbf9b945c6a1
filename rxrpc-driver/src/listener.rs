//! The server's side of a call's beginning.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use rxrpc_proto::{AbortCode, AcceptError, AcceptOptions, CallId, ListenError, Rejection, ServiceOptions};

use crate::Call;
use crate::shared::{Handle, Service, State};

/// A service that is offered: the calls of it, one after the other.
///
/// Also a [`Stream`] of [`Incoming`]. Dropping it ends the service: calls that wait are refused, and
/// calls that were accepted go on.
pub struct Listener {
    handle: Handle,
    service: u16,
}

impl Listener {
    pub(crate) fn open(
        handle: &Handle,
        service: u16,
        options: ServiceOptions,
    ) -> Result<Listener, ListenError> {
        {
            let mut state = handle.lock();
            if state.draining {
                return Err(ListenError::EndpointClosed);
            }
            state.proto.listen(service, options)?;
            state.services.push(Service { id: service, queue: VecDeque::new(), waker: None });
        }
        Ok(Listener { handle: handle.clone(), service })
    }

    /// The service's number.
    #[must_use]
    pub fn service(&self) -> u16 {
        self.service
    }

    /// Waits for the next call. `None` when the endpoint is closed or shut down.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no call is lost.
    pub async fn accept(&mut self) -> Option<Incoming> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The poll form of [`accept`](Listener::accept).
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        let (handle, service) = (&self.handle, self.service);
        handle.poll_with(cx, |state| {
            if state.draining || state.ended {
                return ControlFlow::Break(None);
            }
            while let Some(id) = next_waiting(state, service) {
                if let Some(incoming) = Incoming::open(handle, state, id, service) {
                    return ControlFlow::Break(Some(incoming));
                }
            }
            match state.service(service) {
                Some(service) => ControlFlow::Continue(&mut service.waker),
                None => ControlFlow::Break(None),
            }
        })
    }
}

fn next_waiting(state: &mut State, service: u16) -> Option<CallId> {
    state.service(service)?.queue.pop_front()
}

impl Stream for Listener {
    type Item = Incoming;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        self.get_mut().poll_accept(cx)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let service = {
            let mut state = self.handle.lock();
            state.proto.unlisten(self.service);
            let index = state.services.iter().position(|service| service.id == self.service);
            index.map(|index| state.services.swap_remove(index))
        };
        drop(service);
        self.handle.kick();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("service", &self.service).finish_non_exhaustive()
    }
}

/// A call that waits to be accepted or refused.
///
/// Dropping it undecided refuses it as [`reject_busy`](Incoming::reject_busy) does: nothing was carried
/// out, and the client may try again.
pub struct Incoming {
    handle: Handle,
    id: CallId,
    peer: SocketAddr,
    service: u16,
    decided: bool,
}

impl Incoming {
    fn open(handle: &Handle, state: &mut State, id: CallId, service: u16) -> Option<Incoming> {
        let call = state.proto.call(id)?;
        let (peer, over) = (call.peer(), call.outcome().is_some());
        if over {
            state.proto.release(id);
            return None;
        }
        Some(Incoming { handle: handle.clone(), id, peer, service, decided: false })
    }

    /// The call's name within its endpoint, for traces.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.id
    }

    /// Who calls.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Which service is called.
    #[must_use]
    pub fn service(&self) -> u16 {
        self.service
    }

    /// Takes the call. Does not wait.
    ///
    /// # Errors
    ///
    /// The call ended while it waited.
    pub fn accept(self) -> Result<Call, AcceptError> {
        self.accept_with(AcceptOptions::default())
    }

    /// Takes the call, with options. Does not wait.
    ///
    /// # Errors
    ///
    /// The call ended while it waited.
    pub fn accept_with(mut self, options: AcceptOptions) -> Result<Call, AcceptError> {
        self.decided = true;
        let result = {
            let mut state = self.handle.lock();
            match state.proto.accept(self.id, options) {
                Ok(()) => Ok(Call::open(&self.handle, &mut state, self.id)),
                Err(refusal) => {
                    state.proto.release(self.id);
                    Err(refusal)
                }
            }
        };
        self.handle.kick();
        result
    }

    /// Refuses the call for now: the client may try again later.
    ///
    /// # Errors
    ///
    /// The call ended while it waited.
    pub fn reject_busy(mut self) -> Result<(), AcceptError> {
        self.refuse(Rejection::Busy)
    }

    /// Refuses the call with an abort code.
    ///
    /// # Errors
    ///
    /// The call ended while it waited.
    pub fn reject(mut self, code: AbortCode) -> Result<(), AcceptError> {
        self.refuse(Rejection::Abort(code))
    }

    fn refuse(&mut self, how: Rejection) -> Result<(), AcceptError> {
        if mem::replace(&mut self.decided, true) {
            return Ok(());
        }
        let result = {
            let mut state = self.handle.lock();
            let result = state.proto.reject(self.id, how);
            if result.is_err() {
                state.proto.release(self.id);
            }
            result
        };
        self.handle.kick();
        result
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = self.refuse(Rejection::Busy);
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}
