//! The last of a run as a ladder: a column a node, an arrow a packet.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Write;
use std::net::SocketAddr;
use std::rc::Rc;

use anstyle::{AnsiColor, Style};
use rxrpc_proto::{Event, Instant, NetworkError, Wake};
use rxrpc_sim::{Fate, LossReason, NodeId, Observer, Oracle, Packet, Phase, Violation, node_at};

use super::label::label;

/// Rows that are kept.
pub(super) const ROWS: usize = 40;

const LOST: Style = AnsiColor::Red.on_default();
const WRONG: Style = AnsiColor::Red.on_default().bold();
const ASIDE: Style = Style::new().dimmed();
const PLAIN: Style = Style::new();

/// Watches a run and keeps the last rows. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Ladder(Rc<RefCell<Rows>>);

#[derive(Debug)]
struct Rows {
    most: usize,
    rows: VecDeque<Row>,
    /// The rows when the last call had ended. What follows is of interest only if it goes wrong.
    settled: Option<VecDeque<Row>>,
}

#[derive(Clone, Debug)]
struct Row {
    at: Instant,
    what: What,
    text: String,
}

#[derive(Clone, Debug)]
enum What {
    /// A packet from a node, or from nobody, to a node, or to nobody.
    Arrow { id: u64, copy: bool, from: Option<NodeId>, to: Option<NodeId>, way: Way },
    /// Something at a node, or everywhere.
    Mark(Option<NodeId>, Style),
}

/// How far a packet has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Going,
    Arrived(Instant),
    Lost(LossReason),
}

impl Ladder {
    /// A ladder of the last so many rows.
    pub(super) fn new(most: usize) -> Self {
        Ladder(Rc::new(RefCell::new(Rows { most: most.max(1), rows: VecDeque::new(), settled: None })))
    }

    /// The ladder with its heading, a line a row, in colours or without.
    pub(super) fn draw(&self, nodes: usize, colour: bool) -> String {
        let rows = self.0.borrow();
        if rows.rows.is_empty() {
            return String::new();
        }
        let columns = Columns::new(nodes);
        let mut text = format!("{:>12}  {}\n", "seconds", columns.heading());
        for row in rows.settled.as_ref().unwrap_or(&rows.rows) {
            let style = if colour { row.style() } else { PLAIN };
            let line =
                format!("{:>12.6}  {}  {}", seconds(row.at), columns.draw(&row.what), row.text_with_way());
            let _ = writeln!(text, "{style}{}{style:#}", line.trim_end());
        }
        text
    }

    fn mark(&mut self, at: Instant, node: Option<NodeId>, style: Style, text: String) {
        self.0.borrow_mut().push(Row { at, what: What::Mark(node, style), text });
    }
}

impl Rows {
    fn push(&mut self, row: Row) {
        if self.rows.len() >= self.most {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
    }

    fn arrow(&mut self, at: Instant, packet: &Packet, way: Way, remark: &str) {
        let from = packet.origin.or_else(|| node_at(&packet.src));
        let to = node_at(&packet.dst);
        let what = What::Arrow { id: packet.id, copy: packet.copy, from, to, way };
        self.push(Row { at, what, text: format!("{}{remark}", label(&packet.bytes)) });
    }

    /// The row of a packet that is still going; of its copies the newest.
    fn going(&mut self, packet: &Packet) -> Option<&mut Row> {
        self.rows.iter_mut().rev().find(|row| match row.what {
            What::Arrow { id, copy, way, .. } => (id, copy, way) == (packet.id, packet.copy, Way::Going),
            What::Mark(..) => false,
        })
    }

    fn ends(&mut self, now: Instant, packet: &Packet, end: Way) {
        match self.going(packet) {
            Some(Row { what: What::Arrow { way, .. }, .. }) => *way = end,
            _ => self.arrow(now, packet, end, ", sent before"),
        }
    }
}

impl Row {
    fn style(&self) -> Style {
        match self.what {
            What::Arrow { way: Way::Lost(_), .. } => LOST,
            What::Arrow { .. } => PLAIN,
            What::Mark(_, style) => style,
        }
    }

