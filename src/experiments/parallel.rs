//! Many runs side by side: seeds and arms of a comparison.

use super::progress::Steps;
use super::train::config::{Config, DtypeKind};
use super::train::{Existing, Outcome, run};
use crate::error::{Error, Result};
use crate::ranks;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One run to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// What to run.
    pub config: Config,
    /// Where to write it.
    pub folder: PathBuf,
}

/// `count` seeds from `first` on, at least one, and the folder of each: one in `out` itself,
/// several each in `out/seed-NN`.
///
/// # Errors
/// If there are not so many seeds, or several processes would do them together.
pub(super) fn seeds_in(out: &Path, first: u64, count: u64) -> Result<Vec<(u64, PathBuf)>> {
    if count > 1 && ranks::together() {
        let help = "give one seed, or an axis of seeds to `edgegrad sweep`";
        return Err(Error::input("--seeds", "are not divided between processes", help));
    }
    let last = first.checked_add(count - 1).ok_or_else(|| {
        Error::input("--seeds", "runs past the largest seed", "choose a smaller --seed")
    })?;
    let folder = |seed| match count {
        1 => out.to_path_buf(),
        _ => out.join(format!("seed-{seed:02}")),
    };
    Ok((first..=last).map(|seed| (seed, folder(seed))).collect())
}

impl Job {
    /// The runs of `config` with `count` seeds from its own on: one in `out` itself, several each
    /// in `out/seed-NN`.
    ///
    /// # Errors
    /// If there are not so many seeds.
    pub fn of_seeds(config: &Config, count: u64, out: &Path) -> Result<Vec<Job>> {
        let seeds = seeds_in(out, config.seed, count)?.into_iter();
        let job = |(seed, folder)| Job { config: Config { seed, ..config.clone() }, folder };
        Ok(seeds.map(job).collect())
    }

    /// Checks all of `jobs` before the first begins, not after it is done.
    ///
    /// # Errors
    /// If a configuration cannot be, or a folder holds a run and is to be refused for that.
    pub fn check_all(jobs: &[Job], existing: Existing) -> Result<()> {
        jobs.iter().try_for_each(|job| job.config.validate())?;
        // Of several ranks, the first may have begun already.
        let asked = existing == Existing::Refuse && ranks::writes();
        let taken = jobs.iter().find(|job| job.folder.join("config.toml").exists());
        match taken.filter(|_| asked) {
            None => Ok(()),
            Some(job) => Err(Error::input(
                job.folder.display(),
                "holds a run already",
                "choose another --out, go on with it by --resume, or replace it by --force",
            )),
        }
    }

    /// Steps over all stages.
    pub fn steps(&self) -> u64 {
        self.config.stages.iter().map(|s| s.train.steps).sum()
    }

    /// Does it, as [`run`].
    ///
    /// # Errors
    /// As [`run`].
    pub fn run(&self, existing: Existing, progress: &dyn Steps) -> Result<Outcome> {
        match self.config.dtype {
            DtypeKind::F32 => run::<f32>(&self.config, &self.folder, existing, progress),
            DtypeKind::F64 => run::<f64>(&self.config, &self.folder, existing, progress),
        }
    }
}

/// Does all jobs on `threads` threads, and returns how each ended, in the order of `jobs`.
///
/// Small models gain nothing from two threads on one step, so threads take whole runs; where there
/// are fewer runs than threads, each gets its share. The results are the same bits either way. One
/// run that fails does not stop the others.
pub fn run_all(
    jobs: &[Job],
    existing: Existing,
    threads: usize,
    progress: &dyn Steps,
) -> Vec<Result<Outcome>> {
    side_by_side(jobs, threads, |job| job.run(existing, progress))
}

/// Does all jobs on `threads` threads, which take whole jobs, and returns how each ended, in their
/// order. Each job runs in a pool of its own, so that its loop never waits for others'.
pub fn side_by_side<J: Sync, R: Send>(
    jobs: &[J],
    threads: usize,
    one: impl Fn(&J) -> Result<R> + Sync,
) -> Vec<Result<R>> {
    on_workers(jobs, Workers::new(threads, threads, jobs.len()), one)
}

/// How many jobs are done at a time, and on how many threads each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Workers {
    pub(super) count: usize,
    pub(super) threads_each: usize,
}

impl Workers {
    /// At most `most` of `jobs` at a time, which share `threads`.
    pub(super) fn new(threads: usize, most: usize, jobs: usize) -> Workers {
        let count = most.clamp(1, jobs.max(1));
        Workers { count, threads_each: (threads / count).max(1) }
    }

    /// Does one job after the other that `take` gives out, each in a pool of its own, and hands
    /// over what it has come to.
    pub(super) fn work_off<R>(
        self,
        take: impl Fn() -> Option<usize> + Sync,
        one: impl Fn(usize) -> Result<R> + Sync,
        put: impl Fn(usize, Result<R>) + Sync,
    ) where
        R: Send,
    {
        let work = || {
            while let Some(i) = take() {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads_each).build();
                let failed =
                    |e| Error::failed("threads", e, "lower --threads, or free some memory");
                put(i, pool.map_err(failed).and_then(|pool| pool.install(|| one(i))));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.count {
                scope.spawn(work);
            }
        });
    }
}

/// [`side_by_side`] on these workers.
pub(super) fn on_workers<J: Sync, R: Send>(
    jobs: &[J],
    workers: Workers,
    one: impl Fn(&J) -> Result<R> + Sync,
) -> Vec<Result<R>> {
    let next = AtomicUsize::new(0);
    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < jobs.len());
    let results: Vec<Mutex<Option<Result<R>>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    workers.work_off(
        take,
        |i| one(&jobs[i]),
        |i, result| {
            *results[i].lock().expect("nobody panics with the lock") = Some(result);
        },
    );
    let done = results.into_iter().map(|r| r.into_inner().expect("nobody panics with the lock"));
    done.map(|r| r.expect("every job was taken")).collect()
}

/// The threads of this machine that a process may use; processes of one job share them.
pub fn available_threads() -> usize {
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    (all / ranks::beside()).max(1)
}
