//! What a packet from anybody brings about is rare: answers outside of connections, and word of how a call ended, once
//! more.
//!
//! Not counted is what cannot be told from something else: an answer about a call that has not come, a BUSY where
//! applications turn calls away, and the first ABORT of a call.

use std::time::Duration;

use rxrpc_proto::Instant;
use rxrpc_proto::wire::{AckReason, Body, Flags, HEADER_LEN, Header, PacketType};

use super::Oracle;
use super::seen::{Seen, Sight, at};
use super::wire::NEAR;
use crate::packet::NodeId;
use crate::scenario::{ActionKind, NodeSpec, Scenario, ServiceSpec, us};

/// Blocked again as soon as it is free, a socket takes nothing for so many times at most.
const BLOCKED_ON_END: u32 = 20;

/// Replays of a connection that may wait until they may be sent: one a channel.
const WAITING: u32 = 4;

const SECOND: Duration = Duration::from_secs(1);

/// How often something may happen, in true time.
#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: u32,
    /// One more is earned after this.
    interval: Duration,
    /// What this much time has earned may come at once.
    at_once: Duration,
}

impl Rate {
    /// So much a second by the node's clock, and a second's worth at once; `more` has been earned before.
    fn new(per_second: u32, node: &NodeSpec, more: Duration) -> Self {
        let fast = 1_000_000 + u64::from(node.clock.drift_ppm.max(0).unsigned_abs());
        let interval = 1_000_000_000 / u64::from(per_second.max(1)) * 1_000_000 / fast;
        // Clocks are read in whole nanoseconds.
        let at_once = SECOND + more + Duration::from_nanos(2);
        Rate { per_second, interval: Duration::from_nanos(interval), at_once }
    }
}

/// How much of a rate is used up.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    /// Nothing of it from then on.
    until: Instant,
}

impl Meter {
    /// It happens once more. False if that is too often.
    fn take(&mut self, now: Instant, rate: &Rate) -> bool {
        self.until = self.until.max(now) + rate.interval;
        rate.per_second > 0 && self.until - now <= rate.at_once
    }
}

/// One side of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    serial: u32,
    replays: Meter,
    /// By channel: the call that it has aborted.
    aborted: [u32; 4],
    /// By channel: a call and its last packet in this direction.
    ended: [(u32, u32); 4],
}

struct Node {
    answers: Rate,
    replays: Rate,
    /// Its applications turn nobody away: a BUSY is the endpoint's own.
    takes_all: bool,
    answered: Meter,
}

impl Node {
    fn new(scenario: &Scenario, id: NodeId) -> Self {
        let node = &scenario.nodes[usize::from(id)];
        let (mut blocked, mut leapt) = (Duration::ZERO, Duration::ZERO);
        if node.socket.blocked > 0.0 {
            blocked = us(node.socket.blocked_for) * BLOCKED_ON_END;
        }
        for action in scenario.actions.iter().filter(|action| action.node == id) {
            match action.kind {
                ActionKind::Block { lasts } => blocked += us(lasts),
                ActionKind::Jump { by } => leapt += us(by).min(SECOND),
                _ => {}
            }
        }
        let turns_away = |s: &ServiceSpec| s.reject_every > 0 && s.reject_code == 0;
        let e = &node.endpoint;
        let mut replays = Rate::new(e.replays_per_second, node, leapt);
        replays.at_once += replays.interval * WAITING;
        Node {
            answers: Rate::new(e.stranger_answers_per_second, node, leapt + blocked),
            replays,
            takes_all: !node.services.is_empty() && !node.services.iter().any(turns_away),
            answered: Meter::default(),
        }
    }

    /// Whether a packet answers one of no connection.
    fn is_answer(&self, header: &Header, len: usize) -> bool {
        match header.packet_type {
            // Neither a question nor a keepalive, which have one octet.
            PacketType::Version => !header.from_client() && len > HEADER_LEN + 1,
            PacketType::Busy => self.takes_all,
            PacketType::Abort | PacketType::Ack => header.serial == 0,
            _ => false,
        }
    }
}

