//! What is seen on the wire: serials, sequence numbers, windows, acknowledgements, sizes.

use std::time::Duration;

use rxrpc_proto::Instant;
use rxrpc_proto::wire::{
    Ack, AckReason, Body, Flags, Header, INITIAL_WINDOW, MAX_SACK, PacketType, SECURITY_NONE, Segment,
};

use super::flight::{Flight, Order};
use super::seen::{Seen, Sight, at};
use super::{Allowances, Oracle};
use crate::coverage::{Coverage, Limit};
use crate::packet::{NodeId, Packet};
use crate::scenario::{ElementKind, ElementSpec, EndpointSpec, NodeSpec, Scenario, us};

type Finding = Option<(Oracle, String)>;
/// A packet of the right form, and what follows its header.
type Formed<'a> = (Seen<'a>, &'a Body<'a>);

/// Largest UDP payload that may be sent while there is no path MTU discovery.
const LARGEST: usize = 1444;

/// Packets that may be sent again while nothing is acknowledged: a window at each of some dozen time-outs.
const STORM: u32 = 10_000;

/// Serials of one connection lie this close to each other; a few are taken for packets that are not sent after all.
pub(super) const NEAR: u32 = 1_000;

/// Which packets of a direction have arrived: all before `base`, and `beyond` of those after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    base: u32,
    beyond: u32,
    after: [u64; 8],
}

impl Arrived {
    pub(super) const NONE: Arrived = Arrived { base: 1, beyond: 0, after: [0; 8] };

    pub(super) fn add(&mut self, seq: u32) {
        let i = seq.wrapping_sub(self.base);
        if seq < self.base || i >= 512 {
            return;
        }
        if i == 0 && self.beyond == 0 {
            self.base += 1;
            return;
        }
        let (word, bit) = (&mut self.after[(i / 64) as usize], 1 << (i % 64));
        self.beyond += u32::from(*word & bit == 0);
        *word |= bit;
        while self.after[0] & 1 == 1 {
            self.shift(self.after[0].trailing_ones().min(63));
        }
    }

    fn shift(&mut self, by: u32) {
        self.base += by;
        self.beyond -= (self.after[0] & !(u64::MAX << by)).count_ones();
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
            if self.beyond == 0 {
                self.base = first;
            } else {
                self.shift((first - self.base).min(63));
            }
        }
    }

    /// How many have arrived.
    pub(super) fn count(&self) -> u32 {
        self.base - 1 + self.beyond
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
    /// Where the window ends that the peer offered, if it was as large as it can be and has not been used up.
    whole: u32,
    /// Highest firstPacket it has sent.
    said_first: u32,
    /// First sequence number beyond every window it has offered.
    offered: u32,
    /// When the end of the reply first reached this client.
    reply_end: Option<Instant>,
    /// It has sent something since.
    answered: bool,
    /// Highest sequence number sent, also once nothing else is sure any more.
    highest: u32,
    /// Packets it has sent again since it was last told of progress.
    again: u32,
    flight: Flight,
    /// Its connection had to make room when some of it was sent: no more may follow.
    over: bool,
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
            whole: 0,
            said_first: 1,
            offered: 1,
            reply_end: None,
            answered: false,
            highest: 0,
            again: 0,
            flight: Flight::NONE,
            over: false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Side {
    serial: u32,
    /// When a call of the connection was last seen to live.
    alive: Option<Instant>,
    /// It has ended a call before its time. How that is said again is limited, and an error may end others unsaid.
    aborted: bool,
    lanes: [Lane; 4],
}

impl Side {
    const NEW: Side = Side { serial: 0, alive: None, aborted: false, lanes: [Lane::new(0); 4] };
}

/// What the serial of a packet tells, after the one before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Jump {
    /// The connection goes on.
    None,
    /// Its server has forgotten it, as it may, and has begun it anew.
    Forgot,
    /// It had to make room for another and is there again: its server knows which calls are over.
    Evicted,
    /// That cannot be after this one.
    Wrong(u32),
}

