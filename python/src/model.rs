//! Models: reading them, their tokens and their logits.

use crate::activations;
use crate::activations::Names;
use crate::arguments::Keywords;
use crate::errors::{Raise, raised};
use crate::tokens::{Sequences, owned};
use crate::work;
use crate::work::{How, Progress};
use edgegrad::checkpoints;
use edgegrad::checkpoints::{AnyModel, Family};
use edgegrad::error::{Error, Result};
use edgegrad::files::model_cache::locate;
use edgegrad::files::safetensors;
use edgegrad::formats::pairs::{Bounds, Encode};
use edgegrad::formats::sequences::Taken;
use edgegrad::interrupt;
use edgegrad::patching;
use edgegrad::patching::logits;
use edgegrad::tensor::{Buffer, Element};
use edgegrad::text::Tokenizer;
use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A model in one of the precisions.
#[derive(Clone)]
pub(crate) enum Weights {
    F32(AnyModel<f32>),
    F64(AnyModel<f64>),
}

/// Runs `$body` with `$model`, an `AnyModel`, in the precision of `$weights`.
macro_rules! with_model {
    ($weights:expr, $model:ident => $body:expr) => {
        match $weights {
            $crate::model::Weights::F32($model) => $body,
            $crate::model::Weights::F64($model) => $body,
        }
    };
}
pub(crate) use with_model;

/// What is read of a model.
pub(crate) struct Read {
    pub(crate) weights: Weights,
    family: Family,
    /// Where it was read from; `None` for one of arrays.
    path: Option<PathBuf>,
    tokenizer: OnceLock<Result<Tokenizer>>,
    hash: OnceLock<Result<String>>,
}

impl Read {
    pub(crate) fn bounds(&self) -> Bounds {
        with_model!(&self.weights, model => model.bounds())
    }

    /// The tokenizer of the model's folder or file.
    pub(crate) fn tokenizer(&self) -> Result<&Tokenizer> {
        let read = || Tokenizer::read(self.folder()?);
        self.tokenizer.get_or_init(read).as_ref().map_err(Error::clone)
    }

    /// The folder or file that it was read from.
    pub(crate) fn folder(&self) -> Result<&Path> {
        self.path.as_deref().ok_or_else(|| {
            let help = "give token ids, or read the model from its folder with Model.load";
            Error::input("model", "was made of arrays and has no tokenizer", help)
        })
    }

    /// The weights with norms and rotations rounded where transformers rounds them, unless `exact`.
    fn rounded(&self, exact: bool) -> Cow<'_, Weights> {
        match &self.weights {
            Weights::F64(model) if !exact && self.family == Family::HuggingFace => {
                // Shares the weights.
                let mut rounded = model.clone();
                rounded.round_as(self.family);
                Cow::Owned(Weights::F64(rounded))
            }
            weights => Cow::Borrowed(weights),
        }
    }

    /// The hash of its content; `None` for one of arrays.
    pub(crate) fn hash(&self) -> Result<Option<String>> {
        let Some(path) = &self.path else { return Ok(None) };
        self.hash.get_or_init(|| checkpoints::hash(path)).clone().map(Some)
    }
}

/// A model.
#[pyclass(frozen, module = "edgegrad")]
pub(crate) struct Model(pub(crate) Arc<Read>);

/// The model that `$read` gives, in the precision of the name `$dtype`, which it calls `$T`.
macro_rules! in_precision {
    ($dtype:expr, $T:ident => $read:expr) => {
        match $dtype {
            "f32" => {
                type $T = f32;
                $read.map(Weights::F32)
            }
            "f64" => {
                type $T = f64;
                $read.map(Weights::F64)
            }
            other => {
                let help = "use \"f32\" or \"f64\"";
                Err(Error::input("dtype", format!("`{other}` is unknown"), help))
            }
        }
    };
}

#[pymethods]
impl Model {
    /// Reads a model: a folder, a GGUF file, or a name in the Hugging Face cache.
    #[staticmethod]
    #[pyo3(signature = (model, dtype = "f32"))]
    fn load(py: Python<'_>, model: PathBuf, dtype: &str) -> PyResult<Model> {
        let how = How { threads: None, progress: false };
        let read = work::run(py, how, |_| {
            let path = locate(&model);
            let weights = in_precision!(dtype, T => checkpoints::read_in_panels::<T>(&path))?;
            let family = checkpoints::family(&path)?;
            let (tokenizer, hash) = Default::default();
            Ok(Read { weights, family, path: Some(path), tokenizer, hash })
        })?;
        Ok(Model(Arc::new(read)))
    }

