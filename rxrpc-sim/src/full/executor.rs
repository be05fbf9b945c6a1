//! An executor that is moved step by step: no thread, no clock, and an order that the seed alone decides.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use slab::Slab;

use crate::rng::Rng;

type BoxFuture = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks that were woken, in that order.
#[derive(Default)]
struct Ready(Mutex<VecDeque<Arc<Mark>>>);

impl Ready {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Mark>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a waker holds: which task, and whether it is in the queue already.
struct Mark {
    id: TaskId,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            let ready = Arc::clone(&self.ready);
            ready.lock().push_back(self);
        }
    }
}

/// A task; never the number of another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TaskId {
    key: usize,
    serial: u64,
}

impl TaskId {
    /// Its number, counted from the first task of the executor.
    pub(super) fn serial(self) -> u64 {
        self.serial
    }
}

struct Task {
    serial: u64,
    /// Absent while it is polled.
    future: Option<BoxFuture>,
    mark: Arc<Mark>,
    waker: Waker,
}

/// A task that has been taken out to be polled.
pub(super) struct Turn {
    id: TaskId,
    future: BoxFuture,
    waker: Waker,
}

impl Turn {
    pub(super) fn id(&self) -> TaskId {
        self.id
    }

    pub(super) fn poll(&mut self) -> Poll<()> {
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker))
    }
}

/// The tasks of one node.
///
/// A task is polled outside of the executor, between [`next`](Executor::next) and [`done`](Executor::done): it may
/// spawn others.
pub(super) struct Executor {
    tasks: Slab<Task>,
    ready: Arc<Ready>,
    /// Which of the woken tasks comes next; the one that was woken first, if absent.
    order: Option<Rng>,
    /// Each poll has a waker of its own, and those of earlier polls wake nobody: as when futures move between tasks.
    fresh: bool,
    serial: u64,
}

impl Executor {
    pub(super) fn new(order: Option<Rng>, fresh: bool) -> Self {
        Executor { tasks: Slab::new(), ready: Arc::default(), order, fresh, serial: 0 }
    }

    fn mark(&self, id: TaskId) -> Arc<Mark> {
        Arc::new(Mark { id, queued: AtomicBool::new(false), ready: Arc::clone(&self.ready) })
    }

    /// Adds a task, which is polled at the next occasion.
    pub(super) fn spawn(&mut self, future: BoxFuture) -> TaskId {
        self.serial += 1;
        let id = TaskId { key: self.tasks.vacant_key(), serial: self.serial };
        let mark = self.mark(id);
        let waker = Waker::from(Arc::clone(&mark));
        waker.wake_by_ref();
        self.tasks.insert(Task { serial: self.serial, future: Some(future), mark, waker });
        id
    }

    /// The task whose turn it is, if any was woken.
    pub(super) fn next(&mut self) -> Option<Turn> {
        loop {
            let mark = {
                let mut ready = self.ready.lock();
                let place = match &mut self.order {
                    Some(rng) => rng.below(ready.len() as u64) as usize,
                    None => 0,
                };
                ready.remove(place)?
            };
            let id = mark.id;
            let fresh = self.fresh.then(|| self.mark(id));
            if let Some(task) = self.task(id).filter(|task| Arc::ptr_eq(&task.mark, &mark))
                && let Some(future) = task.future.take()
            {
                // What wakes it from here on has it polled again.
                mark.queued.store(false, Ordering::Relaxed);
                if let Some(fresh) = fresh {
                    task.waker = Waker::from(Arc::clone(&fresh));
                    task.mark = fresh;
                }
                return Some(Turn { id, future, waker: task.waker.clone() });
            }
        }
    }

    /// Puts a task back that is not done. One that was ended meanwhile is returned, to be dropped.
    pub(super) fn put_back(&mut self, turn: Turn) -> Option<Turn> {
        match self.task(turn.id) {
            Some(task) => {
                task.future = Some(turn.future);
                None
            }
            None => Some(turn),
        }
    }

    /// Takes a task out for good. The future is returned, to be dropped where it may touch the executor.
    pub(super) fn remove(&mut self, id: TaskId) -> Option<BoxFuture> {
        self.task(id)?;
        self.tasks.remove(id.key).future
    }

