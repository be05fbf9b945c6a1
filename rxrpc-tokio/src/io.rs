//! Waiting, the tokio way.

use std::fmt;
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
use tokio::time::{self, Sleep};

use crate::watch::Watch;

/// A UDP socket and a timer of tokio.
///
/// The socket is registered for reading alone. Registered for writing too, as sockets usually are, every
/// datagram that leaves its send buffer wakes the reactor for nothing; so that is done only while the
/// socket is full.
pub struct TokioIo {
    socket: UdpSocket,
    readable: Arc<Watch>,
    writable: Option<Watch>,
    errors: Errors,
    /// An error may have ended a receive early: what tokio knows of the socket may be wrong.
    recheck: bool,
    origin: time::Instant,
    sleep: Pin<Box<Sleep>>,
    deadline: Option<Instant>,
}

/// Knows when to look into the error queue. A future, since tokio has no poll method for that.
struct Errors {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    next: Pin<Box<dyn Future<Output = ()> + Send>>,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    look: bool,
}

impl Errors {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn new(watch: &Arc<Watch>) -> Self {
        let watch = Arc::clone(watch);
        Errors { next: Box::pin(async move { watch.failed().await }), look: true }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn new(_watch: &Arc<Watch>) -> Self {
        Errors {}
    }
}

impl TokioIo {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let readable = Arc::new(Watch::new(&socket, Interest::READABLE)?);
        let origin = time::Instant::now();
        Ok(TokioIo {
            errors: Errors::new(&readable),
            socket,
            readable,
            writable: None,
            recheck: false,
            origin,
            sleep: Box::pin(time::sleep_until(origin)),
            deadline: None,
        })
    }
}

impl Io for TokioIo {
    fn now(&self) -> Instant {
        let nanos = time::Instant::now().duration_since(self.origin).as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn try_recv(&mut self, batch: &mut RecvBatch) -> io::Result<usize> {
        if self.recheck {
            match self.socket.recv(batch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.recheck = false,
                result => return result,
            }
        }
        // Tokio knows whether anything came since the socket was last found empty, so that asking costs
        // no system call. Fewer messages than wanted also mean that the socket is empty now, and spare
        // the call that would tell.
        let (socket, wanted) = (&mut self.socket, batch.wanted());
        let mut received = 0;
        let result = self.readable.try_read(|| {
            received = socket.recv(batch)?;
            if received < wanted { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match result {
            Err(error) if received == 0 => Err(error),
            _ => Ok(received),
        }
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.readable.poll_readable(cx)
    }

    fn try_send(&mut self, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        self.socket.send(transmit, bytes)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let watch = match self.writable.take() {
            Some(watch) => watch,
            None => Watch::new(&self.socket, Interest::WRITABLE)?,
        };
        let result = watch.poll_writable(cx);
        if result.is_pending() {
            self.writable = Some(watch);
        }
        result
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(at) = deadline else { return Poll::Pending };
        if self.deadline != deadline {
            let after = at.saturating_duration_since(Instant::ORIGIN);
            // What is further away than tokio can count never comes.
            let Some(at) = self.origin.checked_add(after) else { return Poll::Pending };
            self.sleep.as_mut().reset(at);
            self.deadline = deadline;
        }
        ready!(self.sleep.as_mut().poll(cx));
        self.deadline = None;
        Poll::Ready(())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn poll_network_error(&mut self, cx: &mut Context<'_>) -> Poll<NetworkReport> {
        loop {
            if let Some(report) = self.socket.next_error(self.errors.look) {
                return Poll::Ready(report);
            }
            self.errors.look = false;
            ready!(self.errors.next.as_mut().poll(cx));
            self.errors = Errors::new(&self.readable);
            self.recheck = true;
        }
    }

    fn max_segments(&self) -> usize {
        self.socket.max_segments()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.socket.local_addr())
    }
}

impl fmt::Debug for TokioIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioIo").field("socket", &self.socket).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    fn io() -> TokioIo {
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        TokioIo::new(UdpSocket::bind(addr, &Default::default()).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn an_empty_socket_can_be_written_time_and_again() {
        let mut io = io();
        for _ in 0..3 {
            poll_fn(|cx| io.poll_writable(cx)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_socket_with_errors_in_its_queue_can_be_written_and_does_not_spin() {
        let (mut io, gone) = (io(), io().socket.local_addr());
        for _ in 0..3 {
            let transmit =
                Transmit { peer: gone, local_ip: None, ecn: 0, may_fragment: false, segment: 1, len: 1 };
            io.try_send(&transmit, b"x").unwrap();
            let report = poll_fn(|cx| io.poll_network_error(cx)).await;
            assert_eq!(report.peer, gone);
            poll_fn(|cx| io.poll_writable(cx)).await.unwrap();
            let mut cx = Context::from_waker(Waker::noop());
            assert!(io.poll_network_error(&mut cx).is_pending());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_fires_at_its_deadline_and_not_for_one_that_was_replaced() {
        let mut io = io();
        let at = |ms| Some(Instant::ORIGIN + Duration::from_millis(ms));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(io.poll_timer(&mut cx, at(10)).is_pending());
        assert!(io.poll_timer(&mut cx, None).is_pending());
        assert!(io.poll_timer(&mut cx, Some(Instant::FAR_FUTURE)).is_pending());
        poll_fn(|cx| io.poll_timer(cx, at(30))).await;
        assert_eq!(Some(io.now()), at(30));
        poll_fn(|cx| io.poll_timer(cx, at(20))).await;
        assert_eq!(Some(io.now()), at(30));
    }
}
