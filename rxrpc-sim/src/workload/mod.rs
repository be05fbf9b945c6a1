//! The applications of a node: clients that make the calls of the scenario, servers that answer them.

mod arrivals;
pub(crate) mod book;
mod client;
mod kinds;
mod misuse;
mod pattern;
mod server;
pub(crate) mod transfer;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use rxrpc_proto::{CallError, CallId, Endpoint, Event, Instant, Outcome, TimeoutKind, VersionError};

use crate::coverage::{Limit, Workload};
use crate::oracle::Oracle;
use crate::packet::{NodeId, inside};
use crate::rng::splitmix64;
use crate::scenario::{ActionKind, CallSpec, Micros, NodeSpec, Scenario, us};
use crate::world::World;
pub(crate) use arrivals::Arrivals;
use client::Clients;
#[cfg(feature = "full")]
pub(crate) use client::{TRY_AGAIN, count_waiting, has_to_wait, options};
pub(crate) use kinds::kinds;
pub(crate) use misuse::Misuse;
use server::Servers;

/// A node without a call for this long was idle.
const IDLE: Micros = 1_000_000;
/// Bytes at the front of a request that name the call: its number and its place in the book.
pub(crate) const HEAD: u64 = 8;
/// Stream of calls too short to be named, and the length of the reply to them.
pub(crate) const ANONYMOUS: u64 = 0;
const ANONYMOUS_REPLY: u64 = 5;
/// Tags of served calls have this bit.
const SERVED: u64 = 1 << 63;

/// Something an application waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Alarm {
    /// A call of the scenario begins.
    Begin(Begin),
    /// A VERSION question is asked.
    Ask(u32),
    /// A client call goes on.
    Client(u64),
    /// A client call is ended.
    EndClient(u64),
    /// A call is accepted: its place in the list of those that wait.
    Accept(u32),
    /// A served call goes on.
    Serve(u64),
    /// The call that a served one waits for is over.
    Nested(u64),
    /// A served call is ended.
    EndServe(u64),
}

/// A call to begin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Begin {
    /// Its place in the scenario.
    spec: u32,
    /// For the so many-th time.
    round: u32,
    /// The served call that waits for it, by its tag.
    parent: Option<u64>,
}

/// What applications reach.
pub(crate) struct Reach<'a> {
    pub(crate) now: Instant,
    /// The time on the node's own clock.
    pub(crate) local: Instant,
    pub(crate) endpoint: &'a mut Endpoint,
    pub(crate) world: &'a mut World,
}

/// The alarms of a node's applications.
#[derive(Debug, Default)]
struct Alarms {
    heap: BinaryHeap<Reverse<(u64, u64, Alarm)>>,
    order: u64,
}

impl Alarms {
    fn set(&mut self, at: Instant, alarm: Alarm) {
        self.order += 1;
        self.heap.push(Reverse((at.as_nanos(), self.order, alarm)));
    }

    fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| Instant::from_nanos(*at))
    }

    fn pop(&mut self, now: Instant) -> Option<Alarm> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, alarm))| alarm)
    }
}

/// All applications of a node.
pub(crate) struct App {
    node: NodeId,
    scenario: Arc<Scenario>,
    alarms: Alarms,
    clients: Clients,
    servers: Servers,
    /// Of each call of the scenario: how many that run at once are not over for the last time.
    unfinished: Vec<u32>,
    incarnation: u32,
    healed: bool,
    /// How long it takes at most until the node knows what a peer said, if nothing disturbs the network.
    told_within: Option<Duration>,
    /// By call of the scenario: what it asks of the endpoints.
    kinds: Vec<Vec<Workload>>,
    /// How much later than due anything may happen here: late timers, pauses, a blocked socket.
    slack: Duration,
    misuse: Misuse,
}

/// How long word of a client's ending a call takes at most, if nothing loses, delays or holds up packets. If its reply
/// was whole just then, that is the last acknowledgement, which waits for a next call.
pub(crate) fn told_within(scenario: &Scenario) -> Option<Duration> {
    let calm = scenario.actions.is_empty() && scenario.links.iter().all(|link| link.elements.is_empty());
    let well = |node: &NodeSpec| {
        node.nat.is_none() && node.socket.blocked == 0.0 && node.socket.receive_buffer >= 4 << 20
    };
    let longest = scenario.links.iter().map(|link| link.delay).max().unwrap_or(0).max(scenario.delay);
    // The acknowledgement of a whole reply waits, on a clock that may be slow and whose timers may be late.
    let wait = |node: &NodeSpec| {
        node.endpoint.final_ack.saturating_mul(11) / 10 + node.clock.granularity + node.clock.late
    };
    let waits = scenario.nodes.iter().map(wait).max().unwrap_or(0);
    (calm && scenario.nodes.iter().all(well)).then(|| us(longest + waits) + Duration::from_millis(1))
}

/// A clock that drifts is read in whole nanoseconds of true time.
const ROUNDING: Duration = Duration::from_nanos(2);

