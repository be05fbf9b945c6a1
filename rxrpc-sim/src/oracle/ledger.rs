//! The book of all calls: who began, executed and ended them, and how.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use rxrpc_proto::wire::AbortCode;
use rxrpc_proto::{CallError, Fault, Instant, TimeoutKind};
use slab::Slab;

use super::{Allowances, Oracle};
use crate::coverage::{OUTCOMES, outcome_index};
use crate::liveness::is_tight;
use crate::packet::NodeId;
use crate::scenario::{EndpointSpec, Micros, us};

type Outcome = Result<(), CallError>;

/// What must not be, if anything.
pub(crate) type Finding = Option<(Oracle, String)>;

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Its number in the run.
    pub(crate) unique: u32,
    /// Place of its specification in the scenario.
    pub(crate) spec: u32,
    pub(crate) client: NodeId,
    pub(crate) begun: Instant,
    /// How it ended at the client.
    pub(crate) outcome: Option<Outcome>,
    /// It has ended at the client, whose application may not know yet.
    pub(crate) over: bool,
    /// The client's application ended it.
    pub(crate) client_gave_up: bool,
    /// When it did.
    pub(crate) gave_up_at: Option<Instant>,
    /// Server applications that have it.
    pub(crate) serving: u32,
    /// A server application has written and finished the whole reply.
    pub(crate) replied: bool,
    /// How it ended at a server, the last time, and when.
    served: Option<(Outcome, Instant)>,
    /// The server's application ended it, or turned it away.
    pub(crate) server_gave_up: bool,
    /// An error about its server was reported to its client.
    pub(crate) reported: bool,
    /// When the client, and the server, last heard of the other.
    pub(crate) heard: [Option<Instant>; 2],
    /// The server waited longer than it may for the rest of the request, from then on.
    pub(crate) overdue: Option<Instant>,
}

impl Record {
    /// When it failed at a server, if that was the last thing that happened to it there.
    fn failed_at_server(&self) -> Option<Instant> {
        self.served.filter(|(outcome, _)| outcome.is_err()).map(|(_, at)| at)
    }
}

/// A served call that ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served<'a> {
    pub(crate) place: Option<u32>,
    pub(crate) outcome: &'a Outcome,
    /// How long ago it was accepted.
    pub(crate) lived: Duration,
    /// How long its reader pauses.
    pub(crate) read_pause: Micros,
}

/// The book.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    records: Slab<Record>,
    /// By number: the incarnation of the server that executed it last, counted from 1, and when. It grows with every
    /// call, so it is kept small.
    executed: Vec<Option<(NonZeroU32, Instant)>>,
    /// Calls that servers had at once, at most.
    most: usize,
    /// By place in the scenario: how often calls have begun.
    begun: Vec<u64>,
    /// Calls that clients have begun and that have not ended there.
    pub(crate) live: usize,
    /// Calls that have ended there, and that applications have not released: they read what came.
    pub(crate) unreleased: usize,
    /// Calls that server applications have.
    pub(crate) serving: usize,
    /// Calls that were begun and ended.
    pub(crate) ended: u64,
    /// Of them, with success.
    pub(crate) succeeded: u64,
    /// How they ended.
    ends: [u64; OUTCOMES.len()],
}

impl Ledger {
    /// A call begins. Its number and its place here, which its request carries.
    pub(crate) fn begin(&mut self, now: Instant, spec: u32, client: NodeId) -> (u32, u32) {
        let unique = self.executed.len() as u32;
        self.executed.push(None);
        self.live += 1;
        let known = self.begun.len().max(spec as usize + 1);
        self.begun.resize(known, 0);
        self.begun[spec as usize] += 1;
        self.count();
        let place = self.records.insert(Record {
            unique,
            spec,
            client,
            begun: now,
            outcome: None,
            over: false,
            client_gave_up: false,
            gave_up_at: None,
            serving: 0,
            replied: false,
            served: None,
            server_gave_up: false,
            reported: false,
            heard: [None; 2],
            overdue: None,
        });
        (unique, place as u32)
    }

