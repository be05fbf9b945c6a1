//! What is left of a seed that failed: a ladder of its last packets, and files that replay it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use rxrpc_sim::campaign::Failure as Found;
use rxrpc_sim::shrink::shrink;
use rxrpc_sim::{Harness, Oracle, Scenario};

use super::file;
use super::ladder::{Ladder, ROWS};
use super::observers::run_observed;
use super::progress::Progress;
use super::tally::Failed;
use crate::failure::Failure;

/// Where files go, and how much work may be spent.
pub(super) struct Keeper<'a> {
    pub(super) folder: &'a Path,
    pub(super) harness: Harness,
    /// The option that chooses it, if it needs one.
    pub(super) option: String,
    /// Runs for shrinking, none if it is not wanted.
    pub(super) budget: u32,
    /// The scenario came from this file, so that it needs no other.
    pub(super) source: Option<&'a Path>,
    /// The scenario option of the command, if it was given, with a space before.
    pub(super) base: String,
    /// Whether to draw the last packets.
    pub(super) ladder: bool,
    pub(super) colour: bool,
}

/// The last packets of a run of the scenario.
pub(super) fn ladder(scenario: &Scenario, harness: Harness, colour: bool) -> String {
    let ladder = Ladder::new(ROWS);
    let _ = run_observed(scenario, harness, vec![Box::new(ladder.clone())]);
    ladder.draw(scenario.nodes.len(), colour)
}

/// Whether files can be made in the folder, which need not be there yet. It is left as it was.
pub(super) fn try_folder(folder: &Path) -> Result<(), Failure> {
    let failure = |e: std::io::Error| Failure::Local(format!("{}: {e}", folder.display()));
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists()).collect();
    let made = fs::create_dir_all(folder).and_then(|()| {
        let file = folder.join(format!(".rxrpc-{}", std::process::id()));
        fs::File::create(&file).and_then(|_| fs::remove_file(&file))
    });
    missing.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    made.map_err(failure)
}

