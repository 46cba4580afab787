//! Pairs: read, made of text, and generated.

use crate::arguments::named;
use crate::edges::at;
use crate::errors::{Raise, raised};
use crate::model::{Model, Read};
use edgegrad::error::{Error, Result};
use edgegrad::files::atomic;
use edgegrad::formats::pairs;
use edgegrad::formats::pairs::{Asked, Bounds, Encode};
use edgegrad::formats::spans::REST;
use edgegrad::tasks::prompts::fitted;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use std::path::PathBuf;

/// Pairs of a clean and a corrupted sequence, and what is asked about them.
#[pyclass(frozen, module = "edgegrad")]
pub(crate) struct Pairs {
    pub(crate) pairs: pairs::Pairs,
    /// Of the model that they were checked for.
    bounds: Bounds,
}

impl Pairs {
    /// Checks that they were made for a model of this size.
    pub(crate) fn check(&self, model: &Read) -> Result<()> {
        if self.bounds == model.bounds() {
            return Ok(());
        }
        let message = "were read for a model of another vocabulary or context";
        Err(Error::input(self.pairs.place(), message, "read them with this model"))
    }
}

/// The tokenizer of a model where text is met for the first time.
struct Text<'a> {
    model: &'a Read,
    first_token: bool,
}

impl Encode for Text<'_> {
    fn encode(&self, text: &str, whole: bool) -> Result<Vec<u32>> {
        self.model.tokenizer()?.encode(text, whole)
    }

    fn piece(&self, id: u32) -> String {
        self.model.tokenizer().map_or_else(|_| id.to_string(), |tokenizer| tokenizer.piece(id))
    }

    fn first_of_several(&self) -> bool {
        self.first_token
    }
}

#[pymethods]
impl Pairs {
    /// Reads a `.jsonl` file of pairs, or its first ones.
    #[staticmethod]
    #[pyo3(signature = (path, model, *, limit = None, first_token = false))]
    fn read(
        py: Python<'_>,
        path: PathBuf,
        model: &Model,
        limit: Option<usize>,
        first_token: bool,
    ) -> PyResult<Pairs> {
        let bounds = model.0.bounds();
        let text = Text { model: &model.0, first_token };
        let pairs = pairs::Pairs::read(&path, &bounds, Some(&text), limit).raise(py)?;
        Ok(Pairs { pairs, bounds })
    }

    /// Pairs of dicts with the keys of a line of a file, or of the text of a file.
    #[staticmethod]
    #[pyo3(signature = (rows, model, *, first_token = false))]
    fn from_text(
        py: Python<'_>,
        rows: &Bound<'_, PyAny>,
        model: &Model,
        first_token: bool,
    ) -> PyResult<Pairs> {
        let mut lines = String::new();
        if let Ok(text) = rows.cast::<PyString>() {
            lines = text.to_string();
        } else {
            let dumps = py.import("json")?.getattr("dumps")?;
            for row in rows.try_iter()? {
                lines += &(dumps.call1((row?,))?.extract::<String>()? + "\n");
            }
        }
        let bounds = model.0.bounds();
        let text = Text { model: &model.0, first_token };
        let parsed = pairs::Pairs::parse("pairs", lines.as_bytes(), &bounds, Some(&text), None);
        Ok(Pairs { pairs: parsed.raise(py)?, bounds })
    }

    /// Pairs of texts of a kind that fit the model's tokenizer.
    #[staticmethod]
    #[pyo3(signature = (kind, model, n = 100, seed = 0))]
    fn generate(py: Python<'_>, kind: &str, model: &Model, n: usize, seed: u64) -> PyResult<Pairs> {
        if n == 0 {
            return Err(raised(py, &Error::input("n", "must be at least 1, got 0", "give more")));
        }
        let (kind, bounds) = (named(py, "kind", Some(kind))?, model.0.bounds());
        let found = model.0.tokenizer().and_then(|t| fitted(kind, n, seed, t, &bounds));
        let text = found.raise(py)?.jsonl();
        let pairs = pairs::Pairs::parse("pairs", text.as_bytes(), &bounds, None, None);
        Ok(Pairs { pairs: pairs.raise(py)?, bounds })
    }

    fn __len__(&self) -> usize {
        self.pairs.len()
    }

    /// A pair as a dict with the keys of a line of a file.
    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyDict>> {
        let pair = &self.pairs[at(index, self.pairs.len())?];
        let row = PyDict::new(py);
        row.set_item("clean", &pair.clean)?;
        row.set_item("corrupted", &pair.corrupted)?;
        match &pair.asked {
            Asked::Tokens { answer, distractor, position } => {
                row.set_item("answer", answer)?;
                row.set_item("distractor", distractor)?;
                row.set_item("position", position)?;
            }
            Asked::Outputs { clean, corrupted } => {
                row.set_item("clean_output", clean)?;
                row.set_item("corrupted_output", corrupted)?;
            }
        }
        let named = self.pairs.spans();
        if !pair.spans.is_empty() {
            let spans = PyDict::new(py);
            for (name, number) in named.iter().filter(|name| **name != REST).zip(0..) {
                let places: Vec<usize> =
                    (0..pair.spans.len()).filter(|&t| pair.spans[t] == number).collect();
                spans.set_item(name, places)?;
            }
            row.set_item("spans", spans)?;
        }
        Ok(row)
    }

    /// Writes them as a `.jsonl` file of ids.
    fn save(slf: &Bound<'_, Self>, path: PathBuf) -> PyResult<()> {
        let py = slf.py();
        let dumps = py.import("json")?.getattr("dumps")?;
        let mut text = String::new();
        for i in 0..slf.get().pairs.len() {
            let row = slf.get().__getitem__(py, i as isize)?;
            // A file says which answers there are by naming them.
            for key in ["answer", "distractor"] {
                let none = row
                    .get_item(key)?
                    .is_some_and(|list| list.cast::<PyList>().is_ok_and(|list| list.is_empty()));
                if none {
                    row.del_item(key)?;
                }
            }
            text += &(dumps.call1((row,))?.extract::<String>()? + "\n");
        }
        atomic::write_bytes(&path, text.as_bytes()).raise(py)
    }

    fn __repr__(&self) -> String {
        format!("<edgegrad.Pairs: {} of {}>", self.pairs.len(), self.pairs.place())
    }
}
