//! Client code: begin, write, read, give up, and check what comes back.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::{BufMut, Bytes, BytesMut};
use rxrpc_driver::{AbortCode, BeginCallError, Call, CallError, Target, UnaryError};
use rxrpc_proto::{Instant, Outcome};

use super::super::handle::first;
use super::job::Job;
use super::times::Ours;
use super::transfer::{Port, Stop, read_all, write_all};
use super::{Plan, Turn};
use crate::coverage::{CallStage, Limit};
use crate::oracle::Checks;
use crate::scenario::{CallSpec, Ending, Micros, Transfer, us};
use crate::workload::book::{self, Begun};
use crate::workload::transfer::{Piece, Reader, Writer};
use crate::workload::{TRY_AGAIN, is_impatient, limits, options};

/// Longest request that is written in one go.
const WHOLE: u64 = 100_000;

/// In which way a call is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// Write, then read.
    Plain,
    /// Write and read at the same time.
    Split,
    /// All in one go.
    Unary,
}

/// A call that has begun.
struct Made<'a> {
    spec: &'a CallSpec,
    /// Its place among the calls that tasks have.
    key: usize,
    /// Its place in the book, and its number.
    place: u32,
    unique: u32,
    /// When it was begun, on the node's clock.
    begun: Instant,
    writer: Writer,
    reader: Reader,
    /// Packets of it were sent, as far as its task knows.
    sent: bool,
}

impl Made<'_> {
    fn expected(&self) -> u64 {
        book::reply_len(self.spec)
    }

    /// How long its task may pause without looking at the call.
    fn pause(&self) -> Micros {
        self.spec.request.write_pause + self.spec.reply.read_pause
    }
}

/// Makes a call of the scenario, one time after the other, as planned.
pub(super) async fn make_calls(job: &Job<'_>, turn: Turn, plan: Plan) {
    let spec = &job.scenario.calls[turn.index];
    let Plan { mut at, mut round } = plan;
    while round < spec.repeat {
        job.plan(turn, Some(Plan { at, round }));
        job.pause_until(at).await;
        if job.is_healed() {
            break;
        }
        job.makes(turn, round);
        job.misuse_endpoint().await;
        let made = match job.way(spec) {
            Way::Unary => job.call_unary(spec, turn).await,
            way => job.call(spec, turn, way).await,
        };
        at = job.node.now();
        match made {
            Ok(()) => {
                round += 1;
                at += us(spec.pause);
            }
            Err(refusal) => {
                job.begin_refused(refusal);
                at += us(TRY_AGAIN);
            }
        }
    }
    job.plan(turn, None);
}

