//! `curves`: loss and accuracy over steps, each arm's centre over its seeds with an interval.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::axis::{Axis, Frame, legend};
use super::centre::Centre;
use super::palette::{GREY, series};
use super::scene::{Anchor, Ink, LABEL, SMALL, Scene, Stroke};
use super::{Drawing, Options, arms};
use crate::error::Result;
use crate::formats::metrics::EvalLine;
use crate::results::run::Arm;
use crate::results::thin::evenly;

/// Points of a curve: more are finer than print.
const POINTS: usize = 400;
/// Losses below are drawn here.
const FLOOR: f64 = 1e-8;
const DASHED: &[f64] = &[3.0, 1.6];
const SWITCH: &[f64] = &[1.0, 1.5];

/// A number of an evaluation.
type Quantity = fn(&EvalLine) -> Option<f64>;

/// A stretch of a curve, within one stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stretch {
    pub(super) step: Vec<f64>,
    pub(super) centre: Vec<f64>,
    /// The centre twice for too few seeds.
    pub(super) interval: Vec<[f64; 2]>,
}

pub(super) fn draw(inputs: &[PathBuf], options: &Options) -> Result<Drawing> {
    let arms = arms::read(inputs)?;
    let width = options.points(3.25);
    let mut scene = Scene::new(width, "Loss and accuracy over training steps");

    let mut entries: Vec<(Stroke, String)> = arms
        .iter()
        .enumerate()
        .map(|(i, arm)| (Stroke::new(series(i), 1.4), arm.name.clone()))
        .collect();
    entries.push((Stroke::new(GREY, 1.2), "test".into()));
    entries.push((Stroke::new(GREY, 1.2).dashed(DASHED), "train".into()));
    let edge = 4.0;
    let mut top = edge + legend(&mut scene, [edge, edge], width - 2.0 * edge, &entries);
    let said = statement(&arms, options.centre);
    scene.text([edge, top + SMALL], &said, SMALL, GREY, Anchor::Start);
    top += 2.4 * SMALL;

    let last = steps(&arms).1;
    let x = Axis::linear(0.0, last, 5, "training step");
    let losses: [Quantity; 2] = [|eval| eval.test_loss, |eval| eval.train_loss];
    let accuracies: [Quantity; 2] = [|eval| eval.test_accuracy, |eval| eval.train_accuracy];
    let [loss, accuracy] = [losses, accuracies].map(|both| both.map(|q| bands(&arms, q, options)));
    let (low, high) = extent(&loss);
    let loss_axis = Axis::log(low, high, 4, "loss (nats)");
    let accuracy_axis = Axis::linear(0.0, 1.0, 6, "accuracy (share)");

    let left = edge + loss_axis.breadth().max(accuracy_axis.breadth());
    let side_by_side = width >= 5.0 * super::scene::INCH;
    let end = 12.0;
    let [one, other] = if side_by_side {
        let gap = accuracy_axis.breadth() + 12.0;
        let wide = (width - left - gap - end) / 2.0;
        let frame = |left, y| Frame { left, top, width: wide, height: 118.0, x: x.clone(), y };
        [frame(left, loss_axis), frame(left + wide + gap, accuracy_axis)]
    } else {
        let frame =
            |top, y| Frame { left, top, width: width - left - end, height: 84.0, x: x.clone(), y };
        [frame(top, loss_axis), frame(top + 84.0 + 14.0, accuracy_axis)]
    };
    for (frame, [test, train], named) in [(&one, &loss, true), (&other, &accuracy, side_by_side)] {
        switches(&mut scene, frame, &arms, named);
        frame.draw_x(&mut scene, side_by_side || !named);
        frame.draw_y(&mut scene, true);
        for (i, test) in test.iter().enumerate() {
            areas(&mut scene, frame, test, series(i).at(0.22));
        }
        for (i, (test, train)) in test.iter().zip(train).enumerate() {
            lines(&mut scene, frame, train, Stroke::new(series(i), 0.9).dashed(DASHED));
            lines(&mut scene, frame, test, Stroke::new(series(i), 1.2));
        }
    }
    scene.height = other.bottom() + x.depth() + 4.0;
    let caption = vec![format!("{said}; solid: test, dashed: train; dotted: a new stage begins")];
    let mut warnings = arms::warnings(&arms);
    warnings.extend(early_ends(&arms));
    Ok(Drawing { scene, caption, warnings })
}

