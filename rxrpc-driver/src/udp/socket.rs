//! One UDP socket, without waiting.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{self, IpAddr, SocketAddr, SocketAddrV6};
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use quinn_udp::{EcnCodepoint, RecvMeta, UdpSockRef, UdpSocketState};
use rxrpc_proto::{Path, Transmit};

use super::SocketOptions;
#[cfg(any(target_os = "linux", target_os = "android"))]
use super::{error_queue::ErrorQueue, path_mtu::Fragmentation};
use crate::batch::MESSAGES;
use crate::{NetworkReport, RecvBatch};

/// Error reports that wait to be asked for. More are dropped: they are hints, and time-outs remain.
const REPORTS: usize = 256;

/// How often a send or receive is tried again that failed with somebody else's error.
const RETRIES: usize = 3;

/// A UDP socket as an [`Io`](crate::Io) needs it, except for waiting.
#[derive(Debug)]
pub struct UdpSocket {
    socket: net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    receive_buffer: usize,
    reports: VecDeque<NetworkReport>,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    errors: ErrorQueue,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fragmentation: Fragmentation,
}

impl UdpSocket {
    /// Makes a socket and binds it. Port 0 is a random port.
    ///
    /// # Errors
    ///
    /// The system refuses: the address is not ours, the port is taken or privileged, or there is no such
    /// protocol.
    pub fn bind(addr: SocketAddr, options: &SocketOptions) -> io::Result<Self> {
        UdpSocket::from_std(options.bind(addr)?)
    }

    /// Takes over a bound socket.
    ///
    /// # Errors
    ///
    /// The system refuses to set it up.
    pub fn from_std(socket: net::UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let local = socket.local_addr()?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            // `UdpSocketState` asks for time stamps that we have no use for. They cost time, and they
            // fill its room for control messages, so that the last one, ECN, is lost for datagrams that
            // come coalesced.
            use nix::sys::socket::{setsockopt, sockopt};
            setsockopt(&socket, sockopt::ReceiveTimestampns, &false)?;
        }
        Ok(UdpSocket {
            // Counted as the system counts, with what it needs itself for each datagram.
            receive_buffer: socket2::SockRef::from(&socket).recv_buffer_size()?,
            reports: VecDeque::new(),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            errors: ErrorQueue::new(&socket, local.is_ipv6())?,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            fragmentation: Fragmentation::new(&socket, local.is_ipv6())?,
            state,
            local,
            socket,
        })
    }

    /// The address the socket is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Bytes of receive buffer the system granted: for
    /// [`Config::socket_receive_buffer`](crate::Config::socket_receive_buffer).
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// How many datagrams one [`send`](UdpSocket::send) may carry.
    #[must_use]
    pub fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// The socket, for an adapter to wait on.
    #[must_use]
    pub fn as_std(&self) -> &net::UdpSocket {
        &self.socket
    }

    /// Receives what has arrived into `batch`. Says how many messages that was.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing has arrived, or what the system says.
    pub fn recv(&mut self, batch: &mut RecvBatch) -> io::Result<usize> {
        let mut metas = [RecvMeta::default(); MESSAGES];
        let mut attempt = 0;
        let count = loop {
            let wanted = batch.wanted();
            let mut free = batch.free();
            let mut buffers: [IoSliceMut<'_>; MESSAGES] =
                std::array::from_fn(|_| IoSliceMut::new(free.next().unwrap_or_default()));
            let buffers = buffers.get_mut(..wanted).unwrap_or_default();
            match self.state.recv(UdpSockRef::from(&self.socket), buffers, &mut metas) {
                Ok(count) => break count,
                // The error of an earlier send. It is in the error queue too; once it is out of there the
                // socket receives again.
                Err(error) if attempt < RETRIES && self.collect_errors(&error) => attempt += 1,
                Err(error) => return Err(error),
            }
        };
        for meta in metas.iter().take(count) {
            let path = Path {
                peer: unmap(meta.addr),
                local_ip: meta.dst_ip.map(|ip| ip.to_canonical()),
                ecn: meta.ecn.map_or(0, |ecn| ecn as u8),
            };
            batch.commit(path, meta.len, meta.stride);
        }
        Ok(count)
    }

    /// Sends `bytes`: datagrams of `transmit.segment` bytes each, of which the last may be shorter.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the socket takes nothing now, or what the system says; nothing was sent then.
    pub fn send(&mut self, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        self.fragmentation.allow(&self.socket, transmit.may_fragment)?;
        let message = quinn_udp::Transmit {
            destination: if self.local.is_ipv6() { map(transmit.peer) } else { transmit.peer },
            ecn: EcnCodepoint::from_bits(transmit.ecn),
            contents: bytes,
            segment_size: Some(transmit.segment),
            src_ip: transmit.local_ip,
        };
        let mut attempt = 0;
        loop {
            match self.state.try_send(UdpSockRef::from(&self.socket), &message) {
                Ok(()) => return Ok(()),
                // The error of an earlier send to whomever, kept by the system for the next operation,
                // which is this one. Draining the error queue before every send would avoid it, at the
                // price of one more system call for each; sending again costs only where errors are.
                Err(error) if attempt < RETRIES && self.collect_errors(&error) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The next network error that came to light. Asks the system only when `look`: an adapter that knows
    /// when there is something to find saves the call.
    pub fn next_error(&mut self, look: bool) -> Option<NetworkReport> {
        self.reports.pop_front().or_else(|| if look { self.read_error() } else { None })
    }

    /// After a failed operation: moves what is in the error queue aside. Says whether there was anything,
    /// so that trying again makes sense.
    fn collect_errors(&mut self, error: &io::Error) -> bool {
        if error.kind() == io::ErrorKind::WouldBlock {
            return false;
        }
        let mut any = false;
        while let Some(report) = self.read_error() {
            any = true;
            if self.reports.len() < REPORTS {
                self.reports.push_back(report);
            }
        }
        any
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn read_error(&mut self) -> Option<NetworkReport> {
        let report = self.errors.read(&self.socket)?;
        Some(NetworkReport { peer: unmap(report.peer), ..report })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn read_error(&mut self) -> Option<NetworkReport> {
        None
    }
}

#[cfg(unix)]
impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(unix)]
impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// An address as users and the core know it: IPv4 peers of a dual-stack socket are IPv4.
fn unmap(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => addr,
        SocketAddr::V6(v6) => match v6.ip().to_canonical() {
            IpAddr::V4(v4) => SocketAddr::from((v4, v6.port())),
            // The flow label is no part of an address.
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, v6.port(), 0, v6.scope_id())),
        },
    }
}

/// An address as an IPv6 socket wants it.
fn map(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
        SocketAddr::V6(_) => addr,
    }
}

#[cfg(test)]
mod tests;
