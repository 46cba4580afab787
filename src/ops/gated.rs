//! The product of a gated MLP.

use super::binary::{self, Binary};
use crate::simd::{Element, Lanes};
use crate::tape::{Rules, Tape, Var};

/// `gate * up`, elementwise, of one shape: a [`mul`](super::mul) of which reverse passes know what
/// it is for, as [rules](Rules) share the gradient of a gate among its factors.
///
/// # Panics
/// If the shapes do not match.
#[track_caller]
pub fn gated<T: Element>(tape: &mut Tape<T>, gate: Var, up: Var) -> Var {
    binary::record::<T, Gated>(tape, gate, up)
}

struct Gated;

impl Binary for Gated {
    const NAME: &'static str = "gated";

    #[inline(always)]
    fn value<L: Lanes>(gate: L, up: L) -> L {
        gate * up
    }
    #[inline(always)]
    fn grad_x<L: Lanes>(g: L, _gate: L, up: L) -> L {
        g * up
    }
    #[inline(always)]
    fn grad_y<L: Lanes>(g: L, gate: L, _up: L) -> L {
        g * gate
    }
    fn share(rules: Rules) -> f64 {
        rules.of_gate()
    }
}
