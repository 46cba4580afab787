//! Errors as exceptions: `edgegrad.Error` and its two kinds, with the two lines of the command.

use crate::warnings;
use edgegrad::error::Error;
use pyo3::exceptions::{PyException, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

/// The classes of exceptions.
struct Classes {
    any: Py<PyType>,
    /// Bad input; also a `ValueError`.
    input: Py<PyType>,
    /// A failed run on good input; also a `RuntimeError`.
    failed: Py<PyType>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    CLASSES.get_or_try_init(py, || {
        let about = "What a user can cause and mend: two lines, `place: what` and `help: ..`.";
        let any = class(py, "Error", about, [py.get_type::<PyException>()])?;
        let input =
            class(py, "InputError", "Bad input.", [any.clone(), py.get_type::<PyValueError>()])?;
        let about = "A failed run on good input.";
        let failed =
            class(py, "FailedError", about, [any.clone(), py.get_type::<PyRuntimeError>()])?;
        let [any, input, failed] = [any, input, failed].map(Bound::unbind);
        Ok(Classes { any, input, failed })
    })
}

/// A class of the package.
fn class<'py, const N: usize>(
    py: Python<'py>,
    name: &str,
    about: &str,
    bases: [Bound<'py, PyType>; N],
) -> PyResult<Bound<'py, PyType>> {
    let content = PyDict::new(py);
    content.set_item("__module__", "edgegrad")?;
    content.set_item("__doc__", about)?;
    let class = py.get_type::<PyType>();
    Ok(class.call1((name, PyTuple::new(py, bases)?, content))?.cast_into()?)
}

/// Adds the classes to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let classes = classes(module.py())?;
    module.add("Error", classes.any.clone_ref(module.py()))?;
    module.add("InputError", classes.input.clone_ref(module.py()))?;
    module.add("FailedError", classes.failed.clone_ref(module.py()))
}

/// The exception of an error: its two lines, and the attributes `place`, `message` and `help`.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let build = || {
        let classes = classes(py)?;
        let class = match error {
            Error::Input { .. } => &classes.input,
            _ => &classes.failed,
        };
        let text = error.to_string();
        let exception = class.bind(py).call1((format!("{text}\nhelp: {}", error.help()),))?;
        let place = text.strip_suffix(error.message()).unwrap_or_default();
        exception.setattr("place", place.trim_end_matches(": "))?;
        exception.setattr("message", error.message())?;
        exception.setattr("help", error.help())?;
        Ok(PyErr::from_value(exception))
    };
    build().unwrap_or_else(|e| e)
}

/// Results of the library as results of the package.
pub(crate) trait Raise<R> {
    /// The value, or the [exception](raised); [shows](warnings::show) what was warned of.
    fn raise(self, py: Python<'_>) -> PyResult<R>;
}

impl<R> Raise<R> for edgegrad::error::Result<R> {
    fn raise(self, py: Python<'_>) -> PyResult<R> {
        warnings::show(py)?;
        self.map_err(|e| raised(py, &e))
    }
}