    /// The model of a `state_dict`, a dict of arrays, and of its configuration, a dict as in the
    /// `config.json` of Hugging Face or TransformerLens.
    #[staticmethod]
    #[pyo3(signature = (state_dict, config, dtype = "f32"))]
    fn from_state_dict(
        py: Python<'_>,
        state_dict: &Bound<'_, PyDict>,
        config: &Bound<'_, PyDict>,
        dtype: &str,
    ) -> PyResult<Model> {
        let json: String = py.import("json")?.call_method1("dumps", (config,))?.extract()?;
        let as_array = py.import("numpy")?.getattr("asarray")?;
        let mut tensors = vec![];
        for (name, value) in state_dict {
            let name: String = name.extract()?;
            tensors.push(tensor(&name, &as_array.call1((value,))?)?);
        }
        let how = How { threads: None, progress: false };
        let read = work::run(py, how, |_| {
            let bytes = safetensors::to_bytes(tensors);
            let config = json.as_bytes();
            let read = in_precision!(dtype, T => {
                checkpoints::from_bytes::<T>(config, bytes).map(AnyModel::in_panels)
            });
            let weights = read?;
            let family = checkpoints::family_of("config", config)?;
            let (tokenizer, hash) = Default::default();
            Ok(Read { weights, family, path: None, tokenizer, hash })
        })?;
        Ok(Model(Arc::new(read)))
    }

    /// The ids of a text, with those that stand around a whole one unless it is bare.
    #[pyo3(signature = (text, bare = false))]
    fn tokenize(&self, py: Python<'_>, text: &str, bare: bool) -> PyResult<Vec<u32>> {
        self.0.tokenizer().and_then(|tokenizer| tokenizer.encode(text, !bare)).raise(py)
    }

    /// What each token is called.
    fn pieces(&self, py: Python<'_>, ids: Vec<u32>) -> PyResult<Vec<String>> {
        let tokenizer = self.0.tokenizer().raise(py)?;
        Ok(ids.into_iter().map(|id| tokenizer.piece(id)).collect())
    }

    /// The logits of a sequence `[T, V]`, or of several `[N, T, V]`.
    #[pyo3(
        signature = (tokens, **options),
        text_signature = "(self, tokens, *, exact=False, threads=None, progress=True)"
    )]
    fn logits<'py>(
        &self,
        py: Python<'py>,
        tokens: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut options = Keywords::new(py, options)?;
        let exact: bool = options.take("exact")?.unwrap_or_default();
        let how = options.how()?;
        options.end()?;
        let sequences = Sequences::of(&self.0, tokens)?;
        let weights = self.0.rounded(exact);
        with_model!(&*weights, model => logits_of(py, how, model, &sequences))
    }

    /// The activations of sequences at TransformerLens' hooks: a dict of arrays in its shapes.
    #[pyo3(
        signature = (tokens, names, **options),
        text_signature = "(self, tokens, names, *, exact=False, threads=None, progress=True)"
    )]
    fn activations<'py>(
        &self,
        py: Python<'py>,
        tokens: &Bound<'py, PyAny>,
        names: Names,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let mut options = Keywords::new(py, options)?;
        let exact: bool = options.take("exact")?.unwrap_or_default();
        let how = options.how()?;
        options.end()?;
        let sequences = Sequences::of(&self.0, tokens)?;
        activations::of(py, how, &self.0.rounded(exact), &sequences, names)
    }

    /// The names that `activations` takes.
    #[getter]
    fn hooks(&self) -> Vec<String> {
        with_model!(&self.0.weights, model => patching::activations::hooks(model))
    }

    /// How many tokens it reads.
    #[getter]
    fn vocab(&self) -> usize {
        self.0.bounds().vocab
    }

    /// The longest sequence.
    #[getter]
    fn context(&self) -> usize {
        self.0.bounds().context
    }

    /// What it is computed in: `f32` or `f64`.
    #[getter]
    fn dtype(&self) -> &'static str {
        match self.0.weights {
            Weights::F32(_) => "f32",
            Weights::F64(_) => "f64",
        }
    }

    /// The folder or file it was read from; `None` for one of arrays.
    #[getter]
    fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    fn __repr__(&self) -> String {
        let Bounds { vocab, context, .. } = self.0.bounds();
        let place = self.0.path.as_ref().map_or("arrays".into(), |p| p.display().to_string());
        format!("<edgegrad.Model {place}: {vocab} tokens, context {context}, {}>", self.dtype())
    }
}

