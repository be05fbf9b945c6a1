//! Safety, then liveness: once the faults have ended, every live call must end soon.
//!
//! How soon is worked out for each call from its own situation. It may wait for its back-off, which is no longer than
//! what it has waited so far, nor than the longest time-out that its two nodes had then; then 64 round trips, and the time its data takes. Only
//! where the faults may have made one end forget the call does the other one's silence or keepalive come in.

use std::time::Duration;

use rxrpc_proto::Instant;
use rxrpc_proto::wire::JUMBO_DATA_LEN;

use crate::oracle::{Oracles, Record};
use crate::scenario::{
    CallSpec, Distribution, ElementKind, EndpointSpec, LinkSpec, Micros, Mishap, Scenario, us,
};

/// Round trips that a call may take beyond its back-off.
const ROUND_TRIPS: u64 = 64;
/// Questions about a call not begun that a server answers, at most.
const EARLY_ANSWERS: u64 = 4;
/// Bytes of the smallest packets that large data is cut into.
const PACKET: u64 = 472;

/// When what must have happened.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    healed: Instant,
    deadline: Instant,
    drained_by: Instant,
    recovered: Option<Duration>,
}

impl Liveness {
    /// The faults have ended: work out by when all live calls must have ended.
    pub(crate) fn start(&mut self, now: Instant, scenario: &Scenario, oracles: &Oracles) {
        self.healed = now;
        let bounds = Bounds::new(scenario, oracles);
        let alone = oracles.ledger.live().map(|record| bounds.call(now, record)).max().unwrap_or(0);
        // Calls that wait for others' channels take their turns; at worst one after the other.
        let turns = bounds.turns(oracles).saturating_mul(depth(scenario));
        self.deadline = now + us(alone.saturating_mul(turns).saturating_add(bounds.served()));
        self.drained_by = self.deadline;
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// All calls have ended: what is left must expire within `by`.
    pub(crate) fn drain(&mut self, now: Instant, by: Duration) {
        self.recovered = Some(now - self.healed);
        self.drained_by = now + by;
    }

    pub(crate) fn drained_by(&self) -> Instant {
        self.drained_by
    }

    /// How long the live calls took to end once the faults had, and how long they might have.
    pub(crate) fn recovery(&self) -> Option<(Duration, Duration)> {
        self.recovered.map(|took| (took, self.deadline - self.healed))
    }

    /// What to say about calls that live on.
    pub(crate) fn complaint(&self, now: Instant, oracles: &Oracles) -> String {
        let mut live: Vec<u32> = oracles.ledger.live().map(|r| r.unique).collect();
        live.truncate(5);
        format!(
            "{} calls live, {} are served, {:?} after the network healed; such as {live:?}",
            oracles.ledger.live,
            oracles.ledger.serving,
            now - self.healed,
        )
    }
}

/// What the bounds of single calls are made of, microseconds.
struct Bounds<'a> {
    scenario: &'a Scenario,
    oracles: &'a Oracles,
    /// The faults may have made an end forget calls that the other one still has.
    forgotten: bool,
    /// No server forgets what became of a call sooner than this after it was over.
    kept: Micros,
    /// Some window or buffer is so small that single packets wait for keepalives.
    tight: bool,
    round_trip: Micros,
    silence: Micros,
    keepalive: Micros,
    /// The last replay of an old packet comes so much later.
    latest: Micros,
    /// Longest delay that the faults added, which round-trip estimates may still contain.
    strangest: Micros,
}

