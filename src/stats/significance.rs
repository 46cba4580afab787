//! What could be chance: p-values of random draws, and false discovery rates over many of them.

/// The p-value of a test by `draws` at random, `as_extreme` of which were at least as extreme as
/// what was seen: `(1 + as_extreme) / (1 + draws)`, so that no test claims more than it has drawn.
///
/// ```
/// assert_eq!(edgegrad::stats::p_value(0, 999), 0.001);
/// ```
pub fn p_value(as_extreme: usize, draws: usize) -> f64 {
    (1 + as_extreme) as f64 / (1 + draws) as f64
}

/// For each of the p-values `p [m]` the smallest false discovery rate at which it counts (Benjamini
/// and Hochberg 1995): with the `k`-th smallest, the smallest `p m / k` of it and all larger ones.
///
/// ```
/// use edgegrad::stats::false_discovery;
/// assert_eq!(false_discovery(&[0.01, 0.5, 0.02, 0.04]), [0.04, 0.5, 0.04, 0.16 / 3.0]);
/// ```
pub fn false_discovery(p: &[f64]) -> Vec<f64> {
    let m = p.len();
    let mut order: Vec<usize> = (0..m).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let (mut q, mut least) = (vec![0.0; m], 1.0f64);
    for (k, &i) in order.iter().enumerate().rev() {
        least = least.min(p[i] * m as f64 / (k + 1) as f64);
        q[i] = least;
    }
    q
}
