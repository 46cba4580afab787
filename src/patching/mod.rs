//! Runs of a model with ablated edges: the behaviour that is studied, and its metric.
//!
//! | file | what |
//! | --- | --- |
//! | [`behaviour`] | a model, its pairs, metric, graph and ablation values: what methods are a
//! function of |
//! | [`batches`] | a behaviour over all its pairs: mean ablation values, the clean and corrupted
//! metric |
//! | [`setup`] | what is chosen of a behaviour beside model and pairs |
//! | [`probe`] | a behaviour recorded for batches of one length: runs, masks, ablation values,
//! outputs |
//! | [`logits`] | the logits of a whole model for sequences |
//! | [`activations`] | its activations by the names of TransformerLens' hooks |
//! | [`metric`] | the metric of the output, one value for each pair |
//! | [`measured`] | the metric recorded on a tape |
//! | [`subsets`] | the metric of sets of edges |
//! | [`running`] | a circuit as a specialised program with the metric |
//! | [`distance`] | the distance of masked runs from the model, with derivatives |
//! | [`span`] | what faithfulness is a share of: the metric with all edges and with none |
//! | [`field`] | faithfulness as a function of all masks, with derivatives |
//! | `learned` | numbers that an optimizer moves, as a journal keeps them |
//! | [`cost`] | how long it will take, estimated before it starts |
#![forbid(unsafe_code)]

pub mod activations;
pub mod batches;
pub mod behaviour;
pub mod cost;
pub mod distance;
pub mod field;
pub(crate) mod learned;
pub mod logits;
pub mod measured;
pub mod metric;
pub mod probe;
pub mod running;
pub mod setup;
pub mod span;
pub mod subsets;

/// Called with the share of the work that is done, from 0 to 1.
pub type Progress<'a> = dyn FnMut(f64) + 'a;
