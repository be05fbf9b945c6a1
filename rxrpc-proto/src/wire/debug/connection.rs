//! One connection of a peer.

use core::net::Ipv4Addr;

use crate::wire::layout::layout;

layout! {
    /// What a security class counts for a connection.
    pub struct SecurityStats {
        /// Offset 0: 0 unknown, 1 none, 2 vab, 3 rxkad, 4 rxgk. Not the security index.
        pub class: u8,
        /// Offset 1: the level.
        pub level: u8,
        /// Offset 2: unused.
        pub spare: [u8; 10],
        /// Offset 12: bits: 1 not allocated, 2 authenticated, 4 expired, 8 checksums in use.
        pub flags: u32,
        /// Offset 16: when the ticket expires, in seconds since 1970.
        pub expires: u32,
        /// Offset 20: packets received.
        pub packets_received: u32,
        /// Offset 24: packets sent.
        pub packets_sent: u32,
        /// Offset 28: octets received.
        pub bytes_received: u32,
        /// Offset 32: octets sent.
        pub bytes_sent: u32,
        /// Offset 36: unused.
        pub short_spares: [i16; 4],
        /// Offset 44: unused.
        pub spares: [i32; 8],
    }
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallState {
    /// 0: the channel had no call yet.
    NotInitialised,
    /// 1: received, not yet given to a thread.
    Precall,
    /// 2: in progress.
    Active,
    /// 3: over, lingering for a last acknowledgement.
    Dally,
    /// 4: held until the one before it on the channel is over.
    Hold,
    /// 5: being reset.
    Reset,
    /// Any other number.
    Other(u8),
}

impl From<u8> for CallState {
    fn from(number: u8) -> CallState {
        match number {
            0 => CallState::NotInitialised,
            1 => CallState::Precall,
            2 => CallState::Active,
            3 => CallState::Dally,
            4 => CallState::Hold,
            5 => CallState::Reset,
            other => CallState::Other(other),
        }
    }
}

/// Which way the data of a call goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallMode {
    /// 1: this side sends.
    Sending,
    /// 2: this side receives.
    Receiving,
    /// 3: the call failed.
    Error,
    /// 4: everything has been received.
    Eof,
    /// Any other number.
    Other(u8),
}

impl From<u8> for CallMode {
    fn from(number: u8) -> CallMode {
        match number {
            1 => CallMode::Sending,
            2 => CallMode::Receiving,
            3 => CallMode::Error,
            4 => CallMode::Eof,
            other => CallMode::Other(other),
        }
    }
}

layout! {
    /// The answer to GETCONN and GETALLCONN, as of version `M`. Arrays have one entry a channel.
    pub struct DebugConnection {
        /// Offset 0: address of the other side.
        pub host: Ipv4Addr,
        /// Offset 4: connection id; [`END`](Self::END) if there are no more connections.
        pub cid: u32,
        /// Offset 8: serial of the last packet sent.
        pub serial: u32,
        /// Offset 12: number of the newest call.
        pub call_numbers: [u32; 4],
        /// Offset 28: abort code of the connection, 0 if none.
        pub error: i32,
        /// Offset 32: UDP port of the other side.
        pub port: u16,
        /// Offset 34: bits: 1 a call waits for a channel, 2 to be destroyed, 4 checksums in use, 8 window
        /// known, 16 reset, 32 busy, 64 waits for a reachability proof, 128 a call is being made.
        pub flags: u8,
        /// Offset 35: 0 if the asked process is the client, 1 if it is the server.
        pub role: u8,
        /// Offset 36: the security index.
        pub security_index: u8,
        /// Offset 37: unused.
        pub spare: [u8; 3],
        /// Offset 40: see [`CallState`].
        pub call_states: [u8; 4],
        /// Offset 44: see [`CallMode`].
        pub call_modes: [u8; 4],
        /// Offset 48: bits: 1 reader waits, 2 and 4 sender waits for the window, 8 waits for buffers, 16
        /// waits for a thread, 32 everything received, 64 cleared, 128 transmit queue in use.
        pub call_flags: [u8; 4],
        /// Offset 52: bits: 1 something to read, 2 something to send.
        pub call_queues: [u8; 4],
        /// Offset 56: counters of the security class.
        pub security: SecurityStats,
        /// Offset 132: the epoch.
        pub epoch: u32,
        /// Offset 136: the packet size learnt for the path, in octets.
        pub nat_mtu: i32,
        /// Offset 140: unused.
        pub spares: [i32; 9],
    }
}

impl DebugConnection {
    /// The connection id in the answer for an index past the last connection.
    pub const END: u32 = u32::MAX;

    /// Whether this answer says that there are no more connections.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        self.cid == DebugConnection::END
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn connection_fields_stand_at_their_offsets() {
        let body: Vec<u8> = (0..=u8::MAX).take(DebugConnection::LEN).collect();
        let (connection, rest) = DebugConnection::parse(&body).unwrap();
        assert!(rest.is_empty());
        assert_eq!((connection.host, connection.cid), (Ipv4Addr::new(0, 1, 2, 3), 0x0405_0607));
        assert_eq!((connection.call_numbers[3], connection.error), (0x1819_1a1b, 0x1c1d_1e1f));
        assert_eq!((connection.port, connection.flags, connection.role), (0x2021, 34, 35));
        assert_eq!((connection.security_index, connection.spare), (36, [37, 38, 39]));
        assert_eq!((connection.call_states, connection.call_modes), ([40, 41, 42, 43], [44, 45, 46, 47]));
        assert_eq!((connection.call_flags, connection.call_queues), ([48, 49, 50, 51], [52, 53, 54, 55]));
        assert_eq!((connection.security.class, connection.security.level), (56, 57));
        assert_eq!((connection.security.flags, connection.security.bytes_sent), (0x4445_4647, 0x5859_5a5b));
        assert_eq!((connection.epoch, connection.nat_mtu), (0x8485_8687, 0x8889_8a8b_u32 as i32));
    }

    #[test]
    fn the_end_of_the_list_is_a_cid_of_all_ones() {
        let mut body = [0; DebugConnection::LEN];
        assert!(!DebugConnection::parse(&body).unwrap().0.is_end());
        body[4..8].fill(0xff);
        assert!(DebugConnection::parse(&body).unwrap().0.is_end());
    }

    #[test]
    fn states_and_modes_have_their_numbers() {
        let states = [0, 1, 2, 3, 4, 5, 6].map(CallState::from);
        assert_eq!(
            (states[1], states[2], states[5]),
            (CallState::Precall, CallState::Active, CallState::Reset)
        );
        assert_eq!((states[0], states[3]), (CallState::NotInitialised, CallState::Dally));
        assert_eq!((states[4], states[6]), (CallState::Hold, CallState::Other(6)));
        let modes = [1, 2, 3, 4, 0].map(CallMode::from);
        assert_eq!(modes[..3], [CallMode::Sending, CallMode::Receiving, CallMode::Error]);
        assert_eq!(modes[3..], [CallMode::Eof, CallMode::Other(0)]);
    }
}
