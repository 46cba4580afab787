//! Faithfulness: the share of a behaviour that a circuit keeps, and the curves of the MIB benchmark
//! (arXiv 2504.13151).
//!
//! With `m` the mean metric over pairs, `N` all edges and `0` none,
//!
//! ```text
//! f(C) = (m(C) - m(0)) / (m(N) - m(0))
//! ```
//!
//! where `0` is the run without any edge, as in MIB: with resample ablation the corrupted run. `f`
//! is 1 for a circuit that does what the model does, 0 for one that does nothing, and more than 1
//! for one that does more. A *curve* is `f` of the first `int(k E)` edges by score, pruned to
//! what is [connected](super::connect), at the fractions `k` of [`FRACTIONS`]. MIB derives two
//! numbers from it, by the trapezoid rule over `k` as requested (not over the edges left after
//! pruning):
//!
//! - **CPR**, the area under `f`, with the edges of largest score first: how well a method finds
//!   what raises the metric. It is not bounded: a circuit without what lowers the metric scores
//!   above 1;
//! - **CMD**, the area between `f` and 1, with the edges of largest `|score|` first: how well it
//!   finds what the model does. 0 is best.
//!
//! Both begin at the first fraction, so the best CPR is 0.999. The *anchored* areas begin at 0,
//! where `f` is 0; the *clipped* CPR counts `f` as at most 1 and at least 0.

use super::connect::Flow;
use super::select;
use super::select::Rank;
use crate::attribution::Progress;
use crate::error::Result;
use crate::formats::Origin;
use crate::formats::curves::{Curve, Curves};
use crate::patching::batches::Extremes;
use crate::patching::behaviour::Behaviour;
use crate::patching::running;
use crate::patching::span::Span;
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::stats;
use crate::stats::LEAST_OF_MEAN;
use serde_json::{Map, Value, json};

/// The stream of random numbers that resamples of pairs are drawn from.
const RESAMPLES: u32 = 5;

/// MIB's fractions of all edges.
pub const FRACTIONS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// The circuits of the curves of `scores [E]`, by decreasing `|score|` and by decreasing score, run
/// on every pair.
#[derive(Clone, Debug)]
pub struct Runs {
    /// `[K]`, the shares of all edges.
    fractions: Vec<f64>,
    /// The circuit at each fraction, of either order.
    places: [Vec<usize>; 2],
    /// The edges of each circuit.
    sizes: Vec<usize>,
    /// `[circuits][pairs]`, the metric.
    values: Vec<Vec<f64>>,
}

/// The 95 % intervals over pairs of the figures that MIB derives from curves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intervals {
    /// Of the curve by `|score|`.
    pub cmd: [f64; 2],
    /// Of the curve by score.
    pub cpr: [f64; 2],
    /// The same with faithfulness between 0 and 1.
    pub clipped_cpr: [f64; 2],
}

impl Runs {
    /// Runs the circuits at `fractions` of all edges.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new<T: Element>(
        b: &Behaviour<'_, T>,
        scores: &[f64],
        fractions: &[f64],
        progress: &mut Progress<'_>,
    ) -> Result<Runs> {
        let (count, flow) = (scores.len(), Flow::new(&b.graph));
        // Both curves share their last circuit, and often the empty ones.
        let mut circuits: Vec<Vec<bool>> = vec![];
        let places = [Rank::Abs, Rank::Signed].map(|rank| {
            let order = rank.order(scores);
            let mut place = |&k: &f64| {
                // Truncated, as by Python's `int`.
                let n = (k * count as f64) as usize;
                let circuit = flow.connected(&select::first(&order, n, count));
                let known = circuits.iter().position(|c| *c == circuit);
                known.unwrap_or_else(|| {
                    circuits.push(circuit);
                    circuits.len() - 1
                })
            };
            fractions.iter().map(&mut place).collect::<Vec<_>>()
        });
        let values = running::circuits(b, &circuits, progress)?;
        let sizes = circuits.iter().map(|c| c.iter().filter(|&&kept| kept).count()).collect();
        Ok(Runs { fractions: fractions.to_vec(), places, sizes, values })
    }

    /// The curves by decreasing `|score|` and by decreasing score.
    pub fn curves(&self, span: &Span) -> [Curve; 2] {
        self.with(|values| span.faithfulness(values))
    }

    /// Puts what a file of results says of them into `report`, which names their origin.
    pub fn put(
        &self,
        span: &Span,
        extremes: &Extremes,
        intervals: Option<Intervals>,
        report: &mut Map<String, Value>,
    ) {
        if let Some(Intervals { cmd, cpr, clipped_cpr }) = intervals {
            let all = json!({ "cmd": cmd, "cpr": cpr, "clipped_cpr": clipped_cpr });
            report.insert("intervals".into(), all);
        }
        let [by_size, by_score] = self.curves(span);
        let origin = Origin::of(report);
        Curves { origin, by_size, by_score: Some(by_score) }.put(report);
        let of_pairs = json!({ "clean": extremes.clean, "corrupted": extremes.corrupted });
        report.insert("per_pair".into(), of_pairs);
    }

    /// The curves whose faithfulness is `f` of a circuit's metric `[pairs]`.
    fn with(&self, f: impl Fn(&[f64]) -> f64) -> [Curve; 2] {
        self.places.each_ref().map(|places| Curve {
            fraction: self.fractions.clone(),
            edges: places.iter().map(|&i| self.sizes[i]).collect(),
            faithfulness: places.iter().map(|&i| f(&self.values[i])).collect(),
        })
    }

    /// The percentile intervals of the figures over `resamples` of the pairs; `None` for fewer than
    /// three pairs, or where a resample has no span to be a share of.
    pub fn intervals(&self, span: &Span, resamples: usize, seed: u64) -> Option<Intervals> {
        let pairs = span.clean.len();
        if pairs < LEAST_OF_MEAN {
            return None;
        }
        let mut rng = Rng::new(seed, Purpose::Sample, RESAMPLES);
        let mut drawn: [Vec<f64>; 3] = Default::default();
        for _ in 0..resamples {
            let list: Vec<usize> = (0..pairs).map(|_| rng.below(pairs as u64) as usize).collect();
            let [abs, signed] = self.with(|values| span.of(values, list.iter().copied()));
            let figures = [abs.cmd(), signed.cpr(), signed.clipped_cpr()];
            drawn.iter_mut().zip(figures).for_each(|(drawn, x)| drawn.push(x));
        }
        let ends = |mut drawn: Vec<f64>| -> Option<[f64; 2]> {
            drawn.sort_by(f64::total_cmp);
            let ends = [stats::quantile(&drawn, 0.025)?, stats::quantile(&drawn, 0.975)?];
            ends.iter().all(|end| end.is_finite()).then_some(ends)
        };
        let [cmd, cpr, clipped_cpr] = drawn.map(ends);
        Some(Intervals { cmd: cmd?, cpr: cpr?, clipped_cpr: clipped_cpr? })
    }
}

