//! The errors an application can get, and how calls end: a place and a name for each.

use rxrpc_proto::{
    AcceptError, BeginCallError, CallError, ListenError, NetworkError, Outcome, ReadError, TimeoutKind,
    VersionError, WriteError,
};

const BEGIN: usize = 0;
const WRITE: usize = BEGIN + BeginCallError::NAMES.len();
const READ: usize = WRITE + WriteError::NAMES.len();
const ACCEPT: usize = READ + ReadError::NAMES.len();
const LISTEN: usize = ACCEPT + AcceptError::NAMES.len();
const VERSION: usize = LISTEN + ListenError::NAMES.len();

/// What operations are refused with, and questions answered with.
pub(super) const ERRORS: [&str; VERSION + VersionError::NAMES.len()] = join(&[
    BeginCallError::NAMES,
    WriteError::NAMES,
    ReadError::NAMES,
    AcceptError::NAMES,
    ListenError::NAMES,
    VersionError::NAMES,
]);

/// What endpoints were told about the network.
pub(super) const NETWORK: [&str; NetworkError::NAMES.len()] = join(&[NetworkError::NAMES]);

/// Where the waits that can run out begin among the outcomes.
const TIMEOUTS: usize = 1 + CallError::NAMES.len();

/// How calls can end.
pub(crate) const OUTCOMES: [&str; TIMEOUTS + TimeoutKind::NAMES.len()] =
    join(&[&["ok"], CallError::NAMES, TimeoutKind::NAMES]);

/// All names after one another.
const fn join<const N: usize>(lists: &[&[&'static str]]) -> [&'static str; N] {
    let mut all = [""; N];
    let (mut list, mut n) = (0, 0);
    while list < lists.len() {
        let mut i = 0;
        while i < lists[list].len() {
            all[n] = lists[list][i];
            (n, i) = (n + 1, i + 1);
        }
        list += 1;
    }
    assert!(n == N, "a name is missing");
    all
}

/// An error that an operation is refused with.
pub(crate) trait Refusal {
    /// Its place in [`ERRORS`].
    fn place(&self) -> usize;
}

macro_rules! refusals {
    ($( $error:ident: $base:expr, )+) => { $(
        impl Refusal for $error {
            fn place(&self) -> usize {
                $base + self.index()
            }
        }
    )+ };
}

refusals! {
    BeginCallError: BEGIN,
    WriteError: WRITE,
    ReadError: READ,
    AcceptError: ACCEPT,
    ListenError: LISTEN,
    VersionError: VERSION,
}

/// Place in [`OUTCOMES`].
pub(crate) const fn outcome_index(outcome: &Outcome) -> usize {
    match outcome {
        Ok(()) => 0,
        Err(CallError::Timeout(kind)) => TIMEOUTS + kind.index(),
        Err(error) => 1 + error.index(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_name_of_its_own() {
        let mut names = ERRORS.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ERRORS.len());
        let places = [
            BeginCallError::TooManyCalls.place(),
            WriteError::NotAccepted.place(),
            ReadError::Blocked.place(),
            AcceptError::NothingWaiting.place(),
            ListenError::ZeroService.place(),
            VersionError::EndpointClosed.place(),
        ];
        let expected = [
            "begin-too-many-calls",
            "write-not-accepted",
            "read-blocked",
            "accept-nothing-waiting",
            "listen-zero-service",
            "version-endpoint-closed",
        ];
        assert_eq!(places.map(|place| ERRORS[place]), expected);
    }

    #[test]
    fn a_timeout_ends_by_the_wait_that_ran_out() {
        let outcomes = [Ok(()), Err(CallError::Busy), Err(CallError::Timeout(TimeoutKind::Lifetime))];
        assert_eq!(outcomes.map(|o| OUTCOMES[outcome_index(&o)]), ["ok", "busy", "lifetime"]);
    }
}
