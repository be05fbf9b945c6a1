//! The `sim` target: the input lays out nodes, links, faults, calls and what befalls the nodes; the oracles of the
//! simulator look on.
//!
//! Every input makes a scenario that is small enough to run in some milliseconds. Past its end all choices are zero:
//! no fault, no call.

use rxrpc_sim::scenario::{
    Action, ActionKind, Aqm, CallSpec, Damage, Distribution, ElementKind, ElementSpec, Ending, IcmpKind,
    LinkSpec, LossModel, Match, Micros, Mishap, MtuSpec, NatSpec, NodeSpec, RateSpec, Rule, SERVICE,
    ServiceSpec, Transfer, VersionSpec,
};
use rxrpc_sim::{Scenario, Sim};

use crate::input::Input;

const MS: Micros = 1_000;
const SECOND: Micros = 1_000_000;
const MOST_CALLS: usize = 20;
const MOST_ACTIONS: usize = 6;
const MOST_ELEMENTS: usize = 3;
/// The service that clients who ask for an upgrade are moved to.
const NEWER: u16 = SERVICE + 1;

/// Run the scenario of an input.
///
/// # Panics
/// If an oracle finds something.
pub fn sim(data: &[u8]) {
    let scenario = sim_scenario(data);
    let report = Sim::new(scenario).run();
    assert!(report.is_good(), "{}", report.violations[0]);
}

/// The scenario of an input.
#[must_use]
pub fn sim_scenario(data: &[u8]) -> Scenario {
    let mut input = Input::new(data);
    let count = 2 + input.below(3) as u16;
    let mut s = Scenario::new(u64::from(input.word()), 0);
    s.delay = pick(&mut input, &[MS, 50, 20 * MS, 100 * MS]);
    s.heal_at = pick(&mut input, &[2 * SECOND, 10 * SECOND, 20 * SECOND]);
    s.nodes = (0..count).map(|id| node(&mut input, id)).collect();
    for from in 0..count {
        for to in (0..count).filter(|to| *to != from) {
            let first = u32::from(from * 4 + to) * 10;
            let elements = (0..input.below(MOST_ELEMENTS as u8 + 1) as u32)
                .map(|i| ElementSpec { id: first + i, kind: element(&mut input, s.heal_at) })
                .collect();
            s.links.push(LinkSpec { id: first, from, to, delay: s.delay, elements });
        }
    }
    while !input.is_empty() && s.calls.len() < MOST_CALLS {
        call(&mut input, &mut s);
        if input.below(4) == 0 && s.actions.len() < MOST_ACTIONS {
            action(&mut input, &mut s);
        }
    }
    s
}

fn pick<T: Copy>(input: &mut Input<'_>, choices: &[T]) -> T {
    choices[input.below(choices.len() as u8)]
}

fn node(input: &mut Input<'_>, id: u16) -> NodeSpec {
    let mut node = NodeSpec { id: u32::from(id), ..NodeSpec::default() };
    let odd = input.byte();
    if odd & 1 != 0 {
        endpoint(input, &mut node);
    }
    if odd & 2 != 0 {
        node.socket.batch = pick(input, &[64, 1, 7]);
        node.socket.receive_buffer = pick(input, &[4 << 20, 4 << 10, 20 << 10]);
        node.socket.blocked = pick(input, &[0.0, 0.01, 0.2]);
        node.socket.gso_refused = pick(input, &[0.0, 0.1]);
    }
    if odd & 4 != 0 {
        node.clock.skew = pick(input, &[0, 7 * SECOND]);
        node.clock.drift_ppm = pick(input, &[0, -20_000, 20_000]);
        node.clock.granularity = pick(input, &[0, 10 * MS]);
        node.clock.late = pick(input, &[0, 30 * MS]);
    }
    // Servers, of which the first nodes are some, cannot be behind a translator.
    if odd & 8 != 0 && id >= 2 {
        let timeout = pick(input, &[0, SECOND, 30 * SECOND]);
        node.nat = Some(NatSpec { id: node.id, timeout, restricted: input.below(2) == 0 });
    }
    if odd & 16 != 0 {
        node.services[0] = ServiceSpec {
            backlog: pick(input, &[128, 1, 2]),
            accept_after: pick(input, &[0, 5 * MS, 700 * MS]),
            reject_every: pick(input, &[0, 1, 3]),
            reject_code: pick(input, &[0, 77]),
            lifetime: pick(input, &[0, 50 * MS, 2 * SECOND]),
            ..ServiceSpec::default()
        };
    }
    if odd & 32 != 0 {
        node.services[0].upgrade_to = NEWER;
        node.services.push(ServiceSpec { service: NEWER, ..ServiceSpec::default() });
    }
    node
}

