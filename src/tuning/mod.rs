//! Circuit-tuning: training the part of a model that a circuit names.
#![forbid(unsafe_code)]

mod objective;
pub mod slices;

pub use objective::Objective;
