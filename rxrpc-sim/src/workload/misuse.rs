//! Applications that use the interface wrongly, on purpose.
//!
//! Each wrong use has to be refused, with an error that says what is wrong, and must not harm the call: the oracles
//! watch that it goes on as if nothing had been.

use std::time::Duration;

use bytes::Bytes;
use rxrpc_proto::{
    AcceptError, AcceptOptions, BeginCallError, CallId, CallMut, CallOptions, ListenError, NetworkError,
    ReadError, ServiceOptions, Target, VersionError, WriteError,
};

use super::transfer::Writer;
use super::{App, Reach};
use crate::coverage::Refusal;
use crate::packet::NodeId;
use crate::rng::{Rng, Streams};
use crate::scenario::Scenario;

/// What came of a wrong use: whether the error is one that fits, and the error itself.
type Answer<E> = (&'static str, Option<E>, bool);

/// When a node's applications go wrong.
#[derive(Debug)]
pub(crate) struct Misuse {
    chance: f64,
    rng: Rng,
    /// The endpoint was closed.
    closed: bool,
}

impl Misuse {
    pub(crate) fn new(scenario: &Scenario, node: NodeId) -> Self {
        let spec = scenario.nodes.get(usize::from(node));
        let (id, chance) = spec.map_or((0, 0.0), |spec| (spec.id, spec.misuse));
        Misuse { chance, rng: Streams::new(scenario.seed).stream("misuse", u64::from(id)), closed: false }
    }

    /// There is a new endpoint.
    pub(super) fn reopen(&mut self) {
        self.closed = false;
    }

    /// Whether they do now. Nothing is drawn where they never do.
    pub(crate) fn strikes(&mut self) -> bool {
        self.chance > 0.0 && self.rng.chance(self.chance)
    }
}

impl App {
    fn judge<E: Refusal + std::fmt::Debug>(&self, reach: &mut Reach<'_>, (what, error, fits): Answer<E>) {
        if let Some(error) = &error {
            reach.world.coverage.error(error);
        }
        if !fits {
            self.broken(reach, &format!("{what} came to {error:?}"));
        }
    }

    /// A client writes after its end, more than it announced or less, and reads what cannot be read.
    pub(super) fn misuse_client(&mut self, reach: &mut Reach<'_>, slot: usize) {
        if !self.misuse.strikes() {
            return;
        }
        let (id, writer, spec) = self.clients.writer(slot);
        let announced = self.scenario.calls[spec as usize].announced;
        let Some(mut view) = reach.endpoint.call(id) else { return };
        let mut wrote = Vec::new();
        if writer.finished {
            wrote.push(write_on(&mut view));
        } else if announced && writer.written < writer.plan.len {
            wrote.push(finish_early(&mut view));
            wrote.push(write_more(&mut view, writer));
        }
        let read = read_wrongly(&mut view);
        wrote.into_iter().for_each(|answer| self.judge(reach, answer));
        read.into_iter().for_each(|answer| self.judge(reach, answer));
    }

    /// A server replies before it has the request, or after its reply, and reads what cannot be read.
    pub(super) fn misuse_served(&mut self, reach: &mut Reach<'_>, id: CallId, writer: Option<bool>) {
        if !self.misuse.strikes() {
            return;
        }
        let Some(mut view) = reach.endpoint.call(id) else { return };
        let wrote = match writer {
            Some(true) => Some(write_on(&mut view)),
            Some(false) => None,
            None => Some(reply_early(&mut view)),
        };
        let read = read_wrongly(&mut view);
        wrote.into_iter().for_each(|answer| self.judge(reach, answer));
        read.into_iter().for_each(|answer| self.judge(reach, answer));
    }

    /// Somebody uses a call that has not been accepted as if it were.
    pub(super) fn misuse_waiting(&mut self, reach: &mut Reach<'_>, id: CallId) {
        if !self.misuse.strikes() {
            return;
        }
        let Some(mut view) = reach.endpoint.call(id) else { return };
        let wrote = view.write(b"x").err();
        let read = view.read_chunk(1).err();
        let refused = (wrote, read) == (Some(WriteError::NotAccepted), Some(ReadError::NotAccepted));
        self.judge(reach, ("writing to a waiting call", wrote, refused));
        self.judge(reach, ("reading a waiting call", read, refused));
    }

    /// Somebody takes a call that was taken already.
    pub(super) fn misuse_accepted(&mut self, reach: &mut Reach<'_>, id: CallId) {
        if !self.misuse.strikes() {
            return;
        }
        let error = reach.endpoint.accept(id, AcceptOptions::default()).err();
        self.judge(reach, ("accepting a call twice", error, error == Some(AcceptError::NothingWaiting)));
    }

    /// A client writes to a call that is over, before it forgets it.
    pub(super) fn misuse_ended(&mut self, reach: &mut Reach<'_>, id: CallId) {
        if !self.misuse.strikes() {
            return;
        }
        let Some(mut view) = reach.endpoint.call(id) else { return };
        let outcome = view.outcome();
        let error = view.write(b"x").err();
        let expected =
            outcome.map(|outcome| outcome.map_or_else(WriteError::Ended, |()| WriteError::Complete));
        self.judge(reach, ("writing to a call that is over", error, error == expected && error.is_some()));
    }

    /// The endpoint was closed, and somebody uses it all the same.
    pub(crate) fn closed(&mut self, reach: &mut Reach<'_>) {
        self.misuse.closed = true;
        self.misuse_endpoint(reach);
    }

    /// Somebody names what does not exist, or offers what is offered.
    pub(super) fn misuse_endpoint(&mut self, reach: &mut Reach<'_>) {
        if !self.misuse.strikes() {
            return;
        }
        let closed = self.misuse.closed;
        let mut nowhere = self.address(self.node);
        let target = Target::new(nowhere, 0);
        nowhere.set_port(0);
        let error = reach.endpoint.begin_call(&target, CallOptions::default()).err();
        let fits = error
            == Some(if closed { BeginCallError::EndpointClosed } else { BeginCallError::InvalidTarget });
        self.judge(reach, ("a call of service 0", error, fits));
        let error = reach.endpoint.ask_version(nowhere, Duration::from_secs(1)).err();
        let unreachable = VersionError::Network(NetworkError::HostUnreachable);
        let fits = error == Some(if closed { VersionError::EndpointClosed } else { unreachable });
        self.judge(reach, ("a question to port 0", error, fits));
        let mut offer = |service, error| {
            let found = reach.endpoint.listen(service, ServiceOptions::default()).err();
            (found, found == Some(if closed { ListenError::EndpointClosed } else { error }))
        };
        let zero = offer(0, ListenError::ZeroService);
        let service = self.servers.any_service();
        let again = service.map(|service| offer(service, ListenError::InUse(service)));
        for (error, fits) in again.into_iter().chain([zero]) {
            self.judge(reach, ("offering a service", error, fits));
        }
    }
}

const fn is_over(error: Option<WriteError>) -> bool {
    matches!(error, Some(WriteError::Ended(_) | WriteError::Complete))
}

fn write_on(view: &mut CallMut<'_>) -> Answer<WriteError> {
    let error = view.write(b"x").err();
    ("writing after the end", error, error == Some(WriteError::Finished) || is_over(error))
}

fn finish_early(view: &mut CallMut<'_>) -> Answer<WriteError> {
    let error = view.finish().err();
    ("finishing early", error, error == Some(WriteError::Short) || is_over(error))
}

fn write_more(view: &mut CallMut<'_>, writer: &Writer) -> Answer<WriteError> {
    let most = usize::try_from(writer.plan.len - writer.written).unwrap_or(usize::MAX);
    let mut bytes = Bytes::from(vec![0; most.saturating_add(1)]);
    let error = view.write_bytes(&mut bytes).err();
    let fits =
        bytes.len() == most.saturating_add(1) && (error == Some(WriteError::TooLong) || is_over(error));
    ("writing more than was announced", error, fits)
}

/// No bytes: the request may be whole, though nobody has read it, and then it may be replied to.
fn reply_early(view: &mut CallMut<'_>) -> Answer<WriteError> {
    let error = view.write(&[]).err();
    let fits = matches!(error, None | Some(WriteError::RequestUnfinished)) || is_over(error);
    ("replying before the request is read", error, fits)
}

/// Ask for more than there is, and for less and no more.
fn read_wrongly(view: &mut CallMut<'_>) -> [Answer<ReadError>; 2] {
    let readable = view.readable();
    let much = view.read_exact(&mut vec![0; readable + 1], false).err();
    let little = (readable > 0).then(|| view.read_exact(&mut vec![0; readable - 1], false).err()).flatten();
    let is_ended = |error| matches!(error, Some(ReadError::Ended(_)));
    let fits = matches!(much, Some(ReadError::Short | ReadError::Blocked)) || is_ended(much);
    let fits = [fits, readable == 0 || little == Some(ReadError::Excess) || is_ended(little)];
    [("reading more than there is", much, fits[0]), ("reading less than there is", little, fits[1])]
}
