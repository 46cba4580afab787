//! The plane an embedding is looked at in: its first two principal components.
//!
//! The plane is fitted once, on the last snapshot, and then held still, so that what moves on the
//! page is the embedding and not the view.

use super::snapshot::Matrix;

/// A plane in `D` dimensions: where its origin is, its two axes, and how much of the variance of the
/// points it was fitted on each axis carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// `[D]`.
    pub origin: Vec<f64>,
    /// Two orthonormal axes `[D]`, the one with more variance first.
    pub axes: [Vec<f64>; 2],
    /// Share of the variance on each axis; none when the plane is the embedding's own coordinates.
    pub explained: Option<[f64; 2]>,
}

impl Plane {
    /// Fits a plane to the rows of `points`, `[N, D]`. For `D` of at most 2 it is the coordinates
    /// themselves.
    ///
    /// Each axis points so that its largest component is positive, which fixes the sign that a
    /// principal component leaves open.
    pub fn fit(points: &Matrix) -> Self {
        let (n, d) = (points.rows, points.cols);
        let unit = |i: usize| (0..d).map(|j| f64::from(u8::from(i == j))).collect::<Vec<_>>();
        if d <= 2 {
            return Plane { origin: vec![0.0; d], axes: [unit(0), unit(1)], explained: None };
        }
        let origin: Vec<f64> =
            (0..d).map(|j| (0..n).map(|i| points.row(i)[j]).sum::<f64>() / n as f64).collect();
        let centred: Vec<Vec<f64>> = (0..n)
            .map(|i| points.row(i).iter().zip(&origin).map(|(x, o)| x - o).collect())
            .collect();
        // X Xᵀ and Xᵀ X share their non-zero eigenvalues; the smaller one is decomposed.
        let by_rows = n <= d;
        let gram = if by_rows {
            symmetric(n, |a, b| dot(&centred[a], &centred[b]))
        } else {
            symmetric(d, |a, b| centred.iter().map(|row| row[a] * row[b]).sum())
        };
        let (values, vectors) = eigen(gram);
        let total: f64 = values.iter().map(|value| value.max(0.0)).sum();
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let mut axes: [Vec<f64>; 2] = [unit(0), unit(1)];
        let mut explained = [0.0; 2];
        for (which, &index) in order.iter().take(2).enumerate() {
            if values[index] <= 1e-12 * total || total == 0.0 {
                continue;
            }
            let vector: Vec<f64> = vectors.iter().map(|row| row[index]).collect();
            let mut axis = if by_rows {
                (0..d).map(|j| (0..n).map(|i| vector[i] * centred[i][j]).sum()).collect()
            } else {
                vector
            };
            let largest =
                axis.iter().fold(0.0f64, |a, &x: &f64| if x.abs() > a.abs() { x } else { a });
            let norm = dot(&axis, &axis).sqrt().copysign(largest);
            axis.iter_mut().for_each(|x| *x /= norm);
            axes[which] = axis;
            explained[which] = values[index] / total;
        }
        // Points on a line or all in one place leave axes free: any direction across will do.
        for which in 0..2 {
            if explained[which] == 0.0 {
                let other = axes[1 - which].clone();
                let fixed = which == 1 || explained[1] > 0.0;
                let flat = |i: &usize| if fixed { other[*i].abs() } else { *i as f64 };
                let i = (0..d).min_by(|a, b| flat(a).total_cmp(&flat(b))).unwrap_or(0);
                let mut axis = unit(i);
                if fixed {
                    let along = other[i];
                    axis.iter_mut().zip(&other).for_each(|(x, o)| *x -= along * o);
                }
                let norm = dot(&axis, &axis).sqrt();
                axis.iter_mut().for_each(|x| *x /= norm);
                axes[which] = axis;
            }
        }
        Plane { origin, axes, explained: Some(explained) }
    }

