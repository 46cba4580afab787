//! The tape: programs of one's own, and their gradients.
//!
//! A [`Tape`] records while operators of its [`Var`]s are called. The first time that a value is
//! asked for, the recording becomes a program, which runs again with other values of its leaves but
//! records no more.

use crate::errors::raised;
use crate::tokens::{array, fixed};
use crate::work;
use crate::work::How;
use edgegrad::error::{Error, Result};
use edgegrad::ops;
use edgegrad::ops::MatMul;
use edgegrad::tape;
use edgegrad::tape::{BackwardPlan, Ids, Program};
use edgegrad::tensor::Buffer;
use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// A recording in doubles, which becomes a program when it is run.
#[pyclass(frozen, module = "edgegrad")]
pub(crate) struct Tape(Mutex<State>);

enum State {
    Recording(Box<Recording>),
    Runs(Box<Runs>),
}

/// A tape, and what its leaves begin with.
#[derive(Default)]
struct Recording {
    tape: tape::Tape<f64>,
    leaves: Vec<(tape::Var, Buffer<f64>)>,
    ids: Vec<(Ids, Vec<u32>)>,
}

struct Runs {
    program: Program<f64>,
    leaves: Vec<tape::Var>,
    plans: HashMap<tape::Var, BackwardPlan>,
    /// Whether all values are those of the leaves.
    fresh: bool,
}

impl Runs {
    fn of(recording: Recording) -> Runs {
        let Recording { tape, leaves, ids } = recording;
        let mut program = tape.finish();
        ids.iter().for_each(|(x, values)| program.set_ids(*x, values));
        let mut set = |(x, values)| {
            program.set_buffer(x, values);
            x
        };
        let leaves = leaves.into_iter().map(&mut set).collect();
        Runs { program, leaves, plans: HashMap::new(), fresh: false }
    }

    /// The program with all values.
    fn forward(&mut self) -> &mut Program<f64> {
        if !self.fresh {
            self.program.forward();
            self.fresh = true;
        }
        &mut self.program
    }

    /// The gradients of `of` at all leaves, weighted by `weights` where it is no single number.
    fn backward(&mut self, of: tape::Var, weights: &[f64]) {
        self.forward();
        let Runs { program, leaves, plans, .. } = self;
        let plan = plans.entry(of).or_insert_with(|| program.plan_backward(of, leaves));
        program.backward_from(plan, weights);
    }
}

thread_local! {
    /// Whether this thread's panics are caught and become exceptions.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// What `record` gives, or the message of its panic, which is not printed.
fn caught<R>(record: impl FnOnce() -> R) -> std::result::Result<R, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !CAUGHT.get() {
                usual(panic);
            }
        }));
    });
    CAUGHT.set(true);
    let result = catch_unwind(AssertUnwindSafe(record));
    CAUGHT.set(false);
    result.map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().unwrap_or(&"shapes do not match").to_string(),
    })
}

fn input(py: Python<'_>, place: &str, message: impl ToString, help: &str) -> PyErr {
    raised(py, &Error::input(place, message.to_string(), help))
}

impl Tape {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The variable that `record` records; what does not fit is an error at `what`.
    fn record(
        slf: &Bound<'_, Tape>,
        what: &str,
        record: impl FnOnce(&mut Recording) -> tape::Var,
    ) -> PyResult<Var> {
        let py = slf.py();
        let mut state = slf.get().state();
        let State::Recording(recording) = &mut *state else {
            let help = "record everything before the first value or gradient, or begin a new tape";
            return Err(input(py, what, "the tape has run and records no more", help));
        };
        // Operations check shapes before they record anything.
        let var = caught(|| record(recording))
            .map_err(|message| input(py, what, message, "look at the shapes: `.shape` of a Var"))?;
        let dims = recording.tape.shape(var).dims().to_vec();
        Ok(Var { tape: slf.clone().unbind(), var, what: what.into(), dims })
    }