pub(super) struct Rates {
    nodes: Vec<Node>,
    /// The client's side first.
    connections: Vec<[Side; 2]>,
}

impl Rates {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let nodes = (0..scenario.nodes.len() as NodeId).map(|id| Node::new(scenario, id)).collect();
        Rates { nodes, connections: Vec::new() }
    }

    /// A node starts again.
    pub(super) fn on_restart(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            node.answered = Meter::default();
        }
    }

    pub(super) fn on_sent(
        &mut self,
        now: Instant,
        from: NodeId,
        (packet, seen): Sight<'_>,
    ) -> Option<(Oracle, String)> {
        let seen = seen?;
        let node = self.nodes.get_mut(usize::from(from))?;
        let (what, rate) = if node.is_answer(seen.header, packet.bytes.len()) {
            (!node.answered.take(now, &node.answers)).then_some(("answers to strangers", node.answers))?
        } else {
            let rate = node.replays;
            let side = self.replayed(seen)?;
            (!side.replays.take(now, &rate)).then_some(("replays of a connection", rate))?
        };
        Some((Oracle::Limits, format!("more {what} than {} a second", rate.per_second)))
    }

    /// The sender's side of a connection, if the packet says once more how a call of it ended.
    fn replayed(&mut self, seen: Seen<'_>) -> Option<&mut Side> {
        let Seen { header, body, place } = seen;
        if header.serial == 0 {
            return None;
        }
        let sides = at(&mut self.connections, place?, Default::default);
        let [client, server] = sides;
        let (side, other) = if header.from_client() { (client, server) } else { (server, client) };
        let step = header.serial.wrapping_sub(side.serial);
        if side.serial != 0 && step > NEAR {
            // The connection was forgotten and begins anew.
            *side = Side::default();
        }
        side.serial = header.serial;
        let (channel, number) = (header.channel(), header.call_number);
        match body {
            Ok(Body::Abort(_)) if number > 0 => {
                let before = std::mem::replace(&mut side.aborted[channel], number);
                (before == number).then_some(side)
            }
            Ok(Body::Data(data)) if header.flags.contains(Flags::LAST_PACKET) && !data.is_jumbo() => {
                side.ended[channel] = (number, header.seq);
                None
            }
            // All of the reply is here, and so the call is over.
            Ok(Body::Ack(ack)) if ack.fields.reason == AckReason::Duplicate && header.from_client() => {
                let (call, last) = other.ended[channel];
                let over = call == number && ack.fields.first_packet > last;
                over.then_some(side)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn a_seconds_worth_may_come_at_once_and_then_one_after_the_other() {
        let node = Scenario::new(1, 2).nodes.remove(0);
        let rate = Rate::new(4, &node, Duration::ZERO);
        let mut meter = Meter::default();
        assert!((0..4).all(|_| meter.take(at(1000), &rate)));
        assert!(meter.take(at(1250), &rate));
        assert!(!meter.take(at(1499), &rate));
        assert!(!Meter::default().take(at(0), &Rate::new(0, &node, Duration::ZERO)));
    }

    #[test]
    fn a_fast_clock_and_what_has_waited_allow_more() {
        let mut node = Scenario::new(1, 2).nodes.remove(0);
        let fits = |node: &NodeSpec, more| {
            let (rate, mut meter) = (Rate::new(10, node, more), Meter::default());
            (0..100).take_while(|_| meter.take(at(0), &rate)).count()
        };
        assert_eq!(fits(&node, Duration::ZERO), 10);
        assert_eq!(fits(&node, Duration::from_millis(500)), 15);
        node.clock.drift_ppm = 100_000;
        assert_eq!(fits(&node, Duration::ZERO), 11);
    }
}
