//! Writing the packets of calls and connections.

use core::net::IpAddr;

use super::batch::{Batch, Turn};
use super::{Endpoint, TransmitBuf};
use crate::call::{Call, DueAck, Fresh, Place, State};
use crate::connection::{Connection, Ending, Role, Terminal};
use crate::peer::{Class, Peer};
use crate::recovery::{Controller, RtoBounds, Sent};
use crate::time::Instant;
use crate::wire::{
    AbortCode, AckFields, AckReason, CHANNELS, Flags, HEADER_LEN, Header, PacketType, Trailer, ack_body_len,
    emit_abort, emit_ack,
};

/// Largest datagram we offer to take with jumbograms, and largest single packet: the values that suit both
/// ways of reading them (QUIRKS.md#trailer-sizes).
const JUMBO_MTU: u32 = 5692;
const SINGLE_MTU: u32 = 1444;
/// A round trip is measured anew after this long, even if enough are known.
const RTT_AGE: core::time::Duration = core::time::Duration::from_secs(1);

/// The header of a packet of this connection, without what differs by type.
pub(super) fn header(
    connection: &mut Connection,
    channel: usize,
    call_number: u32,
    packet_type: PacketType,
) -> Header {
    let flags = if connection.is_client() { Flags::CLIENT_INITIATED } else { Flags::NONE };
    Header {
        epoch: connection.epoch,
        cid: connection.cid | (channel % CHANNELS) as u32,
        call_number,
        seq: 0,
        serial: connection.take_serial(),
        packet_type,
        flags,
        user_status: 0,
        security_index: connection.security_index,
        checksum: 0,
        service_id: connection.service,
    }
}

pub(super) fn trailer(peer: &Peer, window: u32) -> Trailer {
    trailer_of(peer.jumbo_offer, window)
}

/// The trailer that offers jumbograms of so many packets, and a window.
pub(super) fn trailer_of(jumbo_offer: u32, window: u32) -> Trailer {
    let max_mtu = if jumbo_offer > 1 { JUMBO_MTU } else { SINGLE_MTU };
    Trailer { max_mtu, if_mtu: SINGLE_MTU, rwind: Some(window), jumbo_max: Some(jumbo_offer) }
}

/// Whether a DATA packet asks for an acknowledgement at once.
fn asks_for_ack(call: &Call, peer: &Peer, fresh: &Fresh, now: Instant) -> bool {
    if fresh.last {
        // The reply acknowledges a request; the last packet of a reply must not ask
        // (QUIRKS.md#last-reply-asks-nothing).
        return false;
    }
    let send = &call.send;
    let age = send.asked_at.map(|at| now.saturating_duration_since(at));
    let round = peer.rtt.smoothed().unwrap_or_default();
    // Few packets in flight, the last one that the window lets out, or the last one there is: nobody else
    // would make the peer answer soon.
    send.cc.window() <= 4
        || send.in_flight + 1 >= send.cc.window()
        || send.next.wrapping_sub(send.una) + 1 >= send.peer_window
        || fresh.drained
        || age.is_none_or(|age| age >= RTT_AGE || (!peer.rtt.is_settled() && age > round))
}

/// Whether so much may go out on the connection, if peers have to prove their addresses: a server is called by us.
fn may_send(now: Instant, validates: bool, (connection, peer): (&Connection, &Peer), len: usize) -> bool {
    connection.is_client() || !validates || peer.validation.may_send(now, len)
}

/// So much went out on the connection.
fn note_sent(now: Instant, (connection, peer): (&Connection, &mut Peer), len: usize) {
    if !connection.is_client() {
        peer.validation.on_sent(now, len);
    }
}

impl Endpoint {
    /// Whether the peer may be sent so much before it has proved its address.
    fn within_budget(&self, now: Instant, connection: u32, len: usize) -> bool {
        let Some(c) = self.connections.get(connection as usize) else { return false };
        let peer = self.peers.get(c.peer as usize);
        peer.is_some_and(|peer| may_send(now, self.config.validate_peers, (c, peer), len))
    }

    fn spend(&mut self, now: Instant, connection: u32, len: usize) {
        let Some(c) = self.connections.get(connection as usize) else { return };
        if let Some(peer) = self.peers.get_mut(c.peer as usize) {
            note_sent(now, (c, peer), len);
        }
    }

    /// Whether the packet may join the batch now; notes if the peer's budget is what forbids it.
    fn may_join(
        &self,
        now: Instant,
        place: &Place,
        class: Class,
        size: usize,
        batch: &mut Batch<'_>,
    ) -> bool {
        if !batch.takes(class, size, self.local_ip(place.connection)) {
            return false;
        }
        let allowed = self.within_budget(now, place.connection, batch.size_of(class, size));
        batch.blocked |= !allowed;
        allowed
    }

