//! What the endpoint answers to each kind of malformed or unexpected packet. The rows are those of the table in
//! `QUIRKS.md`, in the order in which the checks are made.

#[path = "../harness/raw.rs"]
mod raw;

mod alone;
mod call;
mod connection;
mod early;

use raw::{Raw, Sent, faults_seen};
use rxrpc_proto::Fault;
use rxrpc_proto::wire::{AbortCode, PacketType};

/// Nothing was sent, and this is the only fault that was counted.
fn dropped(raw: &Raw, sent: &[Sent], fault: impl Into<Fault>) {
    assert!(sent.is_empty(), "{sent:?}");
    assert_eq!(raw.faults(), [fault.into()]);
}

/// Exactly these octets were sent, to whom they are owed, and this is the only fault that was counted.
fn answered(raw: &Raw, sent: &[Sent], expected: &[u8], fault: impl Into<Fault>) {
    assert_eq!(sent.iter().map(|s| &s.bytes[..]).collect::<Vec<_>>(), [expected]);
    assert_eq!(sent[0].to, raw.peer);
    assert_eq!(raw.faults(), [fault.into()]);
}

/// One ABORT with RX_PROTOCOL_ERROR was sent, and nothing else.
fn aborted(sent: &[Sent]) {
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].is(PacketType::Abort));
    assert_eq!(sent[0].abort_code(), AbortCode(-5));
}

#[test]
fn every_fault_is_the_fault_of_some_row() {
    let rows = [alone::ROWS, connection::ROWS, call::ROWS].concat();
    rows.iter().for_each(|row| row());
    let seen = faults_seen();
    let missing: Vec<_> = Fault::all().filter(|fault| !seen.contains(fault)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
