//! What an endpoint may use and how long it waits. Every value has a default that suits the internet.

use alloc::borrow::Cow;
use core::time::Duration;

/// Configuration of an [`Endpoint`](crate::Endpoint). Fixed for the endpoint's life.
#[derive(Clone, Debug)]
pub struct Config {
    /// Seed of all randomness: epoch, connection ids, serials, hash keys. The same seed and the same
    /// inputs give the same outputs, byte for byte. Draw it from the operating system in production:
    /// whoever knows it can forge a proof of reachability.
    pub seed: [u8; 32],
    /// Sizes and counts.
    pub limits: Limits,
    /// Waiting times.
    pub timing: Timing,
    /// Hold back what a peer is sent until it has proved that it receives at its address: no more than
    /// three times the bytes it sent. Off only where every client is trusted.
    pub validate_peers: bool,
    /// Packets per jumbogram that our acknowledgements offer to peers that do not probe their path
    /// (word 3 of the ACK trailer). 0 says "none".
    pub jumbo_offer: u32,
    /// Bytes of receive buffer the socket was granted. The window starts at no more than half of it.
    pub socket_receive_buffer: usize,
    /// What a VERSION request is answered with; cut to 64 bytes on the wire.
    pub version_text: Cow<'static, str>,
    /// Which connection ids a client of this endpoint may choose.
    pub shard: Shard,
}

impl Config {
    /// The default configuration with this seed.
    ///
    /// ```
    /// let config = rxrpc_proto::Config::new([7; 32]);
    /// assert!(config.validate_peers);
    /// ```
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Config {
            seed,
            limits: Limits::default(),
            timing: Timing::default(),
            validate_peers: true,
            jumbo_offer: 4,
            socket_receive_buffer: 208 * 1024,
            version_text: Cow::Borrowed(concat!("rxrpc ", env!("CARGO_PKG_VERSION"))),
            shard: Shard::default(),
        }
    }
}

/// A slice of the connection ids: those equal to `index` modulo `count`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// Which slice, below `count`.
    pub index: u32,
    /// How many slices, at least 1.
    pub count: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Shard { index: 0, count: 1 }
    }
}

/// Sizes and counts an endpoint keeps to. Reaching one has a defined answer, given with each.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Live and unreleased calls of the endpoint. Beginning one more is refused; an incoming one gets BUSY.
    pub calls: usize,
    /// The same, for one peer.
    pub calls_per_peer: usize,
    /// Connections a bundle opens (four calls each). Further calls wait in order.
    pub connections_per_bundle: usize,
    /// Service connections. A packet that would open one more is dropped.
    pub service_connections: usize,
    /// Service connections of peers that have not proved their address. The oldest makes room.
    pub unvalidated_connections: usize,
    /// The same, for one peer address. The oldest unused one makes room; else the packet is dropped.
    pub unvalidated_per_peer: usize,
    /// Service connections that had to make room and whose call numbers are remembered for
    /// [`Timing::unvalidated_life`], so that a late packet does not begin a call of theirs again. Each takes up to 400
    /// bytes. One more, and the oldest is forgotten.
    pub evicted_connections: usize,
    /// Received bytes that the application has not read, one call. The window closes. A few packets are always
    /// taken.
    pub receive_per_call: usize,
    /// The same, all calls of a peer. Those that are receiving more than a packet share what room is left.
    pub receive_per_peer: usize,
    /// The same, the whole endpoint, whose calls share it alike.
    pub receive_total: usize,
    /// Written bytes that the peer has not acknowledged, one call. Writing says Blocked.
    pub send_per_call: usize,
    /// The same, the whole endpoint. Calls that wait for a channel share half of it.
    pub send_total: usize,
    /// Packets of receive window offered, 1 to 255.
    pub window: u32,
    /// Answers a second to packets of unknown connections (BUSY, ABORT, VERSION). Beyond it: silence.
    pub stranger_answers_per_second: u32,
    /// Replays a second of the last packet of finished calls, one connection. Beyond it: silence.
    pub replays_per_second: u32,
    /// VERSION questions of ours that wait for an answer. One more is refused.
    pub version_queries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Limits {
            calls: 100_000,
            calls_per_peer: 10_000,
            connections_per_bundle: 32,
            service_connections: 1_000_000,
            unvalidated_connections: 1_024,
            unvalidated_per_peer: 16,
            evicted_connections: 65_536,
            receive_per_call: 8 * MIB,
            receive_per_peer: 64 * MIB,
            receive_total: 256 * MIB,
            send_per_call: 8 * MIB,
            send_total: 256 * MIB,
            window: 255,
            stranger_answers_per_second: 200,
            replays_per_second: 10,
            version_queries: 1_024,
        }
    }
}

