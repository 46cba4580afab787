//! A [grid](super::grid) at work.
//!
//! 1. *Choosing.* Every method runs once with each of its learning rates, with a seed that is not
//!    used again, judged on development examples. Rates are chosen at an equal budget of search and
//!    at equal gain (`rates.rs`); controls take those of the method that they are controls of.
//! 2. *Judging.* Every method runs at its rates with every seed, judged on test examples: of
//!    generated language each seed on items of its own, of a file all on its pairs. All methods see
//!    the same batches, pairs and items.
//!
//! A run that diverges counts, with the model of its last look. Finished runs are kept in files, so
//! a grid that was stopped goes on with what is missing.

use super::files;
use super::grid::{Arm, Grid, OwnGrid};
use super::judge::Judge;
use super::own::{Own, OwnFiles, OwnPairs};
use super::rates::Rates;
use super::run::{Report, run, seconds};
use super::settings::Settings;
use super::subject::Subject;
use super::table;
use crate::error::{Error, Result};
use crate::experiments::{Steps, side_by_side};
use crate::files::lock::FolderLock;
use crate::files::{atomic, mark, own};
use crate::formats::comparison::{Comparison, EqualGain, TuningRow};
use crate::formats::pairs::Encode;
use crate::formats::tuning_report::Judgement;
use crate::nn::transformer::Model;
use crate::tasks::language::Part;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The seed of the runs that choose a learning rate, which no other run has.
const CHOOSING: u64 = 1 << 40;

/// A grid on its base model, with who judges.
pub struct GridRuns<'a> {
    grid: &'a Grid,
    /// The base model.
    pub base: Model<f32>,
    hash: String,
    /// Who judges the runs that choose learning rates.
    dev: Box<dyn Subject>,
    /// Who judges the runs of each seed, in turn if there are fewer; `dev` if there are none.
    tests: Vec<Box<dyn Subject>>,
    /// The seconds that it took to judge the base.
    judged: f64,
}

impl Grid {
    /// Reads the base model at `base` and all that judges it; text is encoded by `encode`.
    ///
    /// # Errors
    /// If something cannot be read, or the model cannot be tuned for it.
    pub fn begin(&self, base: &Path, encode: Option<&dyn Encode>) -> Result<GridRuns<'_>> {
        let Some(own) = &self.own else {
            let (base, hash) = files::read_base(base)?;
            return Ok(GridRuns::generated(self, base, hash));
        };
        let (model, hash) = files::read_any_base(base)?;
        let judge = |by: &PathBuf| {
            let OwnGrid { pairs, keep, .. } = own.clone();
            let [pairs, dev] = [pairs, by.clone()].map(OwnPairs::from);
            Own::read(OwnFiles { model: base.into(), pairs, dev, keep }, &model, encode)
        };
        let start = Instant::now();
        let dev = judge(&own.dev)?;
        let judged = start.elapsed().as_secs_f64();
        let test = own.test.as_ref().map(judge).transpose()?;
        if let Some(test) = &test {
            test.judges_others_than(&dev)?;
        }
        let tests = test.into_iter().map(|test| Box::new(test) as Box<dyn Subject>).collect();
        Ok(GridRuns { grid: self, base: model, hash, dev: Box::new(dev), tests, judged })
    }
}

