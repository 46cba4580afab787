//! `sweep`: what the runs of a sweep come to by what they have of an axis, and how often they
//! succeed.

use std::path::PathBuf;
use std::slice;

use serde_json::Value;

use super::ablations::{EDGE, range};
use super::axis::{Axis, Frame, legend};
use super::centre::Centre;
use super::font;
use super::palette::{GREY, GUIDE, series};
use super::read::only;
use super::scene::{Anchor, LABEL, SMALL, Scene, Stroke, cut};
use super::{Drawing, Options};
use crate::error::{Error, Result};
use crate::formats::sweep_results::{Status, SweepResults};
use crate::results::sweep::{Group, Question, groups, name};

/// The heights of the panel of the figure and of that of the rate.
const HEIGHTS: [f64; 2] = [110.0, 60.0];
/// Between the two panels.
const BETWEEN: f64 = 10.0;
/// Between two groups of other series at the same place.
const BESIDE: f64 = 4.0;
/// An axis is logarithmic if its last value is at least this many times its first.
const DECADES: f64 = 20.0;
/// The most values of which each has a tick.
const TICKS: usize = 8;

pub(super) fn draw(inputs: &[PathBuf], options: &Options) -> Result<Drawing> {
    let help = "give one sweep a figure; `edgegrad merge` joins its shards";
    let results = SweepResults::of(only(inputs, "sweep", help)?)?;
    let question = question(&results, options)?;
    let groups = groups(&results, &question)?;
    let places = Places::of(groups.iter().map(|group| &group.of[0]));
    let mut all: Vec<String> = vec![];
    let mut points: Vec<Point<'_>> = vec![];
    for group in &groups {
        let series = group.of.get(1).map_or(String::new(), |value| name(slice::from_ref(value)));
        let i = all.iter().position(|known| *known == series).unwrap_or_else(|| {
            all.push(series);
            all.len() - 1
        });
        points.push(Point { x: places.place(&group.of[0]), series: i, group });
    }
    points.sort_by(|a, b| a.series.cmp(&b.series).then(a.x.total_cmp(&b.x)));

    let width = options.points(3.25);
    let value = &question.value;
    let mut scene = Scene::new(width, format!("{value} by {}", question.by.join(" and ")));
    let entries = all.iter().enumerate().map(|(i, name)| {
        let axis = question.by.last().map_or("", String::as_str);
        (Stroke::new(series(i), 1.4), format!("{axis} = {name}"))
    });
    let entries: Vec<_> = entries.filter(|_| question.by.len() > 1).collect();
    let top = EDGE + legend(&mut scene, [EDGE, EDGE], width - 2.0 * EDGE, &entries);
    let counts: Vec<usize> = groups.iter().map(|group| group.values.len()).collect();
    let said = options.centre.statement(&counts, "run", "line");
    scene.text([EDGE, top + SMALL], &said, SMALL, GREY, Anchor::Start);

    // Of a sweep that knows no success every run that has ended would be one.
    let rated = results.columns().contains(&"success");
    let y = [values_axis(&groups, options.centre, value), rate_axis()];
    let left = EDGE + y.iter().map(Axis::breadth).fold(0.0, f64::max);
    let wide = width - left - 12.0;
    let panels = if rated { 2 } else { 1 };
    let mut at = top + 2.2 * SMALL;
    for (i, y) in y.into_iter().enumerate().take(panels) {
        let x = places.axis(&question.by[0], wide);
        let frame = Frame { left, top: at, width: wide, height: HEIGHTS[i], x, y };
        frame.y.ticks.iter().for_each(|(y, _)| frame.level(&mut scene, *y, GUIDE));
        frame.draw_x(&mut scene, i + 1 == panels);
        frame.draw_y(&mut scene, true);
        let seen = if i == 0 { Point::values } else { Point::rate };
        draw_points(&mut scene, &frame, &points, &places, |point| seen(point, options.centre));
        at = frame.bottom() + BETWEEN;
        scene.height = frame.bottom() + frame.x.depth() + EDGE;
    }
    let mut caption = vec![format!("{said}; faint: single runs")];
    if rated {
        caption.push("success rate: of all runs, with Wilson's 95 % interval".into());
    }
    let lost = results.rows.iter().filter(|row| row.status != Status::Done).count();
    let lost = (lost > 0).then(|| {
        let runs = results.rows.len();
        format!("{lost} of {runs} runs diverged or failed: they have no figure, and no success")
    });
    Ok(Drawing { scene, caption, warnings: lost.into_iter().collect() })
}

