//! The table of a comparison.

use super::grid::{Comparison, Grid, Mean, Row};
use super::run::Report;
use crate::named::Named;
use serde_json::{Map, Value, json};

/// A figure of a run.
type Figure = fn(&Report) -> f64;

/// A column: its head, its figure, and how many digits it has.
type Column = (&'static str, Figure, usize);

/// What a comparison has come to, for programs: of every method the means over seeds with their
/// intervals, and the figures of each run.
pub fn figures(grid: &Grid, comparison: &Comparison) -> Value {
    let task = grid.task();
    let figures: [(&str, Figure); 9] = [
        ("target", |r| r.after().target),
        ("gap", |r| r.after().gap - r.before().gap),
        ("transfer", |r| r.after().transfer),
        ("retention", |r| r.after().retention),
        ("nll_change", |r| r.after().nll_change),
        ("trained", Report::share),
        ("ever", Report::ever_share),
        ("step_ms", |r| r.step_ms),
        ("bytes", |r| r.bytes as f64),
    ];
    let row = |(row, best): (&Row, bool)| {
        let means = figures.map(|(name, f)| (name.to_string(), json!(row.mean(f))));
        json!({
            "name": row.name,
            "method": row.reports.first().map(|r| r.settings.method.name()),
            "lr": row.lr,
            "at_the_edge": row.at_the_edge,
            "pareto": best,
            "diverged": row.diverged(),
            "figures": Map::from_iter(means),
            "reports": row.reports,
            "failures": row.failures,
        })
    };
    let rows: Vec<Value> = comparison.rows.iter().zip(comparison.pareto()).map(row).collect();
    json!({
        "version": 1,
        "kind": "tune-compare",
        "task": task.name(),
        "title": task.title(),
        "target": task.target_name(),
        "seeds": grid.seeds,
        "base": comparison.base,
        "rows": rows,
    })
}

/// What a comparison has come to, for people: means over seeds with their intervals, and circuits
/// against random ones.
pub fn table(grid: &Grid, comparison: &Comparison) -> String {
    let task = grid.task();
    let columns: [Column; 5] = [
        (task.target_name(), |r| r.after().target, 3),
        ("gap gained", |r| r.after().gap - r.before().gap, 2),
        ("transfer", |r| r.after().transfer, 3),
        ("retention", |r| r.after().retention, 3),
        ("nll others", |r| r.after().nll_change, 3),
    ];
    let wide = comparison.rows.iter().map(|r| r.name.len()).max().unwrap_or(0).max(6);
    let seeds = grid.seeds;
    let mut lines = vec![format!("{}; means of {seeds} seeds [95 % interval]", task.title())];
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
    for (row, best) in comparison.rows.iter().zip(comparison.pareto()) {
        lines.push(line(row, best, &columns, wide));
    }
    lines.push(String::new());
    lines.push("trained: numbers an update changes, ever: those that any did; both per numbers in the blocks".into());
    lines.push(
        "* no other method reaches and keeps as much with as few numbers ever trained".into(),
    );
    if comparison.rows.iter().any(|r| r.at_the_edge) {
        lines.push("! the best learning rate is the smallest or the largest that was tried".into());
    }
    for row in &comparison.rows {
        if row.diverged() > 0 {
            lines.push(format!("{}: {} of {seeds} runs diverged", row.name, row.diverged()));
        }
        lines.extend(row.failures.iter().map(|why| format!("{}: failed: {why}", row.name)));
    }
    lines.extend(differences(comparison, &columns));
    lines.join("\n") + "\n"
}

fn line(row: &Row, best: bool, columns: &[Column], wide: usize) -> String {
    let edge = if row.at_the_edge { "!" } else { " " };
    let percent = |f: fn(&Report) -> f64| {
        row.mean(f).map_or("-".into(), |m| format!("{:.1}%", 100.0 * m.mean))
    };
    let figure = |f: fn(&Report) -> f64, digits: usize| {
        row.mean(f).map_or("-".into(), |m| format!("{:.digits$}", m.mean))
    };
    let cells = columns.iter().map(|&(_, f, digits)| {
        format!("{:>24}", row.mean(f).map_or("-".into(), |m| interval(&m, digits)))
    });
    format!(
        "{:wide$} {:>6}{edge} {:>7} {:>6}{} {:>8} {:>7}{}",
        row.name,
        format!("{:.0e}", row.lr),
        percent(Report::share),
        percent(Report::ever_share),
        cells.collect::<String>(),
        figure(|r| r.step_ms, 1),
        figure(|r| r.bytes as f64 / 1e6, 2),
        if best { " *" } else { "" },
    )
}

fn interval(m: &Mean, digits: usize) -> String {
    let range = m.interval.map_or(String::new(), |[a, b]| format!("[{a:.digits$}, {b:.digits$}]"));
    format!("{:.digits$} {range:>15}", m.mean)
}

/// Circuits against random ones, seed by seed: the question that decides whether it is worth it.
fn differences(comparison: &Comparison, columns: &[Column]) -> Vec<String> {
    let of = |name: &str| comparison.rows.iter().find(|r| r.name == name);
    let Some(circuit) = of("circuit") else { return vec![] };
    let mut lines = vec![];
    for other in ["random", "full", "lora"] {
        let Some(row) = of(other) else { continue };
        let cells = columns.iter().filter_map(|&(head, f, digits)| {
            let m = circuit.minus(row, f)?;
            Some(format!("{head} {}", interval(&m, digits)))
        });
        let cells = cells.collect::<Vec<_>>().join(", ");
        lines.push(format!("circuit - {other}, seed by seed: {cells}"));
    }
    lines
}
