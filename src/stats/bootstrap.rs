//! Intervals from resamples, for values that are far from normal.

use super::average::quantile;
use super::t::t_quantile;
use crate::rng::{Purpose, Rng};

/// The fewest values whose mean has a bootstrap interval: of six it covers the mean of normal
/// values in 93 % of cases.
pub const LEAST_OF_BOOTSTRAP: usize = 8;

/// Resamples; the quantiles of the fewest values are the 0.6 % ones, so 22 lie beyond each.
const RESAMPLES: usize = 4_000;

/// The 95 % expanded percentile interval of the mean of what `values [n]` are a sample of, from
/// means of resamples with replacement; `None` for fewer than [`LEAST_OF_BOOTSTRAP`]. The same
/// values have the same interval.
///
/// It never leaves the range of the values, as that of Student's t does for accuracies near 1. The
/// percentiles are not 2.5 and 97.5 but those of `Φ(∓t √(n / (n - 1)))` with the 0.975 quantile `t`
/// of Student's t for `n - 1` degrees of freedom, which makes up for resamples being narrower than
/// samples.
///
/// Source: T. Hesterberg, "What teachers should know about the bootstrap", The American
/// Statistician 69 (2015) 371-386.
///
/// ```
/// let values = [1.0, 1.0, 1.0, 0.25, 1.0, 1.0, 0.5, 1.0];
/// let [low, high] = edgegrad::stats::bootstrap_interval(&values).unwrap();
/// assert!(low > 0.5 && low < 0.7 && high == 1.0);
/// ```
pub fn bootstrap_interval(values: &[f64]) -> Option<[f64; 2]> {
    let n = values.len();
    if n < LEAST_OF_BOOTSTRAP {
        return None;
    }
    let mut rng = Rng::new(0, Purpose::Sample, n as u32);
    let mut mean = || {
        let drawn = (0..n).map(|_| values[rng.below(n as u64) as usize]);
        drawn.sum::<f64>() / n as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| mean()).collect();
    means.sort_unstable_by(f64::total_cmp);
    let z = t_quantile(n - 1) * (n as f64 / (n as f64 - 1.0)).sqrt();
    let tail = 0.5 * libm::erfc(z / std::f64::consts::SQRT_2);
    Some([quantile(&means, tail)?, quantile(&means, 1.0 - tail)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard error of a coverage of .95 in so many studies is .015.
    const STUDIES: usize = 200;

    #[test]
    fn means_are_covered_as_often_as_said() {
        let mut rng = Rng::new(12, Purpose::Sample, 0);
        let mut study = || {
            let values: Vec<f64> = (0..LEAST_OF_BOOTSTRAP).map(|_| rng.normal()).collect();
            bootstrap_interval(&values).is_some_and(|[low, high]| low <= 0.0 && 0.0 <= high)
        };
        let covered = (0..STUDIES).filter(|_| study()).count() as f64 / STUDIES as f64;
        // Three standard errors.
        assert!((0.905..=0.995).contains(&covered), "{covered}");
        assert_eq!(bootstrap_interval(&[0.5; LEAST_OF_BOOTSTRAP]), Some([0.5, 0.5]));
        assert_eq!(bootstrap_interval(&[0.5; LEAST_OF_BOOTSTRAP - 1]), None);
    }
}
