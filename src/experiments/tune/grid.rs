//! Many methods on one task, each at the best of its learning rates, over seeds.
//!
//! 1. *Choosing.* Every method runs once with each of its learning rates, with a seed that is not
//!    used again, judged on development examples. Rates are chosen at an equal budget of search and
//!    at equal gain (`rates.rs`); controls take those of the method that they are controls of.
//! 2. *Judging.* Every method runs at its rates with every seed, judged on test examples, each seed
//!    on items of its own. All methods see the same batches, pairs and items.
//!
//! A run that diverges counts, with the model of its last look. Finished runs are kept in files, so
//! a grid that was stopped goes on with what is missing.

use super::files;
use super::goal::Goal;
use super::judge::Judge;
use super::rates::Rates;
use super::run::{Report, run, seconds};
use super::settings::Settings;
use super::subject::Subject;
use super::table;
use crate::error::{Error, Result};
use crate::experiments::Steps;
use crate::experiments::settings::{self, Broken, Given, Keyed, Keys, dotted, ensure, settings};
use crate::experiments::side_by_side;
use crate::files::lock::FolderLock;
use crate::files::{atomic, input, mark, own};
use crate::formats::comparison::{Comparison, EqualGain, TuningRow};
use crate::formats::tuning_report::Judgement;
use crate::nn::transformer::Model;
use crate::tasks::language::Part;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
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
    /// Whether methods are compared at equal gain, too.
    pub equal_gain: bool,
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
    /// The arm whose chosen rates it takes instead, by its place.
    pub like: Option<usize>,
}

settings! {
    /// What a grid's file says beside `[common]` and `[[methods]]`.
    struct Top {
        /// The folder of the base model; its path starts at the grid.
        model: PathBuf = "base".into() => REQUIRED;
        /// Runs of each method at its best learning rate.
        seeds: u64 = 5, whole(1, 1000);
        /// Whether methods are also compared at equal gain: each at the smallest of its learning
        /// rates that gains on development examples what every method gains at one of its own.
        equal_gain: bool = true;
    }
}

settings! {
    /// What a method says beside its [`Settings`].
    struct Own {
        /// What it is called in the table and in the names of files: up to 40 letters and digits.
        name: String = "circuit".into() => REQUIRED;
        /// The learning rates it is tried with, instead of `lr`.
        learning_rates: Option<Vec<f64>>, ABOVE_0 => "`lr` alone";
        /// A method above whose chosen learning rates it takes: of a control, which differs in one
        /// thing.
        rates_of: Option<String>;
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
        let text = input::text(path, input::CONFIG)?;
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
            let Top { model, seeds, equal_gain } = top;
            Ok(Grid { model, seeds, equal_gain, arms })
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
        self.arms.iter().map(|arm| self.runs(arm) * arm.settings.steps as u64).sum()
    }

    /// About the seconds of one core that `runs` of its runs, with so many updates in all, take on
    /// `base`, as [`seconds`]: by its first method, which stands for all.
    ///
    /// # Errors
    /// As [`seconds`].
    pub fn seconds(&self, base: &Model<f32>, cost: (u64, u64)) -> Result<f64> {
        let Some(arm) = self.arms.first() else { return Ok(0.0) };
        let start = Instant::now();
        let judge = Judge::new(self.task(), Part::Dev, arm.settings.examples, 0, base);
        seconds(&arm.settings, (base, &judge), start.elapsed().as_secs_f64(), cost)
    }

    /// All runs of a method; fewer if its rates at equal gain are those at equal budget.
    pub fn runs(&self, arm: &Arm) -> u64 {
        let twice = self.equal_gain && (arm.searched() || arm.like.is_some());
        let choosing = if arm.searched() { arm.rates.len() as u64 } else { 0 };
        choosing + self.seeds * if twice { 2 } else { 1 }
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
        let other = own.rates_of.as_ref();
        let like = other.and_then(|other| before.iter().position(|arm| arm.name == *other));
        let chained = like.is_some_and(|i| before[i].like.is_some());
        let checked = || {
            own.check("")?;
            ensure!(is_name(name), "name": "{name:?} is no name of up to 40 letters and digits";
                "it names files, too");
            ensure!(before.iter().all(|arm| arm.name != *name), "name": "{name:?} is there twice";
                "give each method a name of its own");
            let said = other.map_or("", |name| name);
            ensure!(other.is_none() || like.is_some() && !chained, "rates_of":
                "{said:?} is no method above with learning rates of its own";
                "give the name of one");
            ensure!(other.is_none() || own.learning_rates.is_none(), "rates_of":
                "does not go with learning_rates"; "leave one of them out");
            ensure!(!rates.is_empty(), "learning_rates": "holds no number";
                "write [3e-4, 1e-3, 3e-3]");
            ensure!(settings.task == first, "task": "is another than that of the first method";
                "compare methods on one task");
            Ok(())
        };
        checked().map_err(|broken: Broken| broken.at(&dotted(place, &broken.key)))?;
        Ok(Arm { name: own.name, settings, rates, like })
    }

    /// Whether its learning rate is chosen among several.
    pub fn searched(&self) -> bool {
        self.rates.len() > 1
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

/// Who judges the runs of a grid.
#[derive(Clone, Copy)]
pub struct Judges<'a> {
    /// The runs that choose learning rates.
    pub dev: &'a dyn Subject,
    /// The runs of each seed, in turn if there are fewer.
    pub tests: &'a [&'a dyn Subject],
}

