//! Watching a run: for traces, captures and pages.

use rxrpc_proto::{Event, Instant, NetworkError, Wake};

use crate::coverage::LOSSES;
use crate::oracle::Violation;
use crate::packet::{NodeId, Packet};

/// Why a packet was lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum LossReason {
    /// By chance.
    Loss,
    /// A script named it.
    Script,
    /// The queue of a bottleneck was full.
    QueueFull,
    /// CoDel dropped it to shorten the queue.
    CoDel,
    /// Too large for the path.
    TooLarge,
    /// One of its fragments was lost.
    Fragment,
    /// The link is partitioned.
    Partition,
    /// The checksum caught that it was damaged.
    Checksum,
    /// An address translator has no mapping for it.
    NoMapping,
    /// A router refused it and said so.
    Refused,
    /// Its address is nobody's.
    NoRoute,
    /// The receive buffer was full.
    Overflow,
    /// The node is down.
    Down,
}

impl LossReason {
    /// Every reason.
    pub const ALL: [LossReason; 13] = [
        LossReason::Loss,
        LossReason::Script,
        LossReason::QueueFull,
        LossReason::CoDel,
        LossReason::TooLarge,
        LossReason::Fragment,
        LossReason::Partition,
        LossReason::Checksum,
        LossReason::NoMapping,
        LossReason::Refused,
        LossReason::NoRoute,
        LossReason::Overflow,
        LossReason::Down,
    ];

    /// Its name in tables and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        LOSSES[self as usize]
    }
}

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// A node sent it.
    Sent,
    /// An attacker made it up.
    Injected,
    /// It reached a node's socket.
    Delivered,
    /// A copy of it was made.
    Duplicated,
    /// Its bytes were changed.
    Damaged,
    /// It is lost.
    Lost(LossReason),
}

/// Somebody who watches a run. Every method does nothing by default.
pub trait Observer {
    /// A datagram, at each station of its life.
    fn datagram(&mut self, now: Instant, packet: &Packet, fate: Fate) {
        let _ = (now, packet, fate);
    }

    /// A timer of a node's endpoint came due.
    fn timer(&mut self, now: Instant, node: NodeId, wake: Wake) {
        let _ = (now, node, wake);
    }

    /// A node's endpoint told its application something.
    fn event(&mut self, now: Instant, node: NodeId, event: &Event) {
        let _ = (now, node, event);
    }

    /// A node was told of an error about packets to an address.
    fn error(&mut self, now: Instant, node: NodeId, about: std::net::SocketAddr, error: NetworkError) {
        let _ = (now, node, about, error);
    }

    /// An action of the scenario, or a change of phase.
    fn note(&mut self, now: Instant, node: Option<NodeId>, text: &str) {
        let _ = (now, node, text);
    }

    /// An oracle found something wrong.
    fn violation(&mut self, violation: &Violation) {
        let _ = violation;
    }
}
