//! Nodes that run code of one's own.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use rxrpc_proto::Instant;

use super::handle::Node;
use super::nobodys;
use super::node::{FullNode, Program};
use crate::observer::Observer;
use crate::oracle::Violation;
use crate::packet::NodeId;
use crate::scenario::Scenario;
use crate::sim::{Report, Sim};

/// How much virtual time a piece of code may take, unless told otherwise.
const LIMIT: Duration = Duration::from_secs(3600);

/// The nodes of a [`Scenario`], running code of one's own: any future that uses the handles of [`rxrpc_driver`].
///
/// The scenario says how many nodes there are, what is wrong with their links, sockets and clocks, and what befalls
/// them and when. Its calls, version questions and services are left aside: the code takes their place. Faults go on
/// until [`heal`](Cluster::heal) or [`finish`](Cluster::finish), whatever `heal_at` says. All oracles that look at
/// packets and endpoints are on.
///
/// Nothing happens but in the methods that take `&mut self`. The same seed and the same code give the same run, as
/// long as the code takes time and randomness from the node and not from the machine.
pub struct Cluster {
    sim: Sim,
    nodes: Vec<Node>,
    programs: Vec<Rc<RefCell<Vec<Program>>>>,
    limit: Duration,
}

/// Why a piece of code has not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// It waits, and nothing is left to happen.
    Idle(Instant),
    /// It takes too long.
    Late(Instant),
    /// Its node crashed.
    Crashed(Instant),
    /// An oracle has found something wrong: these things, the first one first.
    Wrong(Vec<Violation>),
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stuck::Idle(at) => write!(f, "at {at:?} nothing is left to happen, and the code still waits"),
            Stuck::Late(at) => write!(f, "at {at:?} the code has not come to its end"),
            Stuck::Crashed(at) => write!(f, "the node crashed before {at:?}"),
            Stuck::Wrong(violations) => match violations.first() {
                Some(first) => write!(f, "{first}"),
                None => f.write_str("something is wrong"),
            },
        }
    }
}

impl std::error::Error for Stuck {}

impl Cluster {
    /// The nodes of the scenario, each with an endpoint whose driver runs, and nothing else.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let scenario =
            Scenario { calls: Vec::new(), versions: Vec::new(), heal_at: u64::MAX / 1000, ..scenario };
        let lent = nobodys();
        let (mut nodes, mut programs) = (Vec::new(), Vec::new());
        let sim = Sim::with_nodes(scenario, |id, scenario| {
            let node = FullNode::new(id, scenario, &lent);
            nodes.push(node.node());
            programs.push(node.programs());
            Box::new(node)
        });
        Cluster { sim, nodes, programs, limit: LIMIT }
    }

    /// Code may take this much virtual time. An hour, unless told otherwise.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Lets somebody watch the packets.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.sim.observe(observer);
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.sim.now()
    }

    /// The node with this number.
    ///
    /// # Panics
    /// If the scenario has no such node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Node {
        self.nodes[usize::from(id)].clone()
    }

    /// Runs a program on a node: now, and again each time that the node comes back after a crash or a close.
    ///
    /// # Panics
    /// If the scenario has no such node.
    pub fn host<F>(&mut self, id: NodeId, mut program: impl FnMut(Node) -> F + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let node = self.node(id);
        let mut program: Program = Box::new(move |node: &Node| {
            node.start(program(node.clone()));
        });
        if node.0.is_up.get() {
            program(&node);
        }
        self.programs[usize::from(id)].borrow_mut().push(program);
        self.sim.stir();
    }

    /// Runs code on a node, and everything else meanwhile, until it has come to its end. On a node that is down it
    /// begins when the node is back.
    ///
    /// # Errors
    /// It does not come to an end, or an oracle has found something wrong.
    ///
    /// # Panics
    /// If the scenario has no such node.
    pub fn run<F>(&mut self, id: NodeId, code: impl FnOnce(Node) -> F) -> Result<F::Output, Stuck>
    where
        F: Future + 'static,
    {
        let node = self.node(id);
        let task = node.spawn(code(node.clone()));
        self.sim.stir();
        let end = self.now() + self.limit;
        loop {
            if let Some(value) = task.take() {
                return Ok(value);
            }
            if task.is_over() {
                return Err(Stuck::Crashed(self.now()));
            }
            if !self.step(end)? {
                let next = self.sim.next_at();
                return Err(next.map_or(Stuck::Idle(self.now()), |_| Stuck::Late(end)));
            }
        }
    }

    /// Lets so much virtual time pass.
    ///
    /// # Errors
    /// An oracle has found something wrong.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Stuck> {
        let end = self.now() + time;
        self.sim.be_there_at(end);
        while self.step(end)? {}
        Ok(())
    }

    /// Lets everything happen until nothing is left to happen, or the limit is reached.
    ///
    /// # Errors
    /// The limit is reached, or an oracle has found something wrong.
    pub fn run_until_idle(&mut self) -> Result<(), Stuck> {
        let end = self.now() + self.limit;
        while self.step(end)? {}
        self.sim.next_at().map_or(Ok(()), |_| Err(Stuck::Late(end)))
    }

    /// The next event, unless it comes after `end` or there is none.
    fn step(&mut self, end: Instant) -> Result<bool, Stuck> {
        if !self.sim.found().is_empty() {
            return Err(Stuck::Wrong(self.sim.found().to_vec()));
        }
        if self.sim.next_at().is_none_or(|at| at > end) || !self.sim.happen() {
            return Ok(false);
        }
        let now = self.sim.now();
        self.nodes.iter().for_each(|node| node.0.now.set(now));
        // The code of one node may have woken that of another.
        self.sim.stir();
        Ok(true)
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        self.sim.heal_now();
    }

    /// Ends all faults, lets everything expire, ends the endpoints, and tells what came of it. Calls that the code
    /// keeps are [left over](crate::Oracle::Leftover).
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.heal();
        self.sim.run()
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("now", &self.now())
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}
