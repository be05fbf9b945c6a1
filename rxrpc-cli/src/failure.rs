//! Why a subcommand did not do its work, and the exit code that says so.

use std::fmt;
use std::process::ExitCode;

use crate::codes;
use rxrpc_tokio::{AbortCode, CallError, ReadError, WriteError};

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments make no sense together.
    Usage(String),
    /// Something here, or the network, failed; or nobody answered.
    Local(String),
    /// The peer aborted a call.
    RemoteAbort(AbortCode),
}

impl Failure {
    /// The exit code of the process.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Local(_) => 1,
            Failure::Usage(_) => 2,
            Failure::RemoteAbort(_) => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Local(text) => f.write_str(text),
            Failure::RemoteAbort(code) => {
                write!(f, "the peer aborted the call with code {}", codes::describe(*code))
            }
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::RemoteAbort(code) => Failure::RemoteAbort(code),
            other => Failure::Local(other.to_string()),
        }
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
