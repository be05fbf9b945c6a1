//! Frames out of capture files.

mod pcapng;

use std::fs::{self, File};
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use pcap_file::pcap::PcapReader;
use pcap_file::{PcapError, TsResolution};

use super::Stop;

/// First octets of a pcapng file, whatever its byte order.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// First octets of a pcap file: micro- and nanoseconds, both byte orders.
const PCAP_MAGICS: [[u8; 4]; 4] =
    [[0xa1, 0xb2, 0xc3, 0xd4], [0xd4, 0xc3, 0xb2, 0xa1], [0xa1, 0xb2, 0x3c, 0x4d], [0x4d, 0x3c, 0xb2, 0xa1]];
/// The link type lives in the low half of its word in a pcap header; the rest tells of checksums.
const LINK_MASK: u32 = 0xffff;

/// One captured frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    /// Place in the file, from 1.
    pub(super) number: u64,
    /// Nanoseconds since 1970.
    pub(super) time: u64,
    /// Link type as pcap numbers it.
    pub(super) link: u32,
    /// What was captured, from the link header on.
    pub(super) data: Vec<u8>,
    /// Octets the frame had on the wire; more than `data` if the capture cut it.
    pub(super) original: usize,
}

/// Why reading stopped before the end of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Damage {
    /// Number of the last frame that could be read.
    pub(super) after: u64,
    /// What is wrong.
    pub(super) what: String,
}

/// A capture that can be read several times.
#[derive(Debug)]
pub(super) enum Source {
    /// A file, opened anew each time, so that its size does not matter.
    File(PathBuf),
    /// What came through a pipe, which can be read only once.
    Memory(Vec<u8>),
    /// Only what was captured on the interface with this name.
    Interface(Box<Source>, String),
}

impl Source {
    /// The capture at `path`; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Source, Stop> {
        let mut piped = Vec::new();
        if path == Path::new("-") {
            io::stdin().lock().read_to_end(&mut piped).map_err(Stop::capture)?;
        } else if fs::metadata(path).map_err(Stop::capture)?.is_file() {
            return Ok(Source::File(path.to_owned()));
        } else {
            File::open(path).and_then(|mut file| file.read_to_end(&mut piped)).map_err(Stop::capture)?;
        }
        Ok(Source::Memory(piped))
    }

    fn reader(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Source::File(path) => Box::new(File::open(path)?),
            Source::Memory(octets) => Box::new(&octets[..]),
            Source::Interface(source, _) => return source.reader(),
        })
    }

    /// The same, but only one interface.
    pub(super) fn of_interface(self, name: &str) -> Source {
        Source::Interface(Box::new(self), name.into())
    }

    fn interface(&self) -> Option<&str> {
        if let Source::Interface(_, name) = self { Some(name) } else { None }
    }

    /// Gives every frame to `sink`. Damage ends the reading; what came before it has been given.
    pub(super) fn read(
        &self,
        sink: &mut dyn FnMut(Frame) -> Result<(), Stop>,
    ) -> Result<Option<Damage>, Stop> {
        let mut reader = self.reader().map_err(Stop::capture)?;
        let mut magic = Vec::new();
        reader.by_ref().take(4).read_to_end(&mut magic).map_err(Stop::capture)?;
        let whole = Cursor::new(magic.clone()).chain(reader);
        if magic == PCAPNG_MAGIC {
            pcapng::read(whole, self.interface(), sink)
        } else if PCAP_MAGICS.iter().any(|known| magic == known) {
            match self.interface() {
                Some(_) => Err(Stop::capture("a pcap file does not name interfaces, only pcapng files do")),
                None => read_pcap(whole, sink),
            }
        } else {
            Err(Stop::capture("neither a pcap nor a pcapng file"))
        }
    }
}

