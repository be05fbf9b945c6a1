//! VERSION questions of ours: what software runs at an address, and how far away it is.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use rand_core::Rng;
use slab::Slab;

use super::events::Queued;
use super::timers::TimerKey;
use super::{Endpoint, Path};
use crate::error::{NetworkError, VersionError};
use crate::event::{VersionId, Wake};
use crate::time::Instant;
use crate::wire::{Header, Version, emit_version_request};

/// The first repetition; each next one comes at twice the time since the beginning.
const FIRST_REPEAT: Duration = Duration::from_millis(250);
/// Each repetition has its own number, so that the answer tells which one it answers.
const ATTEMPTS: u32 = 8;

/// What software said of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionAnswer {
    /// Its words, up to the first NUL. What is not UTF-8 is replaced.
    pub text: String,
    /// From the question that it answers to the answer.
    pub rtt: Duration,
}

#[derive(Debug)]
struct Query {
    peer: SocketAddr,
    /// Call number of the first question, a multiple of [`ATTEMPTS`].
    number: u32,
    serial: u32,
    timeout: Duration,
    /// When each question was sent.
    asked: Vec<Instant>,
    answer: Option<Result<VersionAnswer, VersionError>>,
}

/// The open questions.
#[derive(Debug, Default)]
pub(super) struct Versions {
    queries: Slab<Query>,
    /// Not sent yet.
    new: Vec<u32>,
    serial: u32,
}

impl Versions {
    /// Whether every question has been sent.
    pub(super) fn is_settled(&self) -> bool {
        self.new.is_empty()
    }

    /// How many are open, those included whose answers were not taken.
    pub(super) fn open(&self) -> usize {
        self.queries.len()
    }
}

impl Query {
    fn next_deadline(&self) -> Option<Instant> {
        let first = *self.asked.first()?;
        let sent = self.asked.len() as u32;
        // A clock that jumped, or a process that stood still, asks no two at once.
        let again = |last: Instant| (first + FIRST_REPEAT * (1 << (sent - 1))).max(last + FIRST_REPEAT);
        let repeat = self.asked.last().filter(|_| sent < ATTEMPTS).map(|last| again(*last));
        let end = first + self.timeout;
        Some(repeat.map_or(end, |at| at.min(end)))
    }
}

impl Endpoint {
    /// Ask what software runs at `peer`. Asks again after 0.25, 0.5, 1 s and so on until `timeout`.
    ///
    /// [`Event::Version`](crate::Event::Version) tells of the end.
    ///
    /// # Errors
    /// [`VersionError`] if too many questions are open, the address cannot be asked, or the endpoint is closed.
    pub fn ask_version(&mut self, peer: SocketAddr, timeout: Duration) -> Result<VersionId, VersionError> {
        if self.closed {
            return Err(VersionError::EndpointClosed);
        }
        if !super::peers::is_usable(&peer) {
            return Err(VersionError::Network(NetworkError::HostUnreachable));
        }
        if self.versions.open() >= self.config.limits.version_queries {
            return Err(VersionError::TooMany);
        }
        self.versions.serial = self.versions.serial.wrapping_add(1);
        let serial = self.versions.serial;
        let number = self.rng.next_u32() & !(ATTEMPTS - 1);
        let query = Query { peer, number, serial, timeout, asked: Vec::new(), answer: None };
        let slot = self.versions.queries.insert(query) as u32;
        self.versions.new.push(slot);
        Ok(version_id(serial, slot))
    }

    /// The answer to a question that is over. `None` while it is not, and once it was taken.
    pub fn take_version(&mut self, id: VersionId) -> Option<Result<VersionAnswer, VersionError>> {
        let slot = id.0 as u32;
        if !self.is_question(id) {
            return None;
        }
        let answer = self.versions.queries.get_mut(slot as usize)?.answer.take()?;
        self.versions.queries.remove(slot as usize);
        self.set_timer(TimerKey::Version(slot), None);
        Some(answer)
    }

    /// Whether the question exists: its answer, if it came, was not taken.
    pub(super) fn is_question(&self, id: VersionId) -> bool {
        let slot = id.0 as u32;
        self.versions.queries.get(slot as usize).is_some_and(|query| version_id(query.serial, slot) == id)
    }

    /// Send questions that were asked since the last time.
    pub(super) fn start_versions(&mut self, now: Instant) {
        for slot in core::mem::take(&mut self.versions.new) {
            self.send_question(now, slot);
        }
    }

    fn send_question(&mut self, now: Instant, slot: u32) {
        let Some(query) = self.versions.queries.get_mut(slot as usize) else { return };
        if query.answer.is_some() {
            return;
        }
        let mut bytes = Vec::new();
        emit_version_request(query.number + query.asked.len() as u32, &mut bytes);
        query.asked.push(now);
        let (peer, deadline) = (query.peer, query.next_deadline());
        self.outbox.push(peer, None, bytes);
        self.set_timer(TimerKey::Version(slot), deadline.map(|at| (at, Wake::Version)));
    }

    pub(super) fn on_version_timer(&mut self, now: Instant, slot: u32) {
        let Some(query) = self.versions.queries.get(slot as usize) else { return };
        let over = query.asked.first().is_some_and(|first| *first + query.timeout <= now);
        if over {
            self.end_question(slot, Err(VersionError::NoAnswer));
        } else {
            self.send_question(now, slot);
        }
    }

    /// A VERSION packet that is no question. True if it answers one of ours.
    pub(super) fn on_version_reply(
        &mut self,
        now: Instant,
        path: &Path,
        header: &Header,
        version: &Version<'_>,
    ) -> bool {
        let Some(text) = version.text() else { return false };
        let number = header.call_number & !(ATTEMPTS - 1);
        let attempt = (header.call_number & (ATTEMPTS - 1)) as usize;
        let found = self.versions.queries.iter().find_map(|(slot, q)| {
            let sent = *q.asked.get(attempt)?;
            (q.number == number && q.peer == path.peer && q.answer.is_none()).then_some((slot as u32, sent))
        });
        let Some((slot, sent)) = found else { return false };
        let text = String::from_utf8_lossy(text).into_owned();
        let rtt = now.saturating_duration_since(sent);
        self.end_question(slot, Ok(VersionAnswer { text, rtt }));
        true
    }

    fn end_question(&mut self, slot: u32, answer: Result<VersionAnswer, VersionError>) {
        self.set_timer(TimerKey::Version(slot), None);
        let Some(query) = self.versions.queries.get_mut(slot as usize) else { return };
        query.answer = Some(answer);
        let id = version_id(query.serial, slot);
        self.events.push_back(Queued::Version(id));
    }

    /// The network cannot reach `peer`: its questions are over.
    pub(super) fn fail_versions_to(&mut self, peer: SocketAddr, error: NetworkError) {
        if matches!(error, NetworkError::MessageTooLong { .. }) {
            return;
        }
        self.fail_questions(VersionError::Network(error), |query| query.peer == peer);
    }

    pub(super) fn fail_versions(&mut self) {
        self.fail_questions(VersionError::EndpointClosed, |_| true);
    }

    fn fail_questions(&mut self, error: VersionError, which: impl Fn(&Query) -> bool) {
        let open = self.versions.queries.iter().filter(|(_, q)| q.answer.is_none() && which(q));
        let slots: Vec<u32> = open.map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            self.end_question(slot, Err(error));
        }
    }
}

fn version_id(serial: u32, slot: u32) -> VersionId {
    VersionId(u64::from(serial) << 32 | u64::from(slot))
}