impl<'a> GridRuns<'a> {
    /// Of a goal of generated language, on a base model of this `hash`.
    pub(super) fn generated(grid: &'a Grid, base: Model<f32>, hash: String) -> GridRuns<'a> {
        let examples = grid.arms.iter().map(|arm| arm.settings.examples).max().unwrap_or(1);
        let judge = |part, items| -> Box<dyn Subject> {
            Box::new(Judge::new(grid.task(), part, examples, items, &base))
        };
        let start = Instant::now();
        let dev = judge(Part::Dev, 0);
        let judged = start.elapsed().as_secs_f64();
        let tests = (0..grid.seeds).map(|seed| judge(Part::Test, seed)).collect();
        GridRuns { grid, base, hash, dev, tests, judged }
    }

    /// Who judges the run of a seed.
    fn test(&self, seed: u64) -> &dyn Subject {
        match self.tests.len() {
            0 => &*self.dev,
            tests => &*self.tests[seed as usize % tests],
        }
    }

    /// About the seconds of one core that `runs` runs with so many updates in all take, as
    /// [`seconds`]: by the grid's first method, which stands for all.
    ///
    /// # Errors
    /// As [`seconds`].
    pub fn seconds(&self, cost: (u64, u64)) -> Result<f64> {
        let Some(arm) = self.grid.arms.first() else { return Ok(0.0) };
        seconds(&arm.settings, (&self.base, &*self.dev), self.judged, cost)
    }

    /// Runs what is missing on `threads` threads, with the reports in `folder`; calls `progress`
    /// with the number of updates done since the last call.
    ///
    /// # Errors
    /// If the folder cannot be written, or holds runs with other settings or of another base model.
    /// A run that fails is told in its row, and the others go on.
    pub fn compare(
        &self,
        folder: &Path,
        threads: usize,
        progress: &dyn Steps,
    ) -> Result<Comparison<Settings>> {
        let grid = self.grid;
        let _lock = FolderLock::take(folder)?;
        let runner = Runner { runs: self, folder, threads, progress };
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
        let subject = self.test(0);
        let before: Vec<_> = (0..grid.seeds).map(|seed| self.test(seed).base()).collect();
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
}

/// One run of a grid.
struct Job<'a> {
    settings: Settings,
    seed: u64,
    subject: &'a dyn Subject,
    file: PathBuf,
}

/// What the runs of a grid have in common.
struct Runner<'a> {
    runs: &'a GridRuns<'a>,
    folder: &'a Path,
    threads: usize,
    progress: &'a dyn Steps,
}

impl<'a> Runner<'a> {
    /// A run of a method at a learning rate, in a file of this name.
    fn job(&self, arm: &Arm, lr: f64, seed: Option<u64>, name: String) -> Job<'a> {
        Job {
            settings: Settings { lr, ..arm.settings.clone() },
            seed: seed.unwrap_or(CHOOSING),
            subject: seed.map_or(&*self.runs.dev, |seed| self.runs.test(seed)),
            file: self.folder.join(&arm.name).join(format!("{name}.json")),
        }
    }

    /// The runs that choose, by arm and rate.
    fn tried(&self) -> Result<Vec<Vec<Result<Report>>>> {
        let searched = || self.runs.grid.arms.iter().filter(|arm| arm.searched());
        let tries = |arm: &'a Arm| {
            let of = |&lr: &f64| self.job(arm, lr, None, format!("lr-{lr:e}"));
            arm.rates.iter().map(of).collect::<Vec<_>>()
        };
        let jobs: Vec<Job<'_>> = searched().flat_map(tries).collect();
        let mut results = self.all(&jobs)?.into_iter();
        let count = |arm: &Arm| if arm.searched() { arm.rates.len() } else { 0 };
        let of_arm = |arm| results.by_ref().take(count(arm)).collect();
        Ok(self.runs.grid.arms.iter().map(of_arm).collect())
    }

    /// The runs of every seed, by arm at its rate in `lrs`; files are named by `prefix`. Arms
    /// without a rate have none.
    fn judged(&self, lrs: &[Option<f64>], prefix: &str) -> Result<Vec<Vec<Result<Report>>>> {
        let seeds = |lr: &Option<f64>| if lr.is_some() { self.runs.grid.seeds } else { 0 };
        let runs = |(arm, lr): (&'a Arm, &Option<f64>)| {
            let name = |seed| format!("{prefix}seed-{seed:02}");
            let of = |lr| move |seed| self.job(arm, lr, Some(seed), name(seed));
            lr.map_or(vec![], |lr| (0..self.runs.grid.seeds).map(of(lr)).collect())
        };
        let jobs: Vec<Job<'_>> = self.runs.grid.arms.iter().zip(lrs).flat_map(runs).collect();
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
        let now = files::record(&job.settings, &self.runs.hash, job.subject)?;
        for warning in before.began.iter().map(|began| began.allows(&now, &job.file)) {
            warning?.iter().for_each(|warning| tracing::warn!("{warning}"));
        }
        atomic::clean(job.file.parent().expect("files are in a folder"))?;
        Ok(Some(before))
    }

    fn one(&self, job: &Job<'_>) -> Result<Report> {
        let Job { settings, seed, subject, file } = job;
        let began = Some(files::record(settings, &self.runs.hash, *subject)?);
        let tuned = run(settings, &self.runs.base, *seed, *subject, self.progress)?;
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
