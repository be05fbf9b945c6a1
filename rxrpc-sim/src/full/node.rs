//! A node of the full harness: a driver on the simulated socket, and tasks that use its handles.

use std::cell::{Cell, RefCell};
use std::mem;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use rxrpc_driver::{CallInfo, Driver, EndpointStats};
use rxrpc_proto::{Instant, NetworkError};

use super::Lent;
use super::executor::{Executor, TaskId};
use super::handle::{Node, Shared};
use super::socket::{Socket, SocketIo};
use super::timers::Timers;
use super::work::App;
use crate::net::{Control, Element};
use crate::node::{check_faults, check_leftovers, count_clock_faults};
use crate::observer::LossReason;
use crate::oracle::{Limits, Oracle};
use crate::packet::{NodeId, Packet, inside, reaches};
use crate::rng::{Rng, Streams};
use crate::scenario::{NodeSpec, Scenario, us};
use crate::trace::Record;
use crate::world::World;

/// Polls of tasks that one instant may take.
const POLLS: u32 = 100_000;
/// The limits are checked every so many turns.
const CHECK_EVERY: u32 = 16;
/// How long a closed endpoint may take to end.
const CLOSING: Duration = Duration::from_millis(200);

/// What is run on a node each time that it starts. It spawns tasks.
pub(super) type Program = Box<dyn FnMut(&Node)>;

/// Whether the node runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Running,
    /// Its process stands still until then.
    Paused(Instant),
    /// It is gone until then.
    Down(Instant),
}

/// The endpoint of a node was closed.
#[derive(Clone, Copy, Debug)]
struct Closing {
    since: Instant,
    /// The node goes down then,
    until: Instant,
    /// for so long.
    lasts: Duration,
}

/// A node of the full harness.
pub(super) struct FullNode {
    node: Node,
    spec: NodeSpec,
    streams: Streams,
    rng: Rng,
    incarnation: u32,
    programs: Rc<RefCell<Vec<Program>>>,
    /// What the scenario has it do.
    app: Option<Rc<App>>,
    driver: Option<TaskId>,
    /// The driver, until those who start with it have had their turn: services are offered before packets are read.
    unborn: Option<Driver<SocketIo>>,
    /// The driver has ended; and so has the wait for it.
    ended: Rc<Cell<bool>>,
    closed: Rc<Cell<bool>>,
    life: Life,
    closing: Option<Closing>,
    /// Something happened that it has to look at now.
    stirred: Option<Instant>,
    turns: u32,
}

impl FullNode {
    /// The node with this number of the scenario, which runs no code but its driver yet.
    pub(super) fn new(id: NodeId, scenario: &Arc<Scenario>, lent: &Lent) -> Self {
        let spec = scenario.nodes[usize::from(id)].clone();
        let streams = Streams::new(scenario.seed);
        let stream = |label| streams.stream(label, u64::from(spec.id));
        let order = spec.tasks.shuffled.then(|| stream("order"));
        let node = Node(Rc::new(Shared {
            id,
            addr: inside(id, spec.ipv6),
            lent: Rc::clone(lent),
            executor: RefCell::new(Executor::new(order, spec.tasks.moving)),
            timers: RefCell::new(Timers::default()),
            socket: Rc::new(RefCell::new(Socket::new(id, &spec, &streams, lent))),
            endpoint: RefCell::new(None),
            now: Cell::new(Instant::ORIGIN),
            is_up: Cell::new(false),
        }));
        let mut this = FullNode {
            node,
            rng: stream("node"),
            incarnation: 0,
            programs: Rc::default(),
            app: None,
            driver: None,
            unborn: None,
            ended: Rc::default(),
            closed: Rc::default(),
            life: Life::Running,
            closing: None,
            stirred: None,
            turns: 0,
            streams,
            spec,
        };
        this.start(Instant::ORIGIN);
        this
    }

    /// Has it make and serve the calls of the scenario.
    pub(super) fn with_calls(mut self, scenario: &Arc<Scenario>) -> Self {
        let app = App::new(&self.node, scenario);
        app.start();
        self.app = Some(app);
        self
    }

    pub(super) fn node(&self) -> Node {
        self.node.clone()
    }

    pub(super) fn programs(&self) -> Rc<RefCell<Vec<Program>>> {
        Rc::clone(&self.programs)
    }

