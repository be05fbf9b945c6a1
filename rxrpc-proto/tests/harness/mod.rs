//! Two endpoints without a runtime: a virtual clock and a network whose mishaps are scripted.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod solo;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rxrpc_proto::wire::{Body, Header, PacketType};
use rxrpc_proto::{
    AcceptOptions, CallError, CallId, CallOptions, Config, Endpoint, Event, Instant, News, Path, Segments,
    Target, Transmit, TransmitBuf,
};

pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;
pub const SERVICE: u16 = 52;

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn client_addr() -> SocketAddr {
    "10.0.0.1:40000".parse().unwrap()
}

pub fn server_addr() -> SocketAddr {
    "10.0.0.2:7000".parse().unwrap()
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Flight {
    /// Side that sent it.
    pub from: usize,
    pub source: SocketAddr,
    pub to: SocketAddr,
    pub header: Header,
    pub bytes: Vec<u8>,
}

impl Flight {
    pub fn is(&self, from: usize, packet_type: PacketType) -> bool {
        self.from == from && self.header.packet_type == packet_type
    }

    /// The body, which our own packets always have.
    pub fn body(&self) -> Body<'_> {
        Body::parse(&self.header, &self.bytes[28..]).unwrap()
    }
}

/// What the network does with a datagram: delays after which copies arrive; none is loss.
pub type Fate = Vec<Duration>;

pub type Script = Box<dyn FnMut(&Flight) -> Fate>;

/// Two endpoints and the network between them.
pub struct Pair {
    pub now: Instant,
    pub ends: [Endpoint; 2],
    pub addrs: [SocketAddr; 2],
    /// One-way delay of what the script leaves alone.
    pub delay: Duration,
    pub script: Script,
    /// Every datagram sent, with its time.
    pub sent: Vec<(Instant, Flight)>,
    /// Every batch, with its side and its bytes.
    pub batches: Vec<(usize, Transmit, Vec<u8>)>,
    pub events: [VecDeque<Event>; 2],
    flights: BTreeMap<(Instant, u64), (usize, Flight)>,
    order: u64,
    buf: TransmitBuf,
    /// Timer wakes without any effect on time; more than a few in a row is a spin.
    stuck: u32,
}

impl Pair {
    pub fn new() -> Self {
        Pair::with(|_| {})
    }

    /// Both ends from the default configuration, changed by `tune`; the server offers [`SERVICE`].
    pub fn with(tune: impl Fn(&mut Config)) -> Self {
        let end = |seed| {
            let mut config = Config::new([seed; 32]);
            config.socket_receive_buffer = 4 << 20;
            config.timing.nat_keepalive = None;
            tune(&mut config);
            Endpoint::new(config)
        };
        let mut ends = [end(1), end(2)];
        ends[SERVER].listen(SERVICE, Default::default()).unwrap();
        Pair {
            now: Instant::from_nanos(1_000_000_000),
            ends,
            addrs: [client_addr(), server_addr()],
            delay: ms(5),
            script: Box::new(|_| vec![Duration::ZERO]),
            sent: Vec::new(),
            batches: Vec::new(),
            events: [VecDeque::new(), VecDeque::new()],
            flights: BTreeMap::new(),
            order: 0,
            buf: TransmitBuf::new(64),
            stuck: 0,
        }
    }

    /// Send what both ends have to send, and collect their events.
    pub fn pump(&mut self) {
        for side in [CLIENT, SERVER] {
            while let Some(t) = self.ends[side].poll_transmit(self.now, &mut self.buf) {
                let bytes = self.buf.as_slice().to_vec();
                for datagram in bytes.chunks(t.segment) {
                    self.launch(side, t.peer, datagram.to_vec());
                }
                self.batches.push((side, t, bytes));
            }
            while let Some(event) = self.ends[side].poll_event() {
                self.events[side].push_back(event);
            }
        }
    }

    fn launch(&mut self, from: usize, to: SocketAddr, bytes: Vec<u8>) {
        let header = Header::parse(&bytes).unwrap().0;
        let flight = Flight { from, source: self.addrs[from], to, header, bytes };
        self.sent.push((self.now, flight.clone()));
        let Some(target) = self.addrs.iter().position(|a| *a == to) else { return };
        for extra in (self.script)(&flight) {
            self.order += 1;
            self.flights.insert((self.now + self.delay + extra, self.order), (target, flight.clone()));
        }
    }

    /// Hand a datagram to one side as if `source` had sent it.
    pub fn inject(&mut self, to: usize, source: SocketAddr, bytes: &[u8]) {
        self.ends[to].handle_datagrams(self.now, &Path::from_peer(source), Segments::single(bytes));
        self.pump();
    }

    /// The next instant at which anything happens.
    pub fn next_instant(&self) -> Option<Instant> {
        let timers = self.ends.iter().filter_map(|e| e.poll_timeout().map(|t| t.0));
        timers.chain(self.flights.keys().map(|k| k.0).take(1)).min()
    }

