//! Tensors in memory: elements, dual numbers, shapes and aligned buffers.
#![forbid(unsafe_code)]

mod buffer;
mod dual;
mod shape;

pub use crate::simd::Element;
pub use buffer::Buffer;
pub use dual::Dual;
pub use shape::Shape;
