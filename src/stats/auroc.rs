//! How well a value tells two groups apart.

use super::interval::Z;
use super::ranks;

/// The area under the receiver operating characteristic: the chance that a value of `positive [m]`
/// is above one of `negative [n]`, ties counting half (Mann and Whitney); `None` if a group is
/// empty.
///
/// ```
/// assert_eq!(edgegrad::stats::auroc(&[2.0, 3.0], &[1.0, 3.0]), Some(0.625));
/// ```
pub fn auroc(positive: &[f64], negative: &[f64]) -> Option<f64> {
    let (m, n) = (positive.len(), negative.len());
    if m == 0 || n == 0 {
        return None;
    }
    let all = ranks(&[positive, negative].concat());
    let sum: f64 = all[..m].iter().sum();
    let least = (m * (m - 1)) as f64 / 2.0;
    Some((sum - least) / (m * n) as f64)
}

/// The 95 % interval of an area of `area` seen with groups of m and n values: all areas A with
/// `|area - A| <= z s(A)` for Hanley and McNeil's variance
/// `A (1 - A) (1 + h (1 - A) / (2 - A) + h A / (1 + A)) / (m n)`, `h = (m + n) / 2 - 1`.
///
/// Like Wilson's interval of a rate it stays within 0 and 1 and is right for areas of 0 and 1.
/// Source: R. G. Newcombe, "Confidence intervals for an effect size measure based on the
/// Mann-Whitney statistic. Part 2", Statistics in Medicine 25 (2006) 559-573, method 5.
///
/// # Panics
/// If a group is empty.
#[track_caller]
pub fn auroc_interval(area: f64, m: usize, n: usize) -> [f64; 2] {
    assert!(m > 0 && n > 0, "groups of {m} and {n} values");
    let h = (m + n) as f64 / 2.0 - 1.0;
    let inside = |a: f64| {
        let shape = 1.0 + h * (1.0 - a) / (2.0 - a) + h * a / (1.0 + a);
        (area - a).abs() <= Z * (a * (1.0 - a) * shape / (m * n) as f64).sqrt()
    };
    // From the area outwards it is inside first and then outside.
    let end = |mut near: f64, mut far: f64| {
        for _ in 0..60 {
            let middle = 0.5 * (near + far);
            *(if inside(middle) { &mut near } else { &mut far }) = middle;
        }
        near
    };
    [end(area, 0.0), end(area, 1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};

    #[test]
    fn pairs_are_counted() {
        let by_hand = |p: &[f64], n: &[f64]| {
            let pairs = p.iter().flat_map(|p| n.iter().map(move |n| (p, n)));
            let won = |(p, n): (&f64, &f64)| {
                if p > n {
                    1.0
                } else if p == n {
                    0.5
                } else {
                    0.0
                }
            };
            pairs.map(won).sum::<f64>() / (p.len() * n.len()) as f64
        };
        for (p, n) in [
            (&[1.0, 5.0, 5.0][..], &[5.0, 0.0][..]),
            (&[3.0], &[1.0, 2.0, 3.0, 4.0]),
            (&[9.0, 8.0], &[1.0]),
        ] {
            let found = auroc(p, n).expect("two groups");
            assert!((found - by_hand(p, n)).abs() < 1e-15, "{p:?} {n:?}: {found}");
        }
        assert_eq!(auroc(&[], &[1.0]), None);
        assert_eq!(auroc(&[7.0, 8.0], &[1.0, 2.0]), Some(1.0));
    }

    /// The area of normals whose means are d deviations apart is `Phi(d / sqrt 2)`; the interval
    /// holds it in 93 to 98 % of studies of few values, a little more than said.
    #[test]
    fn areas_are_covered_as_often_as_said() {
        for (stream, (m, n, d)) in
            [(10, 10, 0.0), (7, 13, 1.0), (20, 20, 1.5)].into_iter().enumerate()
        {
            let mut rng = Rng::new(3, Purpose::Sample, stream as u32);
            let truth = 0.5 * libm::erfc(-d / 2.0);
            let mut covered = 0;
            for _ in 0..2000 {
                let p: Vec<f64> = (0..m).map(|_| d + rng.normal()).collect();
                let q: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
                let [low, high] = auroc_interval(auroc(&p, &q).expect("two groups"), m, n);
                covered += usize::from(low <= truth && truth <= high);
            }
            let share = covered as f64 / 2000.0;
            assert!((0.93..=0.98).contains(&share), "{m}, {n}, {d}: {share}");
        }
        let [low, high] = auroc_interval(1.0, 5, 5);
        assert!(low > 0.5 && low < 0.9 && high == 1.0, "{low} {high}");
    }
}
