//! edgegrad: transformers whose every edge carries a mask, on a numerics engine of their own.

pub mod error;
pub mod gemm;
pub mod io;
pub mod named;
pub mod nn;
pub mod ops;
pub mod report;
pub mod rng;
pub mod simd;
pub mod tape;
pub mod tasks;
pub mod tensor;
pub mod train;
