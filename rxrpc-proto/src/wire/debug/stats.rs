//! Counters of a process.

use crate::wire::layout::layout;

layout! {
    /// A span of time.
    pub struct Timeval {
        /// Whole seconds.
        pub seconds: i32,
        /// Microseconds, 0 to 999 999.
        pub microseconds: i32,
    }
}

layout! {
    /// The answer to GETSTATS.
    pub struct DebugStats {
        /// Offset 0: free packet buffers.
        pub free_packets: i32,
        /// Offset 4: how often buffers were reclaimed from calls.
        pub packet_reclaims: i32,
        /// Offset 8: calls that reached a service.
        pub calls_executed: i32,
        /// Offset 12: not 0 while the process waits for packet buffers.
        pub waiting_for_packets: u8,
        /// Offset 13: file descriptors in use.
        pub used_descriptors: u8,
        /// Offset 14: a letter that tells which questions the peer answers; see [`since`](Self::since).
        pub version: u8,
        /// Offset 15: unused.
        pub spare: u8,
        /// Offset 16: calls that wait for a thread. From version `N` on.
        pub waiting_calls: i32,
        /// Offset 20: idle threads. From version `O` on.
        pub idle_threads: i32,
        /// Offset 24: calls that have waited for a thread. From version `R` on.
        pub waited_calls: i32,
        /// Offset 28: packet buffers in all. From version `S` on.
        pub packets: i32,
        /// Offset 32: unused.
        pub spares: [i32; 6],
    }
}

impl DebugStats {
    /// The version that counts security statistics with a connection.
    pub const WITH_SECURITY: u8 = b'L';
    /// The version that answers GETALLCONN and RXSTATS.
    pub const WITH_ALL_CONNECTIONS: u8 = b'M';
    /// The version that counts waiting calls.
    pub const WITH_WAITING: u8 = b'N';
    /// The version that counts idle threads.
    pub const WITH_IDLE: u8 = b'O';
    /// The version that answers GETPEER.
    pub const WITH_PEERS: u8 = b'Q';
    /// The version that counts calls that have waited.
    pub const WITH_WAITED: u8 = b'R';
    /// The newest version; it counts packet buffers.
    pub const WITH_PACKETS: u8 = b'S';

    /// Whether the peer is of the given version or newer.
    #[must_use]
    pub const fn since(&self, version: u8) -> bool {
        self.version >= version
    }
}

layout! {
    /// The answer to RXSTATS: packet counters since the process started.
    pub struct RxStats {
        /// Offset 0: packet buffers asked for.
        pub packet_requests: i32,
        /// Offset 4: buffers for receiving that were not to be had.
        pub receive_alloc_failures: i32,
        /// Offset 8: buffers for sending that were not to be had.
        pub send_alloc_failures: i32,
        /// Offset 12: buffers for other packets that were not to be had.
        pub special_alloc_failures: i32,
        /// Offset 16: times the listener kept the socket longer than its turn.
        pub socket_greedy: i32,
        /// Offset 20: datagrams that are no Rx packet.
        pub bogus_packets: i32,
        /// Offset 24: address of the last sender of one.
        pub bogus_host: u32,
        /// Offset 28: reads that found nothing.
        pub empty_reads: i32,
        /// Offset 32: reads without a buffer.
        pub reads_without_buffer: i32,
        /// Offset 36: waits for the socket.
        pub selects: i32,
        /// Offset 40: waits for the socket to take a packet.
        pub send_selects: i32,
        /// Offset 44: packets received by type, from type 1 to 13.
        pub received: [i32; 13],
        /// Offset 96: DATA packets received for a call.
        pub data_received: i32,
        /// Offset 100: ACK packets received for a call.
        pub acks_received: i32,
        /// Offset 104: DATA packets received again.
        pub duplicates_received: i32,
        /// Offset 108: packets received for no call.
        pub spurious_received: i32,
        /// Offset 112: packets sent by type, from type 1 to 13.
        pub sent: [i32; 13],
        /// Offset 164: ACK packets sent.
        pub acks_sent: i32,
        /// Offset 168: pings sent; never counted by current peers.
        pub pings_sent: i32,
        /// Offset 172: aborts sent; never counted by current peers.
        pub aborts_sent: i32,
        /// Offset 176: BUSY packets sent; never counted by current peers.
        pub busies_sent: i32,
        /// Offset 180: DATA packets sent.
        pub data_sent: i32,
        /// Offset 184: DATA packets sent again.
        pub data_resent: i32,
        /// Offset 188: DATA packets sent early; never counted by current peers.
        pub data_pushed: i32,
        /// Offset 192: packets acknowledged between being chosen and being sent.
        pub ignored_acked: i32,
        /// Offset 196: all round trips measured, together.
        pub total_rtt: Timeval,
        /// Offset 204: the shortest round trip; 9 999 999 s if there was none.
        pub min_rtt: Timeval,
        /// Offset 212: the longest round trip.
        pub max_rtt: Timeval,
        /// Offset 220: round trips measured.
        pub rtt_samples: i32,
        /// Offset 224: server connections.
        pub server_connections: i32,
        /// Offset 228: client connections.
        pub client_connections: i32,
        /// Offset 232: peers.
        pub peers: i32,
        /// Offset 236: calls.
        pub calls: i32,
        /// Offset 240: unused call structures.
        pub free_calls: i32,
        /// Offset 244: packets the network refused.
        pub send_failures: i32,
        /// Offset 248: sends that failed for good.
        pub fatal_errors: i32,
        /// Offset 252: packets ignored because their call lingers after its end.
        pub ignored_lingering: i32,
        /// Offset 256: continuation buffers for receiving that were not to be had.
        pub receive_buffer_failures: i32,
        /// Offset 260: continuation buffers for sending that were not to be had.
        pub send_buffer_failures: i32,
        /// Offset 264: calls refused because the process was busy.
        pub busies: i32,
        /// Offset 268: unused.
        pub spares: [i32; 4],
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn counted(len: usize) -> Vec<u8> {
        (0..len / 4).flat_map(|word| (word as u32).to_be_bytes()).collect()
    }

    #[test]
    fn rxstats_fields_stand_at_their_words() {
        let (stats, _) = RxStats::parse(&counted(RxStats::LEN)).unwrap();
        assert_eq!((stats.packet_requests, stats.bogus_host, stats.send_selects), (0, 6, 10));
        assert_eq!((stats.received[0], stats.received[12], stats.data_received), (11, 23, 24));
        assert_eq!((stats.sent[0], stats.sent[12], stats.acks_sent), (28, 40, 41));
        assert_eq!(stats.total_rtt, Timeval { seconds: 49, microseconds: 50 });
        assert_eq!((stats.max_rtt.microseconds, stats.rtt_samples, stats.calls), (54, 55, 59));
        assert_eq!((stats.busies, stats.spares), (66, [67, 68, 69, 70]));
    }

    #[test]
    fn stats_fields_stand_at_their_offsets() {
        let mut body = counted(DebugStats::LEN);
        body[12..16].copy_from_slice(&[1, 2, b'Q', 3]);
        let (stats, _) = DebugStats::parse(&body).unwrap();
        assert_eq!((stats.calls_executed, stats.waiting_for_packets, stats.used_descriptors), (2, 1, 2));
        assert_eq!((stats.version, stats.spare, stats.waiting_calls), (b'Q', 3, 4));
        assert_eq!((stats.packets, stats.spares), (7, [8, 9, 10, 11, 12, 13]));
        assert!(stats.since(DebugStats::WITH_PEERS));
        assert!(!stats.since(DebugStats::WITH_WAITED));
    }
}
