//! The local learning coefficient (Lau et al., arXiv 2308.12108): how fast the volume of weights
//! with a loss near that at `w*` shrinks, so how degenerate the minimum is. `d / 2` where d
//! directions are curved, less where the loss is flatter than a square.
//!
//! With n rows and `n beta = n / ln n`, chains of stochastic gradient Langevin dynamics draw from
//! `exp(-n beta L(w) - gamma / 2 |w - w*|^2)`:
//!
//! ```text
//! w += -eps / 2 (n beta grad L(w) + gamma (w - w*)) + sqrt(eps) xi
//! llc = n beta (mean of L(w) over draws - L(w*))
//! ```
//!
//! `xi` are signs: their first three moments are those of a normal, which is all that the scheme's
//! order asks for, and they take a bit each. The error is the standard error of the chains' means.
//!
//! A number is one of its gamma and eps: compare models under the same.

use super::landscape::{first_rows, flat};
use super::{Landscape, Task, Values};
use crate::nn::pooled::Config;
use crate::rng::Rng;

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Chains, each from `w*`.
    pub chains: usize,
    /// Steps of a chain before losses are taken.
    pub burn_in: usize,
    /// Steps of a chain whose losses are taken.
    pub draws: usize,
    /// The step `eps`.
    pub step: f64,
    /// The strength `gamma` of the pull to `w*`.
    pub gamma: f64,
}

impl Default for Options {
    /// 4 chains of 25 + 50 steps of 1e-4 with gamma 100: 9,600 rows in all, a fifth of those that
    /// 50 steps of 1,024 rows take. The pull needs `2 / (eps gamma)` = 200 steps to forget the
    /// start, so flat directions are still spreading; curved ones have settled.
    fn default() -> Self {
        Options { chains: 4, burn_in: 25, draws: 50, step: 1e-4, gamma: 100.0 }
    }
}

/// An estimate with its standard error over chains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The coefficient.
    pub llc: f64,
    /// The standard error.
    pub error: f64,
}

/// Rows of a step.
const ROWS: usize = 32;

/// `llc` and `llc_error` of the train loss at these weights. Steps are in single precision, whose
/// rounding is a hundred thousandth of their noise.
pub fn figures(config: &Config, weights: &[Vec<f64>], task: Task<'_>, rng: &mut Rng) -> Values {
    let data = task.rows;
    let mut landscape = Landscape::<f32>::new(config, ROWS.min(data.n));
    let mut rows = first_rows(data, ROWS);
    let mut labels = vec![0; rows.len()];
    let mut batches = rng.clone();
    let at = flat(weights);
    let (mut single, mut slope) = (vec![0f32; at.len()], vec![0f32; at.len()]);
    let mut loss = |w: &[f64], gradient: &mut [f64]| {
        for (row, label) in rows.iter_mut().zip(&mut labels) {
            *row = batches.below(data.n as u64) as u32;
            *label = data.targets[*row as usize];
        }
        single.iter_mut().zip(w).for_each(|(x, w)| *x = *w as f32);
        let loss = landscape.gradient(&single, data, (&rows, &labels), &mut slope);
        gradient.iter_mut().zip(&slope).for_each(|(g, s)| *g = (*s).into());
        loss.into()
    };
    let all = first_rows(data, usize::MAX);
    let mut gradient = vec![0.0; at.len()];
    let mut whole = Landscape::<f64>::new(config, data.n);
    let best = whole.gradient(&at, data, (&all, &data.targets), &mut gradient);
    let found = estimate((&at, best), data.n, &mut loss, Options::default(), rng);
    [("llc".to_string(), found.llc), ("llc_error".to_string(), found.error)].into()
}

