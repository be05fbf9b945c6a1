//! Client applications: begin, write, read, give up, and check what comes back.

use rxrpc_proto::wire::AbortCode;
use rxrpc_proto::{
    BeginCallError, BusyPolicy, CallError, CallId, CallInfo, CallOptions, Endpoint, Instant, News, Target,
};
use slab::Slab;

use super::book::{self, Begun};
use super::transfer::{Reader, Stop, Writer};
use super::{Alarm, App, Begin, Reach, is_impatient, limits};
use crate::coverage::{CallStage, Coverage, Limit};
use crate::oracle::{Checks, Oracle};
use crate::packet::NodeId;
use crate::scenario::{CallSpec, Ending, Scenario, us};
use crate::world::World;

/// A call that was refused for want of room is tried again after this long.
pub(crate) const TRY_AGAIN: u64 = 50_000;

#[derive(Debug)]
struct ClientCall {
    id: CallId,
    /// What was begun.
    what: Begin,
    /// Its place in the book, and its number.
    place: u32,
    unique: u32,
    generation: u32,
    writer: Writer,
    reader: Reader,
    /// When it is to go on, if an alarm is set for it.
    alarm: Option<Instant>,
    /// It has ended with success, and the rest is being read.
    ended: bool,
    /// When it was begun, on the node's clock.
    begun: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Clients {
    calls: Slab<ClientCall>,
    generation: u32,
    /// Calls of which it is not known yet whether they wait for a channel, with their places in the book.
    fresh: Vec<(CallId, u32)>,
    /// Some of them have begun in an earlier turn.
    waited: bool,
    /// When the last call ended here.
    last_end: Option<Instant>,
}

fn tag_of(slot: usize, generation: u32) -> u64 {
    slot as u64 | u64::from(generation) << 32
}

impl Clients {
    fn slot(&self, tag: u64) -> Option<usize> {
        let slot = (tag & 0xffff_ffff) as usize;
        let generation = (tag >> 32) as u32;
        self.calls.get(slot).filter(|c| c.generation == generation).map(|_| slot)
    }

    /// The call in a slot, its writer, and its place in the scenario.
    pub(super) fn writer(&self, slot: usize) -> (CallId, &Writer, u32) {
        let call = &self.calls[slot];
        (call.id, &call.writer, call.what.spec)
    }

    pub(super) fn hurry(&mut self) -> std::vec::IntoIter<u64> {
        let mut tags = Vec::new();
        for (slot, call) in &mut self.calls {
            call.writer.hurry();
            call.reader.hurry();
            tags.push(tag_of(slot, call.generation));
        }
        tags.into_iter()
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn open(&self) -> Vec<(CallId, u32)> {
        self.calls.iter().map(|(_, c)| (c.id, c.unique)).collect()
    }
}

/// Whether a call lives and has no channel.
pub(crate) fn has_to_wait(call: &CallInfo) -> bool {
    call.is_client && call.wire.is_none() && call.outcome.is_none()
}

/// A call of the node has to wait for a channel: for want of connections, if calls that probe for a newer service do not
/// hold it up, and the limit is below what a client may have that has not proved its address.
pub(crate) fn count_waiting(coverage: &mut Coverage, scenario: &Scenario, node: NodeId) {
    const FIRST_CONNECTIONS: usize = 16;
    coverage.limit(Limit::Channels);
    let probes = scenario.calls.iter().any(|call| call.client == node && call.upgrade);
    let few = scenario.nodes[usize::from(node)].endpoint.connections_per_bundle < FIRST_CONNECTIONS;
    if few && !probes {
        coverage.limit(Limit::ConnectionsPerBundle);
    }
}

/// How the call is made.
pub(crate) fn options(spec: &CallSpec, tag: u64) -> CallOptions {
    CallOptions {
        tag,
        exclusive: spec.exclusive,
        total_length: spec.announced.then_some(spec.request.len),
        lifetime: (spec.lifetime > 0).then_some(us(spec.lifetime)),
        silence: (spec.silence > 0).then_some(us(spec.silence)),
        busy: if spec.retry_busy { BusyPolicy::Retry } else { BusyPolicy::Fail },
    }
}

impl App {
    pub(super) fn begin(&mut self, reach: &mut Reach<'_>, what: Begin) {
        let spec = what.spec;
        if spec as usize >= self.scenario.calls.len() {
            return;
        }
        self.misuse_endpoint(reach);
        let call = &self.scenario.calls[spec as usize];
        let generation = (self.clients.generation + 1) & 0x7fff_ffff;
        let slot = self.clients.calls.vacant_key();
        let tag = tag_of(slot, generation);
        let target = Target { peer: self.address(call.server), service: call.service, upgrade: call.upgrade };
        let id = match reach.endpoint.begin_call(&target, options(call, tag)) {
            Ok(id) => id,
            Err(error) => return self.begin_refused(reach, what, error),
        };
        self.clients.generation = generation;
        let idle = self.clients.last_end.map(|end| reach.now - end);
        let (kinds, live) = (&self.kinds[spec as usize], self.clients.calls.len());
        book::count_kinds(&mut reach.world.coverage, kinds, live, idle);
        let Begun { unique, place, writer, reader } = book::begin(reach.world, self.node, spec, call);
        self.clients.fresh.push((id, place));
        self.clients.calls.insert(ClientCall {
            id,
            what,
            place,
            unique,
            generation,
            writer,
            reader,
            alarm: None,
            ended: false,
            begun: reach.local,
        });
        if call.ending != Ending::Normal {
            self.alarms.set(reach.now + us(call.ending_after), Alarm::EndClient(tag));
        }
        self.write_client(reach, slot);
    }

