//! What runs have reached: kinds of faults, packet types, ACK reasons, states, limits, errors.

mod errors;
mod exempt;
mod limits;
mod names;

use std::collections::BTreeMap;
use std::fmt;

use rxrpc_proto::wire::{AckReason, PacketType};
use rxrpc_proto::{EndpointStats, Fault, NetworkError, Outcome, Wake};

use crate::observer::LossReason;
use crate::scenario::EndpointSpec;
use errors::{ERRORS, NETWORK};
pub(crate) use errors::{OUTCOMES, Refusal, outcome_index};
use exempt::{OF_TASKS, can_be_reached, is_reached_by_tasks};
use limits::LIMITS;
pub use limits::Limit;
pub use names::{CallStage, FAULTS, Kind, Workload};
pub(crate) use names::{LOSSES, PACKETS, REASONS};
use names::{STAGES, WAKES, WORKLOADS};

/// How many counters each kind has, in the order of [`Kind::ALL`]. Faults are counted by name.
const LENGTHS: [usize; Kind::ALL.len()] = [
    0,
    LOSSES.len(),
    PACKETS.len(),
    REASONS.len(),
    WAKES.len(),
    STAGES.len(),
    STAGES.len(),
    LIMITS.len(),
    OUTCOMES.len(),
    ERRORS.len(),
    NETWORK.len(),
    Fault::COUNT,
    WORKLOADS.len(),
];

/// Where the counters of each kind begin, and where those of the last one end.
const PLACES: [usize; Kind::ALL.len() + 1] = {
    let mut places = [0; Kind::ALL.len() + 1];
    let mut kind = 0;
    while kind < LENGTHS.len() {
        places[kind + 1] = places[kind] + LENGTHS[kind];
        kind += 1;
    }
    places
};

/// Counts of everything that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Runs of the direct harness are among those that are counted.
    pub(crate) direct: bool,
    /// Runs of the full harness are.
    pub(crate) full: bool,
    faults: BTreeMap<&'static str, u64>,
    /// Of the other kinds, one after the other.
    counts: [u64; PLACES[Kind::ALL.len()]],
}

impl Default for Coverage {
    fn default() -> Self {
        let counts = [0; PLACES[Kind::ALL.len()]];
        Coverage { direct: false, full: false, faults: BTreeMap::new(), counts }
    }
}

impl Coverage {
    /// Nothing yet, of runs of these harnesses: what they can reach is to be reached.
    #[must_use]
    pub fn of(direct: bool, full: bool) -> Self {
        Coverage { direct, full, ..Coverage::default() }
    }

    fn add_at(&mut self, kind: Kind, place: usize, n: u64) {
        let [from, to] = [PLACES[kind as usize], PLACES[kind as usize + 1]];
        if let Some(count) = self.counts[from..to].get_mut(place) {
            *count += n;
        }
    }

    /// A fault struck.
    pub fn fault(&mut self, name: &'static str) {
        *self.faults.entry(name).or_insert(0) += 1;
    }

    /// A packet was lost.
    pub fn loss(&mut self, reason: LossReason) {
        self.add_at(Kind::Loss, reason as usize, 1);
    }

    /// A packet arrived.
    pub fn packet(&mut self, packet_type: PacketType) {
        self.add_at(Kind::Packet, usize::from(packet_type.to_u8()), 1);
    }

    /// An ACK was sent.
    pub fn reason(&mut self, reason: AckReason) {
        self.add_at(Kind::AckReason, usize::from(reason.to_u8()), 1);
    }

    /// A timer came due.
    pub fn wake(&mut self, wake: Wake) {
        self.add_at(Kind::Wake, wake as usize, 1);
    }

    /// A call has come to this stage.
    pub fn stage(&mut self, stage: CallStage) {
        self.add_at(Kind::Stage, stage as usize, 1);
    }

    /// An end gave its call up at this stage.
    pub fn given_up(&mut self, stage: CallStage) {
        self.add_at(Kind::GivenUp, stage as usize, 1);
    }

