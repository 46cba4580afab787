//! ACDC (arXiv 2304.14997): visits edges in reverse order and removes each whose ablation raises
//! the loss by less than tau.
//!
//! The loss is the [loss] of the mean metric; an edge that is removed is not visited again. Each
//! step recomputes only what depends on the reader. An edge whose reader no longer reaches the
//! logits is removed without a run.
//!
//! The result depends on the order, which is that of the authors' code: readers from the last to
//! the first, and for each reader the writers from the last to the first.
//!
//! [loss]: crate::patching::metric::Metric::loss

use super::connect::Flow;
use crate::attribution::Progress;
use crate::error::Result;
use crate::formats::pairs::Pair;
use crate::graph::MaskShape;
use crate::patching::behaviour::Behaviour;
use crate::patching::probe::Probe;
use crate::simd::Element;
use crate::tape::ForwardPlan;

/// A batch of pairs under the masks decided so far.
struct Batch<T> {
    probe: Probe<T>,
    /// For each group of readers, what depends on its masks.
    plans: Vec<ForwardPlan>,
    pairs: usize,
}

impl<T: Element> Batch<T> {
    fn new(b: &Behaviour<'_, T>, pairs: &[&Pair]) -> Result<Self> {
        let shape = MaskShape { per_example: false };
        let mut probe = Probe::steps(b, pairs.len(), pairs[0], shape)?;
        probe.ask(b, pairs);
        probe.set_baselines(b, pairs);
        let plans = (0..b.graph.groups.len()).map(|g| probe.plan_for(g)).collect();
        Ok(Batch { probe, plans, pairs: pairs.len() })
    }

    /// Computes everything with the edges `kept [E]` alone.
    fn set(&mut self, kept: &[bool]) {
        self.probe.set_masks_by(1, |_, e| if kept[e] { T::ONE } else { T::ZERO });
        self.probe.program.forward();
    }

    /// Computes what depends on the masks of group `g`.
    fn run(&mut self, g: usize) {
        self.probe.program.forward_from(&self.plans[g]);
    }

    /// The sum of the metric over the pairs.
    fn total(&self) -> f64 {
        self.probe.results(self.pairs).iter().sum()
    }
}

/// The edges that stay, `[E]`.
///
/// All pairs are held in memory, as every step runs all of them.
///
/// # Errors
/// If there is not enough memory.
pub fn search<T: Element>(
    b: &Behaviour<'_, T>,
    tau: f64,
    progress: &mut Progress<'_>,
) -> Result<Vec<bool>> {
    let metric = b.question.metric();
    let mut batches = vec![];
    for pairs in b.lengths() {
        let together = (b.rows / pairs[0].clean.len().max(1)).max(1);
        for pairs in pairs.chunks(together) {
            batches.push(Batch::new(b, pairs)?);
        }
    }
    let loss = |batches: &[Batch<T>]| {
        metric.loss(batches.iter().map(Batch::total).sum::<f64>() * b.weight())
    };
    // Which edges stay, and the loss without the others.
    let mut work = b.journal.units("acdc", || (vec![true; b.graph.edges()], loss(&batches)));
    if work.state.0.contains(&false) {
        // What an earlier process has decided.
        batches.iter_mut().for_each(|batch| batch.set(&work.state.0));
    }
    let flow = Flow::new(&b.graph);
    for (g, group) in b.graph.groups.iter().enumerate().rev() {
        let before = work.skip(group.edges().len());
        if before == group.edges().len() {
            continue;
        }
        let matters = flow.readers_that_matter(&work.state.0, g);
        // Whether the last run was of the masks as they are.
        let mut settled = true;
        for (at, e) in group.edges().enumerate().rev().skip(before) {
            let (kept, now) = &mut work.state;
            batches.iter_mut().for_each(|batch| batch.probe.set_mask(0, e, T::ZERO));
            kept[e] = false;
            if matters[at / group.upstream.len()] {
                batches.iter_mut().for_each(|batch| batch.run(g));
                let without = loss(&batches);
                settled = without - *now < tau;
                if settled {
                    *now = without;
                } else {
                    batches.iter_mut().for_each(|batch| batch.probe.set_mask(0, e, T::ONE));
                    kept[e] = true;
                }
            }
            work.finish()?;
        }
        if !settled {
            batches.iter_mut().for_each(|batch| batch.run(g));
        }
        progress(1.0 - group.first as f64 / b.graph.edges() as f64);
    }
    Ok(work.state.0)
}
