//! A packet in a few words.

use std::fmt::Write;

use rxrpc_proto::wire::{Ack, Body, Flags, Header};

/// Entries of a soft-ACK table that are shown.
const ENTRIES: usize = 24;

/// Type, connection and call, sequence number, flags, or what an acknowledgement says.
pub(super) fn label(bytes: &[u8]) -> String {
    let Ok((header, rest)) = Header::parse(bytes) else {
        return format!("{} bytes that are no packet", bytes.len());
    };
    let mut text = format!("{} {:08x}:{}", header.packet_type.name(), header.cid, header.call_number);
    match Body::parse(&header, rest) {
        Ok(Body::Data(_)) => {
            let _ = write!(text, " seq {} len {}", header.seq, rest.len());
            for (flag, word) in
                [(Flags::LAST_PACKET, " last"), (Flags::REQUEST_ACK, " asks"), (Flags::JUMBO, " jumbo")]
            {
                text.push_str(if header.flags.contains(flag) { word } else { "" });
            }
        }
        Ok(Body::Ack(ack)) => acknowledged(&mut text, &ack),
        Ok(Body::Abort(code)) => {
            let _ = write!(text, " {code:?}");
        }
        Ok(_) => {}
        Err(fault) => {
            let _ = write!(text, " ({fault})");
        }
    }
    text
}

fn acknowledged(text: &mut String, ack: &Ack<'_>) {
    let fields = ack.fields;
    let _ = write!(text, " {} first {}", fields.reason.name(), fields.first_packet);
    let table = ack.table().unwrap_or_default();
    if !table.is_empty() {
        let shown = table.iter().take(ENTRIES).map(|entry| if Ack::received(*entry) { '#' } else { '.' });
        let _ = write!(text, " [{}", shown.collect::<String>());
        text.push_str(if table.len() > ENTRIES { "...]" } else { "]" });
    }
    if fields.serial != 0 {
        let _ = write!(text, " for serial {}", fields.serial);
    }
    if let Some(window) = ack.trailer().and_then(|trailer| trailer.rwind) {
        let _ = write!(text, " window {window}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxrpc_proto::wire::PacketType;

    fn header(packet_type: PacketType, flags: Flags, seq: u32) -> Header {
        Header {
            epoch: 1,
            cid: 0x1234_5679,
            call_number: 3,
            seq,
            serial: 9,
            packet_type,
            flags,
            user_status: 0,
            security_index: 0,
            checksum: 0,
            service_id: 52,
        }
    }

    #[test]
    fn packets_are_told_in_a_few_words() {
        let mut data = Vec::new();
        header(PacketType::Data, Flags::LAST_PACKET.with(Flags::REQUEST_ACK), 2).emit(&mut data);
        data.extend_from_slice(b"hello");
        assert_eq!(label(&data), "DATA 12345679:3 seq 2 len 5 last asks");
        assert_eq!(label(b"short"), "5 bytes that are no packet");
    }
}
