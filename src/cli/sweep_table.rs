//! `edgegrad table`.

use crate::cli::print::{self, Mode};
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::Result;
use edgegrad::formats::condition::Condition;
use edgegrad::formats::sweep_results::{Head, Row, SweepResults};
use edgegrad::results::sweep::{Group, Question, groups, holds};
use edgegrad::stats::holm;
use serde_json::json;
use std::path::PathBuf;

/// Compare the runs of a sweep by what they have of an axis
///
/// Means with their intervals (Student's t, bootstrap), medians (by ranks), success rates (Wilson),
/// and differences from the first group, paired by all other axes, with p-values for all of them
/// (Holm). Runs that diverged or failed count as no success, and have no figure.
#[derive(Debug, Args)]
pub(super) struct SweepTable {
    /// The folder of the sweep
    #[arg(value_name = "SWEEP")]
    sweep: PathBuf,
    /// The axis by which runs are grouped, or several
    #[arg(long, value_name = "AXIS,..", value_delimiter = ',', required = true)]
    by: Vec<String>,
    /// The figure that is compared
    #[arg(long, value_name = "METRIC")]
    value: String,
    /// What a success is, such as "test_accuracy >= 0.95"; what the run says unless given
    #[arg(long, value_name = "CONDITION")]
    success: Option<String>,
    /// Take these runs alone
    #[arg(long = "where", value_name = "CONDITION")]
    only: Option<String>,
    /// The group that others are compared with; the first unless given
    #[arg(long, value_name = "VALUE")]
    against: Option<String>,
    /// Print the table in Markdown
    #[arg(long, conflicts_with_all = ["csv", "json"])]
    markdown: bool,
}

/// The runs of which a condition holds, and the others.
pub(super) fn parts(
    all: SweepResults,
    held: &dyn Fn(&Row, &[&str]) -> Result<bool>,
) -> Result<[SweepResults; 2]> {
    let columns = all.columns();
    let these = all.rows.iter().map(|row| held(row, &columns)).collect::<Result<Vec<_>>>()?;
    let head = Head { runs: None, ..all.head };
    let mut parts = [(); 2].map(|()| SweepResults { head: head.clone(), rows: vec![] });
    for (row, held) in all.rows.iter().zip(these) {
        parts[usize::from(!held)].rows.push(row.clone());
    }
    Ok(parts)
}

impl SweepTable {
    pub(super) fn run(&self) -> Result<()> {
        let condition = |place: &str, text: &Option<String>| {
            text.as_deref().map(|text| Condition::parse(place, text)).transpose()
        };
        let mut results = SweepResults::of(&self.sweep)?;
        if let Some(only) = condition("--where", &self.only)? {
            [results, _] = parts(results, &|row, columns| holds(&only, row, columns))?;
        }
        let question = Question {
            by: self.by.clone(),
            value: self.value.clone(),
            success: condition("--success", &self.success)?,
            against: self.against.clone(),
        };
        let groups = groups(&results, &question)?;
        // Of those that have one, in their order.
        let p = holm(&groups.iter().filter_map(|group| group.difference().2).collect::<Vec<_>>());
        let mut p = p.into_iter();
        let p: Vec<Option<f64>> =
            groups.iter().map(|group| group.difference().2.and_then(|_| p.next())).collect();
        if print::mode() == Mode::Text {
            let table = for_people(&self.by, &groups, &p);
            if self.markdown { table.print_markdown() } else { table.print() }
        } else {
            for_programs(&self.by, &groups, &p).print();
        }
        Ok(())
    }
}

/// Intervals in brackets beside what they are of.
fn for_people(by: &[String], groups: &[Group], p: &[Option<f64>]) -> Table {
    let mut table = Table::new("groups", []);
    by.iter().for_each(|axis| table.column(axis, axis));
    let heads = ["runs", "success", "mean", "bootstrap", "median", "difference", "p"];
    heads.iter().for_each(|head| table.column(head, head));
    for (group, p) in groups.iter().zip(p) {
        let (difference, interval, _) = group.difference();
        let rate = format!("{} of {}", group.successes, group.runs);
        let cells = [
            Cell::count(group.runs),
            Cell::text(rate + &between(Some(group.rate_interval()), 2)),
            with(group.mean(), group.mean_interval()),
            Cell::text(between(group.bootstrap(), 4).trim_start()),
            with(group.median(), group.median_interval()),
            with(difference, interval),
            Cell::maybe(*p, 4),
        ];
        table.row(group.of.iter().map(|value| Cell::of(value.clone())).chain(cells));
    }
    table
}

/// A number and its interval, for people.
fn with(x: Option<f64>, interval: Option<[f64; 2]>) -> Cell {
    Cell::text(x.map_or("-".into(), |x| format!("{x:.4}") + &between(interval, 4)))
}

fn between(interval: Option<[f64; 2]>, digits: usize) -> String {
    let text = |[low, high]: [f64; 2]| format!(" [{low:.digits$}, {high:.digits$}]");
    interval.map_or(String::new(), text)
}

/// Each number in a column of its own.
fn for_programs(by: &[String], groups: &[Group], p: &[Option<f64>]) -> Table {
    let mut table = Table::new("groups", []);
    by.iter().for_each(|axis| table.column(axis, axis));
    for name in ["runs", "successes", "rate", "rate_low", "rate_high", "values"] {
        table.column(name, name);
    }
    for name in ["mean", "bootstrap", "median", "difference"] {
        if name != "bootstrap" {
            table.column(name, name);
        }
        ["low", "high"].iter().for_each(|end| table.column(name, &format!("{name}_{end}")));
    }
    ["pairs", "p"].iter().for_each(|name| table.column(name, name));
    for (group, p) in groups.iter().zip(p) {
        let (difference, interval, _) = group.difference();
        let ends = |interval: Option<[f64; 2]>| interval.map_or([None; 2], |ends| ends.map(Some));
        let mut cells: Vec<Cell> = group.of.iter().map(|value| Cell::of(value.clone())).collect();
        cells.extend([Cell::count(group.runs), Cell::count(group.successes)]);
        let [low, high] = group.rate_interval();
        cells.extend([group.rate(), low, high].map(|x| Cell::real(x, 4)));
        cells.push(Cell::count(group.values.len()));
        let numbers = [
            &[group.mean()][..],
            &ends(group.mean_interval()),
            &ends(group.bootstrap()),
            &[group.median()],
            &ends(group.median_interval()),
            &[difference],
            &ends(interval),
        ];
        cells.extend(numbers.concat().into_iter().map(|x| Cell::maybe(x, 4)));
        let pairs = group.differences.as_ref().map(Vec::len);
        cells.extend([Cell::of(json!(pairs)), Cell::maybe(*p, 4)]);
        table.row(cells);
    }
    table
}
