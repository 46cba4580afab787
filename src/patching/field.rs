//! Faithfulness as a function of the masks of all edges, with its derivatives: what an adversary
//! lowers and what learned rankings raise.

use super::behaviour::Behaviour;
use super::distance::Distance;
use super::span::Span;
use crate::error::Result;
use crate::formats::pairs::Pair;
use crate::simd::Element;
use crate::tape::BackwardPlan;

/// Faithfulness as a function of all masks.
pub(crate) struct Field<'b, 'a, T: Element> {
    b: &'b Behaviour<'a, T>,
    pairs: Distance<'b, 'a, T>,
    /// For each length, the reverse pass to the masks.
    plans: Vec<BackwardPlan>,
    /// `[pairs]`, the metric with no edge.
    nothing: Vec<f64>,
    /// The sum over pairs of the difference to it with all edges.
    unit: f64,
}

impl<'b, 'a, T: Element> Field<'b, 'a, T> {
    /// Records `b` with masks; `span` holds its ends.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub(crate) fn new(b: &'b Behaviour<'a, T>, span: &Span) -> Result<Self> {
        let (pairs, plans) = Distance::by_masks(b)?;
        let nothing = span.nothing.clone();
        let unit = span.clean.iter().sum::<f64>() - nothing.iter().sum::<f64>();
        Ok(Field { b, pairs, plans, nothing, unit })
    }

    /// The number of batches of pairs.
    pub(crate) fn batches(&self) -> usize {
        self.pairs.batches()
    }

    /// Runs a batch with `masks [E]`.
    fn forward(&mut self, batch: usize, masks: &[f64]) {
        self.pairs.load(batch);
        self.pairs.set_masks(masks);
        self.pairs.probe().program.forward();
    }

    /// The derivatives `[E]` of the metric's sum over the pairs that were run last, times `slope`.
    fn pull(&mut self, slope: f64) -> Vec<f64> {
        let plan = &self.plans[self.pairs.length()];
        self.pairs.pull(plan, &vec![slope; self.pairs.pairs()]);
        self.pairs.probe().mask_gradients()
    }

    /// Runs all pairs with `masks [E]`; calls `each` with their metric, a batch at a time.
    pub(crate) fn run(
        &mut self,
        masks: &[f64],
        mut each: impl FnMut(&mut Self, &[&Pair], Vec<f64>),
    ) {
        for batch in 0..self.batches() {
            self.forward(batch, masks);
            let (pairs, results) = (self.pairs.loaded_pairs().to_vec(), self.pairs.results());
            each(self, &pairs, results);
        }
    }

    /// Faithfulness at `masks [E]`.
    pub(crate) fn faithfulness(&mut self, masks: &[f64]) -> f64 {
        let mut total = -self.nothing.iter().sum::<f64>();
        self.run(masks, |_, _, results| total += results.iter().sum::<f64>());
        total / self.unit
    }

    /// Faithfulness at `masks [E]` and its derivatives by them `[E]`.
    pub(crate) fn at(&mut self, masks: &[f64]) -> (f64, Vec<f64>) {
        let mut total = -self.nothing.iter().sum::<f64>();
        let mut gradient = vec![0.0; masks.len()];
        self.run(masks, |field, _, results| {
            total += results.iter().sum::<f64>();
            let part = field.pull(1.0 / field.unit);
            gradient.iter_mut().zip(part).for_each(|(g, p)| *g += p);
        });
        (total / self.unit, gradient)
    }

    /// Faithfulness of one batch of pairs at `masks [E]` in the unit of all, so that the mean over
    /// pairs is that of all of them; and the derivatives `[E]` of `loss(f)`, whose slope is given.
    pub(crate) fn on(
        &mut self,
        batch: usize,
        masks: &[f64],
        slope: impl FnOnce(f64) -> f64,
    ) -> (f64, Vec<f64>) {
        self.forward(batch, masks);
        let nothing = self.pairs.loaded_pairs().iter().map(|p| self.nothing[self.b.pairs.index(p)]);
        let rise = self.pairs.results().iter().sum::<f64>() - nothing.sum::<f64>();
        let unit = self.unit * self.pairs.pairs() as f64 / self.nothing.len() as f64;
        let f = rise / unit;
        (f, self.pull(slope(f) / unit))
    }
}
