//! `edgegrad.train`.

use crate::arguments::{Keywords, changes};
use crate::errors::{Raise, raised};
use crate::work;
use edgegrad::error::{Error, Result};
use edgegrad::experiments::train::config::{Config, DtypeKind};
use edgegrad::experiments::train::{Existing, Outcome};
use edgegrad::experiments::{Job, available_threads, run_all};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::path::{Path, PathBuf};

/// A file, or what one would hold.
#[derive(FromPyObject)]
pub(crate) enum Given<'py> {
    File(PathBuf),
    Content(Bound<'py, PyDict>),
}

impl Given<'_> {
    fn read(&self, py: Python<'_>, sets: &[String]) -> PyResult<Config> {
        let content = match self {
            Given::File(path) => return Config::read(path, sets).raise(py),
            Given::Content(content) => content,
        };
        let json: String = py.import("json")?.call_method1("dumps", (content,))?.extract()?;
        let value: serde_json::Value = serde_json::from_str(&json).expect("Python wrote JSON");
        let text = toml::to_string(&value).map_err(|e| {
            let help = "give keys and values as a configuration file has them; leave out None";
            raised(py, &Error::input("config", e, help))
        })?;
        Config::parse(&text, "config", sets).raise(py)
    }
}

/// Trains as a configuration says and writes a run folder for each seed.
#[pyfunction]
#[pyo3(
    signature = (config, out, **options),
    text_signature = "(config, out, *, changes=None, seed=None, seeds=1, dtype=None, \
                      resume=False, force=False, threads=None, progress=True)"
)]
pub(crate) fn train<'py>(
    py: Python<'py>,
    config: Given<'py>,
    out: PathBuf,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyList>> {
    let mut keywords = Keywords::new(py, options)?;
    let sets = changes(&mut keywords)?;
    let seed: Option<u64> = keywords.take("seed")?;
    let seeds = keywords.count("seeds")?.unwrap_or(1);
    let dtype: Option<DtypeKind> = keywords.choice("dtype")?;
    let resume: bool = keywords.take("resume")?.unwrap_or_default();
    let force: bool = keywords.take("force")?.unwrap_or_default();
    let how = keywords.how()?;
    keywords.end()?;
    let mut config = config.read(py, &sets)?;
    config.seed = seed.unwrap_or(config.seed);
    config.dtype = dtype.unwrap_or(config.dtype);
    let existing = Existing::of(resume, force);
    let done = work::run(py, how, |progress| {
        let jobs = Job::of_seeds(&config, seeds as u64, &out)?;
        Job::check_all(&jobs, existing)?;
        let steps = progress.steps("train", jobs.iter().map(Job::steps).sum());
        let threads = how.threads.unwrap_or_else(available_threads);
        let results = run_all(&jobs, existing, threads, &steps);
        let outcomes: Result<Vec<Outcome>> = results.into_iter().collect();
        Ok(jobs.into_iter().zip(outcomes?).collect::<Vec<_>>())
    })?;
    let rows = PyList::empty(py);
    for (job, outcome) in &done {
        rows.append(row(py, job.config.seed, &job.folder, outcome)?)?;
    }
    Ok(rows)
}

/// What the command prints of a run; `None` where an earlier call had finished it.
fn row<'py>(
    py: Python<'py>,
    seed: u64,
    folder: &Path,
    outcome: &Outcome,
) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("folder", folder)?;
    row.set_item("seed", seed)?;
    let last = outcome.last.as_ref();
    row.set_item("step", last.map(|last| last.step))?;
    row.set_item("train_loss", last.and_then(|last| last.train_loss))?;
    row.set_item("train_accuracy", last.and_then(|last| last.train_accuracy))?;
    row.set_item("test_loss", last.and_then(|last| last.test_loss))?;
    row.set_item("test_accuracy", last.and_then(|last| last.test_accuracy))?;
    Ok(row)
}
