//! Swarm mode: a scenario drawn from a seed, with some faults and some extremes on and the others off.
//!
//! Each run leaves out most faults. All of them at once would hide each other: no call gets far enough to meet
//! the rarer ones.

use crate::rng::{Rng, Streams};
use crate::scenario::{
    Action, ActionKind, Aqm, CallSpec, ClockSpec, Damage, Distribution, Edit, ElementKind, ElementSpec,
    Ending, EndpointSpec, IcmpKind, LinkSpec, LossModel, Match, Micros, Mishap, MtuSpec, NatSpec, NodeSpec,
    RateSpec, Rule, SERVICE, Scenario, ServiceSpec, SocketSpec, TaskSpec, Transfer, VersionSpec,
};

const MS: Micros = 1_000;
const SECOND: Micros = 1_000_000;

/// Number of the fault of links that is a partition.
const PARTITION: u64 = 12;

/// The service that clients who ask for an upgrade are moved to.
const NEWER: u16 = SERVICE + 1;

/// The scenario of a seed.
#[must_use]
pub fn scenario(seed: u64) -> Scenario {
    let streams = Streams::new(seed);
    let mut rng = streams.stream("swarm", 0);
    let count = *rng.pick(&[2, 2, 2, 3, 3, 4, 5]);
    let servers = rng.between(1, (count as u64).min(3) - 1) as u16;
    let mut scenario = Scenario {
        seed,
        delay: *rng.pick(&[50, MS, 5 * MS, 20 * MS, 100 * MS]),
        heal_at: *rng.pick(&[2 * SECOND, 10 * SECOND, 30 * SECOND, 60 * SECOND]),
        ..Scenario::default()
    };
    let mut nodes = streams.stream("swarm-nodes", 0);
    scenario.nodes = (0..count).map(|id| node(&mut nodes, id, id >= u32::from(servers))).collect();
    links(&mut streams.stream("swarm-links", 0), &mut scenario);
    calls(&mut streams.stream("swarm-calls", 0), &mut scenario, servers);
    actions(&mut streams.stream("swarm-actions", 0), &mut scenario);
    let mut rng = streams.stream("swarm-tasks", 0);
    scenario.nodes.iter_mut().for_each(|node| node.tasks = tasks(&mut rng));
    if streams.stream("swarm-ipv6", 0).chance(0.1) {
        scenario.nodes.iter_mut().for_each(|node| node.ipv6 = true);
    }
    let mut rng = streams.stream("swarm-order", 0);
    if rng.chance(0.1) {
        order(&mut rng, &mut scenario);
    }
    blind(&mut streams.stream("swarm-blind", 0), &mut scenario);
    let mut rng = streams.stream("swarm-edits", 0);
    if rng.chance(0.05) {
        edits(&mut rng, &mut scenario);
    }
    let mut rng = streams.stream("swarm-misuse", 0);
    if rng.chance(0.1) {
        scenario.nodes.iter_mut().for_each(|node| node.misuse = *rng.pick(&[0.0, 0.02, 0.2]));
    }
    let mut rng = streams.stream("swarm-insiders", 0);
    if rng.chance(0.05) {
        insiders(&mut rng, &mut scenario);
    }
    strange(&mut streams.stream("swarm-strange", 0), &mut scenario);
    let mut rng = streams.stream("swarm-evicted", 0);
    scenario.nodes.iter_mut().for_each(|n| seldom(&mut rng, &mut n.endpoint.evicted_connections, &[0, 1, 3]));
    scenario
}

/// What other implementations write into their ACKs and is true all the same: no oracle has to look away.
const EDITS: [Edit; 14] = [
    Edit::UserStatus(1),
    Edit::BufferSpace(8),
    Edit::BufferSpace(u16::MAX),
    Edit::Previous(0),
    Edit::PreviousIsSerial,
    Edit::Softly(1),
    Edit::Softly(200),
    Edit::TableBits(0xfe),
    Edit::Filler(9),
    Edit::Trailer(0),
    Edit::Trailer(2),
    Edit::Trailer(3),
    Edit::Mtu(1024),
    Edit::Jumbo(0),
];