impl Job<'_> {
    fn way(&self, spec: &CallSpec) -> Way {
        if !self.tasks.mixed {
            return Way::Plain;
        }
        let steady = |t: &Transfer| t.write_pause == 0 && t.read_pause == 0 && !t.flush;
        let whole = steady(&spec.request)
            && steady(&spec.reply)
            && spec.request.len <= WHOLE
            && !matches!(spec.ending, Ending::ClientAborts | Ending::ClientFails);
        match self.below(3) {
            0 => Way::Plain,
            1 if whole => Way::Unary,
            _ => Way::Split,
        }
    }

    fn begin_refused(&self, error: BeginCallError) {
        self.refused(&error);
        match error {
            BeginCallError::TooManyCalls => self.world().coverage.limit(Limit::Calls),
            BeginCallError::TooManyCallsToPeer(_) => self.world().coverage.limit(Limit::CallsPerPeer),
            BeginCallError::EndpointClosed => {}
            _ => self.broken(&format!("beginning a call: {error}")),
        }
    }

    /// A call begins: what its task needs to know.
    fn note<'a>(&self, spec: &'a CallSpec, index: usize) -> Made<'a> {
        let mut world = self.world();
        let idle = self.last_end.get().map(|end| self.node.now() - end);
        let live = self.clients.borrow().len();
        book::count_kinds(&mut world.coverage, &self.kinds[index], live, idle);
        let Begun { unique, place, writer, reader } = book::begin(&mut world, self.id, index as u32, spec);
        self.fresh.set(true);
        let key = self.clients.borrow_mut().insert(Ours { place, index, judged: false });
        Made { spec, key, place, unique, begun: self.local(), writer, reader, sent: false }
    }

    fn target(&self, spec: &CallSpec) -> Target {
        Target { peer: self.address(spec.server), service: spec.service, upgrade: spec.upgrade }
    }

    /// One call, step by step.
    async fn call(&self, spec: &CallSpec, turn: Turn, way: Way) -> Result<(), BeginCallError> {
        let tag = self.clients.borrow().vacant_key() as u64;
        let mut call = self.node.endpoint().call(self.target(spec), options(spec, tag))?;
        self.plan(turn, None);
        let mut made = self.note(spec, turn.index);
        if spec.announced {
            self.misuse_length(&mut call, spec.request.len).await;
        }
        let give_up = self.fault_at(self.node.now() + us(spec.ending_after));
        let talk = self.talk(&mut call, &mut made, way);
        let stop = match spec.ending {
            Ending::ClientAborts | Ending::ClientForgets | Ending::ClientFails => {
                first(talk, give_up).await.ok()
            }
            _ => Some(talk.await),
        };
        let Some(stop) = stop else {
            self.give_up(call, made).await;
            return Ok(());
        };
        if spec.ending != Ending::Normal {
            self.world().coverage.given_up(CallStage::Ended);
        }
        let outcome = self.insist(async || call.outcome().await).await;
        made.sent = call.stats().packets_sent > 0;
        self.misuse_over(&mut call, outcome).await;
        self.check_end(&made, stop, outcome);
        self.end_client(&made, outcome);
        Ok(())
    }

    /// Writes the request and reads the reply.
    async fn talk(&self, call: &mut Call, made: &mut Made<'_>, way: Way) -> Stop {
        let Made { writer, reader, .. } = made;
        if way == Way::Plain {
            let wrote = write_all(self, Port::Own(call), writer).await;
            if wrote == Stop::Unexpected {
                return wrote;
            }
            return read_all(self, Port::Own(call), reader, false).await;
        }
        let call = RefCell::new(call);
        let mut write = pin!(write_all(self, Port::Split(&call), writer));
        let mut read = pin!(read_all(self, Port::Split(&call), reader, false));
        let (mut wrote, mut done) = (None, None);
        poll_fn(|cx| {
            if wrote.is_none()
                && let Poll::Ready(stop) = write.as_mut().poll(cx)
            {
                wrote = Some(stop);
            }
            if done.is_none()
                && let Poll::Ready(stop) = read.as_mut().poll(cx)
            {
                done = Some(stop);
            }
            match (wrote, done) {
                (Some(Stop::Unexpected), _) => Poll::Ready(Stop::Unexpected),
                (Some(_), Some(stop)) => Poll::Ready(stop),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Reading and the outcome tell the same.
    fn check_end(&self, made: &Made<'_>, stop: Stop, outcome: Outcome) {
        let unique = made.unique;
        let (read, expected) = (made.reader.read, made.expected());
        match stop {
            Stop::Done if read != expected => {
                self.wrong(unique, &format!("{read} bytes of reply, not {expected}"));
            }
            Stop::Done if outcome.is_err() => {
                self.broken(&format!("call {unique} was read to its end, and ended with {outcome:?}"));
            }
            Stop::Over(error) if error.map_or(Ok(()), Err) != outcome => {
                self.broken(&format!("call {unique} told of {error:?}, and ended with {outcome:?}"));
            }
            Stop::Wrong(at) => self.wrong(unique, &format!("wrong reply before byte {at}")),
            Stop::Unexpected => self.broken(&format!("an operation of call {unique} was refused")),
            Stop::Done | Stop::Over(_) => {}
        }
    }

    /// One call in one go.
    async fn call_unary(&self, spec: &CallSpec, turn: Turn) -> Result<(), BeginCallError> {
        let mut made = self.note(spec, turn.index);
        let request = whole_request(&mut made.writer);
        let limit = made.expected() as usize;
        let endpoint = self.node.endpoint();
        let call =
            endpoint.call_unary_with(self.target(spec), options(spec, made.key as u64), request, limit);
        let call = async {
            let _held = self.waits.hold();
            // It begins when it is polled first.
            let mut call = pin!(call);
            let mut begun = false;
            poll_fn(|cx| {
                let poll = call.as_mut().poll(cx);
                if !std::mem::replace(&mut begun, true)
                    && !matches!(poll, Poll::Ready(Err(UnaryError::Begin(_))))
                {
                    self.plan(turn, None);
                }
                poll
            })
            .await
        };
        let result = match spec.ending {
            Ending::ClientForgets => {
                let at = self.node.now() + us(spec.ending_after);
                first(call, self.fault_at(at)).await.ok()
            }
            _ => Some(call.await),
        };
        let outcome = match result {
            None => {
                self.forget_client(&made);
                return Ok(());
            }
            Some(Err(UnaryError::Begin(error))) => {
                self.clients.borrow_mut().remove(made.key);
                self.world().oracles.ledger.withdraw(made.place);
                return Err(error);
            }
            Some(Err(UnaryError::Call(error))) => Err(error),
            Some(Ok(reply)) => {
                (made.sent, made.writer.finished) = (true, true);
                if !made.reader.check(&reply) || made.reader.read != made.expected() {
                    let (read, expected) = (made.reader.read, made.expected());
                    self.wrong(
                        made.unique,
                        &format!("a wrong reply of {read} bytes, where {expected} are expected"),
                    );
                }
                Ok(())
            }
        };
        self.end_client(&made, outcome);
        Ok(())
    }

    fn leave(&self, made: &Made<'_>) {
        self.clients.borrow_mut().remove(made.key);
        self.last_end.set(Some(self.node.now()));
        book::count_client_stages(&mut self.world().coverage, made.sent, &made.writer, &made.reader);
    }

    fn end_client(&self, made: &Made<'_>, outcome: Outcome) {
        self.judge_client(made.key, outcome);
        self.leave(made);
        let limits = limits(&self.scenario, self.id, made.spec);
        let finding = {
            let mut world = self.world();
            world.coverage.outcome(&outcome);
            world.application(self.id, u64::from(made.unique), 2 | u64::from(outcome.is_ok()) << 8);
            let allow = world.oracles.allow;
            let (now, place) = (world.now(), made.place);
            let times = [limits[1], made.pause()];
            let disturbed = world.oracles.explains_silence(now, place, made.spec, times, outcome);
            let checks = Checks {
                now,
                tainted: world.oracles.is_tainted(),
                anonymous: book::is_anonymous(made.spec),
                crashed_client: false,
                impatient: is_impatient(&self.scenario, limits[1]),
                disturbed,
                limited: limits[0] > 0,
                ..Checks::none(&allow)
            };
            let late = world.oracles.note_end(now, place, made.spec, outcome);
            world.oracles.ledger.end_client(place, outcome, checks).or(late)
        };
        self.report(finding);
        self.check_deadline(outcome, self.local() - made.begun, limits, made.pause());
    }

    /// The client gives the call up, which still lives for all it knows.
    async fn give_up(&self, mut call: Call, mut made: Made<'_>) {
        made.sent = call.stats().packets_sent > 0;
        self.world().coverage.given_up(stage(&call, &made));
        if made.spec.ending == Ending::ClientForgets {
            drop(call);
            return self.forget_client(&made);
        }
        self.world().application(self.id, u64::from(made.unique), 3);
        self.gave_up(&made);
        let code = AbortCode(made.unique as i32 | 1);
        let before = call.try_outcome();
        let aborted = call.abort(code);
        if aborted == before.is_some() {
            self.broken(&format!("aborting a call whose outcome was {before:?} said {aborted}"));
        }
        let outcome = self.insist(async || call.outcome().await).await;
        let expected = before.unwrap_or(Err(CallError::LocalAbort(code)));
        if outcome != expected {
            self.broken(&format!("an aborted call ended with {outcome:?}, not {expected:?}"));
        }
        self.end_client(&made, outcome);
    }

    fn gave_up(&self, made: &Made<'_>) {
        let mut world = self.world();
        let now = world.now();
        if let Some(record) = world.oracles.ledger.record(made.place) {
            record.client_gave_up = true;
            record.gave_up_at = Some(now);
        }
    }

    /// The call was dropped.
    fn forget_client(&self, made: &Made<'_>) {
        self.leave(made);
        self.gave_up(made);
        let gone = Err(CallError::LocalAbort(AbortCode::RX_USER_ABORT));
        let finding = {
            let mut world = self.world();
            world.application(self.id, u64::from(made.unique), 3);
            world.coverage.outcome(&gone);
            let allow = world.oracles.allow;
            world.oracles.ledger.end_client(made.place, gone, Checks::none(&allow))
        };
        self.report(finding);
    }
}

/// All that is to be written, in one piece.
fn whole_request(writer: &mut Writer) -> Bytes {
    let mut request = BytesMut::with_capacity(writer.plan.len as usize);
    while writer.written < writer.plan.len {
        let before = request.len();
        match writer.piece() {
            Piece::Copied(bytes) => request.put_slice(bytes),
            Piece::Shared(bytes) => request.put(bytes),
        }
        writer.written += (request.len() - before) as u64;
    }
    request.freeze()
}

fn stage(call: &Call, made: &Made<'_>) -> CallStage {
    if made.reader.read > 0 {
        CallStage::RecvReply
    } else if call.stats().packets_sent == 0 {
        CallStage::Queued
    } else if made.writer.finished {
        CallStage::AwaitReply
    } else {
        CallStage::SendRequest
    }
}