impl Side {
    /// It sends a packet. The serials of a connection grow by little; one that was forgotten starts anew at random,
    /// and so do the calls on it.
    fn on_serial(&mut self, now: Instant, header: &Header, body: &Body<'_>, allow: &Allowances) -> Jump {
        let before = std::mem::replace(&mut self.serial, header.serial);
        self.aborted |= header.packet_type == PacketType::Abort;
        let step = header.serial.wrapping_sub(before);
        let may_forget = allow.overflow || self.alive.is_none_or(|at| now - at >= allow.kept);
        let jump = match before {
            0 => Jump::None,
            _ if (1..=NEAR).contains(&step) => Jump::None,
            _ if !header.from_client() && may_forget => Jump::Forgot,
            _ if !header.from_client() && allow.eviction => Jump::Evicted,
            _ => Jump::Wrong(before),
        };
        let anew = matches!(jump, Jump::Forgot | Jump::Evicted);
        if anew {
            let over = |lane: Lane| jump == Jump::Evicted && (lane.over || lane.sent > 0);
            self.lanes = self.lanes.map(|l| Lane { arrived: l.arrived, over: over(l), ..Lane::new(l.call) });
        }
        // Who sends data has a call, and so has who acknowledges some. What acknowledges nothing may be of a call that is
        // not there, on a connection that was begun anew long before and will soon be forgotten again.
        let has_call = match body {
            Body::Data(_) => true,
            Body::Ack(ack) => ack.acknowledges_data(),
            _ => false,
        };
        if has_call {
            self.alive = Some(now);
        }
        jump
    }
}

/// A connection, the client's side first.
#[derive(Clone, Copy, Debug)]
struct Connection {
    sides: [Side; 2],
    server: Option<NodeId>,
    /// Restarts of the server so far.
    incarnation: u32,
}

/// How many connections a node has had as a server since it started, for how many it surely has room, and how many it
/// remembers if they have to make room.
#[derive(Clone, Copy, Debug)]
struct Room {
    had: usize,
    for_all: usize,
    remembered: usize,
}

impl Room {
    fn of(node: &NodeSpec) -> Self {
        let e = &node.endpoint;
        let strangers = e.unvalidated_connections.min(e.unvalidated_per_peer);
        let for_all = e.service_connections.min(if e.validate_peers { strangers } else { usize::MAX });
        Room { had: 0, for_all, remembered: e.evicted_connections }
    }
}

pub(super) struct Wire {
    /// A damaged packet has reached a node: nothing of content is promised from here on.
    pub(super) tainted: bool,
    connections: Vec<Connection>,
    /// By node.
    incarnations: Vec<u32>,
    windows: Vec<u32>,
    rooms: Vec<Room>,
    /// How long clients may take to acknowledge the end of a reply, if nothing keeps them from it.
    answers_within: Option<Duration>,
}

