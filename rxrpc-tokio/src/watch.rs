//! A socket that tokio watches, wherever it runs.

use std::io;
use std::task::{Context, Poll};

use rxrpc_driver::udp::UdpSocket;
use tokio::io::Interest;

#[cfg(not(unix))]
type Inner = tokio::net::UdpSocket;
#[cfg(unix)]
type Inner = tokio::io::unix::AsyncFd<std::net::UdpSocket>;

/// A second descriptor of a socket, registered for one kind of event.
pub(crate) struct Watch(Inner);

impl Watch {
    pub(crate) fn new(socket: &UdpSocket, interest: Interest) -> io::Result<Self> {
        let socket = socket.as_std().try_clone()?;
        #[cfg(unix)]
        // SAFETY: the standard library's socket owns its descriptor, always returns the same one, and
        // keeps it open until it is dropped, which the `AsyncFd` does with it.
        let inner = unsafe { Inner::register_with_interest(socket, interest) }?;
        #[cfg(not(unix))]
        let (inner, _) = (Inner::from_std(socket)?, interest);
        Ok(Watch(inner))
    }

    /// Waits until reading may succeed. The readiness stays until [`try_read`](Watch::try_read) fails.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(unix)]
        return self.0.poll_read_ready(cx).map_ok(drop);
        #[cfg(not(unix))]
        return self.0.poll_recv_ready(cx);
    }

    /// Waits until writing may succeed.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(unix)]
        return self.0.poll_write_ready(cx).map_ok(drop);
        #[cfg(not(unix))]
        return self.0.poll_send_ready(cx);
    }

    /// Reads if there may be something, and takes back the readiness if there is not.
    pub(crate) fn try_read(&self, read: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        #[cfg(unix)]
        return self.0.try_io(Interest::READABLE, |_| read());
        #[cfg(not(unix))]
        return self.0.try_io(Interest::READABLE, read);
    }

    /// Waits for something in the error queue.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) async fn failed(&self) {
        match self.0.ready(Interest::ERROR).await {
            Ok(mut guard) => guard.clear_ready(),
            // The runtime is going away, and with it everyone who could be woken.
            Err(_) => std::future::pending().await,
        }
    }
}
