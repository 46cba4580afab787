//! The Gaussian error linear unit (Hendrycks and Gimpel 2016), exact and by tanh.

use super::unary::{self, Unary};
use crate::simd::{Element, Lanes};
use crate::tape::{Tape, Var};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// `x Phi(x)` with the normal distribution function `Phi(x) = (1 + erf(x / sqrt 2)) / 2`, any
/// shape. PyTorch's `gelu`, GPT-NeoX's `gelu`.
pub fn gelu<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    unary::record::<T, Gelu>(tape, x)
}

/// `x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2`, any shape. GPT-2's `gelu_new`, PyTorch's
/// `gelu(approximate="tanh")`.
pub fn gelu_tanh<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    unary::record::<T, GeluTanh>(tape, x)
}

#[inline(always)]
fn constant<L: Lanes>(x: f64) -> L {
    L::splat(L::Elem::from_f64(x))
}

struct Gelu;

impl Unary for Gelu {
    const NAME: &'static str = "gelu";

    #[inline(always)]
    fn value_and_slope<L: Lanes>(x: L) -> (L, L) {
        let half = constant::<L>(0.5);
        let cdf = (x * constant(FRAC_1_SQRT_2)).erf().mul_add(half, half);
        // The density: exp(-x^2 / 2) / sqrt(2 pi), and 1 / sqrt(2 pi) = (2 / sqrt pi) / (2 sqrt 2).
        let density = (-(x * x) * half).exp() * constant(FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * 0.5);
        (x * cdf, x.mul_add(density, cdf))
    }
}

struct GeluTanh;

impl Unary for GeluTanh {
    const NAME: &'static str = "gelu_tanh";

    #[inline(always)]
    fn value_and_slope<L: Lanes>(x: L) -> (L, L) {
        let (half, one) = (constant::<L>(0.5), constant::<L>(1.0));
        let (scale, cubic) = (FRAC_2_SQRT_PI * FRAC_1_SQRT_2, 0.044715);
        let xx = x * x;
        let inner = x * xx.mul_add(constant(scale * cubic), constant(scale));
        let inner_slope = xx.mul_add(constant(3.0 * scale * cubic), constant(scale));
        let t = inner.tanh();
        let gate = t.mul_add(half, half);
        (x * gate, (x * half * (one - t * t)).mul_add(inner_slope, gate))
    }
}
