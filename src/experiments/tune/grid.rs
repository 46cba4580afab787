//! Many methods on one task, each at the best of its learning rates, over seeds.
//!
//! 1. *Choosing.* Every method runs once with each of its learning rates, with a seed that is not
//!    used again, judged on development examples. The best is that of the largest
//!    [balance](crate::formats::tuning_report::Judgement::balance) of what is reached and what is kept.
//! 2. *Judging.* Every method runs at its best learning rate with every seed, judged on test examples.
//!    All methods see the same batches and pairs.
//!
//! A run that diverges counts, with the model of its last look. Finished runs are kept in files, so
//! a grid that was stopped goes on with what is missing.

use super::goal::Goal;
use super::judge::Judge;
use super::run::{Report, run};
use super::settings::Settings;
use super::table;
use crate::error::{Error, Result};
use crate::experiments::Steps;
use crate::experiments::side_by_side;
use crate::files::atomic;
use crate::formats::comparison::Comparison;
use crate::named::Named;
use crate::nn::transformer::Model;
use crate::tasks::language::Part;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Which methods are compared on what.
///
/// ```
/// use edgegrad::experiments::tune::grid::Grid;
/// let grid = Grid::parse("grid", r#"
///     model = "base"
///     seeds = 3
///     [common]
///     task = "E1"
///     steps = 100
///     [[methods]]
///     name = "circuit of 40"
///     method = "circuit"
///     edges = 40
///     learning_rates = [1e-3, 3e-3]
///     [[methods]]
///     name = "everything"
///     method = "full"
///     lr = 1e-3
/// "#)?;
/// assert_eq!(grid.arms.len(), 2);
/// assert_eq!(grid.arms[0].settings.steps, 100);
/// assert_eq!(grid.arms[1].rates, [1e-3]);
/// # Ok::<(), edgegrad::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The folder of the base model.
    pub model: PathBuf,
    /// Runs of each method at its best learning rate.
    pub seeds: u64,
    /// What is compared.
    pub arms: Vec<Arm>,
}

/// One method.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// What it is called in the table, and in the names of files.
    pub name: String,
    /// What it is told, but for the learning rate.
    pub settings: Settings,
    /// The learning rates it is tried with.
    pub rates: Vec<f64>,
}

/// A grid as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: PathBuf,
    #[serde(default = "five")]
    seeds: u64,
    #[serde(default)]
    common: toml::Table,
    methods: Vec<toml::Table>,
}

fn five() -> u64 {
    5
}

/// The seed of the runs that choose a learning rate, which no other run has.
const CHOOSING: u64 = 1 << 40;

impl Grid {
    /// Reads a file; a model's path is taken from where the file is.
    ///
    /// # Errors
    /// If it cannot be read, has unknown keys, or a setting that cannot be.
    pub fn read(path: &Path) -> Result<Grid> {
        let text = fs::read_to_string(path).map_err(|e| Error::io(path, &e, "read"))?;
        let mut grid = Grid::parse(&path.display().to_string(), &text)?;
        if let (Some(folder), true) = (path.parent(), grid.model.is_relative()) {
            grid.model = folder.join(&grid.model);
        }
        Ok(grid)
    }

    /// The grid in a text; `place` is what errors call it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(place: &str, text: &str) -> Result<Grid> {
        let help = "write model, seeds, [common] and [[methods]] with a name and settings";
        let fail = |message: String| Error::input(place, message, help);
        let file: File = toml::from_str(text).map_err(|e| fail(e.message().into()))?;
        if file.seeds == 0 || file.seeds > 1000 {
            return Err(fail(format!("seeds: must be from 1 to 1000, got {}", file.seeds)));
        }
        let mut arms: Vec<Arm> = vec![];
        for (i, method) in file.methods.into_iter().enumerate() {
            let mut table = file.common.clone();
            table.extend(method);
            let place = format!("{place}: methods.{i}");
            let name = match table.remove("name") {
                Some(toml::Value::String(name)) if is_name(&name) => name,
                Some(other) => {
                    let message =
                        format!("name: {other} is no name of up to 40 letters and digits");
                    return Err(Error::input(place, message, "it names files, too"));
                }
                None => return Err(Error::input(place, "name: is missing", help)),
            };
            if arms.iter().any(|arm| arm.name == name) {
                return Err(Error::input(place, format!("name: {name:?} is there twice"), help));
            }
            let rates = table.remove("learning_rates").map(|v| v.try_into::<Vec<f64>>());
            let settings = Settings::from_toml(&place, &table.to_string())?;
            let rates = match rates {
                None => vec![settings.lr],
                Some(Ok(rates)) if !rates.is_empty() => rates,
                Some(_) => {
                    let message = "learning_rates: must be a list of numbers";
                    return Err(Error::input(place, message, "write [3e-4, 1e-3, 3e-3]"));
                }
            };
            if let Some(bad) = rates.iter().find(|lr| !(lr.is_finite() && **lr > 0.0)) {
                let message = format!("learning_rates: must be above 0, got {bad}");
                return Err(Error::input(place, message, "write [3e-4, 1e-3, 3e-3]"));
            }
            if let Some(first) = arms.first()
                && first.settings.task != settings.task
            {
                let message = "task: is another than that of the first method";
                return Err(Error::input(place, message, "compare methods on one task"));
            }
            arms.push(Arm { name, settings, rates });
        }
        if arms.is_empty() {
            return Err(fail("methods: there is none".into()));
        }
        Ok(Grid { model: file.model, seeds: file.seeds, arms })
    }

    /// The task.
    pub fn task(&self) -> Goal {
        self.arms[0].settings.task
    }

    /// All updates of all runs.
    pub fn updates(&self) -> u64 {
        let of_arm = |arm: &Arm| {
            let choosing = if arm.rates.len() > 1 { arm.rates.len() as u64 } else { 0 };
            (choosing + self.seeds) * arm.settings.steps as u64
        };
        self.arms.iter().map(of_arm).sum()
    }
}

