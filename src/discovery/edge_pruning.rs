//! Edge Pruning (Bhaskar et al. 2024): masks on all edges at once, learned by gradient descent with
//! frozen weights.
//!
//! Every edge `e` has one parameter, `a[e]` (log alpha), and a mask drawn from the *hard concrete*
//! distribution (Louizos et al. 2018): with `u` uniform on (0, 1),
//!
//! ```text
//! z = clamp(1.2 sigmoid((ln u - ln(1 - u) + a) / T) - 0.1, 0, 1)     T = 2/3
//! P(z > 0) = sigmoid(a - T ln(0.1 / 1.1))
//! ```
//!
//! so masks are exactly 0 or 1 with a positive probability and still have a derivative by `a`. The
//! expected sparsity is `s = 1 - mean over e of P(z[e] > 0)`, and each step descends in `a` and
//! ascends in both multipliers of
//!
//! ```text
//! L = D(z) / D(0) + lambda1 (s - t) + lambda2 (s - t)^2
//! ```
//!
//! where the target `t` rises linearly from 0 to the requested sparsity. Each step draws one mask
//! for each edge, the same for all pairs of its batch. `D` is their mean distance from the model:
//! the metric itself for `kl` and `l2`, which are such distances (Edge Pruning uses `kl`), and the
//! square of the metric's change for the others. Division by the distance of the empty circuit over
//! all pairs makes the learning rates independent of the metric's unit. Derivatives by `z` come
//! from the masked graph; those by `a` follow by the chain rule.
//!
//! All `a` start at the same value. (Edge Pruning adds noise of 0.01, which has no effect: the
//! derivatives tell edges apart.) Random numbers come from a generator of their own and sums have a
//! fixed order, so a seed gives the same bits with any number of threads.

use crate::attribution::Progress;
use crate::error::{Error, Result};
use crate::nn::{Optimizer, Rule};
use crate::patching::behaviour::Behaviour;
use crate::patching::distance::Distance;
use crate::patching::learned::{Learned, sigmoid};
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::stats;
use crate::tape::BackwardPlan;

/// The temperature `T`.
const TEMPERATURE: f64 = 2.0 / 3.0;

/// The interval that the logistic function is stretched to before it is clamped.
const STRETCH: (f64, f64) = (-0.1, 1.1);

/// The distance of uniform draws from 0 and 1, where logarithms are infinite.
const MARGIN: f64 = 1e-6;

/// How masks are learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PruneOptions {
    /// The number of edges to keep.
    pub edges: usize,
    /// Steps of the optimizer.
    pub steps: usize,
    /// The share of the steps during which the target sparsity rises.
    pub warmup: f64,
    /// Adam's learning rate for `a`.
    pub lr: f64,
    /// Adam's learning rate for `lambda1` and `lambda2`.
    pub lambda_lr: f64,
    /// The initial value of all `a`.
    pub start: f64,
    /// The seed of the masks.
    pub seed: u64,
}

impl PruneOptions {
    /// 1000 steps, 5 in 6 of them with a rising target as in Edge Pruning, learning rates of 0.1,
    /// an initial value of 2, the seed 0.
    ///
    /// Edge Pruning's own rates of 0.8 and its initial value of 10 suit tens of thousands of edges
    /// that differ. In a small graph most edges carry nothing, follow the constraint alone and move
    /// together. At such rates they swing from all kept to none and back, and where they end is
    /// chance.
    pub fn keeping(edges: usize) -> PruneOptions {
        let (lr, lambda_lr) = (0.1, 0.1);
        PruneOptions { edges, steps: 1000, warmup: 5.0 / 6.0, lr, lambda_lr, start: 2.0, seed: 0 }
    }
}

/// Learned masks, and their circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruned {
    /// `[E]`, the probability `P(z > 0)` that each edge is kept.
    pub scores: Vec<f64>,
    /// `[E]`, `a`.
    pub log_alpha: Vec<f64>,
    /// `[E]`, the edges of largest `a`, as many as requested and the first of equal ones. The mask
    /// without noise increases with `a` too, but saturates at 1.
    pub circuit: Vec<bool>,
    /// The mean distance of the circuit from the model, as a share of that of the empty circuit.
    pub distance: f64,
    /// The final `lambda1` and `lambda2`.
    pub lambdas: [f64; 2],
}