    /// Takes all tasks out but one, oldest place first.
    pub(super) fn remove_all_but(&mut self, kept: Option<TaskId>) -> Vec<BoxFuture> {
        let ids: Vec<TaskId> =
            self.tasks.iter().map(|(key, task)| TaskId { key, serial: task.serial }).collect();
        ids.into_iter().filter(|id| Some(*id) != kept).filter_map(|id| self.remove(id)).collect()
    }

    fn task(&mut self, id: TaskId) -> Option<&mut Task> {
        self.tasks.get_mut(id.key).filter(|task| task.serial == id.serial)
    }

    /// Whether any task was woken and not polled since.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.lock().is_empty()
    }

    /// How many tasks there are.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::rc::Rc;

    use super::*;

    fn run(executor: &mut Executor) -> usize {
        let mut polls = 0;
        while let Some(mut turn) = executor.next() {
            polls += 1;
            match turn.poll() {
                Poll::Ready(()) => drop(executor.remove(turn.id())),
                Poll::Pending => drop(executor.put_back(turn)),
            }
        }
        polls
    }

    /// A task that notes its number each time it is polled, `times` times.
    fn noting(log: &Rc<RefCell<Vec<u32>>>, number: u32, times: u32) -> BoxFuture {
        let log = Rc::clone(log);
        let mut left = times;
        Box::pin(poll_fn(move |cx| {
            log.borrow_mut().push(number);
            left -= 1;
            if left == 0 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
    }

    #[test]
    fn tasks_take_turns_and_two_wakes_are_one_poll() {
        let log = Rc::default();
        let mut executor = Executor::new(None, false);
        executor.spawn(noting(&log, 1, 3));
        executor.spawn(noting(&log, 2, 2));
        assert_eq!(run(&mut executor), 5);
        assert_eq!(*log.borrow(), [1, 2, 1, 2, 1]);
        assert_eq!((executor.len(), executor.is_ready()), (0, false));
    }

    #[test]
    fn a_drawn_order_differs_and_repeats() {
        let order = |rng: Option<Rng>| {
            let log = Rc::default();
            let mut executor = Executor::new(rng, false);
            for number in 0..8 {
                executor.spawn(noting(&log, number, 2));
            }
            assert_eq!(run(&mut executor), 16);
            log.take()
        };
        assert_eq!(order(Some(Rng::new(1))), order(Some(Rng::new(1))));
        assert_ne!(order(Some(Rng::new(1))), order(Some(Rng::new(2))));
        assert_ne!(order(Some(Rng::new(1))), order(None));
    }

    #[test]
    fn with_fresh_wakers_the_newest_alone_wakes() {
        for fresh in [false, true] {
            let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
            let mut executor = Executor::new(None, fresh);
            let kept = Rc::clone(&wakers);
            executor.spawn(Box::pin(poll_fn(move |cx| {
                kept.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            })));
            run(&mut executor);
            wakers.borrow()[0].wake_by_ref();
            assert_eq!(run(&mut executor), 1);
            wakers.borrow()[0].wake_by_ref();
            assert_eq!(run(&mut executor), usize::from(!fresh));
            let newest = wakers.borrow().last().cloned();
            newest.unwrap().wake();
            assert_eq!(run(&mut executor), 1);
        }
    }

    #[test]
    fn the_waker_of_a_task_that_is_gone_wakes_nobody_else() {
        let log = Rc::default();
        let kept = Rc::new(RefCell::new(None));
        let mut executor = Executor::new(None, false);
        let slot = Rc::clone(&kept);
        let first = executor.spawn(Box::pin(poll_fn(move |cx| {
            *slot.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })));
        assert_eq!(run(&mut executor), 1);
        assert!(executor.remove(first).is_some());
        executor.spawn(Box::pin(poll_fn(|_| Poll::Pending)));
        executor.spawn(noting(&log, 2, 1));
        assert_eq!(run(&mut executor), 2);
        kept.take().unwrap().wake();
        assert_eq!(run(&mut executor), 0);
    }
}
