//! What somebody who watches a run is shown.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rxrpc_proto::{CallInfo, Instant, WireCall};
use rxrpc_sim::scenario::{ElementKind, LossModel};
use rxrpc_sim::{Fate, NodeId, Observer, Packet, Scenario, Sim};

#[derive(Default)]
struct Seen {
    sent: u64,
    /// Packets on their way, and the copies of each.
    flying: BTreeMap<u64, u32>,
    /// By node and names on the wire, the bytes acknowledged and received.
    calls: BTreeMap<(NodeId, WireCall), (u64, u64)>,
    outcomes: u64,
    /// Congestion windows.
    windows: BTreeSet<u32>,
}

#[derive(Clone, Default)]
struct Watcher(Rc<RefCell<Seen>>);

impl Observer for Watcher {
    fn datagram(&mut self, _now: Instant, packet: &Packet, fate: Fate) {
        let mut seen = self.0.borrow_mut();
        match fate {
            Fate::Sent | Fate::Injected => {
                seen.sent += 1;
                assert_eq!(seen.flying.insert(packet.id, 1), None);
            }
            Fate::Duplicated => *seen.flying.get_mut(&packet.id).unwrap() += 1,
            Fate::Damaged => {}
            Fate::Delivered | Fate::Lost(_) => *seen.flying.get_mut(&packet.id).unwrap() -= 1,
        }
    }

    fn sample(&mut self, _now: Instant, node: NodeId, call: &CallInfo) {
        let mut seen = self.0.borrow_mut();
        seen.outcomes += u64::from(call.outcome.is_some());
        seen.windows.insert(call.stats.congestion_window);
        if let Some(wire) = call.wire {
            let bytes = seen.calls.entry((node, wire)).or_default();
            assert!(bytes.0 <= call.stats.bytes_acknowledged && bytes.1 <= call.stats.bytes_received);
            *bytes = (call.stats.bytes_acknowledged, call.stats.bytes_received);
        }
    }
}

fn scenario() -> Scenario {
    let mut s = Scenario::new(3, 2);
    let faults = || {
        [
            ElementKind::Loss(LossModel::Bernoulli { p: 0.05 }),
            ElementKind::Duplicate { p: 0.1, spread: 3_000 },
        ]
    };
    s.link(0, 1, faults()).link(1, 0, faults());
    s.call(0, 1, 200_000, 100_000);
    s.call(1, 0, 50, 60);
    s
}

#[test]
fn watching_does_not_change_the_run() {
    let mut watched = Sim::new(scenario());
    watched.observe(Box::new(Watcher::default()));
    assert_eq!(watched.run().trace, Sim::new(scenario()).run().trace);
}

#[test]
fn every_packet_and_every_call_is_shown_from_its_beginning_to_its_end() {
    let watcher = Watcher::default();
    let mut sim = Sim::new(scenario());
    sim.observe(Box::new(watcher.clone()));
    let report = sim.run();
    assert!(report.is_good(), "{:?}", report.violations);
    let seen = watcher.0.borrow();
    assert_eq!(seen.sent, report.datagrams);
    assert!(seen.flying.values().all(|copies| *copies == 0), "each copy arrives or is lost");
    assert_eq!(seen.calls.len(), 4, "two calls, two sides each");
    assert!(seen.windows.len() > 3, "the congestion window moves");
    assert!(seen.outcomes >= 4, "how a call ended is shown at both sides");
}
