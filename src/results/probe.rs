//! `circuits/probe-STAGE.json` of a run folder: what the scores of a stage belong to.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::json;

/// A sequence, and one with another label that stands in for what is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// `[L]`.
    pub clean: Vec<u32>,
    /// `[L]`.
    pub corrupted: Vec<u32>,
    /// The label of the clean sequence.
    pub answer: u32,
    /// The label of the corrupted one.
    pub distractor: u32,
}

/// What circuits of a stage were measured on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Probe {
    /// The stage, from 0.
    pub stage: usize,
    /// The modulus.
    pub p: u64,
    /// `[E]`, the names of the edges in the order of the scores.
    pub edges: Vec<String>,
    /// Sequences.
    pub pairs: Vec<Pair>,
}

impl Probe {
    /// All probes of a run in order of stages, and what is damaged.
    pub fn read_all(run: &Path) -> (Vec<Probe>, Vec<Error>) {
        let (mut probes, mut damage) = (Vec::new(), Vec::new());
        for stage in 0.. {
            let file = run.join("circuits").join(format!("probe-{stage}.json"));
            if !file.is_file() {
                break;
            }
            match Probe::read(&file) {
                Ok(probe) => probes.push(probe),
                Err(error) => damage.push(error),
            }
        }
        (probes, damage)
    }

    fn read(file: &Path) -> Result<Probe> {
        let help = "written when a stage begins; train again for a whole one";
        let fail = |problem: String| Error::input(file.display(), problem, help);
        let probe: Probe = serde_json::from_value(json::read(file, help)?)
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
        assert_eq!(Probe::read_all(run.path()).0, []);
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
        let (probes, damage) = Probe::read_all(run.path());
        assert_eq!((probes.len(), probes[0].pairs[0].answer), (1, 1));
        assert_eq!(damage.len(), 1);
        assert!(damage[0].note(run.path()).starts_with("circuits/probe-1.json: a sequence has 2"));
    }
}
