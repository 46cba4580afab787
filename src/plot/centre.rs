//! What stands for all seeds of a figure, and how sure it is over few of them.

use crate::stats::{Bootstrap, mean, median};

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

    /// The centre of `values [n]` in any order; `None` if empty.
    pub(super) fn of(self, values: &[f64]) -> Option<f64> {
        match self {
            Centre::Mean => mean(values),
            Centre::Median => median(values),
        }
    }
}

/// The middle 95 % of `centre` over resamples of `values [n]`.
pub(super) fn interval(seeds: &Bootstrap, values: &[f64], centre: Centre) -> Option<[f64; 2]> {
    let drawn = |places: &[usize]| places.iter().map(|&i| values[i]).collect::<Vec<_>>();
    seeds.interval(|places| centre.of(&drawn(places)).unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_of_the_centre() {
        let two = Bootstrap::fixed(2);
        assert_eq!(interval(&two, &[0.0, 1.0], Centre::Mean), Some([0.0, 1.0]));
        assert_eq!(interval(&two, &[3.0, 3.0], Centre::Median), Some([3.0, 3.0]));
        assert_eq!(Centre::Median.of(&[8.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(Centre::Mean.of(&[]), None);
    }
}
