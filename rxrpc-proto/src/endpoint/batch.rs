//! What goes out next: batches of equal datagrams to one peer, so that the socket is asked once for many.
//!
//! Classes go in their order, owners of a class in turn. The first packet fixes the size; others of that size
//! join, one shorter may close the batch. Whoever does not fit keeps the place in the ring.

use core::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use super::{Endpoint, Transmit, TransmitBuf};
use crate::peer::{Class, Token};
use crate::time::Instant;

/// Owners that are looked at for one batch.
const LOOK: usize = 64;

/// A batch being filled.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// Where its packets are written to.
    pub(super) buf: &'a mut TransmitBuf,
    pub(super) local_ip: Option<IpAddr>,
    /// Where it goes, if not to the peer's address.
    pub(super) addr: Option<SocketAddr>,
    pub(super) segment: usize,
    pub(super) count: usize,
    /// The class that began it.
    class: Class,
    closed: bool,
    /// The peer may not be sent more before it has proved its address.
    pub(super) blocked: bool,
    looked: usize,
}

/// What became of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// Nothing more to send.
    Done,
    /// Sent something and has more: to the end of the ring.
    Again,
    /// Did not fit: keeps its place.
    Passed,
    /// Waits for the peer to prove its address: to the end, since others need not wait for that.
    Blocked,
}

impl<'a> Batch<'a> {
    fn new(buf: &'a mut TransmitBuf) -> Self {
        Batch {
            buf,
            local_ip: None,
            addr: None,
            segment: 0,
            count: 0,
            class: Class::Control,
            closed: false,
            blocked: false,
            looked: 0,
        }
    }

    fn is_done(&self) -> bool {
        self.closed || self.count >= self.buf.max_segments || self.looked >= LOOK
    }

    /// Whether a packet of this class and size, leaving from this address, may join.
    pub(super) fn takes(&self, class: Class, size: usize, local_ip: Option<IpAddr>) -> bool {
        if self.closed || self.count >= self.buf.max_segments {
            return false;
        }
        if self.count == 0 {
            return size <= TransmitBuf::MAX_LEN;
        }
        let padded = class == Class::Ack && self.class == Class::Ack;
        let fits = size <= self.segment && (self.count + 1) * self.segment <= TransmitBuf::MAX_LEN;
        fits && local_ip == self.local_ip && (padded || size == self.segment || class > Class::Ack)
    }

    /// What a packet of this class and size will measure in the batch.
    pub(super) fn size_of(&self, class: Class, size: usize) -> usize {
        if class == Class::Ack && self.class == Class::Ack { size.max(self.segment) } else { size }
    }

    /// A packet of `size` bytes was appended to the buffer. Acknowledgements are padded to the common size.
    pub(super) fn added(&mut self, class: Class, size: usize, local_ip: Option<IpAddr>) {
        if self.count == 0 {
            self.segment = size;
            self.class = class;
            self.local_ip = local_ip;
        }
        self.count += 1;
        if size == self.segment {
            return;
        }
        if class == Class::Ack && self.class == Class::Ack {
            self.buf.bytes.resize(self.count * self.segment, 0);
        } else {
            self.closed = true;
        }
    }

    /// Nothing may follow.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }
}

impl Endpoint {
    /// The next batch to send, written to `buf`; `None` when there is nothing to send now.
    ///
    /// Also does what the application wished since the last call.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut TransmitBuf) -> Option<Transmit> {
        let now = self.advance(now);
        self.start_versions(now);
        let transmit = loop {
            self.settle(now);
            buf.bytes.clear();
            if let Some(transmit) = self.transmit_loose(buf).or_else(|| self.transmit_peer(now, buf)) {
                break transmit;
            }
            // What could not go to a stranger may have made its call ask for proof, which can.
            if self.dirty_calls.is_empty() {
                return None;
            }
        };
        self.stats.batches_sent += 1;
        self.stats.datagrams_sent += transmit.datagrams() as u64;
        self.stats.bytes_sent += transmit.len as u64;
        Some(transmit)
    }

    fn transmit_peer(&mut self, now: Instant, buf: &mut TransmitBuf) -> Option<Transmit> {
        while let Some(key) = self.ring.pop_front() {
            let Some(peer) = self.peers.get_mut(key as usize) else { continue };
            peer.in_ring = false;
            let addr = peer.addr;
            let mut batch = Batch::new(buf);
            for class in Class::ALL {
                self.fill(now, key, class, &mut batch);
            }
            if batch.count == 0 {
                // What is left waits for the peer to prove its address; its next datagram brings it back.
                if !batch.blocked {
                    self.ready_peer(key);
                }
                continue;
            }
            if let Some(peer) = self.peers.get_mut(key as usize) {
                peer.last_sent = now;
            }
            self.ready_peer(key);
            return Some(Transmit {
                peer: batch.addr.unwrap_or(addr),
                local_ip: batch.local_ip,
                ecn: 0,
                may_fragment: true,
                segment: batch.segment,
                len: batch.buf.bytes.len(),
            });
        }
        None
    }

    /// Let the owners of one class add to the batch.
    fn fill(&mut self, now: Instant, peer: u32, class: Class, batch: &mut Batch<'_>) {
        batch.looked = 0;
        let mut passed: SmallVec<[Token; 8]> = SmallVec::new();
        let mut again: SmallVec<[Token; 8]> = SmallVec::new();
        while !batch.is_done() {
            let Some(token) = self.peers.get_mut(peer as usize).and_then(|p| p.ready.pop(class)) else {
                break;
            };
            batch.looked += 1;
            match self.take_turn(now, peer, class, token, batch) {
                Turn::Done => {}
                Turn::Again | Turn::Blocked => again.push(token),
                Turn::Passed => passed.push(token),
            }
        }
        let Some(peer) = self.peers.get_mut(peer as usize) else { return };
        for token in passed.into_iter().rev() {
            peer.ready.push_front(class, token);
        }
        for token in again {
            peer.ready.push_back(class, token);
        }
    }

    fn take_turn(
        &mut self,
        now: Instant,
        peer: u32,
        class: Class,
        token: Token,
        batch: &mut Batch<'_>,
    ) -> Turn {
        match token {
            Token::Connection(key) => {
                let Some(connection) = self.connections.get_mut(key as usize) else { return Turn::Done };
                if connection.peer != peer || !core::mem::replace(&mut connection.in_ring, false) {
                    return Turn::Done;
                }
                let turn = self.emit_control(now, key, batch);
                if turn != Turn::Done
                    && let Some(connection) = self.connections.get_mut(key as usize)
                {
                    connection.in_ring = true;
                }
                turn
            }
            Token::Call(key) => {
                let Some(call) = self.calls.get_mut(key) else { return Turn::Done };
                if call.peer != peer || call.rings & class.bit() == 0 {
                    return Turn::Done;
                }
                call.rings &= !class.bit();
                let turn = self.emit_call(now, key, class, batch);
                if turn != Turn::Done
                    && let Some(call) = self.calls.get_mut(key)
                {
                    call.rings |= class.bit();
                }
                turn
            }
        }
    }
}
