//! A run as a page for a browser: one file that needs nothing else.
//!
//! Everything that happens is collected here and lies in the page as JSON, in arrays without names; the page
//! draws it.

mod data;
mod series;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::SocketAddr;

use rxrpc_proto::{CallInfo, Instant, NetworkError, Wake};
use rxrpc_sim::{Fate, LossReason, NodeId, Observer, Packet, Report, Scenario, Violation, inside, node_at};

use crate::decode::live::Live;
use data::{CallPart, Data, End, EndPart, Names, NodePart, PacketRow, Seal};
use series::Series;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPTS: [&str; 6] = [
    include_str!("model.js"),
    include_str!("paint.js"),
    include_str!("diagram.js"),
    include_str!("plots.js"),
    include_str!("details.js"),
    include_str!("app.js"),
];

/// A packet whose copies have not all met their fate.
struct Flying {
    /// Its place among the packets.
    place: usize,
    /// As it was sent.
    bytes: Vec<u8>,
    open: u32,
}

/// Collects a run.
pub(super) struct Page {
    about: String,
    seed: u64,
    nodes: Vec<NodePart>,
    live: Live,
    names: Names,
    packets: Vec<PacketRow>,
    flying: HashMap<u64, Flying>,
    series: Series,
    timers: Vec<(u64, NodeId, u8)>,
    notes: Vec<(u64, Option<NodeId>, String)>,
    errors: Vec<(u64, NodeId, SocketAddr, String)>,
    violations: Vec<(u64, Option<NodeId>, String, String)>,
}

/// `text` with every `<` in JSON's own spelling, so that nothing in it ends the element that it lies in.
fn sealed(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// `text` as text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// In what the bytes differ from those that were sent.
fn difference(sent: &[u8], now: &[u8]) -> String {
    let differing = || sent.iter().zip(now).enumerate().filter(|(_, (a, b))| a != b);
    let mut parts = Vec::new();
    if let Some((at, (a, b))) = differing().next() {
        parts.push(match differing().count() {
            1 => format!("octet {at} from 0x{a:02x} to 0x{b:02x}"),
            count => format!("{count} octets from {at} on"),
        });
    }
    if sent.len() != now.len() {
        parts.push(format!("length from {} to {}", sent.len(), now.len()));
    }
    parts.join(", ")
}

impl Page {
    /// A page of a run of the scenario. `about` says what is run.
    pub(super) fn new(scenario: &Scenario, about: &str) -> Self {
        let nodes = scenario.nodes.iter().enumerate();
        let nodes = nodes.map(|(i, node)| NodePart {
            name: format!("node{i}"),
            address: inside(i as NodeId, node.ipv6),
            nat: node.nat.is_some(),
        });
        Page {
            about: about.into(),
            seed: scenario.seed,
            nodes: nodes.collect(),
            live: Live::default(),
            names: Names::default(),
            packets: Vec::new(),
            flying: HashMap::new(),
            series: Series::default(),
            timers: Vec::new(),
            notes: Vec::new(),
            errors: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// Write the page.
    pub(super) fn finish(self, mut out: impl Write, report: Option<&Report>) -> io::Result<()> {
        let title = format!("{} - rxrpc sim", self.about);
        let data = serde_json::to_string(&self.data(report))?;
        let scripts = SCRIPTS.concat();
        let mut rest = TEMPLATE;
        for (mark, text) in [
            ("@TITLE@", escaped(&title).as_str()),
            ("@STYLE@", STYLE),
            ("@DATA@", sealed(&data).as_str()),
            ("@SCRIPT@", scripts.as_str()),
        ] {
            let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
            out.write_all(before.as_bytes())?;
            out.write_all(text.as_bytes())?;
            rest = after;
        }
        out.write_all(rest.as_bytes())?;
        out.flush()
    }

    fn data(self, report: Option<&Report>) -> Data {
        let calls: Vec<CallPart> = self.live.calls().map(CallPart::new).collect();
        Data {
            about: self.about,
            seed: self.seed,
            nodes: self.nodes,
            end: report.map(EndPart::new),
            losses: LossReason::ALL.map(|reason| reason.to_string()).into(),
            series: self.series.parts(&calls),
            calls,
            names: self.names.parts(),
            packets: self.packets,
            timers: self.timers,
            notes: self.notes,
            errors: self.errors,
            violations: self.violations,
        }
    }

    fn on_sent(&mut self, now: Instant, packet: &Packet) {
        let shown = super::show(&mut self.live, now, packet);
        let ends = [packet.origin, node_at(&packet.dst).filter(|to| usize::from(*to) < self.nodes.len())];
        let addresses = [packet.src, packet.dst].map(|address| self.names.address(address));
        let header = shown.header().map(|header| self.names.header(header));
        if let Some(reason) = shown.reason() {
            self.names.reason(reason);
        }
        let flying = Flying { place: self.packets.len(), bytes: packet.bytes.clone(), open: 1 };
        self.flying.insert(packet.id, flying);
        let row = PacketRow::new(packet, now, ends, addresses, header, &shown);
        self.packets.push(row);
    }

    fn on_fate(&mut self, now: Instant, packet: &Packet, fate: Fate) {
        let source = self.names.address(packet.src);
        let Some(flying) = self.flying.get_mut(&packet.id) else { return };
        let Some(row) = self.packets.get_mut(flying.place) else { return };
        let at = now.as_nanos();
        let mut end = |loss: i32| row.end(End::new(at, loss, packet, source));
        match fate {
            Fate::Sent | Fate::Injected => {}
            Fate::Duplicated => {
                flying.open += 1;
                row.seal(Seal::Copied(at));
            }
            Fate::Damaged => row.seal(Seal::Damaged(at, difference(&flying.bytes, &packet.bytes))),
            Fate::Delivered => {
                flying.open -= 1;
                end(-1);
            }
            Fate::Lost(reason) => {
                flying.open -= 1;
                end(i32::from(reason as u8));
            }
        }
        if flying.open == 0 {
            self.flying.remove(&packet.id);
        }
    }
}

impl Observer for Page {
    fn datagram(&mut self, now: Instant, packet: &Packet, fate: Fate) {
        match fate {
            Fate::Sent | Fate::Injected => self.on_sent(now, packet),
            _ => self.on_fate(now, packet, fate),
        }
    }

    fn timer(&mut self, now: Instant, node: NodeId, wake: Wake) {
        let wake = self.names.wake(wake);
        self.timers.push((now.as_nanos(), node, wake));
    }

    fn sample(&mut self, now: Instant, node: NodeId, call: &CallInfo) {
        self.series.take(now, node, call);
    }

    fn error(&mut self, now: Instant, node: NodeId, about: SocketAddr, error: NetworkError) {
        self.errors.push((now.as_nanos(), node, about, error.to_string()));
    }

    fn note(&mut self, now: Instant, node: Option<NodeId>, text: &str) {
        self.notes.push((now.as_nanos(), node, text.into()));
    }

    fn violation(&mut self, found: &Violation) {
        let oracle = format!("{:?}", found.oracle);
        self.violations.push((found.at.as_nanos(), found.node, oracle, found.text.clone()));
    }
}

#[cfg(test)]
mod tests;
