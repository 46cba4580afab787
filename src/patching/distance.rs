//! The distance of masked runs from the model, one value for each pair, with its derivatives: the
//! loss by which masks and constants are learned.
//!
//! With `M[p]` the metric of pair `p` and `C[p]` its value on the clean run with every edge,
//!
//! ```text
//! d[p] = M[p]                 for kl and l2, which are distances from the clean run
//! d[p] = (M[p] - C[p])^2      for all others
//! ```
//!
//! It is the metric and not always `kl`, because circuits are judged by the metric, and because a
//! model with a numeric output has no probabilities. It is a square because a circuit that exceeds
//! the model is as far from it as one that falls short, and so that the derivative vanishes where
//! both agree. Use `kl` for the losses of the Edge Pruning and optimal ablation papers.

use super::behaviour::Behaviour;
use super::probe::Probe;
use crate::error::Result;
use crate::formats::pairs::Pair;
use crate::graph::MaskShape;
use crate::simd::Element;
use crate::tape::{BackwardPlan, Rules, Var};

/// A behaviour in batches of pairs, each of which is loaded before it is run; all pairs of a batch
/// share their masks.
pub(crate) struct Distance<'b, 'a, T: Element> {
    b: &'b Behaviour<'a, T>,
    lengths: Vec<Length<'a, T>>,
    /// Of each batch, the index of its length and that of its first pair there.
    batches: Vec<(usize, usize)>,
    loaded: Option<usize>,
    /// The metric of the loaded pairs with every edge.
    clean: Vec<f64>,
}

/// The pairs of one length.
struct Length<'a, T> {
    probe: Probe<T>,
    pairs: Vec<&'a Pair>,
}

