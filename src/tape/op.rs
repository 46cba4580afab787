//! The interface between the tape and an operation.

use super::rules::Rules;
use super::window::Window;
use super::{Node, Slot};
use crate::gemm::{Mat, Write};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tensor::Buffer;
use std::sync::Arc;

/// An operation sees at least this many places for gradients, so that it can name them in one
/// pattern; those beyond its inputs are `None`.
pub(super) const GRADS: usize = 4;

/// An operation: its equation forward, and its chain rule backward.
pub trait Op<T: Element>: Send + Sync {
    /// A short name for messages and tables; unique among operations.
    fn name(&self) -> &'static str;

    /// The number of elements that the forward pass saves for the backward pass.
    fn saves(&self) -> usize {
        0
    }

    /// Whether it can compute only some [windows](Window) of the gradient of input `i`: see
    /// [`Grad::windows`].
    fn takes_windows(&self, _i: usize) -> bool {
        false
    }

    /// Whether the reverse pass by `rules` reads input `i`, where `wanted` says of each input
    /// whether its gradient is requested. What is not read may be empty.
    fn rereads(&self, _i: usize, _wanted: &[bool], _rules: Rules) -> bool {
        true
    }

    /// Whether the reverse pass by `rules` reads the output. It may be empty otherwise.
    fn rereads_output(&self, _rules: Rules) -> bool {
        true
    }

    /// Whether the reverse pass can do without what the forward pass saves: `run.saved` is then
    /// empty in both where memory matters more than time.
    fn recomputes(&self) -> bool {
        false
    }

    /// Computes all of `run.out` and `run.saved` from the inputs, whatever they held before.
    fn forward(&self, run: Forward<'_, T>);

    /// Computes the gradient of each requested input from the gradient of the output.
    fn backward(&self, run: Backward<'_, T>);
}

/// What an operation sees in the forward pass.
pub struct Forward<'a, T> {
    pub(super) values: &'a [Buffer<T>],
    pub(super) all_ids: &'a [Vec<u32>],
    pub(super) inputs: &'a [Slot],
    pub(super) ids: &'a [u32],
    /// The output, to be overwritten.
    pub out: &'a mut [T],
    /// Elements for the backward pass, to be overwritten.
    pub saved: &'a mut [T],
}

impl<'a, T: Element> Forward<'a, T> {
    /// Input `i`.
    #[inline]
    pub fn input(&self, i: usize) -> &'a [T] {
        &self.values[self.inputs[i] as usize]
    }

    /// Input `i` as a matrix, for products: in the order that its buffer has.
    #[inline]
    #[track_caller]
    pub fn matrix(&self, i: usize, rows: usize, cols: usize) -> Mat<'a, T> {
        self.values[self.inputs[i] as usize].matrix(rows, cols)
    }

    /// Whether there is an input `i`.
    #[inline]
    pub fn has_input(&self, i: usize) -> bool {
        i < self.inputs.len()
    }

    /// Ids `i`.
    #[inline]
    pub fn ids(&self, i: usize) -> &'a [u32] {
        &self.all_ids[self.ids[i] as usize]
    }
}

/// The gradient of one input, to be stored or added to.
pub struct Grad<T> {
    pub(super) data: Buffer<T>,
    /// Whether it already holds the contributions of other operations.
    pub write: Write,
    /// The windows that are requested, if not all of it.
    pub(super) within: Option<Arc<[Window]>>,
}

impl<T: Element> Grad<T> {
    /// The elements; undefined if [`write`](Self::write) is `Store`.
    #[inline]
    pub fn slice(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The requested windows of the gradient of a matrix `[rows, columns]`, each with its elements
    /// in row-major order: all of it, unless the plan names windows.
    pub fn windows(&mut self, rows: usize, columns: usize) -> Windows<'_, T> {
        let whole = self.within.is_none().then(|| Window::whole(rows, columns));
        Windows { whole, within: self.within.as_deref().unwrap_or(&[]), data: &mut self.data }
    }

    /// The elements as a sum so far: zeros if nothing has been contributed yet.
    #[inline]
    pub fn accumulator(&mut self) -> &mut [T] {
        if self.write == Write::Store {
            self.data.fill(T::ZERO);
            self.write = Write::Add;
        }
        &mut self.data
    }

    /// Contributes `x`, of the same length.
    #[inline]
    pub fn contribute(&mut self, x: &[T]) {
        match self.write {
            Write::Store => self.data.copy_from_slice(x),
            Write::Add => T::vectorize(AddTo { x, out: &mut self.data }),
        }
    }
}