/// The circuit of `options.edges` edges that learned masks find closest to the model.
///
/// # Errors
/// If the graph has fewer edges, if the model's metric is the same without any, or if there is not
/// enough memory.
///
/// # Panics
/// If there are no steps.
pub fn prune<T: Element>(
    b: &Behaviour<'_, T>,
    options: &PruneOptions,
    progress: &mut Progress<'_>,
) -> Result<Pruned> {
    let &PruneOptions { edges, steps, lr, lambda_lr, start, seed, .. } = options;
    assert!(steps > 0, "no steps");
    let mut task = Loss::new(b)?;
    let count = task.edges;
    if edges > count {
        let message = format!("{edges} edges of a graph of {count}");
        return Err(Error::input("edge pruning", message, "keep fewer edges"));
    }
    let (mut draw, mut shuffle) =
        (Rng::new(seed, Purpose::Prune, 0), Rng::new(seed, Purpose::Prune, 1));
    // A small eps: at masks near 1 derivatives by `a` are tiny, but they are not noise.
    let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-16, weight_decay: 0.0 };
    let mut optimizer = Optimizer::<f64>::new(rule, [count, 2]);
    let initial = || Learned::new(vec![vec![start; count], vec![0.0; 2]]);
    let mut work = b.journal.units("edge-pruning", initial);
    work.state.resume(&mut optimizer, 2);
    let mut order: Vec<usize> = vec![];
    let mut u = vec![0.0; count];
    for step in 0..steps {
        if order.is_empty() {
            order = (0..task.distance.batches()).collect();
            shuffle.shuffle(&mut order);
        }
        let batch = order.pop().expect("filled when empty");
        u.iter_mut().for_each(|u| *u = draw.uniform().clamp(MARGIN, 1.0 - MARGIN));
        if work.is_done() {
            // Drawn as before, so that the next step draws what it would have.
            continue;
        }
        task.distance.load(batch);
        let [a, lambdas] = &mut work.state.lists[..] else { unreachable!("two lists") };
        let target = target(options, count, step);
        let Evaluation { gradient, sparsity } = task.step(a, &u, [lambdas[0], lambdas[1]], target);
        let off = sparsity - target;
        optimizer.begin_step();
        optimizer.update(0, lr, a, &gradient);
        // The multipliers ascend.
        optimizer.update(1, lambda_lr, lambdas, &[-off, -off * off]);
        progress((step + 1) as f64 / steps as f64);
        work.finish_with(|learned| learned.follow(&optimizer, 2))?;
    }
    let mut lists = work.state.lists.into_iter();
    let (Some(a), Some(lambdas)) = (lists.next(), lists.next()) else { unreachable!("two lists") };
    let circuit = super::select::first(&stats::falling(&a), edges, count);
    let masks: Vec<f64> = circuit.iter().map(|&kept| f64::from(u8::from(kept))).collect();
    let distance = task.distance.of(&masks) / task.unit;
    let scores = a.iter().map(|&a| kept(a)).collect();
    Ok(Pruned { scores, log_alpha: a, circuit, distance, lambdas: [lambdas[0], lambdas[1]] })
}

/// The target sparsity of a step.
fn target(options: &PruneOptions, count: usize, step: usize) -> f64 {
    let last = 1.0 - options.edges as f64 / count as f64;
    let rise = options.warmup * options.steps as f64;
    last * ((step + 1) as f64 / rise.max(1.0)).min(1.0)
}

/// The mask at noise `u`, and its derivative by `a`.
fn hard_concrete(a: f64, u: f64) -> (f64, f64) {
    let (low, high) = STRETCH;
    let s = sigmoid((libm::log(u) - libm::log(1.0 - u) + a) / TEMPERATURE);
    let z = low + (high - low) * s;
    let slope = if 0.0 < z && z < 1.0 { (high - low) * s * (1.0 - s) / TEMPERATURE } else { 0.0 };
    (z.clamp(0.0, 1.0), slope)
}

/// `P(z > 0)`.
fn kept(a: f64) -> f64 {
    let (low, high) = STRETCH;
    sigmoid(a - TEMPERATURE * libm::log(-low / high))
}

