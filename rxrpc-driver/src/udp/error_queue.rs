//! The error queue of a Linux UDP socket.
//!
//! With `IP_RECVERR` on, an ICMP error does two things. It goes into the error queue, with the
//! destination of the datagram it is about. And it is kept to be returned by the next send or receive,
//! whatever that is for, which then does not happen.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::libc::{self, sock_extended_err};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use rxrpc_proto::NetworkError;

use crate::NetworkReport;

/// Room for the control messages of one error: the error, who reported it, and what else the socket
/// gives with every message (packet information, traffic class).
const CONTROL: usize = 512;

/// Control messages begin at multiples of eight bytes.
#[repr(align(8))]
struct Aligned([u8; CONTROL]);

/// Reads the error queue of a socket.
pub(super) struct ErrorQueue {
    control: Aligned,
}

impl ErrorQueue {
    /// Turns the error queue of `socket` on.
    pub(super) fn new(socket: &impl AsFd, v6: bool) -> io::Result<Self> {
        if v6 {
            setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
            // Refused where there is no IPv4 to have errors.
            let _ = setsockopt(socket, sockopt::Ipv4RecvErr, &true);
        } else {
            setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
        }
        Ok(ErrorQueue { control: Aligned([0; CONTROL]) })
    }

    /// Takes the oldest error. `None`: there is none.
    pub(super) fn read(&mut self, socket: &impl AsRawFd) -> Option<NetworkReport> {
        loop {
            // The datagram that failed would be in here; who was called is enough.
            let mut payload = [0; 0];
            let mut slices = [IoSliceMut::new(&mut payload)];
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let message = match recvmsg::<SockaddrStorage>(
                socket.as_raw_fd(),
                &mut slices,
                Some(&mut self.control.0),
                flags,
            ) {
                Ok(message) => message,
                Err(Errno::EINTR) => continue,
                Err(_) => return None,
            };
            let destination = message.address.as_ref().and_then(socket_addr);
            let error = message.cmsgs().ok().and_then(|mut all| all.find_map(meaning));
            if let (Some(peer), Some(error)) = (destination, error) {
                return Some(NetworkReport { peer, error });
            }
            // Something that says nothing of a peer, a source quench for instance. On to the next.
        }
    }
}

impl fmt::Debug for ErrorQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorQueue").finish_non_exhaustive()
    }
}

fn socket_addr(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::from(*v4)));
    }
    address.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)))
}

/// What a control message says of a datagram.
fn meaning(message: ControlMessageOwned) -> Option<NetworkError> {
    match message {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            network_error(&error)
        }
        _ => None,
    }
}

/// The kernel turns ICMP types and codes into error numbers; only "prohibited", which it takes for an
/// unreachable host, has to be looked up.
fn network_error(error: &sock_extended_err) -> Option<NetworkError> {
    let number = i32::try_from(error.ee_errno).ok()?;
    match (error.ee_origin, error.ee_type, error.ee_code) {
        (libc::SO_EE_ORIGIN_ICMP, 3, 9 | 10 | 13) | (libc::SO_EE_ORIGIN_ICMP6, 1, 1 | 5 | 6) => {
            return Some(NetworkError::Prohibited);
        }
        (libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 | libc::SO_EE_ORIGIN_LOCAL, _, _) => {}
        // Timestamps and zero-copy completions, which nobody asked for.
        _ => return None,
    }
    match number {
        0 => None,
        libc::EMSGSIZE => Some(NetworkError::MessageTooLong { mtu: error.ee_info }),
        libc::ECONNREFUSED => Some(NetworkError::PortUnreachable),
        libc::EHOSTUNREACH | libc::EHOSTDOWN | libc::ENONET => Some(NetworkError::HostUnreachable),
        libc::ENETUNREACH => Some(NetworkError::NetworkUnreachable),
        libc::EACCES | libc::EPERM => Some(NetworkError::Prohibited),
        other => Some(NetworkError::Other(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(origin: u8, kind: u8, code: u8, number: i32, info: u32) -> sock_extended_err {
        sock_extended_err {
            ee_errno: number.cast_unsigned(),
            ee_origin: origin,
            ee_type: kind,
            ee_code: code,
            ee_pad: 0,
            ee_info: info,
            ee_data: 0,
        }
    }

    #[test]
    fn icmp_errors_keep_their_meaning() {
        use NetworkError::*;
        let (v4, v6) = (libc::SO_EE_ORIGIN_ICMP, libc::SO_EE_ORIGIN_ICMP6);
        let cases = [
            (error(v4, 3, 3, libc::ECONNREFUSED, 0), Some(PortUnreachable)),
            (error(v6, 1, 4, libc::ECONNREFUSED, 0), Some(PortUnreachable)),
            (error(v4, 3, 1, libc::EHOSTUNREACH, 0), Some(HostUnreachable)),
            (error(v4, 3, 13, libc::EHOSTUNREACH, 0), Some(Prohibited)),
            (error(v6, 1, 1, libc::EACCES, 0), Some(Prohibited)),
            (error(v4, 3, 4, libc::EMSGSIZE, 1_280), Some(MessageTooLong { mtu: 1_280 })),
            (error(v6, 2, 0, libc::EMSGSIZE, 1_400), Some(MessageTooLong { mtu: 1_400 })),
            (
                error(libc::SO_EE_ORIGIN_LOCAL, 0, 0, libc::EMSGSIZE, 1_500),
                Some(MessageTooLong { mtu: 1_500 }),
            ),
            (error(libc::SO_EE_ORIGIN_TIMESTAMPING, 0, 0, libc::ENOMSG, 0), None),
        ];
        for (error, meaning) in cases {
            assert_eq!(network_error(&error), meaning, "{error:?}");
        }
    }
}
