//! What stands for all seeds of a figure, and how sure it is over few of them.

use crate::stats::{LEAST_OF_MEAN, LEAST_OF_MEDIAN, mean, mean_interval, median, median_interval};

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

    /// Its 95 % interval; `None` if there are too few.
    pub(super) fn interval(self, values: &[f64]) -> Option<[f64; 2]> {
        match self {
            Centre::Mean => mean_interval(values),
            Centre::Median => median_interval(values),
        }
    }

    /// What a figure draws of so many seeds (or what `of` calls them) an arm, `[arms]`: the centre
    /// and, as its `mark`, the interval; or why there is none.
    pub(super) fn statement(self, counts: &[usize], of: &str, mark: &str) -> String {
        let [low, high] = [counts.iter().min(), counts.iter().max()].map(|n| *n.unwrap_or(&0));
        let name = self.name();
        let least = match self {
            Centre::Mean => LEAST_OF_MEAN,
            Centre::Median => LEAST_OF_MEDIAN,
        };
        let count = if low == high { high.to_string() } else { format!("{low} to {high}") };
        match high {
            0 | 1 => format!("one {of}"),
            _ if high < least => {
                format!("{name} of {count} {of}s; no {mark}: an interval takes {least} {of}s")
            }
            _ => format!("{name} of {count} {of}s; {mark}: 95 % interval"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_of_the_centre() {
        for (centre, least) in [(Centre::Mean, 3), (Centre::Median, 6)] {
            let values = vec![3.0; least];
            assert_eq!(centre.interval(&values), Some([3.0; 2]));
            assert_eq!(centre.interval(&values[1..]), None);
            let name = centre.name();
            let said = centre.statement(&[least - 1, least], "seed", "band");
            assert_eq!(
                said,
                format!("{name} of {} to {least} seeds; band: 95 % interval", least - 1)
            );
            let few = centre.statement(&[least - 1], "seed", "band");
            assert!(few.ends_with(&format!("no band: an interval takes {least} seeds")), "{few}");
        }
        assert_eq!(Centre::Mean.statement(&[1], "run", "line"), "one run");
        assert_eq!(Centre::Median.of(&[8.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(Centre::Mean.of(&[]), None);
    }
}
