//! What can be reached, by kind and name.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use rxrpc_proto::Fault;

use super::errors::{ERRORS, NETWORK, OUTCOMES};
use super::exempt::can_be_reached;
use super::limits::LIMITS;
use crate::observer::LossReason;

/// Where a call was, as its application sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CallStage {
    /// Client: begun, nothing sent.
    Queued,
    /// Client: the request is under way.
    SendRequest,
    /// Client: the request is written and sent; no reply yet.
    AwaitReply,
    /// Client: the reply is coming in.
    RecvReply,
    /// Server: waits to be accepted.
    Waiting,
    /// Server: the request is coming in.
    RecvRequest,
    /// Server: works on it.
    Working,
    /// Server: the reply is under way.
    SendReply,
    /// Server: the reply is written; the final acknowledgement is missing.
    AwaitAck,
    /// Over.
    Ended,
}

impl CallStage {
    /// Every stage.
    pub const ALL: [CallStage; 10] = [
        CallStage::Queued,
        CallStage::SendRequest,
        CallStage::AwaitReply,
        CallStage::RecvReply,
        CallStage::Waiting,
        CallStage::RecvRequest,
        CallStage::Working,
        CallStage::SendReply,
        CallStage::AwaitAck,
        CallStage::Ended,
    ];
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Kinds of faults that struck.
    Fault,
    /// Reasons for which packets were lost.
    Loss,
    /// Packet types that arrived.
    Packet,
    /// Reasons of ACKs that were sent.
    AckReason,
    /// Reasons for timers.
    Wake,
    /// Stages that calls went through.
    Stage,
    /// Stages in which an end gave its call up, or found that it had ended.
    GivenUp,
    /// Limits reached.
    Limit,
    /// How calls ended.
    Outcome,
    /// What operations were refused with, and questions answered with.
    Error,
    /// What endpoints were told about the network.
    Network,
    /// What endpoints saw peers, or attackers, do wrong.
    Misdeed,
    /// What the applications do.
    Workload,
}

impl Kind {
    /// Every kind, in the order of tables.
    pub const ALL: [Kind; 13] = [
        Kind::Fault,
        Kind::Loss,
        Kind::Packet,
        Kind::AckReason,
        Kind::Wake,
        Kind::Stage,
        Kind::GivenUp,
        Kind::Limit,
        Kind::Outcome,
        Kind::Error,
        Kind::Network,
        Kind::Misdeed,
        Kind::Workload,
    ];

    /// Its name in tables and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Fault => "fault",
            Kind::Loss => "loss",
            Kind::Packet => "packet",
            Kind::AckReason => "ack",
            Kind::Wake => "wake",
            Kind::Stage => "stage",
            Kind::GivenUp => "given-up",
            Kind::Limit => "limit",
            Kind::Outcome => "outcome",
            Kind::Error => "error",
            Kind::Network => "network",
            Kind::Misdeed => "misdeed",
            Kind::Workload => "workload",
        }
    }

    /// The names of what can be reached.
    pub(crate) fn reachable(self) -> impl Iterator<Item = &'static str> {
        self.names().iter().copied().filter(move |name| can_be_reached(self, name))
    }

    /// The names of what is counted, in the order of the counters.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Kind::Fault => FAULTS,
            Kind::Loss => &LOSSES,
            Kind::Packet => &PACKETS,
            Kind::AckReason => &REASONS,
            Kind::Wake => &WAKES,
            Kind::Stage | Kind::GivenUp => &STAGES,
            Kind::Limit => &LIMITS,
            Kind::Outcome => &OUTCOMES,
            Kind::Error => &ERRORS,
            Kind::Network => &NETWORK,
            Kind::Misdeed => misdeeds(),
            Kind::Workload => &WORKLOADS,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name).join(", ");
            format!("nothing of kind '{text}' is counted; the kinds are {names}")
        })
    }
}