    fn text_with_way(&self) -> String {
        match self.what {
            What::Arrow { way: Way::Lost(reason), .. } => format!("{}, lost: {}", self.text, reason.name()),
            What::Arrow { way: Way::Arrived(at), .. } if at > self.at => {
                format!("{}, +{:.3} ms", self.text, (seconds(at) - seconds(self.at)) * 1e3)
            }
            What::Arrow { way: Way::Going, .. } => format!("{}, on its way", self.text),
            What::Arrow { .. } | What::Mark(..) => self.text.clone(),
        }
    }
}

fn seconds(at: Instant) -> f64 {
    at.as_nanos() as f64 / 1e9
}

impl Observer for Ladder {
    fn datagram(&mut self, now: Instant, packet: &Packet, fate: Fate) {
        let mut rows = self.0.borrow_mut();
        match fate {
            Fate::Sent => rows.arrow(now, packet, Way::Going, ""),
            Fate::Injected => rows.arrow(now, packet, Way::Going, ", forged"),
            Fate::Duplicated => rows.arrow(now, packet, Way::Going, ", copy"),
            Fate::Damaged => {
                if let Some(row) = rows.going(packet) {
                    row.text.push_str(", damaged");
                }
            }
            Fate::Delivered => rows.ends(now, packet, Way::Arrived(now)),
            Fate::Lost(reason) => rows.ends(now, packet, Way::Lost(reason)),
        }
    }

    fn timer(&mut self, now: Instant, node: NodeId, wake: Wake) {
        self.mark(now, Some(node), ASIDE, format!("timer: {wake:?}"));
    }

    fn event(&mut self, now: Instant, node: NodeId, event: &Event) {
        if let Event::Call { news, .. } = event
            && news.ended()
        {
            self.mark(now, Some(node), ASIDE, "a call has ended".to_owned());
        }
    }

    fn error(&mut self, now: Instant, node: NodeId, about: SocketAddr, error: NetworkError) {
        self.mark(now, Some(node), ASIDE, format!("told about {about}: {error}"));
    }

    fn note(&mut self, now: Instant, node: Option<NodeId>, text: &str) {
        self.mark(now, node, ASIDE, text.to_owned());
        if text == format!("{:?}", Phase::Draining) {
            let mut rows = self.0.borrow_mut();
            rows.settled = Some(rows.rows.clone());
        }
    }

    fn violation(&mut self, violation: &Violation) {
        let Violation { at, node, oracle, text } = violation;
        if *oracle != Oracle::Expectation {
            self.0.borrow_mut().settled = None;
        }
        self.mark(*at, *node, WRONG, format!("{oracle:?}: {text}"));
    }
}

/// Where the nodes stand.
struct Columns {
    nodes: usize,
    apart: usize,
}

impl Columns {
    fn new(nodes: usize) -> Self {
        let apart = match nodes {
            0..=2 => 18,
            3..=4 => 10,
            _ => 6,
        };
        Columns { nodes, apart }
    }

    fn of(&self, node: NodeId) -> Option<usize> {
        let node = usize::from(node);
        (node < self.nodes).then_some(node * self.apart)
    }

    fn heading(&self) -> String {
        let heading: String =
            (0..self.nodes).map(|node| format!("{node:<width$}", width = self.apart)).collect();
        heading.trim_end().to_owned()
    }

