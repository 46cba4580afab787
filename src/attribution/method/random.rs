//! Scores drawn from U(0, 1): the control that a method must beat.

use super::options::Options;
use super::scorer::Scorer;
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::graph::Graph;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::metric::Metric;
use crate::rng::{Purpose, Rng};
use crate::simd::Element;

/// [`scores`] as a value of [`Method`](super::Method).
pub(super) struct Random;

impl Scorer for Random {
    const USUAL_METRIC: Option<Metric> = None;
    const SEEDED: bool = true;

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        options: &Options,
        _: &mut Progress<'_>,
    ) -> Result<Scores> {
        Ok(scores(&b.graph, options.seed))
    }

    fn passes<T: Element>(_: &Behaviour<'_, T>, _: &Options) -> f64 {
        0.0
    }
}

/// The scores of all edges, `[E]`.
pub fn scores(graph: &Graph, seed: u64) -> Scores {
    let mut rng = Rng::new(seed, Purpose::Sample, 0);
    Scores::of((0..graph.edges()).map(|_| rng.uniform()).collect())
}
