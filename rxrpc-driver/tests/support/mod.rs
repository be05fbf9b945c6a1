//! A network and a runtime for tests: one clock, no threads, nothing random.
//!
//! Time stands still while any task has work, and jumps to the next timer when none has.

#![allow(dead_code, reason = "each test uses a part of it")]

mod net;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use rxrpc_driver::{Config, Driver, Endpoint};

pub(crate) use net::{FakeIo, Knobs, Net};

/// The service of every test.
pub(crate) const SERVICE: u16 = 52;

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Task {
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    flag: Arc<Flag>,
    waker: Waker,
}

/// What a spawned task returns, once it has.
pub(crate) struct Join<T>(Arc<Mutex<Option<T>>>);

impl<T> Join<T> {
    pub(crate) fn take(&self) -> Option<T> {
        self.0.lock().unwrap().take()
    }
}

/// The runtime.
#[derive(Default)]
pub(crate) struct Sim {
    pub(crate) net: Net,
    tasks: Vec<Task>,
    /// Poll every task whenever any is woken.
    pub(crate) spurious: bool,
}

impl Sim {
    pub(crate) fn new() -> Self {
        Sim::default()
    }

    pub(crate) fn spawn<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> Join<T> {
        let slot = Arc::new(Mutex::new(None));
        let result = Arc::clone(&slot);
        let future = Box::pin(async move {
            let value = future.await;
            *result.lock().unwrap() = Some(value);
        });
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        self.tasks.push(Task { future: Some(future), flag, waker });
        Join(slot)
    }

    /// An endpoint at 10.0.0.`host` with its driver spawned, and the knobs of its socket.
    pub(crate) fn endpoint(&mut self, host: u8) -> (Endpoint, Knobs) {
        self.endpoint_with(host, |_| {})
    }

    pub(crate) fn endpoint_with(&mut self, host: u8, change: impl FnOnce(&mut Config)) -> (Endpoint, Knobs) {
        let (driver, endpoint, knobs) = self.driver(host, change);
        self.spawn(driver);
        (endpoint, knobs)
    }

    /// The same with the driver left to the caller.
    pub(crate) fn driver(
        &mut self,
        host: u8,
        change: impl FnOnce(&mut Config),
    ) -> (Driver<FakeIo>, Endpoint, Knobs) {
        let mut config = Config::new([host; 32]);
        change(&mut config);
        let (io, knobs) = self.net.socket(host);
        let (driver, endpoint) = Driver::new(config, io);
        (driver, endpoint, knobs)
    }

    /// Runs every task that has work, until none has. Time stands still.
    pub(crate) fn settle(&mut self) {
        let mut turns = 0;
        loop {
            let woken: Vec<bool> =
                self.tasks.iter().map(|t| t.flag.0.swap(false, Ordering::SeqCst)).collect();
            if !woken.contains(&true) {
                return;
            }
            turns += 1;
            assert!(turns < 1_000_000, "tasks wake each other for ever");
            for (task, woken) in self.tasks.iter_mut().zip(woken) {
                if (woken || self.spurious)
                    && let Some(future) = &mut task.future
                    && future.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready()
                {
                    task.future = None;
                }
            }
        }
    }

    /// Lets this much time pass.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.net.now() + time;
        self.settle();
        while self.net.jump(Some(end)) {
            self.settle();
        }
    }

    /// Runs until the future is done, and returns its result.
    pub(crate) fn run<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> T {
        let join = self.spawn(future);
        loop {
            self.settle();
            if let Some(value) = join.take() {
                return value;
            }
            assert!(self.net.jump(None), "everyone waits and no timer is set");
            assert!(self.net.now().as_nanos() < 1 << 43, "two hours have passed");
        }
    }

    /// Polls a future once, outside of any task.
    pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Ends all tasks, as a runtime does that shuts down.
    pub(crate) fn kill_tasks(&mut self) {
        self.tasks.clear();
    }
}

/// A recognisable sequence of bytes.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Answers every call of [`SERVICE`] with its request.
pub(crate) async fn echo(endpoint: Endpoint) {
    let mut listener = endpoint.listen(SERVICE, Default::default()).unwrap();
    drop(endpoint);
    while let Some(incoming) = listener.accept().await {
        let Ok(mut call) = incoming.accept() else { continue };
        if let Ok(request) = call.read_to_end(usize::MAX / 2).await
            && call.write_bytes(request).await.is_ok()
        {
            let _ = call.finish();
        }
    }
}