    /// What `work` finds in the program, which is made of the recording first if need be.
    fn run<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Runs) -> R + Send,
    ) -> PyResult<R> {
        let how = How { threads: None, progress: false };
        work::run(py, how, |_| -> Result<R> {
            let mut state = self.state();
            if let State::Recording(recording) = &mut *state {
                *state = State::Runs(Box::new(Runs::of(std::mem::take(recording))));
            }
            let State::Runs(runs) = &mut *state else { unreachable!("it was made now") };
            Ok(work(runs))
        })
    }
}

#[pymethods]
impl Tape {
    /// An empty recording.
    #[new]
    fn new() -> Tape {
        Tape(Mutex::new(State::Recording(Box::default())))
    }

    /// A leaf with the values of an array, which is copied.
    #[pyo3(signature = (values, name = "leaf"))]
    fn leaf(slf: &Bound<'_, Self>, values: &Bound<'_, PyAny>, name: &str) -> PyResult<Var> {
        let values = doubles(name, values)?;
        let dims = values.shape().to_vec();
        let values = Buffer::from(values.as_slice()?);
        Tape::record(slf, name, |recording| {
            let x = recording.tape.leaf(name, dims);
            recording.leaves.push((x, values));
            x
        })
    }

    fn __repr__(&self) -> &'static str {
        match *self.state() {
            State::Recording(_) => "<edgegrad.Tape: records>",
            State::Runs(_) => "<edgegrad.Tape: runs>",
        }
    }
}

/// What NumPy makes a contiguous array of doubles of: itself, where it is one.
fn doubles<'py>(place: &str, values: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArrayDyn<'py, f64>> {
    let py = values.py();
    let numpy = py.import("numpy")?;
    let array = numpy
        .call_method1("asarray", (values, "float64", "C"))
        .map_err(|e| input(py, place, e.value(py), "give numbers, or an array of them"))?;
    array.extract()
}

/// A tensor of a tape: a leaf, or the output of an operation.
#[pyclass(frozen, module = "edgegrad")]
pub(crate) struct Var {
    tape: Py<Tape>,
    var: tape::Var,
    /// The leaf's name, or that of the operation.
    what: String,
    dims: Vec<usize>,
}

/// A tensor, or a number.
#[derive(FromPyObject)]
pub(crate) enum Operand<'py> {
    Tensor(PyRef<'py, Var>),
    Number(f64),
}

type Binary = fn(&mut tape::Tape<f64>, tape::Var, tape::Var) -> tape::Var;

impl Var {
    /// An operation on this tensor alone.
    fn unary(
        &self,
        py: Python<'_>,
        what: &str,
        record: impl FnOnce(&mut tape::Tape<f64>, tape::Var) -> tape::Var,
    ) -> PyResult<Var> {
        Tape::record(self.tape.bind(py), what, |r| record(&mut r.tape, self.var))
    }

    /// An operation on this tensor and another, or a number; in the other order if `turned`.
    fn binary(
        &self,
        py: Python<'_>,
        what: &str,
        other: &Operand<'_>,
        turned: bool,
        record: Binary,
    ) -> PyResult<Var> {
        if let Operand::Tensor(other) = other
            && !self.tape.is(&other.tape)
        {
            let message = format!("`{}` and `{}` are of two tapes", self.what, other.what);
            let help = "make all leaves of a program on one tape";
            return Err(input(py, what, message, help));
        }
        Tape::record(self.tape.bind(py), what, |r| {
            let other = match other {
                Operand::Tensor(other) => other.var,
                Operand::Number(number) => {
                    let x = r.tape.leaf("number", []);
                    r.leaves.push((x, Buffer::from(&[*number][..])));
                    x
                }
            };
            let (a, b) = if turned { (other, self.var) } else { (self.var, other) };
            record(&mut r.tape, a, b)
        })
    }

