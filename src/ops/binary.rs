//! What all functions of two numbers share: `z = f(x, y)`, element by element, with broadcasting.

use crate::gemm::Write;
use crate::simd::{Element, Kernel, Lanes, NARROW, Scalar, slice};
use crate::tape::{Backward, Forward, Grad, Op, Tape, Var};
use crate::tensor::Shape;
use std::marker::PhantomData;

/// A function of two numbers and its partial derivatives, each times the gradient `g` of `z`.
pub(super) trait Binary: Send + Sync + 'static {
    const NAME: &'static str;
    /// Whether `df/dx` and `df/dy` are 1, so that the gradient only has to be handed on.
    const UNIT_SLOPE: [bool; 2] = [false, false];

    fn value<L: Lanes>(x: L, y: L) -> L;
    /// `g * df/dx`.
    fn grad_x<L: Lanes>(g: L, x: L, y: L) -> L;
    /// `g * df/dy`.
    fn grad_y<L: Lanes>(g: L, x: L, y: L) -> L;
}

/// Records `z = f(x, y)`. Shapes are aligned at their last axes; an axis that is missing or 1 in
/// one of them is repeated, as in NumPy.
#[track_caller]
pub(super) fn record<T: Element, F: Binary>(tape: &mut Tape<T>, x: Var, y: Var) -> Var {
    let (shape, loops) = Loops::new(F::NAME, tape.shape(x), tape.shape(y));
    tape.push(Zip::<F> { loops, function: PhantomData }, &[x, y], &[], shape)
}

/// How far each operand moves along an axis of the output; 0 where it is repeated.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    len: usize,
    x: usize,
    y: usize,
}

/// The output as `outer` axes around runs of `inner` numbers, along which an operand either moves
/// by one or stands still.
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
        // From the last axis outward; neighbours that move alike become one.
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

    /// Calls `f` with the offsets into `z`, `x` and `y` of every inner run.
    #[inline(always)]
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        if self.inner.len == 0 {
            return;
        }
        let total: usize = self.outer.iter().map(|a| a.len).product();
        for run in 0..total {
            let (mut rest, mut x, mut y) = (run, 0, 0);
            for axis in self.outer.iter().rev() {
                let i = rest % axis.len;
                rest /= axis.len;
                x += i * axis.x;
                y += i * axis.y;
            }
            f(run * self.inner.len, x, y);
        }
    }
}

struct Zip<F> {
    loops: Loops,
    function: PhantomData<F>,
}

impl<T: Element, F: Binary> Op<T> for Zip<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn forward(&self, run: Forward<'_, T>) {
        let (x, y) = (run.input(0), run.input(1));
        T::vectorize(ForwardKernel { zip: self, x, y, z: run.out });
    }

    fn backward(&self, run: Backward<'_, T>) {
        let (x, y, g) = (run.input(0), run.input(1), run.grad_out);
        let sides = run.grads.iter_mut().zip([Side::X, Side::Y]).zip(F::UNIT_SLOPE);
        for ((grad, side), unit_slope) in sides {
            let Some(grad) = grad else { continue };
            if unit_slope && grad.slice().len() == g.len() {
                grad.contribute(g);
            } else {
                T::vectorize(BackwardKernel { zip: self, x, y, g, side, grad });
            }
        }
    }
}

/// A run of an operand: numbers that go along with the output, or one that is repeated.
#[inline(always)]
fn operand<T: Copy>(data: &[T], at: usize, step: usize, len: usize) -> (&[T], T) {
    if step == 0 { (&[], data[at]) } else { (&data[at..at + len], data[at]) }
}

struct ForwardKernel<'a, T, F> {
    zip: &'a Zip<F>,
    x: &'a [T],
    y: &'a [T],
    z: &'a mut [T],
}

impl<T: Element, F: Binary> Kernel<T> for ForwardKernel<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        if L::N > 1 && self.zip.loops.inner.len <= NARROW {
            return self.run::<Scalar<T>>();
        }
        let Self { zip, x, y, z } = self;
        let inner = zip.loops.inner;
        zip.loops.each(
            #[inline(always)]
            |at, i, j| {
                let z = &mut z[at..at + inner.len];
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

struct BackwardKernel<'a, T, F> {
    zip: &'a Zip<F>,
    x: &'a [T],
    y: &'a [T],
    g: &'a [T],
    side: Side,
    grad: &'a mut Grad<T>,
}

impl<T: Element, F: Binary> Kernel<T> for BackwardKernel<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        if L::N > 1 && self.zip.loops.inner.len <= NARROW {
            return self.run::<Scalar<T>>();
        }
        let Self { zip, x, y, g, side, grad } = self;
        let inner = zip.loops.inner;
        let zero = T::ZERO;
        // An operand that is repeated anywhere collects a sum; one that is not is written once.
        let whole = grad.slice().len() == g.len();
        let write = if whole { grad.write } else { Write::Add };
        let grad = if whole { grad.slice() } else { grad.accumulator() };
        zip.loops.each(
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
                let mut k = 0;
                let mut total = L::splat(zero);
                while k < n {
                    let end = (k + L::N).min(n);
                    let x = if inner.x == 0 { L::splat(x1) } else { slice::load(&xs[k..end]) };
                    let y = if inner.y == 0 { L::splat(y1) } else { slice::load(&ys[k..end]) };
                    let g = slice::load::<L>(&g[k..end]);
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
