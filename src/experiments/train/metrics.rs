//! `metrics.jsonl`: what a run says about itself, one JSON object a line.
//!
//! The file grows by whole lines, also when the disk fills up, and is flushed at evaluations and
//! checkpoints. A checkpoint notes its length, so that a resumed run cuts it there and goes on with
//! the same bytes.

use crate::error::{Error, Result};
use crate::simd::Element;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The version of the format, in its first line.
pub const VERSION: u32 = 1;

/// A number with the precision it was computed in: an `f32` is written with the digits that tell
/// it from its neighbours, not with those of its conversion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Of a run in single precision.
    Single(f32),
    /// Of a run in double precision.
    Double(f64),
}

impl Number {
    /// `x` in the precision of its type.
    pub fn of<T: Element>(x: T) -> Number {
        match T::NAME {
            "f32" => Number::Single(x.to_f64() as f32),
            _ => Number::Double(x.to_f64()),
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

/// One line of the file.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Line<'a> {
    /// The first line.
    Schema {
        /// The version of the format.
        version: u32,
    },
    /// A training step.
    Step {
        /// Counted from 0 over all stages.
        step: u64,
        /// The stage, counted from 0.
        stage: usize,
        /// The loss of the batch before the update, in nats.
        loss: Number,
        /// The learning rate of the update.
        lr: f64,
    },
    /// An evaluation.
    Eval(&'a Evaluation),
    /// A look at the circuit.
    Circuit(&'a CircuitLine),
    /// Something that happens once.
    Event {
        /// `stage`, `resume`, `stop` or `diverged`.
        event: &'a str,
        /// Steps done by then.
        step: u64,
        /// The stage it happened in.
        stage: usize,
        /// The stage's name, for `stage`.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
    },
}

/// How the model does after `step` updates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Updates done, over all stages.
    pub step: u64,
    /// The stage, counted from 0.
    pub stage: usize,
    /// How it does on what it learns from.
    #[serde(flatten, serialize_with = "train_scores")]
    pub train: Scores,
    /// How it does on the test set, if there is one.
    #[serde(flatten, serialize_with = "test_scores")]
    pub test: Option<Scores>,
    /// Norm of the batch gradient by parameter group, before clipping.
    pub gradient_norm: BTreeMap<&'static str, f64>,
    /// What the attention does, on the test set or, without one, on the train set.
    #[serde(flatten)]
    pub circuit: CircuitNumbers,
}

/// Which edges matter after `step` updates; [what the words mean](super::circuits).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CircuitLine {
    /// Updates done, over all stages.
    pub step: u64,
    /// The stage, counted from 0.
    pub stage: usize,
    /// The metric of the model.
    pub clean: f64,
    /// The metric of the corrupted run.
    pub corrupted: f64,
    /// Edges in the circuit; none if there is no circuit, because `clean` is not above `corrupted`.
    pub edges: Option<usize>,
    /// Nodes that these touch.
    pub nodes: Option<usize>,
    /// The share of the metric that they keep.
    pub faithfulness: Option<f64>,
    /// The share of all `|score|` on edges at positions that matter.
    pub useful: f64,
    /// The same at those that do not.
    pub spurious: f64,
    /// Edges that came into the circuit since the log before; none if there is none with a circuit.
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
    /// `[E]`, what removing each edge takes from the metric.
    pub scores: Vec<f32>,
}

/// How well labels are predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of sequences whose largest logit is at the label.
    pub accuracy: f64,
    /// Share of sequences whose largest logit has the label's parity.
    pub accuracy_mod2: f64,
}

/// What the single attention head does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CircuitNumbers {
    /// Share of the variance of the sequence embedding that the sum of the first k tokens (before
    /// the modulus) explains: 1 for a perfect clustering head.
    pub cluster_r2: f64,
    /// Mean attention on the first k positions together.
    pub attention_relevant: f64,
    /// Mean attention on each position.
    pub attention: Vec<f64>,
    /// Mean norm of the sequence embedding.
    pub sequence_norm: f64,
}

#[derive(Serialize)]
struct TrainScores {
    train_loss: f64,
    train_accuracy: f64,
    train_accuracy_mod2: f64,
}

fn train_scores<S: Serializer>(s: &Scores, to: S) -> Result<S::Ok, S::Error> {
    let &Scores { loss, accuracy, accuracy_mod2 } = s;
    TrainScores { train_loss: loss, train_accuracy: accuracy, train_accuracy_mod2: accuracy_mod2 }
        .serialize(to)
}

#[derive(Serialize)]
struct TestScores {
    test_loss: Option<f64>,
    test_accuracy: Option<f64>,
    test_accuracy_mod2: Option<f64>,
}

fn test_scores<S: Serializer>(s: &Option<Scores>, to: S) -> Result<S::Ok, S::Error> {
    TestScores {
        test_loss: s.map(|s| s.loss),
        test_accuracy: s.map(|s| s.accuracy),
        test_accuracy_mod2: s.map(|s| s.accuracy_mod2),
    }
    .serialize(to)
}

