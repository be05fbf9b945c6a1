//! The full harness.

mod executor;
mod handle;
mod node;
mod socket;
mod timers;
mod work;

use std::cell::RefCell;
use std::rc::Rc;

pub use handle::{Node, Sleep, Task};

use crate::oracle::Oracles;
use crate::scenario::Scenario;
use crate::sim::Sim;
use crate::world::World;
use node::FullNode;

/// The world, while a node has its turn: its tasks live apart and reach it here.
type Lent = Rc<RefCell<World>>;

/// A run of the scenario with drivers and tasks on its nodes.
#[must_use]
pub fn sim(scenario: Scenario) -> Sim {
    let nobodys = World::new(0, Oracles::new(&Scenario::default()));
    let lent = Rc::new(RefCell::new(nobodys));
    Sim::with_nodes(scenario, |id, scenario| {
        Box::new(FullNode::new(id, scenario, &lent).with_calls(scenario))
    })
}
