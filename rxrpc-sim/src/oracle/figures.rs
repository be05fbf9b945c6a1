//! How much the calls of a run carried, and when.

use rxrpc_proto::Instant;

/// Sums over the calls that have ended at their clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// When the first of them began.
    pub first: Option<Instant>,
    /// When the last of them ended.
    pub last: Instant,
    /// Bytes of requests and replies of those that ended well.
    pub bytes: u64,
}

impl Figures {
    /// A call has ended, and carried so much.
    pub fn add(&mut self, begun: Instant, ended: Instant, bytes: u64) {
        self.first = Some(self.first.map_or(begun, |first| first.min(begun)));
        self.last = self.last.max(ended);
        self.bytes += bytes;
    }

    /// Bytes a second.
    #[must_use]
    pub fn goodput(&self) -> u64 {
        let nanos = (self.last - self.first.unwrap_or(self.last)).as_nanos().max(1);
        u64::try_from(u128::from(self.bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
    }
}
