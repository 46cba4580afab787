//! The layouts that the loops, the micro-kernel and packing agree on: the addend of C, the width of
//! a panel of B, KC, and the row stride of a packed block of A.

use crate::simd::Lanes;
use std::slice::from_raw_parts;

/// Lanes of the longest vector.
pub(super) const LONGEST: usize = 16;

/// What is added to a product: element (i, j) is `at[i * rs + j]`. With `rs` 0 all rows are one.
#[derive(Debug)]
pub(super) struct Addend<T> {
    pub(super) at: *const T,
    pub(super) rs: usize,
}

impl<T> Clone for Addend<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Addend<T> {}

impl<T> Addend<T> {
    /// The elements from (i, j) on.
    #[inline(always)]
    pub(super) fn from(self, i: usize, j: usize) -> Self {
        Addend { at: self.at.wrapping_add(i * self.rs + j), rs: self.rs }
    }

    /// `len` elements of row `i`.
    ///
    /// # Safety
    /// They must be readable, and must not be written while they are borrowed.
    #[inline(always)]
    pub(super) unsafe fn row<'a>(self, i: usize, len: usize) -> &'a [T] {
        // SAFETY: as the caller promises.
        unsafe { from_raw_parts(self.at.wrapping_add(i * self.rs), len) }
    }
}

/// The width of a panel of B with `cols` columns: one vector, two or `L::NV`, the fewest that hold
/// them.
#[inline(always)]
pub(super) fn width<L: Lanes>(cols: usize) -> usize {
    match cols.div_ceil(L::N) {
        1 => L::N,
        2 if L::NV > 2 => 2 * L::N,
        _ => L::NV * L::N,
    }
}

/// KC: the most products that are summed before the sum is added to C. Every path sums in these
/// blocks.
pub(super) fn depth<T>() -> usize {
    (KC_BYTES / size_of::<T>()).max(1)
}

/// KC in bytes. Longer rows are added to C less often; with this length a strip of `MR` rows of A
/// stays in the first-level cache once it has been read.
const KC_BYTES: usize = 2 << 10;

/// What a row of a packed block of A takes: a vector more than `kc`, so that rows do not compete
/// for the same sets of the cache. Strips whose lanes are factors have no such rows.
#[inline(always)]
pub(super) fn row_stride<L: Lanes>(kc: usize) -> usize {
    if L::LANES_AS_FACTORS { kc } else { kc.next_multiple_of(L::N) + L::N }
}
