//! What a runtime gives the driver: a socket, a clock and a timer.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use rxrpc_proto::{Instant, NetworkError, Transmit};

use crate::RecvBatch;

/// One UDP socket, a clock and a timer, as a runtime offers them.
///
/// The driver is the only user of an `Io`, and owns it. There is no `Send` bound: a
/// [`Driver`](crate::Driver) is `Send` exactly when its `Io` is.
///
/// # Contract
///
/// 1. The driver tries first: [`try_recv`](Io::try_recv) and [`try_send`](Io::try_send) never wait.
/// 2. Only after `WouldBlock` does it call [`poll_readable`](Io::poll_readable) or
///    [`poll_writable`](Io::poll_writable). `Pending` means that the waker will be woken when trying
///    again may succeed. After `Ready` the driver tries again. `Ready` may be wrong, but not for ever.
/// 3. Any number of `Pending` polls before a wake is harmless. Only the waker of the newest poll counts.
/// 4. A wake without a reason is harmless.
/// 5. No method blocks, and none calls back into the driver or its handles.
pub trait Io {
    /// The time now. Never goes backwards.
    fn now(&self) -> Instant;

    /// Receives what has arrived into `batch`, which comes empty. Says how many messages that was.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing has arrived. Any other error is counted and the driver goes on: no
    /// receive error stops an endpoint.
    fn try_recv(&mut self, batch: &mut RecvBatch) -> io::Result<usize>;

    /// Waits until receiving may succeed.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Sends `bytes`: datagrams of `transmit.segment` bytes each, of which the last may be shorter. All
    /// of them or none. Never more than one when [`max_segments`](Io::max_segments) is 1.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the socket takes nothing now: the driver keeps the bytes and tries again. `EIO`
    /// or `EINVAL` for more than one datagram means that the system cannot segment: the driver sends
    /// them one by one, now and from then on. Any other error is charged to the peer.
    fn try_send(&mut self, transmit: &Transmit, bytes: &[u8]) -> io::Result<()>;

    /// Waits until sending may succeed.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Waits until `deadline`. A new deadline replaces the one before; `None` means none.
    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()>;

    /// The next error that the network reported for something sent earlier. `Pending`: none now, and the
    /// waker is woken when there is one.
    fn poll_network_error(&mut self, cx: &mut Context<'_>) -> Poll<NetworkReport> {
        let _ = cx;
        Poll::Pending
    }

    /// How many datagrams one [`try_send`](Io::try_send) may carry.
    fn max_segments(&self) -> usize {
        1
    }

    /// The address of the socket, if there is such a thing.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

/// An error that the network reported for a datagram sent earlier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkReport {
    /// Where that datagram was sent to.
    pub peer: SocketAddr,
    /// What happened to it.
    pub error: NetworkError,
}

/// "Message too long" of the socket interface, which [`io::ErrorKind`] has no name for.
const EMSGSIZE: i32 = if cfg!(windows) {
    10_040
} else if cfg!(any(target_os = "linux", target_os = "android")) {
    90
} else {
    40
};

/// "No buffer space": the queue of the network device is full.
const ENOBUFS: i32 = if cfg!(windows) {
    10_055
} else if cfg!(any(target_os = "linux", target_os = "android")) {
    105
} else {
    55
};

/// What an error of a send means for the peer; `None` when it means no more than a lost datagram.
pub(crate) fn send_error(error: &io::Error) -> Option<NetworkError> {
    match (error.kind(), error.raw_os_error()) {
        // A full device queue is congestion. The datagram is lost as any other may be, and the
        // recovery of the core answers; ending calls, or waiting for a writable socket, would not help.
        (io::ErrorKind::OutOfMemory, _) | (_, Some(ENOBUFS)) => None,
        // Never the fate of this datagram: an earlier one was refused, perhaps for another peer. The
        // error queue tells for whom.
        (io::ErrorKind::ConnectionRefused, _) => None,
        (io::ErrorKind::NetworkUnreachable, _) => Some(NetworkError::NetworkUnreachable),
        (io::ErrorKind::HostUnreachable, _) => Some(NetworkError::HostUnreachable),
        (io::ErrorKind::PermissionDenied, _) => Some(NetworkError::Prohibited),
        (_, Some(EMSGSIZE)) => Some(NetworkError::MessageTooLong { mtu: 0 }),
        (_, code) => Some(NetworkError::Other(code.unwrap_or(0))),
    }
}

/// Whether an error of a send of several datagrams says that the system cannot segment them.
pub(crate) fn segmentation_refused(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    const EINVAL: i32 = 22;
    matches!(error.raw_os_error(), Some(EIO | EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_device_queue_is_a_lost_datagram_and_no_error_of_the_peer() {
        assert_eq!(send_error(&io::Error::from_raw_os_error(ENOBUFS)), None);
        assert_eq!(send_error(&io::ErrorKind::OutOfMemory.into()), None);
    }

    #[test]
    fn a_refused_port_is_left_to_the_error_queue() {
        assert_eq!(send_error(&io::ErrorKind::ConnectionRefused.into()), None);
    }

    #[test]
    fn unreachable_prohibited_and_too_long_have_names() {
        use NetworkError::*;
        let cases = [
            (io::Error::from(io::ErrorKind::NetworkUnreachable), NetworkUnreachable),
            (io::ErrorKind::HostUnreachable.into(), HostUnreachable),
            (io::ErrorKind::PermissionDenied.into(), Prohibited),
            (io::Error::from_raw_os_error(EMSGSIZE), MessageTooLong { mtu: 0 }),
            (io::Error::from_raw_os_error(77), Other(77)),
        ];
        for (error, meaning) in cases {
            assert_eq!(send_error(&error), Some(meaning));
        }
    }
}
