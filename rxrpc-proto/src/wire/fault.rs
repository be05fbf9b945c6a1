//! What can be wrong with a packet, judged from its octets alone.

use core::fmt;

/// Declares a fieldless fault enum with its name, its sentence and the list of its variants.
macro_rules! fault_enum {
    (
        $(#[$about:meta])*
        $enum_name:ident { $( $(#[$doc:meta])* $variant:ident => $text:literal, )+ }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $enum_name { $( $(#[$doc])* $variant, )+ }

        impl $enum_name {
            /// Every variant, in the order of [`index`](Self::index).
            pub const ALL: &[$enum_name] = &[ $( $enum_name::$variant, )+ ];

            /// The place of the variant in [`ALL`](Self::ALL), for tables of counters.
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }

            /// The name of the variant.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( $enum_name::$variant => stringify!($variant), )+ }
            }
        }

        impl fmt::Display for $enum_name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $( $enum_name::$variant => $text, )+ })
            }
        }

        impl core::error::Error for $enum_name {}
    };
}

fault_enum! {
    /// Why a packet is refused before anything about calls or connections is looked up.
    ///
    /// The variants stand in the order in which the checks are made. What the receiver does about
    /// each (drop it, or answer with an ABORT) is not decided here.
    Malformed {
        /// The datagram is shorter than a header. No answer is possible.
        ShortHeader => "datagram shorter than a header",
        /// An ACK that ends before the soft-ACK table.
        ShortAck => "ACK shorter than its fixed part",
        /// A VERSION packet without `CLIENT_INITIATED`: a reply or a keepalive, nothing to answer.
        /// Only [`Version::request`](super::Version::request) says so.
        VersionNotRequest => "VERSION packet is not a request",
        /// A VERSION request without a body, or whose first octet is not zero.
        VersionMalformed => "VERSION request without a leading zero octet",
        /// A BUSY from the client side; only servers are busy.
        BusyFromClient => "BUSY from the client side",
        /// A BUSY, ACK or ACKALL with call number zero.
        ZeroCallNumber => "BUSY, ACK or ACKALL with call number zero",
        /// An ABORT without a complete code.
        ShortAbort => "ABORT without a code",
        /// A DATA packet with call number zero.
        ZeroCallOnData => "DATA with call number zero",
        /// A DATA packet with sequence number zero.
        ZeroSeq => "DATA with sequence number zero",
        /// A CHALLENGE from the client side.
        ChallengeToServer => "CHALLENGE from the client side",
        /// A RESPONSE from the server side.
        ResponseToClient => "RESPONSE from the server side",
        /// A packet type that is neither known nor reserved.
        UnknownType => "unknown packet type",
        /// Service zero in a packet type that has to name a service.
        ZeroService => "service number zero",
    }
}

fault_enum! {
    /// Why a DATA datagram cannot be split into segments.
    ///
    /// The segments before the fault are sound and may have been used.
    JumboFault {
        /// A segment says that another follows, but the datagram ends within this one or its sub-header.
        Short => "jumbo segment cut short",
        /// A segment says both that another follows and that it is the last of the call.
        LastNotFinal => "last packet of a call inside a jumbo",
        /// More than [`MAX_JUMBO_SEGMENTS`](super::MAX_JUMBO_SEGMENTS) segments.
        TooMany => "too many jumbo segments",
        /// The sequence number of a segment would pass 2^32 - 1.
        SeqOverflow => "sequence number overflows inside a jumbo",
    }
}

fault_enum! {
    /// Why segments cannot be joined into one datagram.
    JoinFault {
        /// The segment before is not exactly [`JUMBO_DATA_LEN`](super::JUMBO_DATA_LEN) octets.
        NotFull => "segment before is not full",
        /// The segment before is the last of its call.
        AfterLast => "segment before ends the call",
        /// The datagram already holds [`MAX_JUMBO_SEGMENTS`](super::MAX_JUMBO_SEGMENTS) segments.
        TooMany => "too many jumbo segments",
        /// The datagram would exceed [`MAX_DATAGRAM`](super::MAX_DATAGRAM).
        TooLong => "datagram too long",
        /// No segment was given.
        Empty => "no segment",
    }
}

fault_enum! {
    /// Why the body of a CHALLENGE or RESPONSE does not have the layout of its security class.
    FrameFault {
        /// The fixed part is incomplete.
        Short => "fixed part incomplete",
        /// The ticket or token runs past the end of the packet.
        TicketShort => "ticket runs past the packet",
        /// The authenticator runs past the end of the packet.
        AuthenticatorShort => "authenticator runs past the packet",
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_stands_at_its_index_with_a_name_and_a_sentence_of_its_own() {
        let mut names = BTreeSet::new();
        let mut sentences = BTreeSet::new();
        for (index, fault) in Malformed::ALL.iter().enumerate() {
            assert_eq!(fault.index(), index);
            assert!(names.insert(fault.name()), "{} twice", fault.name());
            assert!(sentences.insert(fault.to_string()), "{fault} twice");
        }
        assert_eq!(names.len(), 13);
        assert_eq!(Malformed::ZeroService.name(), "ZeroService");
    }

    #[test]
    fn the_other_faults_are_listed_in_order_too() {
        assert!(JumboFault::ALL.iter().enumerate().all(|(index, fault)| fault.index() == index));
        assert!(JoinFault::ALL.iter().enumerate().all(|(index, fault)| fault.index() == index));
        assert!(FrameFault::ALL.iter().enumerate().all(|(index, fault)| fault.index() == index));
        assert_eq!((JumboFault::ALL.len(), JoinFault::ALL.len(), FrameFault::ALL.len()), (4, 5, 3));
    }
}
