//! Files of scores and of circuits.

use crate::arguments::Keywords;
use crate::errors::Raise;
use crate::model::{Model, Read, with_model};
use edgegrad::error::Result;
use edgegrad::formats::{Convention, EdgeFile};
use edgegrad::graph::{Granularity, Graph, Start};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::Path;

/// A file, the graph of `model` that it divides as the options say, and the convention: the one
/// that they or it name, else the one that is `assumed`.
pub(crate) fn read(
    py: Python<'_>,
    path: &Path,
    model: &Model,
    options: Option<&Bound<'_, PyDict>>,
    assumed: impl FnOnce(&EdgeFile) -> Result<Convention>,
) -> PyResult<(EdgeFile, Graph, Convention)> {
    let mut keywords = Keywords::new(py, options)?;
    let told: Option<Convention> = keywords.choice("convention")?;
    let file = EdgeFile::read(path).raise(py)?;
    warn_other_model(&file, &model.0).raise(py)?;
    let named = file.named_convention().raise(py)?;
    let convention = named.or(told).map_or_else(|| assumed(&file), Ok).raise(py)?;
    let granularity = granularity(&mut keywords, convention)?;
    keywords.end()?;
    let graph = with_model!(&model.0.weights, model => model.graph(granularity));
    Ok((file, graph, convention))
}

/// Warns of a file that says that it is of another model.
fn warn_other_model(file: &EdgeFile, model: &Read) -> Result<()> {
    // One of arrays has no hash.
    let Ok(folder) = model.folder() else { return Ok(()) };
    file.warn_other_model(folder, || Ok(model.hash()?.expect("of a folder or a file")))
}

/// How finely a file divides a model; `positions` is the length of the sequences.
fn granularity(keywords: &mut Keywords<'_>, convention: Convention) -> PyResult<Granularity> {
    let split: bool = keywords.take("split_input")?.unwrap_or_default();
    let start = match (split, convention) {
        (true, _) => Start::Split,
        (false, Convention::Ours) => Start::Joint,
        (false, Convention::EapIg) => Start::TokensOnly,
    };
    Ok(Granularity {
        start,
        joined_qkv: keywords.take("joined_qkv")?.unwrap_or_default(),
        neurons: keywords.take("neurons")?.unwrap_or_default(),
        positions: keywords.count("positions")?,
    })
}