/// What is asked of the runs.
fn question(results: &SweepResults, options: &Options) -> Result<Question> {
    let known = || format!("there are {}", results.columns().join(", "));
    if !(1..=2).contains(&options.by.len()) {
        let message = format!("takes one axis, or two, got {}", options.by.len());
        return Err(Error::input("--by", message, known()));
    }
    let Some(value) = options.value.clone() else {
        return Err(Error::input("--value", "is needed for this figure", known()));
    };
    Ok(Question { by: options.by.clone(), value, success: None, against: None })
}

/// A group of runs on paper.
struct Point<'a> {
    x: f64,
    series: usize,
    group: &'a Group,
}

/// What is drawn of a group: single runs, an interval and a centre.
type Seen = (Vec<f64>, Option<[f64; 2]>, Option<f64>);

impl Point<'_> {
    fn values(&self, centre: Centre) -> Seen {
        let values = &self.group.values;
        (values.clone(), centre.interval(values), centre.of(values))
    }

    fn rate(&self, _: Centre) -> Seen {
        (vec![], Some(self.group.rate_interval()), Some(self.group.rate()))
    }
}

/// Single runs below, then for each series its intervals and its centres, joined where the axis has
/// an order.
fn draw_points<'a>(
    scene: &mut Scene,
    frame: &Frame,
    points: &[Point<'a>],
    places: &Places,
    seen: impl Fn(&Point<'a>) -> Seen,
) {
    let last = points.iter().map(|point| point.series).max().unwrap_or(0);
    // Series stand beside each other.
    let beside = |series: usize| BESIDE * (series as f64 - 0.5 * last as f64);
    let at = |point: &Point<'a>, y: f64| {
        let [x, y] = frame.at(point.x, y);
        [x + beside(point.series), y]
    };
    for point in points {
        let ink = series(point.series).at(0.35);
        for run in seen(point).0 {
            scene.circle(at(point, run), 1.1, ink, None);
        }
    }
    for i in 0..=last {
        let ink = series(i);
        let mut line = vec![];
        for point in points.iter().filter(|point| point.series == i) {
            let (_, interval, centre) = seen(point);
            if let Some(ends) = interval {
                scene.line(ends.map(|y| at(point, y)).to_vec(), Stroke::new(ink, 1.1));
            }
            if let Some(centre) = centre {
                scene.circle(at(point, centre), 1.9, ink, None);
                line.push(at(point, centre));
            }
        }
        if places.numbers {
            scene.line(line, Stroke::new(ink.at(0.6), 0.8));
        }
    }
}

/// Where the values of an axis stand: numbers by their size, all else beside each other.
struct Places {
    /// Each once; numbers rise, others are in the order in which they come.
    values: Vec<Value>,
    numbers: bool,
}