/// A tensor of a `state_dict`.
fn tensor(name: &str, value: &Bound<'_, PyAny>) -> PyResult<safetensors::Tensor> {
    fn of<T: Element + numpy::Element>(
        name: &str,
        array: &PyReadonlyArrayDyn<'_, T>,
    ) -> safetensors::Tensor {
        let shape = array.shape();
        match array.as_slice() {
            Ok(values) if array.is_c_contiguous() => safetensors::Tensor::new(name, shape, values),
            // Strides.
            _ => {
                let values: Vec<T> = array.as_array().iter().copied().collect();
                safetensors::Tensor::new(name, shape, &values)
            }
        }
    }
    let py = value.py();
    if let Ok(array) = value.extract::<PyReadonlyArrayDyn<'_, f64>>() {
        return Ok(of(name, &array));
    }
    if let Ok(array) = value.extract::<PyReadonlyArrayDyn<'_, f32>>() {
        return Ok(of(name, &array));
    }
    let kind: String = value.getattr("dtype")?.getattr("kind")?.extract()?;
    if !matches!(&*kind, "f" | "i" | "u" | "b") {
        let message = format!("holds no numbers but `{}`", value.getattr("dtype")?);
        let help = "give arrays of float16, float32 or float64";
        return Err(raised(py, &Error::input(format!("tensor `{name}`"), message, help)));
    }
    let array = value.call_method1("astype", ("float32",))?;
    Ok(of(name, &array.extract::<PyReadonlyArrayDyn<'_, f32>>()?))
}

/// Checks that the model reads such sequences.
pub(crate) fn check_tokens<T: Element>(model: &AnyModel<T>, rows: &[Vec<u32>]) -> Result<()> {
    let taken = Taken { lengths: model.lengths(), vocab: model.bounds().vocab, encode: None };
    rows.iter().enumerate().try_for_each(|(i, row)| taken.check(&format!("tokens[{i}]"), row))
}

/// The logits of `sequences`: an array where there is one or all are of one length, else a list of
/// arrays.
fn logits_of<'py, T: Element + numpy::Element>(
    py: Python<'py>,
    how: How,
    model: &AnyModel<T>,
    sequences: &Sequences,
) -> PyResult<Bound<'py, PyAny>> {
    let rows = &sequences.rows;
    check_tokens(model, rows).raise(py)?;
    let found = work::run(py, how, |progress| computed(model, rows, progress))?;
    let v = model.bounds().vocab_out;
    let mut each = vec![py.None().into_bound(py); rows.len()];
    let several = found.len() > 1;
    for (numbers, values) in found {
        let count = numbers.len();
        let mut dims = match model {
            AnyModel::Transformer(_) => vec![count, values.len() / v / count, v],
            AnyModel::Pooled { .. } => vec![count, v],
        };
        if sequences.single {
            dims.remove(0);
        }
        let all = owned(py, values, &dims)?;
        if !several {
            return Ok(all);
        }
        for (at, &i) in numbers.iter().enumerate() {
            each[i] = all.get_item(at)?;
        }
    }
    Ok(PyList::new(py, each)?.into_any())
}

/// The logits of sequences, all finite: of those of each length their numbers and `[N, T, V]`, or
/// `[N, V]` of a pooled model.
fn computed<T: Element>(
    model: &AnyModel<T>,
    rows: &[Vec<u32>],
    progress: &Progress,
) -> Result<Vec<(Vec<usize>, Buffer<T>)>> {
    let mut shown = progress.part("logits");
    let mut found = vec![];
    match model {
        AnyModel::Transformer(model) => {
            let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
            logits::check_memory(model, longest)?;
            let mut before = 0;
            for numbers in logits::by_length(rows).into_values() {
                let some: Vec<&[u32]> = numbers.iter().map(|&i| &rows[i][..]).collect();
                let values = logits::of_one_length(model, &some, |done| {
                    let done = before + done;
                    shown(done as f64 / rows.len() as f64);
                    let what = format!("after {done} of {} sequences", rows.len());
                    interrupt::check("logits", what, "give fewer sequences at a time")
                })?;
                before += numbers.len();
                found.push((numbers, values));
            }
        }
        AnyModel::Pooled { config, weights } => {
            let all = logits::of_pooled(config, weights, rows);
            found.push(((0..rows.len()).collect(), all));
        }
    }
    let infinite = |values: &[T]| values.iter().filter(|x| !x.to_f64().is_finite()).count();
    match found.iter().map(|(_, values)| infinite(values)).sum() {
        0 => Ok(found),
        count => Err(Error::failed(
            "logits",
            format!("{count} logits are NaN or infinite"),
            "check the weights; f32 may overflow where f64 does not",
        )),
    }
}
