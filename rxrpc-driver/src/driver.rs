//! The future that moves everything.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rxrpc_proto::{Config, Instant, Wake};

use crate::io::NetworkReport;
use crate::outgoing::{Outgoing, Sent};
use crate::shared::{Handle, Shared, State};
use crate::{Endpoint, Io, RecvBatch};

/// Batches received before anything is sent.
const RECV_ROUNDS: usize = 4;

/// Batches sent before anything is received.
const SEND_ROUNDS: usize = 16;

/// Turns of receiving and sending before other tasks get theirs.
const TURNS: usize = 4;

/// How long to leave a socket alone that fails to receive, and how often it may fail before that.
const RECV_PAUSE: Duration = Duration::from_millis(10);
const RECV_ERRORS: u32 = 3;

/// A deadline that has passed while the socket takes nothing is looked at again after this.
const BLOCKED_PAUSE: Duration = Duration::from_millis(1);

/// How long an endpoint that closes waits to acknowledge the last replies it received.
const LINGER: Duration = Duration::from_millis(50);

/// The future that runs an endpoint: receives, sends, keeps time, and wakes the tasks that wait.
///
/// Spawn it, or await it beside other things: nothing moves while it is not polled. It never spawns, and
/// is [`Send`] exactly when its [`Io`] is. It ends when the endpoint was closed, or when all handles are
/// gone, and everything has been sent. When it is dropped before, every call ends with
/// [`CallError::EndpointClosed`](rxrpc_proto::CallError::EndpointClosed).
///
/// Each poll does a bounded amount of work; if more is left, it wakes itself.
#[must_use = "nothing moves unless the driver is polled"]
pub struct Driver<I: Io> {
    io: I,
    shared: Arc<Shared>,
    batch: RecvBatch,
    outgoing: Outgoing,
    /// Wakers to wake when the lock is open. Kept, so that it need not be allocated again.
    wake: Vec<Waker>,
    /// Tasks woken since a kick was last answered.
    woken: usize,
    timer: Option<Instant>,
    recv_errors: u32,
    recv_after: Option<Instant>,
    ended: bool,
}

// Nothing here is ever pinned, whatever `Io` is.
impl<I: Io> Unpin for Driver<I> {}

/// What one side of a turn came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// All done, or waiting for the socket.
    Idle,
    /// The socket takes nothing, and will wake us.
    Blocked,
    /// There may be more to do.
    More,
}

impl<I: Io> Driver<I> {
    /// An endpoint over `io`: the future to poll, and the first handle.
    pub fn new(config: Config, io: I) -> (Driver<I>, Endpoint) {
        let proto = rxrpc_proto::Endpoint::new(config);
        let shared = Arc::new(Shared::new(proto, io.local_addr()));
        let endpoint = Endpoint::new(Handle::new(&shared));
        let driver = Driver {
            outgoing: Outgoing::new(io.max_segments()),
            io,
            shared,
            batch: RecvBatch::new(),
            wake: Vec::new(),
            woken: 0,
            timer: None,
            recv_errors: 0,
            recv_after: None,
            ended: false,
        };
        (driver, endpoint)
    }

