//! How the calls of a scenario hang together: at once, one after the other, one within the other.

use std::cell::RefCell;
use std::rc::Rc;

use rxrpc_proto::{Event, Instant};
use rxrpc_sim::scenario::{ActionKind, Edit, ElementKind, Match, Mishap, Rule};
use rxrpc_sim::{NodeId, Observer, Report, Scenario, Sim};

const MS: u64 = 1_000;

/// When, where and what.
type Entry = (u64, NodeId, &'static str);

/// When calls came in at nodes, and when they were heard of at their clients for the last time.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<Entry>>>);

impl Observer for Log {
    fn event(&mut self, now: Instant, node: NodeId, event: &Event) {
        let what = match event {
            Event::Incoming { .. } => "incoming",
            Event::Call { tag, news, .. } if news.ended() && tag >> 63 == 0 => "ended",
            _ => return,
        };
        self.0.borrow_mut().push((now.as_nanos() / 1_000_000, node, what));
    }
}

fn run(scenario: Scenario) -> (Report, Vec<(u64, NodeId, &'static str)>) {
    let log = Log::default();
    let mut sim = Sim::new(scenario);
    sim.observe(Box::new(log.clone()));
    let report = sim.run();
    assert!(report.is_good(), "{:#?}", report.violations);
    (report, log.0.take())
}

fn count(log: &[(u64, NodeId, &str)], node: NodeId, what: &str) -> usize {
    log.iter().filter(|(_, n, w)| *n == node && *w == what).count()
}

#[test]
fn calls_at_once_are_made_at_once_each_as_often_as_it_is_repeated() {
    let mut s = Scenario::new(1, 2);
    let call = s.call(0, 1, 100, 100);
    (call.parallel, call.repeat, call.pause) = (7, 2, 500 * MS);
    let (report, log) = run(s);
    assert_eq!((report.calls, report.succeeded), (14, 14));
    assert!(log.iter().all(|(at, ..)| *at < 100 || (500..600).contains(at)), "{log:?}");
    assert_eq!(count(&log[..14], 1, "incoming"), 7);
}

#[test]
fn a_call_that_follows_another_begins_when_all_of_that_are_over() {
    let mut s = Scenario::new(1, 2);
    let first = s.call(0, 1, 100, 100);
    (first.parallel, first.repeat, first.work) = (3, 2, 100 * MS);
    let second = s.call(0, 1, 100, 100);
    (second.after, second.at, second.parallel) = (Some(0), 1_000 * MS, 2);
    let (report, log) = run(s);
    assert_eq!((report.calls, report.succeeded), (8, 8));
    let last_of_first = log.iter().filter(|(_, n, w)| (*n, *w) == (0, "ended")).nth(5).unwrap().0;
    let begins: Vec<u64> = log.iter().filter(|(_, _, w)| *w == "incoming").map(|(at, ..)| *at).collect();
    assert!(begins[6..].iter().all(|at| (1_000..1_100).contains(&(at - last_of_first))), "{log:?}");
}

/// A client stores at a file server, which tells another client of that before it answers.
fn call_back() -> Scenario {
    let mut s = Scenario::new(1, 3);
    let store = s.call(0, 1, 5_000, 100);
    (store.nested, store.repeat) = (Some(1), 3);
    s.call(1, 2, 200, 50).work = 300 * MS;
    s
}

#[test]
fn a_server_makes_a_call_of_its_own_before_it_replies() {
    let (report, log) = run(call_back());
    assert_eq!((report.calls, report.succeeded), (6, 6));
    let places: Vec<_> = log.iter().map(|(_, node, what)| (*node, *what)).collect();
    let once = [(1, "incoming"), (2, "incoming"), (1, "ended"), (0, "ended")];
    assert_eq!(places, once.repeat(3));
    assert!(log[3].0 >= 300, "{log:?}");
}

#[test]
fn a_server_that_crashes_while_it_waits_for_its_own_call_leaves_nothing() {
    let mut s = call_back();
    s.calls[0].repeat = 1;
    s.actions.push(rxrpc_sim::scenario::Action {
        id: 0,
        at: 200 * MS,
        node: 1,
        kind: ActionKind::Crash { lasts: 100 * MS },
    });
    let (report, _) = run(s);
    assert_eq!((report.calls, report.succeeded), (2, 0));
}

#[test]
fn a_server_whose_own_call_is_cut_off_by_the_end_of_faults_replies() {
    let mut s = call_back();
    s.calls[0].repeat = 1;
    s.calls[1].work = 3_600_000 * MS;
    s.heal_at = 2_000 * MS;
    let (report, log) = run(s);
    assert_eq!((report.calls, report.succeeded), (2, 2));
    assert!(log.last().unwrap().0 < 2_500, "{log:?}");
}

#[test]
fn a_rule_can_have_packets_rewritten() {
    let mut s = Scenario::new(1, 2);
    let replies = Match { packet_type: Some(1), ..Match::default() };
    let rewrite = |packets, edit| Rule { packets, nth: 1, count: 0, mishap: Mishap::Edit(edit) };
    s.link(1, 0, [ElementKind::Script(vec![rewrite(replies, Edit::Elsewhere)])]);
    s.call(0, 1, 100, 40_000);
    let (report, _) = run(s);
    assert_eq!(report.succeeded, 1);
    assert!(report.coverage.table().iter().any(|(_, name, n)| *name == "script" && *n > 20));
}

#[test]
fn a_call_has_to_end_as_soon_as_it_is_expected_to() {
    let report = |within| {
        let mut s = Scenario::new(1, 2);
        let call = s.call(0, 1, 1_000, 3_000);
        (call.at, call.work, call.within) = (1_000 * MS, 500 * MS, within);
        Sim::new(s).run()
    };
    let good = report(600 * MS);
    assert!(good.is_good());
    let seconds = (good.figures.last - good.figures.first.unwrap()).as_secs_f64();
    assert!((0.51..0.53).contains(&seconds));
    assert_eq!(good.figures.bytes, 4_000);
    let violations = report(500 * MS).violations;
    assert_eq!(violations[0].oracle, rxrpc_sim::Oracle::Expectation);
    assert!(violations[0].text.starts_with("expected call 0 to end within 500ms, and it took 5"));
}
