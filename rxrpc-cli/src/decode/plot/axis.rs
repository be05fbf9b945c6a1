//! From values to pixels, and the round values in between.

/// One axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis on which `low` is at pixel `from` and `high` a little before pixel `to`.
    pub(super) fn new(low: f64, high: f64, from: f64, to: f64) -> Axis {
        let high = low + (high - low).max(f64::MIN_POSITIVE) * 1.03;
        Axis { low, high, from, to }
    }

    /// The pixel of a value.
    pub(super) fn place(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round values along the axis, at most about `wanted`; none between integers if `whole`.
    pub(super) fn ticks(&self, wanted: usize, whole: bool) -> Vec<f64> {
        let step = self.step(wanted, whole);
        let count = ((self.high - self.low) / step).floor() as usize;
        (0..=count.min(2 * wanted)).map(|place| self.low + place as f64 * step).collect()
    }

    /// A value as it is written beside its tick.
    pub(super) fn label(value: f64) -> String {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// 1, 2 or 5 times a power of ten.
    fn step(&self, wanted: usize, whole: bool) -> f64 {
        let least = (self.high - self.low) / wanted.max(1) as f64;
        let power = 10f64.powf(least.log10().floor());
        let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least).unwrap_or(10.0);
        let step = factor * power;
        if whole { step.max(1.0) } else { step }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (high, whole, expected) in [
            (143.0, true, &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 140.0][..]),
            (3.0, true, &[0.0, 1.0, 2.0, 3.0]),
            (1.0, true, &[0.0, 1.0]),
            (0.9, false, &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ] {
            let ticks = Axis::new(0.0, high, 0.0, 100.0).ticks(10, whole);
            let labels = |values: &[f64]| values.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>();
            assert_eq!(labels(&ticks), labels(expected));
        }
        for high in [1e-300, 1e-9, 7.0, 4e9, 1.8e19] {
            let ticks = Axis::new(0.0, high, 0.0, 1.0).ticks(10, false);
            assert!((1..=21).contains(&ticks.len()), "{high}: {ticks:?}");
        }
    }

    #[test]
    fn values_are_placed_between_the_ends() {
        let axis = Axis::new(0.0, 100.0, 500.0, 0.0);
        assert_eq!(axis.place(0.0), 500.0);
        assert!(axis.place(100.0) > 0.0 && axis.place(103.0) < 1e-6);
    }

    #[test]
    fn labels_have_no_idle_zeros() {
        assert_eq!([0.0, 0.25, 20.0, 1.5].map(Axis::label), ["0", "0.25", "20", "1.5"]);
    }
}
