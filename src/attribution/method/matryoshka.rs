//! Matryoshka attribution (arXiv 2609.25518): one learned ranking of all edges whose circuits of
//! every size are good, each inside of the next.
//!
//! Every step draws a size `k`, runs one batch of pairs with the masks of the `k` largest scores
//! (a differentiable choice), and moves the scores by Adam against an [`Objective`] of the
//! faithfulness `f` of that run. In the mode `necessary` the `k` largest are ablated instead and
//! all others kept.
//!
//! The result is a ranking: its order and its differences mean something, its values do not. They
//! are shifted so that the least is 0; then the orders by score and by |score| agree. It has no
//! sum to be compared with the total effect. With several rankings, each from a seed of its own,
//! the result is their mean, with its standard error for each edge.
//!
//! Of redundant edges one is enough for the `k` largest, so a sufficient ranking may put the other
//! last; a necessary one needs both.

use super::options::Options;
use super::scorer::{Scorer, Steps};
use super::sizes::Sizes;
use super::top_k::TopK;
use crate::attribution::scores::Scores;
use crate::error::{Error, Result};
use crate::named::named;
use crate::nn::{Optimizer, Rule};
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::cost::BACKWARD;
use crate::patching::field::Field;
use crate::patching::learned::Learned;
use crate::patching::metric::Metric;
use crate::patching::span::Span;
use crate::rng::{Purpose, Rng};
use crate::simd::Element;

/// Adam's learning rate.
const LR: f64 = 0.05;

/// How far the adversary of [`Objective::Worst`] moves a mask in a step.
const STRIDE: f64 = 0.1;

/// The default number of steps.
const STEPS: usize = 2000;

named! {
    /// What a step of a learned ranking lowers, with `f` the faithfulness of its circuit.
    Objective {
        /// `-f`: the circuit is to do as much as it can, more than the model too.
        #[default]
        Metric = "metric",
        /// `|1 - f|`: the circuit is to do what the model does; the area that CMD measures.
        Cmd = "cmd",
        /// The Kullback-Leibler divergence of its outputs from the model's, whatever the metric.
        Kl = "kl",
        /// `-f`, while an adversary restores part of what is ablated to lower `f`.
        Worst = "worst",
    }
}

named! {
    /// What the first edges of a learned ranking are to do.
    Mode {
        /// Alone, to keep the behaviour.
        #[default]
        Sufficient = "sufficient",
        /// Ablated, to take it away.
        Necessary = "necessary",
    }
}

/// How a ranking is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learning {
    /// What is lowered.
    pub objective: Objective,
    /// The sizes of the circuits.
    pub sizes: Sizes,
    /// Whether circuits are kept or ablated.
    pub mode: Mode,
    /// How many rankings are averaged.
    pub rankings: usize,
}

impl Default for Learning {
    fn default() -> Self {
        let (objective, sizes, mode) = Default::default();
        Learning { objective, sizes, mode, rankings: 1 }
    }
}

/// [`scores`] as a value of [`Method`](super::Method).
pub(super) struct Matryoshka;

impl Scorer for Matryoshka {
    // It compares the clean with partly corrupted runs: every change of any output counts.
    const USUAL_METRIC: Option<Metric> = Some(Metric::L2);
    const SEEDED: bool = true;
    const STEPS: Option<Steps> = Some(Steps { usual: STEPS, what: "steps", grows: false });
    const SIZES: Option<Sizes> = Some(Sizes::Uniform);
    const RANKS: bool = true;

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        scores(b, &options.learning, options.steps, options.seed, progress)
    }

    fn passes<T: Element>(_: &Behaviour<'_, T>, options: &Options) -> f64 {
        // A step looks at one batch of pairs; all of them are one at most.
        (options.steps * options.learning.rankings) as f64 * (1.0 + BACKWARD)
    }

    fn sets(_: usize) -> Option<u128> {
        Some((STEPS as f64 * (1.0 + BACKWARD)) as u128)
    }
}

/// The ranking of all edges, `[E]`, from `steps` steps.
///
/// # Errors
/// If no step moves a score, if a score is not finite, if the metric is the same without any edge,
/// or if there is not enough memory.
///
/// # Panics
/// If there are no steps or no rankings.
pub fn scores<T: Element>(
    b: &Behaviour<'_, T>,
    learning: &Learning,
    steps: usize,
    seed: u64,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    let Learning { objective, rankings, .. } = *learning;
    assert!(steps > 0 && rankings > 0, "a ranking of no steps");
    if objective == Objective::Kl && b.question.metric() != Metric::Kl {
        return scores(&b.asking(Metric::Kl)?, learning, steps, seed, progress);
    }
    let span = Span::new(b, &b.extremes()?)?;
    let mut field = Field::new(b, &span)?;
    let mut learned = vec![];
    for i in 0..rankings {
        let mut shown = |done: f64| progress((i as f64 + done) / rankings as f64);
        let ranking = learn(b, &mut field, learning, steps, seed + i as u64, &mut shown)?;
        // A constant added to all of them means nothing.
        let mean = ranking.iter().sum::<f64>() / ranking.len() as f64;
        learned.push(ranking.into_iter().map(|s| s - mean).collect::<Vec<_>>());
    }
    let n = rankings as f64;
    let at = |e: usize| learned.iter().map(move |ranking| ranking[e]);
    let means: Vec<f64> = (0..b.graph.edges()).map(|e| at(e).sum::<f64>() / n).collect();
    let error = |(e, mean): (usize, &f64)| {
        (at(e).map(|s| (s - mean).powi(2)).sum::<f64>() / (n * (n - 1.0))).sqrt()
    };
    let errors = (rankings > 1).then(|| means.iter().enumerate().map(error).collect());
    let least = means.iter().copied().fold(f64::INFINITY, f64::min);
    let values = means.iter().map(|s| s - least).collect();
    Ok(Scores { standard_errors: errors, ..Scores::of(values) })
}

