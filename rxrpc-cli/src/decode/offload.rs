//! Datagrams that segmentation offload left in one frame.
//!
//! A sender may give the kernel many packets of one size as a single buffer, and a receiver may be given
//! them so. A capture on either machine then shows one UDP datagram that never was on the wire.

use rxrpc_proto::wire::{HEADER_LEN, Header, PacketType};

use super::select::looks_like_rx;

/// Splits a UDP payload into the packets that were sent as one: all of the size of the first, the last
/// maybe shorter. A payload that is one packet comes back alone.
pub(super) fn split(payload: &[u8]) -> Vec<&[u8]> {
    match packet_size(payload) {
        Some(size) => payload.chunks(size).collect(),
        None => vec![payload],
    }
}

/// The place at which the epoch stands again, if a sound packet of that epoch begins at its every multiple.
fn packet_size(payload: &[u8]) -> Option<usize> {
    let (header, _) = Header::parse(payload).ok()?;
    // The rest stands outside connections: no epoch to go by, and never sent in numbers.
    if matches!(header.packet_type, PacketType::Debug | PacketType::Version) || header.epoch == 0 {
        return None;
    }
    let epoch = payload.first_chunk::<4>()?;
    let after_header = payload.get(HEADER_LEN..)?;
    let size = after_header.windows(4).position(|octets| octets == epoch)?.saturating_add(HEADER_LEN);
    let sound = |packet: &[u8]| packet.first_chunk() == Some(epoch) && looks_like_rx(packet);
    payload.chunks(size).all(sound).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::super::select::tests::data;
    use super::*;

    #[test]
    fn equal_packets_and_a_shorter_last_one_are_split() {
        for (size, last) in [(0, 0), (1, 0), (100, 7), (1412, 1412), (30, 28)] {
            let packets = [data(1, &vec![1; size]), data(2, &vec![2; size]), data(3, &vec![3; last])];
            assert_eq!(split(&packets.concat()), packets);
        }
    }

    #[test]
    fn a_packet_alone_stays_whole() {
        for packet in [data(1, &[0x80; 3000]), data(1, &[]), vec![1; 5000], vec![]] {
            assert_eq!(split(&packet), [&packet[..]]);
        }
    }

    #[test]
    fn packets_of_different_sizes_cannot_have_been_sent_as_one() {
        let joined = [data(1, &[1; 10]), data(2, &[2; 20]), data(3, &[3; 20])].concat();
        assert_eq!(split(&joined), [&joined[..]]);
    }
}
