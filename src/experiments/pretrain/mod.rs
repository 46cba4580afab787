//! Training on generated language: the base model, and what a language model can do.

mod groups;
mod measure;
mod panel;
mod training;

pub use measure::measure;
pub use panel::{Measured, Panel, Retention};
pub use training::{
    FILES, Pretraining, SETTINGS, initial_weights, is_finished, pretrain, seconds_of_step,
};
