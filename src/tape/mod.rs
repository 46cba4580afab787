//! A replayable tape: record a computation once, then run it forward and backward many times.
//!
//! [`Tape`] records operations in topological order; [`Tape::finish`] turns the recording into a
//! [`Program`], which owns all memory it will ever need. A training step is then: set the leaves,
//! [`Program::forward`], [`Program::backward`], update the parameters. A step allocates nothing and
//! builds no graph.
//!
//! **Memory.** Every variable has its own, unless [`Tape::keep_only`] names the variables that are
//! needed. Gradients that no plan asks for share memory, each from its first contribution until it
//! is passed on. Values are not shared in programs with any reverse pass; [`Tape::keep_for`] names
//! one pass, and what its operations do not [read again](Op::rereads) shares memory.
//! [`Tape::reshape`] is a second name for the same memory, not an operation. A reverse pass reads
//! the gradient it is given in place; copying it was a fifth of the memory traffic of a softmax,
//! forward and backward.
//!
//! The tape knows no operation by name: each is an [`Op`] that computes its output and, in the
//! reverse pass, maps the gradient of its output to gradients of its inputs.
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

mod chain;
pub mod gradcheck;
mod op;
mod plan;
mod program;
mod reuse;
pub mod rules;
mod window;

use chain::Passes;
pub use op::{Backward, Forward, Grad, Op, Windows};
pub use plan::{BackwardPlan, ForwardPlan};
pub use program::Program;
use reuse::Place;
pub use rules::Rules;
pub use window::Window;

use crate::tensor::{Buffer, Element, Shape};
use std::sync::atomic::{AtomicU32, Ordering};

/// Which recording something belongs to; every tape has another.
type TapeId = u32;

/// A tensor in a tape: a leaf, or the output of an operation. No other tape or program takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Var {
    at: u32,
    tape: TapeId,
}

/// A tensor of ids, which are non-negative whole numbers (token ids, labels), in a tape: always a
/// leaf, never differentiated. No other tape or program takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ids {
    at: u32,
    tape: TapeId,
}

/// Where a variable's elements are; reshaped variables share a slot.
type Slot = u32;

#[derive(Debug)]
struct VarInfo {
    name: Option<String>,
    shape: Shape,
    slot: Slot,
    /// Whether its values can be read after a pass.
    kept: bool,
}

/// What a tape knows of `x`.
///
/// # Panics
/// If `x` is of another tape than `vars`.
#[inline]
#[track_caller]
fn info(vars: &[VarInfo], tape: TapeId, x: Var) -> &VarInfo {
    if x.tape != tape {
        foreign(vars, x);
    }
    &vars[x.at as usize]
}

#[cold]
#[track_caller]
fn foreign(vars: &[VarInfo], x: Var) -> ! {
    let here = match vars.get(x.at as usize) {
        Some(VarInfo { name: Some(name), shape, .. }) => format!("the leaf `{name}` {shape}"),
        Some(VarInfo { shape, .. }) => format!("a computed variable {shape}"),
        None => "nothing".into(),
    };
    panic!("variable {} of another tape, where this one has {here}", x.at);
}

/// What a tape knows of `ids`.
///
/// # Panics
/// If they are of another tape than `list`.
#[inline]
#[track_caller]
fn ids_info(list: &[IdsInfo], tape: TapeId, ids: Ids) -> &IdsInfo {
    assert_eq!(ids.tape, tape, "ids of another tape");
    &list[ids.at as usize]
}

#[derive(Debug)]
struct IdsInfo {
    shape: Shape,
    /// Every id must be less than this.
    limit: usize,
    /// Whether they start as 0, 1, 2, ... instead of zeros.
    counting: bool,
}

/// An operation in a recording.
struct Node<T> {
    op: Box<dyn Op<T>>,
    inputs: Vec<Slot>,
    ids: Vec<u32>,
    out: Slot,
    /// The number of elements of the output; its slot may be larger.
    len: usize,
    /// Where it saves elements for the backward pass, and how many.
    saved: Place,
    saves: usize,
    /// The variable whose buffer the output takes over.
    inherits: Option<Slot>,
}

/// A leaf of random factors, for dropout: see [`Tape::noise`].
#[derive(Debug)]
struct Noise {
    var: Var,
    keep: f64,
}

