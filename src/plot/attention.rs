//! `attention`: mean attention on each position over steps, an arm a map, for one seed.

use std::path::PathBuf;

use super::axis::{Axis, Frame, brief};
use super::palette::{AXIS, BLACK, series, shade};
use super::scene::{Anchor, INCH, LABEL, Scene, Stroke, cut, half_capital};
use super::{Drawing, Options, arms};
use crate::error::{Error, Result, at_key};
use crate::formats::metrics::EvalLine;
use crate::results::run::{Arm, Run};
use crate::results::thin::evenly;

/// Columns of a map: more are finer than print.
const COLUMNS: usize = 300;
/// Cells overlap by so much, or their seams would be seen.
const SEAM: f64 = 0.3;
const SWITCH: &[f64] = &[1.0, 1.5];
/// Between maps side by side: room for what their axes say.
const APART: f64 = 24.0;
/// Steps in the bar that explains shades.
const SHADES: usize = 48;

pub(super) fn draw(inputs: &[PathBuf], options: &Options) -> Result<Drawing> {
    let arms = arms::read(inputs)?;
    let seed = options.seed.or_else(|| common_seed(&arms));
    let runs = arms.iter().map(|arm| run_of(arm, seed)).collect::<Result<Vec<&Run>, _>>()?;
    let maps = runs.iter().map(|run| map_of(run)).collect::<Result<Vec<_>, _>>()?;
    let all = maps.iter().flatten().flat_map(|eval| eval.attention.iter().flatten());
    let largest = all.fold(0.0f64, |a, &x| a.max(x)).max(f64::MIN_POSITIVE);

    let width = options.points(3.25);
    let mut scene = Scene::new(width, "Mean attention on each position over training steps");
    let (edge, bar) = (4.0, 42.0);
    let last = maps.iter().flatten().map(|eval| eval.step).max().unwrap_or(1) as f64;
    let x = Axis::linear(0.0, last, 5, "training step");
    let mut frames: Vec<Frame> = vec![];
    let (head, side_by_side) = (LABEL * 1.6, width >= 5.0 * INCH && maps.len() > 1);
    for evals in &maps {
        let rows = evals[0].attention.len();
        let y = positions(rows);
        let height = (7.0 * rows as f64).clamp(60.0, 150.0);
        let left = edge + y.breadth();
        let frame = match frames.last() {
            Some(before) if side_by_side => {
                Frame { left: before.right() + APART, ..before.clone() }
            }
            Some(before) => {
                Frame { top: before.bottom() + head + 8.0, height, y, ..before.clone() }
            }
            None => {
                let parts = if side_by_side { maps.len() as f64 } else { 1.0 };
                let whole = width - left - bar - APART * (parts - 1.0);
                Frame { left, top: edge + head, width: whole / parts, height, x: x.clone(), y }
            }
        };
        // Maps side by side share the axis of the first, if they are as high.
        frames.push(Frame { y: positions(rows), ..frame });
    }
    for (i, ((frame, evals), (arm, run))) in
        frames.iter().zip(&maps).zip(arms.iter().zip(&runs)).enumerate()
    {
        let title = cut(&format!("{}, {}", arm.name, run.label()), LABEL, frame.width);
        scene.text([frame.left, frame.top - 4.0], title, LABEL, BLACK, Anchor::Start);
        cells(&mut scene, frame, evals, largest);
        relevant(&mut scene, frame, run, evals[0].attention.len(), last);
        let alike = frames.first().is_some_and(|first| first.y == frame.y);
        frame.draw_x(&mut scene, side_by_side || i + 1 == frames.len());
        frame.draw_y(&mut scene, i == 0 || !side_by_side || !alike);
    }
    let first = &frames[0];
    explain(&mut scene, [width - bar + 10.0, first.top], first.height, largest);
    let low = frames.iter().map(Frame::bottom).fold(0.0, f64::max);
    scene.height = low + x.depth() + 4.0;
    let caption = vec![
        "mean attention over the test set; line: the positions above it are those that count; \
         dotted: a new stage begins"
            .into(),
    ];
    Ok(Drawing { scene, caption, warnings: arms::warnings(&arms) })
}

