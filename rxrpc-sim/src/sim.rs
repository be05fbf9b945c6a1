//! A run: nodes and links put together, and the order in which everything happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rxrpc_proto::Instant;

use crate::coverage::Coverage;
use crate::inject;
use crate::liveness::Liveness;
use crate::net::{Control, Element, Gate, Nat, build, network_error};
use crate::node::DirectNode;
use crate::observer::Observer;
use crate::oracle::{Figures, Oracle, Oracles, Violation};
use crate::packet::{NodeId, inside};
use crate::queue::Happening;
use crate::rng::Streams;
use crate::scenario::{ActionKind, ElementKind, ElementSpec, Expect, LinkSpec, Scenario, us};
use crate::trace::{Record, Trace};
use crate::world::World;

/// Events of a run, at most. More is taken for a run that does not end.
const MOST_EVENTS: u64 = 400_000_000;
/// Events at one instant, at most.
const MOST_AT_ONCE: u64 = 1_000_000;
/// After the last call everything must have expired within this.
const DRAIN: Duration = Duration::from_secs(4 * 3600);

/// A node that closes is gone after this at the latest.
const LINGERS: Duration = Duration::from_secs(3);

/// How far a run has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Faults strike.
    Faults,
    /// The faults have ended; live calls have to end.
    Healed,
    /// All calls have ended; what is left has to expire.
    Draining,
    /// Over.
    Over,
}

/// What a run has come to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Seed of the scenario.
    pub seed: u64,
    /// What was found wrong, first things first.
    pub violations: Vec<Violation>,
    /// What was reached.
    pub coverage: Coverage,
    /// Hash over every datagram, timer and event, and how many they were.
    pub trace: Trace,
    /// How much the calls carried, and when.
    pub figures: Figures,
    /// Datagrams that nodes sent.
    pub datagrams: u64,
    /// Events simulated.
    pub events: u64,
    /// Calls that ended.
    pub calls: u64,
    /// Of them, with success.
    pub succeeded: u64,
    /// How calls ended at their clients, by the names of coverage.
    pub ends: BTreeMap<&'static str, u64>,
    /// The time at the end of the run.
    pub ended: Instant,
    /// How long the live calls took to end once the faults had, and how long they might have.
    pub recovery: Option<(Duration, Duration)>,
}

impl Report {
    /// Whether nothing was found wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

/// What makes a run of a scenario: [`Sim::new`] with bare endpoints, or another kind of node.
pub type Harness = fn(Scenario) -> Sim;

/// What a packet passes.
#[derive(Clone, Copy, Debug)]
enum Hop {
    /// The element with this number.
    Element(u32),
    /// The length of a link: it takes so long, also when the faults have ended.
    Length(Duration),
}

/// A run in progress.
pub struct Sim {
    scenario: Arc<Scenario>,
    world: World,
    elements: Vec<Box<dyn Element>>,
    /// When each element is to be woken by the queue.
    wakes: Vec<Option<Instant>>,
    /// By sender and receiver: what a packet passes, the receiver last.
    chains: Vec<Vec<Hop>>,
    phase: Phase,
    /// When all faults end.
    heals_at: Instant,
    liveness: Liveness,
    events: u64,
    at_once: u64,
}

impl Sim {
    /// A run of the scenario with nodes of the direct harness.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let mut sim = Self::with_nodes(scenario, |id, scenario| Box::new(DirectNode::new(id, scenario)));
        sim.world.coverage.direct = true;
        sim
    }

