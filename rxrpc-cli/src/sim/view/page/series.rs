//! Windows, round trips and bytes of the calls over time.

use std::collections::{BTreeMap, HashMap};

use rxrpc_proto::{CallId, CallInfo, CallStats, Instant, WireCall};
use rxrpc_sim::NodeId;
use serde::Serialize;

use super::super::outcome;
use super::data::CallPart;

/// When; congestion window, threshold (0 for none), window of the peer, packets in flight; round trip (0 for none)
/// and time-out in microseconds; bytes sent, acknowledged, received.
#[derive(Serialize, Clone, Copy, PartialEq)]
struct Row(u64, u32, u32, u32, u32, u64, u64, u64, u64, u64);

impl Row {
    fn says_the_same(self, other: Row) -> bool {
        Row { 0: other.0, ..self } == other
    }
}

fn row(now: Instant, stats: &CallStats) -> Row {
    Row(
        now.as_nanos(),
        stats.congestion_window,
        stats.slow_start_threshold.unwrap_or(0),
        stats.peer_window,
        stats.in_flight,
        stats.srtt.map_or(0, |time| time.as_micros() as u64),
        stats.rto.as_micros() as u64,
        stats.bytes_sent,
        stats.bytes_acknowledged,
        stats.bytes_received,
    )
}

/// One side of a call.
#[derive(Default)]
struct Side {
    is_client: bool,
    outcome: Option<String>,
    rows: Vec<Row>,
}

impl Side {
    /// Add the row unless it says what the last one does. Of several at one instant the last stays.
    fn push(&mut self, row: Row) {
        match self.rows.last_mut() {
            Some(last) if last.0 == row.0 => *last = row,
            Some(last) if last.says_the_same(row) => {}
            _ => self.rows.push(row),
        }
    }
}

/// All sides of all calls.
#[derive(Default)]
pub(super) struct Series {
    sides: BTreeMap<(WireCall, NodeId), Side>,
    /// What each call is on the wire, and the packets it had sent: fewer are those of another, after a crash.
    known: HashMap<(NodeId, CallId), (WireCall, u64)>,
}

/// A side of a call, and the place of the call among all.
#[derive(Serialize)]
pub(super) struct SeriesPart {
    call: Option<usize>,
    node: NodeId,
    client: bool,
    outcome: Option<String>,
    rows: Vec<Row>,
}

impl Series {
    /// Take in the state of a call.
    pub(super) fn take(&mut self, now: Instant, node: NodeId, call: &CallInfo) {
        let sent = call.stats.packets_sent;
        let wire = match (call.wire, self.known.get(&(node, call.id))) {
            (Some(wire), _) => wire,
            (None, Some((wire, before))) if call.outcome.is_some() && sent >= *before => *wire,
            _ => return,
        };
        self.known.insert((node, call.id), (wire, sent));
        let side = self.sides.entry((wire, node)).or_default();
        side.is_client = call.is_client;
        side.outcome = side.outcome.take().or(call.outcome.map(outcome));
        side.push(row(now, &call.stats));
    }

    /// The sides, with the places of their calls.
    pub(super) fn parts(self, calls: &[CallPart]) -> Vec<SeriesPart> {
        let names = calls.iter().map(|call| (call.row.epoch, call.row.cid, call.row.number));
        let places: HashMap<_, _> = names.enumerate().map(|(place, name)| (name, place)).collect();
        let part = |((wire, node), side): ((WireCall, NodeId), Side)| SeriesPart {
            call: places.get(&(wire.epoch, wire.cid, wire.number)).copied(),
            node,
            client: side.is_client,
            outcome: side.outcome,
            rows: side.rows,
        };
        self.sides.into_iter().map(part).collect()
    }
}
