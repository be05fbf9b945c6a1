//! A name and a place for each variant of the errors, for tables of counters. A new variant does not compile without.

use crate::error::{
    AcceptError, BeginCallError, CallError, ListenError, NetworkError, ReadError, TimeoutKind, VersionError,
    WriteError,
};

macro_rules! names {
    ($( $error:ident { $( $variant:ident => $name:literal, )+ } )+) => { $(
        impl $error {
            /// The names of the variants, in the order of [`index`](Self::index).
            pub const NAMES: &'static [&'static str] = &[ $( $name, )+ ];

            /// The place of the variant in [`NAMES`](Self::NAMES).
            #[must_use]
            pub const fn index(&self) -> usize {
                enum Place { $( $variant, )+ }
                match self {
                    $( $error::$variant { .. } => Place::$variant as usize, )+
                }
            }

            /// The name of the variant, for counters and logs.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $( $error::$variant { .. } => $name, )+
                }
            }
        }
    )+ };
}

names! {
    CallError {
        RemoteAbort => "remote-abort",
        LocalAbort => "local-abort",
        Protocol => "protocol",
        Busy => "busy",
        Network => "network",
        Local => "local",
        Timeout => "timeout",
        PeerRestarted => "peer-restarted",
        PathMtu => "path-mtu",
        TooLong => "too-long",
        Short => "short",
        Excess => "excess",
        EndpointClosed => "endpoint-closed",
    }
    TimeoutKind {
        Silence => "silence",
        RequestGap => "request-gap",
        Lifetime => "lifetime",
    }
    NetworkError {
        NetworkUnreachable => "network-unreachable",
        HostUnreachable => "host-unreachable",
        PortUnreachable => "port-unreachable",
        Prohibited => "prohibited",
        MessageTooLong => "message-too-long",
        Other => "other",
    }
    BeginCallError {
        TooManyCalls => "begin-too-many-calls",
        TooManyCallsToPeer => "begin-too-many-calls-to-peer",
        InvalidTarget => "begin-invalid-target",
        EndpointClosed => "begin-endpoint-closed",
    }
    WriteError {
        Blocked => "write-blocked",
        Finished => "write-finished",
        RequestUnfinished => "write-request-unfinished",
        TooLong => "write-too-long",
        Short => "write-short",
        Ended => "write-ended",
        Complete => "write-complete",
        NotAccepted => "write-not-accepted",
    }
    ReadError {
        Blocked => "read-blocked",
        Short => "read-short",
        Excess => "read-excess",
        Ended => "read-ended",
        NotAccepted => "read-not-accepted",
    }
    AcceptError {
        NothingWaiting => "accept-nothing-waiting",
        Aborted => "accept-aborted",
        TimedOut => "accept-timed-out",
    }
    ListenError {
        ZeroService => "listen-zero-service",
        InUse => "listen-in-use",
        EndpointClosed => "listen-endpoint-closed",
    }
    VersionError {
        TooMany => "version-too-many",
        NoAnswer => "version-no-answer",
        Network => "version-network",
        EndpointClosed => "version-endpoint-closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_at_its_place() {
        let error = NetworkError::MessageTooLong { mtu: 5 };
        assert_eq!((error.name(), NetworkError::NAMES[error.index()]), ("message-too-long", error.name()));
        let error = CallError::EndpointClosed;
        assert_eq!(
            (error.index() + 1, CallError::NAMES.last()),
            (CallError::NAMES.len(), Some(&error.name()))
        );
    }
}
