//! Root-mean-square norm (Zhang and Sennrich 2019).

use super::single;
use crate::gemm::Write;
use crate::simd::{Element, Kernel, Lanes, NARROW, Scalar, slice};
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// What keeps a norm from dividing by zero, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Eps {
    /// `x / sqrt(mean(x^2) + eps)`, as in Llama.
    Inside(f64),
    /// The same, but the normed number, before the gain, is computed in single precision, bit by
    /// bit as Hugging Face's transformers does it whatever numbers the model has. The derivative is
    /// that of [`Inside`](Self::Inside): what rounding adds counts as a constant.
    InsideSingle(f64),
    /// `x / (sqrt(mean(x^2)) + eps)`, as in "Easing Optimization Paths".
    Outside(f64),
}

/// `x` over the root of the mean of its squares along the last axis, times `gain` if there is one:
/// `[.., D], [D] -> [.., D]`.
///
/// # Panics
/// If the gain does not have the size of the last axis.
#[track_caller]
pub fn rms_norm<T: Element>(tape: &mut Tape<T>, x: Var, gain: Option<Var>, eps: Eps) -> Var {
    let shape = tape.shape(x).clone();
    if let Some(gain) = gain {
        let sg = tape.shape(gain);
        assert!(sg.dims() == [shape.last()], "norm of {shape} with a gain of {sg}");
    }
    let inputs = [x, gain.unwrap_or(x)];
    let op = RmsNorm { width: shape.last(), rows: shape.rows(), eps };
    tape.push(op, &inputs[..1 + gain.is_some() as usize], &[], shape)
}

/// With `s = sqrt(mean(x^2))` and the divisor `d` of a row, saves `1 / d` and `1 / (D d s)` (or
/// `1 / (D d d)`), the two factors of the backward pass.
struct RmsNorm {
    width: usize,
    rows: usize,
    eps: Eps,
}

impl<T: Element> Op<T> for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn saves(&self) -> usize {
        2 * self.rows
    }

    fn forward(&self, run: Forward<'_, T>) {
        let gain = run.has_input(1).then(|| run.input(1));
        forward(self.width, self.eps, run.input(0), gain, run.out, run.saved);
    }

    /// With `h = gain dy`: `dx = (h - x <h, x> / (D d s)) / d`, `d gain = sum of dy x / d`.
    fn backward(&self, run: Backward<'_, T>) {
        let gain = run.has_input(1).then(|| run.input(1));
        let (x, dy, saved) = (run.input(0), run.grad_out, run.saved);
        let [dx, d_gain, ..] = run.grads else { return };
        if let Some(dx) = dx {
            let write = dx.write;
            backward(self.width, x, gain, dy, saved, dx.slice(), write);
        }
        if let Some(d_gain) = d_gain {
            parameters(self.width, x, saved, dy, d_gain.accumulator());
        }
    }
}

/// The norm of rows of `width` numbers; see [`rms_norm`] and [`RmsNorm`].
pub(super) fn forward<T: Element>(
    width: usize,
    eps: Eps,
    x: &[T],
    gain: Option<&[T]>,
    y: &mut [T],
    saved: &mut [T],
) {
    T::vectorize(ForwardKernel { width, eps, x, gain, y, saved });
}

/// The gradient of the rows `x` from that of the output.
pub(super) fn backward<T: Element>(
    width: usize,
    x: &[T],
    gain: Option<&[T]>,
    dy: &[T],
    saved: &[T],
    dx: &mut [T],
    write: Write,
) {
    T::vectorize(BackwardKernel { width, x, gain, dy, saved, dx, write });
}

/// Adds to the gradient of the gain.
pub(super) fn parameters<T: Element>(
    width: usize,
    x: &[T],
    saved: &[T],
    dy: &[T],
    d_gain: &mut [T],
) {
    T::vectorize(GainKernel { width, x, dy, saved, d_gain });
}

struct ForwardKernel<'a, T> {
    width: usize,
    eps: Eps,
    x: &'a [T],
    gain: Option<&'a [T]>,
    y: &'a mut [T],
    saved: &'a mut [T],
}

impl<T: Element> Kernel<T> for ForwardKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        if L::N > 1 && self.width <= NARROW {
            return self.run::<Scalar<T>>();
        }
        let Self { width, eps, x, gain, y, saved } = self;
        let width = width.max(1);
        let n = T::from_f64(width as f64);
        let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width));
        for ((x, y), saved) in rows.zip(saved.chunks_exact_mut(2)) {
            let squares = slice::dot::<L>(x, x) / n;
            let (divisor, slope) = match eps {
                Eps::Inside(eps) | Eps::InsideSingle(eps) => {
                    let d = (squares + T::from_f64(eps)).sqrt();
                    (d, d)
                }
                Eps::Outside(eps) => {
                    let s = squares.sqrt();
                    (s + T::from_f64(eps), s)
                }
            };
            let factor = T::ONE / divisor;
            // At x = 0 the root has no slope; 0 is the subgradient PyTorch takes, too.
            let zero = slope == T::ZERO;
            saved[0] = factor;
            saved[1] = if zero { T::ZERO } else { factor / (n * slope) };
            if let Eps::InsideSingle(eps) = eps {
                round(eps, factor, x, gain, y);
                continue;
            }
            let factor = L::splat(factor);
            match gain {
                None => slice::map::<L>(
                    x,
                    y,
                    #[inline(always)]
                    |x| x * factor,
                ),
                Some(gain) => {
                    slice::zip::<L>(
                        x,
                        gain,
                        y,
                        #[inline(always)]
                        |x, gain| x * factor * gain,
                    );
                }
            }
        }
    }
}

