//! Dropout (Srivastava et al. 2014).

use super::mul;
use crate::simd::Element;
use crate::tape::{Tape, Var};

/// `x` times random factors: 0 with probability `rate`, else `1 / (1 - rate)`; any shape.
///
/// The factors are a [noise leaf](Tape::noise), so the program is a function of its leaves and
/// every derivative check covers it. Draw them anew for each training step, mute them for
/// evaluation. A rate of 0 records nothing.
///
/// # Panics
/// If `rate` is not in [0, 1).
#[track_caller]
pub fn dropout<T: Element>(tape: &mut Tape<T>, x: Var, rate: f64) -> Var {
    assert!((0.0..1.0).contains(&rate), "dropout rate {rate}");
    if rate == 0.0 {
        return x;
    }
    let noise = tape.noise(tape.shape(x).clone(), 1.0 - rate);
    mul(tape, x, noise)
}
