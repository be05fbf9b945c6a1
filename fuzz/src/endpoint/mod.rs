//! `endpoint`: whatever peers, network, clock and application do to one endpoint, it keeps its promises.

pub(crate) mod budget;
mod craft;
pub(crate) mod ops;
pub(crate) mod oracle;

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use rxrpc_proto::{Config, Endpoint, Fault, Instant, Limits, Segments, Shard, TransmitBuf};

use crate::input::Input;
use budget::Budgets;
use oracle::Known;

/// Operations read from one input.
const MAX_OPS: usize = 200;
/// Datagrams of the endpoint that are remembered, to be answered or turned against it.
const MEMORY: usize = 32;
/// Services that are offered and called. Those of the captures among them.
const SERVICES: [u16; 8] = [52, 53, 147, 148, 1, 73, 0, 4];

/// Where datagrams come from. The first two share a port; the last two cannot be answered.
fn addresses() -> [SocketAddr; 6] {
    [
        SocketAddr::from(([10, 0, 0, 1], 7001)),
        SocketAddr::from(([10, 0, 0, 2], 7001)),
        SocketAddr::from(([10, 0, 0, 3], 7003)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, 7001)),
        SocketAddr::from(([10, 0, 0, 5], 0)),
        SocketAddr::from(([224, 0, 0, 1], 7001)),
    ]
}

/// What an input reached.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Faults that the endpoint counted.
    pub faults: BTreeSet<Fault>,
    /// How calls ended, by the names of the outcomes.
    pub outcomes: BTreeSet<String>,
    /// Datagrams that the endpoint sent.
    pub sent: u64,
}

/// Runs one endpoint through the operations that the octets spell.
///
/// # Panics
/// When the endpoint breaks a promise.
pub fn endpoint(data: &[u8]) {
    endpoint_report(data);
}

/// As [`endpoint`], and tells what was reached.
///
/// # Panics
/// When the endpoint breaks a promise.
pub fn endpoint_report(data: &[u8]) -> Report {
    let mut input = Input::new(data);
    let mut world = World::new(&mut input);
    for _ in 0..MAX_OPS {
        if input.is_empty() {
            break;
        }
        world.op(&mut input);
    }
    world.wind_up();
    world.report
}

/// The endpoint and everything around it.
struct World {
    ep: Endpoint,
    limits: Limits,
    now: Instant,
    buf: TransmitBuf,
    addresses: [SocketAddr; 6],
    /// Datagrams the endpoint sent last, with their receivers.
    sent: Vec<(SocketAddr, Vec<u8>)>,
    /// Next serial of what the peers send.
    serial: u32,
    calls: Vec<Known>,
    versions: Vec<rxrpc_proto::VersionId>,
    budgets: Option<Budgets>,
    begun: usize,
    /// Largest payload of a single packet so far: the slack of the receive limits.
    largest: usize,
    /// Bytes allocated before the endpoint existed.
    baseline: usize,
    validates: bool,
    /// Nothing that the endpoint sends has a reason but the datagrams of this operation.
    quiet: bool,
    report: Report,
}

fn config(input: &mut Input<'_>) -> (Config, usize) {
    let (a, b) = (input.byte(), input.byte());
    let mut config = Config::new([a; 32]);
    config.validate_peers = a & 3 != 3;
    config.limits = Limits {
        calls: 8,
        calls_per_peer: 5,
        connections_per_bundle: 2,
        service_connections: 6,
        unvalidated_connections: 4,
        unvalidated_per_peer: 3,
        evicted_connections: 2,
        receive_per_call: 16 * 1024,
        receive_per_peer: 24 * 1024,
        receive_total: 40 * 1024,
        send_per_call: 12 * 1024,
        send_total: 24 * 1024,
        window: [255, 64, 8, 1][usize::from(a >> 2 & 3)],
        stranger_answers_per_second: if a & 16 == 0 { 200 } else { 5 },
        replays_per_second: if a & 32 == 0 { 10 } else { 1 },
        version_queries: 2,
    };
    config.jumbo_offer = if a & 64 == 0 { 4 } else { 0 };
    config.timing.lifetime = (a & 128 != 0).then_some(Duration::from_secs(100));
    config.timing.nat_keepalive = (b & 1 == 0).then_some(Duration::from_secs(20));
    config.socket_receive_buffer = if b & 2 == 0 { 208 * 1024 } else { 8 * 1024 };
    config.shard = if b & 4 == 0 { Shard::default() } else { Shard { index: 1, count: 3 } };
    config.timing.fast_reap_above = if b & 8 == 0 { 900 } else { 1 };
    (config, if b & 16 == 0 { 64 } else { 1 })
}

