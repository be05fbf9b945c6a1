//! Sockets of a network without loss or delay, with knobs for what goes wrong at a socket.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rxrpc_driver::proto::{Instant, Path, Transmit};
use rxrpc_driver::{Io, NetworkReport, RecvBatch};

#[derive(Default)]
struct Socket {
    gone: bool,
    inbox: VecDeque<(Path, Vec<u8>, usize)>,
    reports: VecDeque<NetworkReport>,
    readable: Option<Waker>,
    writable: Option<Waker>,
    reported: Option<Waker>,
    timer: Option<(Instant, Waker)>,
    blocked: bool,
    segments: usize,
    refuse_batches: Option<i32>,
    send_errors: VecDeque<io::Error>,
    receive_errors: VecDeque<io::Error>,
    lose: usize,
    /// Datagrams in each send that succeeded.
    sends: Vec<usize>,
}

#[derive(Default)]
struct World {
    now: Instant,
    sockets: BTreeMap<SocketAddr, Socket>,
}

/// The network and its clock.
#[derive(Clone, Default)]
pub(crate) struct Net(Arc<Mutex<World>>);

impl Net {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(crate) fn now(&self) -> Instant {
        self.lock().now
    }

    pub(crate) fn socket(&self, host: u8) -> (FakeIo, Knobs) {
        let addr = SocketAddr::from(([10, 0, 0, host], 7_000));
        let socket = Socket { segments: 64, ..Socket::default() };
        self.lock().sockets.insert(addr, socket);
        (FakeIo { net: self.clone(), addr }, Knobs { net: self.clone(), addr })
    }

    /// Moves the clock to the next timer and wakes who set it. Not past `end`; says whether it moved.
    pub(crate) fn jump(&self, end: Option<Instant>) -> bool {
        let mut world = self.lock();
        let next = world.sockets.values().filter_map(|s| s.timer.as_ref().map(|t| t.0)).min();
        let target = match (next, end) {
            (Some(next), Some(end)) => next.min(end),
            (next, end) => match next.or(end) {
                Some(target) => target,
                None => return false,
            },
        };
        if end.is_some_and(|end| world.now >= end) {
            return false;
        }
        let now = world.now.max(target);
        world.now = now;
        let mut wake = Vec::new();
        for socket in world.sockets.values_mut() {
            if socket.timer.as_ref().is_some_and(|t| t.0 <= now) {
                wake.extend(socket.timer.take().map(|t| t.1));
            }
        }
        drop(world);
        wake.into_iter().for_each(Waker::wake);
        true
    }
}

/// What can be made to happen at a socket.
#[derive(Clone)]
pub(crate) struct Knobs {
    net: Net,
    pub(crate) addr: SocketAddr,
}

impl Knobs {
    fn with<T>(&self, change: impl FnOnce(&mut Socket) -> T) -> T {
        change(self.net.lock().sockets.get_mut(&self.addr).unwrap())
    }

    /// The socket takes nothing to send, or does again.
    pub(crate) fn block(&self, blocked: bool) {
        let waker = self.with(|socket| {
            socket.blocked = blocked;
            if blocked { None } else { socket.writable.take() }
        });
        waker.into_iter().for_each(Waker::wake);
    }

    /// More than one datagram in a send fails with this error.
    pub(crate) fn refuse_batches(&self, errno: i32) {
        self.with(|socket| socket.refuse_batches = Some(errno));
    }

    /// How many datagrams a send may carry, from now on.
    pub(crate) fn segments(&self, segments: usize) {
        self.with(|socket| socket.segments = segments);
    }

    pub(crate) fn fail_send(&self, error: io::Error) {
        self.with(|socket| socket.send_errors.push_back(error));
    }

    pub(crate) fn fail_receive(&self, error: io::Error) {
        self.with(|socket| socket.receive_errors.push_back(error));
    }

    pub(crate) fn report(&self, report: NetworkReport) {
        let waker = self.with(|socket| {
            socket.reports.push_back(report);
            socket.reported.take()
        });
        waker.into_iter().for_each(Waker::wake);
    }

