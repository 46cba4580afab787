//! Sums and means.

use super::scale;
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// The sum of all numbers of `x`: any shape -> `[]`.
pub fn sum<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    let n = tape.shape(x).len();
    tape.push(Sum { outer: 1, n, inner: 1 }, &[x], &[], [])
}

/// The mean of all numbers of `x`: any shape -> `[]`.
///
/// # Panics
/// If there are none.
#[track_caller]
pub fn mean<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    let n = tape.shape(x).len();
    assert!(n > 0, "mean of nothing");
    let total = sum(tape, x);
    scale(tape, total, 1.0 / n as f64)
}

/// The sum along one axis, which disappears: `[A, N, B] -> [A, B]`.
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
        T::vectorize(ForwardKernel { sum: self, x: run.input(0), y: run.out });
    }

    fn backward(&self, run: Backward<'_, T>) {
        let [Some(dx), ..] = run.grads else { return };
        let dx = dx.accumulator();
        for outer in 0..self.outer {
            let dy = &run.grad_out[outer * self.inner..][..self.inner];
            for i in 0..self.n {
                let at = (outer * self.n + i) * self.inner;
                for (dx, &dy) in dx[at..at + self.inner].iter_mut().zip(dy) {
                    *dx += dy;
                }
            }
        }
    }
}

struct ForwardKernel<'a, T> {
    sum: &'a Sum,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Element> Kernel<T> for ForwardKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { sum: &Sum { outer, n, inner }, x, y } = self;
        let zero = T::ZERO;
        if inner == 1 {
            for i in 0..outer {
                let row = &x[i * n..(i + 1) * n];
                y[i] = slice::fold(
                    row,
                    zero,
                    L::splat(zero),
                    #[inline(always)]
                    |acc: L, x| acc + x,
                )
                .sum();
            }
        } else {
            y.fill(zero);
            for i in 0..outer {
                let y = &mut y[i * inner..(i + 1) * inner];
                for j in 0..n {
                    let row = &x[(i * n + j) * inner..][..inner];
                    slice::update::<L>(
                        y,
                        row,
                        #[inline(always)]
                        |y, x| y + x,
                    );
                }
            }
        }
    }
}
