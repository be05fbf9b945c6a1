//! Several who watch one run.

use std::net::SocketAddr;

use rxrpc_proto::{CallInfo, Event, Instant, NetworkError, Wake};
use rxrpc_sim::campaign::guarded;
use rxrpc_sim::{Fate, Harness, NodeId, Observer, Packet, Report, Scenario, Violation};

/// Each is told everything, in this order.
pub(super) struct Observers(pub(super) Vec<Box<dyn Observer>>);

impl Observer for Observers {
    fn datagram(&mut self, now: Instant, packet: &Packet, fate: Fate) {
        self.0.iter_mut().for_each(|o| o.datagram(now, packet, fate));
    }

    fn timer(&mut self, now: Instant, node: NodeId, wake: Wake) {
        self.0.iter_mut().for_each(|o| o.timer(now, node, wake));
    }

    fn event(&mut self, now: Instant, node: NodeId, event: &Event) {
        self.0.iter_mut().for_each(|o| o.event(now, node, event));
    }

    fn sample(&mut self, now: Instant, node: NodeId, call: &CallInfo) {
        self.0.iter_mut().for_each(|o| o.sample(now, node, call));
    }

    fn error(&mut self, now: Instant, node: NodeId, about: SocketAddr, error: NetworkError) {
        self.0.iter_mut().for_each(|o| o.error(now, node, about, error));
    }

    fn note(&mut self, now: Instant, node: Option<NodeId>, text: &str) {
        self.0.iter_mut().for_each(|o| o.note(now, node, text));
    }

    fn violation(&mut self, violation: &Violation) {
        self.0.iter_mut().for_each(|o| o.violation(violation));
    }
}

/// Run the scenario while these watch. They are dropped when the run is over, whatever comes of it.
///
/// # Errors
/// What a panic said.
pub(super) fn run_observed(
    scenario: &Scenario,
    harness: Harness,
    observers: Vec<Box<dyn Observer>>,
) -> Result<Report, Violation> {
    guarded(|| {
        let mut sim = harness(scenario.clone());
        sim.observe(Box::new(Observers(observers)));
        sim.run()
    })
}
