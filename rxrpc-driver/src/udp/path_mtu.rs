//! Whether datagrams may be fragmented.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};

/// Switches the don't-fragment flag of a socket.
///
/// It is an option of the socket, not of a message, so it is switched when it changes. "Probe" and not
/// "do": the core looks for the path MTU itself, and the system's idea of it must not stop a probe.
#[derive(Debug)]
pub(super) struct Fragmentation {
    v6: bool,
    allowed: bool,
}

impl Fragmentation {
    /// Begins with fragmentation forbidden.
    pub(super) fn new(socket: &impl AsFd, v6: bool) -> io::Result<Self> {
        let mut this = Fragmentation { v6, allowed: true };
        this.allow(socket, false)?;
        Ok(this)
    }

    pub(super) fn allow(&mut self, socket: &impl AsFd, allowed: bool) -> io::Result<()> {
        if self.allowed == allowed {
            return Ok(());
        }
        let v4 = if allowed { Ipv4PathMtuDiscovery::DONT } else { Ipv4PathMtuDiscovery::PROBE };
        let set = set_ip_mtu_discover(socket, v4);
        if self.v6 {
            // An IPv6 socket takes the IPv4 option for its mapped addresses, where there is IPv4.
            let v6 = if allowed { Ipv6PathMtuDiscovery::DONT } else { Ipv6PathMtuDiscovery::PROBE };
            set_ipv6_mtu_discover(socket, v6)?;
            setsockopt(socket, sockopt::Ipv6DontFrag, &!allowed)?;
        } else {
            set?;
        }
        self.allowed = allowed;
        Ok(())
    }
}
