//! Softmax over rows, plain and causal.

use crate::gemm::Write;
use crate::simd::rows::{self, By, First, exps};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// `exp(x[i]) / sum over j of exp(x[j])` over the last axis, any shape.
pub fn softmax<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    record(tape, x, None)
}

/// Softmax over the first `i + 1` entries of row `i` of each `[T, T]` matrix, 0 after them:
/// `[.., T, T] -> [.., T, T]`. The scores above the diagonal are not read.
///
/// # Panics
/// If the last two axes differ.
#[track_caller]
pub fn causal_softmax<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    let shape = tape.shape(x);
    let square = matches!(shape.dims(), [.., rows, cols] if rows == cols);
    assert!(square, "causal softmax of {shape}");
    let period = shape.last();
    record(tape, x, Some(period))
}

fn record<T: Element>(tape: &mut Tape<T>, x: Var, causal: Option<usize>) -> Var {
    let shape = tape.shape(x).clone();
    tape.push(Softmax { rows: shape.rows(), width: shape.last(), causal }, &[x], &[], shape)
}

struct Softmax {
    rows: usize,
    width: usize,
    /// The rows of a causal matrix, if causal: row `i` of it sees `i + 1` entries.
    causal: Option<usize>,
}

impl Softmax {
    /// How many entries row `i` sees.
    #[inline(always)]
    fn seen(&self, i: usize) -> usize {
        self.causal.map_or(self.width, |period| i % period + 1)
    }
}

impl<T: Element> Op<T> for Softmax {
    fn name(&self) -> &'static str {
        if self.causal.is_some() { "causal_softmax" } else { "softmax" }
    }

    fn forward(&self, run: Forward<'_, T>) {
        let width = self.width.max(1);
        let parts = (First(0), By(run.input(0), width), By(run.out, width));
        rows::run(self.rows, exps(width), parts, |(First(first), By(x, _), By(y, _))| {
            T::vectorize(SoftmaxForward { softmax: self, first, x, y });
        });
    }

    /// `dx = y (dy - <dy, y>)`.
    fn backward(&self, run: Backward<'_, T>) {
        let (width, y, dy) = (self.width.max(1), run.out(), run.grad_out);
        let [Some(dx), ..] = run.grads else { return };
        let write = dx.write;
        let parts = (First(0), By(y, width), By(dy, width), By(dx.slice(), width));
        rows::run(self.rows, 2 * width, parts, |(First(first), By(y, _), By(dy, _), By(dx, _))| {
            T::vectorize(SoftmaxBackward { softmax: self, first, y, dy, dx, write });
        });
    }
}

struct SoftmaxForward<'a, T> {
    softmax: &'a Softmax,
    first: usize,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Element> Kernel<T> for SoftmaxForward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { softmax, first, x, y } = self;
        let width = softmax.width.max(1);
        if width <= NARROW && softmax.causal.is_none() {
            let block = L::N * width;
            for (x, y) in x.chunks(block).zip(y.chunks_mut(block)) {
                softmax_narrow::<L>(width, x, y);
            }
            return;
        }
        for (i, (x, y)) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).enumerate() {
            let (y, hidden) = y.split_at_mut(softmax.seen(first + i));
            softmax_row::<L>(&x[..y.len()], y);
            hidden.fill(T::ZERO);
        }
    }
}

/// Softmax of one row. The largest entry is subtracted first, so that nothing overflows; returns it
/// and the sum of the exponentials, which is at least 1.
#[inline(always)]
pub(super) fn softmax_row<L: Lanes>(x: &[L::Elem], y: &mut [L::Elem]) -> [L::Elem; 2] {
    let one = L::Elem::ONE;
    let lowest = L::Elem::from_f64(f64::NEG_INFINITY);
    if x.len() <= L::N {
        let x = L::load_partial(x, lowest);
        let largest = x.max_lane();
        let e = (x - L::splat(largest)).exp();
        let total = e.sum();
        (e * L::splat(one / total)).store_partial(y);
        return [largest, total];
    }
    let largest = slice::largest::<L>(x);
    let shift = L::splat(largest);
    let mut total = L::splat(L::Elem::ZERO);
    let whole = x.len() / L::N * L::N;
    for (x, y) in x[..whole].chunks_exact(L::N).zip(y.chunks_exact_mut(L::N)) {
        let e = (L::load(x) - shift).exp();
        e.store(y);
        total = total + e;
    }
    if whole < x.len() {
        let e = (L::load_partial(&x[whole..], lowest) - shift).exp();
        e.store_partial(&mut y[whole..]);
        total = total + e;
    }
    let total = total.sum();
    let factor = L::splat(one / total);
    slice::map_in_place::<L>(
        y,
        #[inline(always)]
        |y| y * factor,
    );
    [largest, total]
}

/// Rows up to this width are transposed and computed a row in each lane. One row by itself would
/// wait for its own maximum, its exponentials and its sum.
pub(super) const NARROW: usize = 16;
/// Lanes of the longest vector.
pub(super) const LONGEST: usize = 16;

/// [`softmax_row`] of up to `L::N` rows of `width` elements, at most [`NARROW`], a row in each
/// lane.
#[inline(always)]
pub(super) fn softmax_narrow<L: Lanes>(width: usize, x: &[L::Elem], y: &mut [L::Elem]) -> [L; 2] {
    assert!(L::N <= LONGEST && width <= NARROW && x.len() <= L::N * width);
    let mut transposed = [[L::Elem::ZERO; LONGEST]; NARROW];
    for (i, row) in x.chunks_exact(width).enumerate() {
        for (column, &x) in transposed.iter_mut().zip(row) {
            column[i] = x;
        }
    }
    let columns = &mut transposed[..width];
    let mut largest = L::load(&columns[0]);
    for column in &columns[1..] {
        largest = largest.max(L::load(column));
    }
    let mut total = L::splat(L::Elem::ZERO);
    for column in columns.iter_mut() {
        let e = (L::load(column) - largest).exp();
        e.store(column);
        total = total + e;
    }
    let factor = L::splat(L::Elem::ONE) / total;
    for column in columns.iter_mut() {
        (L::load(column) * factor).store(column);
    }
    for (i, row) in y.chunks_exact_mut(width).enumerate() {
        for (y, column) in row.iter_mut().zip(&transposed) {
            *y = column[i];
        }
    }
    [largest, total]
}

struct SoftmaxBackward<'a, T> {
    softmax: &'a Softmax,
    first: usize,
    y: &'a [T],
    dy: &'a [T],
    dx: &'a mut [T],
    write: Write,
}

impl<T: Element> Kernel<T> for SoftmaxBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { softmax, first, y, dy, dx, write } = self;
        let width = softmax.width.max(1);
        let rows = y.chunks_exact(width).zip(dy.chunks_exact(width));
        for (i, (dx, (y, dy))) in dx.chunks_exact_mut(width).zip(rows).enumerate() {
            let (dx, hidden) = dx.split_at_mut(softmax.seen(first + i));
            let (y, dy) = (&y[..dx.len()], &dy[..dx.len()]);
            let mean = L::splat(slice::dot::<L>(y, dy));
            match write {
                Write::Store => {
                    slice::zip::<L>(
                        y,
                        dy,
                        dx,
                        #[inline(always)]
                        |y, dy| y * (dy - mean),
                    );
                    hidden.fill(T::ZERO);
                }
                Write::Add => {
                    slice::update2::<L>(
                        dx,
                        y,
                        dy,
                        #[inline(always)]
                        |dx: L, y: L, dy: L| y.mul_add(dy - mean, dx),
                    );
                }
            }
        }
    }
}
