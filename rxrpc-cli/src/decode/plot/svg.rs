//! Writing SVG: lines, steps, dots and text, and nothing else.

use std::collections::HashSet;
use std::fmt::Write;

/// Where a text is relative to its point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// A picture in the making.
#[derive(Debug)]
pub(super) struct Canvas {
    size: [f64; 2],
    clips: usize,
    body: String,
}

/// An area beyond which curves are not drawn.
#[derive(Debug)]
pub(super) struct Clip {
    number: usize,
    right: f64,
}

impl Canvas {
    /// An empty picture.
    pub(super) fn new(size: [f64; 2]) -> Canvas {
        Canvas { size, clips: 0, body: String::new() }
    }

    /// An area for curves: left, top, right, bottom.
    pub(super) fn clip(&mut self, area: [f64; 4]) -> Clip {
        self.clips += 1;
        let (number, rectangle) = (self.clips, rectangle(area));
        self.element(&format!(r#"<clipPath id="area{number}"><rect {rectangle}/></clipPath>"#));
        let [_, _, right, _] = area;
        Clip { number, right }
    }

    /// A filled rectangle.
    pub(super) fn rectangle(&mut self, area: [f64; 4], colour: &str) {
        self.element(&format!(r#"<rect {} fill="{colour}"/>"#, rectangle(area)));
    }

    /// A thin line, for axes and grid.
    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], colour: &str) {
        self.element(&format!(r#"<path d="{}" stroke="{colour}" fill="none"/>"#, straight(from, to)));
    }

    /// A line as the curves have it, for the legend.
    pub(super) fn free_line(&mut self, from: [f64; 2], to: [f64; 2], colour: &str, dashed: bool) {
        let stroke = stroke(colour, dashed);
        self.element(&format!(r#"<path d="{}" {stroke}/>"#, straight(from, to)));
    }

    /// A dot for the legend.
    pub(super) fn free_dot(&mut self, at: [f64; 2], colour: &str, size: f64) {
        let [x, y] = at;
        let radius = size / 2.0;
        self.element(&format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" fill="{colour}"/>"#));
    }

    /// A curve that keeps each value until the next one; the last until the end of the area.
    pub(super) fn steps(&mut self, clip: &Clip, points: &[(f64, f64)], colour: &str, dashed: bool) {
        let mut path = String::new();
        let mut before: Option<String> = None;
        for (x, y) in points {
            let height = format!("{y:.1}");
            match &before {
                None => {
                    let _ = write!(path, "M{x:.1},{height}");
                }
                Some(height_before) if *height_before == height => {}
                Some(_) => {
                    let _ = write!(path, "H{x:.1}V{height}");
                }
            }
            before = Some(height);
        }
        if before.is_some() {
            let (right, stroke) = (clip.right, stroke(colour, dashed));
            self.clipped(clip, &format!(r#"<path d="{path}H{right:.1}" {stroke}/>"#));
        }
    }

    /// Dots of a diameter. All are one path, and those that would cover one another are drawn once: the
    /// size of the file is bounded by the size of the picture.
    pub(super) fn dots(&mut self, clip: &Clip, points: &[(f64, f64)], colour: &str, size: f64) {
        let mut drawn = HashSet::new();
        let mut path = String::new();
        for (x, y) in points {
            let dot = format!("M{x:.1},{y:.1}h.01");
            if !drawn.contains(&dot) {
                path.push_str(&dot);
                drawn.insert(dot);
            }
        }
        if !path.is_empty() {
            self.clipped(clip, &format!(
                r#"<path d="{path}" stroke="{colour}" stroke-width="{size:.1}" stroke-linecap="round" fill="none"/>"#
            ));
        }
    }

    /// A text at a point.
    pub(super) fn text(&mut self, at: [f64; 2], anchor: Anchor, size: f64, colour: &str, text: &str) {
        let ([x, y], anchor, text) = (at, anchor.name(), escape(text));
        self.element(&format!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size:.0}" fill="{colour}">{text}</text>"#
        ));
    }

    /// A text that runs upwards, its middle at a point.
    pub(super) fn text_upwards(&mut self, at: [f64; 2], size: f64, colour: &str, text: &str) {
        let ([x, y], text) = (at, escape(text));
        self.element(&format!(
            r#"<text transform="translate({x:.1},{y:.1}) rotate(-90)" text-anchor="middle" font-size="{size:.0}" fill="{colour}">{text}</text>"#
        ));
    }

    /// The whole file.
    pub(super) fn finish(self, title: &str) -> String {
        let Canvas { size: [width, height], body, .. } = self;
        let title = escape(title);
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif">
<title>{title}</title>
<rect width="{width}" height="{height}" fill="#ffffff"/>
{body}</svg>
"##
        )
    }

    fn clipped(&mut self, clip: &Clip, element: &str) {
        let number = clip.number;
        self.element(&format!(r##"<g clip-path="url(#area{number})">{element}</g>"##));
    }

    fn element(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }
}

fn rectangle([left, top, right, bottom]: [f64; 4]) -> String {
    let (width, height) = (right - left, bottom - top);
    format!(r#"x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}""#)
}

fn straight([x0, y0]: [f64; 2], [x1, y1]: [f64; 2]) -> String {
    format!("M{x0:.1},{y0:.1}L{x1:.1},{y1:.1}")
}

fn stroke(colour: &str, dashed: bool) -> String {
    let dashes = if dashed { r#" stroke-dasharray="5,3""# } else { "" };
    format!(r#"stroke="{colour}" stroke-width="1.6" fill="none"{dashes}"#)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_keep_a_value_and_skip_what_changes_nothing() {
        let mut canvas = Canvas::new([10.0, 10.0]);
        let clip = canvas.clip([0.0, 0.0, 8.0, 10.0]);
        canvas.steps(&clip, &[(0.0, 9.0), (1.0, 9.0), (2.0, 5.0)], "red", false);
        assert!(canvas.body.contains(r#"d="M0.0,9.0H2.0V5.0H8.0""#), "{}", canvas.body);
        let before = canvas.body.len();
        canvas.steps(&clip, &[], "red", true);
        assert_eq!(canvas.body.len(), before);
    }

    #[test]
    fn dots_that_cover_one_another_are_drawn_once() {
        let mut canvas = Canvas::new([10.0, 10.0]);
        let clip = canvas.clip([0.0, 0.0, 8.0, 10.0]);
        canvas.dots(&clip, &[(1.0, 2.0), (1.01, 2.0), (3.0, 4.0)], "red", 2.0);
        assert_eq!(canvas.body.matches('M').count(), 2);
    }

    #[test]
    fn texts_are_escaped() {
        let mut canvas = Canvas::new([10.0, 10.0]);
        canvas.text([1.0, 1.0], Anchor::End, 12.0, "red", "a<b>&c");
        let file = canvas.finish("<t>");
        assert!(file.contains("a&lt;b&gt;&amp;c") && file.contains("<title>&lt;t&gt;</title>"));
    }
}