impl Wire {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Wire {
            tainted: false,
            connections: Vec::new(),
            incarnations: vec![0; scenario.nodes.len()],
            answers_within: answers_within(scenario),
            windows: scenario.nodes.iter().map(|n| n.endpoint.window).collect(),
            rooms: scenario.nodes.iter().map(Room::of).collect(),
        }
    }

    /// The server says that nothing is here of a call: has it had the time to forget its connection?
    fn may_have_forgotten(&self, now: Instant, place: Option<usize>, allow: &Allowances) -> bool {
        let known = place.and_then(|place| self.connections.get(place));
        let alive = known.and_then(|connection| connection.sides[1].alive);
        alive.is_some_and(|at| now - at >= allow.kept)
    }

    /// Whether a connection of the server may have had to make room, and whether one may have been forgotten that had.
    pub(super) fn crowd(&self, server: NodeId) -> (bool, bool) {
        let Some(room) = self.rooms.get(usize::from(server)) else { return (false, false) };
        let crowded = room.had > room.for_all;
        (crowded, crowded && room.had > room.remembered)
    }

    pub(super) fn on_restart(&mut self, node: NodeId) {
        self.incarnations[usize::from(node)] += 1;
        self.rooms[usize::from(node)].had = 0;
    }

    fn connection(&mut self, place: usize, server: Option<NodeId>) -> &mut Connection {
        // Made only where it is new: it takes some kilobytes.
        let new = || Connection { sides: [Side::NEW; 2], server: None, incarnation: 0 };
        let connection = at(&mut self.connections, place, new);
        if let Some(server) = server {
            let incarnation = self.incarnations.get(usize::from(server)).copied().unwrap_or(0);
            if connection.server != Some(server) || connection.incarnation != incarnation {
                connection.sides[1] = Side::NEW;
                connection.server = Some(server);
                connection.incarnation = incarnation;
                if let Some(room) = self.rooms.get_mut(usize::from(server)) {
                    room.had += 1;
                }
            }
        }
        connection
    }

    pub(super) fn on_sent(
        &mut self,
        now: Instant,
        from: NodeId,
        (packet, seen): Sight<'_>,
        allow: &mut Allowances,
        coverage: &mut Coverage,
    ) -> Finding {
        let (seen, body) = match check_form(packet, seen) {
            Ok(Some(checked)) => checked,
            Ok(None) => return None,
            Err(finding) => return Some(finding),
        };
        let Seen { header, place, .. } = seen;
        if header.serial == 0 {
            allow.forgot |= matches!(body, Body::Ack(_)) && self.may_have_forgotten(now, place, allow);
            return check_stateless(header, body);
        }
        let tainted = self.tainted;
        let window = self.windows.get(usize::from(from)).copied().unwrap_or(0);
        let from_client = header.from_client();
        let connection = self.connection(place?, (!from_client).then_some(from));
        let side = &mut connection.sides[usize::from(!from_client)];
        let jump = side.on_serial(now, header, body, allow);
        let lane = &mut side.lanes[header.channel()];
        lane.answered |= lane.reply_end.is_some();
        if header.call_number > lane.call {
            *lane = Lane::new(header.call_number);
        }
        let old_call = header.call_number < lane.call;
        let found = if old_call { None } else { check_anyway(lane, seen, body) };
        allow.forgot |= jump == Jump::Forgot;
        if tainted || found.is_some() {
            return found;
        }
        if let Jump::Wrong(before) = jump {
            return Some((Oracle::Sequence, format!("serial {} after {before}", header.serial)));
        }
        match body {
            _ if old_call => None,
            Body::Data(data) => {
                // A client that was moved to a newer service heeds no acknowledgement of a server that has forgotten
                // that.
                let again = packet.late || (allow.upgrades && allow.restarts);
                let finding = seen.judge_segments(data, |segment| check_data(lane, &segment.ok()?, again));
                if lane.sent + 1 == lane.whole {
                    lane.whole = 0;
                    coverage.limit(Limit::WholeWindow);
                }
                finding
            }
            Body::Ack(ack) => check_ack(lane, ack, window, coverage),
            _ => None,
        }
    }

    pub(super) fn on_delivered(
        &mut self,
        now: Instant,
        to: NodeId,
        (packet, seen): Sight<'_>,
        coverage: &mut Coverage,
    ) -> Finding {
        self.tainted |= packet.damaged;
        let seen = seen?;
        let Seen { header, body, place } = seen;
        coverage.packet(header.packet_type);
        let is_call = matches!(header.packet_type, PacketType::Data | PacketType::Ack | PacketType::Busy);
        // There is one security class: DATA and ACKs of another are dropped, and tell nothing.
        let foreign = header.security_index != SECURITY_NONE && header.packet_type != PacketType::Busy;
        if !is_call || foreign {
            return None;
        }
        let body = body.as_ref().ok()?;
        let within = self.answers_within;
        let most = packet.origin.and_then(|from| self.windows.get(usize::from(from)).copied()).unwrap_or(0);
        let from_client = header.from_client();
        let connection = self.connection(place?, from_client.then_some(to));
        let side = &mut connection.sides[usize::from(from_client)];
        let aborted = side.aborted;
        let order = Order { own: header.serial, sent: side.serial };
        let lane = &mut side.lanes[header.channel()];
        match body {
            Body::Data(data) => {
                // The server has the connection from now on, if it had none before.
                side.alive.get_or_insert(now);
                if header.call_number > lane.call && from_client {
                    *lane = Lane::new(header.call_number);
                }
                if header.call_number == lane.call {
                    (0..seen.whole(data)).for_each(|i| lane.arrived.add(header.seq.wrapping_add(i)));
                }
            }
            Body::Ack(ack) if header.call_number == lane.call && packet.origin.is_some() => {
                if ack.fields.first_packet > lane.told_first {
                    lane.told_first = ack.fields.first_packet;
                    lane.again = 0;
                }
                // Who says nothing of a window takes what every peer does.
                let window = ack.trailer().and_then(|t| t.rwind).unwrap_or(INITIAL_WINDOW);
                let edge = ack.fields.first_packet.saturating_add(window);
                if window == most {
                    lane.whole = lane.whole.max(edge);
                }
                lane.edge = lane.edge.max(edge);
                lane.flight.on_ack(ack, order);
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
        // Who forgets connections soon knows nothing of a reply that comes again later.
        let keeps = node.endpoint.idle_client >= usual.idle_client;
        node.socket.blocked == 0.0 && keeps && node.endpoint.replays_per_second == usual.replays_per_second
    };
    let waits =
        |n: &NodeSpec| n.endpoint.final_ack + n.endpoint.delayed_ack + n.clock.granularity + n.clock.late;
    let longest = scenario.nodes.iter().map(waits).max().unwrap_or(0);
    let errors = |e: &ElementSpec| matches!(e.kind, ElementKind::Icmp { .. } | ElementKind::Mtu(_));
    let reported = scenario.links.iter().flat_map(|l| &l.elements).any(errors);
    let all_free = scenario.actions.is_empty() && !reported && scenario.nodes.iter().all(free);
    all_free.then(|| us(longest * 2) + Duration::from_millis(20))
}

/// What a packet is, which must be of the right form, and where its connection is. None if it is of no connection.
fn check_form<'a>(packet: &Packet, seen: Option<Seen<'a>>) -> Result<Option<Formed<'a>>, (Oracle, String)> {
    let wrong = |text: String| Err((Oracle::Format, text));
    let Some(seen) = seen else {
        return wrong("a packet without a header".into());
    };
    if packet.bytes.len() > LARGEST {
        return wrong(format!("{} bytes in a packet", packet.bytes.len()));
    }
    match seen.body {
        _ if seen.header.packet_type == PacketType::Version => Ok(None),
        Ok(_) if seen.header.packet_type == PacketType::Debug => Ok(None),
        Ok(body) => Ok(Some((seen, body))),
        Err(e) => wrong(format!("{e}")),
    }
}

