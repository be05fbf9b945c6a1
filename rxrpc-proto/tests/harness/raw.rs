//! One endpoint, and a peer whose every packet is written by hand.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use rxrpc_proto::wire::{
    AbortCode, Ack, AckFields, AckReason, Body, Flags, Header, OwnedAck, OwnedBody, OwnedPacket, PacketType,
};
use rxrpc_proto::{
    AcceptOptions, CallError, CallId, CallOptions, Config, Endpoint, Event, Fault, Instant, Path, Segments,
    Target, TransmitBuf,
};

pub const SERVICE: u16 = 52;
/// Epoch and connection id of the clients we play.
pub const EPOCH: u32 = 0x8000_0077;
pub const CID: u32 = 0x1234_5670;

pub fn peer_addr() -> SocketAddr {
    "10.0.0.9:7001".parse().unwrap()
}

thread_local! {
    /// What peers did wrong in the conversations that ended on this thread.
    static SEEN: RefCell<BTreeSet<Fault>> = const { RefCell::new(BTreeSet::new()) };
}

/// The faults of all conversations that ended on this thread.
pub fn faults_seen() -> BTreeSet<Fault> {
    SEEN.with(|seen| seen.borrow().clone())
}

/// A packet to hand to the endpoint.
#[derive(Clone, Debug)]
pub struct Packet {
    pub header: Header,
    pub body: Vec<u8>,
}

/// A packet of a client of ours: call 1 on channel 0, number 1, serial 1.
pub fn from_client(packet_type: PacketType) -> Packet {
    let header = Header {
        epoch: EPOCH,
        cid: CID,
        call_number: 1,
        seq: u32::from(packet_type == PacketType::Data),
        serial: 1,
        packet_type,
        flags: Flags::CLIENT_INITIATED,
        user_status: 0,
        security_index: 0,
        checksum: 0,
        service_id: SERVICE,
    };
    Packet { header, body: Vec::new() }
}

/// A packet of the server that the endpoint sent `to` to.
pub fn from_server(to: &Header, packet_type: PacketType) -> Packet {
    let seq = u32::from(packet_type == PacketType::Data);
    let header = Header { seq, serial: 1, packet_type, flags: Flags::NONE, user_status: 0, ..*to };
    Packet { header, body: Vec::new() }
}

impl Packet {
    pub fn call(mut self, number: u32) -> Self {
        self.header.call_number = number;
        self
    }

    pub fn channel(mut self, channel: u32) -> Self {
        self.header.cid = self.header.cid & !3 | channel;
        self
    }

    pub fn cid(mut self, cid: u32) -> Self {
        self.header.cid = cid;
        self
    }

    pub fn epoch(mut self, epoch: u32) -> Self {
        self.header.epoch = epoch;
        self
    }

    pub fn seq(mut self, seq: u32) -> Self {
        self.header.seq = seq;
        self
    }

    pub fn serial(mut self, serial: u32) -> Self {
        self.header.serial = serial;
        self
    }

    pub fn flag(mut self, flags: Flags) -> Self {
        self.header.flags |= flags;
        self
    }

    pub fn last(self) -> Self {
        self.flag(Flags::LAST_PACKET)
    }

    pub fn status(mut self, status: u8) -> Self {
        self.header.user_status = status;
        self
    }

    pub fn index(mut self, index: u8) -> Self {
        self.header.security_index = index;
        self
    }

    pub fn service(mut self, service: u16) -> Self {
        self.header.service_id = service;
        self
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// The body of an ACK: everything before `first` has come, after it what `table` says.
    pub fn acks(self, reason: AckReason, first: u32, previous: u32, table: &[u8]) -> Self {
        self.acks_with(reason, first, previous, table, &[1444, 1444, 255, 0])
    }

    pub fn acks_with(
        self,
        reason: AckReason,
        first: u32,
        previous: u32,
        table: &[u8],
        words: &[u32],
    ) -> Self {
        let fields = AckFields {
            buffer_space: 0,
            max_skew: 0,
            first_packet: first,
            previous_packet: previous,
            serial: 0,
            reason,
        };
        let body = OwnedBody::Ack(OwnedAck {
            fields,
            declared: u8::try_from(table.len()).unwrap(),
            table: table.to_vec(),
            filler: vec![0; 3],
            words: words.to_vec(),
            rest: Vec::new(),
        });
        let bytes = OwnedPacket { header: self.header, body }.to_vec();
        self.body(&bytes[28..])
    }

    /// The serial an ACK answers; to be called after `acks`.
    pub fn answering(mut self, serial: u32) -> Self {
        self.body[12..16].copy_from_slice(&serial.to_be_bytes());
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        [&self.header.to_bytes()[..], &self.body].concat()
    }

    /// The ABORT that refuses this packet, octet by octet: direction turned round, all else zero.
    pub fn refusal(&self, call: u32, code: i32) -> Vec<u8> {
        self.answer(call, 4, &code.to_be_bytes())
    }

    /// The BUSY that refuses this packet.
    pub fn busy(&self) -> Vec<u8> {
        self.answer(self.header.call_number, 3, &[])
    }

    fn answer(&self, call: u32, packet_type: u8, body: &[u8]) -> Vec<u8> {
        let Header { epoch, cid, flags, service_id, .. } = self.header;
        let flags = u8::from(!flags.contains(Flags::CLIENT_INITIATED));
        [
            &epoch.to_be_bytes()[..],
            &cid.to_be_bytes(),
            &call.to_be_bytes(),
            &[0; 8],
            &[packet_type, flags, 0, 0, 0, 0],
            &service_id.to_be_bytes(),
            body,
        ]
        .concat()
    }
}

/// A datagram the endpoint sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub to: SocketAddr,
    pub header: Header,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub fn is(&self, packet_type: PacketType) -> bool {
        self.header.packet_type == packet_type
    }

