//! What runs have reached: kinds of faults, packet types, ACK reasons, states, limits, errors.

mod names;

use std::collections::BTreeMap;
use std::fmt;

use rxrpc_proto::wire::{AckReason, PacketType};
use rxrpc_proto::{EndpointStats, Fault, Outcome, Wake};

use crate::observer::LossReason;
pub use names::{CallStage, FAULTS, Kind, Limit, Workload};
use names::{LIMITS, OF_TASKS, STAGES, WAKES, WORKLOADS, can_be_reached, is_reached_by_tasks, outcome_index};
pub(crate) use names::{LOSSES, OUTCOMES, PACKETS, REASONS, outcome_name};

/// Counts of everything that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Runs of the direct harness are among those that are counted.
    pub(crate) direct: bool,
    /// Runs of the full harness are.
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
            direct: false,
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
    /// Nothing yet, of runs of these harnesses: what they can reach is to be reached.
    #[must_use]
    pub fn of(direct: bool, full: bool) -> Self {
        Coverage { direct, full, ..Coverage::default() }
    }

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
        self.direct |= other.direct;
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
            direct: _,
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

    pub(crate) fn is_reachable(&self, kind: Kind, name: &str) -> bool {
        let by_tasks = self.full && is_reached_by_tasks(kind, name);
        by_tasks || (self.direct || !self.full) && !OF_TASKS.contains(&name)
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

#[cfg(test)]
mod tests {
    use rxrpc_proto::CallError;

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
