//! How a language model does in one domain, as `metrics.jsonl` of `edgegrad pretrain` has it; what
//! the words mean is said where they are measured, in `experiments::pretrain`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::files::json::nan_for_null;

/// Where a file has no value.
fn nan() -> f64 {
    f64::NAN
}

/// How well tokens are predicted that are asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Share {
    /// How many there are; all else is 0 if there is none.
    pub asked: usize,
    /// The share whose logit is the largest of all.
    #[serde(default = "nan", deserialize_with = "nan_for_null")]
    pub accuracy: f64,
    /// The share whose logit is larger than the rival's.
    #[serde(default = "nan", deserialize_with = "nan_for_null")]
    pub preferred: f64,
    /// The mean of their logit minus the rival's.
    #[serde(default = "nan", deserialize_with = "nan_for_null")]
    pub gap: f64,
    /// The mean of their negative log-likelihood, in nats.
    #[serde(default = "nan", deserialize_with = "nan_for_null")]
    pub nll: f64,
    /// The share of examples all of whose asked tokens are right; none where tokens of one example
    /// are counted under different labels.
    pub exact: Option<f64>,
}

/// How `[none]` is told from other answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Abstention {
    /// Of what is answered by `[none]`, the share that has no answer; none if it never is.
    pub precision: Option<f64>,
    /// Of what has no answer, the share that is answered by `[none]`; none if all has one.
    pub recall: Option<f64>,
}

/// How pronouns go with occupations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pronouns {
    /// From 0, where both are equally likely, to 1; none where every gender is said.
    pub risk: Option<f64>,
    /// Occupations that the risk is the mean over.
    pub occupations: usize,
    /// The accuracy where the gender is said; none where it never is.
    pub explicit: Option<f64>,
}

/// How a model does on a list of examples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DomainScores {
    /// How many examples there are.
    pub examples: usize,
    /// All tokens that are asked.
    pub all: Share,
    /// The mean negative log-likelihood of all tokens but the first, in nats.
    #[serde(default = "nan", deserialize_with = "nan_for_null")]
    pub nll: f64,
    /// The same of those that are not asked; none if there are none.
    pub nll_rest: Option<f64>,
    /// By the name of a label, then by its value.
    pub labels: BTreeMap<String, BTreeMap<String, Share>>,
    /// Of look-ups: the first word of the answer.
    pub abstention: Option<Abstention>,
    /// Of logic: the mean of F1 over the labels that are answers.
    pub macro_f1: Option<f64>,
    /// Of occupations.
    pub pronouns: Option<Pronouns>,
}
