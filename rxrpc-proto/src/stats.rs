//! Counters.

use core::net::SocketAddr;
use core::time::Duration;

use crate::call::Outcome;
use crate::event::CallId;
use crate::fault::Fault;

/// What one call has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStats {
    /// Payload bytes sent for the first time.
    pub bytes_sent: u64,
    /// Of them, those that the peer acknowledged for good.
    pub bytes_acknowledged: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// DATA packets sent, retransmissions included.
    pub packets_sent: u64,
    /// DATA packets received and kept.
    pub packets_received: u64,
    /// DATA packets sent again.
    pub retransmissions: u64,
    /// Retransmission time-outs.
    pub timeouts: u64,
    /// DATA packets received that were held already.
    pub duplicates: u64,
    /// DATA packets refused because the window was closed.
    pub beyond_window: u64,
    /// ACK packets sent.
    pub acks_sent: u64,
    /// ACK packets received and used.
    pub acks_received: u64,
    /// Smoothed round trip to the peer, if one was measured.
    pub srtt: Option<Duration>,
    /// Retransmission time-out, longer after each in a row.
    pub rto: Duration,
    /// Congestion window in packets.
    pub congestion_window: u32,
    /// Slow-start threshold in packets, if a loss has set one.
    pub slow_start_threshold: Option<u32>,
    /// Window the peer offered last, in packets.
    pub peer_window: u32,
    /// Packets in flight.
    pub in_flight: u32,
    /// Bytes received that the application has not read, with what it costs to hold them: what
    /// [`Limits::receive_per_call`](crate::Limits::receive_per_call) limits.
    pub unread: usize,
    /// Bytes written that the peer has not acknowledged for good.
    pub unacknowledged: usize,
}

/// A call's names, its state and its counters in one piece, from
/// [`Endpoint::call_info`](crate::Endpoint::call_info). For traces, plots and tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallInfo {
    /// The call.
    pub id: CallId,
    /// The tag it was begun or accepted with.
    pub tag: u64,
    /// The other side's address.
    pub peer: SocketAddr,
    /// The service, after an upgrade the newer one.
    pub service: u16,
    /// Whether we began it.
    pub is_client: bool,
    /// Its names on the wire: none before it has a channel, and none once it is over.
    pub wire: Option<WireCall>,
    /// How it ended, `None` while it lives.
    pub outcome: Option<Outcome>,
    /// Its counters.
    pub stats: CallStats,
}

/// What packets of a call name it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireCall {
    /// Epoch of the connection.
    pub epoch: u32,
    /// Connection id, with the channel in its low bits.
    pub cid: u32,
    /// Number of the call on its channel.
    pub number: u32,
}

/// How often a limit was reached whose answer does not say which one it was. Each field is named as that of
/// [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitStats {
    /// A service connection had to make room for another one, or there was none to do so.
    pub service_connections: u64,
    /// A service connection had to make room among those of peers that have not proved their address.
    pub unvalidated_connections: u64,
    /// A connection of the same peer had to make room, or there was none to do so.
    pub unvalidated_per_peer: u64,
    /// A connection that had made room was forgotten before its time, to remember another one.
    pub evicted_connections: u64,
    /// An ACK offered no window, for the call itself holds too much.
    pub receive_per_call: u64,
    /// An ACK offered no window, for the calls of the peer hold too much.
    pub receive_per_peer: u64,
    /// An ACK offered no window, for all calls together hold too much.
    pub receive_total: u64,
    /// A write was Blocked by what the call itself has not acknowledged.
    pub send_per_call: u64,
    /// A write was Blocked by what all calls have not acknowledged, or all those that wait for a channel.
    pub send_total: u64,
    /// An answer to a packet of an unknown connection was left out for its rate.
    pub stranger_answers_per_second: u64,
    /// A replay of the last packet of a finished call was left out for its rate.
    pub replays_per_second: u64,
}

/// What an endpoint has done so far, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStats {
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Their UDP payload bytes.
    pub bytes_received: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Their UDP payload bytes.
    pub bytes_sent: u64,
    /// Batches the datagrams were sent in.
    pub batches_sent: u64,
    /// Answers to strangers and replays left out because of their rate.
    pub answers_suppressed: u64,
    /// Calls that exist: live, or over and not released.
    pub calls: usize,
    /// Connections that exist.
    pub connections: usize,
    /// Of them, client connections.
    pub client_connections: usize,
    /// Of the service connections, those whose peer has not proved its address.
    pub unvalidated_connections: usize,
    /// Connections that are gone, for they had to make room, and whose call numbers are remembered.
    pub evicted_connections: usize,
    /// Questions about versions that were asked and whose answers were not taken.
    pub version_queries: usize,
    /// Peers that are remembered.
    pub peers: usize,
    /// Bytes received and not read.
    pub unread: usize,
    /// Bytes written and not acknowledged.
    pub unacknowledged: usize,
    /// Which limits were in the way, and how often.
    pub limits: LimitStats,
    pub(crate) faults: [u64; Fault::COUNT],
}

impl Default for EndpointStats {
    fn default() -> Self {
        EndpointStats {
            datagrams_received: 0,
            bytes_received: 0,
            datagrams_sent: 0,
            bytes_sent: 0,
            batches_sent: 0,
            answers_suppressed: 0,
            calls: 0,
            connections: 0,
            client_connections: 0,
            unvalidated_connections: 0,
            evicted_connections: 0,
            version_queries: 0,
            peers: 0,
            unread: 0,
            unacknowledged: 0,
            limits: LimitStats::default(),
            faults: [0; Fault::COUNT],
        }
    }
}

impl EndpointStats {
    /// How often peers did this.
    #[must_use]
    pub fn fault(&self, fault: Fault) -> u64 {
        self.faults.get(fault.index()).copied().unwrap_or(0)
    }

    pub(crate) fn count_fault(&mut self, fault: Fault) {
        if let Some(count) = self.faults.get_mut(fault.index()) {
            *count += 1;
        }
    }
}
