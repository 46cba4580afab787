//! Integrated gradients along the diagonal of the masks: all edges go from the baseline to the
//! model together, and the derivative by each mask is integrated.
//!
//! ```text
//! score[e] = integral over alpha from 0 to 1 of d metric / d m_e at m = (alpha, .., alpha)
//! ```
//!
//! By the chain rule the scores add up to `metric(1) - metric(0)`, exactly: *completeness*. The same
//! holds on every part of the way: over `[a, b]` they add up to `metric(b) - metric(a)`. So what a
//! quadrature leaves of it, the residual, is the error of the result, known without knowing the
//! result, and where along the way it comes from is known, too.
//!
//! Gauss-Legendre nodes converge faster than any power where the metric is smooth in `alpha`; a
//! rectifier or a nearly hard attention breaks that at single points. Intervals whose residual is too
//! large are therefore halved, for every pair by itself: around a kink the error halves with each
//! step, and everywhere else nothing is spent.

use super::behaviour::Behaviour;
use super::subsets::values;
use super::{Completeness, Progress, Scores};
use crate::error::Result;
use crate::graph::MaskShape;
use crate::simd::Element;

/// The most times an interval is halved.
const DEEPEST: i32 = 44;

/// How often all is done again with a tenth of the allowance, if small residuals add up to a large
/// one.
const TRIES: usize = 3;

/// A part of the way, with the weighted metric at both ends.
#[derive(Clone, Copy)]
struct Interval {
    a: f64,
    b: f64,
    at_a: f64,
    at_b: f64,
}

/// The scores of all edges, `[E]`, from `nodes` nodes in each interval; the residual is at most `tol`
/// times the difference of the metric.
///
/// # Errors
/// If there is not enough memory. A residual above `tol`, where rounding or the depth of halving stops
/// it, is no error: it is reported in the result.
///
/// # Panics
/// If there are no nodes.
pub fn scores<T: Element>(
    b: &Behaviour<'_, T>,
    nodes: usize,
    tol: f64,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    let ends = values(b, 2, |s, _| s == 1, &mut |_| {})?;
    let delta = ends[1] - ends[0];
    let mut allowed = tol * delta.abs();
    for attempt in 1.. {
        let (found, intervals) = integrate(b, nodes, allowed, progress)?;
        let completeness = Completeness::new(&found, delta);
        if completeness.residual().abs() <= tol * delta.abs() || attempt == TRIES {
            let mut scores = Scores::of(found);
            scores.completeness = Some(completeness);
            scores.steps = intervals.iter().map(|i| i.len() * nodes).max();
            scores.intervals = Some(intervals);
            return Ok(scores);
        }
        allowed /= 10.0;
    }
    unreachable!("the last attempt returns")
}

