//! Values in groups: seeds of base models, each judged on items of its own.
//!
//! ```text
//! y[b][s] = mu + a[b] + e[b][s]      bases, seeds of a base; items are drawn anew in each
//! mean    = mean over b of mean over s of y[b][s]
//! ```
//!
//! The bases are the sample, as seeds of one base are alike: what bases, seeds and items add to the
//! spread is all in that of the means of bases, so an interval over these covers, however the
//! spread is divided. It needs no estimate of each part, which three or five bases could not give.

use super::interval::mean_interval;
use super::mean;

/// The means of `groups`, of those that have values.
pub fn group_means(groups: &[Vec<f64>]) -> Vec<f64> {
    groups.iter().filter_map(|group| mean(group)).collect()
}

/// The 95 % interval of the mean of what `groups` are a sample of: that of the [means](group_means)
/// of groups; `None` for fewer than [`LEAST_OF_MEAN`](super::LEAST_OF_MEAN) groups.
pub fn nested_interval(groups: &[Vec<f64>]) -> Option<[f64; 2]> {
    mean_interval(&group_means(groups))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};

    /// Studies: the standard error of a coverage of .95 is then .0034.
    const STUDIES: usize = 4000;

    /// The rates of success of a study: bases with `spread`, seeds with a half of it, and 20 items
    /// each, right or wrong; seeds are missing here and there.
    fn study(bases: usize, spread: f64, rng: &mut Rng) -> Vec<Vec<f64>> {
        let base = |b: usize, rng: &mut Rng| {
            let a = spread * rng.normal();
            let seeds = 5 - b % 3;
            let seed = |rng: &mut Rng| {
                let p = (0.5 + a + 0.5 * spread * rng.normal()).clamp(0.0, 1.0);
                (0..20).filter(|_| rng.uniform() < p).count() as f64 / 20.0
            };
            (0..seeds).map(|_| seed(rng)).collect()
        };
        (0..bases).map(|b| base(b, rng)).collect()
    }

    /// Whatever base models, seeds and items add to the spread.
    #[test]
    fn studies_of_bases_seeds_and_items_are_covered_as_often_as_said() {
        for (stream, bases) in [3, 5, 10, 12, 30].into_iter().enumerate() {
            for (i, spread) in [0.0, 0.03, 0.1].into_iter().enumerate() {
                let mut rng = Rng::new(5, Purpose::Sample, (10 * stream + i) as u32);
                let covered = (0..STUDIES).filter(|_| {
                    let study = study(bases, spread, &mut rng);
                    nested_interval(&study).is_some_and(|[low, high]| low <= 0.5 && 0.5 <= high)
                });
                let coverage = covered.count() as f64 / STUDIES as f64;
                assert!((0.93..=0.97).contains(&coverage), "{bases}, {spread}: {coverage}");
            }
        }
    }

    #[test]
    fn groups_without_values_do_not_count() {
        let groups = [vec![1.0, 3.0], vec![], vec![3.0], vec![4.0]];
        assert_eq!(group_means(&groups), [2.0, 3.0, 4.0]);
        assert_eq!(nested_interval(&groups), mean_interval(&[2.0, 3.0, 4.0]));
        assert_eq!(nested_interval(&groups[..3]), None);
    }
}
