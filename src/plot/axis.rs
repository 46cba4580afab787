//! Axes, frames and legends.

use super::font;
use super::palette::{AXIS, BLACK};
use super::scene::{Anchor, LABEL, Point, Scene, Stroke, cut, half_capital};

/// How far ticks stand out.
const TICK: f64 = 2.5;
/// Between ticks and what they say, between that and the title.
const GAP: f64 = 2.5;

/// Numbers along one side of a frame.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) title: String,
}

impl Axis {
    /// From `low` to `high` with about `wanted` ticks at round numbers.
    pub(super) fn linear(low: f64, high: f64, wanted: usize, title: impl Into<String>) -> Self {
        let (low, high) = spread(low, high);
        let step = round_step(low, high, wanted);
        let digits = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        let tiny = 1e-9 * (high - low);
        let first = ((low - tiny) / step).ceil() as i64;
        let last = ((high + tiny) / step).floor() as i64;
        let ticks =
            (first..=last).map(|i| (i as f64 * step, number(i as f64 * step, digits))).collect();
        Axis { low, high, log: false, ticks, title: title.into() }
    }

    /// From `low` to `high`, both above 0, with ticks at powers of ten.
    pub(super) fn log(low: f64, high: f64, wanted: usize, title: impl Into<String>) -> Self {
        let low = low.max(f64::MIN_POSITIVE);
        let high = high.max(low * 1.000_001);
        let first = (low.log10() - 1e-9).ceil() as i32;
        let last = (high.log10() + 1e-9).floor() as i32;
        let every = (last - first).max(0) / wanted.max(1) as i32 + 1;
        let ticks = (first..=last)
            .filter(|e| e.rem_euclid(every) == 0)
            .map(|e| (10f64.powi(e), format!("10{}", raised(e))))
            .collect();
        Axis { low, high, log: true, ticks, title: title.into() }
    }

    /// The same with other ticks.
    pub(super) fn with_ticks(self, ticks: Vec<(f64, String)>) -> Self {
        Axis { ticks, ..self }
    }

    /// Where a number is, from 0 to 1; outside where it is outside, at the lower end of a
    /// logarithmic axis where it has no logarithm.
    pub(super) fn place(&self, x: f64) -> f64 {
        if self.log {
            let x = x.max(self.low);
            return (x / self.low).ln() / (self.high / self.low).ln();
        }
        (x - self.low) / (self.high - self.low)
    }

    /// The nearest value on the axis: rates have intervals that reach past all or none.
    pub(super) fn clip(&self, x: f64) -> f64 {
        x.clamp(self.low, self.high)
    }

    /// What it takes below a frame.
    pub(super) fn depth(&self) -> f64 {
        let title = if self.title.is_empty() { 0.0 } else { 1.3 * LABEL };
        TICK + GAP + LABEL + title
    }

    /// What it takes to the left of a frame.
    pub(super) fn breadth(&self) -> f64 {
        let widths = self.ticks.iter().map(|(_, label)| font::width(label, LABEL));
        let title = if self.title.is_empty() { 0.0 } else { 1.4 * LABEL };
        TICK + GAP + widths.fold(0.0, f64::max) + title
    }
}

/// Ends that differ.
fn spread(low: f64, high: f64) -> (f64, f64) {
    let (low, high) = if low <= high { (low, high) } else { (high, low) };
    if high - low > 1e-12 * low.abs().max(high.abs()).max(1e-300) {
        return (low, high);
    }
    let by = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
    (low - by, high + by)
}

/// 1, 2 or 5 times a power of ten, of which nearly `wanted` lie between the ends, but never one.
fn round_step(low: f64, high: f64, wanted: usize) -> f64 {
    let power = 10f64.powf(((high - low) / wanted.max(1) as f64).log10().floor());
    let steps = [0.5, 1.0, 2.0, 5.0, 10.0].map(|m| m * power);
    let count = |step: f64| ((high / step + 1e-9).floor() - (low / step - 1e-9).ceil()) as i64 + 1;
    let off = |step: f64| match count(step) {
        n if n < 2 => i64::MAX,
        n => (n - wanted as i64).abs(),
    };
    // Of two that are equally far off, the coarser.
    steps.into_iter().rev().min_by_key(|&step| off(step)).unwrap_or(power)
}

