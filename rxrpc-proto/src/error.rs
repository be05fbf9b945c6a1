//! How calls end, and why an operation can be refused.

use core::fmt;
use core::net::SocketAddr;

use crate::fault::Fault;
use crate::wire::AbortCode;

/// Why a call failed. The one error of a call's life: a call ends once, with success or with this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The peer aborted the call, or its whole connection, with this code.
    RemoteAbort(AbortCode),
    /// We aborted the call with this code.
    LocalAbort(AbortCode),
    /// The peer broke the protocol in this call; it was aborted with RX_PROTOCOL_ERROR.
    Protocol(Fault),
    /// The server has no room for the call now.
    Busy,
    /// The network says that the peer cannot be reached.
    Network(NetworkError),
    /// A datagram of the call could not be sent.
    Local(NetworkError),
    /// Something did not happen in time.
    Timeout(TimeoutKind),
    /// The peer is there but no longer knows the call: it restarted, or an address translator between
    /// us forgot the path.
    PeerRestarted,
    /// The path carries no packet that the peer accepts.
    PathMtu,
    /// More was written than the announced total length, or than 2^32 packets carry.
    TooLong,
    /// Fewer bytes came, or were written, than promised.
    Short,
    /// More bytes came than expected.
    Excess,
    /// The endpoint was closed, or its driver dropped.
    EndpointClosed,
}

impl CallError {
    /// The code of an abort, by either side.
    #[must_use]
    pub fn abort_code(&self) -> Option<AbortCode> {
        match *self {
            CallError::RemoteAbort(code) | CallError::LocalAbort(code) => Some(code),
            CallError::Protocol(_) => Some(AbortCode::RX_PROTOCOL_ERROR),
            _ => None,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::RemoteAbort(code) => write!(f, "the peer aborted the call with code {code}"),
            CallError::LocalAbort(code) => write!(f, "the call was aborted here with code {code}"),
            CallError::Protocol(fault) => write!(f, "the peer broke the protocol: {fault}"),
            CallError::Busy => f.write_str("the server is busy; try again later"),
            CallError::Network(e) => write!(f, "the peer cannot be reached: {e}"),
            CallError::Local(e) => write!(f, "sending failed here: {e}"),
            CallError::Timeout(kind) => write!(f, "timed out: {kind}"),
            CallError::PeerRestarted => f.write_str("the peer no longer knows the call; begin a new one"),
            CallError::PathMtu => f.write_str("the path carries no packet large enough"),
            CallError::TooLong => f.write_str("more data than the announced length"),
            CallError::Short => f.write_str("less data than promised"),
            CallError::Excess => f.write_str("more data than expected"),
            CallError::EndpointClosed => f.write_str("the endpoint is closed"),
        }
    }
}

impl core::error::Error for CallError {}

/// Which wait of a call ran out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TimeoutKind {
    /// Nothing was heard from the peer: [`Timing::silence`](crate::Timing::silence).
    Silence,
    /// The client paused within its request: [`Timing::request_gap`](crate::Timing::request_gap).
    RequestGap,
    /// The call's whole life: [`CallOptions::lifetime`](crate::CallOptions::lifetime).
    Lifetime,
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeoutKind::Silence => "nothing was heard from the peer",
            TimeoutKind::RequestGap => "the client paused too long within its request",
            TimeoutKind::Lifetime => "the call's lifetime is over",
        })
    }
}

/// What the network or the socket reported, independent of the operating system.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NetworkError {
    /// No route to the peer's network.
    NetworkUnreachable,
    /// No route to the peer.
    HostUnreachable,
    /// Nothing listens at the peer's port.
    PortUnreachable,
    /// A filter forbids the packet.
    Prohibited,
    /// The packet is larger than the path takes; `mtu` is the largest IP packet, 0 when not known.
    /// Never ends a call: later packets are smaller.
    MessageTooLong {
        /// Largest IP packet in bytes, 0 when not known.
        mtu: u32,
    },
    /// Another error, by its number on this system.
    Other(i32),
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkError::NetworkUnreachable => f.write_str("network unreachable"),
            NetworkError::HostUnreachable => f.write_str("host unreachable"),
            NetworkError::PortUnreachable => f.write_str("nothing listens at its port"),
            NetworkError::Prohibited => f.write_str("prohibited by a filter"),
            NetworkError::MessageTooLong { mtu } => write!(f, "packet too large for the path (MTU {mtu})"),
            NetworkError::Other(code) => write!(f, "system error {code}"),
        }
    }
}

impl core::error::Error for NetworkError {}

