//! What is seen on the wire: serials, sequence numbers, windows, acknowledgements, sizes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rxrpc_proto::wire::{Ack, Body, Data, Flags, Header, INITIAL_WINDOW, MAX_SACK, PacketType, next_serial};

use super::{Allowances, Oracle};
use crate::coverage::{Coverage, Limit};
use crate::packet::{NodeId, Packet};
use crate::scenario::Scenario;

type Finding = Option<(Oracle, String)>;

/// Largest UDP payload that may be sent while there is no path MTU discovery.
const LARGEST: usize = 1444;

/// Packets that may be sent again while nothing is acknowledged: a window at each of some dozen time-outs.
const STORM: u32 = 10_000;

/// Which packets of a direction have arrived: all before `base`, and some after.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    base: u32,
    after: [u64; 8],
}

impl Arrived {
    const NONE: Arrived = Arrived { base: 1, after: [0; 8] };

    fn add(&mut self, seq: u32) {
        let i = seq.wrapping_sub(self.base);
        if seq < self.base || i >= 512 {
            return;
        }
        self.after[(i / 64) as usize] |= 1 << (i % 64);
        while self.after[0] & 1 == 1 {
            let run = self.after[0].trailing_ones().min(63);
            self.shift(run);
            self.base += run;
        }
    }

    fn shift(&mut self, by: u32) {
        let mut carry = 0;
        for word in self.after.iter_mut().rev() {
            let next = *word << (64 - by);
            *word = (*word >> by) | carry;
            carry = next;
        }
    }

    fn has(&self, seq: u32) -> bool {
        let i = seq.wrapping_sub(self.base);
        seq < self.base || (i < 512 && self.after[(i / 64) as usize] >> (i % 64) & 1 == 1)
    }

    fn is_below(&self, first: u32) -> bool {
        first <= self.base || (self.base..first).all(|seq| self.has(seq))
    }
}

/// One side of a channel: what it has sent and been told.
#[derive(Clone, Copy, Debug)]
struct Lane {
    call: u32,
    /// Highest sequence number sent.
    sent: u32,
    last: Option<u32>,
    /// What it has received of the other side.
    arrived: Arrived,
    /// Highest firstPacket it was told.
    told_first: u32,
    /// First sequence number beyond every window it was offered.
    edge: u32,
    /// Highest firstPacket it has sent.
    said_first: u32,
    /// Packets it has sent again since it was last told of progress.
    again: u32,
}