/// Whether it can be the name of a folder, and stands well in a table.
fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || " -_.,=".contains(c);
    (1..=40).contains(&name.len()) && name.chars().all(good) && !name.starts_with(['.', ' '])
}

/// One run of a grid.
struct Job<'a> {
    settings: Settings,
    seed: u64,
    judge: &'a Judge,
    file: PathBuf,
}

/// Runs a grid on `threads` threads, with the reports in `folder`; calls `progress` with the number of
/// updates done since the last call.
///
/// # Errors
/// If the folder cannot be written, or holds runs with other settings. A run that fails is told in
/// its row, and the others go on.
pub fn compare(
    grid: &Grid,
    base: &Model<f32>,
    folder: &Path,
    threads: usize,
    progress: &dyn Steps,
) -> Result<Comparison<Settings>> {
    let examples = grid.arms.iter().map(|arm| arm.settings.examples).max().unwrap_or(1);
    let judges = [Part::Dev, Part::Test].map(|part| Judge::new(grid.task(), part, examples, base));
    let job = |arm: &Arm, lr: f64, seed: Option<u64>| {
        let run = seed.map_or_else(|| format!("lr-{lr:e}"), |seed| format!("seed-{seed:02}"));
        Job {
            settings: Settings { lr, ..arm.settings.clone() },
            seed: seed.unwrap_or(CHOOSING),
            judge: &judges[usize::from(seed.is_some())],
            file: folder.join(&arm.name).join(format!("{run}.json")),
        }
    };
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, &e, "make"))?;

    let several = |arm: &&Arm| arm.rates.len() > 1;
    let tries: Vec<Job<'_>> = grid
        .arms
        .iter()
        .filter(several)
        .flat_map(|arm| arm.rates.iter().map(|&lr| job(arm, lr, None)).collect::<Vec<_>>())
        .collect();
    let mut tried = all(&tries, base, threads, progress)?.into_iter();
    let mut best = vec![];
    for arm in &grid.arms {
        best.push(match several(&arm) {
            true => choose(&arm.rates, &tried.by_ref().take(arm.rates.len()).collect::<Vec<_>>()),
            false => arm.rates[0],
        });
    }

    let seeds = 0..grid.seeds;
    let jobs: Vec<Job<'_>> = grid
        .arms
        .iter()
        .zip(&best)
        .flat_map(|(arm, &lr)| seeds.clone().map(move |seed| (arm, lr, seed)))
        .map(|(arm, lr, seed)| job(arm, lr, Some(seed)))
        .collect();
    let mut results = all(&jobs, base, threads, progress)?.into_iter();
    let mut rows = vec![];
    for (arm, &lr) in grid.arms.iter().zip(&best) {
        let (mut reports, mut failures) = (vec![], vec![]);
        for result in results.by_ref().take(grid.seeds as usize) {
            match result {
                Ok(report) => reports.push(report),
                Err(e) => failures.push(format!("{e} ({})", e.help())),
            }
        }
        let beyond =
            |x: f64| arm.rates.iter().all(|r| *r <= x) || arm.rates.iter().all(|r| *r >= x);
        let at_the_edge = arm.rates.len() > 1 && beyond(lr);
        rows.push(table::row(&arm.name, (lr, at_the_edge), reports, failures));
    }
    table::mark_pareto(&mut rows);
    let task = grid.task();
    Ok(Comparison {
        name: String::new(),
        task: task.name().into(),
        title: task.title(),
        target: task.target_name().into(),
        seeds: grid.seeds,
        base: judges[1].base(),
        rows,
    })
}

/// The learning rate of the best balance; of equals, and where all have failed, the smallest.
fn choose(rates: &[f64], tried: &[Result<Report>]) -> f64 {
    let value = |result: &Result<Report>| match result {
        Ok(report) if report.diverged.is_none() => report.after().balance(),
        _ => f64::NEG_INFINITY,
    };
    let better =
        |a: (f64, f64), b: (f64, f64)| if b.1 > a.1 || (b.1 == a.1 && b.0 < a.0) { b } else { a };
    let pairs = rates.iter().copied().zip(tried.iter().map(value));
    pairs.reduce(better).map_or(rates[0], |(lr, _)| lr)
}

/// All jobs; those that were done before are read.
fn all(
    jobs: &[Job<'_>],
    base: &Model<f32>,
    threads: usize,
    progress: &dyn Steps,
) -> Result<Vec<Result<Report>>> {
    let mut known = vec![];
    for job in jobs {
        let found = Report::read(&job.file)?;
        known.push((job, found));
        let Some((_, Some(before))) = known.last() else { continue };
        if before.settings != job.settings || before.seed != job.seed {
            let message = "is a run with other settings";
            let help = "choose another --out, or remove the file to have the run again";
            return Err(Error::input(job.file.display(), message, help));
        }
        let parent = job.file.parent().expect("files are in a folder");
        atomic::clean(parent)?;
    }
    let one = |(job, before): &(&Job<'_>, Option<Report>)| {
        let Job { settings, seed, judge, file } = job;
        if let Some(report) = before {
            progress.skip(settings.steps as u64);
            return Ok(report.clone());
        }
        let report = run(settings, base, *seed, judge, progress)?.report;
        let parent = file.parent().expect("files are in a folder");
        fs::create_dir_all(parent).map_err(|e| Error::io(parent, &e, "make"))?;
        report.write(file)?;
        Ok(report)
    };
    Ok(side_by_side(&known, threads, one))
}
