//! How the sizes of random circuits are distributed, and what a small step from equal scores then
//! weighs.

use crate::named::named;

named! {
    /// The distribution of the size `k` from 1 to E of the circuit that a step looks at. With the
    /// share `t = k / E`, masks that are all equal are `t`, and their first step is the derivative
    /// along the diagonal, weighted by the density of `t` times `t (1 - t)`.
    Sizes {
        /// All sizes alike: weight `6 t (1 - t)`.
        #[default]
        Uniform = "uniform",
        /// All orders of magnitude alike: weight `2 (1 - t)`.
        Log = "log",
        /// All odds `t / (1 - t)` alike: weight 1, as in integrated gradients.
        Logit = "logit",
    }
}

impl Sizes {
    /// The size of a graph with `edges` edges at which the share `u`, from 0 to 1, of all draws is
    /// smaller.
    pub fn quantile(self, u: f64, edges: usize) -> f64 {
        let all = edges as f64;
        let size = match self {
            Sizes::Uniform => 1.0 + u * (all - 1.0),
            Sizes::Log => all.powf(u),
            Sizes::Logit => {
                // From half an edge to all but half an edge: the ends have no odds.
                let odds = (2.0 * all - 1.0).powf(2.0 * u - 1.0);
                all * odds / (1.0 + odds)
            }
        };
        size.clamp(0.5, all - 0.5)
    }

    /// The weight of the derivative at masks of `t`; its integral from 0 to 1 is 1.
    pub fn weight(self, t: f64) -> f64 {
        match self {
            Sizes::Uniform => 6.0 * t * (1.0 - t),
            Sizes::Log => 2.0 * (1.0 - t),
            Sizes::Logit => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::Named;

    /// The density is that of the quantiles, up to a factor: weights are their slopes times
    /// `t (1 - t)`.
    #[test]
    fn weights_are_densities_of_the_quantiles() {
        let edges = 4000;
        for &(name, sizes) in Sizes::ALL {
            let ratio = |u: f64| {
                let [a, b] = [u - 1e-4, u + 1e-4].map(|u| sizes.quantile(u, edges) / edges as f64);
                let (t, density) = (0.5 * (a + b), 2e-4 / (b - a));
                sizes.weight(t) / (density * t * (1.0 - t))
            };
            let first = ratio(0.3);
            assert!(first > 0.1, "{name}: {first}");
            for u in [0.4, 0.5, 0.7, 0.9] {
                assert!((ratio(u) / first - 1.0).abs() < 1e-3, "{name} {u}: {} {first}", ratio(u));
            }
            let steps = 1000;
            let point = |i: usize| sizes.weight((i as f64 + 0.5) / steps as f64) / steps as f64;
            assert!(((0..steps).map(point).sum::<f64>() - 1.0).abs() < 1e-5, "{name}");
            assert!(sizes.quantile(0.0, edges) <= 1.0 && sizes.quantile(1.0, edges) >= 3999.0);
        }
    }
}
