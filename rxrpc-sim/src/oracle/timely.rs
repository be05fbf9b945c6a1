//! Nothing happens later than the waiting times of an endpoint say: what nobody answers is sent again in time.
//!
//! It also notes when each end of a call last heard of the other, and pauses within requests that are too long, for
//! those who judge the ends of calls.

use std::time::Duration;

use rxrpc_proto::Instant;
use rxrpc_proto::wire::{AckReason, Body, Malformed, PacketType};

use super::seen::{Seen, Sight, at};
use super::work::{Kind, Work};
use super::{Ledger, Oracle};
use crate::liveness::{latest, strangest, sum};
use crate::packet::{NodeId, node_at};
use crate::scenario::{LinkSpec, Scenario, us};
use crate::workload::{head_of, slack};

/// An estimate that was begun with the longest sample is no longer than this many of it: the sample itself, and four
/// times a variation that cannot be longer (RFC 6298).
const SAMPLES: u32 = 5;

/// One end of a call.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// When it last sent DATA.
    sent_at: Option<Instant>,
    /// Highest sequence number sent.
    top: u32,
    /// Time-outs since it began to send.
    waits: u32,
    /// It has heard something of the call.
    heard: bool,
}

/// A channel and the call that it carries, the client's end first.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    call: u32,
    ends: [End; 2],
    /// Number and place of the call.
    named: Option<(u32, u32)>,
    /// When the server last got a part of the request, and the highest one.
    request: Option<(Instant, u32)>,
}

impl Lane {
    fn begin(&mut self, call: u32) {
        *self = Lane { call, ..Lane::default() };
    }
}

/// What is known of a node.
#[derive(Clone, Copy, Debug)]
struct Times {
    rto_initial: Duration,
    rto_min: Duration,
    rto_max: Duration,
    /// Nobody waits longer for the next part of a request. Clocks that drift are off by less than a thirtieth.
    gap: Duration,
    /// What it sends may have to wait for a proof of its peer's address.
    holds_back: bool,
    /// Its socket takes nothing now and then, and what is to go out waits behind all else: for how long nobody knows.
    blocks: bool,
    /// Everything may happen so much later.
    slack: Duration,
}

pub(super) struct Timely {
    /// By connection and channel.
    lanes: Vec<[Lane; 4]>,
    nodes: Vec<Times>,
    /// By node and peer: no round trip that is measured takes longer.
    round_trips: Vec<Duration>,
    /// By node and peer: something was heard, since the node started.
    met: Vec<bool>,
    pub(super) work: Work,
}

