//! `edgegrad.report`.

use crate::errors::Raise;
use crate::work;
use crate::work::How;
use edgegrad::error::Error;
use edgegrad::page;
use pyo3::prelude::*;
use std::path::PathBuf;

/// A page that was written; notebooks show it.
#[pyclass(frozen, module = "edgegrad")]
pub(crate) struct Report(PathBuf);

#[pymethods]
impl Report {
    /// The page's file.
    #[getter]
    fn path(&self) -> &PathBuf {
        &self.0
    }

    /// The page in a frame of its own, whose styles and scripts are not the notebook's.
    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let read = std::fs::read_to_string(&self.0).map_err(|e| Error::io(&self.0, &e, "read"));
        let page = read.raise(py)?.replace('&', "&amp;").replace('"', "&quot;");
        Ok(format!(
            "<iframe sandbox=\"allow-scripts\" style=\"width: 100%; height: 720px; border: 0\" \
             srcdoc=\"{page}\"></iframe>"
        ))
    }

    fn __repr__(&self) -> String {
        format!("<edgegrad.Report {}>", self.0.display())
    }
}

/// Writes one self-contained page of run folders and of files of scores and circuits.
#[pyfunction]
#[pyo3(signature = (runs, out, seed = None))]
pub(crate) fn report(
    py: Python<'_>,
    runs: Vec<PathBuf>,
    out: PathBuf,
    seed: Option<u64>,
) -> PyResult<Report> {
    let how = How { threads: None, progress: false };
    work::run(py, how, |_| page::write_page(&runs, seed, &out))?;
    Ok(Report(out))
}
