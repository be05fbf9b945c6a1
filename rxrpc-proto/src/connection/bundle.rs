//! Client connections to one service of one peer, and the calls that wait for a channel of theirs.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::event::CallId;

/// What calls must have in common to share connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BundleKey {
    /// Key of the peer.
    pub(crate) peer: u32,
    pub(crate) service: u16,
    /// Asks for a newer service.
    pub(crate) upgrade: bool,
}

impl Hash for BundleKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let service = u64::from(self.service) << 1 | u64::from(self.upgrade);
        state.write_u64(service << 32 | u64::from(self.peer));
    }
}

/// A place a call can take at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FreeChannel {
    pub(crate) connection: u32,
    pub(crate) channel: usize,
}

#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) key: BundleKey,
    /// Its only call has it to itself.
    pub(crate) exclusive: bool,
    pub(crate) connections: Vec<u32>,
    /// Free channels. The one used last is used first: its final acknowledgement rides on the next call.
    free: Vec<FreeChannel>,
    /// Calls in the order they came. May name calls that are over.
    waiting: VecDeque<CallId>,
    /// A first call asks for a newer service: until it is answered there is no second connection.
    probing: bool,
    /// How many of them are over.
    stale: usize,
    /// Hangs in the list of bundles to look after.
    pub(crate) dirty: bool,
}

impl Bundle {
    pub(crate) fn new(key: BundleKey, exclusive: bool) -> Self {
        Bundle {
            key,
            exclusive,
            connections: Vec::new(),
            free: Vec::new(),
            waiting: VecDeque::new(),
            probing: false,
            stale: 0,
            dirty: false,
        }
    }

    pub(crate) fn is_probing(&self) -> bool {
        self.probing
    }

    pub(crate) fn set_probing(&mut self, probing: bool) {
        self.probing = probing;
    }

    pub(crate) fn wait(&mut self, call: CallId) {
        self.waiting.push_back(call);
    }

    pub(crate) fn next_waiting(&mut self) -> Option<CallId> {
        self.waiting.pop_front()
    }

    /// A waiting call is over. Its place is cleared once half of all places are of that kind.
    pub(crate) fn on_cancelled(&mut self, is_waiting: impl Fn(CallId) -> bool) {
        self.stale += 1;
        if self.stale * 2 > self.waiting.len() {
            self.waiting.retain(|call| is_waiting(*call));
            self.stale = 0;
        }
    }

    /// Put a call back to the head of the queue.
    pub(crate) fn wait_first(&mut self, call: CallId) {
        self.waiting.push_front(call);
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn add_free(&mut self, connection: u32, channel: usize) {
        self.free.push(FreeChannel { connection, channel });
    }

    pub(crate) fn take_free(&mut self) -> Option<FreeChannel> {
        self.free.pop()
    }

    /// The connection is gone, or takes no further calls.
    pub(crate) fn drop_free(&mut self, connection: u32) {
        self.free.retain(|f| f.connection != connection);
    }

    pub(crate) fn remove(&mut self, connection: u32) {
        self.drop_free(connection);
        self.connections.retain(|c| *c != connection);
    }
}
