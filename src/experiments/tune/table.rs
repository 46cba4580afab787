//! What a method has come to: means over seeds with their intervals, and their table.

use super::course::{Course, courses};
use super::run::Report;
use super::settings::Settings;
use crate::formats::comparison::{Comparison, Mean, TuningRow};
use crate::named::Named;
use crate::stats;

/// What a method has come to.
type Row = TuningRow<Settings>;

/// A figure of a run; none of runs that do not have it.
type Figure = fn(&Report) -> Option<f64>;

/// By their names in a comparison.
const FIGURES: [(&str, Figure); 12] = [
    ("target", |r| Some(r.after().target)),
    ("gap", |r| Some(r.after().gap - r.before().gap)),
    ("transfer", |r| Some(r.after().transfer)),
    ("retention", |r| Some(r.after().retention)),
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

/// The mean of a list with its 95 % interval, without one for too few values; none of an empty list.
fn mean(list: &[f64]) -> Option<Mean> {
    Some(Mean { mean: stats::mean(list)?, interval: stats::mean_interval(list) })
}

/// What the runs of a method have come to; `lr` is its learning rate, and whether it is the smallest
/// or the largest that was tried.
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

/// What a comparison has come to, for people: means over seeds with their intervals, and circuits
/// against random ones.
pub fn table(comparison: &Comparison<Settings>) -> String {
    let columns: [Column<'_>; 5] = [
        (&comparison.target, "target", 3),
        ("gap gained", "gap", 2),
        ("transfer", "transfer", 3),
        ("retention", "retention", 3),
        ("nll others", "nll_change", 3),
    ];
    let wide = comparison.rows.iter().map(|r| r.name.len()).max().unwrap_or(0).max(6);
    let Comparison { title, seeds, .. } = comparison;
    let mut lines = vec![format!("{title}; means of {}", seeds_said(*seeds))];
    let heads = columns.map(|(head, ..)| format!("{head:>24}")).concat();
    lines.push(format!(
        "{:wide$} {:>7} {:>7} {:>6}{heads} {:>8} {:>7}",
        "", "lr", "trained", "ever", "ms/step", "MB"
    ));
    let b = &comparison.base;
    let base = [b.target, 0.0, b.transfer, 1.0, 0.0];
    let base: Vec<String> = base
        .iter()
        .zip(&columns)
        .map(|(x, &(_, _, digits))| format!("{:>24}", format!("{x:.digits$}{:16}", "")))
        .collect();
    lines.push(format!("{:wide$} {:>7} {:>7} {:>6}{}", "base", "", "", "", base.concat()));
    lines.extend(comparison.rows.iter().map(|row| line(row, &columns, wide)));
    lines.push(String::new());
    lines.push("trained: numbers an update changes, ever: those that any did; both per numbers in the blocks".into());
    lines.push(
        "* no other method reaches and keeps as much with as few numbers ever trained".into(),
    );
    if comparison.rows.iter().any(|r| r.at_the_edge) {
        lines.push("! the best learning rate is the smallest or the largest that was tried".into());
    }
    for row in &comparison.rows {
        if row.diverged > 0 {
            lines.push(format!("{}: {} of {seeds} runs diverged", row.name, row.diverged));
        }
        lines.extend(row.failures.iter().map(|why| format!("{}: failed: {why}", row.name)));
    }
    lines.extend(differences(comparison, &columns));
    lines.extend(circuits(comparison, wide));
    lines.join("\n") + "\n"
}

/// How many seeds the means are of, and whether they have intervals.
fn seeds_said(seeds: u64) -> String {
    let least = stats::LEAST_OF_MEAN;
    match seeds {
        1 => format!("one seed: an interval takes {least}"),
        few if few < least as u64 => format!("{few} seeds: an interval takes {least}"),
        _ => format!("{seeds} seeds [95 % interval]"),
    }
}

fn line(row: &Row, columns: &[Column<'_>], wide: usize) -> String {
    let edge = if row.at_the_edge { "!" } else { " " };
    let mean = |figure: &str| row.figures[figure];
    let one = |figure: &str, worth: f64, digits: usize| {
        mean(figure).map_or("-".into(), |m| format!("{:.digits$}", worth * m.mean))
    };
    let percent =
        |figure: &str| mean(figure).map_or("-".into(), |m| format!("{:.1}%", 100.0 * m.mean));
    let cells = columns.iter().map(|&(_, figure, digits)| {
        format!("{:>24}", mean(figure).map_or("-".into(), |m| interval(&m, digits)))
    });
    format!(
        "{:wide$} {:>6}{edge} {:>7} {:>6}{} {:>8} {:>7}{}",
        row.name,
        format!("{:.0e}", row.lr),
        percent("trained"),
        percent("ever"),
        cells.collect::<String>(),
        one("step_ms", 1.0, 1),
        one("bytes", 1e-6, 2),
        if row.pareto { " *" } else { "" },
    )
}

fn interval(m: &Mean, digits: usize) -> String {
    let range = m.interval.map_or(String::new(), |[a, b]| format!("[{a:.digits$}, {b:.digits$}]"));
    format!("{:.digits$} {range:>15}", m.mean)
}

/// How good the circuits are that were trained: means over seeds of the first, of those between and
/// of the last.
fn circuits(comparison: &Comparison<Settings>, wide: usize) -> Vec<String> {
    let mut lines = vec![];
    for row in &comparison.rows {
        let all: Vec<_> = row.reports.iter().filter_map(courses).collect();
        let Some(some) = all.first() else { continue };
        if lines.is_empty() {
            let heads = some.map(|course| format!("{:>24}", course.name)).concat();
            let when = ["first", "during", "last"].map(|when| format!("{when:>8}")).concat();
            lines.push(String::new());
            lines.push(format!("{:wide$}{heads}", "circuits"));
            lines.push(format!("{:wide$}{}", "", when.repeat(some.len())));
        }
        let cell = |of: &dyn Fn(&[Course; 3]) -> Option<f64>| {
            let seeds: Vec<f64> = all.iter().filter_map(of).collect();
            stats::mean(&seeds).map_or(format!("{:>8}", "-"), |x| format!("{x:>8.3}"))
        };
        let figure = |i: usize| {
            cell(&|run| run[i].first) + &cell(&|run| run[i].during) + &cell(&|run| run[i].last)
        };
        let cells = (0..some.len()).map(figure).collect::<String>();
        lines.push(format!("{:wide$}{cells}", row.name));
    }
    lines
}

/// Circuits against random ones, seed by seed: the question that decides whether it is worth it.
fn differences(comparison: &Comparison<Settings>, columns: &[Column<'_>]) -> Vec<String> {
    let of = |name: &str| comparison.rows.iter().find(|r| r.name == name);
    let Some(circuit) = of("circuit") else { return vec![] };
    let mut lines = vec![];
    for other in ["random", "full", "lora"] {
        let Some(row) = of(other) else { continue };
        let (mut cells, mut least) = (vec![], vec![]);
        for &(head, figure, digits) in columns {
            let differences = minus(circuit, row, figure);
            let Some(m) = mean(&differences) else { continue };
            cells.push(format!("{head} {}", interval(&m, digits)));
            let detectable = stats::detectable(&differences);
            least.extend(detectable.map(|x| format!("{head} {x:.digits$}")));
        }
        lines.push(format!("circuit - {other}, seed by seed: {}", cells.join(", ")));
        if !least.is_empty() {
            lines.push(format!("  told from 0 in 80 % of cases from {} on", least.join(", ")));
        }
    }
    lines
}

/// A figure's differences between two methods, seed by seed.
fn minus(row: &Row, other: &Row, figure: &str) -> Vec<f64> {
    let Some((_, figure)) = FIGURES.iter().find(|(name, _)| *name == figure) else {
        return vec![];
    };
    let pair = |r: &Report| {
        let same = other.reports.iter().find(|o| o.seed == r.seed)?;
        Some(figure(r)? - figure(same)?)
    };
    row.reports.iter().filter_map(pair).collect()
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
        let lines = differences(&read, &[("disagree", "target", 3)]);
        assert_eq!(
            lines,
            [
                "circuit - random, seed by seed: disagree 0.100 [-0.148, 0.348]",
                "  told from 0 in 80 % of cases from disagree 0.310 on",
                "circuit - full, seed by seed: disagree 0.200                ",
            ]
        );
    }
}
