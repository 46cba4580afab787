//! `metrics.jsonl` of a run folder: what happened, one object a line.
//!
//! ```text
//! {"kind":"schema","version":1}
//! {"kind":"step","step":0,"stage":0,"loss":1.4,"lr":0.01}
//! {"kind":"eval", ..} {"kind":"circuit", ..} {"kind":"event", ..}
//! ```
//!
//! A reader must survive three things: keys and kinds it does not know (they are ignored), a last
//! line torn by a kill, and steps written twice because a resumed run repeats what came after its
//! checkpoint (the later line wins). So what a writer always knows is an option here: it may be
//! missing in a line of another version, and `null` where a value was NaN.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::domain_scores::DomainScores;
use crate::error::{Error, Result, at_line};
use crate::files::input;
use crate::files::json::nans_for_nulls;

/// The version of the format, in its first line.
pub const VERSION: u32 = 1;
/// A run succeeds when its final test accuracy is at least this.
pub const SUCCESS: f64 = 0.99;
/// Damaged lines named one by one; more are only counted.
const NAMED: usize = 3;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// The first line.
    Schema {
        /// The version of the format.
        version: u32,
    },
    /// An update.
    Step(StepLine),
    /// An evaluation.
    Eval(Box<EvalLine>),
    /// Which edges matter.
    Circuit(Box<CircuitLine>),
    /// What was measured of the model.
    Measure(MeasureLine),
    /// Something that happens once.
    Event(EventLine),
    /// A line of a later version.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl Line {
    /// The line as `edgegrad pretrain` writes it: keys in the order of their names, without those
    /// that a language model has no value for.
    pub fn compact(&self) -> String {
        let mut line = serde_json::to_value(self).expect("a line is valid JSON");
        if let Value::Object(keys) = &mut line {
            let empty = |value: &Value| match value {
                Value::Null => true,
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => false,
            };
            keys.retain(|_, value| !empty(value));
        }
        line.to_string()
    }
}

/// A number with the precision it was computed in: an `f32` is written with the digits that tell
/// it from its neighbours, not with those of its conversion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Of a run in single precision.
    Single(f32),
    /// Of a run in double precision, or read from a file.
    Double(f64),
}

impl From<Number> for f64 {
    fn from(number: Number) -> f64 {
        match number {
            Number::Single(x) => x.into(),
            Number::Double(x) => x,
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Number::Single(x) => s.serialize_f32(*x),
            Number::Double(x) => s.serialize_f64(*x),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Number, D::Error> {
        f64::deserialize(d).map(Number::Double)
    }
}

/// One update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// Updates before this one, over all stages.
    pub step: u64,
    /// The stage, from 0.
    #[serde(default)]
    pub stage: usize,
    /// Loss of the batch before the update, in nats; none when it was not a number.
    pub loss: Option<Number>,
    /// Learning rate.
    pub lr: Option<f64>,
}

impl StepLine {
    /// The loss of the batch before the update, in nats.
    pub fn loss(&self) -> Option<f64> {
        self.loss.map(f64::from)
    }
}

/// One evaluation, of the weights after `step` updates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EvalLine {
    /// Updates so far, over all stages.
    pub step: u64,
    /// The stage, from 0.
    pub stage: usize,
    /// Mean cross-entropy on the training set, in nats.
    pub train_loss: Option<f64>,
    /// Share of training sequences whose largest logit is at the label.
    pub train_accuracy: Option<f64>,
    /// Share of training sequences whose largest logit has the label's parity.
    pub train_accuracy_mod2: Option<f64>,
    /// Mean cross-entropy on the test set, in nats; this and what follows is none without one.
    pub test_loss: Option<f64>,
    /// Share of test sequences whose largest logit is at the label.
    pub test_accuracy: Option<f64>,
    /// Share of test sequences whose largest logit has the label's parity.
    pub test_accuracy_mod2: Option<f64>,
    /// Norm of the batch gradient by group of parameters, before clipping.
    pub gradient_norm: BTreeMap<String, Option<f64>>,
    /// Share of the variance of the sequence embedding that the sum of the first k tokens (before
    /// the modulus) explains: 1 for a perfect clustering head. This and what follows on the test
    /// set or, without one, on the training set.
    pub cluster_r2: Option<f64>,
    /// Mean attention on the first k positions together.
    pub attention_relevant: Option<f64>,
    /// `[T]`, mean attention on each position.
    pub attention: Vec<Option<f64>>,
    /// Mean norm of the sequence embedding.
    pub sequence_norm: Option<f64>,
    /// Of a language model: how it does, by `domain/variant/part`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, DomainScores>,
}

