//! What a task works with: what all tasks of its node share, and random numbers of its own.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::pin;
use std::task::Poll;

use rxrpc_driver::CallId;

use super::super::handle::first;
use super::{App, Turn};
use crate::rng::{Rng, Streams};
use crate::scenario::{Micros, us};

/// How long operations may wait that are cancelled then.
const PATIENCE: [Micros; 4] = [0, 200, 5_000, 100_000];

/// A task's view of its node.
pub(super) struct Job<'a> {
    app: &'a App,
    rng: RefCell<Rng>,
}

impl Deref for Job<'_> {
    type Target = App;

    fn deref(&self) -> &App {
        self.app
    }
}

impl<'a> Job<'a> {
    pub(super) fn new(app: &'a App, rng: Rng) -> Self {
        Job { app, rng: RefCell::new(rng) }
    }

    /// The random numbers of another task, which this one begins.
    pub(super) fn split(&self) -> Rng {
        Rng::new(self.rng.borrow_mut().next_u64())
    }

    /// It makes a call for the so many-th time from now on. One within a served call goes on with the numbers of that.
    pub(super) fn makes(&self, turn: Turn, round: u32) {
        if let Some(copy) = turn.copy {
            let times = self.streams_of("call", turn.index);
            *self.rng.borrow_mut() = times.stream("time", (copy as u64) << 32 | u64::from(round));
        }
    }

    /// It serves a call of the scenario from now on: the so many-th that its node has.
    pub(super) fn serves(&self, index: usize) {
        let number = {
            let mut numbers = self.app.serves.borrow_mut();
            numbers[index] += 1;
            numbers[index]
        };
        *self.rng.borrow_mut() = self.streams_of("serve", index).stream("time", u64::from(number));
    }

    /// All that a call of the scenario draws from here.
    fn streams_of(&self, label: &str, index: usize) -> Streams {
        Streams::new(self.app.streams.key(label, u64::from(self.app.scenario.calls[index].id)))
    }

    pub(super) fn below(&self, n: u64) -> u64 {
        self.rng.borrow_mut().below(n)
    }

    pub(super) fn chance(&self, p: f64) -> bool {
        p > 0.0 && self.rng.borrow_mut().chance(p)
    }

    /// Waits for an operation of the endpoint; or cancels it, which ends no call, and returns `None`.
    pub(super) async fn attempt<T>(&self, operation: impl Future<Output = T>) -> Option<T> {
        match self.wait_awhile(operation).await {
            Ok(result) => return Some(result),
            Err(before) if before == self.live_calls() => {}
            Err(_) => self.broken("a call ended because a wait was cancelled"),
        }
        None
    }

    /// Waits for an operation of the endpoint; or cancels it, and returns which calls there were until then.
    async fn wait_awhile<T>(&self, operation: impl Future<Output = T>) -> Result<T, Vec<CallId>> {
        let _held = self.waits.hold();
        if self.is_healed() || !self.chance(self.tasks.cancelled) {
            return Ok(operation.await);
        }
        let patience = *self.rng.borrow_mut().pick(&PATIENCE);
        // Or as soon as it was woken and still waits.
        let mut polls = *self.rng.borrow_mut().pick(&[2, u32::MAX]);
        let mut sleep = pin!(self.node.sleep(us(patience)));
        let enough = poll_fn(|cx| {
            polls -= 1;
            if polls == 0 { Poll::Ready(()) } else { sleep.as_mut().poll(cx) }
        });
        let mut operation = pin!(operation);
        if let Ok(result) = first(operation.as_mut(), enough).await {
            return Ok(result);
        }
        let mut world = self.world();
        world.coverage.fault("cancelled-future");
        world.application(self.id, patience, 10);
        Err(self.live_calls())
    }

    /// Waits for an operation that can be cancelled and asked for again.
    pub(super) async fn insist<T>(&self, mut operation: impl AsyncFnMut() -> T) -> T {
        loop {
            if let Some(result) = self.attempt(operation()).await {
                return result;
            }
        }
    }
}