/// The integrals, with each pair's residual in an interval at most its share of `allowed`, and the
/// intervals of each pair in the order of the batches.
fn integrate<T: Element>(
    b: &Behaviour<'_, T>,
    nodes: usize,
    allowed: f64,
    progress: &mut Progress<'_>,
) -> Result<(Vec<f64>, Vec<Vec<(f64, f64)>>)> {
    let edges = b.graph.edges();
    let rule = gauss_legendre(nodes);
    let mut scores = vec![0.0; edges];
    let mut intervals: Vec<Vec<(f64, f64)>> = vec![];
    let mut done = 0.0;
    b.batches(Some(MaskShape { per_example: true }), |probe, pairs| {
        let count = pairs.len();
        let weighted = |results: Vec<f64>| results.into_iter().map(|x| x * b.weight());
        probe.set_masks(T::ONE);
        probe.set_baselines(b, pairs);
        let ones: Vec<f64> = weighted(probe.results(count)).collect();
        probe.set_masks(T::ZERO);
        probe.program.forward();
        let zeros: Vec<f64> = weighted(probe.results(count)).collect();
        let whole = |(&at_a, &at_b)| vec![Interval { a: 0.0, b: 1.0, at_a, at_b }];
        let mut open: Vec<Vec<Interval>> = zeros.iter().zip(&ones).map(whole).collect();
        let mut accepted = vec![vec![]; count];
        let mut sums = vec![0.0; count * edges];
        loop {
            let current: Vec<Option<Interval>> = open.iter_mut().map(Vec::pop).collect();
            if current.iter().all(Option::is_none) {
                break;
            }
            sums.fill(0.0);
            for &(x, w) in &rule {
                let place = |i: &Interval| i.a + (i.b - i.a) * x;
                probe.set_example_masks(
                    &current.iter().map(|i| i.as_ref().map(place)).collect::<Vec<_>>(),
                );
                probe.program.forward();
                probe.backward();
                let share = |i: &Option<Interval>| i.map_or(0.0, |i| w * (i.b - i.a));
                probe.add_example_gradients(
                    &current.iter().map(share).collect::<Vec<_>>(),
                    &mut sums,
                );
            }
            // Where something is left unexplained, the middle is looked at next.
            let good = |(interval, sums): (&Option<Interval>, &[f64])| {
                interval.is_none_or(|i| {
                    let (sum, size) =
                        sums.iter().fold((0.0, 0.0), |(s, z), x| (s + x, z + f64::abs(*x)));
                    let residual = f64::abs(sum - (i.at_b - i.at_a));
                    let noise = 16.0 * T::EPSILON * (size + i.at_a.abs() + i.at_b.abs());
                    let deep = i.b - i.a <= 0.5f64.powi(DEEPEST);
                    residual <= (allowed * b.weight()).max(noise) || deep
                })
            };
            let good: Vec<bool> = current.iter().zip(sums.chunks_exact(edges)).map(good).collect();
            let middle = |(i, good): (&Option<Interval>, &bool)| {
                i.filter(|_| !good).map(|i| 0.5 * (i.a + i.b))
            };
            let middles: Vec<Option<f64>> = current.iter().zip(&good).map(middle).collect();
            let mut at_middle = vec![];
            if middles.iter().any(Option::is_some) {
                probe.set_example_masks(&middles);
                probe.program.forward();
                at_middle = weighted(probe.results(count)).collect();
            }
            for (i, interval) in current.into_iter().enumerate() {
                let Some(Interval { a, b: end, at_a, at_b }) = interval else { continue };
                match middles[i] {
                    Some(m) => {
                        let at_m = at_middle[i];
                        open[i].push(Interval { a: m, b: end, at_a: at_m, at_b });
                        open[i].push(Interval { a, b: m, at_a, at_b: at_m });
                    }
                    None => {
                        let found = &sums[i * edges..(i + 1) * edges];
                        scores.iter_mut().zip(found).for_each(|(s, x)| *s += x);
                        accepted[i].push((a, end));
                        done += (end - a) * b.weight();
                    }
                }
            }
            progress(done);
        }
        probe.set_masks(T::ONE);
        intervals.extend(accepted);
        Ok(())
    })?;
    Ok((scores, intervals))
}

/// Nodes and weights of the Gauss-Legendre rule on [0, 1]: the roots of the Legendre polynomial
/// `P_n` by Newton's method, and `w = 2 / ((1 - x^2) P_n'(x)^2)`, moved from [-1, 1].
pub fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    // P_n and its derivative by the three-term recurrence.
    let legendre = |x: f64| {
        let (mut before, mut p) = (1.0, x);
        for k in 2..=n {
            let k = k as f64;
            (before, p) = (p, ((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k);
        }
        (p, n as f64 * (x * p - before) / (x * x - 1.0))
    };
    if n == 1 {
        return vec![(0.5, 1.0)];
    }
    let node = |i: usize| {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        for _ in 0..100 {
            let (p, slope) = legendre(x);
            let step = p / slope;
            x -= step;
            if step.abs() < 1e-16 {
                break;
            }
        }
        let slope = legendre(x).1;
        (0.5 + 0.5 * x, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).rev().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_exact_for_polynomials() {
        for n in [1, 2, 3, 5, 8, 64, 257] {
            let rule = gauss_legendre(n);
            assert!(rule.windows(2).all(|w| 0.0 < w[0].0 && w[0].0 < w[1].0 && w[1].0 < 1.0));
            for degree in [0, 1, 2 * n - 2, 2 * n - 1] {
                let sum: f64 = rule.iter().map(|(x, w)| w * x.powi(degree as i32)).sum();
                let want = 1.0 / (degree as f64 + 1.0);
                assert!((sum - want).abs() < 1e-13, "{n} nodes, degree {degree}: {sum} {want}");
            }
        }
        // One degree more is not.
        let sum: f64 = gauss_legendre(2).iter().map(|(x, w)| w * x.powi(4)).sum();
        assert!((sum - 0.2).abs() > 1e-3);
    }
}
