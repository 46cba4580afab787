//! edgegrad: transformers whose every edge carries a mask, on a numerics engine of their own.

pub mod error;
pub mod gemm;
pub mod io;
pub mod rng;
pub mod simd;
pub mod tasks;
pub mod tensor;
pub mod train;