    fn local_ip(&self, connection: u32) -> Option<IpAddr> {
        self.connections.get(connection as usize).and_then(|c| c.local_ip)
    }

    /// Packets of one class of a call, as many as fit.
    pub(super) fn emit_call(&mut self, now: Instant, key: u32, class: Class, batch: &mut Batch<'_>) -> Turn {
        let Some(call) = self.calls.get(key) else { return Turn::Done };
        let Some(place) = call.place else { return Turn::Done };
        if !call.state.is_live() {
            return Turn::Done;
        }
        let before = batch.count;
        let others_blocked = core::mem::take(&mut batch.blocked);
        let more = match class {
            Class::Control => false,
            Class::Ack => self.emit_due_ack(now, key, &place, batch),
            Class::Retransmit => self.emit_lost(now, key, &place, batch),
            Class::Fresh => self.emit_fresh(now, key, &place, batch),
        };
        if batch.count > before {
            self.after_sending(now, key);
        }
        let blocked = core::mem::replace(&mut batch.blocked, true);
        batch.blocked = blocked || others_blocked;
        if blocked && class != Class::Ack {
            self.ask_for_proof(now, key, 0);
        }
        match (more, batch.count > before) {
            (false, _) => Turn::Done,
            (true, true) => Turn::Again,
            (true, false) if blocked => Turn::Blocked,
            (true, false) => Turn::Passed,
        }
    }

    fn after_sending(&mut self, now: Instant, key: u32) {
        let keepalive = now + self.config.timing.keepalive;
        if let Some(call) = self.calls.get_mut(key) {
            if call.deadlines.window_probes == 0 {
                call.deadlines.keepalive = Some(keepalive);
            }
            if call.deadlines.silence.is_none() {
                call.deadlines.heard(now);
            }
        }
        self.touch(key);
    }

    /// New packets. True if there are more.
    fn emit_fresh(&mut self, now: Instant, key: u32, place: &Place, batch: &mut Batch<'_>) -> bool {
        loop {
            let Some(call) = self.calls.get_mut(key) else { return false };
            let Some(peer) = self.peers.get_mut(call.peer as usize) else { return false };
            let Some(connection) = self.connections.get_mut(place.connection as usize) else { return false };
            let fresh = if call.may_send_data() { call.send.fresh(peer.max_payload()) } else { None };
            let Some(fresh) = fresh else { return false };
            let size = HEADER_LEN + fresh.len;
            if !batch.takes(Class::Fresh, size, connection.local_ip) {
                return true;
            }
            if !may_send(now, self.config.validate_peers, (connection, peer), size) {
                batch.blocked = true;
                return true;
            }
            let is_first = write_fresh(now, &self.bounds, (connection, call, peer), place, &fresh, batch.buf);
            batch.added(Class::Fresh, size, connection.local_ip);
            note_sent(now, (connection, peer), size);
            if is_first {
                self.set_connection_timer(place.connection);
            }
        }
    }

    /// Packets that were lost. True if there are more.
    fn emit_lost(&mut self, now: Instant, key: u32, place: &Place, batch: &mut Batch<'_>) -> bool {
        let bounds = self.bounds;
        loop {
            let Some(call) = self.calls.get_mut(key) else { return false };
            let Some((seq, packet)) = call.send.next_lost() else { return false };
            let size = HEADER_LEN + usize::from(packet.len);
            if !self.may_join(now, place, Class::Retransmit, size, batch) {
                return true;
            }
            let Some(connection) = self.connections.get_mut(place.connection as usize) else { return false };
            let Some(call) = self.calls.get_mut(key) else { return false };
            let Some(peer) = self.peers.get(call.peer as usize) else { return false };
            let mut header = header(connection, place.channel, place.number, PacketType::Data);
            header.seq = seq;
            let asks = call.is_client() || !packet.last;
            header.flags |= data_flags(asks, packet.last);
            if asks {
                call.deadlines.asked(now);
            }
            if seq == 1 && matches!(connection.role, Role::Client { probing: true, .. }) {
                header.user_status = 1;
            }
            header.emit(&mut batch.buf.bytes);
            call.send.buffer.copy_to(packet.offset, usize::from(packet.len), &mut batch.buf.bytes);
            call.send.on_resent(seq, Sent { at: now, serial: header.serial }, &bounds, &peer.rtt);
            call.stats.packets_sent += 1;
            call.stats.retransmissions += 1;
            let local_ip = connection.local_ip;
            batch.added(Class::Retransmit, size, local_ip);
            self.spend(now, place.connection, size);
        }
    }

