//! Runs of `edgegrad train`.

use super::{Ended, Place, Resolved, Runner};
use crate::error::{Error, Result};
use crate::experiments::train::config::Config;
use crate::experiments::train::{self, Existing};
use crate::experiments::{Job, Steps};
use crate::files;
use crate::formats::metrics::{EvalLine, Metrics, SUCCESS};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use toml::Table;

/// Trains the configurations of a sweep.
#[derive(Clone, Debug)]
pub struct Training {
    /// The file that relative paths of configurations start at.
    pub source: PathBuf,
}

/// Test accuracies that runs are told the steps to, with their names.
const REACHED: [(&str, f64); 3] =
    [("steps_to_50", 0.5), ("steps_to_90", 0.9), ("steps_to_99", SUCCESS)];

impl Training {
    fn config(&self, config: &Table) -> Result<Config> {
        Config::of_table(config.clone(), &self.source, &[])
    }
}

impl Runner for Training {
    fn resolve(&self, config: &Table) -> Result<Resolved> {
        let mut config = self.config(config)?;
        let steps = config.stages.iter().map(|stage| stage.train.steps).sum();
        // A file is what is in it, wherever it lies.
        for stage in &mut config.stages {
            for path in [&mut stage.task.data, &mut stage.model.init].into_iter().flatten() {
                *path = files::hash(path)?.into();
            }
        }
        Ok(Resolved { text: config.unusual(), steps })
    }

    fn run(&self, config: &Table, place: &Place<'_>, progress: &dyn Steps) -> Result<Ended> {
        let folder = place.folder;
        let job = Job { config: self.config(config)?, folder: folder.into() };
        let begun = folder.join("config.toml").exists();
        let result = job.run(if begun { Existing::Resume } else { Existing::Refuse }, progress);
        let ended = |diverged| {
            let (metrics, _) = Metrics::without_steps(&folder.join("metrics.jsonl"))?;
            Ok(Ended { figures: figures(&metrics, job.config.stages.len() - 1), diverged })
        };
        match result {
            Ok(_) => ended(None),
            Err(e @ Error::Failed { .. }) if diverged(folder) => ended(Some(e)),
            Err(e) => Err(e),
        }
    }

    fn seconds(&self, config: &Table) -> Result<Option<f64>> {
        train::seconds(&self.config(config)?).map(Some)
    }

    fn figure(&self) -> Option<(&'static str, bool)> {
        Some(("test_accuracy", true))
    }
}

/// Whether the log of a run says that it has diverged.
fn diverged(folder: &Path) -> bool {
    let log = Metrics::without_steps(&folder.join("metrics.jsonl"));
    log.is_ok_and(|(metrics, _)| metrics.event("diverged").is_some())
}

/// What a run has come to; `last` is its last stage, whose evaluations count.
fn figures(metrics: &Metrics, last: usize) -> Map<String, Value> {
    let of_last = || metrics.evals.iter().filter(|eval| eval.stage == last);
    let end = of_last().next_back();
    let at_end = |figure: fn(&EvalLine) -> Option<f64>| end.and_then(figure);
    let best = |figure: fn(&EvalLine) -> Option<f64>, better: fn(f64, f64) -> f64| {
        of_last().filter_map(figure).reduce(better)
    };
    let steps = end.map(|eval| eval.step);
    let mut all: Vec<(&str, Value)> = vec![
        ("steps", steps.into()),
        ("train_loss", at_end(|e| e.train_loss).into()),
        ("train_accuracy", at_end(|e| e.train_accuracy).into()),
        ("test_loss", at_end(|e| e.test_loss).into()),
        ("test_accuracy", at_end(|e| e.test_accuracy).into()),
        ("test_accuracy_mod2", at_end(|e| e.test_accuracy_mod2).into()),
        ("cluster_r2", at_end(|e| e.cluster_r2).into()),
        ("attention_relevant", at_end(|e| e.attention_relevant).into()),
        ("best_test_accuracy", best(|e| e.test_accuracy, f64::max).into()),
        ("best_test_loss", best(|e| e.test_loss, f64::min).into()),
    ];
    for (name, accuracy) in REACHED {
        all.push((name, metrics.steps_to(accuracy, last).map(|(_, overall)| overall).into()));
    }
    let diverged = metrics.event("diverged").is_some();
    let solved = at_end(|e| e.test_accuracy).map(|accuracy| accuracy >= SUCCESS && !diverged);
    all.push(("success", solved.unwrap_or(false).into()));
    all.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}
