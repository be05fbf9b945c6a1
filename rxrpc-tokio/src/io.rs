//! Waiting, the tokio way.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rxrpc_driver::proto::{Instant, Transmit};
use rxrpc_driver::udp::UdpSocket;
use rxrpc_driver::{Io, NetworkReport, RecvBatch};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{self, Sleep};

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A UDP socket and a timer of tokio.
///
/// The socket is registered for reading alone. Registered for writing too, as sockets usually are, every
/// datagram that leaves its send buffer wakes the reactor for nothing; so that is done only while the
/// socket is full.
pub struct TokioIo {
    socket: UdpSocket,
    readable: Arc<AsyncFd<std::net::UdpSocket>>,
    writable: Option<AsyncFd<std::net::UdpSocket>>,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    failed: Wait,
    /// The error queue may hold something.
    look: bool,
    origin: time::Instant,
    sleep: Pin<Box<Sleep>>,
    deadline: Option<Instant>,
}

impl TokioIo {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let readable = Arc::new(register(&socket, Interest::READABLE)?);
        let origin = time::Instant::now();
        Ok(TokioIo {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            failed: failure(Arc::clone(&readable)),
            look: true,
            socket,
            readable,
            writable: None,
            origin,
            sleep: Box::pin(time::sleep_until(origin)),
            deadline: None,
        })
    }
}

/// A second descriptor of the socket, which tokio watches.
fn register(socket: &UdpSocket, interest: Interest) -> io::Result<AsyncFd<std::net::UdpSocket>> {
    let fd = socket.as_std().try_clone()?;
    // SAFETY: the standard library's socket owns its descriptor, always returns the same one, and keeps
    // it open until it is dropped, which the `AsyncFd` does with it.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}

/// Waits for something in the error queue. A future, since tokio has no poll method for it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn failure(fd: Arc<AsyncFd<std::net::UdpSocket>>) -> Wait {
    Box::pin(async move {
        if let Ok(mut guard) = fd.ready(Interest::ERROR).await {
            guard.clear_ready();
        } else {
            // The runtime is going away, and with it everyone who could be woken.
            std::future::pending().await
        }
    })
}

impl Io for TokioIo {
    fn now(&self) -> Instant {
        let nanos = time::Instant::now().duration_since(self.origin).as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn try_recv(&mut self, batch: &mut RecvBatch) -> io::Result<usize> {
        // Tokio knows whether anything came since the socket was last found empty, so that asking costs
        // no system call. Fewer messages than wanted also mean that the socket is empty now, and spare
        // the call that would tell.
        let (socket, wanted) = (&mut self.socket, batch.wanted());
        let mut received = 0;
        let result = self.readable.try_io(Interest::READABLE, |_| {
            received = socket.recv(batch)?;
            if received < wanted { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match result {
            Err(error) if received == 0 => Err(error),
            _ => Ok(received),
        }
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Not clearing the guard leaves the readiness to the next `try_recv`.
        self.readable.poll_read_ready(cx).map_ok(drop)
    }

    fn try_send(&mut self, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        self.socket.send(transmit, bytes)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writable.is_none() {
            self.writable = Some(register(&self.socket, Interest::WRITABLE)?);
        }
        if let Some(fd) = &self.writable {
            ready!(fd.poll_write_ready(cx))?.retain_ready();
        }
        self.writable = None;
        Poll::Ready(Ok(()))
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(at) = deadline else { return Poll::Pending };
        if self.deadline != deadline {
            self.deadline = deadline;
            let after = at.saturating_duration_since(Instant::ORIGIN);
            // Further away than tokio can count is never.
            if let Some(at) = self.origin.checked_add(after) {
                self.sleep.as_mut().reset(at);
            }
        }
        ready!(self.sleep.as_mut().poll(cx));
        self.deadline = None;
        Poll::Ready(())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn poll_network_error(&mut self, cx: &mut Context<'_>) -> Poll<NetworkReport> {
        loop {
            if let Some(report) = self.socket.next_error(self.look) {
                return Poll::Ready(report);
            }
            self.look = false;
            ready!(self.failed.as_mut().poll(cx));
            self.failed = failure(Arc::clone(&self.readable));
            self.look = true;
        }
    }

    fn max_segments(&self) -> usize {
        self.socket.max_segments()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.socket.local_addr())
    }
}

impl std::fmt::Debug for TokioIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokioIo").field("socket", &self.socket).finish_non_exhaustive()
    }
}