/// A node sends its ACKs as another implementation would.
fn edits(rng: &mut Rng, scenario: &mut Scenario) {
    let node = rng.below(scenario.nodes.len() as u64) as u16;
    let packets = Match { packet_type: Some(2), ..Match::default() };
    let rule = Rule { packets, nth: 1, count: 0, mishap: Mishap::Edit(*rng.pick(&EDITS)) };
    let last = scenario.links.iter().flat_map(|l| &l.elements).map(|e| e.id).max().unwrap_or(0);
    for (id, link) in (last + 1..).zip(scenario.links.iter_mut().filter(|link| link.from == node)) {
        link.elements.insert(0, ElementSpec { id, kind: ElementKind::Script(vec![rule.clone()]) });
    }
}

/// Have calls be made at the same time and after one another. None is made within another one: the servers of the
/// full harness do not look at a call while they wait for their own, and drop their own with it.
fn order(rng: &mut Rng, scenario: &mut Scenario) {
    let mut last = vec![None; scenario.nodes.len()];
    for (place, call) in (0..).zip(&mut scenario.calls) {
        let last = &mut last[usize::from(call.client)];
        if rng.chance(0.2) {
            call.parallel = rng.between(2, 4) as u32;
        }
        if rng.chance(0.3) && last.is_some() {
            call.after = *last;
            call.at = *rng.pick(&[0, MS, 500 * MS]);
        }
        *last = Some(place);
    }
}

/// Some attackers have seen nothing pass.
fn blind(rng: &mut Rng, scenario: &mut Scenario) {
    for action in &mut scenario.actions {
        if let ActionKind::Inject { blind, .. } = &mut action.kind {
            *blind = rng.chance(0.3);
        }
    }
}

/// Attackers who have seen calls pass come while those are likely to live.
fn insiders(rng: &mut Rng, scenario: &mut Scenario) {
    let last = scenario.actions.iter().map(|a| a.id).max().unwrap_or(0);
    for id in last + 1..=last + 4 {
        let call = rng.pick(&scenario.calls);
        let (node, claimed) =
            if rng.chance(0.5) { (call.server, call.client) } else { (call.client, call.server) };
        let at = (call.at + scenario.delay * rng.between(1, 8)).min(scenario.heal_at - 1);
        let kind = ActionKind::Inject { claims: Some(claimed), count: 10, blind: false };
        scenario.actions.push(Action { id, at, node, kind });
    }
}

/// Some messages of routers say what nobody has a name for.
fn strange(rng: &mut Rng, scenario: &mut Scenario) {
    let elements =
        scenario.links.iter_mut().flat_map(|link| &mut link.elements).filter_map(|e| match &mut e.kind {
            ElementKind::Icmp { kind, .. } => Some(kind),
            _ => None,
        });
    let forged = scenario.actions.iter_mut().filter_map(|a| match &mut a.kind {
        ActionKind::ForgeIcmp { kind, .. } => Some(kind),
        _ => None,
    });
    for kind in elements.chain(forged) {
        if rng.chance(0.1) {
            *kind = IcmpKind::Other(*rng.pick(&[0, 71, -1]));
        }
    }
}

fn tasks(rng: &mut Rng) -> TaskSpec {
    TaskSpec {
        shuffled: rng.chance(0.5),
        moving: rng.chance(0.3),
        mixed: rng.chance(0.7),
        cancelled: *rng.pick(&[0.0, 0.0, 0.02, 0.3]),
        spurious: *rng.pick(&[0.0, 0.0, 0.1]),
    }
}

