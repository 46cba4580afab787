//! Eigenvalues of small symmetric matrices.

/// Sweeps after which off-diagonal elements are below any rounding: each squares them.
const SWEEPS: usize = 30;

/// The eigenvalues of the symmetric matrix `a [n, n]`, increasing, by Jacobi's rotations.
///
/// Source: Golub and Van Loan, Matrix Computations, 4th ed., 8.5.
pub(super) fn eigenvalues(mut a: Vec<f64>, n: usize) -> Vec<f64> {
    let total: f64 = a.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n * n).filter(|i| i / n != i % n).map(|i| a[i] * a[i]).sum();
        if off <= f64::EPSILON * f64::EPSILON * total {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, n, p, q);
            }
        }
    }
    let mut values: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Turns the plane of axes p and q so that their element becomes 0.
fn rotate(a: &mut [f64], n: usize, p: usize, q: usize) {
    let element = a[p * n + q];
    if element == 0.0 {
        return;
    }
    let tau = (a[q * n + q] - a[p * n + p]) / (2.0 * element);
    let t = 1.0f64.copysign(tau) / (tau.abs() + (1.0 + tau * tau).sqrt());
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
    }
}

#[cfg(test)]
mod tests {
    use super::eigenvalues;

    /// The second difference of n points has eigenvalues `2 - 2 cos(pi k / (n + 1))`.
    #[test]
    fn the_second_difference_has_its_eigenvalues() {
        let n = 9;
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            a[i * n + i] = 2.0;
            if i + 1 < n {
                (a[i * n + i + 1], a[(i + 1) * n + i]) = (-1.0, -1.0);
            }
        }
        for (k, value) in eigenvalues(a, n).into_iter().enumerate() {
            let angle = std::f64::consts::PI * (k + 1) as f64 / (n + 1) as f64;
            // A sum of squares of n rounded elements, each below 4.
            assert!((value - (2.0 - 2.0 * angle.cos())).abs() < 1e-13, "{k}: {value}");
        }
    }
}
