//! Two endpoints without a runtime, on the simulator's network and time, with mishaps that are scripted.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod solo;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use rxrpc_proto::wire::{Body, Header, PacketType};
use rxrpc_proto::{
    AcceptOptions, CallError, CallId, CallOptions, Config, Endpoint, Event, Instant, News, Path, Segments,
    Target, Transmit, TransmitBuf,
};
use rxrpc_sim::{Element, LossReason, Network, NodeId, Observer, Packet, Rng, Scenario, World};

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
    pub header: Header,
    packet: Packet,
}

impl Flight {
    fn new(packet: Packet) -> Self {
        let from = packet.origin.map_or(usize::MAX, usize::from);
        Flight { from, header: Header::parse(&packet.bytes).unwrap().0, packet }
    }

    pub fn is(&self, from: usize, packet_type: PacketType) -> bool {
        self.from == from && self.header.packet_type == packet_type
    }

    /// The body, which our own packets always have.
    pub fn body(&self) -> Body<'_> {
        Body::parse(&self.header, &self.bytes[28..]).unwrap()
    }
}

impl Deref for Flight {
    type Target = Packet;

    fn deref(&self) -> &Packet {
        &self.packet
    }
}

/// What the network does with a datagram: delays after which copies go on; none is loss.
pub type Fate = Vec<Duration>;

type Script = Box<dyn FnMut(&Flight) -> Fate>;

/// Has happen to each datagram what the script says.
struct Scripted(Rc<RefCell<Script>>);

impl Element for Scripted {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        let flight = Flight::new(packet);
        let fate = (self.0.borrow_mut())(&flight);
        let Some((first, more)) = fate.split_first() else {
            return world.lose(flight.packet, LossReason::Script);
        };
        let copies: Vec<Packet> = more.iter().map(|_| world.duplicate(&flight)).collect();
        world.forward_at(now + *first, flight.packet);
        for (extra, copy) in more.iter().zip(copies) {
            world.forward_at(now + *extra, copy);
        }
    }
}

/// Notes each datagram that is sent, with its time.
struct Log(Rc<RefCell<Vec<(Instant, Flight)>>>);

impl Observer for Log {
    fn datagram(&mut self, now: Instant, packet: &Packet, fate: rxrpc_sim::Fate) {
        if fate == rxrpc_sim::Fate::Sent {
            self.0.borrow_mut().push((now, Flight::new(packet.clone())));
        }
    }
}

/// Two endpoints and the network between them, that of the simulator.
pub struct Pair {
    pub now: Instant,
    pub ends: [Endpoint; 2],
    pub addrs: [SocketAddr; 2],
    /// Every datagram sent, with its time.
    pub sent: Vec<(Instant, Flight)>,
    /// Every batch, with its side and its bytes.
    pub batches: Vec<(usize, Transmit, Vec<u8>)>,
    pub events: [VecDeque<Event>; 2],
    network: Network,
    script: Rc<RefCell<Script>>,
    log: Rc<RefCell<Vec<(Instant, Flight)>>>,
    buf: TransmitBuf,
    /// Timer wakes without any effect on time; more than a few in a row is a spin.
    stuck: u32,
}

impl Pair {
    pub fn new() -> Self {
        Pair::with(|_| {})
    }

    /// Both ends from the default configuration, changed by `tune`; the server offers [`SERVICE`]. They are 5 ms apart.
    pub fn with(tune: impl Fn(&mut Config)) -> Self {
        let configs = [1, 2].map(|seed| {
            let mut config = Config::new([seed; 32]);
            config.socket_receive_buffer = 4 << 20;
            config.timing.nat_keepalive = None;
            tune(&mut config);
            config
        });
        let mut scenario = Scenario { delay: 5_000, ..Scenario::new(1, 2) };
        for (node, config) in scenario.nodes.iter_mut().zip(&configs) {
            node.endpoint = config.into();
        }
        let mut network = Network::new(scenario);
        let script: Rc<RefCell<Script>> = Rc::new(RefCell::new(Box::new(|_| vec![Duration::ZERO])));
        let log = Rc::default();
        network.place(0, 1, Box::new(Scripted(Rc::clone(&script))));
        network.place(1, 0, Box::new(Scripted(Rc::clone(&script))));
        network.observe(Box::new(Log(Rc::clone(&log))));
        network.advance_to(Instant::from_nanos(1_000_000_000));
        let mut ends = configs.map(Endpoint::new);
        ends[SERVER].listen(SERVICE, Default::default()).unwrap();
        let mut pair = Pair {
            now: network.now(),
            ends,
            addrs: [client_addr(), server_addr()],
            sent: Vec::new(),
            batches: Vec::new(),
            events: [VecDeque::new(), VecDeque::new()],
            network,
            script,
            log,
            buf: TransmitBuf::new(64),
            stuck: 0,
        };
        [CLIENT, SERVER].into_iter().for_each(|side| pair.rebind(side, pair.addrs[side]));
        pair
    }

