//! One endpoint against peers made by hand, packet by packet.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use rxrpc_proto::wire::{
    AbortCode, Ack, AckFields, AckReason, Body, Flags, Header, PacketType, Trailer, emit_abort, emit_ack,
};
use rxrpc_proto::{
    AcceptOptions, CallId, Config, Endpoint, Event, Instant, News, Path, Segments, Transmit, TransmitBuf,
};

use super::SERVICE;

/// A datagram that the endpoint sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Instant,
    pub to: SocketAddr,
    pub header: Header,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub fn is(&self, packet_type: PacketType) -> bool {
        self.header.packet_type == packet_type
    }

    /// What the budget of an address that is not proved counts.
    pub fn cost(&self) -> usize {
        self.bytes.len() + 28
    }

    pub fn ack(&self) -> Ack<'_> {
        match Body::parse(&self.header, &self.bytes[28..]).unwrap() {
            Body::Ack(ack) => ack,
            other => panic!("no ACK: {other:?}"),
        }
    }

    /// Reason, firstPacket and the serial answered.
    pub fn acked(&self) -> (AckReason, u32, u32) {
        let fields = self.ack().fields;
        (fields.reason, fields.first_packet, fields.serial)
    }

    pub fn table(&self) -> Vec<u8> {
        self.ack().table().unwrap().to_vec()
    }

    pub fn rwind(&self) -> u32 {
        self.ack().trailer().unwrap().rwind.unwrap()
    }

    pub fn abort_code(&self) -> AbortCode {
        match Body::parse(&self.header, &self.bytes[28..]).unwrap() {
            Body::Abort(code) => code,
            other => panic!("no ABORT: {other:?}"),
        }
    }
}

/// An endpoint, its clock, and what it sent.
pub struct Solo {
    pub now: Instant,
    pub end: Endpoint,
    /// Sent since the last [`take`](Self::take).
    pub sent: Vec<Sent>,
    pub batches: Vec<Transmit>,
    pub events: VecDeque<Event>,
    pub buf: TransmitBuf,
}

impl Solo {
    pub fn new(tune: impl Fn(&mut Config)) -> Self {
        let mut config = Config::new([3; 32]);
        config.socket_receive_buffer = 4 << 20;
        config.timing.nat_keepalive = None;
        tune(&mut config);
        Solo {
            now: Instant::from_nanos(1_000_000_000),
            end: Endpoint::new(config),
            sent: Vec::new(),
            batches: Vec::new(),
            events: VecDeque::new(),
            buf: TransmitBuf::new(64),
        }
    }

    /// An endpoint that offers [`SERVICE`].
    pub fn server(tune: impl Fn(&mut Config)) -> Self {
        let mut solo = Solo::new(tune);
        solo.end.listen(SERVICE, Default::default()).unwrap();
        solo
    }

    pub fn pump(&mut self) {
        while let Some(t) = self.end.poll_transmit(self.now, &mut self.buf) {
            self.batches.push(t);
            for bytes in self.buf.as_slice().chunks(t.segment) {
                let header = Header::parse(bytes).unwrap().0;
                self.sent.push(Sent { at: self.now, to: t.peer, header, bytes: bytes.to_vec() });
            }
        }
        while let Some(event) = self.end.poll_event() {
            self.events.push_back(event);
        }
    }

    /// One datagram arrives.
    pub fn hear(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.end.handle_datagrams(self.now, &Path::from_peer(from), Segments::single(bytes));
        self.pump();
    }

    /// Datagrams arrive before anything can be answered.
    pub fn hear_all(&mut self, from: SocketAddr, datagrams: &[Vec<u8>]) {
        for bytes in datagrams {
            self.end.handle_datagrams(self.now, &Path::from_peer(from), Segments::single(bytes));
        }
        self.pump();
    }

