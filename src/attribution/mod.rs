//! Which edges matter: a text on exact attribution.
//!
//! # The function
//!
//! Give every edge `e` of a model a mask `m_e`: at 1 its reader sees what the writer wrote, at 0
//! the [baseline](crate::patching::behaviour::Baseline) instead. With the input fixed, a
//! [metric](crate::patching::metric) of the model's answer is then one function `M(m)` of all
//! masks. `M(1)` is the model; `M(0)`, with the corrupted sequence's activations as baselines, is
//! the corrupted run. All methods here are ways to divide `M(1) - M(0)` among the edges, or to say
//! what one edge does:
//!
//! | method | what it computes | passes | error |
//! | --- | --- | --- | --- |
//! | [`exact`] | `M(1) - M(1 without e)` | E | none; but edges that stand in for each other both get 0 |
//! | [`eap`] | `dM/dm_e` at 1 | 2 forward, 1 backward | curvature of `M` between 1 and `1 - e` |
//! | [`clean_corrupted`] | mean of the derivatives at both ends | 4 | the same, halved by the other end |
//! | [`eap_ig`] | mean derivative along the input's embedding | `steps` | of another path than the masks' |
//! | [`eap_ig_activations`] | the same along each part's output | `steps` x parts | likewise |
//! | [`mask_ig`] | integral of `dM/dm_e` along the diagonal | nodes | the residual of completeness, reported |
//! | [`shapley`] | mean contribution over all orders | 2^E, or orders x E | none, or a standard error for each edge |
//! | [`ifr`] | proximity of what is written to what is read | 1 | knows no metric |
//! | [`random`] | nothing | 0 | the control |
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

pub mod clean_corrupted;
pub mod compare;
pub mod eap;
pub mod eap_ig;
pub mod eap_ig_activations;
pub mod exact;
pub mod ifr;
pub mod interactions;
pub mod look;
pub mod mask_ig;
pub mod method;
pub mod random;
pub mod shapley;
pub mod verify;

pub use crate::formats::Completeness;
use crate::named::named;

named! {
    /// The sign of scores, and what the graph starts with.
    Convention {
        /// Positive if the metric falls when the edge is removed; `input` is all that the stream
        /// starts with.
        #[default]
        Ours = "ours",
        /// Positive if the metric rises; `input` is the token embedding alone.
        EapIg = "eap-ig",
    }
}

impl Convention {
    /// A score of this convention in ours, or one of ours in this convention.
    pub fn and_ours(self, score: f64) -> f64 {
        match self {
            Convention::Ours => score,
            Convention::EapIg => -score,
        }
    }
}

pub use crate::patching::Progress;

/// What a method found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// `[E]`, positive if the metric falls when the edge is removed; a mean over pairs.
    pub values: Vec<f64>,
    /// `[E]`, for methods that sample.
    pub standard_errors: Option<Vec<f64>>,
    /// For methods whose scores should add up.
    pub completeness: Option<Completeness>,
    /// Steps, nodes (the most of one pair) or orders it took, where that was not given.
    pub steps: Option<usize>,
    /// Into how many parts the way of a pair was divided at most, where it was.
    pub parts: Option<usize>,
}

impl Scores {
    /// Scores and nothing else.
    pub fn of(values: Vec<f64>) -> Scores {
        Scores { values, ..Default::default() }
    }
}
