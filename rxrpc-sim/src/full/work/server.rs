//! Server code: accept or turn away, read and check, work, reply, give up.

use std::rc::Rc;
use std::time::Duration;

use rxrpc_driver::{AbortCode, AcceptError, AcceptOptions, Call, CallError, Incoming, ServiceOptions};
use rxrpc_proto::{Instant, Outcome};

use super::super::handle::first;
use super::client::make_calls;
use super::job::Job;
use super::times::Taken;
use super::transfer::{Port, Stop, read_all, write_all};
use super::{App, Held, Plan, Turn};
use crate::coverage::CallStage;
use crate::rng::Rng;
use crate::scenario::{CallSpec, Ending, Micros, ServiceSpec, Transfer, us};
use crate::workload::book::{self, Named};
use crate::workload::transfer::{Reader, Writer};
use crate::workload::{ANONYMOUS, HEAD, stream};

/// A call that was accepted.
struct Served {
    /// Its place among the calls that tasks have.
    key: usize,
    /// Its place in the book, once its request has named it.
    place: Option<u32>,
    unique: u32,
    /// Its specification in the scenario.
    spec: Option<usize>,
    reader: Reader,
    writer: Option<Writer>,
    /// The whole request was read, or the rest of it is not wanted.
    has_request: bool,
    works: bool,
    gave_up: bool,
    /// When it was accepted, on the node's clock.
    accepted: Instant,
    /// Its lifetime, if it was given one.
    lifetime: Micros,
}

/// Offers a service until the endpoint ends.
pub(super) async fn offer(app: Rc<App>, service: ServiceSpec) {
    let options = ServiceOptions {
        backlog: service.backlog,
        upgrade_to: (service.upgrade_to > 0).then_some(service.upgrade_to),
    };
    // A scenario that names a service twice offers it once.
    let Ok(mut listener) = app.node.endpoint().listen(service.service, options) else { return };
    let number = u64::from(app.incarnation.get()) << 32 | u64::from(service.service);
    let job = Job::new(&app, app.streams.stream("offer", number));
    while let Some(incoming) = job.insist(async || listener.accept().await).await {
        let unwelcome = app.arrivals.borrow_mut().is_unwelcome(&service);
        if incoming.service() != service.service {
            app.broken("a call of another service");
        }
        let held = app.undecided.hold();
        app.node.start(decide(Rc::clone(&app), incoming, service.clone(), unwelcome, job.split(), held));
    }
}

/// Accepts a call, or turns it away.
async fn decide(
    app: Rc<App>,
    incoming: Incoming,
    service: ServiceSpec,
    unwelcome: bool,
    rng: Rng,
    held: Held,
) {
    let job = Job::new(&app, rng);
    if service.accept_after > 0 && !job.is_healed() {
        job.world().coverage.stage(CallStage::Waiting);
        job.pause(service.accept_after).await;
    }
    job.misuse_service(service.service);
    let slot = incoming.id().slot() as u64;
    if unwelcome && !job.is_healed() {
        match service.reject_code {
            // Nobody takes it, which says the same.
            0 if job.tasks.mixed && job.chance(0.5) => drop(incoming),
            0 => job.note_turned_away(incoming.reject_busy()),
            code => job.note_turned_away(incoming.reject(AbortCode(code))),
        }
        return job.world().application(job.id, slot, 4);
    }
    let lifetime = (service.lifetime > 0).then_some(us(service.lifetime));
    let tag = Taken::tag(job.served.borrow().vacant_key());
    let call = match incoming.accept_with(AcceptOptions { tag, lifetime }) {
        Ok(call) => call,
        Err(error) => {
            job.refused(&error);
            return job.world().application(job.id, slot, 5);
        }
    };
    drop(held);
    {
        let mut world = job.world();
        world.application(job.id, slot, 6);
        world.oracles.ledger.serve();
    }
    let accepted = job.local();
    let served = Served {
        key: job.served.borrow_mut().insert(Taken::new(accepted)),
        place: None,
        unique: u32::MAX,
        spec: None,
        reader: Reader::new(Transfer::default(), ANONYMOUS, HEAD),
        writer: None,
        has_request: false,
        works: false,
        gave_up: false,
        accepted,
        lifetime: service.lifetime,
    };
    job.serve(call, served).await;
}

