//! Sweeps: all runs that a file of axes asks for, each once, however often the sweep is stopped.
//!
//! | file | what |
//! | --- | --- |
//! | [`plan`](Plan) | the file: base, axes, arms, conditions, and their combinations |
//! | `axis` | what a key takes in turn |
//! | [`list`](list()) | the runs: combinations with different configurations, by their ids |
//! | [`going`](Sweep) | going through the runs, with a line in `results.jsonl` for each |
//! | `replace` | taking a sweep away that another replaces |
//! | [`merge`](merge()) | one file of results out of those of shards |
//! | [`train`](Training) | runs of `edgegrad train` |
//!
//! The folder of a sweep holds `results.jsonl`
//! ([`formats::sweep_results`](crate::formats::sweep_results)) and each run in `runs/ID`. The id
//! comes from the run's whole configuration, with a file's content in place of its path: the same
//! configuration is the same run, in this sweep and in one that asks for more.
#![forbid(unsafe_code)]

mod axis;
mod going;
mod list;
mod merge;
mod plan;
mod replace;
#[cfg(test)]
mod tests;
mod train;

use crate::error::{Error, Result};
use crate::experiments::Steps;
use std::path::Path;
use toml::Table;

pub use going::{Shard, Summary, Sweep};
pub use list::{Listed, Planned, list};
pub use merge::merge;
pub use plan::{Combination, Command, Plan};
pub use train::Training;

/// What carries out the runs of a sweep.
pub trait Runner: Sync {
    /// What a configuration comes to.
    ///
    /// # Errors
    /// If it cannot be run.
    fn resolve(&self, config: &Table) -> Result<Resolved>;

    /// Does a run on `threads` threads, those of the pool that this is called in, or goes on with
    /// one that was killed; writes everything into `folder`, and its configuration as
    /// `config.toml`.
    ///
    /// # Errors
    /// If it has no result: [`Error::Stopped`] if it can go on, others count as its result.
    fn run(&self, config: &Table, place: &Place<'_>, progress: &dyn Steps) -> Result<Ended>;

    /// About how many seconds a run takes, measured on a few of its steps; none if that cannot be
    /// told beforehand.
    ///
    /// # Errors
    /// If the run cannot begin.
    fn seconds(&self, config: &Table) -> Result<Option<f64>>;

    /// The figure by which runs are compared, and whether more of it is better.
    fn figure(&self) -> Option<(&'static str, bool)>;
}

/// What a configuration comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// All that the result depends on, the same text for the same result.
    pub text: String,
    /// Steps, for progress; 1 where there are none.
    pub steps: u64,
}

/// Where a run is done.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its folder, which exists if an earlier process has begun the run.
    pub folder: &'a Path,
    /// Its threads.
    pub threads: usize,
}

/// How a run has ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ended {
    /// What it has come to.
    pub figures: serde_json::Map<String, serde_json::Value>,
    /// Why it has diverged, if it has.
    pub diverged: Option<Error>,
}
