//! What the code on a node uses: its endpoint, the virtual time, and tasks.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rxrpc_driver::Endpoint;
use rxrpc_proto::Instant;

use super::Lent;
use super::executor::{Executor, TaskId};
use super::socket::Socket;
use super::timers::{Alarm, Timers};
use crate::packet::NodeId;

/// What the parts of a node share.
pub(super) struct Shared {
    pub(super) id: NodeId,
    pub(super) addr: SocketAddr,
    pub(super) lent: Lent,
    pub(super) executor: RefCell<Executor>,
    pub(super) timers: RefCell<Timers>,
    pub(super) socket: Rc<RefCell<Socket>>,
    pub(super) endpoint: RefCell<Option<Endpoint>>,
    pub(super) now: Cell<Instant>,
    /// Its process runs, or at least exists.
    pub(super) is_up: Cell<bool>,
}

/// A simulated node, as the code that runs on it sees it. A cheap handle.
#[derive(Clone)]
pub struct Node(pub(super) Rc<Shared>);

impl Node {
    /// Its number in the scenario.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.0.id
    }

    /// Its address, for others to call.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// Its endpoint. After a crash the node has another one, and this one is closed.
    ///
    /// # Panics
    /// If the simulation is over.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.0.endpoint.borrow().clone().expect("the node has been started")
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.now.get()
    }

    /// Waits for so much virtual time.
    pub fn sleep(&self, time: Duration) -> Sleep {
        self.sleep_until(self.now() + time)
    }

    /// Waits until then in virtual time.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep { node: self.clone(), at, alarm: None }
    }

    /// What the future comes to, or `None` if that takes longer than `time`. The future is dropped then.
    pub async fn timeout<T>(&self, time: Duration, future: impl Future<Output = T>) -> Option<T> {
        first(future, self.sleep(time)).await.ok()
    }

    /// Runs a future beside the others of the node. It goes on if its handle is dropped, and ends when the node
    /// crashes.
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Task<T> {
        let joint = Rc::new(RefCell::new(Joint { value: None, over: false, waker: None }));
        let end = End(Rc::clone(&joint));
        self.start(async move {
            let value = future.await;
            end.0.borrow_mut().value = Some(value);
            drop(end);
        });
        Task(joint)
    }

    pub(super) fn start(&self, future: impl Future<Output = ()> + 'static) -> TaskId {
        self.0.executor.borrow_mut().spawn(Box::pin(future))
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.0.id).field("addr", &self.0.addr).finish_non_exhaustive()
    }
}

/// What the first of two futures comes to that is done; the other one is dropped. `left` is asked first.
pub(super) async fn first<L, R>(
    left: impl Future<Output = L>,
    right: impl Future<Output = R>,
) -> Result<L, R> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|cx| match left.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Ok(value)),
        Poll::Pending => right.as_mut().poll(cx).map(Err),
    })
    .await
}

/// Waits until some virtual time: see [`Node::sleep`].
#[must_use = "nothing waits unless it is awaited"]
pub struct Sleep {
    node: Node,
    at: Instant,
    alarm: Option<Alarm>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.at <= this.node.now() {
            return Poll::Ready(());
        }
        let mut timers = this.node.0.timers.borrow_mut();
        if this.alarm.is_none_or(|alarm| !timers.change(alarm, cx.waker())) {
            this.alarm = Some(timers.set(this.at, cx.waker().clone()));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(alarm) = self.alarm {
            let waker = self.node.0.timers.borrow_mut().cancel(alarm);
            drop(waker);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("at", &self.at).finish_non_exhaustive()
    }
}

struct Joint<T> {
    value: Option<T>,
    over: bool,
    waker: Option<Waker>,
}

/// Tells the handle that the task is over, however that came about.
struct End<T>(Rc<RefCell<Joint<T>>>);

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        let waker = {
            let mut joint = self.0.borrow_mut();
            joint.over = true;
            joint.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A spawned task: a future of what it comes to, or of `None` if its node crashed.
pub struct Task<T>(Rc<RefCell<Joint<T>>>);

impl<T> Task<T> {
    /// Whether the task is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.borrow().over
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.borrow_mut().value.take()
    }
}

impl<T> Future for Task<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut joint = self.0.borrow_mut();
        if joint.over {
            return Poll::Ready(joint.value.take());
        }
        joint.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("over", &self.is_over()).finish_non_exhaustive()
    }
}