/// A few of the values of the configuration, by turns.
fn endpoint(input: &mut Input<'_>, node: &mut NodeSpec) {
    let e = &mut node.endpoint;
    for _ in 0..=input.below(4) {
        match input.below(18) {
            0 => e.validate_peers = false,
            1 => e.calls = pick(input, &[1, 3]),
            2 => e.calls_per_peer = pick(input, &[1, 2]),
            3 => e.connections_per_bundle = pick(input, &[1, 2]),
            4 => e.service_connections = pick(input, &[1, 3]),
            5 => e.unvalidated_connections = pick(input, &[1, 8]),
            6 => e.receive_per_call = pick(input, &[1_500, 8 << 10]),
            7 => e.receive_total = pick(input, &[4 << 10, 64 << 10]),
            8 => e.send_per_call = pick(input, &[1_500, 16 << 10]),
            9 => e.send_total = pick(input, &[1_500, 32 << 10]),
            10 => e.window = pick(input, &[1, 2, 8]),
            11 => e.silence = pick(input, &[2 * SECOND, 6 * SECOND]),
            12 => e.lifetime = pick(input, &[100 * MS, 3 * SECOND]),
            13 => e.delayed_ack = pick(input, &[0, 100 * MS]),
            14 => e.idle_client = pick(input, &[0, 100 * MS]),
            15 => e.rto_min = pick(input, &[1, 200 * MS]),
            16 => e.validated_for = pick(input, &[50 * MS, SECOND]),
            _ => e.replays_per_second = 1,
        }
    }
    e.keepalive = e.keepalive.min(e.silence / 4);
}

fn element(input: &mut Input<'_>, heal_at: Micros) -> ElementKind {
    let p = pick(input, &[0.01, 0.05, 0.2]);
    match input.below(13) {
        0 => ElementKind::Loss(LossModel::Bernoulli { p: pick(input, &[0.05, 0.3, 0.9]) }),
        1 => ElementKind::Loss(LossModel::PRESETS[input.below(5)].1.clone()),
        2 => ElementKind::Script(vec![rule(input)]),
        3 => ElementKind::Delay {
            by: Distribution::Uniform { low: 0, high: pick(input, &[MS, 100 * MS]) },
            correlation: 0.0,
            ordered: input.below(2) == 0,
        },
        4 => ElementKind::Delay {
            by: Distribution::Samples(vec![0, MS, 300 * MS]),
            correlation: 0.5,
            ordered: false,
        },
        5 => ElementKind::ReorderByGap { every: 1 + input.below(9) as u32, gap: 3, at_most: 50 * MS },
        6 => ElementKind::Duplicate { p, spread: pick(input, &[0, SECOND]) },
        7 => ElementKind::Replay { p, after: pick(input, &[100 * MS, 3 * SECOND]) },
        8 => ElementKind::Corrupt { p, damage: pick(input, &Damage::ALL), checked: input.below(4) != 0 },
        9 => ElementKind::Rate(RateSpec {
            bits_per_second: pick(input, &[300_000, 2_000_000]),
            queue: pick(input, &[3_000, 30_000]),
            aqm: pick(input, &[Aqm::TailDrop, Aqm::CoDel { target: 5 * MS, interval: 100 * MS }]),
        }),
        10 => ElementKind::Mtu(MtuSpec {
            mtu: pick(input, &[576, 1_000, 1_400]),
            report: input.below(2) == 0,
            fragment: input.below(2) == 0,
            fragment_loss: 0.05,
        }),
        11 => {
            let from = heal_at * u64::from(input.byte()) / 256;
            ElementKind::Gate(vec![(from, from + pick(input, &[200 * MS, 3 * SECOND]))])
        }
        _ => ElementKind::Icmp { p: p / 10.0, after: pick(input, &[0, SECOND]), kind: icmp(input) },
    }
}

