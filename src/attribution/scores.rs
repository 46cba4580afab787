//! The scores of a method, and their sign.

use crate::formats::Completeness;
use crate::named::named;

named! {
    /// The sign of scores, and the nodes that the stream starts with.
    Convention {
        /// Positive if ablating the edge lowers the metric; `input` is the whole start of the
        /// stream.
        #[default]
        Ours = "ours",
        /// Positive if it raises the metric; `input` is the token embedding alone.
        EapIg = "eap-ig",
    }
}

impl Convention {
    /// Converts a score of this convention to ours, or one of ours to this convention.
    pub fn and_ours(self, score: f64) -> f64 {
        match self {
            Convention::Ours => score,
            Convention::EapIg => -score,
        }
    }
}

/// The result of a method.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// `[E]`, positive if ablating the edge lowers the metric; a mean over pairs.
    pub values: Vec<f64>,
    /// `[E]`, for methods that sample.
    pub standard_errors: Option<Vec<f64>>,
    /// For methods whose scores should sum to the total effect.
    pub completeness: Option<Completeness>,
    /// Steps, nodes (the most of one pair) or orders it took, if that was not given.
    pub steps: Option<usize>,
    /// The most parts into which the path of a pair was divided, if it was.
    pub parts: Option<usize>,
}

impl Scores {
    /// Scores without anything else.
    pub fn of(values: Vec<f64>) -> Scores {
        Scores { values, ..Default::default() }
    }
}
