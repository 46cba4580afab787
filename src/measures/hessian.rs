//! The curvature of the train loss: `hessian.top`, the largest eigenvalue of its Hessian,
//! `hessian.trace`, and `hessian.trace_error`, a standard error of the trace.
//!
//! Products `H v` are exact: the reverse pass runs on dual numbers `w + v e`, and the tangent of
//! the gradient is `H v` (forward over reverse; Pearlmutter 1994). The top eigenvalue is that of
//! Lanczos' tridiagonal matrix, which approaches it from below; the trace is Hutchinson's mean of
//! `z' H z` over vectors of signs.

use super::landscape::{first_rows, flat};
use super::symmetric::eigenvalues;
use super::{Landscape, Task, Values};
use crate::nn::pooled::Config;
use crate::rng::Rng;
use crate::stats::dot;
use crate::tensor::Dual;

/// Rows that the loss is a mean of: dual numbers have no wide lanes.
const ROWS: usize = 256;
/// Products for the top eigenvalue.
const STEPS: usize = 16;
/// Products for the trace.
const PROBES: usize = 8;

/// The figures at these weights, of the first 256 rows.
pub fn figures(config: &Config, weights: &[Vec<f64>], task: Task<'_>, rng: &mut Rng) -> Values {
    let rows = first_rows(task.rows, ROWS);
    let labels = &task.rows.targets[..rows.len()];
    let at = flat(weights);
    let mut landscape = Landscape::<Dual<f64>>::new(config, rows.len());
    let mut duals = vec![Dual::default(); at.len()];
    let mut gradient = duals.clone();
    let mut product = |v: &[f64]| -> Vec<f64> {
        for ((dual, &x), &v) in duals.iter_mut().zip(&at).zip(v) {
            *dual = Dual::new(x, v);
        }
        landscape.gradient(&duals, task.rows, (&rows, labels), &mut gradient);
        gradient.iter().map(|g| g.tangent).collect()
    };
    let top = top(at.len(), STEPS, &mut product, rng);
    let [trace, error] = trace(at.len(), PROBES, &mut product, rng);
    let named = [("top", top), ("trace", trace), ("trace_error", error)];
    named.map(|(name, x)| (format!("hessian.{name}"), x)).into()
}

/// A vector `[n]` of signs.
fn signs(n: usize, rng: &mut Rng) -> Vec<f64> {
    (0..n).map(|_| if rng.bits() >> 63 == 0 { 1.0 } else { -1.0 }).collect()
}

/// The largest eigenvalue of the symmetric matrix `[n, n]` that `product` multiplies by, after up
/// to
/// `steps` products; exact after n.
pub fn top(
    n: usize,
    steps: usize,
    product: &mut dyn FnMut(&[f64]) -> Vec<f64>,
    rng: &mut Rng,
) -> f64 {
    let mut basis: Vec<Vec<f64>> = vec![];
    let (mut diagonal, mut beside): (Vec<f64>, Vec<f64>) = (vec![], vec![]);
    let mut next = signs(n, rng);
    for _ in 0..steps.min(n) {
        let norm = dot(&next, &next).sqrt();
        let size = diagonal.iter().chain(&beside).fold(0.0f64, |m, x| m.max(x.abs()));
        // What is left of the space is rounding.
        if norm <= size * f64::EPSILON * n as f64 {
            break;
        }
        if !basis.is_empty() {
            beside.push(norm);
        }
        let v: Vec<f64> = next.iter().map(|x| x / norm).collect();
        next = product(&v);
        diagonal.push(dot(&v, &next));
        basis.push(v);
        // Twice, as once leaves what rounding has made of it.
        for _ in 0..2 {
            for v in &basis {
                let along = dot(v, &next);
                next.iter_mut().zip(v).for_each(|(x, v)| *x -= along * v);
            }
        }
    }
    let m = diagonal.len();
    let mut tridiagonal = vec![0.0; m * m];
    for i in 0..m {
        tridiagonal[i * m + i] = diagonal[i];
        if i + 1 < m {
            (tridiagonal[i * m + i + 1], tridiagonal[(i + 1) * m + i]) = (beside[i], beside[i]);
        }
    }
    eigenvalues(tridiagonal, m).last().copied().unwrap_or(0.0)
}

