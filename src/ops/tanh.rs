//! The hyperbolic tangent.

use super::unary::{self, Unary};
use crate::simd::{Element, Lanes};
use crate::tape::{Tape, Var};

/// `tanh(x)`, any shape.
pub fn tanh<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    unary::record::<T, Tanh>(tape, x)
}

struct Tanh;

impl Unary for Tanh {
    const NAME: &'static str = "tanh";

    #[inline(always)]
    fn value_and_slope<L: Lanes>(x: L) -> (L, L) {
        let t = x.tanh();
        (t, L::splat(L::Elem::ONE) - t * t)
    }
}
