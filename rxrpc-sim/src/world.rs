//! What all parts of a run share: time, what happens next, packets, trace, oracles, counts.

use std::collections::VecDeque;
use std::time::Duration;

use rxrpc_proto::wire::{Header, PacketType};
use rxrpc_proto::{CallInfo, Event, Instant, NetworkError, Wake};
use slab::Slab;

use crate::coverage::Coverage;
use crate::insider::Overheard;
use crate::net::Control;
use crate::observer::{Fate, LossReason, Observer};
use crate::oracle::{Oracle, Oracles, Violation};
use crate::packet::{NodeId, Packet, Pool, node_at};
use crate::queue::{Happening, Queue};
use crate::trace::{Record, Trace, hash_bytes};

/// An error report on its way to a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) node: NodeId,
    pub(crate) about: std::net::SocketAddr,
    pub(crate) error: NetworkError,
}

/// Everything that elements reach while they handle a packet or are woken.
pub struct World {
    pub(crate) now: Instant,
    pub(crate) queue: Queue,
    /// Packets on their way.
    flights: Slab<Packet>,
    /// Those that go on at once, by key.
    ready: VecDeque<u32>,
    pub(crate) reports: Vec<Report>,
    /// Memory for packets.
    pub pool: Pool,
    pub(crate) trace: Trace,
    /// What was reached.
    pub coverage: Coverage,
    /// What is checked.
    pub oracles: Oracles,
    pub(crate) observer: Option<Box<dyn Observer>>,
    pub(crate) nodes: u16,
    next_packet: u64,
    /// By node: the last packet that arrived, if an attacker wants to know.
    overheard: Option<Vec<Option<Overheard>>>,
    /// Datagrams sent.
    pub(crate) datagrams: u64,
}

