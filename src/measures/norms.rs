//! The Frobenius norm of each group of parameters: `norm.GROUP`.

use super::Values;
use crate::nn::pooled::Config;

/// `sqrt(sum of squares)` of all weights of a group.
pub fn norms(config: &Config, weights: &[Vec<f64>]) -> Values {
    let mut squares = Values::new();
    for (p, w) in config.parameters().iter().zip(weights) {
        let key = format!("norm.{}", p.group.name());
        *squares.entry(key).or_default() += w.iter().map(|x| x * x).sum::<f64>();
    }
    squares.into_iter().map(|(key, x)| (key, x.sqrt())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    #[test]
    fn a_group_counts_all_its_parameters() {
        let config = config(3, 2, 4);
        let weights: Vec<Vec<f64>> =
            config.parameters().iter().map(|p| vec![2.0; p.shape.len()]).collect();
        let found = norms(&config, &weights);
        assert_eq!(found.len(), 5);
        assert!((found["norm.query"] - 8f64.sqrt()).abs() < 1e-15);
        // 4 x 2, 4, 2 x 4 and 2 elements of 2.
        assert!((found["norm.mlp"] - 2.0 * 22f64.sqrt()).abs() < 1e-14, "{found:?}");
    }
}