/// What the runs of a grid have in common.
struct Runner<'a> {
    grid: &'a Grid,
    base: &'a Model<f32>,
    hash: &'a str,
    judges: Judges<'a>,
    folder: &'a Path,
    threads: usize,
    progress: &'a dyn Steps,
}

impl<'a> Runner<'a> {
    /// A run of a method at a learning rate, in a file of this name.
    fn job(&self, arm: &Arm, lr: f64, seed: Option<u64>, name: String) -> Job<'a> {
        let Judges { dev, tests } = self.judges;
        Job {
            settings: Settings { lr, ..arm.settings.clone() },
            seed: seed.unwrap_or(CHOOSING),
            subject: seed.map_or(dev, |seed| tests[seed as usize % tests.len()]),
            file: self.folder.join(&arm.name).join(format!("{name}.json")),
        }
    }

    /// The runs that choose, by arm and rate.
    fn tried(&self) -> Result<Vec<Vec<Result<Report>>>> {
        let searched = || self.grid.arms.iter().filter(|arm| arm.searched());
        let tries = |arm: &'a Arm| {
            let of = |&lr: &f64| self.job(arm, lr, None, format!("lr-{lr:e}"));
            arm.rates.iter().map(of).collect::<Vec<_>>()
        };
        let jobs: Vec<Job<'_>> = searched().flat_map(tries).collect();
        let mut results = self.all(&jobs)?.into_iter();
        let count = |arm: &Arm| if arm.searched() { arm.rates.len() } else { 0 };
        let of_arm = |arm| results.by_ref().take(count(arm)).collect();
        Ok(self.grid.arms.iter().map(of_arm).collect())
    }

    /// The runs of every seed, by arm at its rate in `lrs`; files are named by `prefix`. Arms
    /// without a rate have none.
    fn judged(&self, lrs: &[Option<f64>], prefix: &str) -> Result<Vec<Vec<Result<Report>>>> {
        let seeds = |lr: &Option<f64>| if lr.is_some() { self.grid.seeds } else { 0 };
        let runs = |(arm, lr): (&'a Arm, &Option<f64>)| {
            let name = |seed| format!("{prefix}seed-{seed:02}");
            let of = |lr| move |seed| self.job(arm, lr, Some(seed), name(seed));
            lr.map_or(vec![], |lr| (0..self.grid.seeds).map(of(lr)).collect())
        };
        let jobs: Vec<Job<'_>> = self.grid.arms.iter().zip(lrs).flat_map(runs).collect();
        let mut results = self.all(&jobs)?.into_iter();
        Ok(lrs.iter().map(|lr| results.by_ref().take(seeds(lr) as usize).collect()).collect())
    }

    /// All jobs; those that were done before are read.
    fn all(&self, jobs: &[Job<'_>]) -> Result<Vec<Result<Report>>> {
        let known: Vec<(&Job<'_>, Option<Report>)> =
            jobs.iter().map(|job| Ok((job, self.done(job)?))).collect::<Result<_>>()?;
        let results = side_by_side(&known, self.threads, |(job, before)| match before {
            Some(report) => {
                self.progress.skip(job.settings.steps as u64);
                Ok(report.clone())
            }
            None => self.one(job),
        });
        // One that was asked to stop is no failure of its method.
        let stopped = results.iter().find_map(|result| match result {
            Err(e @ Error::Stopped { .. }) => Some(e.clone()),
            _ => None,
        });
        stopped.map_or(Ok(results), Err)
    }

    /// A run that was done before.
    fn done(&self, job: &Job<'_>) -> Result<Option<Report>> {
        let Some(before) = Report::read(&job.file)? else { return Ok(None) };
        if before.settings != job.settings || before.seed != job.seed {
            let message = "is a run with other settings";
            let help = "choose another --out, or have all runs again by --force";
            return Err(Error::input(job.file.display(), message, help));
        }
        let now = files::record(&job.settings, self.hash, job.subject)?;
        for warning in before.began.iter().map(|began| began.allows(&now, &job.file)) {
            warning?.iter().for_each(|warning| tracing::warn!("{warning}"));
        }
        atomic::clean(job.file.parent().expect("files are in a folder"))?;
        Ok(Some(before))
    }

    fn one(&self, job: &Job<'_>) -> Result<Report> {
        let Job { settings, seed, subject, file } = job;
        let began = Some(files::record(settings, self.hash, *subject)?);
        let tuned = run(settings, self.base, *seed, *subject, self.progress)?;
        let report = Report { began, ..tuned.report };
        let parent = file.parent().expect("files are in a folder");
        fs::create_dir_all(parent).map_err(|e| Error::io(parent, &e, "make"))?;
        report.write(file)?;
        Ok(report)
    }
}

/// The names of files of runs, up to the number.
const RUNS: [&str; 3] = ["lr-", "seed-", "gain-seed-"];

/// The file of a comparison in its folder.
pub const COMPARISON: &str = "comparison.json";

/// Removes the runs of a grid in `folder` and their comparison; what edgegrad has not written
/// stays.
///
/// # Errors
/// If a file cannot be read or removed, or another process is writing here.
pub fn remove(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let _lock = FolderLock::take(folder)?;
    let comparison = folder.join(COMPARISON);
    if mark::is_ours(&comparison).unwrap_or(false) {
        own::remove(&comparison)?;
    }
    for arm in own::listed(folder)?.iter().filter(|path| path.is_dir()) {
        for file in own::listed(arm)? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let named = name.ends_with(".json") && RUNS.iter().any(|run| name.starts_with(run));
            if named && matches!(Report::read(&file), Ok(Some(_))) {
                own::remove(&file)?;
            }
        }
        // Only an empty folder can be removed so.
        let _ = fs::remove_dir(arm);
    }
    Ok(())
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
    let n = grid.arms.iter().map(|arm| arm.settings.examples).max().unwrap_or(1);
    if grid.task() == Goal::Own {
        let help = "tune for pairs of a file with `edgegrad tune --pairs`";
        return Err(Error::input("task", "own: a grid has no pairs", help));
    }
    let judge = |part, items| Judge::new(grid.task(), part, n, items, base);
    let dev = judge(Part::Dev, 0);
    let tests: Vec<Judge> = (0..grid.seeds).map(|seed| judge(Part::Test, seed)).collect();
    let tests: Vec<&dyn Subject> = tests.iter().map(|test| test as &dyn Subject).collect();
    let judges = Judges { dev: &dev, tests: &tests };
    compare_for(grid, (base, hash), judges, folder, threads, progress)
}