/// A number with so many decimals, a comma between thousands and a real minus sign.
pub(super) fn number(x: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", x.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(c);
    }
    let zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    let sign = if x < 0.0 && !zero { "−" } else { "" };
    format!("{sign}{grouped}{rest}")
}

/// Three digits that count.
pub(super) fn brief(x: f64) -> String {
    if x == 0.0 {
        return "0".into();
    }
    let power = x.abs().log10().floor();
    if !(-4.0..6.0).contains(&power) {
        let mantissa = x / 10f64.powf(power);
        return format!("{}×10{}", number(mantissa, 1), raised(power as i32));
    }
    number(x, (2.0 - power).max(0.0) as usize)
}

fn raised(exponent: i32) -> String {
    let up = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4'..='9' => char::from_u32(0x2070 + (c as u32 - '0' as u32)).unwrap_or(c),
        _ => '⁰',
    };
    exponent.to_string().chars().map(up).collect()
}

/// A place for curves with an axis below and one to the left.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Frame {
    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Where a pair of numbers is on paper; what is outside of an axis lies on its end.
    pub(super) fn at(&self, x: f64, y: f64) -> Point {
        let inside = |t: f64| if t.is_nan() { t } else { t.clamp(0.0, 1.0) };
        [
            self.left + inside(self.x.place(x)) * self.width,
            self.bottom() - inside(self.y.place(y)) * self.height,
        ]
    }

    /// Draws both axes: lines, ticks, what they say, titles.
    pub(super) fn draw(&self, scene: &mut Scene) {
        self.draw_x(scene, true);
        self.draw_y(scene, true);
    }

    /// The axis below; without words where the frame below says the same.
    pub(super) fn draw_x(&self, scene: &mut Scene, words: bool) {
        let bottom = self.bottom();
        scene.line(vec![[self.left, bottom], [self.right(), bottom]], AXIS);
        for (value, label) in &self.x.ticks {
            let x = self.at(*value, 0.0)[0];
            scene.line(vec![[x, bottom], [x, bottom + TICK]], AXIS);
            if words {
                let y = bottom + TICK + GAP + 0.75 * LABEL;
                scene.text([x, y], label, LABEL, BLACK, Anchor::Middle);
            }
        }
        if words {
            let at = [self.left + 0.5 * self.width, bottom + self.x.depth()];
            let title = cut(&self.x.title, LABEL, 1.25 * self.width);
            scene.text(at, title, LABEL, BLACK, Anchor::Middle);
        }
    }

    /// The axis to the left; without words where the frame to the left says the same.
    pub(super) fn draw_y(&self, scene: &mut Scene, words: bool) {
        scene.line(vec![[self.left, self.top], [self.left, self.bottom()]], AXIS);
        for (value, label) in &self.y.ticks {
            let y = self.at(0.0, *value)[1];
            scene.line(vec![[self.left - TICK, y], [self.left, y]], AXIS);
            if words {
                let at = [self.left - TICK - GAP, y + half_capital(LABEL)];
                scene.text(at, label, LABEL, BLACK, Anchor::End);
            }
        }
        if words {
            let at = [self.left - self.y.breadth() + 0.75 * LABEL, self.top + 0.5 * self.height];
            let title = cut(&self.y.title, LABEL, 1.3 * self.height);
            scene.turned(at, title, LABEL, BLACK, Anchor::Middle);
        }
    }

    /// A line across at `y`.
    pub(super) fn level(&self, scene: &mut Scene, y: f64, stroke: Stroke) {
        let at = self.at(0.0, y)[1];
        scene.line(vec![[self.left, at], [self.right(), at]], stroke);
    }

    /// A line up at `x`.
    pub(super) fn upright(&self, scene: &mut Scene, x: f64, stroke: Stroke) {
        let at = self.at(x, 0.0)[0];
        scene.line(vec![[at, self.top], [at, self.bottom()]], stroke);
    }
}