/// One ranking, `[E]`.
fn learn<T: Element>(
    b: &Behaviour<'_, T>,
    field: &mut Field<'_, '_, T>,
    learning: &Learning,
    steps: usize,
    seed: u64,
    progress: &mut Progress<'_>,
) -> Result<Vec<f64>> {
    let edges = b.graph.edges();
    if edges < 2 {
        return Ok(vec![0.0; edges]);
    }
    let [mut sizes, mut shuffle] = [0, 1].map(|stage| Rng::new(seed, Purpose::Ranking, stage));
    let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 };
    let mut optimizer = Optimizer::<f64>::new(rule, [edges]);
    // The scores, and what an adversary has restored.
    let initial = || Learned::new(vec![vec![0.0; edges]; 2]);
    let mut work = b.journal.units("matryoshka", initial);
    work.state.resume(&mut optimizer, 1);
    let mut order: Vec<usize> = vec![];
    for step in 0..steps {
        if order.is_empty() {
            order = (0..field.batches()).collect();
            shuffle.shuffle(&mut order);
        }
        let batch = order.pop().expect("filled when empty");
        let size = learning.sizes.quantile(sizes.uniform(), edges);
        if work.is_done() {
            // Drawn as before, so that the next step draws what it would have.
            continue;
        }
        let [scores, restored] = &mut work.state.lists[..] else { unreachable!("two lists") };
        let gradient = gradient(field, batch, learning, &TopK::of(scores, size), restored);
        if let Some(e) = gradient.iter().position(|g| !g.is_finite()) {
            return Err(diverged(b, e, step));
        }
        optimizer.begin_step();
        optimizer.update(0, LR, scores, &gradient);
        progress((step + 1) as f64 / steps as f64);
        work.finish_with(|learned| learned.follow(&optimizer, 1))?;
    }
    let scores = work.state.lists.swap_remove(0);
    if scores.iter().all(|&s| s == 0.0) {
        let message = format!("the objective is flat: no edge's mask moves it in {steps} steps");
        let help = "give pairs whose corruption changes the answer, or another --objective";
        return Err(Error::input(b.pairs.place(), message, help));
    }
    Ok(scores)
}

fn diverged<T: Element>(b: &Behaviour<'_, T>, edge: usize, step: usize) -> Error {
    Error::failed(
        b.graph.edge(edge),
        format!("its derivative is not finite at step {step}"),
        "the model's activations are too large for it; try --dtype f64",
    )
}

/// The derivatives of the objective by the scores `[E]`, on one batch. Moves what an adversary has
/// `restored [E]`.
pub(in crate::attribution) fn gradient<T: Element>(
    field: &mut Field<'_, '_, T>,
    batch: usize,
    learning: &Learning,
    top: &TopK,
    restored: &mut [f64],
) -> Vec<f64> {
    let necessary = learning.mode == Mode::Necessary;
    let kept: Vec<f64> = top.masks.iter().map(|&m| if necessary { 1.0 - m } else { m }).collect();
    // With nothing restored these are the masks.
    let masks: Vec<f64> = kept.iter().zip(&*restored).map(|(m, r)| m + (1.0 - m) * r).collect();
    let (goal, worse) = if necessary { (0.0, 1.0) } else { (1.0, -1.0) };
    let slope = |f: f64| match learning.objective {
        Objective::Metric | Objective::Kl | Objective::Worst => worse,
        Objective::Cmd => (f - goal).signum(),
    };
    let (_, by_masks) = field.on(batch, &masks, slope);
    // Derivatives by what is kept, before anything is restored.
    let mut by_kept: Vec<f64> =
        by_masks.iter().zip(&*restored).map(|(g, r)| g * (1.0 - r)).collect();
    if learning.objective == Objective::Worst {
        for ((r, g), m) in restored.iter_mut().zip(&by_masks).zip(&kept) {
            // The adversary ascends.
            let slope = g * (1.0 - m);
            let stride = if slope == 0.0 { 0.0 } else { STRIDE.copysign(slope) };
            *r = (*r + stride).clamp(0.0, 1.0);
        }
    }
    if necessary {
        by_kept.iter_mut().for_each(|g| *g = -*g);
    }
    top.pull(&by_kept)
}
