//! What most programs name: `use edgegrad::prelude::*`.
//!
//! A model with the graph of its edges, pairs and what is asked of them, baselines and metrics,
//! files of scores and circuits. Methods are modules:
//! [`attribution::eap`](crate::attribution::eap), [`discovery::acdc`](crate::discovery::acdc).
#![forbid(unsafe_code)]

pub use crate::checkpoints::AnyModel;
pub use crate::discovery::truth::case::Case;
pub use crate::error::{Error, Result};
pub use crate::formats::pairs::{Bounds, Pairs};
pub use crate::formats::{EdgeFile, Meta};
pub use crate::graph::{Granularity, Graph};
pub use crate::patching::behaviour::{Baseline, Behaviour};
pub use crate::patching::metric::{Metric, Positions, Question};
pub use crate::patching::span::Span;
