//! RxRPC for any async runtime.
//!
//! This crate joins the protocol core ([`rxrpc_proto`]) and a runtime. The runtime is seen through one
//! trait, [`Io`]: a UDP socket, a clock and a timer. The [`Driver`] is the future that does all the work
//! of an endpoint, and everything else here are the handles that users hold, the same for every runtime:
//! [`Endpoint`], [`Client`], [`Call`], [`Listener`] and [`Incoming`].
//!
//! To use it, take the adapter for your runtime, `rxrpc-tokio` for instance. To write an adapter,
//! implement [`Io`], most easily over [`udp::UdpSocket`], and have the driver polled.
//!
//! ```
//! use rxrpc_driver::{CallError, Endpoint, Target};
//!
//! async fn ask(endpoint: &Endpoint, server: std::net::SocketAddr) {
//!     match endpoint.call_unary(Target::new(server, 52), "request", 1 << 20).await {
//!         Ok(reply) => println!("{} bytes", reply.len()),
//!         Err(error) => println!("{error}"),
//!     }
//! }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod call;
mod client;
mod driver;
mod endpoint;
mod error;
mod io;
mod listener;
mod outgoing;
mod shared;
#[cfg(feature = "udp")]
pub mod udp;
mod version;
mod waiters;

pub use batch::RecvBatch;
pub use call::Call;
pub use client::Client;
pub use driver::Driver;
pub use endpoint::{Closed, Endpoint};
pub use error::UnaryError;
pub use io::{Io, NetworkReport};
pub use listener::{Incoming, Listener};

pub use bytes::Bytes;
/// The protocol core, for what is not named here.
pub use rxrpc_proto as proto;
#[doc(no_inline)]
pub use rxrpc_proto::{
    AbortCode, AcceptError, AcceptOptions, BeginCallError, BusyPolicy, CallError, CallId, CallInfo,
    CallOptions, CallStats, Config, EndpointStats, LimitStats, ListenError, NetworkError, ReadError,
    ServiceOptions, Target, TimeoutKind, VersionAnswer, VersionError, WriteError,
};
