//! The effective rank of each matrix (Roy and Vetterli 2007): `rank.PARAMETER`.
//!
//! With singular values `s` and `q = s / sum of s`, it is `exp(-sum of q ln q)`: 1 for an outer
//! product, n where n singular values are equal and all others 0.

use super::Values;
use super::symmetric::eigenvalues;
use crate::nn::pooled::Config;

/// The effective rank of every parameter that is a matrix of more than one row.
pub fn ranks(config: &Config, weights: &[Vec<f64>]) -> Values {
    let named = config.parameters().into_iter().zip(weights);
    let matrices = named.filter_map(|(p, w)| match *p.shape.dims() {
        [rows, columns] if rows > 1 => {
            Some((format!("rank.{}", p.name), effective_rank(w, rows, columns)))
        }
        _ => None,
    });
    matrices.collect()
}

/// The effective rank of `a [rows, columns]`; 0 if it is 0.
pub fn effective_rank(a: &[f64], rows: usize, columns: usize) -> f64 {
    // The smaller of A A' and A' A has the same singular values, squared.
    let n = rows.min(columns);
    let at =
        |i: usize, k: usize| if rows <= columns { a[i * columns + k] } else { a[k * columns + i] };
    let mut gram = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            gram[i * n + j] = (0..rows.max(columns)).map(|k| at(i, k) * at(j, k)).sum();
        }
    }
    let singular: Vec<f64> = eigenvalues(gram, n).iter().map(|x| x.max(0.0).sqrt()).collect();
    let sum: f64 = singular.iter().sum();
    if sum == 0.0 {
        return 0.0;
    }
    let entropy = singular.iter().map(|s| s / sum).filter(|q| *q > 0.0).map(|q| -q * q.ln());
    entropy.sum::<f64>().exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_directions_are_counted() {
        let outer: Vec<f64> = (0..12).map(|i| (1 + i / 4) as f64 * (i % 4) as f64).collect();
        // A rank of one leaves singular values of rounding, whose root is 1e-8 of the largest.
        assert!((effective_rank(&outer, 3, 4) - 1.0).abs() < 1e-5);
        let mut two = vec![0.0; 15];
        (two[0], two[8]) = (3.0, -3.0);
        assert!((effective_rank(&two, 3, 5) - 2.0).abs() < 1e-12);
        assert!((effective_rank(&two, 5, 3) - 2.0).abs() < 1e-12, "of its transpose as well");
        // Singular values 3 and 1: q = 3/4, 1/4.
        let entropy: f64 = [0.75f64, 0.25].iter().map(|q| -q * q.ln()).sum();
        assert!((effective_rank(&[3.0, 0.0, 0.0, 1.0], 2, 2) - entropy.exp()).abs() < 1e-12);
        assert_eq!(effective_rank(&[0.0; 4], 2, 2), 0.0);
    }
}
