//! Cross-entropy from logits against soft targets: any weights instead of one target.

use super::softmax::softmax_row;
use crate::gemm::Write;
use crate::simd::rows::{self, By, exps};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// `y[n] = L[n] sum over v of weights[n, v] - <weights[n], logits[n]>` with
/// `L[n] = log(sum over v of exp(logits[n, v]))`, in nats: `[N, V], [N, V] -> [N]`.
///
/// With one weight of 1 it is [`cross_entropy`](super::cross_entropy). With the probabilities of
/// another model it is their Kullback-Leibler divergence from this model's, plus their entropy. A
/// row of zeros gives 0.
///
/// # Panics
/// If the shapes do not match.
#[track_caller]
pub fn soft_cross_entropy<T: Element>(tape: &mut Tape<T>, logits: Var, weights: Var) -> Var {
    let (shape, sw) = (tape.shape(logits).clone(), tape.shape(weights));
    assert!(
        shape.rank() == 2 && *sw == shape,
        "soft cross-entropy of {shape} with weights of {sw}"
    );
    let op = SoftCrossEntropy { width: shape.last(), rows: shape.rows() };
    tape.push(op, &[logits, weights], &[], [shape.rows()])
}

/// Saves the softmax of all rows, then each row's `L`.
struct SoftCrossEntropy {
    width: usize,
    rows: usize,
}

impl<T: Element> Op<T> for SoftCrossEntropy {
    fn name(&self) -> &'static str {
        "soft_cross_entropy"
    }

    fn saves(&self) -> usize {
        self.rows * (self.width + 1)
    }

    fn forward(&self, run: Forward<'_, T>) {
        let (x, weights) = (run.input(0), run.input(1));
        let (softmax, level) = run.saved.split_at_mut(self.rows * self.width);
        let width = self.width;
        if width == 0 {
            // The sum over an empty row has weight 0.
            run.out.fill(T::ZERO);
            level.fill(T::ZERO);
            return;
        }
        let inputs = (By(x, width), By(weights, width));
        let parts = (inputs, (By(run.out, 1), By(softmax, width), By(level, 1)));
        rows::run(self.rows, exps(width), parts, |(inputs, outputs)| {
            let (By(x, _), By(weights, _)) = inputs;
            let (By(y, _), By(softmax, _), By(level, _)) = outputs;
            T::vectorize(SoftCrossEntropyForward { width, x, weights, y, softmax, level });
        });
    }

    /// `dx[n, v] = dy[n] (softmax[n, v] sum(weights[n]) - weights[n, v])` and
    /// `dweights[n, v] = dy[n] (L[n] - x[n, v])`.
    fn backward(&self, run: Backward<'_, T>) {
        let (softmax, level) = run.saved.split_at(self.rows * self.width);
        let (x, weights) = (run.input(0), run.input(1));
        let [dx, dw, ..] = run.grads else { return };
        let (width, dy) = (self.width.max(1), By(run.grad_out, 1));
        if let Some(dx) = dx {
            let write = dx.write;
            let parts = (By(dx.slice(), width), dy, By(softmax, width), By(weights, width));
            rows::run(self.rows, 2 * width, parts, |(By(dx, _), By(dy, _), By(s, _), By(w, _))| {
                T::vectorize(GradX { width, dx, write, dy, softmax: s, weights: w });
            });
        }
        if let Some(dw) = dw {
            let write = dw.write;
            let parts = (By(dw.slice(), width), dy, By(level, 1), By(x, width));
            rows::run(self.rows, width, parts, |(By(dw, _), By(dy, _), By(level, _), By(x, _))| {
                T::vectorize(GradW { width, dw, write, dy, level, x });
            });
        }
    }
}

struct SoftCrossEntropyForward<'a, T> {
    width: usize,
    x: &'a [T],
    weights: &'a [T],
    y: &'a mut [T],
    softmax: &'a mut [T],
    level: &'a mut [T],
}

