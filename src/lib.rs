//! edgegrad: transformers whose every edge carries a mask, on a CPU numerics engine of their own.
//!
//! From the bottom up; each layer knows those below it and none above:
//!
//! | room | holds |
//! | --- | --- |
//! | [`simd`], [`gemm`] | kernels over slices, written once and run on the vector unit at hand |
//! | [`tensor`] | shapes, aligned buffers, elements, dual numbers |
//! | [`tape`] | record once, replay many times: forward, forward in part, backward for what is wanted |
//! | [`ops`] | one file for each differentiable operation |
//! | [`nn`] | models, optimisers, schedules |
//! | [`attribution`] | metrics of an answer, what edges contribute to them |
//! | [`discovery`] | circuits: finding them, running them, judging them |
//! | [`tasks`] | where examples come from, without a word about models |
//! | [`io`], [`rng`], [`error`], [`named`] | files, random numbers, errors, names |
//! | [`stats`] | means, quantiles, correlations, intervals, p-values |
//! | [`train`] | configurations, runs, checkpoints, many seeds |
//! | [`report`] | run folders read back: a table, a page |
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
