//! What a method finds, and the sign of scores.

use crate::formats::Completeness;
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
