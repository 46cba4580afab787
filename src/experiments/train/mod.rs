//! Training: what to run, running it, and what a run leaves behind.
#![forbid(unsafe_code)]

pub mod batches;
pub mod checkpoint;
pub mod circuits;
pub mod config;
mod measure;
pub mod parts;
#[cfg(all(test, unix))]
mod power_cut;
mod run;
mod start;
mod timed;
pub mod transplant;
mod work;

pub use measure::{Evaluator, HeadFigures, Measured, Scores};
pub use run::{Existing, Outcome, run};
pub(crate) use run::{check_replaceable, remove};
pub use timed::{is_short, seconds};
