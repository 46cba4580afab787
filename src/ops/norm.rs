//! The norms of a transformer: layer norm and root-mean-square norm.
//!
//! Both subtract a shift `m` from a row (its mean, or nothing) and divide by the root of the mean
//! square `s^2` of the difference, guarded against zero: with `u = (x - m) r` and the divisor
//! `1 / r`, `y = u gain + bias`. Backward, with `h = gain dy`:
//!
//! `dx = r (h - mean(h) - u <h, u> p)`, `p = 1 / (D r s)`.
//!
//! `mean(h)` is the derivative through the mean and is left out without one. `p` is `1 / D` if the
//! guard is under the root; if it is not, the division by `s` is the root's own slope. By
//! [rules](crate::tape::rules) with a constant divisor, `p` counts as 0.
//!
//! **Why no reciprocal root.** The root and the division are both correctly rounded and cost at
//! most 2 ulp in all. `vrsqrt14` with a Newton step would save time on one value of a row.
//! Gradients of two rows at a time were tried: a third less work in the first-level cache, but 1.2
//! to 1.4 times the time for rows beyond the second level.

use super::{Eps, layer_norm, rms_norm};
use crate::gemm::Write;
use crate::simd::rows::{self, By};
use crate::simd::{Element, Kernel, Lanes, NARROW, Scalar, slice};
use crate::tape::{Backward, Forward, Grad, Op, Rules, Tape, Var};
use crate::tensor::Buffer;
use std::sync::{Mutex, PoisonError};

/// The kind of a norm, and its guard against zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// No norm: the identity.
    None,
    /// [`layer_norm`].
    Layer(f64),
    /// [`rms_norm`].
    Rms(Eps),
}

impl Norm {
    /// The values that the backward pass needs of a row: `m`, `r` and `p`.
    pub const SAVED: usize = 3;

    /// Records the norm of `x` along the last axis: `[.., D] -> [.., D]`.
    ///
    /// # Panics
    /// If the parameters do not match: a layer norm has a gain and a bias or neither, a
    /// root-mean-square norm has at most a gain.
    #[track_caller]
    pub fn record<T: Element>(
        self,
        tape: &mut Tape<T>,
        x: Var,
        gain: Option<Var>,
        bias: Option<Var>,
    ) -> Var {
        match (self, gain, bias) {
            (Norm::None, None, None) => x,
            (Norm::Layer(eps), None, None) => layer_norm(tape, x, None, eps),
            (Norm::Layer(eps), Some(gain), Some(bias)) => {
                layer_norm(tape, x, Some((gain, bias)), eps)
            }
            (Norm::Rms(eps), gain, None) => rms_norm(tape, x, gain, eps),
            _ => panic!("{self:?} with gain {gain:?} and bias {bias:?}"),
        }
    }

    /// Records it with its `parameters`, the gain before the bias.
    #[track_caller]
    pub(super) fn push<T: Element>(self, tape: &mut Tape<T>, x: Var, parameters: &[Var]) -> Var {
        let shape = tape.shape(x).clone();
        for &part in parameters {
            let s = tape.shape(part);
            assert!(s.dims() == [shape.last()], "norm of {shape} with a gain or bias of {s}");
        }
        let (width, rows) = (shape.last(), shape.rows());
        let op = Normed { norm: self, width, rows, partial: Mutex::default() };
        tape.push(op, &[&[x], parameters].concat(), &[], shape)
    }

    /// The same for rows of `width` elements in memory, `[rows, width]`. Writes
    /// [`SAVED`](Self::SAVED) values a row for [`backward`](Self::backward).
    pub fn forward<T: Element>(
        self,
        width: usize,
        x: &[T],
        gain: Option<&[T]>,
        bias: Option<&[T]>,
        y: &mut [T],
        saved: &mut [T],
    ) {
        if self == Norm::None {
            return y.copy_from_slice(x);
        }
        let width = width.max(1);
        let parts = (By(x, width), By(y, width), By(saved, Self::SAVED));
        rows::run(x.len() / width, 3 * width, parts, |(By(x, _), By(y, _), By(saved, _))| {
            T::vectorize(NormForward { norm: self, width, x, gain, bias, y, saved });
        });
    }

    /// The gradient `[rows, width]` of the rows `x` from `dy`, that of the output.
    #[expect(clippy::too_many_arguments, reason = "the parts of a chain rule")]
    pub fn backward<T: Element>(
        self,
        rules: Rules,
        width: usize,
        x: &[T],
        gain: Option<&[T]>,
        saved: &[T],
        dy: &[T],
        dx: &mut [T],
    ) {
        if self == Norm::None {
            return dx.copy_from_slice(dy);
        }
        let width = width.max(1);
        let parts = (By(x, width), By(saved, Self::SAVED), By(dy, width), By(dx, width));
        rows::run(x.len() / width, 4 * width, parts, |(By(x, _), By(saved, _), By(dy, _), dx)| {
            let rows = NormBackward { norm: self, rules, width, x, gain, saved, dy };
            T::vectorize(rows.with(Some((dx.0, Write::Store)), None, None));
        });
    }

