//! The loop of learned masks: parameters descend, by Adam, on an [`Objective`] of the faithfulness
//! of the masks that they give.
//!
//! A step draws what its [`Masks`] ask for, runs one batch of pairs with the masks, and moves the
//! parameters against the derivative of
//!
//! ```text
//! L = objective(f) + penalty * sum of what is kept
//! ```
//!
//! With held-out pairs, every [`LOOK`] steps the edges of largest score are run on them, at the
//! sizes of [`SHARES`]. The parameters of the best look are the result, and learning stops after
//! [`PATIENCE`] looks without a better one.

use super::options::Options;
use super::scorer::Steps;
use super::sizes::Sizes;
use crate::attribution::scores::Scores;
use crate::error::{Error, Result};
use crate::formats::pairs::Pairs;
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
use crate::stats;

/// The steps of a ranking.
pub(super) const STEPS: Steps = Steps { usual: 2000, what: "steps", grows: false };

/// The sets of edges that are run for each pair, at most, a reverse pass counted as
/// [`BACKWARD`] of them.
pub(super) const SETS: u128 = (STEPS.usual as f64 * (1.0 + BACKWARD)) as u128;

/// Adam's learning rate.
const LR: f64 = 0.05;

/// How far the adversary of [`Objective::Worst`] moves a mask in a step.
const STRIDE: f64 = 0.1;

/// The steps after which an objective that no mask has moved is called flat.
const FLAT: usize = 500;

/// The steps from one look at held-out pairs to the next.
pub(in crate::attribution) const LOOK: usize = 50;

/// The looks without a better one after which learning stops.
const PATIENCE: usize = 8;

/// The sizes of the circuits that a look runs, as shares of all edges.
const SHARES: [f64; 6] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

named! {
    /// What a step of learned masks lowers, with `f` the faithfulness of its circuit.
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
    /// What the kept edges of learned masks are to do.
    Mode {
        /// Alone, to keep the behaviour.
        #[default]
        Sufficient = "sufficient",
        /// Ablated, to take it away.
        Necessary = "necessary",
    }
}

/// How masks are learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learning {
    /// What is lowered.
    pub objective: Objective,
    /// The sizes of the circuits, where masks have a size.
    pub sizes: Sizes,
    /// Whether circuits are kept or ablated.
    pub mode: Mode,
    /// How many rankings are averaged.
    pub rankings: usize,
    /// What it costs to keep an edge or a node, in faithfulness, where masks have no size.
    pub penalty: f64,
    /// How many of the last pairs are held out, to stop by.
    pub held_out: usize,
}

impl Default for Learning {
    fn default() -> Self {
        let (objective, sizes, mode) = Default::default();
        Learning { objective, sizes, mode, rankings: 1, penalty: 0.0, held_out: 0 }
    }
}

/// Masks of all edges as a function of what is learned.
pub(super) trait Masks {
    /// The name of its units in a journal.
    const UNITS: &'static str;
    /// What is drawn for a step.
    type Draw;
    /// What a step needs of its masks for their derivatives.
    type Point;

    /// The parameters at which the masks of edges have the log odds `edges [E]`: these themselves,
    /// unless something else is learned.
    fn start(&self, edges: &[f64]) -> Vec<f64> {
        edges.to_vec()
    }

    /// What step `step` of `steps` draws.
    fn draw(&self, rng: &mut Rng, step: usize, steps: usize) -> Self::Draw;

    /// The masks `[E]`, and the point that they are at.
    fn masks(&self, parameters: &[f64], draw: Self::Draw) -> (Vec<f64>, Self::Point);

    /// The derivatives of `L` by the parameters, from those of the objective by the masks `[E]`.
    fn pull(&self, point: &Self::Point, by_masks: &[f64]) -> Vec<f64>;

    /// The scores of all edges, `[E]`, of which only the order and differences mean anything: the
    /// parameters, unless they are of something else.
    fn scores(&self, parameters: &[f64]) -> Vec<f64> {
        parameters.to_vec()
    }
}

