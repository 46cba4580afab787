//! Transformers, decoders and encoders, as the parts that write to and read from a
//! [residual stream](super::stream).
//!
//! ```text
//! x    = W_E[token] (+ W_pos[position])
//! x   += attention(norm(x)) W_O + b_O          for each layer
//! x   += activation(norm(x) W_in + b_in) W_out + b_out
//! logits = norm(x) W_U' + b_U
//! ```

mod config;

pub use config::{Config, Parameter, Positions, Rotary};

use crate::simd::Element;
use crate::tape::{Ids, Var};
use crate::tensor::Buffer;

/// A model: its shape and its numbers, [shared](Buffer::share) between the programs that use them.
#[derive(Clone, Debug)]
pub struct Model<T: Element> {
    /// The shape.
    pub config: Config,
    /// In the order of [`Config::parameters`].
    pub weights: Vec<Buffer<T>>,
}

/// A recorded transformer: what to set before a pass, and what to read after it.
#[derive(Clone, Debug)]
pub struct Transformer {
    /// In the order of [`Config::parameters`].
    pub parameters: Vec<Var>,
    /// `[B, T]`.
    pub tokens: Ids,
    /// `[B, T, D]`, what the unembedding multiplies: the last norm of the stream.
    pub last: Var,
}