pub(crate) const LOSSES: [&str; LossReason::ALL.len()] = [
    "loss",
    "script",
    "queue-full",
    "codel",
    "too-large",
    "fragment",
    "partition",
    "checksum",
    "no-mapping",
    "refused",
    "no-route",
    "overflow",
    "down",
];

/// By their numbers.
pub(crate) const PACKETS: [&str; 14] = [
    "",
    "data",
    "ack",
    "busy",
    "abort",
    "ackall",
    "challenge",
    "response",
    "debug",
    "",
    "",
    "",
    "",
    "version",
];

/// By their numbers.
pub(crate) const REASONS: [&str; 10] =
    ["", "REQ", "DUP", "OOS", "WIN", "NOSPACE", "PING", "PONG", "DELAY", "IDLE"];

/// In the order of the variants.
pub(super) const WAKES: [&str; 13] = [
    "retransmit",
    "reorder",
    "delayed-ack",
    "keepalive",
    "silence",
    "request-gap",
    "unreachable",
    "lifetime",
    "final-ack",
    "connection-expiry",
    "address-check",
    "peer",
    "version",
];

pub(super) const STAGES: [&str; CallStage::ALL.len()] = [
    "queued",
    "send-request",
    "await-reply",
    "recv-reply",
    "waiting",
    "recv-request",
    "working",
    "send-reply",
    "await-ack",
    "ended",
];

/// What applications do, by what is asked of the endpoints.
pub(super) const WORKLOADS: [&str; Workload::ALL.len()] = [
    "tiny",
    "stream-up",
    "stream-down",
    "slow-reader",
    "stalling-writer",
    "aborted",
    "cancelled",
    "after-idle",
    "all-channels",
    "callback",
];

/// What applications do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Workload {
    /// Request and reply fit a packet each.
    Tiny,
    /// A request of 64 KiB or more.
    StreamUp,
    /// A reply of 64 KiB or more.
    StreamDown,
    /// A reader that pauses.
    SlowReader,
    /// A writer that pauses.
    StallingWriter,
    /// A call that an end aborts at some point.
    Aborted,
    /// A call that an end forgets, as a cancelled future does.
    Cancelled,
    /// A call after a second or more without any.
    AfterIdle,
    /// A call while at least four others of the node live.
    AllChannels,
    /// A call of a node that serves calls of the other.
    Callback,
}

impl Workload {
    /// Every one.
    pub const ALL: [Workload; 10] = [
        Workload::Tiny,
        Workload::StreamUp,
        Workload::StreamDown,
        Workload::SlowReader,
        Workload::StallingWriter,
        Workload::Aborted,
        Workload::Cancelled,
        Workload::AfterIdle,
        Workload::AllChannels,
        Workload::Callback,
    ];
}

/// By their indices.
pub(super) fn misdeeds() -> &'static [&'static str] {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| Fault::all().map(|fault| fault.name()).collect())
}

/// Every fault that a scenario can hold, by the name it is counted under.
pub const FAULTS: &[&str] = &[
    "loss-bernoulli",
    "loss-gilbert",
    "loss-correlated",
    "script",
    "delay-fixed",
    "delay-uniform",
    "delay-normal",
    "delay-pareto",
    "delay-samples",
    "delay-correlated",
    "reorder-delay",
    "reorder-gap",
    "duplicate",
    "corrupt-caught",
    "corrupt-bit",
    "corrupt-byte",
    "corrupt-truncate",
    "corrupt-extend",
    "corrupt-splice",
    "replay",
    "rate-taildrop",
    "rate-codel",
    "mtu-fragments",
    "mtu-reports",
    "mtu-black-hole",
    "partition-both-ways",
    "partition-one-way",
    "icmp-true",
    "icmp-late",
    "icmp-forged",
    "nat-timeout",
    "nat-rebinding",
    "nat-blocks",
    "pause",
    "crash",
    "close",
    "send-blocked",
    "gso-refused",
    "receive-overflow",
    "clock-jump",
    "clock-skew",
    "clock-drift",
    "timer-coarse",
    "timer-late",
    "injected",
    "injected-inside",
    "cancelled-future",
    "spurious-ready",
];
