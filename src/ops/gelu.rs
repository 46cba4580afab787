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

struct Gelu;

impl Unary for Gelu {
    const NAME: &'static str = "gelu";

    #[inline(always)]
    fn value_and_slope<L: Lanes>(x: L) -> (L, L) {
        let (cdf, density) = x.normal();
        (x * cdf, x.mul_add(density, cdf))
    }
}

struct GeluTanh;

impl Unary for GeluTanh {
    const NAME: &'static str = "gelu_tanh";

    #[inline(always)]
    fn value_and_slope<L: Lanes>(x: L) -> (L, L) {
        let one = L::constant(1.0);
        // (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)), which keeps its digits where tanh is near -1.
        let (scale, cubic) = (-2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2, 0.044715);
        let xx = x * x;
        let inner = x * xx.mul_add(L::constant(scale * cubic), L::constant(scale));
        let inner_slope = xx.mul_add(L::constant(3.0 * scale * cubic), L::constant(scale));
        let gate = one / (one + inner.exp());
        let y = x * gate;
        (y, (y * (gate - one)).mul_add(inner_slope, gate))
    }
}
