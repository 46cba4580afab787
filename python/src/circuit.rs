//! Circuits.

use crate::arguments::Keywords;
use crate::edge_file;
use crate::edges::{Asked, Edges};
use crate::errors::{Raise, raised};
use crate::model::{Model, Read, with_model};
use crate::pairs::Pairs;
use crate::question::{Places, Question};
use crate::work;
use edgegrad::error::{Error, Result};
use edgegrad::export::{Format, export_file};
use edgegrad::files::atomic;
use edgegrad::formats::{Convention, EdgeFile};
use edgegrad::patching::running;
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::Arc;

/// Some of the edges of a graph.
#[pyclass(frozen, module = "edgegrad")]
pub(crate) struct Circuit {
    pub(crate) edges: Arc<Edges>,
    /// `[E]`.
    pub(crate) kept: Vec<bool>,
    /// Without what the origin says.
    pub(crate) file: EdgeFile,
    /// The model that it was found in, and what stands at the positions of its edges.
    pub(crate) origin: Option<(Arc<Read>, Option<Places>)>,
}

impl Circuit {
    /// The file with what the origin says.
    fn whole(&self) -> Result<EdgeFile> {
        let mut file = self.file.clone();
        if let Some((model, places)) = &self.origin {
            if let Some(hash) = model.hash()? {
                file.meta.insert("model".into(), hash.into());
            }
            if let Some(places) = places {
                file.meta.insert("tokens".into(), places.names(model)?.into());
            }
        }
        Ok(file)
    }
}

#[pymethods]
impl Circuit {
    /// Reads a file of a circuit, as `save` or `export` writes it or EAP-IG does.
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
    ) -> PyResult<Circuit> {
        let (file, graph, _) =
            edge_file::read(py, &path, model, options, |_| Ok(Convention::Ours))?;
        let kept = graph.circuit_in(&file).raise(py)?;
        Ok(Circuit { edges: Arc::new(Edges::new(graph)), kept, file, origin: None })
    }

    /// The metric of every pair with the circuit's edges alone, `[N]`; the others carry ablation
    /// values.
    #[pyo3(
        signature = (model, pairs, **options),
        text_signature = "(self, model, pairs, *, metric='logit-diff', at='asked', \
                          baseline='resample', constants=None, convention='ours', \
                          positions=False, spans=False, neurons=False, split_input=False, \
                          joined_qkv=False, rows=512, threads=None, progress=True)"
    )]
    fn run<'py>(
        &self,
        py: Python<'py>,
        model: &Model,
        pairs: &Pairs,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let mut keywords = Keywords::new(py, options)?;
        let question = Question::unsaved(&mut keywords)?;
        keywords.end()?;
        let read = &model.0;
        let values = with_model!(&read.weights, model => {
            work::run(py, question.how, |progress| {
                let b = question.behaviour((read, model), pairs, "run".into(), progress)?;
                if b.graph != self.edges.graph {
                    let help = "divide the model as where the circuit was found";
                    return Err(Error::input("circuit", "is of another graph", help));
                }
                let mut shown = progress.part("circuit");
                Ok(running::circuits(&b, std::slice::from_ref(&self.kept), &mut shown)?.remove(0))
            })
        })?;
        Ok(PyArray1::from_vec(py, values))
    }

    /// The names of its edges.
    #[getter]
    fn edges(&self) -> Vec<&str> {
        let kept = self.edges.names().iter().zip(&self.kept);
        kept.filter(|(_, kept)| **kept).map(|(name, _)| &**name).collect()
    }

    /// `[E]`, which edges of the graph are its own.
    #[getter]
    fn mask<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        PyArray1::from_slice(py, &self.kept)
    }

    /// `[E]`, the names of all edges of the graph.
    #[getter]
    fn names(&self) -> &[String] {
        self.edges.names()
    }

    fn __len__(&self) -> usize {
        self.kept.iter().filter(|&&kept| kept).count()
    }

    fn __contains__(&self, py: Python<'_>, edge: Asked) -> PyResult<bool> {
        Ok(self.kept[self.edges.find(py, &edge)?])
    }

    /// Writes the file that `edgegrad discover` writes, in EAP-IG's layout.
    pub(crate) fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.whole()?.write(&path)).raise(py)
    }

    /// Writes it for other programs: an attribution graph of circuit-tracer, dot, or mermaid.
    #[pyo3(signature = (path, format = "attribution-graph", edges = None))]
    fn export(
        &self,
        py: Python<'_>,
        path: PathBuf,
        format: &str,
        edges: Option<usize>,
    ) -> PyResult<()> {
        let Some(format) = Format::from_name(format) else {
            let names: Vec<&str> = Format::ALL.iter().map(|(name, _)| *name).collect();
            let help = format!("use one of {}", names.join(", "));
            let error = Error::input("format", format!("`{format}` is unknown"), help);
            return Err(raised(py, &error));
        };
        py.detach(|| {
            let label = path.file_stem().unwrap_or_default().to_string_lossy();
            let limit = edges.unwrap_or(usize::MAX);
            let written = export_file(self.whole()?, &label, format, limit)?;
            atomic::write_bytes(&path, written.text.as_bytes())
        })
        .raise(py)
    }

    fn __repr__(&self) -> String {
        format!("<edgegrad.Circuit: {} of {} edges>", self.__len__(), self.kept.len())
    }
}