/// The forward passes over all pairs that the rankings take, looks aside: a step runs one batch of
/// pairs, and all of them are one at most.
pub(super) fn passes(options: &Options) -> f64 {
    (options.steps * options.learning.rankings) as f64 * (1.0 + BACKWARD)
}

/// The means of `options.learning.rankings` learned rankings, `[E]`, each from a seed of its own;
/// with several, a standard error for each edge. They are shifted so that the least is 0.
///
/// # Errors
/// If no step moves a mask, if a derivative is not finite, if the metric is the same without any
/// edge, if all pairs are held out, or if there is not enough memory.
///
/// # Panics
/// If there are no steps or no rankings, or a start of another graph.
pub(super) fn scores<T: Element, M: Masks>(
    b: &Behaviour<'_, T>,
    masks: &M,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    let learning = options.learning;
    assert!(options.steps > 0 && learning.rankings > 0, "a ranking of no steps");
    if learning.objective == Objective::Kl && b.question.metric() != Metric::Kl {
        return scores(&b.asking(Metric::Kl)?, masks, options, progress);
    }
    let edges = b.graph.edges();
    if edges < 2 {
        return Ok(Scores::of(vec![0.0; edges]));
    }
    let (own, held) = divided(b.pairs, learning.held_out)?;
    let (own, held) = (b.on(&own), held.as_ref().map(|held| b.on(held)));
    let span = Span::new(&own, &own.extremes()?)?;
    let mut field = Field::new(&own, &span)?;
    let mut judge = held.as_ref().map(Judge::new).transpose()?;
    let (mut learned, mut longest) = (vec![], 0);
    for i in 0..learning.rankings {
        let shown = &mut |done: f64| progress((i as f64 + done) / learning.rankings as f64);
        let seed = options.seed + i as u64;
        let mut descent = Descent { b: &own, masks, options, seed };
        let (ranking, steps) = descent.run(&mut field, judge.as_mut(), shown)?;
        // A constant added to all of them means nothing.
        let mean = ranking.iter().sum::<f64>() / ranking.len() as f64;
        learned.push(ranking.into_iter().map(|s| s - mean).collect::<Vec<_>>());
        longest = longest.max(steps);
    }
    let mut scores = averaged(&learned);
    scores.steps = held.is_some().then_some(longest);
    Ok(scores)
}

/// The pairs that are learned from, and the last `held`, if any, that are not.
fn divided(pairs: &Pairs, held: usize) -> Result<(Pairs, Option<Pairs>)> {
    if held >= pairs.len() {
        let message = format!("{held} of {} pairs leave none to learn from", pairs.len());
        return Err(Error::input("--held-out", message, "hold out fewer, or give more pairs"));
    }
    let own = pairs.len() - held;
    let last = (held > 0).then(|| pairs.subset((own..pairs.len()).collect()));
    Ok((pairs.subset((0..own).collect()), last))
}

/// The mean of rankings `[rankings][E]`, from 0 on, with its standard errors.
fn averaged(learned: &[Vec<f64>]) -> Scores {
    let n = learned.len() as f64;
    let at = |e: usize| learned.iter().map(move |ranking| ranking[e]);
    let means: Vec<f64> = (0..learned[0].len()).map(|e| at(e).sum::<f64>() / n).collect();
    let error = |(e, mean): (usize, &f64)| {
        (at(e).map(|s| (s - mean).powi(2)).sum::<f64>() / (n * (n - 1.0))).sqrt()
    };
    let errors = (learned.len() > 1).then(|| means.iter().enumerate().map(error).collect());
    let least = means.iter().copied().fold(f64::INFINITY, f64::min);
    let values = means.iter().map(|s| s - least).collect();
    Scores { standard_errors: errors, ..Scores::of(values) }
}

/// The log odds `[E]` at which masks start that follow the order of `|scores| [E]`: those of the
/// quantiles of the logistic distribution, equal ones alike.
pub fn log_odds(scores: &[f64]) -> Vec<f64> {
    let sizes: Vec<f64> = scores.iter().map(|s| if s.is_nan() { 0.0 } else { s.abs() }).collect();
    let share = |rank: f64| (rank + 0.5) / sizes.len() as f64;
    stats::ranks(&sizes)
        .into_iter()
        .map(|rank| libm::log(share(rank) / (1.0 - share(rank))))
        .collect()
}

