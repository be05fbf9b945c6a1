//! The 28 octets that start every datagram.

use alloc::vec::Vec;

use super::constants::{CHANNEL_MASK, CONNECTION_MASK, HEADER_LEN};
use super::fault::Malformed;
use super::flags::{Flags, PacketType};

/// The header of a packet. All fields are big-endian on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// Offset 0: the incarnation of the client side. Servers copy it.
    pub epoch: u32,
    /// Offset 4: connection id in the upper 30 bits, channel in the lower two.
    pub cid: u32,
    /// Offset 8: number of the call on its channel, from 1; 0 in packets about the connection.
    pub call_number: u32,
    /// Offset 12: number of the DATA packet in its direction of the call, from 1; else 0.
    pub seq: u32,
    /// Offset 16: transmission counter of the connection, from 1; 0 in packets made without a connection.
    pub serial: u32,
    /// Offset 20: what the packet is.
    pub packet_type: PacketType,
    /// Offset 21: flags; their meaning depends on the type.
    pub flags: Flags,
    /// Offset 22: 0, or 1 to ask for a service upgrade; else without a meaning.
    pub user_status: u8,
    /// Offset 23: the security class of the connection.
    pub security_index: u8,
    /// Offset 24: value of the security class. Some peers leave stale memory here in packets that need
    /// no value.
    pub checksum: u16,
    /// Offset 26: the service, 1 to 65535.
    pub service_id: u16,
}

impl Header {
    /// Reads the header and returns it with the rest of the datagram.
    ///
    /// # Errors
    /// [`Malformed::ShortHeader`] if the datagram has fewer than 28 octets.
    pub fn parse(datagram: &[u8]) -> Result<(Header, &[u8]), Malformed> {
        let (fixed, body) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::ShortHeader)?;
        #[rustfmt::skip]
        let &[
            e0, e1, e2, e3,  c0, c1, c2, c3,  n0, n1, n2, n3,  q0, q1, q2, q3,  s0, s1, s2, s3,
            packet_type, flags, user_status, security_index,  k0, k1, v0, v1,
        ] = fixed;
        let header = Header {
            epoch: u32::from_be_bytes([e0, e1, e2, e3]),
            cid: u32::from_be_bytes([c0, c1, c2, c3]),
            call_number: u32::from_be_bytes([n0, n1, n2, n3]),
            seq: u32::from_be_bytes([q0, q1, q2, q3]),
            serial: u32::from_be_bytes([s0, s1, s2, s3]),
            packet_type: PacketType::from(packet_type),
            flags: Flags(flags),
            user_status,
            security_index,
            checksum: u16::from_be_bytes([k0, k1]),
            service_id: u16::from_be_bytes([v0, v1]),
        };
        Ok((header, body))
    }

    /// The header as it goes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let [e0, e1, e2, e3] = self.epoch.to_be_bytes();
        let [c0, c1, c2, c3] = self.cid.to_be_bytes();
        let [n0, n1, n2, n3] = self.call_number.to_be_bytes();
        let [q0, q1, q2, q3] = self.seq.to_be_bytes();
        let [s0, s1, s2, s3] = self.serial.to_be_bytes();
        let [k0, k1] = self.checksum.to_be_bytes();
        let [v0, v1] = self.service_id.to_be_bytes();
        let (packet_type, flags) = (self.packet_type.to_u8(), self.flags.0);
        #[rustfmt::skip]
        let fixed = [
            e0, e1, e2, e3,  c0, c1, c2, c3,  n0, n1, n2, n3,  q0, q1, q2, q3,  s0, s1, s2, s3,
            packet_type, flags, self.user_status, self.security_index,  k0, k1, v0, v1,
        ];
        fixed
    }

    /// Appends the header to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    /// The channel, 0 to 3.
    #[must_use]
    pub const fn channel(&self) -> usize {
        (self.cid & CHANNEL_MASK) as usize
    }

    /// The cid field with the channel bits cleared.
    #[must_use]
    pub const fn connection_id(&self) -> u32 {
        self.cid & CONNECTION_MASK
    }

    /// Whether the client side of the connection sent the packet.
    #[must_use]
    pub const fn from_client(&self) -> bool {
        self.flags.contains(Flags::CLIENT_INITIATED)
    }

    /// The header that answers this packet without a connection: an ABORT, a BUSY, a VERSION reply.
    ///
    /// Epoch, cid, call number and service are copied, the direction is turned round, and every other
    /// field is zero.
    #[must_use]
    pub const fn answer(&self, packet_type: PacketType) -> Header {
        let flags = if self.from_client() { Flags::NONE } else { Flags::CLIENT_INITIATED };
        Header {
            epoch: self.epoch,
            cid: self.cid,
            call_number: self.call_number,
            seq: 0,
            serial: 0,
            packet_type,
            flags,
            user_status: 0,
            security_index: 0,
            checksum: 0,
            service_id: self.service_id,
        }
    }
}

/// The serial after `serial`: zero is left out when the counter wraps.
#[must_use]
pub const fn next_serial(serial: u32) -> u32 {
    match serial.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: [u8; 28] = [
        0x80, 0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x17, 0, 0, 0, 9, 0, 0, 1, 2, 0xfe, 0, 0, 7, 1, 0x25, 1, 2,
        0xab, 0xcd, 0x1b, 0x61,
    ];

    #[test]
    fn fields_come_from_their_offsets() {
        let (header, body) = Header::parse(&SAMPLE).unwrap();
        assert!(body.is_empty());
        let expected = Header {
            epoch: 0x8001_0203,
            cid: 0x1011_1217,
            call_number: 9,
            seq: 0x0102,
            serial: 0xfe00_0007,
            packet_type: PacketType::Data,
            flags: Flags(0x25),
            user_status: 1,
            security_index: 2,
            checksum: 0xabcd,
            service_id: 7009,
        };
        assert_eq!(header, expected);
        assert_eq!((header.channel(), header.connection_id(), header.from_client()), (3, 0x1011_1214, true));
    }

    #[test]
    fn emit_is_the_inverse_of_parse() {
        let (header, _) = Header::parse(&SAMPLE).unwrap();
        assert_eq!(header.to_bytes(), SAMPLE);
        let mut out = alloc::vec![0xee];
        header.emit(&mut out);
        assert_eq!(out.split_first(), Some((&0xee, &SAMPLE[..])));
    }

    #[test]
    fn the_body_starts_at_offset_28() {
        let mut datagram = SAMPLE.to_vec();
        datagram.extend_from_slice(b"xyz");
        assert_eq!(Header::parse(&datagram).unwrap().1, b"xyz");
    }

    #[test]
    fn an_answer_turns_the_direction_round_and_clears_the_rest() {
        let (header, _) = Header::parse(&SAMPLE).unwrap();
        let answer = header.answer(PacketType::Busy);
        assert_eq!(
            (answer.epoch, answer.cid, answer.call_number, answer.service_id),
            (header.epoch, header.cid, 9, 7009)
        );
        assert_eq!((answer.seq, answer.serial, answer.flags), (0, 0, Flags::NONE));
        assert_eq!((answer.user_status, answer.security_index, answer.checksum), (0, 0, 0));
        assert_eq!(answer.answer(PacketType::Abort).flags, Flags::CLIENT_INITIATED);
    }

    #[test]
    fn serial_zero_is_skipped_at_the_wrap() {
        assert_eq!(next_serial(0), 1);
        assert_eq!(next_serial(u32::MAX - 1), u32::MAX);
        assert_eq!(next_serial(u32::MAX), 1);
    }
}
