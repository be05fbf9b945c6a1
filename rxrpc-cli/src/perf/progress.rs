//! How far a measurement is, for those who watch it.

use std::io::{IsTerminal, stderr};
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(100);

/// A bar on a terminal, nothing elsewhere. It goes when it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar that is full at `end`.
    pub(crate) fn new(end: u64) -> Self {
        if !stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(end);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} %") {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// Say what is measured now.
    pub(crate) fn say(&self, what: String) {
        self.0.set_message(what);
    }

    /// Show `position` again and again while `work` is done. The work itself does not pay for the bar.
    pub(crate) async fn during<T>(
        &self,
        work: impl Future<Output = T>,
        mut position: impl FnMut() -> u64,
    ) -> T {
        if self.0.is_hidden() {
            return work.await;
        }
        let mut work = pin!(work);
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => self.0.set_position(position()),
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
