//! edgegrad: transformers whose every edge carries a mask, on a numerics engine of their own.

pub mod gemm;
pub mod report;
pub mod simd;
pub mod tensor;