fn read_pcap(
    reader: impl Read,
    sink: &mut dyn FnMut(Frame) -> Result<(), Stop>,
) -> Result<Option<Damage>, Stop> {
    let mut reader = match PcapReader::new(reader) {
        Ok(reader) => reader,
        Err(error) => return Ok(Some(Damage { after: 0, what: damage(&error) })),
    };
    let header = reader.header();
    let link = u32::from(header.datalink) & LINK_MASK;
    let unit = if header.ts_resolution == TsResolution::MicroSecond { 1_000 } else { 1 };
    let mut number = 0u64;
    // Raw packets: the checks of the others refuse frames that a snapshot length has cut.
    while let Some(packet) = reader.next_raw_packet() {
        let packet = match packet {
            Ok(packet) => packet,
            Err(error) => return Ok(Some(Damage { after: number, what: damage(&error) })),
        };
        number = number.saturating_add(1);
        let seconds = u64::from(packet.ts_sec).saturating_mul(1_000_000_000);
        let time = seconds.saturating_add(u64::from(packet.ts_frac).saturating_mul(unit));
        let data = packet.data.into_owned();
        let original = usize::try_from(packet.orig_len).unwrap_or(usize::MAX).max(data.len());
        sink(Frame { number, time, link, data, original })?;
    }
    Ok(None)
}

/// A sentence about what the reader met.
fn damage(error: &PcapError) -> String {
    match error {
        PcapError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "it is cut short, or a length in it is wrong".into()
        }
        PcapError::IoError(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A pcap file, little-endian, microseconds.
    pub(in crate::decode) fn pcap(link: u32, snaplen: u32, frames: &[(u64, &[u8], u32)]) -> Vec<u8> {
        let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file.extend(snaplen.to_le_bytes());
        file.extend(link.to_le_bytes());
        for (micros, data, original) in frames {
            for word in
                [(micros / 1_000_000) as u32, (micros % 1_000_000) as u32, data.len() as u32, *original]
            {
                file.extend(word.to_le_bytes());
            }
            file.extend_from_slice(data);
        }
        file
    }

    pub(in crate::decode) fn frames(file: Vec<u8>) -> (Vec<Frame>, Option<Damage>) {
        let mut frames = Vec::new();
        let damage = Source::Memory(file)
            .read(&mut |frame| {
                frames.push(frame);
                Ok(())
            })
            .unwrap();
        (frames, damage)
    }

    #[test]
    fn frames_have_numbers_times_and_both_lengths() {
        let (frames, damage) = frames(pcap(1, 4, &[(1_000_002, &[1, 2, 3], 3), (7, &[4, 5, 6, 7], 1500)]));
        let expected = [
            Frame { number: 1, time: 1_000_002_000, link: 1, data: vec![1, 2, 3], original: 3 },
            Frame { number: 2, time: 7_000, link: 1, data: vec![4, 5, 6, 7], original: 1500 },
        ];
        assert_eq!((&frames[..], damage), (&expected[..], None));
    }

    #[test]
    fn nanoseconds_and_big_endian_are_read() {
        let mut file = vec![0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
        file.extend([0, 0, 0, 101, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 2, 0xaa, 0xbb]);
        let expected =
            Frame { number: 1, time: 1_000_000_009, link: 101, data: vec![0xaa, 0xbb], original: 2 };
        assert_eq!(frames(file), (vec![expected], None));
    }

    #[test]
    fn a_file_cut_anywhere_gives_the_frames_before_the_cut() {
        let whole = pcap(1, 100, &[(1, &[1; 10], 10), (2, &[2; 10], 10)]);
        for len in 4..whole.len() {
            let (frames, damage) = frames(whole[..len].to_vec());
            let complete = len.saturating_sub(24) / 26;
            let at_an_end = len >= 24 && (len - 24) % 26 == 0;
            assert_eq!((frames.len(), damage.is_none()), (complete, at_an_end), "{len} octets");
            assert!(damage.is_none_or(|damage| damage.after == complete as u64));
        }
    }

    #[test]
    fn other_files_are_refused() {
        for file in [&b""[..], b"#!/", b"\x7fELF and more"] {
            let refused = Source::Memory(file.to_vec()).read(&mut |_| Ok(()));
            assert!(
                matches!(refused, Err(Stop::Capture(text)) if text == "neither a pcap nor a pcapng file")
            );
        }
    }
}
