//! What all elementwise functions of two variables share: `z = f(x, y)`, with broadcasting.

use crate::gemm::Write;
use crate::simd::rows::{self, By, First, RUN};
use crate::simd::{Element, Kernel, Lanes, NARROW, Scalar, slice};
use crate::tape::{Backward, Forward, Op, Rules, Tape, Var};
use crate::tensor::Shape;
use std::marker::PhantomData;
use std::ops::Range;

/// A function of two variables and its partial derivatives, each times the gradient `g` of `z`.
pub(super) trait Binary: Send + Sync + 'static {
    const NAME: &'static str;
    /// Whether `df/dx` and `df/dy` are 1, so that the gradient is passed on unchanged.
    const UNIT_SLOPE: [bool; 2] = [false, false];

    fn value<L: Lanes>(x: L, y: L) -> L;
    /// `g * df/dx`.
    fn grad_x<L: Lanes>(g: L, x: L, y: L) -> L;
    /// `g * df/dy`.
    fn grad_y<L: Lanes>(g: L, x: L, y: L) -> L;
    /// The share of both gradients that is passed back.
    fn share(_rules: Rules) -> f64 {
        1.0
    }
}

/// Records `z = f(x, y)`. Shapes are aligned at their last axes; an axis that is missing or 1 in
/// one operand is repeated, as in NumPy.
#[track_caller]
pub(super) fn record<T: Element, F: Binary>(tape: &mut Tape<T>, x: Var, y: Var) -> Var {
    let (shape, loops) = Loops::new(F::NAME, tape.shape(x), tape.shape(y));
    tape.push(Zip::<F> { loops, function: PhantomData }, &[x, y], &[], shape)
}

/// The size of an axis of the output and the stride of each operand along it; 0 if it is repeated.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    len: usize,
    x: usize,
    y: usize,
}

/// The output as `outer` axes around runs of `inner` elements, along which the stride of an operand
/// is 1 or 0.
#[derive(Debug)]
struct Loops {
    outer: Vec<Axis>,
    inner: Axis,
}

impl Loops {
    #[track_caller]
    fn new(name: &str, x: &Shape, y: &Shape) -> (Shape, Loops) {
        let rank = x.rank().max(y.rank());
        let size =
            |s: &Shape, axis: usize| (axis + s.rank()).checked_sub(rank).map_or(1, |i| s.dims()[i]);
        // From the last axis outward; neighbouring axes with matching strides are merged.
        let (mut x_step, mut y_step) = (1, 1);
        let mut dims = vec![];
        let mut axes: Vec<Axis> = vec![];
        for axis in (0..rank).rev() {
            let (a, b) = (size(x, axis), size(y, axis));
            assert!(a == b || a == 1 || b == 1, "{name} of {x} and {y}");
            let len = if a == 1 { b } else { a };
            dims.push(len);
            let next = Axis {
                len,
                x: if a == len { x_step } else { 0 },
                y: if b == len { y_step } else { 0 },
            };
            x_step *= a;
            y_step *= b;
            if len == 1 {
                continue;
            }
            match axes.last_mut() {
                Some(last) if next.x == last.x * last.len && next.y == last.y * last.len => {
                    last.len *= len;
                }
                _ => axes.push(next),
            }
        }
        dims.reverse();
        let inner = if axes.is_empty() { Axis { len: 1, x: 1, y: 1 } } else { axes.remove(0) };
        axes.reverse();
        (dims.into(), Loops { outer: axes, inner })
    }

    /// The number of inner runs.
    fn runs(&self) -> usize {
        self.outer.iter().map(|a| a.len).product()
    }

    /// All of the output.
    fn whole(&self) -> Runs {
        Runs { runs: 0..self.runs(), columns: 0..self.inner.len, start: 0 }
    }

    /// Whether neither operand is repeated.
    fn same(&self) -> bool {
        self.outer.is_empty() && (self.inner.x, self.inner.y) == (1, 1)
    }