/// Why a call could not be begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BeginCallError {
    /// [`Limits::calls`](crate::Limits::calls) calls exist: end or release some.
    TooManyCalls,
    /// [`Limits::calls_per_peer`](crate::Limits::calls_per_peer) calls to this peer exist.
    TooManyCallsToPeer(SocketAddr),
    /// Service 0, port 0 or an unspecified address cannot be called.
    InvalidTarget,
    /// The endpoint is closed.
    EndpointClosed,
}

impl fmt::Display for BeginCallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BeginCallError::TooManyCalls => f.write_str("too many calls on this endpoint; end some first"),
            BeginCallError::TooManyCallsToPeer(peer) => write!(f, "too many calls to {peer}; end some first"),
            BeginCallError::InvalidTarget => f.write_str("no address, port or service to call"),
            BeginCallError::EndpointClosed => f.write_str("the endpoint is closed"),
        }
    }
}

impl core::error::Error for BeginCallError {}

/// Why data was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteError {
    /// No room until the peer acknowledges: wait for [`News::WRITABLE`](crate::News::WRITABLE).
    Blocked,
    /// This side's data has been finished already.
    Finished,
    /// A server may reply once the request is complete, or after discarding the rest of it.
    RequestUnfinished,
    /// More than the announced total length; nothing was taken.
    TooLong,
    /// Finished before the announced total length was written.
    Short,
    /// The call is over.
    Ended(CallError),
    /// The call is over, with success.
    Complete,
    /// The call has not been accepted.
    NotAccepted,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Blocked => f.write_str("no room to write now"),
            WriteError::Finished => f.write_str("this side's data is already finished"),
            WriteError::RequestUnfinished => f.write_str("the request has not been read to its end"),
            WriteError::TooLong => f.write_str("more data than the announced length"),
            WriteError::Short => f.write_str("less data than the announced length"),
            WriteError::Ended(e) => write!(f, "{e}"),
            WriteError::Complete => f.write_str("the call is complete"),
            WriteError::NotAccepted => f.write_str("the call has not been accepted"),
        }
    }
}

impl core::error::Error for WriteError {}

/// Why no data was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadError {
    /// Nothing has come yet: wait for [`News::READABLE`](crate::News::READABLE).
    Blocked,
    /// `read_exact`: the data ended too early.
    Short,
    /// `read_exact`: data follows what should have been the end.
    Excess,
    /// The call failed; what was not read is gone.
    Ended(CallError),
    /// The call has not been accepted.
    NotAccepted,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Blocked => f.write_str("nothing to read now"),
            ReadError::Short => f.write_str("less data than expected"),
            ReadError::Excess => f.write_str("more data than expected"),
            ReadError::Ended(e) => write!(f, "{e}"),
            ReadError::NotAccepted => f.write_str("the call has not been accepted"),
        }
    }
}

impl core::error::Error for ReadError {}

/// Why a waiting call could not be accepted or rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AcceptError {
    /// No such call waits.
    NothingWaiting,
    /// The client aborted it, or it failed, meanwhile. The call is gone.
    Aborted(CallError),
    /// It timed out meanwhile. The call is gone.
    TimedOut(TimeoutKind),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcceptError::NothingWaiting => f.write_str("no such call waits to be accepted"),
            AcceptError::Aborted(e) => write!(f, "the call ended while it waited: {e}"),
            AcceptError::TimedOut(kind) => write!(f, "the call timed out while it waited: {kind}"),
        }
    }
}

impl core::error::Error for AcceptError {}

/// Why a service could not be offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListenError {
    /// Service 0 does not exist on the wire.
    ZeroService,
    /// The endpoint offers this service already.
    InUse(u16),
    /// The endpoint is closed.
    EndpointClosed,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenError::ZeroService => f.write_str("service 0 cannot be offered"),
            ListenError::InUse(id) => write!(f, "service {id} is offered already"),
            ListenError::EndpointClosed => f.write_str("the endpoint is closed"),
        }
    }
}

impl core::error::Error for ListenError {}

/// Why a VERSION question could not be asked, or got no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VersionError {
    /// [`Limits::version_queries`](crate::Limits::version_queries) questions are open.
    TooMany,
    /// The peer did not answer in time.
    NoAnswer,
    /// The network says that the peer cannot be reached.
    Network(NetworkError),
    /// The endpoint is closed.
    EndpointClosed,
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VersionError::TooMany => f.write_str("too many version questions are open"),
            VersionError::NoAnswer => f.write_str("no answer"),
            VersionError::Network(e) => write!(f, "{e}"),
            VersionError::EndpointClosed => f.write_str("the endpoint is closed"),
        }
    }
}

impl core::error::Error for VersionError {}
