//! Seeds over threads: in chunks, so that all threads end at about the same time and progress is seen.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use rxrpc_sim::campaign::Shard;

use super::seeds::Seeds;

/// Seeds of a shard in one chunk: some tens of milliseconds of work.
const CHUNK: u64 = 32;

/// Do the work of every chunk of the shard's seeds, `jobs` at a time. `each` is told what came of each chunk, in the
/// order in which they end.
pub(super) fn spread<T: Send>(
    seeds: Seeds,
    shard: Shard,
    jobs: usize,
    work: impl Fn(RangeInclusive<u64>) -> T + Sync,
    mut each: impl FnMut(T),
) {
    let size = shard.count.saturating_mul(CHUNK);
    let last = seeds.last();
    let chunks = (last - seeds.from) / size + 1;
    let jobs = jobs.max(1).min(usize::try_from(chunks).unwrap_or(usize::MAX));
    let next = AtomicU64::new(0);
    let chunk = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        (number < chunks).then(|| {
            let begin = seeds.from + number * size;
            begin..=last.min(begin.saturating_add(size - 1))
        })
    };
    let (send, receive) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let send = send.clone();
            scope.spawn(|| {
                let send = send;
                while let Some(range) = chunk() {
                    if send.send(work(range)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        receive.iter().for_each(&mut each);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_in_one_chunk() {
        let last = u64::MAX;
        for (from, to) in
            [(0, 1), (5, 1000), (0, CHUNK), (3, 3 + 2 * CHUNK), (last - 100, last), (last, last)]
        {
            for (jobs, count) in [(1, 1), (4, 1), (3, 7), (2, u64::MAX)] {
                let mut seen = Vec::new();
                let shard = Shard { index: 0, count };
                spread(Seeds { from, to }, shard, jobs, |range| range, |range| seen.extend(range));
                seen.sort_unstable();
                let whole = Seeds { from, to };
                assert!(seen.iter().copied().eq(from..=whole.last()), "{whole}");
            }
        }
    }
}