    fn start(&mut self, now: Instant) {
        let shared = &self.node.0;
        let number = u64::from(self.spec.id) << 32 | u64::from(self.incarnation);
        let config = self.spec.endpoint.config(self.streams.bytes("endpoint", number));
        let (driver, endpoint) = Driver::new(config, SocketIo(Rc::clone(&shared.socket)));
        *shared.endpoint.borrow_mut() = Some(endpoint);
        self.ended = Rc::default();
        self.closed = Rc::default();
        self.unborn = Some(driver);
        // Where the order is drawn, packets may be read before.
        if self.spec.tasks.shuffled {
            self.start_driver();
        }
        self.life = Life::Running;
        self.stirred = Some(now);
        self.node.0.is_up.set(true);
        if let Some(app) = &self.app {
            app.start();
        }
        for program in self.programs.borrow_mut().iter_mut() {
            program(&self.node);
        }
    }

    /// Has the driver run from now on. False if it does already.
    fn start_driver(&mut self) -> bool {
        let Some(driver) = self.unborn.take() else { return false };
        let ended = Rc::clone(&self.ended);
        self.driver = Some(self.node.start(async move {
            driver.await;
            ended.set(true);
        }));
        true
    }

    fn stats(&self) -> EndpointStats {
        self.node.0.endpoint.borrow().as_ref().map(rxrpc_driver::Endpoint::stats).unwrap_or_default()
    }

    /// Lets tasks use the world while they run.
    fn lend<T>(&mut self, now: Instant, world: &mut World, run: impl FnOnce(&mut Self) -> T) -> T {
        self.node.0.now.set(now);
        mem::swap(world, &mut self.node.0.lent.borrow_mut());
        let result = run(self);
        mem::swap(world, &mut self.node.0.lent.borrow_mut());
        result
    }

    fn violation(&self, oracle: Oracle, text: &str) {
        self.node.0.lent.borrow_mut().violation(Some(self.node.id()), oracle, text);
    }

    /// Everything there is to do now.
    fn turn(&mut self, now: Instant, world: &mut World) {
        self.stirred = None;
        self.turns = self.turns.wrapping_add(1);
        world.coverage.full = true;
        self.lend(now, world, |node| node.run(now));
        if let Some(app) = self.app.as_ref().filter(|_| self.node.0.socket.borrow().is_free()) {
            app.count_waiting(&mut world.coverage);
        }
        if self.turns.is_multiple_of(CHECK_EVERY) {
            self.check(world);
        }
        if let Some(Closing { since, lasts, .. }) = self.closing.filter(|closing| closing.until <= now) {
            let blocked = self.node.0.socket.borrow().was_blocked_since(since);
            let over = self.ended.get() && self.closed.get();
            if !blocked && !over {
                let text = "the driver of a closed endpoint has not ended";
                world.violation(Some(self.node.id()), Oracle::Leftover, text);
            }
            self.crash(now, lasts, world);
        }
    }

    /// Wakes whose time has come, and polls until nobody is awake.
    fn run(&mut self, now: Instant) {
        let shared = Rc::clone(&self.node.0);
        let woken = shared.socket.borrow_mut().advance(now);
        woken.into_iter().flatten().for_each(Waker::wake);
        loop {
            let Some(waker) = shared.timers.borrow_mut().due(now) else { break };
            waker.wake();
        }
        self.run_tasks(now);
        if self.start_driver() {
            self.run_tasks(now);
        }
    }

    fn run_tasks(&self, now: Instant) {
        let shared = &self.node.0;
        for polls in 0.. {
            let Some(mut turn) = shared.executor.borrow_mut().next() else { break };
            if polls > POLLS {
                self.violation(Oracle::Work, "tasks wake each other without end");
                break;
            }
            let id = turn.id();
            let at = now.as_nanos();
            shared.lent.borrow_mut().trace.add(Record::Event, at, u32::from(shared.id), id.serial(), 0);
            shared.socket.borrow_mut().begin_poll();
            match turn.poll() {
                Poll::Ready(()) => drop(shared.executor.borrow_mut().remove(id)),
                Poll::Pending => {
                    let ended = shared.executor.borrow_mut().put_back(turn);
                    drop(ended);
                }
            }
            if self.driver == Some(id) {
                self.look_at_calls();
            }
        }
    }

    /// Looks at the calls as the driver leaves them, those too that tasks may drop next.
    fn look_at_calls(&self) {
        let is_observed = self.node.0.lent.borrow().is_observed();
        let app = self.app.as_ref().filter(|app| app.has_calls());
        if app.is_none() && !is_observed {
            return;
        }
        let calls = self.calls();
        if let Some(app) = app {
            calls.iter().for_each(|call| app.judge_end(call));
        }
        if is_observed {
            let mut world = self.node.0.lent.borrow_mut();
            calls.iter().for_each(|call| world.sample(self.node.id(), call));
        }
    }