/// The distance that is minimised.
struct Loss<'b, 'a, T: Element> {
    distance: Distance<'b, 'a, T>,
    /// For each length, the reverse pass to the masks.
    plans: Vec<BackwardPlan>,
    /// E.
    edges: usize,
    /// `D(0)`.
    unit: f64,
}

/// `L` at a point, with the gradients of descent and ascent.
struct Evaluation {
    /// `[E]`, by `a`.
    gradient: Vec<f64>,
    sparsity: f64,
}

impl<'b, 'a, T: Element> Loss<'b, 'a, T> {
    fn new(b: &'b Behaviour<'a, T>) -> Result<Self> {
        let edges = b.graph.edges();
        let (mut distance, plans) = Distance::by_masks(b)?;
        let unit = distance.of(&vec![0.0; edges]);
        if !(unit > 0.0 && unit.is_finite()) {
            let message = format!("without any edge the distance from the model is {unit}");
            let help = "give pairs whose corruption changes the answer, or another baseline";
            return Err(Error::input(b.pairs.place(), message, help));
        }
        Ok(Loss { distance, plans, edges, unit })
    }

    /// Runs the loaded batch at `a [E]` with the noise `u [E]`, forward and backward.
    fn step(&mut self, a: &[f64], u: &[f64], lambdas: [f64; 2], target: f64) -> Evaluation {
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
        Evaluation { gradient, sparsity }
    }
}

#[cfg(test)]
mod tests {
    use super::super::compiled::{
        ALTERNATION, FRAC_PREV_X, Setting, TREND, difference, names, sorted,
    };
    use super::*;
    use crate::patching::behaviour::Baseline;
    use crate::patching::metric::Metric;
    use proptest::prelude::{prop_assert, proptest};

    proptest! {
        /// A mask is positive exactly for the share `P(z > 0)` of all `u`, the largest ones, and
        /// its slope is the derivative.
        #[test]
        fn masks_follow_their_distribution(a in -6.0f64..6.0, u in 1e-6f64..(1.0 - 1e-6)) {
            let (z, slope) = hard_concrete(a, u);
            prop_assert!((0.0..=1.0).contains(&z));
            let distance = u - (1.0 - kept(a));
            if distance.abs() > 1e-12 {
                prop_assert!((z > 0.0) == (distance > 0.0), "{a} {u}: {z}");
            }
            let (near, off) = difference(1e-5, |h| hard_concrete(a + h, u).0);
            // Away from the kinks at 0 and 1.
            let flat = |a: f64| hard_concrete(a, u).1 == 0.0;
            let kink = flat(a - 2e-5) != flat(a + 2e-5);
            prop_assert!(kink || (near - slope).abs() <= off + 1e-9, "{a} {u}: {slope} {near}");
        }
    }

    /// By hand: a = 0 is kept with the probability 1 / (1 + (0.1 / 1.1)^(2/3)), and u = 1/2 draws
    /// 1/2.
    #[test]
    fn masks_are_those_of_the_formula() {
        let ratio = 0.1f64 / 1.1;
        assert!((kept(0.0) - 1.0 / (1.0 + ratio.powf(2.0 / 3.0))).abs() < 1e-15);
        let (z, slope) = hard_concrete(0.0, 0.5);
        assert!((z - 0.5).abs() < 1e-15 && (slope - 1.2 / 4.0 * 1.5).abs() < 1e-15);
        assert_eq!(hard_concrete(9.0, 0.5), (1.0, 0.0));
        assert_eq!(hard_concrete(-9.0, 0.5), (0.0, 0.0));
    }

    #[test]
    fn the_target_rises_to_what_is_asked() {
        let options = PruneOptions { steps: 12, ..PruneOptions::keeping(5) };
        let targets: Vec<f64> = (0..12).map(|step| target(&options, 20, step)).collect();
        assert!((targets[0] - 0.075).abs() < 1e-15 && (targets[4] - 0.375).abs() < 1e-15);
        assert!(targets[9..].iter().all(|&t| t == 0.75) && targets[8] < 0.75);
    }

