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

use super::files;
use super::goal::Goal;
use super::judge::Judge;
use super::run::{Report, run};
use super::settings::Settings;
use super::subject::Subject;
use super::table;
use crate::error::{Error, Result};
use crate::experiments::Steps;
use crate::experiments::settings::{self, Broken, Given, Keyed, Keys, dotted, ensure, settings};
use crate::experiments::side_by_side;
use crate::files::atomic;
use crate::files::lock::FolderLock;
use crate::formats::comparison::{Comparison, TuningRow};
use crate::nn::transformer::Model;
use crate::tasks::language::Part;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

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

settings! {
    /// What a grid's file says beside `[common]` and `[[methods]]`.
    struct Top {
        /// The folder of the base model; its path starts at the grid.
        model: PathBuf = "base".into() => REQUIRED;
        /// Runs of each method at its best learning rate.
        seeds: u64 = 5, whole(1, 1000);
    }
}

settings! {
    /// What a method says beside its [`Settings`].
    struct Own {
        /// What it is called in the table and in the names of files: up to 40 letters and digits.
        name: String = "circuit".into() => REQUIRED;
        /// The learning rates it is tried with, instead of `lr`.
        learning_rates: Option<Vec<f64>>, ABOVE_0 => "`lr` alone";
    }
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
        let mut table = settings::parse(place, text)?;
        let mut take = |key, absent| Given::new("", key, table.remove(key).unwrap_or(absent));
        let common = take("common", Table::new().into());
        let methods = take("methods", Value::Array(vec![]));
        let read = || -> Result<Grid> {
            let top = settings::by_key(settings::inside("", table));
            let sections = ["common", "methods"];
            if let Some(Given { key, .. }) = top.values().find(|g| !Top::names().contains(&&*g.key))
            {
                return Err(settings::unknown(key, key, &[&Top::names()[..], &sections].concat()));
            }
            let top = Top::default().with("", "", &top)?;
            top.check("").map_err(|broken| broken.at(&broken.key))?;
            let common = common.table("{ task = \"E1\" }")?;
            let mut arms: Vec<Arm> = vec![];
            for (place, method) in methods.tables("{ name = \"all\", method = \"full\" }")? {
                let common = settings::inside("common", common.clone());
                let keys = settings::by_key(common.chain(settings::inside(&place, method)));
                arms.push(Arm::read(&place, keys, &arms)?);
            }
            Ok(Grid { model: top.model, seeds: top.seeds, arms })
        };
        read().map_err(|e| e.within(place))
    }

    /// The tables of keys in `GUIDE.md`.
    pub fn key_tables() -> String {
        let (top, own) = (Top::table(), Own::table());
        format!("Above all sections:\n\n{top}\nIn `[[methods]]`, beside those of `tune`:\n\n{own}")
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

impl Arm {
    /// The method at `place`, which follows those `before`.
    fn read(place: &str, mut keys: Keys, before: &[Arm]) -> Result<Arm> {
        let own = Own::names().into_iter().filter_map(|key| keys.remove_entry(key)).collect();
        let own = Own::default().with(place, " below `[[methods]]`", &own)?;
        let settings = Settings::given(&keys)?;
        let first = before.first().map_or(settings.task, |arm| arm.settings.task);
        let (name, rates) = (&own.name, own.learning_rates.clone().unwrap_or(vec![settings.lr]));
        let checked = || {
            own.check("")?;
            ensure!(is_name(name), "name": "{name:?} is no name of up to 40 letters and digits";
                "it names files, too");
            ensure!(before.iter().all(|arm| arm.name != *name), "name": "{name:?} is there twice";
                "give each method a name of its own");
            ensure!(!rates.is_empty(), "learning_rates": "holds no number";
                "write [3e-4, 1e-3, 3e-3]");
            ensure!(settings.task == first, "task": "is another than that of the first method";
                "compare methods on one task");
            Ok(())
        };
        checked().map_err(|broken: Broken| broken.at(&dotted(place, &broken.key)))?;
        Ok(Arm { name: own.name, settings, rates })
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
    subject: &'a dyn Subject,
    file: PathBuf,
}

impl<'a> Job<'a> {
    /// A run of a method at a learning rate: with a seed, judged on test examples, or else one that
    /// chooses, judged on development examples.
    fn new(
        arm: &Arm,
        lr: f64,
        seed: Option<u64>,
        subjects: [&'a dyn Subject; 2],
        folder: &Path,
    ) -> Job<'a> {
        let run = seed.map_or_else(|| format!("lr-{lr:e}"), |seed| format!("seed-{seed:02}"));
        Job {
            settings: Settings { lr, ..arm.settings.clone() },
            seed: seed.unwrap_or(CHOOSING),
            subject: subjects[usize::from(seed.is_some())],
            file: folder.join(&arm.name).join(format!("{run}.json")),
        }
    }
}

/// Runs a grid of the base model of this `hash` on `threads` threads, with the reports in `folder`;
/// calls `progress` with the number of updates done since the last call.
///
/// # Errors
/// If the folder cannot be written, or holds runs with other settings or of another base model. A
/// run that fails is told in its row, and the others go on.
pub fn compare(
    grid: &Grid,
    (base, hash): (&Model<f32>, &str),
    folder: &Path,
    threads: usize,
    progress: &dyn Steps,
) -> Result<Comparison<Settings>> {
    let examples = grid.arms.iter().map(|arm| arm.settings.examples).max().unwrap_or(1);
    if grid.task() == Goal::Own {
        let help = "tune for pairs of a file with `edgegrad tune --pairs`";
        return Err(Error::input("task", "own: a grid has no pairs", help));
    }
    let [dev, test] =
        [Part::Dev, Part::Test].map(|part| Judge::new(grid.task(), part, examples, base));
    compare_for(grid, (base, hash), [&dev, &test], folder, threads, progress)
}

/// The same for any subject: by the first, learning rates are chosen; by the second, runs are judged.
///
/// # Errors
/// As [`compare`].
pub fn compare_for(
    grid: &Grid,
    (base, hash): (&Model<f32>, &str),
    subjects: [&dyn Subject; 2],
    folder: &Path,
    threads: usize,
    progress: &dyn Steps,
) -> Result<Comparison<Settings>> {
    let job = |arm: &Arm, lr: f64, seed| Job::new(arm, lr, seed, subjects, folder);
    let _lock = FolderLock::take(folder)?;

    let several = |arm: &&Arm| arm.rates.len() > 1;
    let tries: Vec<Job<'_>> = grid
        .arms
        .iter()
        .filter(several)
        .flat_map(|arm| arm.rates.iter().map(|&lr| job(arm, lr, None)).collect::<Vec<_>>())
        .collect();
    let mut tried = all(&tries, (base, hash), threads, progress)?.into_iter();
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
    let mut rows = rows(grid, &best, all(&jobs, (base, hash), threads, progress)?);
    table::mark_pareto(&mut rows);
    let subject = subjects[1];
    Ok(Comparison {
        name: String::new(),
        task: subject.task().into(),
        title: subject.title(),
        target: subject.target_name().into(),
        seeds: grid.seeds,
        base: subject.base(),
        rows,
    })
}

/// The rows of the methods at their `best` learning rates, from the runs of all their seeds.
fn rows(grid: &Grid, best: &[f64], results: Vec<Result<Report>>) -> Vec<TuningRow<Settings>> {
    let mut results = results.into_iter();
    let mut rows = vec![];
    for (arm, &lr) in grid.arms.iter().zip(best) {
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
    rows
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
    (base, hash): (&Model<f32>, &str),
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
        let now = files::record(&job.settings, hash, job.subject)?;
        for warning in before.began.iter().map(|began| began.allows(&now, &job.file)) {
            warning?.iter().for_each(|warning| tracing::warn!("{warning}"));
        }
        let parent = job.file.parent().expect("files are in a folder");
        atomic::clean(parent)?;
    }
    let one = |(job, before): &(&Job<'_>, Option<Report>)| {
        let Job { settings, seed, subject, file } = job;
        if let Some(report) = before {
            progress.skip(settings.steps as u64);
            return Ok(report.clone());
        }
        let began = Some(files::record(settings, hash, *subject)?);
        let report = Report { began, ..run(settings, base, *seed, *subject, progress)?.report };
        let parent = file.parent().expect("files are in a folder");
        fs::create_dir_all(parent).map_err(|e| Error::io(parent, &e, "make"))?;
        report.write(file)?;
        Ok(report)
    };
    let results = side_by_side(&known, threads, one);
    // One that was asked to stop is no failure of its method.
    let stopped = results.iter().find_map(|result| match result {
        Err(e @ Error::Stopped { .. }) => Some(e.clone()),
        _ => None,
    });
    stopped.map_or(Ok(results), Err)
}