    /// The call that was to begin was refused.
    #[cfg(feature = "full")]
    pub(crate) fn withdraw(&mut self, place: u32) {
        self.live -= 1;
        let record = self.records.remove(place as usize);
        self.begun[record.spec as usize] -= 1;
    }

    /// Whether a call of the scenario, by its place there, has begun at all.
    pub(crate) fn has_begun(&self, spec: u32) -> bool {
        self.begun.get(spec as usize).is_some_and(|begun| *begun > 0)
    }

    /// How calls ended at their clients, by name.
    pub(crate) fn ends(&self) -> BTreeMap<&'static str, u64> {
        OUTCOMES.into_iter().zip(self.ends).filter(|(_, n)| *n > 0).collect()
    }

    /// The call that a request names, if it is known.
    pub(crate) fn find(&mut self, unique: u32, place: u32) -> Option<&mut Record> {
        self.records.get_mut(place as usize).filter(|r| r.unique == unique)
    }

    pub(crate) fn record(&mut self, place: u32) -> Option<&mut Record> {
        self.records.get_mut(place as usize)
    }

    /// The calls that have not ended at their clients.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().map(|(_, r)| r).filter(|r| r.outcome.is_none())
    }

    /// An error about a node was reported to another.
    pub(crate) fn on_report(&mut self, to: NodeId) {
        for (_, record) in &mut self.records {
            record.reported |= record.client == to && record.outcome.is_none();
        }
    }

    /// A server's application has the whole request and acts on it. Not for the second time, unless the server has
    /// started again or has had the time, or too little room, to remember the connection.
    pub(crate) fn execute(
        &mut self,
        now: Instant,
        unique: u32,
        incarnation: u32,
        allow: &Allowances,
    ) -> Finding {
        let incarnation = NonZeroU32::MIN.saturating_add(incarnation);
        let executed = self.executed.get_mut(unique as usize)?;
        let (before, at) = executed.replace((incarnation, now))?;
        let after = now - at;
        let again = before == incarnation && !allow.overflow && after < allow.kept;
        again.then(|| (Oracle::AtMostOnce, format!("call {unique} was executed again after {after:?}")))
    }

    /// How many calls were begun.
    pub(super) fn begun(&self) -> u64 {
        self.executed.len() as u64
    }

    fn was_executed(&self, unique: u32) -> bool {
        self.executed.get(unique as usize).is_some_and(Option::is_some)
    }

    /// How many calls may endpoints have now? Those that live at their clients or are not released there, those of
    /// server applications, and those that failed, of whose end their servers may not have heard.
    fn count(&mut self) {
        let failed = (self.ended - self.succeeded) as usize;
        self.most = self.most.max(self.live + self.unreleased + self.serving + failed);
    }

    /// Whether a server may have had no room for a call.
    pub(super) fn is_full(&self, allow: &Allowances) -> bool {
        self.most > allow.room
    }

    /// A call ended at its client.
    pub(crate) fn end_client(&mut self, place: u32, outcome: Outcome, checks: Checks<'_>) -> Finding {
        let record = self.records.get_mut(place as usize)?;
        if record.outcome.replace(outcome).is_some() {
            return Some((Oracle::EndsOnce, format!("call {} ended twice", record.unique)));
        }
        self.live -= 1;
        self.ended += 1;
        self.succeeded += u64::from(outcome.is_ok());
        self.ends[outcome_index(&outcome)] += 1;
        let unique = record.unique;
        let record = self.records.get(place as usize)?;
        let finding = self.judge_client(record, outcome, checks);
        self.retire(place);
        finding.map(|text| (Oracle::Agreement, format!("call {unique} ended with {outcome:?}, but {text}")))
    }

    fn judge_client(&self, record: &Record, outcome: Outcome, checks: Checks<'_>) -> Option<String> {
        let Checks { allow, now, tainted, anonymous, crashed_client, impatient, disturbed, limited } = checks;
        if tainted || crashed_client {
            return None;
        }
        let executed = self.was_executed(record.unique) || anonymous;
        let unless = |excuse: bool, text: &str| (!excuse).then(|| text.to_string());
        let full = allow.rejects || self.is_full(allow);
        match outcome {
            Ok(()) if !executed => Some("no server executed it".into()),
            Ok(()) => unless(record.replied || anonymous, "no server finished its reply"),
            Err(CallError::RemoteAbort(code)) => judge_abort(record, code, allow),
            Err(CallError::LocalAbort(_) | CallError::Short | CallError::Excess) => {
                unless(record.client_gave_up, "its application did not abort it")
            }
            Err(CallError::Protocol(fault)) => {
                let broken = allow.broken_jumbograms && matches!(fault, Fault::Jumbo(_));
                unless(allow.restarts || allow.overflow || broken, "nobody broke the protocol")
            }
            // It may be served although BUSY is on its way, if a packet was sent again. But somebody was busy.
            Err(CallError::Busy) => {
                unless(full || allow.restarts || allow.injection, "no server turns calls away")
            }
            Err(CallError::Network(_)) => unless(record.reported, "no error was reported"),
            Err(CallError::PeerRestarted) => {
                // How often a server says that it has no room is limited: a client may never hear it, and hear answers
                // to its questions.
                let lost = full || impatient || allow.heavy_loss || record.failed_at_server().is_some();
                unless(
                    allow.restarts || allow.rebinding || allow.eviction || allow.forgot || lost,
                    "its server was never away",
                )
            }
            Err(CallError::EndpointClosed) => unless(allow.restarts, "its endpoint was not closed"),
            Err(CallError::Timeout(TimeoutKind::RequestGap)) => Some("only servers wait for requests".into()),
            Err(CallError::Timeout(TimeoutKind::Lifetime)) => unless(limited, "it has no lifetime"),
            Err(CallError::Timeout(TimeoutKind::Silence)) => {
                // The server ended it, what told so was lost, and what would tell again was forgotten.
                let forgotten = record.failed_at_server().is_some_and(|at| now - at >= allow.kept);
                unless(impatient || disturbed || forgotten, "nothing kept its server from answering")
            }
            Err(_) => Some("nothing leads to that".into()),
        }
    }

    /// A call ends now at its client (0) or its server (1), which heard of the other for the last time when it did. Is
    /// that when its silence says?
    pub(crate) fn judge_silence(
        &self,
        place: Option<u32>,
        (end, outcome): (usize, &Outcome),
        now: Instant,
        (silence, slack): (Duration, Duration),
    ) -> Finding {
        let record = self.records.get(place? as usize)?;
        let after = now - record.heard[end]?;
        // Clocks that drift are off by less than a thirtieth. What still comes of a call that its client has ended is
        // not followed.
        let followed = end == 0 || !(record.over || record.outcome.is_some());
        let late = after > silence && followed && after > silence * 31 / 30 + slack;
        let silent = matches!(outcome, Err(CallError::Timeout(TimeoutKind::Silence)));
        let early = silent && after + slack < silence * 29 / 30;
        let unique = record.unique;
        (late || early).then(|| {
            let text =
                format!("call {unique}: {outcome:?} {after:?} after the last packet, silence {silence:?}");
            (Oracle::Deadline, text)
        })
    }

    /// A served call that was accepted `before` now has ended before all of its request was here. Has it waited for that
    /// no longer than it may?
    fn judge_gap(&self, place: Option<u32>, now: Instant, before: Duration) -> Finding {
        let record = self.records.get(place? as usize)?;
        let since = now - record.overdue?;
        let text = format!("call {} lives {since:?} after its request stopped", record.unique);
        (since < before).then_some((Oracle::Deadline, text))
    }

    /// Whether a served call that ends now has waited for its client no longer than it may, at this endpoint. Everything
    /// may happen `slack` later.
    pub(crate) fn judge_served(
        &self,
        served: &Served<'_>,
        now: Instant,
        endpoint: &EndpointSpec,
        slack: Duration,
    ) -> [Finding; 2] {
        let silence = (us(endpoint.silence), slack);
        let silent = self.judge_silence(served.place, (1, served.outcome), now, silence);
        let gap = self.judge_gap(served.place, now, served.lived.saturating_sub(slack));
        // Who reads slowly, or has little room, holds the client back.
        let holds_back = served.read_pause > 0 || is_tight(endpoint);
        [silent, gap.filter(|_| !holds_back)]
    }

    /// A server application has a call.
    pub(crate) fn serve(&mut self) {
        self.serving += 1;
        self.count();
    }

    /// A call ends at a server now. Where nothing disturbs the network, what its client's application did to it must
    /// have been told at once: it may take `within`.
    pub(crate) fn judge_late_end(
        &self,
        place: Option<u32>,
        now: Instant,
        within: Option<Duration>,
    ) -> Finding {
        let record = self.records.get(place? as usize)?;
        let after = now - record.gave_up_at?;
        let text = format!("call {} ended {after:?} after its client had ended it", record.unique);
        (after > within?).then_some((Oracle::Agreement, text))
    }

    /// A call ended at a server that had it. `read` and `written`: the whole request, the whole reply.
    pub(crate) fn end_server(
        &mut self,
        now: Instant,
        place: Option<u32>,
        outcome: Outcome,
        (read, written): (bool, bool),
        tainted: bool,
    ) -> Finding {
        self.serving -= 1;
        let finding = match outcome {
            Ok(()) if !written => Some("the reply was not finished"),
            Ok(()) if !read => Some("the request was not read"),
            Err(CallError::Busy | CallError::PathMtu | CallError::TooLong | CallError::Excess) => {
                Some("nothing leads to that at a server")
            }
            _ => None,
        };
        let mut unique = None;
        if let Some(place) = place
            && let Some(record) = self.records.get_mut(place as usize)
        {
            record.serving -= 1;
            record.served = Some((outcome, now));
            unique = Some(record.unique);
            self.retire(place);
        }
        let text = finding.filter(|_| !tainted)?;
        Some((Oracle::Agreement, format!("served call {unique:?} ended with {outcome:?}, but {text}")))
    }

    /// Forget a call that ended well at both ends: it may not come again, and numbers suffice to see that.
    fn retire(&mut self, place: u32) {
        let over = self.records.get(place as usize).is_some_and(|r| {
            r.outcome == Some(Ok(())) && r.serving == 0 && matches!(r.served, Some((Ok(()), _)))
        });
        if over {
            self.records.remove(place as usize);
        }
    }
}

