//! A node of the direct harness: an endpoint without a runtime, its socket, its clock, its applications.

mod clock;
mod inbox;
mod judge;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rxrpc_proto::{
    Endpoint, Event, Instant, NetworkError, Path, Segments, ServiceOptions, Transmit, TransmitBuf,
};

pub(crate) use clock::NodeClock;
pub(crate) use inbox::Inbox;
pub(crate) use judge::{check_faults, check_leftovers, count_clock_faults};

use crate::net::{Control, Element};
use crate::observer::LossReason;
use crate::oracle::{Limits, Oracle};
use crate::packet::{NodeId, Packet, inside, reaches};
use crate::rng::{Rng, Streams};
use crate::scenario::{NodeSpec, Scenario, us};
use crate::workload::{App, Reach};
use crate::world::World;

/// Rounds of sending and events that one turn may take.
const ROUNDS: u32 = 10_000;
/// A closed endpoint answers for this long at most.
const LINGER: Duration = Duration::from_millis(200);
/// The limits are checked every so many turns.
const CHECK_EVERY: u32 = 16;

/// Whether the node runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Running,
    /// Its process stands still until then.
    Paused(Instant),
    /// It is gone until then.
    Down(Instant),
}

/// A node of the direct harness.
pub(crate) struct DirectNode {
    id: NodeId,
    addr: SocketAddr,
    spec: NodeSpec,
    streams: Streams,
    /// Whether sends are refused, and whether batches are.
    rngs: [Rng; 2],
    incarnation: u32,
    endpoint: Endpoint,
    app: App,
    clock: NodeClock,
    inbox: Inbox,
    /// What came during a pause: it is looked at when the node goes on.
    unseen: Vec<Packet>,
    buf: TransmitBuf,
    /// A batch that the socket would not take.
    held: Option<Transmit>,
    blocked_until: Option<Instant>,
    life: Life,
    /// Its endpoint is closed: it goes at the first time and comes back so much later.
    closing: Option<(Instant, Duration)>,
    /// Something happened that it has to look at now.
    stirred: Option<Instant>,
    turns: u32,
    healed: bool,
}

fn new_endpoint(spec: &NodeSpec, streams: &Streams, incarnation: u32) -> Endpoint {
    let number = u64::from(spec.id) << 32 | u64::from(incarnation);
    let mut endpoint = Endpoint::new(spec.endpoint.config(streams.bytes("endpoint", number)));
    for service in &spec.services {
        let options = ServiceOptions {
            backlog: service.backlog,
            upgrade_to: (service.upgrade_to > 0).then_some(service.upgrade_to),
        };
        // A scenario that names a service twice offers it once.
        let _ = endpoint.listen(service.service, options);
    }
    endpoint
}

impl DirectNode {
    /// The node with this number of the scenario.
    pub(crate) fn new(id: NodeId, scenario: &Arc<Scenario>) -> Self {
        let spec = scenario.nodes[usize::from(id)].clone();
        let streams = Streams::new(scenario.seed);
        DirectNode {
            id,
            addr: inside(id, spec.ipv6),
            rngs: ["blocked", "gso"].map(|label| streams.stream(label, u64::from(spec.id))),
            incarnation: 0,
            endpoint: new_endpoint(&spec, &streams, 0),
            app: App::new(id, scenario),
            clock: NodeClock::new(spec.clock.clone(), streams.stream("clock", u64::from(spec.id))),
            inbox: Inbox::new(spec.socket.receive_buffer, spec.socket.coalesce),
            unseen: Vec::new(),
            buf: TransmitBuf::new(spec.socket.batch),
            held: None,
            blocked_until: None,
            life: Life::Running,
            closing: None,
            stirred: Some(Instant::ORIGIN),
            turns: 0,
            healed: false,
            streams,
            spec,
        }
    }

    fn stir(&mut self, now: Instant) {
        self.stirred.get_or_insert(now);
    }

