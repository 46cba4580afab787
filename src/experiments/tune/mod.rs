//! Tuning a language model by a circuit, and by everything that is compared with it.
//!
//! A [run](run()) tunes a base model for a [`Goal`] by a [`Method`]; a [grid] compares methods,
//! each at the best of its learning rates, over seeds.

pub mod files;
mod goal;
pub mod grid;
mod judge;
mod methods;
mod run;
mod settings;
mod table;
mod task;

pub use goal::Goal;
pub use judge::Judge;
pub use run::{Report, Tuned, block_numbers, run};
pub use settings::{Method, Settings};
pub use table::table;
pub use task::LanguageTask;
