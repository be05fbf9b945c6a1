//! Scenarios that once showed a bug of the core, shrunk. They do not depend on how swarm mode draws its scenarios.
//!
//! `FINDINGS.md` tells what was wrong in each. A new one is made with `--example keep`.

use rxrpc_sim::scenario::{
    Action, ActionKind, Aqm, CallSpec, ClockSpec, Damage, Distribution, ElementKind, ElementSpec, Ending,
    LinkSpec, LossModel, MtuSpec, NatSpec, RateSpec, ServiceSpec, SocketSpec, Transfer, VersionSpec,
};
use rxrpc_sim::{Scenario, Sim};

/// Makes a scenario.
type Make = fn() -> Scenario;

/// What once failed, by name.
const KEPT: [(&str, Make); 23] = [
    ("busy a moment after each answer", busy_after_each_answer),
    ("clients that push each other's connections out", clients_that_push_each_other_out),
    ("BUSY overtakes the acknowledgement of what it drops", busy_before_the_acknowledgement),
    ("BUSY is lost, and the request forgotten", busy_lost),
    ("a table that does not reach what was dropped", a_table_that_does_not_reach),
    ("holes that take more memory than the limit", holes_held_in_memory),
    ("version questions after a jump of the clock", versions_after_a_jump),
    ("an overtaken acknowledgement that answers a later packet", overtaken_acknowledgements),
    ("a request too large for its path", request_too_large_for_its_path),
    ("a time-out that sent nothing after a jump of the clock", a_time_out_that_sent_nothing),
    ("acknowledgements held back for want of a proof", acknowledgements_held_back),
    ("an hour measured as a round trip", an_hour_as_a_round_trip),
    ("a peer heard of another call at once after a jump", heard_after_a_jump),
    ("four requests that share little room", four_requests_that_share_little_room),
    ("an answer more than its rate allows", an_answer_too_many),
    ("a request executed again when its connection had made room", executed_again),
    ("questions that come faster than their answers", questions_faster_than_answers),
    ("answers to PINGs held back for want of a proof", answers_held_back),
    ("a packet of an earlier reply that comes late", packet_of_an_earlier_reply),
    ("a request turned away whose rest is unknown", turned_away_and_unknown),
    ("questions about a call that is turned away for ever", turned_away_for_ever),
    ("questions about a call that an earlier server had answered", answered_by_an_earlier_server),
    ("late copies kept as a call", late_copies_kept),
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

#[test]
fn calls_that_are_over_and_not_read_take_the_room_of_others() {
    let report = Sim::new(calls_over_and_not_read()).run();
    assert_eq!(report.violations, []);
    assert_eq!(report.ends.get("busy"), Some(&1));
}

#[cfg(feature = "full")]
#[test]
fn a_call_that_ended_before_it_was_accepted_is_not_taken_for_one_that_lives() {
    let report = rxrpc_sim::full::sim(ended_before_it_was_accepted()).run();
    assert_eq!(report.violations, []);
    assert_eq!((report.ends.get("ok"), report.ends.get("remote-abort")), (Some(&1), Some(&1)));
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

/// A bottleneck of so many bits a second and bytes of queue, kept short by CoDel.
fn codel(bits_per_second: u64, queue: usize) -> ElementKind {
    let aqm = Aqm::CoDel { target: 5_000, interval: 100_000 };
    ElementKind::Rate(RateSpec { bits_per_second, queue, aqm })
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

fn overtaken_acknowledgements() -> Scenario {
    let mut s = base(40, 2, 20_000, 417_521);
    s.nodes[0].endpoint.receive_total = 4_096;
    let wander = |correlation| {
        let by = Distribution::Normal { mean: 20_000, deviation: 10_000 };
        ElementKind::Delay { by, correlation, ordered: false }
    };
    link(&mut s, [1, 0, 1], 60_000, vec![(1, wander(0.9)), (2, codel(2_000_000, 300_000))]);
    link(&mut s, [2, 1, 0], 60_000, vec![(4, wander(0.5)), (5, codel(300_000, 3_000))]);
    call(&mut s, [14, 1, 0], 0, 12_376);
    call(&mut s, [15, 0, 1], 306_179, 46_235);
    call(&mut s, [29, 1, 0], 0, 8).reply.len = 2_179;
    for [id, client, server] in [[31, 1, 0], [32, 1, 0], [33, 0, 1]] {
        call(&mut s, [id, client, server], 0, 0);
    }
    s
}

fn request_too_large_for_its_path() -> Scenario {
    let mut s = base(7_108_168, 2, 20_000, 25_745_278);
    s.nodes.iter_mut().for_each(|node| node.endpoint.validate_peers = false);
    s.nodes[1].endpoint.keepalive = 100_000;
    let mtu = MtuSpec { mtu: 1_400, report: true, fragment: false, fragment_loss: 0.0 };
    link(&mut s, [2, 1, 0], 20_000, vec![(1, ElementKind::Mtu(mtu))]);
    for (id, at, request) in [(15, 0, 16_293), (16, 7_642_574, 0), (19, 25_745_277, 0)] {
        call(&mut s, [id, 1, 0], at, request);
    }
    s
}

fn a_time_out_that_sent_nothing() -> Scenario {
    let mut s = base(216_396, 2, 100_000, 58_329_169);
    let socket = SocketSpec { gso_refused: 0.1, ..SocketSpec::default() };
    let blocked = SocketSpec { blocked: 0.01, blocked_for: 50_000, ..socket };
    s.nodes[0].socket = SocketSpec { batch: 1, receive_buffer: 102_400, ..blocked };
    s.nodes[1].socket = SocketSpec { batch: 2, receive_buffer: 4_096, ..socket };
    let calls = call(&mut s, [2, 1, 0], 7_515_755, 8);
    (calls.repeat, calls.reply.len) = (9, 188_529);
    call(&mut s, [5, 1, 0], 18_758_320, 8).work = 5_000_000;
    for (id, at, request) in [
        (6, 269_849, 0),
        (7, 39_108_838, 0),
        (10, 18_092_382, 0),
        (12, 0, 0),
        (14, 15_679_500, 0),
        (15, 11_901_631, 0),
        (16, 12_914_491, 0),
        (17, 18_716_124, 0),
        (18, 0, 0),
        (19, 0, 0),
        (20, 16_231_745, 1_931),
    ] {
        call(&mut s, [id, 1, 0], at, request);
    }
    call(&mut s, [21, 1, 0], 18_117_179, 0).repeat = 2;
    call(&mut s, [24, 1, 0], 1, 2_170);
    let late = call(&mut s, [27, 1, 0], 28_104_524, 8);
    (late.reply.len, late.work) = (4_303, 20_000);
    call(&mut s, [29, 1, 0], 16_169_342, 0);
    let last = call(&mut s, [31, 1, 0], 37_323_755, 8);
    (last.repeat, last.reply.len, last.work) = (4, 96_261, 20_000);
    call(&mut s, [33, 1, 0], 35_176_051, 0);
    for (id, at, node, kind) in [
        (1, 52_998_190, 0, ActionKind::Pause { lasts: 5_000_000 }),
        (2, 14_139_760, 1, ActionKind::Pause { lasts: 5_000_000 }),
        (3, 56_658_339, 0, ActionKind::Jump { by: 3_600_000_000 }),
    ] {
        s.actions.push(Action { id, at, node, kind });
    }
    s
}

fn acknowledgements_held_back() -> Scenario {
    let mut s = base(27_646, 2, 50, 15_013_915);
    let loss = ElementKind::Loss(LossModel::Bernoulli { p: 0.9 });
    let narrow = MtuSpec { mtu: 1_000, report: false, fragment: false, fragment_loss: 0.05 };
    link(&mut s, [2, 1, 0], 50, vec![(2, loss), (3, ElementKind::Mtu(narrow))]);
    for (id, at, request) in [
        (4, 4_006, 0),
        (12, 18_296, 20_158),
        (13, 1, 0),
        (14, 1, 0),
        (15, 12_907, 352),
        (18, 14_549, 0),
        (21, 0, 0),
        (22, 9_535, 0),
        (25, 179, 0),
        (26, 0, 0),
        (27, 0, 0),
        (30, 0, 0),
        (34, 13_620, 24_903),
        (35, 3_623, 0),
    ] {
        call(&mut s, [id, 1, 0], at, request);
    }
    call(&mut s, [1, 1, 0], 17_325, 0).parallel = 2;
    let slow = &mut call(&mut s, [2, 1, 0], 0, 18_897).request;
    (slow.write, slow.write_pause) = (75_589, 400_000);
    call(&mut s, [6, 1, 0], 8_124, 2).repeat = 4;
    call(&mut s, [20, 1, 0], 11_983, 13_303).parallel = 3;
    call(&mut s, [23, 1, 0], 16_869, 0).lifetime = 200_000;
    call(&mut s, [38, 1, 0], 0, 8).reply.len = 3_102;
    s.calls.sort_by_key(|call| call.id);
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

fn heard_after_a_jump() -> Scenario {
    let mut s = base(1_009_764, 2, 20_000, 6_309_397);
    s.nodes[1].clock = ClockSpec { skew: 0, drift_ppm: 20_000, granularity: 0, late: 30_000 };
    let slow = RateSpec { bits_per_second: 300_000, queue: 300_000, aqm: Aqm::TailDrop };
    link(&mut s, [1, 0, 1], 20_000, vec![(2, ElementKind::Rate(slow))]);
    let narrow = MtuSpec { mtu: 1_400, report: false, fragment: true, fragment_loss: 0.05 };
    link(&mut s, [2, 1, 0], 60_000, vec![(8, ElementKind::Mtu(narrow))]);
    call(&mut s, [0, 1, 0], 5_398_667, 8).reply.len = 42_825;
    call(&mut s, [6, 1, 0], 767_784, 282_421);
    let kind = ActionKind::Jump { by: 3_600_000_000 };
    s.actions.push(Action { id: 2, at: 6_302_175, node: 1, kind });
    s
}

fn four_requests_that_share_little_room() -> Scenario {
    let mut s = base(1_040_844, 3, 20_000, 1);
    s.nodes[0].endpoint.receive_per_peer = 65_536;
    call(&mut s, [26, 2, 0], 0, 385_245).parallel = 4;
    s
}

fn an_answer_too_many() -> Scenario {
    let mut s = base(9_175, 4, 1_000, 515_784);
    s.nodes[0].endpoint.stranger_answers_per_second = 5;
    s.versions.push(VersionSpec { client: 1, server: 0, at: 113_947, timeout: 100_000 });
    for (id, at) in [(2, 513_783), (4, 515_783)] {
        let kind = ActionKind::Inject { claims: Some(3), count: 10, blind: false };
        s.actions.push(Action { id, at, node: 0, kind });
    }
    s
}

fn executed_again() -> Scenario {
    let mut s = base(1_101_224, 2, 20_000, 29_404);
    s.nodes.iter_mut().for_each(|node| node.ipv6 = true);
    s.nodes[0].endpoint.service_connections = 3;
    s.nodes[1].endpoint.rto_initial = 50_000;
    let narrow = MtuSpec { mtu: 576, report: true, fragment: true, fragment_loss: 0.0 };
    link(&mut s, [1, 0, 1], 60_000, vec![(2, ElementKind::Mtu(narrow))]);
    call(&mut s, [1, 1, 0], 0, 0);
    call(&mut s, [2, 1, 0], 0, 0);
    call(&mut s, [3, 1, 0], 0, 0).exclusive = true;
    call(&mut s, [4, 1, 0], 1, 0).upgrade = true;
    call(&mut s, [5, 1, 0], 1, 0);
    call(&mut s, [6, 1, 0], 0, 317);
    call(&mut s, [7, 1, 0], 1, 8).reply.len = 1_665;
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

fn calls_over_and_not_read() -> Scenario {
    let mut s = base(1, 2, 1_000, 15_000_000);
    s.nodes[0].endpoint.calls = 2;
    for (id, at) in [(0, 0), (1, 5_000_000)] {
        let reply = &mut call(&mut s, [id, 0, 1], at, 100).reply;
        (reply.len, reply.read_pause) = (20_000, 20_000_000);
    }
    call(&mut s, [2, 1, 0], 10_000_000, 100);
    s
}

fn questions_faster_than_answers() -> Scenario {
    let mut s = base(2_018_684, 2, 100_000, 30_000_000);
    s.nodes.iter_mut().for_each(|node| node.ipv6 = true);
    s.nodes[0].endpoint.keepalive = 100_000;
    let mtu = MtuSpec { mtu: 1_400, report: true, fragment: true, fragment_loss: 0.0 };
    link(&mut s, [1, 0, 1], 100_000, vec![(1, ElementKind::Mtu(mtu))]);
    let call = call(&mut s, [0, 1, 0], 1_643_439, 190);
    (call.request.write, call.request.write_pause) = (47, 4_000_000);
    call.reply.len = 378_807;
    s
}

fn answers_held_back() -> Scenario {
    let mut s = base(2_030_564, 5, 5_000, 34_242_573);
    s.nodes[4].nat = Some(NatSpec { id: 4, timeout: 1_000_000, restricted: true });
    link(&mut s, [4, 0, 4], 5_000, vec![(5, ElementKind::Gate(vec![(2_840_815, 27_840_815)]))]);
    link(&mut s, [20, 4, 0], 5_000, vec![(23, ElementKind::Loss(LossModel::Bernoulli { p: 0.5 }))]);
    call(&mut s, [21, 4, 0], 20_095_863, 17_345);
    call(&mut s, [33, 4, 0], 25_656_765, 8_507).upgrade = true;
    call(&mut s, [37, 4, 0], 3_860_956, CallSpec::default().request.len).repeat = 4;
    s.versions.push(VersionSpec { client: 4, server: 0, at: 20_295_782, timeout: 5_000_000 });
    s
}

fn packet_of_an_earlier_reply() -> Scenario {
    let mut s = base(3_123_724, 3, 100_000, 1_379_608);
    let mtu = MtuSpec { mtu: 1_280, report: true, fragment: false, fragment_loss: 0.05 };
    let elements = vec![
        (7, ElementKind::Loss(LossModel::Correlated { p: 0.1, correlation: 0.3 })),
        (9, ElementKind::Replay { p: 0.0125, after: 3_000_000 }),
        (10, ElementKind::Mtu(mtu)),
        (11, ElementKind::Gate(vec![(15_447, 25_015_447)])),
    ];
    link(&mut s, [2, 0, 2], 100_000, elements);
    call(&mut s, [4, 2, 0], 0, 4_092);
    let aborted = call(&mut s, [22, 2, 0], 77_099, 8);
    (aborted.repeat, aborted.reply.len) = (10, 2_436);
    (aborted.ending, aborted.ending_after) = (Ending::ClientAborts, 30_000);
    call(&mut s, [28, 2, 0], 192_947, 8).reply.len = 2_615;
    s.actions.push(Action { id: 1, at: 759_217, node: 0, kind: ActionKind::Close { lasts: 5_000_000 } });
    s
}

fn turned_away_and_unknown() -> Scenario {
    let mut s = base(3_054_156, 2, 5_000, 1);
    s.nodes.iter_mut().for_each(|node| node.ipv6 = true);
    (s.nodes[0].endpoint.window, s.nodes[0].endpoint.keepalive) = (2, 100_000);
    s.nodes[0].services = vec![ServiceSpec { backlog: 0, accept_after: 700_000, ..ServiceSpec::default() }];
    let client = &mut s.nodes[1].endpoint;
    (client.silence, client.keepalive, client.rto_initial) = (2_000_000, 500_000, 3_000_000);
    call(&mut s, [2, 1, 0], 0, 4_612).retry_busy = true;
    s
}

fn turned_away_for_ever() -> Scenario {
    let mut s = base(6_959, 3, 0, 21_760_010);
    (s.nodes[0].endpoint.validate_peers, s.nodes[0].endpoint.calls) = (false, 1);
    let first = ServiceSpec { backlog: 8, accept_after: 5_000, reject_code: 77, ..turns_away(5) };
    let newer = ServiceSpec { service: 53, ..ServiceSpec::default() };
    s.nodes[0].services = vec![ServiceSpec { lifetime: 50_000, upgrade_to: newer.service, ..first }, newer];
    s.nodes[2].endpoint.send_total = 1_500;
    let loss = LossModel::Correlated { p: 0.3, correlation: 0.3 };
    link(&mut s, [2, 0, 2], 5_000, vec![(4, ElementKind::Loss(loss))]);
    call(&mut s, [20, 2, 0], 21_760_009, 1_607);
    call(&mut s, [21, 2, 0], 0, 1_171);
    let len = CallSpec::default().request.len;
    call(&mut s, [22, 2, 0], 20_256_252, len).upgrade = true;
    call(&mut s, [23, 0, 2], 17_321_225, len);
    s
}

fn answered_by_an_earlier_server() -> Scenario {
    let mut s = base(5_108_153, 4, 50, 169_990);
    link(&mut s, [12, 3, 0], 50, vec![(13, ElementKind::Replay { p: 0.05, after: 15_000_000 })]);
    call(&mut s, [2, 3, 0], 367, 8).reply =
        Transfer { len: 191, write: 95, write_pause: 400_000, flush: true, ..Transfer::default() };
    call(&mut s, [7, 3, 0], 0, 21_883);
    s.actions.push(Action { id: 2, at: 169_989, node: 0, kind: ActionKind::Crash { lasts: 200_000 } });
    s
}

fn late_copies_kept() -> Scenario {
    let mut s = base(9_032_479, 2, 50, 3_275_163);
    (s.nodes[0].endpoint.receive_per_call, s.nodes[0].endpoint.keepalive) = (8_192, 400_000);
    link(&mut s, [2, 1, 0], 150, vec![(4, ElementKind::Replay { p: 0.0125, after: 3_000_000 })]);
    call(&mut s, [7, 1, 0], 446_623, 134_821).work = 5_000_000;
    call(&mut s, [14, 1, 0], 0, 23_574);
    s.actions.push(Action { id: 1, at: 3_275_162, node: 0, kind: ActionKind::Crash { lasts: 1_000 } });
    s
}

#[cfg(feature = "full")]
fn ended_before_it_was_accepted() -> Scenario {
    let mut s = base(12_043_191, 2, 5_000, 7_265_727);
    s.nodes[0].endpoint.silence = 2_000_000;
    s.nodes[0].services = vec![ServiceSpec { backlog: 8, accept_after: 5_000_000, ..ServiceSpec::default() }];
    let loss = LossModel::Correlated { p: 0.3, correlation: 0.3 };
    link(&mut s, [2, 1, 0], 15_000, vec![(6, ElementKind::Loss(loss)), (8, codel(300_000, 3_000))]);
    call(&mut s, [18, 1, 0], 1, CallSpec::default().request.len);
    call(&mut s, [19, 1, 0], 0, 68_984);
    s
}
