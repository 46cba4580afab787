//! Training: what to run, running it, and what a run leaves behind.
#![forbid(unsafe_code)]

pub mod batches;
pub mod checkpoint;
pub mod circuits;
pub mod config;
mod measure;
pub mod metrics;
mod run;
mod work;

pub use measure::{Evaluator, Measured};
pub use run::{Existing, Outcome, run};
