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
use serde::Serialize;

use super::failures::ladder;
use super::file;
use super::harness::Nodes;
use super::progress::Progress;
use super::run::colour;
use super::which::quiet;
use crate::failure::Failure;
use crate::output;

/// Folders within folders, at most.
const DEEPEST: u32 = 8;

/// What came of a file.
struct Row {
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

    fn told(&self, name: &str) -> Told {
        let report = match &self.came_of_it {
            CameOfIt::Ran(report) => Some(report),
            _ => None,
        };
        Told {
            scenario: name.to_owned(),
            verdict: self.verdict(),
            complaint: self.complaint(),
            seconds: self.took.as_secs_f64(),
            calls: report.map(|report| report.calls),
            datagrams: report.map(|report| report.datagrams),
            hash: report.map(|report| format!("{:016x}", report.trace.hash())),
        }
    }
}

/// Failures that are drawn.
const DRAWN: usize = 3;

/// A scenario and what came of it, for programs.
#[derive(Serialize)]
struct Told {
    scenario: String,
    verdict: &'static str,
    complaint: Option<String>,
    seconds: f64,
    calls: Option<u64>,
    datagrams: Option<u64>,
    hash: Option<String>,
}

/// All of them.
#[derive(Serialize)]
struct Summary {
    good: bool,
    harness: String,
    verdict: String,
    scenarios: Vec<Told>,
}

/// Run all scenarios in the folder and the folders in it, `jobs` at a time.
pub(super) fn run(folder: &Path, nodes: Nodes, jobs: usize, json: bool) -> Result<(), Failure> {
    let harness = nodes.harness();
    let files = files(folder)?;
    let work = |path: &Path| {
        let began = Instant::now();
        let came_of_it = one(path, harness);
        Row { took: began.elapsed(), came_of_it }
    };
    let rows = each(&files, jobs, work, |row| row.complaint().is_some());
    let name = |path: &Path| path.strip_prefix(folder).unwrap_or(folder).display().to_string();
    let named: Vec<(String, &Row)> = files.iter().map(|path| name(path)).zip(&rows).collect();
    let (verdict, ended) = verdict(&rows);
    if json {
        let scenarios = named.iter().map(|(name, row)| row.told(name)).collect();
        output::json(&Summary { good: ended.is_ok(), harness: nodes.name(), verdict, scenarios })?;
        return ended;
    }
    let style = if stdout().is_terminal() { presets::UTF8_FULL_CONDENSED } else { presets::NOTHING };
    output::line(draw(&named, style))?;
    let mut drawn = 0;
    for ((name, row), path) in named.iter().zip(&files) {
        let Some(complaint) = row.complaint() else { continue };
        // What could not be read names its file itself.
        if row.is_unreadable() {
            output::line(complaint)?;
            continue;
        }
        output::line(format_args!("{name}: {complaint}"))?;
        drawn += 1;
        if let Some(scenario) = file::read(path).ok().filter(|_| drawn <= DRAWN) {
            let _quiet = quiet();
            output::line(ladder(&scenario, harness, colour()).trim_end())?;
        }
        let (path, option) = (path.display(), nodes.option());
        output::line(format_args!("replay: rxrpc sim run --scenario {path}{option}"))?;
    }
    output::line(verdict)?;
    ended
}

/// What all of them come to, in words and as the end of the command.
fn verdict(rows: &[Row]) -> (String, Result<(), Failure>) {
    let unreadable = rows.iter().filter(|row| row.is_unreadable()).count();
    let failed = rows.iter().filter(|row| row.complaint().is_some()).count() - unreadable;
    let all = rows.len();
    let (text, make): (_, fn(String) -> Failure) = match (failed, unreadable) {
        (0, 0) => return (format!("{all} scenarios: all held"), Ok(())),
        (0, n) => (format!("{n} of {all} scenarios cannot be read"), Failure::Usage),
        (n, 0) => (format!("{n} of {all} scenarios failed"), Failure::Local),
        (n, m) => (format!("{n} of {all} scenarios failed, and {m} cannot be read"), Failure::Local),
    };
    (text.clone(), Err(make(text)))
}

/// The scenarios in the folder, in the order of their names, and then those of the folders in it.
///
/// # Errors
/// If there is none, or a folder cannot be read.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let files = list(folder, DEEPEST)?;
    if files.is_empty() {
        return Err(Failure::Usage(format!("{}: there is no scenario (*.toml)", folder.display())));
    }
    Ok(files)
}

fn list(folder: &Path, depth: u32) -> Result<Vec<PathBuf>, Failure> {
    let failure = |e: std::io::Error| Failure::Local(format!("{}: {e}", folder.display()));
    let entries: Result<Vec<_>, _> =
        fs::read_dir(folder).map_err(failure)?.map(|e| e.map(|e| e.path())).collect();
    let mut entries = entries.map_err(failure)?;
    entries.sort();
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| path.is_dir());
    files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    if depth > 0 {
        for folder in folders {
            files.extend(list(&folder, depth - 1)?);
        }
    }
    Ok(files)
}

/// Do the work of each file, `jobs` at a time. What came of them, in the order of the files.
pub(super) fn each<T: Send>(
    files: &[PathBuf],
    jobs: usize,
    work: impl Fn(&Path) -> T + Sync,
    failed: impl Fn(&T) -> bool,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    let mut progress = Progress::new(files.len() as u64);
    let _quiet = quiet();
    let mut results: Vec<(usize, T)> = thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, files.len().max(1)) {
            let (send, next, work) = (send.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = files.get(place) else { break };
                    if send.send((place, work(path))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        receive.iter().inspect(|(_, result)| progress.add(1, u64::from(failed(result)))).collect()
    });
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
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

fn draw(rows: &[(String, &Row)], style: TableStyle) -> String {
    let mut table = Table::new();
    table.load_style(style);
    table.set_header(["scenario", "", "last call ended", "calls", "datagrams", "MB/s", "took"]);
    for (name, row) in rows {
        let mut cells = vec![name.clone(), row.verdict().to_owned()];
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
