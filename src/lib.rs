//! edgegrad: transformers whose every edge carries a mask, on a numerics engine of their own.

pub mod gemm;
pub mod ops;
pub mod simd;
pub mod tape;
pub mod tensor;
