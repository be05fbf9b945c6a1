//! Server applications: accept or turn away, read and check, work, reply, give up.

use rxrpc_proto::wire::AbortCode;
use rxrpc_proto::{AcceptOptions, CallError, CallId, Instant, News, Outcome, Rejection};
use slab::Slab;

use super::book::{self, Named};
use super::transfer::{Reader, Stop, Writer};
use super::{ANONYMOUS, Alarm, App, Arrivals, Begin, HEAD, Reach, SERVED, stream};
use crate::coverage::CallStage;
use crate::oracle::Served;
use crate::packet::NodeId;
use crate::scenario::{Ending, Micros, Scenario, ServiceSpec, Transfer, us};
use crate::world::World;

#[derive(Debug)]
struct ServedCall {
    id: CallId,
    generation: u32,
    /// Place in the book, once its request has named it.
    place: Option<u32>,
    unique: u32,
    spec: Option<u32>,
    reader: Reader,
    writer: Option<Writer>,
    named: bool,
    /// The whole request was read, or the rest of it is not wanted.
    has_request: bool,
    /// It works until then.
    works_until: Option<Instant>,
    /// A call that it made is not over.
    waits: bool,
    alarm: Option<Instant>,
    gave_up: bool,
    /// When it was accepted, on the node's clock.
    accepted: Instant,
    /// Its lifetime, if it was given one.
    lifetime: Micros,
}

#[derive(Debug)]
struct Waiting {
    id: CallId,
    service: u16,
    /// It is to be turned away.
    unwelcome: bool,
}

#[derive(Debug)]
pub(super) struct Servers {
    services: Vec<ServiceSpec>,
    waiting: Slab<Waiting>,
    calls: Slab<ServedCall>,
    generation: u32,
    arrivals: Arrivals,
}

fn tag_of(slot: usize, generation: u32) -> u64 {
    SERVED | slot as u64 | u64::from(generation) << 32
}

impl Servers {
    pub(super) fn new(scenario: &Scenario, node: NodeId) -> Self {
        let services = scenario.nodes.get(usize::from(node)).map(|n| n.services.clone()).unwrap_or_default();
        let arrivals = Arrivals::default();
        Servers { services, waiting: Slab::new(), calls: Slab::new(), generation: 0, arrivals }
    }

    fn slot(&self, tag: u64) -> Option<usize> {
        let slot = (tag & 0xffff_ffff) as usize;
        let generation = (tag >> 32) as u32 & 0x7fff_ffff;
        self.calls.get(slot).filter(|c| c.generation == generation).map(|_| slot)
    }

    pub(super) fn hurry(&mut self) -> std::vec::IntoIter<u64> {
        let mut tags = Vec::new();
        for (slot, call) in &mut self.calls {
            call.reader.hurry();
            if let Some(writer) = &mut call.writer {
                writer.hurry();
            }
            call.works_until = None;
            call.waits = false;
            tags.push(tag_of(slot, call.generation));
        }
        tags.into_iter()
    }

    /// One of the services, if there is any.
    pub(super) fn any_service(&self) -> Option<u16> {
        self.services.first().map(|service| service.service)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.waiting.is_empty()
    }
}

impl App {
    pub(super) fn on_incoming(&mut self, reach: &mut Reach<'_>, id: CallId, service: u16) {
        let Some(spec) = self.servers.services.iter().find(|s| s.service == service) else {
            return self.broken(reach, "a call of a service that is not offered");
        };
        let wait = spec.accept_after;
        let unwelcome = self.servers.arrivals.is_unwelcome(spec);
        let waiting = Waiting { id, service, unwelcome };
        if wait == 0 || self.healed {
            return self.accept(reach, &waiting);
        }
        let place = self.servers.waiting.insert(waiting) as u32;
        reach.world.coverage.stage(CallStage::Waiting);
        self.alarms.set(reach.now + us(wait), Alarm::Accept(place));
    }

    pub(super) fn accept_waiting(&mut self, reach: &mut Reach<'_>, place: u32) {
        if let Some(waiting) = self.servers.waiting.try_remove(place as usize) {
            self.accept(reach, &waiting);
        }
    }