/// Waiting times.
#[derive(Clone, Debug)]
pub struct Timing {
    /// A call ends when nothing at all was heard for it this long.
    pub silence: Duration,
    /// A call under way sends a PING when it has sent nothing else this long.
    pub keepalive: Duration,
    /// A server ends a call whose client pauses this long within its request.
    pub request_gap: Duration,
    /// Longest life of a call, `None` for no end. A call's own option overrides it.
    pub lifetime: Option<Duration>,
    /// Longest an in-order packet waits for its acknowledgement.
    pub delayed_ack: Duration,
    /// How long a client waits for a next call to acknowledge the last reply, before it sends an ACK.
    pub final_ack: Duration,
    /// An unused client connection is kept this long.
    pub idle_client: Duration,
    /// The same while more than [`Timing::fast_reap_above`] client connections exist.
    pub idle_client_fast: Duration,
    /// See [`Timing::idle_client_fast`].
    pub fast_reap_above: usize,
    /// An unused service connection is kept this long after its last call, or the last question about a next one.
    pub idle_service: Duration,
    /// The same for a peer that never proves its address: late packets of its last call must not begin it anew.
    pub unvalidated_life: Duration,
    /// How long a proof of address lasts.
    pub validated_for: Duration,
    /// Retransmission time-out before any round trip was measured.
    pub rto_initial: Duration,
    /// Lowest retransmission time-out.
    pub rto_min: Duration,
    /// Highest retransmission time-out, back-off included.
    pub rto_max: Duration,
    /// A peer we have connections to gets an empty VERSION packet when nothing else was sent to it this
    /// long, to hold open what translates addresses between us. `None`: never.
    pub nat_keepalive: Option<Duration>,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            silence: Duration::from_secs(20),
            keepalive: Duration::from_millis(3_333),
            request_gap: Duration::from_secs(60),
            lifetime: None,
            delayed_ack: Duration::from_millis(10),
            final_ack: Duration::from_millis(2),
            idle_client: Duration::from_secs(120),
            idle_client_fast: Duration::from_secs(2),
            fast_reap_above: 900,
            idle_service: Duration::from_secs(600),
            unvalidated_life: Duration::from_secs(20),
            validated_for: Duration::from_secs(60),
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(30),
            rto_max: Duration::from_secs(60),
            nat_keepalive: Some(Duration::from_secs(20)),
        }
    }
}

/// Options of one outgoing call.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// Returned with every event of the call.
    pub tag: u64,
    /// Give the call a connection of its own, which no other call uses.
    pub exclusive: bool,
    /// Exact length of the request in bytes. More is refused when written, less when finished.
    pub total_length: Option<u64>,
    /// Longest life of the call, from its begin. `None`: [`Timing::lifetime`].
    pub lifetime: Option<Duration>,
    /// Longest silence of the peer. `None`: [`Timing::silence`].
    pub silence: Option<Duration>,
    /// What a BUSY answer does.
    pub busy: BusyPolicy,
}

/// What a BUSY answer of the server does to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BusyPolicy {
    /// The call ends with [`CallError::Busy`](crate::CallError::Busy).
    #[default]
    Fail,
    /// The request is sent again, at the pace of the retransmission time-out, until a deadline ends the call. BUSY is
    /// no sign of life: a call that hears nothing else ends with it when its silence is over.
    Retry,
}

/// Options of an accepted call.
#[derive(Clone, Debug, Default)]
pub struct AcceptOptions {
    /// Returned with every event of the call.
    pub tag: u64,
    /// Longest life of the call, from its first packet. `None`: [`Timing::lifetime`].
    pub lifetime: Option<Duration>,
}

/// How a service takes calls.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Calls that wait to be accepted. One more gets BUSY.
    pub backlog: usize,
    /// The newer version of the service, offered as well, that a client is moved to if it asks for an upgrade
    /// with the first packet of a connection.
    pub upgrade_to: Option<u16>,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        ServiceOptions { backlog: 128, upgrade_to: None }
    }
}
