//! Which edges matter: a text on exact attribution.
//!
//! # The function
//!
//! Give every edge `e` of a model a mask `m_e`: at 1 its reader sees the writer's output, at 0 the
//! [ablation value](crate::patching::behaviour::Baseline) instead. With the input fixed, a
//! [metric](crate::patching::metric) of the model's output is one function `M(m)` of all masks.
//! `M(1)` is the model; `M(0)`, with the corrupted sequence's activations as ablation values, is
//! the corrupted run. All methods here divide `M(1) - M(0)` among the edges, or measure the effect
//! of one edge; [`method`] has the table of them.
//!
//! # Completeness
//!
//! An attribution is *complete* if its scores sum to `M(1) - M(0)`. Integrals along a path of the
//! masks from 0 to 1 are complete by the chain rule, and Shapley values because each order's
//! contributions telescope. So the [residual](Completeness) of the sum is the error that quadrature
//! or sampling makes in the sum, known without knowing the truth; single scores may be further off,
//! with errors that cancel. Derivatives at one point are complete only if `M` is linear. Ablation
//! scores need not sum to the total effect: two edges of which either suffices (an OR) have effect
//! 0 alone, two edges of which both are needed (an AND) are each credited with all of it.
//! [`interactions`] tells such pairs apart by the second derivative.
//!
//! # When first order fails
//!
//! `M(1) - M(1 - e) = dM/dm_e - 1/2 d2M/dm_e2 + ..`: behind a saturated softmax or a flat
//! activation the derivative at 1 is 0 although the ablation effect is not. Where heads back each
//! other up both are 0 although together they carry everything. A path average sees the first,
//! Shapley values and second derivatives see the second.
//!
//! # Sign and size
//!
//! A score is a mean over pairs, and **positive means that ablating the edge lowers the metric**.
//! EAP-IG's files have the other sign, patched minus clean: [`Convention`] tells which.
#![forbid(unsafe_code)]

pub mod compare;
pub mod crossing;
pub mod ensemble;
pub mod interactions;
pub mod look;
pub mod method;
pub mod request;
pub mod resampled;
pub mod scores;
pub mod verify;

pub use crate::formats::Completeness;
pub use crate::formats::Convention;
pub use crate::patching::Progress;
pub use method::*;
pub use request::Request;
pub use scores::{Resampled, Scores};

#[cfg(test)]
mod tests;
