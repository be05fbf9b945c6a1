//! The limits that are counted when they are reached.

use rxrpc_proto::LimitStats;

/// A limit with a defined answer that was reached. Most are a field of [`Limits`](rxrpc_proto::Limits) each, and are
/// counted where its answer is seen, or from [`LimitStats`] where the answer does not say which limit it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Limit {
    /// `calls`: `BeginCallError::TooManyCalls`.
    Calls,
    /// `calls_per_peer`: `BeginCallError::TooManyCallsToPeer`.
    CallsPerPeer,
    /// `connections_per_bundle`: a call that asks for no upgrade had to wait for a channel.
    ConnectionsPerBundle,
    /// `service_connections`.
    ServiceConnections,
    /// `unvalidated_connections`.
    UnvalidatedConnections,
    /// `unvalidated_per_peer`.
    UnvalidatedPerPeer,
    /// `evicted_connections`.
    EvictedConnections,
    /// `receive_per_call`.
    ReceivePerCall,
    /// `receive_per_peer`.
    ReceivePerPeer,
    /// `receive_total`.
    ReceiveTotal,
    /// `send_per_call`.
    SendPerCall,
    /// `send_total`.
    SendTotal,
    /// `window`: a peer has used all of it, as large as it can be, and waits.
    WholeWindow,
    /// `stranger_answers_per_second`.
    StrangerAnswers,
    /// `replays_per_second`.
    Replays,
    /// `version_queries`: `VersionError::TooMany`.
    Versions,
    /// Not one of `Limits`: a call began that had to wait for a channel, for whatever reason.
    Channels,
    /// `WriteError::Blocked`, by any limit.
    Write,
    /// A window of 0 was offered, by any limit.
    Window,
    /// A packet beyond the window came.
    BeyondWindow,
    /// A call found no room, in the backlog of its service or among the calls, and was told BUSY.
    Backlog,
    /// A connection was refused for want of room.
    Connections,
    /// An answer to a stranger or a replay was left out.
    Answers,
    /// An unvalidated peer had to wait for its budget.
    Amplification,
    /// `Timing::fast_reap_above`: more client connections than that.
    FastReap,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Limit; 25] = [
        Limit::Calls,
        Limit::CallsPerPeer,
        Limit::ConnectionsPerBundle,
        Limit::ServiceConnections,
        Limit::UnvalidatedConnections,
        Limit::UnvalidatedPerPeer,
        Limit::EvictedConnections,
        Limit::ReceivePerCall,
        Limit::ReceivePerPeer,
        Limit::ReceiveTotal,
        Limit::SendPerCall,
        Limit::SendTotal,
        Limit::WholeWindow,
        Limit::StrangerAnswers,
        Limit::Replays,
        Limit::Versions,
        Limit::Channels,
        Limit::Write,
        Limit::Window,
        Limit::BeyondWindow,
        Limit::Backlog,
        Limit::Connections,
        Limit::Answers,
        Limit::Amplification,
        Limit::FastReap,
    ];
}

pub(super) const LIMITS: [&str; Limit::ALL.len()] = [
    "calls",
    "calls-per-peer",
    "connections-per-bundle",
    "service-connections",
    "unvalidated-connections",
    "unvalidated-per-peer",
    "evicted-connections",
    "receive-per-call",
    "receive-per-peer",
    "receive-total",
    "send-per-call",
    "send-total",
    "whole-window",
    "stranger-answers",
    "replays",
    "versions",
    "channels",
    "write",
    "window",
    "beyond-window",
    "backlog",
    "connections",
    "answers",
    "amplification",
    "fast-reap",
];

/// How often an endpoint was at each limit that it counts itself.
pub(super) fn counted(stats: &LimitStats) -> [(Limit, u64); 11] {
    let LimitStats {
        service_connections,
        unvalidated_connections,
        unvalidated_per_peer,
        evicted_connections,
        receive_per_call,
        receive_per_peer,
        receive_total,
        send_per_call,
        send_total,
        stranger_answers_per_second,
        replays_per_second,
    } = *stats;
    [
        (Limit::ServiceConnections, service_connections),
        (Limit::UnvalidatedConnections, unvalidated_connections),
        (Limit::UnvalidatedPerPeer, unvalidated_per_peer),
        (Limit::EvictedConnections, evicted_connections),
        (Limit::ReceivePerCall, receive_per_call),
        (Limit::ReceivePerPeer, receive_per_peer),
        (Limit::ReceiveTotal, receive_total),
        (Limit::SendPerCall, send_per_call),
        (Limit::SendTotal, send_total),
        (Limit::StrangerAnswers, stranger_answers_per_second),
        (Limit::Replays, replays_per_second),
    ]
}

#[cfg(test)]
mod tests {
    use rxrpc_proto::Limits;

    use super::*;

    /// A field of the limits that is new does not compile here without a name.
    #[test]
    fn every_field_of_the_limits_is_one_that_is_counted() {
        let Limits {
            calls,
            calls_per_peer,
            connections_per_bundle,
            service_connections,
            unvalidated_connections,
            unvalidated_per_peer,
            evicted_connections,
            receive_per_call,
            receive_per_peer,
            receive_total,
            send_per_call,
            send_total,
            window,
            stranger_answers_per_second,
            replays_per_second,
            version_queries,
        } = Limits::default();
        let fields = [
            (Limit::Calls, calls),
            (Limit::CallsPerPeer, calls_per_peer),
            (Limit::ConnectionsPerBundle, connections_per_bundle),
            (Limit::ServiceConnections, service_connections),
            (Limit::UnvalidatedConnections, unvalidated_connections),
            (Limit::UnvalidatedPerPeer, unvalidated_per_peer),
            (Limit::EvictedConnections, evicted_connections),
            (Limit::ReceivePerCall, receive_per_call),
            (Limit::ReceivePerPeer, receive_per_peer),
            (Limit::ReceiveTotal, receive_total),
            (Limit::SendPerCall, send_per_call),
            (Limit::SendTotal, send_total),
            (Limit::WholeWindow, window as usize),
            (Limit::StrangerAnswers, stranger_answers_per_second as usize),
            (Limit::Replays, replays_per_second as usize),
            (Limit::Versions, version_queries),
        ];
        assert!(fields.iter().zip(Limit::ALL).all(|((limit, most), known)| *limit == known && *most > 0));
        for (i, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, i);
            assert_eq!(LIMITS.iter().filter(|name| **name == LIMITS[i]).count(), 1);
        }
    }
}
