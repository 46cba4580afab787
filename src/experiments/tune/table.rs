//! What methods have come to on one base model or on several: means with their intervals, in a
//! table.
//!
//! On one base model its seeds are the sample; on several these are, each with the mean of its
//! seeds.

use super::course::{Course, courses};
use super::run::Report;
use super::settings::{Method, Settings};
use crate::formats::comparison::{Comparison, Mean, TuningRow};
use crate::formats::tuning_report::Judgement;
use crate::named::Named;
use crate::stats;
use crate::tuning::Select;
use std::collections::BTreeMap;

/// What a method has come to.
type Row = TuningRow<Settings>;

/// A figure of a run; none of runs that do not have it.
type Figure = fn(&Report) -> Option<f64>;

/// By their names in a comparison.
const FIGURES: [(&str, Figure); 13] = [
    ("target", |r| Some(r.after().target)),
    ("gap", |r| Some(r.after().gap - r.before().gap)),
    ("transfer", |r| Some(r.after().transfer)),
    ("retention", |r| Some(r.after().retention)),
    ("worst", |r| Some(r.after().worst()?.1)),
    ("nll_change", |r| Some(r.after().nll_change)),
    ("faithfulness", |r| courses(r)?[0].last),
    ("completeness", |r| courses(r)?[1].last),
    ("connectivity", |r| courses(r)?[2].last),
    ("trained", |r| Some(r.share())),
    ("ever", |r| Some(r.ever_share())),
    ("step_ms", |r| Some(r.step_ms)),
    ("bytes", |r| Some(r.bytes as f64)),
];

/// A column of the table: its head, its figure, and how many digits it has.
type Column<'a> = (&'a str, &'static str, usize);

/// The mean of a list with its 95 % interval, without one for too few values; none of an empty
/// list.
fn mean(list: &[f64]) -> Option<Mean> {
    Some(Mean { mean: stats::mean(list)?, interval: stats::mean_interval(list) })
}

/// What the runs of a method have come to; `lr` is its learning rate, and whether it is the
/// smallest or the largest that was tried.
pub(super) fn row(
    name: &str,
    (lr, at_the_edge): (f64, bool),
    reports: Vec<Report>,
    failures: Vec<String>,
) -> Row {
    let of = |figure: Figure| mean(&reports.iter().filter_map(figure).collect::<Vec<_>>());
    TuningRow {
        name: name.into(),
        method: reports.first().map(|r| r.settings.method.name().into()),
        lr,
        at_the_edge,
        pareto: false,
        diverged: reports.iter().filter(|r| r.diverged.is_some()).count(),
        figures: FIGURES.map(|(name, figure)| (name.into(), of(figure))).into(),
        reports,
        failures,
    }
}

/// Marks the methods that no other beats or equals in what is reached, in what is kept and in
/// parameters ever trained at once, by means.
pub(super) fn mark_pareto(rows: &mut [Row]) {
    let figures = |row: &Row| {
        let of = |figure: fn(&Report) -> f64| {
            stats::mean(&row.reports.iter().map(figure).collect::<Vec<_>>())
        };
        Some([
            of(|r| r.after().target)?,
            of(|r| r.after().retention)?,
            -of(|r| r.ever_trained as f64)?,
        ])
    };
    let all: Vec<Option<[f64; 3]>> = rows.iter().map(figures).collect();
    let beats = |a: &[f64; 3], b: &[f64; 3]| a != b && a.iter().zip(b).all(|(a, b)| a >= b);
    for (row, own) in rows.iter_mut().zip(&all) {
        row.pareto = own.is_some_and(|own| !all.iter().flatten().any(|other| beats(other, &own)));
    }
}

/// A method on each of some base models.
struct Arm<'a>(Vec<&'a Row>);

impl<'a> Arm<'a> {
    /// The methods of comparisons of the same grid, at equal budget or at equal gain.
    fn all(comparisons: &'a [Comparison<Settings>], equal_gain: bool) -> Vec<Arm<'a>> {
        let of = |c: &'a Comparison<Settings>| match equal_gain {
            true => c.equal_gain.as_ref().map_or(&[][..], |equal| &equal.rows),
            false => &c.rows[..],
        };
        let first = comparisons.first().map_or(&[][..], of);
        let named = |name: &str| {
            let rows = comparisons.iter().flat_map(of);
            Arm(rows.filter(|row| row.name == name).collect())
        };
        first.iter().map(|row| named(&row.name)).collect()
    }

