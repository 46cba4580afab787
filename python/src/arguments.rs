//! Arguments that many functions take.

use crate::errors::raised;
use edgegrad::error::Error;
use edgegrad::formats::Convention;
use edgegrad::named::{Named, suggest};
use edgegrad::patching::setup::Setup;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::BTreeMap;

/// The value of an enumeration by its name; the default if there is none.
pub(crate) fn named<N: Named + Default>(
    py: Python<'_>,
    what: &str,
    name: Option<&str>,
) -> PyResult<N> {
    Ok(chosen(py, what, name)?.unwrap_or_default())
}

/// The value of an enumeration by its name, if there is one.
pub(crate) fn chosen<N: Named>(
    py: Python<'_>,
    what: &str,
    name: Option<&str>,
) -> PyResult<Option<N>> {
    let Some(name) = name else { return Ok(None) };
    let known = || N::ALL.iter().map(|(known, _)| *known);
    if let Some(value) = N::from_name(name) {
        return Ok(Some(value));
    }
    let help = match suggest(name, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use one of {}", known().collect::<Vec<_>>().join(", ")),
    };
    Err(raised(py, &Error::input(what, format!("`{name}` is unknown"), help)))
}

/// The keyword arguments of one call, taken by name; what is left over at the end is refused.
pub(crate) struct Keywords<'py> {
    py: Python<'py>,
    left: Option<Bound<'py, PyDict>>,
    known: Vec<&'static str>,
}

impl<'py> Keywords<'py> {
    pub(crate) fn new(py: Python<'py>, given: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        let left = given.map(|given| given.copy()).transpose()?;
        Ok(Keywords { py, left, known: vec![] })
    }

    /// The argument `name`, unless it is left out or `None`.
    pub(crate) fn take<V>(&mut self, name: &'static str) -> PyResult<Option<V>>
    where
        V: for<'a> FromPyObject<'a, 'py, Error: Into<PyErr>>,
    {
        self.known.push(name);
        let Some(left) = &self.left else { return Ok(None) };
        let Some(value) = left.get_item(name)? else { return Ok(None) };
        left.del_item(name)?;
        if value.is_none() {
            return Ok(None);
        }
        let value: Result<V, PyErr> = value.extract().map_err(Into::into);
        value.map(Some).map_err(|e| {
            let help = "see the types in `help(edgegrad)`";
            raised(self.py, &Error::input(name, e.value(self.py), help))
        })
    }

    /// The argument `name`, a name of an enumeration.
    pub(crate) fn choice<N: Named>(&mut self, name: &'static str) -> PyResult<Option<N>> {
        let text: Option<String> = self.take(name)?;
        chosen(self.py, name, text.as_deref())
    }

    /// The argument `name`, a number from 1 on.
    pub(crate) fn count(&mut self, name: &'static str) -> PyResult<Option<usize>> {
        match self.take(name)? {
            Some(0) => {
                Err(raised(self.py, &Error::input(name, "must be at least 1, got 0", "give more")))
            }
            other => Ok(other),
        }
    }

    /// What is chosen of a behaviour.
    pub(crate) fn setup(&mut self) -> PyResult<Setup> {
        let usual = Setup::default();
        Ok(Setup {
            metric: self.choice("metric")?.unwrap_or_default(),
            at: self.choice("at")?.unwrap_or_default(),
            baseline: self.choice("baseline")?.unwrap_or_default(),
            convention: self.choice::<Convention>("convention")?.unwrap_or_default(),
            positions: self.take("positions")?.unwrap_or_default(),
            spans: self.take("spans")?.unwrap_or_default(),
            neurons: self.take("neurons")?.unwrap_or_default(),
            split_input: self.take("split_input")?.unwrap_or_default(),
            joined_qkv: self.take("joined_qkv")?.unwrap_or_default(),
            rows: self.count("rows")?.unwrap_or(usual.rows),
        })
    }

    /// Where work runs.
    pub(crate) fn how(&mut self) -> PyResult<crate::work::How> {
        Ok(crate::work::How {
            threads: self.count("threads")?,
            progress: self.take("progress")?.unwrap_or(true),
        })
    }

    /// Refuses what no one has taken.
    pub(crate) fn end(self) -> PyResult<()> {
        let Some(left) = self.left else { return Ok(()) };
        let Some(name) = left.keys().iter().next() else { return Ok(()) };
        let name: String = name.extract()?;
        let help = match suggest(&name, self.known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the arguments are {}", self.known.join(", ")),
        };
        Err(raised(self.py, &Error::input(name, "is no argument of this function", help)))
    }
}

/// The argument `changes` of functions that take a configuration: a dict of values that are put
/// over it, each as `--set` takes it.
pub(crate) fn changes(keywords: &mut Keywords<'_>) -> PyResult<Vec<String>> {
    let Some(given) = keywords.take::<BTreeMap<String, Py<PyAny>>>("changes")? else {
        return Ok(vec![]);
    };
    // Numbers, texts and lists are written alike in JSON and in TOML.
    let dumps = keywords.py.import("json")?.getattr("dumps")?;
    let set = |(key, value): (String, Py<PyAny>)| {
        Ok(format!("{key}={}", dumps.call1((value,))?.extract::<String>()?))
    };
    given.into_iter().map(set).collect()
}
