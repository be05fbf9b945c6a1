//! Reading and writing packets: the cost that every packet pays.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rxrpc_proto::wire::*;

const HEADER: Header = Header {
    epoch: 0x8765_4321,
    cid: 0x1234_5678,
    call_number: 42,
    seq: 1000,
    serial: 2000,
    packet_type: PacketType::Data,
    flags: Flags::CLIENT_INITIATED,
    user_status: 0,
    security_index: 0,
    checksum: 0,
    service_id: 52,
};
const FIELDS: AckFields = AckFields {
    buffer_space: 0,
    max_skew: 0,
    first_packet: 1000,
    previous_packet: 1255,
    serial: 2000,
    reason: AckReason::Idle,
};
const TRAILER: Trailer = Trailer { max_mtu: 1444, if_mtu: 1444, rwind: Some(255), jumbo_max: Some(4) };

fn header(c: &mut Criterion) {
    let bytes = HEADER.to_bytes();
    c.bench_function("header/parse", |b| b.iter(|| Header::parse(black_box(&bytes))));
    let mut out = Vec::with_capacity(HEADER_LEN);
    c.bench_function("header/emit", |b| {
        b.iter(|| {
            out.clear();
            black_box(&HEADER).emit(&mut out);
            black_box(out.len())
        });
    });
}

/// Reading goes over the whole table, since no receiver stops before its end.
fn ack(c: &mut Criterion) {
    let header = Header { packet_type: PacketType::Ack, ..HEADER };
    for entries in [0, 32, 255_usize] {
        let mut out = Vec::with_capacity(ack_body_len(entries, true));
        c.bench_with_input(BenchmarkId::new("ack/emit", entries), &entries, |b, &entries| {
            b.iter(|| {
                out.clear();
                let table = (0..entries).map(|place| place % 3 != 0);
                emit_ack(&mut out, black_box(&FIELDS), table, Some(&TRAILER));
                black_box(out.len())
            });
        });
        c.bench_with_input(BenchmarkId::new("ack/parse", entries), &out, |b, body| {
            b.iter(|| {
                let Ok(Body::Ack(ack)) = Body::parse(black_box(&header), black_box(body)) else {
                    panic!("not an ACK");
                };
                let received =
                    ack.table().map(|table| table.iter().filter(|entry| Ack::received(**entry)).count());
                (received, ack.trailer())
            });
        });
    }
}

fn jumbo(c: &mut Criterion) {
    let mut group = c.benchmark_group("jumbo");
    let payload = [7; JUMBO_DATA_LEN];
    for count in [1, 4, MAX_JUMBO_SEGMENTS] {
        group.throughput(Throughput::Elements(count as u64));
        let mut datagram = Vec::new();
        let mut joined = JumboBuilder::new(&mut datagram, &HEADER, &payload);
        (1..count).for_each(|_| joined.push(Flags::NONE, 0, &payload).expect("fits"));
        group.bench_with_input(BenchmarkId::new("split", count), &datagram, |b, datagram| {
            b.iter(|| {
                let (header, body) = Header::parse(black_box(datagram)).expect("a header");
                let segments = Data::new(&header, body).segments();
                segments.map(|segment| segment.expect("a segment").payload.len()).sum::<usize>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, header, ack, jumbo);
criterion_main!(benches);