/// Writes a legend, a line before each text, in rows of at most `width` and returns how high it is.
pub(super) fn legend(
    scene: &mut Scene,
    [left, top]: Point,
    width: f64,
    entries: &[(Stroke, String)],
) -> f64 {
    const LINE: f64 = 14.0;
    const APART: f64 = 9.0;
    const ROW: f64 = 11.0;
    let (mut x, mut row) = (left, 0);
    let before = LINE + 3.0;
    for (stroke, text) in entries {
        let text = cut(text, LABEL, width - before);
        let wide = before + font::width(&text, LABEL);
        if x > left && x + wide > left + width {
            (x, row) = (left, row + 1);
        }
        let y = top + ROW * f64::from(row) + 0.5 * ROW;
        scene.line(vec![[x, y], [x + LINE, y]], *stroke);
        scene.text([x + before, y + half_capital(LABEL)], text, LABEL, BLACK, Anchor::Start);
        x += wide + APART;
    }
    if entries.is_empty() { 0.0 } else { ROW * f64::from(row + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            labels(&Axis::linear(0.0, 1.0, 5, "")),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        let steps = Axis::linear(0.0, 4000.0, 5, "");
        assert_eq!(labels(&steps), ["0", "1,000", "2,000", "3,000", "4,000"]);
        assert_eq!(labels(&Axis::linear(-0.3, 0.3, 3, "")), ["−0.2", "0.0", "0.2"]);
        assert_eq!(labels(&Axis::log(1e-5, 11.0, 4, "")), ["10⁻⁴", "10⁻²", "10⁰"]);
        assert_eq!(labels(&Axis::log(0.5, 200.0, 4, "")), ["10⁰", "10¹", "10²"]);
    }

    #[test]
    fn places_run_from_0_to_1() {
        let log = Axis::log(0.01, 100.0, 4, "");
        for (x, want) in [(0.01, 0.0), (1.0, 0.5), (100.0, 1.0), (0.0, 0.0), (-1.0, 0.0)] {
            assert!((log.place(x) - want).abs() < 1e-12, "{x}");
        }
        assert_eq!(Axis::linear(2.0, 4.0, 2, "").place(3.0), 0.5);
        // Nothing to spread out is spread out all the same.
        for x in [0.0, 7.0, -1e9, 1e-300] {
            let axis = Axis::linear(x, x, 4, "");
            assert!((axis.place(x) - 0.5).abs() < 1e-6, "{x}");
        }
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(number(-1_234_567.0, 1), "−1,234,567.0");
        assert_eq!(number(-0.001, 2), "0.00");
        assert_eq!(brief(0.012_345), "0.0123");
        assert_eq!(brief(1234.5), "1,234");
        assert_eq!(brief(1.5e-7), "1.5×10⁻⁷");
        assert_eq!(brief(0.0), "0");
    }

    #[test]
    fn what_is_outside_lies_on_the_end() {
        let x = Axis::linear(0.0, 1.0, 2, "");
        let frame = Frame { left: 10.0, top: 20.0, width: 100.0, height: 50.0, y: x.clone(), x };
        assert_eq!(frame.at(0.5, 0.0), [60.0, 70.0]);
        assert_eq!(frame.at(7.0, 9.0), [110.0, 20.0]);
    }

    #[test]
    fn legends_break_lines() {
        let mut scene = Scene::new(100.0, "");
        let entry = (AXIS, "sixteen letters".to_string());
        assert_eq!(legend(&mut scene, [0.0, 0.0], 100.0, &vec![entry; 3]), 33.0);
        assert_eq!(legend(&mut scene, [0.0, 0.0], 100.0, &[]), 0.0);
    }
}
