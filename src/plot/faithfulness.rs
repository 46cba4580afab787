//! `faithfulness`: how much of the metric the first edges keep, by the share of edges.

use std::path::PathBuf;

use super::ablations::EDGE;
use super::axis::{Axis, Frame, legend, number};
use super::palette::{GREY, REFERENCE, series};
use super::read::stem;
use super::scene::{Ink, Point, Scene, Stroke};
use super::{Drawing, Options};
use crate::error::{Error, Result, at_key};
use crate::formats::curves::{Curve, Curves};

const DASHED: &[f64] = &[3.0, 1.6];

pub(super) fn draw(inputs: &[PathBuf], options: &Options) -> Result<Drawing> {
    let all = inputs.iter().map(|path| Curves::read(path)).collect::<Result<Vec<_>, _>>()?;
    let drawn = all.iter().flat_map(|c| [Some(&c.by_size), c.by_score.as_ref()]).flatten();
    let values: Vec<[f64; 2]> = drawn.flat_map(points).collect();
    if values.is_empty() {
        return Err(Error::input(
            at_key(&inputs[0], "curve.abs.fraction"),
            "has no fraction above 0 with a value",
            "give `evaluate --curve` fractions such as 0.01,0.1,1",
        ));
    }
    let width = options.points(3.25);
    let mut scene = Scene::new(width, "Faithfulness of the first edges, by the share of edges");
    let both = all.iter().any(|curve| curve.by_score.is_some());
    let entries = entries(inputs, both);
    let top = EDGE + legend(&mut scene, [EDGE, EDGE], width - 2.0 * EDGE, &entries) + 5.0;
    let frame = frame_around(&values, top, width);
    frame.level(&mut scene, 1.0, REFERENCE);
    frame.level(&mut scene, 0.0, REFERENCE);
    frame.draw(&mut scene);
    for (i, curves) in all.iter().enumerate() {
        // Of curves that lie on each other every one can be seen: the first are wider.
        let wide = 0.9 + 0.8 * (all.len() - 1 - i) as f64;
        draw_curves(&mut scene, &frame, curves, series(i), wide);
    }
    scene.height = frame.bottom() + frame.x.depth() + EDGE;
    let mut metrics: Vec<&str> =
        all.iter().filter_map(|curve| curve.origin.metric.as_deref()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let caption = vec![format!(
        "faithfulness of the first edges (metric: {}){}",
        if metrics.is_empty() { "not said".into() } else { metrics.join(", ") },
        if both { "; solid: by falling |score|, dashed: by falling score" } else { "" },
    )];
    let mut warnings = vec![];
    if let Some(what) = all.iter().find_map(|curve| all[0].origin.differs(&curve.origin)) {
        warnings.push(format!("the curves are of different {what}"));
    }
    Ok(Drawing { scene, caption, warnings })
}

/// The points of a curve that can be drawn: `[fraction, faithfulness]`.
fn points(curve: &Curve) -> Vec<[f64; 2]> {
    let pairs = curve.fraction.iter().zip(&curve.faithfulness);
    // No edges have no place on a logarithmic axis.
    pairs.filter_map(|(&x, &y)| (!y.is_nan()).then_some([x, y])).filter(|[x, _]| *x > 0.0).collect()
}

/// The legend: a line for each file and, where curves of `both` orders are drawn, one for each
/// order.
fn entries(inputs: &[PathBuf], both: bool) -> Vec<(Stroke, String)> {
    let files = inputs.iter().enumerate();
    let mut entries: Vec<(Stroke, String)> =
        files.map(|(i, path)| (Stroke::new(series(i), 1.4), stem(path))).collect();
    if both {
        entries.push((Stroke::new(GREY, 1.2), "by |score|".into()));
        entries.push((Stroke::new(GREY, 1.0).dashed(DASHED), "by score".into()));
    }
    entries
}

/// A frame below `top` that holds all points, no edges kept and the whole model.
fn frame_around(points: &[[f64; 2]], top: f64, width: f64) -> Frame {
    let low = points.iter().map(|p| p[0]).fold(1.0, f64::min);
    let (down, up) = points.iter().fold((0.0f64, 1.0f64), |(a, b), p| (a.min(p[1]), b.max(p[1])));
    let x = percent(Axis::log(low, 1.0, 4, "edges kept (% of all)"));
    let room = 0.03 * (up - down);
    let y = Axis::linear(down - room, up + room, 5, "faithfulness (1 = the model)");
    let left = EDGE + y.breadth();
    Frame { left, top, width: width - left - 12.0, height: 120.0, x, y }
}

/// Draws the curves of one file: by score a dashed line, by |score| a line with its points.
fn draw_curves(scene: &mut Scene, frame: &Frame, curves: &Curves, ink: Ink, wide: f64) {
    let path = |curve: &Curve| -> Vec<Point> {
        points(curve).iter().map(|p| frame.at(p[0], p[1])).collect()
    };
    if let Some(curve) = &curves.by_score {
        scene.line(path(curve), Stroke::new(ink, 0.7 * wide).dashed(DASHED));
    }
    let path = path(&curves.by_size);
    for &at in &path {
        scene.circle(at, 0.9 + 0.6 * wide, ink, None);
    }
    scene.line(path, Stroke::new(ink, wide));
}

/// The same axis, its powers of ten as percentages.
fn percent(axis: Axis) -> Axis {
    let say = |x: f64| number(100.0 * x, (-2.0 - x.log10()).round().clamp(0.0, 9.0) as usize);
    let ticks = axis.ticks.iter().map(|&(x, _)| (x, say(x))).collect();
    axis.with_ticks(ticks)
}

#[cfg(test)]
mod tests {
    use super::super::svg;
    use super::*;

    #[test]
    fn curves_lie_where_their_numbers_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("<eap>.json");
        let text = r#"{"metric": "kl", "curve": {"abs": {"edges": [0, 1, 10, 100], "fraction": [0.0, 0.01, 0.1, 1.0],
            "faithfulness": [0.0, 0.25, null, 1.0]}}}"#;
        std::fs::write(&path, text).unwrap();
        let drawing = draw(&[path], &Options::default()).unwrap();
        let text = svg::write(&drawing.scene);
        svg::tests::well_formed(&text);
        assert!(text.contains("aria-label=\"&lt;eap&gt;\""));
        assert_eq!(text.matches("<circle").count(), 2, "no point at 0, none without a value");
        assert!(drawing.caption[0].contains("metric: kl"));
    }

    #[test]
    fn percentages_are_short() {
        let axis = percent(Axis::log(0.001, 1.0, 5, ""));
        let labels: Vec<_> = axis.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["0.1", "1", "10", "100"]);
    }

    #[test]
    fn a_curve_of_nothing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.json");
        std::fs::write(
            &path,
            r#"{"curve": {"abs": {"edges": [0], "fraction": [0], "faithfulness": [0]}}}"#,
        )
        .unwrap();
        let error = draw(&[path], &Options::default()).unwrap_err().to_string();
        assert!(error.contains("key `curve.abs.fraction`"), "{error}");
    }
}