/// The windows of a gradient with their elements.
pub struct Windows<'a, T> {
    whole: Option<Window>,
    within: &'a [Window],
    data: &'a mut [T],
}

impl<'a, T> Iterator for Windows<'a, T> {
    type Item = (Window, &'a mut [T]);

    fn next(&mut self) -> Option<Self::Item> {
        let window = self.whole.take().or_else(|| {
            let (first, rest) = self.within.split_first()?;
            self.within = rest;
            Some(first.clone())
        })?;
        let (numbers, rest) = std::mem::take(&mut self.data).split_at_mut(window.len());
        self.data = rest;
        Some((window, numbers))
    }
}

struct AddTo<'a, T> {
    x: &'a [T],
    out: &'a mut [T],
}

impl<T: Element> Kernel<T> for AddTo<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        slice::update::<L>(
            self.out,
            self.x,
            #[inline(always)]
            |out, x| out + x,
        );
    }
}

/// What an operation sees in the backward pass.
pub struct Backward<'a, T> {
    pub(super) values: &'a [Buffer<T>],
    pub(super) all_ids: &'a [Vec<u32>],
    pub(super) inputs: &'a [Slot],
    pub(super) ids: &'a [u32],
    pub(super) out: Slot,
    /// What it passes back in place of the derivative, if anything.
    pub rules: Rules,
    /// The gradient of the output.
    pub grad_out: &'a [T],
    /// What the forward pass saved.
    pub saved: &'a [T],
    /// The gradient of each input, at least four; `None` if it is not requested or there is no such
    /// input.
    pub grads: &'a mut [Option<Grad<T>>],
}

impl<'a, T: Element> Backward<'a, T> {
    /// Input `i` of the forward pass.
    #[inline]
    pub fn input(&self, i: usize) -> &'a [T] {
        &self.values[self.inputs[i] as usize]
    }

    /// Input `i` as a matrix, for products: in the order that its buffer has.
    #[inline]
    #[track_caller]
    pub fn matrix(&self, i: usize, rows: usize, cols: usize) -> Mat<'a, T> {
        self.values[self.inputs[i] as usize].matrix(rows, cols)
    }

    /// Whether there is an input `i`.
    #[inline]
    pub fn has_input(&self, i: usize) -> bool {
        i < self.inputs.len()
    }

    /// The output of the forward pass.
    #[inline]
    pub fn out(&self) -> &'a [T] {
        &self.values[self.out as usize]
    }

    /// Ids `i`.
    #[inline]
    pub fn ids(&self, i: usize) -> &'a [u32] {
        &self.all_ids[self.ids[i] as usize]
    }
}

/// `out = x`: the tape inserts it before an operation that reads a variable twice.
pub(super) struct Copy;

impl<T: Element> Op<T> for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn rereads(&self, _: usize, _: &[bool], _: Rules) -> bool {
        false
    }

    fn rereads_output(&self, _: Rules) -> bool {
        false
    }

    fn forward(&self, run: Forward<'_, T>) {
        run.out.copy_from_slice(run.input(0));
    }

    fn backward(&self, run: Backward<'_, T>) {
        if let [Some(dx), ..] = run.grads {
            dx.contribute(run.grad_out);
        }
    }
}

impl<T: Element> Node<T> {
    /// Whether its output takes over the memory of another variable.
    #[inline]
    pub(super) fn hands_on(&self) -> bool {
        self.inherits.is_some()
    }

    /// Gives that memory to its output.
    #[inline]
    pub(super) fn hand_on(&self, values: &mut [Buffer<T>]) {
        if let Some(from) = self.inherits {
            values.swap(from as usize, self.out as usize);
        }
    }

    /// Runs the operation: `out` and `saved` from `values` and `ids`.
    #[inline]
    pub(super) fn forward(
        &self,
        values: &mut [Buffer<T>],
        all_ids: &[Vec<u32>],
        saved: &mut [Buffer<T>],
    ) {
        self.hand_on(values);
        // The output is taken out of the list while it is written, so that the inputs can be
        // borrowed.
        let mut out = std::mem::take(&mut values[self.out as usize]);
        out.set_len(self.len);
        let saved = &mut saved[self.saved as usize];
        saved.set_len(self.saves);
        self.op.forward(Forward {
            values,
            all_ids,
            inputs: &self.inputs,
            ids: &self.ids,
            out: &mut out,
            saved,
        });
        values[self.out as usize] = out;
    }
}
