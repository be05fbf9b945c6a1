//! Sequence numbers against time: one call as a picture.

mod axis;
mod panel;
mod svg;
mod timeline;

use std::collections::HashSet;

use rxrpc_proto::wire::Ack;

use super::calls::{Call, Mark, Observation, Role, Side};
use super::packet::Packet;
use super::summary::ending;
use super::text::seconds;
use panel::{INK, Panel};
use svg::{Anchor, Canvas};
use timeline::Timeline;

/// Left and right end of the diagrams, in pixels.
const ACROSS: [f64; 2] = [80.0, 1170.0];
/// Top and bottom of the diagram of the whole time.
const DOWN: [f64; 2] = [108.0, 608.0];
/// From there to the diagram without the pauses.
const BELOW: f64 = 590.0;
/// Room above the DATA for a window that is open wide, in packets.
const ROOM: u64 = 32;
const WIDTH: f64 = 1200.0;
/// What is left below the last diagram.
const MARGIN: f64 = 60.0;

const RETRANSMISSION: &str = "#d62728";

/// Colours of what belongs to one direction.
struct Colours {
    data: &'static str,
    hard: &'static str,
    soft: &'static str,
    edge: &'static str,
}

const COLOURS: [Colours; 2] = [
    Colours { data: "#1f5fbf", hard: "#2e8b57", soft: "#8fce9f", edge: "#8a8f98" },
    Colours { data: "#7b3fb5", hard: "#b8720a", soft: "#ecc06a", edge: "#b7a68c" },
];

/// A moment, in nanoseconds since 1970, and a sequence number.
type Point = (u64, u64);

/// What one side sent, and what the other acknowledged of it.
#[derive(Debug, Default)]
struct Direction {
    new: Vec<Point>,
    again: Vec<Point>,
    /// Everything up to this number is acknowledged for good.
    hard: Vec<Point>,
    /// Numbers acknowledged for now, when that was first said.
    soft: Vec<Point>,
    /// The last number that the window allows.
    edge: Vec<Point>,
    told: HashSet<u32>,
}

/// The points of one call.
#[derive(Debug)]
pub(super) struct Plot<'a> {
    call: &'a Call,
    /// From the client and from the server.
    directions: [Direction; 2],
}