/// The mean of `z' H z` over `probes` vectors of signs, and its standard error. Exact where H is
/// diagonal.
pub fn trace(
    n: usize,
    probes: usize,
    product: &mut dyn FnMut(&[f64]) -> Vec<f64>,
    rng: &mut Rng,
) -> [f64; 2] {
    let mut one = || {
        let z = signs(n, rng);
        dot(&z, &product(&z))
    };
    let found: Vec<f64> = (0..probes).map(|_| one()).collect();
    let mean = found.iter().sum::<f64>() / probes as f64;
    let squares: f64 = found.iter().map(|x| (x - mean) * (x - mean)).sum();
    [mean, (squares / (probes * (probes - 1)) as f64).sqrt()]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, rows};
    use super::*;
    use crate::rng::Purpose;

    fn rng() -> Rng {
        Rng::new(5, Purpose::Measure, 0)
    }

    /// A quadratic form with eigenvalues -9, 1, 2, .. n - 1 on axes that no basis vector is one of.
    #[test]
    fn a_quadratic_has_its_eigenvalues() {
        let n = 12;
        let unit: Vec<f64> = (0..n).map(|i| ((i * i + 1) as f64).sin()).collect();
        let norm = dot(&unit, &unit).sqrt();
        let unit: Vec<f64> = unit.iter().map(|x| x / norm).collect();
        // H = R D R with the reflection R at a plane.
        let reflect = |v: &[f64]| -> Vec<f64> {
            let along = 2.0 * dot(&unit, v);
            v.iter().zip(&unit).map(|(x, u)| x - along * u).collect()
        };
        let mut product = |v: &[f64]| {
            let mut y = reflect(v);
            y.iter_mut().enumerate().for_each(|(i, y)| *y *= if i == 0 { -9.0 } else { i as f64 });
            reflect(&y)
        };
        let found = top(n, n, &mut product, &mut rng());
        assert!((found - 11.0).abs() < 1e-10, "{found}");
        // After few steps from below.
        let early = top(n, 4, &mut product, &mut rng());
        assert!(early < 11.0 && early > 8.0, "{early}");
        let [found, error] = trace(n, 400, &mut product, &mut rng());
        assert!((found - 57.0).abs() < 4.0 * error && error < 1.5, "{found} +- {error}");
        let [exact, none] = trace(3, 4, &mut |v| vec![v[0], 2.0 * v[1], 5.0 * v[2]], &mut rng());
        assert_eq!((exact, none), (8.0, 0.0));
    }

    /// Products are those of differences of gradients, extrapolated: a central difference over a
    /// step h is off by `h^2` times a constant, so a third of the way from 2 h to h beyond h is off
    /// by `h^4` only, far less than what the two differ by. Rounding adds `2^-52 / h`, below 1e-10.
    #[test]
    fn products_are_differences_of_gradients() {
        let (config, data) = (config(3, 3, 5), rows(20, 3));
        let at = config.init(4).concat();
        let all = first_rows(&data, 20);
        let v = signs(at.len(), &mut rng());
        let mut landscape = Landscape::<f64>::new(&config, 20);
        let mut gradient = |h: f64| {
            let moved: Vec<f64> = at.iter().zip(&v).map(|(x, v)| x + h * v).collect();
            let mut g = vec![0.0; at.len()];
            landscape.gradient(&moved, &data, (&all, &data.targets), &mut g);
            g
        };
        let mut difference = |h: f64| -> Vec<f64> {
            let (plus, minus) = (gradient(h), gradient(-h));
            plus.iter().zip(minus).map(|(a, b)| (a - b) / (2.0 * h)).collect()
        };
        let (near, far) = (difference(1e-5), difference(2e-5));
        let duals: Vec<Dual<f64>> = at.iter().zip(&v).map(|(&x, &v)| Dual::new(x, v)).collect();
        let mut exact = vec![Dual::default(); at.len()];
        let mut dual = Landscape::<Dual<f64>>::new(&config, 20);
        dual.gradient(&duals, &data, (&all, &data.targets), &mut exact);
        let largest = exact.iter().fold(0.0f64, |m, x| m.max(x.tangent.abs()));
        let apart = near.iter().zip(&far).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(apart < 1e-2 * largest, "{apart} of {largest}: the steps are too long");
        for (exact, (near, far)) in exact.iter().zip(near.iter().zip(far)) {
            let extrapolated = (4.0 * near - far) / 3.0;
            let error = (exact.tangent - extrapolated).abs();
            assert!(error < 0.05 * apart + 1e-9 * largest, "{error} of {largest}, {apart}");
        }
    }
}
