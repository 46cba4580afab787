//! Cross-entropy from logits.

use crate::gemm::Write;
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Ids, Op, Tape, Var};

/// `y[n] = log(sum over v of exp(logits[n, v])) - logits[n, targets[n]]`, in nats:
/// `[N, V], targets [N] -> [N]`. Its [`mean`](super::mean) is the usual loss.
///
/// # Panics
/// If the shapes do not fit, or targets may lie outside of the vocabulary.
#[track_caller]
pub fn cross_entropy<T: Element>(tape: &mut Tape<T>, logits: Var, targets: Ids) -> Var {
    let (shape, st) = (tape.shape(logits).clone(), tape.ids_shape(targets));
    let limit = tape.ids_limit(targets);
    assert!(
        shape.rank() == 2 && st.dims() == [shape.rows()] && limit <= shape.last(),
        "cross-entropy of {shape} with targets {st} below {limit}"
    );
    tape.push(
        CrossEntropy { width: shape.last(), len: shape.len() },
        &[logits],
        &[targets],
        [shape.rows()],
    )
}

/// Saves the softmax minus one at the target, which is the gradient.
struct CrossEntropy {
    width: usize,
    len: usize,
}

impl<T: Element> Op<T> for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn saves(&self) -> usize {
        self.len
    }

    fn forward(&self, run: Forward<'_, T>) {
        T::vectorize(ForwardKernel {
            width: self.width,
            x: run.input(0),
            targets: run.ids(0),
            y: run.out,
            slope: run.saved,
        });
    }

    fn backward(&self, run: Backward<'_, T>) {
        let [Some(dx), ..] = run.grads else { return };
        let (write, dy, slope) = (dx.write, run.grad_out, run.saved);
        T::vectorize(BackwardKernel { width: self.width, dx: dx.slice(), write, dy, slope });
    }
}

struct ForwardKernel<'a, T> {
    width: usize,
    x: &'a [T],
    targets: &'a [u32],
    y: &'a mut [T],
    slope: &'a mut [T],
}

impl<T: Element> Kernel<T> for ForwardKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { width, x, targets, y, slope } = self;
        // Only a batch of nothing has a vocabulary of nothing.
        let width = width.max(1);
        let lowest = T::from_f64(f64::NEG_INFINITY);
        let rows = x.chunks_exact(width).zip(slope.chunks_exact_mut(width));
        for ((y, &target), (x, slope)) in y.iter_mut().zip(targets).zip(rows) {
            let target = target as usize;
            if width <= L::N {
                let row = L::load_partial(x, lowest);
                let largest = row.max_lane();
                let e = (row - L::splat(largest)).exp();
                let total = e.sum();
                (e * L::splat(T::ONE / total)).store_partial(slope);
                slope[target] -= T::ONE;
                *y = L::splat(total).ln().max_lane() - (x[target] - largest);
                continue;
            }
            let largest = slice::fold(
                x,
                lowest,
                L::splat(lowest),
                #[inline(always)]
                |acc: L, x| acc.max(x),
            )
            .max_lane();
            let shift = L::splat(largest);
            slice::map::<L>(
                x,
                slope,
                #[inline(always)]
                |x| (x - shift).exp(),
            );
            let total = slice::fold(
                slope,
                T::ZERO,
                L::splat(T::ZERO),
                #[inline(always)]
                |acc: L, e| acc + e,
            )
            .sum();
            let factor = L::splat(T::ONE / total);
            slice::map_in_place::<L>(
                slope,
                #[inline(always)]
                |e| e * factor,
            );
            slope[target] -= T::ONE;
            // The sum is at least 1, so nothing is lost in its logarithm.
            *y = L::splat(total).ln().max_lane() - (x[target] - largest);
        }
    }
}

struct BackwardKernel<'a, T> {
    width: usize,
    dx: &'a mut [T],
    write: Write,
    dy: &'a [T],
    slope: &'a [T],
}

impl<T: Element> Kernel<T> for BackwardKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { width, dx, write, dy, slope } = self;
        let width = width.max(1);
        let rows = dx.chunks_exact_mut(width).zip(slope.chunks_exact(width));
        for (&dy, (dx, slope)) in dy.iter().zip(rows) {
            let dy = L::splat(dy);
            match write {
                Write::Store => slice::map::<L>(
                    slope,
                    dx,
                    #[inline(always)]
                    |s| s * dy,
                ),
                Write::Add => slice::update::<L>(
                    dx,
                    slope,
                    #[inline(always)]
                    |dx, s| s.mul_add(dy, dx),
                ),
            }
        }
    }
}