/// The open file.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    /// What the file holds.
    bytes: u64,
    /// Whole lines that it does not hold yet.
    pending: Vec<u8>,
}

/// Lines are kept back until there are this many bytes of them.
const BUFFER: usize = 1 << 16;

impl Log {
    /// A new file with its schema line, in place of an old one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(path: &Path) -> Result<Log> {
        let file = File::create(path).map_err(|e| Error::io(path, &e, "write"))?;
        let mut log = Log::over(path, file, 0);
        log.write(&Line::Schema { version: VERSION })?;
        Ok(log)
    }

    /// The first `bytes` of a file that is there, to go on with.
    ///
    /// # Errors
    /// If it is missing, shorter than that, or cannot be written.
    pub fn resume(path: &Path, bytes: u64) -> Result<Log> {
        let fail = |e: std::io::Error| Error::io(path, &e, "write");
        let mut file = OpenOptions::new().write(true).open(path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        if length < bytes {
            return Err(Error::input(
                path.display(),
                format!("has {length} bytes, its checkpoint says {bytes}"),
                "the file was changed after the run; start again with --force",
            ));
        }
        file.set_len(bytes).map_err(fail)?;
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        Ok(Log::over(path, file, bytes))
    }

    fn over(path: &Path, file: File, bytes: u64) -> Log {
        Log { path: path.to_path_buf(), file, bytes, pending: Vec::with_capacity(2 * BUFFER) }
    }

    /// Appends a line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, line: &Line<'_>) -> Result<()> {
        serde_json::to_writer(&mut self.pending, line).expect("a line is always valid JSON");
        self.pending.push(b'\n');
        if self.pending.len() >= BUFFER { self.flush().map(drop) } else { Ok(()) }
    }

    /// Hands everything to the operating system and returns the length of the file.
    ///
    /// # Errors
    /// If it cannot be written; the file then ends with its last whole line.
    pub fn flush(&mut self) -> Result<u64> {
        let (mut done, mut written) = (0, Ok(()));
        while done < self.pending.len() && written.is_ok() {
            match self.file.write(&self.pending[done..]) {
                Ok(0) => written = Err(ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => written = Err(e),
            }
        }
        let whole = self.pending[..done].iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        self.bytes += whole as u64;
        self.pending.clear();
        written.map_err(|e| {
            // The first error is the one to tell; a second one could only hide it.
            let cut = self.file.set_len(self.bytes);
            let _ = cut.and_then(|()| self.file.seek(SeekFrom::Start(self.bytes)));
            Error::io(&self.path, &e, "write")
        })?;
        Ok(self.bytes)
    }
}

impl Drop for Log {
    /// What a failing run said before it failed.
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_documented_keys() {
        let scores = Scores { loss: 0.5, accuracy: 0.75, accuracy_mod2: 1.0 };
        let evaluation = Evaluation {
            step: 50,
            stage: 1,
            train: scores,
            test: None,
            gradient_norm: [("query", 0.25)].into(),
            circuit: CircuitNumbers {
                cluster_r2: 0.5,
                attention_relevant: 0.75,
                attention: vec![0.75, 0.25],
                sequence_norm: 2.0,
            },
        };
        let text = serde_json::to_string(&Line::Eval(&evaluation)).expect("valid");
        assert_eq!(
            text,
            r#"{"kind":"eval","step":50,"stage":1,"train_loss":0.5,"train_accuracy":0.75,"#
                .to_string()
                + r#""train_accuracy_mod2":1.0,"test_loss":null,"test_accuracy":null,"#
                + r#""test_accuracy_mod2":null,"gradient_norm":{"query":0.25},"cluster_r2":0.5,"#
                + r#""attention_relevant":0.75,"attention":[0.75,0.25],"sequence_norm":2.0}"#
        );
        let step = Line::Step { step: 3, stage: 0, loss: Number::of(0.1f32), lr: 0.01 };
        let text = serde_json::to_string(&step).expect("valid");
        assert_eq!(text, r#"{"kind":"step","step":3,"stage":0,"loss":0.1,"lr":0.01}"#);
    }

    #[test]
    fn a_resumed_log_cuts_what_came_after() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.jsonl");
        let mut log = Log::create(&path).expect("writable");
        let kept = log.flush().expect("writable");
        log.write(&Line::Event { event: "stop", step: 1, stage: 0, name: None }).expect("writable");
        drop(log);
        assert!(std::fs::metadata(&path).expect("there").len() > kept);
        Log::resume(&path, kept).expect("resumable");
        assert_eq!(std::fs::metadata(&path).expect("there").len(), kept);
        let error = Log::resume(&path, kept + 1).expect_err("too short");
        assert_eq!(error.exit_code(), 2);
    }
}
