//! Inputs to begin with: captured conversations, and the beginnings of calls.
//!
//! They are written in the encoding that the targets read, so whoever changes that changes this.

use rxrpc_proto::wire::Header;

use crate::endpoint::ops::op;
use crate::input::Output;
use crate::pair::ops::op as act;

/// Datagrams of a capture that a seed takes in.
const TAKEN: usize = 24;
/// Octets of a datagram that are kept as they are; the rest is zeros.
const HEAD: usize = 80;

/// An `endpoint` input that hands the datagrams of a capture to an endpoint that offers their services.
///
/// What servers sent follows what clients sent from another address, as if the endpoint had called them.
#[must_use]
pub fn conversation(datagrams: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Output::default();
    out.byte(0).byte(0);
    listen_to_all(&mut out);
    for datagram in datagrams.iter().take(TAKEN) {
        let client = Header::parse(datagram).is_ok_and(|(header, _)| header.from_client());
        let (head, rest) = datagram.split_at(datagram.len().min(HEAD));
        out.byte(op::RAW).byte(if client { 0 } else { 5 }).byte(head.len() as u8);
        out.word(rest.len() as u16).bytes(head);
        if client {
            // Accept the newest call if it waits, read, and answer.
            out.byte(op::ACCEPT).byte(0).byte(op::READ).byte(0x10).word(20_000);
            out.byte(op::WRITE).byte(0).word(30).byte(op::FINISH).byte(0);
        }
        out.byte(op::TICK).byte(2);
    }
    out.0
}

fn listen_to_all(out: &mut Output) {
    for service in [0, 1, 2, 3, 4, 5, 7] {
        out.byte(op::LISTEN).byte(service).byte(0x30);
    }
}

/// An `endpoint` input for each way a peer can behave towards a client call and a service call.
#[must_use]
pub fn answers() -> Vec<Vec<u8>> {
    let mut all = vec![upgraded_twice(), flooded()];
    for kind in 0..16 {
        for (modes, reason) in [(0x40, 1), (0x44, 7), (0x0a, 3), (0x4b, 4), (0xc0, 9)] {
            all.push(client_call(kind, modes, reason));
            all.push(service_call(kind, modes, reason));
            if !(6..=10).contains(&kind) {
                break;
            }
        }
    }
    all
}

/// A body for a crafted packet of this kind.
fn body(out: &mut Output, kind: u8, modes: u8, reason: u8) {
    match kind {
        0..=5 => {
            out.number(1).byte(if kind < 3 { 4 } else { 0 }).byte(20 + kind * 30);
        }
        6..=10 => {
            out.byte(modes).byte(reason).byte(32).byte(0b10);
            if modes >> 6 != 0 {
                out.number(16).number(1444).number(16).number(4);
            }
        }
        11 => {
            out.number(7);
        }
        15 => {
            out.byte(13).byte(4).bytes(&[0; 4]);
        }
        _ => {
            out.byte(4).bytes(&[0; 4]);
        }
    }
}

fn client_call(kind: u8, modes: u8, reason: u8) -> Vec<u8> {
    let mut out = Output::default();
    out.byte(0).byte(0);
    out.byte(op::BEGIN).byte(0x20).byte(0).byte(op::FINISH).byte(0);
    out.byte(op::CRAFT).byte(0).byte(128).byte(kind);
    body(&mut out, kind, modes, reason);
    out.byte(op::TICK).byte(4).byte(op::READ).byte(0).word(200).byte(op::NEXT_TIMEOUT);
    out.0
}

fn service_call(kind: u8, modes: u8, reason: u8) -> Vec<u8> {
    let mut out = Output::default();
    out.byte(0).byte(0);
    listen_to_all(&mut out);
    // The whole request, from the first client.
    out.byte(op::CRAFT).byte(0).byte(0).byte(0).byte(0).number(1).byte(6).byte(10);
    out.byte(op::ACCEPT).byte(0).byte(op::READ).byte(0).word(200);
    out.byte(op::WRITE).byte(0).word(3000).byte(op::FINISH).byte(0);
    out.byte(op::CRAFT).byte(0).byte(128).byte(kind);
    body(&mut out, kind, modes, reason);
    out.byte(op::TICK).byte(4).byte(op::NEXT_TIMEOUT);
    out.0
}

/// A call that asks for a newer service, answered by one and then by another.
fn upgraded_twice() -> Vec<u8> {
    let mut out = Output::default();
    out.byte(0).byte(0);
    out.byte(op::BEGIN).byte(0x20).byte(8).byte(op::FINISH).byte(0);
    for service in [60, 61] {
        // An ACK, one of whose fields is another: the tenth, the service.
        out.byte(op::CRAFT).byte(0).byte(128).byte(6 | 5 << 5);
        out.byte(2).byte(1).byte(0).byte(0).byte(10).number(service);
    }
    out.0
}

/// A request of jumbos that nobody reads.
fn flooded() -> Vec<u8> {
    let mut out = Output::default();
    out.byte(0).byte(0);
    listen_to_all(&mut out);
    for jumbo in 0..4 {
        // Eight segments each, of which the last is short.
        out.byte(op::CRAFT).byte(0).byte(0).byte(0).byte(0);
        out.number(1 + 8 * jumbo).byte(0).byte(226).byte(10).byte(0);
        out.byte(op::ACCEPT).byte(0);
    }
    out.0
}

/// `pair` inputs: calls of several sizes over networks of several kinds.
#[must_use]
pub fn pairs() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for sizes in [0x00, 0x33, 0x78, 0xee, 0xf1, 0x1f] {
        for fate in [0, 128, 170, 200, 225, 244] {
            let mut ops = Output::default();
            ops.byte(0).byte(0);
            ops.byte(act::BEGIN).byte(sizes).byte(0).byte(act::STEP + 6);
            ops.byte(act::BEGIN).byte(sizes.rotate_left(4)).byte(1).byte(act::STEP + 20);
            let mut input = vec![ops.0.len() as u8];
            input.append(&mut ops.0);
            input.extend([0, 0, fate, 0, 0, 0, fate, 0, fate]);
            all.push(input);
        }
    }
    all
}
