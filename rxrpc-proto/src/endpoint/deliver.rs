//! Packets of a live call.

use super::{Endpoint, Path};
use crate::call::{AckEffect, AckInput, Arrival, Call, Side, State, patience};
use crate::config::BusyPolicy;
use crate::error::CallError;
use crate::event::News;
use crate::fault::Fault;
use crate::recovery::serial_after;
use crate::time::Instant;
use crate::wire::{Ack, AckReason, Body, Data, Flags, Header, Segment};

/// Bytes left to a stranger after a PING: enough for a small reply, three times.
const PROOF_HEADROOM: usize = 360;

impl Endpoint {
    /// A packet of a call that lives.
    pub(super) fn on_call(&mut self, now: Instant, path: &Path, key: u32, header: &Header, body: &Body<'_>) {
        if self.calls.get(key).is_none_or(|call| !call.state.is_live()) {
            return;
        }
        if self.is_of_another_life(key, header, body) {
            self.fault(Fault::ServerForgot);
            return self.complete(now, key, Err(CallError::PeerRestarted));
        }
        let Some(call) = self.calls.get_mut(key) else { return };
        call.turned_away &= has_nothing(body);
        if !matches!(body, Body::Busy) {
            call.deadlines.heard(now);
        }
        if header.serial != 0 && call.heard_serial.is_none_or(|highest| serial_after(header.serial, highest))
        {
            call.heard_serial = Some(header.serial);
        }
        self.touch(key);
        match body {
            Body::Data(data) => self.on_data(now, key, data),
            Body::Ack(ack) => self.on_ack(now, path, key, header, ack),
            Body::AckAll => self.on_ack_all(now, key),
            Body::Abort(code) => self.complete(now, key, Err(CallError::RemoteAbort(*code))),
            Body::Busy => self.on_busy(now, key),
            Body::Challenge(_) | Body::Response(_) | Body::Debug(_) | Body::Version(_) | Body::Ignored => {}
        }
    }

    /// Whether a packet of a reply is from another life of its server than those before it. That one executed the call
    /// as well, and what it says may be cut elsewhere, or be another answer (QUIRKS.md#replies-of-two-lives).
    fn is_of_another_life(&mut self, key: u32, header: &Header, body: &Body<'_>) -> bool {
        let Some(call) = self.calls.get_mut(key).filter(|call| call.is_client()) else { return false };
        let connection = call.place.and_then(|p| self.connections.get_mut(p.connection as usize));
        let Some(connection) = connection.filter(|_| header.serial != 0) else { return false };
        if !matches!(body, Body::Data(_) | Body::Ack(_)) {
            return false;
        }
        let life = connection.lives.of(header.serial);
        matches!(body, Body::Data(_)) && *call.reply_of.get_or_insert(life) != life
    }

    /// The peer broke the protocol in this call.
    fn protocol_fault(&mut self, now: Instant, key: u32, fault: Fault) {
        self.fault(fault);
        self.complete(now, key, Err(CallError::Protocol(fault)));
    }

    pub(super) fn on_data(&mut self, now: Instant, key: u32, data: &Data<'_>) {
        if let Err(fault) = self.before_data(now, key) {
            return self.protocol_fault(now, key, fault);
        }
        let mut progress = false;
        for segment in data.segments() {
            let arrival = match segment {
                Ok(segment) => self.on_segment(now, key, &segment),
                Err(jumbo) => Err(Fault::Jumbo(jumbo)),
            };
            match arrival {
                Ok(Arrival::InOrder { .. }) => progress = true,
                Ok(_) => {}
                Err(fault) => {
                    return self.protocol_fault(now, key, fault);
                }
            }
        }
        self.ask_for_proof(now, key, PROOF_HEADROOM);
        if progress {
            self.notify(key, News::READABLE);
            self.end_of_input(now, key);
        }
    }

