//! A from-scratch CPU engine for training small transformers and studying their circuits.
//!
//! Every edge of a model carries a mask that is a leaf of the tape, so finding, attributing and
//! tuning a circuit are operations on one graph. `GUIDE.md` teaches the command line by tasks.
//!
//! From the bottom up; a room uses rooms above it in this table and none below:
//!
//! | room | holds |
//! | --- | --- |
//! | [`error`], [`named`], [`rng`] | errors with a place and help, names, random streams |
//! | [`interrupt`] | being asked to stop |
//! | [`stats`] | means, quantiles, ranks, correlations, intervals, p-values |
//! | [`simd`], [`gemm`] | kernels over slices for every instruction set; the matrix product |
//! | [`tensor`] | shapes, aligned buffers, elements, dual numbers |
//! | [`tape`] | record once, replay many times: forward, in part, backward to what is asked for |
//! | [`ops`] | a file for each differentiable operation |
//! | [`nn`] | models, streams, optimizers, schedules |
//! | [`files`], [`formats`] | atomic writes, safetensors, JSON; what programs exchange |
//! | [`tasks`] | where examples come from, without a word about models |
//! | [`checkpoints`] | model folders: Hugging Face, TransformerLens, our own |
//! | [`graph`] | nodes and edges of a model, masks, contraction, specialised circuits |
//! | [`patching`] | a behaviour and its metric; masked and specialised runs |
//! | [`attribution`] | a file for each method, and a text on which score is exact when |
//! | [`discovery`] | searches for circuits, judging them, models whose circuit is known |
//! | [`tuning`] | training the parameters of a circuit, and adapters beside it |
//! | [`experiments`] | training, pre-training and tuning runs with their settings, over seeds |
//! | [`results`] | run folders read back: runs, arms, summaries |
//! | [`page`], [`plot`], [`export`] | the page, figures, circuits for other programs |
//!
//! Start with [`tape`], whose example is a whole program, then [`nn::pooled`].

pub mod attribution;
pub mod checkpoints;
pub mod discovery;
pub mod error;
pub mod experiments;
pub mod export;
pub mod files;
pub mod formats;
pub mod gemm;
pub mod graph;
pub mod interrupt;
pub mod named;
pub mod nn;
pub mod ops;
pub mod page;
pub mod patching;
pub mod plot;
pub mod results;
pub mod rng;
pub mod simd;
pub mod stats;
pub mod tape;
pub mod tasks;
pub mod tensor;
pub mod tuning;

/// The code of the guide, compiled and run with the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../GUIDE.md")]
struct Guide;
