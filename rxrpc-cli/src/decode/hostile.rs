//! Captures from strangers: cut, corrupted, invented. Nothing may panic, whatever the answer is.

use std::path::PathBuf;

use clap::Parser;

use super::capture::Source;
use super::decoder::Decoder;
use super::{Args, Stop};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

/// What `rxrpc decode` prints of a file, and how it ends.
fn decode(file: Vec<u8>, options: &[&str]) -> (String, Result<(), Stop>) {
    let args = Cli::parse_from([&["decode", "file"], options].concat()).args;
    let mut out = Vec::new();
    let done = Decoder::new(&args, false, &mut out).run(&Source::Memory(file));
    (String::from_utf8(out).unwrap(), done)
}

fn capture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name);
    std::fs::read(path).unwrap()
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// The same frames in a pcapng file: a section, an interface, a block a frame.
fn as_pcapng(pcap: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
    let block = |kind: u32, body: Vec<u8>| {
        let len = (body.len().next_multiple_of(4) as u32 + 12).to_le_bytes();
        let padding = vec![0; body.len().wrapping_neg() % 4];
        [kind.to_le_bytes().to_vec(), len.to_vec(), body, padding, len.to_vec()].concat()
    };
    let mut file = block(0x0a0d_0d0a, [&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[0xff; 8]].concat());
    file.extend(block(1, [&word(20).to_le_bytes()[..], &[0; 4]].concat()));
    let mut at = 24;
    while at < pcap.len() {
        let micros = u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4));
        let (len, original) = (word(at + 8), word(at + 12));
        let words = [0, (micros >> 32) as u32, micros as u32, len, original];
        let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        body.extend_from_slice(&pcap[at + 16..at + 16 + len as usize]);
        file.extend(block(6, body));
        at += 16 + len as usize;
    }
    file
}

const MODES: [&[&str]; 4] = [&[], &["--json"], &["--port", "7009", "--port", "7000"], &["--call", "1"]];

#[test]
fn a_pcapng_file_gives_the_same_lines_as_pcap() {
    for name in ["oafs-null-checkreach.pcap", "oafs-rxkad-des-auth.pcap", "oafs-null-send-200k.pcap"] {
        let pcap = capture(name);
        let (expected, done) = decode(pcap.clone(), &[]);
        assert_eq!(done, Ok(()));
        assert_eq!(decode(as_pcapng(&pcap), &[]), (expected, Ok(())), "{name}");
    }
}

#[test]
fn a_file_cut_at_any_length_gives_the_packets_before_the_cut() {
    let pcap = capture("oafs-rxkad-err-unknownkey.pcap");
    let whole = decode(pcap.clone(), &[]).0;
    for file in [pcap.clone(), as_pcapng(&pcap)] {
        for len in 0..file.len() {
            for mode in MODES {
                let (text, done) = decode(file[..len].to_vec(), mode);
                if mode.is_empty() {
                    let packets = text.lines().take_while(|line| !line.is_empty()).skip(1).count();
                    assert!(packets <= 4, "{len} octets: {text}");
                    assert!(packets < 4 || len + 8 > file.len(), "{len} octets: {text}");
                    assert!(packets > 0 || matches!(done, Err(Stop::Capture(_))), "{len} octets: {done:?}");
                }
            }
        }
        assert_eq!(decode(file, &[]).0, whole);
    }
}

#[test]
fn any_octet_may_have_any_value() {
    let pcap = capture("oafs-null-checkreach.pcap");
    for file in [pcap.clone(), as_pcapng(&pcap)] {
        for place in 0..file.len() {
            for value in [0, 0x7f, 0xff] {
                let mut file = file.clone();
                file[place] = value;
                let _ = decode(file, &["--plot", "/dev/null"]);
            }
        }
    }
}

#[test]
fn many_octets_at_once_may_be_wrong() {
    let names = [
        "oafs-afs-rxdebug-fileserver.pcap",
        "oafs-null-4calls-1conn.pcap",
        "oafs-null-nojumbo-mtu1024.pcap",
        "oafs-rxkad-kdc-aes256.pcap",
    ];
    let mut numbers = Numbers(1);
    for name in names {
        let pcap = capture(name);
        for round in 0..60 {
            let mut file = if round % 2 == 0 { pcap.clone() } else { as_pcapng(&pcap) };
            for _ in 0..=numbers.below(60) {
                let place = numbers.below(file.len());
                file[place] = numbers.below(256) as u8;
            }
            let _ = decode(file, MODES[numbers.below(MODES.len())]);
        }
    }
}

#[test]
fn extreme_header_fields_can_be_shown_and_drawn() {
    let pcap = capture("oafs-null-small.pcap");
    // Time, length and every word of the Rx header of the second frame, all ones.
    let second = 24 + 16 + 88;
    let fields =
        [second, second + 4, second + 12].into_iter().chain((0..7).map(|word| second + 16 + 42 + 4 * word));
    for at in fields {
        let mut file = pcap.clone();
        file[at..at + 4].fill(0xff);
        for mode in [&["--plot", "/dev/null"][..], &["--json", "--port", "7009"]] {
            let (text, _) = decode(file.clone(), mode);
            assert!(text.lines().count() > 10, "{at}: {text}");
        }
    }
}

#[test]
fn noise_is_refused() {
    let mut numbers = Numbers(7);
    for magic in [&b""[..], &[0xd4, 0xc3, 0xb2, 0xa1], &[0x0a, 0x0d, 0x0d, 0x0a]] {
        for _ in 0..200 {
            let mut file = magic.to_vec();
            file.extend((0..numbers.below(400)).map(|_| numbers.below(256) as u8));
            assert!(matches!(decode(file, &[]).1, Err(Stop::Capture(_))));
        }
    }
}