impl Keeper<'_> {
    /// Write the files of a failure, note them in `failed`, and tell all of it. What cannot be written is added to
    /// `troubles`.
    pub(super) fn keep(&self, found: &Found, failed: &mut Failed, troubles: &mut Vec<Failure>) -> String {
        let mut text = format!("seed {}\n", found.seed);
        for violation in &found.violations {
            let _ = writeln!(text, "  {violation}");
        }
        if self.ladder {
            text += &ladder(&found.scenario, self.harness, self.colour);
        }
        let replay = match self.source {
            Some(source) => Ok(source.to_owned()),
            None => {
                let path = self.folder.join(format!("{}.toml", found.seed));
                self.write(&path, &self.headline(found), &found.scenario).map(|()| path)
            }
        };
        let shrunk = match &replay {
            Ok(path) => {
                let _ = writeln!(text, "replay: {}", self.command(path));
                failed.replay = Some(path.display().to_string());
                self.shrunk(found, path)
            }
            Err(_) => {
                // The seed alone does it as well, as long as the generator stays as it is.
                let _ = writeln!(
                    text,
                    "replay: rxrpc sim run{} --seeds {}{}",
                    self.base, found.seed, self.option
                );
                Ok(None)
            }
        };
        if let Ok(Some((path, what))) = &shrunk {
            let _ = writeln!(text, "{what}: {}", self.command(path));
            failed.shrunk = Some(path.display().to_string());
        }
        troubles.extend(replay.err().into_iter().chain(shrunk.err()));
        text
    }

    fn headline(&self, found: &Found) -> String {
        let violation = found.violations.first().map(ToString::to_string).unwrap_or_default();
        format!("Seed {} failed: {violation}", found.seed)
    }

    fn command(&self, path: &Path) -> String {
        format!("rxrpc sim run --scenario {}{}", path.display(), self.option)
    }

    fn write(&self, path: &Path, headline: &str, scenario: &Scenario) -> Result<(), Failure> {
        fs::create_dir_all(self.folder)
            .map_err(|e| Failure::Local(format!("{}: {e}", self.folder.display())))?;
        let version = env!("CARGO_PKG_VERSION");
        let comment = format!("{headline}\nReplay: {}\nWritten by rxrpc {version}.", self.command(path));
        file::write(path, &comment, scenario)
    }

    /// The file with what is left after shrinking, and how that went; nothing if nothing could be taken away.
    fn shrunk(&self, found: &Found, replay: &Path) -> Result<Option<(PathBuf, String)>, Failure> {
        let Some(oracle) = found.violations.first().map(|v| v.oracle) else { return Ok(None) };
        // Without its calls a scenario comes to nothing, which is not what was expected either.
        if self.budget == 0 || oracle == Oracle::Expectation {
            return Ok(None);
        }
        let _progress = Progress::spinner(format!("shrinking seed {}", found.seed));
        let shrunk = shrink(&found.scenario, self.harness, oracle, self.budget);
        if shrunk.scenario == found.scenario {
            return Ok(None);
        }
        let stem = replay.file_stem().unwrap_or_default().to_string_lossy();
        let path = self.folder.join(format!("{stem}-min.toml"));
        let what = format!("shrunk in {} runs", shrunk.runs);
        self.write(&path, &format!("{}\n{what}.", self.headline(found)), &shrunk.scenario)?;
        Ok(Some((path, what)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxrpc_sim::campaign::{Results, run};
    use rxrpc_sim::{Sim, swarm};

    /// Breaks on whatever asks for much.
    fn fragile(scenario: Scenario) -> Sim {
        assert!(scenario.calls.iter().all(|call| call.request.len < 5000), "too much");
        Sim::new(scenario)
    }

    #[test]
    fn a_failure_leaves_a_scenario_that_replays_it_and_a_smaller_one() {
        let seed =
            (0..).find(|seed| swarm::scenario(*seed).calls.iter().any(|c| c.request.len >= 5000)).unwrap();
        let folder = std::env::temp_dir().join(format!("rxrpc-sim-failures-{}", std::process::id()));
        let mut results = Results::default();
        let scenario = swarm::scenario(seed);
        assert!(!results.add(&scenario, run(&scenario, fragile)));
        let mut failed =
            Failed { seed, oracle: String::new(), text: String::new(), replay: None, shrunk: None };
        let keeper = Keeper {
            folder: &folder,
            harness: fragile,
            option: " --harness fragile".into(),
            budget: 500,
            source: None,
            base: String::new(),
            ladder: true,
            colour: false,
        };
        let mut troubles = Vec::new();
        let text = keeper.keep(&results.failures[0], &mut failed, &mut troubles);
        assert!(troubles.is_empty());

        let (replay, shrunk) = (failed.replay.unwrap(), failed.shrunk.unwrap());
        assert!(replay.ends_with(&format!("{seed}.toml")) && shrunk.ends_with(&format!("{seed}-min.toml")));
        assert!(text.starts_with(&format!("seed {seed}\n  Panic: too much (at ")), "{text}");
        let command = format!("rxrpc sim run --scenario {replay} --harness fragile");
        assert!(text.contains(&format!("\nreplay: {command}\nshrunk in ")), "{text}");
        let comment = std::fs::read_to_string(&replay).unwrap();
        assert!(comment.starts_with(&format!("# Seed {seed} failed: Panic: too much")), "{comment}");
        assert!(comment.contains(&format!("\n# Replay: {command}\n")), "{comment}");

        assert_eq!(file::read(Path::new(&replay)).unwrap(), scenario);
        let small = file::read(Path::new(&shrunk)).unwrap();
        assert_eq!(run(&small, fragile).unwrap_err().text, "too much");
        assert_eq!((small.calls.len(), small.actions.len(), small.links.len()), (1, 0, 0));
        // It is as small as it gets: there is nothing to write.
        let found = Found { seed, violations: results.failures[0].violations.clone(), scenario: small };
        let mut failed =
            Failed { shrunk: None, replay: None, seed, oracle: String::new(), text: String::new() };
        keeper.keep(&found, &mut failed, &mut troubles);
        assert_eq!(failed.shrunk, None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
