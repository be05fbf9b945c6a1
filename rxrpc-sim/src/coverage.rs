//! What runs have reached: kinds of faults, packet types, ACK reasons, states, limits, errors.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use rxrpc_proto::wire::{AckReason, PacketType};
use rxrpc_proto::{CallError, EndpointStats, Fault, Outcome, TimeoutKind, Wake};

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

fn can_be_reached(name: &str) -> bool {
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
const WAKES: [&str; 13] = [
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

const STAGES: [&str; CallStage::ALL.len()] = [
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

const LIMITS: [&str; Limit::ALL.len()] = [
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
const WORKLOADS: [&str; Workload::ALL.len()] = [
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
fn misdeeds() -> &'static [&'static str] {
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
const OF_TASKS: [&str; 2] = ["cancelled-future", "spurious-ready"];

/// Whether runs of the full harness can reach it. They see no timer of an endpoint but through its driver, and the
/// handles of calls have no way to end a call with an error of the client's choice.
fn is_reached_by_tasks(kind: Kind, name: &str) -> bool {
    !matches!((kind, name), (Kind::Wake, _) | (Kind::Outcome, "short" | "excess"))
}

/// Counts of everything that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Runs of the full harness are among those that are counted.
    pub(crate) full: bool,
    faults: BTreeMap<&'static str, u64>,
    losses: [u64; LOSSES.len()],
    packets: [u64; PACKETS.len()],
    reasons: [u64; REASONS.len()],
    wakes: [u64; WAKES.len()],
    stages: [u64; STAGES.len()],
    limits: [u64; LIMITS.len()],
    outcomes: [u64; OUTCOMES.len()],
    misdeeds: [u64; Fault::COUNT],
    workloads: [u64; WORKLOADS.len()],
}

impl Default for Coverage {
    fn default() -> Self {
        Coverage {
            full: false,
            faults: BTreeMap::new(),
            losses: [0; LOSSES.len()],
            packets: [0; PACKETS.len()],
            reasons: [0; REASONS.len()],
            wakes: [0; WAKES.len()],
            stages: [0; STAGES.len()],
            limits: [0; LIMITS.len()],
            outcomes: [0; OUTCOMES.len()],
            misdeeds: [0; Fault::COUNT],
            workloads: [0; WORKLOADS.len()],
        }
    }
}

fn add(counts: &mut [u64], i: usize) {
    if let Some(count) = counts.get_mut(i) {
        *count += 1;
    }
}

impl Coverage {
    /// A fault struck.
    pub fn fault(&mut self, name: &'static str) {
        *self.faults.entry(name).or_insert(0) += 1;
    }

    /// A packet was lost.
    pub fn loss(&mut self, reason: LossReason) {
        add(&mut self.losses, reason as usize);
    }

    /// A packet arrived.
    pub fn packet(&mut self, packet_type: PacketType) {
        add(&mut self.packets, usize::from(packet_type.to_u8()));
    }

    /// An ACK was sent.
    pub fn reason(&mut self, reason: AckReason) {
        add(&mut self.reasons, usize::from(reason.to_u8()));
    }

    /// A timer came due.
    pub fn wake(&mut self, wake: Wake) {
        add(&mut self.wakes, wake as usize);
    }

    /// A call was seen at this stage.
    pub fn stage(&mut self, stage: CallStage) {
        add(&mut self.stages, stage as usize);
    }

    /// A limit was reached.
    pub fn limit(&mut self, limit: Limit) {
        add(&mut self.limits, limit as usize);
    }

    /// A call ended.
    pub fn outcome(&mut self, outcome: &Outcome) {
        add(&mut self.outcomes, outcome_index(outcome));
    }

    /// What an endpoint has seen its peers do wrong, all its life.
    pub fn misdeeds(&mut self, stats: &EndpointStats) {
        for (count, fault) in self.misdeeds.iter_mut().zip(Fault::all()) {
            *count += stats.fault(fault);
        }
    }

    /// An application does this.
    pub fn workload(&mut self, workload: Workload) {
        add(&mut self.workloads, workload as usize);
    }

    fn arrays(&self) -> [&[u64]; 9] {
        let Coverage { faults: _, losses, packets, reasons, wakes, stages, limits, outcomes, .. } = self;
        let Coverage { misdeeds, workloads, .. } = self;
        [losses, packets, reasons, wakes, stages, limits, outcomes, misdeeds, workloads]
    }

    /// Add the counts of another run.
    pub fn merge(&mut self, other: &Coverage) {
        self.full |= other.full;
        for (name, n) in &other.faults {
            *self.faults.entry(name).or_insert(0) += n;
        }
        let Coverage { faults: _, losses, packets, reasons, wakes, stages, limits, outcomes, .. } = self;
        let Coverage { misdeeds, workloads, .. } = self;
        let mine: [&mut [u64]; 9] =
            [losses, packets, reasons, wakes, stages, limits, outcomes, misdeeds, workloads];
        for (mine, theirs) in mine.into_iter().zip(other.arrays()) {
            mine.iter_mut().zip(theirs).for_each(|(m, t)| *m += t);
        }
    }

    /// Everything that a campaign is to reach, with how often it did.
    #[must_use]
    pub fn table(&self) -> Vec<(Kind, &'static str, u64)> {
        let mut table: Vec<_> = FAULTS
            .iter()
            .map(|name| (Kind::Fault, *name, self.faults.get(name).copied().unwrap_or(0)))
            .collect();
        for (kind, counts) in Kind::ALL.into_iter().skip(1).zip(self.arrays()) {
            let rows = kind.names().iter().zip(counts).map(|(name, n)| (kind, *name, *n));
            table.extend(rows.filter(|(_, name, _)| can_be_reached(name)));
        }
        table.retain(|(kind, name, n)| *n > 0 || self.is_reachable(*kind, name));
        table
    }

    /// How often something was reached; `None` if nothing has that name.
    #[must_use]
    pub fn count(&self, kind: Kind, name: &str) -> Option<u64> {
        let place = kind.names().iter().position(|known| *known == name && can_be_reached(known))?;
        let counts = self.arrays();
        match Kind::ALL.iter().skip(1).position(|k| *k == kind) {
            None => Some(self.faults.get(name).copied().unwrap_or(0)),
            Some(array) => counts[array].get(place).copied(),
        }
    }

    /// Add so many to a count. False if nothing has that name.
    pub fn add(&mut self, kind: Kind, name: &str, n: u64) -> bool {
        let Some(place) = kind.names().iter().position(|known| *known == name && can_be_reached(known))
        else {
            return false;
        };
        let Coverage {
            full: _,
            faults,
            losses,
            packets,
            reasons,
            wakes,
            stages,
            limits,
            outcomes,
            misdeeds,
            workloads,
        } = self;
        let count = match kind {
            Kind::Fault => faults.entry(FAULTS[place]).or_insert(0),
            Kind::Loss => &mut losses[place],
            Kind::Packet => &mut packets[place],
            Kind::AckReason => &mut reasons[place],
            Kind::Wake => &mut wakes[place],
            Kind::Stage => &mut stages[place],
            Kind::Limit => &mut limits[place],
            Kind::Outcome => &mut outcomes[place],
            Kind::Misdeed => &mut misdeeds[place],
            Kind::Workload => &mut workloads[place],
        };
        *count += n;
        true
    }

    fn is_reachable(&self, kind: Kind, name: &str) -> bool {
        if self.full { is_reached_by_tasks(kind, name) } else { !OF_TASKS.contains(&name) }
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

/// The name of an end of a call.
pub(crate) const fn outcome_name(outcome: &Outcome) -> &'static str {
    OUTCOMES[outcome_index(outcome)]
}

/// Place in [`OUTCOMES`].
const fn outcome_index(outcome: &Outcome) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_has_the_name_of_what_it_counts() {
        let mut coverage = Coverage::default();
        coverage.wake(Wake::Version);
        coverage.reason(AckReason::Idle);
        coverage.packet(PacketType::Version);
        coverage.loss(LossReason::Down);
        coverage.stage(CallStage::Ended);
        coverage.limit(Limit::Amplification);
        coverage.outcome(&Err(CallError::EndpointClosed));
        coverage.fault("injected");
        let mut reached: Vec<_> = coverage.table().into_iter().filter(|(_, _, n)| *n == 1).collect();
        reached.sort_unstable();
        let names: Vec<_> = reached.iter().map(|(_, name, _)| *name).collect();
        let expected =
            ["injected", "down", "version", "IDLE", "version", "ended", "amplification", "endpoint-closed"];
        assert_eq!(names, expected);
        assert_eq!(coverage.zeroes().len(), coverage.table().len() - expected.len());
        assert_eq!(AckReason::Idle.name(), "IDLE");
    }

    #[test]
    fn counts_can_be_taken_apart_and_added_up_again() {
        let mut coverage = Coverage::default();
        for (n, (kind, name, _)) in (1..).zip(Coverage::default().table()) {
            assert!(coverage.add(kind, name, n) && coverage.add(kind, name, n));
            assert_eq!(coverage.count(kind, name), Some(2 * n));
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!(coverage.zeroes().is_empty());
        for (kind, name) in [(Kind::Outcome, "(other)"), (Kind::Packet, ""), (Kind::Limit, "busy")] {
            assert!(!coverage.add(kind, name, 1));
            assert_eq!(coverage.count(kind, name), None);
        }
    }

    #[test]
    fn merging_adds() {
        let mut a = Coverage::default();
        a.fault("crash");
        a.limit(Limit::Calls);
        let b = a.clone();
        a.merge(&b);
        let twice: Vec<_> = a.table().into_iter().filter(|(_, _, n)| *n == 2).collect();
        assert_eq!(twice.len(), 2);
    }
}