fn node(rng: &mut Rng, id: u32, client_only: bool) -> NodeSpec {
    let mut node = NodeSpec { id, endpoint: endpoint(rng), ..NodeSpec::default() };
    if rng.chance(0.3) {
        node.socket = SocketSpec {
            batch: *rng.pick(&[1, 2, 7, 64]),
            coalesce: rng.chance(0.7),
            receive_buffer: *rng.pick(&[4 << 10, 20 << 10, 100 << 10, 4 << 20]),
            blocked: *rng.pick(&[0.0, 0.01, 0.2]),
            blocked_for: *rng.pick(&[100, MS, 50 * MS]),
            gso_refused: *rng.pick(&[0.0, 0.1]),
        };
    }
    if rng.chance(0.2) {
        node.clock = ClockSpec {
            skew: *rng.pick(&[0, 7 * SECOND, 1_000_000 * SECOND]),
            drift_ppm: *rng.pick(&[0, 50, -200, 20_000, -20_000]),
            granularity: *rng.pick(&[0, MS, 10 * MS]),
            late: *rng.pick(&[0, 500, 30 * MS]),
        };
    }
    if client_only && rng.chance(0.15) {
        let timeout = *rng.pick(&[0, SECOND, 30 * SECOND]);
        node.nat = Some(NatSpec { id, timeout, restricted: rng.chance(0.5) });
    }
    node.services = vec![service(rng)];
    if rng.chance(0.3) {
        node.services[0].upgrade_to = NEWER;
        node.services.push(ServiceSpec { service: NEWER, ..ServiceSpec::default() });
    }
    node
}

fn service(rng: &mut Rng) -> ServiceSpec {
    let mut service = ServiceSpec::default();
    if rng.chance(0.2) {
        service.backlog = *rng.pick(&[0, 1, 2, 8]);
        service.accept_after = *rng.pick(&[0, 5 * MS, 700 * MS, 5 * SECOND]);
    }
    if rng.chance(0.15) {
        service.reject_every = rng.between(1, 5) as u32;
        service.reject_code = *rng.pick(&[0, 0, 77, -5]);
    }
    if rng.chance(0.1) {
        service.lifetime = *rng.pick(&[50 * MS, 2 * SECOND]);
    }
    service
}

/// Change a value to one of `extremes`, seldom.
fn seldom<T: Copy>(rng: &mut Rng, value: &mut T, extremes: &[T]) {
    if rng.chance(0.08) {
        *value = *rng.pick(extremes);
    }
}

fn endpoint(rng: &mut Rng) -> EndpointSpec {
    let mut e = EndpointSpec::default();
    if rng.chance(0.4) {
        return e;
    }
    e.validate_peers = !rng.chance(0.2);
    seldom(rng, &mut e.jumbo_offer, &[0, 1, 46]);
    seldom(rng, &mut e.socket_receive_buffer, &[0, 8 << 10, 64 << 10]);
    seldom(rng, &mut e.calls, &[1, 3, 10]);
    seldom(rng, &mut e.calls_per_peer, &[1, 2, 8]);
    seldom(rng, &mut e.connections_per_bundle, &[1, 2]);
    seldom(rng, &mut e.service_connections, &[1, 3]);
    seldom(rng, &mut e.unvalidated_connections, &[1, 8]);
    seldom(rng, &mut e.unvalidated_per_peer, &[1, 2]);
    seldom(rng, &mut e.receive_per_call, &[1500, 8 << 10, 64 << 10]);
    seldom(rng, &mut e.receive_per_peer, &[4 << 10, 64 << 10]);
    seldom(rng, &mut e.receive_total, &[4 << 10, 64 << 10]);
    seldom(rng, &mut e.send_per_call, &[1, 1500, 16 << 10]);
    seldom(rng, &mut e.send_total, &[1500, 32 << 10]);
    seldom(rng, &mut e.window, &[1, 2, 8, 32]);
    seldom(rng, &mut e.stranger_answers_per_second, &[0, 1, 5]);
    seldom(rng, &mut e.replays_per_second, &[1, 2]);
    seldom(rng, &mut e.version_queries, &[0, 1]);
    seldom(rng, &mut e.silence, &[2 * SECOND, 6 * SECOND, 120 * SECOND]);
    e.keepalive = e.keepalive.min(e.silence / 4);
    seldom(rng, &mut e.keepalive, &[100 * MS, 400 * MS]);
    seldom(rng, &mut e.request_gap, &[300 * MS, 3 * SECOND]);
    seldom(rng, &mut e.lifetime, &[100 * MS, 3 * SECOND, 20 * SECOND]);
    seldom(rng, &mut e.delayed_ack, &[0, 1, 100 * MS, SECOND]);
    seldom(rng, &mut e.final_ack, &[0, 50 * MS]);
    seldom(rng, &mut e.idle_client, &[0, 100 * MS, 10 * SECOND]);
    seldom(rng, &mut e.fast_reap_above, &[0, 1]);
    seldom(rng, &mut e.idle_service, &[SECOND, 130 * SECOND]);
    seldom(rng, &mut e.unvalidated_life, &[500 * MS, 3 * SECOND]);
    seldom(rng, &mut e.validated_for, &[50 * MS, SECOND]);
    seldom(rng, &mut e.rto_initial, &[50 * MS, 3 * SECOND]);
    seldom(rng, &mut e.rto_min, &[1, 5 * MS, 200 * MS]);
    seldom(rng, &mut e.rto_max, &[SECOND, 10 * SECOND]);
    seldom(rng, &mut e.nat_keepalive, &[0, 500 * MS]);
    e
}

