//! Time along the axis, with or without the pauses.

/// A pause that is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pause {
    /// When it begins, in nanoseconds since the begin.
    begin: u64,
    /// How long it is.
    pub(super) length: u64,
    /// How much time was drawn before it.
    pub(super) at: u64,
}

/// What is drawn of the time of a call, in nanoseconds since its begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Timeline {
    pub(super) drawn: u64,
    pub(super) pauses: Vec<Pause>,
}

/// The most pauses that are left out.
const MAX_PAUSES: usize = 12;
/// A pause is long if it is more than this part of the time that is left to draw.
const LONG: u64 = 5;
/// With fewer moments than this, every gap is a pause.
const FEWEST: usize = 20;

impl Timeline {
    /// All of the time.
    pub(super) fn whole(duration: u64) -> Timeline {
        Timeline { drawn: duration.max(1), pauses: Vec::new() }
    }

    /// The time without long pauses; `None` if there are none. `moments` are in nanoseconds since the begin.
    pub(super) fn without_pauses(mut moments: Vec<u64>) -> Option<Timeline> {
        moments.sort_unstable();
        moments.dedup();
        let mut drawn = *moments.last()?;
        let mut gaps: Vec<(u64, u64)> =
            moments.iter().zip(moments.iter().skip(1)).map(|(begin, end)| (end - begin, *begin)).collect();
        gaps.sort_unstable_by(|one, other| other.cmp(one));
        let mut long: Vec<(u64, u64)> = Vec::new();
        for (length, begin) in gaps.into_iter().take(MAX_PAUSES) {
            if length <= drawn / LONG {
                break;
            }
            drawn -= length;
            long.push((begin, length));
        }
        if long.is_empty() || moments.len() < FEWEST {
            return None;
        }
        long.sort_unstable();
        let mut left_out = 0;
        let pauses = long.into_iter().map(|(begin, length)| {
            let at = begin - left_out;
            left_out += length;
            Pause { begin, length, at }
        });
        Some(Timeline { pauses: pauses.collect(), drawn: drawn.max(1) })
    }

    /// How much was drawn before a moment, and how many pauses.
    pub(super) fn locate(&self, moment: u64) -> (u64, usize) {
        let before = self.pauses.iter().filter(|pause| pause.begin < moment);
        let (mut left_out, mut count) = (0u64, 0);
        for pause in before {
            left_out = left_out.saturating_add(pause.length.min(moment - pause.begin));
            count += 1;
        }
        (moment.saturating_sub(left_out), count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_pauses_are_left_out_and_the_rest_moves_together() {
        let burst = |begin: u64| (begin..begin + 10).collect::<Vec<_>>();
        let moments = [burst(0), burst(1_000), burst(5_000)].concat();
        let timeline = Timeline::without_pauses(moments).unwrap();
        let listed: Vec<_> = timeline.pauses.iter().map(|p| (p.begin, p.length, p.at)).collect();
        assert_eq!((listed, timeline.drawn), (vec![(9, 991, 9), (1_009, 3_991, 18)], 27));
        assert_eq!(
            [9, 10, 1_000, 1_009, 5_009].map(|moment| timeline.locate(moment)),
            [(9, 0), (9, 1), (9, 1), (18, 1), (27, 2)]
        );
    }

    #[test]
    fn steady_and_short_calls_have_no_pauses() {
        assert_eq!(Timeline::without_pauses((0..100).collect()), None);
        assert_eq!(Timeline::without_pauses(vec![0, 1, 1_000]), None);
        assert_eq!(Timeline::without_pauses(vec![]), None);
        assert_eq!(Timeline::whole(7).locate(5), (5, 0));
    }
}
