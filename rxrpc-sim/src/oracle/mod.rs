//! What must always hold. Every oracle is on in every run.

mod amplification;
mod figures;
mod flight;
mod ledger;
mod limits;
mod wire;

use std::fmt;

use rxrpc_proto::wire::{Flags, Malformed};
use rxrpc_proto::{Fault, Instant, Outcome};

pub use figures::Figures;
pub(crate) use ledger::{Checks, Finding, Ledger, Record};
pub(crate) use limits::check_limits;

use crate::coverage::Coverage;
use crate::packet::{NodeId, Packet};
use crate::scenario::{CallSpec, Edit, ElementKind, Mishap, Scenario, us};

/// Which oracle found something wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Oracle {
    /// Bytes arrive as they were written, all of them, in order.
    Stream,
    /// A server executes a call at most once.
    AtMostOnce,
    /// A call ends once, and nothing follows.
    EndsOnce,
    /// A call ends no later than its deadlines allow.
    Deadline,
    /// The two ends agree on what happened, as far as the protocol promises it.
    Agreement,
    /// Serials grow; sequence numbers are sent in order and end once.
    Sequence,
    /// Nothing is sent beyond the peer's window or the congestion window, nothing again that is acknowledged for good.
    Window,
    /// Only what has arrived is acknowledged, and an acknowledgement for good stands.
    Ack,
    /// Packets are well formed and of allowed size.
    Format,
    /// An endpoint keeps its limits.
    Limits,
    /// A peer that has not proved its address gets at most three times what it sent.
    Amplification,
    /// Work is in proportion to the input.
    Work,
    /// A timer that came due makes progress.
    Progress,
    /// A live call ends soon once the network is well again.
    Liveness,
    /// Once all is over nothing is left.
    Leftover,
    /// An operation answers as its contract says.
    Contract,
    /// No peer of ours breaks the protocol.
    Misbehaviour,
    /// The run comes to what its scenario expects.
    Expectation,
    /// Nothing panics, be it an endpoint or the simulator itself.
    Panic,
}

impl Oracle {
    /// Every oracle.
    pub const ALL: [Oracle; 19] = [
        Oracle::Stream,
        Oracle::AtMostOnce,
        Oracle::EndsOnce,
        Oracle::Deadline,
        Oracle::Agreement,
        Oracle::Sequence,
        Oracle::Window,
        Oracle::Ack,
        Oracle::Format,
        Oracle::Limits,
        Oracle::Amplification,
        Oracle::Work,
        Oracle::Progress,
        Oracle::Liveness,
        Oracle::Leftover,
        Oracle::Contract,
        Oracle::Misbehaviour,
        Oracle::Expectation,
        Oracle::Panic,
    ];
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Instant,
    /// At which node, if at one.
    pub node: Option<NodeId>,
    /// Who found it.
    pub oracle: Oracle,
    /// What.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} (", self.oracle, self.text)?;
        if let Some(node) = self.node {
            write!(f, "node {node}, ")?;
        }
        write!(f, "at {:?})", self.at)
    }
}

/// What the faults of a run take away from what can be demanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowances {
    /// Bytes are changed on the way and no checksum sees it: without security nothing of content is promised.
    pub(crate) damage: bool,
    /// Nodes crash or close.
    pub(crate) restarts: bool,
    /// Address translators make new mappings.
    pub(crate) rebinding: bool,
    /// A server may forget connections while their calls live: limits of unvalidated connections.
    pub(crate) eviction: bool,
    /// A server may forget connections while packets of theirs are on the way.
    pub(crate) forgets: bool,
    /// Errors are reported to nodes.
    pub(crate) icmp: bool,
    /// Services turn calls away with codes of their own.
    pub(crate) rejects: bool,
    /// So much is lost that a peer may seem to have forgotten a call.
    pub(crate) heavy_loss: bool,
    /// A server may have no room for a call, be it for its own limits or for those of a service.
    pub(crate) crowded: bool,
    /// Clients that are turned away try again.
    pub(crate) busy: bool,
    /// Clients ask for newer services.
    pub(crate) upgrades: bool,
    /// Attackers send packets.
    pub(crate) injection: bool,
    /// Packets are cut short on purpose, as an implementation of old would have sent them.
    pub(crate) cut: bool,
    /// Jumbograms are broken on purpose: the calls that they are of end.
    pub(crate) broken_jumbograms: bool,
    /// Packets come with a security index that is not their connection's.
    pub(crate) other_index: bool,
}

