//! What anyone can see on the wire: windows are kept, retransmissions are the same, serials rise, strangers get
//! no more than their share.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use rxrpc_proto::Instant;
use rxrpc_proto::wire::{Body, Flags, Header, INITIAL_WINDOW};

use super::net::Flight;
use crate::endpoint::budget::Budgets;
use crate::endpoint::oracle::check_datagram;

/// A call on the wire: epoch, connection with channel, call number.
type Wire = (u32, u32, u32);

/// No packet is sent more often in a call's life, whatever is lost.
const MOST_SENDINGS: u32 = 200;

pub(super) struct Watch {
    budgets: [Option<Budgets>; 2],
    /// First packet that a side may not send, by the ACKs it was handed.
    edges: BTreeMap<(Wire, usize), u32>,
    /// Digest of the payload of each DATA packet, whether it is the last, and how often it was sent.
    payloads: BTreeMap<(Wire, usize, u32), (u64, bool, u32)>,
    serials: BTreeMap<(u32, u32), u32>,
    /// Number of each call, which the first octet of its request tells.
    names: BTreeMap<Wire, usize>,
    /// When a side was last handed a packet of a call.
    heard: BTreeMap<(usize, usize), Instant>,
    pub(super) launched: u64,
}

fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

/// Whether to tell of every datagram, to understand a finding: set `PAIR_TRACE`.
fn tracing() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| std::env::var_os("PAIR_TRACE").is_some())
}

fn describe(bytes: &[u8]) -> String {
    let (h, octets) = Header::parse(bytes).expect("ours");
    let what = match Body::parse(&h, octets) {
        Ok(Body::Ack(ack)) => {
            let f = ack.fields;
            let table: String =
                ack.table().unwrap_or_default().iter().map(|o| char::from(b'0' + o)).collect();
            let window = ack.trailer().and_then(|t| t.rwind).unwrap_or(0);
            let (first, previous) = (f.first_packet, f.previous_packet);
            format!(
                "{:?} of {} first {first} previous {previous} window {window} [{table}]",
                f.reason, f.serial
            )
        }
        Ok(Body::Data(data)) => format!("{} octets", data.body().len()),
        Ok(Body::Abort(code)) => format!("code {}", code.0),
        _ => String::new(),
    };
    let (cid, call, seq) = (h.cid, h.call_number, h.seq);
    format!("{:?} {cid:x}.{call} seq {seq} serial {} flags {:x} {what}", h.packet_type, h.serial, h.flags.0)
}

impl Watch {
    pub(super) fn new(validates: [bool; 2], lasts: Duration) -> Watch {
        Watch {
            budgets: validates.map(|on| on.then(|| Budgets::new(lasts))),
            edges: BTreeMap::new(),
            payloads: BTreeMap::new(),
            serials: BTreeMap::new(),
            names: BTreeMap::new(),
            heard: BTreeMap::new(),
            launched: 0,
        }
    }

    /// A side sent a datagram.
    pub(super) fn on_launch(&mut self, now: Instant, from: usize, to: std::net::SocketAddr, bytes: &[u8]) {
        check_datagram(bytes);
        self.launched += 1;
        if tracing() {
            eprintln!("{now:?} {from} sends to {} {}", to.port(), describe(bytes));
        }
        if let Some(budgets) = &mut self.budgets[from] {
            budgets.on_sent(now, to, bytes);
        }
        let (header, octets) = Header::parse(bytes).expect("checked");
        let wire = (header.epoch, header.cid, header.call_number);
        if header.from_client() && header.serial != 0 {
            let last = self.serials.insert((header.epoch, header.connection_id()), header.serial);
            assert!(last.is_none_or(|last| header.serial.wrapping_sub(last) as i32 > 0), "serial again");
        }
        if let Ok(Body::Data(data)) = Body::parse(&header, octets) {
            let edge = self.edges.get(&(wire, from)).copied().unwrap_or(1 + INITIAL_WINDOW);
            for segment in data.segments().flatten() {
                if header.from_client() && segment.seq == 1 {
                    self.names.insert(wire, usize::from(segment.payload[0]));
                }
                assert!(segment.seq < edge, "packet {} in a window that ends before {edge}", segment.seq);
                let is = (digest(segment.payload), segment.flags.contains(Flags::LAST_PACKET));
                let was = self.payloads.entry((wire, from, segment.seq)).or_insert((is.0, is.1, 0));
                assert_eq!(is, (was.0, was.1), "packet {} was sent again with other contents", segment.seq);
                was.2 += 1;
                assert!(was.2 < MOST_SENDINGS, "packet {} is sent again and again", segment.seq);
            }
        }
    }

    /// A side is handed a datagram.
    pub(super) fn on_arrival(&mut self, now: Instant, flight: &Flight) {
        if tracing() {
            eprintln!(
                "{now:?} {} is handed from {} {}",
                flight.to,
                flight.source.port(),
                describe(&flight.bytes)
            );
        }
        if let Some(budgets) = &mut self.budgets[flight.to] {
            budgets.on_received(now, flight.source, &flight.bytes);
        }
        let (header, octets) = Header::parse(&flight.bytes).expect("ours");
        if let Some(index) = self.names.get(&(header.epoch, header.cid, header.call_number)) {
            self.heard.insert((*index, flight.to), now);
        }
        if let Ok(Body::Ack(ack)) = Body::parse(&header, octets)
            && let Some(rwind) = ack.trailer().and_then(|t| t.rwind)
        {
            let wire = (header.epoch, header.cid, header.call_number);
            let edge = self.edges.entry((wire, flight.to)).or_insert(1 + INITIAL_WINDOW);
            *edge = (*edge).max(ack.fields.first_packet.saturating_add(rwind));
        }
    }

    /// Whether both sides were handed packets of the call since then.
    pub(super) fn heard_both_since(&self, index: usize, since: Instant) -> bool {
        (0..2).all(|side| self.heard.get(&(index, side)).is_some_and(|at| *at >= since))
    }
}
