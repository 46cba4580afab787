//! A picture: lines, polygons, circles and text on white paper.
//!
//! Lengths are points (72 to the inch), x runs to the right, y runs down. Later marks lie on top of
//! earlier ones. [`svg`](super::svg), [`png`](super::png) and [`pdf`](super::pdf) write it.

use super::font;

/// A place on the paper.
pub(super) type Point = [f64; 2];

/// Points to the inch.
pub(super) const INCH: f64 = 72.0;
/// The size of labels.
pub(super) const LABEL: f64 = 8.0;
/// The size of what is said beside.
pub(super) const SMALL: f64 = 7.0;

/// A colour and how much it covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ink {
    /// Red, green, blue.
    pub(super) rgb: [u8; 3],
    /// From 0, nothing, to 1, all.
    pub(super) opacity: f64,
}

impl Ink {
    /// `0xRRGGBB`, opaque.
    pub(super) const fn new(hex: u32) -> Self {
        Ink { rgb: [(hex >> 16) as u8, (hex >> 8) as u8, hex as u8], opacity: 1.0 }
    }

    /// `#rrggbb`, without its opacity.
    pub(crate) fn hex(self) -> String {
        let [r, g, b] = self.rgb;
        format!("#{r:02x}{g:02x}{b:02x}")
    }

    /// The same colour, covering less.
    pub(super) const fn at(self, opacity: f64) -> Self {
        Ink { opacity, ..self }
    }
}

/// A line's look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stroke {
    pub(super) ink: Ink,
    pub(super) width: f64,
    /// Lengths of dashes and gaps in turns; none for a whole line.
    pub(super) dash: &'static [f64],
}

impl Stroke {
    pub(super) const fn new(ink: Ink, width: f64) -> Self {
        Stroke { ink, width, dash: &[] }
    }

    pub(super) const fn dashed(self, dash: &'static [f64]) -> Self {
        Stroke { dash, ..self }
    }
}

/// Which part of a text stands at its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing on the paper.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mark {
    /// An open line through points.
    Line { points: Vec<Point>, stroke: Stroke },
    /// A closed line and what is inside.
    Polygon { points: Vec<Point>, fill: Ink, edge: Option<Stroke> },
    /// A circle and what is inside.
    Circle { at: Point, radius: f64, fill: Ink, edge: Option<Stroke> },
    /// One line of text on its baseline, read upwards if it is turned.
    Text { at: Point, text: String, size: f64, ink: Ink, turned: bool },
}

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scene {
    pub(super) width: f64,
    pub(super) height: f64,
    /// What it shows, for those who cannot see it.
    pub(super) title: String,
    pub(super) marks: Vec<Mark>,
}

impl Scene {
    pub(super) fn new(width: f64, title: impl Into<String>) -> Self {
        Scene { width, height: 0.0, title: title.into(), marks: vec![] }
    }

    /// All texts, in the order they are drawn.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.marks.iter().filter_map(|mark| match mark {
            Mark::Text { text, .. } => Some(&**text),
            _ => None,
        })
    }

    /// A line; nothing where there are not two points.
    pub(super) fn line(&mut self, points: Vec<Point>, stroke: Stroke) {
        if points.len() > 1 && points.iter().flatten().all(|x| x.is_finite()) {
            self.marks.push(Mark::Line { points, stroke });
        }
    }

    /// A polygon; nothing where there are not three points.
    pub(super) fn polygon(&mut self, points: Vec<Point>, fill: Ink, edge: Option<Stroke>) {
        if points.len() > 2 && points.iter().flatten().all(|x| x.is_finite()) {
            self.marks.push(Mark::Polygon { points, fill, edge });
        }
    }

    /// A rectangle from its upper left corner.
    pub(super) fn rectangle(
        &mut self,
        [x, y]: Point,
        [w, h]: Point,
        fill: Ink,
        edge: Option<Stroke>,
    ) {
        self.polygon(vec![[x, y], [x + w, y], [x + w, y + h], [x, y + h]], fill, edge);
    }

    pub(super) fn circle(&mut self, at: Point, radius: f64, fill: Ink, edge: Option<Stroke>) {
        if at.iter().all(|x| x.is_finite()) {
            self.marks.push(Mark::Circle { at, radius, fill, edge });
        }
    }

    /// Text whose baseline is at `at`.
    pub(super) fn text(
        &mut self,
        at: Point,
        text: impl Into<String>,
        size: f64,
        ink: Ink,
        anchor: Anchor,
    ) {
        self.put_text(at, text.into(), size, ink, anchor, false);
    }

    /// Text that is read upwards; its baseline is a vertical through `at`.
    pub(super) fn turned(
        &mut self,
        at: Point,
        text: impl Into<String>,
        size: f64,
        ink: Ink,
        anchor: Anchor,
    ) {
        self.put_text(at, text.into(), size, ink, anchor, true);
    }

    fn put_text(
        &mut self,
        mut at: Point,
        text: String,
        size: f64,
        ink: Ink,
        anchor: Anchor,
        turned: bool,
    ) {
        let text: String =
            text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let back = font::width(&text, size)
            * match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => 0.5,
                Anchor::End => 1.0,
            };
        if turned {
            at[1] += back
        } else {
            at[0] -= back
        }
        if !text.is_empty() && at.iter().all(|x| x.is_finite()) {
            self.marks.push(Mark::Text { at, text, size, ink, turned });
        }
    }
}

