//! 95 % intervals of means, medians, ratios of means and rates. How often each covers the truth is
//! tested by simulation, for few values as well.

use super::t;
use super::t::t_quantile;

/// The share of intervals that hold the truth.
const LEVEL: f64 = 0.95;

/// The fewest values whose mean or ratio has an interval: of two it would reach 12.7 standard
/// errors to both sides, and so would say nothing.
pub const LEAST_OF_MEAN: usize = 3;

/// The fewest values whose median has an interval: all of five hold it in 94 % of cases only.
pub const LEAST_OF_MEDIAN: usize = 6;

/// The 95 % interval of the mean of what `values [n]` are a sample of: `mean ± t s / √n` with the
/// 0.975 quantile of Student's t for `n - 1` degrees of freedom; `None` for fewer than
/// [`LEAST_OF_MEAN`].
///
/// Exact for normal values, whatever their number. A percentile bootstrap of 3, 5 or 12 values
/// covers the mean in 73, 84 or 90 % of cases. Values that come in groups (seeds of several base
/// models) are first averaged within each, as the groups are the sample.
///
/// Source: Student, "The probable error of a mean", Biometrika 6 (1908) 1-25.
///
/// ```
/// let [low, high] = edgegrad::stats::mean_interval(&[1.0, 2.0, 3.0]).unwrap();
/// assert!((low + 0.484).abs() < 1e-3 && (high - 4.484).abs() < 1e-3);
/// ```
pub fn mean_interval(values: &[f64]) -> Option<[f64; 2]> {
    let mean = super::mean(values)?;
    let half = factor(values.len())? * covariance(values, values).sqrt();
    Some([mean - half, mean + half])
}

/// `t / √n` for `n` values; `None` for too few.
fn factor(n: usize) -> Option<f64> {
    (n >= LEAST_OF_MEAN).then(|| t_quantile(n - 1) / (n as f64).sqrt())
}

/// The smallest mean that an interval of so many values as `values` tells from 0 in 80 % of cases,
/// if they are spread as these are; `None` for fewer than [`LEAST_OF_MEAN`].
///
/// `(t.975 + t.8) s / √n` with both quantiles of Student's t for `n - 1` degrees of freedom.
pub fn detectable(values: &[f64]) -> Option<f64> {
    let n = values.len();
    let power = (n >= LEAST_OF_MEAN).then(|| t::bound(0.6, n - 1))? / (n as f64).sqrt();
    Some((factor(n)? + power) * covariance(values, values).sqrt())
}

/// The covariance of pairs of values, divided by `n - 1`.
fn covariance(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>() / (n - 1.0)
}

/// The 95 % interval of a ratio of means, of `above [n]` to `below [n]`, which come in pairs;
/// `None` if the mean below may be 0 as far as the values tell, or for fewer than [`LEAST_OF_MEAN`]
/// pairs.
///
/// It holds every ratio `r` for which the mean of `above - r below` may be 0 by its t interval:
/// those between the roots of a quadratic. Source: E. C. Fieller, "Some problems in interval
/// estimation", JRSS B 16 (1954) 175-185.
pub fn ratio_interval(above: &[f64], below: &[f64]) -> Option<[f64; 2]> {
    let (a, b) = (super::mean(above)?, super::mean(below)?);
    let scale = factor(above.len())?.powi(2);
    let [aa, ab, bb] =
        [(above, above), (above, below), (below, below)].map(|(x, y)| scale * covariance(x, y));
    // (a - r b)² <= aa - 2 r ab + r² bb
    let (square, half, rest) = (b * b - bb, a * b - ab, a * a - aa);
    if square <= 0.0 {
        return None;
    }
    let root = (half * half - square * rest).max(0.0).sqrt();
    Some([(half - root) / square, (half + root) / square])
}

