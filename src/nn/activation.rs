//! The activation functions of MLPs, by name.

use crate::named::named;
use crate::ops;
use crate::simd::Element;
use crate::tape::{Tape, Var};

named! {
    /// The activation function of an MLP.
    Activation {
        /// GELU by the error function.
        #[default]
        Gelu = "gelu",
        /// GELU by tanh.
        GeluTanh = "gelu-tanh",
        /// The rectified linear unit.
        Relu = "relu",
        /// `x / (1 + exp(-x))`.
        Silu = "silu",
        /// The hyperbolic tangent.
        Tanh = "tanh",
    }
}

impl Activation {
    /// Records it, elementwise: any shape.
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
