//! Circuit-tuning: training the part of a model that a circuit names.
//!
//! | file | what |
//! | --- | --- |
//! | [`slices`] | the elements of the parameters that a circuit names |
//! | `tuner` | training slices and nothing else |
//! | `choose` | finding the circuit to train |
//! | `connected` | circuits from scores: all edges on paths |
//! | `control` | random circuits in its place |
//! | `figures` | how good a tuned circuit is |
//! | `run` | the loop |
//! | `objective` | the loss |
//! | [`change`] | what tuning has changed, and grafts of it |
//! | [`dynamics`] | trends of edges' scores |
//! | [`lora`] | low-rank adapters, for comparison |
#![forbid(unsafe_code)]

pub mod change;
mod choose;
mod connected;
mod control;
pub mod dynamics;
mod figures;
pub mod lora;
mod objective;
mod run;
pub mod slices;
mod tuner;

#[cfg(test)]
mod tests;

pub use choose::{Amount, Discovery, Finder, Found, Ramp, Select, ends_of};
pub use control::{Control, Drawn, Moved, Placed};
pub use figures::circuit_figures;
pub use objective::Objective;
pub use run::{Circuit, Fixed, Given, Observed, Outcome, Plan, Policy, RandomLayers, Task, tune};
pub use slices::{Ends, Extras, Slices, Union};
pub use tuner::{Batch, Leaving, Tuner};