/// What lines and bands are.
fn statement(arms: &[Arm], centre: Centre) -> String {
    let counts: Vec<usize> = arms.iter().map(|arm| arm.runs.len()).collect();
    centre.statement(&counts, "seed", "band (test)")
}

fn steps(arms: &[Arm]) -> (f64, f64) {
    let evals = arms.iter().flat_map(|arm| &arm.runs).flat_map(|run| &run.metrics.evals);
    let steps = evals.map(|eval| eval.step as f64);
    steps.fold((f64::INFINITY, 0.0), |(low, high), x| (low.min(x), high.max(x)))
}

/// For each arm, one quantity over its seeds: `[arms][stages]`.
fn bands(arms: &[Arm], quantity: Quantity, options: &Options) -> Vec<Vec<Stretch>> {
    arms.iter()
        .map(|arm| {
            let mut stages: BTreeMap<usize, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
            for eval in arm.runs.iter().flat_map(|run| &run.metrics.evals) {
                if let Some(x) = quantity(eval).filter(|x| x.is_finite()) {
                    let stage = stages.entry(eval.stage).or_default();
                    stage.entry(eval.step).or_default().push(x);
                }
            }
            stages.into_values().map(|all| stretch(all, options)).collect()
        })
        .collect()
}

/// The centre of the values at each step, and its interval.
pub(super) fn stretch(all: BTreeMap<u64, Vec<f64>>, options: &Options) -> Stretch {
    let all: Vec<(u64, Vec<f64>)> = all.into_iter().collect();
    let mut stretch = Stretch::default();
    for i in evenly(all.len(), POINTS) {
        let (step, values) = &all[i];
        let Some(centre) = options.centre.of(values) else { continue };
        stretch.step.push(*step as f64);
        stretch.centre.push(centre);
        stretch.interval.push(options.centre.interval(values).unwrap_or([centre; 2]));
    }
    stretch
}

/// Ends of a logarithmic axis that shows all centres and the upper ends of all bands. The lower
/// ends may be below 0, so they do not count.
fn extent(bands: &[Vec<Vec<Stretch>>; 2]) -> (f64, f64) {
    let stretches = || bands.iter().flatten().flatten();
    let centres = stretches().flat_map(|s| &s.centre);
    let low = centres.fold(f64::INFINITY, |low, &x| low.min(x.max(FLOOR)));
    let tops = stretches().flat_map(|s| &s.interval).map(|[_, top]| *top);
    let high = tops.fold(0.0, |high: f64, x| high.max(x.max(FLOOR)));
    if low <= high { (0.8 * low, 1.25 * high) } else { (FLOOR, 1.0) }
}

pub(super) fn areas(scene: &mut Scene, frame: &Frame, stretches: &[Stretch], ink: Ink) {
    for stretch in stretches {
        if stretch.interval.iter().all(|[low, high]| low == high) {
            continue;
        }
        let side =
            |k: usize| stretch.step.iter().zip(&stretch.interval).map(move |(&x, i)| (x, i[k]));
        let way = side(1).chain(side(0).rev());
        scene.polygon(way.map(|(x, y)| frame.at(x, frame.y.clip(y))).collect(), ink, None);
    }
}

pub(super) fn lines(scene: &mut Scene, frame: &Frame, stretches: &[Stretch], stroke: Stroke) {
    for stretch in stretches {
        let way = stretch.step.iter().zip(&stretch.centre);
        scene.line(way.map(|(&x, &y)| frame.at(x, y)).collect(), stroke);
    }
}