    /// The next sends are lost.
    pub(crate) fn lose(&self, sends: usize) {
        self.with(|socket| socket.lose = sends);
    }

    /// Wakes the driver for no reason.
    pub(crate) fn wake(&self) {
        let waker = self.with(|socket| socket.readable.clone());
        waker.into_iter().for_each(Waker::wake);
    }

    /// Datagrams in each send so far.
    pub(crate) fn sends(&self) -> Vec<usize> {
        self.with(|socket| socket.sends.clone())
    }
}

/// A socket.
pub(crate) struct FakeIo {
    net: Net,
    addr: SocketAddr,
}

impl FakeIo {
    fn with<T>(&self, change: impl FnOnce(&mut Socket) -> T) -> T {
        change(self.net.lock().sockets.get_mut(&self.addr).unwrap())
    }
}

impl Io for FakeIo {
    fn now(&self) -> Instant {
        self.net.now()
    }

    fn try_recv(&mut self, batch: &mut RecvBatch) -> io::Result<usize> {
        self.with(|socket| {
            if let Some(error) = socket.receive_errors.pop_front() {
                return Err(error);
            }
            let mut count = 0;
            while batch.wanted() > 0
                && let Some((path, bytes, stride)) = socket.inbox.pop_front()
            {
                assert!(batch.push(path, &bytes, stride));
                count += 1;
            }
            if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
        })
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|socket| {
            if socket.inbox.is_empty() && socket.receive_errors.is_empty() {
                socket.readable = Some(cx.waker().clone());
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            }
        })
    }

    fn try_send(&mut self, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(transmit.len, bytes.len());
        assert!(bytes.len() <= 64_900);
        let count = bytes.len().div_ceil(transmit.segment);
        let lost = self.with(|socket| {
            assert!(count <= 64);
            if socket.blocked {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if let Some(errno) = socket.refuse_batches.filter(|_| count > 1) {
                return Err(io::Error::from_raw_os_error(errno));
            }
            if let Some(error) = socket.send_errors.pop_front() {
                return Err(error);
            }
            assert!(count <= socket.segments);
            socket.sends.push(count);
            let lost = socket.lose > 0;
            socket.lose = socket.lose.saturating_sub(1);
            Ok(lost)
        })?;
        let mut world = self.net.lock();
        let Some(peer) = world.sockets.get_mut(&transmit.peer).filter(|peer| !lost && !peer.gone) else {
            return Ok(());
        };
        let path = Path { peer: self.addr, local_ip: Some(transmit.peer.ip()), ecn: transmit.ecn };
        peer.inbox.push_back((path, bytes.to_vec(), transmit.segment));
        let waker = peer.readable.take();
        drop(world);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|socket| {
            if !socket.blocked {
                return Poll::Ready(Ok(()));
            }
            socket.writable = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let now = self.now();
        self.with(|socket| {
            if deadline.is_some_and(|deadline| deadline <= now) {
                socket.timer = None;
                return Poll::Ready(());
            }
            socket.timer = deadline.map(|deadline| (deadline, cx.waker().clone()));
            Poll::Pending
        })
    }

    fn poll_network_error(&mut self, cx: &mut Context<'_>) -> Poll<NetworkReport> {
        self.with(|socket| match socket.reports.pop_front() {
            Some(report) => Poll::Ready(report),
            None => {
                socket.reported = Some(cx.waker().clone());
                Poll::Pending
            }
        })
    }

    fn max_segments(&self) -> usize {
        self.with(|socket| socket.segments)
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.addr)
    }
}

impl Drop for FakeIo {
    fn drop(&mut self) {
        // Nobody receives here any more.
        self.with(|socket| {
            socket.gone = true;
            socket.inbox.clear();
        });
    }
}

/// Longer than any single wait of the protocol.
pub(crate) const LONG: Duration = Duration::from_secs(600);
