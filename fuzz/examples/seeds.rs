//! Writes the seeds made from `testdata/` and by hand: `cargo run --example seeds -- FOLDER`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::{env, io};

use pcap_file::pcap::PcapReader;
use rxrpc_fuzz::{files, seeds};

/// The UDP payloads of a capture of Ethernet frames with IPv4.
fn datagrams(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut reader = PcapReader::new(File::open(path)?).map_err(io::Error::other)?;
    let mut found = Vec::new();
    while let Some(frame) = reader.next_packet() {
        let frame = frame.map_err(io::Error::other)?;
        let ip = &frame.data[14..];
        found.push(ip[usize::from(ip[0] & 15) * 4 + 8..].to_vec());
    }
    Ok(found)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(name), bytes)
}

fn main() -> io::Result<()> {
    let out = PathBuf::from(env::args_os().nth(1).expect("where to write to"));
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let mut kinds = BTreeSet::new();
    for path in files(&testdata)?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "pcap")) {
        let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
        let all = datagrams(&path)?;
        write(&out.join("endpoint"), &name, &seeds::conversation(&all))?;
        for (i, datagram) in all.iter().enumerate() {
            // One of each type, flags, security index and rough size.
            if kinds.insert((datagram[20], datagram[21], datagram[23], datagram.len() / 200)) {
                write(&out.join("packet"), &format!("{name}-{i}"), datagram)?;
            }
        }
    }
    for (i, input) in seeds::answers().iter().enumerate() {
        write(&out.join("endpoint"), &format!("answer-{i}"), input)?;
    }
    for (i, input) in seeds::pairs().iter().enumerate() {
        write(&out.join("pair"), &format!("calls-{i}"), input)?;
    }
    Ok(())
}