    /// The acknowledgement a call owes. True if it owes another, for the next batch.
    fn emit_due_ack(&mut self, now: Instant, key: u32, place: &Place, batch: &mut Batch<'_>) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let Some(due) = call.ack.next() else { return false };
        let entries = call.recv.table().len() + call.revocable() as usize;
        let size = HEADER_LEN + ack_body_len(entries, true);
        if !self.may_join(now, place, Class::Ack, size, batch) {
            if batch.blocked
                && let Some(call) = self.calls.get_mut(key)
            {
                call.ack.hold_back();
            }
            return true;
        }
        self.write_ack(now, key, place, due, batch.buf);
        let local_ip = self.local_ip(place.connection);
        batch.added(Class::Ack, size, local_ip);
        self.spend(now, place.connection, batch.size_of(Class::Ack, size));
        self.calls.get(key).is_some_and(|c| c.ack.is_due())
    }

    fn write_ack(&mut self, now: Instant, key: u32, place: &Place, due: DueAck, buf: &mut TransmitBuf) {
        let window = self.offer_window(key);
        let Some(connection) = self.connections.get_mut(place.connection as usize) else { return };
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(peer) = self.peers.get_mut(call.peer as usize) else { return };
        let mut header = header(connection, place.channel, place.number, PacketType::Ack);
        header.flags |= Flags::SLOW_START_OK;
        if due.reason == AckReason::Ping {
            header.flags |= Flags::REQUEST_ACK;
            // The first one stands: answers may take longer than it is until the next.
            let patience = call.deadlines.half_silence();
            call.ping = call.ping.filter(|(_, at)| now < *at + patience).or(Some((header.serial, now)));
            call.deadlines.asked(now);
            peer.validation.on_asked(now);
        }
        header.emit(&mut buf.bytes);
        let revocable = call.revocable();
        let fields = AckFields {
            buffer_space: 0,
            max_skew: 0,
            first_packet: call.recv.base() - revocable,
            previous_packet: call.recv.highest(),
            serial: due.serial,
            reason: due.reason,
        };
        let table = core::iter::repeat_n(true, revocable as usize).chain(call.recv.table());
        emit_ack(&mut buf.bytes, &fields, table, Some(&trailer(peer, window + revocable)));
        call.recv.offer(window);
        call.ack.on_sent(due);
        call.stats.acks_sent += 1;
        if due.serial != 0 {
            self.on_proof_given(now, place.connection);
        }
    }

    /// An acknowledgement named a serial of the server's: more connections to it may be opened.
    fn on_proof_given(&mut self, now: Instant, connection: u32) {
        let Some(connection) = self.connections.get(connection as usize) else { return };
        let Role::Client { bundle, .. } = connection.role else { return };
        let Some(peer) = self.peers.get_mut(connection.peer as usize) else { return };
        let knew = peer.knows_us(now);
        peer.proved_to = Some(now);
        if !knew {
            self.touch_bundle(bundle);
        }
    }

    /// What a connection has to say itself: how calls ended, and questions to a new address.
    pub(super) fn emit_control(&mut self, now: Instant, key: u32, batch: &mut Batch<'_>) -> Turn {
        let before = batch.count;
        let mut blocked = false;
        for channel in 0..CHANNELS {
            let Some(c) = self.connections.get(key as usize) else { return Turn::Done };
            let Some(replay) = c.channel(channel).and_then(|c| Some((c.last?, c.replay?))) else { continue };
            let place = Place { connection: key, channel, number: replay.0.number };
            let size = HEADER_LEN
                + match replay.0.ending {
                    Ending::Received { .. } => ack_body_len(0, true),
                    Ending::Aborted(_) => AbortCode::RX_CALL_DEAD.to_bytes().len(),
                };
            if !batch.takes(Class::Control, size, self.local_ip(key)) {
                return if batch.count > before { Turn::Again } else { Turn::Passed };
            }
            if !self.may_join(now, &place, Class::Control, size, batch) {
                // The client may have moved, and where it went pays for itself.
                blocked = true;
                continue;
            }
            self.write_ending(now, &place, &replay.0, replay.1, batch.buf);
            let local_ip = self.local_ip(key);
            batch.added(Class::Control, size, local_ip);
            self.spend(now, key, size);
        }
        let candidate = self.connections.get(key as usize).and_then(|c| c.candidate);
        let asks = candidate.is_some_and(|c| c.wants_question(now));
        if asks && batch.count > 0 {
            return Turn::Again;
        }
        if asks {
            self.emit_question(now, key, batch);
        }
        if let Some(connection) = self.connections.get_mut(key as usize) {
            // Its expiry waits for what it has to say.
            connection.in_ring = blocked;
        }
        self.set_connection_timer(key);
        if blocked { Turn::Blocked } else { Turn::Done }
    }

