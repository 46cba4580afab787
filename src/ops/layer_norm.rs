//! Layer norm (Ba, Kiros and Hinton 2016).

use crate::gemm::Write;
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Grad, Op, Tape, Var};

/// `(x - mean(x)) / sqrt(var(x) + eps) * gain + bias` along the last axis, with the variance that
/// divides by `D`: `[.., D], [D], [D] -> [.., D]`. Gain and bias come together or not at all.
///
/// # Panics
/// If gain or bias do not have the size of the last axis.
#[track_caller]
pub fn layer_norm<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    gain_and_bias: Option<(Var, Var)>,
    eps: f64,
) -> Var {
    let shape = tape.shape(x).clone();
    let op = LayerNorm { rows: shape.rows(), width: shape.last(), eps };
    let Some((gain, bias)) = gain_and_bias else {
        return tape.push(op, &[x], &[], shape);
    };
    for part in [gain, bias] {
        let s = tape.shape(part);
        assert!(s.dims() == [shape.last()], "norm of {shape} with a gain or bias of {s}");
    }
    tape.push(op, &[x, gain, bias], &[], shape)
}

/// Saves the mean and `1 / sqrt(var + eps)` of each row.
struct LayerNorm {
    width: usize,
    rows: usize,
    eps: f64,
}

impl<T: Element> Op<T> for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn saves(&self) -> usize {
        2 * self.rows
    }

    fn forward(&self, run: Forward<'_, T>) {
        let affine = run.has_input(1).then(|| (run.input(1), run.input(2)));
        forward(self.width, self.eps, run.input(0), affine, run.out, run.saved);
    }

    /// With `u = (x - mean) r` and `h = gain dy`: `dx = r (h - mean(h) - u mean(h u))`,
    /// `d gain = sum of dy u`, `d bias = sum of dy`.
    fn backward(&self, run: Backward<'_, T>) {
        let gain = run.has_input(1).then(|| run.input(1));
        let (width, x, dy, saved) = (self.width, run.input(0), run.grad_out, run.saved);
        let [dx, d_gain, d_bias, ..] = run.grads else { return };
        if let Some(dx) = dx {
            let write = dx.write;
            backward(width, x, gain, dy, saved, dx.slice(), write);
        }
        let d_gain = d_gain.as_mut().map(Grad::accumulator);
        let d_bias = d_bias.as_mut().map(Grad::accumulator);
        parameters(width, x, saved, dy, d_gain, d_bias);
    }
}

/// The norm of rows of `width` numbers; see [`layer_norm`] and [`LayerNorm`].
pub(super) fn forward<T: Element>(
    width: usize,
    eps: f64,
    x: &[T],
    affine: Option<(&[T], &[T])>,
    y: &mut [T],
    saved: &mut [T],
) {
    T::vectorize(ForwardKernel { width, eps, x, affine, y, saved });
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

/// Adds to the gradients of gain and bias.
pub(super) fn parameters<T: Element>(
    width: usize,
    x: &[T],
    saved: &[T],
    dy: &[T],
    d_gain: Option<&mut [T]>,
    d_bias: Option<&mut [T]>,
) {
    T::vectorize(AffineKernel { width, x, dy, saved, d_gain, d_bias });
}

struct ForwardKernel<'a, T> {
    width: usize,
    eps: f64,
    x: &'a [T],
    affine: Option<(&'a [T], &'a [T])>,
    y: &'a mut [T],
    saved: &'a mut [T],
}