    /// A limit was reached.
    pub fn limit(&mut self, limit: Limit) {
        self.add_at(Kind::Limit, limit as usize, 1);
    }

    /// A call ended.
    pub fn outcome(&mut self, outcome: &Outcome) {
        self.add_at(Kind::Outcome, outcome_index(outcome), 1);
    }

    /// An operation was refused.
    pub(crate) fn error(&mut self, error: &impl Refusal) {
        self.add_at(Kind::Error, error.place(), 1);
    }

    /// An endpoint is told about the network.
    pub fn network(&mut self, error: NetworkError) {
        self.add_at(Kind::Network, error.index(), 1);
    }

    /// What an endpoint holds at some moment.
    pub(crate) fn holds(&mut self, spec: &EndpointSpec, stats: &EndpointStats) {
        if stats.client_connections > spec.fast_reap_above {
            self.limit(Limit::FastReap);
        }
    }

    /// What an endpoint has seen its peers do wrong, and at which limits it was, all its life.
    pub fn endpoint(&mut self, stats: &EndpointStats) {
        for (place, fault) in Fault::all().enumerate() {
            self.add_at(Kind::Misdeed, place, stats.fault(fault));
        }
        for (limit, n) in limits::counted(&stats.limits) {
            self.add_at(Kind::Limit, limit as usize, n);
        }
    }

    /// An application does this.
    pub fn workload(&mut self, workload: Workload) {
        self.add_at(Kind::Workload, workload as usize, 1);
    }

