//! What could be chance: p-values of random draws and of means, and what many of them at once say.

use super::order::rising;
use super::t;

/// The p-value of a test by `draws` at random, `as_extreme` of which were at least as extreme as
/// what was seen: `(1 + as_extreme) / (1 + draws)`, so that no test claims more than it has drawn.
///
/// ```
/// assert_eq!(edgegrad::stats::p_value(0, 999), 0.001);
/// ```
pub fn p_value(as_extreme: usize, draws: usize) -> f64 {
    (1 + as_extreme) as f64 / (1 + draws) as f64
}

/// The p-value of Student's t test of whether the mean of what `values [n]` are a sample of is 0,
/// to both sides; `None` for fewer than [`LEAST_OF_MEAN`](super::LEAST_OF_MEAN) values.
///
/// ```
/// // t = 4 for two degrees of freedom.
/// let p = edgegrad::stats::t_test(&[1.0, 2.0, 3.0].map(|x| 2.0 / 3f64.sqrt() + (x - 2.0) / 2.0));
/// assert!((p.unwrap() - 0.0572).abs() < 1e-4);
/// ```
pub fn t_test(values: &[f64]) -> Option<f64> {
    let n = values.len();
    let mean = super::mean(values).filter(|_| n >= super::LEAST_OF_MEAN)?;
    let squares = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    let error = (squares / (n * (n - 1)) as f64).sqrt();
    match (mean.abs(), error) {
        (0.0, _) => Some(1.0),
        (_, 0.0) => Some(0.0),
        (mean, error) => Some(1.0 - t::within(mean / error, n - 1)),
    }
}

/// The p-values `p [m]` adjusted for their number: each is at most .05 only if the chance of any
/// false one among those that are is at most .05. Source: S. Holm, "A simple sequentially rejective
/// multiple test procedure", Scandinavian Journal of Statistics 6 (1979) 65-70.
///
/// ```
/// assert_eq!(edgegrad::stats::holm(&[0.01, 0.5, 0.02]), [0.03, 0.5, 0.04]);
/// ```
pub fn holm(p: &[f64]) -> Vec<f64> {
    let m = p.len();
    let order = rising(p);
    let (mut adjusted, mut most) = (vec![0.0; m], 0.0f64);
    for (k, &i) in order.iter().enumerate() {
        most = most.max((p[i] * (m - k) as f64).min(1.0));
        adjusted[i] = most;
    }
    adjusted
}

/// For each of the p-values `p [m]` the smallest false discovery rate at which it counts (Benjamini
/// and Hochberg 1995): with the `k`-th smallest, the smallest `p m / k` of it and all larger ones.
///
/// ```
/// use edgegrad::stats::false_discovery;
/// assert_eq!(false_discovery(&[0.01, 0.5, 0.02, 0.04]), [0.04, 0.5, 0.04, 0.16 / 3.0]);
/// ```
pub fn false_discovery(p: &[f64]) -> Vec<f64> {
    let m = p.len();
    let order = rising(p);
    let (mut q, mut least) = (vec![0.0; m], 1.0f64);
    for (k, &i) in order.iter().enumerate().rev() {
        least = least.min(p[i] * m as f64 / (k + 1) as f64);
        q[i] = least;
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds of a 95 % interval are where p is .05.
    #[test]
    fn the_test_is_that_of_the_interval() {
        for values in [&[1.0, 2.0, 4.0][..], &[0.3, 0.1, 0.4, 0.2, 0.6]] {
            let [low, high] = crate::stats::mean_interval(values).expect("enough values");
            for end in [low, high] {
                let moved: Vec<f64> = values.iter().map(|x| x - end).collect();
                assert!((t_test(&moved).expect("enough values") - 0.05).abs() < 1e-9);
            }
        }
        assert_eq!(
            (t_test(&[1.0, 1.0]), t_test(&[0.0; 4]), t_test(&[2.0; 4])),
            (None, Some(1.0), Some(0.0))
        );
    }
}
