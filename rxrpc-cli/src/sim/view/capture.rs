//! A run as a capture file: what tcpdump at every node would have seen, and what happened in between.
//!
//! Each node is an interface with its name. A datagram is there twice, where it left and where it arrived, both with
//! its number as the packet id of the format; one that was lost is there once, and a comment says why. A frame
//! is written when all copies of its packet have met their fate, so the file stays in the order of time.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};

use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgWriter, RawBlock};
use pcap_file::{DataLink, Endianness, PcapError};
use rxrpc_proto::Instant;
use rxrpc_sim::{Fate, NodeId, Observer, Packet, Scenario, node_at};

use super::ip;

/// The instant that stands for the start of a run: 1 January 2000, 0:00 UTC, in seconds since 1970.
pub(super) const EPOCH: u64 = 946_684_800;
/// Exponent of the resolution of timestamps: nanoseconds.
const NANOSECONDS: u8 = 9;
/// Directions of a frame, as the format numbers them.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
/// The block of a frame, and its options, as the format numbers them. The number of a packet is the same at all
/// interfaces that see it.
const ENHANCED_PACKET: u32 = 6;
const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
const FLAGS: u16 = 2;
const PACKET_ID: u16 = 5;

/// A frame that is not written yet.
struct Frame {
    at: Instant,
    node: NodeId,
    direction: u32,
    packet: u64,
    bytes: Vec<u8>,
    comments: Vec<String>,
    /// Copies of the packet that are on their way.
    open: u32,
}

/// Writes the capture of a run.
pub(super) struct Capture<W: Write> {
    out: PcapNgWriter<W>,
    /// In order of time, from the first that is not complete.
    frames: VecDeque<Frame>,
    /// How many were written.
    written: u64,
    /// The frame, counted from the first of all, at which each packet on its way was sent.
    sent: HashMap<u64, u64>,
    failed: Option<PcapError>,
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

impl<W: Write> Capture<W> {
    /// A capture of a run of the scenario. `about` is its comment.
    pub(super) fn new(out: W, scenario: &Scenario, about: &str) -> io::Result<Self> {
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![
                SectionHeaderOption::UserApplication("rxrpc sim".into()),
                SectionHeaderOption::Comment(Cow::Owned(about.into())),
            ],
            ..SectionHeaderBlock::default()
        };
        let mut out = PcapNgWriter::with_section_header(out, section).map_err(io_error)?;
        for node in 0..scenario.nodes.len() {
            let options = vec![
                InterfaceDescriptionOption::IfName(Cow::Owned(format!("node{node}"))),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ];
            let interface = InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen: 0, options };
            out.write_pcapng_block(interface).map_err(io_error)?;
        }
        Ok(Capture { out, frames: VecDeque::new(), written: 0, sent: HashMap::new(), failed: None })
    }

    /// Write what is left.
    pub(super) fn finish(self) -> io::Result<()> {
        self.finish_into().map(|_| ())
    }

    fn finish_into(mut self) -> io::Result<W> {
        self.frames.iter_mut().for_each(|frame| {
            if frame.open > 0 {
                frame.comments.push("on its way when the run ended".into());
                frame.open = 0;
            }
        });
        self.write_complete();
        self.failed.map_or(Ok(()), |error| Err(io_error(error)))?;
        let mut out = self.out.into_inner();
        out.flush()?;
        Ok(out)
    }

    fn push(&mut self, now: Instant, node: NodeId, direction: u32, packet: &Packet) -> &mut Frame {
        self.frames.push_back(Frame {
            at: now,
            node,
            direction,
            packet: packet.id,
            bytes: ip::whole(packet),
            comments: Vec::new(),
            open: 0,
        });
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn on_sent(&mut self, now: Instant, from: NodeId, packet: &Packet) {
        self.sent.insert(packet.id, self.written + self.frames.len() as u64);
        let late = packet.late;
        let frame = self.push(now, from, OUTBOUND, packet);
        frame.open = 1;
        if late {
            frame.comments.push("held back by a socket that was blocked".into());
        }
    }

    fn on_delivered(&mut self, now: Instant, packet: &Packet) {
        if let Some(to) = node_at(&packet.dst) {
            let made_up = packet.origin.is_none();
            let (copy, damaged) = (packet.copy, packet.damaged);
            let frame = self.push(now, to, INBOUND, packet);
            for (is, text) in [
                (made_up, "made up by an attacker"),
                (copy, "a copy that the network made"),
                (damaged, "damaged on the way"),
            ] {
                if is {
                    frame.comments.push(text.into());
                }
            }
        }
        self.settle(packet.id);
    }

    /// The frame where the packet was sent, if a node did and copies of it are on their way.
    fn origin(&mut self, packet: u64) -> Option<&mut Frame> {
        let frame = *self.sent.get(&packet)?;
        let place = usize::try_from(frame.checked_sub(self.written)?).ok()?;
        self.frames.get_mut(place)
    }

    fn comment(&mut self, now: Instant, packet: &Packet, text: &str) {
        if let Some(frame) = self.origin(packet.id) {
            let after = match (now - frame.at).as_nanos() {
                0 => String::new(),
                nanos => format!(" after {} ms", nanos as f64 / 1e6),
            };
            let which = if packet.copy { "a copy " } else { "" };
            frame.comments.push(format!("{which}{text}{after}"));
        }
    }

    /// A copy of the packet is no longer on its way.
    fn settle(&mut self, packet: u64) {
        if let Some(frame) = self.origin(packet) {
            frame.open -= 1;
            if frame.open == 0 {
                self.sent.remove(&packet);
            }
        }
    }

    fn write_complete(&mut self) {
        while self.frames.front().is_some_and(|frame| frame.open == 0) {
            let Some(frame) = self.frames.pop_front() else { break };
            self.written += 1;
            if self.failed.is_none() {
                self.failed = self.out.write_raw_block(&block(&frame)).err();
            }
        }
    }
}

