//! The handle of one call, on either side.

mod collect;
mod io;
mod read;
mod unary;
mod write;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::task::{Context, Poll};
use std::{fmt, future};

use rxrpc_proto::{AbortCode, CallError, CallId, CallMut, CallStats, ReadError, WriteError};

use crate::shared::{Handle, State, Wait};

pub(crate) use unary::unary;

/// A call under way: one that this endpoint [began](crate::Endpoint::call), or one that it
/// [accepted](crate::Incoming::accept).
///
/// A client writes the request, [finishes](Call::finish) it and reads the reply. A server reads the
/// request, writes the reply and finishes that. Both may wait for the [outcome](Call::outcome), which for
/// a server says whether the client received the reply.
///
/// # Dropping
///
/// Dropping a call that is not over aborts it with [`AbortCode::RX_USER_ABORT`]. The one exception is a
/// server's call whose reply is finished: the reply goes on being delivered, and only the outcome is
/// lost. [`abort`](Call::abort) first to say why.
///
/// # Waiting
///
/// Everything that can wait is an `async` function or a poll method, and each says whether it may be
/// cancelled by dropping its future. Whatever the call waits for, it ends, at the latest when the peer
/// was silent too long: see [`Timing`](rxrpc_proto::Timing).
pub struct Call {
    handle: Handle,
    id: CallId,
    peer: SocketAddr,
    service: u16,
    client: bool,
    finished: bool,
    /// Bytes written that the driver has not been told of.
    quiet_writes: usize,
    /// The same for bytes read.
    quiet_reads: usize,
}

impl Call {
    /// Takes over a call that has just been begun or accepted, under the same lock.
    pub(crate) fn open(handle: &Handle, state: &mut State, id: CallId) -> Call {
        state.open(id);
        let mut call = Call {
            handle: handle.clone(),
            id,
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
            service: 0,
            client: true,
            finished: false,
            quiet_writes: 0,
            quiet_reads: 0,
        };
        if let Some(view) = state.proto.call(id) {
            call.peer = view.peer();
            call.service = view.service();
            call.client = view.is_client();
        }
        call
    }

    /// The call's name within its endpoint, for traces.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.id
    }

    /// The other side's address, as it was when the call began.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The service that is called.
    #[must_use]
    pub fn service(&self) -> u16 {
        self.service
    }

    /// Whether this side began the call.
    #[must_use]
    pub fn is_client(&self) -> bool {
        self.client
    }

    /// The call's counters.
    #[must_use]
    pub fn stats(&self) -> CallStats {
        self.handle.lock().proto.call(self.id).map(|call| call.stats()).unwrap_or_default()
    }

    /// Ends the call at once and tells the peer `code`. Says whether that made a difference: not when the
    /// call was over already. What was received and not read is gone.
    pub fn abort(&mut self, code: AbortCode) -> bool {
        let aborted = self.handle.lock().proto.call(self.id).is_some_and(|mut call| call.abort(code));
        if aborted {
            self.handle.kick();
        }
        aborted
    }

    /// How the call ended, if it is over.
    #[must_use]
    pub fn try_outcome(&self) -> Option<Result<(), CallError>> {
        let mut state = self.handle.lock();
        state.proto.call(self.id).map_or(Some(Err(CallError::EndpointClosed)), |call| call.outcome())
    }

    /// Waits until the call is over and says how it ended. For a client, success means that the whole
    /// reply has come; for a server, that the client has acknowledged the whole reply.
    ///
    /// # Errors
    ///
    /// The one error the call ended with.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the outcome stays and can be asked for again.
    pub async fn outcome(&mut self) -> Result<(), CallError> {
        future::poll_fn(|cx| self.poll_outcome(cx)).await
    }

    /// The poll form of [`outcome`](Call::outcome).
    pub fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.tell_driver();
        let id = self.id;
        self.handle.poll_with(cx, |state| {
            let outcome =
                state.proto.call(id).map_or(Some(Err(CallError::EndpointClosed)), |call| call.outcome());
            match outcome {
                Some(outcome) => ControlFlow::Break(outcome),
                None => match state.waker(id, Wait::Outcome) {
                    Some(place) => ControlFlow::Continue(place),
                    None => ControlFlow::Break(Err(CallError::EndpointClosed)),
                },
            }
        })
    }

    /// Tries an operation that may be blocked, and waits until it is not.
    fn poll_view<T, E: Refusal>(
        &self,
        cx: &mut Context<'_>,
        wait: Wait,
        mut attempt: impl FnMut(&mut CallMut<'_>) -> Result<T, E>,
    ) -> Poll<Result<T, E>> {
        let id = self.id;
        self.handle.poll_with(cx, |state| {
            let result = match state.proto.call(id) {
                Some(mut view) => attempt(&mut view),
                None => Err(E::GONE),
            };
            match result {
                Err(refusal) if refusal.is_blocked() => match state.waker(id, wait) {
                    Some(place) => ControlFlow::Continue(place),
                    None => ControlFlow::Break(Err(E::GONE)),
                },
                result => ControlFlow::Break(result),
            }
        })
    }

    /// Wakes the driver if something was done that it may have to act on.
    fn tell_driver(&mut self) {
        if self.quiet_writes + self.quiet_reads > 0 {
            self.quiet_writes = 0;
            self.quiet_reads = 0;
            self.handle.kick();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let (news, wakers) = {
            let mut state = self.handle.lock();
            let live = state.proto.call(self.id).is_some_and(|call| call.outcome().is_none());
            let replying = live && !self.client && self.finished;
            let wakers = if replying { state.detach(self.id) } else { state.release(self.id) };
            // With its last call, a peer begins to be forgotten.
            (live || state.has_sooner_deadline(), wakers)
        };
        drop(wakers);
        if news {
            self.handle.kick();
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("service", &self.service)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// An error of an operation that may mean "wait".
trait Refusal {
    /// What is said of a call that the endpoint no longer knows.
    const GONE: Self;
    fn is_blocked(&self) -> bool;
}

impl Refusal for ReadError {
    const GONE: ReadError = ReadError::Ended(CallError::EndpointClosed);
    fn is_blocked(&self) -> bool {
        *self == ReadError::Blocked
    }
}

impl Refusal for WriteError {
    const GONE: WriteError = WriteError::Ended(CallError::EndpointClosed);
    fn is_blocked(&self) -> bool {
        *self == WriteError::Blocked
    }
}
