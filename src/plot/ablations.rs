//! `ablations`: methods of tuning below each other, a panel for each figure.

use std::path::PathBuf;

use super::axis::{Axis, Frame, brief};
use super::centre::Centre;
use super::font;
use super::palette::{BLACK, GREY, GUIDE, LIGHT, REFERENCE, series};
use super::read;
use super::scene::{Anchor, INCH, LABEL, SMALL, Scene, Stroke, cut, half_capital};
use super::tuned;
use super::tuned::{GAP, Measured, RETENTION, TARGET, TRANSFER};
use super::{Drawing, Options};
use crate::error::Result;
use crate::formats::comparison::Comparison;

/// Between marks and the edges of the paper.
pub(super) const EDGE: f64 = 4.0;
/// Between the middles of two rows.
const ROW: f64 = 11.5;
/// Between two panels of a line.
const APART: f64 = 17.0;
const PANELS: [tuned::Figure; 4] = [TARGET, GAP, TRANSFER, RETENTION];
const DOTTED: &[f64] = &[1.0, 1.5];

pub(super) fn draw(inputs: &[PathBuf], options: &Options) -> Result<Drawing> {
    let all = one(inputs)?;
    let width = options.points(6.75);
    let mut scene = Scene::new(width, "Methods of tuning: target, gap, transfer, retention");
    let limit = 0.3 * width;
    let names: Vec<String> = all.rows.iter().map(|row| cut(&row.name, LABEL, limit)).collect();
    let said = heading(&mut scene, &all, options.centre);
    let grid = Grid::new(width, &names);
    for (i, figure) in PANELS.iter().enumerate() {
        let measured: Vec<Option<Measured>> =
            all.rows.iter().map(|row| figure.measure(&all, row, options.centre)).collect();
        let (low, high) = extent(figure, &all, &measured);
        let frame = grid.frame(i, Axis::linear(low, high, 3, figure.title));
        let base = figure.base(&all).filter(|&base| low <= base && base <= high);
        draw_guides(&mut scene, &frame, measured.len(), base);
        // The names stand once in a line of panels.
        let names = (i % grid.columns == 0).then_some(&names[..]);
        draw_rows(&mut scene, &frame, &measured, names);
        scene.height = frame.bottom() + frame.x.depth() + EDGE;
    }
    let before: Vec<String> = PANELS
        .iter()
        .filter_map(|figure| Some(format!("{} {}", figure.name, brief(figure.base(&all)?))))
        .collect();
    let caption = vec![
        format!("{said}; grey: single seeds, dotted: before tuning"),
        format!("before tuning: {}", before.join(", ")),
    ];
    Ok(Drawing { scene, caption, warnings: vec![] })
}

/// Where the panels are: in lines of `columns`, to the right of the names.
struct Grid {
    left: f64,
    columns: usize,
    /// The width of a panel.
    panel: f64,
    rows: usize,
}

impl Grid {
    fn new(width: f64, names: &[String]) -> Self {
        let wide = names.iter().map(|name| font::width(name, LABEL)).fold(0.0, f64::max);
        let left = EDGE + wide + 6.0;
        let columns = if width >= 5.0 * INCH { 4 } else { 2 };
        let panel = (width - left - 10.0 - APART * (columns as f64 - 1.0)) / columns as f64;
        Grid { left, columns, panel, rows: names.len() }
    }

    /// The frame of panel `i` with a horizontal axis of its own.
    fn frame(&self, i: usize, x: Axis) -> Frame {
        let (column, line) = (i % self.columns, i / self.columns);
        let height = ROW * self.rows as f64;
        Frame {
            left: self.left + column as f64 * (self.panel + APART),
            top: EDGE + 2.0 * SMALL + line as f64 * (height + 34.0),
            width: self.panel,
            height,
            x,
            y: Axis::linear(0.0, self.rows as f64, 1, "").with_ticks(vec![]),
        }
    }
}

