//! `pair`: two endpoints; the fuzzer is the network, the clock and both applications.
//!
//! The input's first octet says how many of the following ones are operations; the rest are the fates of
//! datagrams, one each in the order they are sent. When the operations are over the network heals, the
//! applications do their duty, and every call must end.

mod app;
mod net;
pub(crate) mod ops;
mod watch;

use std::collections::BTreeSet;
use std::time::Duration;

use rxrpc_proto::{
    BusyPolicy, CallId, Config, Endpoint, Fault, Instant, Outcome, ServiceOptions, TransmitBuf,
};

use crate::input::Input;
use net::Net;
use watch::Watch;

const MAX_OPS: usize = 120;
const MAX_CALLS: usize = 12;
/// The one service of both ends.
const SERVICE: u16 = 52;
/// No call lives longer.
const LIFETIME: Duration = Duration::from_secs(120);

/// What an input reached.
#[derive(Clone, Debug, Default)]
pub struct PairReport {
    /// Faults that either endpoint counted.
    pub faults: BTreeSet<Fault>,
    /// How calls of clients ended.
    pub outcomes: BTreeSet<String>,
    /// Datagrams sent by both.
    pub sent: u64,
}

/// Runs two endpoints through the operations that the octets spell.
///
/// # Panics
/// When an endpoint breaks a promise.
pub fn pair(data: &[u8]) {
    pair_report(data);
}

/// As [`pair`], and tells what was reached.
///
/// # Panics
/// When an endpoint breaks a promise.
pub fn pair_report(data: &[u8]) -> PairReport {
    let (count, rest) = data.split_first().unwrap_or((&0, &[]));
    let (ops, fates) = rest.split_at(usize::from(*count).min(rest.len()));
    let mut ops = Input::new(ops);
    let mut world = World::new(&mut ops, fates);
    for _ in 0..MAX_OPS {
        if ops.is_empty() {
            break;
        }
        world.op(&mut ops);
    }
    world.heal();
    world.judge();
    world.report()
}

/// What one side knows of a call.
#[derive(Clone, Debug)]
struct End {
    id: Option<CallId>,
    written: usize,
    finished: bool,
    read: usize,
    end_read: bool,
    /// News came since reading, or writing, said Blocked.
    readable: bool,
    writable: bool,
    pause_reading: bool,
    pause_writing: bool,
    outcome: Option<Outcome>,
    released: bool,
}

impl Default for End {
    fn default() -> Self {
        End {
            id: None,
            written: 0,
            finished: false,
            read: 0,
            end_read: false,
            readable: false,
            writable: true,
            pause_reading: false,
            pause_writing: false,
            outcome: None,
            released: false,
        }
    }
}

impl End {
    /// A call that ended well while it was read: what came with its end is still to be read.
    fn has_more(&self) -> bool {
        self.outcome == Some(Ok(())) && self.readable && !self.end_read && !self.released
    }
}

/// One call, as an observer of both sides sees it.
#[derive(Clone, Debug)]
struct Rpc {
    /// Side of the client.
    side: usize,
    request: usize,
    reply: usize,
    discard: bool,
    began: Instant,
    ended: Option<Instant>,
    client: End,
    server: End,
    /// Times that a server accepted it.
    accepted: usize,
    /// Someone aborted, rejected, released or closed: it may end in any way.
    meddled: bool,
    /// It lived when the network healed, and both sides had heard of each other lately.
    must_succeed: bool,
}

