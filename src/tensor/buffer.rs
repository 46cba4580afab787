//! Memory for numbers.

use crate::simd::Element;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// A cache line, and the widest vector there is: a vector that straddles two lines costs twice.
const ALIGNMENT: usize = 64;

/// A run of numbers, aligned to 64 bytes.
#[derive(Default)]
pub struct Buffer<T> {
    /// The numbers, from `start` on; before and behind them is what alignment left over.
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Element> Buffer<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        if len == 0 {
            return Buffer { data: Vec::new(), start: 0, len };
        }
        // A vector of zeros comes from the system as untouched pages, so large buffers cost nothing
        // before they are used.
        let spare = ALIGNMENT / size_of::<T>();
        let data = vec![T::ZERO; len + spare];
        let start = data.as_ptr().align_offset(ALIGNMENT);
        // No such offset only if the size of an element does not divide the alignment.
        Buffer { start: if start <= spare { start } else { 0 }, data, len }
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        &self.data[self.start..][..self.len]
    }
}

impl<T> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..][..self.len]
    }
}

impl<T: fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Buffer").field(&&**self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dual;

    fn check<T: Element>() {
        for len in [0, 1, 2, 16, 17, 1000, 100_000] {
            let mut buffer = Buffer::<T>::zeros(len);
            assert!(buffer.len() == len && buffer.iter().all(|&x| x == T::ZERO));
            assert!(len == 0 || (buffer.as_ptr() as usize).is_multiple_of(64), "{len}");
            buffer.fill(T::ONE);
            assert!(buffer.iter().all(|&x| x == T::ONE));
        }
    }

    #[test]
    fn aligned_zeros() {
        check::<f32>();
        check::<f64>();
        check::<Dual<f64>>();
    }
}
