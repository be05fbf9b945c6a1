//! A deterministic simulator for RxRPC.
#![forbid(unsafe_code)]

pub mod campaign;
mod check;
mod coverage;
mod inject;
mod liveness;
mod net;
mod node;
mod observer;
mod oracle;
mod packet;
mod queue;
mod rng;
pub mod scenario;
pub mod shrink;
mod sim;
pub mod swarm;
mod trace;
mod workload;
mod world;

pub use check::{Divergence, check, compare};
pub use coverage::{CallStage, Coverage, FAULTS, Kind, Limit};
pub use net::{Control, Element, build, network_error};
pub use observer::{Fate, LossReason, Observer};
pub use oracle::{Figures, Oracle, Oracles, Violation};
pub use packet::{IP_UDP, NodeId, Packet, Pool, inside, node_at, outside, stranger};
pub use rng::{Rng, Streams, splitmix64};
pub use scenario::Scenario;
pub use sim::{Harness, Phase, Report, Sim};
pub use trace::{Record, Trace, hash_bytes};
pub use world::World;
