//! Memory for numbers.

use crate::simd::Element;
use std::ops::{Deref, DerefMut};

/// A run of numbers, aligned to 64 bytes: a cache line, and the widest vector there is.
#[derive(Debug, Default)]
pub struct Buffer<T> {
    data: Vec<T>,
}

impl<T: Element> Buffer<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Buffer { data: vec![T::ZERO; len] }
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        &self.data
    }
}

impl<T> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data
    }
}
