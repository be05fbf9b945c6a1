//! Frames out of pcapng files.

use std::io::Read;

use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{Endianness, PcapError};

use super::{Damage, Frame, LINK_MASK, Stop, damage};

/// The link type of a frame whose interface was never described: none that exists.
const NO_LINK: u32 = u32::MAX;

/// What a block holds of a frame, before its interface is looked up.
struct Captured {
    interface: usize,
    /// In units of the interface; `None` in blocks that have no time.
    units: Option<u64>,
    data: Vec<u8>,
    original: u32,
}

/// Gives every frame of a pcapng file, or of one interface of it, to `sink`.
pub(super) fn read(
    reader: impl Read,
    wanted: Option<&str>,
    sink: &mut dyn FnMut(Frame) -> Result<(), Stop>,
) -> Result<Option<Damage>, Stop> {
    let mut reader = match PcapNgReader::new(reader) {
        Ok(reader) => reader,
        Err(error) => return Ok(Some(Damage { after: 0, what: damage(&error) })),
    };
    let (mut number, mut time) = (0u64, 0u64);
    loop {
        let block = match next_block(&mut reader) {
            Ok(Some(block)) => block,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(Damage { after: number, what: damage(&error) })),
        };
        let little = reader.section().endianness == Endianness::Little;
        let Some(captured) = captured(block, little) else { continue };
        let interface = reader.interfaces().get(captured.interface);
        number = number.saturating_add(1);
        if let Some((units, interface)) = captured.units.zip(interface) {
            time = nanoseconds(units, interface);
        }
        if wanted.is_some_and(|wanted| interface.and_then(name) != Some(wanted)) {
            continue;
        }
        let link = interface.map_or(NO_LINK, |interface| u32::from(interface.linktype) & LINK_MASK);
        let mut data = captured.data;
        let original = usize::try_from(captured.original).unwrap_or(usize::MAX);
        if captured.units.is_none() {
            // The data of a simple block has its padding still on.
            data.truncate(original.min(snapshot(interface)));
        }
        let original = original.max(data.len());
        sink(Frame { number, time, link, data, original })?;
    }
}

/// The next block whose contents can be read. A block with faulty options is left out: the length around
/// it says where the next one starts.
fn next_block<R: Read>(reader: &mut PcapNgReader<R>) -> Result<Option<Block<'static>>, PcapError> {
    loop {
        let failed = match reader.next_block() {
            None => return Ok(None),
            Some(Ok(block)) => return Ok(Some(block.into_owned())),
            Some(Err(error)) => error,
        };
        // After an error the reader stands before the block. The raw form skips it, unless the frame of
        // the block itself is broken.
        match reader.next_raw_block() {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(failed),
        }
    }
}

fn captured(block: Block<'static>, little: bool) -> Option<Captured> {
    match block {
        Block::EnhancedPacket(packet) => Some(Captured {
            interface: usize::try_from(packet.interface_id).ok()?,
            // The crate takes every time for nanoseconds; this undoes it.
            units: Some(u64::try_from(packet.timestamp.as_nanos()).unwrap_or(u64::MAX)),
            data: packet.data.into_owned(),
            original: packet.original_len,
        }),
        Block::Packet(packet) => Some(Captured {
            interface: usize::from(packet.interface_id),
            // Two words, the upper first; the crate reads them as one.
            units: Some(if little { packet.timestamp.rotate_left(32) } else { packet.timestamp }),
            data: packet.data.into_owned(),
            original: packet.original_len,
        }),
        Block::SimplePacket(packet) => Some(Captured {
            interface: 0,
            units: None,
            data: packet.data.into_owned(),
            original: packet.original_len,
        }),
        _ => None,
    }
}

/// The name of an interface, if the file tells it.
fn name<'a>(interface: &'a InterfaceDescriptionBlock<'_>) -> Option<&'a str> {
    interface.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfName(name) => Some(&**name),
        _ => None,
    })
}

