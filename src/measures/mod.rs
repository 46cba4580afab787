//! Quantities of a pooled model on the rows of a task, as training goes on: a file for each.
//!
//! | measure | what | keys |
//! | --- | --- | --- |
//! | [`norms`] | Frobenius norm of each group of parameters | `norm.GROUP` |
//! | [`rank`] | effective rank of each matrix | `rank.PARAMETER` |
//! | [`entropy`] | entropy of the attention, in nats | `entropy` |
//! | [`gradients`] | agreement of the gradients of parity and of the rest, and of classes | `cosine.parity`, `share.parity`, `cosine.classes` |
//! | [`fourier`] | loss with one frequency of the logits over Z_p alone, and without it | `restricted.F`, `excluded.F` |
//! | [`hessian`] | top eigenvalue and trace of the Hessian of the train loss | `hessian.top`, `hessian.trace`, `hessian.trace_error` |
//! | [`llc`] | local learning coefficient by Langevin dynamics | `llc`, `llc_error` |
//!
//! All compute on the train rows, in double precision but for the chains of [`llc`], and leave the
//! run alone: they take no random numbers of it, and the weights keep their bits.
#![forbid(unsafe_code)]

pub mod entropy;
pub mod fourier;
pub mod gradients;
pub mod hessian;
mod landscape;
pub mod llc;
pub mod norms;
pub mod rank;
mod symmetric;

use crate::named::named;
use crate::nn::pooled::Config;
use crate::rng::{Purpose, Rng};
use crate::tasks::Dataset;
use std::collections::BTreeMap;

pub use landscape::Landscape;

named! {
    /// What can be measured along a training.
    Measure {
        /// [`norms`].
        #[default]
        Norms = "norms",
        /// [`rank`].
        Rank = "rank",
        /// [`entropy`].
        Entropy = "entropy",
        /// [`gradients`].
        Gradients = "gradients",
        /// [`fourier`].
        Fourier = "fourier",
        /// [`hessian`].
        Hessian = "hessian",
        /// [`llc`].
        Llc = "llc",
    }
}

/// What was measured, by key.
pub type Values = BTreeMap<String, f64>;

/// The task whose rows are measured on.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The rows.
    pub rows: &'a Dataset,
    /// The modulus.
    pub p: usize,
}

/// Why a measure cannot be had of a task with this modulus; `None` if it can.
pub fn impossible(measure: Measure, p: usize) -> Option<String> {
    let odd = measure == Measure::Gradients && !p.is_multiple_of(2);
    odd.then(|| format!("parity is no part of a sum modulo {p}"))
}

/// Everything that `measures` measure of a model with `weights` (by parameter, row-major); what is
/// estimated from random numbers takes those of `seed` and `step`.
pub fn measure(
    measures: &[Measure],
    config: &Config,
    weights: &[Vec<f64>],
    task: Task<'_>,
    (seed, step): (u64, u64),
) -> Values {
    let mut values = Values::new();
    for &measure in measures {
        // One stream for each step: which other measures are taken changes nothing.
        let rng = || Rng::new(seed, Purpose::Measure, step as u32);
        match measure {
            Measure::Norms => values.extend(norms::norms(config, weights)),
            Measure::Rank => values.extend(rank::ranks(config, weights)),
            Measure::Entropy => values.extend(entropy::entropy(config, weights, task)),
            Measure::Gradients => values.extend(gradients::agreement(config, weights, task)),
            Measure::Fourier => values.extend(fourier::losses(config, weights, task)),
            Measure::Hessian => values.extend(hessian::figures(config, weights, task, &mut rng())),
            Measure::Llc => values.extend(llc::figures(config, weights, task, &mut rng())),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::Named;
    use crate::nn::Activation;

    /// A model of V tokens in rows of six.
    pub(super) fn config(vocab: usize, d_model: usize, d_mlp: usize) -> Config {
        let activation = Activation::Gelu;
        Config { vocab, seq_len: 6, d_model, d_mlp, activation, mlp_bias: true, dropout: 0.0 }
    }

    /// Rows of six tokens whose labels are the sums of the first two.
    pub(super) fn rows(n: usize, p: u32) -> Dataset {
        let tokens: Vec<u32> = (0..n as u32 * 6).map(|i| (i * i * 7 + i / 3) % 11 % p).collect();
        let targets = tokens.chunks(6).map(|row| (row[0] + row[1]) % p).collect();
        Dataset { tokens, targets, n, seq_len: 6 }
    }

    /// What one measure finds does not depend on the others, and repeats.
    #[test]
    fn measures_do_not_depend_on_each_other() {
        let (config, data) = (config(4, 3, 5), rows(40, 4));
        let weights = config.init(0);
        let all: Vec<Measure> = Measure::ALL.iter().map(|m| m.1).collect();
        let task = Task { rows: &data, p: 4 };
        let together = measure(&all, &config, &weights, task, (1, 9));
        let mut apart = Values::new();
        for one in all {
            let found = measure(&[one], &config, &weights, task, (1, 9));
            assert!(!found.is_empty() && found.values().all(|x| x.is_finite()), "{found:?}");
            apart.extend(found);
        }
        assert_eq!(together, apart);
        assert_ne!(measure(&[Measure::Llc], &config, &weights, task, (2, 9))["llc"], apart["llc"]);
    }

    #[test]
    fn an_odd_modulus_has_no_parity() {
        assert!(impossible(Measure::Gradients, 3).expect("odd").contains("modulo 3"));
        assert_eq!(impossible(Measure::Gradients, 4), None);
        assert_eq!(impossible(Measure::Llc, 3), None);
    }
}
