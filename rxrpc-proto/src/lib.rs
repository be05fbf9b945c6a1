//! The RxRPC protocol as a pure state machine: datagrams and ticks in, packets and events out.
//!
//! RxRPC (OpenAFS calls it Rx, Linux `AF_RXRPC`) is the remote-call transport under AFS: calls of a request
//! and a reply of any size over UDP, four at a time on a virtual connection. This crate has no clock, no socket,
//! no thread and no randomness of its own; whoever drives it brings them. `rxrpc-driver` and the adapters above
//! it do that for async runtimes.
//!
//! Start at [`Endpoint`]: it states the contract and drives two endpoints by hand. [`wire`] reads and writes
//! every packet format on its own. `QUIRKS.md` beside this crate lists where peers or the reference are odd, and
//! what is done about it; `HAZARDS.md` lists what went wrong elsewhere, and the test of each.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod call;
mod config;
mod connection;
mod endpoint;
mod error;
mod event;
mod fault;
mod names;
mod peer;
mod recovery;
mod stats;
mod time;
pub mod wire;

pub use call::Outcome;
pub use config::{AcceptOptions, BusyPolicy, CallOptions, Config, Limits, ServiceOptions, Shard, Timing};
pub use endpoint::{
    CallMut, Endpoint, Path, ReadMore, Rejection, Segments, Target, Transmit, TransmitBuf, VersionAnswer,
};
pub use error::{
    AcceptError, BeginCallError, CallError, ListenError, NetworkError, ReadError, TimeoutKind, VersionError,
    WriteError,
};
pub use event::{CallId, Event, News, VersionId, Wake};
pub use fault::Fault;
pub use stats::{CallInfo, CallStats, EndpointStats, LimitStats, WireCall};
pub use time::Instant;
pub use wire::AbortCode;
