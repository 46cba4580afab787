//! Correlations of two lists, by value and by rank.
//!
//! Every correlation is a [`cosine`] of lists less their means.

use super::order::rising;

/// The rank from 0 of each of `values [n]`, in rising order; equal values share the mean of theirs.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let order = rising(values);
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    // Not by bits: 0 and -0 are equal.
    for equal in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let mean = from as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|&i| ranks[i] = mean);
        from += equal.len();
    }
    ranks
}

/// `values [n]` less their mean.
pub fn centred(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|x| x - mean).collect()
}

/// The inner product of `x [n]` and `y [n]`.
pub fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// The cosine of the angle between `x [n]` and `y [n]`, up to rounding: it may exceed 1 by a last
/// bit. `None` if one has no length.
pub fn cosine(x: &[f64], y: &[f64]) -> Option<f64> {
    let lengths = (dot(x, x) * dot(y, y)).sqrt();
    (lengths > 0.0).then(|| dot(x, y) / lengths)
}

/// Pearson's correlation of `x [n]` and `y [n]`, from deviations scaled first so that no square
/// overflows; `None` if one does not vary.
///
/// ```
/// use edgegrad::stats::{pearson, spearman};
/// let (x, y) = ([1.0, 2.0, 3.0, 4.0], [1.0, 4.0, 9.0, 16.0]);
/// assert_eq!(spearman(&x, &y), Some(1.0));
/// assert!(pearson(&x, &y).is_some_and(|r| r > 0.98 && r < 1.0));
/// ```
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let deviations = |x: &[f64]| -> Option<Vec<f64>> {
        let largest = x.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        // Not by the deviations: those of equal values are the rounding of their mean.
        let spread = x.iter().any(|&other| other != x[0]);
        let scaled = || x.iter().map(|x| x / largest).collect::<Vec<_>>();
        (spread && largest > 0.0).then(|| centred(&scaled()))
    };
    cosine(&deviations(x)?, &deviations(y)?).map(|r| r.clamp(-1.0, 1.0))
}

/// Spearman's correlation of `x [n]` and `y [n]`: [`pearson`]'s of their [`ranks`].
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    pearson(&ranks(x), &ranks(y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_by_hand() {
        // sum xy = 148, sum xx = 5, sum yy = 6920 about the means.
        let (x, y) = ([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 100.0]);
        let r = 148.0 / (5.0f64 * 6920.0).sqrt();
        assert!((pearson(&x, &y).expect("both vary") - r).abs() < 1e-15);
        assert_eq!(spearman(&x, &y), Some(1.0));
        // Ranks 0 1 2 3 and 0 2 1 3: 1 - 6 * 2 / (4 * 15).
        let rho = spearman(&[0.0, 1.0, 2.0, 5.0], &[1.0, 5.0, 4.0, 8.0]).expect("both vary");
        assert!((rho - 0.8).abs() < 1e-15);
        assert_eq!(pearson(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]), None);
        assert_eq!((pearson(&[], &[]), cosine(&[0.0], &[1.0])), (None, None));
        assert_eq!(pearson(&[1e300, -1e300, 0.0], &[1e-300, -1e-300, 0.0]), Some(1.0));
    }

    #[test]
    fn equal_values_share_their_ranks() {
        assert_eq!(ranks(&[3.0, -0.0, 3.0, 0.0, 3.0, -1.0]), [4.0, 1.5, 4.0, 1.5, 4.0, 0.0]);
        // Ranks 0.5 0.5 2 and 0 1 2: deviations -.5 -.5 1 and -1 0 1.
        let rho = spearman(&[1.0, 1.0, 2.0], &[1.0, 2.0, 3.0]).expect("both vary");
        assert!((rho - 1.5 / 3f64.sqrt()).abs() < 1e-15);
    }
}