impl Lane {
    const fn new(call: u32) -> Lane {
        Lane {
            call,
            sent: 0,
            last: None,
            arrived: Arrived::NONE,
            told_first: 1,
            edge: 1 + INITIAL_WINDOW,
            said_first: 1,
            again: 0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Side {
    serial: u32,
    lanes: [Lane; 4],
}

impl Side {
    const NEW: Side = Side { serial: 0, lanes: [Lane::new(0); 4] };
}

/// A connection, the client's side first.
#[derive(Clone, Copy, Debug)]
struct Connection {
    sides: [Side; 2],
    server: Option<NodeId>,
    /// Restarts of the server so far.
    incarnation: u32,
}

/// The keys are random enough to be their own hash.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {}
    fn write_u64(&mut self, n: u64) {
        self.0 = (n ^ (n >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

pub(super) struct Wire {
    connections: HashMap<u64, Connection, BuildHasherDefault<Plain>>,
    /// By node.
    incarnations: Vec<u32>,
    windows: Vec<u32>,
}

fn key(header: &Header) -> u64 {
    u64::from(header.epoch) << 32 | u64::from(header.connection_id())
}

impl Wire {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Wire {
            connections: HashMap::default(),
            incarnations: vec![0; scenario.nodes.len()],
            windows: scenario.nodes.iter().map(|n| n.endpoint.window).collect(),
        }
    }

    pub(super) fn on_restart(&mut self, node: NodeId) {
        self.incarnations[usize::from(node)] += 1;
    }

    fn connection(&mut self, header: &Header, server: Option<NodeId>) -> &mut Connection {
        let new = Connection { sides: [Side::NEW; 2], server: None, incarnation: 0 };
        let connection = self.connections.entry(key(header)).or_insert(new);
        if let Some(server) = server {
            let incarnation = self.incarnations.get(usize::from(server)).copied().unwrap_or(0);
            if connection.server != Some(server) || connection.incarnation != incarnation {
                connection.sides[1] = Side::NEW;
                connection.server = Some(server);
                connection.incarnation = incarnation;
            }
        }
        connection
    }

    pub(super) fn on_sent(
        &mut self,
        from: NodeId,
        packet: &Packet,
        tainted: bool,
        allow: &Allowances,
        coverage: &mut Coverage,
    ) -> Finding {
        let Ok((header, rest)) = Header::parse(&packet.bytes) else {
            return Some((Oracle::Format, "a packet without a header".into()));
        };
        if packet.bytes.len() > LARGEST {
            return Some((Oracle::Format, format!("{} bytes in a packet", packet.bytes.len())));
        }
        let body = match Body::parse(&header, rest) {
            Ok(body) => body,
            Err(_) if header.packet_type == PacketType::Version => return None,
            Err(e) => return Some((Oracle::Format, format!("{e}"))),
        };
        if matches!(header.packet_type, PacketType::Version | PacketType::Debug) || header.serial == 0 {
            if header.packet_type == PacketType::Busy {
                coverage.limit(Limit::Backlog);
            }
            return None;
        }
        let window = self.windows.get(usize::from(from)).copied().unwrap_or(0);
        let from_client = header.from_client();
        let connection = self.connection(&header, (!from_client).then_some(from));
        let side = &mut connection.sides[usize::from(!from_client)];
        let lane = &mut side.lanes[header.channel()];
        let fresh_call = header.call_number > lane.call;
        if fresh_call {
            *lane = Lane::new(header.call_number);
        }
        let old_call = header.call_number < lane.call;
        let forgetful = !from_client && (allow.eviction || allow.forgets);
        let recreated = forgetful || (!from_client && fresh_call);
        if forgetful && side.serial != 0 && header.serial != next_serial(side.serial) {
            // It has forgotten the connection, and the calls on it begin anew.
            side.lanes = side.lanes.map(|lane| Lane { arrived: lane.arrived, ..Lane::new(lane.call) });
        }
        let lane = &mut side.lanes[header.channel()];
        let serial_grows = header.serial.wrapping_sub(side.serial) as i32 > 0;
        if side.serial != 0 && !serial_grows && !recreated && !tainted {
            return Some((Oracle::Sequence, format!("serial {} after {}", header.serial, side.serial)));
        }
        side.serial = header.serial;
        if old_call || tainted {
            return None;
        }
        match body {
            Body::Data(data) => {
                // A server that has forgotten the connection begins it anew. And a client that was moved to a newer
                // service heeds no acknowledgement of a server that has forgotten that.
                let again = packet.late || forgetful || (allow.upgrades && allow.restarts);
                check_data(lane, &data, from_client, again)
            }
            Body::Ack(ack) => check_ack(lane, &ack, window, allow, coverage),
            _ => None,
        }
    }

    pub(super) fn on_delivered(&mut self, to: NodeId, packet: &Packet, coverage: &mut Coverage) {
        let Ok((header, rest)) = Header::parse(&packet.bytes) else { return };
        coverage.packet(header.packet_type);
        let is_call = matches!(header.packet_type, PacketType::Data | PacketType::Ack);
        if !is_call {
            return;
        }
        let Ok(body) = Body::parse(&header, rest) else { return };
        let from_client = header.from_client();
        let connection = self.connection(&header, from_client.then_some(to));
        let lane = &mut connection.sides[usize::from(from_client)].lanes[header.channel()];
        match body {
            Body::Data(data) => {
                if header.call_number > lane.call && from_client {
                    *lane = Lane::new(header.call_number);
                }
                if header.call_number == lane.call {
                    data.segments().flatten().for_each(|s| lane.arrived.add(s.seq));
                }
            }
            Body::Ack(ack) if header.call_number == lane.call && packet.origin.is_some() => {
                if ack.fields.first_packet > lane.told_first {
                    lane.told_first = ack.fields.first_packet;
                    lane.again = 0;
                }
                // Who says nothing of a window takes what every peer does.
                let window = ack.trailer().and_then(|t| t.rwind).unwrap_or(INITIAL_WINDOW);
                lane.edge = lane.edge.max(ack.fields.first_packet.saturating_add(window));
            }
            _ => {}
        }
    }
}

fn check_data(lane: &mut Lane, data: &Data<'_>, from_client: bool, again: bool) -> Finding {
    for segment in data.segments() {
        let Ok(segment) = segment else { return Some((Oracle::Format, "a jumbogram cut short".into())) };
        let last = segment.flags.contains(Flags::LAST_PACKET);
        let seq = segment.seq;
        let fresh = seq > lane.sent;
        if fresh {
            if seq != lane.sent + 1 {
                return Some((Oracle::Sequence, format!("packet {seq} after {}", lane.sent)));
            }
            if lane.last.is_some() {
                return Some((Oracle::Sequence, format!("packet {seq} after the last one")));
            }
            if seq >= lane.edge {
                return Some((Oracle::Window, format!("packet {seq}, the window ends at {}", lane.edge)));
            }
            lane.sent = seq;
            lane.last = last.then_some(seq);
        } else if last != (lane.last == Some(seq)) && !again {
            return Some((Oracle::Sequence, format!("packet {seq} changed whether it is the last")));
        } else if seq < lane.told_first && !again {
            let text = format!("packet {seq} again, acknowledged up to {}", lane.told_first);
            return Some((Oracle::Window, text));
        }
        lane.again += u32::from(!fresh);
        if lane.again > STORM {
            return Some((Oracle::Work, format!("{STORM} packets sent again without progress")));
        }
        let asks = segment.flags.contains(Flags::REQUEST_ACK);
        if last && !from_client && asks {
            return Some((Oracle::Format, "the last packet of a reply asks for an acknowledgement".into()));
        }
    }
    None
}

fn check_ack(
    lane: &mut Lane,
    ack: &Ack<'_>,
    window: u32,
    allow: &Allowances,
    coverage: &mut Coverage,
) -> Finding {
    let fields = &ack.fields;
    coverage.reason(fields.reason);
    let first = fields.first_packet;
    if first < lane.said_first && !allow.eviction && !allow.forgets {
        return Some((Oracle::Ack, format!("firstPacket {first} after {}", lane.said_first)));
    }
    lane.said_first = lane.said_first.max(first);
    if !lane.arrived.is_below(first) {
        return Some((Oracle::Ack, format!("firstPacket {first}, packet {} is missing", lane.arrived.base)));
    }
    let Some(table) = ack.table() else { return Some((Oracle::Format, "a table cut short".into())) };
    for (i, octet) in table.iter().enumerate() {
        let seq = first.wrapping_add(i as u32);
        if *octet > 1 {
            return Some((Oracle::Format, format!("octet {octet} in a table")));
        }
        if Ack::received(*octet) && !lane.arrived.has(seq) {
            return Some((Oracle::Ack, format!("packet {seq} acknowledged, which has not arrived")));
        }
    }
    let offered = ack.trailer().and_then(|t| t.rwind).unwrap_or(0);
    // Packets of a call that nobody has accepted are held without being acknowledged for good.
    let allowed = (window as usize + table.len()).min(MAX_SACK) as u32;
    if offered > allowed {
        return Some((Oracle::Window, format!("a window of {offered} offered, {allowed} allowed")));
    }
    if offered == 0 {
        coverage.limit(Limit::Window);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_out_of_order_are_remembered_and_move_the_base() {
        let mut arrived = Arrived::NONE;
        for seq in [3, 2, 200, 100] {
            arrived.add(seq);
        }
        assert!(arrived.has(3) && !arrived.has(1) && !arrived.is_below(2));
        arrived.add(1);
        assert_eq!(arrived.base, 4);
        assert!(arrived.has(200) && arrived.has(100) && !arrived.has(150));
        (4..=300).for_each(|seq| arrived.add(seq));
        assert_eq!(arrived.base, 301);
        assert!(arrived.is_below(301) && !arrived.is_below(302));
    }
}
