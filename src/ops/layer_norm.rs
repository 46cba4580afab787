//! Layer norm (Ba, Kiros and Hinton 2016).

use super::Norm;
use crate::simd::Element;
use crate::tape::{Tape, Var};

/// `(x - mean(x)) / sqrt(var(x) + eps) * gain + bias` along the last axis, with the biased variance
/// (divided by `D`): `[.., D], [D], [D] -> [.., D]`. Gain and bias are both given or neither.
///
/// # Panics
/// If gain or bias do not have the size of the last axis.
#[track_caller]
pub fn layer_norm<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    gain_and_bias: Option<(Var, Var)>,
    eps: f64,
) -> Var {
    let parameters = gain_and_bias.map(|(gain, bias)| [gain, bias]);
    Norm::Layer(eps).push(tape, x, parameters.as_ref().map_or(&[], |p| p))
}