    /// Add the counts of another run.
    pub fn merge(&mut self, other: &Coverage) {
        self.direct |= other.direct;
        self.full |= other.full;
        for (name, n) in &other.faults {
            *self.faults.entry(name).or_insert(0) += n;
        }
        self.counts.iter_mut().zip(other.counts).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Everything that a campaign is to reach, with how often it did.
    #[must_use]
    pub fn table(&self) -> Vec<(Kind, &'static str, u64)> {
        let rows = Kind::ALL.into_iter().flat_map(|kind| {
            let names = kind.names().iter().enumerate().filter(move |(_, name)| can_be_reached(kind, name));
            names.map(move |(place, name)| (kind, *name, self.at(kind, place)))
        });
        rows.filter(|(kind, name, n)| *n > 0 || self.is_reachable(*kind, name)).collect()
    }

    fn at(&self, kind: Kind, place: usize) -> u64 {
        match kind {
            Kind::Fault => FAULTS.get(place).and_then(|name| self.faults.get(name)).copied().unwrap_or(0),
            _ => self.counts[PLACES[kind as usize] + place],
        }
    }

    /// How often something was reached; `None` if nothing has that name.
    #[must_use]
    pub fn count(&self, kind: Kind, name: &str) -> Option<u64> {
        Some(self.at(kind, place_of(kind, name)?))
    }

    /// Add so many to a count. False if nothing has that name.
    pub fn add(&mut self, kind: Kind, name: &str, n: u64) -> bool {
        let Some(place) = place_of(kind, name) else { return false };
        match kind {
            Kind::Fault => *self.faults.entry(FAULTS[place]).or_insert(0) += n,
            _ => self.add_at(kind, place, n),
        }
        true
    }

    pub(crate) fn is_reachable(&self, kind: Kind, name: &str) -> bool {
        let by_tasks = self.full && is_reached_by_tasks(kind, name);
        by_tasks || (self.direct || !self.full) && !OF_TASKS.contains(&(kind, name))
    }

    /// What a campaign is to reach and did not.
    #[must_use]
    pub fn zeroes(&self) -> Vec<(Kind, &'static str)> {
        self.table().into_iter().filter(|(_, _, n)| *n == 0).map(|(kind, name, _)| (kind, name)).collect()
    }
}

/// The place among its kind of what has this name and can be reached.
fn place_of(kind: Kind, name: &str) -> Option<usize> {
    kind.names().iter().position(|known| *known == name && can_be_reached(kind, known))
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

#[cfg(test)]
mod tests {
    use rxrpc_proto::{CallError, WriteError};

    use super::*;

    #[test]
    fn each_counter_has_the_name_of_what_it_counts() {
        let mut coverage = Coverage::default();
        coverage.wake(Wake::Version);
        coverage.reason(AckReason::Idle);
        coverage.packet(PacketType::Version);
        coverage.loss(LossReason::Down);
        coverage.stage(CallStage::Ended);
        coverage.given_up(CallStage::Queued);
        coverage.error(&WriteError::Short);
        coverage.network(NetworkError::Other(5));
        coverage.limit(Limit::Amplification);
        coverage.outcome(&Err(CallError::EndpointClosed));
        coverage.fault("injected");
        let mut reached: Vec<_> = coverage.table().into_iter().filter(|(_, _, n)| *n == 1).collect();
        reached.sort_unstable();
        let names: Vec<_> = reached.iter().map(|(_, name, _)| *name).collect();
        let expected = [
            "injected",
            "down",
            "version",
            "IDLE",
            "version",
            "ended",
            "queued",
            "amplification",
            "endpoint-closed",
            "write-short",
            "other",
        ];
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
        for (kind, name) in [(Kind::Outcome, "timeout"), (Kind::Packet, ""), (Kind::Limit, "busy")] {
            assert!(!coverage.add(kind, name, 1));
            assert_eq!(coverage.count(kind, name), None);
        }
    }

    #[test]
    fn what_either_harness_can_reach_is_to_be_reached_by_both_together() {
        let (wake, task) = ((Kind::Wake, "version"), (Kind::Fault, "spurious-ready"));
        let (direct, full) = (Coverage::of(true, false), Coverage::of(false, true));
        for coverage in [&direct, &Coverage::default()] {
            assert!(coverage.zeroes().contains(&wake) && !coverage.zeroes().contains(&task));
        }
        assert!(full.zeroes().contains(&task) && !full.zeroes().contains(&wake));
        let mut both = Coverage::default();
        both.merge(&full);
        assert_eq!(both, full);
        both.merge(&direct);
        assert!(both.zeroes().contains(&task) && both.zeroes().contains(&wake));
    }

    #[test]
    fn each_kind_has_as_many_counters_as_names() {
        for (i, kind) in Kind::ALL.into_iter().enumerate().skip(1) {
            assert_eq!((kind as usize, LENGTHS[i]), (i, kind.names().len()), "{kind}");
        }
    }

    /// What is left out is written here once more, so that nothing is left out by the way.
    #[test]
    fn only_this_is_not_to_be_reached() {
        let exempt = exempt::EXEMPT.map(|(kind, name, _)| (kind, name));
        let expected = [
            (Kind::AckReason, "NOSPACE"),
            (Kind::Outcome, "timeout"),
            (Kind::Outcome, "local"),
            (Kind::Outcome, "path-mtu"),
            (Kind::Outcome, "too-long"),
        ];
        assert_eq!(exempt, expected);
        let by_tasks = exempt::NOT_BY_TASKS.map(|(kind, name, _)| (kind, name));
        let errors = [
            "write-blocked",
            "write-request-unfinished",
            "write-not-accepted",
            "read-blocked",
            "read-short",
            "read-excess",
            "read-not-accepted",
            "accept-nothing-waiting",
        ];
        assert_eq!(by_tasks[..2], [(Kind::Outcome, "short"), (Kind::Outcome, "excess")]);
        assert_eq!(by_tasks[2..], errors.map(|name| (Kind::Error, name)));
        let named = |(kind, name): &(Kind, &str)| kind.names().contains(name);
        assert!([&exempt[..], &by_tasks, &OF_TASKS].concat().iter().all(named));
        let names = Kind::ALL.into_iter().flat_map(|kind| kind.names().iter().map(move |name| (kind, *name)));
        let required = names.filter(|(_, name)| !name.is_empty()).count() - expected.len() - OF_TASKS.len();
        assert_eq!(Coverage::default().zeroes().len(), required);
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
