//! `circuits/probe-STAGE.json` of a run folder: the pairs that the circuits of a stage are measured
//! on, and the edges that their scores belong to.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::{Error, Result};
use crate::files::{atomic, json};

/// The folder of a run that holds what is said of its circuits.
pub const FOLDER: &str = "circuits";

/// The version of the formats in that folder.
pub const VERSION: u32 = 1;

/// A sequence, and one with another label that stands in for what is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledPair {
    /// `[L]`.
    pub clean: Vec<u32>,
    /// `[L]`.
    pub corrupted: Vec<u32>,
    /// The label of the clean sequence.
    pub answer: u32,
    /// The label of the corrupted one.
    pub distractor: u32,
}

impl LabelledPair {
    /// The labels whose logits are compared: the answer and the distractor.
    pub fn labels(&self) -> [u32; 2] {
        [self.answer, self.distractor]
    }
}

/// What circuits of a stage were measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitPairs {
    /// The version of the format.
    #[serde(default)]
    pub version: u32,
    /// The stage, from 0.
    pub stage: usize,
    /// The modulus.
    pub p: u64,
    /// How many positions matter.
    #[serde(default)]
    pub k: usize,
    /// `[E]`, the names of the edges in the order of the scores.
    pub edges: Vec<String>,
    /// Sequences.
    pub pairs: Vec<LabelledPair>,
}

fn name(stage: usize) -> String {
    format!("probe-{stage}.json")
}

/// Writes a file of the folder of circuits.
pub(super) fn write(run: &Path, name: &str, content: &impl Serialize) -> Result<()> {
    let folder = run.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, &e, "make"))?;
    let mut text = serde_json::to_vec(content).expect("plain structs are valid JSON");
    text.push(b'\n');
    atomic::write_bytes(folder.join(name), &text)
}

impl CircuitPairs {
    /// Writes the file of this stage into a run folder, keys in the order of their names.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, run: &Path) -> Result<()> {
        write(run, &name(self.stage), &json!(self))
    }

    /// Those of all stages of a run in order of stages, and what is damaged.
    pub fn read_all(run: &Path) -> (Vec<CircuitPairs>, Vec<Error>) {
        let (mut probes, mut damage) = (Vec::new(), Vec::new());
        for stage in 0.. {
            let file = run.join(FOLDER).join(name(stage));
            if !file.is_file() {
                break;
            }
            match CircuitPairs::read(&file) {
                Ok(probe) => probes.push(probe),
                Err(error) => damage.push(error),
            }
        }
        (probes, damage)
    }

    fn read(file: &Path) -> Result<CircuitPairs> {
        let help = "written when a stage begins; train again for a whole one";
        let fail = |problem: String| Error::input(file.display(), problem, help);
        let probe: CircuitPairs = serde_json::from_value(json::read(file, help)?)
            .map_err(|error| fail(error.to_string()))?;
        let lengths = || probe.pairs.iter().flat_map(|p| [p.clean.len(), p.corrupted.len()]);
        if let Some(other) = lengths().find(|&len| Some(len) != lengths().next()) {
            return Err(fail(format!("a sequence has {other} tokens, the first one has not")));
        }
        Ok(probe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stages_until_one_is_missing_and_names_damage() {
        let run = tempfile::tempdir().unwrap();
        let write = |stage: usize, text: &str| {
            std::fs::create_dir_all(run.path().join("circuits")).unwrap();
            std::fs::write(run.path().join(format!("circuits/probe-{stage}.json")), text).unwrap();
        };
        assert_eq!(CircuitPairs::read_all(run.path()).0, []);
        let pair = r#"{"clean":[0,1],"corrupted":[1,1],"answer":1,"distractor":0}"#;
        write(
            0,
            &format!(r#"{{"version":1,"stage":0,"p":2,"k":1,"edges":["a->b"],"pairs":[{pair}]}}"#),
        );
        write(
            1,
            r#"{"stage":1,"p":2,"edges":[],"pairs":[{"clean":[0],"corrupted":[0,1],"answer":1,"distractor":0}]}"#,
        );
        write(3, "not reached");
        let (probes, damage) = CircuitPairs::read_all(run.path());
        assert_eq!((probes.len(), probes[0].pairs[0].answer), (1, 1));
        assert_eq!(damage.len(), 1);
        assert!(damage[0].note(run.path()).starts_with("circuits/probe-1.json: a sequence has 2"));
    }

    #[test]
    fn what_is_written_is_read() {
        let run = tempfile::tempdir().unwrap();
        let pair =
            LabelledPair { clean: vec![0, 1], corrupted: vec![1, 1], answer: 1, distractor: 0 };
        let edges = vec!["input@0->a0.h0<k>@0".to_string()];
        let pairs =
            CircuitPairs { version: VERSION, stage: 0, p: 2, k: 1, edges, pairs: vec![pair] };
        pairs.write(run.path()).unwrap();
        assert_eq!(CircuitPairs::read_all(run.path()), (vec![pairs], vec![]));
        let text = std::fs::read_to_string(run.path().join("circuits/probe-0.json")).unwrap();
        let want = concat!(
            r#"{"edges":["input@0->a0.h0<k>@0"],"k":1,"p":2,"pairs":[{"answer":1,"#,
            r#""clean":[0,1],"corrupted":[1,1],"distractor":0}],"stage":0,"version":1}"#,
            "\n",
        );
        assert_eq!(text, want);
    }
}
