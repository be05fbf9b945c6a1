//! The full harness: the driver and the handles of [`rxrpc_driver`], unmodified, on simulated nodes.
//!
//! Each node has a simulated socket, clock and timer, and an executor that is moved step by step: no thread, no real
//! time, and an order of tasks that the seed alone decides. [`sim`] runs the calls of a scenario as async code, under
//! the same oracles as bare endpoints; it is the [`Harness`](crate::Harness) to test the driver with. [`Cluster`] runs
//! code of one's own.

mod cluster;
mod executor;
mod handle;
mod node;
mod socket;
mod timers;
mod work;

use std::cell::RefCell;
use std::rc::Rc;

pub use cluster::{Cluster, Stuck};
pub use handle::{Node, Sleep, Task};
/// The crate whose handles code on nodes uses.
pub use rxrpc_driver as driver;

use crate::oracle::Oracles;
use crate::scenario::Scenario;
use crate::sim::Sim;
use crate::world::World;
use node::FullNode;

/// The world, while a node has its turn: its tasks live apart and reach it here.
type Lent = Rc<RefCell<World>>;

/// What is there while nobody has a turn.
fn nobodys() -> Lent {
    Rc::new(RefCell::new(World::new(0, Oracles::new(&Scenario::default()))))
}

/// A run of the scenario with drivers and tasks on its nodes.
#[must_use]
pub fn sim(scenario: Scenario) -> Sim {
    let lent = nobodys();
    Sim::with_nodes(scenario, |id, scenario| {
        Box::new(FullNode::new(id, scenario, &lent).with_calls(scenario))
    })
}
