//! Sequences of tokens as Python gives them; arrays and values of JSON as it takes them.

use crate::errors::{Raise, raised};
use crate::model::Read;
use edgegrad::error::Error;
use edgegrad::formats::pairs::Encode;
use edgegrad::tensor;
use edgegrad::tensor::Buffer;
use numpy::ndarray::{Array1, s};
use numpy::{Element, PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyString;
use serde_json::Value;

/// Sequences, at least one.
pub(crate) struct Sequences {
    pub(crate) rows: Vec<Vec<u32>>,
    /// Whether it was one alone, and not a list of one.
    pub(crate) single: bool,
}

impl Sequences {
    /// The sequences of a text, a list of ids, an array, or a list of these.
    pub(crate) fn of(model: &Read, given: &Bound<'_, PyAny>) -> PyResult<Sequences> {
        let py = given.py();
        let given = match given.getattr_opt("tolist")? {
            Some(tolist) => tolist.call0()?,
            None => given.clone(),
        };
        let row = |given: &Bound<'_, PyAny>| -> PyResult<Option<Vec<u32>>> {
            if let Ok(text) = given.cast::<PyString>() {
                let text = text.to_string();
                let ids = model.tokenizer().and_then(|tokenizer| tokenizer.encode(&text, true));
                return ids.raise(py).map(Some);
            }
            let given = match given.getattr_opt("tolist")? {
                Some(tolist) => tolist.call0()?,
                None => given.clone(),
            };
            Ok(given.extract().ok())
        };
        if let Some(row) = row(&given)?
            && !row.is_empty()
        {
            return Ok(Sequences { rows: vec![row], single: true });
        }
        let mut rows = vec![];
        let wrong = |i: usize| {
            let help = "give a text, a list of token ids, or a list of these";
            raised(py, &Error::input(format!("tokens[{i}]"), "is no sequence of ids", help))
        };
        for (i, one) in given.try_iter().map_err(|_| wrong(0))?.enumerate() {
            rows.push(row(&one?)?.ok_or_else(|| wrong(i))?);
        }
        if rows.is_empty() {
            let help = "give a text, a list of token ids, or a list of these";
            return Err(raised(py, &Error::input("tokens", "holds no sequence", help)));
        }
        Ok(Sequences { rows, single: false })
    }
}

/// What a value of JSON is in Python.
pub(crate) fn from_json<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (value.to_string(),))
}

/// The elements of `flat` in the shape `dims`; nothing is copied.
pub(crate) fn array<'py, T: Element>(
    flat: Bound<'py, PyArray1<T>>,
    dims: &[usize],
) -> PyResult<Bound<'py, PyAny>> {
    Ok(flat.reshape(dims.to_vec())?.into_any())
}

/// The elements of `values` in the shape `dims`; nothing is copied.
pub(crate) fn owned<'py, T: Element + tensor::Element>(
    py: Python<'py>,
    values: Buffer<T>,
    dims: &[usize],
) -> PyResult<Bound<'py, PyAny>> {
    let (memory, elements) = values.into_parts();
    let flat = Array1::from_vec(memory).slice_move(s![elements]);
    array(PyArray1::from_owned_array(py, flat), dims)
}

/// A read-only array of `values`; nothing is copied.
pub(crate) fn fixed<T: Element>(py: Python<'_>, values: Vec<T>) -> PyResult<Py<PyArray1<T>>> {
    let array = PyArray1::from_vec(py, values);
    array.call_method1("setflags", (false,))?;
    Ok(array.unbind())
}