impl World {
    fn new(input: &mut Input<'_>) -> World {
        let (config, segments) = config(input);
        let buf = TransmitBuf::new(segments);
        let baseline = crate::allocated();
        let (limits, validates) = (config.limits.clone(), config.validate_peers);
        let lasts = config.timing.validated_for;
        World {
            ep: Endpoint::new(config),
            limits,
            now: Instant::from_nanos(1_000_000_000),
            buf,
            addresses: addresses(),
            sent: Vec::with_capacity(MEMORY),
            serial: 0,
            calls: Vec::new(),
            versions: Vec::new(),
            budgets: validates.then(|| Budgets::new(lasts)),
            begun: 0,
            largest: 1412,
            baseline,
            validates,
            quiet: false,
            report: Report::default(),
        }
    }

    /// Hand datagrams to the endpoint.
    fn deliver(&mut self, from: SocketAddr, bytes: &[u8], stride: usize) {
        let segments = Segments { bytes, stride };
        let usable = from.port() != 0 && !from.ip().is_multicast();
        if let Some(budgets) = self.budgets.as_mut().filter(|_| usable) {
            for datagram in segments.iter() {
                budgets.on_received(self.now, from, datagram);
            }
        }
        let path = rxrpc_proto::Path::from_peer(from);
        self.ep.handle_datagrams(self.now, &path, segments);
    }

    /// Take everything the endpoint has to send and to tell.
    fn drain(&mut self) {
        let limit = self.most_datagrams();
        let mut count = 0;
        while let Some(t) = self.ep.poll_transmit(self.now, &mut self.buf) {
            oracle::check_batch(&t, &self.buf);
            count += t.datagrams();
            assert!(count <= limit, "{count} datagrams at one time");
            for datagram in self.buf.as_slice().chunks(t.segment) {
                oracle::check_datagram(datagram);
                if let Some(budgets) = &mut self.budgets {
                    budgets.on_sent(self.now, t.peer, datagram);
                }
                if self.sent.len() == MEMORY {
                    self.sent.remove(0);
                }
                self.sent.push((t.peer, datagram.to_vec()));
            }
        }
        while let Some(event) = self.ep.poll_event() {
            self.on_event(event);
        }
        assert!(!self.ep.wants_transmit(), "all was polled");
        self.report.sent += count as u64;
        self.after_drain();
    }

    /// Close, and let time pass until nothing is left.
    fn wind_up(&mut self) {
        self.drain();
        self.ep.close();
        self.drain();
        let stats = self.ep.stats();
        self.report.faults.extend(Fault::all().filter(|fault| stats.fault(*fault) > 0));
        for i in 0..self.calls.len() {
            let known = &self.calls[i];
            assert!(
                known.gone || known.ended || !known.accepted,
                "{:?} did not end with the endpoint",
                known.id
            );
            self.ep.release(known.id);
        }
        for id in std::mem::take(&mut self.versions) {
            assert!(self.ep.take_version(id).is_some(), "a question outlived the endpoint");
        }
        self.calls.clear();
        let mut steps = 0;
        while let Some((at, wake)) = self.ep.poll_timeout() {
            steps += 1;
            assert!(steps < 2_000, "timers go on for ever: {wake:?} at {at:?}, now {:?}", self.now);
            self.now = self.now.max(at);
            self.ep.handle_timeout(self.now);
            self.drain();
        }
        self.drain();
        self.check_nothing_left();
    }
}
