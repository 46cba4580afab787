//! The scores of edges.

use crate::edge_file;
use crate::edges::{Asked, Edges};
use crate::errors::{Raise, raised};
use crate::model::{Model, Read};
use crate::question::Places;
use crate::tokens::{fixed, from_json};
use edgegrad::attribution;
use edgegrad::attribution::request::turned;
use edgegrad::discovery::request::Scored;
use edgegrad::error::{Error, Result};
use edgegrad::formats::{Convention, EdgeFile, Meta};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::Arc;

/// The scores of all edges of a graph.
#[pyclass(frozen, module = "edgegrad")]
pub(crate) struct Scores {
    pub(crate) edges: Arc<Edges>,
    found: Found,
    convention: Convention,
    /// `[E]`, in the convention.
    values: Py<PyArray1<f64>>,
}

/// Where scores come from.
enum Found {
    Computed {
        scores: attribution::Scores,
        meta: Box<Meta>,
        model: Arc<Read>,
        places: Option<Places>,
    },
    /// `[E]` in our convention, NaN where the file has none.
    Read { ours: Vec<f64>, file: Box<EdgeFile> },
}

impl Scores {
    pub(crate) fn computed(
        py: Python<'_>,
        (edges, convention): (Edges, Convention),
        (scores, meta): (attribution::Scores, Meta),
        (model, places): (Arc<Read>, Option<Places>),
    ) -> PyResult<Scores> {
        let given = scores.values.iter().map(|&score| convention.and_ours(score)).collect();
        let values = fixed(py, given)?;
        let found = Found::Computed { scores, meta: Box::new(meta), model, places };
        Ok(Scores { edges: Arc::new(edges), found, convention, values })
    }

    /// `[E]`, positive where ablating the edge lowers the metric.
    pub(crate) fn ours(&self) -> &[f64] {
        match &self.found {
            Found::Computed { scores, .. } => &scores.values,
            Found::Read { ours, .. } => ours,
        }
    }

    /// What a method says of its scores beside them.
    fn beside(&self) -> Option<&attribution::Scores> {
        match &self.found {
            Found::Computed { scores, .. } => Some(scores),
            Found::Read { .. } => None,
        }
    }

    /// As a search selects edges by them.
    pub(crate) fn scored(&self) -> Scored {
        let ours = self.ours().to_vec();
        let given = ours.iter().map(|&score| self.convention.and_ours(score)).collect();
        let origin = match &self.found {
            Found::Computed { meta, .. } => meta.method.clone().unwrap_or_default(),
            Found::Read { file, .. } => file.place().into(),
        };
        Scored { given, ours, convention: self.convention, origin }
    }

    fn file(&self) -> Result<EdgeFile> {
        match &self.found {
            Found::Read { file, .. } => Ok(EdgeFile::clone(file)),
            Found::Computed { scores, meta, model, places } => {
                let tokens = places.as_ref().map(|places| places.names(model)).transpose()?;
                let meta = Meta { model: model.hash()?, tokens, ..Meta::clone(meta) };
                Ok(scores.file(&self.edges.graph, self.convention, &meta))
            }
        }
    }
}

