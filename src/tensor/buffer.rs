//! Memory for numbers.

use crate::simd::Element;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A cache line, and the widest vector there is: a vector that straddles two lines costs twice.
const ALIGNMENT: usize = 64;

/// A run of numbers, aligned to 64 bytes.
///
/// A buffer is owned or [shared](Self::share). Shared ones are cloned for nothing, so that several
/// programs can read the same weights; one that is written to becomes an owned copy first.
pub struct Buffer<T>(Storage<T>);

enum Storage<T> {
    Owned(Aligned<T>),
    Shared(Arc<Aligned<T>>),
}

struct Aligned<T> {
    /// The numbers, from `start` on; before and behind them is what alignment left over.
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Element> Aligned<T> {
    fn zeros(len: usize) -> Self {
        if len == 0 {
            return Aligned { data: Vec::new(), start: 0, len };
        }
        // A vector of zeros comes from the system as untouched pages, so large buffers cost nothing
        // before they are used.
        let data = vec![T::ZERO; len + spare::<T>()];
        let start = data.as_ptr().align_offset(ALIGNMENT);
        // No such offset only if the size of an element does not divide the alignment.
        Aligned { start: if start <= spare::<T>() { start } else { 0 }, data, len }
    }
}

/// How many numbers more than asked for are taken, so that some of them are aligned.
const fn spare<T>() -> usize {
    ALIGNMENT / size_of::<T>()
}

impl<T: Element> Buffer<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Buffer(Storage::Owned(Aligned::zeros(len)))
    }

    /// The same numbers, ready to be cloned without a copy.
    #[must_use]
    pub fn share(self) -> Self {
        match self.0 {
            Storage::Owned(numbers) => Buffer(Storage::Shared(Arc::new(numbers))),
            shared => Buffer(shared),
        }
    }

    /// How many numbers it has room for.
    pub(crate) fn room(&self) -> usize {
        match &self.0 {
            Storage::Owned(numbers) => numbers.data.len().saturating_sub(spare::<T>()),
            Storage::Shared(numbers) => numbers.len,
        }
    }

    /// Lets it be `len` numbers long, of whatever values its memory holds.
    ///
    /// # Panics
    /// If it has no room for them, or is shared.
    #[inline]
    pub(crate) fn set_len(&mut self, len: usize) {
        match &mut self.0 {
            Storage::Owned(numbers) => {
                assert!(len <= numbers.data.len() - numbers.start, "{len} numbers have no room");
                numbers.len = len;
            }
            Storage::Shared(_) => unreachable!("shared numbers have the length they have"),
        }
    }

    /// An owned copy in place of the shared numbers.
    #[cold]
    fn own(&mut self) {
        let mut copy = Aligned::zeros(self.len());
        let start = copy.start;
        copy.data[start..start + self.len()].copy_from_slice(self);
        self.0 = Storage::Owned(copy);
    }
}

impl<T: Element> From<&[T]> for Buffer<T> {
    fn from(numbers: &[T]) -> Self {
        let mut buffer = Buffer::zeros(numbers.len());
        buffer.copy_from_slice(numbers);
        buffer
    }
}

/// Shares what is shared, and copies what is owned.
impl<T: Element> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        match &self.0 {
            Storage::Owned(_) => Buffer::from(&**self),
            Storage::Shared(numbers) => Buffer(Storage::Shared(numbers.clone())),
        }
    }
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Buffer(Storage::Owned(Aligned { data: Vec::new(), start: 0, len: 0 }))
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        let numbers = match &self.0 {
            Storage::Owned(numbers) => numbers,
            Storage::Shared(numbers) => numbers,
        };
        &numbers.data[numbers.start..][..numbers.len]
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        if matches!(self.0, Storage::Shared(_)) {
            self.own();
        }
        match &mut self.0 {
            Storage::Owned(numbers) => &mut numbers.data[numbers.start..][..numbers.len],
            Storage::Shared(_) => unreachable!("made our own above"),
        }
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
    fn shared_numbers_are_copied_when_written() {
        let one = Buffer::<f32>::from(&[1.0, 2.0][..]).share();
        let mut two = one.clone();
        assert_eq!(one.as_ptr(), two.as_ptr());
        two[0] = 3.0;
        assert_eq!((&*one, &*two), (&[1.0, 2.0][..], &[3.0, 2.0][..]));
        assert_ne!(one.clone().share().as_ptr(), two.clone().as_ptr());
    }

    #[test]
    fn aligned_zeros() {
        check::<f32>();
        check::<f64>();
        check::<Dual<f64>>();
    }
}
