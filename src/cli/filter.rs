//! `edgegrad filter`.

use crate::cli::out::{Force, check_out};
use crate::cli::sweep_table::parts;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::formats::condition::Condition;
use edgegrad::formats::sweep_results::SweepResults;
use edgegrad::named::counted;
use edgegrad::results::sweep::{holds, succeeds};
use std::path::PathBuf;

/// Split the runs of a sweep into successes and others
///
/// Lists those that are a success, or of which --where holds; writes either part as results, which
/// `table` and `filter` take in their turn.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// The folder of the sweep, or a file of results
    #[arg(value_name = "SWEEP")]
    sweep: PathBuf,
    /// Which runs, such as "test_accuracy >= 0.95 and arm == 'scratch'"; successes unless given
    #[arg(long = "where", value_name = "CONDITION")]
    only: Option<String>,
    /// Where to write the results of these runs
    #[arg(long, value_name = "FILE.jsonl")]
    out: Option<PathBuf>,
    /// Where to write the results of the others
    #[arg(long, value_name = "FILE.jsonl")]
    rest: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
}

impl Filter {
    pub(super) fn run(&self) -> Result<()> {
        let only =
            self.only.as_deref().map(|text| Condition::parse("--where", text)).transpose()?;
        let all = SweepResults::of(&self.sweep)?;
        for file in [&self.out, &self.rest].into_iter().flatten() {
            check_out(file, self.force, [&self.sweep])?;
        }
        if self.out.is_some() && self.out == self.rest {
            let message = "is the file of --out, too";
            return Err(Error::input("--rest", message, "give each part a file of its own"));
        }
        let axes: Vec<String> = all.axes().into_iter().map(String::from).collect();
        let runs = all.rows.len();
        let [these, others] = parts(all, &|row, columns| match &only {
            Some(only) => holds(only, row, columns),
            None => succeeds(row, None, columns),
        })?;
        let mut table = Table::new("runs", [("id", "id"), ("status", "status")]);
        axes.iter().for_each(|axis| table.column(axis, axis));
        for row in &these.rows {
            let start = ["id", "status"].map(|name| Cell::of(row.value(name)));
            table.row(start.into_iter().chain(axes.iter().map(|axis| Cell::of(row.value(axis)))));
        }
        let kept = these.rows.len();
        for (file, part) in [(&self.out, these), (&self.rest, others)] {
            file.as_ref().map_or(Ok(()), |file| part.write(file))?;
        }
        table.print();
        println!("{kept} of {}", counted(runs, "run"));
        Ok(())
    }
}
