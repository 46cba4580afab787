//! `run.json` of a run folder: what the run began with, so that it goes on with the same.
//!
//! ```text
//! {"edgegrad": "0.1.0", "instruction_set": "avx512", "inputs": {"task.data": "SHA-256", ...}}
//! ```

use crate::error::{Error, Result};
use crate::files::{atomic, input};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The file's name.
pub const NAME: &str = "run.json";

/// What a run began with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of edgegrad.
    pub edgegrad: String,
    /// The instruction set of its kernels, on which last bits depend.
    pub instruction_set: String,
    /// The SHA-256 of each file it reads, by the key that names the file.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
}

impl RunRecord {
    /// Writes the record into a run folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self).expect("a plain struct is valid JSON");
        text.push(b'\n');
        atomic::write_bytes(folder.join(NAME), &text)
    }

    /// The record of a run folder; `None` if it has none, as those of earlier versions.
    ///
    /// # Errors
    /// If it cannot be read or is no record.
    pub fn read(folder: &Path) -> Result<Option<RunRecord>> {
        let path = folder.join(NAME);
        if std::fs::symlink_metadata(&path).is_err() {
            return Ok(None);
        }
        let help = "remove it, and make sure that data and base model are those of the run";
        let text = input::regular(&path, input::CONFIG)?;
        let record = serde_json::from_slice(&text);
        record.map(Some).map_err(|e| Error::input(path.display(), e, help))
    }

    /// Whether a run that began with `self` may go on with `now`: refuses other inputs, and returns
    /// a sentence for each thing on which only last bits depend.
    ///
    /// # Errors
    /// If an input is another file than the one the run began with.
    pub fn allows(&self, now: &RunRecord, folder: &Path) -> Result<Vec<String>> {
        for (key, hash) in &self.inputs {
            if now.inputs.get(key).is_some_and(|now| now != hash) {
                let message = format!("`{key}` is another file than the run began with");
                let help = "give the file that it began with, or choose another --out";
                return Err(Error::input(folder.display(), message, help));
            }
        }
        let both = [
            ("edgegrad", &self.edgegrad, &now.edgegrad),
            ("the instruction set", &self.instruction_set, &now.instruction_set),
        ];
        let differ = both.into_iter().filter(|(_, before, now)| before != now);
        Ok(differ
            .map(|(what, before, now)| {
                let place = folder.display();
                format!(
                    "{place}: {what} was {before} and is {now}: last bits may differ from here on"
                )
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_with_what_it_began_with() {
        let t = tempfile::tempdir().unwrap();
        assert_eq!(RunRecord::read(t.path()).unwrap(), None);
        let record = RunRecord {
            edgegrad: "0.1.0".into(),
            instruction_set: "avx2".into(),
            inputs: [("task.data".into(), "ab".into())].into(),
        };
        record.write(t.path()).unwrap();
        assert_eq!(RunRecord::read(t.path()).unwrap(), Some(record.clone()));
        assert_eq!(record.allows(&record, t.path()).unwrap(), [""; 0]);
        let other = RunRecord { instruction_set: "avx512".into(), ..record.clone() };
        let warnings = record.allows(&other, t.path()).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("was avx2 and is avx512"));
        let other =
            RunRecord { inputs: [("task.data".into(), "cd".into())].into(), ..record.clone() };
        let e = record.allows(&other, t.path()).unwrap_err();
        assert!(e.message().contains("task.data") && e.exit_code() == 2, "{e}");
        std::fs::write(t.path().join(NAME), "{").unwrap();
        assert_eq!(RunRecord::read(t.path()).unwrap_err().exit_code(), 2);
    }
}
