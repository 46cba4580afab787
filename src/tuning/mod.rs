//! Circuit-tuning: training the part of a model that a circuit names.
#![forbid(unsafe_code)]

mod choose;
mod objective;
mod run;
pub mod slices;
mod tuner;

pub use choose::{Amount, Discovery, Finder, Found, Ramp, Select, ends_of};
pub use objective::Objective;
pub use run::{Circuit, Fixed, Look, Outcome, Plan, Policy, Task, check_every, tune};
pub use slices::{Ends, Extras, Slices, Union};
pub use tuner::{Batch, Leaving, Tuner};

#[cfg(test)]
mod tests;