/// The lowest seed that all arms have.
fn common_seed(arms: &[Arm]) -> Option<u64> {
    let seeds = |arm: &Arm| arm.runs.iter().filter_map(|run| run.seed).collect::<Vec<_>>();
    let all: Vec<Vec<u64>> = arms.iter().map(seeds).collect();
    let first = all.first()?;
    first.iter().copied().find(|seed| all.iter().all(|seeds| seeds.contains(seed)))
}

fn run_of(arm: &Arm, seed: Option<u64>) -> Result<&Run> {
    let found = match seed {
        Some(seed) => arm.runs.iter().find(|run| run.seed == Some(seed)),
        None => arm.runs.first(),
    };
    found.ok_or_else(|| {
        let has: Vec<String> = arm.runs.iter().map(Run::label).collect();
        let folder = arm.runs.first().and_then(|run| run.folder.parent());
        Error::input(
            at_key(folder.unwrap_or(std::path::Path::new(&arm.name)), "--seed"),
            format!("has no seed {}", seed.unwrap_or(0)),
            format!("give one of its own: {}", has.join(", ")),
        )
    })
}

/// The evaluations that have the attention on as many positions as the first one.
fn map_of(run: &Run) -> Result<Vec<&EvalLine>> {
    let evals = &run.metrics.evals;
    let rows = evals.iter().map(|eval| eval.attention.len()).find(|&rows| rows > 0).unwrap_or(0);
    let whole: Vec<&EvalLine> =
        evals.iter().filter(|eval| rows > 0 && eval.attention.len() == rows).collect();
    if whole.len() < 2 {
        return Err(Error::input(
            at_key(&run.folder.join("metrics.jsonl"), "attention"),
            "is in fewer than two evaluations",
            "give the run of a pooled model, trained with `--set train.eval_every=50`",
        ));
    }
    Ok(evenly(whole.len(), COLUMNS).into_iter().map(|i| whole[i]).collect())
}

/// Positions from 1, the first on top.
fn positions(rows: usize) -> Axis {
    let every = rows.div_ceil(8).next_power_of_two().max(1);
    let every = if rows <= 12 { rows.div_ceil(6) } else { every };
    let middle = |t: usize| (rows - t) as f64 - 0.5;
    let ticks = (0..rows).step_by(every.max(1)).map(|t| (middle(t), t.to_string()));
    Axis::linear(0.0, rows as f64, 4, "position").with_ticks(ticks.collect())
}

fn cells(scene: &mut Scene, frame: &Frame, evals: &[&EvalLine], largest: f64) {
    let rows = evals[0].attention.len();
    let step = |i: usize| evals[i].step as f64;
    for i in 0..evals.len() {
        // A look stands for the steps that are nearer to it than to any other.
        let before = if i == 0 { step(0) } else { 0.5 * (step(i - 1) + step(i)) };
        let after = if i + 1 == evals.len() { step(i) } else { 0.5 * (step(i) + step(i + 1)) };
        for (t, value) in evals[i].attention.iter().enumerate() {
            let Some(value) = value.filter(|value| value.is_finite()) else { continue };
            let [left, top] = frame.at(before, (rows - t) as f64);
            let [right, bottom] = frame.at(after, (rows - t - 1) as f64);
            if right > left {
                let size = [
                    (right - left + SEAM).min(frame.right() - left),
                    (bottom - top + SEAM).min(frame.bottom() - top),
                ];
                scene.rectangle([left, top], size, shade(value / largest), None);
            }
        }
    }
}