/// A line across for each row, one up at the value before tuning, and the horizontal axis.
fn draw_guides(scene: &mut Scene, frame: &Frame, rows: usize, base: Option<f64>) {
    for row in 0..rows {
        frame.level(scene, row as f64 + 0.5, GUIDE);
    }
    if let Some(base) = base {
        frame.upright(scene, base, REFERENCE.dashed(DOTTED));
    }
    frame.draw_x(scene, true);
}

/// A row for each method: its name, its seeds, its interval, its centre.
fn draw_rows(
    scene: &mut Scene,
    frame: &Frame,
    measured: &[Option<Measured>],
    names: Option<&[String]>,
) {
    for (row, measured) in measured.iter().enumerate() {
        let y = frame.top + ROW * (row as f64 + 0.5);
        if let Some(names) = names {
            let at = [frame.left - 6.0, y + half_capital(LABEL)];
            scene.text(at, &names[row], LABEL, BLACK, Anchor::End);
        }
        let Some(measured) = measured else { continue };
        for &seed in &measured.seeds {
            scene.circle([frame.at(seed, 0.0)[0], y], 1.1, LIGHT, None);
        }
        if let Some(ends) = measured.interval {
            let line = ends.map(|x| [frame.at(x, 0.0)[0], y]);
            scene.line(line.to_vec(), Stroke::new(series(0), 1.1));
        }
        scene.circle([frame.at(measured.centre, 0.0)[0], y], 1.9, series(0), None);
    }
}

/// The one comparison that these figures are drawn from.
pub(super) fn one(inputs: &[PathBuf]) -> Result<Comparison> {
    let input = read::only(inputs, "comparison", "give one comparison.json a figure")?;
    // The folder of a grid holds it.
    let inside = input.join("comparison.json");
    read::comparison(if input.is_dir() { &inside } else { input })
}

/// Writes above a figure what its points and lines are, and returns it.
pub(super) fn heading(scene: &mut Scene, all: &Comparison, centre: Centre) -> String {
    let said = tuned::statement(all, centre);
    scene.text([EDGE, EDGE + SMALL], &said, SMALL, GREY, Anchor::Start);
    said
}

/// The least and the greatest value; infinity and its negative if there are none.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

/// The ends of an axis: all seeds and intervals, and what was there before tuning unless it is far
/// away.
fn extent(figure: &tuned::Figure, all: &Comparison, measured: &[Option<Measured>]) -> (f64, f64) {
    let shown =
        measured.iter().flatten().flat_map(|m| m.seeds.iter().chain(m.interval.iter().flatten()));
    let (mut low, mut high) = range(shown.copied());
    if low > high {
        return (0.0, 1.0);
    }
    let span = high - low;
    if let Some(base) = figure.base(all).filter(|x| (low - span..=high + span).contains(x)) {
        (low, high) = (low.min(base), high.max(base));
    }
    let room = 0.06 * (high - low);
    (low - room, high + room)
}

#[cfg(test)]
mod tests {
    use super::super::svg;
    use super::*;
    use serde_json::json;

    #[test]
    fn every_method_has_a_point_in_every_panel() {
        let folder = tempfile::tempdir().unwrap();
        let mut value = crate::formats::comparison::tests::comparison();
        let (mut named, mut gone) = (value["rows"][0].clone(), value["rows"][0].clone());
        let run = &named["reports"][0];
        (named["reports"], named["name"]) = (json!([run, run]), json!("<b>&"));
        (gone["reports"], gone["name"]) = (json!([]), json!("gone"));
        value["rows"] = json!([named, gone]);
        std::fs::write(folder.path().join("comparison.json"), value.to_string()).unwrap();
        for width in [3.25, 6.75] {
            let options = Options { width: Some(width), ..Options::default() };
            let drawing = draw(&[folder.path().into()], &options).unwrap();
            let text = svg::write(&drawing.scene);
            svg::tests::well_formed(&text);
            assert_eq!(text.matches("<circle").count(), 4 * 3, "two seeds and their mean");
            assert!(text.contains("aria-label=\"&lt;b&gt;&amp;\"") && !text.contains("\"gone\""));
        }
    }
}
