//! Two endpoints without a network between them: what the protocol itself costs.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rxrpc_proto::{
    AcceptOptions, CallId, CallOptions, Config, Endpoint, Event, Instant, Path, Segments, Target, TransmitBuf,
};

struct Pair {
    now: Instant,
    client: Endpoint,
    server: Endpoint,
    buf: TransmitBuf,
}

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Pair {
    fn new() -> Self {
        let config = |seed| {
            let mut config = Config::new([seed; 32]);
            config.socket_receive_buffer = 8 << 20;
            config
        };
        let mut server = Endpoint::new(config(2));
        server.listen(52, Default::default()).unwrap();
        let client = Endpoint::new(config(1));
        Pair { now: Instant::ORIGIN, client, server, buf: TransmitBuf::new(64) }
    }

    /// Carry everything both ways once, 10 microseconds later.
    fn turn(&mut self, reply: &[u8]) {
        self.now += Duration::from_micros(10);
        for end in [&mut self.client, &mut self.server] {
            if end.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
                end.handle_timeout(self.now);
            }
        }
        while let Some(t) = self.client.poll_transmit(self.now, &mut self.buf) {
            let batch = Segments { bytes: self.buf.as_slice(), stride: t.segment };
            self.server.handle_datagrams(self.now, &Path::from_peer(addr(1000)), batch);
        }
        while let Some(event) = self.server.poll_event() {
            self.serve(event, reply);
        }
        while let Some(t) = self.server.poll_transmit(self.now, &mut self.buf) {
            let batch = Segments { bytes: self.buf.as_slice(), stride: t.segment };
            self.client.handle_datagrams(self.now, &Path::from_peer(addr(7000)), batch);
        }
    }

    fn serve(&mut self, event: Event, reply: &[u8]) {
        match event {
            Event::Incoming { call, .. } => self.server.accept(call, AcceptOptions::default()).unwrap(),
            Event::Call { call, news, .. } if news.ended() => self.server.release(call),
            Event::Call { call, .. } => {
                let Some(mut view) = self.server.call(call) else { return };
                while let Ok(piece) = view.read_chunk(usize::MAX) {
                    if piece.is_none() {
                        let _ = view.write(reply);
                        let _ = view.finish();
                        break;
                    }
                    black_box(piece);
                }
            }
            Event::Version(_) => {}
        }
    }

    fn begin(&mut self, request: &[u8]) -> CallId {
        let call = self.client.begin_call(&Target::new(addr(7000), 52), CallOptions::default()).unwrap();
        let mut view = self.client.call(call).unwrap();
        assert_eq!(view.write(request).unwrap(), request.len());
        view.finish().unwrap();
        call
    }

    fn drain(&mut self) -> usize {
        let mut ended = 0;
        while let Some(event) = self.client.poll_event() {
            let Event::Call { call, news, .. } = event else { continue };
            if news.ended() {
                ended += 1;
                self.client.release(call);
            }
        }
        ended
    }

    fn run(&mut self, calls: usize, request: &[u8], reply: &[u8]) {
        (0..calls).for_each(|_| {
            self.begin(request);
        });
        let mut ended = 0;
        while ended < calls {
            self.turn(reply);
            ended += self.drain();
        }
    }
}

fn endpoint(c: &mut Criterion) {
    let mut group = c.benchmark_group("endpoint");
    for calls in [1usize, 100] {
        let mut pair = Pair::new();
        pair.run(1, b"warm", b"up");
        group.throughput(Throughput::Elements(calls as u64));
        group.bench_function(format!("{calls} calls of 4+4 bytes"), |b| {
            b.iter(|| pair.run(calls, b"ping", b"pong"))
        });
    }
    let data = vec![7; 1 << 20];
    let mut pair = Pair::new();
    group.throughput(Throughput::Bytes(1 << 20));
    group.bench_function("1 MiB request", |b| b.iter(|| pair.run(1, &data, b"ok")));
    group.finish();
}

criterion_group!(benches, endpoint);
criterion_main!(benches);
