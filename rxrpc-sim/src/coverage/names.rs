//! What can be reached, by kind and name.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use rxrpc_proto::{CallError, Fault, Outcome, TimeoutKind};

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

/// A limit with a defined answer that was reached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Limit {
    /// `BeginCallError::TooManyCalls`.
    Calls,
    /// `BeginCallError::TooManyCallsToPeer`.
    CallsPerPeer,
    /// A call began that had to wait for a channel.
    Channels,
    /// `WriteError::Blocked`.
    Write,
    /// A window of 0 was offered.
    Window,
    /// A packet beyond the window came.
    BeyondWindow,
    /// A call found no room, in the backlog or among the calls, and was told BUSY.
    Backlog,
    /// A connection was refused for want of room.
    Connections,
    /// An answer to a stranger or a replay was left out.
    Answers,
    /// `VersionError::TooMany`.
    Versions,
    /// An unvalidated peer had to wait for its budget.
    Amplification,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Limit; 11] = [
        Limit::Calls,
        Limit::CallsPerPeer,
        Limit::Channels,
        Limit::Write,
        Limit::Window,
        Limit::BeyondWindow,
        Limit::Backlog,
        Limit::Connections,
        Limit::Answers,
        Limit::Versions,
        Limit::Amplification,
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
    /// Stages in which calls were ended, or found to have ended.
    Stage,
    /// Limits reached.
    Limit,
    /// How calls ended.
    Outcome,
    /// What endpoints saw peers, or attackers, do wrong.
    Misdeed,
    /// What the applications do.
    Workload,
}

impl Kind {
    /// Every kind, in the order of tables.
    pub const ALL: [Kind; 10] = [
        Kind::Fault,
        Kind::Loss,
        Kind::Packet,
        Kind::AckReason,
        Kind::Wake,
        Kind::Stage,
        Kind::Limit,
        Kind::Outcome,
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
            Kind::Limit => "limit",
            Kind::Outcome => "outcome",
            Kind::Misdeed => "misdeed",
            Kind::Workload => "workload",
        }
    }

    /// The names of what can be reached.
    pub(crate) fn reachable(self) -> impl Iterator<Item = &'static str> {
        self.names().iter().copied().filter(|name| can_be_reached(name))
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
            Kind::Stage => &STAGES,
            Kind::Limit => &LIMITS,
            Kind::Outcome => &OUTCOMES,
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

pub(super) fn can_be_reached(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('(')
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

/// By their numbers. NOSPACE is never sent.
pub(crate) const REASONS: [&str; 10] = ["", "REQ", "DUP", "OOS", "WIN", "", "PING", "PONG", "DELAY", "IDLE"];

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

pub(super) const LIMITS: [&str; Limit::ALL.len()] = [
    "calls",
    "calls-per-peer",
    "channels",
    "write",
    "window",
    "beyond-window",
    "backlog",
    "connections",
    "answers",
    "versions",
    "amplification",
];

/// How calls can end. A name in brackets is of an end that nothing leads to: no endpoint makes `Local` or `PathMtu`
/// itself as long as it does not look for the path MTU, `TooLong` takes a request of 2^32 packets, and there are no
/// other variants.
pub(crate) const OUTCOMES: [&str; 17] = [
    "ok",
    "remote-abort",
    "local-abort",
    "protocol",
    "busy",
    "network",
    "(local)",
    "silence",
    "request-gap",
    "lifetime",
    "peer-restarted",
    "(path-mtu)",
    "(too-long)",
    "short",
    "excess",
    "endpoint-closed",
    "(other)",
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

/// Faults of tasks, which only the full harness has.
pub(super) const OF_TASKS: [&str; 2] = ["cancelled-future", "spurious-ready"];

/// Whether runs of the full harness can reach it. They see no timer of an endpoint but through its driver, and the
/// handles of calls have no way to end a call with an error of the client's choice.
pub(super) fn is_reached_by_tasks(kind: Kind, name: &str) -> bool {
    !matches!((kind, name), (Kind::Wake, _) | (Kind::Outcome, "short" | "excess"))
}

/// The name of an end of a call.
pub(crate) const fn outcome_name(outcome: &Outcome) -> &'static str {
    OUTCOMES[outcome_index(outcome)]
}

/// Place in [`OUTCOMES`].
pub(super) const fn outcome_index(outcome: &Outcome) -> usize {
    match outcome {
        Ok(()) => 0,
        Err(CallError::RemoteAbort(_)) => 1,
        Err(CallError::LocalAbort(_)) => 2,
        Err(CallError::Protocol(_)) => 3,
        Err(CallError::Busy) => 4,
        Err(CallError::Network(_)) => 5,
        Err(CallError::Local(_)) => 6,
        Err(CallError::Timeout(TimeoutKind::Silence)) => 7,
        Err(CallError::Timeout(TimeoutKind::RequestGap)) => 8,
        Err(CallError::Timeout(TimeoutKind::Lifetime)) => 9,
        Err(CallError::PeerRestarted) => 10,
        Err(CallError::PathMtu) => 11,
        Err(CallError::TooLong) => 12,
        Err(CallError::Short) => 13,
        Err(CallError::Excess) => 14,
        Err(CallError::EndpointClosed) => 15,
        Err(_) => 16,
    }
}
