//! Both harnesses make the same of a scenario, where it says what is to come of it.

use std::cell::RefCell;
use std::rc::Rc;

use rxrpc_proto::Instant;
use rxrpc_sim::scenario::{Action, ActionKind, Edit, ElementKind, Match, Mishap, Rule};
use rxrpc_sim::{Harness, Kind, NodeId, Observer, Report, Scenario, Sim, full};

const MS: u64 = 1_000;

/// Runs with either kind of nodes; both must find nothing wrong.
fn run(scenario: &Scenario) -> [Report; 2] {
    [Sim::new as Harness, full::sim].map(|harness| {
        let report = harness(scenario.clone()).run();
        assert!(report.is_good(), "{:#?}", report.violations);
        report
    })
}

fn count(report: &Report, kind: Kind, name: &str) -> u64 {
    report.coverage.count(kind, name).unwrap()
}

fn act(scenario: &mut Scenario, at: u64, node: NodeId, kind: ActionKind) {
    let id = scenario.actions.len() as u32;
    scenario.actions.push(Action { id, at, node, kind });
}

#[test]
fn every_so_many_th_call_of_a_service_is_turned_away_however_long_it_waits() {
    for (every, kept) in [(1, 0), (2, 2), (3, 3), (4, 3), (5, 4)] {
        for accept_after in [0, 50 * MS] {
            let mut s = Scenario::new(1, 2);
            let service = &mut s.nodes[1].services[0];
            (service.reject_every, service.reject_code, service.accept_after) = (every, 7, accept_after);
            s.call(0, 1, 100, 100).parallel = 4;
            for report in run(&s) {
                assert_eq!((report.calls, report.succeeded), (4, kept), "1 of {every}");
            }
        }
    }
}

#[test]
fn the_calls_of_each_service_are_counted_by_themselves() {
    let mut s = Scenario::new(1, 2);
    let mut other = s.nodes[1].services[0].clone();
    (other.service, other.reject_every) = (53, 2);
    s.nodes[1].services.push(other);
    for i in 0..8 {
        let call = s.call(0, 1, 100, 100);
        call.at = i * 20 * MS;
        call.service = 52 + (i % 2) as u16;
    }
    for report in run(&s) {
        assert_eq!((report.calls, report.succeeded), (8, 6));
    }
}

#[test]
fn a_client_that_crashes_between_two_rounds_goes_on_with_the_next() {
    let mut s = Scenario::new(1, 2);
    let call = s.call(0, 1, 100, 100);
    (call.repeat, call.pause) = (10, 500 * MS);
    s.call(0, 1, 100, 100).after = Some(0);
    act(&mut s, 1_250 * MS, 0, ActionKind::Crash { lasts: 10 * MS });
    for report in run(&s) {
        assert_eq!((report.calls, report.succeeded), (11, 11));
    }
}

#[test]
fn a_client_that_crashes_before_a_follower_begins_makes_it() {
    let mut s = Scenario::new(1, 2);
    s.call(0, 1, 100, 100);
    let next = s.call(0, 1, 100, 100);
    (next.after, next.at, next.parallel) = (Some(0), 500 * MS, 2);
    act(&mut s, 250 * MS, 0, ActionKind::Crash { lasts: 10 * MS });
    for report in run(&s) {
        assert_eq!((report.calls, report.succeeded), (3, 3));
    }
}

#[test]
fn of_calls_at_once_those_that_had_begun_are_not_made_again_after_a_crash() {
    let mut s = Scenario::new(1, 2);
    s.nodes[0].endpoint.calls = 2;
    let call = s.call(0, 1, 100, 100);
    (call.parallel, call.work) = (4, 300 * MS);
    act(&mut s, 200 * MS, 0, ActionKind::Crash { lasts: 10 * MS });
    for report in run(&s) {
        assert_eq!((report.calls, report.succeeded), (4, 2));
    }
}

#[test]
fn a_call_within_another_is_not_made_by_itself_after_a_crash() {
    let mut s = Scenario::new(1, 3);
    s.nodes[1].endpoint.calls = 1;
    s.call(0, 1, 100, 100).nested = Some(1);
    s.call(1, 2, 100, 100);
    act(&mut s, 200 * MS, 1, ActionKind::Crash { lasts: 10 * MS });
    for report in run(&s) {
        // There is no room for the inner one, ever.
        assert_eq!((report.calls, report.succeeded), (1, 0));
    }
}

#[test]
fn a_node_takes_what_comes_to_its_other_address() {
    let mut s = Scenario::new(1, 2);
    let all = Rule { packets: Match::default(), nth: 1, count: 0, mishap: Mishap::Edit(Edit::Elsewhere) };
    s.link(0, 1, [ElementKind::Script(vec![all])]);
    s.call(0, 1, 5_000, 5_000);
    for report in run(&s) {
        assert_eq!(report.succeeded, 1);
    }
}

