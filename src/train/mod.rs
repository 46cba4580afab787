//! Training: what to run, running it, and what a run leaves behind.
#![forbid(unsafe_code)]

pub mod batches;
pub mod checkpoint;
pub mod circuits;
pub mod config;
pub mod language;
mod measure;
pub mod metrics;
mod progress;
mod run;
mod sweep;
mod work;

pub use measure::{Evaluator, Measured};
pub use progress::Progress;
pub use run::{Existing, Outcome, run};
pub use sweep::{Job, available_threads, run_all, side_by_side};