impl<T: Element> Kernel<T> for SoftCrossEntropyForward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { width, x, weights, y, softmax, level } = self;
        let inputs = x.chunks_exact(width).zip(weights.chunks_exact(width));
        let outputs = y.iter_mut().zip(level).zip(softmax.chunks_exact_mut(width));
        for ((x, weights), ((y, level), e)) in inputs.zip(outputs) {
            let [largest, total] = softmax_row::<L>(x, e);
            // At least 0, as the total is at least 1.
            let height = L::splat(total).ln();
            let shift = L::splat(largest);
            *level = height.max_lane() + largest;
            // Sums distances below `L` instead of subtracting two large values.
            let [sum] = slice::sums(
                [x, weights],
                [T::ZERO; 2],
                #[inline(always)]
                |[sum]: [L; 1], [x, w]| [(height - (x - shift)).mul_add(w, sum)],
            );
            *y = sum;
        }
    }
}

struct GradX<'a, T> {
    width: usize,
    dx: &'a mut [T],
    write: Write,
    dy: &'a [T],
    softmax: &'a [T],
    weights: &'a [T],
}

impl<T: Element> Kernel<T> for GradX<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { width, dx, write, dy, softmax, weights } = self;
        let rows = softmax.chunks_exact(width).zip(weights.chunks_exact(width));
        let dx = dx.chunks_exact_mut(width);
        for (&dy, (dx, (softmax, weights))) in dy.iter().zip(dx.zip(rows)) {
            let total = L::splat(slice::sum::<L>(weights));
            let dy = L::splat(dy);
            match write {
                Write::Store => slice::zip::<L>(
                    softmax,
                    weights,
                    dx,
                    #[inline(always)]
                    |s, w| (s * total - w) * dy,
                ),
                Write::Add => slice::update2::<L>(
                    dx,
                    softmax,
                    weights,
                    #[inline(always)]
                    |dx, s, w| (s * total - w).mul_add(dy, dx),
                ),
            }
        }
    }
}

struct GradW<'a, T> {
    width: usize,
    dw: &'a mut [T],
    write: Write,
    dy: &'a [T],
    level: &'a [T],
    x: &'a [T],
}

impl<T: Element> Kernel<T> for GradW<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { width, dw, write, dy, level, x } = self;
        let rows = dw.chunks_exact_mut(width).zip(x.chunks_exact(width));
        for ((&dy, &level), (dw, x)) in dy.iter().zip(level).zip(rows) {
            let (dy, level) = (L::splat(dy), L::splat(level));
            match write {
                Write::Store => slice::map::<L>(
                    x,
                    dw,
                    #[inline(always)]
                    |x| (level - x) * dy,
                ),
                Write::Add => slice::update::<L>(
                    dw,
                    x,
                    #[inline(always)]
                    |dw, x| (level - x).mul_add(dy, dw),
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops;
    use crate::tape::Tape;

    #[test]
    fn one_weight_is_a_target() {
        let mut tape = Tape::<f64>::new();
        let (x, w) = (tape.leaf("x", [3, 4]), tape.leaf("w", [3, 4]));
        let target = tape.ids([3], 4);
        let soft = ops::soft_cross_entropy(&mut tape, x, w);
        let hard = ops::cross_entropy(&mut tape, x, target);
        let mut program = tape.finish();
        // The first row would overflow without the shift; the last row has no weight.
        program.set(x, &[1e4, 1.0, 2.0, 1e4, 0.5, -1.0, 2.0, 0.25, 9.0, 9.0, 9.0, 9.0]);
        program.set(w, &[0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        program.set_ids(target, &[3, 1, 0]);
        program.forward();
        let (soft, hard) = (program.value(soft), program.value(hard));
        assert!((soft[0] - 2f64.ln()).abs() < 1e-15, "{soft:?}");
        assert!((soft[1] - hard[1]).abs() < 1e-15 && hard[1] > 3.0, "{soft:?} {hard:?}");
        assert_eq!(soft[2], 0.0);
    }
}
