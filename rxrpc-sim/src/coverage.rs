//! What runs have reached: kinds of faults, packet types, ACK reasons, states, limits, errors.

use std::collections::BTreeMap;
use std::fmt;

use rxrpc_proto::wire::{AckReason, PacketType};
use rxrpc_proto::{CallError, TimeoutKind, Wake};

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
    const ALL: [CallStage; 10] = [
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
    /// More calls than channels: they wait.
    Channels,
    /// `WriteError::Blocked`.
    Write,
    /// A window of 0 was offered.
    Window,
    /// A packet beyond the window came.
    BeyondWindow,
    /// BUSY was sent: backlog or calls.
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
    const ALL: [Limit; 11] = [
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

/// Counts of everything that was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<(Kind, &'static str), u64>,
    sent: [u64; 14],
    delivered: [u64; 14],
    reasons: [u64; 11],
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
    /// Stages in which calls were seen.
    Stage,
    /// Limits reached.
    Limit,
    /// How calls ended.
    Outcome,
}

const PACKETS: [&str; 14] = [
    "none",
    "data",
    "ack",
    "busy",
    "abort",
    "ackall",
    "challenge",
    "response",
    "debug",
    "params9",
    "params10",
    "params11",
    "params12",
    "version",
];

const REASONS: [AckReason; 9] = [
    AckReason::Requested,
    AckReason::Duplicate,
    AckReason::OutOfSequence,
    AckReason::ExceedsWindow,
    AckReason::NoSpace,
    AckReason::Ping,
    AckReason::PingResponse,
    AckReason::Delay,
    AckReason::Idle,
];

const WAKES: [Wake; 13] = [
    Wake::Retransmit,
    Wake::Reorder,
    Wake::DelayedAck,
    Wake::Keepalive,
    Wake::Silence,
    Wake::RequestGap,
    Wake::Lifetime,
    Wake::FinalAck,
    Wake::ConnectionExpiry,
    Wake::AddressCheck,
    Wake::Peer,
    Wake::Version,
    Wake::Unreachable,
];

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
    "partition",
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
    "timer-disturbed",
    "injected",
];

/// How calls can end, by the name it is counted under.
pub const OUTCOMES: &[&str] = &[
    "ok",
    "remote-abort",
    "local-abort",
    "protocol",
    "busy",
    "network",
    "silence",
    "request-gap",
    "lifetime",
    "peer-restarted",
    "short",
    "endpoint-closed",
];

fn outcome_name(outcome: &Result<(), CallError>) -> &'static str {
    match outcome {
        Ok(()) => "ok",
        Err(CallError::RemoteAbort(_)) => "remote-abort",
        Err(CallError::LocalAbort(_)) => "local-abort",
        Err(CallError::Protocol(_)) => "protocol",
        Err(CallError::Busy) => "busy",
        Err(CallError::Network(_)) => "network",
        Err(CallError::Local(_)) => "local",
        Err(CallError::Timeout(TimeoutKind::Silence)) => "silence",
        Err(CallError::Timeout(TimeoutKind::RequestGap)) => "request-gap",
        Err(CallError::Timeout(TimeoutKind::Lifetime)) => "lifetime",
        Err(CallError::PeerRestarted) => "peer-restarted",
        Err(CallError::PathMtu) => "path-mtu",
        Err(CallError::TooLong) => "too-long",
        Err(CallError::Short) => "short",
        Err(CallError::Excess) => "excess",
        Err(CallError::EndpointClosed) => "endpoint-closed",
        Err(_) => "other",
    }
}

impl Coverage {
    fn add(&mut self, kind: Kind, name: &'static str, n: u64) {
        if n > 0 {
            *self.counts.entry((kind, name)).or_insert(0) += n;
        }
    }

    /// A fault struck.
    pub fn fault(&mut self, name: &'static str) {
        self.add(Kind::Fault, name, 1);
    }

    pub(crate) fn loss(&mut self, reason: LossReason) {
        self.add(Kind::Loss, loss_name(reason), 1);
    }

    pub(crate) fn sent(&mut self, packet_type: PacketType) {
        if let Some(count) = self.sent.get_mut(usize::from(packet_type.to_u8())) {
            *count += 1;
        }
    }

    pub(crate) fn delivered(&mut self, packet_type: PacketType) {
        if let Some(count) = self.delivered.get_mut(usize::from(packet_type.to_u8())) {
            *count += 1;
        }
    }

    pub(crate) fn reason(&mut self, reason: AckReason) {
        if let Some(count) = self.reasons.get_mut(usize::from(reason.to_u8())) {
            *count += 1;
        }
    }

    pub(crate) fn wake(&mut self, wake: Wake) {
        self.add(Kind::Wake, wake_name(wake), 1);
    }

    /// A call was seen at this stage.
    pub fn stage(&mut self, stage: CallStage) {
        self.add(Kind::Stage, stage_name(stage), 1);
    }

    /// A limit was reached.
    pub fn limit(&mut self, limit: Limit) {
        self.add(Kind::Limit, limit_name(limit), 1);
    }

    /// A call ended.
    pub fn outcome(&mut self, outcome: &Result<(), CallError>) {
        self.add(Kind::Outcome, outcome_name(outcome), 1);
    }

