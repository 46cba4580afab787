//! Circuit-tuning: training the part of a model that a circuit names.
//!
//! | file | what |
//! | --- | --- |
//! | [`slices`] | which numbers of which parameters a circuit names |
//! | `tuner` | training slices and nothing else |
//! | `choose` | finding the circuit, and random ones like it |
//! | `run` | the loop |
//! | `objective` | the loss |
//! | [`change`] | what tuning has changed, and grafting it |
//! | [`dynamics`] | how the scores of edges move |
//! | [`lora`] | low-rank adapters, to compare with |
#![forbid(unsafe_code)]

pub mod change;
mod choose;
pub mod dynamics;
pub mod lora;
mod objective;
mod run;
pub mod slices;
mod tuner;

#[cfg(test)]
mod tests;

pub use choose::{Amount, Discovery, Finder, Found, Ramp, Select, ends_of};
pub use objective::Objective;
pub use run::{Circuit, Fixed, Given, Look, Outcome, Plan, Policy, Task, tune};
pub use slices::{Ends, Extras, Slices, Union};
pub use tuner::{Batch, Leaving, Tuner};
