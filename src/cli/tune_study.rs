//! `edgegrad tune-study`.

use crate::cli::day::Day;
use crate::cli::impatient;
use crate::cli::print::{self, Mode};
use crate::cli::table::{Cell, Table};
use crate::cli::tune_compare::{COLUMNS, GO_ON, rows};
use clap::Args;
use edgegrad::error::Result;
use edgegrad::experiments::tune::study::Study;
use edgegrad::experiments::tune::table;
use edgegrad::experiments::{Progress, available_threads};
use edgegrad::named::counted;
use std::path::PathBuf;

/// Compare methods of tuning over many base models
///
/// Pre-trains base models, runs the grids of a study on them, and prints a table for each with
/// intervals over base models. Says first what it costs. A study that was stopped goes on where it
/// was with the same command, and --bases makes it smaller or larger. All computing is in f32.
#[derive(Debug, Args)]
pub(super) struct TuneStudy {
    /// The study: [pretrain] settings and [[experiments]] with their grids
    #[arg(value_name = "STUDY.toml")]
    study: PathBuf,
    /// Where base models and runs are kept; runs/NAME for the study NAME.toml unless given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Use so many base models at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    bases: Option<u64>,
    /// Threads to use; all of them unless given. The results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Have all base models and runs again, in place of those that the folder holds
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    day: Day,
}

impl TuneStudy {
    pub(super) fn run(&self) -> Result<()> {
        let study = Study::read(&self.study)?;
        let out = self.out.clone().unwrap_or_else(|| {
            PathBuf::from("runs").join(self.study.file_stem().unwrap_or("study".as_ref()))
        });
        let threads = self.threads.map_or_else(available_threads, |n| n as usize);
        let (cost, seconds) = (study.cost(self.bases), study.seconds(self.bases, threads)?);
        let say = |line: &str| {
            if print::mode() != Mode::Quiet {
                eprintln!("{line}");
            }
        };
        let count = |n: u64, thing: &str| counted(n as usize, thing);
        say(&format!(
            "{}, {} of pre-training; {}, {}; about {:.0} minutes, less what is there already",
            count(cost.bases, "base model"),
            count(cost.steps, "step"),
            count(cost.runs, "run"),
            count(cost.updates, "update"),
            seconds / 60.0
        ));
        self.day.check("the study", seconds, "take fewer --bases, or begin with some of them")?;
        if self.force {
            study.remove(&out)?;
        }
        let progress = Progress::new(cost.steps + cost.updates);
        let _work = impatient(&out, GO_ON);
        let results = study.run(&out, self.bases, threads, &progress, &say);
        progress.finish();
        let mut figures = Table::new("methods", [("experiment", "experiment"), ("base", "base")]);
        COLUMNS.iter().for_each(|(head, key)| figures.column(head, key));
        for (experiment, comparisons) in study.experiments.iter().zip(results?) {
            println!("{}", table(&comparisons));
            for (base, comparison) in comparisons.iter().enumerate() {
                let start = || [Cell::text(&experiment.name), Cell::count(base)].into_iter();
                rows(comparison).for_each(|row| figures.row(start().chain(row)));
            }
        }
        figures.print_for_programs();
        println!("runs: {}", out.display());
        Ok(())
    }
}