/// A line below the positions that count, and where stages begin.
fn relevant(scene: &mut Scene, frame: &Frame, run: &Run, rows: usize, last: f64) {
    let stages = run.stages();
    for (j, (step, _)) in stages.iter().enumerate() {
        let end = stages.get(j + 1).map_or(last, |next| next.0 as f64);
        let of_stage = run.config.stages.get(j).and_then(|stage| stage.task.k);
        if let Some(k) = of_stage.or(run.config.task.k).filter(|&k| k < rows) {
            let line = [*step as f64, end].map(|x| frame.at(x, (rows - k) as f64));
            scene.line(line.to_vec(), Stroke::new(series(0), 1.2));
        }
        if j > 0 {
            frame.upright(scene, *step as f64, Stroke::new(BLACK, 0.7).dashed(SWITCH));
        }
    }
}

/// What shades mean.
fn explain(scene: &mut Scene, [left, top]: [f64; 2], height: f64, largest: f64) {
    const WIDE: f64 = 6.0;
    let part = height / SHADES as f64;
    for i in 0..SHADES {
        let t = 1.0 - (i as f64 + 0.5) / SHADES as f64;
        let y = top + part * i as f64;
        let high = (part + SEAM).min(top + height - y);
        scene.rectangle([left, y], [WIDE, high], shade(t), None);
    }
    let corner = |x: f64, y: f64| [left + x * WIDE, top + y * height];
    let around = [corner(0.0, 0.0), corner(1.0, 0.0), corner(1.0, 1.0), corner(0.0, 1.0)];
    scene.line([&around[..], &around[..1]].concat(), AXIS);
    for (t, text) in [(0.0, brief(largest)), (1.0, "0".to_string())] {
        let y = top + t * height + half_capital(LABEL) + (0.5 - t) * LABEL * 0.7;
        scene.text([left + WIDE + 3.0, y], text, LABEL, BLACK, Anchor::Start);
    }
    let at = [left + WIDE + 3.0 + LABEL, top + 0.5 * height];
    scene.turned(at, cut("attention (share)", LABEL, height - 24.0), LABEL, BLACK, Anchor::Middle);
}

#[cfg(test)]
mod tests {
    use super::super::scene::Mark;
    use super::super::svg;
    use super::*;
    use crate::results::synthetic::Synthetic;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        Synthetic::small().write(root.path());
        root
    }

    #[test]
    fn every_look_has_a_cell_for_each_position() {
        let root = root();
        let inputs = [root.path().join("scratch")];
        let drawing = draw(&inputs, &Options::default()).unwrap();
        svg::tests::well_formed(&svg::write(&drawing.scene));
        let polygon = |mark: &&Mark| matches!(mark, Mark::Polygon { .. });
        let cells = drawing.scene.marks.iter().filter(polygon).count();
        // 21 evaluations of 12 positions, and the bar.
        assert_eq!(cells, 21 * 12 + SHADES);
    }

    #[test]
    fn seeds_are_chosen_and_missing_ones_named() {
        let root = root();
        let inputs = [root.path().to_path_buf()];
        let text = |seed| {
            let options = Options { seed, ..Options::default() };
            draw(&inputs, &options).map(|drawing| svg::write(&drawing.scene))
        };
        assert!(text(None).unwrap().contains("aria-label=\"curriculum, seed 0\""));
        assert!(text(Some(2)).unwrap().contains("aria-label=\"scratch, seed 2\""));
        let error = text(Some(9)).unwrap_err();
        assert!(error.to_string().contains("has no seed 9"), "{error}");
        assert!(error.help().contains("seed 0, seed 1, seed 2"), "{}", error.help());
    }

    #[test]
    fn ticks_of_positions_stay_few() {
        for rows in [1, 2, 12, 13, 64, 1000] {
            let ticks = positions(rows).ticks;
            assert!((1..=9).contains(&ticks.len()), "{rows}: {}", ticks.len());
            assert_eq!(ticks[0], (rows as f64 - 0.5, "0".to_string()));
        }
    }
}
