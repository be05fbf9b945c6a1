//! The applications of a node as async code: clients that make the calls of the scenario, servers that answer them.

mod client;
mod job;
mod misuse;
mod server;
mod times;
mod transfer;

use std::cell::{Cell, RefCell, RefMut};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rxrpc_driver::{CallError, CallId, VersionError};
use rxrpc_proto::{Instant, Outcome};
use slab::Slab;

use super::handle::Node;
use crate::coverage::{Coverage, Limit, Workload};
use crate::oracle::{Checks, Oracle};
use crate::packet::{NodeId, inside};
use crate::rng::Streams;
use crate::scenario::{Micros, Scenario, TaskSpec, us};
use crate::workload::{
    Arrivals, Misuse, count_waiting, has_to_wait, judge_deadline, kinds, slack, told_within,
};
use crate::world::World;
use job::Job;
use times::{Ours, Taken};

/// All applications of a node: what its tasks share, and what outlives them when the node crashes.
pub(super) struct App {
    node: Node,
    id: NodeId,
    scenario: Arc<Scenario>,
    tasks: TaskSpec,
    /// What its tasks draw from.
    streams: Streams,
    slack: Duration,
    /// How long it takes at most until the node knows what a peer said, if nothing disturbs the network.
    told_within: Option<Duration>,
    healed: Cell<bool>,
    incarnation: Cell<u32>,
    /// By call of the scenario, and of those that run at once: what is to be done next, unless that has begun.
    plans: RefCell<Vec<Vec<Option<Plan>>>>,
    /// Of each call of the scenario: how many that run at once are not over for the last time.
    unfinished: RefCell<Vec<u32>>,
    to_ask: RefCell<Vec<Option<Instant>>>,
    /// The calls that tasks have, as clients and as servers. Their tags are their places here.
    clients: RefCell<Slab<Ours>>,
    /// When the last call ended here.
    last_end: Cell<Option<Instant>>,
    /// By call of the scenario: what it asks of the endpoints.
    kinds: Vec<Vec<Workload>>,
    /// There are calls of which it is not known yet whether they wait for a channel; and those that are known to.
    fresh: Cell<bool>,
    queued: RefCell<Vec<CallId>>,
    served: RefCell<Slab<Taken>>,
    /// By call of the scenario: how often it was served here.
    serves: RefCell<Vec<u32>>,
    /// Calls that have come, until they are accepted or turned away; and those that have come in all.
    undecided: Count,
    arrivals: RefCell<Arrivals>,
    misuse: RefCell<Misuse>,
    /// Operations of the endpoint that wait.
    waits: Count,
}

/// Whose turn it is: a call of the scenario.
#[derive(Clone, Copy)]
struct Turn {
    /// Its place in the scenario.
    index: usize,
    /// Which it is of those that run at once; none if it is made within a served call, and goes with that.
    copy: Option<usize>,
}

/// When a call is to be made, for the so many-th time.
#[derive(Clone, Copy)]
struct Plan {
    at: Instant,
    round: u32,
}

/// How many of something there are.
#[derive(Clone, Default)]
struct Count(Rc<Cell<usize>>);

impl Count {
    fn get(&self) -> usize {
        self.0.get()
    }

    /// One more, as long as the result lives.
    fn hold(&self) -> Held {
        self.0.set(self.0.get() + 1);
        Held(self.clone())
    }
}

struct Held(Count);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

