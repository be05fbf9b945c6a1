//! Why a subcommand did not do its work, and the exit code that says so.

use std::fmt;
use std::net::SocketAddr;
use std::process::ExitCode;

use rxrpc_tokio::{BeginCallError, CallError, NetworkError, ReadError, TimeoutKind, WriteError};

use crate::codes;

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments make no sense together.
    Usage(String),
    /// Something here, or the network, failed; or nobody answered.
    Local(String),
    /// A call ended with an error.
    Call(CallError),
    /// Something failed with this peer.
    At(SocketAddr, Box<Failure>),
}

impl Failure {
    /// What a peer did not do.
    pub(crate) fn of(peer: SocketAddr, text: impl Into<String>) -> Self {
        Failure::At(peer, Box::new(Failure::Local(text.into())))
    }

    /// The same, naming the peer if it is a call that failed.
    pub(crate) fn at(self, peer: SocketAddr) -> Self {
        match self {
            Failure::Call(_) => Failure::At(peer, Box::new(self)),
            other => other,
        }
    }

    /// The exit code of the process.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }

    fn number(&self) -> u8 {
        match self {
            Failure::At(_, failure) => failure.number(),
            Failure::Call(CallError::RemoteAbort(_)) => 3,
            Failure::Usage(_) => 2,
            Failure::Local(_) | Failure::Call(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::At(peer, failure) => write!(f, "{peer}: {failure}"),
            Failure::Usage(text) | Failure::Local(text) => f.write_str(text),
            Failure::Call(error) => call_error(*error, f),
        }
    }
}

/// What happened to a call, and what can be done.
fn call_error(error: CallError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        CallError::RemoteAbort(code) => {
            write!(f, "the peer aborted the call with code {}", codes::describe(code))
        }
        CallError::Network(error) => f.write_str(&network(error)),
        CallError::Timeout(TimeoutKind::Silence) => f.write_str(
            "nothing was heard from the peer: is the address right, and does every firewall let UDP through?",
        ),
        CallError::Timeout(TimeoutKind::Lifetime) => {
            f.write_str("the call took longer than it may: --timeout allows more")
        }
        other => write!(f, "{other}"),
    }
}

/// What the network said of a peer, and what can be done.
pub(crate) fn network(error: NetworkError) -> String {
    match error {
        NetworkError::PortUnreachable => {
            "nothing listens at its port: is the server running, and the port right?".to_string()
        }
        other => format!("cannot be reached: {other}"),
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Failure::Call(error)
    }
}

impl From<BeginCallError> for Failure {
    fn from(error: BeginCallError) -> Self {
        Failure::Local(error.to_string())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Ended(error) => error.into(),
            other => Failure::Local(other.to_string()),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Ended(error) => error.into(),
            other => Failure::Local(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxrpc_tokio::AbortCode;

    #[test]
    fn exit_codes_tell_usage_remote_aborts_and_everything_else_apart() {
        let peer = SocketAddr::from(([192, 0, 2, 1], 7000));
        let abort = CallError::RemoteAbort(AbortCode::RXGEN_OPCODE);
        for (failure, code) in [
            (Failure::Usage(String::new()), 2),
            (Failure::Local(String::new()), 1),
            (abort.into(), 3),
            (Failure::from(abort).at(peer), 3),
            (CallError::LocalAbort(AbortCode::RX_EOF).into(), 1),
            (CallError::Busy.into(), 1),
            (Failure::from(CallError::Timeout(TimeoutKind::Silence)).at(peer), 1),
        ] {
            assert_eq!(failure.number(), code, "{failure}");
        }
    }

    #[test]
    fn a_peer_is_named_once() {
        let peer = SocketAddr::from(([192, 0, 2, 1], 7000));
        let failure = Failure::from(CallError::Busy).at(peer).at(peer);
        assert_eq!(failure.to_string(), "192.0.2.1:7000: the server is busy; try again later");
    }
}
