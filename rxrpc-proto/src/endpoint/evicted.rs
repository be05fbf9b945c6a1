//! Service connections that had to make room for others. Which calls they had is remembered, or a late copy of a
//! request would have it executed again, and its client join the parts of two replies (QUIRKS.md#evicted-calls).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::peers::ServiceKey;
use super::table::{KeyedState, Table};
use super::{Endpoint, Path, emit};
use crate::connection::{Connection, Ending};
use crate::error::CallError;
use crate::fault::Fault;
use crate::time::Instant;
use crate::wire::{AbortCode, CHANNELS, Header, PacketType, emit_abort};

/// The newest call of each channel.
pub(super) type CallNumbers = [u32; CHANNELS];

/// The connections that are remembered.
#[derive(Debug)]
pub(super) struct Evicted {
    most: usize,
    /// How long each is.
    life: Duration,
    known: Table<ServiceKey, (CallNumbers, Instant)>,
    /// Oldest first. What was taken out, or has come again since, keeps its place until it comes to the front, or
    /// until such places are the most.
    order: VecDeque<(ServiceKey, Instant)>,
}

impl Evicted {
    pub(super) fn new(hash: KeyedState, most: usize, life: Duration) -> Self {
        Evicted { most, life, known: Table::with_hasher(hash), order: VecDeque::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// Remember a connection. Whether one, perhaps itself, had to be forgotten before its time.
    fn push(&mut self, now: Instant, id: ServiceKey, calls: CallNumbers) -> bool {
        self.expire(now);
        if self.most == 0 {
            return true;
        }
        self.known.insert(id, (calls, now));
        self.order.push_back((id, now));
        let full = self.known.len() > self.most;
        while self.known.len() > self.most && self.pop() {}
        if self.order.len() > 2 * self.known.len() + 64 {
            let known = &self.known;
            self.order.retain(|(id, at)| known.get(id).is_some_and(|(_, since)| since == at));
        }
        full
    }

    /// What is remembered of a connection.
    fn find(&mut self, now: Instant, id: &ServiceKey) -> Option<CallNumbers> {
        self.expire(now);
        self.known.get(id).map(|(calls, _)| *calls)
    }

    /// The connection is there again. What was remembered of it.
    pub(super) fn take(&mut self, id: &ServiceKey) -> Option<CallNumbers> {
        self.known.remove(id).map(|(calls, _)| calls)
    }

    fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(_, at)| *at + self.life <= now) {
            self.pop();
        }
        if self.known.is_empty() {
            self.order.clear();
        }
    }

    /// Take the oldest place away. False if there is none.
    fn pop(&mut self) -> bool {
        let Some((id, at)) = self.order.pop_front() else { return false };
        if self.known.get(&id).is_some_and(|(_, since)| *since == at) {
            self.known.remove(&id);
        }
        true
    }
}

impl Endpoint {
    /// The connection makes room for another: its calls are over.
    pub(super) fn evict(&mut self, now: Instant, key: u32) {
        let calls = self.connections.get(key as usize).map(Connection::calls).unwrap_or_default();
        for call in calls {
            self.complete(now, call, Err(CallError::LocalAbort(AbortCode::RX_CALL_DEAD)));
        }
        self.send_last_aborts(now, key);
        let Some(connection) = self.connections.get(key as usize) else { return };
        let Some(peer) = self.peers.get(connection.peer as usize) else { return };
        let id = ServiceKey::new(peer.addr, connection.epoch, connection.cid);
        let calls = connection.channels.map(|channel| channel.counter);
        self.drop_connection(key);
        self.remember_evicted(now, id, calls);
    }

    pub(super) fn remember_evicted(&mut self, now: Instant, id: ServiceKey, calls: CallNumbers) {
        let full = self.evicted.push(now, id, calls);
        self.stats.limits.evicted_connections += u64::from(full);
    }

    /// The ABORTs that wait on a connection which is about to go.
    fn send_last_aborts(&mut self, now: Instant, key: u32) {
        for channel in 0..CHANNELS {
            let Some(connection) = self.connections.get_mut(key as usize) else { return };
            let Some(peer) = self.peers.get(connection.peer as usize) else { return };
            let (addr, local_ip) = (peer.addr, connection.local_ip);
            let last = connection.channel(channel).and_then(|c| c.replay.and(c.last));
            let Some(last) = last else { continue };
            let Ending::Aborted(code) = last.ending else { continue };
            let header = emit::header(connection, channel, last.number, PacketType::Abort);
            let mut bytes = Vec::new();
            emit_abort(&mut bytes, &header, code);
            if self.afford(now, &addr, bytes.len()) {
                self.outbox.push(addr, local_ip, bytes);
            }
        }
    }

    /// Whether a packet of an unknown connection is of a call that an evicted one had. If so it is refused.
    pub(super) fn refuse_evicted(&mut self, now: Instant, path: &Path, header: &Header) -> bool {
        let id = ServiceKey::new(path.peer, header.epoch, header.connection_id());
        let newest = self.evicted.find(now, &id).and_then(|calls| calls.get(header.channel()).copied());
        let is_over = newest.is_some_and(|newest| header.call_number <= newest);
        if is_over {
            self.fault(Fault::EvictedCall);
            self.refuse_packet(now, path, header, AbortCode::RX_CALL_DEAD, false);
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn at(s: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(s)
    }

    fn id(cid: u32) -> ServiceKey {
        ServiceKey::new(SocketAddr::from(([10, 0, 0, 1], 7001)), 1, cid)
    }

    fn evicted(most: usize) -> Evicted {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        Evicted::new(KeyedState::new(&mut rng), most, Duration::from_secs(20))
    }

    #[test]
    fn who_comes_again_counts_from_then_on() {
        let mut all = evicted(2);
        assert!(!all.push(at(0), id(1), [1; 4]) && !all.push(at(1), id(2), [2; 4]));
        assert!(!all.push(at(2), id(1), [3; 4]));
        assert!(all.push(at(3), id(3), [4; 4]), "no room for three");
        let found = [1, 2, 3].map(|cid| all.find(at(3), &id(cid)));
        assert_eq!(found, [Some([3; 4]), None, Some([4; 4])]);
        let found = [1, 3].map(|cid| all.find(at(22), &id(cid)));
        assert_eq!((found, all.count()), ([None, Some([4; 4])], 1));
    }

    #[test]
    fn places_of_those_that_were_taken_out_do_not_add_up() {
        let mut all = evicted(8);
        for n in 0..10_000 {
            assert!(!all.push(at(0), id(n % 7), [n; 4]));
            assert_eq!(all.take(&id(n % 7)), Some([n; 4]));
            assert!(all.order.len() <= 2 * all.count() + 64 + 1);
        }
        assert_eq!(all.count(), 0);
    }
}
