//! 95 % intervals: the bootstrap's of any statistic, and Wilson's of a rate.

use super::average::quantile;
use crate::rng::{Purpose, Rng};

/// The percentile bootstrap: how far a statistic of `n` values may move with other values of the
/// same kind.
///
/// It is computed for resamples of `n` places with replacement; its interval is from the 2.5 % to
/// the 97.5 % quantile.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    n: usize,
    resamples: Resamples,
}

#[derive(Clone, Debug)]
enum Resamples {
    /// The seed they are drawn from.
    Seeded(u64),
    /// `[FIXED, n]`.
    Fixed(Vec<usize>),
}

/// Resamples of [`Bootstrap::seeded`].
const SEEDED: usize = 2000;

/// Resamples of [`Bootstrap::fixed`].
const FIXED: usize = 1000;

impl Bootstrap {
    /// 2000 resamples drawn from a seed anew for each interval, so they take no memory. The ends
    /// are the statistics nearest to the quantiles.
    pub fn seeded(n: usize, seed: u64) -> Self {
        Bootstrap { n, resamples: Resamples::Seeded(seed) }
    }

    /// 1000 resamples that are the same for all lists of `n` values: for figures, whose bands are
    /// smooth where values are, and which are the same for the same input. The ends are
    /// interpolated.
    pub fn fixed(n: usize) -> Self {
        let mut state = n as u64;
        let draws = (0..FIXED * n).map(|_| (split_mix(&mut state) % n as u64) as usize).collect();
        Bootstrap { n, resamples: Resamples::Fixed(draws) }
    }

    /// The interval of a statistic, which is given the places `[n]` of each resample. Resamples in
    /// which it is not finite are left out; `None` if all are.
    pub fn interval(&self, statistic: impl Fn(&[usize]) -> f64) -> Option<[f64; 2]> {
        let mut found: Vec<f64> = match &self.resamples {
            Resamples::Seeded(seed) => {
                let mut rng = Rng::new(*seed, Purpose::Bootstrap, 0);
                let mut drawn = vec![0; self.n];
                let resample = |_| {
                    drawn.fill_with(|| rng.below(self.n as u64) as usize);
                    statistic(&drawn)
                };
                (0..SEEDED).map(resample).collect()
            }
            Resamples::Fixed(draws) => draws.chunks_exact(self.n.max(1)).map(statistic).collect(),
        };
        found.retain(|x| x.is_finite());
        found.sort_by(f64::total_cmp);
        let end = match self.resamples {
            Resamples::Seeded(_) => nearest,
            Resamples::Fixed(_) => quantile,
        };
        Some([end(&found, 0.025)?, end(&found, 0.975)?])
    }
}

/// The value of `sorted [n]` nearest to its `q`-quantile.
fn nearest(sorted: &[f64], q: f64) -> Option<f64> {
    sorted.get((q * sorted.len().checked_sub(1)? as f64).round() as usize).copied()
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The 0.975 quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

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
    (((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of n values of variance 1 has a 95 % interval of about 2 x 1.96 / sqrt(n).
    #[test]
    fn intervals_are_those_of_means() {
        let mut rng = Rng::new(1, Purpose::Sample, 0);
        let values: Vec<f64> = (0..400).map(|_| rng.normal()).collect();
        let mean = |drawn: &[usize]| drawn.iter().map(|&i| values[i]).sum::<f64>() / 400.0;
        let all: Vec<usize> = (0..400).collect();
        for bootstrap in [Bootstrap::seeded(400, 3), Bootstrap::fixed(400)] {
            let [low, high] = bootstrap.interval(mean).expect("finite");
            assert!(low < mean(&all) && mean(&all) < high);
            // The width's own deviation is about 4 % (variance of 400 values, quantiles of 2000).
            let want = 2.0 * 1.96 / 20.0;
            assert!(((high - low) / want - 1.0).abs() < 0.2, "{low} {high}");
            assert_eq!(bootstrap.interval(mean), Some([low, high]));
        }
        assert_eq!(Bootstrap::seeded(3, 0).interval(|_| f64::NAN), None);
        assert_eq!(Bootstrap::seeded(1, 0).interval(|drawn| drawn[0] as f64), Some([0.0, 0.0]));
        assert_eq!(Bootstrap::fixed(0).interval(|_| 1.0), None);
    }

    /// Of 0 and 1 a resample of two has the mean 0, 1/2 or 1 with chances 1/4, 1/2, 1/4.
    #[test]
    fn an_interval_of_two_values_is_both() {
        let mean = |drawn: &[usize]| (drawn[0] + drawn[1]) as f64 / 2.0;
        assert_eq!(Bootstrap::fixed(2).interval(mean), Some([0.0, 1.0]));
    }

    /// Of `k` ones among `n` a resample's sum is binomial: for 50 of 100 its deviation is 5, so
    /// that 95 % of the means lie within .402 and .598.
    #[test]
    fn intervals_are_those_of_the_binomial() {
        let mean = |drawn: &[usize]| drawn.iter().filter(|i| *i % 2 == 0).count() as f64 / 100.0;
        let [low, high] = Bootstrap::fixed(100).interval(mean).expect("finite");
        assert!((low - 0.402).abs() < 0.02 && (high - 0.598).abs() < 0.02, "{low} {high}");
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
        assert_eq!(wilson(0, 5).0, 0.0);
        assert_eq!(wilson(5, 5).1, 1.0);
    }
}