impl Timely {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let nodes = (0..).zip(&scenario.nodes).map(|(id, node)| {
            let e = &node.endpoint;
            let slack = slack(scenario, id);
            Times {
                rto_initial: us(e.rto_initial),
                rto_min: us(e.rto_min),
                rto_max: us(e.rto_max),
                gap: (us(e.request_gap) * 31 / 30).saturating_add(slack),
                holds_back: e.validate_peers,
                blocks: node.socket.blocked > 0.0,
                slack,
            }
        });
        let nodes: Vec<Times> = nodes.collect();
        let one_way = |from: usize, to: usize| {
            let of = |l: &&LinkSpec| (usize::from(l.from), usize::from(l.to)) == (from, to);
            let link = scenario.links.iter().find(of);
            us(link.map_or(scenario.delay, |l| sum([l.delay, strangest(l), latest(l)])))
        };
        let count = nodes.len();
        let round_trip = |i: usize| {
            let (a, b) = (i / count, i % count);
            let parts = [one_way(a, b), one_way(b, a), nodes[a].slack, nodes[b].slack];
            parts.into_iter().fold(Duration::from_micros(100), Duration::saturating_add)
        };
        let round_trips = (0..count * count).map(round_trip).collect();
        let (met, work) = (vec![false; count * count], Work::new(count));
        Timely { lanes: Vec::new(), work, nodes, round_trips, met }
    }

    /// A node starts again, and knows nothing of its peers.
    pub(super) fn on_restart(&mut self, node: NodeId) {
        let (count, node) = (self.nodes.len(), usize::from(node));
        if let Some(met) = self.met.get_mut(node * count..(node + 1) * count) {
            met.fill(false);
        }
    }

    /// A node sends: is it in time?
    pub(super) fn on_sent(
        &mut self,
        now: Instant,
        from: NodeId,
        (packet, seen): Sight<'_>,
        ledger: &mut Ledger,
    ) -> Option<(Oracle, String)> {
        let seen = seen?;
        let Seen { header, body, place } = seen;
        let side = usize::from(!header.from_client());
        if header.packet_type != PacketType::Data {
            return self.work.on_sent(from, kind(body), 1, ledger.begun());
        }
        let Ok(Body::Data(data)) = body else { return None };
        let lane = &mut at(&mut self.lanes, place?, Default::default)[header.channel()];
        if header.call_number > lane.call {
            lane.begin(header.call_number);
        } else if header.call_number < lane.call {
            return None;
        }
        let (first, whole) = (header.seq, seen.whole(data));
        if whole == 0 {
            return None;
        }
        if side == 0 && first == 1 && lane.named.is_none() {
            lane.named = seen.judge_segments(data, |s| s.ok()).and_then(|s| head_of(s.payload));
            // Its silence counts from here.
            note_heard(ledger, lane.named, side, now);
        }
        let end = &mut lane.ends[side];
        let again = first <= end.top;
        let last = end.sent_at.replace(now);
        end.top = end.top.max(first + (whole - 1));
        let kind = if again { Kind::Again } else { Kind::Fresh };
        if let Some(found) = self.work.on_sent(from, kind, 1, ledger.begun()) {
            return Some(found);
        }
        let times = *self.nodes.get(usize::from(from))?;
        if !again || end.heard || times.blocks || (side == 1 && times.holds_back) {
            return None;
        }
        let path = usize::from(from) * self.nodes.len() + usize::from(node_at(&packet.dst)?);
        let mut base = times.rto_initial;
        if self.met.get(path).is_none_or(|met| *met) {
            // The round trip may have been measured. An estimate that began with a third of the first time-out, which
            // contained the server's work, grows by a sixth before samples of the path bring it down.
            base = (base * 6 / 5).max(times.rto_min).max(self.round_trips.get(path)?.saturating_mul(SAMPLES));
        }
        let most = base.saturating_mul(1 << end.waits.min(20)).min(times.rto_max);
        end.waits += 1;
        let waited = now - last?;
        // Clocks that drift are off by less than a thirtieth.
        (waited > most * 31 / 30 + times.slack).then(|| {
            let text = format!("packet {first} was sent again after {waited:?}, the time-out is {most:?}");
            (Oracle::Deadline, text)
        })
    }

    /// A packet reaches a node.
    pub(super) fn on_delivered(
        &mut self,
        now: Instant,
        to: NodeId,
        (packet, seen): Sight<'_>,
        ledger: &mut Ledger,
    ) {
        let Some(seen) = seen else { return };
        let Seen { header, body, place } = seen;
        let side = usize::from(header.from_client());
        let packets = match body {
            Ok(Body::Data(data)) if data.is_jumbo() => data.segments().count() as u64,
            _ => 1,
        };
        self.work.on_arrived(to, packets);
        let from = node_at(&packet.src).map(usize::from).filter(|from| *from < self.nodes.len());
        if let Some(from) = from {
            self.met[usize::from(to) * self.nodes.len() + from] = true;
        }
        let Some(lanes) = place.and_then(|place| self.lanes.get_mut(place)) else { return };
        let lane = &mut lanes[header.channel()];
        if header.call_number != lane.call || lane.call == 0 {
            return;
        }
        lane.ends[side].heard = true;
        if header.packet_type == PacketType::Busy {
            self.work.on_refused(to, lane.ends[0].top);
        }
        // Neither a refusal nor what cannot be read is a sign of life.
        if header.packet_type == PacketType::Busy || body.is_err() {
            return;
        }
        note_heard(ledger, lane.named, side, now);
        if let Ok(Body::Data(data)) = body
            && side == 1
            && let Some(times) = self.nodes.get(usize::from(to))
        {
            let top = seen.whole(data).checked_sub(1).map_or(0, |more| header.seq + more);
            let (last, before) = lane.request.unwrap_or((now, 0));
            lane.request = Some((now, top.max(before)));
            if top > before
                && now - last > times.gap
                && let Some(record) = lane.named.and_then(|(unique, place)| ledger.find(unique, place))
            {
                record.overdue = Some(last);
            }
        }
    }
}

/// What kind of work a packet is that is no data.
fn kind(body: &Result<Body<'_>, Malformed>) -> Kind {
    match body {
        Ok(Body::Ack(ack)) if ack.fields.reason == AckReason::Ping => Kind::Ping,
        Ok(Body::Ack(_)) => Kind::Ack,
        _ => Kind::Other,
    }
}

fn note_heard(ledger: &mut Ledger, named: Option<(u32, u32)>, side: usize, now: Instant) {
    if let Some(record) = named.and_then(|(unique, place)| ledger.find(unique, place)) {
        record.heard[side] = Some(now);
    }
}
