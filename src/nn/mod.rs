//! Models and their training: configurations, parameters, optimizers, learning-rate schedules.
#![forbid(unsafe_code)]

mod activation;
mod optimizer;
mod parts;
pub mod pooled;
mod schedule;
pub mod sparse;
pub mod stream;
pub mod transformer;
mod unembedding;

pub use activation::Activation;
pub use optimizer::{Optimizer, OptimizerKind, Rule, clip_factor, squared_norm};
pub use parts::{PartSum, check_parts};
pub use schedule::{Schedule, Shape as ScheduleShape};
pub use unembedding::Unembedding;
