//! Cross-entropy from logits.

use super::softmax::{LONGEST, NARROW, softmax_narrow, softmax_row};
use crate::gemm::Write;
use crate::simd::rows::{self, By, exps};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Ids, Op, Tape, Var};

/// `y[n] = log(sum over v of exp(logits[n, v])) - logits[n, targets[n]]`, in nats:
/// `[N, V], targets [N] -> [N]`. Its [`mean`](super::mean) is the usual loss.
///
/// # Panics
/// If the shapes do not match, or the limit of `targets` exceeds V.
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

/// Saves the softmax, minus one at the target, which is the gradient.
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
        // The vocabulary is empty only if the batch is.
        let width = self.width.max(1);
        let parts =
            (By(run.input(0), width), By(run.ids(0), 1), By(run.out, 1), By(run.saved, width));
        let rows = self.len / width;
        rows::run(
            rows,
            exps(width),
            parts,
            |(By(x, _), By(targets, _), By(y, _), By(slope, _))| {
                T::vectorize(CrossEntropyForward { width, x, targets, y, slope });
            },
        );
    }

    fn backward(&self, run: Backward<'_, T>) {
        let [Some(dx), ..] = run.grads else { return };
        let (write, width) = (dx.write, self.width.max(1));
        let parts = (By(dx.slice(), width), By(run.grad_out, 1), By(run.saved, width));
        rows::run(self.len / width, width, parts, |(By(dx, _), By(dy, _), By(slope, _))| {
            T::vectorize(CrossEntropyBackward { width, dx, write, dy, slope });
        });
    }
}

struct CrossEntropyForward<'a, T> {
    width: usize,
    x: &'a [T],
    targets: &'a [u32],
    y: &'a mut [T],
    slope: &'a mut [T],
}

impl<T: Element> Kernel<T> for CrossEntropyForward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { width, x, targets, y, slope } = self;
        if width <= NARROW {
            let block = L::N * width;
            let numbers = x.chunks(block).zip(slope.chunks_mut(block));
            let rows = y.chunks_mut(L::N).zip(targets.chunks(L::N));
            for ((x, slope), (y, targets)) in numbers.zip(rows) {
                let [largest, total] = softmax_narrow::<L>(width, x, slope);
                // The total is at least 1, so its logarithm loses no digits.
                slice::store(total.ln(), y);
                let mut peaks = [T::ZERO; LONGEST];
                largest.store(&mut peaks);
                for (i, (y, &target)) in y.iter_mut().zip(targets).enumerate() {
                    let at = i * width + target as usize;
                    slope[at] -= T::ONE;
                    *y -= x[at] - peaks[i];
                }
            }
            return;
        }
        let rows = x.chunks_exact(width).zip(slope.chunks_exact_mut(width));
        for ((y, &target), (x, slope)) in y.iter_mut().zip(targets).zip(rows) {
            let target = target as usize;
            let [largest, total] = softmax_row::<L>(x, slope);
            slope[target] -= T::ONE;
            *y = L::splat(total).ln().max_lane() - (x[target] - largest);
        }
    }
}

struct CrossEntropyBackward<'a, T> {
    width: usize,
    dx: &'a mut [T],
    write: Write,
    dy: &'a [T],
    slope: &'a [T],
}

impl<T: Element> Kernel<T> for CrossEntropyBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { width, dx, write, dy, slope } = self;
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
