//! Two endpoints driven by hand: no runtime, no socket, no clock. Every datagram is printed.
//!
//! `cargo run -p rxrpc-proto --example by_hand`

use std::net::SocketAddr;
use std::time::Duration;

use rxrpc_proto::wire::Header;
use rxrpc_proto::{
    AcceptOptions, CallOptions, Config, Endpoint, Event, Instant, Path, Segments, Target, TransmitBuf,
};

const SERVICE: u16 = 52;

fn main() {
    let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let (client_addr, server_addr) = (addr(40_000), addr(7_000));
    // A fixed seed: every run is the same, to the byte.
    let mut client = Endpoint::new(Config::new([1; 32]));
    let mut server = Endpoint::new(Config::new([2; 32]));
    server.listen(SERVICE, Default::default()).expect("the service is new");
    let call =
        client.begin_call(&Target::new(server_addr, SERVICE), CallOptions::default()).expect("there is room");
    let mut view = client.call(call).expect("it was just begun");
    view.write(&[7; 3000]).expect("there is room");
    view.finish().expect("it is not finished");

    let mut now = Instant::ORIGIN;
    let mut reply = Vec::new();
    while client.call(call).is_some_and(|c| c.outcome().is_none()) {
        carry(now, "client", &mut client, client_addr, &mut server);
        serve(&mut server);
        carry(now, "server", &mut server, server_addr, &mut client);
        while let Some(event) = client.poll_event() {
            println!("{now:?}  client: {event:?}");
        }
        // The next moment at which anything can happen: a millisecond for the network, or a timer.
        now += Duration::from_millis(1);
        for end in [&mut client, &mut server] {
            end.handle_timeout(now);
        }
    }
    while let Ok(Some(piece)) = client.call(call).expect("not released").read_chunk(1024) {
        reply.extend_from_slice(&piece);
    }
    println!("reply: {}", String::from_utf8_lossy(&reply));
    assert_eq!(reply, b"3000 bytes");
}

/// Hand everything that one endpoint has to send to the other.
fn carry(now: Instant, name: &str, from: &mut Endpoint, source: SocketAddr, to: &mut Endpoint) {
    let mut buf = TransmitBuf::new(64);
    while let Some(batch) = from.poll_transmit(now, &mut buf) {
        for datagram in buf.as_slice().chunks(batch.segment) {
            let (header, body) = Header::parse(datagram).expect("our own packets have headers");
            let (kind, number) = (header.packet_type, header.seq);
            println!(
                "{now:?}  {name} sends {kind:?} seq {number} serial {} with {} bytes",
                header.serial,
                body.len()
            );
        }
        to.handle_datagrams(
            now,
            &Path::from_peer(source),
            Segments { bytes: buf.as_slice(), stride: batch.segment },
        );
    }
}

/// Accept calls and answer each with the length of its request.
fn serve(server: &mut Endpoint) {
    while let Some(event) = server.poll_event() {
        let call = match event {
            Event::Incoming { call, .. } => {
                server.accept(call, AcceptOptions::default()).expect("it waits");
                continue;
            }
            Event::Call { call, news, .. } if !news.ended() => call,
            _ => continue,
        };
        let mut view = server.call(call).expect("it lives");
        if view.readable() == 3000 {
            view.discard_input();
            view.write(b"3000 bytes").expect("there is room");
            view.finish().expect("it is not finished");
        }
    }
}
