//! Elements of 16 bits, widened piece by piece on the way into a product.
//!
//! Weights that fit no cache are read at the speed of memory, and half the bytes take half the
//! time. A piece of a panel is widened into the first-level cache, and all rows of A pass over it
//! there, so that a product has the bits that it has with the wide elements.

use crate::simd::{Element, Half};

/// Elements of 16 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Narrow<'a> {
    pub(super) bits: &'a [u16],
    pub(super) format: Half,
}

impl<'a> Narrow<'a> {
    /// The elements from `first` on.
    pub(super) fn after(self, first: usize) -> Narrow<'a> {
        Narrow { bits: &self.bits[first.min(self.bits.len())..], ..self }
    }

    pub(super) fn get<T: Element>(self, i: usize) -> T {
        self.format.element(self.bits[i])
    }

    /// Where the elements from `first` on are, to be prefetched, and the bytes that each takes.
    #[inline(always)]
    pub(super) fn at<T>(self, first: usize) -> (*const T, usize) {
        (self.bits.as_ptr().wrapping_add(first).cast(), size_of::<u16>())
    }

    /// Widens the elements from `first` on, as many as there are.
    #[inline(always)]
    pub(super) fn widen<T: Element>(self, first: usize, to: &mut [T]) {
        let elements = self.bits[first..].iter().zip(to);
        // A format at a time makes loops that are vectorized.
        match self.format {
            Half::Bf16 => elements.for_each(|(&bits, to)| *to = Half::Bf16.element(bits)),
            Half::F16 => elements.for_each(|(&bits, to)| *to = Half::F16.element(bits)),
        }
    }
}