/// What it takes from a line of capitals' middle down to their baseline.
pub(super) fn half_capital(size: f64) -> f64 {
    0.344 * size
}

/// `text` cut to `limit` points, an ellipsis where something is missing.
pub(super) fn cut(text: &str, size: f64, limit: f64) -> String {
    if font::width(text, size) <= limit {
        return text.into();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if font::width(&short, size) + font::width("…", size) > limit {
            short.pop();
            break;
        }
    }
    short.push('…');
    short
}

/// A curve from `from` to `to` that leaves and arrives vertically, as points.
pub(super) fn vertical_curve(from: Point, to: Point) -> Vec<Point> {
    // Corners of a tenth of a point are not seen.
    let long = (to[0] - from[0]).abs() + (to[1] - from[1]).abs();
    let parts = (long / 5.0).clamp(8.0, 64.0) as usize;
    let middle = 0.5 * (from[1] + to[1]);
    let (a, b, c, d) = (from, [from[0], middle], [to[0], middle], to);
    (0..=parts)
        .map(|i| {
            let t = i as f64 / parts as f64;
            let s = 1.0 - t;
            let weights = [s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t];
            std::array::from_fn(|k| {
                weights[0] * a[k] + weights[1] * b[k] + weights[2] * c[k] + weights[3] * d[k]
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_move_text_by_its_width() {
        let mut scene = Scene::new(100.0, "");
        let wide = font::width("abc", 8.0);
        for anchor in [Anchor::Start, Anchor::Middle, Anchor::End] {
            scene.text([50.0, 10.0], "abc", 8.0, Ink::new(0), anchor);
        }
        scene.turned([50.0, 10.0], "abc", 8.0, Ink::new(0), Anchor::End);
        let places: Vec<Point> = scene
            .marks
            .iter()
            .map(|mark| match mark {
                Mark::Text { at, .. } => *at,
                _ => panic!("only text"),
            })
            .collect();
        let want = [[50.0, 10.0], [50.0 - wide / 2.0, 10.0], [50.0 - wide, 10.0]];
        assert_eq!(places[..3], want);
        assert_eq!(places[3], [50.0, 10.0 + wide]);
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let mut scene = Scene::new(100.0, "");
        let stroke = Stroke::new(Ink::new(0), 1.0);
        scene.line(vec![[0.0, f64::NAN], [1.0, 1.0]], stroke);
        scene.line(vec![[0.0, 0.0]], stroke);
        scene.circle([f64::INFINITY, 0.0], 1.0, Ink::new(0), None);
        scene.text([0.0, 0.0], "", 8.0, Ink::new(0), Anchor::Start);
        assert!(scene.marks.is_empty());
        scene.text([0.0, 0.0], "a\u{1b}[31m", 8.0, Ink::new(0), Anchor::Start);
        assert!(matches!(&scene.marks[0], Mark::Text { text, .. } if text == "a\u{fffd}[31m"));
    }

    #[test]
    fn cut_text_fits() {
        let text = "a very long name of an arm";
        let short = cut(text, 8.0, 50.0);
        assert!(short.ends_with('…') && text.starts_with(short.trim_end_matches('…')));
        assert!(font::width(&short, 8.0) <= 50.0);
        assert_eq!(cut("arm", 8.0, 50.0), "arm");
    }

    #[test]
    fn curves_end_where_they_should() {
        let curve = vertical_curve([0.0, 10.0], [4.0, 0.0]);
        assert_eq!((curve[0], curve[8]), ([0.0, 10.0], [4.0, 0.0]));
        assert_eq!(curve[4], [2.0, 5.0]);
    }
}
