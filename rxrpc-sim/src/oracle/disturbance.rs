//! When the exchange of two nodes was interfered with: who falls silent without that has broken a promise.

use std::time::Duration;

use rxrpc_proto::Instant;

use crate::packet::NodeId;
use crate::scenario::{EndpointSpec, Scenario};

/// Delays are told apart by the power of two of their milliseconds.
const DELAYS: usize = 32;

/// Two ends, each way by itself.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    lost: Option<Instant>,
    /// By length: until when a packet was held back so long.
    held: [Option<Instant>; DELAYS],
}

/// The book of what was done to nodes and to the packets between them.
#[derive(Debug)]
pub(crate) struct Disturbances {
    nodes: usize,
    pairs: Vec<Pair>,
    /// By node: until when it was paused, down, blocked or attacked, or its clock or address changed.
    struck: Vec<Option<Instant>>,
    /// By node: until when it went away, or when its clock jumped, for the last time. It may know nothing of calls
    /// from before.
    restarted: Vec<Option<Instant>>,
    /// By node: it may leave a client without an answer.
    shuts_out: Vec<bool>,
}

/// Whether the server may have said too much already when it has no room for a call.
fn shuts_out(e: &EndpointSpec) -> bool {
    e.stranger_answers_per_second < 10
}

impl Disturbances {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let nodes = scenario.nodes.len();
        Disturbances {
            nodes,
            pairs: vec![Pair::default(); nodes * nodes],
            struck: vec![None; nodes],
            restarted: vec![None; nodes],
            shuts_out: scenario.nodes.iter().map(|n| shuts_out(&n.endpoint)).collect(),
        }
    }

    /// The node goes away and comes back then, or its clock jumps.
    pub(crate) fn on_restart(&mut self, node: NodeId, at: Instant) {
        if let Some(restarted) = self.restarted.get_mut(usize::from(node)) {
            *restarted = (*restarted).max(Some(at));
        }
    }

    /// Whether a server may leave a call that began then without an answer, though nothing disturbs the network.
    pub(crate) fn leaves(&self, server: NodeId, begun: Instant) -> bool {
        let server = usize::from(server);
        self.shuts_out.get(server).is_none_or(|s| *s)
            || self.restarted.get(server).is_none_or(|at| at.is_some_and(|at| at >= begun))
    }

    /// A packet of this chain was lost or changed.
    pub(crate) fn on_lost(&mut self, now: Instant, chain: u32) {
        if let Some(pair) = self.pairs.get_mut(chain as usize) {
            pair.lost = Some(now);
        }
    }

    /// A packet of this chain is held back `by` so much, and goes on `at` that time.
    pub(crate) fn on_held(&mut self, at: Instant, by: Duration, chain: u32) {
        if by < Duration::from_millis(1) {
            return;
        }
        let bits = u128::BITS - by.as_millis().leading_zeros();
        if let Some(pair) = self.pairs.get_mut(chain as usize) {
            let held = &mut pair.held[(bits as usize).min(DELAYS - 1)];
            *held = (*held).max(Some(at));
        }
    }

    /// Something is done to the node that lasts until then.
    pub(crate) fn on_node(&mut self, node: NodeId, until: Instant) {
        if let Some(struck) = self.struck.get_mut(usize::from(node)) {
            *struck = (*struck).max(Some(until));
        }
    }

    /// Whether something interfered with these two since: a packet between them was lost, or held back for longer
    /// than `patience`, or something was done to one of them.
    pub(crate) fn any(&self, ends: [NodeId; 2], since: Instant, patience: Duration) -> bool {
        let [a, b] = ends.map(usize::from);
        let least = (u128::BITS - patience.as_millis().leading_zeros()) as usize;
        let recent = |at: &Option<Instant>| at.is_some_and(|at| at >= since);
        let pairs = [a * self.nodes + b, b * self.nodes + a];
        [a, b].iter().any(|n| self.struck.get(*n).is_none_or(recent))
            || pairs.iter().filter_map(|p| self.pairs.get(*p)).any(|pair| {
                recent(&pair.lost) || pair.held.get(least..).is_some_and(|held| held.iter().any(recent))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(s)
    }

    #[test]
    fn what_is_done_to_others_or_long_ago_or_for_a_moment_is_no_excuse() {
        let mut all = Disturbances::new(&Scenario::new(1, 3));
        let second = Duration::from_secs(1);
        all.on_lost(at(10), 1);
        assert!(all.any([0, 1], at(10), second) && all.any([1, 0], at(10), second));
        assert!(!all.any([0, 1], at(11), second) && !all.any([0, 2], at(0), second));
        all.on_held(at(20), Duration::from_millis(500), 2);
        assert!(!all.any([0, 2], at(0), second));
        all.on_held(at(20), Duration::from_secs(2), 2);
        assert!(all.any([0, 2], at(20), second));
        all.on_node(1, at(30));
        assert!(all.any([1, 2], at(30), second) && !all.any([0, 2], at(30), second));
    }
}
