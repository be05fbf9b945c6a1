//! The network: elements that packets pass, one after the other.
//!
//! Everything a packet can meet is an [`Element`], nodes included, so they snap together in any order. An element
//! gives each packet back to the [`World`]: on at once, on later, twice, or lost for a reason.

mod corrupt;
mod delay;
mod duplicate;
mod edit;
mod gate;
mod icmp;
mod loss;
mod mtu;
mod nat;
mod rate;
mod reorder;
mod script;

use std::net::SocketAddr;

use rxrpc_proto::{Instant, NetworkError};

pub(crate) use gate::Gate;
pub(crate) use nat::Nat;

use crate::packet::Packet;
use crate::rng::Streams;
use crate::scenario::{ElementKind, ElementSpec, IcmpKind, Micros};
use crate::world::World;

/// Something from outside that happens to an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// All faults end: pass packets as a clean link does, be a node without trouble.
    Heal,
    /// A node's process stands still for so long.
    Pause(Micros),
    /// A node loses everything and comes back after so long.
    Crash(Micros),
    /// A node's endpoint is closed, and another comes after so long.
    Close(Micros),
    /// A node's socket takes nothing for so long.
    Block(Micros),
    /// A node's clock jumps forward by so much.
    Jump(Micros),
    /// An address translator makes new mappings.
    Rebind,
}

/// Whatever packets pass or reach: a fault of a link, an address translator, a node.
pub trait Element {
    /// A packet comes.
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World);

    /// The instant of [`next_wake`](Self::next_wake) has come. Early and needless calls are harmless.
    fn wake(&mut self, now: Instant, world: &mut World) {
        let _ = (now, world);
    }

    /// When it wants to be woken. Asked after every other call.
    fn next_wake(&mut self) -> Option<Instant> {
        None
    }

    /// Something happens to it from outside. What does not concern it, it ignores.
    fn control(&mut self, now: Instant, control: &Control, world: &mut World) {
        let _ = (now, control, world);
    }

    /// Only nodes: the network reports an error about packets to an address.
    fn error(&mut self, now: Instant, about: SocketAddr, error: NetworkError, world: &mut World) {
        let _ = (now, about, error, world);
    }

    /// Only nodes: everything is over. Check that nothing is left.
    fn finish(&mut self, now: Instant, world: &mut World) {
        let _ = (now, world);
    }
}

/// The element that a scenario describes.
#[must_use]
pub fn build(spec: &ElementSpec, streams: &Streams) -> Box<dyn Element> {
    let name = spec.kind.name();
    let rng = streams.stream("element", u64::from(spec.id));
    match &spec.kind {
        ElementKind::Loss(model) => Box::new(loss::Loss::new(name, model.clone(), rng)),
        ElementKind::Script(rules) => Box::new(script::Script::new(rules)),
        ElementKind::Delay { by, correlation, ordered } => {
            Box::new(delay::Delay::new(name, by.clone(), *correlation, *ordered, rng))
        }
        ElementKind::ReorderByDelay { p, by } => Box::new(reorder::ByDelay::new(*p, *by, rng)),
        ElementKind::ReorderByGap { every, gap, at_most } => {
            Box::new(reorder::ByGap::new(*every, *gap, *at_most))
        }
        ElementKind::Duplicate { p, spread } => Box::new(duplicate::Duplicate::new(*p, *spread, rng)),
        ElementKind::Replay { p, after } => Box::new(duplicate::Replay::new(*p, *after, rng)),
        ElementKind::Corrupt { p, damage, checked } => {
            Box::new(corrupt::Corrupt::new(name, *p, *damage, *checked, rng))
        }
        ElementKind::Rate(spec) => Box::new(rate::Rate::new(name, spec.clone())),
        ElementKind::Mtu(spec) => Box::new(mtu::Mtu::new(name, spec.clone(), rng)),
        ElementKind::Gate(closed) => Box::new(gate::Gate::new(closed.clone(), Vec::new())),
        ElementKind::Icmp { p, after, kind } => Box::new(icmp::Icmp::new(*p, *after, *kind, rng)),
    }
}

/// The error that a message of this kind becomes.
#[must_use]
pub fn network_error(kind: IcmpKind) -> NetworkError {
    match kind {
        IcmpKind::Port => NetworkError::PortUnreachable,
        IcmpKind::Host => NetworkError::HostUnreachable,
        IcmpKind::Network => NetworkError::NetworkUnreachable,
        IcmpKind::Prohibited => NetworkError::Prohibited,
        IcmpKind::TooLarge(mtu) => NetworkError::MessageTooLong { mtu },
        IcmpKind::Other(code) => NetworkError::Other(code),
    }
}