struct World {
    now: Instant,
    ends: [Endpoint; 2],
    net: Net,
    watch: Watch,
    buf: TransmitBuf,
    rpcs: Vec<Rpc>,
    /// Service calls that are accepted and whose request has not told its number yet, by side.
    nameless: Vec<(usize, CallId, End)>,
    /// What happens to incoming calls, by side.
    policy: [Policy; 2],
    closed: [bool; 2],
    calm: bool,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Policy {
    Accept,
    Hold,
    Busy,
    Abort,
}

fn config(seed: u8, choice: u8) -> Config {
    let mut config = Config::new([seed; 32]);
    config.validate_peers = choice & 1 == 0;
    config.timing.nat_keepalive = (choice & 2 != 0).then_some(Duration::from_secs(20));
    config.timing.lifetime = Some(LIFETIME);
    config.timing.request_gap = LIFETIME;
    if choice & 4 != 0 {
        config.limits.receive_per_call = 6_000;
        config.limits.send_per_call = 3_000;
    }
    if choice & 8 != 0 {
        config.limits.window = 4;
    }
    if choice & 16 != 0 {
        config.limits.receive_total = 20_000;
        config.limits.send_total = 8_000;
    }
    config.limits.connections_per_bundle = 2;
    config.socket_receive_buffer = if choice & 32 == 0 { 1 << 20 } else { 16 * 1024 };
    config
}

impl World {
    fn new(ops: &mut Input<'_>, fates: &[u8]) -> World {
        let (a, b) = (ops.byte(), ops.byte());
        let configs = [config(1, a), config(2, b)];
        let lasts = configs[0].timing.validated_for;
        let watch = Watch::new([a & 1 == 0, b & 1 == 0], lasts);
        let mut ends = configs.map(Endpoint::new);
        for end in &mut ends {
            end.listen(SERVICE, ServiceOptions::default()).expect("first use");
        }
        World {
            now: Instant::from_nanos(1_000_000_000),
            ends,
            net: Net::new(fates),
            watch,
            buf: TransmitBuf::new(if a & 64 == 0 { 64 } else { 1 }),
            rpcs: Vec::new(),
            nameless: Vec::new(),
            policy: [Policy::Accept; 2],
            closed: [false; 2],
            calm: false,
            bytes: 0,
        }
    }

    fn report(&self) -> PairReport {
        let mut report = PairReport { sent: self.watch.launched, ..PairReport::default() };
        for end in &self.ends {
            let stats = end.stats();
            report.faults.extend(Fault::all().filter(|fault| stats.fault(*fault) > 0));
        }
        report.outcomes.extend(self.rpcs.iter().map(|rpc| format!("{:?}", rpc.client.outcome)));
        report
    }

    /// The network is perfect from now on, the applications read, write and accept, and time passes.
    fn heal(&mut self) {
        self.calm = true;
        self.net.heal();
        self.policy = [Policy::Accept; 2];
        let recent = self.now - Duration::from_secs(4);
        for i in 0..self.rpcs.len() {
            let rpc = &mut self.rpcs[i];
            let heard = rpc.began >= recent || self.watch.heard_both_since(i, recent);
            for end in [&mut rpc.client, &mut rpc.server] {
                (end.pause_reading, end.pause_writing) = (false, false);
                (end.readable, end.writable) = (true, true);
            }
            let young = self.now - rpc.began < LIFETIME / 2;
            // The server may have given it up, and what it says of that been lost.
            let lives = rpc.client.outcome.is_none() && rpc.server.outcome.is_none();
            rpc.must_succeed = !rpc.meddled && lives && heard && young;
        }
        self.accept_waiting();
        let end = self.now + LIFETIME + Duration::from_secs(120);
        for _ in 0..300_000 {
            self.work();
            if self.all_over() || self.now > end || !self.step() {
                return;
            }
        }
        panic!("no end after {:?}: {:?}", self.now, self.rpcs);
    }

    fn all_over(&self) -> bool {
        self.rpcs.iter().all(|rpc| {
            rpc.client.outcome.is_some()
                && !rpc.client.has_more()
                && (rpc.server.id.is_none() || rpc.server.outcome.is_some())
        }) && self.nameless.is_empty()
    }
}

/// Options a call can be begun with, by an octet.
fn busy_policy(choice: u8) -> BusyPolicy {
    if choice & 4 == 0 { BusyPolicy::Fail } else { BusyPolicy::Retry }
}