    /// A run of the scenario with nodes made by `make`.
    pub fn with_nodes(
        scenario: Scenario,
        mut make: impl FnMut(NodeId, &Arc<Scenario>) -> Box<dyn Element>,
    ) -> Self {
        let scenario = Arc::new(scenario);
        let count = scenario.nodes.len() as u16;
        let world = World::new(count, Oracles::new(&scenario));
        let mut elements: Vec<Box<dyn Element>> = (0..count).map(|id| make(id, &scenario)).collect();
        let chains = lay_links(&scenario, &mut elements);
        let wakes = vec![None; elements.len()];
        let mut sim = Sim {
            heals_at: Instant::ORIGIN + us(scenario.heal_at),
            liveness: Liveness::default(),
            scenario,
            world,
            elements,
            wakes,
            chains,
            phase: Phase::Faults,
            events: 0,
            at_once: 0,
        };
        if sim.scenario.actions.iter().any(|a| matches!(a.kind, ActionKind::Inject { .. })) {
            sim.world.listen();
        }
        for i in 0..sim.scenario.actions.len() {
            let at = Instant::ORIGIN + us(sim.scenario.actions[i].at);
            sim.world.queue.push(at, Happening::Action(i as u32));
        }
        (0..sim.elements.len()).for_each(|i| sim.settle(i));
        sim
    }