/// The coefficient at `w* [N]` with the loss `L(w*)`, for n rows; `loss` writes the gradient `[N]`
/// of the loss it returns.
///
/// # Panics
/// If there are not two chains, a draw and two rows at least.
#[track_caller]
pub fn estimate(
    (at, best): (&[f64], f64),
    n: usize,
    loss: &mut dyn FnMut(&[f64], &mut [f64]) -> f64,
    options: Options,
    rng: &mut Rng,
) -> Estimate {
    let Options { chains, burn_in, draws, step, gamma } = options;
    assert!(chains >= 2 && draws >= 1 && n >= 2, "{options:?} for {n} rows");
    let heat = n as f64 / (n as f64).ln();
    let noise = step.sqrt();
    let (mut w, mut gradient) = (at.to_vec(), vec![0.0; at.len()]);
    let mut chain = || {
        w.copy_from_slice(at);
        let mut sum = 0.0;
        for i in 0..burn_in + draws {
            let now = loss(&w, &mut gradient);
            sum += if i < burn_in { 0.0 } else { now - best };
            // 64 signs at a time.
            for ((w, g), at) in w.chunks_mut(64).zip(gradient.chunks(64)).zip(at.chunks(64)) {
                let mut bits = rng.bits();
                for ((w, g), at) in w.iter_mut().zip(g).zip(at) {
                    let sign = f64::from_bits(noise.to_bits() | bits << 63);
                    bits >>= 1;
                    *w += sign - 0.5 * step * (heat * g + gamma * (*w - at));
                }
            }
        }
        heat * sum / draws as f64
    };
    let found: Vec<f64> = (0..chains).map(|_| chain()).collect();
    let llc = found.iter().sum::<f64>() / chains as f64;
    let squares: f64 = found.iter().map(|x| (x - llc) * (x - llc)).sum();
    Estimate { llc, error: (squares / (chains * (chains - 1)) as f64).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    const N: usize = 1000;

    fn found(d: usize, step: f64, draws: usize, mut f: impl FnMut(f64) -> [f64; 2]) -> Estimate {
        let mut loss = |w: &[f64], gradient: &mut [f64]| {
            let each = w.iter().zip(gradient).map(|(w, g)| {
                let [value, slope] = f(*w);
                *g = slope;
                value
            });
            each.sum()
        };
        let options = Options { chains: 4, burn_in: draws / 10, draws, step, gamma: 0.0 };
        let mut rng = Rng::new(1, Purpose::Measure, 0);
        estimate((&vec![0.0; d], 0.0), N, &mut loss, options, &mut rng)
    }

    /// Of a regular minimum in d directions it is d / 2, within 5 %. A step of relative size
    /// `h = eps n beta a` widens a direction by `1 / (1 - h / 4)`: 1 % here.
    #[test]
    fn a_regular_minimum_has_half_its_directions() {
        let heat = N as f64 / (N as f64).ln();
        let step = 0.04 / heat;
        let found = found(20, step, 8000, |w| [0.5 * w * w, w]);
        assert!((found.llc - 10.0).abs() < 0.05 * 10.0, "{found:?}");
        assert!(found.error < 0.2, "{found:?}");
    }

    /// Of `w^4` it is a quarter for each direction (the posterior's mean of `n beta w^4` is 1 / 4,
    /// by parts), within 5 %.
    #[test]
    fn a_quartic_minimum_has_a_quarter() {
        let found = found(20, 1e-4, 8000, |w| [w.powi(4), 4.0 * w.powi(3)]);
        assert!((found.llc - 5.0).abs() < 0.05 * 5.0, "{found:?}");
    }

    /// A direction that does nothing adds nothing, and the pull takes from curved ones: of
    /// curvature a is left `n beta a / (n beta a + gamma) / 2`.
    #[test]
    fn the_pull_takes_its_share() {
        let heat = N as f64 / (N as f64).ln();
        let mut loss = |w: &[f64], gradient: &mut [f64]| {
            let mut sum = 0.0;
            for (i, (w, g)) in w.iter().zip(gradient).enumerate() {
                *g = if i < 10 { *w } else { 0.0 };
                sum += 0.5 * *g * *w;
            }
            sum
        };
        let (step, gamma) = (0.02 / heat, heat);
        let options = Options { chains: 4, burn_in: 500, draws: 8000, step, gamma };
        let mut rng = Rng::new(1, Purpose::Measure, 0);
        let found = estimate((&[0.0; 20], 0.0), N, &mut loss, options, &mut rng);
        assert!((found.llc - 2.5).abs() < 0.05 * 2.5, "{found:?}");
    }
}
