//! The bodies of the fuzz targets, usable with and without a fuzzer.
//!
//! Each target is a function of octets that panics when it finds a bug. `fuzz_targets/` hands them to
//! libFuzzer; `tests/replay.rs` runs the committed corpus through them on stable Rust.

mod endpoint;
mod input;
mod packet;
mod pair;
pub mod seeds;
mod sim;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

pub use endpoint::{Report, endpoint, endpoint_report};
pub use packet::packet;
pub use pair::{PairReport, pair, pair_report};
pub use sim::{sim, sim_scenario};

/// Counts what is allocated, so that the targets can hold an endpoint to its limits.
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

/// Bytes allocated at the moment.
fn allocated() -> usize {
    ALLOCATOR.allocated()
}

/// The files of a folder, sorted by name; none if there is no such folder.
///
/// # Errors
/// When the folder cannot be listed.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|e| e.map(|e| e.path())).collect::<io::Result<_>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    found.retain(|path| path.is_file());
    found.sort();
    Ok(found)
}

/// Run a target over the files, and the files of the folders, named on the command line.
///
/// # Errors
/// When one cannot be read.
pub fn replay_arguments(target: fn(&[u8])) -> io::Result<()> {
    let mut count = 0;
    for argument in env::args_os().skip(1) {
        let path = PathBuf::from(argument);
        let inputs = if path.is_dir() { files(&path)? } else { vec![path] };
        for input in inputs {
            eprintln!("{}", input.display());
            target(&fs::read(&input)?);
            count += 1;
        }
    }
    println!("{count} inputs replayed");
    Ok(())
}
