//! What is seen on the wire: serials, sequence numbers, windows, acknowledgements, sizes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use rxrpc_proto::Instant;
use rxrpc_proto::wire::{
    Ack, Body, Data, Flags, Header, INITIAL_WINDOW, MAX_SACK, PacketType, SECURITY_NONE,
};

use super::flight::{Flight, Order};
use super::{Allowances, Oracle};
use crate::coverage::{Coverage, Limit};
use crate::packet::{NodeId, Packet};
use crate::scenario::{ElementKind, ElementSpec, EndpointSpec, NodeSpec, Scenario, us};

type Finding = Option<(Oracle, String)>;

/// Largest UDP payload that may be sent while there is no path MTU discovery.
const LARGEST: usize = 1444;

/// Packets that may be sent again while nothing is acknowledged: a window at each of some dozen time-outs.
const STORM: u32 = 10_000;

/// Serials of one connection lie this close to each other; a few are taken for packets that are not sent after all.
const NEAR: u32 = 1_000;

/// Which packets of a direction have arrived: all before `base`, and some after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    base: u32,
    after: [u64; 8],
}

impl Arrived {
    pub(super) const NONE: Arrived = Arrived { base: 1, after: [0; 8] };

    pub(super) fn add(&mut self, seq: u32) {
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

    /// All before `first` have arrived.
    pub(super) fn advance_to(&mut self, first: u32) {
        while self.base < first {
            let by = (first - self.base).min(63);
            self.shift(by);
            self.base += by;
            if self.after == [0; 8] {
                self.base = first;
            }
        }
    }

    /// How many have arrived.
    pub(super) fn count(&self) -> u32 {
        self.base - 1 + self.after.iter().map(|word| word.count_ones()).sum::<u32>()
    }

    pub(super) fn has(&self, seq: u32) -> bool {
        let i = seq.wrapping_sub(self.base);
        seq < self.base || (i < 512 && self.after[(i / 64) as usize] >> (i % 64) & 1 == 1)
    }

    /// Whether any from this one on has arrived.
    pub(super) fn has_from(&self, seq: u32) -> bool {
        let skip = seq.saturating_sub(self.base);
        let words = self.after.iter().enumerate().skip((skip / 64) as usize);
        let from = |i: usize| if i as u32 == skip / 64 { skip % 64 } else { 0 };
        seq < self.base || words.map(|(i, word)| word >> from(i)).any(|word| word != 0)
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
    /// First sequence number beyond every window it has offered.
    offered: u32,
    /// When the end of the reply first reached this client.
    reply_end: Option<Instant>,
    /// It has sent something since.
    answered: bool,
    /// Packets it has sent again since it was last told of progress.
    again: u32,
    flight: Flight,
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
            offered: 1,
            reply_end: None,
            answered: false,
            again: 0,
            flight: Flight::NONE,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Side {
    serial: u32,
    /// It has ended a call before its time. How that is said again is limited, and an error may end others unsaid.
    aborted: bool,
    lanes: [Lane; 4],
}

impl Side {
    const NEW: Side = Side { serial: 0, aborted: false, lanes: [Lane::new(0); 4] };
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
    /// How long clients may take to acknowledge the end of a reply, if nothing keeps them from it.
    answers_within: Option<Duration>,
}

fn key(header: &Header) -> u64 {
    u64::from(header.epoch) << 32 | u64::from(header.connection_id())
}

impl Wire {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Wire {
            connections: HashMap::default(),
            incarnations: vec![0; scenario.nodes.len()],
            answers_within: answers_within(scenario),
            windows: scenario.nodes.iter().map(|n| n.endpoint.window).collect(),
        }
    }

    pub(super) fn on_restart(&mut self, node: NodeId) {
        self.incarnations[usize::from(node)] += 1;
    }

    fn connection(&mut self, header: &Header, server: Option<NodeId>) -> &mut Connection {
        // Made only where it is new: it takes some kilobytes.
        let new = || Connection { sides: [Side::NEW; 2], server: None, incarnation: 0 };
        let connection = self.connections.entry(key(header)).or_insert_with(new);
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
            return None;
        }
        let window = self.windows.get(usize::from(from)).copied().unwrap_or(0);
        let from_client = header.from_client();
        let connection = self.connection(&header, (!from_client).then_some(from));
        let side = &mut connection.sides[usize::from(!from_client)];
        let lane = &mut side.lanes[header.channel()];
        lane.answered |= lane.reply_end.is_some();
        let fresh_call = header.call_number > lane.call;
        if fresh_call {
            *lane = Lane::new(header.call_number);
        }
        side.aborted |= header.packet_type == PacketType::Abort;
        let old_call = header.call_number < lane.call;
        let forgetful = !from_client && (allow.eviction || allow.forgets);
        let recreated = forgetful || (!from_client && fresh_call);
        if forgetful && side.serial != 0 && header.serial.wrapping_sub(side.serial) > NEAR {
            // It has forgotten the connection, and the calls on it begin anew, at a random serial.
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

    pub(super) fn on_delivered(
        &mut self,
        now: Instant,
        to: NodeId,
        packet: &Packet,
        coverage: &mut Coverage,
    ) -> Finding {
        let (header, rest) = Header::parse(&packet.bytes).ok()?;
        coverage.packet(header.packet_type);
        let is_call = matches!(header.packet_type, PacketType::Data | PacketType::Ack | PacketType::Busy);
        // There is one security class: DATA and ACKs of another are dropped, and tell nothing.
        let foreign = header.security_index != SECURITY_NONE && header.packet_type != PacketType::Busy;
        if !is_call || foreign {
            return None;
        }
        let body = Body::parse(&header, rest).ok()?;
        let within = self.answers_within;
        let from_client = header.from_client();
        let connection = self.connection(&header, from_client.then_some(to));
        let side = &mut connection.sides[usize::from(from_client)];
        let aborted = side.aborted;
        let order = Order { own: header.serial, sent: side.serial };
        let lane = &mut side.lanes[header.channel()];
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
                lane.flight.on_ack(&ack, order);
            }
            Body::Busy if header.call_number == lane.call => lane.flight.on_refused(),
            _ => {}
        }
        let is_end = header.packet_type == PacketType::Data && header.flags.contains(Flags::LAST_PACKET);
        if from_client || !is_end || header.call_number != lane.call {
            return None;
        }
        if aborted || lane.answered {
            return None;
        }
        let since = *lane.reply_end.get_or_insert(now);
        let text = "the end of a reply came again, and the first one was not acknowledged";
        (now - since > within?).then(|| (Oracle::Ack, text.into()))
    }
}

/// How long a client may take to acknowledge the end of a reply: its timers, and some more.
fn answers_within(scenario: &Scenario) -> Option<Duration> {
    let free = |node: &NodeSpec| {
        let usual = EndpointSpec::default();
        node.socket.blocked == 0.0 && node.endpoint.replays_per_second == usual.replays_per_second
    };
    let waits =
        |n: &NodeSpec| n.endpoint.final_ack + n.endpoint.delayed_ack + n.clock.granularity + n.clock.late;
    let longest = scenario.nodes.iter().map(waits).max().unwrap_or(0);
    let errors = |e: &ElementSpec| matches!(e.kind, ElementKind::Icmp { .. } | ElementKind::Mtu(_));
    let reported = scenario.links.iter().flat_map(|l| &l.elements).any(errors);
    let all_free = scenario.actions.is_empty() && !reported && scenario.nodes.iter().all(free);
    all_free.then(|| us(longest * 2) + Duration::from_millis(20))
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
            if let Some((flight, most)) = lane.flight.excess(seq, segment.payload.len()) {
                return Some((Oracle::Window, format!("{flight} packets on their way, {most} may be")));
            }
        } else if last != (lane.last == Some(seq)) && !again {
            return Some((Oracle::Sequence, format!("packet {seq} changed whether it is the last")));
        } else if seq < lane.told_first && !again {
            let text = format!("packet {seq} again, acknowledged up to {}", lane.told_first);
            return Some((Oracle::Window, text));
        }
        if !fresh {
            lane.again += 1;
            lane.flight.on_again(seq, segment.serial);
        }
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
    // What has been read makes room before the peer is told so.
    lane.offered = lane.offered.max(first.saturating_add(window));
    for (i, octet) in table.iter().enumerate() {
        let seq = first.wrapping_add(i as u32);
        // With the window closed one packet may be held all the same.
        if Ack::received(*octet) && seq > lane.offered {
            return Some((
                Oracle::Window,
                format!("packet {seq} taken, the window ended at {}", lane.offered),
            ));
        }
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
    lane.offered = lane.offered.max(first.saturating_add(offered));
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