    /// What happens to datagrams that are sent from now on.
    pub fn script(&mut self, script: impl FnMut(&Flight) -> Fate + 'static) {
        *self.script.borrow_mut() = Box::new(script);
    }

    /// The address of a side changes; its old one is gone.
    pub fn rebind(&mut self, side: usize, addr: SocketAddr) {
        self.addrs[side] = addr;
        self.network.bind(side as NodeId, addr);
    }

    /// Send what both ends have to send, and collect their events.
    pub fn pump(&mut self) {
        for side in [CLIENT, SERVER] {
            while let Some(t) = self.ends[side].poll_transmit(self.now, &mut self.buf) {
                let bytes = self.buf.as_slice().to_vec();
                for datagram in bytes.chunks(t.segment) {
                    self.network.send(side as NodeId, self.addrs[side], t.peer, datagram);
                }
                self.batches.push((side, t, bytes));
            }
            while let Some(event) = self.ends[side].poll_event() {
                self.events[side].push_back(event);
            }
        }
        self.sent.append(&mut self.log.borrow_mut());
        assert_eq!(self.network.violations(), []);
    }

    /// Hand a datagram to one side as if `source` had sent it.
    pub fn inject(&mut self, to: usize, source: SocketAddr, bytes: &[u8]) {
        self.network.inject(to as NodeId, source, bytes);
        self.receive();
        self.pump();
    }

    /// Hand what has arrived to the ends.
    fn receive(&mut self) {
        for (to, packet) in self.network.arrived() {
            let path = Path::from_peer(packet.src);
            let segments = Segments::single(&packet.bytes);
            self.ends[usize::from(to)].handle_datagrams(self.now, &path, segments);
        }
    }

    /// The next instant at which anything happens.
    pub fn next_instant(&self) -> Option<Instant> {
        let timers = self.ends.iter().filter_map(|e| e.poll_timeout().map(|t| t.0));
        timers.chain(self.network.next_at()).min()
    }

    /// Go to the next instant at which anything happens. False if nothing ever will.
    pub fn step(&mut self) -> bool {
        self.pump();
        let Some(next) = self.next_instant() else { return false };
        self.stuck = if next <= self.now { self.stuck + 1 } else { 0 };
        assert!(self.stuck < 1000, "no progress at {:?}", self.now);
        self.go_to(self.now.max(next));
        for end in &mut self.ends {
            if end.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
                end.handle_timeout(self.now);
            }
        }
        self.receive();
        self.pump();
        true
    }

    fn go_to(&mut self, at: Instant) {
        self.network.advance_to(at);
        self.now = at;
    }

    /// Let time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.pump();
        while self.next_instant().is_some_and(|next| next <= end) {
            self.step();
        }
        self.go_to(end);
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
    let mut bytes = vec![0; len];
    Rng::new(1).fill(&mut bytes);
    bytes
}

/// A network that loses, duplicates and delays by chance, from a seed.
pub fn chance(seed: u64, loss: f64, duplicate: f64, reorder: f64) -> impl FnMut(&Flight) -> Fate {
    let mut rng = Rng::new(seed);
    move |_| {
        if rng.chance(loss) {
            return vec![];
        }
        let copies = 1 + usize::from(rng.chance(duplicate));
        (0..copies).map(|_| if rng.chance(reorder) { ms(7) } else { Duration::ZERO }).collect()
    }
}