impl<'a> Plot<'a> {
    /// A plot without points.
    pub(super) fn new(call: &'a Call) -> Plot<'a> {
        Plot { call, directions: Default::default() }
    }

    /// Takes a packet of the call in.
    pub(super) fn take(&mut self, packet: &Packet, observation: &Observation) {
        let Some(header) = packet.header else { return };
        let [client, server] = &mut self.directions;
        let (sent, answered) = match Role::of(&header) {
            Role::Client => (client, server),
            Role::Server => (server, client),
        };
        for (piece, mark) in packet.pieces().iter().zip(&observation.marks) {
            let point = (packet.time, u64::from(piece.seq));
            if *mark == Mark::New { sent.new.push(point) } else { sent.again.push(point) }
        }
        let Some(ack) = packet.ack() else { return };
        let base = u64::from(ack.fields.first_packet.saturating_sub(1));
        answered.hard.push((packet.time, base));
        if let Some(window) = ack.words.get(2) {
            answered.edge.push((packet.time, base.saturating_add(u64::from(*window))));
        }
        for (place, entry) in (0u32..).zip(&ack.table) {
            let seq = ack.fields.first_packet.saturating_add(place);
            if Ack::received(*entry) && answered.told.insert(seq) {
                answered.soft.push((packet.time, u64::from(seq)));
            }
        }
    }

    /// The picture: the whole time and, if most of it is pauses, what happens between them.
    pub(super) fn svg(&self) -> String {
        let [left, right] = ACROSS;
        let [top, bottom] = DOWN;
        let whole = Timeline::whole(self.call.duration());
        let active = Timeline::without_pauses(self.moments());
        let below = if active.is_some() { BELOW } else { 0.0 };
        let mut canvas = Canvas::new([WIDTH, bottom + below + MARGIN]);
        self.draw_title(&mut canvas);
        self.draw_legend(&mut canvas);
        let highest = self.highest();
        let area = [left, top, right, bottom];
        Panel::new(area, &whole, self.call.begin, highest).draw(&mut canvas, &self.directions);
        if let Some(active) = &active {
            let area = [left, top + below, right, bottom + below];
            Panel::new(area, active, self.call.begin, highest).draw(&mut canvas, &self.directions);
        }
        canvas.finish(&self.title())
    }

    /// When something happens, in nanoseconds since the begin of the call.
    fn moments(&self) -> Vec<u64> {
        let points = self.directions.iter().flat_map(|d| [&d.new, &d.again, &d.hard]).flatten();
        points.map(|(time, _)| time.saturating_sub(self.call.begin)).collect()
    }

    /// The top of the picture: all DATA and, as far as they leave room for it, the windows.
    fn highest(&self) -> u64 {
        let top = |points: &[Point]| points.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
        let data = self.directions.iter().map(|d| top(&d.new).max(top(&d.again))).max().unwrap_or(0);
        let shown = self.directions.iter().filter(|direction| direction.has_acknowledgements());
        let edge = shown.map(|direction| top(&direction.edge)).max().unwrap_or(0);
        data.max(edge.min(data.saturating_add(data / 3).saturating_add(ROOM))).max(1)
    }

    fn title(&self) -> String {
        let key = &self.call.key;
        format!(
            "Rx call {:08x}:{} to service {}, {} to {}",
            key.cid, key.number, self.call.service, key.client, key.server
        )
    }

    fn draw_title(&self, canvas: &mut Canvas) {
        let [left, _] = ACROSS;
        canvas.text([left, 30.0], Anchor::Start, 18.0, INK, &self.title());
        let [request, reply] = Role::BOTH.map(|role| in_words(self.call.side(role)));
        let took = seconds(self.call.duration(), 0);
        let text = format!("request {request}; reply {reply}; {took} s; {}", ending(self.call));
        canvas.text([left, 54.0], Anchor::Start, 13.0, INK, &text);
    }

    fn draw_legend(&self, canvas: &mut Canvas) {
        let [left, right] = ACROSS;
        let [mut x, mut y] = [left, 76.0];
        for (sample, colour, text) in self.legend() {
            let width = 48.0 + 6.6 * text.len() as f64;
            if x + width > right {
                [x, y] = [left, y + 17.0];
            }
            match sample {
                Sample::Dot(size) => canvas.free_dot([x + 10.0, y - 4.0], colour, size + 1.5),
                Sample::Line => canvas.free_line([x, y - 4.0], [x + 20.0, y - 4.0], colour, false),
                Sample::Dashes => canvas.free_line([x, y - 4.0], [x + 20.0, y - 4.0], colour, true),
            }
            canvas.text([x + 26.0, y], Anchor::Start, 12.0, INK, &text);
            x += width;
        }
    }

    /// What there is to explain.
    fn legend(&self) -> Vec<(Sample, &'static str, String)> {
        let mut entries = Vec::new();
        let both = self.directions.iter().all(Direction::has_acknowledgements);
        for ((direction, colours), name) in self.directions.iter().zip(&COLOURS).zip(["request", "reply"]) {
            let of = if both { format!(" of the {name}") } else { String::new() };
            if !direction.new.is_empty() {
                entries.push((Sample::Dot(4.0), colours.data, format!("DATA of the {name}")));
            }
            if !direction.has_acknowledgements() {
                continue;
            }
            entries.push((Sample::Line, colours.hard, format!("hard ACK{of}")));
            if !direction.soft.is_empty() {
                entries.push((Sample::Dot(3.4), colours.soft, format!("soft ACK{of}")));
            }
            if !direction.edge.is_empty() {
                entries.push((Sample::Dashes, colours.edge, format!("window{of}")));
            }
        }
        if self.directions.iter().any(|direction| !direction.again.is_empty()) {
            entries.push((Sample::Dot(5.5), RETRANSMISSION, "retransmission".into()));
        }
        entries
    }
}

/// How an entry of the legend looks.
enum Sample {
    Dot(f64),
    Line,
    Dashes,
}

impl Direction {
    /// Whether the ACKs say anything: of a single packet they do not, and would be drawn over the other
    /// direction.
    fn has_acknowledgements(&self) -> bool {
        self.new.len() > 1 && !self.hard.is_empty()
    }
}

fn in_words(side: &Side) -> String {
    let plural = if side.packets == 1 { "" } else { "s" };
    let again = if side.again > 0 { format!(" ({} again)", side.again) } else { String::new() };
    format!("{} bytes in {} packet{plural}{again}", side.bytes, side.packets)
}
