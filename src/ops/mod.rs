//! Differentiable operations, one file each: the equation, the forward pass, the chain rule.
//!
//! An operation is a function that records itself on a [`Tape`](crate::tape::Tape) and returns the
//! output's [`Var`](crate::tape::Var). Shapes are checked while recording (a mismatch panics with
//! both shapes), so a replay does not check them. Every operation is checked against finite
//! differences in double precision, see [`crate::tape::gradcheck`].
#![forbid(unsafe_code)]

mod add;
mod attention;
mod bag;
mod binary;
mod clip;
mod columns;
mod cross_entropy;
mod dropout;
mod gated;
mod gather;
mod gelu;
mod head_norm;
mod layer_norm;
mod linear;
mod matmul;
mod mul;
mod norm;
mod permute;
mod pick;
mod relu;
mod rms_norm;
mod rotary;
mod scale;
mod shares;
mod silu;
mod single;
mod soft_cross_entropy;
mod softmax;
mod sub;
mod sum;
mod tanh;
mod unary;

pub use add::add;
pub use attention::{Attention, attention, pattern};
pub use bag::bag;
pub use clip::clip;
pub use columns::columns;
pub use cross_entropy::cross_entropy;
pub use dropout::dropout;
pub use gated::gated;
pub use gather::gather;
pub use gelu::{gelu, gelu_tanh};
pub use head_norm::{HeadNorm, head_norm};
pub use layer_norm::layer_norm;
pub(crate) use linear::{affine, sum_rows};
pub use linear::{linear, project};
pub use matmul::{MatMul, matmul};
pub use mul::mul;
pub use norm::Norm;
pub use permute::permute;
pub use pick::pick;
pub use relu::relu;
pub use rms_norm::{Eps, rms_norm};
pub use rotary::{Rotary, Scaling, rotary};
pub use scale::scale;
pub use shares::shares;
pub use silu::silu;
pub use soft_cross_entropy::soft_cross_entropy;
pub use softmax::{causal_softmax, softmax};
pub use sub::sub;
pub use sum::{mean, sum, sum_axis};
pub use tanh::tanh;

#[cfg(test)]
mod checks;
#[cfg(test)]
mod tests;
