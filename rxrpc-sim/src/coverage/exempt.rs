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

/// Whether runs of the full harness can reach it. They see no timer of an endpoint but through its driver, and its handles
/// leave less to do wrong: they wait where an endpoint says Blocked, belong to calls that were accepted, and have no way
/// to end a call with an error of the client's choice.
pub(super) fn is_reached_by_tasks(kind: Kind, name: &str) -> bool {
    match (kind, name) {
        (Kind::Wake, _) | (Kind::Outcome, "short" | "excess") => false,
        _ => true,
    }
}