    /// Add the counts of another run.
    pub fn merge(&mut self, other: &Coverage) {
        for ((kind, name), n) in &other.counts {
            self.add(*kind, name, *n);
        }
        let pairs = [
            (&mut self.sent[..], &other.sent[..]),
            (&mut self.delivered[..], &other.delivered[..]),
            (&mut self.reasons[..], &other.reasons[..]),
        ];
        for (mine, theirs) in pairs {
            mine.iter_mut().zip(theirs).for_each(|(m, t)| *m += t);
        }
    }

    /// How often something was reached.
    #[must_use]
    pub fn count(&self, kind: Kind, name: &str) -> u64 {
        let find = |names: &[&str]| names.iter().position(|n| *n == name);
        match kind {
            Kind::Packet => find(&PACKETS).map_or(0, |i| self.delivered[i]),
            Kind::AckReason => {
                let reason = REASONS.iter().find(|r| r.name() == name);
                reason.map_or(0, |r| self.reasons[usize::from(r.to_u8())])
            }
            _ => self.counts.iter().find(|((k, n), _)| *k == kind && *n == name).map_or(0, |(_, n)| *n),
        }
    }

    /// Everything that a campaign is to reach, with how often it did.
    #[must_use]
    pub fn table(&self) -> Vec<(Kind, &'static str, u64)> {
        let mut names: Vec<(Kind, &'static str)> = FAULTS.iter().map(|n| (Kind::Fault, *n)).collect();
        // Nobody sends ACKALL or a handshake of ours here, but attackers do.
        names.extend((1..PACKETS.len()).filter(|i| *i <= 8 || *i == 13).map(|i| (Kind::Packet, PACKETS[i])));
        names.extend(
            REASONS.iter().filter(|r| **r != AckReason::NoSpace).map(|r| (Kind::AckReason, r.name())),
        );
        names.extend(WAKES.iter().map(|w| (Kind::Wake, wake_name(*w))));
        names.extend(CallStage::ALL.iter().map(|s| (Kind::Stage, stage_name(*s))));
        names.extend(Limit::ALL.iter().map(|l| (Kind::Limit, limit_name(*l))));
        names.extend(OUTCOMES.iter().map(|o| (Kind::Outcome, *o)));
        names.into_iter().map(|(kind, name)| (kind, name, self.count(kind, name))).collect()
    }

    /// What a campaign is to reach and did not.
    #[must_use]
    pub fn zeroes(&self) -> Vec<(Kind, &'static str)> {
        self.table().into_iter().filter(|(_, _, n)| *n == 0).map(|(kind, name, _)| (kind, name)).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for (kind, name, n) in self.table() {
            if last != Some(kind) {
                write!(f, "{}{kind:?}:", if last.is_some() { "\n" } else { "" })?;
                last = Some(kind);
            }
            write!(f, " {name}={n}")?;
        }
        Ok(())
    }
}

fn loss_name(reason: LossReason) -> &'static str {
    match reason {
        LossReason::Loss => "loss",
        LossReason::Script => "script",
        LossReason::QueueFull => "queue-full",
        LossReason::CoDel => "codel",
        LossReason::TooLarge => "too-large",
        LossReason::Fragment => "fragment",
        LossReason::Partition => "partition",
        LossReason::Checksum => "checksum",
        LossReason::NoMapping => "no-mapping",
        LossReason::Refused => "refused",
        LossReason::NoRoute => "no-route",
        LossReason::Overflow => "overflow",
        LossReason::Down => "down",
        LossReason::SenderGone => "sender-gone",
    }
}

fn wake_name(wake: Wake) -> &'static str {
    match wake {
        Wake::Retransmit => "retransmit",
        Wake::Reorder => "reorder",
        Wake::DelayedAck => "delayed-ack",
        Wake::Keepalive => "keepalive",
        Wake::Silence => "silence",
        Wake::RequestGap => "request-gap",
        Wake::Lifetime => "lifetime",
        Wake::FinalAck => "final-ack",
        Wake::ConnectionExpiry => "connection-expiry",
        Wake::AddressCheck => "address-check",
        Wake::Peer => "peer",
        Wake::Version => "version",
        Wake::Unreachable => "unreachable",
    }
}

fn stage_name(stage: CallStage) -> &'static str {
    match stage {
        CallStage::Queued => "queued",
        CallStage::SendRequest => "send-request",
        CallStage::AwaitReply => "await-reply",
        CallStage::RecvReply => "recv-reply",
        CallStage::Waiting => "waiting",
        CallStage::RecvRequest => "recv-request",
        CallStage::Working => "working",
        CallStage::SendReply => "send-reply",
        CallStage::AwaitAck => "await-ack",
        CallStage::Ended => "ended",
    }
}

fn limit_name(limit: Limit) -> &'static str {
    match limit {
        Limit::Calls => "calls",
        Limit::CallsPerPeer => "calls-per-peer",
        Limit::Channels => "channels",
        Limit::Write => "write",
        Limit::Window => "window",
        Limit::BeyondWindow => "beyond-window",
        Limit::Backlog => "backlog",
        Limit::Connections => "connections",
        Limit::Answers => "answers",
        Limit::Versions => "versions",
        Limit::Amplification => "amplification",
    }
}