/// A call in the middle of which the server meets with these, at so many milliseconds.
fn befalls(actions: &[(u64, ActionKind)]) -> Scenario {
    let mut s = Scenario::new(1, 2);
    let call = s.call(0, 1, 100, 100);
    (call.repeat, call.pause) = (40, 100 * MS);
    for (at, kind) in actions {
        act(&mut s, at * MS, 1, kind.clone());
    }
    s
}

const PAUSE: ActionKind = ActionKind::Pause { lasts: 500 * MS };
const CRASH: ActionKind = ActionKind::Crash { lasts: 500 * MS };
const CLOSE: ActionKind = ActionKind::Close { lasts: 500 * MS };

#[test]
fn a_node_that_stands_still_can_crash_be_closed_and_stand_still_for_longer() {
    for (kind, name) in [(CRASH, "crash"), (CLOSE, "close")] {
        for report in run(&befalls(&[(1_000, PAUSE), (1_200, kind.clone())])) {
            assert_eq!((count(&report, Kind::Fault, "pause"), count(&report, Kind::Fault, name)), (1, 1));
        }
    }
    let longest = |actions: &[_]| run(&befalls(actions)).map(|report| report.ended.as_nanos() / 1_000_000);
    let [once, twice] = [longest(&[(1_000, PAUSE)]), longest(&[(1_000, PAUSE), (1_400, PAUSE)])];
    for (once, twice) in once.into_iter().zip(twice) {
        assert!((380..=420).contains(&(twice - once)), "{once} {twice}");
    }
    let short = ActionKind::Pause { lasts: 10 * MS };
    assert_eq!(longest(&[(1_000, PAUSE), (1_100, short)]), once);
}

#[test]
fn a_node_that_is_being_closed_can_crash_and_stand_still() {
    for (kind, name) in [(CRASH, "crash"), (PAUSE, "pause")] {
        for report in run(&befalls(&[(1_000, CLOSE), (1_001, kind.clone())])) {
            assert_eq!((count(&report, Kind::Fault, "close"), count(&report, Kind::Fault, name)), (1, 1));
        }
    }
}

#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl Observer for Notes {
    fn note(&mut self, _now: Instant, node: Option<NodeId>, text: &str) {
        self.0.borrow_mut().extend(node.map(|_| text.to_string()));
    }
}

#[test]
fn what_cannot_befall_a_node_is_said() {
    for actions in [
        [(1_000, CRASH), (1_100, PAUSE)],
        [(1_000, CRASH), (1_100, CRASH)],
        [(1_000, CRASH), (1_100, CLOSE)],
        [(1_000, CLOSE), (1_001, CLOSE)],
    ] {
        for harness in [Sim::new as Harness, full::sim] {
            let notes = Notes::default();
            let mut sim = harness(befalls(&actions));
            sim.observe(Box::new(notes.clone()));
            let report = sim.run();
            assert!(report.is_good(), "{:#?}", report.violations);
            let all = ["pause", "crash", "close"].map(|name| count(&report, Kind::Fault, name));
            assert_eq!(all.iter().sum::<u64>(), 1);
            let notes = notes.0.take();
            assert!(notes.last().unwrap().starts_with("skipped"), "{notes:?}");
        }
    }
}

#[test]
fn calls_that_wait_for_a_channel_are_counted_and_no_others() {
    for (parallel, waiting) in [(1, 0), (4, 0), (5, 1), (20, 16)] {
        let mut s = Scenario::new(1, 2);
        s.nodes[0].endpoint.connections_per_bundle = 1;
        s.call(0, 1, 100, 100).parallel = parallel;
        for report in run(&s) {
            assert_eq!(report.succeeded, u64::from(parallel));
            assert_eq!(count(&report, Kind::Limit, "channels"), waiting, "{parallel} at once");
        }
    }
}

#[test]
fn calls_that_an_endpoint_has_no_room_for_are_counted_and_no_others() {
    let mut s = Scenario::new(1, 2);
    s.nodes[1].services[0].reject_every = 1;
    s.call(0, 1, 100, 100).parallel = 3;
    for report in run(&s) {
        assert_eq!((report.calls, report.succeeded), (3, 0));
        assert_eq!(count(&report, Kind::Limit, "backlog"), 0);
    }
    let service = &mut s.nodes[1].services[0];
    (service.reject_every, service.backlog, service.accept_after) = (0, 1, 500 * MS);
    for report in run(&s) {
        assert_eq!((report.calls, report.succeeded), (3, 1));
        assert_eq!(count(&report, Kind::Limit, "backlog"), 2);
    }
}
