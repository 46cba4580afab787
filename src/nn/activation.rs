//! The non-linearity of an MLP, by name.

use crate::ops;
use crate::simd::Element;
use crate::tape::{Tape, Var};
use serde::{Deserialize, Serialize};

/// The non-linearity of an MLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// GELU by the error function.
    #[default]
    Gelu,
    /// GELU by tanh.
    GeluTanh,
    /// The rectifier.
    Relu,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// All of them with the names that files use.
    pub const ALL: [(&'static str, Activation); 5] = [
        ("gelu", Activation::Gelu),
        ("gelu-tanh", Activation::GeluTanh),
        ("relu", Activation::Relu),
        ("silu", Activation::Silu),
        ("tanh", Activation::Tanh),
    ];

    /// Records it: any shape, unchanged.
    pub fn record<T: Element>(self, tape: &mut Tape<T>, x: Var) -> Var {
        match self {
            Activation::Gelu => ops::gelu(tape, x),
            Activation::GeluTanh => ops::gelu_tanh(tape, x),
            Activation::Relu => ops::relu(tape, x),
            Activation::Silu => ops::silu(tape, x),
            Activation::Tanh => ops::tanh(tape, x),
        }
    }
}