    pub fn ack(&self) -> Ack<'_> {
        let Ok(Body::Ack(ack)) = Body::parse(&self.header, &self.bytes[28..]) else {
            panic!("no ACK but {:?}", self.header)
        };
        ack
    }

    /// Reason, serial answered, first packet, highest packet, table.
    pub fn ack_says(&self) -> (AckReason, u32, u32, u32, Vec<u8>) {
        let ack = self.ack();
        let f = ack.fields;
        (f.reason, f.serial, f.first_packet, f.previous_packet, ack.table().unwrap().to_vec())
    }

    pub fn abort_code(&self) -> AbortCode {
        let Ok(Body::Abort(code)) = Body::parse(&self.header, &self.bytes[28..]) else {
            panic!("no ABORT but {:?}", self.header)
        };
        code
    }
}

/// One endpoint and its clock.
pub struct Raw {
    pub now: Instant,
    pub end: Endpoint,
    pub peer: SocketAddr,
    buf: TransmitBuf,
}

impl Drop for Raw {
    fn drop(&mut self) {
        let seen = self.faults();
        SEEN.with(|all| all.borrow_mut().extend(seen));
    }
}

impl Raw {
    /// An endpoint that offers [`SERVICE`] and trusts addresses, so that nothing is sent but answers.
    pub fn new() -> Self {
        Raw::with(|_| {})
    }

    pub fn with(tune: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new([7; 32]);
        config.validate_peers = false;
        config.timing.nat_keepalive = None;
        tune(&mut config);
        let mut end = Endpoint::new(config);
        end.listen(SERVICE, Default::default()).unwrap();
        Raw { now: Instant::from_nanos(1_000_000_000), end, peer: peer_addr(), buf: TransmitBuf::new(1) }
    }

    /// Everything the endpoint has to send.
    pub fn poll(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(t) = self.end.poll_transmit(self.now, &mut self.buf) {
            let bytes = self.buf.as_slice().to_vec();
            sent.push(Sent { to: t.peer, header: Header::parse(&bytes).unwrap().0, bytes });
        }
        sent
    }

    /// Hand in one datagram; what is sent because of it.
    pub fn give(&mut self, packet: &Packet) -> Vec<Sent> {
        self.give_bytes(&packet.bytes())
    }

    pub fn give_bytes(&mut self, bytes: &[u8]) -> Vec<Sent> {
        self.give_from(self.peer, bytes)
    }

    pub fn give_from(&mut self, source: SocketAddr, bytes: &[u8]) -> Vec<Sent> {
        self.end.handle_datagrams(self.now, &Path::from_peer(source), Segments::single(bytes));
        self.poll()
    }

    /// Let time pass; what is sent meanwhile.
    pub fn wait(&mut self, time: Duration) -> Vec<Sent> {
        let end = self.now + time;
        let mut sent = self.poll();
        while let Some((at, _)) = self.end.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.end.handle_timeout(self.now);
            sent.extend(self.poll());
        }
        self.now = end;
        sent
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.end.poll_event()).collect()
    }

    /// Every fault that was counted.
    pub fn faults(&self) -> Vec<Fault> {
        let stats = self.end.stats();
        Fault::all().filter(|fault| stats.fault(*fault) > 0).collect()
    }

    pub fn count(&self, fault: Fault) -> u64 {
        self.end.stats().fault(fault)
    }

    /// Begin a call with this request; what goes out first.
    pub fn begin(&mut self, request: &[u8], options: CallOptions) -> (CallId, Vec<Sent>) {
        let call = self.end.begin_call(&Target::new(self.peer, SERVICE), options).unwrap();
        self.write(call, request);
        (call, self.poll())
    }

    pub fn write(&mut self, call: CallId, data: &[u8]) {
        let mut view = self.end.call(call).unwrap();
        assert_eq!(view.write(data).unwrap(), data.len());
        view.finish().unwrap();
    }

    pub fn read(&mut self, call: CallId) -> Vec<u8> {
        let mut out = Vec::new();
        while let Ok(Some(piece)) = self.end.call(call).unwrap().read_chunk(usize::MAX) {
            out.extend_from_slice(&piece);
        }
        out
    }

    /// The call that waits to be accepted, accepted.
    pub fn accept(&mut self) -> CallId {
        let call = self.end.waiting(SERVICE).expect("a call waits");
        self.end.accept(call, AcceptOptions::default()).unwrap();
        call
    }

    pub fn outcome(&mut self, call: CallId) -> Option<Result<(), CallError>> {
        self.end.call(call).and_then(|view| view.outcome())
    }

    /// A call of one packet that is complete, accepted and read, ready for its reply.
    pub fn serve(&mut self) -> CallId {
        self.give(&from_client(PacketType::Data).last().body(b"ask"));
        let call = self.accept();
        assert_eq!(self.read(call), b"ask");
        call
    }
}
