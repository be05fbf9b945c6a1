//! Packets that belong to no connection: answers to strangers, VERSION packets. Few, small and limited.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::{Endpoint, Path, Transmit, TransmitBuf, emit};
use crate::connection::{EarlyAnswer, TokenBucket};
use crate::time::Instant;
use crate::wire::{
    AbortCode, AckFields, AckReason, Flags, Header, PacketType, emit_abort, emit_ack, emit_keepalive,
    emit_version_reply,
};

/// A packet on its own.
#[derive(Debug)]
struct Loose {
    peer: SocketAddr,
    local_ip: Option<IpAddr>,
    bytes: Vec<u8>,
}

/// The packets that wait.
#[derive(Debug)]
pub(super) struct Outbox {
    packets: VecDeque<Loose>,
    rate: TokenBucket,
}

impl Outbox {
    pub(super) fn new(answers_per_second: u32) -> Self {
        Outbox { packets: VecDeque::new(), rate: TokenBucket::new(answers_per_second) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Queue a packet that is limited elsewhere.
    pub(super) fn push(&mut self, peer: SocketAddr, local_ip: Option<IpAddr>, bytes: Vec<u8>) {
        self.packets.push_back(Loose { peer, local_ip, bytes });
    }
}

impl Endpoint {
    /// Answer a packet of an unknown connection or call, unless that happens too often.
    fn answer_stranger(&mut self, now: Instant, path: &Path, bytes: Vec<u8>) {
        let in_time = self.outbox.rate.take(now);
        self.stats.limits.stranger_answers_per_second += u64::from(!in_time);
        if in_time && self.afford(now, &path.peer, bytes.len()) {
            self.outbox.push(path.peer, path.local_ip, bytes);
        } else {
            self.stats.answers_suppressed += 1;
        }
    }

    /// Whether a datagram outside of a connection may go to an address; it counts as sent if so. For a stranger,
    /// the datagram that is answered pays: no answer is three times as long.
    pub(super) fn afford(&mut self, now: Instant, addr: &SocketAddr, len: usize) -> bool {
        let Some(key) = self.known_peer(addr) else { return true };
        let Some(peer) = self.peers.get_mut(key as usize) else { return true };
        let may = !self.config.validate_peers || peer.validation.may_send(now, len);
        if may {
            peer.validation.on_sent(now, len);
        }
        may
    }

    /// Refuse a packet with an ABORT built from its header. `connection`: the whole connection.
    pub(super) fn refuse_packet(
        &mut self,
        now: Instant,
        path: &Path,
        header: &Header,
        code: AbortCode,
        connection: bool,
    ) {
        let mut answer = header.answer(PacketType::Abort);
        if connection {
            answer.call_number = 0;
        }
        let mut bytes = Vec::new();
        emit_abort(&mut bytes, &answer, code);
        self.answer_stranger(now, path, bytes);
    }

    /// Refuse a call with BUSY.
    pub(super) fn reject_busy(&mut self, now: Instant, path: &Path, header: &Header) {
        self.answer_stranger(now, path, header.answer(PacketType::Busy).to_bytes().to_vec());
    }

    /// Tell the client of an unknown call that nothing of it is here (QUIRKS.md#middle-of-an-old-call).
    pub(super) fn disown(&mut self, now: Instant, path: &Path, header: &Header) {
        let mut bytes = header.answer(PacketType::Ack).to_bytes().to_vec();
        let nothing = AckFields {
            buffer_space: 0,
            max_skew: 0,
            first_packet: 1,
            previous_packet: 0,
            // Without it, one that was overtaken would end a call that goes well.
            serial: header.serial,
            reason: AckReason::ExceedsWindow,
        };
        // Some peers take an ACK without a trailer for that of an old implementation (QUIRKS.md#trailer).
        let trailer = emit::trailer_of(1, self.config.limits.window);
        emit_ack(&mut bytes, &nothing, core::iter::empty(), Some(&trailer));
        self.answer_stranger(now, path, bytes);
    }

    /// A client asks about a call that has not begun here. If it was turned away, it is told again. Otherwise its
    /// request was lost: the answer keeps the call alive until the request is sent again, and the connection stays known
    /// for it (QUIRKS.md#early-question).
    pub(super) fn on_early_question(&mut self, now: Instant, path: &Path, key: u32, header: &Header) {
        let window = self.config.limits.window;
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        let Some(peer) = self.peers.get(connection.peer as usize) else { return };
        let number = header.call_number;
        let Some(channel) = connection.channel_mut(header.channel()) else { return };
        match channel.answer_early(number) {
            None => return,
            Some(EarlyAnswer::TurnedAway) => return self.reject_busy(now, path, header),
            Some(EarlyAnswer::NothingCame) => {}
        }
        connection.idle_since = connection.idle_since.map(|_| now);
        let mut answer = emit::header(connection, header.channel(), number, PacketType::Ack);
        answer.flags |= Flags::SLOW_START_OK;
        let fields = AckFields {
            buffer_space: 0,
            max_skew: 0,
            first_packet: 1,
            previous_packet: 0,
            serial: header.serial,
            reason: AckReason::PingResponse,
        };
        let mut bytes = answer.to_bytes().to_vec();
        emit_ack(&mut bytes, &fields, core::iter::empty(), Some(&emit::trailer(peer, window)));
        self.answer_stranger(now, path, bytes);
        self.set_connection_timer(key);
    }

    pub(super) fn answer_version(&mut self, now: Instant, path: &Path, header: &Header) {
        let mut bytes = Vec::new();
        emit_version_reply(header, &self.config.version_text, &mut bytes);
        self.answer_stranger(now, path, bytes);
    }

    /// Hold open what translates addresses on the way to a peer.
    pub(super) fn send_nat_keepalive(&mut self, peer: SocketAddr) {
        let mut bytes = Vec::new();
        emit_keepalive(self.epoch, &mut bytes);
        self.outbox.push(peer, None, bytes);
    }

    /// The next packet that belongs to no connection.
    pub(super) fn transmit_loose(&mut self, buf: &mut TransmitBuf) -> Option<Transmit> {
        let loose = self.outbox.packets.pop_front()?;
        buf.bytes.extend_from_slice(&loose.bytes);
        Some(Transmit {
            peer: loose.peer,
            local_ip: loose.local_ip,
            ecn: 0,
            may_fragment: true,
            segment: loose.bytes.len(),
            len: loose.bytes.len(),
        })
    }
}
