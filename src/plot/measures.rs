//! `measures`: what runs measured along their training, a panel for each key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::axis::{Axis, Frame, legend};
use super::curves::{Stretch, areas, early_ends, lines, stretch, switches};
use super::palette::{GREY, series};
use super::scene::{Anchor, SMALL, Scene, Stroke};
use super::{Drawing, Options, arms};
use crate::error::{Error, Result};
use crate::named::suggest;
use crate::results::run::Arm;

/// The most panels: more are no figure.
const MOST: usize = 12;
/// Height of a panel, and the room for its title above it, in points.
const HEIGHT: f64 = 76.0;
const ABOVE: f64 = 14.0;

pub(super) fn draw(inputs: &[PathBuf], options: &Options) -> Result<Drawing> {
    let arms = arms::read(inputs)?;
    let keys = keys(&arms, options)?;
    let columns = if keys.len() == 1 { 1 } else { 2 };
    let width = options.points(if columns == 1 { 3.25 } else { 6.75 });
    let mut scene = Scene::new(width, "What was measured over training steps");
    let entries: Vec<(Stroke, String)> = arms
        .iter()
        .enumerate()
        .map(|(i, arm)| (Stroke::new(series(i), 1.4), arm.name.clone()))
        .collect();
    let edge = 4.0;
    let top = edge + legend(&mut scene, [edge, edge], width - 2.0 * edge, &entries);
    let counts: Vec<usize> = arms.iter().map(|arm| arm.runs.len()).collect();
    let said = options.centre.statement(&counts, "seed", "band");
    scene.text([edge, top + SMALL], &said, SMALL, GREY, Anchor::Start);

    let lines_of = || arms.iter().flat_map(|arm| &arm.runs).flat_map(|run| &run.metrics.measures);
    let last = lines_of().map(|line| line.step).max().unwrap_or(0) as f64;
    let share = width / columns as f64;
    for (i, key) in keys.iter().enumerate() {
        let bands: Vec<Vec<Stretch>> = arms.iter().map(|arm| bands(arm, key, options)).collect();
        let ends =
            bands.iter().flatten().flat_map(|s| s.interval.iter().flatten().chain(&s.centre));
        let (low, high) =
            ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
        let y = Axis::linear(low, high, 4, "");
        let x = Axis::linear(0.0, last, 5, "training step");
        let row = (i / columns) as f64 * (HEIGHT + ABOVE + x.depth());
        let left = share * (i % columns) as f64 + edge + y.breadth();
        let right = share * (i % columns + 1) as f64 - 12.0;
        let place = top + 2.4 * SMALL + ABOVE + row;
        let frame = Frame { left, top: place, width: right - left, height: HEIGHT, x, y };
        switches(&mut scene, &frame, &arms, false);
        frame.draw(&mut scene);
        scene.text([left, place - 4.0], key.as_str(), SMALL, GREY, Anchor::Start);
        for (i, band) in bands.iter().enumerate() {
            areas(&mut scene, &frame, band, series(i).at(0.22));
        }
        for (i, band) in bands.iter().enumerate() {
            lines(&mut scene, &frame, band, Stroke::new(series(i), 1.2));
        }
        scene.height = scene.height.max(frame.bottom() + frame.x.depth() + 4.0);
    }
    let mut warnings = arms::warnings(&arms);
    warnings.extend(early_ends(&arms));
    Ok(Drawing { scene, caption: vec![format!("{said}; dotted: a new stage begins")], warnings })
}

/// The keys that are drawn: those asked for, or all that any run measured.
fn keys(arms: &[Arm], options: &Options) -> Result<Vec<String>> {
    let lines = arms.iter().flat_map(|arm| &arm.runs).flat_map(|run| &run.metrics.measures);
    let known: BTreeSet<&str> =
        lines.flat_map(|line| line.values.keys().map(String::as_str)).collect();
    if known.is_empty() {
        let help = "train with `--set 'train.measure=[\"norms\", \"llc\"]'`";
        return Err(Error::input("plot", "no run has measured anything", help));
    }
    if let Some(key) = options.keys.iter().find(|key| !known.contains(key.as_str())) {
        let help = match suggest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", known.into_iter().collect::<Vec<_>>().join(", ")),
        };
        return Err(Error::input("--keys", format!("`{key:.40}` was not measured"), help));
    }
    let all = known.iter().map(|key| key.to_string());
    let list = if options.keys.is_empty() { all.collect() } else { options.keys.clone() };
    if list.len() > MOST {
        let help = format!("name some by --keys: {}", list.join(","));
        return Err(Error::input(
            "plot",
            format!("{} keys are too many to draw", list.len()),
            help,
        ));
    }
    Ok(list)
}

/// One key over the seeds of an arm, by stage.
fn bands(arm: &Arm, key: &str, options: &Options) -> Vec<Stretch> {
    let mut stages: BTreeMap<usize, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    for line in arm.runs.iter().flat_map(|run| &run.metrics.measures) {
        if let Some(x) = line.values.get(key).copied().flatten().filter(|x| x.is_finite()) {
            stages.entry(line.stage).or_default().entry(line.step).or_default().push(x);
        }
    }
    stages.into_values().map(|all| stretch(all, options)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::svg;
    use super::*;
    use crate::formats::metrics::{Line, MeasureLine};
    use crate::results::synthetic::Synthetic;
    use std::fs::OpenOptions;
    use std::io::Write;

    #[test]
    fn a_panel_for_each_key() {
        let root = tempfile::tempdir().expect("a folder");
        Synthetic::small().write(root.path());
        let inputs = [root.path().to_path_buf()];
        let options = Options::default();
        let e = draw(&inputs, &options).expect_err("nothing was measured");
        assert!(e.to_string().contains("measured") && e.help().contains("train.measure"), "{e}");
        for arm in arms::read(&inputs).expect("runs") {
            for (run, seed) in arm.runs.iter().zip(1..) {
                let log = run.folder.join("metrics.jsonl");
                let mut log = OpenOptions::new().append(true).open(log).expect("a log");
                for step in [0, 200] {
                    let values =
                        [("llc".into(), Some(seed as f64)), ("norm.mlp".into(), Some(2.0))];
                    let line = MeasureLine { step, stage: 0, values: values.into() };
                    let text = serde_json::to_string(&Line::Measure(line)).expect("a line");
                    writeln!(log, "{text}").expect("written");
                }
            }
        }
        let drawing = draw(&inputs, &options).expect("two keys");
        let text = svg::write(&drawing.scene);
        svg::tests::well_formed(&text);
        assert!(text.contains("norm.mlp") && text.contains("llc"));
        let only = Options { keys: vec!["llc".into()], ..Options::default() };
        assert!(!svg::write(&draw(&inputs, &only).expect("one key").scene).contains("norm.mlp"));
        // Seeds 1, 2 and 3 have the mean 2.
        let arms = arms::read(&inputs).expect("runs");
        let found = bands(&arms[0], "llc", &options);
        assert_eq!((found.len(), &found[0].centre), (1, &vec![2.0, 2.0]));
        let typo = Options { keys: vec!["norm.mpl".into()], ..Options::default() };
        assert_eq!(draw(&inputs, &typo).expect_err("a typo").help(), "did you mean `norm.mlp`?");
    }
}