/// The 95 % interval of the median of what `values [n]`, in any order, are a sample of; `None` for
/// fewer than [`LEAST_OF_MEDIAN`].
///
/// The median lies between the `k`-th values from both ends with a chance that the binomial gives.
/// The interval's ends are interpolated between the narrowest such pair that covers 95 % and the
/// next within. Source: T. Hettmansperger and S. Sheather, "Confidence intervals based on
/// interpolated order statistics", Statistics and Probability Letters 4 (1986) 75-79.
pub fn median_interval(values: &[f64]) -> Option<[f64; 2]> {
    let n = values.len();
    if n < LEAST_OF_MEDIAN {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    // Of n values k are below the median with chance C(n, k) / 2^n (by its logarithm, as 2^-n is 0
    // for a thousand values); the k-th from both ends miss it with twice the chance of at most k -
    // 1.
    let mut chance = -(n as f64) * std::f64::consts::LN_2;
    let (mut k, mut wide, mut narrow) = (0, 1.0, 1.0 - 2.0 * libm::exp(chance));
    while narrow >= LEVEL {
        chance += libm::log((n - k) as f64 / (k + 1) as f64);
        k += 1;
        (wide, narrow) = (narrow, narrow - 2.0 * libm::exp(chance));
    }
    let excess = (wide - LEVEL) / (wide - narrow);
    let (n, outer) = (n as f64, k as f64);
    let part = (n - outer) * excess / (outer + (n - 2.0 * outer) * excess);
    let between = |outer: f64, inner: f64| (1.0 - part) * outer + part * inner;
    let [low, high] = [k - 1, sorted.len() - k];
    Some([between(sorted[low], sorted[low + 1]), between(sorted[high], sorted[high - 1])])
}

/// The 0.975 quantile of the normal distribution.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// The 95 % score interval of a rate, `successes` of `n` seen; `(0, 1)` for `n = 0`.
///
/// With `r = successes / n` and `z` the 0.975 normal quantile its ends are
/// `(r + z²/2n ± z √(r(1-r)/n + z²/4n²)) / (1 + z²/n)`.
/// Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
/// JASA 22 (1927) 209-212. Unlike `r ± z √(r(1-r)/n)` it is right for few runs and for `r` of 0 or
/// 1.
///
/// ```
/// let (low, high) = edgegrad::stats::wilson(19, 20);
/// assert!((low - 0.764).abs() < 1e-3 && (high - 0.991).abs() < 1e-3);
/// ```
pub fn wilson(successes: usize, n: usize) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (r, n) = (successes as f64 / n as f64, n as f64);
    let z2 = Z * Z;
    let centre = r + z2 / (2.0 * n);
    let half = Z * (r * (1.0 - r) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    // With no success, and with nothing else, an end is known: it would be off by rounding.
    let low = if successes == 0 { 0.0 } else { (centre - half) / scale };
    let high = if r == 1.0 { 1.0 } else { (centre + half) / scale };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};
    use crate::stats;

    /// Studies of the simulations: the standard error of a coverage of .95 is then .0034.
    const STUDIES: usize = 4000;

    /// How often `covers`, told of a study's random numbers, is true.
    fn coverage(stream: u32, covers: impl Fn(&mut Rng) -> bool) -> f64 {
        let mut rng = Rng::new(11, Purpose::Sample, stream);
        (0..STUDIES).filter(|_| covers(&mut rng)).count() as f64 / STUDIES as f64
    }

    fn holds(interval: Option<[f64; 2]>, truth: f64) -> bool {
        interval.is_some_and(|[low, high]| low <= truth && truth <= high)
    }

    fn normals(rng: &mut Rng, n: usize, mean: f64) -> Vec<f64> {
        (0..n).map(|_| mean + rng.normal()).collect()
    }

    fn about_95(coverage: f64) -> bool {
        (0.93..=0.97).contains(&coverage)
    }

    #[test]
    fn means_medians_and_ratios_are_covered_as_often_as_said() {
        for (i, n) in [3, 5, 12, 30].into_iter().enumerate() {
            let stream = 10 * i as u32;
            let mean = coverage(stream, |rng| holds(mean_interval(&normals(rng, n, 2.0)), 2.0));
            assert!(about_95(mean), "mean of {n}: {mean}");
            // Pairs whose numerator is 0.8 of the denominator, and noise of its own.
            let ratio = coverage(stream + 1, |rng| {
                let below = normals(rng, n, 8.0);
                let above: Vec<f64> = below.iter().map(|x| 0.8 * x + 0.5 * rng.normal()).collect();
                holds(ratio_interval(&above, &below), 0.8)
            });
            assert!(about_95(ratio), "ratio of {n}: {ratio}");
        }
        for (i, n) in [6, 7, 12, 30].into_iter().enumerate() {
            let median = coverage(5 + 10 * i as u32, |rng| {
                holds(median_interval(&normals(rng, n, 2.0)), 2.0)
            });
            assert!(about_95(median), "median of {n}: {median}");
        }
    }

    /// An effect of the size that is said to be detectable is told from 0 in about 80 % of studies.
    /// The sum of quantiles stands for the noncentral t, which is off by a few percent for few
    /// values; the standard error of a rate of .8 is .0063.
    #[test]
    fn what_is_detectable_is_detected() {
        for (i, n) in [3, 5, 12, 30].into_iter().enumerate() {
            // The effect by the true deviation of 1: that of values whose deviation is exactly 1.
            let half = (0..n).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect::<Vec<f64>>();
            let scale = covariance(&half, &half).sqrt();
            let unit: Vec<f64> = half.iter().map(|x| x / scale).collect();
            let effect = detectable(&unit).expect("enough values");
            let found = coverage(100 + i as u32, |rng| {
                mean_interval(&normals(rng, n, effect)).is_some_and(|[low, _]| low > 0.0)
            });
            assert!((0.75..=0.85).contains(&found), "{n}: {found}");
        }
        assert_eq!(detectable(&[1.0, 2.0]), None);
    }

    /// Seeds of a base model are alike, so bases are the sample: of five bases with five seeds and
    /// twenty items each, an interval over all 25 runs is far too narrow.
    #[test]
    fn groups_are_the_sample() {
        let study = |rng: &mut Rng| -> Vec<Vec<f64>> {
            let base = |_| {
                let base = rng.normal();
                let item = |rng: &mut Rng| normals(rng, 20, 0.0).iter().sum::<f64>() / 20.0;
                (0..5).map(|_| base + 0.5 * rng.normal() + item(rng)).collect()
            };
            (0..5).map(base).collect()
        };
        let of_groups = coverage(3, |rng| {
            let means: Vec<f64> =
                study(rng).iter().map(|runs| stats::mean(runs).unwrap()).collect();
            holds(mean_interval(&means), 0.0)
        });
        let of_runs = coverage(3, |rng| holds(mean_interval(&study(rng).concat()), 0.0));
        assert!(about_95(of_groups), "{of_groups}");
        assert!(of_runs < 0.8, "{of_runs}");
    }

    /// Averaged over rates: at a single one so few values cover it too often or too rarely.
    #[test]
    fn rates_are_covered_as_often_as_said() {
        for n in [3, 5, 12, 30] {
            let covered = coverage(n as u32, |rng| {
                let rate = 0.05 + 0.9 * rng.uniform();
                let successes = (0..n).filter(|_| rng.uniform() < rate).count();
                let (low, high) = wilson(successes, n);
                low <= rate && rate <= high
            });
            assert!(about_95(covered), "rate of {n}: {covered}");
        }
    }

    #[test]
    fn what_is_not_known_has_no_interval() {
        assert_eq!((mean_interval(&[]), mean_interval(&[1.0, 2.0])), (None, None));
        assert_eq!(mean_interval(&[2.0; 3]), Some([2.0; 2]));
        assert_eq!((median_interval(&[]), median_interval(&[1.0; 5])), (None, None));
        assert_eq!(ratio_interval(&[1.0, 2.0], &[2.0, 4.0]), None);
        assert_eq!(ratio_interval(&[1.0, 2.0, 1.0], &[1.0, -1.0, 0.5]), None, "0 below");
        let [low, high] = ratio_interval(&[1.0, 2.0, 1.5], &[2.0, 4.0, 3.0]).expect("exact");
        assert!((low - 0.5).abs() < 1e-7 && (high - 0.5).abs() < 1e-7, "{low} {high}");
    }

    /// Of six values the outer two hold the median in 1 - 2 / 64 = 96.9 %, the next in 78 %.
    #[test]
    fn the_median_of_six_is_a_little_inside_of_all() {
        let [low, high] = median_interval(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("six");
        let inside = (0.968_75 - 0.95) / (0.968_75 - 0.781_25);
        let part = 5.0 * inside / (1.0 + 4.0 * inside);
        assert!((low - (1.0 + part)).abs() < 1e-12 && (high - (6.0 - part)).abs() < 1e-12);
    }

    /// The normal approximation: the ends are 0.98 √n places from the middle.
    #[test]
    fn the_median_of_many_is_within_a_few_places() {
        let values: Vec<f64> = (0..5000).map(f64::from).collect();
        let [low, high] = median_interval(&values).expect("many");
        let half = 0.5 * Z * 5000f64.sqrt();
        assert!((2499.5 - low - half).abs() < 1.0 && (high - 2499.5 - half).abs() < 1.0);
    }

    #[test]
    fn wilson_matches_published_values() {
        for (successes, n, low, high) in [
            (0, 13, 0.00, 0.23),
            (9, 13, 0.42, 0.87),
            (19, 20, 0.76, 0.99),
            (5, 20, 0.11, 0.47),
            (8, 10, 0.49, 0.94),
            (10, 10, 0.72, 1.00),
        ] {
            let (l, h) = wilson(successes, n);
            assert!(
                (l - low).abs() < 0.005 && (h - high).abs() < 0.005,
                "{successes}/{n}: {l} {h}"
            );
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
        for n in 1..100 {
            assert_eq!((wilson(0, n).0, wilson(n, n).1), (0.0, 1.0), "{n}");
        }
    }
}