    fn draw(&self, what: &What) -> String {
        let width = self.nodes.saturating_sub(1) * self.apart + 1;
        let mut line = vec!['|'; 1];
        line.resize(width, ' ');
        line.iter_mut().step_by(self.apart).for_each(|c| *c = '|');
        match *what {
            What::Mark(node, _) => {
                if let Some(at) = node.and_then(|node| self.of(node)) {
                    line[at] = 'o';
                }
            }
            What::Arrow { from, to, way, .. } => {
                let from = from.and_then(|node| self.of(node));
                let to = to.and_then(|node| self.of(node));
                match (from, to) {
                    (Some(from), Some(to)) if from != to => shaft(&mut line, from, to, way),
                    (Some(at), _) | (None, Some(at)) => {
                        line[at] = if matches!(way, Way::Lost(_)) { 'x' } else { '*' }
                    }
                    (None, None) => {}
                }
            }
        }
        line.into_iter().collect()
    }
}

/// A line from one column to another, with its head there; half of it for a packet that has not come there.
fn shaft(line: &mut [char], from: usize, to: usize, way: Way) {
    let rightward = to > from;
    let between: Vec<usize> =
        if rightward { (from + 1..to).collect() } else { (to + 1..from).rev().collect() };
    let length = if matches!(way, Way::Arrived(_)) { between.len() } else { between.len() / 2 };
    let (last, shaft) = between[..length].split_last().unwrap_or((&from, &[]));
    shaft.iter().for_each(|at| line[*at] = '-');
    line[*last] = match way {
        Way::Lost(_) => 'x',
        _ if rightward => '>',
        _ => '<',
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: Option<NodeId>, to: Option<NodeId>, way: Way) -> String {
        Columns::new(3).draw(&What::Arrow { id: 1, copy: false, from, to, way })
    }

    #[test]
    fn arrows_lead_as_far_as_their_packets_came() {
        let arrived = Way::Arrived(Instant::ORIGIN);
        assert_eq!(arrow(Some(0), Some(1), arrived), "|-------->|         |");
        assert_eq!(arrow(Some(2), Some(1), arrived), "|         |<--------|");
        assert_eq!(arrow(Some(0), Some(2), arrived), "|------------------>|");
        assert_eq!(arrow(Some(1), Some(2), Way::Lost(LossReason::Loss)), "|         |---x     |");
        assert_eq!(arrow(Some(1), Some(0), Way::Going), "|     <---|         |");
        assert_eq!(arrow(None, Some(1), arrived), "|         *         |");
        assert_eq!(arrow(Some(1), None, Way::Lost(LossReason::NoRoute)), "|         x         |");
        assert_eq!(Columns::new(3).draw(&What::Mark(Some(2), PLAIN)), "|         |         o");
        assert_eq!(Columns::new(3).heading(), "0         1         2");
    }

    #[test]
    fn the_oldest_rows_make_room() {
        let mut ladder = Ladder::new(2);
        for (second, text) in [(1, "one"), (2, "two"), (3, "three")] {
            ladder.note(Instant::from_nanos(second * 1_000_000_000), Some(1), text);
        }
        let text = "     seconds  0                 1\n\
                    \x20   2.000000  |                 o  two\n\
                    \x20   3.000000  |                 o  three\n";
        assert_eq!(ladder.draw(2, false), text);
        assert_eq!(ladder.draw(2, true).matches("\u{1b}[2m").count(), 2);
        assert_eq!(Ladder::new(2).draw(2, false), "");
    }

    #[test]
    fn what_follows_the_last_call_is_shown_if_it_goes_wrong() {
        let mut ladder = Ladder::new(9);
        ladder.note(Instant::ORIGIN, None, "Draining");
        ladder.timer(Instant::ORIGIN, 0, Wake::Peer);
        let mut violation =
            Violation { at: Instant::ORIGIN, node: None, oracle: Oracle::Expectation, text: "x".into() };
        ladder.violation(&violation);
        assert_eq!(ladder.draw(2, false).lines().count(), 2);
        violation.oracle = Oracle::Leftover;
        ladder.violation(&violation);
        let rows = ladder.draw(2, false);
        assert!(rows.contains("timer: Peer") && rows.ends_with("Leftover: x\n"), "{rows}");
    }
}