    /// Everything there is to do now.
    fn turn(&mut self, now: Instant, world: &mut World) {
        self.stirred = None;
        self.turns = self.turns.wrapping_add(1);
        let local = self.clock.local(now);
        self.read_inbox(local, world);
        let mut idle_timers = 0;
        for round in 0.. {
            let due = self.endpoint.poll_timeout().filter(|(at, _)| self.clock.timer(*at) <= now);
            if let Some((_, wake)) = due {
                world.timer(self.id, wake);
                self.endpoint.handle_timeout(local);
            }
            let mut reach = Reach { now, local, endpoint: &mut self.endpoint, world };
            let mut busy = self.app.run(&mut reach);
            busy |= self.send(now, local, world);
            busy |= self.tell(now, local, world);
            idle_timers = if due.is_some() && !busy { idle_timers + 1 } else { 0 };
            // While the socket is blocked nobody asks what there is to send, and the deadlines that packets have set
            // meanwhile are unknown until the first one has come.
            let most = 1 + u32::from(self.blocked_until.is_some());
            if idle_timers > most {
                let text = format!("{due:?} comes again and again at {local:?}");
                world.violation(Some(self.id), Oracle::Progress, text);
                break;
            }
            if due.is_none() && !busy {
                break;
            }
            if round > ROUNDS {
                world.violation(Some(self.id), Oracle::Work, "no end of work in one turn");
                break;
            }
        }
        let is_free = self.held.is_none() && self.blocked_until.is_none();
        self.app.count_waiting(&self.endpoint, world, is_free);
        if self.turns.is_multiple_of(CHECK_EVERY) {
            self.check(world);
        }
        if world.is_observed() {
            self.endpoint.call_infos().for_each(|call| world.sample(self.id, &call));
        }
    }

    fn read_inbox(&mut self, local: Instant, world: &mut World) {
        for packet in self.unseen.drain(..) {
            world.read(self.id, &packet);
            world.pool.give(packet.bytes);
        }
        for i in 0.. {
            let Some((run, bytes)) = self.inbox.run(i) else { break };
            let path = Path { peer: run.src, local_ip: None, ecn: run.ecn };
            self.endpoint.handle_datagrams(local, &path, Segments { bytes, stride: run.stride });
        }
        self.inbox.clear();
    }

    /// Send what there is. True if anything was sent.
    fn send(&mut self, now: Instant, local: Instant, world: &mut World) -> bool {
        if self.blocked_until.is_some_and(|until| now < until) {
            return false;
        }
        self.blocked_until = None;
        let mut any = false;
        for round in 0.. {
            let held = self.held.take();
            let late = held.is_some();
            let transmit = match held {
                Some(held) => held,
                None => match self.endpoint.poll_transmit(local, &mut self.buf) {
                    Some(transmit) => transmit,
                    None => break,
                },
            };
            if !self.healed && self.is_refused(now, &transmit, world) {
                self.held = Some(transmit);
                break;
            }
            any = true;
            self.launch(&transmit, late, world);
            if round > ROUNDS {
                world.violation(Some(self.id), Oracle::Work, "no end of packets in one turn");
                break;
            }
        }
        any
    }

    /// Whether the socket does not take the batch now.
    fn is_refused(&mut self, now: Instant, transmit: &Transmit, world: &mut World) -> bool {
        let socket = &self.spec.socket;
        let [blocked, gso] = &mut self.rngs;
        if socket.blocked > 0.0 && blocked.chance(socket.blocked) {
            world.coverage.fault("send-blocked");
            let until = now + us(socket.blocked_for);
            self.blocked_until = Some(until);
            world.oracles.disturbances.on_node(self.id, until);
            return true;
        }
        if transmit.datagrams() > 1 && socket.gso_refused > 0.0 && gso.chance(socket.gso_refused) {
            // The datagrams go out one by one, which the network does not see; batches end from here on.
            world.coverage.fault("gso-refused");
            self.buf.set_max_segments(1);
        }
        false
    }