/// How long the task of such a call may pause without looking at it.
fn pauses(spec: &CallSpec) -> Micros {
    spec.request.read_pause + spec.reply.write_pause + spec.work
}

impl Job<'_> {
    fn note_turned_away(&self, done: Result<(), AcceptError>) {
        self.world().coverage.given_up(CallStage::Waiting);
        if let Err(error) = done {
            self.refused(&error);
        }
    }

    async fn serve(&self, mut call: Call, mut served: Served) {
        let stop = read_all(self, Port::Own(&mut call), &mut served.reader, true).await;
        if stop == Stop::Done && served.reader.has_head() && !self.name(&mut served) {
            // An attacker's, or one long over that comes again.
            served.gave_up = true;
            call.abort(AbortCode::RX_USER_ABORT);
        }
        if stop != Stop::Done || served.gave_up {
            return self.end_served(call, served, stop).await;
        }
        let spec = served.spec.map(|spec| &self.scenario.calls[spec]);
        let ending = spec.map_or(Ending::Normal, |spec| spec.ending);
        let give_up = self.fault_at(self.node.now() + us(spec.map_or(0, |spec| spec.ending_after)));
        let stop = match ending {
            Ending::ServerAborts | Ending::ServerForgets => {
                let answer = async {
                    let stop = self.answer(&mut call, &mut served).await;
                    let _ = self.insist(async || call.outcome().await).await;
                    stop
                };
                first(answer, give_up).await.ok()
            }
            _ => Some(self.answer(&mut call, &mut served).await),
        };
        match stop {
            Some(stop) => self.end_served(call, served, stop).await,
            None => self.give_up_served(call, served, ending).await,
        }
    }

    /// The first bytes are here: which call is it? False if it is none of ours.
    fn name(&self, served: &mut Served) -> bool {
        let Some(named) = book::name(&mut self.world(), served.reader.head) else { return false };
        let Named { unique, place, spec } = named;
        let spec = spec as usize;
        (served.place, served.unique, served.spec) = (Some(place), unique, Some(spec));
        self.served.borrow_mut()[served.key].is(place, spec);
        self.serves(spec);
        served.reader.know(self.scenario.calls[spec].request.clone(), stream(unique, false));
        true
    }

    /// Reads the rest of the request, works, and writes the reply.
    async fn answer(&self, call: &mut Call, served: &mut Served) -> Stop {
        let spec = served.spec.map(|spec| &self.scenario.calls[spec]);
        if spec.is_some_and(|spec| spec.early_reply) {
            call.discard_input();
        } else {
            match read_all(self, Port::Own(call), &mut served.reader, false).await {
                Stop::Done => self.check_request(served),
                stop => return stop,
            }
        }
        self.execute(served);
        let work = spec.map_or(0, |spec| spec.work);
        if work > 0 {
            served.works = true;
            self.pause(work).await;
            served.works = false;
        }
        if let Some(nested) = spec.and_then(|spec| spec.nested) {
            let turn = Turn { index: nested as usize, copy: None };
            make_calls(self, turn, Plan { at: self.node.now(), round: 0 }).await;
        }
        let Some(writer) = &mut served.writer else { return Stop::Unexpected };
        let stop = write_all(self, Port::Own(call), writer).await;
        if writer.finished
            && let Some(place) = served.place
            && let Some(record) = self.world().oracles.ledger.record(place)
        {
            record.replied = true;
        }
        stop
    }

    /// The whole request is here.
    fn check_request(&self, served: &Served) {
        let spec = served.spec.map(|spec| &self.scenario.calls[spec]);
        let wrong = book::judge_request(&self.world(), spec, &served.reader);
        if let Some(text) = wrong {
            self.wrong(served.unique, &text);
        }
    }

    fn execute(&self, served: &mut Served) {
        served.has_request = true;
        let spec = served.spec.map(|spec| &self.scenario.calls[spec]);
        let server = (self.id, self.incarnation.get());
        let (writer, finding) = book::execute(&mut self.world(), server, served.unique, spec);
        served.writer = Some(writer);
        self.report(finding);
    }

    /// Waits for the end of a call that was answered, or that failed; or lets it end alone.
    async fn end_served(&self, mut call: Call, served: Served, stop: Stop) {
        match stop {
            Stop::Wrong(at) => self.wrong(served.unique, &format!("wrong request before byte {at}")),
            Stop::Unexpected => self.broken("an operation of a served call was refused"),
            Stop::Done | Stop::Over(_) => {}
        }
        let answered = stop == Stop::Done && !served.gave_up;
        if answered && self.tasks.mixed && self.chance(0.2) {
            drop(call);
            return self.forget_served(&served);
        }
        let outcome = self.insist(async || call.outcome().await).await;
        if let Stop::Over(error) = stop
            && error.map_or(Ok(()), Err) != outcome
        {
            self.broken(&format!("a served call told of {error:?}, and ended with {outcome:?}"));
        }
        self.note_end(&served, outcome);
    }

    /// How long it takes until a task knows that a client has ended such a call: it may pause meanwhile, or be about
    /// to wait for another call, which may take any time.
    fn told_within(&self, spec: Option<&CallSpec>) -> Option<Duration> {
        let spec = spec.filter(|spec| spec.nested.is_none())?;
        Some(self.told_within? + us(pauses(spec)))
    }

    fn leave_served(&self, served: &Served) {
        self.served.borrow_mut().remove(served.key);
        book::count_served_stages(&mut self.world().coverage, served.writer.as_ref());
    }

    fn note_end(&self, served: &Served, outcome: Outcome) {
        self.judge_served(served.key, outcome);
        self.leave_served(served);
        let spec = served.spec.map(|spec| &self.scenario.calls[spec]);
        let finding = {
            let mut world = self.world();
            world.coverage.outcome(&outcome);
            world.application(self.id, u64::from(served.unique), 7 | u64::from(outcome.is_ok()) << 8);
            let wrote = served.writer.as_ref().is_some_and(|w| w.finished);
            let tainted = world.oracles.is_tainted() || (served.gave_up && outcome.is_err());
            let now = world.now();
            let late = world.oracles.ledger.judge_late_end(served.place, now, self.told_within(spec));
            let found = world.oracles.ledger.end_server(
                now,
                served.place,
                outcome,
                (served.has_request, wrote),
                tainted,
            );
            late.or(found)
        };
        self.report(finding);
        let paused = spec.map_or(0, pauses);
        let after = self.local() - served.accepted;
        // The lifetime began before, when the first packet came.
        if served.lifetime > 0 && after > us(served.lifetime) {
            self.check_deadline(outcome, after, [served.lifetime, 0], paused);
        }
    }

    /// The server gives the call up, which still lives for all it knows.
    async fn give_up_served(&self, mut call: Call, mut served: Served, ending: Ending) {
        served.gave_up = true;
        {
            let mut world = self.world();
            world.coverage.given_up(match &served.writer {
                None => CallStage::RecvRequest,
                Some(_) if served.works => CallStage::Working,
                Some(w) if w.finished => CallStage::AwaitAck,
                Some(_) => CallStage::SendReply,
            });
            if let Some(record) = served.place.and_then(|place| world.oracles.ledger.record(place)) {
                record.server_gave_up = true;
            }
            world.application(self.id, u64::from(served.unique), 9);
        }
        if ending == Ending::ServerForgets {
            drop(call);
            return self.forget_served(&served);
        }
        call.abort(AbortCode(served.unique as i32 | 1));
        let outcome = self.insist(async || call.outcome().await).await;
        self.note_end(&served, outcome);
    }

    /// The call was dropped: how it ends nobody will know.
    fn forget_served(&self, served: &Served) {
        self.leave_served(served);
        let gone = Err(CallError::LocalAbort(AbortCode::RX_USER_ABORT));
        let finding = {
            let mut world = self.world();
            let now = world.now();
            world.oracles.ledger.end_server(now, served.place, gone, (true, true), true)
        };
        self.report(finding);
    }
}
