//! The rectified linear unit.

use super::unary::{self, Unary};
use crate::simd::{Element, Lanes};
use crate::tape::{Tape, Var};

/// `max(x, 0)`, any shape; the slope at 0 is 0.
pub fn relu<T: Element>(tape: &mut Tape<T>, x: Var) -> Var {
    unary::record::<T, Relu>(tape, x)
}

struct Relu;

impl Unary for Relu {
    const NAME: &'static str = "relu";

    #[inline(always)]
    fn value_and_slope<L: Lanes>(x: L) -> (L, L) {
        let (zero, one) = (L::splat(L::Elem::ZERO), L::splat(L::Elem::ONE));
        (x.select_gt(zero, x, zero), x.select_gt(zero, one, zero))
    }
}