/// Each kind of fault is on in few runs, and then on some links.
fn links(rng: &mut Rng, scenario: &mut Scenario) {
    const KINDS: u64 = 14;
    let p = *rng.pick(&[0.0, 0.08, 0.15, 0.3]);
    let on: Vec<u64> = (0..KINDS).filter(|_| rng.chance(p)).collect();
    let count = scenario.nodes.len() as u16;
    // Half of the partitions cut all links at the same time, both ways; the others each link by itself.
    let cut = (on.contains(&PARTITION) && rng.chance(0.5)).then(|| partition(rng, scenario.heal_at));
    let mut id = 0;
    for from in 0..count {
        for to in (0..count).filter(|to| *to != from) {
            let mut elements = Vec::new();
            for kind in &on {
                if rng.chance(0.7) {
                    id += 1;
                    let kind = match &cut {
                        Some(cut) if *kind == PARTITION => cut.clone(),
                        _ => element(rng, *kind, scenario),
                    };
                    elements.push(ElementSpec { id, kind });
                }
            }
            let spread = *rng.pick(&[1, 1, 1, 3]);
            let delay = scenario.delay * spread;
            let number = u32::from(from) * u32::from(count) + u32::from(to);
            scenario.links.push(LinkSpec { id: number, from, to, delay, elements });
        }
    }
}

