//! The applications of a node as async code: clients that make the calls of the scenario, servers that answer them.

mod client;
mod server;
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

use super::handle::{Node, first};
use crate::coverage::{Limit, Workload};
use crate::oracle::{Checks, Oracle};
use crate::packet::{NodeId, inside};
use crate::rng::{Rng, Streams};
use crate::scenario::{Micros, Scenario, TaskSpec, us};
use crate::workload::{judge_deadline, kinds, slack};
use crate::world::World;

/// How long operations may wait that are cancelled then.
const PATIENCE: [Micros; 4] = [0, 200, 5_000, 100_000];

/// All applications of a node: what its tasks share, and what outlives them when the node crashes.
pub(super) struct App {
    node: Node,
    id: NodeId,
    scenario: Arc<Scenario>,
    tasks: TaskSpec,
    rng: RefCell<Rng>,
    slack: Duration,
    healed: Cell<bool>,
    incarnation: Cell<u32>,
    /// By call of the scenario: when it is to begin for the so many-th time, unless that was done.
    to_begin: RefCell<Vec<Option<(Instant, u32)>>>,
    /// Of each call of the scenario: how many that run at once are not over for the last time.
    unfinished: RefCell<Vec<u32>>,
    to_ask: RefCell<Vec<Option<Instant>>>,
    /// Places in the book of the calls that tasks have, as clients and as servers.
    clients: RefCell<Slab<u32>>,
    /// When the last call ended here.
    last_end: Cell<Option<Instant>>,
    /// By call of the scenario: what it asks of the endpoints.
    kinds: Vec<Vec<Workload>>,
    served: RefCell<Slab<Option<u32>>>,
    /// Calls that have come, until they are accepted or turned away; and how many have come in all.
    undecided: Count,
    incoming: Cell<u32>,
    /// Operations of the endpoint that wait.
    waits: Count,
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
        let to_begin = (0..).zip(&scenario.calls).map(|(spec, call)| {
            at(call.client == id && scenario.begins_by_time(spec), call.at).map(|at| (at, 0))
        });
        let to_ask = scenario.versions.iter().map(|v| at(v.client == id, v.at));
        Rc::new(App {
            node: node.clone(),
            id,
            tasks: spec.tasks.clone(),
            rng: RefCell::new(Streams::new(scenario.seed).stream("tasks", u64::from(spec.id))),
            slack: slack(scenario, id),
            healed: Cell::new(false),
            incarnation: Cell::new(0),
            to_begin: RefCell::new(to_begin.collect()),
            unfinished: RefCell::new(scenario.calls.iter().map(|call| call.parallel).collect()),
            to_ask: RefCell::new(to_ask.collect()),
            clients: RefCell::default(),
            last_end: Cell::new(None),
            kinds: scenario.calls.iter().map(|call| kinds(scenario, call)).collect(),
            served: RefCell::default(),
            undecided: Count::default(),
            incoming: Cell::new(0),
            waits: Count::default(),
            scenario: Arc::clone(scenario),
        })
    }

    /// The node has started: offer its services, and make the calls that are still to be made.
    pub(super) fn start(self: &Rc<Self>) {
        for service in self.scenario.nodes[usize::from(self.id)].services.iter().cloned() {
            self.node.start(server::offer(Rc::clone(self), service));
        }
        let to_begin = self.to_begin.borrow().clone();
        for (index, begin) in to_begin.into_iter().enumerate() {
            if let Some((at, round)) = begin {
                self.begin_at_once(index, at, round);
            }
        }
        let to_ask = self.to_ask.borrow().clone();
        for (index, at) in to_ask.into_iter().enumerate() {
            if let Some(at) = at {
                self.node.start(Rc::clone(self).ask(index, at));
            }
        }
    }

    /// Make a call from then on, all that run at once.
    fn begin_at_once(self: &Rc<Self>, index: usize, at: Instant, round: u32) {
        for _ in 0..self.scenario.calls[index].parallel {
            let app = Rc::clone(self);
            self.node.start(async move {
                client::make_calls(&app, index, at, round).await;
                app.over_for_good(index);
            });
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
                self.begin_at_once(next, self.node.now() + us(call.at), 0);
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
        let gone = Err(CallError::EndpointClosed);
        let allow = world.oracles.allow;
        for place in self.clients.take() {
            let checks = Checks { tainted: true, ..Checks::none(&allow) };
            let _ = world.oracles.ledger.end_client(place.1, gone, checks);
        }
        for (_, place) in self.served.take() {
            let _ = world.oracles.ledger.end_server(place, gone, (true, true), true);
        }
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

    fn chance(&self, p: f64) -> bool {
        p > 0.0 && self.rng.borrow_mut().chance(p)
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

    /// Waits for an operation of the endpoint; or cancels it, which ends no call, and returns `None`.
    async fn attempt<T>(&self, operation: impl Future<Output = T>) -> Option<T> {
        match self.wait_awhile(operation).await {
            Ok(result) => return Some(result),
            Err(before) if before == self.live_calls() => {}
            Err(_) => self.broken("a call ended because a wait was cancelled"),
        }
        None
    }

    /// Waits for an operation of the endpoint; or cancels it, and returns which calls there were until then.
    async fn wait_awhile<T>(&self, operation: impl Future<Output = T>) -> Result<T, Vec<CallId>> {
        let _held = self.waits.hold();
        if self.is_healed() || !self.chance(self.tasks.cancelled) {
            return Ok(operation.await);
        }
        let patience = *self.rng.borrow_mut().pick(&PATIENCE);
        // Or as soon as it was woken and still waits.
        let mut polls = *self.rng.borrow_mut().pick(&[2, u32::MAX]);
        let mut sleep = pin!(self.node.sleep(us(patience)));
        let enough = poll_fn(|cx| {
            polls -= 1;
            if polls == 0 { Poll::Ready(()) } else { sleep.as_mut().poll(cx) }
        });
        let mut operation = pin!(operation);
        if let Ok(result) = first(operation.as_mut(), enough).await {
            return Ok(result);
        }
        let mut world = self.world();
        world.coverage.fault("cancelled-future");
        world.application(self.id, patience, 10);
        Err(self.live_calls())
    }

    /// Waits for an operation that can be cancelled and asked for again.
    async fn insist<T>(&self, mut operation: impl AsyncFnMut() -> T) -> T {
        loop {
            if let Some(result) = self.attempt(operation()).await {
                return result;
            }
        }
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
        let endpoint = self.node.endpoint();
        let to = self.address(version.server);
        if let Some(Err(VersionError::TooMany)) =
            self.attempt(endpoint.version(to, us(version.timeout))).await
        {
            self.world().coverage.limit(Limit::Versions);
        }
    }
}
