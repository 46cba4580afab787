//! Means, medians, and how sure they are over few seeds.

/// What stands for all seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Centre {
    /// The mean.
    #[default]
    Mean,
    /// The median.
    Median,
}

impl Centre {
    /// Every value by its name.
    pub const ALL: [(&'static str, Centre); 2] =
        [("mean", Centre::Mean), ("median", Centre::Median)];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Centre::Mean => "mean",
            Centre::Median => "median",
        }
    }

    /// Of numbers in any order; none of none.
    pub(super) fn of(self, numbers: &[f64]) -> Option<f64> {
        match self {
            Centre::Mean => mean(numbers),
            Centre::Median => {
                let mut sorted = numbers.to_vec();
                sorted.sort_by(f64::total_cmp);
                quantile(&sorted, 0.5)
            }
        }
    }
}

/// The mean; none of none.
pub(super) fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// The `q`-quantile of sorted numbers, linear between them (Hyndman and Fan's type 7).
pub(super) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let at = q * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    Some(sorted[low] + (at - low as f64) * (sorted[high] - sorted[low]))
}

/// Samples of a bootstrap.
const DRAWS: usize = 1000;

/// Samples with replacement of `n` seeds, the same for every figure and every step: bands are
/// smooth where seeds are, and the same input gives the same picture.
#[derive(Clone, Debug)]
pub(super) struct Bootstrap {
    /// `[DRAWS, n]`.
    draws: Vec<usize>,
    n: usize,
}

impl Bootstrap {
    pub(super) fn new(n: usize) -> Self {
        let mut state = n as u64;
        let draws = (0..DRAWS * n).map(|_| (next(&mut state) % n as u64) as usize).collect();
        Bootstrap { draws, n }
    }

    /// The middle 95 % of `centre` over all samples of `values [n]`; none for fewer than two.
    ///
    /// # Panics
    /// If there is not one value for each seed.
    pub(super) fn interval(&self, values: &[f64], centre: Centre) -> Option<[f64; 2]> {
        assert_eq!(values.len(), self.n, "one value for each seed");
        if self.n < 2 {
            return None;
        }
        let mut sample = vec![0.0; self.n];
        let mut all = vec![];
        for draw in self.draws.chunks_exact(self.n) {
            for (x, &i) in sample.iter_mut().zip(draw) {
                *x = values[i];
            }
            all.extend(centre.of(&sample));
        }
        all.sort_by(f64::total_cmp);
        Some([quantile(&all, 0.025)?, quantile(&all, 0.975)?])
    }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Pearson's correlation; none where one of both does not vary.
pub(super) fn pearson(pairs: &[[f64; 2]]) -> Option<f64> {
    let [x, y] = [0, 1].map(|k| pairs.iter().map(|pair| pair[k]).collect::<Vec<_>>());
    let (mx, my) = (mean(&x)?, mean(&y)?);
    let sum =
        |f: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|&[x, y]| f(x - mx, y - my)).sum::<f64>();
    let (xx, yy, xy) = (sum(&|x, _| x * x), sum(&|_, y| y * y), sum(&|x, y| x * y));
    let r = xy / (xx * yy).sqrt();
    r.is_finite().then_some(r)
}

/// Spearman's correlation: [`pearson`]'s of ranks, equal numbers sharing the mean of theirs.
pub(super) fn spearman(pairs: &[[f64; 2]]) -> Option<f64> {
    let [x, y] = [0, 1].map(|k| ranks(&pairs.iter().map(|pair| pair[k]).collect::<Vec<_>>()));
    pearson(&x.into_iter().zip(y).map(|(x, y)| [x, y]).collect::<Vec<_>>())
}

fn ranks(numbers: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut first = 0;
    while first < order.len() {
        let alike = order[first..].iter().take_while(|&&i| numbers[i] == numbers[order[first]]);
        let last = first + alike.count().max(1);
        for &i in &order[first..last] {
            ranks[i] = 0.5 * (first + last - 1) as f64;
        }
        first = last;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_known_numbers() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile(&sorted, 0.0), Some(1.0));
        assert_eq!(quantile(&sorted, 0.5), Some(3.0));
        assert_eq!(quantile(&sorted, 0.25), Some(1.75));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(Centre::Median.of(&[8.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(Centre::Mean.of(&[]), None);
    }

    /// Of 0 and 1 a sample of two has the mean 0, 1/2 or 1 with chances 1/4, 1/2, 1/4.
    #[test]
    fn an_interval_of_two_seeds_is_both() {
        let two = Bootstrap::new(2);
        assert_eq!(two.interval(&[0.0, 1.0], Centre::Mean), Some([0.0, 1.0]));
        assert_eq!(two.interval(&[3.0, 3.0], Centre::Median), Some([3.0, 3.0]));
        assert_eq!(Bootstrap::new(1).interval(&[1.0], Centre::Mean), None);
    }

    /// Of `k` ones among `n` a sample's sum is binomial: for 50 of 100 its deviation is 5, so that
    /// 95 % of the means lie within .402 and .598.
    #[test]
    fn intervals_are_those_of_the_binomial() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i % 2 == 0))).collect();
        let [low, high] = Bootstrap::new(100).interval(&values, Centre::Mean).unwrap();
        assert!((low - 0.402).abs() < 0.02 && (high - 0.598).abs() < 0.02, "{low} {high}");
    }

    #[test]
    fn correlations_of_known_numbers() {
        let pairs = [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [4.0, 100.0]];
        assert!((spearman(&pairs).unwrap() - 1.0).abs() < 1e-12);
        // sum xy = 148, sum xx = 5, sum yy = 6920 about the means.
        let r = 148.0 / (5.0f64 * 6920.0).sqrt();
        assert!((pearson(&pairs).unwrap() - r).abs() < 1e-12);
        assert_eq!(pearson(&[[1.0, 1.0], [1.0, 2.0]]), None);
        assert_eq!(ranks(&[5.0, 1.0, 5.0]), [1.5, 0.0, 1.5]);
    }
}