#[pymethods]
impl Scores {
    /// Reads a file of scores, as `save` writes it or EAP-IG does.
    #[staticmethod]
    #[pyo3(
        signature = (path, model, **options),
        text_signature = "(path, model, *, convention=None, positions=None, neurons=False, \
                          split_input=False, joined_qkv=False)"
    )]
    fn read(
        py: Python<'_>,
        path: PathBuf,
        model: &Model,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Scores> {
        let (file, graph, convention) =
            edge_file::read(py, &path, model, options, |file| file.convention(None))?;
        let given = graph.scores_in(&file).raise(py)?;
        if given.iter().all(|score| score.is_nan()) {
            let help = "give a file that `Scores.save` wrote, or a circuit with scores";
            return Err(raised(py, &Error::input(path.display(), "has no scores", help)));
        }
        let ours = given.iter().map(|&score| convention.and_ours(score)).collect();
        let (values, edges) = (fixed(py, given)?, Arc::new(Edges::new(graph)));
        let found = Found::Read { ours, file: Box::new(file) };
        Ok(Scores { edges, found, convention, values })
    }

    fn __len__(&self) -> usize {
        self.edges.graph.edges()
    }

    fn __getitem__(&self, py: Python<'_>, edge: Asked) -> PyResult<f64> {
        Ok(self.convention.and_ours(self.ours()[self.edges.find(py, &edge)?]))
    }

    /// `[E]`, the names of the edges.
    #[getter]
    fn names(&self) -> &[String] {
        self.edges.names()
    }

    /// `[E]`, the scores, read-only.
    #[getter]
    fn values(&self, py: Python<'_>) -> Py<PyArray1<f64>> {
        self.values.clone_ref(py)
    }

    /// `[E]`, the standard errors of methods that sample.
    #[getter]
    fn standard_errors<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<f64>>> {
        let errors = self.beside()?.standard_errors.as_ref()?;
        Some(PyArray1::from_slice(py, errors))
    }

    /// What scores sum to, what they should sum to, and the difference.
    #[getter]
    fn completeness<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(found) = self.beside().and_then(|scores| scores.completeness) else {
            return Ok(None);
        };
        let [sum, delta] = [found.sum, found.delta].map(|x| self.convention.and_ours(x));
        let dict = PyDict::new(py);
        dict.set_item("sum", sum)?;
        dict.set_item("delta", delta)?;
        dict.set_item("residual", sum - delta)?;
        Ok(Some(dict))
    }

    /// The sign of the scores: `ours` or `eap-ig`.
    #[getter]
    fn convention(&self) -> &'static str {
        edgegrad::named::Named::name(self.convention)
    }

    /// Where the scores come from, as a file says it.
    #[getter]
    fn meta<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let meta = match &self.found {
            Found::Read { file, .. } => file.meta.clone(),
            Found::Computed { meta, .. } => {
                EdgeFile::new(Default::default(), vec![], vec![], meta).meta
            }
        };
        from_json(py, &serde_json::Value::Object(meta))
    }

    /// The names of the `n` edges with the largest scores in size, the largest first.
    fn top(&self, n: usize) -> Vec<String> {
        let ours = self.ours();
        let mut order: Vec<usize> = (0..ours.len()).filter(|&e| !ours[e].is_nan()).collect();
        order.sort_by(|&a, &b| ours[b].abs().total_cmp(&ours[a].abs()).then(a.cmp(&b)));
        order.iter().take(n).map(|&e| self.edges.names()[e].clone()).collect()
    }

    /// A data frame with a row for each edge; needs pandas.
    fn to_pandas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let columns = PyDict::new(py);
        columns.set_item("edge", self.names())?;
        columns.set_item("score", self.values.bind(py))?;
        if let Some(scores) = self.beside() {
            for (name, list) in [
                ("standard_error", &scores.standard_errors),
                ("last_doubling", &scores.last_doubling),
            ] {
                if let Some(list) = list {
                    columns.set_item(name, PyArray1::from_slice(py, list))?;
                }
            }
            if let Some(resampled) = &scores.resampled {
                if let Some(intervals) = &resampled.intervals {
                    let ends = intervals.iter().map(|&ends| turned(ends, self.convention));
                    let (low, high): (Vec<f64>, Vec<f64>) = ends.map(|[a, b]| (a, b)).unzip();
                    columns.set_item("from", PyArray1::from_vec(py, low))?;
                    columns.set_item("to", PyArray1::from_vec(py, high))?;
                }
                columns.set_item("same_sign", PyArray1::from_slice(py, &resampled.same_sign))?;
            }
        }
        py.import("pandas")?.call_method1("DataFrame", (columns,))
    }

    /// Writes the file that `edgegrad attribute` writes, in EAP-IG's layout.
    pub(crate) fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.file()?.write(&path)).raise(py)
    }

    fn __repr__(&self) -> String {
        format!("<edgegrad.Scores: {} edges>", self.__len__())
    }
}
