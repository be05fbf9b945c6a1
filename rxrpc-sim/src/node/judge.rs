//! What the counters of an endpoint tell, and what has to be gone in the end.

use rxrpc_proto::{EndpointStats, Fault};

use super::NodeClock;
use crate::coverage::Limit;
use crate::oracle::Oracle;
use crate::packet::NodeId;
use crate::scenario::ClockSpec;
use crate::world::World;

/// What peers were seen to do wrong, and limits that show in counters.
pub(crate) fn check_faults(node: NodeId, stats: &EndpointStats, world: &mut World) {
    world.coverage.endpoint(stats);
    for fault in Fault::all().filter(|f| stats.fault(*f) > 0) {
        if !world.oracles.allows(fault) {
            let text = format!("{} times: {fault}", stats.fault(fault));
            world.violation(Some(node), Oracle::Misbehaviour, text);
        }
    }
    for (fault, limit) in
        [(Fault::BeyondWindow, Limit::BeyondWindow), (Fault::NoRoomForConnection, Limit::Connections)]
    {
        if stats.fault(fault) > 0 {
            world.coverage.limit(limit);
        }
    }
    for _ in 0..stats.fault(Fault::NoRoom) {
        world.coverage.limit(Limit::Backlog);
    }
    if stats.answers_suppressed > 0 {
        world.coverage.limit(Limit::Answers);
    }
}

/// Everything is over: an endpoint holds nothing any more.
pub(crate) fn check_leftovers(node: NodeId, stats: &EndpointStats, world: &mut World) {
    let left = [
        ("calls", stats.calls),
        ("connections", stats.connections),
        ("client connections", stats.client_connections),
        ("unvalidated connections", stats.unvalidated_connections),
        ("peers", stats.peers),
        ("unread bytes", stats.unread),
        ("unacknowledged bytes", stats.unacknowledged),
        ("questions about versions", stats.version_queries),
    ];
    for (what, n) in left.into_iter().filter(|(_, n)| *n > 0) {
        world.violation(Some(node), Oracle::Leftover, format!("{n} {what}"));
    }
}

/// The clock of a node is to be right from now on: what was wrong with it?
pub(crate) fn count_clock_faults(spec: &ClockSpec, clock: &NodeClock, world: &mut World) {
    if clock.disturbed && spec.granularity > 0 {
        world.coverage.fault("timer-coarse");
    }
    if clock.disturbed && spec.late > 0 {
        world.coverage.fault("timer-late");
    }
    if spec.skew > 0 {
        world.coverage.fault("clock-skew");
    }
    if spec.drift_ppm != 0 {
        world.coverage.fault("clock-drift");
    }
}