    #[test]
    fn gradients_are_slopes() {
        let setting = Setting::fixture("gpt2-tiny", 3);
        for metric in [Metric::LogitDiff, Metric::Kl] {
            let b = setting.ask(metric, Baseline::Resample);
            let mut task = Loss::new(&b).expect("it fits");
            task.distance.load(0);
            let mut rng = Rng::new(5, Purpose::Sample, 0);
            let count = task.edges;
            // About half of the masks lie between 0 and 1.
            let a: Vec<f64> = (0..count).map(|_| rng.normal()).collect();
            let u: Vec<f64> = (0..count).map(|_| 0.2 + 0.6 * rng.uniform()).collect();
            let way: Vec<f64> = (0..count).map(|_| rng.normal()).collect();
            let (lambdas, target) = ([0.7, 30.0], 0.6);
            let loss = |task: &mut Loss<'_, '_, f64>, h: f64| {
                let a: Vec<f64> = a.iter().zip(&way).map(|(a, w)| a + h * w).collect();
                let Evaluation { gradient, sparsity } = task.step(&a, &u, lambdas, target);
                let off = sparsity - target;
                let distance = task.distance.sum() / (task.unit * task.distance.pairs() as f64);
                let loss = distance + lambdas[0] * off + lambdas[1] * off * off;
                let slope: f64 = gradient.iter().zip(&way).map(|(g, w)| g * w).sum();
                (loss, slope)
            };
            let slope = loss(&mut task, 0.0).1;
            let (near, off) = difference(1e-5, |h| loss(&mut task, h).0);
            assert!(off < 1e-5 * near.abs(), "{metric:?}: nothing to compare: {near} {off}");
            assert!((slope - near).abs() <= off, "{metric:?}: {slope} {near} {off}");
        }
    }

    /// The true circuit is the only one of its size with the model's outputs: all other edges carry
    /// nothing, and each of its own is needed.
    #[test]
    fn compiled_circuits_are_recovered() {
        for (name, truth, metric) in [
            ("trend", &TREND[..], Metric::LogitDiff),
            ("trend", &TREND, Metric::Kl),
            ("frac_prev_x", &FRAC_PREV_X, Metric::L2),
            ("alternation", &ALTERNATION, Metric::L2),
        ] {
            let setting = Setting::tracr(name);
            let b = setting.ask(metric, Baseline::Resample);
            let options = PruneOptions { steps: 300, ..PruneOptions::keeping(truth.len()) };
            let pruned = prune(&b, &options, &mut |_| {}).expect("it runs");
            assert_eq!(names(&b.graph, &pruned.circuit), sorted(truth), "{name}: {pruned:?}");
            assert!(pruned.distance < 1e-9, "{name}: {}", pruned.distance);
            assert!(pruned.scores.iter().all(|p| (0.0..=1.0).contains(p)));
        }
    }

    /// With batches in random order.
    #[test]
    fn a_seed_gives_the_same_bits_with_any_number_of_threads() {
        let setting = Setting::fixture("gpt2-tiny", 4);
        let run = |threads: usize, seed: u64| {
            let mut b = setting.ask(Metric::LogitDiff, Baseline::Resample);
            b.rows = 2 * b.pairs[0].clean.len();
            let options = PruneOptions { steps: 12, seed, ..PruneOptions::keeping(20) };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let prune = || prune(&b, &options, &mut |_| {}).expect("it runs");
            let pruned = pool.expect("a pool").install(prune);
            assert_eq!(pruned.circuit.iter().filter(|&&kept| kept).count(), 20);
            pruned.log_alpha.iter().map(|a| a.to_bits()).collect::<Vec<_>>()
        };
        let once = run(1, 3);
        assert_eq!(once, run(1, 3));
        assert_eq!(once, run(3, 3));
        assert_ne!(once, run(1, 4));
    }

    #[test]
    fn what_cannot_be_learned_is_said() {
        let setting = Setting::fixture("tracr/trend", 2);
        let b = setting.ask(Metric::LogitDiff, Baseline::Resample);
        let e = prune(&b, &PruneOptions::keeping(9), &mut |_| {}).expect_err("there are eight");
        assert_eq!(e.to_string(), "edge pruning: 9 edges of a graph of 8");
        // The mean over one sequence of one position is the output itself.
        let setting = Setting::opposites();
        let b = setting.ask(Metric::LogitDiff, Baseline::Mean);
        let e = prune(&b, &PruneOptions::keeping(1), &mut |_| {}).expect_err("nothing changes");
        assert!(e.to_string().contains("without any edge the distance from the model is 0"), "{e}");
    }
}