    /// Say again how the last call of a channel ended.
    fn write_ending(
        &mut self,
        now: Instant,
        place: &Place,
        last: &Terminal,
        serial: u32,
        buf: &mut TransmitBuf,
    ) {
        let window = self.config.limits.window;
        let Some(connection) = self.connections.get_mut(place.connection as usize) else { return };
        let Some(peer) = self.peers.get(connection.peer as usize) else { return };
        if let Some(channel) = connection.channel_mut(place.channel) {
            channel.replay = None;
            channel.final_ack_at = None;
        }
        match last.ending {
            Ending::Aborted(code) => {
                let header = header(connection, place.channel, place.number, PacketType::Abort);
                emit_abort(&mut buf.bytes, &header, code);
            }
            Ending::Received { last_seq, serial: newest } => {
                let mut header = header(connection, place.channel, place.number, PacketType::Ack);
                header.flags |= Flags::SLOW_START_OK;
                header.emit(&mut buf.bytes);
                let fields = AckFields {
                    buffer_space: 0,
                    max_skew: 0,
                    first_packet: last_seq.wrapping_add(1),
                    previous_packet: last_seq,
                    // Naming what was received proves our address; DELAY keeps it from being taken for a
                    // round trip (QUIRKS.md#final-ack).
                    serial: if serial == 0 { newest } else { serial },
                    reason: if serial == 0 { AckReason::Delay } else { AckReason::Duplicate },
                };
                emit_ack(&mut buf.bytes, &fields, core::iter::empty(), Some(&trailer(peer, window)));
                self.on_proof_given(now, place.connection);
            }
        }
    }

    /// A PING to the address that packets of the connection came from, if a call lives that can be asked about.
    /// It is small: nothing is known of who is there.
    fn emit_question(&mut self, now: Instant, key: u32, batch: &mut Batch<'_>) {
        let window = self.config.limits.window;
        let size = HEADER_LEN + ack_body_len(0, true);
        let Some(candidate) = self.connections.get(key as usize).and_then(|c| c.candidate) else { return };
        let affordable = self.pay_question(now, key, &candidate.addr, size);
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        let call = connection.channel(candidate.channel).and_then(|c| c.call);
        let call = call.or(connection.calls().first().copied()).and_then(|c| self.calls.get(c));
        let Some((place, call)) = call.and_then(|c| Some((c.place?, c))).filter(|_| affordable) else {
            connection.candidate = None;
            return;
        };
        let Some(peer) = self.peers.get(connection.peer as usize) else { return };
        let mut header = header(connection, place.channel, place.number, PacketType::Ack);
        header.flags |= Flags::SLOW_START_OK | Flags::REQUEST_ACK;
        header.emit(&mut batch.buf.bytes);
        let fields = AckFields {
            buffer_space: 0,
            max_skew: 0,
            // A call that waits may be turned away yet, and its request be wanted again.
            first_packet: call.recv.base() - call.revocable(),
            previous_packet: call.recv.highest(),
            serial: 0,
            reason: AckReason::Ping,
        };
        let trailer = trailer(peer, call.recv.offered().min(window));
        emit_ack(&mut batch.buf.bytes, &fields, core::iter::empty(), Some(&trailer));
        batch.addr = Some(candidate.addr);
        batch.added(Class::Control, size, candidate.local_ip);
        batch.close();
        self.on_candidate_asked(now, key, header.serial);
    }
}

fn data_flags(asks: bool, last: bool) -> Flags {
    let asks = if asks { Flags::REQUEST_ACK } else { Flags::NONE };
    let last = if last { Flags::LAST_PACKET } else { Flags::NONE };
    asks | last
}

/// Write a new packet of a call. True if it is the call's first: from then on the peer knows the call, and that the
/// one before it is over.
fn write_fresh(
    now: Instant,
    bounds: &RtoBounds,
    (connection, call, peer): (&mut Connection, &mut Call, &Peer),
    place: &Place,
    fresh: &Fresh,
    buf: &mut TransmitBuf,
) -> bool {
    let asks = asks_for_ack(call, peer, fresh, now);
    let mut header = header(connection, place.channel, place.number, PacketType::Data);
    let sent = Sent { at: now, serial: header.serial };
    header.seq = call.send.on_sent(fresh, sent, bounds, &peer.rtt);
    header.flags |= data_flags(asks, fresh.last);
    if asks {
        call.send.asked_at = Some(now);
        call.deadlines.asked(now);
    }
    if header.seq == 1 && matches!(connection.role, Role::Client { probing: true, .. }) {
        header.user_status = 1;
    }
    header.emit(&mut buf.bytes);
    call.send.buffer.copy_to(fresh.offset, fresh.len, &mut buf.bytes);
    call.stats.packets_sent += 1;
    call.stats.bytes_sent += fresh.len as u64;
    call.ack.forget_delayed();
    let first = call.state == State::PreSend;
    call.on_data_sent();
    if first && let Some(channel) = connection.channel_mut(place.channel) {
        channel.counter = place.number;
        channel.final_ack_at = None;
        channel.replay = None;
    }
    first
}
