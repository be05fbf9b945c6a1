//! What clients and servers of both harnesses enter in the book of calls, and how calls look by that.

use rxrpc_proto::WriteError;

use super::transfer::{Reader, Writer};
use super::{ANONYMOUS, ANONYMOUS_REPLY, HEAD, IDLE, head, named, pattern, stream};
use crate::coverage::{CallStage, Coverage, Limit, Workload};
use crate::oracle::Finding;
use crate::packet::NodeId;
use crate::scenario::{CallSpec, Transfer, us};
use crate::world::World;

/// A call that begins.
pub(crate) struct Begun {
    /// Its number, and its place in the book.
    pub(crate) unique: u32,
    pub(crate) place: u32,
    pub(crate) writer: Writer,
    pub(crate) reader: Reader,
}

/// A node begins a call, given by its place in the scenario.
pub(crate) fn begin(world: &mut World, node: NodeId, index: u32, spec: &CallSpec) -> Begun {
    let (unique, place) = world.oracles.ledger.begin(world.now(), index, node);
    world.application(node, u64::from(unique), 1);
    let (writer, reader) = if is_anonymous(spec) {
        let reply = Transfer { len: ANONYMOUS_REPLY, ..spec.reply.clone() };
        (Writer::new(spec.request.clone(), ANONYMOUS, &[]), Reader::new(reply, ANONYMOUS, 0))
    } else {
        let writer = Writer::new(spec.request.clone(), stream(unique, false), &head(unique, place));
        (writer, Reader::new(spec.reply.clone(), stream(unique, true), 0))
    };
    Begun { unique, place, writer, reader }
}

/// Whether the request is too short to name the call.
pub(crate) fn is_anonymous(spec: &CallSpec) -> bool {
    spec.request.len < HEAD
}

/// How long the reply is.
pub(crate) fn reply_len(spec: &CallSpec) -> u64 {
    if is_anonymous(spec) { ANONYMOUS_REPLY } else { spec.reply.len }
}

/// A call of these kinds begins at a node that has `live` others, and has had none for `idle`.
pub(crate) fn count_kinds(
    coverage: &mut Coverage,
    kinds: &[Workload],
    live: usize,
    idle: Option<std::time::Duration>,
) {
    kinds.iter().for_each(|kind| coverage.workload(*kind));
    if live >= 4 {
        coverage.workload(Workload::AllChannels);
    }
    if live == 0 && idle.is_some_and(|idle| idle >= us(IDLE)) {
        coverage.workload(Workload::AfterIdle);
    }
}

/// A client's call is over, and packets of it were sent or not: it went through these stages.
pub(crate) fn count_client_stages(coverage: &mut Coverage, sent: bool, writer: &Writer, reader: &Reader) {
    let stages = [
        (CallStage::Queued, true),
        (CallStage::SendRequest, sent),
        (CallStage::AwaitReply, sent && writer.finished),
        (CallStage::RecvReply, reader.read > 0),
        (CallStage::Ended, true),
    ];
    stages.into_iter().filter(|(_, is)| *is).for_each(|(stage, _)| coverage.stage(stage));
}

/// A served call is over: it went through these stages since it was accepted.
pub(crate) fn count_served_stages(coverage: &mut Coverage, writer: Option<&Writer>) {
    let stages = [
        (CallStage::RecvRequest, true),
        (CallStage::Working, writer.is_some()),
        (CallStage::SendReply, writer.is_some_and(|w| w.written > 0 || w.finished)),
        (CallStage::AwaitAck, writer.is_some_and(|w| w.finished)),
        (CallStage::Ended, true),
    ];
    stages.into_iter().filter(|(_, is)| *is).for_each(|(stage, _)| coverage.stage(stage));
}

/// The endpoint may have refused to take or to give bytes.
pub(crate) fn count_refusals(coverage: &mut Coverage, writer: Option<&mut Writer>, reader: &mut Reader) {
    if let Some(error) = writer.and_then(|writer| writer.refusal.take()) {
        coverage.error(&error);
        if error == WriteError::Blocked {
            coverage.limit(Limit::Write);
        }
    }
    if let Some(error) = reader.refusal.take() {
        coverage.error(&error);
    }
}

/// What is wrong about a request that was read to its end, if anything.
pub(crate) fn judge_request(world: &World, spec: Option<&CallSpec>, reader: &Reader) -> Option<String> {
    let read = reader.read;
    if let Some(spec) = spec {
        let expected = spec.request.len;
        return (read != expected).then(|| format!("{read} bytes of request, not {expected}"));
    }
    let right = reader.head[..read as usize] == *pattern::piece(ANONYMOUS, 0, read as usize);
    (!right && !world.oracles.allow.injection).then(|| "wrong bytes of a short request".into())
}

/// A server in its so many-th life has a request and acts on it: how it replies, and what must not be, if anything.
pub(crate) fn execute(
    world: &mut World,
    (node, incarnation): (NodeId, u32),
    unique: u32,
    spec: Option<&CallSpec>,
) -> (Writer, Finding) {
    world.application(node, u64::from(unique), 8);
    let Some(spec) = spec else {
        let reply = Transfer { len: ANONYMOUS_REPLY, ..Transfer::default() };
        return (Writer::new(reply, ANONYMOUS, &[]), None);
    };
    let writer = Writer::new(spec.reply.clone(), stream(unique, true), &[]);
    let allow = world.oracles.allow;
    let tainted = world.oracles.is_tainted();
    let now = world.now();
    let finding = (!tainted).then(|| world.oracles.ledger.execute(now, unique, incarnation, &allow));
    (writer, finding.flatten())
}

/// A call that a server has and knows.
pub(crate) struct Named {
    /// Its number, its place in the book and that in the scenario.
    pub(crate) unique: u32,
    pub(crate) place: u32,
    pub(crate) spec: u32,
}

/// Which call the first bytes of a request name. `None` if it is none of ours.
pub(crate) fn name(world: &mut World, head: [u8; HEAD as usize]) -> Option<Named> {
    let (unique, place) = named(head);
    let record = world.oracles.ledger.find(unique, place)?;
    record.serving += 1;
    Some(Named { unique, place, spec: record.spec })
}