fn element(rng: &mut Rng, kind: u64, scenario: &Scenario) -> ElementKind {
    let often = *rng.pick(&[0.01, 0.05, 0.2]);
    let delay = scenario.delay;
    match kind {
        0 => ElementKind::Loss(loss(rng)),
        1 => ElementKind::Script((0..rng.between(1, 4)).map(|_| rule(rng)).collect()),
        2 => ElementKind::Delay {
            by: distribution(rng, delay),
            correlation: *rng.pick(&[0.0, 0.5, 0.9]),
            ordered: rng.chance(0.5),
        },
        3 => ElementKind::ReorderByDelay { p: often, by: (2 * delay).max(1) },
        4 => ElementKind::ReorderByGap {
            every: rng.between(2, 20) as u32,
            gap: rng.between(1, 10) as u32,
            at_most: *rng.pick(&[MS, 50 * MS, SECOND]),
        },
        5 => ElementKind::Duplicate { p: often, spread: *rng.pick(&[0, MS, SECOND]) },
        6 => ElementKind::Replay { p: often / 4.0, after: *rng.pick(&[100 * MS, 3 * SECOND, 15 * SECOND]) },
        7 => ElementKind::Corrupt { p: often, damage: *rng.pick(&Damage::ALL), checked: true },
        8 if rng.chance(0.5) => {
            ElementKind::Corrupt { p: often, damage: *rng.pick(&Damage::ALL), checked: false }
        }
        8 => ElementKind::Loss(loss(rng)),
        9 | 10 => ElementKind::Rate(RateSpec {
            bits_per_second: *rng.pick(&[300_000, 2_000_000, 50_000_000]),
            queue: *rng.pick(&[3_000, 30_000, 300_000]),
            aqm: match kind {
                9 => Aqm::TailDrop,
                _ => Aqm::CoDel { target: 5 * MS, interval: 100 * MS },
            },
        }),
        11 => ElementKind::Mtu(MtuSpec {
            mtu: *rng.pick(&[576, 1000, 1280, 1400, 1471]),
            report: rng.chance(0.5),
            fragment: rng.chance(0.6),
            fragment_loss: *rng.pick(&[0.0, 0.05]),
        }),
        PARTITION => partition(rng, scenario.heal_at),
        _ => ElementKind::Icmp {
            p: often / 10.0,
            after: *rng.pick(&[0, 100 * MS, 4 * SECOND]),
            kind: icmp(rng),
        },
    }
}

fn partition(rng: &mut Rng, heal_at: Micros) -> ElementKind {
    let from = rng.below(heal_at);
    let lasts = *rng.pick(&[200 * MS, 3 * SECOND, 25 * SECOND]);
    ElementKind::Gate(vec![(from, from + lasts)])
}

fn loss(rng: &mut Rng) -> LossModel {
    match rng.below(4) {
        0 => LossModel::PRESETS[rng.below(LossModel::PRESETS.len() as u64) as usize].1.clone(),
        1 => LossModel::Correlated { p: *rng.pick(&[0.1, 0.3]), correlation: *rng.pick(&[0.3, 0.8]) },
        _ => LossModel::Bernoulli { p: *rng.pick(&[0.01, 0.05, 0.2, 0.5, 0.9]) },
    }
}

fn distribution(rng: &mut Rng, delay: Micros) -> Distribution {
    match rng.below(5) {
        0 => Distribution::Fixed(delay),
        1 => Distribution::Uniform { low: 0, high: delay * 4 },
        2 => Distribution::Normal { mean: delay, deviation: delay / 2 },
        3 => Distribution::Pareto { least: delay / 4, shape: 1.2, most: 2 * SECOND },
        _ => Distribution::Samples(vec![0, delay / 2, delay, delay * 10]),
    }
}

fn icmp(rng: &mut Rng) -> IcmpKind {
    match rng.below(5) {
        0 => IcmpKind::Port,
        1 => IcmpKind::Host,
        2 => IcmpKind::Network,
        3 => IcmpKind::Prohibited,
        _ => IcmpKind::TooLarge(*rng.pick(&[0, 68, 576, 1400])),
    }
}

fn rule(rng: &mut Rng) -> Rule {
    let packets = Match {
        packet_type: *rng.pick(&[None, Some(1), Some(2), Some(2), Some(4)]),
        call: *rng.pick(&[None, None, Some(1), Some(2)]),
        seq: *rng.pick(&[None, None, Some(1), Some(2)]),
        reason: *rng.pick(&[None, None, None, Some(1), Some(6), Some(7), Some(8), Some(9)]),
        last: *rng.pick(&[None, None, None, Some(true)]),
    };
    let mishap = match rng.below(3) {
        0 => Mishap::Delay(*rng.pick(&[MS, 300 * MS])),
        1 => Mishap::Duplicate,
        _ => Mishap::Drop,
    };
    Rule { packets, nth: rng.between(1, 4) as u32, count: *rng.pick(&[1, 1, 3, 20]), mishap }
}

