//! Which edges matter: a text on exact attribution.
//!
//! # The function
//!
//! Give every edge `e` of a model a mask `m_e`: at 1 its reader sees what the writer wrote, at 0
//! the [baseline](crate::patching::behaviour::Baseline) instead. With the input fixed, a
//! [metric](crate::patching::metric) of the model's answer is then one function `M(m)` of all
//! masks. `M(1)` is the model; `M(0)`, with the corrupted sequence's activations as baselines, is
//! the corrupted run. All methods here are ways to divide `M(1) - M(0)` among the edges, or to say
//! what one edge does; [`method`] has the table of them.
//!
//! # Completeness
//!
//! An attribution is *complete* if its scores add up to `M(1) - M(0)`. Integrals along a path of
//! the masks from 0 to 1 are, by the chain rule, and Shapley values are, because each order's
//! contributions telescope. So the [residual](Completeness) of their sum is the error of the
//! quadrature or of the sampling, known without knowing the truth. Derivatives at one point are
//! complete only where `M` is linear, and real patches are not: two edges of which either suffices
//! (an OR) are worth nothing alone, two of which both are needed (an AND) are each worth
//! everything. [`interactions`] tells such pairs apart by the second derivative.
//!
//! # When first order fails
//!
//! `M(1) - M(1 - e) = dM/dm_e - 1/2 d2M/dm_e2 + ..`: behind a saturated softmax or a flat
//! activation the derivative at 1 is 0 although the patch is not, and where heads back each other
//! up both are 0 although together they carry everything. A path average sees the first, Shapley
//! values and second derivatives see the second.
//!
//! # Sign and size
//!
//! A score is a mean over pairs, and **positive means that the metric falls when the edge is
//! removed**. EAP-IG's files have the other sign, patched minus clean: [`Convention`] says which.
#![forbid(unsafe_code)]

pub mod compare;
pub mod interactions;
pub mod look;
pub mod method;
pub mod scores;
pub mod verify;

pub use crate::formats::Completeness;
pub use crate::patching::Progress;
pub use method::*;
pub use scores::{Convention, Scores};
