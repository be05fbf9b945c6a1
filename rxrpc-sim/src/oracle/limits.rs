//! An endpoint keeps the limits of its configuration.

use rxrpc_proto::EndpointStats;

use super::Oracle;
use crate::scenario::EndpointSpec;

/// Packets that a call may always hold, as large as they come.
const HELD_OVER: usize = 4 * (1444 + 64);

/// The first limit that is broken, if any.
pub(crate) fn check_limits(spec: &EndpointSpec, stats: &EndpointStats) -> Option<(Oracle, String)> {
    let service = stats.connections.saturating_sub(stats.client_connections);
    let over = spec.receive_total.saturating_add(stats.calls * HELD_OVER);
    let found = [
        ("calls", stats.calls, spec.calls),
        ("service connections", service, spec.service_connections),
        ("unvalidated connections", stats.unvalidated_connections, spec.unvalidated_connections),
        ("unread bytes", stats.unread, over),
        ("unacknowledged bytes", stats.unacknowledged, spec.send_total),
    ];
    let (name, is, limit) = found.into_iter().find(|(_, is, limit)| is > limit)?;
    Some((Oracle::Limits, format!("{is} {name}, the limit is {limit}")))
}
