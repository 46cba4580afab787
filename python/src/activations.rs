//! `Model.activations`.

use crate::errors::Raise;
use crate::model::{Weights, check_tokens};
use crate::tokens::{Sequences, owned};
use crate::work;
use crate::work::How;
use edgegrad::checkpoints::AnyModel;
use edgegrad::patching::activations;
use edgegrad::tensor::Element;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// One name, or several.
#[derive(FromPyObject)]
pub(crate) enum Names {
    One(String),
    Several(Vec<String>),
}

impl Names {
    fn list(self) -> Vec<String> {
        match self {
            Names::One(name) => vec![name],
            Names::Several(names) => names,
        }
    }
}

/// A dict of the activations of `sequences` at the hooks `names`.
pub(crate) fn of<'py>(
    py: Python<'py>,
    how: How,
    weights: &Weights,
    sequences: &Sequences,
    names: Names,
) -> PyResult<Bound<'py, PyDict>> {
    fn of<'py, T: Element + numpy::Element>(
        py: Python<'py>,
        how: How,
        model: &AnyModel<T>,
        sequences: &Sequences,
        names: &[String],
    ) -> PyResult<Bound<'py, PyDict>> {
        let rows = &sequences.rows;
        check_tokens(model, rows).raise(py)?;
        let found = work::run(py, how, |progress| {
            let mut shown = progress.part("activations");
            activations::activations(model, rows, names, &mut shown)
        })?;
        let dict = PyDict::new(py);
        for (name, one) in names.iter().zip(found) {
            dict.set_item(name, owned(py, one.values, &one.shape)?)?;
        }
        Ok(dict)
    }
    let names = names.list();
    match weights {
        Weights::F32(model) => of(py, how, model, sequences, &names),
        Weights::F64(model) => of(py, how, model, sequences, &names),
    }
}
