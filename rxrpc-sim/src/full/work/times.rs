//! Whether calls end when they should. The driver is watched for that: a task may pause when its call ends.

use rxrpc_driver::CallInfo;
use rxrpc_proto::{Instant, Outcome};

use super::App;
use crate::oracle::Served;
use crate::scenario::us;
use crate::workload::limits;

/// A call that a task makes.
#[derive(Clone, Copy)]
pub(super) struct Ours {
    /// Its place in the book, and that of its specification in the scenario.
    pub(super) place: u32,
    pub(super) index: usize,
    /// It has ended, and was judged.
    pub(super) judged: bool,
}

/// A call that a task serves.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    /// Its place in the book, and that of its specification, once its request has named it.
    pub(super) place: Option<u32>,
    index: usize,
    /// When it was accepted, on the node's clock.
    accepted: Instant,
    judged: bool,
}

impl Taken {
    /// Tag of the call that has this key here: not 0, which calls have that nobody has accepted.
    pub(super) fn tag(key: usize) -> u64 {
        key as u64 + 1
    }

    /// The key that has this tag.
    fn key(tag: u64) -> Option<usize> {
        (tag as usize).checked_sub(1)
    }

    pub(super) fn new(accepted: Instant) -> Self {
        Taken { place: None, index: 0, accepted, judged: false }
    }

    /// Its request has named it.
    pub(super) fn is(&mut self, place: u32, index: usize) {
        (self.place, self.index) = (Some(place), index);
    }
}

impl App {
    /// Whether tasks have calls.
    pub(crate) fn has_calls(&self) -> bool {
        !self.clients.borrow().is_empty() || !self.served.borrow().is_empty()
    }

    /// The driver leaves a call like this.
    pub(crate) fn judge_end(&self, call: &CallInfo) {
        let Some(outcome) = call.outcome else { return };
        if call.is_client {
            self.judge_client(call.tag as usize, outcome);
        } else if let Some(key) = Taken::key(call.tag) {
            self.judge_served(key, outcome);
        }
    }

    /// A call that a task made has ended now, unless it was judged before.
    pub(super) fn judge_client(&self, key: usize, outcome: Outcome) {
        let Some(ours) = judge_once(self.clients.borrow_mut().get_mut(key), |ours| &mut ours.judged) else {
            return;
        };
        let silence = us(limits(&self.scenario, self.id, &self.scenario.calls[ours.index])[1]);
        let finding = {
            let mut world = self.world();
            let (now, tainted) = (world.now(), world.oracles.is_tainted());
            let ledger = &mut world.oracles.ledger;
            let times = (silence, self.slack);
            let silent = ledger.judge_silence(Some(ours.place), (0, &outcome), now, times);
            if let Some(record) = ledger.record(ours.place) {
                record.over = true;
            }
            silent.filter(|_| !tainted)
        };
        self.report(finding);
    }

    /// A call that a task served has ended now, unless it was judged before.
    pub(super) fn judge_served(&self, key: usize, outcome: Outcome) {
        let Some(taken) = judge_once(self.served.borrow_mut().get_mut(key), |taken| &mut taken.judged) else {
            return;
        };
        let endpoint = &self.scenario.nodes[usize::from(self.id)].endpoint;
        let read_pause = self.scenario.calls[taken.index].request.read_pause;
        let lived = self.local() - taken.accepted;
        let served = Served { place: taken.place, outcome: &outcome, lived, read_pause };
        let findings = {
            let world = self.world();
            let tainted = world.oracles.is_tainted();
            let findings = world.oracles.ledger.judge_served(&served, world.now(), endpoint, self.slack);
            findings.map(|finding| finding.filter(|_| !tainted))
        };
        findings.into_iter().for_each(|finding| self.report(finding));
    }
}

/// The call, if it is there and was not judged before.
fn judge_once<T: Copy>(call: Option<&mut T>, judged: impl Fn(&mut T) -> &mut bool) -> Option<T> {
    let call = call?;
    let before = std::mem::replace(judged(call), true);
    (!before).then_some(*call)
}