impl Places {
    fn of<'a>(all: impl Iterator<Item = &'a Value>) -> Places {
        let mut values: Vec<Value> = vec![];
        for value in all {
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
        let numbers = values.iter().all(Value::is_number);
        if numbers {
            values.sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
        Places { values, numbers }
    }

    fn place(&self, value: &Value) -> f64 {
        if self.numbers {
            return number(value);
        }
        self.values.iter().position(|known| known == value).unwrap_or(0) as f64
    }

    fn axis(&self, title: &str, width: f64) -> Axis {
        let ticks: Vec<(f64, String)> = self
            .values
            .iter()
            .map(|value| (self.place(value), name(slice::from_ref(value))))
            .collect();
        let share = width / ticks.len().max(1) as f64;
        if !self.numbers {
            let names = ticks.into_iter().map(|(x, name)| (x, cut(&name, LABEL, share - 3.0)));
            let high = self.values.len() as f64 - 0.5;
            return Axis::linear(-0.5, high, 1, title).with_ticks(names.collect());
        }
        let [low, high] = [ticks.first(), ticks.last()].map(|tick| tick.map_or(0.0, |tick| tick.0));
        let axis = if low > 0.0 && high / low >= DECADES {
            let room = (high / low).powf(0.04);
            Axis::log(low / room, high * room, 5, title)
        } else {
            let room = 0.04 * (high - low);
            Axis::linear(low - room, high + room, 5, title)
        };
        let said = ticks.iter().map(|(_, name)| font::width(name, LABEL) + 6.0);
        let fits = ticks.len() <= TICKS && said.fold(0.0, f64::max) <= share;
        if fits { axis.with_ticks(ticks) } else { axis }
    }
}

/// The number that a value is.
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// An axis that holds all runs and intervals.
fn values_axis(groups: &[Group], centre: Centre, title: &str) -> Axis {
    let ends = groups.iter().filter_map(|group| centre.interval(&group.values)).flatten();
    let runs = groups.iter().flat_map(|group| group.values.iter().copied());
    let (low, high) = range(ends.chain(runs).filter(|x| x.is_finite()));
    let room = 0.03 * (high - low);
    Axis::linear(low - room, high + room, 5, title)
}

fn rate_axis() -> Axis {
    Axis::linear(0.0, 1.0, 3, "success rate")
}

#[cfg(test)]
mod tests {
    use super::super::svg;
    use super::*;
    use crate::formats::sweep_results::NAME;
    use serde_json::json;

    /// A sweep of two arms, three rates and four seeds, of which one run diverged.
    fn sweep(folder: &std::path::Path) {
        let head = json!({ "kind": "sweep", "version": 1, "generator": "edgegrad", "plan": {} });
        let mut lines = vec![head];
        for (i, rate) in [1e-3, 1e-1, 1e-2].into_iter().enumerate() {
            for (arm, seed) in [("<a>", 0), ("<a>", 1), ("b", 0), ("b", 1)] {
                let accuracy = 0.25 * i as f64 + 0.2 * f64::from(seed);
                let lost = i == 0 && arm == "b" && seed == 1;
                lines.push(json!({
                    "kind": "run", "id": format!("{arm}{i}{seed}"), "seconds": 1.0,
                    "status": if lost { "diverged" } else { "done" },
                    "axes": { "arm": arm, "train.lr": rate, "seed": seed },
                    "figures": { "accuracy": accuracy, "success": accuracy > 0.5 },
                }));
            }
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(folder.join(NAME), text).unwrap();
    }

    fn asked(by: &[&str], value: &str) -> Options {
        let by = by.iter().map(|axis| (*axis).into()).collect();
        Options { by, value: Some(value.into()), ..Options::default() }
    }

    #[test]
    fn every_group_has_a_point_in_both_panels() {
        let folder = tempfile::tempdir().unwrap();
        sweep(folder.path());
        let inputs = [folder.path().to_path_buf()];
        for (by, groups) in [(&["train.lr"][..], 3), (&["train.lr", "arm"], 6), (&["arm"], 2)] {
            let drawing = draw(&inputs, &asked(by, "accuracy")).unwrap();
            let text = svg::write(&drawing.scene);
            svg::tests::well_formed(&text);
            // 11 runs that have a figure, and two points a group.
            assert_eq!(text.matches("<circle").count(), 11 + 2 * groups, "{by:?}");
            assert!(drawing.warnings[0].starts_with("1 of 12 runs diverged"));
            assert_eq!(text.contains("&lt;a&gt;"), by.contains(&"arm"));
        }
    }

    #[test]
    fn numbers_rise_and_names_stand_beside_each_other() {
        let of = |values: &[Value]| Places::of(values.iter());
        let rates = of(&[json!(1e-3), json!(1e-1), json!(1e-2), json!(1e-3)]);
        let axis = rates.axis("lr", 200.0);
        let middle = axis.place(rates.place(&json!(1e-2)));
        assert!((middle - 0.5).abs() < 1e-12, "a logarithmic axis: {middle}");
        assert_eq!(axis.ticks.len(), 3, "a tick for each value");
        let names = of(&[json!("b"), json!("a"), json!("b")]);
        let axis = names.axis("arm", 200.0);
        let places = ["b", "a"].map(|name| axis.place(names.place(&json!(name))));
        assert_eq!(places, [0.25, 0.75]);
        let many: Vec<Value> = (0..40).map(|i| json!(i)).collect();
        assert!(of(&many).axis("n", 200.0).ticks.len() < 10);
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        sweep(folder.path());
        let inputs = [folder.path().to_path_buf()];
        let fail = |options: &Options| draw(&inputs, options).unwrap_err();
        assert!(fail(&asked(&[], "accuracy")).to_string().contains("--by"));
        assert!(fail(&asked(&["arm"], "acuracy")).help().contains("`accuracy`"));
        let unsaid = Options { value: None, ..asked(&["arm"], "") };
        assert!(fail(&unsaid).to_string().contains("--value"));
        let two = [inputs[0].clone(), inputs[0].clone()];
        let error = draw(&two, &asked(&["arm"], "accuracy")).unwrap_err();
        assert!(error.to_string().contains("one sweep too many"), "{error}");
    }
}
