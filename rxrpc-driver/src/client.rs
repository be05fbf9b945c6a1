//! A client of one service.

use std::net::SocketAddr;

use bytes::Bytes;
use rxrpc_proto::{BeginCallError, CallOptions, Target};

use crate::{Call, Endpoint, UnaryError};

/// An endpoint with a default address, service and options for its calls.
///
/// Every default can be overridden for one call: the `with_*` methods return a changed copy, which costs
/// no more than a reference count. Several unrelated clients may share an endpoint.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    target: Target,
    options: CallOptions,
}

impl Client {
    pub(crate) fn new(endpoint: Endpoint, target: Target) -> Self {
        Client { endpoint, target, options: CallOptions::default() }
    }

    /// The same with another peer.
    #[must_use]
    pub fn with_peer(&self, peer: SocketAddr) -> Client {
        Client { target: Target { peer, ..self.target }, ..self.clone() }
    }

    /// The same with another service.
    #[must_use]
    pub fn with_service(&self, service: u16) -> Client {
        Client { target: Target { service, ..self.target }, ..self.clone() }
    }

    /// The same with other options.
    #[must_use]
    pub fn with_options(&self, options: CallOptions) -> Client {
        Client { endpoint: self.endpoint.clone(), target: self.target, options }
    }

    /// Whom it calls.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// The options its calls have.
    #[must_use]
    pub fn options(&self) -> &CallOptions {
        &self.options
    }

    /// The endpoint it calls from.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Begins a call; see [`Endpoint::call`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn call(&self) -> Result<Call, BeginCallError> {
        self.endpoint.call(self.target, self.options.clone())
    }

    /// Makes a call in one go; see [`Endpoint::call_unary`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn call_unary(
        &self,
        request: impl Into<Bytes>,
        reply_limit: usize,
    ) -> Result<Bytes, UnaryError> {
        self.endpoint.call_unary_with(self.target, self.options.clone(), request, reply_limit).await
    }
}