    fn accept(&mut self, reach: &mut Reach<'_>, waiting: &Waiting) {
        let Waiting { id, service, unwelcome } = *waiting;
        let spec = self.servers.services.iter().find(|s| s.service == service);
        let Some(spec) = spec.cloned() else { return };
        if unwelcome && !self.healed {
            let how = match spec.reject_code {
                0 => Rejection::Busy,
                code => Rejection::Abort(AbortCode(code)),
            };
            reach.world.coverage.given_up(CallStage::Waiting);
            if let Err(error) = reach.endpoint.reject(id, how) {
                reach.world.coverage.error(&error);
            }
            reach.world.application(self.node, id.slot() as u64, 4);
            return;
        }
        let generation = (self.servers.generation + 1) & 0x7fff_ffff;
        let slot = self.servers.calls.vacant_key();
        let lifetime = (spec.lifetime > 0).then_some(us(spec.lifetime));
        let options = AcceptOptions { tag: tag_of(slot, generation), lifetime };
        self.misuse_waiting(reach, id);
        if let Err(error) = reach.endpoint.accept(id, options) {
            reach.world.coverage.error(&error);
            reach.world.application(self.node, id.slot() as u64, 5);
            return;
        }
        reach.world.application(self.node, id.slot() as u64, 6);
        self.misuse_accepted(reach, id);
        self.servers.generation = generation;
        reach.world.oracles.ledger.serve();
        self.servers.calls.insert(ServedCall {
            id,
            generation,
            place: None,
            unique: u32::MAX,
            spec: None,
            reader: Reader::new(Transfer::default(), ANONYMOUS, HEAD),
            writer: None,
            named: false,
            has_request: false,
            works_until: None,
            waits: false,
            alarm: None,
            gave_up: false,
            accepted: reach.local,
            lifetime: spec.lifetime,
        });
        self.go_on(reach, slot);
    }

    pub(super) fn on_served(&mut self, reach: &mut Reach<'_>, id: CallId, tag: u64, news: News) {
        let Some(slot) = self.servers.slot(tag).filter(|s| self.servers.calls[*s].id == id) else {
            return self.after_the_end(reach, tag);
        };
        if news.ended() {
            return self.on_served_ended(reach, slot);
        }
        self.go_on(reach, slot);
    }

    fn on_served_ended(&mut self, reach: &mut Reach<'_>, slot: usize) {
        let call = &self.servers.calls[slot];
        let outcome = reach.endpoint.call(call.id).and_then(|view| view.outcome());
        reach.endpoint.release(call.id);
        match outcome {
            Some(outcome) => self.served_call_ended(reach, call, outcome),
            None => self.broken(reach, "a call has ended without an outcome"),
        }
        self.servers.calls.remove(slot);
    }

    fn served_call_ended(&self, reach: &mut Reach<'_>, call: &ServedCall, outcome: Outcome) {
        reach.world.coverage.outcome(&outcome);
        book::count_served_stages(&mut reach.world.coverage, call.writer.as_ref());
        let word = 7 | u64::from(outcome.is_ok()) << 8;
        reach.world.application(self.node, u64::from(call.unique), word);
        let wrote = call.writer.as_ref().is_some_and(|w| w.finished);
        let tainted = reach.world.oracles.is_tainted() || (call.gave_up && outcome.is_err());
        let ends = (call.has_request, wrote);
        let late = reach.world.oracles.ledger.judge_late_end(call.place, reach.now, self.told_within);
        self.report(reach, late);
        if !reach.world.oracles.is_tainted() {
            self.judge_times(reach, call, outcome);
        }
        let finding = reach.world.oracles.ledger.end_server(reach.now, call.place, outcome, ends, tainted);
        self.report(reach, finding);
        if call.lifetime > 0 && reach.local - call.accepted > us(call.lifetime) + self.slack {
            self.check_deadline(reach, outcome, reach.local - call.accepted, [call.lifetime, 0]);
        }
    }