/// The same for any subject.
///
/// # Errors
/// As [`compare`].
pub fn compare_for(
    grid: &Grid,
    (base, hash): (&Model<f32>, &str),
    judges: Judges<'_>,
    folder: &Path,
    threads: usize,
    progress: &dyn Steps,
) -> Result<Comparison<Settings>> {
    let _lock = FolderLock::take(folder)?;
    let runner = Runner { grid, base, hash, judges, folder, threads, progress };
    let rates = Rates::choose(grid, &runner.tried()?);
    let best: Vec<Option<f64>> = rates.best.iter().copied().map(Some).collect();
    let at_best = runner.judged(&best, "")?;
    let mut equal = vec![];
    if let Some(gain) = &rates.at_gain {
        // Those whose rate is the same are the same runs.
        let other = |(&lr, &best): (&f64, &f64)| (lr != best).then_some(lr);
        let lrs: Vec<Option<f64>> = gain.rates.iter().zip(&rates.best).map(other).collect();
        let mut runs = runner.judged(&lrs, "gain-")?;
        for (runs, same) in runs.iter_mut().zip(&at_best).filter(|(runs, _)| runs.is_empty()) {
            runs.clone_from(same);
        }
        equal = rows(grid, &gain.rates, runs);
    }
    let subject = judges.tests[0];
    let before: Vec<_> = judges.tests.iter().map(|test| test.base()).collect();
    Ok(Comparison {
        name: String::new(),
        task: subject.task().into(),
        title: subject.title(),
        target: subject.target_name().into(),
        seeds: grid.seeds,
        base: Judgement::mean(&before),
        rows: rows(grid, &rates.best, at_best),
        equal_gain: rates.at_gain.map(|gain| EqualGain { level: gain.level, rows: equal }),
    })
}

/// The rows of the methods at their learning rates, from the runs of all their seeds.
fn rows(grid: &Grid, rates: &[f64], results: Vec<Vec<Result<Report>>>) -> Vec<TuningRow<Settings>> {
    let mut rows = vec![];
    for ((arm, &lr), results) in grid.arms.iter().zip(rates).zip(results) {
        let (mut reports, mut failures) = (vec![], vec![]);
        for result in results {
            match result {
                Ok(report) => reports.push(report),
                Err(e) => failures.push(format!("{e} ({})", e.help())),
            }
        }
        let beyond =
            |x: f64| arm.rates.iter().all(|r| *r <= x) || arm.rates.iter().all(|r| *r >= x);
        let at_the_edge = arm.searched() && beyond(lr);
        rows.push(table::row(&arm.name, (lr, at_the_edge), reports, failures));
    }
    table::mark_pareto(&mut rows);
    rows
}
