//! What peers do wrong, one name each. Counted by the endpoint, and the reason when a call ends for it.

use core::fmt;

use crate::wire::{JumboFault, Malformed};

macro_rules! call_faults {
    ($( $(#[$doc:meta])* $variant:ident => $text:literal, )+) => {
        /// A fault of a peer, found in its packets.
        ///
        /// The rows mentioned are those of the table in `QUIRKS.md`, which says what each is answered with.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Fault {
            /// The packet is malformed by itself (rows 1 to 12).
            Malformed(Malformed),
            /// The jumbogram cannot be split (row 34).
            Jumbo(JumboFault),
            $( $(#[$doc])* $variant, )+
        }

        const STATEFUL: &[Fault] = &[ $( Fault::$variant, )+ ];

        impl Fault {
            /// The name of the variant.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    Fault::Malformed(fault) => fault.name(),
                    Fault::Jumbo(fault) => fault.name(),
                    $( Fault::$variant => stringify!($variant), )+
                }
            }

            fn stateful_index(self) -> usize {
                STATEFUL.iter().position(|f| *f == self).unwrap_or(STATEFUL.len())
            }
        }

        impl fmt::Display for Fault {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Fault::Malformed(fault) => write!(f, "{fault}"),
                    Fault::Jumbo(fault) => write!(f, "{fault}"),
                    $( Fault::$variant => f.write_str($text), )+
                }
            }
        }
    };
}

call_faults! {
    /// Row 13: the source address cannot be answered: port 0, unspecified or multicast.
    UnusableSource => "packet from an address that cannot be answered",
    /// Row 14: a packet to a client connection that does not exist.
    NoClientConnection => "packet to a client connection that does not exist",
    /// Row 15: a packet other than DATA to a service connection that does not exist.
    NoServiceConnection => "packet to a service connection that does not exist",
    /// Row 16: the first packet of a call to a service that is not offered.
    ServiceNotOffered => "call to a service that is not offered",
    /// Row 17: a later packet of a call to a service that is not offered.
    ServiceNotOfferedLate => "late packet to a service that is not offered",
    /// Row 18: a security class that is not supported.
    UnsupportedSecurity => "security class not supported",
    /// Row 20: a new call to an endpoint that is closed.
    Closed => "call to a closed endpoint",
    /// Row 21: a new call beyond the backlog or the limit of calls.
    NoRoom => "no room for the call",
    /// A new service connection beyond its limit.
    NoRoomForConnection => "no room for the connection",
    /// DATA or a PING of a call whose connection had to make room for another.
    EvictedCall => "packet of a call whose connection made room for another",
    /// A new call whose first packet to arrive lies beyond the window: the rest of an old call.
    MidCallStart => "packet from the middle of an unknown call",
    /// Row 22: the security index is not the connection's.
    SecurityMismatch => "security index is not the connection's",
    /// Row 23: the service is not the connection's.
    ServiceMismatch => "service is not the connection's",
    /// Row 24: a second change of service after an upgrade.
    SecondUpgrade => "service changed twice",
    /// Row 25: a call older than the last one of its channel.
    AncientCall => "packet of a call long over",
    /// Row 26: the last call of its channel, which is over.
    FinishedCall => "packet of a call that is over",
    /// Row 27: to a client, a call it has not begun, on a channel where another lives.
    FutureCall => "packet of a call not begun",
    /// Row 28: to a client, a channel without a call.
    NoCall => "packet to a channel without a call",
    /// Row 29: to a server, a packet other than DATA of a call it does not know.
    UnknownServiceCall => "packet of an unknown call",
    /// Row 30: a second packet says it is the last.
    DifferentLast => "two different last packets",
    /// Row 31: data after the last packet.
    DataAfterLast => "data after the last packet",
    /// Row 32: a packet that was already received.
    DuplicateData => "data received twice",
    /// Row 33: a packet beyond the window.
    BeyondWindow => "data beyond the window",
    /// Row 35: a reply before the whole request was sent.
    EarlyReply => "reply before the request was sent",
    /// Row 37: an ACK whose first packet is 0.
    AckZeroFirst => "acknowledgement of packet 0",
    /// Row 37: an ACK of packets never sent.
    AckOutsideWindow => "acknowledgement of packets never sent",
    /// Row 37: a soft-ACK table that reaches beyond what was sent.
    SackOverflow => "acknowledgement table reaches beyond what was sent",
    /// Row 37: a soft-ACK table cut short.
    ShortSack => "acknowledgement table cut short",
    /// Row 38: an ACK in a state that sends nothing.
    UnexpectedAck => "acknowledgement in a state that sends nothing",
    /// Row 39: an ACK older than one already seen.
    StaleAck => "acknowledgement older than one already seen",
    /// Row 40: the server has lost a call it had begun.
    ServerForgot => "the server has lost the call",
    /// Row 42: a CHALLENGE on a connection without security.
    ChallengeOnNull => "challenge on a connection without security",
    /// Row 43: a RESPONSE that nobody asked for.
    UnexpectedResponse => "response that nobody asked for",
    /// A PING of an address check was answered from elsewhere, or with another serial.
    AddressUnproven => "packet from an address not proved yet",
    /// DEBUG request while the debug service is off (row 11).
    DebugOff => "debug request while the service is off",
}

impl From<Malformed> for Fault {
    fn from(fault: Malformed) -> Self {
        Fault::Malformed(fault)
    }
}

impl From<JumboFault> for Fault {
    fn from(fault: JumboFault) -> Self {
        Fault::Jumbo(fault)
    }
}

impl Fault {
    /// The number of different faults.
    pub const COUNT: usize = Malformed::ALL.len() + JumboFault::ALL.len() + STATEFUL.len();

    /// A number below [`Fault::COUNT`], one for each fault, for tables of counters.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Fault::Malformed(fault) => fault.index(),
            Fault::Jumbo(fault) => Malformed::ALL.len() + fault.index(),
            other => Malformed::ALL.len() + JumboFault::ALL.len() + other.stateful_index(),
        }
    }

    /// Every fault, in the order of [`Fault::index`].
    pub fn all() -> impl Iterator<Item = Fault> {
        let malformed = Malformed::ALL.iter().map(|f| Fault::Malformed(*f));
        let jumbo = JumboFault::ALL.iter().map(|f| Fault::Jumbo(*f));
        malformed.chain(jumbo).chain(STATEFUL.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_own_index() {
        assert_eq!(Fault::all().count(), Fault::COUNT);
        for (i, fault) in Fault::all().enumerate() {
            assert_eq!(fault.index(), i, "{fault}");
        }
    }
}
