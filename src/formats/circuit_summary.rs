//! `circuits/summary.json` of a run folder: the circuits in which its stages end, and how all
//! circuits that were logged overlap.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::circuit_pairs::{FOLDER, write};
use crate::error::{Error, Result};
use crate::files::input;

const NAME: &str = "summary.json";

/// What all logs of a run have come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CircuitSummary {
    /// The version of the format.
    pub version: u32,
    /// The share of the metric that a circuit keeps.
    pub faithfulness: f64,
    /// `[E]`, the names of all edges.
    pub edges: Vec<String>,
    /// The end of each stage that was logged.
    pub stages: Vec<StageSummary>,
    /// The overlap of each of these with the next.
    pub transfers: Vec<Overlap>,
    /// All logs.
    pub logs: Vec<LogSummary>,
}

/// The circuit in which a stage ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageSummary {
    /// The stage, counted from 0.
    pub stage: usize,
    /// Steps done by then, over all stages.
    pub step: u64,
    /// The numbers of its edges, by falling size of their score.
    pub circuit: Option<Vec<usize>>,
    /// The nodes they touch.
    pub nodes: Option<usize>,
    /// The share of all `|score|` on edges at positions that matter.
    pub useful: f64,
    /// The same at those that do not.
    pub spurious: f64,
    /// `[E]`.
    pub scores: Vec<f32>,
}

/// A log beside the last one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogSummary {
    /// Steps done by then, over all stages.
    pub step: u64,
    /// The stage, counted from 0.
    pub stage: usize,
    /// The size of its circuit.
    pub edges: Option<usize>,
    /// The overlap with the last log of the run.
    pub last: Overlap,
}

/// How much two circuits, and the scores they come from, have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// Edges of both over edges of either; none if neither has an edge or one is no circuit.
    pub jaccard: Option<f64>,
    /// Edges of both over edges of the first.
    pub kept: Option<f64>,
    /// The same if the edges of the second were drawn at random: its edges over all.
    #[serde(default)]
    pub chance: Option<f64>,
    /// Spearman's correlation of all `|score|`; none if those of one are all equal.
    pub rank_correlation: Option<f64>,
}

impl CircuitSummary {
    /// Writes the file into a run folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, run: &Path) -> Result<()> {
        write(run, NAME, self)
    }

    /// Reads that of a finished run.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn read(run: &Path) -> Result<CircuitSummary> {
        let path = run.join(FOLDER).join(NAME);
        let text = input::regular(&path, input::DATA)?;
        let help = "train again with train.circuit_every above 0";
        serde_json::from_slice(&text).map_err(|e| Error::input(path.display(), e, help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_written_is_read() {
        let run = tempfile::tempdir().unwrap();
        let rank_correlation = Some(-0.25);
        let last = Overlap { jaccard: Some(0.5), kept: None, chance: Some(0.1), rank_correlation };
        let stage = StageSummary {
            stage: 1,
            step: 90,
            circuit: Some(vec![2, 0]),
            nodes: Some(3),
            useful: 0.75,
            spurious: 0.125,
            scores: vec![0.1, 0.0, -2.0],
        };
        let summary = CircuitSummary {
            version: 1,
            faithfulness: 0.95,
            edges: ["a->b", "b->c", "c->d"].map(String::from).into(),
            stages: vec![stage],
            transfers: vec![last],
            logs: vec![LogSummary { step: 50, stage: 0, edges: Some(1), last }],
        };
        summary.write(run.path()).unwrap();
        assert_eq!(CircuitSummary::read(run.path()).unwrap(), summary);
        let text = fs::read_to_string(run.path().join("circuits/summary.json")).unwrap();
        let start =
            r#"{"version":1,"faithfulness":0.95,"edges":["a->b","b->c","c->d"],"stages":[{"#;
        assert!(text.starts_with(start), "{text}");
        assert!(CircuitSummary::read(&run.path().join("elsewhere")).is_err());
    }
}
