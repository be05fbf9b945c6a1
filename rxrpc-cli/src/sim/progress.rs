//! How far a campaign is, for those who watch it.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rxrpc_sim::Violation;
use rxrpc_sim::campaign::KEPT;

const TEMPLATE: &str = "{pos}/{len} seeds {wide_bar} {per_sec}, {eta} left{msg}";

/// A bar on a terminal, nothing elsewhere. It goes when it is dropped.
pub(super) struct Progress {
    bar: ProgressBar,
    failed: u64,
    said: usize,
}

impl Progress {
    /// A bar that is full after so many seeds.
    pub(super) fn new(seeds: u64) -> Self {
        if !stderr().is_terminal() {
            return Progress { bar: ProgressBar::hidden(), failed: 0, said: 0 };
        }
        let bar = ProgressBar::new(seeds);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Progress { bar, failed: 0, said: 0 }
    }

    /// Something whose end is not known.
    pub(super) fn spinner(what: String) -> Self {
        if !stderr().is_terminal() {
            return Progress { bar: ProgressBar::hidden(), failed: 0, said: 0 };
        }
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress { bar, failed: 0, said: 0 }
    }

    /// So many more are done, and of them so many have failed.
    pub(super) fn add(&mut self, seeds: u64, failed: u64) {
        self.failed += failed;
        if failed > 0 {
            self.bar.set_message(format!(", {} failed", self.failed));
        }
        self.bar.inc(seeds);
    }

    /// A seed has failed: said at once, on a terminal or not, for whoever ends the campaign early. What all of them come
    /// to is told at the end, in their order.
    pub(super) fn say(&mut self, seed: u64, found: Option<&Violation>) {
        self.said += 1;
        if self.said > KEPT {
            return;
        }
        let text = format!("seed {seed} failed: {}", found.map(ToString::to_string).unwrap_or_default());
        if self.bar.is_hidden() {
            let _ = writeln!(stderr().lock(), "{text}");
        } else {
            self.bar.println(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