    /// Let somebody watch.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.world.observer = Some(observer);
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.world.now
    }

    /// The hash so far.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.world.trace
    }

    /// How far the run has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Let everything happen, and tell what came of it.
    pub fn run(mut self) -> Report {
        while self.step() {}
        self.report()
    }

    /// What came of it so far.
    #[must_use]
    pub fn report(self) -> Report {
        Report {
            seed: self.scenario.seed,
            violations: self.violations(),
            trace: self.world.trace,
            figures: self.world.oracles.figures,
            datagrams: self.world.datagrams,
            events: self.events,
            calls: self.world.oracles.ledger.ended,
            succeeded: self.world.oracles.ledger.succeeded,
            ends: self.world.oracles.ledger.ends(),
            ended: self.world.now,
            recovery: self.liveness.recovery(),
            coverage: self.world.coverage,
        }
    }

    /// What was found wrong; and at the end of a run that was well so far, what of it was not as expected.
    fn violations(&self) -> Vec<Violation> {
        let found = self.world.oracles.violations();
        if self.phase != Phase::Over || !found.is_empty() {
            return found.to_vec();
        }
        let ledger = &self.world.oracles.ledger;
        let mut unmet = self.scenario.expect.unmet(&self.world.coverage, &ledger.ends());
        unmet.extend(self.scenario.expect.missed(&self.world.oracles.figures, self.world.datagrams));
        unmet.extend(self.unbegun());
        let violation = |text: String| Violation {
            at: self.world.now,
            node: None,
            oracle: Oracle::Expectation,
            text: format!("expected {text}"),
        };
        unmet.into_iter().map(violation).collect()
    }

    /// The calls that never began, if anything at all is expected: what is expected of a call is not worth much if
    /// there was none. In swarm mode, which expects nothing, crashes and the end of faults may come before a call.
    fn unbegun(&self) -> impl Iterator<Item = String> {
        let expects = self.scenario.expect != Expect::default();
        let places = if expects { self.scenario.calls.len() as u32 } else { 0 };
        let unbegun = (0..places).filter(|place| !self.world.oracles.ledger.has_begun(*place));
        unbegun.map(|place| format!("calls[{place}] to begin, and it did not before the faults ended"))
    }

    /// Let the next thing happen. False once the run is over.
    pub fn step(&mut self) -> bool {
        if self.phase == Phase::Over {
            return false;
        }
        if !self.world.oracles.violations().is_empty() {
            return self.end();
        }
        self.check_phase();
        let limit = self.phase_end();
        self.happen_by(limit) || self.end_phase(limit)
    }

    /// Let the next thing in the queue happen, whatever the phase. False if there is none.
    pub(crate) fn happen(&mut self) -> bool {
        self.happen_by(Instant::FAR_FUTURE)
    }

    fn happen_by(&mut self, limit: Instant) -> bool {
        let Some((at, what)) = self.world.queue.pop_by(limit) else { return false };
        self.count(at);
        match what {
            Happening::Packet(key) => self.dispatch(key),
            Happening::Wake(i) => self.wake(i as usize, at),
            Happening::Action(i) => self.act(i),
        }
        self.dispatch_ready();
        true
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.world.queue.next_at()
    }

    /// Have time come to this instant even if nothing happens then.
    #[cfg(feature = "full")]
    pub(crate) fn be_there_at(&mut self, at: Instant) {
        self.world.queue.push(at, Happening::Wake(0));
    }

    /// Let everything happen until then, whatever the phase.
    pub(crate) fn advance_to(&mut self, at: Instant) {
        while self.next_at().is_some_and(|next| next <= at) && self.happen() {}
        self.world.now = self.world.now.max(at);
    }

    /// Do something from outside, with all that follows at once.
    pub(crate) fn with_world(&mut self, what: impl FnOnce(&mut World)) {
        what(&mut self.world);
        self.dispatch_ready();
    }

    /// Have packets between these nodes pass this element first.
    pub(crate) fn place(&mut self, from: NodeId, to: NodeId, element: Box<dyn Element>) {
        let chain = usize::from(from) * self.scenario.nodes.len() + usize::from(to);
        self.chains[chain].insert(0, Hop::Element(self.elements.len() as u32));
        self.elements.push(element);
        self.wakes.push(None);
        self.settle(self.elements.len() - 1);
    }

    /// What was found wrong so far.
    pub(crate) fn found(&self) -> &[Violation] {
        self.world.oracles.violations()
    }

    /// Ask all nodes when they want to be woken: something was done to them from outside.
    #[cfg(feature = "full")]
    pub(crate) fn stir(&mut self) {
        (0..self.scenario.nodes.len()).for_each(|node| self.settle(node));
    }

    /// All faults end, if they have not.
    #[cfg(feature = "full")]
    pub(crate) fn heal_now(&mut self) {
        if self.phase == Phase::Faults {
            self.heal();
            self.dispatch_ready();
        }
    }

    fn count(&mut self, at: Instant) {
        self.events += 1;
        self.at_once = if at > self.world.now { 0 } else { self.at_once + 1 };
        self.world.now = self.world.now.max(at);
        if self.at_once > MOST_AT_ONCE || self.events > MOST_EVENTS {
            self.world.violation(None, Oracle::Work, "no end of events");
        }
    }

    fn dispatch_ready(&mut self) {
        while let Some(key) = self.world.next_ready() {
            self.dispatch(key);
        }
    }

    /// Hand the packet to its next hop.
    fn dispatch(&mut self, key: u32) {
        let Some((chain, hop)) = self.world.position(key) else { return };
        let chain = &self.chains[chain as usize];
        match chain[(hop as usize).min(chain.len() - 1)] {
            Hop::Length(delay) => self.world.pass_on_at(self.world.now + delay, key),
            Hop::Element(i) => {
                let Some(packet) = self.world.land(key) else { return };
                self.elements[i as usize].handle(self.world.now, packet, &mut self.world);
                self.settle(i as usize);
            }
        }
    }

    fn wake(&mut self, i: usize, at: Instant) {
        if self.wakes[i] != Some(at) {
            return;
        }
        self.wakes[i] = None;
        // The wish may have moved to a later time since.
        if self.elements[i].next_wake().is_some_and(|wish| wish <= at) {
            self.elements[i].wake(self.world.now, &mut self.world);
        }
        self.settle(i);
    }

    /// Have the queue wake the element when it wishes. One that is woken too early asks again.
    fn settle(&mut self, i: usize) {
        let Some(wish) = self.elements[i].next_wake() else { return };
        let wish = wish.max(self.world.now);
        if self.wakes[i].is_none_or(|at| wish < at) {
            self.wakes[i] = Some(wish);
            self.world.queue.push(wish, Happening::Wake(i as u32));
        }
    }

    fn act(&mut self, i: u32) {
        if (i as usize) < self.scenario.actions.len() {
            return self.act_on_node(i as usize);
        }
        let Some(report) = self.world.reports.get((u32::MAX - i) as usize).copied() else { return };
        let now = self.world.now;
        let word = u64::from(report.about.port());
        self.world.trace.add(Record::Fault, now.as_nanos(), u32::from(report.node), word, 1);
        if let Some(observer) = &mut self.world.observer {
            observer.error(now, report.node, report.about, report.error);
        }
        let node = usize::from(report.node);
        self.elements[node].error(now, report.about, report.error, &mut self.world);
        self.settle(node);
    }

    fn act_on_node(&mut self, i: usize) {
        if self.phase != Phase::Faults {
            return;
        }
        let scenario = Arc::clone(&self.scenario);
        let action = &scenario.actions[i];
        let now = self.world.now;
        self.world.trace.add(Record::Fault, now.as_nanos(), u32::from(action.node), i as u64, 0);
        if let Some(observer) = &mut self.world.observer {
            observer.note(now, Some(action.node), &format!("{:?}", action.kind));
        }
        self.world.oracles.disturbances.on_node(action.node, now + lasts(&action.kind));
        // A clock that jumps may end, all at once, the server's calls and what it remembers of them.
        if let ActionKind::Crash { .. } | ActionKind::Close { .. } | ActionKind::Jump { .. } = action.kind {
            self.world.oracles.disturbances.on_restart(action.node, now + lasts(&action.kind));
        }
        let control = match &action.kind {
            ActionKind::Pause { lasts } => Control::Pause(*lasts),
            ActionKind::Crash { lasts } => Control::Crash(*lasts),
            ActionKind::Close { lasts } => Control::Close(*lasts),
            ActionKind::Block { lasts } => Control::Block(*lasts),
            ActionKind::Jump { by } => Control::Jump(*by),
            ActionKind::Rebind => return self.control_all(&Control::Rebind, Some(action.node)),
            ActionKind::ForgeIcmp { about, kind } => {
                self.world.coverage.fault("icmp-forged");
                let about = inside(*about, scenario.nodes.get(usize::from(*about)).is_some_and(|n| n.ipv6));
                return self.world.report_to(now, action.node, about, network_error(*kind));
            }
            ActionKind::Inject { claims, count, blind } => {
                let rng = Streams::new(scenario.seed).stream("inject", u64::from(action.id));
                let attack =
                    inject::Attack { to: action.node, claims: *claims, count: *count, blind: *blind };
                return inject::inject(&mut self.world, &scenario, attack, rng);
            }
        };
        let node = usize::from(action.node);
        if let Some(element) = self.elements.get_mut(node) {
            element.control(now, &control, &mut self.world);
            self.settle(node);
        }
    }

    /// Tell every element; or only the address translator of a node, which stands right behind the nodes.
    fn control_all(&mut self, control: &Control, nat_of: Option<NodeId>) {
        let now = self.world.now;
        let of_node = |node: NodeId| {
            let nodes = self.scenario.nodes.iter().take(usize::from(node));
            let before = nodes.filter(|n| n.nat.is_some()).count();
            let has = self.scenario.nodes.get(usize::from(node)).is_some_and(|n| n.nat.is_some());
            let at = self.scenario.nodes.len() + before;
            if has { at..at + 1 } else { 0..0 }
        };
        let range = nat_of.map_or(0..self.elements.len(), of_node);
        for i in range {
            self.elements[i].control(now, control, &mut self.world);
            self.settle(i);
        }
    }

    fn phase_end(&self) -> Instant {
        match self.phase {
            Phase::Faults => self.heals_at,
            Phase::Healed => self.liveness.deadline(),
            Phase::Draining | Phase::Over => self.liveness.drained_by(),
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let now = self.world.now;
        self.world.trace.add(Record::Phase, now.as_nanos(), phase as u32, 0, 0);
        if let Some(observer) = &mut self.world.observer {
            observer.note(now, None, &format!("{phase:?}"));
        }
    }

    fn heal(&mut self) {
        self.enter(Phase::Healed);
        self.control_all(&Control::Heal, None);
        self.liveness.start(self.world.now, &self.scenario, &self.world.oracles);
    }

    /// Go on to the next phase if nothing keeps this one.
    fn check_phase(&mut self) {
        let ledger = &self.world.oracles.ledger;
        if self.phase == Phase::Healed && ledger.live == 0 && ledger.serving == 0 {
            self.liveness.drain(self.world.now, DRAIN);
            self.enter(Phase::Draining);
        }
    }

    /// Nothing more happens in this phase.
    fn end_phase(&mut self, limit: Instant) -> bool {
        match self.phase {
            Phase::Faults => {
                let quiet = self.world.queue.next_at().is_none();
                if !quiet {
                    self.world.now = self.world.now.max(limit);
                }
                self.heal();
                self.dispatch_ready();
                true
            }
            // Bytes that nobody saw change may say that all has arrived when it has not; and connections for which
            // there is no room may push each other out for ever, if it is forgotten which calls they had.
            Phase::Healed if self.world.oracles.is_tainted() || self.world.oracles.allow.overflow => {
                self.end()
            }
            Phase::Healed => {
                let text = self.liveness.complaint(self.world.now, &self.world.oracles);
                self.world.violation(None, Oracle::Liveness, text);
                self.end()
            }
            Phase::Draining | Phase::Over => self.end(),
        }
    }

    fn end(&mut self) -> bool {
        if self.phase == Phase::Draining && self.world.oracles.violations().is_empty() {
            let now = self.world.now;
            for node in 0..self.scenario.nodes.len() {
                self.elements[node].finish(now, &mut self.world);
            }
        }
        self.enter(Phase::Over);
        let violations = self.violations();
        if let Some(observer) = &mut self.world.observer {
            violations.iter().for_each(|v| observer.violation(v));
        }
        false
    }
}

