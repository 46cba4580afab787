//! Information-bottleneck masks (after IBCircuit): each edge lets through as little as the
//! behaviour needs, the rest is noise.
//!
//! With `m = sigmoid(a)` an edge carries `m x + (1 - m) x'`, where `x'` is its ablation value: with
//! the usual baseline what it carries on the other sequence, a draw from its own distribution. If
//! that is normal and `x` is standardised by it, the information that is left about `x` is at most
//!
//! ```text
//! I(m) = 1/2 (m^2 + (1 - m)^2 - 1 - ln (1 - m)^2)       nats for each dimension
//! dL/da = (dL/dm) m (1 - m) + penalty (m (1 - m) (2 m - 1) + m)
//! ```
//!
//! IBCircuit masks nodes and draws the noise from the statistics of a batch, and so needs no
//! corrupted sequence. The score is `a`.

use super::descent;
use super::descent::Masks;
use super::options::Options;
use super::scorer::{Scorer, Steps};
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::learned::sigmoid;
use crate::patching::metric::Metric;
use crate::rng::Rng;
use crate::simd::Element;

/// The learned masks as a value of [`Method`](super::Method).
pub(super) struct Bottleneck;

impl Scorer for Bottleneck {
    const USUAL_METRIC: Option<Metric> = Some(Metric::L2);
    // It draws the order of the batches.
    const SEEDED: bool = true;
    const STEPS: Option<Steps> = Some(descent::STEPS);
    const RANKS: bool = true;
    const PENALTY: Option<f64> = Some(1e-3);

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        descent::scores(b, &Narrow { penalty: options.learning.penalty }, options, progress)
    }

    fn passes<T: Element>(_: &Behaviour<'_, T>, options: &Options) -> f64 {
        descent::passes(options)
    }

    fn sets(_: usize) -> Option<u128> {
        Some(descent::SETS)
    }
}

/// Masks whose information costs.
struct Narrow {
    penalty: f64,
}

impl Masks for Narrow {
    const UNITS: &'static str = "bottleneck";
    type Draw = ();
    /// The masks.
    type Point = Vec<f64>;

    fn draw(&self, _: &mut Rng, _: usize, _: usize) {}

    fn masks(&self, a: &[f64], (): ()) -> (Vec<f64>, Vec<f64>) {
        let masks: Vec<f64> = a.iter().map(|&a| sigmoid(a)).collect();
        (masks.clone(), masks)
    }

    fn pull(&self, masks: &Vec<f64>, by_masks: &[f64]) -> Vec<f64> {
        let pull = |(&m, g): (&f64, &f64)| {
            let spread = m * (1.0 - m);
            g * spread + self.penalty * (spread * (2.0 * m - 1.0) + m)
        };
        masks.iter().zip(by_masks).map(pull).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The information of a mask, in nats.
    fn information(m: f64) -> f64 {
        0.5 * (m * m + (1.0 - m).powi(2) - 1.0 - 2.0 * libm::log(1.0 - m))
    }

    #[test]
    fn the_pressure_is_the_slope_of_the_information() {
        assert_eq!(information(0.0), 0.0);
        let narrow = Narrow { penalty: 0.7 };
        for a in [-3.0, -0.4, 0.0, 1.0, 2.5] {
            let (masks, point) = narrow.masks(&[a], ());
            let at = |a: f64| 0.3 * sigmoid(a) + 0.7 * information(sigmoid(a));
            let central = |h: f64| (at(a + h) - at(a - h)) / (2.0 * h);
            let (wide, close) = (central(2e-4), central(1e-4));
            let slope = narrow.pull(&point, &[0.3])[0];
            // Central differences are off by the square of their width, and by rounding.
            let off = (wide - close).abs() + 1e-11;
            assert!((slope - close).abs() <= off, "{a} {masks:?}: {slope} {close} {off}");
        }
    }
}
