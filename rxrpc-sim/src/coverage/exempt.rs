//! What has a name and is not to be reached, and why.

use super::Kind;

/// What no run reaches.
pub(super) const EXEMPT: [(Kind, &str, &str); 5] = [
    (Kind::AckReason, "NOSPACE", "no endpoint sends it: a closed window says the same"),
    (Kind::Outcome, "timeout", "a timeout counts as the wait that ran out"),
    (Kind::Outcome, "local", "no endpoint ends a call for what its socket says; an application may"),
    (Kind::Outcome, "path-mtu", "no endpoint looks for the path MTU"),
    (
        Kind::Outcome,
        "too-long",
        "a request would have to be of 2^32 packets; an announced length is kept by WriteError",
    ),
];

/// What only runs of the full harness reach: faults of tasks.
pub(super) const OF_TASKS: [(Kind, &str); 2] =
    [(Kind::Fault, "cancelled-future"), (Kind::Fault, "spurious-ready")];

/// Whether something of that kind and name can be reached at all.
pub(super) fn can_be_reached(kind: Kind, name: &str) -> bool {
    !name.is_empty() && !EXEMPT.iter().any(|(k, n, _)| (*k, *n) == (kind, name))
}

/// What runs of the full harness do not reach, beside the timers of an endpoint, which its driver alone sees.
pub(super) const NOT_BY_TASKS: [(Kind, &str, &str); 10] = [
    (Kind::Outcome, "short", "no handle ends a call with an error of the client's choice"),
    (Kind::Outcome, "excess", "no handle ends a call with an error of the client's choice"),
    (Kind::Error, "write-blocked", "a handle waits"),
    (
        Kind::Error,
        "write-request-unfinished",
        "whether a request is whole is not seen by who has not read it",
    ),
    (Kind::Error, "write-not-accepted", "a handle is of a call that was accepted"),
    (Kind::Error, "read-blocked", "a handle waits"),
    (Kind::Error, "read-short", "a handle that reads exactly waits for the end"),
    (Kind::Error, "read-excess", "a handle that reads exactly waits for the end"),
    (Kind::Error, "read-not-accepted", "a handle is of a call that was accepted"),
    (
        Kind::Error,
        "accept-nothing-waiting",
        "a handle is of a call that waits, and gone once it was accepted",
    ),
];

/// Whether runs of the full harness can reach it.
pub(super) fn is_reached_by_tasks(kind: Kind, name: &str) -> bool {
    kind != Kind::Wake && !NOT_BY_TASKS.iter().any(|(k, n, _)| (*k, *n) == (kind, name))
}