    /// The endpoint has given its calls the channels that there are, if it `may` by now.
    pub(crate) fn count_waiting(&mut self, endpoint: &Endpoint, world: &mut World, may: bool) {
        if !may {
            self.clients.waited = true;
            return;
        }
        let waited = std::mem::take(&mut self.clients.waited);
        for (id, place) in self.clients.fresh.drain(..) {
            // Who has sent something since has a channel, unless it was turned away in between.
            let has_sent = world.oracles.ledger.record(place).is_some_and(|record| record.heard[0].is_some());
            let is_known = has_sent && !waited;
            if !is_known && endpoint.call_info(id).is_some_and(|call| has_to_wait(&call)) {
                count_waiting(&mut world.coverage, &self.scenario, self.node);
            }
        }
    }

    fn begin_refused(&mut self, reach: &mut Reach<'_>, what: Begin, error: BeginCallError) {
        reach.world.coverage.error(&error);
        match error {
            BeginCallError::TooManyCalls => reach.world.coverage.limit(Limit::Calls),
            BeginCallError::TooManyCallsToPeer(_) => reach.world.coverage.limit(Limit::CallsPerPeer),
            BeginCallError::EndpointClosed => {}
            _ => self.broken(reach, &format!("beginning a call: {error}")),
        }
        if !self.healed {
            self.alarms.set(reach.now + us(TRY_AGAIN), Alarm::Begin(what));
        }
    }

    pub(super) fn on_client(&mut self, reach: &mut Reach<'_>, call: CallId, tag: u64, news: News) {
        let Some(slot) = self.clients.slot(tag).filter(|s| self.clients.calls[*s].id == call) else {
            return self.after_the_end(reach, tag);
        };
        if self.clients.calls[slot].ended {
            return self.after_the_end(reach, tag);
        }
        if news.ended() {
            return self.on_client_ended(reach, slot);
        }
        if news.writable() {
            self.write_client(reach, slot);
        }
        if news.readable() && self.clients.calls.contains(slot) {
            self.read_client(reach, slot);
        }
    }

    pub(super) fn after_the_end(&self, reach: &mut Reach<'_>, tag: u64) {
        let text = format!("an event with tag {tag:x} after the end of its call");
        reach.world.violation(Some(self.node), Oracle::EndsOnce, text);
    }

