//! What other implementations write into their packets, as data.

/// A packet is rewritten as another implementation would have sent it. What is about ACKs or DATA leaves other
/// packets alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum Edit {
    /// The epoch's top bit is turned: a random one looks dated. Do it in both directions.
    Epoch,
    /// These flags of the header are set as well.
    Flags(u8),
    /// The header's userStatus.
    UserStatus(u8),
    /// The header's security index, from 1 on: packets of ours have 0.
    SecurityIndex(u8),
    /// The header's service.
    Service(u16),
    /// Only so many octets are left of the datagram.
    Cut(u16),
    /// It comes from another address of its sender, same port.
    Elsewhere,
    /// DATA becomes a jumbogram of so many segments, each of which says that another follows, and the last is cut
    /// short. All have the payload of the packet, filled up with zeros.
    TornJumbogram(u8),
    /// An ACKALL takes the place of the ACK.
    AckAll,
    /// An ACK's bufferSpace.
    BufferSpace(u16),
    /// An ACK's reason, by its number.
    Reason(u8),
    /// An ACK's previousPacket.
    Previous(u32),
    /// An ACK's previousPacket is the serial that it answers.
    PreviousIsSerial,
    /// The serial of the packet that an ACK answers, 0 for none.
    Serial(u32),
    /// Of what an ACK acknowledges for good, the last so many packets only softly.
    Softly(u32),
    /// These bits are set in each octet of an ACK's table.
    TableBits(u8),
    /// Each of the three octets after an ACK's table.
    Filler(u8),
    /// The ACK ends after so many words of its trailer.
    Trailer(u8),
    /// Both sizes in an ACK's trailer.
    Mtu(u32),
    /// The window in an ACK's trailer, in packets.
    Window(u32),
    /// The segments of a jumbogram in an ACK's trailer.
    Jumbo(u32),
}
