//! Replays a seed in swarm mode: `replay SEED [shrink] [lines] [full]`. Prints the scenario and its last lines.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use rxrpc_proto::wire::{Ack, Body, Flags, Header};
use rxrpc_proto::{Event, Instant, NetworkError, Wake};
use rxrpc_sim::shrink::shrink;
use rxrpc_sim::{Fate, Harness, NodeId, Observer, Packet, Scenario, Sim, campaign, full, swarm};

struct Lines(Rc<RefCell<VecDeque<String>>>, usize, u64);

impl Lines {
    fn add(&self, now: Instant, text: String) {
        if self.2 > 0 && now.as_nanos() > self.2 * 1_000_000_000 {
            return;
        }
        let mut lines = self.0.borrow_mut();
        if lines.len() >= self.1 {
            lines.pop_front();
        }
        lines.push_back(format!("{now:?} {text}"));
    }
}

fn describe(bytes: &[u8]) -> String {
    let Ok((h, rest)) = Header::parse(bytes) else { return "short".into() };
    let side = if h.from_client() { "C" } else { "S" };
    let mut text = format!(
        "{side} {:08x}.{} call {} serial {} {:?}",
        h.connection_id(),
        h.channel(),
        h.call_number,
        h.serial,
        h.packet_type
    );
    match Body::parse(&h, rest) {
        Ok(Body::Data(_)) => {
            let last = if h.flags.contains(Flags::LAST_PACKET) { " LAST" } else { "" };
            let asks = if h.flags.contains(Flags::REQUEST_ACK) { " ASK" } else { "" };
            text += &format!(" seq {} len {}{last}{asks}", h.seq, rest.len());
        }
        Ok(Body::Ack(ack)) => {
            let f = ack.fields;
            let table = ack.table().unwrap_or_default();
            let table: String = table.iter().map(|o| if Ack::received(*o) { '1' } else { '0' }).collect();
            let window = ack.trailer().and_then(|t| t.rwind);
            text += &format!(
                " {} first {} prev {} for {} [{table}] window {window:?}",
                f.reason.name(),
                f.first_packet,
                f.previous_packet,
                f.serial
            );
        }
        Ok(Body::Abort(code)) => text += &format!(" {code:?}"),
        Ok(_) => {}
        Err(e) => text += &format!(" ({e})"),
    }
    text
}

impl Observer for Lines {
    fn datagram(&mut self, now: Instant, packet: &Packet, fate: Fate) {
        let who = packet.origin.map_or("attacker".into(), |o| format!("{o}"));
        self.add(now, format!("#{} {who}->{} {fate:?}: {}", packet.id, packet.dst, describe(&packet.bytes)));
    }
    fn timer(&mut self, now: Instant, node: NodeId, wake: Wake) {
        self.add(now, format!("node {node} timer {wake:?}"));
    }
    fn event(&mut self, now: Instant, node: NodeId, event: &Event) {
        self.add(now, format!("node {node} {event:?}"));
    }
    fn error(&mut self, now: Instant, node: NodeId, about: SocketAddr, error: NetworkError) {
        self.add(now, format!("node {node} error about {about}: {error:?}"));
    }
    fn note(&mut self, now: Instant, node: Option<NodeId>, text: &str) {
        self.add(now, format!("{node:?} {text}"));
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seed: u64 = args[0].parse().expect("a seed");
    let lines = args.iter().skip(1).filter_map(|a| a.parse().ok()).next().unwrap_or(60);
    let until = std::env::var("UNTIL").ok().and_then(|u| u.parse().ok()).unwrap_or(0);
    let harness: Harness = if args.iter().any(|a| a == "full") { full::sim } else { Sim::new };
    let mut scenario: Scenario = swarm::scenario(seed);
    if args.iter().any(|a| a == "shrink") {
        std::panic::set_hook(Box::new(|_| {}));
        let oracle = match campaign::run(&scenario, harness) {
            Ok(report) => report.violations.first().map(|v| v.oracle),
            Err(v) => Some(v.oracle),
        };
        let _ = std::panic::take_hook();
        if let Some(oracle) = oracle {
            let shrunk = shrink(&scenario, harness, oracle, 4000);
            println!("shrunk in {} runs", shrunk.runs);
            scenario = shrunk.scenario;
        }
    }
    print_scenario(&scenario);
    let log = Rc::new(RefCell::new(VecDeque::new()));
    let mut sim = harness(scenario);
    sim.observe(Box::new(Lines(Rc::clone(&log), lines, until)));
    let report = sim.run();
    log.borrow().iter().for_each(|line| println!("{line}"));
    report.violations.iter().for_each(|v| println!("{v}"));
    println!(
        "{:016x} {} records, {} datagrams",
        report.trace.hash(),
        report.trace.records(),
        report.datagrams
    );
}

/// The scenario without what is as usual.
fn print_scenario(s: &Scenario) {
    let usual = rxrpc_sim::scenario::NodeSpec::default();
    println!("seed {} delay {} heal_at {}", s.seed, s.delay, s.heal_at);
    for (i, n) in s.nodes.iter().enumerate() {
        let print = |name: &str, is: String, usual: String| {
            if is != usual {
                println!("node {i} {name}: {is}");
            }
        };
        let (is, was) = (format!("{:?}", n.endpoint), format!("{:?}", usual.endpoint));
        let differs = is.split(", ").zip(was.split(", ")).filter(|(a, b)| a != b).map(|(a, _)| a);
        print("endpoint", differs.collect::<Vec<_>>().join(", "), String::new());
        print("services", format!("{:?}", n.services), format!("{:?}", usual.services));
        print("socket", format!("{:?}", n.socket), format!("{:?}", usual.socket));
        print("clock", format!("{:?}", n.clock), format!("{:?}", usual.clock));
        print("nat", format!("{:?}", n.nat), format!("{:?}", usual.nat));
    }
    for l in s.links.iter().filter(|l| !l.elements.is_empty() || l.delay != s.delay) {
        let kinds: Vec<_> = l.elements.iter().map(|e| &e.kind).collect();
        println!("link {}->{} delay {} {kinds:?}", l.from, l.to, l.delay);
    }
    s.calls.iter().for_each(|c| println!("{c:?}"));
    s.versions.iter().for_each(|v| println!("{v:?}"));
    s.actions.iter().for_each(|a| println!("{a:?}"));
}