fn length(rng: &mut Rng, budget: &mut u64) -> u64 {
    let len = match rng.below(10) {
        0 => rng.below(8),
        1..=4 => rng.between(8, 200),
        5 => *rng.pick(&[1411, 1412, 1413, 2824]),
        6 | 7 => rng.between(8, 6_000),
        8 => rng.between(8, 70_000),
        _ => rng.between(8, 400_000),
    };
    let len = len.min(*budget);
    *budget -= len;
    len
}

fn transfer(rng: &mut Rng, budget: &mut u64, slow: bool) -> Transfer {
    let mut transfer = Transfer { len: length(rng, budget), ..Transfer::default() };
    if slow && rng.chance(0.3) {
        transfer.write = (transfer.len / rng.between(1, 8)).max(1);
        transfer.write_pause = *rng.pick(&[0, 10 * MS, 400 * MS, 4 * SECOND]);
        transfer.flush = rng.chance(0.5);
    }
    if slow && rng.chance(0.3) {
        transfer.read = (transfer.len / rng.between(1, 8)).max(1);
        transfer.read_pause = *rng.pick(&[MS, 100 * MS, 2 * SECOND]);
    }
    transfer
}

fn calls(rng: &mut Rng, scenario: &mut Scenario, servers: u16) {
    let count = scenario.nodes.len() as u16;
    let mut budget = 1_500_000;
    let number = *rng.pick(&[1, 3, 8, 20, 40]);
    let burst = rng.chance(0.4);
    let slow = rng.chance(0.4);
    let endings = if rng.chance(0.4) { 0.3 } else { 0.0 };
    for id in 0..number {
        let server = rng.below(u64::from(servers)) as u16;
        // Now and then a server calls, as a fileserver calls back its clients.
        let mut client = rng.between(u64::from(servers), u64::from(count) - 1) as u16;
        let mut target = server;
        if rng.chance(0.1) && scenario.nodes[usize::from(client)].nat.is_none() {
            std::mem::swap(&mut client, &mut target);
        }
        let window = if burst { 20 * MS } else { scenario.heal_at * 2 / 3 };
        let mut call = CallSpec {
            id,
            client,
            server: target,
            at: rng.below(window),
            request: transfer(rng, &mut budget, slow),
            reply: transfer(rng, &mut budget, slow),
            work: *rng.pick(&[0, 0, 0, 20 * MS, 5 * SECOND]),
            exclusive: rng.chance(0.05),
            announced: rng.chance(0.2),
            retry_busy: rng.chance(0.3),
            upgrade: rng.chance(0.1),
            ..CallSpec::default()
        };
        extras(rng, &mut call, endings);
        scenario.calls.push(call);
    }
    // What goes in pieces of a byte, one a round trip, must not be long.
    for call in &mut scenario.calls {
        let room = |node: u16| {
            let e = &scenario.nodes[usize::from(node)].endpoint;
            (e.send_per_call.min(e.send_total) as u64).saturating_mul(100)
        };
        call.request.len = call.request.len.min(room(call.client));
        call.reply.len = call.reply.len.min(room(call.server));
    }
    if scenario.nodes.iter().flat_map(|n| &n.services).any(|s| s.backlog == 0) {
        // A server that is always busy would be asked for ever.
        for call in scenario.calls.iter_mut().filter(|c| c.retry_busy) {
            call.lifetime = 20 * SECOND;
        }
    }
    if rng.chance(0.2) {
        for _ in 0..rng.between(1, 4) {
            scenario.versions.push(VersionSpec {
                client: rng.below(u64::from(count)) as u16,
                server: rng.below(u64::from(servers)) as u16,
                at: rng.below(scenario.heal_at),
                timeout: *rng.pick(&[100 * MS, 5 * SECOND]),
            });
        }
    }
}