/// What is known of the circumstances in which a call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checks<'a> {
    pub(crate) allow: &'a Allowances,
    /// It ends now.
    pub(crate) now: Instant,
    pub(crate) tainted: bool,
    /// Its request was too short to name it.
    pub(crate) anonymous: bool,
    /// The client itself crashed.
    pub(crate) crashed_client: bool,
    /// It takes for silence what is shorter than the pauses of a peer that works.
    pub(crate) impatient: bool,
    /// Something was done to its two nodes, or to what they sent each other, that explains a silence.
    pub(crate) disturbed: bool,
    /// It has a lifetime.
    pub(crate) limited: bool,
}

impl<'a> Checks<'a> {
    /// Nothing can be demanded.
    pub(crate) fn none(allow: &'a Allowances) -> Self {
        Checks {
            allow,
            now: Instant::ORIGIN,
            tainted: false,
            anonymous: true,
            crashed_client: true,
            impatient: true,
            disturbed: true,
            limited: true,
        }
    }
}

/// Whether somebody has reason to abort with this code.
fn judge_abort(record: &Record, code: AbortCode, allow: &Allowances) -> Option<String> {
    let gave_up = allow.rejects || record.server_gave_up || record.failed_at_server().is_some();
    let lost = allow.restarts || allow.overflow || allow.forgot || allow.rebinding;
    let excuse = match code {
        // A server that forgot the connection may have forgotten the upgrade, or take acknowledgements of the reply
        // that it has forgotten for a fault.
        AbortCode::RX_PROTOCOL_ERROR => lost || allow.rejects || allow.broken_jumbograms,
        // A server that lost its client's packets ends calls that its application never got.
        AbortCode::RX_CALL_TIMEOUT | AbortCode::RX_CALL_DEAD => true,
        AbortCode::RX_INVALID_OPERATION => lost || gave_up || allow.unknown,
        _ => gave_up || lost,
    };
    (!excuse).then(|| "nobody at the server aborted it".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(secs)
    }

    #[test]
    fn a_call_is_executed_again_only_when_its_server_had_the_time_to_forget_it_or_has_started_again() {
        let allow = Allowances { kept: Duration::from_secs(20), ..Allowances::default() };
        let mut ledger = Ledger::default();
        let (unique, _) = ledger.begin(at(0), 0, 1);
        let mut execute = |secs, incarnation| ledger.execute(at(secs), unique, incarnation, &allow).is_some();
        assert!(!execute(1, 0), "for the first time");
        assert!(execute(20, 0));
        assert!(!execute(40, 0), "forgotten");
        assert!(!execute(41, 1), "another server");
        assert!(execute(42, 1));
    }

    #[test]
    fn a_call_whose_connection_made_room_is_executed_again_only_if_it_may_have_been_forgotten() {
        for overflow in [false, true] {
            let kept = Duration::from_secs(20);
            let allow = Allowances { kept, eviction: true, overflow, ..Allowances::default() };
            let mut ledger = Ledger::default();
            let (unique, _) = ledger.begin(at(0), 0, 1);
            assert_eq!(ledger.execute(at(1), unique, 0, &allow), None);
            assert_eq!(ledger.execute(at(2), unique, 0, &allow).is_none(), overflow);
        }
    }

    #[test]
    fn a_silence_is_explained_by_a_server_that_ended_the_call_only_if_it_may_have_forgotten_that() {
        let failed = Err(CallError::Timeout(TimeoutKind::Lifetime));
        for (after, served, excused) in [(20, failed, true), (19, failed, false), (20, Ok(()), false)] {
            let allow = Allowances { kept: Duration::from_secs(20), ..Allowances::default() };
            let mut ledger = Ledger::default();
            let (_, place) = ledger.begin(at(0), 0, 1);
            ledger.record(place).unwrap().serving = 1;
            ledger.serve();
            ledger.end_server(at(5), Some(place), served, (true, true), false);
            let checks = Checks {
                now: at(5 + after),
                crashed_client: false,
                impatient: false,
                disturbed: false,
                ..Checks::none(&allow)
            };
            let finding = ledger.end_client(place, Err(CallError::Timeout(TimeoutKind::Silence)), checks);
            assert_eq!(finding.is_none(), excused, "{after} s, {served:?}");
        }
    }

    #[test]
    fn nobody_is_told_busy_where_there_is_room_for_all_calls() {
        for (calls, unreleased, excused) in [(3, 0, false), (4, 0, true), (2, 1, false), (3, 1, true)] {
            let allow = Allowances { room: 3, ..Allowances::default() };
            let mut ledger = Ledger { unreleased, ..Ledger::default() };
            let places: Vec<u32> = (0..calls).map(|_| ledger.begin(at(0), 0, 1).1).collect();
            let checks =
                Checks { anonymous: false, crashed_client: false, impatient: false, ..Checks::none(&allow) };
            let finding = ledger.end_client(places[0], Err(CallError::Busy), checks);
            assert_eq!(finding.is_none(), excused, "{calls} calls and {unreleased}");
        }
    }
}