/// Where stages begin, with their names if they are asked for.
pub(super) fn switches(scene: &mut Scene, frame: &Frame, arms: &[Arm], named: bool) {
    let mut row = 0.0;
    for (i, arm) in arms.iter().enumerate() {
        let Some(run) = arm.runs.iter().max_by_key(|run| run.stages().len()) else { continue };
        let stages = run.stages();
        if stages.len() < 2 {
            continue;
        }
        for (j, (step, name)) in stages.iter().enumerate() {
            let at = frame.at(*step as f64, 0.0)[0];
            if j > 0 {
                frame.upright(scene, *step as f64, Stroke::new(series(i), 0.7).dashed(SWITCH));
            }
            let next = stages.get(j + 1).map_or(frame.right(), |s| frame.at(s.0 as f64, 0.0)[0]);
            if named {
                let name = super::scene::cut(name, SMALL, next - at - 4.0);
                let y = frame.top - 2.0 - row;
                scene.text([at + 2.0, y], name, SMALL, series(i), Anchor::Start);
            }
        }
        row += LABEL;
    }
}

/// Seeds that end before others: what is drawn after that is without them.
pub(super) fn early_ends(arms: &[Arm]) -> Vec<String> {
    let mut told = vec![];
    for arm in arms {
        let ends = arm.runs.iter().filter_map(|run| run.metrics.evals.last().map(|e| e.step));
        let ends: Vec<u64> = ends.collect();
        let last = ends.iter().max().copied().unwrap_or(0);
        let early = ends.iter().filter(|&&end| end < last).count();
        if early > 0 {
            let all = ends.len();
            told.push(format!("{}: {early} of {all} seeds end before step {last}", arm.name));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::super::{Figure, svg};
    use super::*;
    use crate::results::synthetic::Synthetic;

    #[test]
    fn centres_and_stages_are_those_of_the_runs() {
        let root = tempfile::tempdir().unwrap();
        Synthetic::small().write(root.path());
        let arms = arms::read(&[root.path().into()]).unwrap();
        let options = Options { centre: Centre::Median, ..Options::default() };
        let bands = bands(&arms, |eval| eval.test_accuracy, &options);
        assert_eq!((bands[0].len(), bands[1].len()), (1, 2), "stages of both arms");
        let curriculum = &bands[1][1];
        assert_eq!((curriculum.step[0], *curriculum.step.last().unwrap()), (200.0, 400.0));
        let mut ends: Vec<f64> = arms[1]
            .runs
            .iter()
            .map(|run| run.metrics.evals.last().unwrap().test_accuracy.unwrap())
            .collect();
        ends.sort_by(f64::total_cmp);
        assert_eq!(*curriculum.centre.last().unwrap(), ends[1], "the median of three");
        for (centre, [low, high]) in curriculum.centre.iter().zip(&curriculum.interval) {
            assert!(low <= centre && centre <= high);
        }
    }

    #[test]
    fn the_picture_is_the_same_every_time() {
        let root = tempfile::tempdir().unwrap();
        let evil = "<script>&\"";
        let arms = vec![(evil, false), ("curriculum", true)];
        Synthetic { arms, ..Synthetic::small() }.write(root.path());
        let options = Options::default();
        let drawing = draw(&[root.path().into()], &options).unwrap();
        let text = svg::write(&drawing.scene);
        svg::tests::well_formed(&text);
        assert!(text.contains("aria-label=\"&lt;script&gt;&amp;&quot;\""));
        assert!(text.contains("mean of 3 seeds; band (test): 95 % interval"));
        assert_eq!(text, svg::write(&draw(&[root.path().into()], &options).unwrap().scene));
        assert!(drawing.warnings.is_empty(), "{:?}", drawing.warnings);
        let name = |arm: &'static str| {
            let root = tempfile::tempdir().unwrap();
            Synthetic { arms: vec![(arm, false)], ..Synthetic::small() }.write(root.path());
            super::super::draw(Figure::Curves, &[root.path().into()], &options).unwrap().warnings
        };
        let warnings = name("模型 µ");
        assert!(warnings[0].contains("no glyph for 型模:"), "{warnings:?}");
        assert!(name("lr é µ").is_empty());
        let wide = Options { width: Some(6.75), ..options };
        assert_eq!(draw(&[root.path().into()], &wide).unwrap().scene.width, 486.0);
    }
}
