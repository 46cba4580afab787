//! Experiments: what is run, and what it leaves behind in its folder.
//!
//! | room | what |
//! | --- | --- |
//! | [`train`] | the pooled model on a task, in stages |
//! | [`pretrain`] | a base model on generated language, and what a language model can do |
//! | [`tune`] | a base model tuned by a circuit and by everything it is compared with |
//! | [`run_all`], [`side_by_side`] | many runs at once |
//! | [`sweep`] | the runs that a file of axes asks for |
//! | [`Curriculum`] | modular addition from scratch against a curriculum of smaller moduli |
//! | [`median_seconds`], [`peak_bytes`] | what a computation costs |
#![forbid(unsafe_code)]

mod cost;
mod curriculum;
mod parallel;
pub mod pretrain;
mod progress;
mod settings;
pub mod sweep;
pub mod train;
pub mod tune;

use crate::formats::run_record::RunRecord;
use crate::simd::backend;
use std::collections::BTreeMap;

pub use cost::{answer_of, median_seconds, peak_bytes};
pub use curriculum::Curriculum;
pub use parallel::{Job, available_threads, run_all, side_by_side};
pub use progress::{Progress, Steps};
pub use settings::Given;

/// What a run begins with that reads files of these hashes.
fn record(inputs: BTreeMap<String, String>) -> RunRecord {
    let (edgegrad, set) = (env!("CARGO_PKG_VERSION").into(), backend().name().into());
    RunRecord { edgegrad, instruction_set: set, inputs }
}