    fn launch(&self, transmit: &Transmit, late: bool, world: &mut World) {
        let bytes = &self.buf.as_slice()[..transmit.len];
        for datagram in bytes.chunks(transmit.segment.max(1)) {
            let bytes = world.pool.copy(datagram);
            let packet = Packet {
                df: !transmit.may_fragment,
                ecn: transmit.ecn,
                origin: Some(self.id),
                late,
                ..Packet::new(self.addr, transmit.peer, bytes)
            };
            world.send(self.id, packet);
        }
    }

    /// Hand events to the applications. True if there were any.
    fn tell(&mut self, now: Instant, local: Instant, world: &mut World) -> bool {
        let mut any = false;
        loop {
            // It is looked at where it was written: moved at once, the processor waits for it.
            let event = self.endpoint.poll_event();
            let Some(event) = &event else { return any };
            any = true;
            world.event(self.id, event);
            self.show_end(event, world);
            let mut reach = Reach { now, local, endpoint: &mut self.endpoint, world };
            self.app.on_event(&mut reach, event);
        }
    }

    /// Let those who watch see the last state of a call that has ended: its application may forget it now.
    fn show_end(&self, event: &Event, world: &mut World) {
        if let Event::Call { call, news, .. } = event
            && news.ended()
            && world.is_observed()
            && let Some(info) = self.endpoint.call_info(*call)
        {
            world.sample(self.id, &info);
        }
    }

    fn check(&self, world: &mut World) {
        let stats = self.endpoint.stats();
        world.coverage.holds(&self.spec.endpoint, &stats);
        let limits = Limits { node: self.id, spec: &self.spec.endpoint, oracles: &world.oracles };
        if let Some((oracle, text)) = limits.check(&stats, self.endpoint.call_infos()) {
            world.violation(Some(self.id), oracle, text);
        }
    }

    fn crash(&mut self, now: Instant, lasts: Duration, world: &mut World) {
        check_faults(self.id, &self.endpoint.stats(), world);
        self.app.crash(world);
        self.inbox.clear();
        self.unseen.clear();
        self.held = None;
        self.blocked_until = None;
        self.closing = None;
        self.life = Life::Down(now + lasts);
        world.oracles.on_restart(self.id);
    }

    /// Its process stands still until then, if it does not for longer.
    fn pause(&mut self, until: Instant) {
        self.life = match self.life {
            Life::Paused(before) => Life::Paused(until.max(before)),
            _ => Life::Paused(until),
        };
    }

    fn restart(&mut self, now: Instant) {
        self.incarnation += 1;
        self.endpoint = new_endpoint(&self.spec, &self.streams, self.incarnation);
        self.life = Life::Running;
        self.stir(now);
    }

    fn close(&mut self, now: Instant, lasts: Duration, world: &mut World) {
        self.endpoint.close();
        let local = self.clock.local(now);
        self.app.closed(&mut Reach { now, local, endpoint: &mut self.endpoint, world });
        self.turn(now, world);
        let stats = self.endpoint.stats();
        if stats.calls > self.app.waiting() {
            let text = format!("{} calls after closing", stats.calls);
            world.violation(Some(self.id), Oracle::Leftover, text);
        }
        // Peers may not have heard of it yet, and are told.
        let lingers = (lasts / 2).min(LINGER);
        self.closing = Some((now + lingers, lasts - lingers));
    }

    /// A closed endpoint goes, if it is time. True if it did.
    fn go(&mut self, now: Instant, world: &mut World) -> bool {
        let Some((_, lasts)) = self.closing.filter(|(at, _)| *at <= now) else { return false };
        self.crash(now, lasts, world);
        true
    }