    /// Receives a bounded number of batches.
    fn receive(&mut self, cx: &mut Context<'_>) -> Turn {
        self.network_errors(cx);
        if self.recv_after.is_some_and(|after| self.io.now() < after) {
            return Turn::Idle;
        }
        self.recv_after = None;
        let mut rounds = 0;
        while rounds < RECV_ROUNDS {
            self.batch.clear();
            match self.io.try_recv(&mut self.batch) {
                Ok(_) => {
                    rounds += 1;
                    self.recv_errors = 0;
                    self.take_in();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // An error of waiting is an error of the socket: the next try tells.
                    if self.io.poll_readable(cx).is_pending() {
                        return Turn::Idle;
                    }
                    rounds += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => rounds += 1,
                Err(_) => {
                    // Whatever it is, an error of receiving is no reason to stop. Often it belongs to a
                    // datagram sent earlier; the error queue tells which.
                    rounds += 1;
                    self.recv_errors += 1;
                    self.network_errors(cx);
                    if self.recv_errors >= RECV_ERRORS {
                        self.recv_errors = 0;
                        self.recv_after = Some(self.io.now() + RECV_PAUSE);
                        return Turn::Idle;
                    }
                }
            }
        }
        Turn::More
    }

    /// Gives the core what was received.
    fn take_in(&mut self) {
        let now = self.io.now();
        let mut state = self.shared.lock();
        for (path, segments) in self.batch.messages() {
            state.proto.handle_datagrams(now, path, segments);
        }
        state.take_events(&mut self.wake);
        drop(state);
        self.wake_all();
    }

    fn network_errors(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(NetworkReport { peer, error }) = self.io.poll_network_error(cx) {
            let now = self.io.now();
            let mut state = self.shared.lock();
            state.proto.handle_network_error(now, peer, error);
        }
    }

    /// Sends a bounded number of batches. Ends with an empty core, a blocked socket, or more to do.
    fn transmit(&mut self, cx: &mut Context<'_>) -> Turn {
        for _ in 0..SEND_ROUNDS {
            if self.outgoing.is_empty() {
                self.outgoing.limit_segments(self.io.max_segments());
                let now = self.io.now();
                let mut state = self.shared.lock();
                run_timers(&mut state, now);
                if !self.outgoing.fill(&mut state.proto, now) {
                    return Turn::Idle;
                }
            }
            match self.outgoing.send(&mut self.io) {
                Sent::All => {}
                Sent::Blocked => {
                    if self.io.poll_writable(cx).is_pending() {
                        return Turn::Blocked;
                    }
                }
                Sent::Failed(peer, error) => {
                    let now = self.io.now();
                    self.shared.lock().proto.handle_network_error(now, peer, error);
                }
            }
        }
        Turn::More
    }

    /// Delivers what the turn brought about, and finds out what to wait for.
    fn settle(&mut self, sending: Turn) -> Next {
        let now = self.io.now();
        let mut state = self.shared.lock();
        if sending == Turn::Blocked {
            run_timers(&mut state, now);
        }
        state.take_events(&mut self.wake);
        let drained = (state.draining || self.shared.abandoned()) && !state.has_calls();
        if drained && !state.proto.is_closed() {
            state.draining = true;
            state.proto.close();
        }
        let end = sending == Turn::Idle && state.proto.is_closed() && !owes_acks(&state, now);
        if end {
            state.ended = true;
            state.take_all_wakers(&mut self.wake);
        }
        let deadline = state.update_deadline();
        drop(state);
        self.wake_all();
        match (end, sending) {
            (true, _) => Next::End,
            (false, Turn::Blocked) => Next::Wait(deadline.map(|at| at.max(now + BLOCKED_PAUSE))),
            (false, _) => Next::Wait(deadline),
        }
    }

    /// Waits for the deadline. Says whether it has come.
    fn wait(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline.into_iter().chain(self.recv_after).min() else {
            self.timer = None;
            // No deadline, nothing that could come.
            return self.io.poll_timer(cx, None).is_ready();
        };
        loop {
            // Deadlines mostly move back as the traffic goes on. A timer that is set too early costs a
            // wake now and then, less than setting it again each time.
            let at = self.timer.filter(|&timer| timer <= deadline).unwrap_or(deadline);
            self.timer = Some(at);
            if self.io.poll_timer(cx, Some(at)).is_pending() {
                return false;
            }
            self.timer = None;
            if at == deadline || self.io.now() >= deadline {
                return true;
            }
        }
    }

    fn wake_all(&mut self) {
        self.woken += self.wake.len();
        for waker in self.wake.drain(..) {
            waker.wake();
        }
    }
}

/// What to wait for.
enum Next {
    /// Nothing more.
    End,
    /// The socket, a handle, or this deadline.
    Wait(Option<Instant>),
}

/// Whether a finished call is still to be acknowledged, and soon: a server that is left without that
/// would ask a closed port for it until it gives up.
fn owes_acks(state: &State, now: Instant) -> bool {
    state.proto.poll_timeout().is_some_and(|(at, why)| why == Wake::FinalAck && at <= now + LINGER)
}

fn run_timers(state: &mut State, now: Instant) {
    if state.proto.poll_timeout().is_some_and(|(deadline, _)| deadline <= now) {
        state.proto.handle_timeout(now);
    }
}

impl<I: Io> Future for Driver<I> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(());
        }
        // Some runtimes run a task that was woken before those that were ready earlier. The first of many
        // tasks that this driver has woken would then get it run again, for one packet, and so would every
        // other. Going to the end of the queue once lets them all have their turn, and sends one batch. The
        // kick stays unanswered meanwhile, so that theirs cost nothing.
        if this.woken > 1 && this.shared.is_kicked() {
            this.woken = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.woken = 0;
        this.shared.answer_kicks(cx.waker());
        for _ in 0..TURNS {
            let receiving = this.receive(cx);
            let sending = this.transmit(cx);
            let deadline = match this.settle(sending) {
                Next::End => {
                    this.ended = true;
                    return Poll::Ready(());
                }
                Next::Wait(deadline) => deadline,
            };
            if receiving == Turn::More || sending == Turn::More {
                continue;
            }
            if !this.wait(cx, deadline) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<I: Io> Drop for Driver<I> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = self.shared.lock();
        state.proto.close();
        state.draining = true;
        state.ended = true;
        state.take_events(&mut self.wake);
        state.take_all_wakers(&mut self.wake);
        drop(state);
        self.wake_all();
    }
}

impl<I: Io> fmt::Debug for Driver<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("ended", &self.ended).finish_non_exhaustive()
    }
}
