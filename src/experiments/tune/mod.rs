//! Tuning a language model by a circuit, and by everything that is compared with it.
//!
//! A [run](run()) tunes a base model for a [`Goal`] of generated language or for somebody's [`Own`]
//! pairs (both are a [`Subject`]) by a [`Method`]; a [grid] compares methods,
//! each at the best of its learning rates, over seeds; a [study] runs grids over many base models.

mod course;
pub mod files;
mod goal;
pub mod grid;
pub mod grid_runs;
mod judge;
mod methods;
mod own;
mod rates;
pub mod request;
mod run;
mod settings;
pub mod study;
mod subject;
mod table;
mod task;

pub use course::{Course, courses};
pub use goal::Goal;
pub use judge::Judge;
pub use own::{Own, OwnFiles, OwnPairs};
pub use run::{Report, Tuned, block_numbers, is_short, run, seconds};
pub use settings::{Method, Settings};
pub use subject::{Material, Subject};
pub use table::table;
pub use task::LanguageTask;