    /// Whether the call takes data in its state. A reply acknowledges the whole request.
    fn before_data(&mut self, now: Instant, key: u32) -> Result<(), Fault> {
        let gap = self.config.timing.request_gap;
        let Some(call) = self.calls.get_mut(key) else { return Ok(()) };
        match call.state {
            State::RecvRequest => call.deadlines.request_gap = Some(now + gap),
            State::Queued | State::PreSend | State::SendRequest => return Err(Fault::EarlyReply),
            State::AwaitReply => {
                call.state = State::RecvReply;
                self.everything_arrived(now, key);
            }
            State::RecvReply
            | State::AckRequest
            | State::SendReply
            | State::AwaitAck
            | State::Complete(_) => {}
        }
        Ok(())
    }

    /// The peer has everything we sent: its next packet says so.
    fn everything_arrived(&mut self, now: Instant, key: u32) {
        let bounds = self.bounds;
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(peer) = self.peers.get_mut(call.peer as usize) else { return };
        let before = call.send.buffer.len();
        let news = !call.send.is_delivered();
        call.send.ack_everything(now, &mut peer.rtt, &bounds);
        let freed = before.saturating_sub(call.send.buffer.len());
        let delivered = news && call.send.is_delivered();
        self.after_freed(key, freed);
        if delivered {
            self.notify(key, News::DELIVERED);
        }
    }

    fn on_segment(&mut self, now: Instant, key: u32, segment: &Segment<'_>) -> Result<Arrival, Fault> {
        let Some(call) = self.calls.get(key) else { return Ok(Arrival::Duplicate) };
        let room = self.receive_room(call);
        let srtt = self.peers.get(call.peer as usize).and_then(|p| p.rtt.smoothed());
        let deadline = now + patience(srtt, self.config.timing.delayed_ack);
        let Some(call) = self.calls.get_mut(key) else { return Ok(Arrival::Duplicate) };
        let last = segment.flags.contains(Flags::LAST_PACKET);
        let arrival = call.recv.accept(segment.seq, last, segment.payload, room)?;
        let requested = segment.flags.contains(Flags::REQUEST_ACK);
        call.ack.on_data(arrival, requested, segment.serial, deadline);
        match arrival {
            Arrival::InOrder { .. } | Arrival::OutOfOrder | Arrival::Held => {
                call.stats.packets_received += 1;
                // At once: the next packet of the batch may be another call's, for which there is less room now.
                self.recharge(key);
            }
            Arrival::Duplicate => {
                call.stats.duplicates += 1;
                self.fault(Fault::DuplicateData);
            }
            Arrival::BeyondWindow => {
                call.stats.beyond_window += 1;
                self.fault(Fault::BeyondWindow);
            }
        }
        Ok(arrival)
    }

    /// A client that has not proved its address is asked to, with a PING, if that leaves `headroom` bytes of
    /// what it may be sent. A small reply is better spent on being sent again: that proves as much
    /// (QUIRKS.md#proof-is-asked-late).
    pub(super) fn ask_for_proof(&mut self, now: Instant, key: u32, headroom: usize) {
        if !self.config.validate_peers {
            return;
        }
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(peer) = self.peers.get(call.peer as usize) else { return };
        let validation = &peer.validation;
        if !call.is_client()
            && call.state.is_live()
            && validation.wants_ping(now)
            && validation.may_send(now, headroom)
            && call.ack.ask()
        {
            self.touch(key);
        }
    }

