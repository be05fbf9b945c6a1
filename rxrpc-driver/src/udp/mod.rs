//! UDP sockets for adapters: an adapter adds waiting and a timer, and has an [`Io`](crate::Io).
//!
//! On Linux datagrams are sent and received in batches (GSO, GRO), the source address of what is sent
//! and the destination of what is received are kept, network errors are read from the error queue with
//! the destination they are about, and the don't-fragment flag follows each send. Elsewhere datagrams go
//! one by one, and there is no error queue.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod error_queue;
mod options;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod path_mtu;
mod socket;

use std::io;

pub use options::SocketOptions;
pub use socket::UdpSocket;

/// A seed for [`Config`](crate::Config) from the operating system.
///
/// # Errors
///
/// The system has no randomness to give.
pub fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}