impl Allowances {
    /// What follows from a scenario.
    pub(crate) fn of(scenario: &Scenario) -> Self {
        use crate::scenario::ActionKind as A;
        let mut allow = Allowances::default();
        for action in &scenario.actions {
            match action.kind {
                A::Crash { .. } | A::Close { .. } => allow.restarts = true,
                A::Rebind => allow.rebinding = true,
                A::ForgeIcmp { .. } => allow.icmp = true,
                A::Inject { .. } => allow.injection = true,
                A::Pause { .. } | A::Block { .. } | A::Jump { .. } => {}
            }
        }
        allow.upgrades = scenario.calls.iter().any(|c| c.upgrade);
        allow.busy = scenario.calls.iter().any(|c| c.retry_busy);
        let mut longest = 0;
        for element in scenario.links.iter().flat_map(|l| &l.elements) {
            match &element.kind {
                ElementKind::Corrupt { checked: false, .. } => allow.damage = true,
                ElementKind::Icmp { .. } => allow.icmp = true,
                ElementKind::Script(rules) => {
                    rules.iter().for_each(|rule| allow.rewritten(rule.mishap));
                }
                ElementKind::Loss(model) => allow.heavy_loss |= model.worst() >= 0.5,
                // All answers are lost for a while, and what is heard then first may be of another call.
                ElementKind::Gate(_) => allow.heavy_loss = true,
                ElementKind::Replay { after, .. } => longest = longest.max(*after),
                _ => {}
            }
        }
        let jumps = scenario.actions.iter().map(|a| match a.kind {
            A::Jump { by } => by,
            A::Pause { lasts } => lasts,
            _ => 0,
        });
        let life = longest + jumps.sum::<u64>() + 30_000_000;
        for node in &scenario.nodes {
            allow.rebinding |= node.nat.as_ref().is_some_and(|n| n.timeout > 0);
            allow.rejects |= node.services.iter().any(|s| s.reject_every > 0);
            let e = &node.endpoint;
            let few =
                e.unvalidated_connections < 64 || e.unvalidated_per_peer < 16 || e.service_connections < 64;
            let room = |service: &crate::scenario::ServiceSpec| service.backlog >= 64;
            allow.crowded |= e.calls < 64 || e.calls_per_peer < 64 || few || !node.services.iter().all(room);
            allow.eviction |= e.validate_peers && few;
            allow.forgets |= e.idle_service < life || (e.validate_peers && e.unvalidated_life < life);
        }
        allow
    }

    /// What follows from what a script does to packets.
    fn rewritten(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::Edit(Edit::Cut(_)) => self.cut = true,
            Mishap::Edit(Edit::SecurityIndex(_)) => self.other_index = true,
            Mishap::Edit(Edit::TornJumbogram(_)) => self.broken_jumbograms = true,
            Mishap::Edit(Edit::Flags(flags)) => self.broken_jumbograms |= Flags(flags).contains(Flags::JUMBO),
            Mishap::Edit(_) | Mishap::Drop | Mishap::Delay(_) | Mishap::Duplicate => {}
        }
    }
}

/// All oracles of a run.
pub struct Oracles {
    pub(crate) allow: Allowances,
    pub(crate) ledger: Ledger,
    /// How much the calls carried, and when.
    pub(crate) figures: Figures,
    wire: wire::Wire,
    amplification: amplification::Amplification,
    violations: Vec<Violation>,
    /// A damaged packet has reached a node: nothing of content is promised from here on.
    tainted: bool,
}