    /// The calls of the endpoint, if there is one.
    fn calls(&self) -> Vec<CallInfo> {
        self.node.0.endpoint.borrow().as_ref().map_or_else(Vec::new, |e| e.calls())
    }

    fn check(&self, world: &mut World) {
        let stats = self.stats();
        world.coverage.holds(&self.spec.endpoint, &stats);
        let limits = Limits { node: self.node.id(), spec: &self.spec.endpoint, oracles: &world.oracles };
        if let Some((oracle, text)) = limits.check(&stats, self.calls().into_iter()) {
            world.violation(Some(self.node.id()), oracle, text);
        }
    }

    /// Ends all tasks but `kept`.
    fn end_tasks(&mut self, kept: Option<TaskId>) {
        let gone = self.node.0.executor.borrow_mut().remove_all_but(kept);
        drop(gone);
    }

    fn crash(&mut self, now: Instant, lasts: Duration, world: &mut World) {
        check_faults(self.node.id(), &self.stats(), world);
        if self.rng.chance(0.5) {
            self.lend(now, world, |node| node.lose_driver(now));
        }
        if let Some(app) = &self.app {
            app.crash(world);
        }
        self.end_tasks(None);
        (self.driver, self.unborn) = (None, None);
        self.node.0.is_up.set(false);
        self.node.0.socket.borrow_mut().reset();
        self.closing = None;
        self.life = Life::Down(now + lasts);
        world.oracles.on_restart(self.node.id());
    }

    /// Its process stands still for so long, if it does not for longer.
    fn pause(&mut self, now: Instant, lasts: Duration) {
        let before = match self.life {
            Life::Paused(before) => before,
            _ => now,
        };
        let until = before.max(now + lasts);
        self.life = Life::Paused(until);
        if let Some(closing) = &mut self.closing {
            closing.until += until - before;
        }
    }

    /// The driver goes first, as when a runtime shuts down. Whoever waits for it must be told.
    fn lose_driver(&mut self, now: Instant) {
        let driver = self.driver.and_then(|id| self.node.0.executor.borrow_mut().remove(id));
        drop(driver);
        self.run(now);
        if self.app.as_ref().is_some_and(|app| app.is_waiting()) {
            self.violation(Oracle::Contract, "a task waits for a driver that is gone");
        }
    }

    fn restart(&mut self, now: Instant) {
        self.incarnation += 1;
        self.node.0.now.set(now);
        self.start(now);
    }

    fn close(&mut self, now: Instant, lasts: Duration, world: &mut World) {
        let endpoint = self.node.endpoint();
        let wait = endpoint.close();
        let closed = Rc::clone(&self.closed);
        self.node.start(async move {
            wait.await;
            closed.set(true);
        });
        self.turn(now, world);
        let open = self.app.as_ref().map_or(usize::MAX, |app| app.open());
        if endpoint.stats().calls > open {
            let text = format!("{} calls after closing, of which {open} are in use", endpoint.stats().calls);
            world.violation(Some(self.node.id()), Oracle::Leftover, text);
        }
        let clock = &self.spec.clock;
        let until = now + CLOSING + us(clock.granularity) + us(clock.late);
        self.closing = Some(Closing { since: now, until, lasts });
    }

    fn heal(&mut self, now: Instant, world: &mut World) {
        world.oracles.note_backoffs(self.node.id(), self.calls().into_iter());
        if self.closing.is_some() {
            self.crash(now, Duration::ZERO, world);
        }
        let shared = Rc::clone(&self.node.0);
        count_clock_faults(&self.spec.clock, &shared.socket.borrow().clock, world);
        shared.socket.borrow_mut().heal(now);
        if let Some(app) = &self.app {
            app.heal();
        }
        if let Life::Down(_) = self.life {
            self.restart(now);
        }
        self.life = Life::Running;
        let sleepers = shared.timers.borrow_mut().take_all();
        sleepers.into_iter().for_each(Waker::wake);
        self.stir(now);
    }

    fn stir(&mut self, now: Instant) {
        self.stirred.get_or_insert(now);
    }

    /// The last thing: everybody goes, one way or another, and so must the driver.
    fn go(&mut self, now: Instant) {
        let endpoint = self.node.0.endpoint.borrow_mut().take();
        let Some(endpoint) = endpoint else { return };
        match self.rng.below(3) {
            0 => drop(endpoint.close()),
            1 => drop(endpoint.shutdown()),
            _ => self.end_tasks(self.driver),
        }
        drop(endpoint);
        self.run(now);
        if !self.ended.get() {
            self.violation(Oracle::Leftover, "a driver that does not end");
        }
    }
}

