//! Code that uses the handles wrongly, on purpose. They leave less to do wrong than an endpoint does.

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use rxrpc_driver::{
    BeginCallError, Call, CallOptions, ListenError, NetworkError, ServiceOptions, Target, VersionError,
    WriteError,
};
use rxrpc_proto::Outcome;

use super::job::Job;
use crate::coverage::Refusal;

impl Job<'_> {
    fn misuses(&self) -> bool {
        self.misuse.borrow_mut().strikes()
    }

    /// An operation was refused, as it may be.
    pub(super) fn refused(&self, error: &impl Refusal) {
        self.world().coverage.error(error);
    }

    fn judge<E: Refusal + Debug>(&self, what: &str, error: Option<E>, fits: impl Fn(&E) -> bool) {
        if let Some(error) = &error {
            self.refused(error);
        }
        if !error.as_ref().is_some_and(fits) {
            self.broken(&format!("{what} came to {error:?}"));
        }
    }

    /// Names what does not exist, of an endpoint that may be closed.
    pub(super) async fn misuse_endpoint(&self) {
        if !self.misuses() {
            return;
        }
        let endpoint = self.node.endpoint();
        let mut nowhere = self.address(self.id);
        let error = endpoint.call(Target::new(nowhere, 0), CallOptions::default()).err();
        self.judge("a call of service 0", error, |e| {
            matches!(e, BeginCallError::InvalidTarget | BeginCallError::EndpointClosed)
        });
        let error = endpoint.listen(0, ServiceOptions::default()).err();
        self.judge("offering service 0", error, |e| {
            matches!(e, ListenError::ZeroService | ListenError::EndpointClosed)
        });
        nowhere.set_port(0);
        let error = endpoint.version(nowhere, Duration::from_secs(1)).await.err();
        self.judge("a question to port 0", error, |e| {
            matches!(e, VersionError::Network(NetworkError::HostUnreachable) | VersionError::EndpointClosed)
        });
    }

    /// Offers a service that is offered.
    pub(super) fn misuse_service(&self, offered: u16) {
        if self.misuses() {
            let error = self.node.endpoint().listen(offered, ServiceOptions::default()).err();
            self.judge("offering a service again", error, |e| {
                matches!(e, ListenError::InUse(id) if *id == offered) || *e == ListenError::EndpointClosed
            });
        }
    }

    /// Writes, before the first byte of a request of this announced length, less and more.
    pub(super) async fn misuse_length(&self, call: &mut Call, len: u64) {
        if len == 0 || !self.misuses() {
            return;
        }
        let is_over = |e: &WriteError| matches!(e, WriteError::Ended(_) | WriteError::Complete);
        self.judge("finishing early", call.finish().err(), |e| *e == WriteError::Short || is_over(e));
        let mut bytes = Bytes::from(vec![0; len as usize + 1]);
        let error = call.write_buf(&mut bytes).await.err();
        let untouched = bytes.len() as u64 == len + 1;
        self.judge("writing more than was announced", error, |e| {
            untouched && (*e == WriteError::TooLong || is_over(e))
        });
    }

    /// Ends its data once more.
    pub(super) fn misuse_end(&self, call: &mut Call) {
        if self.misuses() {
            self.judge("finishing twice", call.finish().err(), |e| {
                matches!(e, WriteError::Finished | WriteError::Ended(_) | WriteError::Complete)
            });
        }
    }

    /// Writes to a call that is over.
    pub(super) async fn misuse_over(&self, call: &mut Call, outcome: Outcome) {
        if self.misuses() {
            let expected = outcome.map_or_else(WriteError::Ended, |()| WriteError::Complete);
            let error = call.write(b"x").await.err();
            self.judge("writing to a call that is over", error, |e| *e == expected);
        }
    }
}