/// How much later than due something may happen at the node, on its clock.
pub(crate) fn slack(scenario: &Scenario, node: NodeId) -> Duration {
    let Some(spec) = scenario.nodes.get(usize::from(node)) else { return Duration::ZERO };
    let still = scenario.actions.iter().filter(|a| a.node == node).map(|a| match a.kind {
        ActionKind::Pause { lasts } | ActionKind::Block { lasts } | ActionKind::Jump { by: lasts } => {
            us(lasts)
        }
        _ => Duration::ZERO,
    });
    let blocked = if spec.socket.blocked > 0.0 { us(spec.socket.blocked_for) * 20 } else { Duration::ZERO };
    // A timer that was to come late is set anew, and late again, when the clock jumps.
    let jumps =
        scenario.actions.iter().filter(|a| a.node == node && matches!(a.kind, ActionKind::Jump { .. }));
    let timers = (us(spec.clock.granularity) + us(spec.clock.late)) * (1 + jumps.count() as u32);
    // A fast clock makes more of it.
    (timers + still.sum::<Duration>() + blocked) * 11 / 10 + ROUNDING
}

/// Stream of a call's request or reply.
pub(crate) fn stream(unique: u32, reply: bool) -> u64 {
    splitmix64(u64::from(unique) * 2 + u64::from(reply) + 2)
}

/// The bytes that name a call.
fn head(unique: u32, place: u32) -> [u8; HEAD as usize] {
    (u64::from(unique) | u64::from(place) << 32).to_le_bytes()
}

/// Number and place of the call that the first packet of a request names, if it is long enough.
pub(crate) fn head_of(packet: &[u8]) -> Option<(u32, u32)> {
    packet.first_chunk().map(|head| named(*head))
}

/// Number and place of the call that such bytes name.
fn named(head: [u8; HEAD as usize]) -> (u32, u32) {
    let word = u64::from_le_bytes(head);
    (word as u32, (word >> 32) as u32)
}

/// Lifetime and silence of a call that the node makes.
pub(crate) fn limits(scenario: &Scenario, node: NodeId, spec: &CallSpec) -> [Micros; 2] {
    let endpoint = &scenario.nodes[usize::from(node)].endpoint;
    let own = |call: Micros, endpoint: Micros| if call > 0 { call } else { endpoint };
    [own(spec.lifetime, endpoint.lifetime), own(spec.silence, endpoint.silence)]
}

/// Whether such a silence is shorter than the pauses of a peer that works.
pub(crate) fn is_impatient(scenario: &Scenario, silence: Micros) -> bool {
    silence < 2 * scenario.nodes.iter().map(|n| n.endpoint.keepalive).max().unwrap_or(0)
}

/// What is wrong about the time, on its node's clock, after which a call ended.
pub(crate) fn judge_deadline(
    outcome: Outcome,
    after: Duration,
    limits: [Micros; 2],
    slack: Duration,
) -> Option<String> {
    // Most calls have no lifetime, and end otherwise.
    if limits[0] == 0 && !matches!(outcome, Err(CallError::Timeout(_))) {
        return None;
    }
    let [lifetime, silence] = limits.map(us);
    let early = match outcome {
        Err(CallError::Timeout(TimeoutKind::Lifetime)) => after < lifetime,
        Err(CallError::Timeout(TimeoutKind::Silence)) => after < silence,
        _ => false,
    };
    let late = !lifetime.is_zero() && after > lifetime + slack;
    (early || late)
        .then(|| format!("{outcome:?} after {after:?}, lifetime {lifetime:?}, silence {silence:?}"))
}

impl App {
    pub(crate) fn new(node: NodeId, scenario: &Arc<Scenario>) -> Self {
        let mut alarms = Alarms::default();
        for (spec, call) in (0..).zip(&scenario.calls).filter(|(_, c)| c.client == node) {
            for _ in 0..if scenario.begins_by_time(spec) { call.parallel } else { 0 } {
                let begin = Begin { spec, round: 0, parent: None };
                alarms.set(Instant::ORIGIN + us(call.at), Alarm::Begin(begin));
            }
        }
        for (i, version) in scenario.versions.iter().enumerate().filter(|(_, v)| v.client == node) {
            alarms.set(Instant::ORIGIN + us(version.at), Alarm::Ask(i as u32));
        }
        App {
            node,
            scenario: Arc::clone(scenario),
            alarms,
            clients: Clients::default(),
            servers: Servers::new(scenario, node),
            unfinished: scenario.calls.iter().map(|c| c.parallel).collect(),
            incarnation: 0,
            healed: false,
            told_within: told_within(scenario),
            kinds: scenario.calls.iter().map(|call| kinds(scenario, call)).collect(),
            slack: slack(scenario, node),
            misuse: Misuse::new(scenario, node),
        }
    }

