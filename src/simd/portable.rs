//! Lanes that every processor of an architecture has (SSE2 on x86-64, NEON on ARM).

/// Eight `f32`.
pub type F32 = super::Scalar<f32>;
/// Four `f64`.
pub type F64 = super::Scalar<f64>;
