//! Sums and means.

use super::{scale, sum_rows};
use crate::gemm::Write;
use crate::simd::rows::{self, By, First};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// The sum of all elements of `x`: any shape -> `[]`.
pub fn sum<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    let n = tape.shape(x).len();
    tape.push(Sum { outer: 1, n, inner: 1 }, &[x], &[], [])
}

/// The mean of all elements of `x`: any shape -> `[]`.
///
/// # Panics
/// If `x` is empty.
#[track_caller]
pub fn mean<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    let n = tape.shape(x).len();
    assert!(n > 0, "mean of an empty tensor");
    let total = sum(tape, x);
    scale(tape, total, 1.0 / n as f64)
}

/// The sum along one axis, which is removed: `[A, N, B] -> [A, B]`.
///
/// # Panics
/// If there is no such axis.
#[track_caller]
pub fn sum_axis<T: Element>(tape: &mut Tape<T>, x: Var, axis: usize) -> Var {
    let shape = tape.shape(x).clone();
    assert!(axis < shape.rank(), "sum of {shape} along axis {axis}");
    let (before, rest) = shape.dims().split_at(axis);
    let (n, after) = (rest[0], &rest[1..]);
    let op = Sum { outer: before.iter().product(), n, inner: after.iter().product() };
    tape.push(op, &[x], &[], [before, after].concat())
}

/// `[outer, n, inner] -> [outer, inner]`.
struct Sum {
    outer: usize,
    n: usize,
    inner: usize,
}

impl<T: Element> Op<T> for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn forward(&self, run: Forward<'_, T>) {
        let &Sum { outer, n, inner } = self;
        let (x, y) = (run.input(0), run.out);
        if inner == 1 {
            let parts = (By(x, n), By(y, 1));
            rows::run(outer, n, parts, |(By(x, _), By(y, _))| T::vectorize(SumEach { n, x, y }));
        } else {
            y.fill(T::ZERO);
            for i in 0..outer {
                sum_rows(&x[i * n * inner..][..n * inner], &mut y[i * inner..][..inner]);
            }
        }
    }

    fn backward(&self, run: Backward<'_, T>) {
        let (&Sum { outer, n, inner }, dy) = (self, run.grad_out);
        let [Some(dx), ..] = run.grads else { return };
        let write = dx.write;
        let parts = (First(0), By(dx.slice(), inner));
        rows::run(outer * n, inner, parts, |(First(first), By(dx, _))| {
            T::vectorize(Repeat { n, inner, first, dy, dx, write });
        });
    }
}

/// `y[i]` is the sum of row `i` of `n` elements.
struct SumEach<'a, T> {
    n: usize,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Element> Kernel<T> for SumEach<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { n, x, y } = self;
        for (i, y) in y.iter_mut().enumerate() {
            *y = slice::sum::<L>(&x[i * n..][..n]);
        }
    }
}

/// Rows of `dx`, each a repetition of the row of `dy` that they were summed into.
struct Repeat<'a, T> {
    n: usize,
    inner: usize,
    first: usize,
    dy: &'a [T],
    dx: &'a mut [T],
    write: Write,
}

impl<T: Element> Kernel<T> for Repeat<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { n, inner, first, dy, dx, write } = self;
        let add = write == Write::Add;
        if inner == 1 {
            // Elements summed into the same one are neighbours.
            let mut at = 0;
            while at < dx.len() {
                let from = (first + at) / n;
                let end = ((from + 1) * n - first).min(dx.len());
                let dy = L::splat(dy[from]);
                slice::map_in_place(
                    &mut dx[at..end],
                    #[inline(always)]
                    |dx: L| if add { dx + dy } else { dy },
                );
                at = end;
            }
            return;
        }
        for (i, dx) in dx.chunks_exact_mut(inner.max(1)).enumerate() {
            slice::combine(
                dx,
                [&dy[(first + i) / n * inner..][..inner]],
                #[inline(always)]
                |dx: L, [dy]: [L; 1]| if add { dx + dy } else { dy },
            );
        }
    }
}