    fn on_client_ended(&mut self, reach: &mut Reach<'_>, slot: usize) {
        let call = &mut self.clients.calls[slot];
        let outcome = reach.endpoint.call(call.id).and_then(|view| view.outcome());
        let Some(outcome) = outcome else {
            return self.broken(reach, "a call has ended without an outcome");
        };
        call.ended = true;
        let place = call.place;
        let (after, spec) = (reach.local - call.begun, call.what.spec);
        reach.world.coverage.outcome(&outcome);
        reach.world.application(self.node, u64::from(call.unique), 2 | u64::from(outcome.is_ok()) << 8);
        let allow = reach.world.oracles.allow;
        let tainted = reach.world.oracles.is_tainted();
        let call = &self.scenario.calls[spec as usize];
        let late = reach.world.oracles.note_end(reach.now, place, call, outcome);
        self.report(reach, late);
        let limits = limits(&self.scenario, self.node, &self.scenario.calls[spec as usize]);
        let impatient = is_impatient(&self.scenario, limits[1]);
        let anonymous = book::is_anonymous(call);
        let disturbed = reach.world.oracles.explains_silence(reach.now, place, call, [limits[1], 0], outcome);
        let checks = Checks {
            allow: &allow,
            tainted,
            anonymous,
            now: reach.now,
            crashed_client: false,
            impatient,
            disturbed,
            limited: limits[0] > 0,
        };
        let silence = (us(limits[1]), self.slack);
        let ledger = &mut reach.world.oracles.ledger;
        let silent = ledger.judge_silence(Some(place), (0, &outcome), reach.now, silence);
        let finding = ledger.end_client(place, outcome, checks);
        ledger.unreleased += 1;
        if !tainted {
            self.report(reach, silent);
        }
        self.report(reach, finding);
        self.check_deadline(reach, outcome, after, limits);
        self.misuse_ended(reach, self.clients.calls[slot].id);
        match outcome {
            Ok(()) => self.read_client(reach, slot),
            Err(_) => self.client_over(reach, slot),
        }
    }

    pub(super) fn report(&self, reach: &mut Reach<'_>, finding: Option<(Oracle, String)>) {
        if let Some((oracle, text)) = finding {
            reach.world.violation(Some(self.node), oracle, text);
        }
    }

    pub(super) fn drive_client(&mut self, reach: &mut Reach<'_>, tag: u64) {
        let Some(slot) = self.clients.slot(tag) else { return };
        self.clients.calls[slot].alarm = None;
        if !self.clients.calls[slot].ended {
            self.write_client(reach, slot);
        }
        if self.clients.calls.contains(slot) {
            self.read_client(reach, slot);
        }
    }

    /// Wake the call then, unless it is woken earlier.
    fn client_alarm(&mut self, slot: usize, at: Instant) {
        let call = &mut self.clients.calls[slot];
        if call.alarm.is_none_or(|a| at < a) {
            call.alarm = Some(at);
            self.alarms.set(at, Alarm::Client(tag_of(slot, call.generation)));
        }
    }

    fn write_client(&mut self, reach: &mut Reach<'_>, slot: usize) {
        let call = &mut self.clients.calls[slot];
        let Some(mut view) = reach.endpoint.call(call.id) else {
            return self.broken(reach, "a call is unknown that was not released");
        };
        let stop = call.writer.go(reach.now, &mut view);
        let unique = call.unique;
        book::count_refusals(&mut reach.world.coverage, Some(&mut call.writer), &mut call.reader);
        self.misuse_client(reach, slot);
        match stop {
            Stop::Until(at) => self.client_alarm(slot, at),
            Stop::Blocked | Stop::Done | Stop::Over => {}
            Stop::Wrong(_) | Stop::Unexpected => {
                self.broken(reach, &format!("writing call {unique} was refused"));
            }
        }
    }

    fn read_client(&mut self, reach: &mut Reach<'_>, slot: usize) {
        let call = &mut self.clients.calls[slot];
        let Some(mut view) = reach.endpoint.call(call.id) else {
            return self.broken(reach, "a call is unknown that was not released");
        };
        let tainted = reach.world.oracles.is_tainted();
        let stop = loop {
            match call.reader.step(reach.now, &mut view) {
                None => {}
                Some(Stop::Wrong(_)) if tainted => {}
                Some(stop) => break stop,
            }
        };
        book::count_refusals(&mut reach.world.coverage, None, &mut call.reader);
        let (unique, ended, read) = (call.unique, call.ended, call.reader.read);
        let expected = book::reply_len(&self.scenario.calls[call.what.spec as usize]);
        match stop {
            Stop::Until(at) => self.client_alarm(slot, at),
            Stop::Wrong(at) => self.wrong(reach, unique, &format!("wrong reply before byte {at}")),
            Stop::Done => {
                if read != expected {
                    self.wrong(reach, unique, &format!("{read} bytes of reply, not {expected}"));
                }
                if ended {
                    self.client_over(reach, slot);
                }
            }
            Stop::Blocked if ended => self.broken(reach, "reading blocks after the call has ended well"),
            Stop::Unexpected => self.broken(reach, "reading was refused"),
            Stop::Blocked | Stop::Over => {}
        }
    }

