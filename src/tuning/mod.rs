//! Circuit-tuning: training the part of a model that a circuit names, and low-rank adapters to
//! compare it with.
#![forbid(unsafe_code)]

pub mod lora;
mod objective;

pub use objective::Objective;
