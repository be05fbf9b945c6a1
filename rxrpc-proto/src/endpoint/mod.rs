//! The door of the protocol: one endpoint a UDP socket owns peers, connections, calls, services and timers.

mod batch;
mod begin;
mod complete;
mod datagram;
mod deliver;
mod demux;
mod emit;
mod events;
mod evicted;
mod incoming;
mod info;
mod migrate;
mod outbox;
mod peers;
mod route;
mod service;
mod settle;
mod table;
mod timeout;
mod timers;
mod version;
mod view;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use slab::Slab;

pub use begin::Target;
pub use datagram::{Path, Segments, Transmit, TransmitBuf};
pub use service::Rejection;
pub use version::VersionAnswer;
pub use view::{CallMut, ReadMore};

use crate::call::Calls;
use crate::config::Config;
use crate::connection::{Bundle, BundleKey, Connection};
use crate::event::{CallId, Event, Wake};
use crate::fault::Fault;
use crate::peer::Peer;
use crate::recovery::RtoBounds;
use crate::stats::EndpointStats;
use crate::time::Instant;
use crate::wire::EPOCH_RANDOM;
use events::Queued;
use evicted::Evicted;
use outbox::Outbox;
use peers::{PeerIndex, ServiceKey};
use service::{Service, Unvalidated};
use table::{KeyedState, Table};
use timers::{TimerKey, Timers};
use version::Versions;

/// The protocol of one UDP socket: a state machine without a clock and without I/O.
///
/// # The contract
///
/// The owner runs this loop, in any order that keeps its rules:
///
/// 1. Datagrams that came in go to [`handle_datagrams`](Self::handle_datagrams), errors that the network
///    reported to [`handle_network_error`](Self::handle_network_error).
/// 2. The application's wishes go in through [`begin_call`](Self::begin_call), [`accept`](Self::accept) and
///    the view [`call`](Self::call). They take no time and only record what is wanted.
/// 3. When the instant of [`poll_timeout`](Self::poll_timeout) has come, call
///    [`handle_timeout`](Self::handle_timeout).
/// 4. After any of these, call [`poll_transmit`](Self::poll_transmit) and send what it gives, until it gives
///    nothing. Only this does what was wished. When the socket takes no more, keep the batch and go on later;
///    polling on would need more memory than the one batch.
/// 5. Then call [`poll_event`](Self::poll_event) until it gives nothing.
/// 6. Sleep until a datagram, a wish, or the instant of `poll_timeout`.
///
/// `now` never goes backwards from one call to the next. Each `handle_*` does work in proportion to its input
/// and each `poll_transmit` looks at no more than a batch's worth of packets. Nothing in a datagram makes any of
/// them panic. The same seed and the same calls give the same answers, byte for byte.
///
/// # Example
///
/// Two endpoints, driven by hand:
///
/// ```
/// use rxrpc_proto::*;
/// use core::net::SocketAddr;
///
/// let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
/// let (client_addr, server_addr) = (addr(1000), addr(7000));
/// let mut client = Endpoint::new(Config::new([1; 32]));
/// let mut server = Endpoint::new(Config::new([2; 32]));
/// server.listen(52, ServiceOptions::default()).unwrap();
///
/// let call = client.begin_call(&Target::new(server_addr, 52), CallOptions::default()).unwrap();
/// client.call(call).unwrap().write(b"ping").unwrap();
/// client.call(call).unwrap().finish().unwrap();
///
/// let mut now = Instant::ORIGIN;
/// let mut buf = TransmitBuf::new(64);
/// let mut reply = Vec::new();
/// for _ in 0..10 {
///     now += core::time::Duration::from_millis(1);
///     while let Some(t) = client.poll_transmit(now, &mut buf) {
///         let batch = Segments { bytes: buf.as_slice(), stride: t.segment };
///         server.handle_datagrams(now, &Path::from_peer(client_addr), batch);
///     }
///     while let Some(event) = server.poll_event() {
///         if let Event::Incoming { call, .. } = event {
///             server.accept(call, AcceptOptions::default()).unwrap();
///         }
///         if let Event::Incoming { call, .. } | Event::Call { call, .. } = event
///             && let Some(mut view) = server.call(call)
///             && let Ok(Some(request)) = view.read_chunk(100)
///         {
///             assert_eq!(&request[..], b"ping");
///             view.write(b"pong").unwrap();
///             view.finish().unwrap();
///         }
///     }
///     while let Some(t) = server.poll_transmit(now, &mut buf) {
///         let batch = Segments { bytes: buf.as_slice(), stride: t.segment };
///         client.handle_datagrams(now, &Path::from_peer(server_addr), batch);
///     }
///     while let Some(event) = client.poll_event() {
///         let Event::Call { call, .. } = event else { continue };
///         while let Ok(Some(bytes)) = client.call(call).unwrap().read_chunk(100) {
///             reply.extend_from_slice(&bytes);
///         }
///     }
/// }
/// assert_eq!(reply, b"pong");
/// assert_eq!(client.call(call).unwrap().outcome(), Some(Ok(())));
/// ```
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    bounds: RtoBounds,
    rng: ChaCha20Rng,
    epoch: u32,
    /// The latest time given.
    now: Instant,

    peers: Slab<Peer>,
    peer_index: PeerIndex,

    connections: Slab<Connection>,
    client_index: Table<u32, u32>,
    service_index: Table<ServiceKey, u32>,
    client_connections: usize,
    unvalidated: Unvalidated,
    evicted: Evicted,
    /// Where the search for a free connection id goes on.
    next_connection_id: u32,

    bundles: Slab<Bundle>,
    bundle_index: Table<BundleKey, u32>,
    dirty_bundles: VecDeque<u32>,

    calls: Calls,
    next_generation: u64,
    dirty_calls: VecDeque<u32>,

    services: BTreeMap<u16, Service>,
    versions: Versions,

    timers: Timers,
    /// Owners whose deadline has come; kept for its memory.
    due: Vec<TimerKey>,
    events: VecDeque<Queued>,
    /// Peers with something to send.
    ring: VecDeque<u32>,
    outbox: Outbox,

    /// Bytes received and not read.
    unread: usize,
    /// Bytes written and not acknowledged.
    unacknowledged: usize,
    /// Of them, those of calls that wait for a channel.
    queued: usize,
    /// Calls that wait for room in the endpoint's send budget.
    write_waiters: VecDeque<CallId>,
    /// Calls that are receiving more than a packet.
    streaming: usize,
    closed: bool,
    stats: EndpointStats,
}

