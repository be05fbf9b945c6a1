//! CPU time of this process.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// User and system time used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime(Duration);

impl CpuTime {
    /// Now. Nothing where the system does not say.
    pub(crate) fn now() -> Self {
        let used = getrusage(UsageWho::RUSAGE_SELF)
            .map_or(0, |usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds());
        CpuTime(Duration::from_micros(u64::try_from(used).unwrap_or(0)))
    }

    /// What was used since an earlier time.
    pub(crate) fn since(&self, earlier: &CpuTime) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
