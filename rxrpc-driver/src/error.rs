//! Errors of operations that join several steps, and how errors look to byte streams.

use std::{error, fmt, io};

use rxrpc_proto::{BeginCallError, CallError, NetworkError, ReadError, WriteError};

/// Why a call made in one go failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryError {
    /// It could not be begun.
    Begin(BeginCallError),
    /// It was begun, and ended with this.
    Call(CallError),
}

impl UnaryError {
    /// The error of the call, if it was begun.
    #[must_use]
    pub fn call_error(&self) -> Option<CallError> {
        match *self {
            UnaryError::Begin(BeginCallError::EndpointClosed) => Some(CallError::EndpointClosed),
            UnaryError::Begin(_) => None,
            UnaryError::Call(error) => Some(error),
        }
    }
}

impl fmt::Display for UnaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnaryError::Begin(error) => write!(f, "{error}"),
            UnaryError::Call(error) => write!(f, "{error}"),
        }
    }
}

impl error::Error for UnaryError {}

impl From<BeginCallError> for UnaryError {
    fn from(error: BeginCallError) -> Self {
        UnaryError::Begin(error)
    }
}

impl From<CallError> for UnaryError {
    fn from(error: CallError) -> Self {
        UnaryError::Call(error)
    }
}

/// A read error as a byte stream shows it: the original is inside.
pub(crate) fn read_error(error: ReadError) -> io::Error {
    let kind = match error {
        ReadError::Blocked => io::ErrorKind::WouldBlock,
        ReadError::Short => io::ErrorKind::UnexpectedEof,
        ReadError::Excess => io::ErrorKind::InvalidData,
        ReadError::NotAccepted => io::ErrorKind::NotConnected,
        ReadError::Ended(error) => kind(error),
    };
    io::Error::new(kind, error)
}

/// A write error as a byte stream shows it: the original is inside.
pub(crate) fn write_error(error: WriteError) -> io::Error {
    let kind = match error {
        WriteError::Blocked => io::ErrorKind::WouldBlock,
        WriteError::Finished | WriteError::Complete => io::ErrorKind::BrokenPipe,
        WriteError::RequestUnfinished | WriteError::TooLong | WriteError::Short => {
            io::ErrorKind::InvalidInput
        }
        WriteError::NotAccepted => io::ErrorKind::NotConnected,
        WriteError::Ended(error) => kind(error),
    };
    io::Error::new(kind, error)
}

fn kind(error: CallError) -> io::ErrorKind {
    match error {
        CallError::RemoteAbort(_) | CallError::PeerRestarted => io::ErrorKind::ConnectionReset,
        CallError::LocalAbort(_) => io::ErrorKind::ConnectionAborted,
        CallError::Busy => io::ErrorKind::ResourceBusy,
        CallError::Network(error) | CallError::Local(error) => match error {
            NetworkError::NetworkUnreachable => io::ErrorKind::NetworkUnreachable,
            NetworkError::HostUnreachable => io::ErrorKind::HostUnreachable,
            NetworkError::PortUnreachable => io::ErrorKind::ConnectionRefused,
            NetworkError::Prohibited => io::ErrorKind::PermissionDenied,
            NetworkError::MessageTooLong { .. } | NetworkError::Other(_) => io::ErrorKind::Other,
        },
        CallError::Timeout(_) => io::ErrorKind::TimedOut,
        CallError::Protocol(_) | CallError::TooLong | CallError::Excess => io::ErrorKind::InvalidData,
        CallError::Short => io::ErrorKind::UnexpectedEof,
        CallError::EndpointClosed => io::ErrorKind::NotConnected,
        _ => io::ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxrpc_proto::AbortCode;

    #[test]
    fn the_error_of_the_call_is_inside_the_one_of_the_stream() {
        let error = read_error(ReadError::Ended(CallError::RemoteAbort(AbortCode::RXGEN_OPCODE)));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<ReadError>());
        assert_eq!(inside, Some(&ReadError::Ended(CallError::RemoteAbort(AbortCode::RXGEN_OPCODE))));
    }
}