/// Only what is built from the packet it answers carries no serial: refusals, and word that nothing is here of a call
/// whose middle has come.
fn check_stateless(header: &Header, body: &Body<'_>) -> Finding {
    match body {
        Body::Busy | Body::Abort(_) => {}
        Body::Ack(ack)
            if ack.fields.reason == AckReason::ExceedsWindow
                && ack.fields.first_packet == 1
                && ack.table().is_some_and(<[u8]>::is_empty) => {}
        _ => return Some((Oracle::Format, format!("{:?} without a serial", header.packet_type))),
    }
    None
}

/// What must hold whatever was damaged or forged before: the form of packets, and that no storm breaks out.
fn check_anyway(lane: &mut Lane, seen: Seen<'_>, body: &Body<'_>) -> Finding {
    match body {
        Body::Data(data) => {
            let found = seen.judge_segments(data, |segment| {
                let Ok(segment) = segment else {
                    return Some((Oracle::Format, "a jumbogram cut short".into()));
                };
                let ends_reply = !seen.header.from_client() && segment.flags.contains(Flags::LAST_PACKET);
                if ends_reply && segment.flags.contains(Flags::REQUEST_ACK) {
                    let text = "the last packet of a reply asks for an acknowledgement";
                    return Some((Oracle::Format, text.into()));
                }
                lane.again += u32::from(segment.seq <= lane.highest);
                lane.highest = lane.highest.max(segment.seq);
                None
            });
            let storm = found.is_none() && lane.again > STORM;
            found.or_else(|| {
                storm.then(|| (Oracle::Work, format!("{STORM} packets sent again without progress")))
            })
        }
        Body::Ack(ack) => {
            let Some(table) = ack.table() else { return Some((Oracle::Format, "a table cut short".into())) };
            let octet = table.iter().find(|octet| **octet > 1)?;
            Some((Oracle::Format, format!("octet {octet} in a table")))
        }
        _ => None,
    }
}

fn check_data(lane: &mut Lane, segment: &Segment<'_>, again: bool) -> Finding {
    if lane.over {
        return Some((Oracle::AtMostOnce, format!("call {} is answered anew", lane.call)));
    }
    let last = segment.flags.contains(Flags::LAST_PACKET);
    let seq = segment.seq;
    if seq <= lane.sent {
        if last != (lane.last == Some(seq)) && !again {
            return Some((Oracle::Sequence, format!("packet {seq} changed whether it is the last")));
        }
        if seq < lane.told_first && !again {
            let text = format!("packet {seq} again, acknowledged up to {}", lane.told_first);
            return Some((Oracle::Window, text));
        }
        lane.flight.on_again(seq, segment.serial);
        return None;
    }
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
    let (flight, most) = lane.flight.excess(seq, segment.payload.len())?;
    Some((Oracle::Window, format!("{flight} packets on their way, {most} may be")))
}

fn check_ack(lane: &mut Lane, ack: &Ack<'_>, window: u32, coverage: &mut Coverage) -> Finding {
    let fields = &ack.fields;
    coverage.reason(fields.reason);
    let first = fields.first_packet;
    if first < lane.said_first {
        return Some((Oracle::Ack, format!("firstPacket {first} after {}", lane.said_first)));
    }
    lane.said_first = lane.said_first.max(first);
    if !lane.arrived.is_below(first) {
        return Some((Oracle::Ack, format!("firstPacket {first}, packet {} is missing", lane.arrived.base)));
    }
    let table = ack.table().unwrap_or_default();
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
mod tests;
