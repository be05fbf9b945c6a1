//! One line a packet or jumbo segment.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use rxrpc_proto::wire::{Flags, HEADER_LEN, Header, OwnedAck, OwnedBody, PacketType};

use super::calls::{Mark, Observation};
use super::fields::Fields;
use super::net::{Datagram, Incomplete};
use super::packet::{Content, Packet, Piece, Wrong};

const HEADING: Style = Style::new().bold();
const WRONG: Style = AnsiColor::Red.on_default().bold();
const AGAIN: Style = AnsiColor::Red.on_default();
const ABORT: Style = AnsiColor::Magenta.on_default();
const ACKNOWLEDGEMENT: Style = AnsiColor::Green.on_default();
const CONNECTION: Style = AnsiColor::Cyan.on_default();

/// Entries of a soft-ACK table: missing, received, and both with reserved bits set.
const TABLE: [char; 4] = ['.', '#', 'o', '@'];

/// Widths of the columns that vary, in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Widths {
    time: usize,
    frame: usize,
    from: usize,
    to: usize,
    call: usize,
    seq: usize,
    serial: usize,
    len: usize,
    service: usize,
}

/// Lays packets out in columns.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    widths: Widths,
    begin: Option<u64>,
    colour: bool,
}

impl Lines {
    /// Columns as wide as their headings.
    pub(super) fn new(colour: bool) -> Lines {
        let widths =
            Widths { time: 8, frame: 5, from: 4, to: 2, call: 4, seq: 3, serial: 6, len: 3, service: 3 };
        Lines { widths, begin: None, colour }
    }

    /// Widens the columns for a datagram that will be shown.
    pub(super) fn make_room(&mut self, begin: u64, datagram: &Datagram) {
        self.begin = Some(begin);
        let Widths { time, frame, from, to, call, seq, serial, len, service } = &mut self.widths;
        let room = |column: &mut usize, text: String| *column = (*column).max(text.len());
        room(time, seconds(datagram.time, begin));
        room(frame, datagram.frame.to_string());
        room(from, datagram.from.to_string());
        room(to, datagram.to.to_string());
        room(len, datagram.declared.saturating_sub(HEADER_LEN).to_string());
        if let Ok((header, _)) = Header::parse(&datagram.payload) {
            room(call, call_id(&header));
            room(seq, header.seq.to_string());
            room(serial, header.serial.to_string());
            room(service, header.service_id.to_string());
        }
    }

    /// The line above the packets.
    pub(super) fn heading(&self) -> String {
        let Widths { time, frame, from, to, call, seq, serial, len, service } = self.widths;
        let line = format!(
            "{:>time$}  {:>frame$}  {:<from$}   {:<to$}  {:<9}  {:<6}  {:<call$}  {:>seq$}  {:>serial$}  \
             {:>len$}  {:>service$}  {:>3}  {}",
            "TIME",
            "FRAME",
            "FROM",
            "TO",
            "TYPE",
            "FLAGS",
            "CALL",
            "SEQ",
            "SERIAL",
            "LEN",
            "SVC",
            "SEC",
            "BODY"
        );
        self.paint(HEADING, &line)
    }

    /// The lines of a packet.
    pub(super) fn packet(&self, packet: &Packet, observation: &Observation) -> Vec<String> {
        let pieces = packet.pieces();
        let mut lines: Vec<String> = pieces
            .iter()
            .enumerate()
            .map(|(place, piece)| self.segment(packet, observation, place, piece))
            .collect();
        if pieces.is_empty() {
            lines.push(self.line(packet, None, &self.body(packet, observation)));
        } else if let Some(wrong @ Wrong::Malformed(..)) = &packet.fault {
            // The segment in which the fault is.
            lines.push(self.line(packet, None, &self.wrong(packet, wrong)));
        }
        lines
    }

    /// A line for a datagram whose fragments are not all there.
    pub(super) fn incomplete(&self, incomplete: &Incomplete, begin: u64) -> String {
        let Incomplete { frame, time, from, to, ports, fragments } = incomplete;
        let ports = ports.map_or(String::new(), |(from, to)| format!(", ports {from} and {to}"));
        let (time_width, frame_width) = (self.widths.time, self.widths.frame);
        let text =
            format!("{fragments} IP fragments from {from} to {to}{ports}; the rest is not in the capture");
        let text = self.paint(WRONG, &text);
        format!("{:>time_width$}  {frame:>frame_width$}  {text}", seconds(*time, begin))
    }

