//! Shapley values: each edge's contribution, averaged over all orders in which edges can be added.
//!
//! With `v(S)` the metric when the edges of `S` carry the model and all others the ablation values,
//!
//! ```text
//! score[e] = sum over S without e of |S|! (E - |S| - 1)! / E!  (v(S + e) - v(S))
//! ```
//!
//! They sum to `v(all) - v(none)` exactly, give equal scores to edges with equal contributions, and
//! half of the effect to either of two redundant edges, where ablation gives both 0. Up to
//! [`EXACT`] edges all subsets are computed; beyond, orders are sampled, and each score has a
//! standard error.

use super::options::Options;
use super::scorer::{Scorer, Steps};
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::formats::Completeness;
use crate::memory;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::metric::Metric;
use crate::patching::subsets::values;
use crate::rng::{Purpose, Rng};
use crate::simd::Element;

/// The most edges whose subsets are all computed.
pub const EXACT: usize = 20;

/// The default number of random orders.
const ORDERS: usize = 32;

/// [`scores`] as a value of [`Method`](super::Method).
pub(super) struct Shapley;

impl Scorer for Shapley {
    // It compares the clean with partly corrupted runs: every change of any output counts.
    const USUAL_METRIC: Option<Metric> = Some(Metric::L2);
    const SEEDED: bool = true;
    const DIVIDED: bool = true;
    const STEPS: Option<Steps> = Some(Steps { usual: ORDERS, what: "random orders", grows: false });

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        scores(b, options.steps, options.seed, progress)
    }

    fn sets(edges: usize) -> Option<u128> {
        Some(if edges <= EXACT { 1 << edges } else { ORDERS as u128 * (edges as u128 + 1) })
    }

    fn passes<T: Element>(b: &Behaviour<'_, T>, options: &Options) -> f64 {
        let edges = b.graph.edges();
        let sets = if edges <= EXACT { 1 << edges } else { options.steps * (edges + 1) };
        sets as f64
    }
}

/// The scores of all edges, `[E]`; beyond [`EXACT`] edges from `orders` random orders.
///
/// # Errors
/// Those of the behaviour's runs.
///
/// # Panics
/// If there are no orders.
pub fn scores<T: Element>(
    b: &Behaviour<'_, T>,
    orders: usize,
    seed: u64,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    if b.graph.edges() <= EXACT {
        all_subsets(b, progress)
    } else {
        sampled(b, orders, seed, progress)
    }
}

fn all_subsets<T: Element>(b: &Behaviour<'_, T>, progress: &mut Progress<'_>) -> Result<Scores> {
    let n = b.graph.edges();
    let values = values(b, 1 << n, |s, e| s >> e & 1 == 1, progress)?;
    // |S|! (n - |S| - 1)! / n!, without factorials that overflow.
    let weights: Vec<f64> = (0..n)
        .map(|s| (0..s).fold(1.0 / n as f64, |w, i| w * (i + 1) as f64 / (n - 1 - i) as f64))
        .collect();
    let score = |e: usize| -> f64 {
        let without = (0..1usize << n).filter(|s| s >> e & 1 == 0);
        without.map(|s| weights[s.count_ones() as usize] * (values[s | 1 << e] - values[s])).sum()
    };
    let mut scores = Scores::of((0..n).map(score).collect());
    let delta = values[(1 << n) - 1] - values[0];
    scores.completeness = Some(Completeness::new(&scores.values, delta));
    Ok(scores)
}

/// The scores of all edges, `[E]`, from `orders` random orders, however many edges there are, with
/// their standard errors, which a single order does not have.
///
/// # Errors
/// Those of the behaviour's runs.
///
/// # Panics
/// If there are no orders.
pub fn sampled<T: Element>(
    b: &Behaviour<'_, T>,
    orders: usize,
    seed: u64,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    assert!(orders > 0, "no orders");
    let n = b.graph.edges();
    // Each order, and the rank of each edge in it.
    let bytes = 2 * (orders as u128) * (n as u128) * size_of::<usize>() as u128;
    memory::check(&format!("{orders} orders of {n} edges"), bytes, || "take fewer --steps".into())?;
    let mut rng = Rng::new(seed, Purpose::Sample, 1);
    let order = |_| {
        let mut edges: Vec<usize> = (0..n).collect();
        rng.shuffle(&mut edges);
        edges
    };
    let orders: Vec<Vec<usize>> = (0..orders).map(order).collect();
    let mut ranks = vec![vec![0; n]; orders.len()];
    for (ranks, order) in ranks.iter_mut().zip(&orders) {
        order.iter().enumerate().for_each(|(i, &e)| ranks[e] = i);
    }
    let count = orders.len() * (n + 1);
    let values = values(b, count, |s, e| ranks[s / (n + 1)][e] < s % (n + 1), progress)?;
    let (mut sums, mut squares) = (vec![0.0; n], vec![0.0; n]);
    for (order, values) in orders.iter().zip(values.chunks_exact(n + 1)) {
        for (&e, v) in order.iter().zip(values.windows(2)) {
            sums[e] += v[1] - v[0];
            squares[e] += (v[1] - v[0]).powi(2);
        }
    }
    let m = orders.len() as f64;
    let errors = sums.iter().zip(&squares).map(|(s, q)| {
        let variance = (q - s * s / m).max(0.0) / (m - 1.0);
        (variance / m).sqrt()
    });
    let mut scores = Scores::of(sums.iter().map(|s| s / m).collect());
    scores.standard_errors = (orders.len() > 1).then(|| errors.collect());
    scores.completeness = Some(Completeness::new(&scores.values, values[n] - values[0]));
    scores.steps = Some(orders.len());
    Ok(scores)
}
