//! Why an ACK was sent.

/// Why an ACK was sent (body offset 16). The acknowledgement itself is complete whatever the reason.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AckReason {
    /// 0: not a valid reason, but seen.
    Zero,
    /// 1: a packet carried `REQUEST_ACK`.
    Requested,
    /// 2: a DATA packet came again.
    Duplicate,
    /// 3: a DATA packet came and left a hole before it.
    OutOfSequence,
    /// 4: a DATA packet beyond the window was discarded.
    ExceedsWindow,
    /// 5: a DATA packet was discarded for lack of memory.
    NoSpace,
    /// 6: are you there? To be answered with [`PingResponse`](Self::PingResponse).
    Ping,
    /// 7: the answer to a ping.
    PingResponse,
    /// 8: an acknowledgement that had been put off.
    Delay,
    /// 9: news about the window, nothing else to say.
    Idle,
    /// Any other number; read like [`Zero`](Self::Zero).
    Other(u8),
}

impl AckReason {
    /// The number on the wire.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        match self {
            AckReason::Zero => 0,
            AckReason::Requested => 1,
            AckReason::Duplicate => 2,
            AckReason::OutOfSequence => 3,
            AckReason::ExceedsWindow => 4,
            AckReason::NoSpace => 5,
            AckReason::Ping => 6,
            AckReason::PingResponse => 7,
            AckReason::Delay => 8,
            AckReason::Idle => 9,
            AckReason::Other(number) => number,
        }
    }

    /// A short name in capitals for lists of packets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            AckReason::Zero => "ZERO",
            AckReason::Requested => "REQ",
            AckReason::Duplicate => "DUP",
            AckReason::OutOfSequence => "OOS",
            AckReason::ExceedsWindow => "WIN",
            AckReason::NoSpace => "MEM",
            AckReason::Ping => "PING",
            AckReason::PingResponse => "PONG",
            AckReason::Delay => "DELAY",
            AckReason::Idle => "IDLE",
            AckReason::Other(_) => "OTHER",
        }
    }
}

impl From<u8> for AckReason {
    fn from(number: u8) -> AckReason {
        match number {
            0 => AckReason::Zero,
            1 => AckReason::Requested,
            2 => AckReason::Duplicate,
            3 => AckReason::OutOfSequence,
            4 => AckReason::ExceedsWindow,
            5 => AckReason::NoSpace,
            6 => AckReason::Ping,
            7 => AckReason::PingResponse,
            8 => AckReason::Delay,
            9 => AckReason::Idle,
            other => AckReason::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_survive_the_round_trip() {
        for number in 0..=u8::MAX {
            assert_eq!(AckReason::from(number).to_u8(), number);
            assert_eq!(matches!(AckReason::from(number), AckReason::Other(_)), number > 9);
        }
        let names: std::collections::BTreeSet<_> = (0..=10).map(|n| AckReason::from(n).name()).collect();
        assert_eq!(names.len(), 11);
    }
}
