//! The options of methods.

use super::descent::Learning;
use super::quadrature::Quadrature;

/// The options of methods; each uses some of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Steps, for methods that take any; [`Method::steps`](super::Method::steps) describes them.
    pub steps: usize,
    /// The points of the steps on a path.
    pub rule: Quadrature,
    /// The residual of `mask-ig`, relative to the difference of the metric.
    pub tol: f64,
    /// The most nodes of `mask-ig` on the divided path of one pair.
    pub most_nodes: usize,
    /// What a learned ranking is learned from; of it `mask-ig` has the sizes.
    pub learning: Learning,
    /// `[E]`, the log odds at which learned masks start; even unless given.
    pub init: Option<Vec<f64>>,
    /// The seed of methods that draw random numbers.
    pub seed: u64,
}