    /// Move on if all of the peer's data is here.
    pub(super) fn end_of_input(&mut self, now: Instant, key: u32) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if !call.recv.is_complete() {
            return;
        }
        match call.state {
            State::RecvReply => self.complete(now, key, Ok(())),
            State::RecvRequest => {
                call.state = State::AckRequest;
                call.deadlines.request_gap = None;
                self.touch(key);
            }
            _ => {}
        }
    }

    fn on_ack(&mut self, now: Instant, path: &Path, key: u32, header: &Header, ack: &Ack<'_>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if ack.fields.reason == AckReason::Ping {
            call.ack.answer_ping(header.serial);
        } else if header.flags.contains(Flags::REQUEST_ACK) {
            call.ack.propose(AckReason::Requested, header.serial);
        }
        if call.is_client() && call.state.is_sending() && (began_again(call, ack) || went_back(call, ack)) {
            self.fault(Fault::ServerForgot);
            return self.complete(now, key, Err(CallError::PeerRestarted));
        }
        let next_serial = call.place.and_then(|p| self.connections.get(p.connection as usize));
        let next_serial = next_serial.map_or(0, |c| c.next_serial());
        match AckInput::new(ack, header.serial, next_serial)
            .and_then(|input| self.apply_ack(now, key, &input))
        {
            Err(fault) => self.protocol_fault(now, key, fault),
            Ok(AckEffect::Stale) => self.fault(Fault::StaleAck),
            Ok(AckEffect::Used { progress, named }) => {
                self.on_trailer(now, key, ack);
                let pong = self.on_pong(now, key, ack);
                self.note_proof(now, path, key, pong || named);
                self.after_ack(now, key, progress);
            }
        }
    }

    fn apply_ack(&mut self, now: Instant, key: u32, input: &AckInput<'_>) -> Result<AckEffect, Fault> {
        let bounds = self.bounds;
        let Some(call) = self.calls.get_mut(key) else { return Ok(AckEffect::Stale) };
        let Some(peer) = self.peers.get_mut(call.peer as usize) else { return Ok(AckEffect::Stale) };
        let (before, una) = (call.send.buffer.len(), call.send.una);
        let sending = call.state.is_sending();
        let effect = call.send.on_ack(now, input, &mut peer.rtt, &bounds).map_err(|fault| match fault {
            Fault::AckOutsideWindow if !sending => Fault::UnexpectedAck,
            other => other,
        })?;
        call.stats.acks_received += 1;
        if call.send.una != una {
            call.advanced_at = Some(input.next_serial);
        }
        let freed = before.saturating_sub(call.send.buffer.len());
        self.after_freed(key, freed);
        Ok(effect)
    }

    fn on_trailer(&mut self, now: Instant, key: u32, ack: &Ack<'_>) {
        let Some(trailer) = ack.trailer() else { return };
        let Some(call) = self.calls.get_mut(key) else { return };
        if let Some(window) = trailer.rwind {
            call.send.peer_window = window;
        }
        let bounds = self.bounds;
        if let Some(peer) = self.peers.get_mut(call.peer as usize) {
            peer.on_trailer(&trailer);
            if ack.fields.reason == AckReason::ExceedsWindow {
                call.send.on_refused();
            }
            call.send.settle_timer(now, false, &peer.rtt, &bounds);
        }
    }

    /// The answer to a PING of ours proves the address, and gives a round trip if it is the one that was waited for
    /// (QUIRKS.md#questions-faster-than-answers). True if this is one.
    fn on_pong(&mut self, now: Instant, key: u32, ack: &Ack<'_>) -> bool {
        let Some(call) = self.calls.get_mut(key) else { return false };
        let Some((serial, at)) = call.ping else { return false };
        let Some(next) = call.place.and_then(|p| self.connections.get(p.connection as usize)) else {
            return false;
        };
        let (answers, next) = (ack.fields.serial, next.next_serial());
        let is_pong = ack.fields.reason == AckReason::PingResponse;
        let is_later = is_pong && serial_after(answers, serial) && serial_after(next, answers);
        if answers == 0 || (answers != serial && !is_later) {
            return false;
        }
        call.ping = None;
        // One that was put off has another reason.
        if is_pong
            && !is_later
            && let Some(peer) = self.peers.get_mut(call.peer as usize)
        {
            peer.rtt.sample(now, now.saturating_duration_since(at));
        }
        is_pong
    }

    /// The peer named a serial that only someone at its address can know.
    fn note_proof(&mut self, now: Instant, path: &Path, key: u32, named: bool) {
        let Some(call) = self.calls.get(key) else { return };
        let peer = call.peer;
        if named && self.peers.get(peer as usize).is_some_and(|p| p.addr == path.peer) {
            self.prove_peer(now, peer);
        }
    }

    fn after_ack(&mut self, now: Instant, key: u32, progress: bool) {
        let Some(call) = self.calls.get(key) else { return };
        if !call.send.is_delivered() {
            return;
        }
        if call.state == State::AwaitAck {
            self.complete(now, key, Ok(()));
        } else if progress {
            self.notify(key, News::DELIVERED);
        }
    }

    /// "I have everything": true of what was sent, if anything was (QUIRKS.md#ackall).
    fn on_ack_all(&mut self, now: Instant, key: u32) {
        let Some(call) = self.calls.get(key) else { return };
        let (sending, state) = (call.state.is_sending(), call.state);
        if !sending {
            return;
        }
        self.everything_arrived(now, key);
        if state == State::AwaitAck {
            self.complete(now, key, Ok(()));
        }
    }

    /// The server has no room. Nothing it has acknowledged for good can be busy, and a call of ours that we
    /// aborted on this channel may be what it is busy with. BUSY alone keeps no call alive
    /// (QUIRKS.md#busy-is-told).
    fn on_busy(&mut self, now: Instant, key: u32) {
        let bounds = self.bounds;
        let random = rand_core::Rng::next_u32(&mut self.rng);
        let Some(call) = self.calls.get_mut(key) else { return };
        let Side::Client { busy, after_abort, .. } = call.side else { return };
        if !matches!(call.state, State::SendRequest | State::AwaitReply) || call.send.una > 1 {
            return;
        }
        call.turned_away = true;
        match busy {
            BusyPolicy::Fail if !after_abort => self.complete(now, key, Err(CallError::Busy)),
            BusyPolicy::Fail | BusyPolicy::Retry => {
                if let Some(peer) = self.peers.get(call.peer as usize) {
                    call.send.on_turned_away(now, &bounds, &peer.rtt, random);
                }
            }
        }
    }

    /// A next call on the channel of a service call ends it: its reply has arrived, or nobody wants it
    /// (QUIRKS.md#only-data-ends-a-call).
    pub(super) fn end_implicitly(&mut self, now: Instant, key: u32) {
        let Some(call) = self.calls.get(key) else { return };
        if call.state == State::AwaitAck {
            self.everything_arrived(now, key);
            self.complete(now, key, Ok(()));
        } else {
            let dead = crate::wire::AbortCode::RX_CALL_DEAD;
            self.complete(now, key, Err(CallError::LocalAbort(dead)));
        }
    }
}

