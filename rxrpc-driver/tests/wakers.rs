//! Wakers run foreign code. Whatever it does to the endpoint, nothing deadlocks.

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use rxrpc_driver::{Call, CallOptions, Endpoint, ServiceOptions, Target};
use support::{SERVICE, Sim};

/// The endpoint that every operation of a [`rude`] waker uses, and a call that it drops.
static ENDPOINT: Mutex<Option<Endpoint>> = Mutex::new(None);
static CALL: Mutex<Option<Call>> = Mutex::new(None);
static CLONES: AtomicUsize = AtomicUsize::new(0);
static WAKES: AtomicUsize = AtomicUsize::new(0);
static DROPS: AtomicUsize = AtomicUsize::new(0);

fn intrude() {
    let endpoint = ENDPOINT.lock().unwrap().clone();
    if let Some(endpoint) = endpoint {
        // Takes the lock, kicks the driver, and locks again when dropped.
        let _ = endpoint.stats();
        drop(endpoint.call(Target::new(([10, 0, 0, 9], 7_000).into(), 1), CallOptions::default()));
    }
    let call = CALL.lock().unwrap().take();
    drop(call);
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |_| {
        CLONES.fetch_add(1, Ordering::SeqCst);
        intrude();
        RawWaker::new(std::ptr::null(), &VTABLE)
    },
    |_| {
        WAKES.fetch_add(1, Ordering::SeqCst);
        intrude();
    },
    |_| {
        WAKES.fetch_add(1, Ordering::SeqCst);
        intrude();
    },
    |_| {
        DROPS.fetch_add(1, Ordering::SeqCst);
        intrude();
    },
);

/// A waker whose every operation uses the endpoint.
fn rude() -> Waker {
    // SAFETY: the functions of the table ignore their pointer and are safe to call from any thread.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

/// Polls with a rude waker; twice with an ordinary one between, so that wakers are replaced.
fn poll_rudely<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    for waker in [rude(), Waker::noop().clone(), rude()] {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Poll::Ready(value);
        }
    }
    Poll::Pending
}

#[test]
fn a_waker_that_uses_the_endpoint_does_not_deadlock_it() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (mut driver, client, _) = sim.driver(2, |config| config.limits.send_per_call = 10_000);
    *ENDPOINT.lock().unwrap() = Some(client.clone());
    let target = Target::new(knobs.addr, SERVICE);

    let begin = || client.call(target, CallOptions::default()).unwrap();
    let (mut reading, mut writing, mut waiting) = (begin(), begin(), begin());
    *CALL.lock().unwrap() = Some(begin());
    let mut buf = [0; 10];
    assert!(poll_rudely(reading.read(&mut buf)).is_pending());
    assert!(poll_rudely(waiting.outcome()).is_pending());
    assert!(poll_rudely(writing.write_all(&[0; 100_000])).is_pending());
    let mut listener = client.listen(SERVICE, ServiceOptions::default()).unwrap();
    assert!(poll_rudely(listener.accept()).is_pending());
    let time = std::time::Duration::from_secs(1);
    assert!(poll_rudely(client.version(knobs.addr, time)).is_pending());

    // The driver with a rude waker of its own, while a server answers.
    let mut served = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    sim.spawn(async move {
        while let Some(incoming) = served.accept().await {
            let mut call = incoming.accept().unwrap();
            call.abort(rxrpc_driver::AbortCode(1));
        }
    });
    reading.flush();
    for _ in 0..20 {
        assert!(poll_rudely(&mut driver).is_pending());
        *CALL.lock().unwrap() = Some(begin());
        sim.settle();
    }
    assert!(poll_rudely(reading.outcome()).is_ready() || poll_rudely(writing.outcome()).is_ready());

    drop(reading);
    assert!(poll_rudely(client.shutdown()).is_pending());
    drop(listener);
    drop(driver);
    let counts = [&CLONES, &WAKES, &DROPS].map(|count| count.load(Ordering::SeqCst));
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    *ENDPOINT.lock().unwrap() = None;
}
