//! Integrated gradients along the diagonal of the masks: all edges go from the baseline to the
//! model together, and the derivative by each mask is integrated.
//!
//! ```text
//! score[e] = integral over alpha from 0 to 1 of d metric / d m_e at m = (alpha, .., alpha)
//! ```
//!
//! By the chain rule the scores add up to `metric(1) - metric(0)`, exactly: *completeness*. What a
//! quadrature leaves of it, the residual, is therefore the error of the result, known without knowing
//! the result. Gauss-Legendre nodes converge faster than any power where the metric is smooth in
//! `alpha`; their number is doubled until the residual is small enough.

use super::behaviour::Behaviour;
use super::{Completeness, Progress, Scores};
use crate::error::Result;
use crate::graph::MaskShape;
use crate::simd::Element;

/// The most nodes that are tried.
const MOST_NODES: usize = 1024;

/// The scores of all edges, `[E]`: `first` nodes, doubled until the residual is at most `tol` times
/// the difference of the metric.
///
/// # Errors
/// None of its own; a residual above `tol` is reported in the result.
///
/// # Panics
/// If there are no nodes.
pub fn scores<T: Element>(
    b: &Behaviour<'_, T>,
    first: usize,
    tol: f64,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    let mut nodes = first;
    loop {
        let (scores, delta) = integrate(b, nodes, progress)?;
        let completeness = Completeness::new(&scores, delta);
        if completeness.residual().abs() <= tol * delta.abs() || 2 * nodes > MOST_NODES {
            let mut scores = Scores::of(scores);
            scores.completeness = Some(completeness);
            scores.steps = Some(nodes);
            return Ok(scores);
        }
        nodes *= 2;
    }
}

/// The integrals from `nodes` nodes, and `metric(1) - metric(0)`.
fn integrate<T: Element>(
    b: &Behaviour<'_, T>,
    nodes: usize,
    progress: &mut Progress<'_>,
) -> Result<(Vec<f64>, f64)> {
    let mut scores = vec![0.0; b.graph.edges()];
    let (mut delta, mut done) = (0.0, 0.0);
    b.batches(Some(MaskShape::default()), |probe, pairs| {
        probe.set_masks(T::ONE);
        probe.set_baselines(b, pairs);
        delta += probe.total();
        probe.set_masks(T::ZERO);
        probe.program.forward();
        delta -= probe.total();
        for (alpha, weight) in gauss_legendre(nodes) {
            probe.set_masks(T::from_f64(alpha));
            probe.program.forward();
            probe.backward();
            let gradients = probe.mask_gradients();
            scores.iter_mut().zip(gradients).for_each(|(s, g)| *s += weight * g);
            done += pairs.len() as f64 * b.weight() / nodes as f64;
            progress(done);
        }
        probe.set_masks(T::ONE);
        Ok(())
    })?;
    Ok((scores, delta))
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
