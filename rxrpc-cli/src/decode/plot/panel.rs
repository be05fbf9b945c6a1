//! One diagram: axes, and the points of both directions.

use super::axis::Axis;
use super::svg::{Anchor, Canvas, Clip};
use super::timeline::Timeline;
use super::{COLOURS, Direction, Point, RETRANSMISSION};

pub(super) const INK: &str = "#222222";
const GRID: &str = "#e6e6e6";
const PAUSE: &str = "#f3f0e4";
/// Width of the band that stands for a pause, in pixels.
const BAND: f64 = 16.0;
/// More than the radius of a dot, in pixels.
const DOT: f64 = 4.0;

/// Where and how time is drawn.
pub(super) struct Panel<'a> {
    /// Left, top, right, bottom, in pixels.
    area: [f64; 4],
    timeline: &'a Timeline,
    /// Nanoseconds since 1970 at the begin.
    begin: u64,
    unit: (&'static str, f64),
    x: Axis,
    y: Axis,
}

impl<'a> Panel<'a> {
    /// A panel in an area, for sequence numbers up to `highest`.
    pub(super) fn new(area: [f64; 4], timeline: &'a Timeline, begin: u64, highest: u64) -> Panel<'a> {
        let [left, top, right, bottom] = area;
        let unit = unit(timeline.drawn);
        let bands = timeline.pauses.len() as f64 * BAND;
        let x = Axis::new(0.0, timeline.drawn as f64 / unit.1, left, right - bands);
        let y = Axis::new(0.0, highest as f64, bottom, top);
        Panel { area, timeline, begin, unit, x, y }
    }

    /// Draws everything.
    pub(super) fn draw(&self, canvas: &mut Canvas, directions: &[Direction; 2]) {
        // Dots on an axis are drawn whole.
        let [left, top, right, bottom] = self.area;
        let clip = canvas.clip([left - DOT, top - DOT, right, bottom + DOT]);
        self.draw_pauses(canvas);
        self.draw_axes(canvas);
        for (direction, colours) in directions.iter().zip(&COLOURS) {
            if direction.has_acknowledgements() {
                canvas.steps(&clip, &self.places(&direction.edge), colours.edge, true);
                canvas.dots(&clip, &self.places(&direction.soft), colours.soft, 3.4);
                canvas.steps(&clip, &self.places(&direction.hard), colours.hard, false);
            }
        }
        self.draw_data(canvas, &clip, directions);
    }

    fn draw_data(&self, canvas: &mut Canvas, clip: &Clip, directions: &[Direction; 2]) {
        for (direction, colours) in directions.iter().zip(&COLOURS) {
            canvas.dots(clip, &self.places(&direction.new), colours.data, 4.0);
        }
        for direction in directions {
            canvas.dots(clip, &self.places(&direction.again), RETRANSMISSION, 5.5);
        }
    }

    fn places(&self, points: &[Point]) -> Vec<(f64, f64)> {
        points.iter().map(|(time, seq)| (self.across(*time), self.y.place(*seq as f64))).collect()
    }

    /// The pixel of a moment.
    fn across(&self, time: u64) -> f64 {
        let (drawn, pauses) = self.timeline.locate(time.saturating_sub(self.begin));
        self.x.place(drawn as f64 / self.unit.1) + pauses as f64 * BAND
    }

    fn draw_pauses(&self, canvas: &mut Canvas) {
        let [_, top, _, bottom] = self.area;
        for (place, pause) in self.timeline.pauses.iter().enumerate() {
            let x = self.x.place(pause.at as f64 / self.unit.1) + place as f64 * BAND;
            canvas.rectangle([x, top, x + BAND, bottom], PAUSE);
            let text = format!("pause of {}", span(pause.length));
            canvas.text_upwards([x + BAND - 4.0, top + 60.0], 11.0, INK, &text);
        }
    }

    fn draw_axes(&self, canvas: &mut Canvas) {
        let [left, top, right, bottom] = self.area;
        for tick in self.x.ticks(10, false) {
            let pauses =
                self.timeline.pauses.iter().filter(|pause| (pause.at as f64) < tick * self.unit.1).count();
            let x = self.x.place(tick) + pauses as f64 * BAND;
            canvas.line([x, top], [x, bottom], GRID);
            canvas.text([x, bottom + 18.0], Anchor::Middle, 12.0, INK, &Axis::label(tick));
        }
        for tick in self.y.ticks(10, true) {
            canvas.line([left, self.y.place(tick)], [right, self.y.place(tick)], GRID);
            canvas.text([left - 8.0, self.y.place(tick) + 4.0], Anchor::End, 12.0, INK, &Axis::label(tick));
        }
        canvas.line([left, bottom], [right, bottom], INK);
        canvas.line([left, top], [left, bottom], INK);
        let pauses = if self.timeline.pauses.is_empty() { "" } else { ", pauses left out" };
        let label = format!("{} since the first packet of the call{pauses}", self.unit.0);
        canvas.text([(left + right) / 2.0, bottom + 42.0], Anchor::Middle, 13.0, INK, &label);
        canvas.text_upwards([24.0, (top + bottom) / 2.0], 13.0, INK, "sequence number (packets)");
    }
}

/// A duration in nanoseconds, with one digit after the point.
fn span(nanos: u64) -> String {
    let value = nanos as f64;
    match nanos {
        0..1_000_000 => format!("{:.1} \u{b5}s", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", value / 1e6),
        _ => format!("{:.1} s", value / 1e9),
    }
}

/// The unit for a duration in nanoseconds, and its nanoseconds.
fn unit(duration: u64) -> (&'static str, f64) {
    if duration < 2_000_000 {
        ("microseconds", 1e3)
    } else if duration < 2_000_000_000 {
        ("milliseconds", 1e6)
    } else {
        ("seconds", 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_unit_that_suits() {
        let spans = [900, 1_679_000, 389_140_000, 12_000_000_000].map(span);
        assert_eq!(spans, ["0.9 \u{b5}s", "1.7 ms", "389.1 ms", "12.0 s"]);
    }
}