impl<T: Element> Kernel<T> for ForwardKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { width, eps, x, affine, y, saved } = self;
        let width = width.max(1);
        let n = T::from_f64(width as f64);
        let zero = L::splat(T::ZERO);
        let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width));
        for ((x, y), saved) in rows.zip(saved.chunks_exact_mut(2)) {
            let mean = slice::fold(
                x,
                T::ZERO,
                zero,
                #[inline(always)]
                |acc: L, x| acc + x,
            )
            .sum()
                / n;
            let shift = L::splat(mean);
            // Around the mean, in a second pass: the one-pass formula cancels. Filling with the
            // mean lets the lanes behind the end contribute nothing.
            let variance = slice::fold(
                x,
                mean,
                zero,
                #[inline(always)]
                |acc: L, x: L| (x - shift).mul_add(x - shift, acc),
            )
            .sum()
                / n;
            let r = T::ONE / (variance + T::from_f64(eps)).sqrt();
            (saved[0], saved[1]) = (mean, r);
            let r = L::splat(r);
            match affine {
                None => slice::map::<L>(
                    x,
                    y,
                    #[inline(always)]
                    |x| (x - shift) * r,
                ),
                Some((gain, bias)) => {
                    slice::zip::<L>(
                        x,
                        gain,
                        y,
                        #[inline(always)]
                        |x, g| (x - shift) * r * g,
                    );
                    slice::update::<L>(
                        y,
                        bias,
                        #[inline(always)]
                        |y, b| y + b,
                    );
                }
            }
        }
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
        let Self { width, x, gain, dy, saved, dx, write } = self;
        let width = width.max(1);
        let n = T::from_f64(width as f64);
        let one = L::splat(T::ONE);
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(saved.chunks_exact(2));
        for (dx, ((x, dy), saved)) in dx.chunks_exact_mut(width).zip(rows) {
            let (mean, r) = (L::splat(saved[0]), L::splat(saved[1]));
            let mut sum_h = L::splat(T::ZERO);
            let mut sum_hu = L::splat(T::ZERO);
            for from in (0..width).step_by(L::N) {
                let at = from..(from + L::N).min(width);
                let g = gain.map_or(
                    one,
                    #[inline(always)]
                    |g| slice::load(&g[at.clone()]),
                );
                let h = g * slice::load(&dy[at.clone()]);
                // `h` is zero behind the end, so `u` may be anything there.
                let u = (slice::load::<L>(&x[at]) - mean) * r;
                sum_h = sum_h + h;
                sum_hu = h.mul_add(u, sum_hu);
            }
            let (mean_h, mean_hu) = (L::splat(sum_h.sum() / n), L::splat(sum_hu.sum() / n));
            for from in (0..width).step_by(L::N) {
                let at = from..(from + L::N).min(width);
                let g = gain.map_or(
                    one,
                    #[inline(always)]
                    |g| slice::load(&g[at.clone()]),
                );
                let h = g * slice::load(&dy[at.clone()]);
                let u = (slice::load::<L>(&x[at.clone()]) - mean) * r;
                let mut d = (h - mean_h - u * mean_hu) * r;
                if write == Write::Add {
                    d = d + slice::load(&dx[at.clone()]);
                }
                slice::store(d, &mut dx[at]);
            }
        }
    }
}

struct AffineKernel<'a, T> {
    width: usize,
    x: &'a [T],
    dy: &'a [T],
    saved: &'a [T],
    d_gain: Option<&'a mut [T]>,
    d_bias: Option<&'a mut [T]>,
}

impl<T: Element> Kernel<T> for AffineKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { width, x, dy, saved, d_gain, d_bias } = self;
        let width = width.max(1);
        if let Some(d_gain) = d_gain {
            let rows = x.chunks_exact(width).zip(dy.chunks_exact(width));
            for ((x, dy), saved) in rows.zip(saved.chunks_exact(2)) {
                let (mean, r) = (L::splat(saved[0]), L::splat(saved[1]));
                slice::update2::<L>(
                    d_gain,
                    x,
                    dy,
                    #[inline(always)]
                    |d: L, x: L, dy: L| ((x - mean) * r).mul_add(dy, d),
                );
            }
        }
        if let Some(d_bias) = d_bias {
            for dy in dy.chunks_exact(width) {
                slice::update::<L>(
                    d_bias,
                    dy,
                    #[inline(always)]
                    |d, dy| d + dy,
                );
            }
        }
    }
}
