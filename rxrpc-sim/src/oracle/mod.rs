//! What must always hold. Every oracle is on in every run; what its faults take away from a promise is in `Allowances`.

mod amplification;
mod disturbance;
mod figures;
mod flight;
mod ledger;
mod limits;
mod rates;
mod seen;
mod timely;
mod wire;
mod work;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rxrpc_proto::wire::{Flags, Header, INITIAL_WINDOW, Malformed};
use rxrpc_proto::{CallError, CallInfo, Fault, Instant, Outcome, TimeoutKind};

pub use figures::Figures;
pub(crate) use ledger::{Checks, Finding, Ledger, Record, Served};
pub(crate) use limits::Limits;
use seen::{Seen, body_of};

use crate::coverage::Coverage;
use crate::packet::{NodeId, Packet};
use crate::scenario::{CallSpec, Edit, ElementKind, Micros, Mishap, NodeSpec, Scenario, us};
use crate::workload::slack;

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
    /// A server may have forgotten connections whose calls lived: it has had more than it has room for.
    pub(crate) eviction: bool,
    /// A server may have forgotten of such a connection which calls it had: there were more than it remembers.
    pub(crate) overflow: bool,
    /// No server forgets a connection sooner than this after its last call was over.
    pub(crate) kept: Duration,
    /// A server was seen to have forgotten a connection, after that time, and to begin it anew.
    pub(crate) forgot: bool,
    /// Errors are reported to nodes.
    pub(crate) icmp: bool,
    /// Services turn calls away with codes of their own.
    pub(crate) rejects: bool,
    /// Calls ask for services that their servers do not offer.
    pub(crate) unknown: bool,
    /// So much is lost that a peer may seem to have forgotten a call.
    pub(crate) heavy_loss: bool,
    /// So many calls every server has room for, by its own limits and by those of its services.
    pub(crate) room: usize,
    /// Clients that are turned away try again.
    pub(crate) busy: bool,
    /// Clients have connections for single calls.
    pub(crate) exclusive: bool,
    /// Clients ask for newer services.
    pub(crate) upgrades: bool,
    /// A window is smaller than what a client may send before it knows of any.
    pub(crate) narrow: bool,
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
        let mut allow = Allowances { kept: Duration::MAX, room: usize::MAX, ..Allowances::default() };
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
        allow.unknown = scenario.calls.iter().any(|c| {
            let server = scenario.nodes.get(usize::from(c.server));
            server.is_some_and(|node| node.services.iter().all(|s| s.service != c.service))
        });
        allow.exclusive = scenario.calls.iter().any(|c| c.exclusive);
        allow.busy = scenario.calls.iter().any(|c| c.retry_busy);
        for element in scenario.links.iter().flat_map(|l| &l.elements) {
            match &element.kind {
                ElementKind::Corrupt { checked: false, .. } => allow.damage = true,
                ElementKind::Icmp { .. } => allow.icmp = true,
                ElementKind::Script(rules) => {
                    rules.iter().for_each(|rule| allow.rewritten(rule.mishap));
                }
                ElementKind::Loss(model) => allow.heavy_loss |= model.worst() >= 0.5,
                // All that carries data is lost, and questions about it are not.
                ElementKind::Mtu(m) => allow.heavy_loss |= !m.fragment || m.fragment_loss >= 0.5,
                // Two packets fill it: among the data of others most small ones are lost.
                ElementKind::Rate(r) => allow.heavy_loss |= r.queue < 4 * 1500,
                // All answers are lost for a while, and what is heard then first may be of another call.
                ElementKind::Gate(_) => allow.heavy_loss = true,
                _ => {}
            }
        }
        for (id, node) in (0..).zip(&scenario.nodes) {
            allow.rebinding |= node.nat.as_ref().is_some_and(|n| n.timeout > 0);
            allow.rejects |= node.services.iter().any(|s| s.reject_every > 0);
            let e = &node.endpoint;
            allow.narrow |= e.window < INITIAL_WINDOW;
            if let Some(backlog) = node.services.iter().map(|s| s.backlog).min() {
                allow.room = allow.room.min(backlog).min(e.calls).min(e.calls_per_peer);
                allow.kept = allow.kept.min(kept(node, slack(scenario, id)));
            }
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

/// How long the server keeps a connection without calls, in true time: less if its clock is fast or jumps, or if what
/// it sends while a call lives is held up and seen later.
fn kept(node: &NodeSpec, slack: Duration) -> Duration {
    let e = &node.endpoint;
    let life = if e.validate_peers { e.idle_service.min(e.unvalidated_life) } else { e.idle_service };
    let fast = 1_000_000 + u64::from(node.clock.drift_ppm.max(0).unsigned_abs());
    Duration::from_secs_f64(us(life).saturating_sub(slack).as_secs_f64() * 1e6 / fast as f64)
}

/// All oracles of a run.
pub struct Oracles {
    pub(crate) allow: Allowances,
    pub(crate) ledger: Ledger,
    /// How much the calls carried, and when.
    pub(crate) figures: Figures,
    connections: seen::Connections,
    wire: wire::Wire,
    timely: timely::Timely,
    amplification: amplification::Amplification,
    rates: rates::Rates,
    /// By node: the longest time-out of its calls when the faults ended, if it was asked.
    backoffs: Vec<Duration>,
    /// What was done to the nodes and their packets, and when.
    pub(crate) disturbances: disturbance::Disturbances,
    violations: Vec<Violation>,
}

impl Oracles {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Oracles {
            allow: Allowances::of(scenario),
            ledger: Ledger::default(),
            figures: Figures::default(),
            connections: seen::Connections::default(),
            wire: wire::Wire::new(scenario),
            timely: timely::Timely::new(scenario),
            amplification: amplification::Amplification::new(scenario),
            rates: rates::Rates::new(scenario),
            disturbances: disturbance::Disturbances::new(scenario),
            backoffs: vec![Duration::MAX; scenario.nodes.len()],
            violations: Vec::new(),
        }
    }

    /// Whether content can be demanded.
    pub(crate) fn is_tainted(&self) -> bool {
        self.wire.tainted
    }

    /// Whether an address may ever have proved itself to the node.
    pub(crate) fn was_proved(&self, node: NodeId, addr: SocketAddr) -> bool {
        self.amplification.was_proved(node, addr)
    }

    /// The faults have ended: the time-outs of a node's calls are so long.
    pub(crate) fn note_backoffs(&mut self, node: NodeId, calls: impl Iterator<Item = CallInfo>) {
        let live = calls.filter(|call| call.outcome.is_none()).map(|call| call.stats.rto);
        if let Some(backoff) = self.backoffs.get_mut(usize::from(node)) {
            *backoff = live.max().unwrap_or_default();
        }
    }

    /// The longest time-out of a node's calls when the faults ended.
    pub(crate) fn backoff(&self, node: NodeId) -> Duration {
        self.backoffs.get(usize::from(node)).copied().unwrap_or(Duration::MAX)
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
        let read = Header::parse(&packet.bytes);
        let body = body_of(&read);
        let mut place = |header| self.connections.of_sent(header);
        let seen = read.as_ref().ok().map(|(header, _)| (header, place(header)));
        let sight = (packet, seen.map(|(header, place)| Seen { header, body: &body, place }));
        let found = self.wire.on_sent(now, from, sight, &mut self.allow, coverage);
        self.found(now, from, found);
        if !self.wire.tainted {
            let found = self.timely.on_sent(now, from, sight, &mut self.ledger);
            self.found(now, from, found);
        }
        let found = self.amplification.on_sent(now, from, sight, coverage);
        self.found(now, from, found);
        let found = self.rates.on_sent(now, from, sight);
        self.found(now, from, found);
    }

    /// A timer of a node comes due.
    pub(crate) fn on_timer(&mut self, node: NodeId) {
        let calls = (self.ledger.live + self.ledger.serving) as u64;
        self.timely.work.on_timer(node, calls);
    }

    pub(crate) fn on_delivered(
        &mut self,
        now: Instant,
        to: NodeId,
        packet: &Packet,
        coverage: &mut Coverage,
    ) {
        let read = Header::parse(&packet.bytes);
        let body = body_of(&read);
        let mut place = |header| self.connections.of_delivered(header);
        let seen = read.as_ref().ok().map(|(header, _)| (header, place(header)));
        let sight = (packet, seen.map(|(header, place)| Seen { header, body: &body, place }));
        let found = self.wire.on_delivered(now, to, sight, coverage);
        let (crowded, overflow) = self.wire.crowd(to);
        self.allow.eviction |= crowded;
        self.allow.overflow |= overflow;
        if !self.wire.tainted {
            self.found(now, to, found);
            self.timely.on_delivered(now, to, sight, &mut self.ledger);
        }
        self.amplification.on_delivered(now, to, sight);
    }

    /// An error about another node was reported to this one. As a server it gives up the calls of that one in two
    /// seconds if nothing is heard, and says nothing: that one is not there.
    pub(crate) fn on_report(&mut self, now: Instant, to: NodeId) {
        self.ledger.on_report(to);
        self.disturbances.on_node(to, now + Duration::from_secs(2));
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

    /// Whether a call that ended so was silent because something was done to its two ends, or to what they sent each
    /// other, for which a client may have heard nothing for `silence`, and have been told so `later`.
    pub(crate) fn explains_silence(
        &mut self,
        now: Instant,
        place: u32,
        call: &CallSpec,
        [silence, later]: [Micros; 2],
        outcome: Outcome,
    ) -> bool {
        if outcome != Err(CallError::Timeout(TimeoutKind::Silence)) {
            return false;
        }
        let silence = us(silence);
        let begun = self.ledger.record(place).map_or(now, |r| r.begun);
        // Clocks differ, and timers are late. And what was lost just before the peer was heard for the last time may
        // be what it would have answered.
        let window = silence * 5 / 4 + us(later) + Duration::from_secs(1);
        let since = Instant::ORIGIN + now.saturating_duration_since(Instant::ORIGIN).saturating_sub(window);
        // A packet passes several elements on its way there and back, and a keepalive is due before.
        self.allow.eviction
            || self.disturbances.leaves(call.server, begun)
            || self.disturbances.any([call.client, call.server], since, silence / 16)
    }

    /// A node starts again: it knows nothing of before.
    pub(crate) fn on_restart(&mut self, node: NodeId) {
        self.wire.on_restart(node);
        self.timely.on_restart(node);
        self.amplification.on_restart(node);
        self.rates.on_restart(node);
    }

    /// Whether the fault of a peer may be counted in a run like this.
    pub(crate) fn allows(&self, fault: Fault) -> bool {
        if self.wire.tainted || self.allow.injection {
            return true;
        }
        let Allowances { restarts, eviction, overflow, forgot, rebinding, upgrades, narrow, cut, .. } =
            self.allow;
        let lost = restarts || overflow || forgot;
        // No wildcard: whoever adds a fault decides here.
        match fault {
            // Keepalives have the shape of a reply that nobody asked for, and are counted as that.
            Fault::Malformed(Malformed::VersionNotRequest) => true,
            Fault::Malformed(_) => cut,
            Fault::Jumbo(_) => self.allow.broken_jumbograms,
            Fault::SecurityMismatch => self.allow.other_index,
            // No peer of ours does that, whatever becomes of its packets.
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
            | Fault::UnexpectedAck => lost,
            // Only a server that knew the call has acknowledged what lets its client go on. But if the first packet
            // is lost, the others that a client sends before it is told of a window may be beyond a small one.
            Fault::MidCallStart => lost || rebinding || narrow,
            Fault::ServerForgot => lost || rebinding,
            // The answer to a wish for a newer service, when the call that wished is over already.
            Fault::ServiceMismatch => upgrades,
            // The endpoint was told to close.
            Fault::Closed => restarts,
            Fault::NoRoom => self.ledger.is_full(&self.allow),
            // It comes again, perhaps after a proof.
            Fault::NoRoomForConnection | Fault::EvictedCall => eviction,
            Fault::AddressUnproven => rebinding,
            // Applications call what they like, and go on until they are told.
            Fault::ServiceNotOffered | Fault::ServiceNotOfferedLate => true,
            // Packets that are late or come twice, or that cross with the end of their call or connection.
            Fault::NoClientConnection
            | Fault::NoServiceConnection
            | Fault::AncientCall
            | Fault::FinishedCall
            | Fault::NoCall
            | Fault::UnknownServiceCall
            | Fault::DuplicateData
            | Fault::StaleAck => true,
            // A window that was offered closes when what is held is larger than it looked.
            Fault::BeyondWindow => true,
        }
    }
}