/// A recording in progress.
pub struct Tape<T> {
    id: TapeId,
    vars: Vec<VarInfo>,
    /// The number of elements of each slot.
    slots: Vec<usize>,
    /// What is allocated for each slot, if some share memory.
    rooms: Option<Vec<usize>>,
    /// The number of elements in each place that operations save for the backward pass.
    saved: Vec<usize>,
    ids: Vec<IdsInfo>,
    nodes: Vec<Node<T>>,
    noise: Vec<Noise>,
    /// Initial values of some leaves.
    given: Vec<(Var, Buffer<T>)>,
    /// What its program can run; anything unless variables share memory.
    passes: Passes,
}

impl<T: Element> Default for Tape<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Element> Tape<T> {
    /// An empty recording.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Tape {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            vars: vec![],
            slots: vec![],
            rooms: None,
            saved: vec![],
            ids: vec![],
            nodes: vec![],
            noise: vec![],
            given: vec![],
            passes: Passes::All,
        }
    }

    fn add(&mut self, name: Option<&str>, shape: Shape, slot: Option<Slot>) -> Var {
        let slot = slot.unwrap_or_else(|| {
            self.slots.push(shape.len());
            (self.slots.len() - 1) as Slot
        });
        self.vars.push(VarInfo { name: name.map(String::from), shape, slot, kept: true });
        Var { at: (self.vars.len() - 1) as u32, tape: self.id }
    }

    /// A tensor that is set from outside: a parameter, an input, a mask. It starts as zeros.
    pub fn leaf(&mut self, name: &str, shape: impl Into<Shape>) -> Var {
        self.add(Some(name), shape.into(), None)
    }

    /// Sets the initial value of a leaf, which is zeros otherwise. A shared buffer is not copied,
    /// and no memory is allocated for the leaf first, as it is with [`Program::set_buffer`].
    ///
    /// # Panics
    /// If `x` is not a leaf or has another size.
    #[track_caller]
    pub fn give(&mut self, x: Var, values: Buffer<T>) {
        let VarInfo { name, shape, slot, .. } = info(&self.vars, self.id, x);
        let name = name.as_deref().unwrap_or("a variable");
        assert_eq!(values.len(), shape.len(), "give {name} of shape {shape}");
        let leaf = !self.nodes.iter().any(|node| node.out == *slot);
        assert!(leaf, "give {name}, which is computed");
        self.given.push((x, values));
    }

    /// A tensor of ids that is set from outside; each must be less than `limit`. It starts as
    /// zeros.
    ///
    /// # Panics
    /// If `limit` is 0 and the shape is not empty.
    #[track_caller]
    pub fn ids(&mut self, shape: impl Into<Shape>, limit: usize) -> Ids {
        let shape = shape.into();
        assert!(limit > 0 || shape.is_empty(), "ids {shape} below 0");
        self.ids.push(IdsInfo { shape, limit, counting: false });
        Ids { at: (self.ids.len() - 1) as u32, tape: self.id }
    }

    /// Ids 0, 1, 2, ... in row-major order: positions, or the rows of a table.
    pub fn counting_ids(&mut self, shape: impl Into<Shape>) -> Ids {
        let shape = shape.into();
        let limit = shape.len();
        self.ids.push(IdsInfo { shape, limit, counting: true });
        Ids { at: (self.ids.len() - 1) as u32, tape: self.id }
    }

    /// A leaf of random factors: 1 / `keep` with probability `keep`, else 0.
    /// [`Program::draw_noise`] draws them, [`Program::mute_noise`] sets them to 1. Multiplying by
    /// it is dropout. As the factors are a leaf, the program is a function of its leaves alone, and
    /// every derivative check and replay test covers dropout.
    pub fn noise(&mut self, shape: impl Into<Shape>, keep: f64) -> Var {
        let var = self.leaf("noise", shape);
        self.noise.push(Noise { var, keep });
        var
    }

    /// The same elements in row-major order under another shape; nothing is computed or copied.
    ///
    /// # Panics
    /// If the shapes have different numbers of elements.
    #[track_caller]
    pub fn reshape(&mut self, x: Var, shape: impl Into<Shape>) -> Var {
        let shape = shape.into();
        let from = self.shape(x);
        assert_eq!(from.len(), shape.len(), "reshape {from} to {shape}");
        let slot = info(&self.vars, self.id, x).slot;
        self.add(None, shape, Some(slot))
    }

    /// Records an operation on `inputs` and `ids` whose output has the given shape.
    ///
    /// A variable given twice is copied first, so that an operation can borrow the gradients of all
    /// its inputs mutably at once, in safe code.
    pub fn push(
        &mut self,
        op: impl Op<T> + 'static,
        inputs: &[Var],
        ids: &[Ids],
        shape: impl Into<Shape>,
    ) -> Var {
        self.push_boxed(Box::new(op), inputs, ids, shape.into())
    }

    /// [`push`](Self::push), compiled once for all operations.
    fn push_boxed(&mut self, op: Box<dyn Op<T>>, inputs: &[Var], ids: &[Ids], shape: Shape) -> Var {
        let mut slots: Vec<Slot> = Vec::with_capacity(inputs.len());
        for &x in inputs {
            let mut slot = info(&self.vars, self.id, x).slot;
            if slots.contains(&slot) {
                let copy = self.push(op::Copy, &[x], &[], self.shape(x).clone());
                slot = info(&self.vars, self.id, copy).slot;
            }
            slots.push(slot);
        }
        let (len, saves) = (shape.len(), op.saves());
        let out = self.add(None, shape, None);
        self.nodes.push(Node {
            op,
            inputs: slots,
            ids: ids
                .iter()
                .map(|&i| {
                    assert_eq!(i.tape, self.id, "ids of another tape");
                    i.at
                })
                .collect(),
            out: info(&self.vars, self.id, out).slot,
            len,
            saved: self.saved.len() as Place,
            saves,
            inherits: None,
        });
        self.saved.push(saves);
        out
    }

    /// The shape of `x`.
    ///
    /// # Panics
    /// If `x` is of another tape, as every other function that takes one.
    #[track_caller]
    pub fn shape(&self, x: Var) -> &Shape {
        &info(&self.vars, self.id, x).shape
    }

    /// The shape of `ids`.
    pub fn ids_shape(&self, ids: Ids) -> &Shape {
        &ids_info(&self.ids, self.id, ids).shape
    }

    /// The bound that every id in `ids` is less than.
    pub fn ids_limit(&self, ids: Ids) -> usize {
        ids_info(&self.ids, self.id, ids).limit
    }

    /// The memory of the program's values and saved elements in bytes, without gradients.
    pub fn bytes(&self) -> u128 {
        let numbers = self.rooms.as_ref().unwrap_or(&self.slots).iter().chain(&self.saved);
        numbers.map(|&n| n as u128).sum::<u128>() * size_of::<T>() as u128
    }

    /// The recording as a program that can be run.
    pub fn finish(self) -> Program<T> {
        Program::new(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;

    /// A chain with a shortcut, `sum(tanh(...) * x)`: seven tensors of 100 elements and a scalar,
    /// and two operations that save 100 elements each.
    struct Chain {
        tape: Tape<f64>,
        x: Var,
        middle: Var,
        loss: Var,
    }

    impl Chain {
        fn new() -> Self {
            let mut tape = Tape::new();
            let x = tape.leaf("x", [10, 10]);
            let a = ops::scale(&mut tape, x, 2.0);
            let middle = ops::tanh(&mut tape, a);
            let b = ops::scale(&mut tape, middle, -0.5);
            let c = ops::tanh(&mut tape, b);
            let d = ops::scale(&mut tape, c, 3.0);
            let e = ops::mul(&mut tape, d, x);
            let loss = ops::sum(&mut tape, e);
            Chain { tape, x, middle, loss }
        }
    }

    fn numbers() -> Vec<f64> {
        (0..100).map(|i| (i as f64 - 49.5) / 25.0).collect()
    }

    #[test]
    fn what_is_kept_is_the_same_and_the_rest_shares_memory() {
        let Chain { tape, x, middle, loss } = Chain::new();
        let whole = tape.bytes();
        let mut plain = tape.finish();
        let shared = Chain::new();
        let own = [shared.x, shared.middle, shared.loss];
        let mut tape = shared.tape;
        tape.keep_only(&own[1..]);
        // x, middle, the loss, two that alternate, and the elements saved by `tanh`.
        assert_eq!((whole, tape.bytes()), (8 * 901, 8 * 501));
        let mut small = tape.finish();
        for (program, x) in [(&mut plain, x), (&mut small, own[0])] {
            program.set(x, &numbers());
            // Twice: the second pass starts from the state that the first one left.
            program.forward();
            program.forward();
        }
        assert!(plain.value(loss)[0].abs() > 1.0);
        for (kept, own) in [x, middle, loss].into_iter().zip(own) {
            assert_eq!(plain.value(kept), small.value(own));
        }
    }

    /// A leaf starts as the given buffer, in its memory, and can be set like any other.
    #[test]
    fn leaves_start_as_they_are_given() {
        for forward_only in [false, true] {
            let Chain { mut tape, x, loss, .. } = Chain::new();
            let numbers = Buffer::from(&numbers()[..]).share();
            tape.give(x, numbers.clone());
            if forward_only {
                tape.keep_only(&[loss]);
            }
            let mut program = tape.finish();
            assert_eq!(program.value(x).as_ptr(), numbers.as_ptr());
            program.forward();
            let first = program.value(loss)[0];
            assert!(first.abs() > 1.0);
            program.set(x, &[0.5; 100]);
            program.forward();
            assert!(program.value(loss)[0] != first && numbers[0] != 0.5);
        }
    }

    #[test]
    #[should_panic(expected = "which is computed")]
    fn what_is_computed_is_not_given() {
        let Chain { mut tape, middle, .. } = Chain::new();
        tape.give(middle, Buffer::zeros(100));
    }

    #[test]
    #[should_panic(expected = "was not kept")]
    fn what_is_not_kept_is_not_shown() {
        let Chain { mut tape, middle, loss, .. } = Chain::new();
        tape.keep_only(&[loss]);
        tape.finish().value(middle);
    }

    #[test]
    #[should_panic(expected = "backward before forward: `sum` has computed nothing yet")]
    fn gradients_need_values() {
        let Chain { tape, x, loss, .. } = Chain::new();
        let mut program = tape.finish();
        let plan = program.plan_backward(loss, &[x]);
        program.set(x, &numbers());
        program.backward(&plan);
    }

    #[test]
    #[should_panic(expected = "variable 0 of another tape, where this one has the leaf `y` [2, 3]")]
    fn a_tape_takes_its_own_variables() {
        let (mut one, mut other) = (Tape::<f64>::new(), Tape::<f64>::new());
        let x = one.leaf("x", [2, 3]);
        let y = other.leaf("y", [2, 3]);
        ops::mul(&mut other, y, x);
    }

    /// Even if it is the same recording.
    #[test]
    #[should_panic(
        expected = "variable 0 of another tape, where this one has the leaf `x` [10, 10]"
    )]
    fn a_program_takes_its_own_variables() {
        let (one, other) = (Chain::new(), Chain::new());
        one.tape.finish().set(other.x, &numbers());
    }

    #[test]
    #[should_panic(expected = "the plan of another program")]
    fn a_program_takes_its_own_plans() {
        let (one, other) = (Chain::new(), Chain::new());
        let (mut program, mut longer) = (one.tape.finish(), other.tape.finish());
        let plan = longer.plan_backward(other.loss, &[other.x]);
        program.forward();
        program.backward(&plan);
    }

    #[test]
    #[should_panic(expected = "no plan wants the gradient of the output of `tanh` [10, 10]")]
    fn panics_name_what_is_computed() {
        let Chain { tape, middle, .. } = Chain::new();
        tape.finish().grad(middle);
    }

    #[test]
    #[should_panic(expected = "forward only")]
    fn nothing_else_is_planned() {
        let Chain { mut tape, x, loss, .. } = Chain::new();
        tape.keep_only(&[loss]);
        tape.finish().plan_backward(loss, &[x]);
    }

    #[test]
    fn gradients_nobody_wants_share_memory() {
        let gradients = |wanted: fn(&Chain) -> Vec<Var>| {
            let chain = Chain::new();
            let (x, loss, wanted) = (chain.x, chain.loss, wanted(&chain));
            let mut program = chain.tape.finish();
            let before = program.bytes();
            let plan = program.plan_backward(loss, &wanted);
            let bytes = program.bytes() - before;
            program.set(x, &numbers());
            program.forward();
            program.backward(&plan);
            program.backward(&plan);
            (bytes, wanted.iter().map(|&x| program.grad(x).to_vec()).collect::<Vec<_>>())
        };
        let (one, alone) = gradients(|c| vec![c.x]);
        let (two, both) = gradients(|c| vec![c.x, c.middle]);
        // The gradient of x and two that alternate; then one of its own for the middle.
        assert_eq!((one, two), (8 * 300, 8 * 400));
        assert_eq!(alone[0], both[0]);
        assert!(both.iter().flatten().all(|g| g.abs() > 1e-6));
    }

    /// Two plans share memory without disturbing the gradients that the other asks for.
    #[test]
    fn plans_take_turns() {
        let Chain { tape, x, middle, loss } = Chain::new();
        let mut program = tape.finish();
        let first = program.plan_backward(loss, &[x]);
        let second = program.plan_backward(loss, &[middle]);
        program.set(x, &numbers());
        program.forward();
        program.backward(&first);
        let of_x = program.grad(x).to_vec();
        program.backward(&second);
        let of_middle = program.grad(middle).to_vec();
        assert_eq!(program.grad(x), of_x);
        program.backward(&first);
        assert_eq!(program.grad(x), of_x);
        program.backward(&second);
        assert_eq!(program.grad(middle), of_middle);
    }

    /// The weights given to the reverse pass are the gradient of the output: stored if a plan asks
    /// for it, and only read otherwise.
    #[test]
    fn what_is_given_is_the_gradient_of_the_output() {
        let Chain { tape, x, middle, .. } = Chain::new();
        let given: Vec<f64> = numbers().into_iter().map(|g| 1.0 - g).collect();
        let mut program = tape.finish();
        let before = program.bytes();
        let alone = program.plan_backward(middle, &[x]);
        // Of x, and of a variable between.
        assert_eq!(program.bytes() - before, 8 * 200);
        let kept = program.plan_backward(middle, &[middle, x]);
        let leaf = program.plan_backward(x, &[x]);
        program.set(x, &numbers());
        program.forward();
        program.backward_from(&alone, &given);
        let of_x = program.grad(x).to_vec();
        for ((g, y), dx) in given.iter().zip(program.value(middle)).zip(&of_x) {
            let want = 2.0 * (1.0 - y * y) * g;
            assert!(want.abs() > 1e-5 && (dx - want).abs() < 1e-14, "{dx} {want}");
        }
        program.backward_from(&kept, &given);
        assert_eq!((program.grad(middle), program.grad(x)), (&given[..], &of_x[..]));
        program.backward_from(&leaf, &given);
        assert_eq!(program.grad(x), given);
    }

    /// A batch so large that slopes are recomputed rather than saved, and its first half, whose
    /// slopes are saved: the half continues from the whole as if it had run by itself.
    #[test]
    fn half_a_batch_goes_on_from_the_whole() {
        let record = |rows: usize, on: bool| {
            let mut tape = Tape::<f64>::new();
            let x = tape.leaf("x", [rows, 3072]);
            let y = ops::gelu(&mut tape, x);
            let loss = on.then(|| {
                let square = ops::mul(&mut tape, y, y);
                ops::sum(&mut tape, square)
            });
            (tape.finish(), x, y, loss)
        };
        let numbers = |n: usize| (0..n).map(|i| (i % 97) as f64 / 30.0 - 1.6).collect::<Vec<_>>();
        let (mut alone, x, y, loss) = record(15, true);
        let loss = loss.expect("was asked for");
        let (mut half, half_x, _, half_loss) = record(15, true);
        let half_loss = half_loss.expect("was asked for");
        let (mut whole, whole_x, whole_y, _) = record(30, false);
        let saves = |program: &Program<f64>| program.nodes[0].saves;
        assert_eq!((saves(&half), saves(&whole)), (15 * 3072, 0));
        whole.set(whole_x, &numbers(30 * 3072));
        let plan = half.plan_backward(half_loss, &[half_x]);
        let of_alone = alone.plan_backward(loss, &[x]);
        alone.set(x, &numbers(15 * 3072));
        half.set(half_x, &numbers(15 * 3072));
        alone.forward();
        alone.backward(&of_alone);
        for _ in 0..2 {
            whole.forward();
            assert!(whole.value(whole_y)[..15 * 3072] == *alone.value(y));
            half.continue_from(&mut whole);
            half.backward(&plan);
            assert_eq!(half.value(half_loss), alone.value(loss));
            assert!(half.grad(half_x) == alone.grad(x));
            half.exchange(&mut whole);
        }
        assert!(alone.value(loss)[0] > 1e3 && alone.grad(x).iter().any(|g| g.abs() > 1.0));
    }
}