impl Oracles {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Oracles {
            allow: Allowances::of(scenario),
            ledger: Ledger::default(),
            figures: Figures::default(),
            wire: wire::Wire::new(scenario),
            amplification: amplification::Amplification::new(scenario),
            violations: Vec::new(),
            tainted: false,
        }
    }

    /// Whether content can be demanded.
    pub(crate) fn is_tainted(&self) -> bool {
        self.tainted
    }

    /// What was found, first things first.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(crate) fn violation(&mut self, violation: Violation) {
        if self.violations.len() < 16 {
            self.violations.push(violation);
        }
    }

    fn found(&mut self, now: Instant, node: NodeId, found: Option<(Oracle, String)>) {
        if let Some((oracle, text)) = found {
            self.violation(Violation { at: now, node: Some(node), oracle, text });
        }
    }

    pub(crate) fn on_sent(&mut self, now: Instant, from: NodeId, packet: &Packet, coverage: &mut Coverage) {
        let found = self.wire.on_sent(from, packet, self.tainted, &self.allow, coverage);
        self.found(now, from, found);
        let found = self.amplification.on_sent(from, packet, coverage);
        self.found(now, from, found);
    }

    pub(crate) fn on_delivered(
        &mut self,
        now: Instant,
        to: NodeId,
        packet: &Packet,
        coverage: &mut Coverage,
    ) {
        self.tainted |= packet.damaged;
        let found = self.wire.on_delivered(now, to, packet, coverage);
        if !self.tainted {
            self.found(now, to, found);
        }
        self.amplification.on_delivered(to, packet);
    }

    /// A call of this kind has ended at its client: what did it carry, and was it in time?
    pub(crate) fn note_end(
        &mut self,
        now: Instant,
        place: u32,
        call: &CallSpec,
        outcome: Outcome,
    ) -> Option<(Oracle, String)> {
        let record = self.ledger.record(place)?;
        let (begun, unique) = (record.begun, record.unique);
        let bytes = if outcome.is_ok() { call.request.len + call.reply.len } else { 0 };
        self.figures.add(begun, now, bytes);
        let (took, within) = (now - begun, us(call.within));
        let late = call.within > 0 && took > within;
        late.then(|| {
            (
                Oracle::Expectation,
                format!("expected call {unique} to end within {within:?}, and it took {took:?}"),
            )
        })
    }

    /// A node starts again: it knows nothing of before.
    pub(crate) fn on_restart(&mut self, node: NodeId) {
        self.wire.on_restart(node);
        self.amplification.on_restart(node);
    }

    /// Whether the fault of a peer may be counted in a run like this.
    pub(crate) fn allows(&self, fault: Fault) -> bool {
        if self.tainted || self.allow.injection {
            return true;
        }
        match fault {
            // Keepalives have the shape of a reply that nobody asked for, and are counted as that.
            Fault::Malformed(Malformed::VersionNotRequest) => true,
            Fault::Malformed(_) => self.allow.cut,
            Fault::Jumbo(_) => self.allow.broken_jumbograms,
            Fault::SecurityMismatch => self.allow.other_index,
            Fault::UnusableSource
            | Fault::UnsupportedSecurity
            | Fault::SecondUpgrade
            | Fault::AckZeroFirst
            | Fault::ShortSack
            | Fault::ChallengeOnNull
            | Fault::UnexpectedResponse
            | Fault::DebugOff
            | Fault::FutureCall
            | Fault::EarlyReply => false,
            // A server that starts again may cut its reply in other places, or reply something else.
            Fault::DifferentLast
            | Fault::DataAfterLast
            | Fault::AckOutsideWindow
            | Fault::SackOverflow
            | Fault::UnexpectedAck => self.allow.restarts || self.allow.eviction || self.allow.forgets,
            // The answer to a wish for a newer service, when the call that wished is over already.
            Fault::ServiceMismatch => self.allow.upgrades,
            _ => true,
        }
    }
}
