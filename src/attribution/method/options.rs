//! What some methods need to be told.

use super::rule::Rule;

/// What some methods need to be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Steps, of methods that take any; [`Method::steps`](super::Method::steps) says what they
    /// are.
    pub steps: usize,
    /// Where steps are taken on a path.
    pub rule: Rule,
    /// The residual of `mask-ig`, relative to the difference of the metric.
    pub tol: f64,
    /// The most nodes of `mask-ig` on the divided path of one pair.
    pub most_nodes: usize,
    /// Of methods that draw at random.
    pub seed: u64,
}
