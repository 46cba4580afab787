//! `metrics.jsonl` of a run folder: what happened, one object a line.
//!
//! A reader must survive three things: fields and kinds it does not know (they are ignored), a last
//! line torn by a kill, and steps written twice because a resumed run repeats what came after its
//! checkpoint (the later line wins).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result, at_line};

/// The version of the format this reader was written for.
const VERSION: u64 = 1;
/// Damaged lines named one by one; more are only counted.
const NAMED: usize = 3;

/// One update.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct StepLine {
    /// Updates before this one, over all stages.
    pub step: u64,
    /// The stage, from 0.
    #[serde(default)]
    pub stage: usize,
    /// Loss of the batch before the update, in nats; none when it was not a number.
    pub loss: Option<f64>,
    /// Learning rate.
    pub lr: Option<f64>,
}

/// One evaluation, of the weights after `step` updates.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct EvalLine {
    /// Updates so far, over all stages.
    pub step: u64,
    /// The stage, from 0.
    pub stage: usize,
    /// Mean cross-entropy on the training set, in nats.
    pub train_loss: Option<f64>,
    /// Share of training sequences answered right.
    pub train_accuracy: Option<f64>,
    /// The same with answers compared modulo 2.
    pub train_accuracy_mod2: Option<f64>,
    /// Mean cross-entropy on the test set, in nats.
    pub test_loss: Option<f64>,
    /// Share of test sequences answered right.
    pub test_accuracy: Option<f64>,
    /// The same with answers compared modulo 2.
    pub test_accuracy_mod2: Option<f64>,
    /// Norm of the loss gradient per group of parameters.
    pub gradient_norm: BTreeMap<String, Option<f64>>,
    /// Share of the sequence embedding's variance that the sum of the relevant tokens explains.
    pub cluster_r2: Option<f64>,
    /// Attention on the relevant positions together.
    pub attention_relevant: Option<f64>,
    /// Attention per position, mean over the test set.
    pub attention: Vec<Option<f64>>,
    /// Mean norm of the sequence embedding.
    pub sequence_norm: Option<f64>,
    /// Of a language model: how it does in each domain.
    pub scores: BTreeMap<String, DomainLine>,
}

/// How a language model does in one domain.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DomainLine {
    /// On all its examples.
    pub all: DomainScore,
}

/// Figures of a domain.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DomainScore {
    /// The share of what is asked that is right; words, where nothing else is.
    pub accuracy: Option<f64>,
    /// Mean negative log-likelihood of it, nats.
    pub nll: Option<f64>,
}

/// Which edges mattered after `step` updates; what the words mean is said where they are measured,
/// in `train::circuits`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CircuitLine {
    /// Updates so far, over all stages.
    pub step: u64,
    /// The stage, from 0.
    pub stage: usize,
    /// The metric of the model.
    pub clean: Option<f64>,
    /// The metric of the corrupted run.
    pub corrupted: Option<f64>,
    /// Edges in the circuit.
    pub edges: Option<usize>,
    /// Nodes that these touch.
    pub nodes: Option<usize>,
    /// The share of the metric that they keep.
    pub faithfulness: Option<f64>,
    /// The share of all `|score|` on edges at positions that matter.
    pub useful: Option<f64>,
    /// The same at those that do not.
    pub spurious: Option<f64>,
    /// Edges that came in since the log before.
    pub reinforced: Option<usize>,
    /// Edges that dropped out.
    pub pruned: Option<usize>,
    /// Edges that stayed and grew.
    pub grew: Option<usize>,
    /// Edges that stayed and shrank.
    pub shrank: Option<usize>,
    /// Edges of this circuit and the one before over edges of either.
    pub jaccard: Option<f64>,
    /// Spearman's correlation of `|score|` with that before.
    pub rank_correlation: Option<f64>,
    /// `[E]`, what removing each edge takes from the metric.
    pub scores: Vec<Option<f32>>,
}

/// Something that happened between updates.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct EventLine {
    /// Which: `stage`, `resume`, `stop`, `diverged`, `spike`, ...
    pub event: String,
    /// Updates so far.
    pub step: u64,
    /// The stage that begins, for `stage`.
    pub stage: Option<usize>,
    /// Its name.
    pub name: Option<String>,
    /// A sentence for people.
    pub message: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Schema {
        version: u64,
    },
    Step(StepLine),
    Eval(Box<EvalLine>),
    Circuit(Box<CircuitLine>),
    Event(EventLine),
    #[serde(other)]
    Unknown,
}

/// All lines of a file, by kind, steps and evaluations in increasing order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Updates.
    pub steps: Vec<StepLine>,
    /// Evaluations.
    pub evals: Vec<EvalLine>,
    /// Circuits.
    pub circuits: Vec<CircuitLine>,
    /// Events in the order written.
    pub events: Vec<EventLine>,
}

