//! `scores`: methods of attribution against one that is exact, an edge a point.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ablations::EDGE;
use super::axis::{Axis, Frame, number};
use super::circuit::unit;
use super::palette::{BLACK, GREY, REFERENCE, series};
use super::read;
use super::read::Edges;
use super::scene::{Anchor, INCH, LABEL, Point, SMALL, Scene, cut};
use super::{Drawing, Options};
use crate::error::{Error, Result, at_key};
use crate::stats::{order, pearson, spearman};

/// Points of a panel: of more, the largest half and every so many of the others.
const POINTS: usize = 4000;
const DASHED: &[f64] = &[3.0, 2.0];

pub(super) fn draw(inputs: &[PathBuf], options: &Options) -> Result<Drawing> {
    let (exact, all) = read_scores(inputs)?;
    let reference: BTreeMap<&str, f64> =
        exact.file.edges.iter().filter_map(|(name, e)| Some((name.as_str(), e.score?))).collect();
    let panels = all
        .iter()
        .map(|edges| shared(&reference, &exact, edges))
        .collect::<Result<Vec<Vec<[f64; 2]>>, _>>()?;

    let width = options.points(if all.len() > 1 { 6.75 } else { 3.25 });
    let mut scene = Scene::new(width, format!("Scores of edges against {}", exact.label));
    let unit = unit(exact.metric());
    let title = |edges: &Edges| format!("{} score{unit}", name(edges));
    let axes = panels
        .iter()
        .zip(&all)
        .map(|(panel, edges)| (around(panel, 0, title(&exact)), around(panel, 1, title(edges))));
    let frames = frames(axes.collect(), width);
    let mut caption = vec![];
    for ((panel, edges), frame) in panels.iter().zip(&all).zip(&frames) {
        let [r, rho] = draw_panel(&mut scene, frame, panel, name(edges));
        caption.push(format!(
            "{} against {}: {} edges, Pearson {r}, Spearman {rho}",
            name(edges),
            name(&exact),
            panel.len()
        ));
        scene.height = scene.height.max(frame.bottom() + frame.x.depth() + EDGE);
    }
    caption.push("dashed: equal scores".into());
    let origin = exact.file.origin();
    let other = |edges: &Edges| {
        let what = origin.differs(&edges.file.origin())?;
        Some(format!("{} and {} are of different {what}", name(edges), name(&exact)))
    };
    let warnings = all.iter().filter_map(other).collect();
    Ok(Drawing { scene, caption, warnings })
}

/// The reference and the others: the first file of the method `exact`, or else the first file.
fn read_scores(inputs: &[PathBuf]) -> Result<(Edges, Vec<Edges>)> {
    let mut all = inputs.iter().map(|path| read::edge_file(path)).collect::<Result<Vec<_>, _>>()?;
    if all.len() < 2 {
        return Err(Error::input(
            inputs[0].display(),
            "is the only file of scores",
            "give two or more; the one of the method `exact`, or else the first, is the reference",
        ));
    }
    let exact = all.iter().position(|edges| edges.method() == Some("exact")).unwrap_or(0);
    Ok((all.remove(exact), all))
}

/// The method, or else what the file is called.
fn name(edges: &Edges) -> &str {
    edges.method().unwrap_or(&edges.label)
}

/// Square frames of one size for these axes, in lines of one to three.
fn frames(axes: Vec<(Axis, Axis)>, width: f64) -> Vec<Frame> {
    let (gap, head) = (8.0, 1.5 * LABEL);
    let most = if width >= 5.0 * INCH { 3 } else { 1 + usize::from(axes.len() > 1) };
    let columns = axes.len().min(most);
    let breadth = axes.iter().map(|(_, y)| y.breadth()).fold(0.0, f64::max);
    let side = (width - EDGE - 8.0) / columns as f64 - breadth - gap;
    let side = side.min(if columns == 1 { 190.0 } else { side });
    let frame = |(i, (x, y)): (usize, (Axis, Axis))| {
        let (column, row) = ((i % columns) as f64, (i / columns) as f64);
        Frame {
            left: EDGE + breadth + column * (side + breadth + gap),
            top: EDGE + head + row * (side + x.depth() + head + 8.0),
            width: side,
            height: side,
            x,
            y,
        }
    };
    axes.into_iter().enumerate().map(frame).collect()
}

/// Draws a point for each edge and returns the correlations as they are written: Pearson's,
/// Spearman's.
fn draw_panel(scene: &mut Scene, frame: &Frame, panel: &[[f64; 2]], name: &str) -> [String; 2] {
    identity(scene, frame, panel);
    frame.draw(scene);
    for &[x, y] in thinned(panel).iter().rev() {
        scene.circle(frame.at(x, y), 1.4, series(0).at(0.55), None);
    }
    let digits = |r: Option<f64>| r.map_or("–".into(), |r| number(r, 2));
    let [x, y] = [0, 1].map(|k| panel.iter().map(|pair| pair[k]).collect::<Vec<_>>());
    let (r, rho) = (digits(pearson(&x, &y)), digits(spearman(&x, &y)));
    let text = format!("r = {r}, ρ = {rho}");
    scene.text([frame.right(), frame.top - 3.0], &text, SMALL, GREY, Anchor::End);
    let title = cut(name, LABEL, 0.45 * frame.width);
    scene.text([frame.left, frame.top - 3.0], title, LABEL, BLACK, Anchor::Start);
    [r, rho]
}