impl<'a> Bounds<'a> {
    fn new(scenario: &'a Scenario, oracles: &'a Oracles) -> Self {
        let longest = |get: fn(&EndpointSpec) -> u64| {
            scenario.nodes.iter().map(|n| get(&n.endpoint)).max().unwrap_or(0)
        };
        let allow = &oracles.allow;
        let calls = scenario.calls.iter().map(|c| c.silence).max().unwrap_or(0);
        let delay = scenario.links.iter().map(|l| l.delay).max().unwrap_or(0).max(scenario.delay);
        Bounds {
            scenario,
            oracles,
            forgotten: allow.restarts
                || allow.eviction
                || allow.forgot
                || allow.rebinding
                || allow.icmp
                || allow.busy
                || oracles.is_tainted(),
            kept: Micros::try_from(allow.kept.as_micros()).unwrap_or(Micros::MAX),
            tight: scenario.nodes.iter().any(|n| is_tight(&n.endpoint)),
            round_trip: sum([delay, delay, longest(|e| e.delayed_ack), longest(|e| e.rto_min)]),
            silence: longest(|e| e.silence).max(calls),
            keepalive: longest(|e| e.keepalive),
            latest: scenario.links.iter().map(latest).max().unwrap_or(0),
            strangest: scenario.links.iter().map(strangest).max().unwrap_or(0),
        }
    }

    /// How long the call may take from now on, once it has a channel.
    fn call(&self, now: Instant, record: &Record) -> Micros {
        let spec = &self.scenario.calls[record.spec as usize];
        let ends = [spec.client, spec.server].map(|n| &self.scenario.nodes[usize::from(n)].endpoint);
        let waited = (now - record.begun).as_micros() as Micros;
        let [client, server] = ends;
        let highest = client.rto_max.max(server.rto_max);
        let first = sum([client.rto_initial.max(server.rto_initial), self.strangest.saturating_mul(4)]);
        let longest = self.oracles.backoff(spec.client).max(self.oracles.backoff(spec.server));
        let longest = Micros::try_from(longest.as_micros()).unwrap_or(Micros::MAX);
        let backoff = sum([waited, first]).min(highest).min(longest.max(first));
        let packets = sum([spec.request.len, spec.reply.len]).div_ceil(PACKET);
        let slices = sum([
            spec.request.len / client.send_per_call.min(client.send_total).max(1) as u64,
            spec.reply.len / server.send_per_call.min(server.send_total).max(1) as u64,
        ]);
        let trips = sum([ROUND_TRIPS, packets / 4, slices]);
        let mut time = sum([backoff, self.round_trip.saturating_mul(trips), self.strangest]);
        if self.tight {
            time = sum([time, self.keepalive.saturating_mul(2 + packets.min(200))]);
        }
        if self.forgotten || sum([waited, time]) >= self.kept {
            // A server that never saw the call answers so many questions about it before it is silent.
            time = sum([time, self.silence, self.keepalive.saturating_mul(2 + EARLY_ANSWERS)]);
        }
        // A question about a window, or to a new address, or for a proof, is asked again after a while.
        sum([time, self.keepalive.min(1_000_000) * 3])
    }

    /// How many calls stand in one row at worst.
    fn turns(&self, oracles: &Oracles) -> u64 {
        let live = oracles.ledger.live().count() as u64;
        // Calls of a node share its room for what they send, a packet each at least.
        let few = self.scenario.nodes.iter().map(|n| &n.endpoint).any(|e| {
            e.connections_per_bundle < 32
                || (e.send_total as u64) < live.saturating_mul(JUMBO_DATA_LEN as u64)
        });
        let exclusive = self.scenario.nodes.iter().any(|n| n.endpoint.validate_peers);
        match (few, exclusive) {
            (true, _) => live.max(1),
            (false, true) => live.div_ceil(4).max(1),
            (false, false) => live.div_ceil(32).max(1),
        }
    }

    /// How long servers may have calls whose clients have ended them. Nothing tells a server of that once another
    /// call has followed on the channel; then it waits for its silence, which replays may draw out.
    fn served(&self) -> Micros {
        sum([self.silence, self.latest, self.keepalive, self.round_trip.saturating_mul(ROUND_TRIPS)])
    }
}

/// How many calls wait for one another at worst: servers make calls of their own before they reply.
fn depth(scenario: &Scenario) -> u64 {
    let calls = &scenario.calls;
    let deep = |first: &CallSpec| {
        let inner =
            std::iter::successors(Some(first), |c| c.nested.and_then(|place| calls.get(place as usize)));
        inner.take(calls.len()).count() as u64
    };
    calls.iter().map(deep).max().unwrap_or(1)
}

