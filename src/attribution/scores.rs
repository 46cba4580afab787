//! The scores of a method.

use crate::formats::Completeness;

/// The result of a method.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// `[E]`, positive if ablating the edge lowers the metric; a mean over pairs.
    pub values: Vec<f64>,
    /// `[E]`, for methods that sample.
    pub standard_errors: Option<Vec<f64>>,
    /// `[E]`, by how much the last doubling of nodes has moved a score: an estimate, on the safe
    /// side, of what the nodes that there are leave; none if they were not doubled.
    pub last_doubling: Option<Vec<f64>>,
    /// How sure the scores are, if that was asked.
    pub resampled: Option<Resampled>,
    /// For methods whose scores should sum to the total effect.
    pub completeness: Option<Completeness>,
    /// Steps, nodes (the most of one pair) or orders it took, if that was not given.
    pub steps: Option<usize>,
    /// The most parts into which the path of a pair was divided, if it was.
    pub parts: Option<usize>,
}

/// How sure scores are as means over pairs, `[E]`; [`resampled`](super::resampled) computes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampled {
    /// 95 % intervals; `None` for fewer than three pairs.
    pub intervals: Option<Vec<[f64; 2]>>,
    /// The share of resamples of the pairs in which the score has the sign that it has over all; 0
    /// where the score is 0.
    pub same_sign: Vec<f64>,
}

impl Scores {
    /// Scores without anything else.
    pub fn of(values: Vec<f64>) -> Scores {
        Scores { values, ..Default::default() }
    }
}
