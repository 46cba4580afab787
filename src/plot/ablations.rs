//! `ablations`: methods of tuning below each other, a panel for each figure.

use std::path::PathBuf;

use super::axis::{Axis, Frame, brief};
use super::font;
use super::palette::{BLACK, GREY, GUIDE, LIGHT, REFERENCE, series};
use super::read;
use super::scene::{Anchor, INCH, LABEL, SMALL, Scene, Stroke, cut, half_capital};
use super::tuned;
use super::tuned::{GAP, RETENTION, TARGET, TRANSFER};
use super::{Drawing, Options};
use crate::error::{Error, Result};
use crate::formats::comparison::Comparison;

/// Between the middles of two rows.
const ROW: f64 = 11.5;
const PANELS: [tuned::Figure; 4] = [TARGET, GAP, TRANSFER, RETENTION];
const DOTTED: &[f64] = &[1.0, 1.5];

pub(super) fn draw(inputs: &[PathBuf], options: &Options) -> Result<Drawing> {
    let all = one(inputs)?;
    let width = options.points(6.75);
    let mut scene = Scene::new(width, "Methods of tuning: target, gap, transfer, retention");
    let edge = 4.0;
    let limit = 0.3 * width;
    let names: Vec<String> = all.rows.iter().map(|row| cut(&row.name, LABEL, limit)).collect();
    let wide = names.iter().map(|name| font::width(name, LABEL)).fold(0.0, f64::max);
    let left = edge + wide + 6.0;
    let columns = if width >= 5.0 * INCH { 4 } else { 2 };
    let gap = 17.0;
    let panel = (width - left - 10.0 - gap * (columns as f64 - 1.0)) / columns as f64;
    let height = ROW * all.rows.len() as f64;
    let mut top = edge;
    let said = tuned::statement(&all, options.centre);
    scene.text([edge, top + SMALL], &said, SMALL, GREY, Anchor::Start);
    top += 2.0 * SMALL;
    let across = Axis::linear(0.0, all.rows.len() as f64, 1, "").with_ticks(vec![]);
    for (i, figure) in PANELS.iter().enumerate() {
        let (column, line) = (i % columns, i / columns);
        let measured: Vec<Option<tuned::Measured>> =
            all.rows.iter().map(|row| figure.measure(&all, row, options.centre)).collect();
        let (low, high) = extent(figure, &all, &measured);
        let title = figure.title;
        let frame = Frame {
            left: left + column as f64 * (panel + gap),
            top: top + line as f64 * (height + 34.0),
            width: panel,
            height,
            x: Axis::linear(low, high, 3, title),
            y: across.clone(),
        };
        for row in 0..all.rows.len() {
            frame.level(&mut scene, row as f64 + 0.5, GUIDE);
        }
        if let Some(base) = figure.base(&all).filter(|&base| low <= base && base <= high) {
            frame.upright(&mut scene, base, REFERENCE.dashed(DOTTED));
        }
        frame.draw_x(&mut scene, true);
        for (row, measured) in measured.iter().enumerate() {
            let y = frame.top + ROW * (row as f64 + 0.5);
            if column == 0 {
                let at = [left - 6.0, y + half_capital(LABEL)];
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
        scene.height = frame.bottom() + frame.x.depth() + 4.0;
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

/// The one comparison that these figures are drawn from.
pub(super) fn one(inputs: &[PathBuf]) -> Result<Comparison> {
    if let Some(other) = inputs.get(1) {
        let help = "give one comparison.json a figure";
        let problem = "is one comparison too many";
        return Err(Error::input(other.display(), problem, help));
    }
    let input = &inputs[0];
    // The folder of a grid holds it.
    let inside = input.join("comparison.json");
    read::comparison(if input.is_dir() { &inside } else { input })
}

/// The ends of an axis: all seeds, and what was there before tuning unless it is far away.
fn extent(
    figure: &tuned::Figure,
    all: &Comparison,
    measured: &[Option<tuned::Measured>],
) -> (f64, f64) {
    let numbers = measured.iter().flatten().flat_map(|m| m.seeds.iter().copied());
    let (mut low, mut high) = numbers
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
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
