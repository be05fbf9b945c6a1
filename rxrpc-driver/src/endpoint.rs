//! The handle of an endpoint.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rxrpc_proto::{
    BeginCallError, CallInfo, CallOptions, EndpointStats, ListenError, ServiceOptions, Target, VersionAnswer,
    VersionError,
};

use crate::call::{Call, unary};
use crate::listener::Listener;
use crate::shared::{Handle, State};
use crate::version::VersionQuery;
use crate::{Client, UnaryError};

/// One UDP socket's end of the protocol: begins calls and offers services, at the same time if wanted.
///
/// A cheap handle: clones stand for the same endpoint. When the last handle of an endpoint is dropped,
/// calls, listeners and clients included, the [`Driver`](crate::Driver) sends what is left to send and
/// ends.
#[derive(Clone)]
pub struct Endpoint {
    handle: Handle,
}

impl Endpoint {
    pub(crate) fn new(handle: Handle) -> Self {
        Endpoint { handle }
    }

    /// Begins a call to a service of a peer. Does not wait; nothing is sent before there is data.
    ///
    /// # Errors
    ///
    /// Refused at a limit, for a target that cannot exist, and when the endpoint is closed.
    pub fn call(&self, target: Target, options: CallOptions) -> Result<Call, BeginCallError> {
        let call = {
            let mut state = self.handle.lock();
            if state.draining {
                return Err(BeginCallError::EndpointClosed);
            }
            let id = state.proto.begin_call(&target, options)?;
            Call::open(&self.handle, &mut state, id)
        };
        // Its deadlines count from when the driver sees it.
        self.handle.kick();
        Ok(call)
    }

    /// Makes a call in one go: sends all of `request` and returns all of the reply, which may be
    /// `reply_limit` bytes long.
    ///
    /// # Errors
    ///
    /// The call could not be begun, or failed. A longer reply is
    /// [`CallError::Excess`](rxrpc_proto::CallError::Excess), and the call is aborted.
    ///
    /// # Cancel safety
    ///
    /// Cancelling aborts the call. Whether the server carried it out is unknown then.
    pub async fn call_unary(
        &self,
        target: Target,
        request: impl Into<Bytes>,
        reply_limit: usize,
    ) -> Result<Bytes, UnaryError> {
        self.call_unary_with(target, CallOptions::default(), request, reply_limit).await
    }

    /// [`call_unary`](Endpoint::call_unary) with options.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn call_unary_with(
        &self,
        target: Target,
        options: CallOptions,
        request: impl Into<Bytes>,
        reply_limit: usize,
    ) -> Result<Bytes, UnaryError> {
        unary(&self.handle, &target, options, request.into(), reply_limit).await
    }

    /// A client handle with this default target.
    #[must_use]
    pub fn client(&self, target: Target) -> Client {
        Client::new(self.clone(), target)
    }

    /// Offers a service: calls of it come out of the listener.
    ///
    /// # Errors
    ///
    /// Refused when the service is offered already, for service 0, and when the endpoint is closed.
    pub fn listen(&self, service: u16, options: ServiceOptions) -> Result<Listener, ListenError> {
        Listener::open(&self.handle, service, options)
    }

    /// Asks a peer for its version text, whether or not anything else is known of it.
    ///
    /// # Errors
    ///
    /// No answer came in time, or the question could not be asked.
    ///
    /// # Cancel safety
    ///
    /// Cancelling forgets the question.
    pub async fn version(&self, peer: SocketAddr, timeout: Duration) -> Result<VersionAnswer, VersionError> {
        VersionQuery::ask(&self.handle, peer, timeout)?.await
    }

    /// The address of the socket, if its runtime knows one.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.handle.local_addr
    }

    /// The endpoint's counters.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        self.handle.lock().proto.stats()
    }

    /// Every call there is, with its state and its counters: those that wait to be accepted, those that live, and
    /// those that are over and whose handle was not dropped. For status pages and plots.
    ///
    /// Takes time in proportion to their number, and holds up the driver meanwhile.
    #[must_use]
    pub fn calls(&self) -> Vec<CallInfo> {
        self.handle.lock().proto.call_infos().collect()
    }

    /// Whether the endpoint takes no new calls, because it was closed or shut down or its driver is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let state = self.handle.lock();
        state.draining || state.proto.is_closed()
    }

    /// Closes the endpoint now: every call ends with
    /// [`CallError::EndpointClosed`](rxrpc_proto::CallError::EndpointClosed), their peers are told, and no
    /// new ones begin. The future waits until all is sent and the driver has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the endpoint closes whether or not the future is awaited.
    pub fn close(&self) -> Closed {
        self.end(|state| state.proto.close())
    }

    /// Shuts the endpoint down gently: no new calls begin, listeners end, calls under way go on. When the
    /// last handle of a call is gone, the endpoint closes. The future waits until the driver has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the endpoint shuts down whether or not the future is awaited.
    pub fn shutdown(&self) -> Closed {
        self.end(|state| {
            for service in 0..state.services.len() {
                if let Some(id) = state.services.get(service).map(|service| service.id) {
                    state.proto.unlisten(id);
                }
            }
        })
    }

    fn end(&self, how: impl FnOnce(&mut State)) -> Closed {
        let mut wake = Vec::new();
        let closed = {
            let mut state = self.handle.lock();
            state.draining = true;
            how(&mut state);
            wake.extend(state.services.iter_mut().filter_map(|service| service.waker.take()));
            Closed::wait(&self.handle, &mut state)
        };
        self.handle.kick();
        for waker in wake {
            waker.wake();
        }
        closed
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("local_addr", &self.handle.local_addr).finish_non_exhaustive()
    }
}

/// Waits until the driver of an endpoint has ended: see [`Endpoint::close`] and [`Endpoint::shutdown`].
pub struct Closed {
    handle: Handle,
    key: u64,
}

impl Closed {
    fn wait(handle: &Handle, state: &mut State) -> Self {
        let key = state.next_closing;
        state.next_closing += 1;
        state.closing.insert(key);
        Closed { handle: handle.clone(), key }
    }
}

impl Future for Closed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let key = self.key;
        self.handle.poll_with(cx, |state| match state.closing.get(&key) {
            Some(place) if !state.ended => ControlFlow::Continue(place),
            _ => ControlFlow::Break(()),
        })
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let waker = self.handle.lock().closing.remove(&self.key);
        drop(waker);
    }
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}
