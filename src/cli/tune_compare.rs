//! `edgegrad tune-compare`.

use crate::cli::day::Day;
use crate::cli::impatient;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::Result;
use edgegrad::experiments::tune::grid::{Arm, Grid};
use edgegrad::experiments::tune::grid_runs::{self, COMPARISON};
use edgegrad::experiments::tune::{Settings, is_short, table};
use edgegrad::experiments::{Progress, available_threads};
use edgegrad::formats::comparison::{Comparison, Mean, TuningRow};
use edgegrad::text::LazyTokenizer;
use std::path::PathBuf;

/// Compare methods of tuning, each at the best of its learning rates, over seeds
///
/// Learning rates are chosen on development examples by the product of target and retention; the
/// table is of test examples. With `task = "own"` both are pairs of files, for any decoder. A grid
/// that was stopped goes on where it was. All computing is in f32.
#[derive(Debug, Args)]
pub(super) struct TuneCompare {
    /// The grid: model, seeds, [common] settings and [[methods]]
    #[arg(value_name = "CONFIG.toml")]
    config: PathBuf,
    /// Where the runs are kept; runs/NAME for the grid NAME.toml unless given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads to use; all of them unless given. The results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Have all runs again, in place of those that the folder holds
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    day: Day,
}

/// How to go on with a grid that was stopped.
pub(super) const GO_ON: &str = "go on with the same command; finished runs are kept";

impl TuneCompare {
    pub(super) fn run(&self) -> Result<()> {
        let grid = Grid::read(&self.config)?;
        let text = LazyTokenizer::new(&grid.model, false);
        let begun = grid.begin(&grid.model, Some(&text))?;
        let out = self.out.clone().unwrap_or_else(|| {
            PathBuf::from("runs").join(self.config.file_stem().unwrap_or("grid".as_ref()))
        });
        let threads = self.threads.map_or_else(available_threads, |n| n as usize);
        let (updates, runs) = (grid.updates(), grid.arms.iter().map(|arm| grid.runs(arm)).sum());
        let short = |arm: &Arm| is_short(&arm.settings, &begun.base, updates);
        if !grid.arms.first().is_none_or(short) {
            let seconds = begun.seconds((runs, updates))? / threads as f64;
            self.day.check(
                &format!("{runs} runs"),
                seconds,
                "take fewer methods, seeds or steps",
            )?;
        }
        if self.force {
            grid_runs::remove(&out)?;
        }
        let progress = Progress::new(updates);
        let _work = impatient(&out, GO_ON);
        let result = begun.compare(&out, threads, &progress);
        progress.finish();
        let comparison = result?;
        print!("{}", table(std::slice::from_ref(&comparison)));
        let mut figures = Table::new("methods", COLUMNS);
        rows(&comparison).for_each(|row| figures.row(row));
        figures.print_for_programs();
        let file = out.join(COMPARISON);
        comparison.write(&file)?;
        println!("figures: {}", file.display());
        Ok(())
    }
}

/// The columns of [`rows`].
pub(super) const COLUMNS: [(&str, &str); 6] = [
    ("method", "method"),
    ("lr", "lr"),
    ("figure", "figure"),
    ("mean", "mean"),
    ("low", "low"),
    ("high", "high"),
];

/// The means of all methods with their intervals, a row for each figure.
pub(super) fn rows(comparison: &Comparison<Settings>) -> impl Iterator<Item = Vec<Cell>> {
    let of_method = |row: &TuningRow<Settings>| {
        let (name, lr) = (row.name.clone(), row.lr);
        let cells = move |(figure, mean): (&String, &Option<Mean>)| {
            let interval = mean.and_then(|m| m.interval);
            let [low, high] = interval.map_or([None; 2], |ends| ends.map(Some));
            let numbers = [mean.map(|m| m.mean), low, high].map(|x| Cell::maybe(x, 4));
            let start = [Cell::text(&name), Cell::scientific(lr, 0), Cell::text(figure)];
            start.into_iter().chain(numbers).collect()
        };
        row.figures.iter().map(cells).collect::<Vec<_>>()
    };
    comparison.rows.iter().flat_map(of_method)
}