impl Metrics {
    /// Reads a file, and what is damaged in it as errors beside the rest.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn read(file: &Path) -> Result<(Self, Vec<Error>)> {
        let bytes = std::fs::read(file).map_err(|error| {
            Error::unreadable(
                file,
                &error,
                "a run writes this file from its first step; check that the run was started",
            )
        })?;
        let mut metrics = Metrics::default();
        let mut damage = Vec::new();
        let mut damaged = 0usize;
        let mut schema = false;
        let mut lines = bytes.split(|&byte| byte == b'\n').enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(Line::Schema { version }) => {
                    schema = true;
                    if version > VERSION {
                        damage.push(Error::input(
                            at_line(file, index + 1),
                            format!("schema version {version}, this reader knows {VERSION}"),
                            "what is new in it is not shown; update edgegrad",
                        ));
                    }
                }
                Ok(Line::Step(line)) => metrics.push_step(line),
                Ok(Line::Eval(line)) => metrics.push_eval(*line),
                Ok(Line::Circuit(line)) => metrics.push_circuit(*line),
                Ok(Line::Event(line)) => metrics.events.push(line),
                Ok(Line::Unknown) => {}
                Err(_) if lines.peek().is_none() => damage.push(Error::input(
                    at_line(file, index + 1),
                    "the last line is cut off: the run was killed while writing it",
                    "resume the run; everything before this line was read",
                )),
                Err(error) => {
                    damaged += 1;
                    if damaged <= NAMED {
                        damage.push(Error::input(
                            at_line(file, index + 1),
                            format!("skipped, not a line of this format ({error})"),
                            "each line is one JSON object with a `kind`",
                        ));
                    }
                }
            }
        }
        if damaged > NAMED {
            damage.push(Error::input(
                file.display(),
                format!("{} more damaged lines were skipped", damaged - NAMED),
                "the file may be of another program or have been edited",
            ));
        }
        if !schema {
            damage.push(Error::input(
                at_line(file, 1),
                format!("no schema line; read as version {VERSION}"),
                "the first line should be {\"kind\":\"schema\",\"version\":1}",
            ));
        }
        Ok((metrics, damage))
    }

    /// The event of this name that came first, if any.
    pub fn event(&self, name: &str) -> Option<&EventLine> {
        self.events.iter().find(|event| event.event == name)
    }

    fn push_step(&mut self, line: StepLine) {
        let keep = self.steps.partition_point(|old| old.step < line.step);
        self.steps.truncate(keep);
        self.steps.push(line);
    }

    fn push_circuit(&mut self, line: CircuitLine) {
        let key = |line: &CircuitLine| (line.step, line.stage);
        let keep = self.circuits.partition_point(|old| key(old) < key(&line));
        self.circuits.truncate(keep);
        self.circuits.push(line);
    }

    // The first evaluation of a stage has the step of the last one before it.
    fn push_eval(&mut self, line: EvalLine) {
        let key = |line: &EvalLine| (line.step, line.stage);
        let keep = self.evals.partition_point(|old| key(old) < key(&line));
        self.evals.truncate(keep);
        self.evals.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Metrics, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("metrics.jsonl");
        std::fs::write(&file, text).unwrap();
        let (metrics, damage) = Metrics::read(&file).unwrap();
        (metrics, damage.iter().map(|error| error.note(folder.path())).collect())
    }

    const SCHEMA: &str = "{\"kind\":\"schema\",\"version\":1}\n";

    #[test]
    fn ignores_what_it_does_not_know() {
        let (metrics, damage) = read(&format!(
            "{SCHEMA}{{\"kind\":\"weather\",\"sun\":1}}\n\
             {{\"kind\":\"step\",\"step\":0,\"stage\":0,\"loss\":1.5,\"lr\":0.01,\"new\":[1]}}\n"
        ));
        assert_eq!(metrics.steps.len(), 1);
        assert_eq!(metrics.steps[0].loss, Some(1.5));
        assert!(damage.is_empty(), "{damage:?}");
    }

    #[test]
    fn a_torn_last_line_is_a_note() {
        let (metrics, damage) = read(&format!(
            "{SCHEMA}{{\"kind\":\"step\",\"step\":0,\"loss\":null,\"lr\":1}}\n{{\"kind\":\"st"
        ));
        assert_eq!(metrics.steps.len(), 1);
        assert_eq!(metrics.steps[0].loss, None);
        assert_eq!(damage.len(), 1);
        assert!(damage[0].starts_with("metrics.jsonl, line 3: the last line is cut off"));
    }

    #[test]
    fn a_damaged_line_inside_is_skipped_and_named() {
        let (metrics, damage) = read(&format!(
            "{SCHEMA}garbage\n\u{7f}\n{{\"kind\":\"eval\",\"step\":5,\"test_accuracy\":0.5}}\n\
             1\n2\n3\n"
        ));
        assert_eq!(metrics.evals[0].test_accuracy, Some(0.5));
        assert_eq!(damage.len(), NAMED + 1, "{damage:?}");
        assert!(damage[0].contains("line 2"));
        assert!(damage[NAMED].contains("2 more"));
    }

    #[test]
    fn a_resumed_run_repeats_steps_and_the_later_line_wins() {
        let line = |step: u64, loss: f64| {
            format!("{{\"kind\":\"step\",\"step\":{step},\"loss\":{loss},\"lr\":1}}\n")
        };
        let (metrics, _) =
            read(&(SCHEMA.to_string() + &line(0, 3.0) + &line(1, 2.0) + &line(1, 1.0)));
        let losses: Vec<_> = metrics.steps.iter().map(|line| line.loss).collect();
        assert_eq!(losses, [Some(3.0), Some(1.0)]);
    }

    #[test]
    fn both_evaluations_at_a_stage_switch_stay() {
        let (metrics, damage) = read(
            "{\"kind\":\"eval\",\"step\":5,\"stage\":0,\"test_accuracy\":1}\n\
             {\"kind\":\"eval\",\"step\":5,\"stage\":1,\"test_accuracy\":0.25}\n",
        );
        assert_eq!(metrics.evals.len(), 2);
        assert!(damage[0].contains("no schema line"));
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let error = Metrics::read(Path::new("/nowhere/metrics.jsonl")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/metrics.jsonl"));
        assert!(!error.help().is_empty());
    }
}