    fn name(&self) -> &'a str {
        &self.0[0].name
    }

    /// A figure of what are the sample: seeds of one base, or bases.
    fn sample(&self, figure: &dyn Fn(&Report) -> Option<f64>) -> Vec<f64> {
        sample(self.0.iter().map(|row| row.reports.iter().filter_map(figure).collect()).collect())
    }

    fn figure(&self, name: &str) -> Vec<f64> {
        figure(name).map_or(vec![], |figure| self.sample(&figure))
    }

    /// A figure's differences from another method, base by base and seed by seed.
    fn minus(&self, other: &Arm<'_>, name: &str) -> Vec<f64> {
        let Some(figure) = figure(name) else { return vec![] };
        let of_base = |(row, other): (&&Row, &&Row)| {
            let pair = |r: &Report| {
                let same = other.reports.iter().find(|o| o.seed == r.seed)?;
                Some(figure(r)? - figure(same)?)
            };
            row.reports.iter().filter_map(pair).collect()
        };
        sample(self.0.iter().zip(&other.0).map(of_base).collect())
    }

    /// Its learning rates from the smallest to the largest.
    fn rates(&self) -> String {
        let each = || self.0.iter().map(|row| row.lr);
        let (low, high) = (each().fold(f64::INFINITY, f64::min), each().fold(0.0, f64::max));
        let edge = if self.0.iter().any(|row| row.at_the_edge) { "!" } else { " " };
        match low == high {
            true => format!("{low:.0e}{edge}"),
            false => format!("{low:.0e}..{high:.0e}{edge}"),
        }
    }
}

fn figure(name: &str) -> Option<Figure> {
    FIGURES.iter().find(|(other, _)| *other == name).map(|(_, figure)| *figure)
}

/// Of one group its values, of several their means.
fn sample(mut groups: Vec<Vec<f64>>) -> Vec<f64> {
    match groups.len() {
        1 => groups.remove(0),
        _ => stats::group_means(&groups),
    }
}

/// What the comparisons of a grid on one base model or on several have come to, for people: means
/// with their intervals, retention by domain, and the circuit against all others.
///
/// # Panics
/// If there are none.
pub fn table(comparisons: &[Comparison<Settings>]) -> String {
    let first = &comparisons[0];
    let columns: [Column<'_>; 6] = [
        (&first.target, "target", 3),
        ("gap gained", "gap", 2),
        ("transfer", "transfer", 3),
        ("retention", "retention", 3),
        ("worst domain", "worst", 3),
        ("nll others", "nll_change", 3),
    ];
    let wide = first.rows.iter().map(|r| r.name.len()).max().unwrap_or(0).max(6);
    let mut lines = vec![format!("{}; {}", first.title, sample_said(first.seeds, comparisons))];
    let arms = Arm::all(comparisons, false);
    lines.extend(block(comparisons, &arms, &columns, wide));
    lines.extend(notes(&arms));
    lines.extend(differences(&arms, &columns));
    lines.extend(domains(&arms, wide));
    lines.extend(circuits(&arms, wide));
    lines.extend(grafts(&arms, wide));
    lines.extend(ends(&arms, wide));
    let equal = Arm::all(comparisons, true);
    let levels = comparisons.iter().filter_map(|c| Some(c.equal_gain.as_ref()?.level));
    if let Some(level) = stats::mean(&levels.collect::<Vec<_>>()) {
        lines.push(format!(
            "\nat equal gain: each at its smallest rate that gains {level:.2} on development \
             examples, which every method does at one of its own"
        ));
        lines.extend(block(comparisons, &equal, &columns, wide));
        lines.extend(differences(&equal, &columns));
        lines.extend(domains(&equal, wide));
    }
    lines.join("\n") + "\n"
}

/// What the means are of, and whether they have intervals.
fn sample_said(seeds: u64, comparisons: &[Comparison<Settings>]) -> String {
    let least = stats::LEAST_OF_MEAN;
    let few = |n: usize, what: &str| match n < least {
        true => format!("an interval takes {least} {what}"),
        false => format!("[95 % interval over {what}]"),
    };
    let of_seeds = if seeds == 1 { "one seed".into() } else { format!("{seeds} seeds") };
    match comparisons.len() {
        1 => format!("means of {of_seeds} of one base model: {}", few(seeds as usize, "seeds")),
        n => format!("means of {n} base models with {of_seeds} each: {}", few(n, "base models")),
    }
}

