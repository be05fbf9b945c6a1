//! The calls of a capture as a table, and the capture in a sentence.

use comfy_table::{CellAlignment, Table, presets};

use super::calls::{Call, Ending, Mark, Observation, Role, Side};
use super::net::{Totals, link_name};
use super::packet::{Packet, Wrong};
use super::text::{milliseconds, seconds};

/// What was done with the datagrams of a capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    /// Rx packets.
    pub(super) packets: u64,
    /// DATA segments in them.
    pub(super) segments: u64,
    /// Segments that were sent again.
    pub(super) retransmissions: u64,
    /// Packets that break the protocol.
    pub(super) malformed: u64,
    /// Packets that the capture cut.
    pub(super) cut: u64,
    /// Datagrams taken for something else.
    pub(super) other_datagrams: u64,
    /// Datagrams whose fragments are not all there.
    pub(super) incomplete: u64,
}

impl Counts {
    /// Takes a packet in.
    pub(super) fn take(&mut self, packet: &Packet, observation: &Observation) {
        self.packets += 1;
        self.segments += packet.pieces().len() as u64;
        self.retransmissions += observation.marks.iter().filter(|mark| **mark == Mark::Again).count() as u64;
        match packet.fault {
            Some(Wrong::Malformed(..)) => self.malformed += 1,
            Some(Wrong::Cut) => self.cut += 1,
            None => {}
        }
    }
}

/// The columns; those in the middle hold numbers and are aligned to the right.
const HEADINGS: [&str; 17] = [
    "#",
    "CALL",
    "CLIENT",
    "SERVER",
    "SVC",
    "SEC",
    "BEGIN",
    "SECONDS",
    "REQUEST",
    "PACKETS",
    "AGAIN",
    "REPLY",
    "PACKETS",
    "AGAIN",
    "RTT TO SERVER ms",
    "RTT TO CLIENT ms",
    "END",
];
const LEFT: [usize; 6] = [1, 2, 3, 14, 15, 16];

/// A table with one line a call. Ordinals count from 1 over all calls of the capture.
pub(super) fn table<'a>(calls: impl Iterator<Item = (usize, &'a Call)>, begin: u64) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(HEADINGS);
    for (ordinal, call) in calls {
        table.add_row(row(ordinal, call, begin));
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if !LEFT.contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn row(ordinal: usize, call: &Call, begin: u64) -> Vec<String> {
    let [request, reply] = Role::BOTH.map(|role| call.side(role));
    let service = match call.upgraded {
        Some(upgraded) => format!("{}>{upgraded}", call.service),
        None => call.service.to_string(),
    };
    let mut row = vec![
        ordinal.to_string(),
        format!("{:08x}:{}", call.key.cid, call.key.number),
        call.key.client.to_string(),
        call.key.server.to_string(),
        service,
        call.security_index.to_string(),
        seconds(call.begin, begin),
        seconds(call.duration(), 0),
    ];
    row.extend(
        [request, reply]
            .iter()
            .flat_map(|side| [side.bytes, side.packets, side.again].map(|n| n.to_string())),
    );
    row.extend([request, reply].map(round_trips));
    row.push(ending(call));
    row
}

/// Minimum, mean, maximum and number of the round trips.
fn round_trips(side: &Side) -> String {
    let rtt = &side.rtt;
    rtt.mean().map_or("-".into(), |mean| {
        let times = [rtt.min, mean, rtt.max].map(milliseconds).join("/");
        format!("{times} of {}", rtt.samples)
    })
}

/// How a call ended, in words.
pub(super) fn ending(call: &Call) -> String {
    match call.ending() {
        Ending::Open => "open".into(),
        Ending::Complete => "complete".into(),
        Ending::Busy => "busy".into(),
        Ending::Unanswered => "no answer".into(),
        Ending::Aborted { by, code, connection } => {
            let name = code.name_for(call.security_index).map_or(String::new(), |name| format!(" ({name})"));
            let what = if connection { "connection aborted" } else { "aborted" };
            format!("{what} by {} {}{name}", by.name(), code.0)
        }
    }
}

/// The capture in a sentence.
pub(super) fn sentence(totals: &Totals, counts: &Counts, calls: usize) -> String {
    let mut parts = vec![counted(totals.frames, "frame", ""), counted(counts.packets, "Rx packet", "")];
    let others = [
        (counts.segments, "DATA segment", ""),
        (calls as u64, "call", ""),
        (counts.retransmissions, "retransmission", ""),
        (counts.malformed, "packet", " malformed"),
        (counts.cut, "packet", " cut by the capture"),
        (counts.incomplete, "datagram", " with fragments missing"),
        (counts.other_datagrams, "other UDP datagram", ""),
        (totals.cut_early, "frame", " cut before the end of the UDP header"),
        (totals.broken, "frame", " with broken headers"),
    ];
    parts
        .extend(others.iter().filter(|(count, ..)| *count != 0).map(|(n, what, how)| counted(*n, what, how)));
    for (link, count) in &totals.unknown_links {
        parts.push(counted(*count, "frame", &format!(" of {}, which is not read", link_name(*link))));
    }
    parts.join(", ")
}

/// A number and what it counts.
fn counted(count: u64, what: &str, how: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}{how}")
}