    fn segment(&self, packet: &Packet, observation: &Observation, place: usize, piece: &Piece) -> String {
        let mut notes = Vec::new();
        if packet.pieces().len() > 1 || piece.flags.contains(Flags::JUMBO) {
            notes.push(format!("jumbo {}/{}", place + 1, packet.pieces().len()));
        }
        notes.extend(piece.operation.map(|operation| format!("op {operation}")));
        notes.extend((piece.checksum != 0).then(|| format!("checksum {:04x}", piece.checksum)));
        match observation.marks.get(place) {
            Some(Mark::Again) => notes.push(self.paint(AGAIN, "retransmission")),
            Some(Mark::Copy) => notes.push(self.paint(AGAIN, "copy")),
            Some(Mark::New) | None => {}
        }
        notes.extend(header_notes(packet));
        if packet.fault == Some(Wrong::Cut) && place + 1 == packet.pieces().len() {
            notes.push(self.wrong(packet, &Wrong::Cut));
        }
        self.line(packet, Some(piece), &notes.join(" "))
    }

    /// The columns and what follows them.
    fn line(&self, packet: &Packet, piece: Option<&Piece>, body: &str) -> String {
        let begin = self.begin.unwrap_or(packet.time);
        let Widths { time, frame, from, to, call, seq, serial, len, service } = self.widths;
        let mut line = format!(
            "{:>time$}  {:>frame$}  {:<from$} > {:<to$}  ",
            seconds(packet.time, begin),
            packet.frame,
            packet.from.to_string(),
            packet.to.to_string()
        );
        let Some(header) = &packet.header else {
            let gap = 9 + 2 + 6 + 2 + call + 2 + seq + 2 + serial + 2;
            let _ = write!(line, "{:<gap$}{:>len$}  {:>service$}  {:>3}  {body}", "-", packet.len, "", "");
            return line;
        };
        let octets = piece.map_or(packet.len.saturating_sub(HEADER_LEN), |piece| piece.len);
        let flags = piece.map_or(header.flags, |piece| piece.flags);
        let number = match (piece, header.seq) {
            (Some(piece), _) => piece.seq.to_string(),
            (None, 0) => "-".into(),
            (None, seq) => seq.to_string(),
        };
        let _ = write!(
            line,
            "{}  {:<6}  {:<call$}  {number:>seq$}  {:>serial$}  {octets:>len$}  {:>service$}  {:>3}  {body}",
            self.type_name(header.packet_type),
            flag_letters(header.packet_type, flags),
            call_id(header),
            piece.map_or(header.serial, |piece| piece.serial),
            header.service_id,
            header.security_index,
        );
        line.truncate(line.trim_end().len());
        line
    }

    fn type_name(&self, packet_type: PacketType) -> String {
        let name = match packet_type {
            PacketType::Other(number) => format!("TYPE {number}"),
            known => known.name().into(),
        };
        let padded = format!("{name:<9}");
        match packet_type {
            PacketType::Ack | PacketType::AckAll => self.paint(ACKNOWLEDGEMENT, &padded),
            PacketType::Abort | PacketType::Busy => self.paint(ABORT, &padded),
            PacketType::Challenge | PacketType::Response => self.paint(CONNECTION, &padded),
            _ => padded,
        }
    }

    /// What a packet without segments says.
    fn body(&self, packet: &Packet, observation: &Observation) -> String {
        let mut notes = match &packet.content {
            Content::Body(OwnedBody::Ack(ack)) => ack_notes(ack),
            Content::Body(OwnedBody::Abort(code, _)) => {
                let index = packet.header.map_or(0, |header| header.security_index);
                let name = code.name_for(index).map_or(String::new(), |name| format!(" ({name})"));
                vec![self.paint(ABORT, &format!("code {}{name}", code.0))]
            }
            Content::Body(body) => Fields::of(body).map(|fields| fields.line()).into_iter().collect(),
            Content::Data(_) | Content::Nothing => Vec::new(),
        };
        notes.extend(observation.rtt.map(|rtt| format!("rtt {} ms", milliseconds(rtt))));
        notes.extend(header_notes(packet));
        if packet.header.is_some_and(|header| header.packet_type != PacketType::Data && header.checksum != 0)
        {
            let checksum = packet.header.map_or(0, |header| header.checksum);
            notes.push(format!("checksum {checksum:04x}"));
        }
        notes.extend(packet.fault.as_ref().map(|wrong| self.wrong(packet, wrong)));
        notes.join(" ")
    }

