//! Information-flow routes (Ferrando and Voita 2024): the share of each writer in what a reader
//! reads, by the proximity of the sum to it. No metric, no counterfactual, never negative.
//!
//! ```text
//! p[r, u, t]  = max(0, |x_t|_1 - |x_t - o_u,t|_1)
//! score[r, u] = mean over t of p[r, u, t] / sum over u of p[r, u, t]
//! ```

use super::options::Options;
use super::scorer::Scorer;
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::metric::Metric;
use crate::simd::Element;

/// [`scores`] as a value of [`Method`](super::Method).
pub(super) struct Ifr;

impl Scorer for Ifr {
    const USUAL_METRIC: Option<Metric> = None;

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        _: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        scores(b, progress)
    }

    fn passes<T: Element>(_: &Behaviour<'_, T>, _: &Options) -> f64 {
        1.0
    }
}

/// The scores of all edges, `[E]`.
///
/// # Errors
/// Those of the behaviour's runs.
pub fn scores<T: Element>(b: &Behaviour<'_, T>, progress: &mut Progress<'_>) -> Result<Scores> {
    let mut scores = vec![0.0; b.graph.edges()];
    let mut done = 0;
    b.whole_batches(|probe, pairs| {
        probe.run_clean(pairs);
        let outputs = probe.outputs();
        let mut shares: Vec<f64> = vec![];
        probe.recorded.writings(&probe.program, &outputs, |place, x, o| {
            let group = &b.graph.groups[place.group];
            let whole: f64 = x.iter().map(|x| x.to_f64().abs()).sum();
            let rest: f64 = x.iter().zip(o).map(|(&x, &o)| (x - o).to_f64().abs()).sum();
            shares.push((whole - rest).max(0.0));
            if shares.len() < group.upstream.len() {
                return;
            }
            let sum: f64 = shares.iter().sum();
            let weight = match group.positions {
                1 => b.weight() / place.time as f64,
                _ => b.weight(),
            };
            // Padding examples come after the pairs.
            if sum > 0.0 && place.example < pairs.len() {
                for r in 0..group.readers.len() {
                    let t = probe.recorded.graph.separate(group, place.position);
                    let first = (t * group.readers.len() + r) * shares.len() + group.first;
                    for (score, share) in scores[first..].iter_mut().zip(&shares) {
                        *score += weight * share / sum;
                    }
                }
            }
            shares.clear();
        });
        done += pairs.len();
        progress(done as f64 * b.weight());
        Ok(())
    })?;
    Ok(Scores::of(scores))
}
