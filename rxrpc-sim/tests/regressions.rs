//! Scenarios that once showed a bug of the core, shrunk. They do not depend on how swarm mode draws its scenarios.
//!
//! `FINDINGS.md` tells what was wrong in each. A new one is made with `--example keep`.

use rxrpc_sim::scenario::{
    Action, ActionKind, Aqm, CallSpec, ClockSpec, Damage, Distribution, ElementKind, ElementSpec, LinkSpec,
    LossModel, RateSpec, ServiceSpec, Transfer, VersionSpec,
};
use rxrpc_sim::{Scenario, Sim};

/// Makes a scenario.
type Make = fn() -> Scenario;

/// What once failed, by name.
const KEPT: [(&str, Make); 8] = [
    ("busy a moment after each answer", busy_after_each_answer),
    ("clients that push each other's connections out", clients_that_push_each_other_out),
    ("BUSY overtakes the acknowledgement of what it drops", busy_before_the_acknowledgement),
    ("BUSY is lost, and the request forgotten", busy_lost),
    ("a table that does not reach what was dropped", a_table_that_does_not_reach),
    ("holes that take more memory than the limit", holes_held_in_memory),
    ("version questions after a jump of the clock", versions_after_a_jump),
    ("an hour measured as a round trip", an_hour_as_a_round_trip),
];

