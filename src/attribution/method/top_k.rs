//! A differentiable choice of the `k` largest: masks between 0 and 1 that sum to `k`.
//!
//! ```text
//! m_e = sigmoid((s_e - tau) / T)     with tau such that the sum of m is k
//! ```
//!
//! With `p_e = m_e (1 - m_e)` the threshold moves by `p_j / sum p` of a change of `s_j`, so
//!
//! ```text
//! dL/ds_j = p_j / T (g_j - sum_e g_e p_e / sum_e p_e)     with g = dL/dm
//! ```
//!
//! A constant added to all scores changes nothing, and the derivatives sum to 0.

/// The temperature `T`.
pub(super) const TEMPERATURE: f64 = 0.5;

/// The most steps of the search of the threshold; bisection alone takes about 50.
const STEPS: usize = 100;

/// Masks of the `k` largest scores, and how they move.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::attribution) struct TopK {
    /// `[E]`, from 0 to 1.
    pub(in crate::attribution) masks: Vec<f64>,
    /// `[E]`, `m (1 - m)`.
    spread: Vec<f64>,
}

impl TopK {
    /// The masks of `scores [E]` that sum to `k`, between 0 and E.
    ///
    /// # Panics
    /// If `k` is not between 0 and E.
    pub(in crate::attribution) fn of(scores: &[f64], k: f64) -> TopK {
        assert!(0.0 < k && k < scores.len() as f64, "{k} of {} masks", scores.len());
        // All masks are below k / E at the upper end, and above it at the lower end.
        let beyond = TEMPERATURE * ((scores.len() as f64).ln() + 10.0);
        let mut low = scores.iter().copied().fold(f64::INFINITY, f64::min) - beyond;
        let mut high = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max) + beyond;
        let mut tau = 0.5 * (low + high);
        let close = 1e-12 * k.min(scores.len() as f64 - k);
        let mut masks = vec![0.0; scores.len()];
        for _ in 0..STEPS {
            let (mut sum, mut slope) = (0.0, 0.0);
            for (mask, score) in masks.iter_mut().zip(scores) {
                *mask = 1.0 / (1.0 + libm::exp((tau - score) / TEMPERATURE));
                sum += *mask;
                slope += *mask * (1.0 - *mask);
            }
            if (sum - k).abs() <= close {
                break;
            }
            *if sum > k { &mut low } else { &mut high } = tau;
            // Newton's step, or bisection where it would leave what encloses the threshold.
            let step = tau + TEMPERATURE * (sum - k) / slope;
            let next = if low < step && step < high { step } else { 0.5 * (low + high) };
            if next == tau {
                break;
            }
            tau = next;
        }
        let spread = masks.iter().map(|m| m * (1.0 - m)).collect();
        TopK { masks, spread }
    }

    /// The derivatives by the scores `[E]` from those by the masks.
    pub(in crate::attribution) fn pull(&self, by_masks: &[f64]) -> Vec<f64> {
        let total: f64 = self.spread.iter().sum();
        let pairs = by_masks.iter().zip(&self.spread);
        let mean = pairs.clone().map(|(g, p)| g * p).sum::<f64>() / total;
        pairs.map(|(g, p)| p / TEMPERATURE * (g - mean)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};
    use proptest::prelude::{prop_assert, proptest};

    proptest! {
        #[test]
        fn masks_sum_to_the_size(
            seed in 0u64..1000, edges in 2usize..400, share in 0.001f64..0.999, scale in 0.0f64..60.0,
        ) {
            let mut rng = Rng::new(seed, Purpose::Sample, 0);
            let scores: Vec<f64> = (0..edges).map(|_| scale * rng.normal()).collect();
            let k = share * edges as f64;
            let top = TopK::of(&scores, k);
            let sum: f64 = top.masks.iter().sum();
            // Where no score is near the threshold its last bit moves the sum by this much.
            let last = 4.0 * f64::EPSILON * (1.0 + 2.0 * 60.0 * scale) * edges as f64;
            prop_assert!((sum - k).abs() <= 1e-11 * edges as f64 + last, "{sum} {k}");
            for (i, j) in (0..edges).zip(1..edges) {
                prop_assert!((scores[i] < scores[j]) <= (top.masks[i] <= top.masks[j]));
            }
        }
    }

    #[test]
    fn derivatives_are_slopes() {
        let mut rng = Rng::new(1, Purpose::Sample, 0);
        let mut draw = |n: usize| (0..n).map(|_| rng.normal()).collect::<Vec<f64>>();
        let (scores, by_masks, way) = (draw(20), draw(20), draw(20));
        let along = |h: f64| {
            let moved: Vec<f64> = scores.iter().zip(&way).map(|(s, w)| s + h * w).collect();
            let masks = TopK::of(&moved, 6.5).masks;
            masks.iter().zip(&by_masks).map(|(m, g)| m * g).sum::<f64>()
        };
        let pulled = TopK::of(&scores, 6.5).pull(&by_masks);
        let slope: f64 = pulled.iter().zip(&way).map(|(d, w)| d * w).sum();
        let (wide, narrow) = ([1e-3, -1e-3].map(along), [5e-4, -5e-4].map(along));
        let (wide, narrow) = ((wide[0] - wide[1]) / 2e-3, (narrow[0] - narrow[1]) / 1e-3);
        // Central differences are off by the square of their width.
        let off = 2.0 * (wide - narrow).abs() + 1e-9;
        assert!(slope.abs() > 1e-2 && off < 1e-5, "{slope} {off}");
        assert!((narrow - slope).abs() <= off, "{slope} {narrow} {off}");
        assert!(pulled.iter().sum::<f64>().abs() < 1e-12, "a constant changes nothing");
    }
}