    /// Calls `f` with the offsets into `z`, `x` and `y` of every inner run of `part`.
    #[inline(always)]
    fn each(&self, part: &Runs, mut f: impl FnMut(usize, usize, usize)) {
        if part.columns.is_empty() {
            return;
        }
        let from = part.columns.start;
        for run in part.runs.clone() {
            let (mut rest, mut x, mut y) = (run, from * self.inner.x, from * self.inner.y);
            for axis in self.outer.iter().rev() {
                let i = rest % axis.len;
                rest /= axis.len;
                x += i * axis.x;
                y += i * axis.y;
            }
            f(run * self.inner.len + from, x, y);
        }
    }

    /// Calls `f` with parts of `out`, which has the size of the output, and their ranges in it.
    fn divide<T: Element>(&self, out: &mut [T], f: impl Fn(Runs, &mut [T]) + Sync) {
        let n = self.inner.len.max(1);
        if self.outer.is_empty() {
            return self.columns(out, RUN, RUN, f);
        }
        rows::run(self.runs(), n, (First(0), By(out, n)), |(First(first), By(out, _))| {
            f(Runs { runs: first..first + out.len() / n, columns: 0..n, start: first * n }, out);
        });
    }

    /// The same if `out` has the size of an inner run, divided at multiples of `unit` columns.
    fn columns<T: Element>(
        &self,
        out: &mut [T],
        unit: usize,
        work: usize,
        f: impl Fn(Runs, &mut [T]) + Sync,
    ) {
        let parts = (First(0), By(out, unit));
        rows::run(self.inner.len.div_ceil(unit), work, parts, |(First(first), By(out, _))| {
            let start = first * unit;
            f(Runs { runs: 0..self.runs(), columns: start..start + out.len(), start }, out);
        });
    }
}

/// The fewest columns that a thread sums.
const COLUMNS: usize = 64;

/// Some columns of some of the inner runs.
struct Runs {
    runs: Range<usize>,
    columns: Range<usize>,
    /// The index of its first element in the output.
    start: usize,
}

struct Zip<F> {
    loops: Loops,
    function: PhantomData<F>,
}

impl<T: Element, F: Binary> Op<T> for Zip<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn rereads(&self, _: usize, wanted: &[bool], rules: Rules) -> bool {
        // Where nothing is repeated, a gradient times a slope of 1 is copied.
        let plain = F::share(rules) == 1.0 && self.loops.same();
        let copied = |(&wanted, unit): (&bool, bool)| !wanted || (plain && unit);
        !wanted.iter().zip(F::UNIT_SLOPE).all(copied)
    }

    fn rereads_output(&self, _: Rules) -> bool {
        false
    }

    fn forward(&self, run: Forward<'_, T>) {
        let (x, y) = (run.input(0), run.input(1));
        self.loops.divide(run.out, |part, z| {
            T::vectorize(BinaryForward { zip: self, part, x, y, z });
        });
    }

    fn backward(&self, run: Backward<'_, T>) {
        let (x, y, g) = (run.input(0), run.input(1), run.grad_out);
        let share = T::from_f64(F::share(run.rules));
        let sides = run.grads.iter_mut().zip([Side::X, Side::Y]).zip(F::UNIT_SLOPE);
        for ((grad, side), unit_slope) in sides {
            let Some(grad) = grad else { continue };
            let len = grad.slice().len();
            if unit_slope && share == T::ONE && len == g.len() {
                grad.contribute(g);
                continue;
            }
            // An operand that is repeated accumulates a sum; any other gradient is written once.
            let write = if len == g.len() { grad.write } else { Write::Add };
            let some = |part, grad: &mut [T]| {
                T::vectorize(BinaryBackward { zip: self, part, x, y, g, share, side, write, grad });
            };
            let loops = &self.loops;
            let step = |axis: &Axis| if let Side::X = side { axis.x } else { axis.y };
            if len == g.len() {
                loops.divide(grad.slice(), some);
            } else if step(&loops.inner) == 1 && loops.outer.iter().all(|axis| step(axis) == 0) {
                let work = loops.runs() * COLUMNS;
                loops.columns(grad.accumulator(), COLUMNS, work, some);
            } else {
                some(loops.whole(), grad.accumulator());
            }
        }
    }
}