fn icmp(input: &mut Input<'_>) -> IcmpKind {
    pick(input, &[IcmpKind::Port, IcmpKind::Host, IcmpKind::TooLarge(576), IcmpKind::TooLarge(0)])
}

fn rule(input: &mut Input<'_>) -> Rule {
    let packets = Match {
        packet_type: pick(input, &[None, Some(1), Some(2), Some(4)]),
        seq: pick(input, &[None, Some(1), Some(2)]),
        last: pick(input, &[None, Some(true)]),
        ..Match::default()
    };
    let mishap = pick(input, &[Mishap::Drop, Mishap::Duplicate, Mishap::Delay(300 * MS)]);
    Rule { packets, nth: 1 + input.below(4) as u32, count: pick(input, &[1, 3]), mishap }
}

fn transfer(input: &mut Input<'_>) -> Transfer {
    let len = u64::from(input.word()) % 20_000;
    let odd = input.byte();
    let mut transfer = Transfer { len, ..Transfer::default() };
    if odd & 1 != 0 {
        transfer.write = len / 4 + 1;
        transfer.write_pause = pick(input, &[0, 10 * MS, 400 * MS]);
        transfer.flush = odd & 2 != 0;
    }
    if odd & 4 != 0 {
        transfer.read = len / 4 + 1;
        transfer.read_pause = pick(input, &[MS, 100 * MS]);
    }
    transfer
}

fn call(input: &mut Input<'_>, s: &mut Scenario) {
    let nodes = s.nodes.len() as u16;
    let client = input.below(nodes as u8) as u16;
    let server = (client + 1 + input.below(nodes as u8 - 1) as u16) % nodes;
    // Nobody reaches who is behind a translator.
    let (client, server) =
        if s.nodes[usize::from(server)].nat.is_some() { (server, 0) } else { (client, server) };
    let odd = input.byte();
    let mut call = CallSpec {
        id: s.calls.len() as u32,
        client,
        server,
        at: s.heal_at * u64::from(input.byte()) / 400,
        request: transfer(input),
        reply: transfer(input),
        exclusive: odd & 1 != 0,
        announced: odd & 2 != 0,
        retry_busy: odd & 4 != 0,
        upgrade: odd & 8 != 0,
        ..CallSpec::default()
    };
    if odd & 16 != 0 {
        call.repeat = 1 + input.below(5) as u32;
        call.work = pick(input, &[0, 20 * MS, 5 * SECOND]);
        call.lifetime = pick(input, &[0, 200 * MS, 5 * SECOND]);
    }
    if odd & 32 != 0 {
        call.ending = pick(
            input,
            &[
                Ending::ClientAborts,
                Ending::ClientForgets,
                Ending::ServerAborts,
                Ending::ServerForgets,
                Ending::ClientFails,
            ],
        );
        call.ending_after = pick(input, &[0, MS, 30 * MS, 200 * MS]);
    }
    if odd & 64 != 0 {
        let timeout = pick(input, &[100 * MS, 5 * SECOND]);
        s.versions.push(VersionSpec { client, server, at: call.at, timeout });
    }
    s.calls.push(call);
}

fn action(input: &mut Input<'_>, s: &mut Scenario) {
    let nodes = s.nodes.len() as u8;
    let (node, about) = (input.below(nodes) as u16, input.below(nodes) as u16);
    let lasts = pick(input, &[MS, 200 * MS, 5 * SECOND]);
    let kind = match input.below(8) {
        0 => ActionKind::Pause { lasts },
        1 => ActionKind::Crash { lasts },
        2 => ActionKind::Close { lasts },
        3 => ActionKind::Block { lasts },
        4 => ActionKind::Jump { by: pick(input, &[MS, SECOND, 30 * SECOND]) },
        5 => ActionKind::Rebind,
        6 => ActionKind::ForgeIcmp { about, kind: icmp(input) },
        _ => ActionKind::Inject { claims: (input.below(2) == 0).then_some(about), count: 20, blind: false },
    };
    let at = s.heal_at * u64::from(input.byte()) / 256;
    s.actions.push(Action { id: s.actions.len() as u32, at, node, kind });
}
