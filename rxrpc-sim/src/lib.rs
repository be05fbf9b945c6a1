//! A deterministic simulator for RxRPC: a virtual network, virtual time, and one seed that decides everything.
//!
//! A [`Scenario`] is plain data: nodes, links with their faults, calls, and what befalls the nodes. A [`Sim`] runs it
//! and comes back with a [`Report`]: what the [oracles](Oracle) found wrong, what was [reached](Coverage), and a
//! [hash](Trace) over every packet and step, the same for the same seed on every machine and in every build.
//!
//! There are two harnesses over the same network, scenarios and oracles:
//!
//! * [`Sim::new`]: bare endpoints of `rxrpc-proto`. The fastest, to try the protocol.
//! * [`full::sim`]: drivers and handles of `rxrpc-driver` with async code, to try those as well (feature `full`).
//!
//! [`Network`] is the network alone, for endpoints that a test moves by hand.
//!
//! [`swarm`] draws a scenario from a seed, [`campaign`](mod@campaign) runs many seeds, [`check`] tells whether a seed
//! repeats, and [`shrink`](mod@shrink) makes a scenario smaller that fails.
//!
//! # Testing code of one's own
//!
//! Whatever is written against the handles of `rxrpc-driver` runs on simulated nodes as it is: see [`full::Cluster`].
//! Here is a client that asks until it is answered, tried with every tenth packet lost and a server that
//! crashes:
//!
//! ```
//! # #[cfg(feature = "full")] {
//! use std::{net::SocketAddr, time::Duration};
//! use rxrpc_sim::full::driver::{Endpoint, Target};
//! use rxrpc_sim::full::{Cluster, Node};
//! use rxrpc_sim::scenario::{Action, ActionKind, ElementKind, LossModel, Scenario};
//!
//! // The code under test: a client, and a server that answers with what it was asked.
//! async fn ask(node: &Node, server: SocketAddr, question: &'static str) -> Vec<u8> {
//!     loop {
//!         match node.endpoint().call_unary(Target::new(server, 52), question, 1000).await {
//!             Ok(reply) => return reply.to_vec(),
//!             Err(_) => node.sleep(Duration::from_millis(500)).await,
//!         }
//!     }
//! }
//!
//! async fn serve(endpoint: Endpoint) {
//!     let mut listener = endpoint.listen(52, Default::default()).expect("offered once");
//!     while let Some(incoming) = listener.accept().await {
//!         let Ok(mut call) = incoming.accept() else { continue };
//!         // A call that fails here is dropped, which aborts it.
//!         if let Ok(question) = call.read_to_end(1000).await
//!             && call.write_bytes(question).await.is_ok()
//!         {
//!             let _ = call.finish();
//!         }
//!     }
//! }
//!
//! for seed in 0..10 {
//!     let mut scenario = Scenario::new(seed, 2);
//!     let loss = || [ElementKind::Loss(LossModel::Bernoulli { p: 0.1 })];
//!     scenario.link(0, 1, loss()).link(1, 0, loss());
//!     let crash = ActionKind::Crash { lasts: 2_000_000 };
//!     scenario.actions.push(Action { id: 0, at: 300_000, node: 1, kind: crash });
//!     let mut cluster = Cluster::new(scenario);
//!     cluster.host(1, |node| serve(node.endpoint()));
//!     let server = cluster.node(1).addr();
//!     for _ in 0..20 {
//!         let reply = cluster.run(0, |node| async move { ask(&node, server, "who?").await });
//!         assert_eq!(reply.expect("an answer"), b"who?");
//!     }
//!     assert!(cluster.finish().is_good());
//! }
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod campaign;
mod check;
mod coverage;
#[cfg(feature = "full")]
pub mod full;
mod inject;
mod insider;
mod liveness;
mod net;
mod network;
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
pub use coverage::{CallStage, Coverage, FAULTS, Kind, Limit, Workload};
pub use net::{Control, Element, build, network_error};
pub use network::Network;
pub use observer::{Fate, LossReason, Observer};
pub use oracle::{Figures, Oracle, Oracles, Violation};
pub use packet::{IP_UDP, IPV6_UDP, NodeId, Packet, Pool, inside, node_at, outside, stranger};
pub use rng::{Rng, Streams, splitmix64};
pub use scenario::Scenario;
pub use sim::{Harness, Phase, Report, Sim};
pub use trace::{Record, Trace, hash_bytes};
pub use world::World;