/// The values of a row of [`Eps::InsideSingle`]: the norm plus what rounding adds to it.
fn round<T: Element>(eps: f64, factor: T, x: &[T], gain: Option<&[T]>, y: &mut [T]) {
    let in_single = |i: usize| x[i].to_f64() as f32;
    let r = single::norm_factor(x.len(), eps, in_single);
    for (i, y) in y.iter_mut().enumerate() {
        let exact = x[i] * factor;
        let added = f64::from(in_single(i) * r) - exact.to_f64();
        *y = (exact + T::from_f64(added)) * gain.map_or(T::ONE, |gain| gain[i]);
    }
}

struct BackwardKernel<'a, T> {
    width: usize,
    x: &'a [T],
    gain: Option<&'a [T]>,
    dy: &'a [T],
    saved: &'a [T],
    dx: &'a mut [T],
    write: Write,
}

impl<T: Element> Kernel<T> for BackwardKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        if L::N > 1 && self.width <= NARROW {
            return self.run::<Scalar<T>>();
        }
        let Self { width, x, gain, dy, saved, dx, write } = self;
        let width = width.max(1);
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(saved.chunks_exact(2));
        for (dx, ((x, dy), saved)) in dx.chunks_exact_mut(width).zip(rows) {
            let one = L::splat(T::ONE);
            let mut total = L::splat(T::ZERO);
            for from in (0..width).step_by(L::N) {
                let at = from..(from + L::N).min(width);
                let g = gain.map_or(
                    one,
                    #[inline(always)]
                    |g| slice::load(&g[at.clone()]),
                );
                let h = g * slice::load(&dy[at.clone()]);
                total = h.mul_add(slice::load(&x[at]), total);
            }
            let pull = L::splat(total.sum() * saved[1]);
            let factor = L::splat(saved[0]);
            for from in (0..width).step_by(L::N) {
                let at = from..(from + L::N).min(width);
                let g = gain.map_or(
                    one,
                    #[inline(always)]
                    |g| slice::load(&g[at.clone()]),
                );
                let h = g * slice::load(&dy[at.clone()]);
                let mut d = (h - pull * slice::load(&x[at.clone()])) * factor;
                if write == Write::Add {
                    d = d + slice::load(&dx[at.clone()]);
                }
                slice::store(d, &mut dx[at]);
            }
        }
    }
}

struct GainKernel<'a, T> {
    width: usize,
    x: &'a [T],
    dy: &'a [T],
    saved: &'a [T],
    d_gain: &'a mut [T],
}

impl<T: Element> Kernel<T> for GainKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let width = self.width.max(1);
        let rows = self.x.chunks_exact(width).zip(self.dy.chunks_exact(width));
        for ((x, dy), saved) in rows.zip(self.saved.chunks_exact(2)) {
            let factor = L::splat(saved[0]);
            slice::update2::<L>(
                self.d_gain,
                x,
                dy,
                #[inline(always)]
                |d: L, x: L, dy: L| (x * factor).mul_add(dy, d),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::gradcheck::Points;

    #[test]
    fn rounding_to_singles_changes_values_alone() {
        let mut points = Points::new(3);
        let (x, gain, dy) = (points.list(2 * 37), points.list(37), points.list(2 * 37));
        let run = |eps| {
            let (mut y, mut saved, mut dx) = (vec![0.0; 74], vec![0.0; 4], vec![0.0; 74]);
            forward::<f64>(37, eps, &x, Some(&gain), &mut y, &mut saved);
            backward(37, &x, Some(&gain), &dy, &saved, &mut dx, Write::Store);
            (y, dx)
        };
        let ((exact, dx), (rounded, dx_rounded)) =
            (run(Eps::Inside(1e-5)), run(Eps::InsideSingle(1e-5)));
        assert_eq!(dx, dx_rounded);
        let mut moved = 0;
        for (i, (&a, &b)) in exact.iter().zip(&rounded).enumerate() {
            assert!((a - b).abs() <= 3e-7 * a.abs(), "{a} {b}");
            moved += usize::from(a != b);
            let gain = gain[i % 37];
            // The quotient is a single up to the rounding of the product and of the quotient.
            let single = b / gain;
            assert!((single - f64::from(single as f32)).abs() <= 4e-16 * single.abs());
        }
        assert!(moved > 60, "only {moved} of 74 values were rounded");
    }
}