/// Which edges matter after `step` updates; what the words mean is said where they are measured, in
/// `experiments::train::circuits`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Edges in the circuit; none if there is no circuit, because `clean` is not above `corrupted`.
    pub edges: Option<usize>,
    /// Nodes that these touch.
    pub nodes: Option<usize>,
    /// The share of the metric that they keep.
    pub faithfulness: Option<f64>,
    /// The share of all `|score|` on edges at positions that matter.
    pub useful: Option<f64>,
    /// The same at those that do not.
    pub spurious: Option<f64>,
    /// Edges that came in since the log before; none if there is none with a circuit.
    pub reinforced: Option<usize>,
    /// Edges that dropped out.
    pub pruned: Option<usize>,
    /// Edges that stayed, with a share of all `|score|` more than a tenth above that before.
    pub grew: Option<usize>,
    /// The same for shares before and now.
    pub shrank: Option<usize>,
    /// Edges of this circuit and the one before over edges of either.
    pub jaccard: Option<f64>,
    /// Spearman's correlation of `|score|` with that before.
    pub rank_correlation: Option<f64>,
    /// `[E]`, what removing each edge takes from the metric; NaN where the file says `null`.
    #[serde(deserialize_with = "nans_for_nulls")]
    pub scores: Vec<f32>,
}

/// Quantities of the model after `step` updates; what they are is said where they are measured, in
/// `measures`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MeasureLine {
    /// Updates so far, over all stages.
    pub step: u64,
    /// The stage, from 0.
    pub stage: usize,
    /// By key, such as `norm.query`.
    pub values: BTreeMap<String, Option<f64>>,
}

/// Something that happened between updates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventLine {
    /// Which: `stage`, `resume`, `stop`, `diverged`, `spike`, ...
    pub event: String,
    /// Updates so far.
    pub step: u64,
    /// The stage it happened in, or that begins.
    pub stage: Option<usize>,
    /// Its name, for `stage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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
    /// Measurements.
    pub measures: Vec<MeasureLine>,
    /// Events in the order written.
    pub events: Vec<EventLine>,
}