/// The heads, the model before tuning, and a line for each method.
fn block(
    comparisons: &[Comparison<Settings>],
    arms: &[Arm<'_>],
    columns: &[Column<'_>],
    wide: usize,
) -> Vec<String> {
    let heads = columns.iter().map(|(head, ..)| format!("{head:>24}")).collect::<String>();
    let mut lines = vec![format!(
        "{:wide$} {:>11} {:>7} {:>6}{heads} {:>8} {:>7}",
        "", "lr", "trained", "ever", "ms/step", "MB"
    )];
    let before = |of: fn(&Judgement) -> f64| {
        stats::mean(&comparisons.iter().map(|c| of(&c.base)).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    let base = [before(|b| b.target), 0.0, before(|b| b.transfer), 1.0, 1.0, 0.0];
    let cell = |(x, &(_, _, digits)): (&f64, &Column<'_>)| {
        format!("{:>24}", format!("{x:.digits$}{:16}", ""))
    };
    let base = base.iter().zip(columns).map(cell).collect::<String>();
    lines.push(format!("{:wide$} {:>11} {:>7} {:>6}{base}", "base", "", "", ""));
    lines.extend(arms.iter().map(|arm| line(arm, columns, wide)));
    lines
}

fn line(arm: &Arm<'_>, columns: &[Column<'_>], wide: usize) -> String {
    let of = |figure: &str| mean(&arm.figure(figure));
    let one = |figure: &str, worth: f64, digits: usize| {
        of(figure).map_or("-".into(), |m| format!("{:.digits$}", worth * m.mean))
    };
    let percent =
        |figure: &str| of(figure).map_or("-".into(), |m| format!("{:.1}%", 100.0 * m.mean));
    let cells = columns.iter().map(|&(_, figure, digits)| {
        format!("{:>24}", of(figure).map_or("-".into(), |m| interval(&m, digits)))
    });
    format!(
        "{:wide$} {:>11} {:>7} {:>6}{} {:>8} {:>7}{}",
        arm.name(),
        arm.rates(),
        percent("trained"),
        percent("ever"),
        cells.collect::<String>(),
        one("step_ms", 1.0, 1),
        one("bytes", 1e-6, 2),
        if arm.0.iter().all(|row| row.pareto) { " *" } else { "" },
    )
}

fn interval(m: &Mean, digits: usize) -> String {
    let range = m.interval.map_or(String::new(), |[a, b]| format!("[{a:.digits$}, {b:.digits$}]"));
    format!("{:.digits$} {range:>15}", m.mean)
}

/// What the marks mean, and which runs went wrong.
fn notes(arms: &[Arm<'_>]) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        "trained: numbers an update changes, ever: those that any did; both per numbers in the blocks"
            .into(),
        "* no other method reaches and keeps as much with as few numbers ever trained".into(),
    ];
    let rows = || arms.iter().flat_map(|arm| &arm.0);
    if rows().any(|row| row.at_the_edge) {
        lines.push("! the best learning rate is the smallest or the largest that was tried".into());
    }
    for arm in arms {
        let count = |of: fn(&Row) -> usize| arm.0.iter().map(|row| of(row)).sum::<usize>();
        let diverged = count(|row| row.diverged);
        if diverged > 0 {
            let runs = count(|row| row.reports.len());
            lines.push(format!("{}: {diverged} of {runs} runs diverged", arm.name()));
        }
        let failures = arm.0.iter().flat_map(|row| &row.failures);
        lines.extend(failures.map(|why| format!("{}: failed: {why}", arm.name())));
    }
    lines
}

/// The circuit against every other method, base by base and seed by seed: the question that decides
/// whether it is worth it. With a sample of enough, p-values that are adjusted for all differences.
fn differences(arms: &[Arm<'_>], columns: &[Column<'_>]) -> Vec<String> {
    let Some(circuit) = arms.iter().find(|arm| arm.name() == "circuit") else { return vec![] };
    let others = || arms.iter().filter(|arm| arm.name() != "circuit");
    let of = |other: &Arm<'_>| -> Vec<Vec<f64>> {
        columns.iter().map(|(_, figure, _)| circuit.minus(other, figure)).collect()
    };
    let all: Vec<Vec<Vec<f64>>> = others().map(of).collect();
    let p: Vec<f64> = all.iter().flatten().filter_map(|values| stats::t_test(values)).collect();
    let mut adjusted = stats::holm(&p).into_iter();
    let mut lines = vec![];
    for (other, all) in others().zip(&all) {
        let (mut cells, mut least) = (vec![], vec![]);
        for (values, &(head, _, digits)) in all.iter().zip(columns) {
            let Some(m) = mean(values) else { continue };
            let p = stats::t_test(values).and_then(|_| adjusted.next());
            let p = p.map_or(String::new(), |p| format!(" p {p:.3}"));
            cells.push(format!("{head} {}{p}", interval(&m, digits).trim_end()));
            least.extend(stats::detectable(values).map(|x| format!("{head} {x:.digits$}")));
        }
        lines.push(format!("circuit - {}, seed by seed: {}", other.name(), cells.join(", ")));
        if !least.is_empty() {
            lines.push(format!("  told from 0 in 80 % of cases from {} on", least.join(", ")));
        }
    }
    if !p.is_empty() {
        lines.push(format!(
            "p: Student's t, adjusted for these {} differences (Holm 1979)",
            p.len()
        ));
    }
    lines
}

/// What is kept of each domain: score after / score before.
fn domains(arms: &[Arm<'_>], wide: usize) -> Vec<String> {
    let reports = || arms.iter().flat_map(|arm| &arm.0).flat_map(|row| &row.reports);
    let before: Vec<Judgement> = reports().map(|r| r.after().clone()).collect();
    let Some(before) = (!before.is_empty()).then(|| Judgement::mean(&before)) else {
        return vec![];
    };
    if before.domains.is_empty() {
        return vec![];
    }
    let heads = before.domains.keys().map(|name| {
        // Whether a domain is at an end is told by the items of one run.
        let mark = reports().next().and_then(|r| Some(r.after().domains.get(name)?.mark()));
        format!("{:>24}", format!("{name}{}", mark.unwrap_or("")))
    });
    let scores = before
        .domains
        .values()
        .map(|kept| format!("{:>24}", format!("{:.3}{:16}", kept.before, "")));
    let mut lines = vec![
        format!("\n{:wide$}{}", "kept", heads.collect::<String>()),
        format!("{:wide$}{}", "before", scores.collect::<String>()),
    ];
    for arm in arms {
        let cell = |name: &String| {
            let kept = arm.sample(&|r| r.after().domains.get(name)?.ratio());
            format!("{:>24}", mean(&kept).map_or("-".into(), |m| interval(&m, 3)))
        };
        let cells = before.domains.keys().map(cell).collect::<String>();
        lines.push(format!("{:wide$}{cells}", arm.name()));
    }
    lines.push(
        "before: the score; else score after / before. ^ at its ceiling, _ at its floor".into(),
    );
    lines
}

/// How good the circuits are that were trained: means of the first, of those between and of the
/// last.
fn circuits(arms: &[Arm<'_>], wide: usize) -> Vec<String> {
    let mut lines = vec![];
    for arm in arms {
        let run = arm.0.iter().flat_map(|row| &row.reports).find_map(courses);
        let Some(some) = run else { continue };
        if lines.is_empty() {
            let heads = some.map(|course| format!("{:>24}", course.name)).concat();
            let when = ["first", "during", "last"].map(|when| format!("{when:>8}")).concat();
            lines.push(String::new());
            lines.push(format!("{:wide$}{heads}", "circuits"));
            lines.push(format!("{:wide$}{}", "", when.repeat(some.len())));
        }
        let cell = |i: usize, of: fn(&Course) -> Option<f64>| {
            let values = arm.sample(&|r| of(&courses(r)?[i]));
            stats::mean(&values).map_or(format!("{:>8}", "-"), |x| format!("{x:>8.3}"))
        };
        let figure = |i| cell(i, |c| c.first) + &cell(i, |c| c.during) + &cell(i, |c| c.last);
        let cells = (0..some.len()).map(figure).collect::<String>();
        lines.push(format!("{:wide$}{cells}", arm.name()));
    }
    lines
}

/// What methods gain that train a fixed number of ends, by that number.
fn ends(arms: &[Arm<'_>], wide: usize) -> Vec<String> {
    let mut curves: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for arm in arms {
        let Some(run) = arm.0.iter().find_map(|row| row.reports.first()) else { continue };
        let Settings { select, edges, edges_start, method, .. } = run.settings;
        let gained = stats::mean(&arm.figure("gap"));
        if let (Select::Nodes, None, Some(gained)) = (select, edges_start, gained) {
            curves.entry(method.name()).or_default().push((edges, gained));
        }
    }
    curves.retain(|method, points| points.len() > 1 && *method != Method::Full.name());
    let line = |(method, points): (&&str, &Vec<(f64, f64)>)| {
        let points: Vec<String> = points.iter().map(|(n, gap)| format!("{n}: {gap:.2}")).collect();
        format!("{method:wide$}  {}", points.join(", "))
    };
    let mut lines: Vec<String> = curves.iter().map(line).collect();
    if !lines.is_empty() {
        lines.insert(0, "\ngap gained, by the number of ends that are trained".into());
    }
    lines
}

/// Share of the gain that the largest changes alone keep, at all sizes.
fn grafts(arms: &[Arm<'_>], wide: usize) -> Vec<String> {
    let mut lines = vec![];
    for arm in arms {
        let all = arm.0.iter().flat_map(|row| &row.reports);
        let sizes = all.map(|r| r.graft_curve.len()).max().unwrap_or(0);
        if sizes == 0 {
            continue;
        }
        let kept = |i: usize| {
            let share = |r: &Report| {
                let gained = |j: &Judgement| j.gap - r.before().gap;
                Some(gained(&r.graft_curve.get(i)?.judgement) / gained(r.after()))
            };
            let m = mean(&arm.sample(&share));
            let cell = m.map_or("-".into(), |m| format!("{:.2}", m.mean));
            format!("1/{}: {cell}", 1u64 << i)
        };
        let curve: Vec<String> = (0..sizes).map(kept).collect();
        lines.push(format!("\n{:wide$}  {}", arm.name(), curve.join(", ")));
    }
    if !lines.is_empty() {
        lines.push(
            "share of the gap gained that the largest changes keep, by their share of all".into(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::comparison::tests::comparison;
    use serde_json::{Value, json};

    /// Runs of a method whose targets are `targets [seeds]`.
    fn method(name: &str, targets: &[f64]) -> Value {
        let mut row = comparison()["rows"][0].clone();
        let run = |(seed, target): (usize, &f64)| {
            let mut report = row["reports"][0].clone();
            report["seed"] = json!(seed);
            report["path"][1]["judgement"]["target"] = json!(target);
            report
        };
        let reports: Value = targets.iter().enumerate().map(run).collect();
        (row["name"], row["reports"]) = (json!(name), reports);
        row
    }

    /// The differences are .2, .1 and 0: `t.975 s / √3 = 4.303 * .1 / 1.732`, and
    /// `(t.975 + t.8) s / √3 = (4.303 + 1.061) * .1 / 1.732`.
    #[test]
    fn differences_stand_beside_what_seeds_can_tell() {
        let mut value = comparison();
        value["rows"] = json!([
            method("circuit", &[0.9, 0.7, 0.4]),
            method("random", &[0.7, 0.6, 0.4]),
            method("full", &[0.7]),
        ]);
        let read: Comparison<Settings> = serde_json::from_value(value).expect("a comparison");
        let (read, columns) = ([read], [("disagree", "target", 3)]);
        let lines = differences(&Arm::all(&read, false), &columns);
        assert_eq!(
            lines,
            [
                "circuit - random, seed by seed: disagree 0.100 [-0.148, 0.348] p 0.225",
                "  told from 0 in 80 % of cases from disagree 0.310 on",
                "circuit - full, seed by seed: disagree 0.200",
                "p: Student's t, adjusted for these 1 differences (Holm 1979)",
            ]
        );
    }

    /// Two bases with three seeds each give two values, which have no interval; four do, and it is
    /// that of their means.
    #[test]
    fn several_base_models_are_the_sample() {
        let base = |targets: &[f64]| -> Comparison<Settings> {
            let mut value = comparison();
            value["rows"] = json!([method("circuit", targets), method("random", &[0.1, 0.1, 0.1])]);
            serde_json::from_value(value).expect("a comparison")
        };
        let all =
            [[0.9, 0.7, 0.8], [0.5, 0.7, 0.6], [0.3, 0.4, 0.5], [0.6, 0.6, 0.6]].map(|t| base(&t));
        let arms = Arm::all(&all, false);
        let means = arms[0].figure("target");
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(means.len() == 4 && close(&means, &[0.8, 0.6, 0.4, 0.6]), "{means:?}");
        let minus = arms[0].minus(&arms[1], "target");
        assert!(close(&minus, &[0.7, 0.5, 0.3, 0.5]), "{minus:?}");
        let text = table(&all);
        assert!(text.contains("4 base models with one seed each: [95 % interval"), "{text}");
        let line = text.lines().find(|line| line.starts_with("circuit")).expect("its line");
        // .6 and t.975(3) s / √4 = 3.182 * .1633 / 2.
        assert!(line.contains("0.600  [0.340, 0.860]"), "{line}");
        assert!(table(&all[..2]).contains("an interval takes 3 base models"));
    }
}