/// A run of an operand: its elements along the run, or the one that is repeated.
#[inline(always)]
fn operand<T: Copy>(data: &[T], at: usize, step: usize, len: usize) -> (&[T], T) {
    if step == 0 { (&[], data[at]) } else { (&data[at..at + len], data[at]) }
}

struct BinaryForward<'a, T, F> {
    zip: &'a Zip<F>,
    part: Runs,
    x: &'a [T],
    y: &'a [T],
    z: &'a mut [T],
}

impl<T: Element, F: Binary> Kernel<T> for BinaryForward<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        if L::N > 1 && self.zip.loops.inner.len <= NARROW {
            return self.run::<Scalar<T>>();
        }
        let Self { zip, part, x, y, z } = self;
        let inner = Axis { len: part.columns.len(), ..zip.loops.inner };
        zip.loops.each(
            &part,
            #[inline(always)]
            |at, i, j| {
                let z = &mut z[at - part.start..][..inner.len];
                match (operand(x, i, inner.x, inner.len), operand(y, j, inner.y, inner.len)) {
                    ((xs, _), (ys, _)) if inner.x == inner.y => {
                        slice::zip::<L>(
                            xs,
                            ys,
                            z,
                            #[inline(always)]
                            |x, y| F::value(x, y),
                        );
                    }
                    ((xs, _), (_, y)) if inner.y == 0 => {
                        let y = L::splat(y);
                        slice::map::<L>(
                            xs,
                            z,
                            #[inline(always)]
                            |x| F::value(x, y),
                        );
                    }
                    ((_, x), (ys, _)) => {
                        let x = L::splat(x);
                        slice::map::<L>(
                            ys,
                            z,
                            #[inline(always)]
                            |y| F::value(x, y),
                        );
                    }
                }
            },
        );
    }
}

#[derive(Clone, Copy)]
enum Side {
    X,
    Y,
}

struct BinaryBackward<'a, T, F> {
    zip: &'a Zip<F>,
    part: Runs,
    x: &'a [T],
    y: &'a [T],
    g: &'a [T],
    /// A factor on `g`.
    share: T,
    side: Side,
    write: Write,
    grad: &'a mut [T],
}

impl<T: Element, F: Binary> Kernel<T> for BinaryBackward<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        if L::N > 1 && self.zip.loops.inner.len <= NARROW {
            return self.run::<Scalar<T>>();
        }
        let Self { zip, part, x, y, g, share, side, write, grad } = self;
        let share = L::splat(share);
        let inner = Axis { len: part.columns.len(), ..zip.loops.inner };
        let zero = T::ZERO;
        zip.loops.each(
            &part,
            #[inline(always)]
            |at, i, j| {
                let n = inner.len;
                let g = &g[at..at + n];
                let (xs, x1) = operand(x, i, inner.x, n);
                let (ys, y1) = operand(y, j, inner.y, n);
                let (start, step) = match side {
                    Side::X => (i, inner.x),
                    Side::Y => (j, inner.y),
                };
                let start = start - part.start;
                let mut k = 0;
                let mut total = L::splat(zero);
                while k < n {
                    let end = (k + L::N).min(n);
                    let x = if inner.x == 0 { L::splat(x1) } else { slice::load(&xs[k..end]) };
                    let y = if inner.y == 0 { L::splat(y1) } else { slice::load(&ys[k..end]) };
                    let g = slice::load::<L>(&g[k..end]) * share;
                    let part = match side {
                        Side::X => F::grad_x(g, x, y),
                        Side::Y => F::grad_y(g, x, y),
                    };
                    if step == 0 {
                        total = total + part;
                    } else {
                        let out = &mut grad[start + k..start + end];
                        let before =
                            if write == Write::Add { slice::load(out) } else { L::splat(zero) };
                        slice::store(before + part, out);
                    }
                    k = end;
                }
                if step == 0 {
                    grad[start] += total.sum();
                }
            },
        );
    }
}
