//! Watching a run: for traces, captures and pages.

use std::fmt;

use rxrpc_proto::{CallInfo, Event, Instant, NetworkError, Wake};

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

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LossReason::Loss => "by chance",
            LossReason::Script => "by the script",
            LossReason::QueueFull => "queue full",
            LossReason::CoDel => "CoDel",
            LossReason::TooLarge => "too large for the path",
            LossReason::Fragment => "a fragment was lost",
            LossReason::Partition => "partition",
            LossReason::Checksum => "wrong checksum",
            LossReason::NoMapping => "no mapping at the address translator",
            LossReason::Refused => "refused by a router",
            LossReason::NoRoute => "no such address",
            LossReason::Overflow => "receive buffer full",
            LossReason::Down => "node down",
        })
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

    /// The state of a call of a node's endpoint: of every call whenever the node has had something to do, and
    /// of one that is told of an end before its application can forget it. Often nothing has changed.
    fn sample(&mut self, now: Instant, node: NodeId, call: &CallInfo) {
        let _ = (now, node, call);
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
