//! Runs of a model with edges replaced: what is asked, on which pairs, and what it is worth.
//!
//! | file | what |
//! | --- | --- |
//! | [`behaviour`] | a model, its pairs, a metric, a graph, a baseline: what every method is a function of |
//! | [`batches`] | that, run over all its pairs: means for baselines, the clean and the corrupted metric |
//! | [`probe`] | that, recorded for batches of one length: runs, masks, baselines, outputs |
//! | [`metric`] | what is asked of the output, as one value for each pair |
//! | [`measured`] | that, recorded on a tape |
//! | [`subsets`] | the metric of sets of edges |
//! | [`running`] | a circuit as a specialised program with the metric |
//! | [`distance`] | how far masked runs are from the model, with derivatives |
//! | [`memory`] | whether a computation fits, asked before it starts |
#![forbid(unsafe_code)]

pub mod batches;
pub mod behaviour;
pub mod distance;
pub mod measured;
pub mod memory;
pub mod metric;
pub mod probe;
pub mod running;
pub mod subsets;

/// Told how much of the work is done, from 0 to 1.
pub type Progress<'a> = dyn FnMut(f64) + 'a;