    fn wrong(&self, packet: &Packet, wrong: &Wrong) -> String {
        match wrong {
            Wrong::Malformed(name, text) => self.paint(WRONG, &format!("malformed: {name} ({text})")),
            Wrong::Cut => {
                let text = format!("{} of {} octets captured", packet.captured, packet.len);
                self.paint(WRONG, &text)
            }
        }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Seconds from the begin of the capture.
pub(super) fn seconds(time: u64, begin: u64) -> String {
    let sign = if time < begin { "-" } else { "" };
    let nanos = time.abs_diff(begin);
    format!("{sign}{}.{:06}", nanos / 1_000_000_000, nanos % 1_000_000_000 / 1_000)
}

/// Milliseconds with three digits after the point.
pub(super) fn milliseconds(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1_000_000, nanos % 1_000_000 / 1_000)
}

/// Connection id with channel, and call number: the name of a call on one pair of addresses.
pub(super) fn call_id(header: &Header) -> String {
    format!("{:08x}:{}", header.cid, header.call_number)
}

/// The flags that are set, by letter; a dash for those that are not, a plus for bits without a name.
fn flag_letters(packet_type: PacketType, flags: Flags) -> String {
    let ack = packet_type == PacketType::Ack;
    let letters = [
        (Flags::CLIENT_INITIATED, 'C'),
        (Flags::REQUEST_ACK, 'R'),
        (Flags::LAST_PACKET, 'L'),
        (Flags::MORE_PACKETS, if ack { 'X' } else { 'M' }),
        (Flags::JUMBO, if ack { 'S' } else { 'J' }),
    ];
    let named: String =
        letters.iter().map(|(flag, letter)| if flags.contains(*flag) { *letter } else { '-' }).collect();
    if flags.0 & 0xd0 == 0 { named } else { named + "+" }
}

/// What is unusual in the header or on the way.
fn header_notes(packet: &Packet) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(header) = &packet.header {
        let odd = header.flags.0 & 0xd0;
        notes.extend((odd != 0).then(|| format!("flag bits {odd:02x}")));
        notes.extend(match header.user_status {
            0 => None,
            1 if header.packet_type == PacketType::Data => Some("upgrade".into()),
            status => Some(format!("status {status}")),
        });
    }
    notes.extend((packet.fragments > 1).then(|| format!("{} IP fragments", packet.fragments)));
    notes
}

fn ack_notes(ack: &OwnedAck) -> Vec<String> {
    let fields = &ack.fields;
    let reason = match fields.reason.to_u8() {
        number @ 10.. => format!("REASON {number}"),
        _ => fields.reason.name().into(),
    };
    let mut notes = vec![format!(
        "{reason:<5} first {} prev {} serial {} [{}]",
        fields.first_packet,
        fields.previous_packet,
        fields.serial,
        table(&ack.table)
    )];
    for (name, word) in ["max", "if", "rwind", "jumbo"].iter().zip(&ack.words) {
        notes.push(format!("{name} {word}"));
    }
    notes.extend((fields.buffer_space != 0).then(|| format!("buffer {}", fields.buffer_space)));
    notes.extend((fields.max_skew != 0).then(|| format!("skew {}", fields.max_skew)));
    if ack.filler.iter().any(|octet| *octet != 0) {
        notes.push(format!("filler {:02x?}", ack.filler));
    }
    notes.extend((!ack.rest.is_empty()).then(|| format!("{} octets more", ack.rest.len())));
    notes
}

/// The soft-ACK table, one character an entry.
fn table(entries: &[u8]) -> String {
    let [missing, received, odd_missing, odd_received] = TABLE;
    let drawn = entries.iter().map(|entry| match entry {
        0 => missing,
        1 => received,
        odd if odd & 1 == 0 => odd_missing,
        _ => odd_received,
    });
    drawn.collect()
}

#[cfg(test)]
mod tests {
    use rxrpc_proto::wire::{AckFields, AckReason};

    use super::*;

    #[test]
    fn times_are_relative_and_may_lie_before_the_begin() {
        assert_eq!(seconds(3_000_001_999, 1_000_000_000), "2.000001");
        assert_eq!(seconds(1, 1_500_000_001), "-1.500000");
        assert_eq!(milliseconds(1_234_567), "1.234");
    }

    #[test]
    fn letters_depend_on_the_type() {
        assert_eq!(flag_letters(PacketType::Data, Flags(0x2f)), "CRLMJ");
        assert_eq!(flag_letters(PacketType::Ack, Flags(0x28)), "---XS");
        assert_eq!(flag_letters(PacketType::Version, Flags(0x45)), "C-L--+");
    }

    #[test]
    fn an_ack_is_drawn() {
        let fields = AckFields {
            buffer_space: 8,
            max_skew: 0,
            first_packet: 3,
            previous_packet: 9,
            serial: 12,
            reason: AckReason::OutOfSequence,
        };
        let ack = OwnedAck {
            fields,
            declared: 6,
            table: vec![0, 0, 1, 1, 2, 3],
            filler: vec![0; 3],
            words: vec![5692, 1444, 32],
            rest: vec![0; 2],
        };
        let expected =
            "OOS   first 3 prev 9 serial 12 [..##o@] max 5692 if 1444 rwind 32 buffer 8 2 octets more";
        assert_eq!(ack_notes(&ack).join(" "), expected);
    }
}
