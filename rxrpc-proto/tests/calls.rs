//! Calls between two endpoints on a network without mishaps.

mod harness;

use harness::{CLIENT, Pair, SERVER, pattern};
use rxrpc_proto::wire::PacketType;

#[test]
fn a_small_call_takes_one_packet_each_way_and_a_closing_acknowledgement() {
    let mut pair = Pair::with(|c| c.validate_peers = false);
    assert_eq!(pair.exchange(b"ping", b"pong"), (b"ping".to_vec(), b"pong".to_vec()));
    assert_eq!(pair.count(CLIENT, PacketType::Data), 1);
    assert_eq!(pair.count(SERVER, PacketType::Data), 1);
    assert_eq!((pair.count(CLIENT, PacketType::Ack), pair.count(SERVER, PacketType::Ack)), (1, 0));
}

#[test]
fn payloads_of_every_size_around_packet_edges_arrive_exactly() {
    let mut pair = Pair::new();
    for size in [0, 1, 1411, 1412, 1413, 1416, 2823, 2824, 2825, 100_000, 3_000_000] {
        let (request, reply) = (pattern(size), pattern(size / 2));
        assert!(pair.exchange(&request, &reply) == (request, reply), "size {size}");
    }
}
