//! `edgegrad train`.

use crate::cli::Dtype;
use crate::cli::day::Day;
use crate::cli::question::on_threads;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::experiments::train::config::{Config, DtypeKind};
use edgegrad::experiments::train::{Existing, Outcome, is_short, seconds};
use edgegrad::experiments::{Job, Progress, available_threads, run_all};
use std::path::PathBuf;

/// Train as a configuration says and write a run folder
#[derive(Debug, Args)]
pub(super) struct Train {
    /// The configuration, a TOML file
    config: PathBuf,
    /// The run folder; runs/NAME for the configuration NAME.toml unless given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The seed, or the first of several; the configuration's unless given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Train with this many seeds, one after the other from the first, each in DIR/seed-NN
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=100_000),
    )]
    seeds: u64,
    /// The precision to compute in; the configuration's unless given
    #[arg(long)]
    dtype: Option<Dtype>,
    /// Threads to use; all of them unless given. The results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Go on with the run in the folder where it stopped
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Replace the run in the folder
    #[arg(long)]
    force: bool,
    /// Change a key of the configuration, such as train.lr=1e-3 or stages.0.task.p=2
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    day: Day,
}

impl Train {
    pub(super) fn run(&self) -> Result<()> {
        // It asks at each step; a command that never asks must not listen.
        edgegrad::interrupt::listen();
        let mut config = Config::read(&self.config, &self.sets)?;
        match self.dtype {
            Some(Dtype::F32) => config.dtype = DtypeKind::F32,
            Some(Dtype::F64) => config.dtype = DtypeKind::F64,
            None => {}
        }
        config.seed = self.seed.unwrap_or(config.seed);
        let out = self.out.clone().unwrap_or_else(|| {
            PathBuf::from("runs").join(self.config.file_stem().unwrap_or("run".as_ref()))
        });
        let jobs = Job::of_seeds(&config, self.seeds, &out)?;
        let existing = Existing::of(self.resume, self.force);
        Job::check_all(&jobs, existing)?;
        let threads = self.threads.map_or_else(available_threads, |n| n as usize);
        if !is_short(&config, self.seeds) {
            let together = threads.min(jobs.len());
            let each = on_threads(Some((threads / together) as u64), || seconds(&config))?;
            let rounds = jobs.len().div_ceil(together) as f64;
            let what = format!("{} steps", jobs.iter().map(Job::steps).sum::<u64>());
            self.day.check(&what, each * rounds, "take fewer steps or --seeds")?;
        }
        let progress = Progress::new(jobs.iter().map(Job::steps).sum());
        let results = run_all(&jobs, existing, threads, &progress);
        progress.finish();
        let mut table = Table::new("runs", FIGURES);
        for (job, result) in jobs.iter().zip(&results) {
            if let Ok(outcome) = result {
                println!("{}", line(job, outcome));
                table.row(row(job, outcome));
            }
        }
        table.print_for_programs();
        // All failures are told, one that all runs share once; the last as the command's error.
        let mut failures: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
        failures.dedup();
        let last = failures.pop();
        for e in failures {
            super::tell(&e);
        }
        last.map_or(Ok(()), Err)
    }
}

/// What programs are told of a run.
const FIGURES: [(&str, &str); 7] = [
    ("folder", "folder"),
    ("seed", "seed"),
    ("steps", "steps"),
    ("train loss", "train_loss"),
    ("train accuracy", "train_accuracy"),
    ("test loss", "test_loss"),
    ("test accuracy", "test_accuracy"),
];

fn row(job: &Job, outcome: &Outcome) -> impl Iterator<Item = Cell> {
    let last = outcome.last.as_ref();
    let figures = last.map_or([None; 5], |l| {
        let step = Some(l.step as f64);
        [step, l.train_loss, l.train_accuracy, l.test_loss, l.test_accuracy]
    });
    let start = [Cell::text(job.folder.to_string_lossy()), Cell::count(job.config.seed)];
    start.into_iter().chain(figures.map(|x| Cell::maybe(x, 4)))
}

fn line(job: &Job, outcome: &Outcome) -> String {
    let place = format!("{} (seed {})", job.folder.display(), job.config.seed);
    let Some(last) = &outcome.last else {
        return format!("{place}: was finished already");
    };
    let said = |set: &str, loss: Option<f64>, accuracy: Option<f64>| match (loss, accuracy) {
        (Some(loss), Some(accuracy)) => format!(", {set} loss {loss:.4}, accuracy {accuracy:.4}"),
        _ => String::new(),
    };
    let train = said("train", last.train_loss, last.train_accuracy);
    let test = said("test", last.test_loss, last.test_accuracy);
    format!("{place}: {} steps{train}{test}", last.step)
}
