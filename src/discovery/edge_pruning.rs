//! Edge Pruning (Bhaskar et al. 2024): masks on all edges at once, learned by gradient descent while
//! the model stays as it is.
//!
//! Every edge `e` has one number to learn, `a[e]` (log alpha), and a mask drawn from the *hard
//! concrete* distribution (Louizos et al. 2018): with `u` uniform on (0, 1) and `s` the logistic
//! function,
//!
//! ```text
//! z = clamp(1.2 s((ln u - ln(1 - u) + a) / T) - 0.1, 0, 1)     T = 2/3
//! P(z > 0) = s(a - T ln(0.1 / 1.1))
//! ```
//!
//! so masks are exactly 0 or 1 with a positive probability and still have a derivative by `a`. The
//! expected sparsity is `s = 1 - mean over e of P(z[e] > 0)`, and each step descends in `a` and ascends
//! in both multipliers of
//!
//! ```text
//! L = D(z) / D(0) + lambda1 (s - t) + lambda2 (s - t)^2
//! ```
//!
//! where the target `t` rises linearly from 0 to the sparsity that is asked for. One mask is drawn for
//! each edge in each step, the same for all pairs of the step's batch; `D` is their mean
//! [distance](super::distance) from the model, and dividing it by that of the circuit without edges
//! over all pairs makes the rates fit metrics of any unit. Derivatives by `z` come from the masked
//! graph; those by `a` follow by the chain rule.
//!
//! All `a` start at the same number (Edge Pruning adds noise of 0.01 there, which decides nothing: edges
//! are told apart by their derivatives). Random numbers come from a generator of their own and sums
//! have a fixed order, so a seed gives the same bits with any number of threads.

use super::distance::Distance;
use crate::attribution::Progress;
use crate::attribution::behaviour::Behaviour;
use crate::error::{Error, Result};
use crate::nn::{Optimizer, Rule};
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::tape::BackwardPlan;

/// The temperature `T`.
const TEMPERATURE: f64 = 2.0 / 3.0;

/// What the logistic function is stretched to before it is clamped.
const STRETCH: (f64, f64) = (-0.1, 1.1);

/// Uniform numbers keep this distance from 0 and 1, where logarithms are infinite.
const MARGIN: f64 = 1e-6;

/// How masks are learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// How many edges to keep.
    pub edges: usize,
    /// Steps of the optimiser.
    pub steps: usize,
    /// The share of the steps during which the target sparsity rises.
    pub warmup: f64,
    /// Adam's rate for `a`.
    pub lr: f64,
    /// Adam's rate for `lambda1` and `lambda2`.
    pub lambda_lr: f64,
    /// Where all `a` start.
    pub start: f64,
    /// What the masks are drawn by.
    pub seed: u64,
}

impl Options {
    /// Edge Pruning's settings for GPT-2: 3000 steps, the target reached after 2500, rates of 0.8, a
    /// start of 10; the seed is 0.
    pub fn keeping(edges: usize) -> Options {
        let (lr, lambda_lr) = (0.8, 0.8);
        Options { edges, steps: 3000, warmup: 5.0 / 6.0, lr, lambda_lr, start: 10.0, seed: 0 }
    }
}

/// Learned masks, and the circuit they stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruned {
    /// `[E]`, the probability `P(z > 0)` that each edge is kept.
    pub scores: Vec<f64>,
    /// `[E]`, `a`.
    pub log_alpha: Vec<f64>,
    /// `[E]`, the edges of largest `a`, as many as were asked for and the first of equal ones. The mask
    /// without noise grows with `a`, but reaches 1 and then tells nothing apart.
    pub circuit: Vec<bool>,
    /// The mean distance of the circuit from the model, as a share of that of the circuit without
    /// edges.
    pub distance: f64,
    /// `lambda1` and `lambda2` at the end.
    pub lambdas: [f64; 2],
}

