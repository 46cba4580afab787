//! `edgegrad.interactions`.

use crate::arguments::Keywords;
use crate::errors::{Raise, raised};
use crate::model::{Model, Read, Weights};
use crate::pairs::Pairs;
use crate::question::Question;
use crate::tokens::{array, fixed, from_json};
use crate::work;
use edgegrad::attribution::interactions::hessian;
use edgegrad::attribution::interactions::request::Request;
use edgegrad::error::Error;
use edgegrad::formats;
use edgegrad::formats::interactions::Row;
use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::Arc;

/// Second derivatives of the metric by pairs of edges, and what ablating some pairs does.
#[pyclass(frozen, module = "edgegrad")]
pub(crate) struct Interactions {
    /// Without the rows of second derivatives, and without the model.
    file: formats::interactions::Interactions,
    /// `[n, E]`, one row after the other.
    values: Py<PyArray1<f64>>,
    model: Arc<Read>,
}

#[pymethods]
impl Interactions {
    /// The pairs that were ablated, the largest second derivative first, each a dict.
    #[getter]
    fn pairs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let list = serde_json::to_value(&self.file.pairs).expect("names and numbers");
        from_json(py, &list)
    }

    /// `[n]`, the edges that the rows belong to.
    #[getter]
    fn rows(&self) -> &[String] {
        &self.file.rows
    }

    /// `[E]`, the names of all edges.
    #[getter]
    fn names(&self) -> &[String] {
        &self.file.columns
    }

    /// `[n, E]`, the second derivatives of the metric by the masks of a row's and a column's edge;
    /// read-only.
    #[getter]
    fn second_derivatives<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let dims = [self.file.rows.len(), self.file.columns.len()];
        array(self.values.bind(py).clone(), &dims)
    }

    /// A data frame with a row for each pair; needs pandas.
    fn to_pandas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("pandas")?.call_method1("DataFrame", (self.pairs(py)?,))
    }

    /// Writes the file that `edgegrad interactions` writes.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let values = self.values.bind(py).to_vec()?;
        py.detach(|| {
            let mut file = self.file.clone();
            let rows = values.chunks_exact(file.columns.len().max(1));
            file.second_derivatives = rows.map(|row| Row(row.to_vec())).collect();
            if let Some(hash) = self.model.hash()? {
                file.meta.insert("model".into(), hash.into());
            }
            file.write(&path)
        })
        .raise(py)
    }

    fn __repr__(&self) -> String {
        let [pairs, rows] = [self.file.pairs.len(), self.file.rows.len()];
        format!("<edgegrad.Interactions: {pairs} pairs, {rows} rows>")
    }
}

/// Finds pairs of edges that are redundant or joint.
#[pyfunction]
#[pyo3(
    signature = (model, pairs, **options),
    text_signature = "(model, pairs, *, rows_of=None, patches=20, threshold=0.1, \
                      metric='logit-diff', at='asked', baseline='resample', constants=None, \
                      convention='ours', positions=False, spans=False, neurons=False, \
                      split_input=False, joined_qkv=False, rows=512, out=None, resume=False, \
                      threads=None, progress=True)"
)]
pub(crate) fn interactions(
    py: Python<'_>,
    model: &Model,
    pairs: &Pairs,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<Interactions> {
    let mut keywords = Keywords::new(py, options)?;
    let question = Question::take(&mut keywords)?;
    let usual = Request::default();
    let request = Request {
        rows_of: keywords.count("rows_of")?,
        patches: keywords.count("patches")?.unwrap_or(usual.patches),
        threshold: keywords.take("threshold")?.unwrap_or(usual.threshold),
    };
    keywords.end()?;
    request.check().raise(py)?;
    let read = &model.0;
    let Weights::F64(weights) = &read.weights else {
        let help = "load it with dtype=\"f64\"";
        let message = "is in f32, where second derivatives take doubles";
        return Err(raised(py, &Error::input("model", message, help)));
    };
    let mut file = work::run(py, question.how, |progress| {
        let settings = format!("interactions {request:?}");
        let b = question.behaviour((read, weights), pairs, settings, progress)?;
        let rows = request.rows(&b)?;
        let matrix = hessian(&b, &rows, &mut progress.part("second derivatives"))?;
        let found = request.pairs(&b, &rows, &matrix, &mut progress.part("patches"))?;
        b.journal.end();
        Ok(request.file(&b, (&rows, matrix), found, None))
    })?;
    let values = std::mem::take(&mut file.second_derivatives);
    let values = fixed(py, values.into_iter().flat_map(|row| row.0).collect())?;
    let found = Interactions { file, values, model: read.clone() };
    if let Some(out) = question.out {
        found.save(py, out)?;
    }
    Ok(found)
}
