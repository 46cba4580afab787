//! Permutation of axes.

use crate::simd::Element;
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// `y` whose axis `i` is axis `order[i]` of `x`, as in NumPy's `transpose`.
///
/// # Panics
/// If `order` is not a permutation of the axes of `x`.
#[track_caller]
pub fn permute<T: Element>(tape: &mut Tape<T>, x: Var, order: &[usize]) -> Var {
    let from = tape.shape(x).clone();
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    assert!(sorted.iter().copied().eq(0..from.rank()), "permute {from} by {order:?}");
    let mut steps = vec![1; from.rank()];
    for axis in (1..from.rank()).rev() {
        steps[axis - 1] = steps[axis] * from.dims()[axis];
    }
    let dims: Vec<usize> = order.iter().map(|&i| from.dims()[i]).collect();
    let steps = order.iter().map(|&i| steps[i]).collect();
    tape.push(Permute { dims: dims.clone(), steps }, &[x], &[], dims)
}

struct Permute {
    /// Sizes of the output.
    dims: Vec<usize>,
    /// The stride of `x` along each axis of the output.
    steps: Vec<usize>,
}

impl Permute {
    /// Calls `f(i, j)` for every output `i` and the input `j` it comes from.
    fn each(&self, len: usize, mut f: impl FnMut(usize, usize)) {
        let inner = self.dims.last().copied().unwrap_or(1);
        let step = self.steps.last().copied().unwrap_or(0);
        for run in 0..len / inner.max(1) {
            let (mut rest, mut from) = (run, 0);
            for (n, step) in self.dims.iter().zip(&self.steps).rev().skip(1) {
                from += rest % n * step;
                rest /= n;
            }
            for i in 0..inner {
                f(run * inner + i, from + i * step);
            }
        }
    }
}

impl<T: Element> Op<T> for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn forward(&self, run: Forward<'_, T>) {
        let (x, y) = (run.input(0), run.out);
        self.each(y.len(), |i, j| y[i] = x[j]);
    }

    fn backward(&self, run: Backward<'_, T>) {
        let [Some(dx), ..] = run.grads else { return };
        let (dx, dy) = (dx.accumulator(), run.grad_out);
        self.each(dy.len(), |i, j| dx[j] += dy[i]);
    }
}