    /// Adds to the gradients `[width]` of gain and bias.
    pub fn parameter_gradients<T: Element>(
        self,
        width: usize,
        x: &[T],
        saved: &[T],
        dy: &[T],
        d_gain: Option<&mut [T]>,
        d_bias: Option<&mut [T]>,
    ) {
        if self != Norm::None {
            let rules = Rules::Plain;
            let rows = NormBackward { norm: self, rules, width, x, gain: None, saved, dy };
            T::vectorize(rows.with(None, d_gain, d_bias));
        }
    }
}

/// Saves [`Norm::SAVED`] values of each row.
struct Normed<T> {
    norm: Norm,
    width: usize,
    rows: usize,
    /// `[chunks, 2, D]`, the contributions of chunks of rows to the gradients of gain and bias;
    /// allocated by the first pass.
    partial: Mutex<Buffer<T>>,
}

/// From this size on, the gradients of the parameters are summed in chunks of rows.
const LARGE: usize = 1 << 16;
/// The number of chunks.
const CHUNKS: usize = 16;

impl<T: Element> Op<T> for Normed<T> {
    fn name(&self) -> &'static str {
        if matches!(self.norm, Norm::Layer(_)) { "layer_norm" } else { "rms_norm" }
    }

    fn saves(&self) -> usize {
        Norm::SAVED * self.rows
    }

    fn rereads(&self, i: usize, _: &[bool], _: Rules) -> bool {
        i < 2
    }

    fn rereads_output(&self, _: Rules) -> bool {
        false
    }

    fn forward(&self, run: Forward<'_, T>) {
        let [gain, bias] = [1, 2].map(|i| run.has_input(i).then(|| run.input(i)));
        self.norm.forward(self.width, run.input(0), gain, bias, run.out, run.saved);
    }

    fn backward(&self, run: Backward<'_, T>) {
        let (norm, rules, width) = (self.norm, run.rules, self.width.max(1));
        let gain = run.has_input(1).then(|| run.input(1));
        let (x, saved, dy) = (run.input(0), run.saved, run.grad_out);
        let [dx, d_gain, d_bias, ..] = run.grads else { return };
        let write = dx.as_ref().map_or(Write::Store, |dx| dx.write);
        let dx = dx.as_mut().map(Grad::slice);
        let d_gain = d_gain.as_mut().map(Grad::accumulator);
        let d_bias = d_bias.as_mut().map(Grad::accumulator);
        if x.len() < LARGE {
            let rows = NormBackward { norm, rules, width, x, gain, saved, dy };
            return T::vectorize(rows.with(dx.map(|dx| (dx, write)), d_gain, d_bias));
        }
        let wanted = [d_gain.is_some(), d_bias.is_some()];
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        if partial.is_empty() {
            *partial = Buffer::zeros(CHUNKS * 2 * width);
        } else {
            partial.fill(T::ZERO);
        }
        let chunk = self.rows.div_ceil(CHUNKS);
        let part = chunk * width;
        let inputs = (By(x, part), By(saved, chunk * Norm::SAVED), By(dy, part));
        let outputs = (dx.map(|dx| By(dx, part)), By(&mut partial[..], 2 * width));
        let chunks = self.rows.div_ceil(chunk);
        rows::each(chunks, 4 * part, (inputs, outputs), |(inputs, (dx, By(partial, _)))| {
            let (By(x, _), By(saved, _), By(dy, _)) = inputs;
            let (d_gain, d_bias) = partial.split_at_mut(width);
            let rows = NormBackward { norm, rules, width, x, gain, saved, dy };
            let [d_gain, d_bias] = [(d_gain, wanted[0]), (d_bias, wanted[1])]
                .map(|(part, wanted)| wanted.then_some(part));
            T::vectorize(rows.with(dx.map(|dx| (dx.0, write)), d_gain, d_bias));
        });
        for (total, from) in [(d_gain, 0), (d_bias, width)] {
            let Some(total) = total else { continue };
            for partial in partial.chunks_exact(2 * width) {
                for (total, &part) in total.iter_mut().zip(&partial[from..]) {
                    *total += part;
                }
            }
        }
    }
}

struct NormForward<'a, T> {
    norm: Norm,
    width: usize,
    x: &'a [T],
    gain: Option<&'a [T]>,
    bias: Option<&'a [T]>,
    y: &'a mut [T],
    saved: &'a mut [T],
}

