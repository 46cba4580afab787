//! Runs of a model with edges replaced: what is asked, on which pairs, and what it is worth.
//!
//! | file | what |
//! | --- | --- |
//! | [`behaviour`] | a model, its pairs, a metric, a graph, a baseline: what every method is a function of |
//! | [`metric`] | the metric computed from the output, one value for each pair |
//! | [`subsets`] | the metric of sets of edges |
//! | [`running`] | a circuit as a specialised program with the metric |
//! | [`distance`] | how far masked runs are from the model, with derivatives |
//! | [`memory`] | whether a computation fits, asked before it starts |
#![forbid(unsafe_code)]

pub mod behaviour;
pub mod distance;
pub mod memory;
pub mod metric;
pub mod running;
pub mod subsets;

/// Told how much of the work is done, from 0 to 1.
pub type Progress<'a> = dyn FnMut(f64) + 'a;