impl Metrics {
    /// Reads a file, and what is damaged in it as errors beside the rest.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn read(file: &Path) -> Result<(Self, Vec<Error>)> {
        Metrics::read_all_but(file, None)
    }

    /// As [`read`](Self::read), without the lines of updates, which are most of a file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn without_steps(file: &Path) -> Result<(Self, Vec<Error>)> {
        Metrics::read_all_but(file, Some(b"{\"kind\":\"step\""))
    }

    /// Reads the lines that do not begin with `passed`.
    fn read_all_but(file: &Path, passed: Option<&[u8]>) -> Result<(Self, Vec<Error>)> {
        let help = "a run writes this file from its first step; check that the run was started";
        let bytes = input::of_run(file, help)?;
        let (mut metrics, mut damage) = (Metrics::default(), vec![]);
        let (mut damaged, mut schema) = (0, false);
        let mut lines = bytes.split(|&byte| byte == b'\n').zip(1..).peekable();
        while let Some((line, number)) = lines.next() {
            let unread = passed.is_some_and(|start| line.starts_with(start));
            if unread || line.trim_ascii().is_empty() {
                continue;
            }
            let mut note = |problem: String, help: &str| {
                damage.push(Error::input(at_line(file, number), problem, help));
            };
            match serde_json::from_slice(line) {
                Ok(Line::Schema { version }) => {
                    schema = true;
                    if version > VERSION {
                        note(
                            format!("schema version {version}, this reader knows {VERSION}"),
                            "what is new in it is not shown; update edgegrad",
                        );
                    }
                }
                Ok(line) => metrics.push(line),
                Err(_) if lines.peek().is_none() => note(
                    "the last line is cut off: the run was killed while writing it".into(),
                    "resume the run; everything before this line was read",
                ),
                Err(error) => {
                    damaged += 1;
                    if damaged <= NAMED {
                        note(
                            format!("skipped, not a line of this format ({error})"),
                            "each line is one JSON object with a `kind`",
                        );
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

    /// Updates before a stage's first one, if the run got there.
    pub fn stage_start(&self, stage: usize) -> Option<u64> {
        if stage == 0 {
            return Some(0);
        }
        let told = self.events.iter().rev();
        let told = told.filter(|event| event.event == "stage" && event.stage == Some(stage));
        let steps = self.steps.iter().filter(|line| line.stage == stage);
        let evals = self.evals.iter().filter(|line| line.stage == stage);
        told.map(|event| event.step)
            .next()
            .or_else(|| steps.map(|line| line.step).chain(evals.map(|line| line.step)).min())
    }

    /// Updates until an evaluation of a stage first showed this test accuracy, counted from that
    /// stage's start and from the run's.
    pub fn steps_to(&self, accuracy: f64, stage: usize) -> Option<(u64, u64)> {
        let start = self.stage_start(stage)?;
        let mut evals = self.evals.iter().filter(|eval| eval.stage == stage);
        let first = evals.find(|eval| eval.test_accuracy.is_some_and(|a| a >= accuracy))?;
        Some((first.step.saturating_sub(start), first.step))
    }

    fn push(&mut self, line: Line) {
        match line {
            Line::Step(line) => put(&mut self.steps, line, |l| l.step),
            // The first evaluation of a stage has the step of the last one before it.
            Line::Eval(line) => put(&mut self.evals, *line, |l| (l.step, l.stage)),
            Line::Circuit(line) => put(&mut self.circuits, *line, |l| (l.step, l.stage)),
            Line::Measure(line) => put(&mut self.measures, line, |l| (l.step, l.stage)),
            Line::Event(line) => self.events.push(line),
            Line::Schema { .. } | Line::Unknown => {}
        }
    }
}

/// Adds a line, in place of those of its place in the run and of later ones.
fn put<L, K: Ord>(list: &mut Vec<L>, line: L, place: impl Fn(&L) -> K) {
    let keep = list.partition_point(|old| place(old) < place(&line));
    list.truncate(keep);
    list.push(line);
}

#[cfg(test)]
mod tests {
    use super::super::domain_scores::Share;
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
    fn every_line_is_read_as_it_was_written() {
        let share = Share { asked: 4, accuracy: 0.75, nll: f64::NAN, ..Share::default() };
        let lines = [
            (Line::Schema { version: VERSION }, r#"{"kind":"schema","version":1}"#),
            (
                Line::Step(StepLine {
                    step: 3,
                    stage: 0,
                    loss: Some(Number::Single(0.1)),
                    lr: Some(0.01),
                }),
                r#"{"kind":"step","step":3,"stage":0,"loss":0.1,"lr":0.01}"#,
            ),
            (
                Line::Eval(Box::new(EvalLine {
                    step: 50,
                    stage: 1,
                    train_loss: Some(0.5),
                    train_accuracy: Some(0.75),
                    train_accuracy_mod2: Some(1.0),
                    gradient_norm: [("query".into(), Some(0.25))].into(),
                    cluster_r2: Some(0.5),
                    attention_relevant: Some(0.75),
                    attention: vec![Some(0.75), None],
                    sequence_norm: Some(2.0),
                    ..EvalLine::default()
                })),
                concat!(
                    r#"{"kind":"eval","step":50,"stage":1,"train_loss":0.5,"train_accuracy":0.75,"#,
                    r#""train_accuracy_mod2":1.0,"test_loss":null,"test_accuracy":null,"#,
                    r#""test_accuracy_mod2":null,"gradient_norm":{"query":0.25},"#,
                    r#""cluster_r2":0.5,"attention_relevant":0.75,"attention":[0.75,null],"#,
                    r#""sequence_norm":2.0}"#,
                ),
            ),
            (
                Line::Circuit(Box::new(CircuitLine {
                    step: 9,
                    edges: Some(1),
                    jaccard: Some(0.5),
                    scores: vec![0.1, -2.0],
                    ..CircuitLine::default()
                })),
                concat!(
                    r#"{"kind":"circuit","step":9,"stage":0,"clean":null,"corrupted":null,"#,
                    r#""edges":1,"nodes":null,"faithfulness":null,"useful":null,"#,
                    r#""spurious":null,"reinforced":null,"pruned":null,"grew":null,"#,
                    r#""shrank":null,"jaccard":0.5,"rank_correlation":null,"#,
                    r#""scores":[0.1,-2.0]}"#,
                ),
            ),
            (
                Line::Measure(MeasureLine {
                    step: 4,
                    stage: 1,
                    values: [("llc".into(), Some(1.5)), ("norm.query".into(), None)].into(),
                }),
                r#"{"kind":"measure","step":4,"stage":1,"values":{"llc":1.5,"norm.query":null}}"#,
            ),
            (
                Line::Event(EventLine {
                    event: "stage".into(),
                    step: 7,
                    stage: Some(1),
                    name: Some("p=4".into()),
                    message: None,
                }),
                r#"{"kind":"event","event":"stage","step":7,"stage":1,"name":"p=4"}"#,
            ),
        ];
        for (line, text) in lines {
            assert_eq!(serde_json::to_string(&line).unwrap(), text);
            let back: Line = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&back).unwrap(), text);
        }
        let scores = DomainScores { examples: 4, all: share, nll: 1.5, ..DomainScores::default() };
        let eval =
            EvalLine { step: 8, scores: [("a/b".into(), scores)].into(), ..EvalLine::default() };
        let text = Line::Eval(Box::new(eval)).compact();
        assert!(
            text.starts_with(r#"{"kind":"eval","scores":{"a/b":{"abstention":null,"#),
            "{text}"
        );
        assert!(text.ends_with(r#","stage":0,"step":8}"#), "{text}");
        let Line::Eval(back) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        let all = &back.scores["a/b"].all;
        assert!((all.asked, all.accuracy) == (4, 0.75) && all.nll.is_nan(), "{all:?}");
    }

    #[test]
    fn ignores_what_it_does_not_know() {
        let (metrics, damage) = read(&format!(
            "{SCHEMA}{{\"kind\":\"weather\",\"sun\":1}}\n\
             {{\"kind\":\"step\",\"step\":0,\"stage\":0,\"loss\":1.5,\"lr\":0.01,\"new\":[1]}}\n"
        ));
        assert_eq!(metrics.steps.len(), 1);
        assert_eq!(metrics.steps[0].loss(), Some(1.5));
        assert!(damage.is_empty(), "{damage:?}");
    }

    #[test]
    fn a_torn_last_line_is_a_note() {
        let (metrics, damage) = read(&format!(
            "{SCHEMA}{{\"kind\":\"step\",\"step\":0,\"loss\":null,\"lr\":1}}\n{{\"kind\":\"st"
        ));
        assert_eq!(metrics.steps.len(), 1);
        assert_eq!(metrics.steps[0].loss(), None);
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
        let losses: Vec<_> = metrics.steps.iter().map(StepLine::loss).collect();
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
    fn lines_of_updates_can_be_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("metrics.jsonl");
        let step = "{\"kind\":\"step\",\"step\":0,\"stage\":0,\"loss\":1.0,\"lr\":1}\n";
        let eval = |step: u64, accuracy: f64| {
            format!("{{\"kind\":\"eval\",\"step\":{step},\"test_accuracy\":{accuracy}}}\n")
        };
        let text = format!("{SCHEMA}{step}{}{step}{}", eval(5, 0.5), eval(9, 0.95));
        std::fs::write(&file, text).unwrap();
        let (all, _) = Metrics::read(&file).unwrap();
        let (few, damage) = Metrics::without_steps(&file).unwrap();
        assert_eq!((all.steps.len(), few.steps.len(), damage.len()), (1, 0, 0));
        assert_eq!(few.evals, all.evals);
        assert_eq!(
            [0.5, 0.9, 0.99].map(|a| few.steps_to(a, 0)),
            [Some((5, 5)), Some((9, 9)), None]
        );
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let error = Metrics::read(Path::new("/nowhere/metrics.jsonl")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/metrics.jsonl"));
        assert!(!error.help().is_empty());
    }
}