/// The most octets an interface captures of a frame.
fn snapshot(interface: Option<&InterfaceDescriptionBlock<'_>>) -> usize {
    match interface.map_or(0, |interface| interface.snaplen) {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    }
}

/// Nanoseconds since 1970 from the units of an interface: microseconds unless an option says otherwise.
fn nanoseconds(units: u64, interface: &InterfaceDescriptionBlock<'_>) -> u64 {
    let (mut resolution, mut offset) = (6u8, 0i64);
    for option in &interface.options {
        match option {
            InterfaceDescriptionOption::IfTsResol(exponent) => resolution = *exponent,
            InterfaceDescriptionOption::IfTsOffset(seconds) => offset = seconds.cast_signed(),
            _ => {}
        }
    }
    let exponent = u32::from(resolution & 0x7f);
    let scaled = u128::from(units).saturating_mul(1_000_000_000);
    let nanos = if resolution & 0x80 == 0 {
        scaled.checked_div(10u128.saturating_pow(exponent)).unwrap_or(0)
    } else {
        scaled.checked_shr(exponent).unwrap_or(0)
    };
    let nanos = i128::try_from(nanos).unwrap_or(i128::MAX);
    let moved = nanos.saturating_add(i128::from(offset).saturating_mul(1_000_000_000));
    u64::try_from(moved.max(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::super::tests::frames;
    use super::*;

    /// A block in the given byte order.
    fn block(kind: u32, body: &[u8], big: bool) -> Vec<u8> {
        let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let padded = body.len().next_multiple_of(4);
        let len = word(padded as u32 + 12);
        let mut out = [word(kind), len].concat();
        out.extend_from_slice(body);
        out.resize(8 + padded, 0);
        out.extend(len);
        out
    }

    fn section(big: bool) -> Vec<u8> {
        let magic =
            if big { [0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0] } else { [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0] };
        block(0x0a0d_0d0a, &[&magic[..], &[0xff; 8]].concat(), big)
    }

    /// An interface of the given link type, with one option.
    fn interface(link: u8, snaplen: u32, option: &[u8]) -> Vec<u8> {
        let mut body = [&[link, 0, 0, 0][..], &snaplen.to_le_bytes()].concat();
        if !option.is_empty() {
            body.extend_from_slice(option);
            body.resize(body.len().next_multiple_of(4), 0);
            body.extend([0; 4]);
        }
        block(1, &body, false)
    }

    fn enhanced(interface: u32, units: u64, data: &[u8], options: &[u8]) -> Vec<u8> {
        let len = data.len() as u32;
        let words = [interface, (units >> 32) as u32, units as u32, len, len];
        let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        body.extend_from_slice(data);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend_from_slice(options);
        block(6, &body, false)
    }

    #[test]
    fn times_follow_the_resolution_and_the_offset_of_the_interface() {
        let units = 3 << 32 | 5;
        for (option, expected) in [
            (&[][..], units * 1_000),
            (&[9, 0, 1, 0, 9][..], units),
            (&[9, 0, 1, 0, 12], units / 1_000),
            (&[9, 0, 1, 0, 0x80 | 32], 3_000_000_001),
            (&[14, 0, 8, 0, 2, 0, 0, 0, 0, 0, 0, 0], units * 1_000 + 2_000_000_000),
            (&[14, 0, 8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], units * 1_000 - 1_000_000_000),
            (&[9, 0, 1, 0, 0x7f], 0),
            (&[9, 0, 1, 0, 0xff], 0),
        ] {
            let file = [section(false), interface(1, 0, option), enhanced(0, units, &[7; 5], &[])].concat();
            let frame = Frame { number: 1, time: expected, link: 1, data: vec![7; 5], original: 5 };
            assert_eq!(frames(file), (vec![frame], None), "{option:x?}");
        }
    }

    #[test]
    fn a_simple_block_loses_its_padding_and_keeps_the_time_before() {
        let simple = |original: u32, data: &[u8]| block(3, &[&original.to_le_bytes(), data].concat(), false);
        let file = [
            section(false),
            interface(101, 6, &[]),
            enhanced(0, 4, &[1], &[]),
            simple(5, &[9; 8]),
            simple(1500, &[8; 8]),
        ]
        .concat();
        let (frames, damage) = frames(file);
        let listed: Vec<_> = frames.iter().map(|f| (f.time, f.data.len(), f.original)).collect();
        assert_eq!((listed, damage), (vec![(4_000, 1, 1), (4_000, 5, 5), (4_000, 6, 1500)], None));
    }

    #[test]
    fn the_obsolete_block_and_big_endian_are_read() {
        let body = |units: [u32; 2], be: bool| -> Vec<u8> {
            let word = |value: u32| if be { value.to_be_bytes() } else { value.to_le_bytes() };
            [vec![0; 4], [word(units[0]), word(units[1]), word(4), word(4)].concat(), vec![1, 2, 3, 4]]
                .concat()
        };
        let little = [section(false), interface(1, 0, &[]), block(2, &body([1, 2], false), false)].concat();
        let big =
            [section(true), block(1, &[0, 1, 0, 0, 0, 0, 0, 0], true), block(2, &body([1, 2], true), true)];
        for file in [little, big.concat()] {
            let (frames, damage) = frames(file);
            assert_eq!(
                (frames[0].time, &frames[0].data[..], damage),
                (((1 << 32) + 2) * 1_000, &[1, 2, 3, 4][..], None)
            );
        }
    }

    #[test]
    fn a_block_with_faulty_options_is_left_out_and_reading_goes_on() {
        let broken = enhanced(0, 1, &[1; 4], &[1, 0, 200, 0]);
        let file = [section(false), interface(1, 0, &[]), broken, enhanced(0, 2, &[2; 4], &[])].concat();
        let (frames, damage) = frames(file);
        assert_eq!((frames.len(), frames[0].time, damage), (1, 2_000, None));
    }

    #[test]
    fn each_section_has_its_own_interfaces_and_a_missing_one_is_no_link() {
        let file = [
            section(false),
            interface(1, 0, &[]),
            enhanced(0, 1, &[1], &[]),
            enhanced(1, 1, &[1], &[]),
            section(false),
            interface(113, 0, &[]),
            enhanced(0, 1, &[1], &[]),
        ]
        .concat();
        let links: Vec<_> = frames(file).0.iter().map(|frame| frame.link).collect();
        assert_eq!(links, [1, NO_LINK, 113]);
    }

    #[test]
    fn one_interface_can_be_chosen_and_frames_keep_their_numbers() {
        let named = |name: &[u8; 4]| interface(1, 0, &[&[2, 0, 4, 0][..], name].concat());
        let frame = |place: u32| enhanced(place, 1, &[place as u8], &[]);
        let file = [section(false), named(b"left"), named(b"rite"), interface(1, 0, &[])];
        let file = [file.concat(), frame(0), frame(1), frame(2), frame(1)].concat();
        let chosen = |name: &str| {
            let mut numbers = Vec::new();
            let source = Source::Memory(file.clone()).of_interface(name);
            let mut note = |frame: Frame| {
                numbers.push(frame.number);
                Ok(())
            };
            source.read(&mut note).unwrap();
            numbers
        };
        assert_eq!((chosen("left"), chosen("rite"), chosen("none")), (vec![1], vec![2, 4], vec![]));
    }

    #[test]
    fn a_broken_length_ends_the_reading_and_says_after_which_frame() {
        let mut file = [section(false), interface(1, 0, &[]), enhanced(0, 1, &[1], &[])].concat();
        file.extend([6, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0]);
        let (frames, damage) = frames(file);
        assert_eq!((frames.len(), damage.unwrap().after), (1, 1));
    }
}