    /// Whether the served call has waited for its client no longer than it may.
    fn judge_times(&self, reach: &mut Reach<'_>, call: &ServedCall, outcome: Outcome) {
        let endpoint = &self.scenario.nodes[usize::from(self.node)].endpoint;
        let (lived, read_pause) = (reach.local - call.accepted, call.reader.plan.read_pause);
        let served = Served { place: call.place, outcome: &outcome, lived, read_pause };
        let ledger = &reach.world.oracles.ledger;
        let findings = ledger.judge_served(&served, reach.now, endpoint, self.slack);
        findings.into_iter().for_each(|finding| self.report(reach, finding));
    }

    pub(super) fn drive_server(&mut self, reach: &mut Reach<'_>, tag: u64) {
        let Some(slot) = self.servers.slot(tag) else { return };
        self.servers.calls[slot].alarm = None;
        self.go_on(reach, slot);
    }

    /// The call that a served one made is over.
    pub(super) fn nested_over(&mut self, reach: &mut Reach<'_>, tag: u64) {
        let Some(slot) = self.servers.slot(tag) else { return };
        self.servers.calls[slot].waits = false;
        self.go_on(reach, slot);
    }

    fn server_alarm(&mut self, slot: usize, at: Instant) {
        let call = &mut self.servers.calls[slot];
        if call.alarm.is_none_or(|a| at < a) {
            call.alarm = Some(at);
            self.alarms.set(at, Alarm::Serve(tag_of(slot, call.generation)));
        }
    }

    fn go_on(&mut self, reach: &mut Reach<'_>, slot: usize) {
        let call = &self.servers.calls[slot];
        let finished = call.has_request.then(|| call.writer.as_ref().is_some_and(|writer| writer.finished));
        self.misuse_served(reach, call.id, finished);
        if !self.servers.calls[slot].has_request {
            self.read_request(reach, slot);
        }
        let call = &mut self.servers.calls[slot];
        if !call.has_request || call.gave_up || call.waits {
            return;
        }
        if let Some(until) = call.works_until {
            if reach.now < until {
                return self.server_alarm(slot, until);
            }
            call.works_until = None;
        }
        self.write_reply(reach, slot);
    }

    fn read_request(&mut self, reach: &mut Reach<'_>, slot: usize) {
        loop {
            let call = &mut self.servers.calls[slot];
            let Some(mut view) = reach.endpoint.call(call.id) else {
                return self.broken(reach, "a served call is unknown");
            };
            let stop = call.reader.step(reach.now, &mut view);
            book::count_refusals(&mut reach.world.coverage, None, &mut call.reader);
            let (unique, named) = (call.unique, call.named);
            if !named && call.reader.has_head() && !self.name(reach, slot) {
                return;
            }
            match stop {
                None => {}
                Some(Stop::Wrong(_)) if reach.world.oracles.is_tainted() => {}
                Some(Stop::Until(at)) => return self.server_alarm(slot, at),
                Some(Stop::Done) => return self.on_request(reach, slot),
                Some(Stop::Wrong(at)) => {
                    return self.wrong(reach, unique, &format!("wrong request before byte {at}"));
                }
                Some(Stop::Unexpected) => return self.broken(reach, "reading a request was refused"),
                Some(Stop::Blocked | Stop::Over) => return,
            }
            if self.servers.calls[slot].has_request {
                return;
            }
        }
    }

    /// The first bytes are here: which call is it? False if it is none of ours.
    fn name(&mut self, reach: &mut Reach<'_>, slot: usize) -> bool {
        let call = &mut self.servers.calls[slot];
        call.named = true;
        let Some(Named { unique, place, spec }) = book::name(reach.world, call.reader.head) else {
            // An attacker's, or one long over that comes again.
            call.gave_up = true;
            if let Some(mut view) = reach.endpoint.call(call.id) {
                view.abort(AbortCode::RX_USER_ABORT);
            }
            return false;
        };
        (call.place, call.unique, call.spec) = (Some(place), unique, Some(spec));
        let spec = &self.scenario.calls[spec as usize];
        call.reader.know(spec.request.clone(), stream(unique, false));
        if self.healed {
            call.reader.hurry();
        }
        if matches!(spec.ending, Ending::ServerAborts | Ending::ServerForgets) && !self.healed {
            let at = reach.now + us(spec.ending_after);
            self.alarms.set(at, Alarm::EndServe(tag_of(slot, call.generation)));
        }
        if spec.early_reply {
            if let Some(mut view) = reach.endpoint.call(call.id) {
                view.discard_input();
            }
            self.execute(reach, slot);
        }
        true
    }

