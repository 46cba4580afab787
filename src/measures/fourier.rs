//! Which frequencies of Z_p carry the answer.
//!
//! The logits of a row over the classes `c < p` are a sum of frequencies `f = 0 .. p / 2`: the mean
//! (0), `cos` and `sin` of `2 pi f c / p`, and for even p the parity `(-1)^c` (f = p / 2). What
//! depends on the sum alone through `c - y` does so by frequency. With the mean kept always,
//!
//! - `restricted.F` is the loss where frequency F alone is left;
//! - `excluded.F` is the loss where it is taken out (Nanda et al., arXiv 2301.05217, do the same to
//!   the tokens that are added).
//!
//! Classes beyond p, which the vocabulary may have for other stages, are left out of both.

use super::{Task, Values};
use crate::nn::pooled::{Config, Pooled};
use crate::tape::Tape;
use std::f64::consts::TAU;

/// Sequences at a time.
const CHUNK: usize = 256;

/// The losses by frequency, over the rows.
pub fn losses(config: &Config, weights: &[Vec<f64>], task: Task<'_>) -> Values {
    let Task { rows: data, p } = task;
    let chunk = data.n.clamp(1, CHUNK);
    let mut tape = Tape::<f64>::new();
    let model = Pooled::record(&mut tape, config, chunk);
    tape.keep_only(&[model.logits]);
    let mut program = tape.finish();
    model.set_parameters(&mut program, weights);
    let mut sums = vec![[0.0; 2]; p / 2];
    for from in (0..data.n).step_by(chunk) {
        let rows = from..(from + chunk).min(data.n);
        model.set_batch(&mut program, rows.clone().map(|r| (data.row(r), data.targets[r])));
        program.forward();
        let logits = program.value(model.logits).chunks_exact(config.vocab);
        for (logits, r) in logits.zip(rows) {
            for (sum, f) in sums.iter_mut().zip(1..) {
                let [only, without] = split(&logits[..p], f);
                sum[0] += loss(&only, data.targets[r] as usize);
                sum[1] += loss(&without, data.targets[r] as usize);
            }
        }
    }
    let n = data.n as f64;
    let named = sums.into_iter().zip(1..).flat_map(|([only, without], f)| {
        [(format!("restricted.{f}"), only / n), (format!("excluded.{f}"), without / n)]
    });
    named.collect()
}

/// The logits `[p]` at frequency `f` with their mean, and without that frequency.
fn split(logits: &[f64], f: usize) -> [Vec<f64>; 2] {
    let p = logits.len();
    let mean = logits.iter().sum::<f64>() / p as f64;
    let angle = |c: usize| TAU * (f * c % p) as f64 / p as f64;
    // What the squares of a wave sum to.
    let norm = if 2 * f == p { p as f64 } else { p as f64 / 2.0 };
    let coefficient = |wave: fn(f64) -> f64| {
        logits.iter().enumerate().map(|(c, x)| x * wave(angle(c))).sum::<f64>() / norm
    };
    let (cos, sin) = (coefficient(f64::cos), coefficient(f64::sin));
    // The sine of parity is rounding.
    let sin = if 2 * f == p { 0.0 } else { sin };
    let at = |c: usize| cos * angle(c).cos() + sin * angle(c).sin();
    let part: Vec<f64> = (0..p).map(at).collect();
    let without = logits.iter().zip(&part).map(|(x, part)| x - part).collect();
    [part.iter().map(|x| x + mean).collect(), without]
}

/// The cross-entropy of the label, in nats.
fn loss(logits: &[f64], label: usize) -> f64 {
    let most = logits.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x));
    most + logits.iter().map(|x| (x - most).exp()).sum::<f64>().ln() - logits[label]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, rows};
    use super::*;

    /// Logits that are one wave around the label: alone it has all of the answer, without it
    /// chance.
    #[test]
    fn a_wave_is_all_or_nothing() {
        for (p, f) in [(4, 1), (4, 2), (7, 3), (2, 1)] {
            for label in 0..p {
                let wave = |c: usize| 1.5 * (TAU * (f * (c + p - label)) as f64 / p as f64).cos();
                let logits: Vec<f64> = (0..p).map(|c| 0.25 + wave(c)).collect();
                let [only, without] = split(&logits, f);
                let expected = loss(&logits, label);
                assert!((loss(&only, label) - expected).abs() < 1e-14, "{p}, {f}");
                assert!((loss(&without, label) - (p as f64).ln()).abs() < 1e-14, "{p}, {f}");
                for other in (1..=p / 2).filter(|&other| other != f) {
                    let [only, without] = split(&logits, other);
                    assert!((loss(&only, label) - (p as f64).ln()).abs() < 1e-14);
                    assert!((loss(&without, label) - expected).abs() < 1e-14);
                }
            }
        }
    }

    /// Of two classes there is one frequency, and alone it is the model.
    #[test]
    fn two_classes_have_one_frequency() {
        let (config, data) = (config(2, 3, 5), rows(300, 2));
        let weights = config.init(1);
        let found = losses(&config, &weights, Task { rows: &data, p: 2 });
        let at = weights.concat();
        let all: Vec<u32> = (0..300).collect();
        let mut gradient = vec![0.0; at.len()];
        let mut landscape = super::super::Landscape::new(&config, 300);
        let loss = landscape.gradient(&at, &data, (&all, &data.targets), &mut gradient);
        assert!((found["restricted.1"] - loss).abs() < 1e-12, "{found:?} {loss}");
        assert!((found["excluded.1"] - 2f64.ln()).abs() < 1e-12);
        assert_eq!(found.len(), 2);
    }
}
