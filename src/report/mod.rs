//! What a run wrote, read back: the summary table and one self-contained page.
//!
//! This room knows run *folders* only (`config.toml`, `metrics.jsonl`, `snapshots/*.safetensors`),
//! never the engine that filled them, so it reads runs of other versions, other machines and killed
//! processes. What is damaged or missing becomes a note on the page; only a folder that is not there
//! at all, or a page that cannot be written, is an error.
//!
//! ```text
//! ROOT/<arm>/seed-00/{config.toml, metrics.jsonl, snapshots/step-000000.safetensors}
//! ```
//!
//! | file | concept |
//! | --- | --- |
//! | `config`, `metrics`, `snapshot` | one file of a run folder each |
//! | `run` | a run, an arm, an experiment |
//! | `summary` | success rates with intervals, the plain-text table |
//! | `plane`, `thin` | which 2-D view of an embedding, which points of a curve the page carries |
//! | `data`, `page`, `digest` | the numbers as JSON, the page around them, its content policy |
//! | `watch`, `request`, `fingerprint` | the page of a running training: served, asked for, out of date |
#![forbid(unsafe_code)]

mod config;
mod data;
mod digest;
mod error;
mod fingerprint;
mod metrics;
mod page;
mod plane;
mod request;
mod run;
mod snapshot;
mod summary;
#[cfg(test)]
mod synthetic;
mod thin;
mod watch;

use std::path::Path;

pub use config::{ModelConfig, RunConfig, StageConfig, TaskConfig, TrainConfig};
pub use error::{Place, ReportError};
pub use metrics::{EvalLine, EventLine, Metrics, StepLine};
pub use plane::Plane;
pub use run::{Arm, Experiment, Run, SnapshotFile};
pub use snapshot::{Matrix, Snapshot};
pub use summary::{ArmSummary, SUCCESS, headline, table, wilson};
pub use watch::Watch;

/// Reads the experiment under `root` and writes its page to `out` as one self-contained HTML file.
///
/// The file appears under its name only when it is whole: it is written beside it and renamed.
///
/// # Errors
/// When `root` is not a readable folder or holds no run, or when `out` cannot be written. Damaged
/// parts of a run are no errors: the page lists them.
pub fn write_page(root: &Path, out: &Path) -> Result<(), ReportError> {
    page::write(&Experiment::read(root)?, out)
}

/// Reads the experiment under `root` and summarises each arm, in the order of [`Experiment::read`].
///
/// # Errors
/// When `root` is not a readable folder or holds no run.
pub fn summary(root: &Path) -> Result<Vec<ArmSummary>, ReportError> {
    Ok(Experiment::read(root)?.summary())
}
