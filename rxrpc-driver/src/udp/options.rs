//! How a socket is made.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// What to ask for when a socket is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SocketOptions {
    /// Bytes of receive buffer to ask for. The system may grant less.
    pub receive_buffer: usize,
    /// The same for sending.
    pub send_buffer: usize,
    /// Let several sockets share one port (`SO_REUSEPORT`). Unix only.
    pub reuse_port: bool,
    /// Let an IPv6 socket carry IPv4 too. Peers appear with their IPv4 addresses all the same.
    pub dual_stack: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        SocketOptions { receive_buffer: 4 * MIB, send_buffer: 4 * MIB, reuse_port: false, dual_stack: false }
    }
}

impl SocketOptions {
    /// Makes a socket and binds it.
    pub(super) fn bind(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(!self.dual_stack)?;
        }
        #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
        if self.reuse_port {
            socket.set_reuse_port(true)?;
        }
        self.set_buffers(&socket);
        socket.bind(&addr.into())?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    }

    /// Asks for buffers. A socket with smaller ones works as well, so that a refusal is no error; what
    /// was granted shows in [`UdpSocket::receive_buffer`](super::UdpSocket::receive_buffer).
    fn set_buffers(&self, socket: &Socket) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            // Past the system's maximum, for those who may.
            use nix::sys::socket::{setsockopt, sockopt};
            let _ = setsockopt(socket, sockopt::RcvBufForce, &self.receive_buffer);
            let _ = setsockopt(socket, sockopt::SndBufForce, &self.send_buffer);
        }
        if socket.recv_buffer_size().is_ok_and(|granted| granted < self.receive_buffer) {
            let _ = socket.set_recv_buffer_size(self.receive_buffer);
        }
        if socket.send_buffer_size().is_ok_and(|granted| granted < self.send_buffer) {
            let _ = socket.set_send_buffer_size(self.send_buffer);
        }
    }
}