/// The scores of edges that both have: `[reference, own]`.
fn shared(reference: &BTreeMap<&str, f64>, exact: &Edges, own: &Edges) -> Result<Vec<[f64; 2]>> {
    let both = own.file.edges.iter();
    let both = both.filter_map(|(name, e)| Some([*reference.get(name.as_str())?, e.score?]));
    let both: Vec<[f64; 2]> = both.collect();
    if both.len() < 2 {
        return Err(Error::input(
            at_key(Path::new(own.file.place()), "edges"),
            format!("has {} scored edges in common with {}", both.len(), exact.file.place()),
            "give scores of the same model and the same division of it",
        ));
    }
    Ok(both)
}

fn around(panel: &[[f64; 2]], k: usize, title: String) -> Axis {
    let (low, high) = panel.iter().fold((0.0f64, 0.0f64), |(a, b), p| (a.min(p[k]), b.max(p[k])));
    let room = 0.05 * (high - low);
    Axis::linear(low - room, high + room, 4, title)
}

/// Where both scores are equal, as far as both axes go.
fn identity(scene: &mut Scene, frame: &Frame, panel: &[[f64; 2]]) {
    let end = |pick: fn(f64, f64) -> f64, k: usize| panel.iter().map(|p| p[k]).fold(0.0, pick);
    let low = end(f64::min, 0).max(end(f64::min, 1));
    let high = end(f64::max, 0).min(end(f64::max, 1));
    let line: Vec<Point> = [low, high].iter().map(|&x| frame.at(x, x)).collect();
    scene.line(line, REFERENCE.dashed(DASHED));
}

/// At most [`POINTS`], those far out before others.
fn thinned(panel: &[[f64; 2]]) -> Vec<[f64; 2]> {
    if panel.len() <= POINTS {
        return panel.to_vec();
    }
    let largest = |k: usize| panel.iter().fold(f64::MIN_POSITIVE, |a, p| a.max(p[k].abs()));
    let (x, y) = (largest(0), largest(1));
    let far = |p: &[f64; 2]| (p[0] / x).abs().max((p[1] / y).abs());
    let mut sorted = panel.to_vec();
    order::sort_by(&mut sorted, |a, b| far(b).total_cmp(&far(a)));
    let others = sorted.split_off(POINTS / 2);
    let every = others.len().div_ceil(POINTS / 2);
    sorted.extend(others.into_iter().step_by(every));
    sorted
}

#[cfg(test)]
mod tests {
    use super::super::svg;
    use super::*;

    fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn the_exact_file_is_the_reference_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let score = |method: &str, a: f64, b: f64, c: f64| {
            format!(
                r#"{{"edges": {{"a->b": {{"score": {a}}}, "b->c": {{"score": {b}}},
                "c->d": {{"score": {c}}}}}, "meta": {{"method": "{method}", "metric": "kl"}}}}"#
            )
        };
        let eap = file(folder.path(), "eap.json", &score("e<a>p", 2.0, 4.0, -6.0));
        let exact = file(folder.path(), "exact.json", &score("exact", 1.0, 2.0, -3.0));
        let drawing = draw(&[eap.clone(), exact], &Options::default()).unwrap();
        assert_eq!(drawing.caption[0], "e<a>p against exact: 3 edges, Pearson 1.00, Spearman 1.00");
        let text = svg::write(&drawing.scene);
        svg::tests::well_formed(&text);
        assert_eq!(text.matches("<circle").count(), 3);
        assert!(text.contains("aria-label=\"e&lt;a&gt;p score (nats)\""));
        let error = draw(std::slice::from_ref(&eap), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("only file of scores"), "{error}");
        let other = file(folder.path(), "o.json", r#"{"edges": {"x->y": {"score": 1}}}"#);
        let error = draw(&[eap, other], &Options::default()).unwrap_err().to_string();
        assert!(error.contains("o.json") && error.contains("0 scored edges in common"), "{error}");
    }

    #[test]
    fn of_many_points_the_far_ones_stay() {
        let mut panel: Vec<[f64; 2]> = (0..50_000).map(|i| [1e-6 * f64::from(i), 0.0]).collect();
        panel[7] = [3.0, -2.0];
        let thin = thinned(&panel);
        assert!(thin.len() <= POINTS);
        assert!(thin.contains(&[3.0, -2.0]));
    }
}