/// A server that has nothing of a call it had acknowledged in part: it lost the call, or a translator hides it.
/// If it names what it answers, that tells better, see below (QUIRKS.md#server-forgot).
fn began_again(call: &Call, ack: &Ack<'_>) -> bool {
    let nothing = (ack.fields.first_packet, ack.fields.previous_packet, ack.fields.serial) == (1, 0, 0);
    let lost = matches!(ack.fields.reason, AckReason::ExceedsWindow | AckReason::OutOfSequence);
    nothing && lost && call.send.una > 1
}

/// A server that wants what it had acknowledged for good, in answer to a packet sent after that acknowledgement
/// came: no reordering explains it. What it wants is gone here, so the call cannot go on.
fn went_back(call: &Call, ack: &Ack<'_>) -> bool {
    let (first, serial) = (ack.fields.first_packet, ack.fields.serial);
    let behind = first != 0 && (first.wrapping_sub(call.send.una) as i32) < 0;
    let answers = |since: u32| serial.wrapping_sub(since) as i32 >= 0;
    behind && serial != 0 && call.advanced_at.is_some_and(answers)
}

/// Whether the packet says that the peer has nothing of the call.
fn has_nothing(body: &Body<'_>) -> bool {
    matches!(body, Body::Ack(ack) if (ack.fields.first_packet, ack.fields.previous_packet) == (1, 0))
}