/// One ranking.
struct Descent<'b, 'a, T: Element, M> {
    b: &'b Behaviour<'a, T>,
    masks: &'b M,
    options: &'b Options,
    seed: u64,
}

/// The lists that a journal keeps beside the parameters: what an adversary has restored; the best
/// parameters; its loss on held-out pairs, its steps, the looks since, and whether a mask has moved
/// the objective.
const LISTS: usize = 4;

impl<T: Element, M: Masks> Descent<'_, '_, T, M> {
    /// The scores `[E]` and after how many steps they were the best.
    fn run(
        &mut self,
        field: &mut Field<'_, '_, T>,
        mut judge: Option<&mut Judge<'_, '_, T>>,
        progress: &mut Progress<'_>,
    ) -> Result<(Vec<f64>, usize)> {
        let (edges, steps) = (self.b.graph.edges(), self.options.steps);
        let [mut draws, mut shuffle] =
            [0, 1].map(|stage| Rng::new(self.seed, Purpose::Ranking, stage));
        let cold = vec![0.0; edges];
        let start = self.masks.start(self.options.init.as_deref().unwrap_or(&cold));
        let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 };
        let mut optimizer = Optimizer::<f64>::new(rule, [start.len()]);
        let initial = || {
            let best = vec![f64::INFINITY, 0.0, 0.0, 0.0];
            Learned::new(vec![start.clone(), vec![0.0; edges], start, best])
        };
        let mut work = self.b.journal.units(M::UNITS, initial);
        work.state.resume(&mut optimizer, 1);
        let mut order: Vec<usize> = vec![];
        for step in 0..steps {
            if order.is_empty() {
                order = (0..field.batches()).collect();
                shuffle.shuffle(&mut order);
            }
            let batch = order.pop().expect("filled when empty");
            let draw = self.masks.draw(&mut draws, step, steps);
            if work.is_done() {
                // Drawn as before, so that the next step draws what it would have.
                continue;
            }
            let lists: &mut [Vec<f64>; LISTS] =
                (&mut work.state.lists[..]).try_into().expect("as many lists");
            if judge.is_some() && lists[3][2] >= PATIENCE as f64 {
                break;
            }
            self.step(field, batch, draw, lists, &mut optimizer, step)?;
            if let Some(judge) = judge.as_deref_mut()
                && (step + 1).is_multiple_of(LOOK)
            {
                let scores = self.masks.scores(&lists[0]);
                self.look(judge.loss(&scores, self.options.learning), step + 1, lists);
            }
            progress((step + 1) as f64 / steps as f64);
            work.finish_with(|learned| learned.follow(&optimizer, 1))?;
        }
        let [last, _, best, looks] = &work.state.lists[..] else { unreachable!("as many lists") };
        if looks[3] == 0.0 {
            return Err(self.flat(steps));
        }
        let judged = looks[0].is_finite();
        let found = self.masks.scores(if judged { best } else { last });
        Ok((found, if judged { looks[1] as usize } else { steps }))
    }

    /// One step of the parameters.
    fn step(
        &self,
        field: &mut Field<'_, '_, T>,
        batch: usize,
        draw: M::Draw,
        [parameters, restored, _, looks]: &mut [Vec<f64>; LISTS],
        optimizer: &mut Optimizer<f64>,
        step: usize,
    ) -> Result<()> {
        let (masks, point) = self.masks.masks(parameters, draw);
        let by_masks = by_masks(field, batch, self.options.learning, &masks, restored);
        if let Some(e) = by_masks.iter().position(|g| !g.is_finite()) {
            let message = format!("its derivative is not finite at step {}", step + 1);
            let help = "the model's activations are too large for it; try --dtype f64";
            return Err(Error::failed(self.b.graph.edge(e), message, help));
        }
        if by_masks.iter().any(|&g| g != 0.0) {
            looks[3] = 1.0;
        } else if looks[3] == 0.0 && step + 1 == FLAT {
            return Err(self.flat(FLAT));
        }
        optimizer.begin_step();
        optimizer.update(0, LR, parameters, &self.masks.pull(&point, &by_masks));
        if let Some(i) = parameters.iter().position(|x| !x.is_finite()) {
            let message = format!("the ranking diverges: parameter {i} is not finite");
            let help = "lower --penalty, or try --dtype f64";
            return Err(Error::failed(format!("step {}", step + 1), message, help));
        }
        Ok(())
    }

    /// Takes the loss of a look after `steps` steps.
    fn look(&self, loss: f64, steps: usize, lists: &mut [Vec<f64>; LISTS]) {
        let [parameters, _, best, looks] = lists;
        if loss < looks[0] {
            best.clone_from(parameters);
            looks[..3].copy_from_slice(&[loss, steps as f64, 0.0]);
        } else {
            looks[2] += 1.0;
        }
    }

    fn flat(&self, steps: usize) -> Error {
        let message = format!("the objective is flat: no edge's mask moves it in {steps} steps");
        let help = "give pairs whose corruption changes the answer, or another --objective";
        Error::input(self.b.pairs.place(), message, help)
    }
}