/// The circuit of `options.edges` edges that stays closest to the model, as masks learn it.
///
/// # Errors
/// If there are fewer edges, if the model answers the same without any, or if there is not enough
/// memory for it.
///
/// # Panics
/// If there are no steps.
pub fn prune<T: Element>(
    b: &Behaviour<'_, T>,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Pruned> {
    let &Options { edges, steps, lr, lambda_lr, start, seed, .. } = options;
    assert!(steps > 0, "no steps");
    let mut task = Task::new(b)?;
    let count = task.edges;
    if edges > count {
        let message = format!("{edges} edges of a graph of {count}");
        return Err(Error::input("edge pruning", message, "keep fewer edges"));
    }
    let (mut draw, mut shuffle) =
        (Rng::new(seed, Purpose::Prune, 0), Rng::new(seed, Purpose::Prune, 1));
    // A small eps: where all masks are 1 derivatives by `a` are tiny, but they are no noise.
    let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-16, weight_decay: 0.0 };
    let mut optimizer = Optimizer::<f64>::new(rule, [count, 2]);
    let mut a = vec![start; count];
    let mut lambdas = [0.0; 2];
    let mut order: Vec<usize> = vec![];
    let mut u = vec![0.0; count];
    for step in 0..steps {
        if order.is_empty() {
            order = (0..task.distance.batches()).collect();
            shuffle.shuffle(&mut order);
        }
        task.distance.load(order.pop().expect("filled when empty"));
        u.iter_mut().for_each(|u| *u = draw.uniform().clamp(MARGIN, 1.0 - MARGIN));
        let target = target(options, count, step);
        let Point { gradient, sparsity } = task.step(&a, &u, lambdas, target);
        let off = sparsity - target;
        optimizer.begin_step();
        optimizer.update(0, lr, &mut a, &gradient);
        // The multipliers ascend.
        optimizer.update(1, lambda_lr, &mut lambdas, &[-off, -off * off]);
        progress((step + 1) as f64 / steps as f64);
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&i, &j| a[j].total_cmp(&a[i]).then(i.cmp(&j)));
    let circuit = super::select::first(&order, edges, count);
    let masks: Vec<f64> = circuit.iter().map(|&kept| f64::from(u8::from(kept))).collect();
    let distance = task.distance.of(&masks) / task.unit;
    let scores = a.iter().map(|&a| kept(a)).collect();
    Ok(Pruned { scores, log_alpha: a, circuit, distance, lambdas })
}

/// The sparsity that step number `step` aims at.
fn target(options: &Options, count: usize, step: usize) -> f64 {
    let last = 1.0 - options.edges as f64 / count as f64;
    let rise = options.warmup * options.steps as f64;
    last * ((step + 1) as f64 / rise.max(1.0)).min(1.0)
}

/// The logistic function.
fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// The mask that `u` draws, and its derivative by `a`.
fn hard_concrete(a: f64, u: f64) -> (f64, f64) {
    let (low, high) = STRETCH;
    let s = logistic((libm::log(u) - libm::log(1.0 - u) + a) / TEMPERATURE);
    let z = low + (high - low) * s;
    let slope = if 0.0 < z && z < 1.0 { (high - low) * s * (1.0 - s) / TEMPERATURE } else { 0.0 };
    (z.clamp(0.0, 1.0), slope)
}

/// `P(z > 0)`.
fn kept(a: f64) -> f64 {
    let (low, high) = STRETCH;
    logistic(a - TEMPERATURE * libm::log(-low / high))
}

/// What is minimised.
struct Task<'b, 'a, T: Element> {
    distance: Distance<'b, 'a, T>,
    /// For each length, the reverse pass to the masks.
    plans: Vec<BackwardPlan>,
    /// E.
    edges: usize,
    /// `D(0)`.
    unit: f64,
}

/// What descent and ascent need to know of `L` somewhere.
struct Point {
    /// `[E]`, by `a`.
    gradient: Vec<f64>,
    sparsity: f64,
}

impl<'b, 'a, T: Element> Task<'b, 'a, T> {
    fn new(b: &'b Behaviour<'a, T>) -> Result<Self> {
        let edges = b.graph.edges();
        let mut distance = Distance::new(b)?;
        let plans = distance.plans(|probe| probe.masks().collect());
        let unit = distance.of(&vec![0.0; edges]);
        if !(unit > 0.0 && unit.is_finite()) {
            let message = format!("without any edge the distance from the model is {unit}");
            let help = "give pairs whose corruption changes the answer, or another baseline";
            return Err(Error::input(b.pairs.place(), message, help));
        }
        Ok(Task { distance, plans, edges, unit })
    }

    /// The masked run of the loaded batch at `a [E]` for the noise `u [E]`, and what follows from it.
    fn step(&mut self, a: &[f64], u: &[f64], lambdas: [f64; 2], target: f64) -> Point {
        let count = self.edges as f64;
        let (masks, slopes): (Vec<f64>, Vec<f64>) =
            a.iter().zip(u).map(|(&a, &u)| hard_concrete(a, u)).unzip();
        self.distance.set_masks(&masks);
        self.distance.probe().program.forward();
        let weight = 1.0 / (self.unit * self.distance.pairs() as f64);
        let plan = &self.plans[self.distance.length()];
        self.distance.backward(plan, weight);
        let by_mask = self.distance.probe().mask_gradients();
        let open: Vec<f64> = a.iter().map(|&a| kept(a)).collect();
        let sparsity = 1.0 - open.iter().sum::<f64>() / count;
        let off = sparsity - target;
        let pressure = lambdas[0] + 2.0 * lambdas[1] * off;
        let by_mask = by_mask.iter().zip(&slopes).map(|(g, slope)| g * slope);
        let gradient =
            by_mask.zip(&open).map(|(g, p)| g - pressure * p * (1.0 - p) / count).collect();
        Point { gradient, sparsity }
    }
}