    /// Go to the next instant at which anything happens. False if nothing ever will.
    pub fn step(&mut self) -> bool {
        self.pump();
        let Some(next) = self.next_instant() else { return false };
        self.stuck = if next <= self.now { self.stuck + 1 } else { 0 };
        assert!(self.stuck < 1000, "no progress at {:?}", self.now);
        self.now = self.now.max(next);
        for end in &mut self.ends {
            if end.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
                end.handle_timeout(self.now);
            }
        }
        while let Some(entry) = self.flights.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (target, flight) = entry.remove();
            let path = Path::from_peer(flight.source);
            self.ends[target].handle_datagrams(self.now, &path, Segments::single(&flight.bytes));
        }
        self.pump();
        true
    }

    /// Let time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.pump();
        while self.next_instant().is_some_and(|next| next <= end) {
            self.step();
        }
        self.now = end;
        self.pump();
    }

    pub fn begin(&mut self, options: CallOptions) -> CallId {
        let target = Target::new(self.addrs[SERVER], SERVICE);
        self.ends[CLIENT].begin_call(&target, options).unwrap()
    }

    /// Begin a call and write its whole request.
    pub fn request(&mut self, data: &[u8]) -> CallId {
        let call = self.begin(CallOptions::default());
        self.write_all(CLIENT, call, data);
        call
    }

    /// Write all of it (there must be room) and finish.
    pub fn write_all(&mut self, side: usize, call: CallId, data: &[u8]) {
        let mut view = self.ends[side].call(call).unwrap();
        assert_eq!(view.write(data).unwrap(), data.len());
        view.finish().unwrap();
    }

    /// Everything that can be read now.
    pub fn read(&mut self, side: usize, call: CallId) -> Vec<u8> {
        let mut out = Vec::new();
        let mut view = self.ends[side].call(call).unwrap();
        while let Ok(Some(piece)) = view.read_chunk(usize::MAX) {
            out.extend_from_slice(&piece);
        }
        out
    }

    pub fn outcome(&mut self, side: usize, call: CallId) -> Option<Result<(), CallError>> {
        self.ends[side].call(call).and_then(|c| c.outcome())
    }

    /// Run until the server was offered a call, and accept it.
    pub fn accept(&mut self) -> CallId {
        for _ in 0..10_000 {
            if let Some(call) = self.ends[SERVER].waiting(SERVICE) {
                self.ends[SERVER].accept(call, AcceptOptions::default()).unwrap();
                self.pump();
                return call;
            }
            assert!(self.step(), "no call ever came");
        }
        panic!("no call came");
    }

    /// Run until the call has ended on `side`.
    pub fn run_to_end(&mut self, side: usize, call: CallId) -> Result<(), CallError> {
        for _ in 0..1_000_000 {
            if let Some(outcome) = self.outcome(side, call) {
                return outcome;
            }
            assert!(self.step(), "the call never ended");
        }
        panic!("the call did not end");
    }

    /// Run until the server has the whole request; it is returned.
    pub fn read_request(&mut self, call: CallId) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..1_000_000 {
            let mut view = self.ends[SERVER].call(call).expect("the call lives");
            loop {
                match view.read_chunk(usize::MAX) {
                    Ok(Some(piece)) => out.extend_from_slice(&piece),
                    Ok(None) => return out,
                    Err(rxrpc_proto::ReadError::Blocked) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(self.step(), "the request never ended");
        }
        panic!("the request did not end");
    }

    /// A whole call: `request` out, `reply` back; returns what arrived each way.
    pub fn exchange(&mut self, request: &[u8], reply: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let call = self.request(request);
        let served = self.accept();
        let got = self.read_request(served);
        self.write_all(SERVER, served, reply);
        assert_eq!(self.run_to_end(CLIENT, call), Ok(()));
        let answer = self.read(CLIENT, call);
        self.ends[CLIENT].release(call);
        self.run_to_end(SERVER, served).unwrap();
        self.ends[SERVER].release(served);
        (got, answer)
    }

    /// How many packets of this kind were sent.
    pub fn count(&self, from: usize, packet_type: PacketType) -> usize {
        self.sent.iter().filter(|(_, f)| f.is(from, packet_type)).count()
    }

    /// The packets of this kind that were sent, in order.
    pub fn all(&self, from: usize, packet_type: PacketType) -> Vec<(Instant, Flight)> {
        self.sent.iter().filter(|(_, f)| f.is(from, packet_type)).cloned().collect()
    }

    /// Connection id, channel and call number of each DATA packet the client sent.
    pub fn places(&self) -> Vec<(u32, usize, u32)> {
        let data = self.all(CLIENT, PacketType::Data);
        let place = |h: &Header| (h.connection_id(), h.channel(), h.call_number);
        data.iter().map(|(_, f)| place(&f.header)).collect()
    }

    /// The news of a call among the collected events, in order; those events are used up.
    pub fn news(&mut self, side: usize, call: CallId) -> Vec<News> {
        let mut news = Vec::new();
        self.events[side].retain(|event| match event {
            Event::Call { call: id, news: n, .. } if *id == call => {
                news.push(*n);
                false
            }
            _ => true,
        });
        news
    }
}

/// Bytes that differ everywhere.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]).collect()
}

/// A network that loses, duplicates and delays by chance, from a seed.
pub fn chance(seed: u64, loss: f64, duplicate: f64, reorder: f64) -> impl FnMut(&Flight) -> Fate {
    let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1;
    let mut draw = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    move |_| {
        if draw() < loss {
            return vec![];
        }
        let late = |r: f64| if r < reorder { ms(7) } else { Duration::ZERO };
        let mut fate = vec![late(draw())];
        if draw() < duplicate {
            fate.push(late(draw()));
        }
        fate
    }
}