impl App {
    pub(super) fn new(node: &Node, scenario: &Arc<Scenario>) -> Rc<Self> {
        let id = node.id();
        let spec = &scenario.nodes[usize::from(id)];
        let at = |is_ours: bool, at: Micros| is_ours.then_some(Instant::ORIGIN + us(at));
        let plans = (0..).zip(&scenario.calls).map(|(spec, call)| {
            let at = at(call.client == id && scenario.begins_by_time(spec), call.at);
            vec![at.map(|at| Plan { at, round: 0 }); call.parallel as usize]
        });
        let to_ask = scenario.versions.iter().map(|v| at(v.client == id, v.at));
        Rc::new(App {
            node: node.clone(),
            id,
            tasks: spec.tasks.clone(),
            streams: Streams::new(Streams::new(scenario.seed).key("tasks", u64::from(spec.id))),
            slack: slack(scenario, id),
            told_within: told_within(scenario),
            healed: Cell::new(false),
            incarnation: Cell::new(0),
            plans: RefCell::new(plans.collect()),
            unfinished: RefCell::new(scenario.calls.iter().map(|call| call.parallel).collect()),
            to_ask: RefCell::new(to_ask.collect()),
            clients: RefCell::default(),
            last_end: Cell::new(None),
            kinds: scenario.calls.iter().map(|call| kinds(scenario, call)).collect(),
            misuse: RefCell::new(Misuse::new(scenario, id)),
            fresh: Cell::new(false),
            queued: RefCell::default(),
            served: RefCell::default(),
            serves: RefCell::new(vec![0; scenario.calls.len()]),
            undecided: Count::default(),
            arrivals: RefCell::default(),
            waits: Count::default(),
            scenario: Arc::clone(scenario),
        })
    }

    /// The node has started: offer its services, and make the calls that are still to be made.
    pub(super) fn start(self: &Rc<Self>) {
        for service in self.scenario.nodes[usize::from(self.id)].services.iter().cloned() {
            self.node.start(server::offer(Rc::clone(self), service));
        }
        let plans = self.plans.borrow().clone();
        for (index, copies) in plans.into_iter().enumerate() {
            for (copy, plan) in copies.into_iter().enumerate() {
                if let Some(plan) = plan {
                    self.begin(Turn { index, copy: Some(copy) }, plan);
                }
            }
        }
        let to_ask = self.to_ask.borrow().clone();
        for (index, at) in to_ask.into_iter().enumerate() {
            if let Some(at) = at {
                self.node.start(Rc::clone(self).ask(index, at));
            }
        }
    }

    /// Make a call as planned.
    fn begin(self: &Rc<Self>, turn: Turn, plan: Plan) {
        self.plan(turn, Some(plan));
        let app = Rc::clone(self);
        self.node.start(async move {
            let job = Job::new(&app, app.streams.stream("call", 0));
            client::make_calls(&job, turn, plan).await;
            app.over_for_good(turn.index);
        });
    }

    /// What is to be done next, should the node crash before that has begun.
    fn plan(&self, turn: Turn, plan: Option<Plan>) {
        if let Some(copy) = turn.copy {
            self.plans.borrow_mut()[turn.index][copy] = plan;
        }
    }

    /// A call was made for the last time: others may have waited for that.
    fn over_for_good(self: &Rc<Self>, index: usize) {
        let unfinished = {
            let mut unfinished = self.unfinished.borrow_mut();
            unfinished[index] = unfinished[index].saturating_sub(1);
            unfinished[index]
        };
        if unfinished > 0 || self.is_healed() {
            return;
        }
        for (next, call) in self.scenario.calls.iter().enumerate() {
            if call.after == Some(index as u32) && call.client == self.id {
                let plan = Plan { at: self.node.now() + us(call.at), round: 0 };
                (0..call.parallel as usize)
                    .for_each(|copy| self.begin(Turn { index: next, copy: Some(copy) }, plan));
            }
        }
    }

    /// All faults end: nobody pauses, begins or aborts any more. All sleepers are woken after this.
    pub(super) fn heal(&self) {
        self.healed.set(true);
    }

    /// The node crashed: every call here is gone, and none of them ends.
    pub(super) fn crash(&self, world: &mut World) {
        self.incarnation.set(self.incarnation.get() + 1);
        self.fresh.set(false);
        self.queued.take();
        let gone = Err(CallError::EndpointClosed);
        let (now, allow) = (world.now(), world.oracles.allow);
        for (_, ours) in self.clients.take() {
            let checks = Checks { tainted: true, ..Checks::none(&allow) };
            let _ = world.oracles.ledger.end_client(ours.place, gone, checks);
        }
        for (_, taken) in self.served.take() {
            let _ = world.oracles.ledger.end_server(now, taken.place, gone, (true, true), true);
        }
    }

