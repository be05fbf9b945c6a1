//! Asking a peer for its version.

use std::future::Future;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rxrpc_proto::{VersionAnswer, VersionError, VersionId};

use crate::shared::Handle;

/// A question under way.
pub(crate) struct VersionQuery {
    handle: Handle,
    id: VersionId,
    answered: bool,
}

impl VersionQuery {
    pub(crate) fn ask(handle: &Handle, peer: SocketAddr, timeout: Duration) -> Result<Self, VersionError> {
        let id = {
            let mut state = handle.lock();
            let id = state.proto.ask_version(peer, timeout)?;
            state.versions.insert(id);
            id
        };
        handle.kick();
        Ok(VersionQuery { handle: handle.clone(), id, answered: false })
    }
}

impl Future for VersionQuery {
    type Output = Result<VersionAnswer, VersionError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let id = this.id;
        let result = this.handle.poll_with(cx, |state| {
            if let Some(answer) = state.proto.take_version(id) {
                return ControlFlow::Break(answer);
            }
            match state.versions.get(&id) {
                Some(place) if !state.ended => ControlFlow::Continue(place),
                _ => ControlFlow::Break(Err(VersionError::EndpointClosed)),
            }
        });
        this.answered = result.is_ready();
        result
    }
}

impl Drop for VersionQuery {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.handle.lock();
            if !self.answered {
                // An answer that has come goes now; one that is still to come goes with its event.
                let _ = state.proto.take_version(self.id);
            }
            state.versions.remove(&self.id)
        };
        drop(waker);
    }
}