impl<T: Element> Kernel<T> for NormForward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        if L::N > 1 && self.width <= NARROW {
            return self.run::<Scalar<T>>();
        }
        let Self { norm, width, x, gain, bias, y, saved } = self;
        let n = T::from_f64(width as f64);
        let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width));
        for ((x, y), saved) in rows.zip(saved.chunks_exact_mut(Norm::SAVED)) {
            let shift = match norm {
                Norm::Layer(_) => slice::sum::<L>(x) / n,
                _ => T::ZERO,
            };
            let m = L::splat(shift);
            // Around the mean, in a second pass: the one-pass formula cancels. Padding with the
            // mean makes the lanes beyond the end contribute nothing.
            let [squares] = slice::sums(
                [x],
                [shift],
                #[inline(always)]
                |[sum]: [L; 1], [x]| [(x - m).mul_add(x - m, sum)],
            );
            let square = squares / n;
            let (divisor, pull) = match norm {
                Norm::Layer(eps) | Norm::Rms(Eps::Inside(eps) | Eps::InsideSingle(eps)) => {
                    ((square + T::from_f64(eps)).sqrt(), T::ONE / n)
                }
                Norm::Rms(Eps::Outside(eps)) => {
                    let s = square.sqrt();
                    let divisor = s + T::from_f64(eps);
                    // At x = 0 the root has no slope; 0 is the subgradient that PyTorch takes, too.
                    (divisor, if s == T::ZERO { T::ZERO } else { divisor / (n * s) })
                }
                Norm::None => unreachable!("nothing is computed without a norm"),
            };
            let factor = T::ONE / divisor;
            saved.copy_from_slice(&[shift, factor, pull]);
            if let Norm::Rms(Eps::InsideSingle(eps)) = norm {
                rms_norm::round(eps, factor, x, gain, y);
                continue;
            }
            let r = L::splat(factor);
            match (gain, bias) {
                (Some(gain), Some(bias)) => slice::combine(
                    y,
                    [x, gain, bias],
                    #[inline(always)]
                    |_, [x, gain, bias]: [L; 3]| ((x - m) * r).mul_add(gain, bias),
                ),
                (Some(gain), None) => slice::combine(
                    y,
                    [x, gain],
                    #[inline(always)]
                    |_, [x, gain]: [L; 2]| (x - m) * r * gain,
                ),
                _ => slice::map(
                    x,
                    y,
                    #[inline(always)]
                    |x: L| (x - m) * r,
                ),
            }
        }
    }
}

/// Rows of the backward pass.
struct NormBackward<'a, T> {
    norm: Norm,
    rules: Rules,
    width: usize,
    x: &'a [T],
    gain: Option<&'a [T]>,
    saved: &'a [T],
    dy: &'a [T],
}

/// The requested gradients, computed in one pass over memory.
struct Wanted<'a, 'b, T> {
    rows: NormBackward<'a, T>,
    dx: Option<(&'b mut [T], Write)>,
    d_gain: Option<&'b mut [T]>,
    d_bias: Option<&'b mut [T]>,
}

impl<'a, T> NormBackward<'a, T> {
    fn with<'b>(
        self,
        dx: Option<(&'b mut [T], Write)>,
        d_gain: Option<&'b mut [T]>,
        d_bias: Option<&'b mut [T]>,
    ) -> Wanted<'a, 'b, T> {
        Wanted { rows: self, dx, d_gain, d_bias }
    }
}

impl<T: Element> Kernel<T> for Wanted<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let NormBackward { norm, rules, width, x, gain, saved, dy } = self.rows;
        if L::N > 1 && width <= NARROW {
            return self.run::<Scalar<T>>();
        }
        let Self { mut dx, mut d_gain, mut d_bias, .. } = self;
        let n = T::from_f64(width as f64);
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width));
        for (i, ((x, dy), saved)) in rows.zip(saved.chunks_exact(Norm::SAVED)).enumerate() {
            let (m, r) = (L::splat(saved[0]), L::splat(saved[1]));
            if let Some((dx, write)) = &mut dx {
                let dx = &mut dx[i * width..][..width];
                // Without a gain, a slice that is not read takes its place.
                let (gain, plain) = (gain.unwrap_or(x), gain.is_none());
                // `h` is zero beyond the end, so `u` may have any value there.
                let [sum_h, sum_hu] = slice::sums(
                    [x, dy, gain],
                    [T::ZERO; 3],
                    #[inline(always)]
                    |[sum_h, sum_hu]: [L; 2], [x, dy, gain]| {
                        let h = if plain { dy } else { dy * gain };
                        [sum_h + h, h.mul_add((x - m) * r, sum_hu)]
                    },
                );
                let mean = if matches!(norm, Norm::Layer(_)) { sum_h / n } else { T::ZERO };
                let pull = if rules.constant_divisor() { T::ZERO } else { sum_hu * saved[2] };
                let (mean, pull) = (L::splat(mean), L::splat(pull));
                let add = *write == Write::Add;
                slice::combine(
                    dx,
                    [x, dy, gain],
                    #[inline(always)]
                    |dx: L, [x, dy, gain]: [L; 3]| {
                        let h = if plain { dy } else { dy * gain };
                        let d = (h - mean - (x - m) * r * pull) * r;
                        if add { dx + d } else { d }
                    },
                );
            }
            if let Some(d_gain) = &mut d_gain {
                slice::update2::<L>(
                    d_gain,
                    x,
                    dy,
                    #[inline(always)]
                    |d: L, x: L, dy: L| ((x - m) * r).mul_add(dy, d),
                );
            }
            if let Some(d_bias) = &mut d_bias {
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
