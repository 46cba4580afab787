//! A from-scratch CPU engine for training small transformers and studying their circuits.
//!
//! Every edge of a model carries a mask that is a leaf of the tape, so finding, attributing and
//! tuning a circuit are operations on one graph. `GUIDE.md` teaches the command line by tasks.
//!
//! ```
//! use edgegrad::discovery::{connect::connected, select};
//! use edgegrad::{attribution::eap, patching::subsets, prelude::*};
//! # fn main() -> Result<()> {
//! // A model that sorts four tokens, its pairs, and the 7 of its 46 edges that are known to do it.
//! let case = Case::<f64>::read("tests/fixtures/tracr/sort".as_ref())?;
//! let behaviour = case.behaviour(Metric::LogitDiff, Baseline::Resample)?;
//! // Score every edge, and keep the first of those that lead to the logits.
//! let scores = eap::scores(&behaviour, &mut |_| {})?.values;
//! let order = select::Rank::Abs.order(&scores);
//! let kept = connected(&case.graph, &select::first(&order, 16, scores.len()));
//! // Run the circuit alone: all other edges carry what they carry in the corrupted sequence.
//! let values = subsets::per_pair(&behaviour, 1, |_, edge| kept[edge], &mut |_| {})?;
//! let faithfulness = Span::new(&behaviour, &behaviour.extremes()?)?.faithfulness(&values[0]);
//! assert!(faithfulness > 0.9, "{faithfulness}");
//! # Ok(())
//! # }
//! ```
//!
//! From the bottom up; a room uses rooms above it in this table and none below:
//!
//! | room | holds |
//! | --- | --- |
//! | [`error`], [`named`], [`rng`] | errors with a place and help, names, random streams |
//! | [`interrupt`] | being asked to stop |
//! | [`ranks`] | the processes that `mpirun` has started together |
//! | [`stats`] | means, quantiles, ranks, correlations, intervals, p-values |
//! | [`simd`], [`gemm`] | kernels over slices for every instruction set; the matrix product |
//! | [`tensor`] | shapes, aligned buffers, elements, dual numbers |
//! | [`tape`] | record once, replay many times: forward, in part, backward to what is asked for |
//! | [`ops`] | a file for each differentiable operation |
//! | [`nn`] | models, streams, optimizers, schedules |
//! | [`files`], [`formats`] | atomic writes, safetensors, JSON; what programs exchange |
//! | [`text`] | the words of tokens; with the feature `text`, the tokens of a text |
//! | [`tasks`] | where examples come from, without a word about models |
//! | [`checkpoints`] | model folders: Hugging Face, TransformerLens, our own |
//! | [`graph`] | nodes and edges of a model, masks, contraction, specialised circuits |
//! | [`patching`] | a behaviour and its metric; masked and specialised runs |
//! | [`attribution`] | a file for each method, and a text on which score is exact when |
//! | [`discovery`] | searches for circuits, judging them, models whose circuit is known |
//! | [`tuning`] | training the parameters of a circuit, and adapters beside it |
//! | [`measures`] | quantities of a model along its training |
//! | [`experiments`] | training, pre-training and tuning runs with their settings, over seeds |
//! | [`results`] | run folders read back: runs, arms, summaries |
//! | [`page`], [`plot`], [`export`] | the page, figures, circuits for other programs |
//! | [`prelude`] | what most programs name |
//!
//! Features, all on by default: `experiments` and `page` (with `plot`, `export` and `results`) are
//! the rooms of these names, `text` is the tokenizers, `cli` is the command.
//!
//! Start with [`tape`], whose example is a whole program, then [`nn::pooled`].

pub mod attribution;
pub mod checkpoints;
pub mod discovery;
pub mod error;
#[cfg(feature = "experiments")]
pub mod experiments;
#[cfg(feature = "page")]
pub mod export;
pub mod files;
pub mod formats;
pub mod gemm;
pub mod graph;
pub mod interrupt;
pub mod measures;
pub mod memory;
pub mod named;
pub mod nn;
pub mod ops;
#[cfg(feature = "page")]
pub mod page;
pub mod patching;
#[cfg(feature = "page")]
pub mod plot;
pub mod prelude;
pub mod ranks;
#[cfg(feature = "page")]
pub mod results;
pub mod rng;
pub mod simd;
pub mod stats;
mod system;
pub mod tape;
pub mod tasks;
pub mod tensor;
pub mod text;
pub mod tuning;

/// The code of the guide, compiled and run with the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../GUIDE.md")]
struct Guide;
