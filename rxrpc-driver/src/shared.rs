//! What the driver and the handles share: the protocol endpoint, and who waits for what.
//!
//! Three rules hold wherever the lock is taken. No system call happens under it. No more than 64 KiB of
//! user memory are copied under it. And no waker is cloned, woken or dropped under it, since each of
//! these runs foreign code: dropping a waker may drop a task that drops a [`Call`](crate::Call), which
//! takes the lock again.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::net::SocketAddr;
use std::ops::{ControlFlow, Deref};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rxrpc_proto::{CallId, Endpoint, Event, Instant, VersionId};

use crate::waiters::Waiters;

/// Most bytes of user memory that are copied under one lock.
pub(crate) const COPY_LIMIT: usize = 64 * 1024;

/// What a task waits for in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
    Readable = 0,
    Writable = 1,
    Outcome = 2,
}

/// The wakers of a call, one for each thing to wait for.
pub(crate) type CallWakers = [Option<Waker>; 3];

/// What the driver knows of a call, at [`CallId::slot`].
#[derive(Default)]
struct Slot {
    call: Option<CallId>,
    /// The handle is gone, but the reply is still on its way.
    detached: bool,
    wakers: CallWakers,
}

/// What the driver knows of a service.
pub(crate) struct Service {
    pub(crate) id: u16,
    /// Calls that nobody has looked at. No more than the backlog of the service, since they wait in it.
    pub(crate) queue: VecDeque<CallId>,
    pub(crate) waker: Option<Waker>,
}

/// Everything under the lock.
pub(crate) struct State {
    pub(crate) proto: Endpoint,
    slots: Vec<Slot>,
    /// Slots in use.
    open: usize,
    pub(crate) services: Vec<Service>,
    pub(crate) versions: Waiters<VersionId>,
    pub(crate) closing: Waiters<u64>,
    /// The next key in `closing`.
    pub(crate) next_closing: u64,
    /// What the driver waits for, as it last asked the core.
    pub(crate) deadline: Option<Instant>,
    /// No new calls, either way; the endpoint closes when the last one is over.
    pub(crate) draining: bool,
    /// The driver is gone, or has ended.
    pub(crate) ended: bool,
}

impl State {
    /// Takes note of a call that got a handle.
    pub(crate) fn open(&mut self, call: CallId) {
        let index = call.slot();
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.call = Some(call);
            slot.detached = false;
            self.open += 1;
        }
    }

    fn slot(&mut self, call: CallId) -> Option<&mut Slot> {
        self.slots.get_mut(call.slot()).filter(|slot| slot.call == Some(call))
    }

    /// Where the waker of one who waits in a call belongs.
    pub(crate) fn waker(&mut self, call: CallId, wait: Wait) -> Option<&mut Option<Waker>> {
        self.slot(call).and_then(|slot| slot.wakers.get_mut(wait as usize))
    }

    /// Forgets a call, which is aborted if it is live. The wakers are to be dropped after unlocking.
    pub(crate) fn release(&mut self, call: CallId) -> CallWakers {
        self.proto.release(call);
        let Some(slot) = self.slot(call) else { return CallWakers::default() };
        slot.call = None;
        let wakers = mem::take(&mut slot.wakers);
        self.open -= 1;
        wakers
    }

    /// Asks the core what to wait for.
    pub(crate) fn update_deadline(&mut self) -> Option<Instant> {
        self.deadline = self.proto.poll_timeout().map(|(deadline, _)| deadline);
        self.deadline
    }

    /// Whether there is something to wait for by now that comes before what the driver waits for.
    pub(crate) fn has_sooner_deadline(&mut self) -> bool {
        let next = self.proto.poll_timeout().map(|(deadline, _)| deadline);
        next.is_some_and(|next| self.deadline.is_none_or(|known| next < known))
    }

    /// Lets a call go on that has lost its handle; it is released when it ends.
    pub(crate) fn detach(&mut self, call: CallId) -> CallWakers {
        let Some(slot) = self.slot(call) else { return CallWakers::default() };
        slot.detached = true;
        mem::take(&mut slot.wakers)
    }

    /// Whether any call has a handle or goes on without one.
    pub(crate) fn has_calls(&self) -> bool {
        self.open > 0
    }

    pub(crate) fn service(&mut self, id: u16) -> Option<&mut Service> {
        self.services.iter_mut().find(|service| service.id == id)
    }

    /// Takes the core's events and collects the wakers they are for.
    pub(crate) fn take_events(&mut self, wake: &mut Vec<Waker>) {
        while let Some(event) = self.proto.poll_event() {
            match event {
                Event::Call { call, news, .. } => {
                    if let Some(slot) = self.slot(call) {
                        let [readable, writable, outcome] = &mut slot.wakers;
                        if news.readable() || news.ended() {
                            wake.extend(readable.take());
                        }
                        if news.writable() || news.ended() {
                            wake.extend(writable.take());
                        }
                        if news.ended() {
                            wake.extend(outcome.take());
                            if slot.detached {
                                let [readable, writable, outcome] = self.release(call);
                                wake.extend(readable.into_iter().chain(writable).chain(outcome));
                            }
                        }
                    } else if news.ended() {
                        self.forget_waiting(call);
                    }
                }
                Event::Incoming { call, service } => match self.service(service) {
                    Some(service) => {
                        service.queue.push_back(call);
                        wake.extend(service.waker.take());
                    }
                    None => self.proto.release(call),
                },
                Event::Version(id) => match self.versions.get(&id) {
                    Some(waker) => wake.extend(waker.take()),
                    // Nobody waits any more.
                    None => drop(self.proto.take_version(id)),
                },
            }
        }
    }

    /// A call ended that nobody has accepted. If nobody has seen it either, it is gone.
    fn forget_waiting(&mut self, call: CallId) {
        for service in &mut self.services {
            let before = service.queue.len();
            service.queue.retain(|&waiting| waiting != call);
            if service.queue.len() < before {
                self.proto.release(call);
                return;
            }
        }
    }

    /// Collects the wakers of everyone who waits for anything.
    pub(crate) fn take_all_wakers(&mut self, wake: &mut Vec<Waker>) {
        for slot in &mut self.slots {
            wake.extend(mem::take(&mut slot.wakers).into_iter().flatten());
        }
        wake.extend(self.services.iter_mut().filter_map(|service| service.waker.take()));
        self.versions.take_all(wake);
        self.closing.take_all(wake);
    }
}

