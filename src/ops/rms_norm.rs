//! Root-mean-square norm (Zhang and Sennrich 2019).

use super::{Norm, single};
use crate::simd::Element;
use crate::tape::{Tape, Var};

/// The guard of a norm against division by zero, and where it is added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Eps {
    /// `x / sqrt(mean(x^2) + eps)`, as in Llama.
    Inside(f64),
    /// The same, but the normed value, before the gain, is computed in single precision, with the
    /// bits of Hugging Face's transformers whatever the model's precision. The derivative is that
    /// of [`Inside`](Self::Inside): the rounding error counts as a constant.
    InsideSingle(f64),
    /// `x / (sqrt(mean(x^2)) + eps)`, as in "Easing Optimization Paths".
    Outside(f64),
}

/// `x` over the root of the mean of its squares along the last axis, times `gain` if given:
/// `[.., D], [D] -> [.., D]`.
///
/// # Panics
/// If the gain does not have the size of the last axis.
#[track_caller]
pub fn rms_norm<T: Element>(tape: &mut Tape<T>, x: Var, gain: Option<Var>, eps: Eps) -> Var {
    Norm::Rms(eps).push(tape, x, gain.as_slice())
}

/// The values of a row under [`Eps::InsideSingle`]: the norm plus its rounding error.
pub(super) fn round<T: Element>(eps: f64, factor: T, x: &[T], gain: Option<&[T]>, y: &mut [T]) {
    let in_single = |i: usize| x[i].to_f64() as f32;
    let r = single::norm_factor(x.len(), eps, in_single);
    for (i, y) in y.iter_mut().enumerate() {
        let exact = x[i] * factor;
        let added = f64::from(in_single(i) * r) - exact.to_f64();
        *y = (exact + T::from_f64(added)) * gain.map_or(T::ONE, |gain| gain[i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Rules;
    use crate::tape::gradcheck::Points;

    #[test]
    fn rounding_to_singles_changes_values_alone() {
        let mut points = Points::new(3);
        let (x, gain, dy) = (points.list(2 * 37), points.list(37), points.list(2 * 37));
        let run = |eps| {
            let norm = Norm::Rms(eps);
            let (mut y, mut dx) = (vec![0.0; 74], vec![0.0; 74]);
            let mut saved = vec![0.0; 2 * Norm::SAVED];
            norm.forward::<f64>(37, &x, Some(&gain), None, &mut y, &mut saved);
            norm.backward(Rules::Plain, 37, &x, Some(&gain), &saved, &dy, &mut dx);
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
            // The quotient is a single up to the rounding of the product and of the division.
            let single = b / gain;
            assert!((single - f64::from(single as f32)).abs() <= 4e-16 * single.abs());
        }
        assert!(moved > 60, "only {moved} of 74 values were rounded");
    }
}
