//! A replayable tape: record a computation once, then run it forward and backward many times.
//!
//! [`Tape`] records operations in topological order; [`Tape::finish`] turns the recording into a
//! [`Program`], which owns all memory it will ever need. A training step is then: set the leaves,
//! [`Program::forward`], [`Program::backward`], update the parameters; nothing is allocated and no
//! graph is built.
//!
//! The tape knows no operation by name: each is an [`Op`] that computes its output and, in the
//! reverse pass, turns the gradient of its output into gradients of its inputs.
//!
//! ```
//! use edgegrad::{ops, tape::Tape};
//! let mut tape = Tape::<f64>::new();
//! let x = tape.leaf("x", [3]);
//! let y = ops::mul(&mut tape, x, x);
//! let loss = ops::sum(&mut tape, y);
//! let mut program = tape.finish();
//! let plan = program.plan_backward(loss, &[x]);
//! program.set(x, &[1.0, 2.0, 3.0]);
//! program.forward();
//! program.backward(&plan);
//! assert_eq!(program.value(loss), &[14.0]);
//! assert_eq!(program.grad(x), &[2.0, 4.0, 6.0]);
//! ```
#![forbid(unsafe_code)]

pub mod gradcheck;
mod op;
mod plan;
mod program;

pub use op::{Backward, Forward, Grad, Op};
pub use plan::{BackwardPlan, ForwardPlan};
pub use program::Program;

use crate::tensor::{Element, Shape};

/// A tensor in a tape: a leaf, or the output of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Var(u32);

/// A tensor of non-negative whole numbers (token ids, labels) in a tape: always a leaf, never
/// differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ids(u32);

/// Where a variable's numbers live; reshaped variables share one.
type Slot = u32;

#[derive(Debug)]
struct VarInfo {
    name: Option<String>,
    shape: Shape,
    slot: Slot,
}

#[derive(Debug)]
struct IdsInfo {
    shape: Shape,
    /// Every id has to be below it.
    limit: usize,
    /// Whether they start as 0, 1, 2, ... instead of zeros.
    counting: bool,
}

/// One operation in a recording.
struct Node<T> {
    op: Box<dyn Op<T>>,
    inputs: Vec<Slot>,
    ids: Vec<u32>,
    out: Slot,
}

/// A random factor that stands in for dropout: see [`Tape::noise`].
#[derive(Debug)]
struct Noise {
    var: Var,
    keep: f64,
}

/// A recording in progress.
pub struct Tape<T> {
    vars: Vec<VarInfo>,
    /// Numbers in each slot.
    slots: Vec<usize>,
    ids: Vec<IdsInfo>,
    nodes: Vec<Node<T>>,
    noise: Vec<Noise>,
}

impl<T: Element> Default for Tape<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Element> Tape<T> {
    /// An empty recording.
    pub fn new() -> Self {
        Tape { vars: vec![], slots: vec![], ids: vec![], nodes: vec![], noise: vec![] }
    }

    fn add(&mut self, name: Option<&str>, shape: Shape, slot: Option<Slot>) -> Var {
        let slot = slot.unwrap_or_else(|| {
            self.slots.push(shape.len());
            (self.slots.len() - 1) as Slot
        });
        self.vars.push(VarInfo { name: name.map(String::from), shape, slot });
        Var((self.vars.len() - 1) as u32)
    }

    /// A tensor that is set from outside: a parameter, an input, a mask. Starts as zeros.
    pub fn leaf(&mut self, name: &str, shape: impl Into<Shape>) -> Var {
        self.add(Some(name), shape.into(), None)
    }

    /// Whole numbers that are set from outside; each has to be below `limit`. Starts as zeros.
    ///
    /// # Panics
    /// If there are any but none could be below `limit`.
    #[track_caller]
    pub fn ids(&mut self, shape: impl Into<Shape>, limit: usize) -> Ids {
        let shape = shape.into();
        assert!(limit > 0 || shape.is_empty(), "ids {shape} below 0");
        self.ids.push(IdsInfo { shape, limit, counting: false });
        Ids((self.ids.len() - 1) as u32)
    }

    /// The whole numbers 0, 1, 2, ...: positions, or the rows of a table in order.
    pub fn counting_ids(&mut self, shape: impl Into<Shape>) -> Ids {
        let shape = shape.into();
        let limit = shape.len();
        self.ids.push(IdsInfo { shape, limit, counting: true });
        Ids((self.ids.len() - 1) as u32)
    }

    /// A leaf of random factors: 1 / `keep` with probability `keep`, else 0, drawn anew by
    /// [`Program::draw_noise`] and all 1 after [`Program::mute_noise`]. Multiplying by it is
    /// dropout; as a leaf it leaves the program a function of its leaves alone.
    pub fn noise(&mut self, shape: impl Into<Shape>, keep: f64) -> Var {
        let var = self.leaf("noise", shape);
        self.noise.push(Noise { var, keep });
        var
    }

    /// The same numbers under another shape; nothing is computed or copied.
    ///
    /// # Panics
    /// If the shapes hold different amounts of numbers.
    #[track_caller]
    pub fn reshape(&mut self, x: Var, shape: impl Into<Shape>) -> Var {
        let shape = shape.into();
        let from = self.shape(x);
        assert_eq!(from.len(), shape.len(), "reshape {from} to {shape}");
        let slot = self.vars[x.0 as usize].slot;
        self.add(None, shape, Some(slot))
    }

    /// Records an operation on `inputs` and `ids` whose output has the given shape.
    ///
    /// An input that is given twice is copied first, so that an operation can write the gradients
    /// of all its inputs at the same time.
    pub fn push(
        &mut self,
        op: impl Op<T> + 'static,
        inputs: &[Var],
        ids: &[Ids],
        shape: impl Into<Shape>,
    ) -> Var {
        let mut slots: Vec<Slot> = Vec::with_capacity(inputs.len());
        for &x in inputs {
            let mut slot = self.vars[x.0 as usize].slot;
            if slots.contains(&slot) {
                let copy = self.push(op::Copy, &[x], &[], self.shape(x).clone());
                slot = self.vars[copy.0 as usize].slot;
            }
            slots.push(slot);
        }
        let out = self.add(None, shape.into(), None);
        self.nodes.push(Node {
            op: Box::new(op),
            inputs: slots,
            ids: ids.iter().map(|i| i.0).collect(),
            out: self.vars[out.0 as usize].slot,
        });
        out
    }

    /// The shape of `x`.
    pub fn shape(&self, x: Var) -> &Shape {
        &self.vars[x.0 as usize].shape
    }

    /// The shape of `ids`.
    pub fn ids_shape(&self, ids: Ids) -> &Shape {
        &self.ids[ids.0 as usize].shape
    }

    /// What every id in `ids` has to be below.
    pub fn ids_limit(&self, ids: Ids) -> usize {
        self.ids[ids.0 as usize].limit
    }

    /// The memory that values and saved numbers of the program will take, in bytes; gradients come on
    /// top of it.
    pub fn bytes(&self) -> u128 {
        let numbers = |n: usize| n as u128;
        let values: u128 = self.slots.iter().copied().map(numbers).sum();
        let saved: u128 = self.nodes.iter().map(|n| numbers(n.op.saves())).sum();
        (values + saved) * size_of::<T>() as u128
    }

    /// The recording as a program that can be run.
    pub fn finish(self) -> Program<T> {
        Program::new(self)
    }
}
