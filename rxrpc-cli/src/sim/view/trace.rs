//! A run as JSON lines: an object for everything that happens, in order.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::SocketAddr;

use rxrpc_proto::{CallId, CallInfo, Event, Instant, NetworkError, News, Wake};
use rxrpc_sim::{Fate, NodeId, Observer, Packet, Report, Scenario, Violation, inside, node_at};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{outcome, wake_name};
use crate::decode::live::{Live, Shown};

/// A line: when, what, and its fields.
#[derive(Serialize)]
struct Line<'a> {
    time_ns: u64,
    #[serde(flatten)]
    what: What<'a>,
}

/// What a line tells. Fields that do not apply are left out.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum What<'a> {
    /// The first line.
    Run { about: &'a str, seed: u64, nodes: Vec<SocketAddr> },
    /// A node sent a datagram.
    Sent(PacketPart),
    /// An attacker made one up; the node is the one it reaches.
    Injected(PacketPart),
    /// A datagram reached a node.
    Delivered(FatePart),
    /// The network made a copy of it.
    Duplicated(FatePart),
    /// Its bytes were changed.
    Damaged(FatePart),
    /// It was lost.
    Lost(FatePart),
    /// A timer of an endpoint came due.
    Timer { node: NodeId, wake: &'static str },
    /// An endpoint told its application something.
    Event {
        node: NodeId,
        event: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        call_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        service: Option<u16>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        news: Vec<&'static str>,
    },
    /// The state of a call has changed.
    Sample(SamplePart),
    /// A node was told of an error.
    Error { node: NodeId, about: SocketAddr, error: String },
    /// An action of the scenario, or a change of phase.
    Note {
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<NodeId>,
        text: &'a str,
    },
    /// Something that must not be.
    Violation {
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<NodeId>,
        oracle: String,
        text: &'a str,
    },
    /// The last line.
    End { datagrams: u64, events: u64, calls: u64, succeeded: u64, violations: usize, trace: String },
}

#[derive(Serialize)]
struct PacketPart {
    packet: u64,
    node: NodeId,
    from: SocketAddr,
    to: SocketAddr,
    /// Ordinal of its call in the order of their first packets, as `rxrpc decode` counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<usize>,
    /// Held back by a socket that was blocked.
    #[serde(skip_serializing_if = "is_false")]
    late: bool,
    rx: Map<String, Value>,
}

#[derive(Serialize)]
struct FatePart {
    packet: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    /// Why it was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// It is a copy that the network made.
    #[serde(skip_serializing_if = "is_false")]
    copy: bool,
    #[serde(skip_serializing_if = "is_false")]
    damaged: bool,
    /// Where it comes from now, if an address translator changed that.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<SocketAddr>,
    /// What it is now, if it was damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    rx: Option<Map<String, Value>>,
}

#[derive(Serialize)]
struct SamplePart {
    node: NodeId,
    /// What the endpoint calls it.
    call_id: String,
    tag: u64,
    side: &'static str,
    /// What its packets call it, while it has a channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    congestion_window: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_start_threshold: Option<u32>,
    peer_window: u32,
    in_flight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    srtt_ns: Option<u64>,
    rto_ns: u64,
    bytes_sent: u64,
    bytes_acknowledged: u64,
    bytes_received: u64,
    retransmissions: u64,
    timeouts: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde wants")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Writes the trace of a run.
pub(super) struct Trace<W: Write> {
    out: W,
    live: Live,
    /// Where each packet that a node sent said it comes from.
    sources: HashMap<u64, SocketAddr>,
    /// What was last written of each call.
    last: HashMap<(NodeId, CallId), CallInfo>,
    failed: Option<io::Error>,
}

impl<W: Write> Trace<W> {
    /// A trace of a run of the scenario. `about` says what is run.
    pub(super) fn new(out: W, scenario: &Scenario, about: &str) -> Self {
        let nodes = scenario.nodes.iter().enumerate();
        let nodes = nodes.map(|(i, node)| inside(i as NodeId, node.ipv6)).collect();
        let (live, sources, last) = (Live::default(), HashMap::new(), HashMap::new());
        let mut trace = Trace { out, live, sources, last, failed: None };
        trace.line(Instant::ORIGIN, What::Run { about, seed: scenario.seed, nodes });
        trace
    }

    /// Write the last line, if the run has come to its end.
    pub(super) fn finish(mut self, report: Option<&Report>) -> io::Result<()> {
        if let Some(report) = report {
            let end = What::End {
                datagrams: report.datagrams,
                events: report.events,
                calls: report.calls,
                succeeded: report.succeeded,
                violations: report.violations.len(),
                trace: format!("{:016x}", report.trace.hash()),
            };
            self.line(report.ended, end);
        }
        self.failed.map_or(Ok(()), Err)?;
        self.out.flush()
    }

    fn line(&mut self, now: Instant, what: What<'_>) {
        if self.failed.is_some() {
            return;
        }
        let line = Line { time_ns: now.as_nanos(), what };
        let written = serde_json::to_writer(&mut self.out, &line).map_err(io::Error::from);
        self.failed = written.and_then(|()| self.out.write_all(b"\n")).err();
    }

    fn packet(&mut self, now: Instant, packet: &Packet) -> PacketPart {
        let to = node_at(&packet.dst);
        let shown = super::show(&mut self.live, now, packet);
        PacketPart {
            packet: packet.id,
            node: packet.origin.or(to).unwrap_or_default(),
            from: packet.src,
            to: packet.dst,
            call: shown.call().map(|index| index + 1),
            late: packet.late,
            rx: shown.object(),
        }
    }

    fn fate(&mut self, packet: &Packet, reason: Option<&'static str>, node: Option<NodeId>) -> FatePart {
        let source = self.sources.get(&packet.id).copied();
        FatePart {
            packet: packet.id,
            node,
            reason,
            copy: packet.copy,
            damaged: packet.damaged,
            from: source.filter(|source| *source != packet.src).map(|_| packet.src),
            rx: None,
        }
    }
}

/// The name of a call at its endpoint, without the word before it.
fn call_id(id: CallId) -> String {
    format!("{id:?}").trim_start_matches("call ").into()
}

fn news_names(news: News) -> Vec<&'static str> {
    let all = [
        (news.readable(), "readable"),
        (news.writable(), "writable"),
        (news.delivered(), "delivered"),
        (news.ended(), "ended"),
    ];
    all.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect()
}

fn sample(node: NodeId, call: &CallInfo) -> SamplePart {
    let stats = &call.stats;
    SamplePart {
        node,
        call_id: call_id(call.id),
        tag: call.tag,
        side: if call.is_client { "client" } else { "server" },
        id: call.wire.map(|wire| format!("{:08x}:{}", wire.cid, wire.number)),
        epoch: call.wire.map(|wire| wire.epoch),
        outcome: call.outcome.map(outcome),
        congestion_window: stats.congestion_window,
        slow_start_threshold: stats.slow_start_threshold,
        peer_window: stats.peer_window,
        in_flight: stats.in_flight,
        srtt_ns: stats.srtt.map(|time| time.as_nanos() as u64),
        rto_ns: stats.rto.as_nanos() as u64,
        bytes_sent: stats.bytes_sent,
        bytes_acknowledged: stats.bytes_acknowledged,
        bytes_received: stats.bytes_received,
        retransmissions: stats.retransmissions,
        timeouts: stats.timeouts,
    }
}

impl<W: Write> Observer for Trace<W> {
    fn datagram(&mut self, now: Instant, packet: &Packet, fate: Fate) {
        let what = match fate {
            Fate::Sent => {
                self.sources.insert(packet.id, packet.src);
                What::Sent(self.packet(now, packet))
            }
            Fate::Injected => What::Injected(self.packet(now, packet)),
            Fate::Delivered => What::Delivered(self.fate(packet, None, node_at(&packet.dst))),
            Fate::Duplicated => What::Duplicated(self.fate(packet, None, None)),
            Fate::Damaged => {
                let shown: Shown = Live::stray(now.as_nanos(), [packet.src, packet.dst], &packet.bytes);
                What::Damaged(FatePart { rx: Some(shown.object()), ..self.fate(packet, None, None) })
            }
            Fate::Lost(reason) => What::Lost(self.fate(packet, Some(reason.name()), None)),
        };
        self.line(now, what);
    }

    fn timer(&mut self, now: Instant, node: NodeId, wake: Wake) {
        self.line(now, What::Timer { node, wake: wake_name(wake) });
    }

    fn event(&mut self, now: Instant, node: NodeId, event: &Event) {
        let (event, call, tag, service, news) = match *event {
            Event::Call { call, tag, news } => ("call", Some(call), Some(tag), None, news_names(news)),
            Event::Incoming { call, service } => ("incoming", Some(call), None, Some(service), Vec::new()),
            Event::Version(_) => ("version", None, None, None, Vec::new()),
        };
        self.line(now, What::Event { node, event, call_id: call.map(call_id), tag, service, news });
    }

    fn sample(&mut self, now: Instant, node: NodeId, call: &CallInfo) {
        if self.last.insert((node, call.id), *call) != Some(*call) {
            self.line(now, What::Sample(sample(node, call)));
        }
    }

    fn error(&mut self, now: Instant, node: NodeId, about: SocketAddr, error: NetworkError) {
        self.line(now, What::Error { node, about, error: error.to_string() });
    }

    fn note(&mut self, now: Instant, node: Option<NodeId>, text: &str) {
        self.line(now, What::Note { node, text });
    }

    fn violation(&mut self, found: &Violation) {
        let Violation { at, node, oracle, text } = found;
        self.line(*at, What::Violation { node: *node, oracle: format!("{oracle:?}"), text });
    }
}

#[cfg(test)]
mod tests {
    use rxrpc_sim::scenario::{ActionKind, ElementKind, Match, Mishap, Rule};
    use rxrpc_sim::{Sim, swarm};

    use super::super::Shared;
    use super::*;

    /// The lines of a run, read back, and its report.
    fn trace(scenario: &Scenario) -> (Vec<Value>, Report) {
        let memory = Shared::new(Vec::new());
        let trace = Shared::new(Trace::new(Memory(memory.clone()), scenario, "a test"));
        let mut sim = Sim::new(scenario.clone());
        sim.observe(Box::new(trace.clone()));
        let report = sim.run();
        trace.take().unwrap().finish(Some(&report)).unwrap();
        let text = String::from_utf8(memory.take().unwrap()).unwrap();
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), report)
    }

    struct Memory(Shared<Vec<u8>>);

    impl Write for Memory {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.0.borrow_mut().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn of<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
        lines.iter().filter(|line| line["kind"] == kind).collect()
    }

    fn scripted(mishap: Mishap) -> Vec<Value> {
        let mut scenario = Scenario::new(4, 2);
        let packets = Match { seq: Some(2), ..Match::default() };
        let rule = Rule { packets, nth: 1, count: 1, mishap };
        scenario.link(0, 1, [ElementKind::Script(vec![rule])]);
        scenario.call(0, 1, 5_000, 100);
        trace(&scenario).0
    }

    #[test]
    fn a_lost_packet_can_be_followed_to_its_retransmission() {
        let lines = scripted(Mishap::Drop);
        let lost = of(&lines, "lost");
        assert_eq!((lost.len(), &lost[0]["reason"]), (1, &"script".into()));
        let sent = of(&lines, "sent");
        let first = sent.iter().find(|line| line["packet"] == lost[0]["packet"]).unwrap();
        assert_eq!(
            (&first["rx"]["type"], &first["rx"]["seq"], &first["call"]),
            (&"DATA".into(), &2.into(), &1.into())
        );
        let again = sent.iter().find(|line| line["rx"]["segments"][0]["retransmission"] == true).unwrap();
        assert_eq!(again["rx"]["seq"], 2);
        assert!(again["time_ns"].as_u64() > first["time_ns"].as_u64());
        assert_eq!(of(&lines, "delivered").len(), sent.len() - 1);
    }

    #[test]
    fn samples_and_events_name_calls_so_that_they_can_be_joined() {
        let lines = scripted(Mishap::Duplicate);
        assert_eq!(of(&lines, "duplicated").len(), 1);
        assert_eq!(of(&lines, "delivered").iter().filter(|line| line["copy"] == true).count(), 1);
        let samples = of(&lines, "sample");
        let (id, call) = (&samples[0]["id"], &samples[0]["call_id"]);
        assert_eq!(*id, of(&lines, "sent")[0]["rx"]["id"]);
        let last = samples.iter().rfind(|s| s["side"] == "client" && s["call_id"] == *call).unwrap();
        assert_eq!((&last["outcome"], &last["bytes_received"]), (&"ok".into(), &100.into()));
        let ended = of(&lines, "event").into_iter().filter(|line| line["node"] == 0);
        let ended = ended.filter(|line| line["news"].as_array().is_some_and(|n| n.contains(&"ended".into())));
        assert_eq!(ended.map(|line| &line["call_id"]).collect::<Vec<_>>(), [call]);
    }

    #[test]
    fn the_first_and_the_last_line_say_what_was_run_and_what_came_of_it() {
        let mut scenario = Scenario::new(9, 2);
        scenario.call(0, 1, 10, 10);
        let kind = ActionKind::Pause { lasts: 1_000 };
        scenario.actions.push(rxrpc_sim::scenario::Action { id: 0, at: 10, node: 1, kind });
        let (lines, report) = trace(&scenario);
        assert_eq!(
            (&lines[0]["kind"], &lines[0]["seed"], &lines[0]["about"]),
            (&"run".into(), &9.into(), &"a test".into())
        );
        let last = lines.last().unwrap();
        assert_eq!((&last["kind"], &last["datagrams"]), (&"end".into(), &report.datagrams.into()));
        assert_eq!(last["trace"], format!("{:016x}", report.trace.hash()));
        assert_eq!(of(&lines, "note")[0]["text"], "Pause { lasts: 1000 }");
        assert!(lines.is_sorted_by_key(|line| line["time_ns"].as_u64()));
    }

    #[test]
    fn every_kind_of_run_is_told_whole() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let (lines, report) = trace(&swarm::scenario(seed));
            assert_eq!(of(&lines, "sent").len() as u64, report.datagrams, "seed {seed}");
            kinds.extend(lines.iter().map(|line| line["kind"].as_str().unwrap().to_string()));
        }
        let all = "damaged delivered duplicated end error event injected lost note run sample sent timer";
        assert_eq!(kinds.into_iter().collect::<Vec<_>>().join(" "), all);
    }

    #[test]
    fn a_violation_is_a_line() {
        let mut trace = Trace::new(Vec::new(), &Scenario::new(1, 1), "");
        let text = "something \"odd\"".to_string();
        let at = Instant::from_nanos(7);
        trace.violation(&Violation { at, node: Some(0), oracle: rxrpc_sim::Oracle::Stream, text });
        let line = String::from_utf8(trace.out).unwrap();
        let line: Value = serde_json::from_str(line.lines().last().unwrap()).unwrap();
        assert_eq!((&line["oracle"], &line["text"]), (&"Stream".into(), &"something \"odd\"".into()));
        assert_eq!((&line["time_ns"], &line["node"]), (&7.into(), &0.into()));
    }
}
