//! What runs wrote, read back: a run, an arm of seeds, an experiment, and its summary.
//!
//! This room knows files only, never the engine that filled them, so it reads runs of other
//! versions, other machines and killed processes. What is damaged or missing becomes a note; only a
//! folder that is not there at all is an error.
//!
//! ```text
//! ROOT/<arm>/seed-00/{config.toml, metrics.jsonl, snapshots/step-000000.safetensors}
//! ```
#![forbid(unsafe_code)]

pub(crate) mod edges;
pub(crate) mod predict;
pub(crate) mod pretraining;
pub(crate) mod run;
pub(crate) mod sources;
pub(crate) mod summary;
pub mod sweep;
#[cfg(test)]
pub(crate) mod synthetic;
pub(crate) mod thin;

use std::path::Path;

use crate::error::Result;

pub use edges::{EdgeGroup, EdgeGroups, EdgeSet, Series};
pub use predict::{Prediction, Predictor, predict};
pub use pretraining::Pretraining;
pub use run::{Arm, Experiment, Run, SUCCESS};
pub use sources::Sources;
pub use summary::{ArmSummary, headline, table};

/// Reads the experiment under `root` and summarises each arm, in the order of [`Experiment::read`].
///
/// # Errors
/// When `root` is not a readable folder or holds no run.
pub fn summary(root: &Path) -> Result<Vec<ArmSummary>> {
    Ok(Experiment::read(root)?.arms.iter().map(ArmSummary::of).collect())
}