impl World {
    pub(crate) fn new(nodes: u16, oracles: Oracles) -> Self {
        World {
            now: Instant::ORIGIN,
            queue: Queue::default(),
            flights: Slab::new(),
            ready: VecDeque::new(),
            reports: Vec::new(),
            pool: Pool::default(),
            trace: Trace::default(),
            coverage: Coverage::default(),
            oracles,
            observer: None,
            nodes,
            next_packet: 0,
            overheard: None,
            datagrams: 0,
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Whether somebody watches.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// An attacker listens.
    pub(crate) fn listen(&mut self) {
        self.overheard = Some(vec![None; usize::from(self.nodes)]);
    }

    /// What an attacker knows of the traffic to a node.
    pub(crate) fn overheard(&self, to: NodeId) -> Option<Overheard> {
        *self.overheard.as_ref()?.get(usize::from(to))?
    }

    fn overhear(&mut self, to: NodeId, packet: &Packet) {
        let Some(place) = self.overheard.as_mut().and_then(|all| all.get_mut(usize::from(to))) else {
            return;
        };
        if let Some((header, _)) = packet.origin.and_then(|_| Header::parse(&packet.bytes).ok())
            && matches!(header.packet_type, PacketType::Data | PacketType::Ack)
        {
            *place = Some(Overheard { header, src: packet.src });
        }
    }

    fn observe(&mut self, packet: &Packet, fate: Fate) {
        if let Some(observer) = &mut self.observer {
            observer.datagram(self.now, packet, fate);
        }
    }

    /// A node sends a datagram: it starts on its link.
    pub fn send(&mut self, from: NodeId, mut packet: Packet) {
        self.next_packet += 1;
        self.datagrams += 1;
        packet.id = self.next_packet;
        packet.origin = Some(from);
        packet.hop = 0;
        // It is looked at where it stays: what is written and moved at once, the processor waits for.
        let key = self.flights.insert(packet);
        let packet = &mut self.flights[key];
        let hash = hash_bytes(&packet.bytes);
        self.trace.add(Record::Sent, self.now.as_nanos(), u32::from(from), packet.id, hash);
        if let Some(observer) = &mut self.observer {
            observer.datagram(self.now, packet, Fate::Sent);
        }
        self.oracles.on_sent(self.now, from, packet, &mut self.coverage);
        let to = node_at(&packet.dst).filter(|to| *to < self.nodes);
        packet.chain = u32::from(from) * u32::from(self.nodes) + u32::from(to.unwrap_or(from));
        match to {
            Some(_) => self.ready.push_back(key as u32),
            None => {
                let packet = self.flights.remove(key);
                self.lose(packet, LossReason::NoRoute);
            }
        }
    }

    /// A packet made up by an attacker arrives at a node, past all links.
    pub fn inject(&mut self, to: NodeId, mut packet: Packet) {
        self.next_packet += 1;
        packet.id = self.next_packet;
        packet.origin = None;
        packet.chain = u32::from(to) * u32::from(self.nodes) + u32::from(to);
        packet.hop = u32::MAX;
        let hash = hash_bytes(&packet.bytes);
        self.trace.add(Record::Sent, self.now.as_nanos(), u32::MAX, packet.id, hash);
        self.observe(&packet, Fate::Injected);
        self.make_ready(packet);
    }

    fn make_ready(&mut self, packet: Packet) {
        let key = self.flights.insert(packet) as u32;
        self.ready.push_back(key);
    }

    /// The next packet that goes on at once, by key.
    pub(crate) fn next_ready(&mut self) -> Option<u32> {
        self.ready.pop_front()
    }

    /// The link that a packet travels along, and how much of it it has passed.
    pub(crate) fn position(&self, key: u32) -> Option<(u32, u32)> {
        self.flights.get(key as usize).map(|packet| (packet.chain, packet.hop))
    }

    /// A packet ends its way here.
    pub(crate) fn land(&mut self, key: u32) -> Option<Packet> {
        self.flights.try_remove(key as usize)
    }

    /// As [`forward_at`](Self::forward_at), for one that is on its way.
    pub(crate) fn pass_on_at(&mut self, at: Instant, key: u32) {
        let Some(packet) = self.flights.get_mut(key as usize) else { return };
        packet.hop = packet.hop.saturating_add(1);
        if at <= self.now {
            return self.ready.push_back(key);
        }
        if !packet.copy {
            self.oracles.disturbances.on_held(at, at - self.now, packet.chain);
        }
        self.queue.push(at, Happening::Packet(key));
    }

    /// The packet goes on to its next hop.
    pub fn forward(&mut self, mut packet: Packet) {
        packet.hop = packet.hop.saturating_add(1);
        self.make_ready(packet);
    }

    /// The packet goes on to its next hop at that time.
    pub fn forward_at(&mut self, at: Instant, packet: Packet) {
        let key = self.flights.insert(packet) as u32;
        self.pass_on_at(at, key);
    }

    /// A packet is held back `by` so much, until then.
    pub(crate) fn held(&mut self, until: Instant, by: Duration, packet: &Packet) {
        if !packet.copy {
            self.oracles.disturbances.on_held(until, by, packet.chain);
        }
    }

    /// A copy of the packet, to be sent on as well.
    pub fn duplicate(&mut self, packet: &Packet) -> Packet {
        let copy = Packet { bytes: self.pool.copy(&packet.bytes), copy: true, ..empty_like(packet) };
        self.observe(&copy, Fate::Duplicated);
        copy
    }

    /// The packet's bytes were changed.
    pub fn damaged(&mut self, packet: &mut Packet) {
        packet.damaged = true;
        self.changed(packet);
        self.observe(packet, Fate::Damaged);
    }

    /// The packet is not what was sent, or says something else than its sender.
    pub(crate) fn changed(&mut self, packet: &Packet) {
        self.oracles.disturbances.on_lost(self.now, packet.chain);
    }

    /// The packet is lost.
    pub fn lose(&mut self, packet: Packet, reason: LossReason) {
        self.trace.add(Record::Lost, self.now.as_nanos(), u32::from(reason as u8), packet.id, 0);
        self.coverage.loss(reason);
        if !packet.copy && packet.origin.is_some() {
            self.oracles.disturbances.on_lost(self.now, packet.chain);
        }
        self.observe(&packet, Fate::Lost(reason));
        self.pool.give(packet.bytes);
    }

    /// A packet has reached a node, which takes it and looks at it before it does anything else.
    pub fn delivered(&mut self, to: NodeId, packet: &Packet) {
        self.arrived(to, packet);
        self.read(to, packet);
    }

    /// A packet has reached the socket of a node.
    pub(crate) fn arrived(&mut self, to: NodeId, packet: &Packet) {
        let word = u64::from(packet.damaged) | (u64::from(packet.src.port()) << 8);
        // What was sent is in the trace already; what has become of it is not.
        let word = if packet.damaged { word ^ hash_bytes(&packet.bytes) } else { word };
        self.trace.add(Record::Delivered, self.now.as_nanos(), u32::from(to), packet.id, word);
        self.observe(packet, Fate::Delivered);
    }

    /// A node looks at a packet that has reached it.
    pub(crate) fn read(&mut self, to: NodeId, packet: &Packet) {
        self.overhear(to, packet);
        let now = self.now;
        self.oracles.on_delivered(now, to, packet, &mut self.coverage);
    }

    /// Tell the sender of a packet, later perhaps, that it could not be delivered.
    pub fn report(&mut self, at: Instant, packet: &Packet, error: NetworkError) {
        let Some(node) = packet.origin else { return };
        self.report_to(at, node, packet.dst, error);
    }

    /// Tell a node of an error about packets to an address.
    pub fn report_to(&mut self, at: Instant, node: NodeId, about: std::net::SocketAddr, error: NetworkError) {
        self.reports.push(Report { node, about, error });
        let index = u32::MAX - (self.reports.len() as u32 - 1);
        self.queue.push(at.max(self.now), Happening::Action(index));
    }

    /// A timer of a node's endpoint has come.
    pub fn timer(&mut self, node: NodeId, wake: Wake) {
        let now = self.now;
        self.trace.add(Record::Timer, now.as_nanos(), u32::from(node), wake as u64, 0);
        self.coverage.wake(wake);
        self.oracles.on_timer(node);
        if let Some(observer) = &mut self.observer {
            observer.timer(now, node, wake);
        }
    }

    /// A node's endpoint told its application something.
    pub fn event(&mut self, node: NodeId, event: &Event) {
        let (a, b) = match event {
            Event::Call { tag, news, call } => {
                (*tag, (call.slot() as u64) << 8 | u64::from(news_bits(*news)))
            }
            Event::Incoming { call, service } => (u64::from(*service) | 1 << 32, call.slot() as u64),
            _ => (2 << 32, 0),
        };
        self.trace.add(Record::Event, self.now.as_nanos(), u32::from(node), a, b);
        if let Some(observer) = &mut self.observer {
            observer.event(self.now, node, event);
        }
    }

    /// The state of a call of a node's endpoint. Only for who watches: it is no part of the trace.
    pub fn sample(&mut self, node: NodeId, call: &CallInfo) {
        if let Some(observer) = &mut self.observer {
            observer.sample(self.now, node, call);
        }
    }

    /// A node's application did something; the two words say what.
    pub fn application(&mut self, node: NodeId, a: u64, b: u64) {
        self.trace.add(Record::Application, self.now.as_nanos(), u32::from(node), a, b);
    }

    /// Something befalls a node that is down, or that is being closed already: nothing comes of it.
    pub(crate) fn skip(&mut self, node: NodeId, what: &Control) {
        if let Some(observer) = &mut self.observer {
            observer.note(self.now, Some(node), &format!("skipped: {what:?}"));
        }
    }

    /// Something is wrong.
    pub fn violation(&mut self, node: Option<NodeId>, oracle: Oracle, text: impl Into<String>) {
        let violation = Violation { at: self.now, node, oracle, text: text.into() };
        self.oracles.violation(violation);
    }
}

fn news_bits(news: rxrpc_proto::News) -> u8 {
    u8::from(news.readable())
        | u8::from(news.writable()) << 1
        | u8::from(news.delivered()) << 2
        | u8::from(news.ended()) << 3
}

/// All of a packet but its bytes.
fn empty_like(packet: &Packet) -> Packet {
    Packet { bytes: Vec::new(), ..*packet }
}
