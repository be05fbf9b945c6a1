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
use rxrpc_sim::{Harness, Report, Violation};

use super::file;
use super::harness::Nodes;
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
    came_of_it: CameOfIt,
}

enum CameOfIt {
    /// It was run to its end.
    Ran(Box<Report>),
    /// It was run and panicked.
    Panicked(Violation),
    /// It could not be run.
    Unreadable(Failure),
}

impl Row {
    /// What is wrong, if anything is.
    fn complaint(&self) -> Option<String> {
        match &self.came_of_it {
            CameOfIt::Ran(report) => report.violations.first().map(ToString::to_string),
            CameOfIt::Panicked(violation) => Some(violation.to_string()),
            CameOfIt::Unreadable(failure) => Some(failure.to_string()),
        }
    }

    fn is_unreadable(&self) -> bool {
        matches!(self.came_of_it, CameOfIt::Unreadable(_))
    }

    fn verdict(&self) -> &'static str {
        match &self.came_of_it {
            CameOfIt::Ran(report) if report.is_good() => "held",
            CameOfIt::Ran(_) | CameOfIt::Panicked(_) => "FAILED",
            CameOfIt::Unreadable(_) => "unreadable",
        }
    }
}

/// Run all scenarios in the folder and the folders in it, `jobs` at a time.
pub(super) fn run(folder: &Path, nodes: Nodes, jobs: usize) -> Result<(), Failure> {
    let (harness, option) = (nodes.harness(), nodes.option());
    let files = files(folder, DEEPEST)?;
    if files.is_empty() {
        return Err(Failure::Usage(format!("{}: there is no scenario (*.toml)", folder.display())));
    }
    let mut rows = run_all(&files, harness, jobs);
    rows.sort_by_key(|row| row.place);
    let name = |row: &Row| files[row.place].strip_prefix(folder).unwrap_or(folder).display().to_string();
    let style = if stdout().is_terminal() { presets::UTF8_FULL_CONDENSED } else { presets::NOTHING };
    output::line(draw(rows.iter().map(|row| (name(row), row)), style))?;
    for row in &rows {
        let Some(complaint) = row.complaint() else { continue };
        // What could not be read names its file itself.
        if row.is_unreadable() {
            output::line(complaint)?;
            continue;
        }
        let path = files[row.place].display();
        output::line(format_args!(
            "{}: {complaint}\nreplay: rxrpc sim run --scenario {path}{option}",
            name(row)
        ))?;
    }
    let unreadable = rows.iter().filter(|row| row.is_unreadable()).count();
    let failed = rows.iter().filter(|row| row.complaint().is_some()).count() - unreadable;
    match (failed, unreadable, files.len()) {
        (0, 0, all) => output::line(format_args!("{all} scenarios: all held")),
        (0, n, all) => Err(Failure::Usage(format!("{n} of {all} scenarios cannot be read"))),
        (n, 0, all) => Err(Failure::Local(format!("{n} of {all} scenarios failed"))),
        (n, m, all) => Err(Failure::Local(format!("{n} of {all} scenarios failed, and {m} cannot be read"))),
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

fn one(path: &Path, harness: Harness) -> CameOfIt {
    let scenario = match file::read(path) {
        Ok(scenario) => scenario,
        Err(failure) => return CameOfIt::Unreadable(failure),
    };
    match simulate(&scenario, harness) {
        Ok(report) => CameOfIt::Ran(Box::new(report)),
        Err(violation) => CameOfIt::Panicked(violation),
    }
}

fn draw<'a>(rows: impl Iterator<Item = (String, &'a Row)>, style: TableStyle) -> String {
    let mut table = Table::new();
    table.load_style(style);
    table.set_header(["scenario", "", "last call ended", "calls", "datagrams", "MB/s", "took"]);
    for (name, row) in rows {
        let mut cells = vec![name, row.verdict().to_owned()];
        if let CameOfIt::Ran(report) = &row.came_of_it {
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