    /// The whole request is here.
    fn on_request(&mut self, reach: &mut Reach<'_>, slot: usize) {
        let call = &self.servers.calls[slot];
        let spec = call.spec.map(|spec| &self.scenario.calls[spec as usize]);
        if let Some(text) = book::judge_request(reach.world, spec, &call.reader) {
            self.wrong(reach, call.unique, &text);
        }
        self.execute(reach, slot);
    }

    fn execute(&mut self, reach: &mut Reach<'_>, slot: usize) {
        let call = &mut self.servers.calls[slot];
        call.has_request = true;
        let spec = call.spec.map(|spec| &self.scenario.calls[spec as usize]);
        let server = (self.node, self.incarnation);
        let (mut writer, finding) = book::execute(reach.world, server, call.unique, spec);
        let work = spec.map_or(0, |spec| spec.work);
        if self.healed {
            writer.hurry();
        } else if work > 0 {
            call.works_until = Some(reach.now + us(work));
        }
        call.writer = Some(writer);
        let nested = spec.and_then(|spec| spec.nested).filter(|_| !self.healed);
        if let Some(spec) = nested {
            call.waits = true;
            let parent = Some(tag_of(slot, call.generation));
            self.alarms.set(reach.now, Alarm::Begin(Begin { spec, round: 0, parent }));
        }
        self.report(reach, finding);
    }

    fn write_reply(&mut self, reach: &mut Reach<'_>, slot: usize) {
        let call = &mut self.servers.calls[slot];
        let Some(writer) = &mut call.writer else { return };
        let Some(mut view) = reach.endpoint.call(call.id) else {
            return self.broken(reach, "a served call is unknown");
        };
        let stop = writer.go(reach.now, &mut view);
        book::count_refusals(&mut reach.world.coverage, Some(writer), &mut call.reader);
        if writer.finished
            && let Some(record) = call.place.and_then(|p| reach.world.oracles.ledger.record(p))
        {
            record.replied = true;
        }
        match stop {
            Stop::Until(at) => self.server_alarm(slot, at),
            Stop::Unexpected => self.broken(reach, "writing a reply was refused"),
            _ => {}
        }
    }

    /// The server gives the call up, if it still lives.
    pub(super) fn end_server(&mut self, reach: &mut Reach<'_>, tag: u64) {
        let Some(slot) = self.servers.slot(tag) else {
            return reach.world.coverage.given_up(CallStage::Ended);
        };
        let call = &mut self.servers.calls[slot];
        reach.world.coverage.given_up(match &call.writer {
            None => CallStage::RecvRequest,
            Some(_) if call.works_until.is_some() => CallStage::Working,
            Some(w) if w.finished => CallStage::AwaitAck,
            Some(_) => CallStage::SendReply,
        });
        call.gave_up = true;
        let (id, place, unique) = (call.id, call.place, call.unique);
        if let Some(record) = place.and_then(|p| reach.world.oracles.ledger.record(p)) {
            record.server_gave_up = true;
        }
        reach.world.application(self.node, u64::from(unique), 9);
        let ending = call.spec.map(|s| self.scenario.calls[s as usize].ending);
        if ending == Some(Ending::ServerForgets) {
            let call = self.servers.calls.remove(slot);
            book::count_served_stages(&mut reach.world.coverage, call.writer.as_ref());
            reach.endpoint.release(id);
            let gone = Err(CallError::LocalAbort(AbortCode::RX_USER_ABORT));
            let finding = reach.world.oracles.ledger.end_server(reach.now, place, gone, (true, true), true);
            self.report(reach, finding);
        } else if let Some(mut view) = reach.endpoint.call(id) {
            view.abort(AbortCode(unique as i32 | 1));
        }
    }

    pub(super) fn lose_served_calls(&mut self, world: &mut World) {
        self.servers.waiting.clear();
        for call in self.servers.calls.drain() {
            let gone = Err(CallError::EndpointClosed);
            let now = world.now();
            let _ = world.oracles.ledger.end_server(now, call.place, gone, (true, true), true);
        }
    }
}