impl Endpoint {
    /// A new endpoint. Its epoch, ids and serials follow from the seed.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut rng = ChaCha20Rng::from_seed(config.seed);
        let epoch = rng.next_u32() | EPOCH_RANDOM;
        let next_connection_id = rng.next_u32();
        let mut state = || KeyedState::new(&mut rng);
        let (a, b, c, d) = (state(), state(), state(), state());
        let timing = &config.timing;
        let bounds = RtoBounds { initial: timing.rto_initial, min: timing.rto_min, max: timing.rto_max };
        let evicted = Evicted::new(c.clone(), config.limits.evicted_connections, timing.unvalidated_life);
        let outbox = Outbox::new(config.limits.stranger_answers_per_second);
        Endpoint {
            bounds,
            rng,
            // OpenAFS keeps bit 30 clear, and so do we.
            epoch: epoch & !(EPOCH_RANDOM >> 1),
            now: Instant::ORIGIN,
            peers: Slab::new(),
            peer_index: PeerIndex::new(a),
            connections: Slab::new(),
            client_index: Table::with_hasher(b),
            service_index: Table::with_hasher(c),
            client_connections: 0,
            unvalidated: Unvalidated::default(),
            evicted,
            next_connection_id,
            bundles: Slab::new(),
            bundle_index: Table::with_hasher(d),
            dirty_bundles: VecDeque::new(),
            calls: Calls::default(),
            next_generation: 0,
            dirty_calls: VecDeque::new(),
            services: BTreeMap::new(),
            versions: Versions::default(),
            timers: Timers::default(),
            due: Vec::new(),
            events: VecDeque::new(),
            ring: VecDeque::new(),
            outbox,
            unread: 0,
            unacknowledged: 0,
            queued: 0,
            write_waiters: VecDeque::new(),
            streaming: 0,
            closed: false,
            stats: EndpointStats::default(),
            config,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted, and why. Changes with every other call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Wake)> {
        self.timers.next()
    }

    /// The next thing to tell the application.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.next_event()
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something to do: packets to give, or wishes to see to,
    /// which may change [`poll_timeout`](Self::poll_timeout).
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        !(self.dirty_calls.is_empty()
            && self.dirty_bundles.is_empty()
            && self.ring.is_empty()
            && self.outbox.is_empty()
            && self.versions.is_settled())
    }

    /// End every call with [`CallError::EndpointClosed`](crate::CallError::EndpointClosed), telling the
    /// peers, and refuse new ones. What is left to send comes from [`poll_transmit`](Self::poll_transmit).
    pub fn close(&mut self) {
        self.closed = true;
        self.close_calls();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Counters, and what exists at the moment.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        EndpointStats {
            calls: self.calls.len(),
            connections: self.connections.len(),
            client_connections: self.client_connections,
            unvalidated_connections: self.unvalidated.count(),
            evicted_connections: self.evicted.count(),
            version_queries: self.versions.open(),
            peers: self.peers.len(),
            unread: self.unread,
            unacknowledged: self.unacknowledged,
            ..self.stats.clone()
        }
    }

    fn fault(&mut self, fault: impl Into<Fault>) {
        self.stats.count_fault(fault.into());
    }

    /// Key of the call, if it has not been released.
    fn call_key(&self, id: CallId) -> Option<u32> {
        let call = self.calls.get(id.index)?;
        (call.generation == id.generation && !call.released).then_some(id.index)
    }

    fn call_id(&self, key: u32) -> CallId {
        let generation = self.calls.get(key).map_or(u64::MAX, |c| c.generation);
        CallId { index: key, generation }
    }

    /// Put the call on the list of those to look after before the next packet goes out.
    fn touch(&mut self, key: u32) {
        if let Some(call) = self.calls.get_mut(key)
            && !core::mem::replace(&mut call.dirty, true)
        {
            self.dirty_calls.push_back(key);
        }
    }

    fn touch_bundle(&mut self, key: u32) {
        if let Some(bundle) = self.bundles.get_mut(key as usize)
            && !core::mem::replace(&mut bundle.dirty, true)
        {
            self.dirty_bundles.push_back(key);
        }
    }

    fn set_timer(&mut self, key: TimerKey, deadline: Option<(Instant, Wake)>) {
        self.timers.set(key, deadline);
    }
}
