//! Matryoshka attribution (arXiv 2609.25518): one learned ranking of all edges whose circuits of
//! every size are good, each inside of the next.
//!
//! Every step (`descent.rs`) draws a size `k` and runs one batch of pairs with the masks of the
//! `k` largest scores (a differentiable choice). In the mode `necessary` the `k` largest are
//! ablated instead and all others kept.
//!
//! The result is a ranking: its order and its differences mean something, its values do not. They
//! are shifted so that the least is 0; then the orders by score and by |score| agree. It has no
//! sum to be compared with the total effect. With several rankings, each from a seed of its own,
//! the result is their mean, with its standard error for each edge.
//!
//! Of redundant edges one is enough for the `k` largest, so a sufficient ranking may put the other
//! last; a necessary one needs both.

use super::descent;
use super::descent::Masks;
use super::options::Options;
use super::scorer::{Scorer, Steps};
use super::sizes::Sizes;
use super::top_k::{TEMPERATURE, TopK};
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::metric::Metric;
use crate::rng::Rng;
use crate::simd::Element;

/// The ranking as a value of [`Method`](super::Method).
pub(super) struct Matryoshka;

impl Scorer for Matryoshka {
    // It compares the clean with partly corrupted runs: every change of any output counts.
    const USUAL_METRIC: Option<Metric> = Some(Metric::L2);
    const SEEDED: bool = true;
    const STEPS: Option<Steps> = Some(descent::STEPS);
    const SIZES: Option<Sizes> = Some(Sizes::Uniform);
    const RANKS: bool = true;

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        let largest = Largest { sizes: options.learning.sizes, edges: b.graph.edges() };
        descent::scores(b, &largest, options, progress)
    }

    fn passes<T: Element>(_: &Behaviour<'_, T>, options: &Options) -> f64 {
        descent::passes(options)
    }

    fn sets(_: usize) -> Option<u128> {
        Some(descent::SETS)
    }
}

/// Masks of the largest of a random number of scores.
struct Largest {
    sizes: Sizes,
    edges: usize,
}

impl Masks for Largest {
    const UNITS: &'static str = "matryoshka";
    type Draw = f64;
    type Point = TopK;

    fn start(&self, edges: &[f64]) -> Vec<f64> {
        edges.iter().map(|odds| TEMPERATURE * odds).collect()
    }

    fn draw(&self, rng: &mut Rng, _: usize, _: usize) -> f64 {
        self.sizes.quantile(rng.uniform(), self.edges)
    }

    fn masks(&self, scores: &[f64], size: f64) -> (Vec<f64>, TopK) {
        let top = TopK::of(scores, size);
        (top.masks.clone(), top)
    }

    fn pull(&self, top: &TopK, by_masks: &[f64]) -> Vec<f64> {
        top.pull(by_masks)
    }
}
