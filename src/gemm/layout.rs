//! What the loops, the micro-kernel and packing agree on: where the summand of C lies, how wide a panel
//! of B is, how many products are summed at a time, and how far apart rows of a packed block of A
//! are.

use crate::simd::Lanes;
use std::slice::from_raw_parts;

/// What a product is added to: element (i, j) is `at[i * rs + j]`, so that with `rs` 0 all rows are
/// one.
#[derive(Debug)]
pub(super) struct Old<T> {
    pub(super) at: *const T,
    pub(super) rs: usize,
}

impl<T> Clone for Old<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Old<T> {}

impl<T> Old<T> {
    /// The elements from (i, j) on.
    #[inline(always)]
    pub(super) fn from(self, i: usize, j: usize) -> Self {
        Old { at: self.at.wrapping_add(i * self.rs + j), rs: self.rs }
    }

    /// `len` elements of row `i`.
    ///
    /// # Safety
    /// They must be readable, and nobody may write them while they are borrowed.
    #[inline(always)]
    pub(super) unsafe fn row<'a>(self, i: usize, len: usize) -> &'a [T] {
        // SAFETY: as the caller promises.
        unsafe { from_raw_parts(self.at.wrapping_add(i * self.rs), len) }
    }
}

/// How many numbers of a row of B a tile reads: one vector, two or `L::NV`, the fewest that hold
/// `cols`.
#[inline(always)]
pub(super) fn width<L: Lanes>(cols: usize) -> usize {
    match cols.div_ceil(L::N) {
        1 => L::N,
        2 if L::NV > 2 => 2 * L::N,
        _ => L::NV * L::N,
    }
}

/// The most numbers that are added up before they are added to C. Every way to compute a product
/// adds up in these blocks.
pub(super) fn depth<T>() -> usize {
    (KC_BYTES / size_of::<T>()).max(1)
}

/// Bytes of a row of a strip of A: longer ones go to C less often, and a strip of `MR` of them is
/// in the first-level cache once it was read.
const KC_BYTES: usize = 2 << 10;

/// The distance of the rows of a copied block: a vector more than `kc`, so that the rows do not
/// compete for the same lines of the cache.
#[inline(always)]
pub(super) fn row_stride<L: Lanes>(kc: usize) -> usize {
    kc.next_multiple_of(L::N) + L::N
}
