//! Aligned memory for the elements of a tensor.
//!
//! **No huge pages.** Requested through the allocator they changed nothing beyond noise (training
//! steps 0.97 to 1.00 of the time, products 0.99 to 1.01). Softmax took 1.4 times as long, because
//! large buffers then all start at the same set of the cache.

use crate::simd::Element;
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

/// A cache line, and the longest vector: a vector that straddles two lines takes twice the time.
const ALIGNMENT: usize = 64;

/// A buffer of elements, aligned to 64 bytes.
///
/// A buffer is owned or [shared](Self::share). Cloning a shared one copies no elements, so several
/// programs can read the same weights; writing to it first makes it an owned copy.
pub struct Buffer<T>(Storage<T>);

enum Storage<T> {
    Owned(Aligned<T>),
    Shared(Arc<Aligned<T>>),
}

struct Aligned<T> {
    /// The elements, from `start` on; those before and after are padding for the alignment.
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Element> Aligned<T> {
    fn zeros(len: usize) -> Self {
        if len == 0 {
            return Aligned { data: Vec::new(), start: 0, len };
        }
        // The system gives a vector of zeros as untouched pages, so a large buffer costs nothing
        // before it is used.
        let data = vec![T::ZERO; len + spare::<T>()];
        let start = data.as_ptr().align_offset(ALIGNMENT);
        // There is no such offset only if the size of an element does not divide the alignment.
        Aligned { start: if start <= spare::<T>() { start } else { 0 }, data, len }
    }
}

/// How many elements are allocated in addition, so that an aligned one is among the first.
const fn spare<T>() -> usize {
    ALIGNMENT / size_of::<T>()
}

impl<T: Element> Buffer<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Buffer(Storage::Owned(Aligned::zeros(len)))
    }

    /// The same elements, to be cloned without a copy.
    #[must_use]
    pub fn share(self) -> Self {
        match self.0 {
            Storage::Owned(elements) => Buffer(Storage::Shared(Arc::new(elements))),
            shared => Buffer(shared),
        }
    }

    /// Its memory, and where in it the elements are, for what takes over vectors; a shared buffer is
    /// copied.
    pub fn into_parts(mut self) -> (Vec<T>, Range<usize>) {
        // Makes it its own.
        let _: &mut [T] = &mut self;
        match self.0 {
            Storage::Owned(Aligned { data, start, len }) => (data, start..start + len),
            Storage::Shared(_) => unreachable!("made our own above"),
        }
    }

    /// How many elements fit in its memory.
    pub(crate) fn room(&self) -> usize {
        match &self.0 {
            Storage::Owned(elements) => elements.data.len().saturating_sub(spare::<T>()),
            Storage::Shared(elements) => elements.len,
        }
    }

    /// Sets its length to `len`; new elements have any value that the memory holds.
    ///
    /// # Panics
    /// If `len` elements do not fit, or the buffer is shared.
    #[inline]
    pub(crate) fn set_len(&mut self, len: usize) {
        match &mut self.0 {
            Storage::Owned(elements) => {
                assert!(len <= elements.data.len() - elements.start, "{len} elements do not fit");
                elements.len = len;
            }
            Storage::Shared(_) => unreachable!("shared buffers keep their length"),
        }
    }

    /// Replaces shared elements by an owned copy.
    #[cold]
    fn own(&mut self) {
        let mut copy = Aligned::zeros(self.len());
        let start = copy.start;
        copy.data[start..start + self.len()].copy_from_slice(self);
        self.0 = Storage::Owned(copy);
    }
}

impl<T: Element> From<&[T]> for Buffer<T> {
    fn from(elements: &[T]) -> Self {
        let mut buffer = Buffer::zeros(elements.len());
        buffer.copy_from_slice(elements);
        buffer
    }
}

/// Shares a shared buffer and copies an owned one.
impl<T: Element> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        match &self.0 {
            Storage::Owned(_) => Buffer::from(&**self),
            Storage::Shared(elements) => Buffer(Storage::Shared(elements.clone())),
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
        let elements = match &self.0 {
            Storage::Owned(elements) => elements,
            Storage::Shared(elements) => elements,
        };
        &elements.data[elements.start..][..elements.len]
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        if matches!(self.0, Storage::Shared(_)) {
            self.own();
        }
        match &mut self.0 {
            Storage::Owned(elements) => &mut elements.data[elements.start..][..elements.len],
            Storage::Shared(_) => unreachable!("made our own above"),
        }
    }
}

/// By elements.
impl<T: PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
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