    /// The endpoint has given its calls the channels that there are.
    pub(super) fn count_waiting(&self, coverage: &mut Coverage) {
        if !self.fresh.take() {
            return;
        }
        let calls = self.node.endpoint().calls();
        let now: Vec<CallId> = calls.iter().filter(|call| has_to_wait(call)).map(|call| call.id).collect();
        let before = self.queued.replace(now.clone());
        now.iter().filter(|call| !before.contains(call)).for_each(|_| {
            count_waiting(coverage, &self.scenario, self.id);
        });
    }

    /// Calls of the endpoint that tasks have.
    pub(super) fn open(&self) -> usize {
        self.clients.borrow().len() + self.served.borrow().len() + self.undecided.get()
    }

    /// Whether any task waits for the endpoint.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits.get() > 0
    }

    fn is_healed(&self) -> bool {
        self.healed.get()
    }

    fn world(&self) -> RefMut<'_, World> {
        self.node.0.lent.borrow_mut()
    }

    /// The time on the node's own clock.
    fn local(&self) -> Instant {
        self.node.0.socket.borrow().clock.local(self.node.now())
    }

    /// Waits for so long, or until the faults end.
    async fn pause(&self, time: Micros) {
        self.pause_until(self.node.now() + us(time)).await;
    }

    async fn pause_until(&self, at: Instant) {
        let mut sleep = pin!(self.node.sleep_until(at));
        poll_fn(|cx| match self.is_healed() {
            true => Poll::Ready(()),
            false => sleep.as_mut().poll(cx),
        })
        .await;
    }

    /// Waits until then; for ever once the faults have ended.
    async fn fault_at(&self, at: Instant) {
        let mut sleep = pin!(self.node.sleep_until(at));
        poll_fn(|cx| match self.is_healed() {
            true => Poll::Pending,
            false => sleep.as_mut().poll(cx),
        })
        .await;
    }

    /// The calls of the endpoint that are not over.
    fn live_calls(&self) -> Vec<CallId> {
        let calls = self.node.endpoint().calls().into_iter();
        calls.filter(|call| call.outcome.is_none()).map(|call| call.id).collect()
    }

    fn address(&self, node: NodeId) -> SocketAddr {
        inside(node, self.scenario.nodes.get(usize::from(node)).is_some_and(|n| n.ipv6))
    }

    /// An answer that the interface does not promise.
    fn broken(&self, what: &str) {
        self.world().violation(Some(self.id), Oracle::Contract, what);
    }

    fn wrong(&self, unique: u32, what: &str) {
        let mut world = self.world();
        if !world.oracles.is_tainted() {
            world.violation(Some(self.id), Oracle::Stream, format!("call {unique}: {what}"));
        }
    }

    fn report(&self, finding: Option<(Oracle, String)>) {
        if let Some((oracle, text)) = finding {
            self.world().violation(Some(self.id), oracle, text);
        }
    }

    /// A call has ended `after` its begin on the node's clock, as its task found out after it had paused for up to
    /// `paused`. Was that when its deadlines say?
    fn check_deadline(&self, outcome: Outcome, after: Duration, limits: [Micros; 2], paused: Micros) {
        if outcome.is_ok() && paused > 0 {
            return;
        }
        // A fast clock makes more of a pause.
        let slack = self.slack + us(paused) * 11 / 10;
        if let Some(text) = judge_deadline(outcome, after, limits, slack) {
            self.world().violation(Some(self.id), Oracle::Deadline, text);
        }
    }

    async fn ask(self: Rc<Self>, index: usize, at: Instant) {
        self.pause_until(at).await;
        self.to_ask.borrow_mut()[index] = None;
        if self.is_healed() {
            return;
        }
        let version = &self.scenario.versions[index];
        // Questions have no id.
        let job = Job::new(&self, self.streams.stream("ask", u64::from(version.server) << 48 ^ version.at));
        let endpoint = self.node.endpoint();
        let to = self.address(version.server);
        job.misuse_endpoint().await;
        if let Some(Err(error)) = job.attempt(endpoint.version(to, us(version.timeout))).await {
            job.refused(&error);
            if error == VersionError::TooMany {
                self.world().coverage.limit(Limit::Versions);
            }
        }
    }
}