/// The block of a frame. The crate has no way to write the number of a packet, so this spells it out.
fn block(frame: &Frame) -> RawBlock<'static> {
    let nanos = EPOCH * 1_000_000_000 + frame.at.as_nanos();
    let len = frame.bytes.len() as u32;
    let mut body = Vec::with_capacity(frame.bytes.len() + 128);
    for word in [u32::from(frame.node), (nanos >> 32) as u32, nanos as u32, len, len] {
        body.extend(word.to_le_bytes());
    }
    body.extend_from_slice(&frame.bytes);
    pad(&mut body);
    option(&mut body, FLAGS, &frame.direction.to_le_bytes());
    option(&mut body, PACKET_ID, &frame.packet.to_le_bytes());
    for comment in &frame.comments {
        option(&mut body, COMMENT, comment.as_bytes());
    }
    option(&mut body, END_OF_OPTIONS, &[]);
    let block_len = body.len() as u32 + 12;
    RawBlock {
        type_: ENHANCED_PACKET,
        initial_len: block_len,
        body: Cow::Owned(body),
        trailer_len: block_len,
    }
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

/// Blocks are made of words of four octets.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

impl<W: Write> Observer for Capture<W> {
    fn datagram(&mut self, now: Instant, packet: &Packet, fate: Fate) {
        match (fate, packet.origin) {
            (Fate::Sent, Some(from)) => self.on_sent(now, from, packet),
            (Fate::Sent | Fate::Injected, _) => {}
            (Fate::Delivered, _) => self.on_delivered(now, packet),
            (Fate::Duplicated, _) => {
                self.comment(now, packet, "made");
                if let Some(frame) = self.origin(packet.id) {
                    frame.open += 1;
                }
            }
            (Fate::Damaged, _) => self.comment(now, packet, "damaged"),
            (Fate::Lost(reason), Some(_)) => {
                self.comment(now, packet, &format!("lost ({reason})"));
                self.settle(packet.id);
            }
            (Fate::Lost(reason), None) => {
                if let Some(to) = node_at(&packet.dst) {
                    let text = format!("made up by an attacker; lost ({reason})");
                    self.push(now, to, INBOUND, packet).comments.push(text);
                }
            }
        }
        self.write_complete();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
    use pcap_file::pcapng::{Block, PcapNgReader};
    use rxrpc_sim::scenario::{ActionKind, ElementKind, Match, Mishap, Rule};
    use rxrpc_sim::{Sim, swarm};

    use super::super::Shared;
    use super::*;

    /// A frame of the file: interface, nanoseconds of the run, octets, options by their numbers.
    type Read = (u32, u64, Vec<u8>, BTreeMap<u16, Vec<u8>>);

    fn capture(scenario: &Scenario) -> Vec<Read> {
        let capture = Shared::new(Capture::new(Vec::new(), scenario, "a test").unwrap());
        let mut sim = Sim::new(scenario.clone());
        sim.observe(Box::new(capture.clone()));
        sim.run();
        let file = capture.take().unwrap().finish_into().unwrap();
        let mut reader = PcapNgReader::new(&file[..]).unwrap();
        let mut frames = Vec::new();
        while let Some(block) = reader.next_block() {
            let Block::EnhancedPacket(packet) = block.unwrap() else { continue };
            let at = packet.timestamp.as_nanos() as u64 - EPOCH * 1_000_000_000;
            let options = packet.options.iter().map(|option| match option {
                EnhancedPacketOption::Comment(text) => (COMMENT, text.as_bytes().to_vec()),
                EnhancedPacketOption::Flags(flags) => (FLAGS, flags.to_le_bytes().to_vec()),
                EnhancedPacketOption::Unknown(other) => (other.code, other.value.to_vec()),
                other => panic!("{other:?}"),
            });
            let options: BTreeMap<_, _> = options.collect();
            frames.push((packet.interface_id, at, packet.data.to_vec(), options));
        }
        let names: Vec<_> =
            reader.interfaces().iter().map(|interface| interface.options[0].clone()).collect();
        let named = |node: usize| InterfaceDescriptionOption::IfName(Cow::Owned(format!("node{node}")));
        assert_eq!(names, (0..scenario.nodes.len()).map(named).collect::<Vec<_>>());
        frames
    }

    fn scripted(mishap: Mishap) -> Vec<Read> {
        let mut scenario = Scenario::new(4, 2);
        let packets = Match { seq: Some(2), ..Match::default() };
        let rule = Rule { packets, nth: 1, count: 1, mishap };
        scenario.link(0, 1, [ElementKind::Script(vec![rule])]);
        scenario.call(0, 1, 5_000, 100);
        capture(&scenario)
    }

    fn comment(frame: &Read) -> String {
        String::from_utf8(frame.3.get(&COMMENT).cloned().unwrap_or_default()).unwrap()
    }

    fn comments(frames: &[Read]) -> Vec<(u32, String)> {
        frames.iter().map(|f| (f.0, comment(f))).filter(|(_, text)| !text.is_empty()).collect()
    }

    #[test]
    fn a_packet_is_seen_where_it_leaves_and_where_it_arrives() {
        let frames = scripted(Mishap::Delay(1_000));
        assert!(frames.is_sorted_by_key(|frame| frame.1));
        let number = |f: &Read| u64::from_le_bytes(f.3[&PACKET_ID][..].try_into().unwrap());
        let first: Vec<_> = frames.iter().filter(|f| number(f) == 1).collect();
        assert_eq!(first.len(), 2);
        assert_eq!((first[0].0, first[0].1, &first[0].3[&FLAGS][..]), (0, 0, &[2, 0, 0, 0][..]));
        assert_eq!((first[1].0, first[1].1, &first[1].3[&FLAGS][..]), (1, 5_000_000, &[1, 0, 0, 0][..]));
        assert_eq!(first[0].2, first[1].2);
        assert_eq!(comments(&frames), []);
    }

    #[test]
    fn what_is_lost_is_seen_once_and_says_why() {
        let frames = scripted(Mishap::Drop);
        assert_eq!(comments(&frames), [(0, "lost (by the script)".to_string())]);
        assert_eq!(frames.len() % 2, 1);
    }

    #[test]
    fn a_copy_is_seen_at_its_receiver_and_named_at_both_ends() {
        let copied = [(0, "a copy made".to_string()), (1, "a copy that the network made".to_string())];
        assert_eq!(comments(&scripted(Mishap::Duplicate)), copied);
    }

    #[test]
    fn packets_of_an_attacker_are_said_to_be_that() {
        let mut scenario = Scenario::new(1, 2);
        scenario.call(0, 1, 10, 10);
        let kind = ActionKind::Inject { claims: Some(0), count: 3 };
        scenario.actions.push(rxrpc_sim::scenario::Action { id: 0, at: 10, node: 1, kind });
        let frames = capture(&scenario);
        assert_eq!(comments(&frames), vec![(1, "made up by an attacker".to_string()); 3]);
    }

    #[test]
    fn every_kind_of_run_is_written_whole_and_in_order() {
        let (mut lost, mut damaged) = (0, 0);
        for seed in 0..40 {
            let frames = capture(&swarm::scenario(seed));
            assert!(frames.is_sorted_by_key(|frame| frame.1), "seed {seed}");
            lost += frames.iter().filter(|f| comment(f).contains("lost")).count();
            damaged += frames.iter().filter(|f| comment(f).contains("damaged")).count();
        }
        assert!(lost > 100 && damaged > 10, "{lost} {damaged}");
    }

    /// A disk that is full after some octets.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(octets.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_error_of_writing_is_told_at_the_end() {
        let mut scenario = Scenario::new(1, 2);
        scenario.call(0, 1, 1_000, 10);
        let capture = Shared::new(Capture::new(Full(2_000), &scenario, "").unwrap());
        let mut sim = Sim::new(scenario);
        sim.observe(Box::new(capture.clone()));
        sim.run();
        let failed = capture.take().unwrap().finish().unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
    }
}
