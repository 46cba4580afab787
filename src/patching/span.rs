//! What faithfulness is a share of: the metric with all edges and with none.
//!
//! With `m` the mean metric over pairs, `N` all edges and `0` none,
//!
//! ```text
//! f(C) = (m(C) - m(0)) / (m(N) - m(0))
//! ```

use super::batches::Extremes;
use super::behaviour::{Baseline, Behaviour};
use super::running;
use crate::error::Result;
use crate::simd::Element;
use crate::stats;

/// The metric of all pairs with all edges and with none: what faithfulness is a share of.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// With all edges: the model on the clean sequences.
    pub clean: Vec<f64>,
    /// With no edge.
    pub nothing: Vec<f64>,
}

impl Span {
    /// Runs the model without any edge, unless that is the run on the corrupted sequences.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new<T: Element>(b: &Behaviour<'_, T>, extremes: &Extremes) -> Result<Span> {
        let nothing = if b.baseline == Baseline::Resample {
            extremes.corrupted.clone()
        } else {
            running::circuits(b, &[vec![false; b.graph.edges()]], &mut |_| {})?.remove(0)
        };
        Ok(Span { clean: extremes.clean.clone(), nothing })
    }

    /// `f` of a circuit whose metric is `values [pairs]`.
    pub fn faithfulness(&self, values: &[f64]) -> f64 {
        self.of(values, 0..values.len())
    }

    /// `f` over some pairs, each as often as it is listed.
    pub fn of(&self, values: &[f64], pairs: impl Iterator<Item = usize> + Clone) -> f64 {
        let sum = |of: &[f64]| pairs.clone().map(|i| of[i]).sum::<f64>();
        let (clean, nothing) = (sum(&self.clean), sum(&self.nothing));
        (sum(values) - nothing) / (clean - nothing)
    }

    /// The 95 % interval over pairs of `f` of a circuit whose metric is `values [pairs]`; `None`
    /// for fewer than three pairs, or if the span may be 0 as far as the pairs tell.
    pub fn interval(&self, values: &[f64]) -> Option<[f64; 2]> {
        let off = |of: &[f64]| of.iter().zip(&self.nothing).map(|(x, n)| x - n).collect::<Vec<_>>();
        stats::ratio_interval(&off(values), &off(&self.clean))
    }
}
