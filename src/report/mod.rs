//! What a run wrote, read back: the summary table and one self-contained page.
//!
//! This room knows files only (run folders, scores, circuits, comparisons), never the engine that
//! filled them, so it reads runs of other versions, other machines and killed
//! processes. What is damaged or missing becomes a note on the page; only a folder that is not there
//! at all, or a page that cannot be written, is an error.
//!
//! ```text
//! ROOT/<arm>/seed-00/{config.toml, metrics.jsonl, snapshots/step-000000.safetensors}
//! ```
//!
//! | file | concept |
//! | --- | --- |
//! | `sources` | what a page is made of: runs, comparisons, files of scores, looks at pairs |
//! | `run`, `config`, `metrics`, `snapshot`, `probe` | a run folder and its files |
//! | `edges`, `pretraining`, `tuning`, `look`, `json` | the files of the other commands |
//! | `summary`, `spikes`, `thin` | success rates with intervals, jumps of the loss, fewer points of a curve |
//! | `data`, `weights`, `pack` | what the page carries, as JSON and as packed numbers |
//! | `page`, `digest` | the page around them, its content policy |
//! | `watch`, `request`, `fingerprint` | the page of a running training: served, asked for, out of date |
//! | [`plot`] | figures for papers |
//! | [`export`] | a circuit for other programs |
#![forbid(unsafe_code)]

mod config;
mod data;
mod digest;
mod edges;
mod error;
pub mod export;
mod fingerprint;
mod json;
mod look;
mod metrics;
mod pack;
mod page;
pub mod plot;
mod pretraining;
mod probe;
mod request;
mod run;
mod snapshot;
mod sources;
mod spikes;
mod summary;
#[cfg(test)]
mod synthetic;
mod thin;
mod tuning;
mod watch;
mod weights;

use std::path::{Path, PathBuf};

pub use config::{ModelConfig, RunConfig, StageConfig, TaskConfig, TrainConfig};
pub use edges::{
    Curve, Curves, EdgeFile, EdgeGroup, EdgeGroups, EdgeSet, Interaction, Series, Trend,
};
pub use error::{Place, ReportError};
pub use look::{Both, Candidate, Look, ScoredEdge};
pub use metrics::{CircuitLine, DomainLine, DomainScore, EvalLine, EventLine, Metrics, StepLine};
pub use pretraining::Pretraining;
pub use probe::{Pair, Probe};
pub use run::{Arm, Experiment, Run, SnapshotFile};
pub use snapshot::{Snapshot, Weights};
pub use sources::Sources;
pub use summary::{ArmSummary, SUCCESS, headline, table, wilson};
pub use tuning::{Judgement, Mean, Tuning, TuningPoint, TuningRow, TuningRun};
pub use watch::Watch;

/// Reads [sources](Sources::read) and writes their page to `out` as one self-contained HTML file,
/// with the weights of this seed, or of the first one that tells the arms apart.
///
/// The file appears under its name only when it is whole: it is written beside it and renamed.
///
/// # Errors
/// When a path is not there or holds nothing that is known, or when `out` cannot be written. Damaged
/// parts of a run are no errors: the page lists them.
pub fn write_page(paths: &[PathBuf], seed: Option<u64>, out: &Path) -> Result<(), ReportError> {
    page::write(&Sources::read(paths)?, seed, out)
}

/// Reads the experiment under `root` and summarises each arm, in the order of [`Experiment::read`].
///
/// # Errors
/// When `root` is not a readable folder or holds no run.
pub fn summary(root: &Path) -> Result<Vec<ArmSummary>, ReportError> {
    Ok(Experiment::read(root)?.summary())
}