    /// When an application wants to do something.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.alarms.next()
    }

    /// Do what is due. True if anything was.
    pub(crate) fn run(&mut self, reach: &mut Reach<'_>) -> bool {
        let mut any = false;
        while let Some(alarm) = self.alarms.pop(reach.now) {
            any = true;
            match alarm {
                Alarm::Begin(begin) => self.begin(reach, begin),
                Alarm::Ask(version) => self.ask(reach, version),
                Alarm::Client(tag) => self.drive_client(reach, tag),
                Alarm::EndClient(tag) => self.end_client(reach, tag),
                Alarm::Accept(waiting) => self.accept_waiting(reach, waiting),
                Alarm::Serve(tag) => self.drive_server(reach, tag),
                Alarm::Nested(tag) => self.nested_over(reach, tag),
                Alarm::EndServe(tag) => self.end_server(reach, tag),
            }
        }
        any
    }

    /// The endpoint has told something.
    pub(crate) fn on_event(&mut self, reach: &mut Reach<'_>, event: &Event) {
        match *event {
            Event::Call { call, tag, news } if tag & SERVED != 0 => self.on_served(reach, call, tag, news),
            Event::Call { call, tag, news } => self.on_client(reach, call, tag, news),
            Event::Incoming { call, service } => self.on_incoming(reach, call, service),
            Event::Version(id) => match reach.endpoint.take_version(id) {
                Some(Ok(_)) => {}
                Some(Err(error)) => reach.world.coverage.error(&error),
                None => self.broken(reach, "a version question ended without an answer"),
            },
        }
    }

    fn ask(&mut self, reach: &mut Reach<'_>, version: u32) {
        let version = &self.scenario.versions[version as usize];
        let to = self.address(version.server);
        let Err(error) = reach.endpoint.ask_version(to, us(version.timeout)) else { return };
        reach.world.coverage.error(&error);
        match error {
            VersionError::TooMany => reach.world.coverage.limit(Limit::Versions),
            VersionError::EndpointClosed => {}
            _ => self.broken(reach, &format!("asking for a version: {error}")),
        }
    }

    fn address(&self, node: NodeId) -> std::net::SocketAddr {
        inside(node, self.scenario.nodes.get(usize::from(node)).is_some_and(|n| n.ipv6))
    }

    /// An answer that the interface does not promise.
    fn broken(&self, reach: &mut Reach<'_>, what: &str) {
        reach.world.violation(Some(self.node), Oracle::Contract, what);
    }

    fn wrong(&self, reach: &mut Reach<'_>, unique: u32, what: &str) {
        if !reach.world.oracles.is_tainted() {
            let text = format!("call {unique}: {what}");
            reach.world.violation(Some(self.node), Oracle::Stream, text);
        }
    }

    /// A call has ended `after` its begin on the node's clock. Was that when its deadlines say?
    fn check_deadline(&self, reach: &mut Reach<'_>, outcome: Outcome, after: Duration, limits: [Micros; 2]) {
        if let Some(text) = judge_deadline(outcome, after, limits, self.slack) {
            reach.world.violation(Some(self.node), Oracle::Deadline, text);
        }
    }

    /// All faults end: nobody pauses, begins or aborts any more.
    pub(crate) fn heal(&mut self, now: Instant) {
        self.healed = true;
        let kept: Vec<Alarm> = std::mem::take(&mut self.alarms.heap)
            .into_sorted_vec()
            .into_iter()
            .rev()
            .map(|Reverse((_, _, alarm))| alarm)
            .filter(|a| {
                !matches!(a, Alarm::Begin(..) | Alarm::Ask(_) | Alarm::EndClient(_) | Alarm::EndServe(_))
            })
            .collect();
        kept.into_iter().for_each(|alarm| self.alarms.set(now, alarm));
        let tags: Vec<u64> = self.clients.hurry().chain(self.servers.hurry()).collect();
        for tag in tags {
            let alarm = if tag & SERVED != 0 { Alarm::Serve(tag) } else { Alarm::Client(tag) };
            self.alarms.set(now, alarm);
        }
    }

    /// The node crashed: every call here is gone, and none of them ends.
    pub(crate) fn crash(&mut self, world: &mut World) {
        self.lose_calls(world);
        self.incarnation += 1;
        self.misuse.reopen();
        let kept = std::mem::take(&mut self.alarms.heap).into_sorted_vec().into_iter().rev();
        for Reverse((at, _, alarm)) in kept {
            if matches!(alarm, Alarm::Begin(Begin { parent: None, .. }) | Alarm::Ask(_)) {
                self.alarms.set(Instant::from_nanos(at), alarm);
            }
        }
    }

    fn lose_calls(&mut self, world: &mut World) {
        self.lose_client_calls(world);
        self.lose_served_calls(world);
    }

    /// Whether applications have done all they will do.
    pub(crate) fn is_idle(&self) -> bool {
        self.clients.is_empty() && self.servers.is_empty() && self.alarms.heap.is_empty()
    }

    /// Calls that an endpoint may hold although it was closed: those that end well and are still being read.
    pub(crate) fn waiting(&self) -> usize {
        self.clients.len() + self.servers.waiting()
    }

    /// Calls of ours that the endpoint still has, for messages.
    pub(crate) fn open_calls(&self) -> Vec<(CallId, u32)> {
        self.clients.open()
    }
}