/// The endpoint behind its lock, and the way to wake the driver.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// A wake of the driver is under way that it has not answered yet.
    kicked: AtomicBool,
    driver: Mutex<Option<Waker>>,
    /// Handles that users hold.
    handles: AtomicUsize,
    pub(crate) local_addr: Option<SocketAddr>,
}

impl Shared {
    pub(crate) fn new(proto: Endpoint, local_addr: Option<SocketAddr>) -> Self {
        Shared {
            state: Mutex::new(State {
                proto,
                slots: Vec::new(),
                open: 0,
                services: Vec::new(),
                versions: Waiters::new(),
                closing: Waiters::new(),
                next_closing: 0,
                deadline: None,
                draining: false,
                ended: false,
            }),
            kicked: AtomicBool::new(false),
            driver: Mutex::new(None),
            handles: AtomicUsize::new(0),
            local_addr,
        }
    }

    /// A panic elsewhere, in a user's `Bytes` owner say, leaves the state as it was between two steps.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn driver(&self) -> MutexGuard<'_, Option<Waker>> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the driver, unless it has been woken already and has not run since.
    pub(crate) fn kick(&self) {
        if !self.kicked.swap(true, Ordering::AcqRel) {
            let waker = self.driver().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// The driver begins a poll: it will see all that happened before, and later kicks wake `waker`.
    ///
    /// The waker is registered before the mark is cleared. A kick in between finds the mark set, or takes
    /// the waker and causes another poll; either way what it announces is seen.
    pub(crate) fn answer_kicks(&self, waker: &Waker) {
        self.register_driver(waker);
        self.kicked.swap(false, Ordering::AcqRel);
    }

    /// Whether a kick waits to be answered.
    pub(crate) fn is_kicked(&self) -> bool {
        self.kicked.load(Ordering::Acquire)
    }

    fn register_driver(&self, waker: &Waker) {
        let registered = self.driver().as_ref().is_some_and(|known| known.will_wake(waker));
        if !registered {
            let fresh = waker.clone();
            let old = self.driver().replace(fresh);
            drop(old);
        }
    }

    /// Whether users hold no handle any more.
    pub(crate) fn abandoned(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0
    }
}

/// A counted reference to the shared state. The driver ends some time after the last one.
pub(crate) struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.handles.fetch_add(1, Ordering::Relaxed);
        Handle(Arc::clone(shared))
    }

    /// Tries under the lock. When the attempt says where to leave a waker instead of a result, leaves one
    /// there and is pending; the waker is cloned with the lock open, and the attempt repeated.
    pub(crate) fn poll_with<T>(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&mut State) -> ControlFlow<T, &mut Option<Waker>>,
    ) -> Poll<T> {
        let mut fresh: Option<Waker> = None;
        loop {
            let old = {
                let mut state = self.lock();
                match attempt(&mut state) {
                    ControlFlow::Break(value) => {
                        drop(state);
                        return Poll::Ready(value);
                    }
                    ControlFlow::Continue(place) => {
                        if place.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                            return Poll::Pending;
                        }
                        fresh.take().map(|waker| place.replace(waker))
                    }
                }
            };
            match old {
                Some(old) => {
                    drop(old);
                    return Poll::Pending;
                }
                None => fresh = Some(cx.waker().clone()),
            }
        }
    }
}

impl Deref for Handle {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Handle::new(&self.0)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.kick();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}