#[test]
fn nothing_that_once_failed_fails_again() {
    let found: Vec<_> = KEPT
        .iter()
        .filter_map(|(name, scenario)| {
            Some((name, Sim::new(scenario()).run().violations.into_iter().next()?))
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_server_whose_clock_jumps_may_forget_a_call_and_say_nothing_of_it() {
    let report = Sim::new(call_lost_in_a_jump()).run();
    assert_eq!(report.violations, []);
}

#[test]
fn a_client_may_send_more_than_a_small_window_before_it_knows_of_it() {
    let report = Sim::new(first_packet_lost_at_a_small_window()).run();
    assert_eq!(report.violations, []);
}

fn base(seed: u64, nodes: usize, delay: u64, heal_at: u64) -> Scenario {
    Scenario { delay, heal_at, ..Scenario::new(seed, nodes) }
}

/// A link with its number and its ends.
fn link(s: &mut Scenario, [id, from, to]: [u32; 3], delay: u64, elements: Vec<(u32, ElementKind)>) {
    let elements = elements.into_iter().map(|(id, kind)| ElementSpec { id, kind }).collect();
    s.links.push(LinkSpec { id, from: from as u16, to: to as u16, delay, elements });
}

/// A call with its number and its ends, at a time, with a request of so many bytes.
fn call(s: &mut Scenario, [id, client, server]: [u32; 3], at: u64, request: u64) -> &mut CallSpec {
    let request = Transfer { len: request, ..Transfer::default() };
    s.calls.push(CallSpec {
        id,
        client: client as u16,
        server: server as u16,
        at,
        request,
        ..CallSpec::default()
    });
    s.calls.last_mut().expect("it was pushed")
}

/// A service that turns away all calls, or each so many-th, with BUSY.
fn turns_away(every: u32) -> ServiceSpec {
    ServiceSpec { reject_every: every, ..ServiceSpec::default() }
}

fn busy_after_each_answer() -> Scenario {
    let mut s = base(98_620, 2, 1_000, 21_305_815);
    s.nodes[0].services = vec![ServiceSpec { backlog: 1, accept_after: 5_000, ..turns_away(1) }];
    link(&mut s, [1, 0, 1], 3_000, vec![]);
    call(&mut s, [0, 1, 0], 0, 12_474).retry_busy = true;
    s
}

fn clients_that_push_each_other_out() -> Scenario {
    let mut s = base(15_180, 4, 50, 4_320);
    s.nodes[0].endpoint.unvalidated_connections = 1;
    s.nodes[0].services = vec![ServiceSpec { backlog: 8, accept_after: 700_000, ..ServiceSpec::default() }];
    link(&mut s, [4, 1, 0], 150, vec![]);
    link(&mut s, [9, 2, 1], 150, vec![]);
    call(&mut s, [11, 2, 0], 3_752, 89_097);
    call(&mut s, [14, 3, 0], 4_320, 45_121);
    call(&mut s, [36, 2, 0], 3_796, 0).upgrade = true;
    s
}

fn busy_lost() -> Scenario {
    let mut s = base(110_472, 2, 1_000, 16_165_360);
    s.nodes.iter_mut().for_each(|node| node.endpoint.validate_peers = false);
    s.nodes[0].services = vec![ServiceSpec { lifetime: 2_000_000, ..turns_away(1) }];
    s.nodes[1].endpoint.keepalive = 400_000;
    let loss = ElementKind::Loss(LossModel::Bernoulli { p: 0.05 });
    link(&mut s, [1, 0, 1], 1_000, vec![(1, loss)]);
    for id in [31, 39] {
        call(&mut s, [id, 1, 0], 0, 0).retry_busy = true;
    }
    s
}

fn busy_before_the_acknowledgement() -> Scenario {
    let mut s = base(110_472, 2, 1_000, 18_617_513);
    s.nodes.iter_mut().for_each(|node| node.endpoint.validate_peers = false);
    s.nodes[0].services = vec![ServiceSpec { lifetime: 2_000_000, ..turns_away(1) }];
    let pareto = Distribution::Pareto { least: 250, shape: 1.2, most: 2_000_000 };
    let delay = ElementKind::Delay { by: pareto, correlation: 0.9, ordered: false };
    link(&mut s, [1, 0, 1], 1_000, vec![(1, delay)]);
    link(&mut s, [2, 1, 0], 3_000, vec![]);
    call(&mut s, [36, 1, 0], 18_617_513, 0);
    call(&mut s, [39, 1, 0], 0, 0).retry_busy = true;
    s
}

fn a_table_that_does_not_reach() -> Scenario {
    let mut s = base(1_087_184, 2, 1_000, 1_342_555);
    s.nodes[0].services = vec![turns_away(1)];
    let codel = |bits_per_second, queue| {
        let aqm = Aqm::CoDel { target: 5_000, interval: 100_000 };
        ElementKind::Rate(RateSpec { bits_per_second, queue, aqm })
    };
    let loss = ElementKind::Loss(LossModel::Bernoulli { p: 0.2 });
    link(&mut s, [1, 0, 1], 1_000, vec![(1, loss), (2, codel(300_000, 3_000))]);
    link(&mut s, [2, 1, 0], 1_000, vec![(4, codel(50_000_000, 30_000))]);
    for (id, at, request) in
        [(0, 0, 0), (4, 9_848, 52), (5, 402_335, 2_527), (6, 17_186, 0), (7, 1_192_693, 25_927)]
    {
        call(&mut s, [id, 1, 0], at, request);
    }
    s
}

fn holes_held_in_memory() -> Scenario {
    let mut s = base(606_489, 2, 20_000, 28_184_425);
    s.nodes[0].endpoint.receive_total = 4_096;
    s.nodes[0].endpoint.fast_reap_above = 0;
    let corrupt = || ElementKind::Corrupt { p: 0.05, damage: Damage::Bit, checked: true };
    let by = Distribution::Uniform { low: 0, high: 80_000 };
    let delay = ElementKind::Delay { by, correlation: 0.5, ordered: false };
    link(&mut s, [1, 0, 1], 60_000, vec![(1, corrupt())]);
    link(&mut s, [2, 1, 0], 20_000, vec![(2, delay), (3, corrupt())]);
    call(&mut s, [14, 1, 0], 7_658_878, 2_721).reply.len = 2_003;
    call(&mut s, [21, 1, 0], 7_762_948, 389_183);
    call(&mut s, [32, 0, 1], 24_725_822, 0);
    for (id, at) in [(35, 17_392_100), (37, 15_059_511), (38, 12_515_698), (39, 7_660_839)] {
        call(&mut s, [id, 1, 0], at, 0);
    }
    s.actions.push(Action { id: 1, at: 28_153_325, node: 0, kind: ActionKind::Crash { lasts: 1_000 } });
    s
}

fn versions_after_a_jump() -> Scenario {
    let mut s = base(1, 2, 5_000, 10_000_000);
    s.versions.push(VersionSpec { client: 0, server: 1, at: 0, timeout: 20_000_000 });
    link(&mut s, [0, 1, 0], 5_000, vec![(0, ElementKind::Loss(LossModel::Bernoulli { p: 1.0 }))]);
    for (id, at, kind) in [
        (1, 100_000, ActionKind::Block { lasts: 5_000_000 }),
        (2, 200_000, ActionKind::Jump { by: 3_000_000 }),
    ] {
        s.actions.push(Action { id, at, node: 0, kind });
    }
    s
}

fn an_hour_as_a_round_trip() -> Scenario {
    let mut s = base(42_865, 3, 20_000, 7_191_589);
    s.nodes[0].services = vec![turns_away(1)];
    s.nodes[2].clock = ClockSpec { skew: 0, drift_ppm: -200, granularity: 1_000, late: 30_000 };
    let by = Distribution::Pareto { least: 5_000, shape: 1.2, most: 2_000_000 };
    let delay = ElementKind::Delay { by, correlation: 0.9, ordered: false };
    link(&mut s, [2, 0, 2], 20_000, vec![(4, delay)]);
    link(&mut s, [5, 1, 2], 20_000, vec![(6, ElementKind::Loss(LossModel::Bernoulli { p: 0.9 }))]);
    call(&mut s, [16, 2, 1], 43_317, 0);
    call(&mut s, [17, 2, 0], 1_593_705, 88).retry_busy = true;
    let kind = ActionKind::Jump { by: 3_600_000_000 };
    s.actions.push(Action { id: 1, at: 7_147_012, node: 2, kind });
    s
}

fn call_lost_in_a_jump() -> Scenario {
    let mut s = base(34_904, 2, 20_000, 1_420_080);
    let replay = ElementKind::Replay { p: 0.0125, after: 15_000_000 };
    link(&mut s, [1, 0, 1], 20_000, vec![(2, replay)]);
    call(&mut s, [0, 1, 0], 0, 136).work = 5_000_000;
    for (id, at) in [(3, 965_421), (5, 1_420_080)] {
        s.actions.push(Action { id, at, node: 0, kind: ActionKind::Jump { by: 3_600_000_000 } });
    }
    s
}

fn first_packet_lost_at_a_small_window() -> Scenario {
    let mut s = base(138_280, 2, 1_000, 0);
    s.nodes.iter_mut().for_each(|node| node.endpoint.validate_peers = false);
    s.nodes[0].endpoint.window = 1;
    link(&mut s, [2, 1, 0], 1_000, vec![(2, ElementKind::Loss(LossModel::Bernoulli { p: 0.5 }))]);
    call(&mut s, [7, 1, 0], 0, 1_753);
    s
}
