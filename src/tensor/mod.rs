//! Tensors in memory: elements, dual numbers, shapes and aligned buffers.

mod buffer;
mod dual;
mod shape;

pub use crate::simd::Element;
pub use buffer::Buffer;
pub use dual::Dual;
pub use shape::Shape;