    /// The call is over and read: forget it, and make the next one.
    fn client_over(&mut self, reach: &mut Reach<'_>, slot: usize) {
        let call = &self.clients.calls[slot];
        self.clients.last_end = Some(reach.now);
        // There is no reply to a request that was not sent.
        let sent = call.reader.read > 0
            || reach.endpoint.call(call.id).is_some_and(|view| view.stats().packets_sent > 0);
        book::count_client_stages(&mut reach.world.coverage, sent, &call.writer, &call.reader);
        reach.world.oracles.ledger.unreleased -= usize::from(call.ended);
        reach.endpoint.release(call.id);
        let what = Begin { round: call.what.round + 1, ..call.what };
        self.clients.calls.remove(slot);
        let spec = &self.scenario.calls[what.spec as usize];
        if self.healed {
            return;
        }
        if what.round >= spec.repeat {
            self.over_for_good(reach, what);
        } else if spec.pause > 0 {
            self.alarms.set(reach.now + us(spec.pause), Alarm::Begin(what));
        } else {
            self.begin(reach, what);
        }
    }

    /// The call was made for the last time: others may have waited for that.
    fn over_for_good(&mut self, reach: &Reach<'_>, what: Begin) {
        if let Some(served) = what.parent {
            return self.alarms.set(reach.now, Alarm::Nested(served));
        }
        let Some(unfinished) = self.unfinished.get_mut(what.spec as usize) else { return };
        *unfinished = unfinished.saturating_sub(1);
        if *unfinished > 0 {
            return;
        }
        let scenario = std::sync::Arc::clone(&self.scenario);
        let waits = |call: &CallSpec| call.after == Some(what.spec) && call.client == self.node;
        for (spec, call) in (0..).zip(&scenario.calls).filter(|(_, call)| waits(call)) {
            for _ in 0..call.parallel {
                let begin = Begin { spec, round: 0, parent: None };
                self.alarms.set(reach.now + us(call.at), Alarm::Begin(begin));
            }
        }
    }

    /// The client gives the call up, if it still lives.
    pub(super) fn end_client(&mut self, reach: &mut Reach<'_>, tag: u64) {
        let Some(slot) = self.clients.slot(tag).filter(|s| !self.clients.calls[*s].ended) else {
            return reach.world.coverage.given_up(CallStage::Ended);
        };
        let stage = self.stage(reach, slot);
        reach.world.coverage.given_up(stage);
        let call = &self.clients.calls[slot];
        let (id, place, unique) = (call.id, call.place, call.unique);
        let ending = self.scenario.calls[call.what.spec as usize].ending;
        if !matches!(ending, Ending::ClientAborts | Ending::ClientForgets | Ending::ClientFails) {
            return;
        }
        reach.world.application(self.node, u64::from(unique), 3);
        if let Some(record) = reach.world.oracles.ledger.record(place) {
            record.client_gave_up = true;
            record.gave_up_at = Some(reach.now);
        }
        match ending {
            Ending::ClientForgets => {
                let gone = Err(CallError::LocalAbort(AbortCode::RX_USER_ABORT));
                let allow = reach.world.oracles.allow;
                let checks = Checks::none(&allow);
                reach.world.coverage.outcome(&gone);
                let finding = reach.world.oracles.ledger.end_client(place, gone, checks);
                self.report(reach, finding);
                self.client_over(reach, slot);
            }
            Ending::ClientFails => {
                let error = if unique % 2 == 0 { CallError::Short } else { CallError::Excess };
                if let Some(mut view) = reach.endpoint.call(id) {
                    view.fail(error);
                }
            }
            _ => {
                if let Some(mut view) = reach.endpoint.call(id) {
                    view.abort(AbortCode(unique as i32 | 1));
                }
            }
        }
    }

    fn stage(&self, reach: &mut Reach<'_>, slot: usize) -> CallStage {
        let call = &self.clients.calls[slot];
        let sent = reach.endpoint.call(call.id).map_or(0, |view| view.stats().packets_sent);
        if call.reader.read > 0 {
            CallStage::RecvReply
        } else if sent == 0 {
            CallStage::Queued
        } else if call.writer.finished {
            CallStage::AwaitReply
        } else {
            CallStage::SendRequest
        }
    }

    pub(super) fn lose_client_calls(&mut self, world: &mut World) {
        let allow = world.oracles.allow;
        self.clients.fresh.clear();
        for call in self.clients.calls.drain() {
            if call.ended {
                world.oracles.ledger.unreleased -= 1;
                continue;
            }
            let gone = Err(CallError::EndpointClosed);
            let checks = Checks { tainted: true, ..Checks::none(&allow) };
            let _ = world.oracles.ledger.end_client(call.place, gone, checks);
        }
    }
}
