//! Addition.

use super::binary::{self, Binary};
use crate::simd::{Element, Lanes};
use crate::tape::{Tape, Var};

/// `x + y`, elementwise, with broadcasting as in NumPy: shapes are aligned at their last axes, and
/// an axis that is missing or 1 in one operand is repeated.
///
/// # Panics
/// If the shapes do not match.
#[track_caller]
pub fn add<T: Element>(tape: &mut Tape<T>, x: Var, y: Var) -> Var {
    binary::record::<T, Add>(tape, x, y)
}

struct Add;

impl Binary for Add {
    const NAME: &'static str = "add";
    const UNIT_SLOPE: [bool; 2] = [true, true];

    #[inline(always)]
    fn value<L: Lanes>(x: L, y: L) -> L {
        x + y
    }
    #[inline(always)]
    fn grad_x<L: Lanes>(g: L, _x: L, _y: L) -> L {
        g
    }
    #[inline(always)]
    fn grad_y<L: Lanes>(g: L, _x: L, _y: L) -> L {
        g
    }
}
