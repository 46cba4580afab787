//! Scores drawn from U(0, 1): the control that a method has to beat.

use super::Scores;
use crate::graph::Graph;
use crate::rng::{Purpose, Rng};

/// The scores of all edges, `[E]`.
pub fn scores(graph: &Graph, seed: u64) -> Scores {
    let mut rng = Rng::new(seed, Purpose::Sample, 0);
    Scores::of((0..graph.edges()).map(|_| rng.uniform()).collect())
}