fn extras(rng: &mut Rng, call: &mut CallSpec, endings: f64) {
    if rng.chance(0.1) {
        call.repeat = rng.between(2, 10) as u32;
    }
    if rng.chance(0.05) {
        call.lifetime = *rng.pick(&[MS, 200 * MS, 5 * SECOND]);
    }
    if rng.chance(0.05) {
        call.silence = *rng.pick(&[SECOND, 8 * SECOND]);
    }
    if rng.chance(0.05) && call.request.len > 2000 {
        call.early_reply = true;
    }
    if rng.chance(endings) {
        call.ending = *rng.pick(&[
            Ending::ClientAborts,
            Ending::ClientForgets,
            Ending::ServerAborts,
            Ending::ServerForgets,
            Ending::ClientFails,
        ]);
        call.ending_after = *rng.pick(&[0, 1, MS, 30 * MS, 200 * MS, 3 * SECOND]);
    }
}

fn actions(rng: &mut Rng, scenario: &mut Scenario) {
    let kinds: Vec<u64> = (0..8).filter(|_| rng.chance(0.1)).collect();
    let mut id = 0;
    for kind in kinds {
        for _ in 0..rng.between(1, 3) {
            id += 1;
            let node = rng.below(scenario.nodes.len() as u64) as u16;
            let other = rng.below(scenario.nodes.len() as u64) as u16;
            let lasts = *rng.pick(&[MS, 200 * MS, 5 * SECOND, 40 * SECOND]);
            let kind = match kind {
                0 => ActionKind::Pause { lasts },
                1 => ActionKind::Crash { lasts },
                2 => ActionKind::Close { lasts },
                3 => ActionKind::Block { lasts: lasts.min(5 * SECOND) },
                4 => ActionKind::Jump { by: *rng.pick(&[MS, SECOND, 30 * SECOND, 3600 * SECOND]) },
                5 => ActionKind::Rebind,
                6 => ActionKind::ForgeIcmp { about: other, kind: icmp(rng) },
                _ => ActionKind::Inject {
                    claims: rng.chance(0.5).then_some(other),
                    count: *rng.pick(&[1, 20, 300]),
                    blind: false,
                },
            };
            scenario.actions.push(Action { id, at: rng.below(scenario.heal_at), node, kind });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_scenario_every_time() {
        assert_eq!(scenario(5), scenario(5));
        assert_ne!(scenario(5), scenario(6));
    }

    #[test]
    fn every_call_leads_from_one_node_to_another() {
        for seed in 0..500 {
            let scenario = scenario(seed);
            let nodes = scenario.nodes.len() as u16;
            assert!(scenario.calls.iter().all(|c| c.client != c.server && c.client.max(c.server) < nodes));
            assert!(scenario.calls.iter().all(|c| scenario.nodes[usize::from(c.server)].nat.is_none()));
        }
    }

    #[test]
    fn what_is_rare_is_drawn_all_the_same() {
        let share = |is: fn(&Scenario) -> bool| (0..2_000).filter(|seed| is(&scenario(*seed))).count();
        let shares = [
            share(|s| s.nodes.iter().all(|n| n.ipv6)),
            share(|s| s.nodes.iter().any(|n| n.misuse > 0.0)),
            share(|s| s.calls.iter().any(|c| c.after.is_some())),
            share(|s| s.calls.iter().any(|c| c.parallel > 1)),
            share(|s| {
                let scripts = s.links.iter().flat_map(|l| &l.elements).filter_map(|e| match &e.kind {
                    ElementKind::Script(rules) => Some(rules),
                    _ => None,
                });
                scripts.flatten().any(|rule| matches!(rule.mishap, Mishap::Edit(_)))
            }),
            share(|s| s.actions.iter().any(|a| matches!(a.kind, ActionKind::Inject { blind: true, .. }))),
        ];
        assert!(shares.iter().all(|share| (20..400).contains(share)), "{shares:?}");
        assert_eq!(share(|s| s.nodes.iter().any(|n| n.ipv6 != s.nodes[0].ipv6)), 0);
    }
}