    /// Whether it is set from outside.
    fn is_leaf(&self, runs: &Runs) -> bool {
        runs.leaves.contains(&self.var)
    }
}

#[pymethods]
impl Var {
    /// The sizes of its axes.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pyo3::types::PyTuple::new(py, &self.dims)?.into_any())
    }

    /// Its elements, a read-only array; runs the program if a leaf has changed.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let tape = self.tape.get();
        let values = tape.run(py, |runs| runs.forward().value(self.var).to_vec())?;
        array(fixed(py, values)?.into_bound(py), &self.dims)
    }

    /// Sets a leaf to the values of an array of its shape.
    fn set(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let values = doubles(&self.what, values)?;
        let (dims, values) = (values.shape(), values.as_slice()?);
        let set = |runs: &mut Runs| {
            let fits = *dims == self.dims && self.is_leaf(runs);
            if fits {
                runs.program.set(self.var, values);
                runs.fresh = false;
            }
            fits
        };
        if self.tape.get().run(py, set)? {
            return Ok(());
        }
        let message = format!("is no leaf of shape {dims:?}");
        Err(input(py, &self.what, message, "set what `Tape.leaf` made, to an array of its shape"))
    }

    /// Computes the gradients at all leaves: of the one number that it is, or of its elements times
    /// `weights`, an array of its shape.
    #[pyo3(signature = (weights = None))]
    fn backward(&self, py: Python<'_>, weights: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let weights = weights.map(|weights| doubles("weights", weights)).transpose()?;
        let (dims, weights): (&[usize], &[f64]) = match &weights {
            Some(weights) => (weights.shape(), weights.as_slice()?),
            None => (&[], &[1.0]),
        };
        if *dims != self.dims {
            let message = format!("weights of shape {dims:?} for a value of shape {:?}", self.dims);
            return Err(input(py, "backward", message, "give one weight for each element"));
        }
        self.tape.get().run(py, |runs| runs.backward(self.var, weights))
    }

    /// The gradient at a leaf that the last `backward` computed, a read-only array.
    #[getter]
    fn grad<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let read = |runs: &mut Runs| {
            let has = self.is_leaf(runs) && !runs.plans.is_empty();
            has.then(|| runs.program.grad(self.var).to_vec())
        };
        let Some(values) = self.tape.get().run(py, read)? else {
            let help = "call `backward` on the output first; leaves alone have gradients";
            return Err(input(py, &self.what, "has no gradient", help));
        };
        array(fixed(py, values)?.into_bound(py), &self.dims)
    }

    fn __add__(&self, py: Python<'_>, other: Operand<'_>) -> PyResult<Var> {
        self.binary(py, "add", &other, false, ops::add)
    }

    fn __radd__(&self, py: Python<'_>, other: Operand<'_>) -> PyResult<Var> {
        self.binary(py, "add", &other, true, ops::add)
    }

    fn __sub__(&self, py: Python<'_>, other: Operand<'_>) -> PyResult<Var> {
        self.binary(py, "sub", &other, false, ops::sub)
    }

    fn __rsub__(&self, py: Python<'_>, other: Operand<'_>) -> PyResult<Var> {
        self.binary(py, "sub", &other, true, ops::sub)
    }

    fn __mul__(&self, py: Python<'_>, other: Operand<'_>) -> PyResult<Var> {
        self.binary(py, "mul", &other, false, ops::mul)
    }

    fn __rmul__(&self, py: Python<'_>, other: Operand<'_>) -> PyResult<Var> {
        self.binary(py, "mul", &other, true, ops::mul)
    }

    fn __matmul__(&self, py: Python<'_>, other: Operand<'_>) -> PyResult<Var> {
        let product: Binary = |tape, a, b| ops::matmul(tape, a, b, MatMul::default());
        self.binary(py, "matmul", &other, false, product)
    }

    fn __truediv__(&self, py: Python<'_>, number: f64) -> PyResult<Var> {
        self.unary(py, "scale", |tape, x| ops::scale(tape, x, number.recip()))
    }

    fn __neg__(&self, py: Python<'_>) -> PyResult<Var> {
        self.unary(py, "scale", |tape, x| ops::scale(tape, x, -1.0))
    }

    /// The hyperbolic tangent of each element.
    fn tanh(&self, py: Python<'_>) -> PyResult<Var> {
        self.unary(py, "tanh", ops::tanh)
    }

    /// Each element, or 0 where it is negative.
    fn relu(&self, py: Python<'_>) -> PyResult<Var> {
        self.unary(py, "relu", ops::relu)
    }

    /// `x Phi(x)` of each element, with the distribution of the normal.
    fn gelu(&self, py: Python<'_>) -> PyResult<Var> {
        self.unary(py, "gelu", ops::gelu)
    }

    /// `x / (1 + exp(-x))` of each element.
    fn silu(&self, py: Python<'_>) -> PyResult<Var> {
        self.unary(py, "silu", ops::silu)
    }

    /// The softmax along the last axis.
    fn softmax(&self, py: Python<'_>) -> PyResult<Var> {
        self.unary(py, "softmax", ops::softmax)
    }

    /// The sum of all elements, or along one axis.
    #[pyo3(signature = (axis = None))]
    fn sum(&self, py: Python<'_>, axis: Option<usize>) -> PyResult<Var> {
        self.unary(py, "sum", |tape, x| match axis {
            Some(axis) => ops::sum_axis(tape, x, axis),
            None => ops::sum(tape, x),
        })
    }

    /// The mean of all elements.
    fn mean(&self, py: Python<'_>) -> PyResult<Var> {
        self.unary(py, "mean", ops::mean)
    }

    /// The same elements in row-major order under another shape.
    fn reshape(&self, py: Python<'_>, shape: Vec<usize>) -> PyResult<Var> {
        self.unary(py, "reshape", |tape, x| {
            let from = tape.shape(x).clone();
            let fits = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
            assert!(fits == Some(from.len()), "reshape {from} to {shape:?}");
            tape.reshape(x, shape)
        })
    }

    /// The axes in another order.
    fn permute(&self, py: Python<'_>, order: Vec<usize>) -> PyResult<Var> {
        self.unary(py, "permute", |tape, x| ops::permute(tape, x, &order))
    }

    /// The rows of a table `[V, ..]` by their numbers: `[N, ..]`.
    fn gather(&self, py: Python<'_>, ids: Vec<u32>) -> PyResult<Var> {
        self.with_ids(py, "gather", ids, self.dims.first().copied(), ops::gather)
    }

    /// The cross-entropy of each row of logits `[N, V]` with its label, in nats: `[N]`.
    fn cross_entropy(&self, py: Python<'_>, labels: Vec<u32>) -> PyResult<Var> {
        self.with_ids(py, "cross_entropy", labels, self.dims.last().copied(), ops::cross_entropy)
    }

    fn __repr__(&self) -> String {
        format!("<edgegrad.Var {} {:?}>", self.what, self.dims)
    }
}

impl Var {
    /// An operation on this tensor and numbers below `limit`.
    fn with_ids(
        &self,
        py: Python<'_>,
        what: &str,
        ids: Vec<u32>,
        limit: Option<usize>,
        record: fn(&mut tape::Tape<f64>, tape::Var, Ids) -> tape::Var,
    ) -> PyResult<Var> {
        let limit = limit.unwrap_or(0);
        if let Some(id) = ids.iter().find(|&&id| id as usize >= limit) {
            let message = format!("{id} of {limit}");
            return Err(input(py, what, message, "count from 0"));
        }
        Tape::record(self.tape.bind(py), what, |r| {
            let numbers = r.tape.ids([ids.len()], limit);
            let out = record(&mut r.tape, self.var, numbers);
            r.ids.push((numbers, ids));
            out
        })
    }
}