impl Element for FullNode {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        if matches!(self.life, Life::Down(_)) {
            return world.lose(packet, LossReason::Down);
        }
        if !reaches(&packet.dst, &self.node.addr()) {
            return world.lose(packet, LossReason::NoRoute);
        }
        match self.node.0.socket.borrow_mut().arrive(packet, world) {
            Ok(waker) => waker.into_iter().for_each(Waker::wake),
            Err(packet) => {
                world.coverage.fault("receive-overflow");
                return world.lose(packet, LossReason::Overflow);
            }
        }
        self.stir(now);
    }

    fn wake(&mut self, now: Instant, world: &mut World) {
        match self.life {
            Life::Paused(until) | Life::Down(until) if now < until => return,
            Life::Down(_) => self.restart(now),
            Life::Paused(_) => self.life = Life::Running,
            Life::Running => {}
        }
        self.turn(now, world);
    }

    fn next_wake(&mut self) -> Option<Instant> {
        if let Life::Paused(until) | Life::Down(until) = self.life {
            return Some(until);
        }
        let shared = &self.node.0;
        if self.stirred.is_some() || shared.executor.borrow().is_ready() {
            return self.stirred.or(Some(self.node.now()));
        }
        let closing = self.closing.map(|closing| closing.until);
        let [socket, sleepers] = [shared.socket.borrow_mut().next_wake(), shared.timers.borrow().next()];
        [socket, sleepers, closing].into_iter().flatten().min()
    }

    fn control(&mut self, now: Instant, control: &Control, world: &mut World) {
        let up = !matches!(self.life, Life::Down(_));
        match control {
            Control::Heal => self.heal(now, world),
            Control::Pause(lasts) if up => {
                world.coverage.fault("pause");
                self.pause(now, us(*lasts));
            }
            Control::Crash(lasts) if up => {
                world.coverage.fault("crash");
                self.crash(now, us(*lasts), world);
            }
            Control::Close(lasts) if up && self.closing.is_none() => {
                world.coverage.fault("close");
                self.life = Life::Running;
                self.close(now, us(*lasts), world);
            }
            Control::Pause(_) | Control::Crash(_) | Control::Close(_) => world.skip(self.node.id(), control),
            Control::Block(lasts) => {
                world.coverage.fault("send-blocked");
                self.node.0.socket.borrow_mut().block(now + us(*lasts));
            }
            Control::Jump(by) => {
                world.coverage.fault("clock-jump");
                self.node.0.socket.borrow_mut().clock.jump(now, us(*by));
                self.stir(now);
            }
            _ => {}
        }
    }

    fn error(&mut self, now: Instant, about: SocketAddr, error: NetworkError, world: &mut World) {
        if self.life == Life::Running {
            world.coverage.network(error);
            world.oracles.on_report(now, self.node.id());
            let waker = self.node.0.socket.borrow_mut().report(about, error);
            if let Some(waker) = waker {
                waker.wake();
            }
            self.stir(now);
        }
    }

    fn finish(&mut self, now: Instant, world: &mut World) {
        self.check(world);
        let stats = self.stats();
        check_faults(self.node.id(), &stats, world);
        check_leftovers(self.node.id(), &stats, world);
        let id = Some(self.node.id());
        let shared = Rc::clone(&self.node.0);
        if let Some(timer) = shared.socket.borrow().deadline() {
            world.violation(id, Oracle::Leftover, format!("the timer {timer:?}"));
        }
        if shared.socket.borrow().is_owed() {
            world.violation(id, Oracle::Contract, "a batch that the socket refused was never offered again");
        }
        if let Some(app) = &self.app {
            let tasks = shared.executor.borrow().len();
            let expected = 1 + self.spec.services.len();
            if tasks > expected || app.open() > 0 {
                let text = format!("{tasks} tasks, not {expected}; {} calls of the application", app.open());
                world.violation(id, Oracle::Leftover, text);
            }
        }
        self.lend(now, world, |node| node.go(now));
        if self.app.is_some() && shared.executor.borrow().len() > 0 {
            world.violation(id, Oracle::Leftover, "tasks that outlive their endpoint");
        }
    }
}

impl Drop for FullNode {
    /// Tasks hold the node that holds them.
    fn drop(&mut self) {
        self.node.0.endpoint.borrow_mut().take();
        self.programs.borrow_mut().clear();
        self.end_tasks(None);
    }
}
