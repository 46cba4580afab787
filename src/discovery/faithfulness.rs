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
use crate::formats::curves::Curve;
use crate::patching::behaviour::Behaviour;
use crate::patching::running;
use crate::patching::span::Span;
use crate::simd::Element;

/// MIB's fractions of all edges.
pub const FRACTIONS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

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
    let size = |&i: &usize| circuits[i].iter().filter(|&&kept| kept).count();
    Ok(places.map(|places| Curve {
        fraction: fractions.to_vec(),
        edges: places.iter().map(size).collect(),
        faithfulness: places.iter().map(|&i| span.faithfulness(&values[i])).collect(),
    }))
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

    #[test]
    fn a_perfect_curve() {
        let perfect = Curve { faithfulness: vec![1.0; 10], ..Curve::default() };
        let perfect = Curve { fraction: FRACTIONS.to_vec(), ..perfect };
        assert!((perfect.cpr() - 0.999).abs() < 1e-15 && perfect.cmd() == 0.0);
    }
}
