//! Uniform gradient sampling (UGS, arXiv 2409.09951): a probability for each edge, learned through
//! masks that are mostly 0 or 1.
//!
//! With `p = sigmoid(a)`, `w = p (1 - p)` and `u` uniform on (0, 1),
//!
//! ```text
//! m = clamp((p - u) / w + 1/2, 0, 1)          dm/dp := 1 where 0 < m < 1
//! dL/da = (dL/dm [0 < m < 1] + penalty) w
//! ```
//!
//! so an edge is kept with a probability of about `p`, and partly kept in a window of width `w`
//! around it. The authors take 12 draws for each batch; here a step takes one. The score is `a`.

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

/// The learned probabilities as a value of [`Method`](super::Method).
pub(super) struct Ugs;

impl Scorer for Ugs {
    const USUAL_METRIC: Option<Metric> = Some(Metric::L2);
    const SEEDED: bool = true;
    const STEPS: Option<Steps> = Some(descent::STEPS);
    const RANKS: bool = true;
    const PENALTY: Option<f64> = Some(1e-3);

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        let drawn = Drawn { penalty: options.learning.penalty, edges: b.graph.edges() };
        descent::scores(b, &drawn, options, progress)
    }

    fn passes<T: Element>(_: &Behaviour<'_, T>, options: &Options) -> f64 {
        descent::passes(options)
    }

    fn sets(_: usize) -> Option<u128> {
        Some(descent::SETS)
    }
}

/// Masks drawn from probabilities.
struct Drawn {
    penalty: f64,
    edges: usize,
}

/// The width `w` of each edge's window, and whether its mask is inside.
type Windows = Vec<(f64, bool)>;

impl Masks for Drawn {
    const UNITS: &'static str = "ugs";
    type Draw = Vec<f64>;
    type Point = Windows;

    fn draw(&self, rng: &mut Rng, _: usize, _: usize) -> Vec<f64> {
        (0..self.edges).map(|_| rng.uniform()).collect()
    }

    fn masks(&self, a: &[f64], u: Vec<f64>) -> (Vec<f64>, Windows) {
        let mask = |(&a, u): (&f64, f64)| {
            let p = sigmoid(a);
            let w = p * (1.0 - p);
            let m = (p - u) / w + 0.5;
            (m.clamp(0.0, 1.0), (w, 0.0 < m && m < 1.0))
        };
        a.iter().zip(u).map(mask).unzip()
    }

    fn pull(&self, windows: &Windows, by_masks: &[f64]) -> Vec<f64> {
        let pull = |(&(w, inside), g): (&(f64, bool), &f64)| {
            w * (if inside { *g } else { 0.0 } + self.penalty)
        };
        windows.iter().zip(by_masks).map(pull).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    /// At `a = 0`: `p = 1/2`, `w = 1/4`, so `u = 1/2` gives 1/2, and the window is 3/8 to 5/8.
    #[test]
    fn masks_are_those_of_the_formula() {
        let drawn = Drawn { penalty: 0.5, edges: 4 };
        let (masks, windows) = drawn.masks(&[0.0; 4], vec![0.5, 0.25, 0.75, 0.4375]);
        assert_eq!(masks, [0.5, 1.0, 0.0, 0.75]);
        assert_eq!(drawn.pull(&windows, &[2.0; 4]), [0.625, 0.125, 0.125, 0.625]);
    }

    #[test]
    fn edges_are_kept_with_their_probability() {
        let (count, a) = (40_000, 1.2);
        let drawn = Drawn { penalty: 0.0, edges: count };
        let u = drawn.draw(&mut Rng::new(3, Purpose::Sample, 0), 0, 1);
        let (masks, _) = drawn.masks(&vec![a; count], u);
        let p = sigmoid(a);
        // The mean of a mask is p, as its window is symmetric and inside of (0, 1); its variance is
        // at most p (1 - p).
        let error = (p * (1.0 - p) / count as f64).sqrt();
        let mean = masks.iter().sum::<f64>() / count as f64;
        assert!((mean - p).abs() < 5.0 * error, "{mean} {p}");
    }
}
