//! `edgegrad.tune`.

use crate::arguments::{Keywords, changes};
use crate::errors::Raise;
use crate::model::{Model, Read};
use crate::pairs::Pairs;
use crate::tokens::from_json;
use crate::work;
use edgegrad::error::{Error, Result};
use edgegrad::experiments::available_threads;
use edgegrad::experiments::tune::request::{Options, Request, diverged};
use edgegrad::experiments::tune::{Goal, OwnPairs};
use edgegrad::text::LazyTokenizer;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::path::PathBuf;

/// Tunes a base model and writes a folder with the tuned model for each seed.
#[pyfunction]
#[pyo3(
    signature = (model, out, **options),
    text_signature = "(model, out, *, task=None, pairs=None, dev=None, keep=None, \
                      first_token=False, method=None, edges=None, every=None, select=None, \
                      circuit=None, rank=None, lr=None, steps=None, config=None, changes=None, \
                      seed=0, seeds=1, resume=False, force=False, threads=None, progress=True)"
)]
pub(crate) fn tune<'py>(
    py: Python<'py>,
    model: &Model,
    out: PathBuf,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyList>> {
    let mut keywords = Keywords::new(py, options)?;
    let sets = changes(&mut keywords)?;
    let config: Option<PathBuf> = keywords.take("config")?;
    let [pairs, dev] = ["pairs", "dev"].map(|name| keywords.take::<Given<'_>>(name));
    let (pairs, dev) = (pairs?, dev?);
    let keep: Option<PathBuf> = keywords.take("keep")?;
    let first_token: bool = keywords.take("first_token")?.unwrap_or_default();
    let chosen = Options {
        task: keywords.choice("task")?.or(pairs.as_ref().map(|_| Goal::Own)),
        method: keywords.choice("method")?,
        edges: keywords.take("edges")?,
        every: keywords.take("every")?,
        select: keywords.choice("select")?,
        circuit: keywords.take("circuit")?,
        rank: keywords.take("rank")?,
        lr: keywords.take("lr")?,
        steps: keywords.take("steps")?,
    };
    let seed: u64 = keywords.take("seed")?.unwrap_or_default();
    let seeds = keywords.count("seeds")?.unwrap_or(1) as u64;
    let resume: bool = keywords.take("resume")?.unwrap_or_default();
    let force: bool = keywords.take("force")?.unwrap_or_default();
    let how = keywords.how()?;
    keywords.end()?;
    let own = own(&model.0, pairs, dev, keep.is_some()).raise(py)?;
    let settings = chosen.settings(config.as_deref(), &sets).raise(py)?;
    let place = model.0.folder().raise(py)?.to_path_buf();
    let text = LazyTokenizer::new(&*place, first_token);
    let request =
        Request { model: place, own, keep, settings, config, seed, seeds, out, resume, force };
    let done = work::run(py, how, |progress| {
        let runs = request.begin(Some(&text))?;
        let steps = progress.steps("tune", runs.updates());
        let results = runs.run(how.threads.unwrap_or_else(available_threads), &steps)?;
        let mut done = vec![];
        for ((_, folder), report) in runs.jobs.iter().zip(results) {
            let report = report?;
            match diverged(folder, &report) {
                Some(failed) => return Err(failed),
                None => done.push((folder.clone(), report)),
            }
        }
        Ok(done)
    })?;
    let rows = PyList::empty(py);
    for (folder, report) in done {
        let row = from_json(py, &serde_json::to_value(report).expect("names and numbers"))?;
        row.set_item("folder", folder)?;
        rows.append(row)?;
    }
    Ok(rows)
}

/// Pairs, or a file of them.
#[derive(FromPyObject)]
enum Given<'py> {
    Read(PyRef<'py, Pairs>),
    File(PathBuf),
}

/// Pairs to learn from and pairs to be judged by, both or neither.
fn own(
    model: &Read,
    pairs: Option<Given<'_>>,
    dev: Option<Given<'_>>,
    keep: bool,
) -> Result<Option<[OwnPairs; 2]>> {
    let of = |given: Given<'_>| match given {
        Given::Read(pairs) => pairs.check(model).map(|()| OwnPairs::Read(pairs.pairs.clone())),
        Given::File(path) => Ok(OwnPairs::File(path)),
    };
    let (missing, given) = match (pairs, dev) {
        (Some(pairs), Some(dev)) => return Ok(Some([of(pairs)?, of(dev)?])),
        (None, None) if keep => ("pairs", "keep"),
        (None, None) => return Ok(None),
        (Some(_), None) => ("dev", "pairs"),
        (None, Some(_)) => ("pairs", "dev"),
    };
    Err(Error::input(missing, format!("is missing beside `{given}`"), "give pairs for both"))
}
