//! The data of the page. The script that reads it, `model.js`, names the places of the arrays.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use rxrpc_proto::wire::{AckReason, Header};
use rxrpc_proto::{Instant, Wake};
use rxrpc_sim::{NodeId, Packet, Report, node_at};
use serde::Serialize;

use super::super::wake_name;
use super::series::SeriesPart;
use crate::decode::live::{CallRow, Detail, Shown};

/// Everything.
#[derive(Serialize)]
pub(super) struct Data {
    pub(super) about: String,
    pub(super) seed: u64,
    pub(super) nodes: Vec<NodePart>,
    /// What it has come to, if it did not panic.
    pub(super) end: Option<EndPart>,
    /// Why packets were lost, by number.
    pub(super) losses: Vec<String>,
    pub(super) names: NamesPart,
    pub(super) packets: Vec<PacketRow>,
    pub(super) calls: Vec<CallPart>,
    pub(super) series: Vec<SeriesPart>,
    /// When, node, number of the name.
    pub(super) timers: Vec<(u64, NodeId, u8)>,
    pub(super) notes: Vec<(u64, Option<NodeId>, String)>,
    pub(super) errors: Vec<(u64, NodeId, SocketAddr, String)>,
    pub(super) violations: Vec<(u64, Option<NodeId>, String, String)>,
}

#[derive(Serialize)]
pub(super) struct EndPart {
    at: u64,
    trace: String,
    events: u64,
    calls: u64,
    succeeded: u64,
}

impl EndPart {
    pub(super) fn new(report: &Report) -> EndPart {
        EndPart {
            at: report.ended.as_nanos(),
            trace: format!("{:016x}", report.trace.hash()),
            events: report.events,
            calls: report.calls,
            succeeded: report.succeeded,
        }
    }
}

#[derive(Serialize)]
pub(super) struct NodePart {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) nat: bool,
}

/// A call, with the nodes at its ends.
#[derive(Serialize)]
pub(super) struct CallPart {
    client_node: Option<NodeId>,
    server_node: Option<NodeId>,
    #[serde(flatten)]
    pub(super) row: CallRow,
}

impl CallPart {
    pub(super) fn new(row: CallRow) -> CallPart {
        CallPart { client_node: node_at(&row.client), server_node: node_at(&row.server), row }
    }
}

/// Place of the connection, sequence number, serial, type, flags, status, checksum.
#[derive(Serialize)]
pub(super) struct HeaderRow(usize, u32, u32, u8, u8, u8, u16);

/// When it ended, why it was lost (-1 if it arrived), flags, the address that it came from.
#[derive(Serialize)]
pub(super) struct End(u64, i32, u8, usize);

impl End {
    const COPY: u8 = 1;
    const DAMAGED: u8 = 2;

    pub(super) fn new(at: u64, loss: i32, packet: &Packet, source: usize) -> End {
        let copy = if packet.copy { Self::COPY } else { 0 };
        let damaged = if packet.damaged { Self::DAMAGED } else { 0 };
        End(at, loss, copy | damaged, source)
    }
}

/// What befell a packet on its way.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Seal {
    Copied(u64),
    Damaged(u64, String),
    Late,
    /// The name of the fault and a sentence.
    Malformed(&'static str, String),
    /// The round trip that it completes.
    Rtt(u64),
}

/// Number, when, nodes at its ends (-1 for none), addresses, call (-1 for none), length, header, detail, ends, seals.
#[derive(Serialize)]
pub(super) struct PacketRow(
    u64,
    u64,
    [i32; 2],
    [usize; 2],
    i32,
    usize,
    Option<HeaderRow>,
    Detail,
    Vec<End>,
    Vec<Seal>,
);

impl PacketRow {
    pub(super) fn new(
        packet: &Packet,
        now: Instant,
        ends: [Option<NodeId>; 2],
        addresses: [usize; 2],
        header: Option<HeaderRow>,
        shown: &Shown,
    ) -> PacketRow {
        let ends = ends.map(|node| node.map_or(-1, i32::from));
        let call = shown.call().map_or(-1, |call| call as i32);
        let late = packet.late.then_some(Seal::Late);
        let malformed = shown.fault().map(|(name, text)| Seal::Malformed(name, text.into()));
        let seals = [late, malformed, shown.rtt().map(Seal::Rtt)].into_iter().flatten().collect();
        let (len, detail) = (packet.bytes.len(), shown.detail());
        PacketRow(packet.id, now.as_nanos(), ends, addresses, call, len, header, detail, Vec::new(), seals)
    }

    pub(super) fn end(&mut self, end: End) {
        self.8.push(end);
    }

    pub(super) fn seal(&mut self, seal: Seal) {
        self.9.push(seal);
    }
}

/// Names that many rows share, each with its number.
#[derive(Default)]
pub(super) struct Names {
    addresses: Vec<SocketAddr>,
    address_numbers: HashMap<SocketAddr, usize>,
    connections: Vec<Connection>,
    connection_numbers: HashMap<Connection, usize>,
    types: BTreeMap<u8, &'static str>,
    reasons: BTreeMap<u8, &'static str>,
    wakes: BTreeMap<u8, &'static str>,
}

/// Epoch, connection id, call number, security index, service.
type Connection = (u32, u32, u32, u8, u16);

#[derive(Serialize)]
pub(super) struct NamesPart {
    addresses: Vec<SocketAddr>,
    connections: Vec<Connection>,
    types: BTreeMap<u8, &'static str>,
    reasons: BTreeMap<u8, &'static str>,
    wakes: BTreeMap<u8, &'static str>,
}

impl Names {
    pub(super) fn address(&mut self, address: SocketAddr) -> usize {
        *self.address_numbers.entry(address).or_insert_with(|| {
            self.addresses.push(address);
            self.addresses.len() - 1
        })
    }

    pub(super) fn header(&mut self, header: &Header) -> HeaderRow {
        self.types.insert(header.packet_type.to_u8(), header.packet_type.name());
        let h = header;
        let connection = (h.epoch, h.cid, h.call_number, h.security_index, h.service_id);
        let place = *self.connection_numbers.entry(connection).or_insert_with(|| {
            self.connections.push(connection);
            self.connections.len() - 1
        });
        HeaderRow(place, h.seq, h.serial, h.packet_type.to_u8(), h.flags.0, h.user_status, h.checksum)
    }

    pub(super) fn reason(&mut self, reason: AckReason) {
        self.reasons.insert(reason.to_u8(), reason.name());
    }

    pub(super) fn wake(&mut self, wake: Wake) -> u8 {
        self.wakes.entry(wake as u8).or_insert_with(|| wake_name(wake));
        wake as u8
    }

    pub(super) fn parts(self) -> NamesPart {
        let Names { addresses, connections, types, reasons, wakes, .. } = self;
        NamesPart { addresses, connections, types, reasons, wakes }
    }
}