/// Build the elements of all links behind the nodes; the chains name them in order.
fn lay_links(scenario: &Scenario, elements: &mut Vec<Box<dyn Element>>) -> Vec<Vec<Hop>> {
    let streams = Streams::new(scenario.seed);
    let count = scenario.nodes.len();
    let mut add = |element: Box<dyn Element>| {
        elements.push(element);
        Hop::Element(elements.len() as u32 - 1)
    };
    let mut nats = vec![None; count];
    for (i, node) in scenario.nodes.iter().enumerate() {
        if let Some(spec) = &node.nat {
            let addr = inside(i as NodeId, node.ipv6);
            let rng = streams.stream("nat", u64::from(spec.id));
            nats[i] = Some(add(Box::new(Nat::new(i as NodeId, addr, spec.clone(), rng))));
        }
    }
    let mut chains = Vec::with_capacity(count * count);
    for from in 0..count {
        for to in 0..count {
            let mut chain: Vec<Hop> = nats[from].into_iter().collect();
            let link = link_between(scenario, from, to);
            let back = link_between(scenario, to, from);
            if let Some(link) = link {
                chain.extend(link.elements.iter().map(|spec| add(element(spec, back, &streams))));
            }
            let delay = link.map_or(scenario.delay, |l| l.delay);
            chain.push(Hop::Length(us(delay)));
            chain.extend(nats[to]);
            chain.push(Hop::Element(to as u32));
            chains.push(chain);
        }
    }
    chains
}