/// The curves of `scores [E]` by decreasing `|score|` and by decreasing score, at `fractions` of
/// all edges.
///
/// # Errors
/// If there is not enough memory.
pub fn curves<T: Element>(
    b: &Behaviour<'_, T>,
    span: &Span,
    scores: &[f64],
    fractions: &[f64],
    progress: &mut Progress<'_>,
) -> Result<[Curve; 2]> {
    Ok(Runs::new(b, scores, fractions, progress)?.curves(span))
}

/// The smallest of some circuits of increasing size that reaches `target`: its index, and `f`.
///
/// Circuits are run from the smallest on, in batches of `at_once`; their faithfulness need not
/// increase. If none reaches the target, the error is the largest `f` and its index.
///
/// # Errors
/// If there is not enough memory.
pub fn smallest<T: Element>(
    b: &Behaviour<'_, T>,
    span: &Span,
    circuits: usize,
    circuit: impl Fn(usize) -> Vec<bool>,
    target: f64,
    progress: &mut Progress<'_>,
) -> Result<Result<(usize, f64), (usize, f64)>> {
    const AT_ONCE: usize = 32;
    let mut work = b.journal.units("smallest", || (0, f64::NEG_INFINITY));
    for first in (0..circuits).step_by(AT_ONCE) {
        if work.is_done() {
            continue;
        }
        let count = AT_ONCE.min(circuits - first);
        let list: Vec<Vec<bool>> = (first..first + count).map(&circuit).collect();
        let values = running::circuits(b, &list, &mut |_| {})?;
        for (i, values) in values.iter().enumerate() {
            let f = span.faithfulness(values);
            if f >= target {
                return Ok(Ok((first + i, f)));
            }
            if f > work.state.1 {
                work.state = (first + i, f);
            }
        }
        progress((first + count) as f64 / circuits as f64);
        work.finish()?;
    }
    Ok(Err(work.state))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two circuits at 0 and 1 of all edges, with the metric of their pairs.
    fn runs(first: [f64; 4], last: [f64; 4]) -> Runs {
        Runs {
            fractions: vec![0.0, 1.0],
            places: [vec![0, 1], vec![0, 1]],
            sizes: vec![0, 9],
            values: vec![first.to_vec(), last.to_vec()],
        }
    }

    fn spanned(clean: f64, pairs: usize) -> Span {
        Span { clean: vec![clean; pairs], nothing: vec![1.0; pairs] }
    }

    #[test]
    fn pairs_that_are_alike_leave_no_doubt() {
        let runs = runs([1.0; 4], [4.0; 4]);
        let span = spanned(3.0, 4);
        let [abs, signed] = runs.curves(&span);
        // f rises from 0 to 1.5, so |1 - f| falls from 1 to .5.
        assert_eq!((abs.cmd(), signed.cpr(), signed.clipped_cpr()), (0.75, 0.75, 0.5));
        let found = runs.intervals(&span, 50, 0).unwrap();
        let want = Intervals { cmd: [0.75; 2], cpr: [0.75; 2], clipped_cpr: [0.5; 2] };
        assert_eq!(found, want);
    }

    #[test]
    fn intervals_are_those_of_resamples_by_hand() {
        // f at 1 is the mean of 0, 0, 0 and 2, so the area is k / 4 where the last pair is drawn k
        // times: binomial of 4 and 1/4. P(0) = .32, P(k > 2) = .05, P(k > 3) = .004.
        let runs = runs([1.0; 4], [1.0, 1.0, 1.0, 5.0]);
        let found = runs.intervals(&spanned(3.0, 4), 4000, 7).unwrap();
        assert_eq!(found.cpr, [0.0, 0.75]);
        assert_eq!(runs.intervals(&spanned(3.0, 4), 4000, 7), Some(found));
        assert_eq!(runs.intervals(&spanned(3.0, 2), 50, 0), None);
        assert_eq!(runs.intervals(&spanned(1.0, 4), 50, 0), None);
    }

    #[test]
    fn a_perfect_curve() {
        let perfect = Curve { faithfulness: vec![1.0; 10], ..Curve::default() };
        let perfect = Curve { fraction: FRACTIONS.to_vec(), ..perfect };
        assert!((perfect.cpr() - 0.999).abs() < 1e-15 && perfect.cmd() == 0.0);
    }
}
