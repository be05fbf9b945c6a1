//! `rxrpc sim run --scenario FOLDER`: every scenario of a folder, each with its own seed, as a table.

use std::fs;
use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, TableStyle, presets};
use rxrpc_sim::campaign::run as simulate;
use rxrpc_sim::{Harness, Report};

use super::file;
use super::progress::Progress;
use super::which::quiet;
use crate::failure::Failure;
use crate::output;

/// Folders within folders, at most.
const DEEPEST: u32 = 8;

/// What came of a file.
struct Row {
    place: usize,
    took: Duration,
    /// What was found wrong, if it could be run at all.
    came_of_it: Result<Report, String>,
}

impl Row {
    fn complaint(&self) -> Option<String> {
        match &self.came_of_it {
            Err(text) => Some(text.clone()),
            Ok(report) => report.violations.first().map(ToString::to_string),
        }
    }
}

/// Run all scenarios in the folder and the folders in it, `jobs` at a time.
pub(super) fn run(folder: &Path, harness: Harness, jobs: usize) -> Result<(), Failure> {
    let files = files(folder, DEEPEST)?;
    if files.is_empty() {
        return Err(Failure::Usage(format!("{}: there is no scenario (*.toml)", folder.display())));
    }
    let mut rows = run_all(&files, harness, jobs);
    rows.sort_by_key(|row| row.place);
    let name = |row: &Row| files[row.place].strip_prefix(folder).unwrap_or(folder).display().to_string();
    let style = if stdout().is_terminal() { presets::UTF8_FULL_CONDENSED } else { presets::NOTHING };
    output::line(draw(rows.iter().map(|row| (name(row), row)), style))?;
    let mut failed = 0;
    for row in &rows {
        if let Some(complaint) = row.complaint() {
            failed += 1;
            let path = files[row.place].display();
            output::line(format_args!(
                "{}: {complaint}\nreplay: rxrpc sim run --scenario {path}",
                name(row)
            ))?;
        }
    }
    match failed {
        0 => output::line(format_args!("{} scenarios: all held", files.len())),
        n => Err(Failure::Local(format!("{n} of {} scenarios failed", files.len()))),
    }
}

/// The scenarios in the folder, in the order of their names, and then those of the folders in it.
fn files(folder: &Path, depth: u32) -> Result<Vec<PathBuf>, Failure> {
    let failure = |e: std::io::Error| Failure::Local(format!("{}: {e}", folder.display()));
    let entries: Result<Vec<_>, _> =
        fs::read_dir(folder).map_err(failure)?.map(|e| e.map(|e| e.path())).collect();
    let mut entries = entries.map_err(failure)?;
    entries.sort();
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| path.is_dir());
    files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    if depth > 0 {
        for folder in folders {
            files.extend(self::files(&folder, depth - 1)?);
        }
    }
    Ok(files)
}

fn run_all(files: &[PathBuf], harness: Harness, jobs: usize) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    let mut progress = Progress::new(files.len() as u64);
    let _quiet = quiet();
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, files.len()) {
            let send = send.clone();
            let next = &next;
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = files.get(place) else { break };
                    let began = Instant::now();
                    let came_of_it = one(path, harness);
                    if send.send(Row { place, took: began.elapsed(), came_of_it }).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let count = |row: &Row| progress.add(1, u64::from(row.complaint().is_some()));
        receive.iter().inspect(count).collect()
    })
}

fn one(path: &Path, harness: Harness) -> Result<Report, String> {
    let scenario = file::read(path).map_err(|failure| failure.to_string())?;
    simulate(&scenario, harness).map_err(|violation| violation.to_string())
}

fn draw<'a>(rows: impl Iterator<Item = (String, &'a Row)>, style: TableStyle) -> String {
    let mut table = Table::new();
    table.load_style(style);
    table.set_header(["scenario", "", "last call ended", "calls", "datagrams", "MB/s", "took"]);
    for (name, row) in rows {
        let verdict = if row.complaint().is_some() { "FAILED" } else { "held" };
        let mut cells = vec![name, verdict.to_owned()];
        if let Ok(report) = &row.came_of_it {
            cells.push(format!("{:.3} s", report.figures.last.as_nanos() as f64 / 1e9));
            cells.push(report.calls.to_string());
            cells.push(report.datagrams.to_string());
            cells.push(format!("{:.2}", report.figures.goodput() as f64 / 1e6));
            cells.push(format!("{:.2} s", row.took.as_secs_f64()));
        }
        table.add_row(cells);
    }
    for column in 2..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}
