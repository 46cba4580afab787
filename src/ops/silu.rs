//! The sigmoid linear unit (swish).

use super::unary::{self, Unary};
use crate::simd::{Element, Lanes};
use crate::tape::{Tape, Var};

/// `x / (1 + exp(-x))`, any shape.
pub fn silu<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    unary::record::<T, Silu>(tape, x)
}

struct Silu;

impl Unary for Silu {
    const NAME: &'static str = "silu";

    #[inline(always)]
    fn value_and_slope<L: Lanes>(x: L) -> (L, L) {
        let one = L::splat(L::Elem::ONE);
        let sigmoid = one / (one + (-x).exp());
        (x * sigmoid, sigmoid * (one + x * (one - sigmoid)))
    }
}
