//! Safety, then liveness: once the faults have ended, every live call must end soon.

use std::time::Duration;

use rxrpc_proto::Instant;

use crate::oracle::Oracles;
use crate::scenario::{Scenario, us};

/// Round trips that a call may take beyond its back-off.
const ROUND_TRIPS: u32 = 64;

/// When what must have happened.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    healed: Instant,
    deadline: Instant,
    drained_by: Instant,
}

impl Liveness {
    /// The faults have ended: work out by when all live calls must have ended.
    ///
    /// A call whose packets are lost waits at most for its back-off, which is no longer than it has waited before,
    /// nor than the highest time-out. One whose peer has forgotten it, or that waits for a paused reader's
    /// window, asks at the keepalive interval; one whose peer is gone for good ends by silence.
    pub(crate) fn start(&mut self, now: Instant, scenario: &Scenario, oracles: &Oracles) {
        self.healed = now;
        let longest = |get: fn(&crate::scenario::EndpointSpec) -> u64| {
            us(scenario.nodes.iter().map(|n| get(&n.endpoint)).max().unwrap_or(0))
        };
        let calls = scenario.calls.iter().map(|c| us(c.silence)).max().unwrap_or_default();
        let silence = longest(|e| e.silence).max(calls);
        let keepalive = longest(|e| e.keepalive);
        let backoff = longest(|e| e.rto_max).max(longest(|e| e.rto_initial));
        let delay = scenario.links.iter().map(|l| l.delay).max().unwrap_or(0).max(scenario.delay);
        let trip = us(2 * delay).max(longest(|e| e.delayed_ack)).max(longest(|e| e.rto_min));
        let bytes: u64 = oracles
            .ledger
            .live()
            .map(|r| scenario.calls[r.spec as usize].request.len + scenario.calls[r.spec as usize].reply.len)
            .sum();
        // Data still to come, at a packet a round trip at worst, and calls that wait for others' channels.
        let turns = oracles.ledger.live().count() as u32;
        let packets = u32::try_from(bytes / 472 / 4).unwrap_or(u32::MAX);
        let work = trip * ROUND_TRIPS * (turns + 1) + trip * packets.min(1 << 20);
        self.deadline = now + backoff * 2 + silence * 2 + keepalive * 2 + work + Duration::from_secs(10);
        self.drained_by = self.deadline;
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// All calls have ended: what is left must expire within `by`.
    pub(crate) fn drain(&mut self, now: Instant, by: Duration) {
        self.drained_by = now + by;
    }

    pub(crate) fn drained_by(&self) -> Instant {
        self.drained_by
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
