//! The folder of `edgegrad pretrain`: a language model on its way.

use std::path::Path;

use crate::error::{Error, Result};
use crate::formats::metrics::Metrics;

/// A pre-training run.
#[derive(Clone, Debug, PartialEq)]
pub struct Pretraining {
    /// What people call it: its folder's name.
    pub name: String,
    /// What happened.
    pub metrics: Metrics,
}

impl Pretraining {
    /// Whether a folder is one.
    pub(crate) fn is(folder: &Path) -> bool {
        folder.join("pretrain.json").is_file() && folder.join("metrics.jsonl").is_file()
    }

    /// Reads a folder, and what is damaged in it.
    ///
    /// # Errors
    /// When its metrics cannot be read at all.
    pub fn read(folder: &Path, name: &str) -> Result<(Self, Vec<Error>)> {
        let (metrics, damage) = Metrics::read(&folder.join("metrics.jsonl"))?;
        Ok((Pretraining { name: name.into(), metrics }, damage))
    }
}