/// Whether packets may have to wait for room that only a question finds out about.
pub(crate) fn is_tight(e: &EndpointSpec) -> bool {
    let least = e.receive_per_call.min(e.receive_per_peer).min(e.receive_total);
    least < 128 << 10 || e.window < 4 || e.socket_receive_buffer < 64 << 10
}

pub(crate) fn latest(link: &LinkSpec) -> Micros {
    let of = |kind: &ElementKind| if let ElementKind::Replay { after, .. } = kind { *after } else { 0 };
    link.elements.iter().map(|e| of(&e.kind)).max().unwrap_or(0)
}

/// Longest delay that the link's faults add to its own.
pub(crate) fn strangest(link: &LinkSpec) -> Micros {
    let of = |kind: &ElementKind| match kind {
        ElementKind::Delay { by, .. } => match by {
            Distribution::Fixed(d) => *d,
            Distribution::Uniform { high, .. } => *high,
            Distribution::Normal { mean, deviation } => sum([*mean, deviation.saturating_mul(6)]),
            Distribution::Pareto { most, .. } => *most,
            Distribution::Samples(all) => all.iter().copied().max().unwrap_or(0),
        },
        ElementKind::ReorderByDelay { by, .. } => *by,
        ElementKind::ReorderByGap { at_most, .. } => *at_most,
        ElementKind::Duplicate { spread, .. } => *spread,
        ElementKind::Rate(rate) => {
            (rate.queue as u64).saturating_mul(8_000_000) / rate.bits_per_second.max(1)
        }
        ElementKind::Script(rules) => rules.iter().map(|rule| delays_by(rule.mishap)).max().unwrap_or(0),
        _ => 0,
    };
    sum(link.elements.iter().map(|e| of(&e.kind)))
}

fn delays_by(mishap: Mishap) -> Micros {
    if let Mishap::Delay(by) = mishap { by } else { 0 }
}

/// Sums that no scenario makes overflow: what is too long to be counted is as long as can be.
pub(crate) fn sum(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Match, Rule};

    #[test]
    fn bounds_of_anything_are_reckoned_without_overflow() {
        let mut scenario = Scenario { delay: u64::MAX, ..Scenario::new(1, 2) };
        scenario.nodes[0].endpoint.rto_initial = u64::MAX;
        scenario.nodes[0].endpoint.silence = u64::MAX;
        let by = Distribution::Normal { mean: u64::MAX / 2, deviation: u64::MAX / 2 };
        scenario.link(0, 1, [ElementKind::Delay { by, correlation: 0.0, ordered: false }]);
        scenario.call(0, 1, u64::MAX, u64::MAX);
        let mut oracles = Oracles::new(&scenario);
        oracles.ledger.begin(Instant::ORIGIN, 0, 0);
        let mut liveness = Liveness::default();
        liveness.start(Instant::ORIGIN + us(5), &scenario, &oracles);
        assert_eq!(liveness.deadline(), Instant::ORIGIN + us(u64::MAX));
    }

    #[test]
    fn calls_that_share_the_room_of_one_packet_wait_for_one_another() {
        for (send_total, turns) in [(1 << 20, 2), (1_500, 8)] {
            let mut scenario = Scenario::new(1, 2);
            scenario.nodes[0].endpoint.send_total = send_total;
            scenario.call(0, 1, 8, 8);
            let mut oracles = Oracles::new(&scenario);
            (0..8).for_each(|_| _ = oracles.ledger.begin(Instant::ORIGIN, 0, 0));
            assert_eq!(Bounds::new(&scenario, &oracles).turns(&oracles), turns, "room for {send_total}");
        }
    }

    #[test]
    fn what_a_script_delays_counts_as_much_as_what_chance_does() {
        let late = |by, mishap: fn(Micros) -> Mishap| {
            let rule = |by| Rule { packets: Match::default(), nth: 1, count: 1, mishap: mishap(by) };
            let mut scenario = Scenario::new(1, 2);
            scenario.link(0, 1, [ElementKind::Script(vec![rule(by), rule(by / 2)])]);
            strangest(&scenario.links[0])
        };
        assert_eq!(late(700, Mishap::Delay), 700);
        assert_eq!(late(700, |_| Mishap::Drop), 0);
    }
}