/// Held-out pairs.
struct Judge<'b, 'a, T: Element> {
    field: Field<'b, 'a, T>,
}

impl<'b, 'a, T: Element> Judge<'b, 'a, T> {
    fn new(b: &'b Behaviour<'a, T>) -> Result<Self> {
        Ok(Judge { field: Field::new(b, &Span::new(b, &b.extremes()?)?)? })
    }

    /// The mean of the objective over the circuits of largest score, of all [`SHARES`].
    fn loss(&mut self, scores: &[f64], learning: Learning) -> f64 {
        let edges = scores.len();
        let order = stats::falling(scores);
        let necessary = learning.mode == Mode::Necessary;
        let loss = |share: f64| {
            let n = ((share * edges as f64) as usize).max(1);
            let mut masks = vec![f64::from(u8::from(necessary)); edges];
            order[..n].iter().for_each(|&e| masks[e] = 1.0 - masks[e]);
            let f = self.field.faithfulness(&masks);
            match (learning.objective, necessary) {
                (Objective::Cmd, false) => (1.0 - f).abs(),
                (Objective::Cmd, true) => f.abs(),
                (_, false) => -f,
                (_, true) => f,
            }
        };
        SHARES.map(loss).iter().sum::<f64>() / SHARES.len() as f64
    }
}

/// The derivatives of the objective by the masks `[E]` of what is kept, on one batch. Moves what an
/// adversary has `restored [E]`.
pub(in crate::attribution) fn by_masks<T: Element>(
    field: &mut Field<'_, '_, T>,
    batch: usize,
    learning: Learning,
    masks: &[f64],
    restored: &mut [f64],
) -> Vec<f64> {
    let necessary = learning.mode == Mode::Necessary;
    let kept: Vec<f64> = masks.iter().map(|&m| if necessary { 1.0 - m } else { m }).collect();
    // With nothing restored these are what is kept.
    let run: Vec<f64> = kept.iter().zip(&*restored).map(|(m, r)| m + (1.0 - m) * r).collect();
    let (goal, worse) = if necessary { (0.0, 1.0) } else { (1.0, -1.0) };
    let slope = |f: f64| match learning.objective {
        Objective::Metric | Objective::Kl | Objective::Worst => worse,
        Objective::Cmd => (f - goal).signum(),
    };
    let (_, by_run) = field.on(batch, &run, slope);
    // Derivatives by what is kept, before anything is restored.
    let mut by_kept: Vec<f64> = by_run.iter().zip(&*restored).map(|(g, r)| g * (1.0 - r)).collect();
    if learning.objective == Objective::Worst {
        for ((r, g), m) in restored.iter_mut().zip(&by_run).zip(&kept) {
            // The adversary ascends.
            let slope = g * (1.0 - m);
            let stride = if slope == 0.0 { 0.0 } else { STRIDE.copysign(slope) };
            *r = (*r + stride).clamp(0.0, 1.0);
        }
    }
    if necessary {
        by_kept.iter_mut().for_each(|g| *g = -*g);
    }
    by_kept
}