    /// Let time pass, exactly from deadline to deadline.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        self.pump();
        let mut stuck = 0;
        while let Some((at, wake)) = self.end.poll_timeout().filter(|(at, _)| *at <= end) {
            stuck = if at <= self.now { stuck + 1 } else { 0 };
            assert!(stuck < 1000, "no progress at {:?} for {wake:?}", self.now);
            self.now = self.now.max(at);
            self.end.handle_timeout(self.now);
            self.pump();
        }
        self.now = end;
        self.pump();
    }

    /// What was sent since the last time.
    pub fn take(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// Of what was sent since the last time, the packets of one type.
    pub fn take_type(&mut self, packet_type: PacketType) -> Vec<Sent> {
        self.take().into_iter().filter(|s| s.is(packet_type)).collect()
    }

    /// Accept the call that waits.
    pub fn accept(&mut self) -> CallId {
        let call = self.end.waiting(SERVICE).expect("a call waits");
        self.end.accept(call, AcceptOptions::default()).unwrap();
        self.pump();
        call
    }

    /// Write all of it (there must be room) and finish.
    pub fn write_all(&mut self, call: CallId, data: &[u8]) {
        let mut view = self.end.call(call).unwrap();
        assert_eq!(view.write(data).unwrap(), data.len());
        view.finish().unwrap();
        self.pump();
    }

    /// Everything that can be read now.
    pub fn read(&mut self, call: CallId) -> Vec<u8> {
        let mut out = Vec::new();
        while let Ok(Some(piece)) = self.end.call(call).unwrap().read_chunk(usize::MAX) {
            out.extend_from_slice(&piece);
        }
        self.pump();
        out
    }

    /// The news of a call so far, in order; those events are used up.
    pub fn news(&mut self, call: CallId) -> Vec<News> {
        let mut news = Vec::new();
        self.events.retain(|event| match event {
            Event::Call { call: id, news: n, .. } if *id == call => {
                news.push(*n);
                false
            }
            _ => true,
        });
        news
    }
}

/// One side of one call's connection, made by hand.
#[derive(Clone, Copy, Debug)]
pub struct Hand {
    pub epoch: u32,
    /// With the channel.
    pub cid: u32,
    pub call: u32,
    pub service: u16,
    pub from_client: bool,
    /// Serial of the next packet.
    pub serial: u32,
    /// What its ACKs offer.
    pub rwind: u32,
    pub user_status: u8,
}

impl Hand {
    /// The client of a connection.
    pub fn client(cid: u32) -> Self {
        Hand {
            epoch: 0x8000_0007,
            cid,
            call: 1,
            service: SERVICE,
            from_client: true,
            serial: 1,
            rwind: 255,
            user_status: 0,
        }
    }

    /// The other side of the connection and call that a packet came from.
    pub fn answering(header: &Header) -> Self {
        Hand {
            epoch: header.epoch,
            cid: header.cid,
            call: header.call_number,
            service: header.service_id,
            from_client: !header.from_client(),
            ..Hand::client(0)
        }
    }

    pub fn header(&mut self, packet_type: PacketType, flags: Flags) -> Header {
        let side = if self.from_client { Flags::CLIENT_INITIATED } else { Flags::NONE };
        self.serial += 1;
        Header {
            epoch: self.epoch,
            cid: self.cid,
            call_number: self.call,
            seq: 0,
            serial: self.serial - 1,
            packet_type,
            flags: flags | side,
            user_status: self.user_status,
            security_index: 0,
            checksum: 0,
            service_id: self.service,
        }
    }

    pub fn data(&mut self, seq: u32, flags: Flags, payload: &[u8]) -> Vec<u8> {
        let header = Header { seq, ..self.header(PacketType::Data, flags) };
        [&header.to_bytes()[..], payload].concat()
    }

    /// The only packet of a request or reply.
    pub fn whole(&mut self, payload: &[u8]) -> Vec<u8> {
        self.data(1, Flags::LAST_PACKET, payload)
    }

    /// `serial` is that of the packet answered, `table` what follows `first`.
    pub fn ack(&mut self, reason: AckReason, first: u32, serial: u32, table: &[u8]) -> Vec<u8> {
        let asks = if reason == AckReason::Ping { Flags::REQUEST_ACK } else { Flags::NONE };
        let mut out = self.header(PacketType::Ack, Flags::SLOW_START_OK | asks).to_bytes().to_vec();
        let previous_packet = first - 1 + table.len() as u32;
        let fields =
            AckFields { buffer_space: 0, max_skew: 0, first_packet: first, previous_packet, serial, reason };
        let trailer = Trailer { max_mtu: 1444, if_mtu: 1444, rwind: Some(self.rwind), jumbo_max: Some(1) };
        let entries: Vec<bool> = table.iter().map(|t| *t != 0).collect();
        emit_ack(&mut out, &fields, entries.into_iter(), Some(&trailer));
        out
    }

    pub fn abort(&mut self, code: i32) -> Vec<u8> {
        let mut out = Vec::new();
        let header = self.header(PacketType::Abort, Flags::NONE);
        emit_abort(&mut out, &header, AbortCode(code));
        out
    }

    pub fn bare(&mut self, packet_type: PacketType) -> Vec<u8> {
        self.header(packet_type, Flags::NONE).to_bytes().to_vec()
    }
}
