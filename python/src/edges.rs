//! The edges of a graph by name and by number.

use crate::errors::raised;
use edgegrad::error::Error;
use edgegrad::graph::Graph;
use edgegrad::named::suggest;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::sync::OnceLock;

/// The edges of a graph.
pub(crate) struct Edges {
    pub(crate) graph: Graph,
    names: OnceLock<Vec<String>>,
    numbers: OnceLock<HashMap<String, usize>>,
}

/// An edge as it is asked for.
#[derive(FromPyObject)]
pub(crate) enum Asked {
    Number(isize),
    Name(String),
}

impl Edges {
    pub(crate) fn new(graph: Graph) -> Edges {
        Edges { graph, names: OnceLock::new(), numbers: OnceLock::new() }
    }

    /// `[E]`, their names.
    pub(crate) fn names(&self) -> &[String] {
        let name = |e| self.graph.edge(e).to_string();
        self.names.get_or_init(|| (0..self.graph.edges()).map(name).collect())
    }

    /// The number of an edge.
    pub(crate) fn find(&self, py: Python<'_>, asked: &Asked) -> PyResult<usize> {
        let name = match asked {
            Asked::Number(number) => return at(*number, self.graph.edges()),
            Asked::Name(name) => name,
        };
        let count = || self.names().iter().cloned().zip(0..).collect();
        if let Some(&number) = self.numbers.get_or_init(count).get(name) {
            return Ok(number);
        }
        let help = match suggest(name, self.names().iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`.names` lists all".into(),
        };
        Err(raised(py, &Error::input(name, "is no edge of this graph", help)))
    }
}

/// The place of an index, which counts from the end if it is negative, in a list of `len`.
pub(crate) fn at(index: isize, len: usize) -> PyResult<usize> {
    let from_end = if index < 0 { len } else { 0 };
    let place = from_end.checked_add_signed(index).filter(|&place| place < len);
    place.ok_or_else(|| PyIndexError::new_err(format!("index {index} of {len}")))
}