    /// Where a point `[D]` falls on the plane.
    pub fn project(&self, point: &[f64]) -> [f64; 2] {
        let along = |axis: &[f64]| {
            axis.iter().zip(point).zip(&self.origin).map(|((a, x), o)| a * (x - o)).sum()
        };
        [along(&self.axes[0]), along(&self.axes[1])]
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn symmetric(n: usize, entry: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    (0..n).map(|a| (0..n).map(|b| entry(a.max(b), a.min(b))).collect()).collect()
}

/// Eigenvalues of a symmetric matrix and eigenvectors in columns, by cyclic Jacobi rotations
/// (Golub & Van Loan, "Matrix Computations", 8.5).
fn eigen(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let mut v = symmetric(n, |i, j| f64::from(u8::from(i == j)));
    let scale: f64 = a.iter().flatten().map(|x| x * x).sum();
    for _ in 0..50 {
        let off: f64 =
            (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j].powi(2)).sum();
        if off <= 1e-30 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = 1.0f64.copysign(tau) / (tau.abs() + (1.0 + tau * tau).sqrt());
                let c = 1.0 / (1.0 + t * t).sqrt();
                let s = t * c;
                for row in a.iter_mut().chain(v.iter_mut()) {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                let (above, below) = a.split_at_mut(q);
                for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
        }
    }
    ((0..n).map(|i| a[i][i]).collect(), v)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matrix(rows: usize, cols: usize, data: Vec<f64>) -> Matrix {
        Matrix { rows, cols, data }
    }

    #[test]
    fn finds_a_known_plane() {
        // Points at ±3 on (1,1,0)/√2 and ±1 on (0,0,1), moved by (5,0,0): variances 9 : 1.
        let r = 3.0 / 2f64.sqrt();
        let points =
            matrix(4, 3, vec![5.0 + r, r, 0.0, 5.0 - r, -r, 0.0, 5.0, 0.0, 1.0, 5.0, 0.0, -1.0]);
        let plane = Plane::fit(&points);
        let [first, second] = plane.explained.unwrap();
        assert!((first - 0.9).abs() < 1e-12 && (second - 0.1).abs() < 1e-12);
        assert!((plane.axes[0][0] - 0.5f64.sqrt()).abs() < 1e-12, "{plane:?}");
        assert!((plane.axes[1][2] - 1.0).abs() < 1e-12);
        let [x, y] = plane.project(points.row(0));
        assert!((x - 3.0).abs() < 1e-12 && y.abs() < 1e-12);
    }

    #[test]
    fn two_dimensions_are_shown_as_they_are() {
        let plane = Plane::fit(&matrix(2, 2, vec![1.0, 2.0, -3.0, 4.0]));
        assert_eq!(plane.explained, None);
        assert_eq!(plane.project(&[-3.0, 4.0]), [-3.0, 4.0]);
        let line = Plane::fit(&matrix(2, 1, vec![1.0, 2.0]));
        assert_eq!(line.project(&[2.0]), [2.0, 0.0]);
    }

    #[test]
    fn points_that_span_no_plane_still_give_one() {
        for data in [vec![2.0; 9], vec![1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0]] {
            let plane = Plane::fit(&matrix(3, 3, data));
            assert!(dot(&plane.axes[0], &plane.axes[1]).abs() < 1e-12);
            assert!((dot(&plane.axes[1], &plane.axes[1]) - 1.0).abs() < 1e-12);
        }
    }

    proptest! {
        // The first component carries at least as much variance as any other direction, and wide and
        // tall matrices (decomposed through different Gram matrices) obey the same law.
        #[test]
        fn no_direction_carries_more(
            n in 2usize..9,
            d in 3usize..9,
            seed in prop::collection::vec(-1.0f64..1.0, 8 * 8 + 8),
        ) {
            let points = matrix(n, d, seed[..n * d].to_vec());
            let plane = Plane::fit(&points);
            let variance = |axis: &[f64]| -> f64 {
                (0..n).map(|i| points.row(i).iter().zip(&plane.origin).zip(axis)
                    .map(|((x, o), a)| (x - o) * a).sum::<f64>().powi(2)).sum()
            };
            let total: f64 = (0..n).map(|i| points.row(i).iter().zip(&plane.origin)
                .map(|(x, o)| (x - o) * (x - o)).sum::<f64>()).sum();
            let other = &seed[64..64 + d];
            let norm = dot(other, other);
            prop_assume!(norm > 1e-3);
            let first = variance(&plane.axes[0]);
            prop_assert!(variance(other) / norm <= first + 1e-9);
            prop_assert!(variance(&plane.axes[1]) <= first + 1e-9);
            prop_assert!(dot(&plane.axes[0], &plane.axes[1]).abs() < 1e-9);
            prop_assert!((first / total - plane.explained.unwrap()[0]).abs() < 1e-9);
        }
    }
}
