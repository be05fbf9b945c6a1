//! The batch that is being sent.

use std::io;
use std::net::SocketAddr;

use rxrpc_proto::{Endpoint, Instant, NetworkError, Transmit, TransmitBuf};

use crate::Io;
use crate::io::{segmentation_refused, send_error};

/// Most datagrams in one send: what Linux takes.
const MAX_SEGMENTS: usize = 64;

/// One batch of datagrams, and how much of it is out. Kept while the socket takes nothing, so that
/// nothing is lost and nothing has to be asked of the core again.
pub(crate) struct Outgoing {
    buf: TransmitBuf,
    pending: Option<Transmit>,
    sent: usize,
    max_segments: usize,
    /// The system refused to segment.
    singly: bool,
}

/// What became of a batch.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    /// All of it is out, or lost as datagrams may be.
    All,
    /// The socket takes no more now.
    Blocked,
    /// What is left of it cannot be sent to this peer.
    Failed(SocketAddr, NetworkError),
}

impl Outgoing {
    pub(crate) fn new(max_segments: usize) -> Self {
        let max_segments = max_segments.clamp(1, MAX_SEGMENTS);
        Outgoing { buf: TransmitBuf::new(max_segments), pending: None, sent: 0, max_segments, singly: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_none()
    }

    /// Takes the next batch from the core, if there is one. Runs under the lock.
    pub(crate) fn fill(&mut self, proto: &mut Endpoint, now: Instant) -> bool {
        self.sent = 0;
        self.pending = proto.poll_transmit(now, &mut self.buf);
        self.pending.is_some()
    }

    /// Sends what is left of the batch.
    pub(crate) fn send<I: Io>(&mut self, io: &mut I) -> Sent {
        while let Some(transmit) = self.pending {
            let left = self.buf.as_slice().get(self.sent..transmit.len).unwrap_or_default();
            let whole = left.len();
            let piece = if self.singly { left.get(..transmit.segment).unwrap_or(left) } else { left };
            if piece.is_empty() {
                self.pending = None;
                break;
            }
            let len = piece.len();
            let Err(error) = io.try_send(&Transmit { len, ..transmit }, piece) else {
                self.sent += len;
                if len == whole {
                    self.pending = None;
                }
                continue;
            };
            match error.kind() {
                io::ErrorKind::WouldBlock => return Sent::Blocked,
                io::ErrorKind::Interrupted => {}
                _ if len > transmit.segment && segmentation_refused(&error) => self.stop_segmenting(),
                // What is left goes to the same peer and would end the same way.
                _ => {
                    self.pending = None;
                    if let Some(error) = send_error(&error) {
                        return Sent::Failed(transmit.peer, error);
                    }
                }
            }
        }
        Sent::All
    }

    /// Some devices and drivers refuse segmentation offload, and only a send can find out. What was to be
    /// one send becomes several, now and from here on.
    fn stop_segmenting(&mut self) {
        self.singly = true;
        self.max_segments = 1;
        self.buf.set_max_segments(1);
    }

    /// Keeps to what the socket can do by now.
    pub(crate) fn limit_segments(&mut self, most: usize) {
        if most.max(1) < self.max_segments {
            self.max_segments = most.max(1);
            self.buf.set_max_segments(self.max_segments);
        }
    }
}