/// How long an action goes on. An endpoint that is closed answers for a while before it goes.
fn lasts(kind: &ActionKind) -> Duration {
    match kind {
        ActionKind::Close { lasts } => us(*lasts) + LINGERS,
        ActionKind::Pause { lasts } | ActionKind::Crash { lasts } | ActionKind::Block { lasts } => us(*lasts),
        ActionKind::Jump { .. }
        | ActionKind::Rebind
        | ActionKind::ForgeIcmp { .. }
        | ActionKind::Inject { .. } => Duration::ZERO,
    }
}

fn link_between(scenario: &Scenario, from: usize, to: usize) -> Option<&LinkSpec> {
    scenario.links.iter().find(|l| (usize::from(l.from), usize::from(l.to)) == (from, to))
}

/// An element of a link. A partition knows when the way `back` is closed as well.
fn element(spec: &ElementSpec, back: Option<&LinkSpec>, streams: &Streams) -> Box<dyn Element> {
    let ElementKind::Gate(closed) = &spec.kind else { return build(spec, streams) };
    let times = |spec: &ElementSpec| match &spec.kind {
        ElementKind::Gate(closed) => closed.clone(),
        _ => Vec::new(),
    };
    let back = back.map(|link| link.elements.iter().flat_map(times).collect());
    Box::new(Gate::new(closed.clone(), back.unwrap_or_default()))
}