impl<'b, 'a, T: Element> Distance<'b, 'a, T> {
    /// Records `b` with masks, once for each length of its sequences; nothing is loaded.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub(crate) fn new(b: &'b Behaviour<'a, T>) -> Result<Self> {
        let record = |batch, like: &Pair| Probe::new(b, batch, like, Some(MaskShape::default()));
        Distance::recorded(b, record)
    }

    /// The same for [whole passes](Probe::masked) alone, with the reverse pass from the metric of
    /// every pair to the masks, for each length.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub(crate) fn by_masks(b: &'b Behaviour<'a, T>) -> Result<(Self, Vec<BackwardPlan>)> {
        let found = Distance::recorded(b, |batch, like| {
            Probe::masked(b, batch, like, MaskShape::default(), Rules::Plain)
        })?;
        let plans = found.probes().map(|probe| probe.plan().clone()).collect();
        Ok((found, plans))
    }

    fn recorded(
        b: &'b Behaviour<'a, T>,
        record: impl Fn(usize, &Pair) -> Result<Probe<T>>,
    ) -> Result<Self> {
        let (mut lengths, mut batches) = (vec![], vec![]);
        for pairs in b.lengths() {
            let time = pairs[0].clean.len();
            let batch = (b.rows / time.max(1)).clamp(1, pairs.len());
            let probe = record(batch, pairs[0])?;
            batches.extend((0..pairs.len()).step_by(batch).map(|first| (lengths.len(), first)));
            lengths.push(Length { probe, pairs });
        }
        Ok(Distance { b, lengths, batches, loaded: None, clean: vec![] })
    }

    /// The number of batches.
    pub(crate) fn batches(&self) -> usize {
        self.batches.len()
    }

    /// The recording of each length.
    pub(crate) fn probes(&self) -> impl Iterator<Item = &Probe<T>> {
        self.lengths.iter().map(|length| &length.probe)
    }

    /// Plans the reverse pass from the metric of every pair to the variables `wanted`, in the
    /// recording of each length.
    pub(crate) fn plans(&mut self, wanted: impl Fn(&Probe<T>) -> Vec<Var>) -> Vec<BackwardPlan> {
        let plan = |length: &mut Length<'_, T>| {
            let probe = &mut length.probe;
            let wanted = wanted(probe);
            probe.program.plan_backward(probe.measured.per_example, &wanted)
        };
        self.lengths.iter_mut().map(plan).collect()
    }

    /// Loads a batch: sets the metric to its pairs, computes their ablation values and the run with
    /// every edge, and returns true. Returns false if the batch is already loaded.
    pub(crate) fn load(&mut self, batch: usize) -> bool {
        if self.loaded == Some(batch) {
            return false;
        }
        self.loaded = Some(batch);
        let (length, first) = self.batches[batch];
        let Length { probe, pairs } = &mut self.lengths[length];
        let pairs = &pairs[first..pairs.len().min(first + probe.batch)];
        probe.set_masks(T::ONE);
        probe.ask(self.b, pairs);
        probe.set_baselines(self.b, pairs);
        self.clean = probe.results(pairs.len());
        true
    }

    /// The index of the loaded batch's length.
    ///
    /// # Panics
    /// If none is loaded.
    pub(crate) fn length(&self) -> usize {
        self.batches[self.loaded.expect("a batch is loaded")].0
    }

    /// The recording that holds the loaded batch.
    pub(crate) fn probe(&mut self) -> &mut Probe<T> {
        let length = self.length();
        &mut self.lengths[length].probe
    }

    /// The number of loaded pairs.
    pub(crate) fn pairs(&self) -> usize {
        self.clean.len()
    }

    /// `d` of the loaded pairs in the last pass, and its derivative by the metric.
    fn measure(&self) -> impl Iterator<Item = (f64, f64)> {
        let results = self.results();
        let distance = self.b.question.metric().needs_reference();
        results.into_iter().zip(&self.clean).map(move |(x, clean)| match distance {
            true => (x, 1.0),
            false => ((x - clean).powi(2), 2.0 * (x - clean)),
        })
    }

    /// The loaded pairs.
    ///
    /// # Panics
    /// If no batch is loaded.
    pub(crate) fn loaded_pairs(&self) -> &[&'a Pair] {
        let (length, first) = self.batches[self.loaded.expect("a batch is loaded")];
        &self.lengths[length].pairs[first..first + self.clean.len()]
    }

    /// The metric of the loaded pairs in the last pass.
    pub(crate) fn results(&self) -> Vec<f64> {
        self.lengths[self.length()].probe.results(self.pairs())
    }

    /// The sum of `d` over the loaded pairs in the last pass.
    pub(crate) fn sum(&self) -> f64 {
        self.measure().map(|(d, _)| d).sum()
    }

    /// The reverse pass of `weight` times [`sum`](Self::sum), by the `plan` for the loaded length.
    pub(crate) fn backward(&mut self, plan: &BackwardPlan, weight: f64) {
        let slopes: Vec<f64> = self.measure().map(|(_, slope)| weight * slope).collect();
        self.pull(plan, &slopes);
    }

    /// The reverse pass from the metric of the loaded pairs, each with its slope, by the `plan` for
    /// the loaded length.
    pub(crate) fn pull(&mut self, plan: &BackwardPlan, slopes: &[f64]) {
        // Rows of a batch beyond its pairs have weight 0.
        let mut weights = vec![T::ZERO; self.lengths[self.length()].probe.batch];
        weights.iter_mut().zip(slopes).for_each(|(w, &slope)| *w = T::from_f64(slope));
        self.probe().program.backward_from(plan, &weights);
    }

    /// The mean of `d` over all pairs with `masks [E]`.
    pub(crate) fn of(&mut self, masks: &[f64]) -> f64 {
        let mut total = 0.0;
        for batch in 0..self.batches() {
            self.load(batch);
            self.set_masks(masks);
            self.probe().program.forward();
            total += self.sum();
        }
        total * self.b.weight()
    }

    /// Sets the masks `[E]` of the loaded recording.
    pub(crate) fn set_masks(&mut self, masks: &[f64]) {
        self.probe().set_masks_by(1, |_, e| T::from_f64(masks[e]));
    }
}
