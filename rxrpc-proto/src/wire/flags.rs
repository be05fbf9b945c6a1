//! The flags octet and the packet type octet.

use core::ops::{BitOr, BitOrAssign};

/// The flags octet of a header (offset 21) or of a jumbo sub-header (offset 0).
///
/// What a bit means depends on the packet type, so one bit can have two names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// Every type: sent by the client side of the connection.
    pub const CLIENT_INITIATED: Flags = Flags(0x01);
    /// DATA and ACK: the receiver has to answer with an ACK at once.
    pub const REQUEST_ACK: Flags = Flags(0x02);
    /// DATA: the last packet of this direction of the call. VERSION: set on requests and replies.
    pub const LAST_PACKET: Flags = Flags(0x04);
    /// DATA: the sender has more to send. Informational.
    pub const MORE_PACKETS: Flags = Flags(0x08);
    /// ACK: a proposed larger soft-ACK table. No known peer sends it; ignored.
    pub const EXTENDED_SACK: Flags = Flags(0x08);
    /// DATA: another segment follows in this datagram.
    pub const JUMBO: Flags = Flags(0x20);
    /// ACK: the sender of the ACK does slow start. Set on every ACK.
    pub const SLOW_START_OK: Flags = Flags(0x20);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and those of `other`.
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These flags less those of `other`.
    #[must_use]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        self.with(other)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Flags) {
        *self = self.with(other);
    }
}

/// The packet type (header offset 20).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PacketType {
    /// 1: payload of a call, one or several segments.
    Data,
    /// 2: acknowledgement.
    Ack,
    /// 3: the server cannot take the call now.
    Busy,
    /// 4: the end of a call, or of a connection if the call number is zero.
    Abort,
    /// 5: a historic acknowledgement of everything sent.
    AckAll,
    /// 6: the server asks the client to authenticate.
    Challenge,
    /// 7: the client's answer to a challenge.
    Response,
    /// 8: a question to the debug service, or its answer.
    Debug,
    /// 9: never specified; ignored.
    Params,
    /// 13: a question for the version text, its answer, or a NAT keepalive.
    Version,
    /// Any other number. 10 and 11 are reserved and ignored, the rest is refused.
    Other(u8),
}

impl PacketType {
    /// The number on the wire.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        match self {
            PacketType::Data => 1,
            PacketType::Ack => 2,
            PacketType::Busy => 3,
            PacketType::Abort => 4,
            PacketType::AckAll => 5,
            PacketType::Challenge => 6,
            PacketType::Response => 7,
            PacketType::Debug => 8,
            PacketType::Params => 9,
            PacketType::Version => 13,
            PacketType::Other(number) => number,
        }
    }

    /// The name in capitals, as documents of the protocol write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            PacketType::Data => "DATA",
            PacketType::Ack => "ACK",
            PacketType::Busy => "BUSY",
            PacketType::Abort => "ABORT",
            PacketType::AckAll => "ACKALL",
            PacketType::Challenge => "CHALLENGE",
            PacketType::Response => "RESPONSE",
            PacketType::Debug => "DEBUG",
            PacketType::Params => "PARAMS",
            PacketType::Version => "VERSION",
            PacketType::Other(10 | 11) => "RESERVED",
            PacketType::Other(_) => "UNKNOWN",
        }
    }
}

impl From<u8> for PacketType {
    fn from(number: u8) -> PacketType {
        match number {
            1 => PacketType::Data,
            2 => PacketType::Ack,
            3 => PacketType::Busy,
            4 => PacketType::Abort,
            5 => PacketType::AckAll,
            6 => PacketType::Challenge,
            7 => PacketType::Response,
            8 => PacketType::Debug,
            9 => PacketType::Params,
            13 => PacketType::Version,
            other => PacketType::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_number_survives_the_round_trip() {
        for number in 0..=u8::MAX {
            assert_eq!(PacketType::from(number).to_u8(), number);
        }
    }

    #[test]
    fn only_the_ten_known_numbers_have_a_variant_of_their_own() {
        let known: std::vec::Vec<u8> =
            (0..=u8::MAX).filter(|n| !matches!(PacketType::from(*n), PacketType::Other(_))).collect();
        assert_eq!(known, [1, 2, 3, 4, 5, 6, 7, 8, 9, 13]);
    }

    #[test]
    fn flags_combine_and_separate() {
        let both = Flags::CLIENT_INITIATED | Flags::LAST_PACKET;
        assert_eq!(both, Flags(0x05));
        assert!(both.contains(Flags::LAST_PACKET));
        assert!(!Flags::LAST_PACKET.contains(both));
        assert_eq!(both.without(Flags::CLIENT_INITIATED), Flags::LAST_PACKET);
    }
}
