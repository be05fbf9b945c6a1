//! Who sleeps until when.

use std::collections::BTreeMap;
use std::task::Waker;

use rxrpc_proto::Instant;

/// A sleep that is under way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Alarm {
    at: Instant,
    order: u64,
}

/// The sleeping tasks of a node, by time, then by the order in which they went to sleep.
#[derive(Default)]
pub(super) struct Timers {
    sleepers: BTreeMap<Alarm, Waker>,
    order: u64,
}

impl Timers {
    /// Wakes `waker` then.
    pub(super) fn set(&mut self, at: Instant, waker: Waker) -> Alarm {
        self.order += 1;
        let alarm = Alarm { at, order: self.order };
        self.sleepers.insert(alarm, waker);
        alarm
    }

    /// Another waker for a sleep under way. False if it is over.
    pub(super) fn change(&mut self, alarm: Alarm, waker: &Waker) -> bool {
        self.sleepers.get_mut(&alarm).map(|known| known.clone_from(waker)).is_some()
    }

    pub(super) fn cancel(&mut self, alarm: Alarm) -> Option<Waker> {
        self.sleepers.remove(&alarm)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.sleepers.first_key_value().map(|(alarm, _)| alarm.at)
    }

    /// The next sleeper whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<Waker> {
        let entry = self.sleepers.first_entry().filter(|entry| entry.key().at <= now)?;
        Some(entry.remove())
    }

    /// Everyone, whether or not their time has come: they look at the clock, and go to sleep again.
    pub(super) fn take_all(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.sleepers).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn sleepers_wake_in_order_and_cancelled_ones_do_not() {
        let at = Instant::from_nanos;
        let counts: [Arc<Count>; 4] = Default::default();
        let mut timers = Timers::default();
        let mut set = |i: usize, nanos| timers.set(at(nanos), Waker::from(Arc::clone(&counts[i])));
        set(0, 20);
        set(1, 10);
        let gone = set(2, 10);
        let moved = set(3, 30);
        assert!(timers.cancel(gone).is_some());
        assert!(timers.change(moved, &Waker::from(Arc::clone(&counts[0]))));
        assert_eq!(timers.next(), Some(at(10)));
        assert!(timers.due(at(9)).is_none());
        timers.due(at(20)).unwrap().wake();
        assert_eq!(counts[1].0.load(Ordering::Relaxed), 1);
        assert_eq!(timers.next(), Some(at(20)));
        while let Some(waker) = timers.due(at(30)) {
            waker.wake();
        }
        assert!(!timers.change(moved, Waker::noop()));
        assert_eq!(counts.map(|c| c.0.load(Ordering::Relaxed)), [2, 1, 0, 0]);
    }
}
