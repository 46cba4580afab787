//! A language model on its way, as the page has it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::thin::{extremes, rounded};
use crate::formats::domain_scores::Share;
use crate::formats::metrics::{EvalLine, Metrics, StepLine};
use crate::results::pretraining::Pretraining;

/// Points of the loss curve.
const LOSS_POINTS: usize = 600;

/// A pre-training run as the page has it.
#[derive(Serialize)]
pub(super) struct PretrainingData<'a> {
    name: &'a str,
    loss_step: Vec<u64>,
    loss: Vec<Option<f64>>,
    step: Vec<u64>,
    /// `[domains]`.
    domains: Vec<String>,
    /// `[domains][steps]`, share of words right.
    accuracy: Vec<Vec<Option<f64>>>,
    /// `[domains][steps]`, nats a word.
    nll: Vec<Vec<Option<f64>>>,
}

impl<'a> PretrainingData<'a> {
    pub(super) fn of(run: &'a Pretraining) -> Self {
        let Metrics { steps, evals, .. } = &run.metrics;
        let losses: Vec<Option<f64>> = steps.iter().map(StepLine::loss).collect();
        let kept = extremes(&losses, LOSS_POINTS);
        let names: BTreeMap<&str, &str> = evals
            .iter()
            .flat_map(|eval| eval.scores.keys())
            // `agreement/pretrain/dev`: what all have in common says nothing.
            .map(|key| (key.as_str(), key.split('/').next().unwrap_or(key)))
            .collect();
        let column = |key: &&str, figure: fn(&Share) -> f64| {
            let value =
                |eval: &EvalLine| rounded(eval.scores.get(*key).map(|domain| figure(&domain.all)));
            evals.iter().map(value).collect()
        };
        PretrainingData {
            name: &run.name,
            loss_step: kept.iter().map(|&i| steps[i].step).collect(),
            loss: kept.iter().map(|&i| rounded(losses[i])).collect(),
            step: evals.iter().map(|eval| eval.step).collect(),
            domains: names.values().map(ToString::to_string).collect(),
            accuracy: names.keys().map(|key| column(key, |score| score.accuracy)).collect(),
            nll: names.keys().map(|key| column(key, |score| score.nll)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_becomes_curves_by_domain() {
        let folder = tempfile::tempdir().unwrap();
        let log = r#"{"kind":"schema","version":1}
{"kind":"step","step":0,"stage":0,"loss":5.9,"lr":0.1}
{"kind":"eval","step":8,"stage":0,"scores":{"logic/pretrain/dev":{"all":{"accuracy":0.5,"nll":1.25}},"filler/pretrain/dev":{"all":{"accuracy":0.25,"nll":2.0}}}}
"#;
        std::fs::write(folder.path().join("metrics.jsonl"), log).unwrap();
        assert!(!Pretraining::is(folder.path()));
        std::fs::write(folder.path().join("pretrain.json"), "{}").unwrap();
        assert!(Pretraining::is(folder.path()));
        let (run, damage) = Pretraining::read(folder.path(), "base").unwrap();
        assert!(damage.is_empty(), "{damage:?}");
        let data = serde_json::to_value(PretrainingData::of(&run)).unwrap();
        assert_eq!(data["domains"], serde_json::json!(["filler", "logic"]));
        assert_eq!(data["accuracy"], serde_json::json!([[0.25], [0.5]]));
        assert_eq!(data["loss"], serde_json::json!([5.9]));
    }
}
