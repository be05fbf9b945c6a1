//! From an address to an endpoint.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rxrpc_driver::udp::{SocketOptions, UdpSocket, random_seed};
use rxrpc_driver::{Config, Driver, Endpoint};

use crate::io::TokioIo;

/// An endpoint at `addr` with everything by default. Port 0 is a random port.
///
/// # Errors
///
/// The system refuses the socket.
///
/// # Panics
///
/// Outside of a tokio runtime with I/O and time.
pub fn bind(addr: SocketAddr) -> io::Result<Endpoint> {
    Builder::new().bind(addr)
}

/// An endpoint at a random port of every address, IPv6 and IPv4: for a client that nobody has to find.
///
/// # Errors
///
/// The system refuses the socket.
///
/// # Panics
///
/// Outside of a tokio runtime with I/O and time.
pub fn bind_any() -> io::Result<Endpoint> {
    Builder::new().bind_any()
}

/// How to make an endpoint.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use rxrpc_tokio::Builder;
///
/// let endpoint = Builder::new()
///     .configure(|config| config.limits.calls = 1_000)
///     .socket(|socket| socket.reuse_port = true)
///     .bind("127.0.0.1:0".parse().unwrap())?;
/// # endpoint.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    config: Config,
    seeded: bool,
    socket: SocketOptions,
}

impl Builder {
    /// Everything by default.
    #[must_use]
    pub fn new() -> Self {
        Builder { config: Config::new([0; 32]), seeded: false, socket: SocketOptions::default() }
    }

    /// Changes the configuration of the protocol. The seed and the size of the receive buffer are filled
    /// in when binding; see [`seed`](Builder::seed).
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Uses this seed instead of one from the system. For tests: whoever knows the seed can forge.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.config.seed = seed;
        self.seeded = true;
        self
    }

    /// Changes the options of the socket.
    #[must_use]
    pub fn socket(mut self, change: impl FnOnce(&mut SocketOptions)) -> Self {
        change(&mut self.socket);
        self
    }

    /// Makes the socket, spawns the driver and returns the endpoint. Port 0 is a random port.
    ///
    /// # Errors
    ///
    /// The system refuses the socket.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub fn bind(self, addr: SocketAddr) -> io::Result<Endpoint> {
        let socket = UdpSocket::bind(addr, &self.socket)?;
        let (driver, endpoint) = self.driver(socket)?;
        tokio::spawn(driver);
        Ok(endpoint)
    }

    /// Binds a random port of every address, IPv6 and IPv4, or IPv4 alone where there is no IPv6.
    ///
    /// # Errors
    ///
    /// The system refuses the socket.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub fn bind_any(mut self) -> io::Result<Endpoint> {
        self.socket.dual_stack = true;
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        match self.clone().bind(both) {
            Err(_) => self.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            endpoint => endpoint,
        }
    }

    /// Takes over a bound socket: the driver, for the caller to spawn or to poll, and the endpoint.
    ///
    /// # Errors
    ///
    /// The system refuses to wait for the socket, or has no randomness.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub fn driver(mut self, socket: UdpSocket) -> io::Result<(Driver<TokioIo>, Endpoint)> {
        if !self.seeded {
            self.config.seed = random_seed()?;
        }
        self.config.socket_receive_buffer = socket.receive_buffer();
        Ok(Driver::new(self.config, TokioIo::new(socket)?))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Builder::new()
    }
}