    fn heal(&mut self, now: Instant, world: &mut World) {
        self.healed = true;
        world.oracles.note_backoffs(self.id, self.endpoint.call_infos());
        if self.closing.is_some() {
            self.crash(now, Duration::ZERO, world);
        }
        match self.life {
            Life::Down(_) => self.restart(now),
            Life::Paused(_) => self.life = Life::Running,
            Life::Running => {}
        }
        count_clock_faults(&self.spec.clock, &self.clock, world);
        self.clock.heal(now);
        self.inbox.heal();
        self.blocked_until = None;
        self.app.heal(now);
        self.stir(now);
    }
}

impl Element for DirectNode {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        if matches!(self.life, Life::Down(_)) {
            return world.lose(packet, LossReason::Down);
        }
        if !reaches(&packet.dst, &self.addr) {
            return world.lose(packet, LossReason::NoRoute);
        }
        if !self.inbox.push(&packet.src, packet.ecn, &packet.bytes) {
            world.coverage.fault("receive-overflow");
            return world.lose(packet, LossReason::Overflow);
        }
        if matches!(self.life, Life::Paused(_)) {
            world.arrived(self.id, &packet);
            self.unseen.push(packet);
        } else {
            world.delivered(self.id, &packet);
            world.pool.give(packet.bytes);
        }
        self.stir(now);
    }

    fn wake(&mut self, now: Instant, world: &mut World) {
        match self.life {
            Life::Paused(until) | Life::Down(until) if now < until => return,
            Life::Down(_) => self.restart(now),
            Life::Paused(_) => self.life = Life::Running,
            Life::Running => {}
        }
        if self.go(now, world) {
            return;
        }
        self.turn(now, world);
    }

    fn next_wake(&mut self) -> Option<Instant> {
        if let Life::Paused(until) | Life::Down(until) = self.life {
            return Some(until);
        }
        if self.stirred.is_some() {
            return self.stirred;
        }
        let goes = self.closing.map(|(at, _)| at);
        let timer = self.endpoint.poll_timeout().map(|(at, _)| self.clock.timer(at));
        [timer, self.app.next_wake(), self.blocked_until, goes].into_iter().flatten().min()
    }

    fn control(&mut self, now: Instant, control: &Control, world: &mut World) {
        let up = !matches!(self.life, Life::Down(_));
        match control {
            Control::Heal => self.heal(now, world),
            Control::Pause(lasts) if up => {
                world.coverage.fault("pause");
                self.pause(now + us(*lasts));
            }
            Control::Crash(lasts) if up => {
                world.coverage.fault("crash");
                self.crash(now, us(*lasts), world);
            }
            Control::Close(lasts) if up && self.closing.is_none() => {
                world.coverage.fault("close");
                self.life = Life::Running;
                self.close(now, us(*lasts), world);
            }
            Control::Pause(_) | Control::Crash(_) | Control::Close(_) => world.skip(self.id, control),
            Control::Block(lasts) => {
                world.coverage.fault("send-blocked");
                self.blocked_until = self.blocked_until.max(Some(now + us(*lasts)));
            }
            Control::Jump(by) => {
                world.coverage.fault("clock-jump");
                self.clock.jump(now, us(*by));
                self.stir(now);
            }
            _ => {}
        }
    }

    fn error(&mut self, now: Instant, about: SocketAddr, error: NetworkError, world: &mut World) {
        if self.life == Life::Running {
            world.coverage.network(error);
            world.oracles.on_report(now, self.id);
            self.endpoint.handle_network_error(self.clock.local(now), about, error);
            self.stir(now);
        }
    }

    fn finish(&mut self, _now: Instant, world: &mut World) {
        self.check(world);
        check_faults(self.id, &self.endpoint.stats(), world);
        check_leftovers(self.id, &self.endpoint.stats(), world);
        if let Some(timer) = self.endpoint.poll_timeout() {
            world.violation(Some(self.id), Oracle::Leftover, format!("the timer {timer:?}"));
        }
        if !self.app.is_idle() {
            let text = format!("calls of the application: {:?}", self.app.open_calls());
            world.violation(Some(self.id), Oracle::Leftover, text);
        }
    }
}
