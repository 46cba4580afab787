//! Packing: copies of panels of B and blocks of A in the order in which the micro-kernel reads
//! them.

use super::blocks::each_strip;
use super::layout::width;
use crate::simd::{Element, Lanes, prefetch};
use std::slice::from_raw_parts;

/// Packs a panel `[kc, cols]`, `b[k * rs + j * cs]`, into `to[k * width + j]`; columns `cols` to
/// [`width`] are zero.
///
/// # Safety
/// These elements must be readable.
#[inline(always)]
pub(super) unsafe fn panel<L: Lanes>(
    b: *const L::Elem,
    rs: usize,
    cs: usize,
    kc: usize,
    cols: usize,
    to: &mut [L::Elem],
) {
    let width = width::<L>(cols);
    // SAFETY: as the caller promises.
    unsafe { rows::<L>(b, (rs, cs), (kc, cols), to, (width, width)) }
}

/// Packs `[count, len]` elements, `x[i * rs + j * cs]`, into `to[i * stride + j]`; columns `len` to
/// `width` are zero. If `width` is not a multiple of `N`, `stride` leaves room for one more vector.
///
/// # Safety
/// These elements must be readable.
#[inline(always)]
pub(super) unsafe fn rows<L: Lanes>(
    x: *const L::Elem,
    (rs, cs): (usize, usize),
    (count, len): (usize, usize),
    to: &mut [L::Elem],
    (width, stride): (usize, usize),
) {
    let to = &mut to[..count * stride];
    if cs == 1 {
        for (i, to) in to.chunks_exact_mut(stride).enumerate() {
            // SAFETY: the caller promises row i.
            copy::<L>(unsafe { from_raw_parts(x.add(i * rs), len) }, &mut to[..width]);
        }
    } else if rs == 1 {
        for j in (0..width).step_by(L::N) {
            let columns = len.saturating_sub(j).min(L::N);
            for i in (0..count).step_by(L::N) {
                let (high, to) = (L::N.min(count - i), &mut to[i * stride + j..]);
                if columns == L::N && high == L::N {
                    // The block beside it comes next, except at the end of these columns.
                    for beside in L::N..2 * L::N {
                        prefetch(x.wrapping_add((j + beside) * cs + i + L::N - 1));
                    }
                    // SAFETY: the caller promises columns j to j + N, and here N elements of each
                    // from row i on; `cs` apart, the last of them ends at this length.
                    let square =
                        unsafe { from_raw_parts(x.add(j * cs + i), (L::N - 1) * cs + L::N) };
                    L::transpose(square, cs, to, stride);
                } else if columns == 0 {
                    to.chunks_mut(stride).take(high).for_each(|to| to[..L::N].fill(L::Elem::ZERO));
                } else {
                    // SAFETY: the caller promises column `j + k`, here from row i on.
                    let column = |k| unsafe { from_raw_parts(x.add((j + k) * cs + i), high) };
                    edge::<L>(columns, high, column, to, stride);
                }
            }
        }
    } else {
        for (i, to) in to.chunks_exact_mut(stride).enumerate() {
            for (j, to) in to[..width].iter_mut().enumerate() {
                // SAFETY: the caller promises row i, up to column `len`.
                *to = if j < len { unsafe { *x.add(i * rs + j * cs) } } else { L::Elem::ZERO };
            }
        }
    }
}

/// Packs a strip `[rows, kc]` of A, `a[i * rs + k * cs]`, column after column: into
/// `to[k * rows + i]`.
///
/// # Safety
/// These elements must be readable.
#[inline(always)]
pub(super) unsafe fn strip<T: Element>(
    a: *const T,
    (rs, cs): (usize, usize),
    (rows, kc): (usize, usize),
    to: &mut [T],
) {
    for i in 0..rows {
        let from = a.wrapping_add(i * rs);
        for (k, to) in to[..kc * rows].chunks_exact_mut(rows).enumerate() {
            // SAFETY: the caller promises element (i, k).
            to[i] = unsafe { *from.wrapping_add(k * cs) };
        }
    }
}

/// Packs a block `[rows, kc]` of A, `a[i * rs + k * cs]`: row after row, or, where lanes are
/// factors, [`strip`] after strip; that from row `i` on into `to[i * stride..]`.
///
/// # Safety
/// These elements must be readable.
#[inline(always)]
pub(super) unsafe fn block<L: Lanes>(
    a: *const L::Elem,
    strides: (usize, usize),
    (rows, kc): (usize, usize),
    to: &mut [L::Elem],
    stride: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        if const { L::LANES_AS_FACTORS } {
            strips::<L>(a, strides, (rows, kc), to, stride);
        } else {
            self::rows::<L>(a, strides, (rows, kc), to, (kc, stride));
        }
    }
}

/// Packs a block `[rows, kc]` of A, `a[i * rs + k * cs]`, [`strip`] after strip: that from row `i`
/// on into `to[i * stride..]`.
///
/// # Safety
/// These elements must be readable.
#[inline(always)]
pub(super) unsafe fn strips<L: Lanes>(
    a: *const L::Elem,
    (rs, cs): (usize, usize),
    (rows, kc): (usize, usize),
    to: &mut [L::Elem],
    stride: usize,
) {
    for (i, high) in each_strip::<L>(rows) {
        let (a, to) = (a.wrapping_add(i * rs), &mut to[i * stride..]);
        // SAFETY: as the caller promises.
        unsafe {
            if const { L::LANES_AS_FACTORS } && high.is_multiple_of(L::N) {
                // The strip is a panel of its rows: squares of it are transposed.
                self::rows::<L>(a, (cs, rs), (kc, high), to, (high, high));
            } else {
                strip(a, (rs, cs), (high, kc), to);
            }
        }
    }
}

/// Packs `[kc, cols]` elements, rows `rs` apart, into panel after panel; `cols` is a multiple of
/// `NR`.
///
/// The outer loop is over rows, because memory reaches its full speed only on long contiguous
/// reads.
///
/// # Safety
/// These elements must be readable.
#[inline(always)]
pub(super) unsafe fn panels<L: Lanes>(
    b: *const L::Elem,
    rs: usize,
    kc: usize,
    cols: usize,
    to: &mut [L::Elem],
) {
    let nr = L::NV * L::N;
    let to = &mut to[..kc * cols];
    for k in 0..kc {
        for (j, to) in to.chunks_exact_mut(kc * nr).enumerate() {
            for (v, to) in to[k * nr..][..nr].chunks_exact_mut(L::N).enumerate() {
                // SAFETY: the caller promises row k of B.
                let from = unsafe { from_raw_parts(b.add(k * rs + j * nr + v * L::N), L::N) };
                prefetch(b.wrapping_add((k + AHEAD) * rs + j * nr + v * L::N));
                L::load(from).store(to);
            }
        }
    }
}

/// How many rows ahead of the copy memory is prefetched.
const AHEAD: usize = 4;

/// A block at the edge of B, padded with zeros to `N` x `N` and transposed: `columns` columns of
/// `rows` elements each, into `to[k * width + i]`.
#[inline(always)]
fn edge<'a, L: Lanes>(
    columns: usize,
    rows: usize,
    column: impl Fn(usize) -> &'a [L::Elem],
    to: &mut [L::Elem],
    width: usize,
) {
    let (mut square, mut transposed) = ([L::Elem::ZERO; SQUARE], [L::Elem::ZERO; SQUARE]);
    for (i, to) in square.chunks_exact_mut(L::N).take(columns).enumerate() {
        L::load_partial(column(i), L::Elem::ZERO).store(to);
    }
    L::transpose(&square, L::N, &mut transposed, L::N);
    for (k, x) in transposed.chunks_exact(L::N).take(rows).enumerate() {
        L::load(x).store(&mut to[k * width..]);
    }
}

/// Elements of an `N` x `N` block of the longest vectors.
const SQUARE: usize = 16 * 16;

/// Copies `x` to the start of `to` and fills the rest with zeros.
#[inline(always)]
fn copy<L: Lanes>(x: &[L::Elem], to: &mut [L::Elem]) {
    for (i, to) in to.chunks_mut(L::N).enumerate() {
        let x = &x[x.len().min(i * L::N)..];
        if x.len() >= L::N && to.len() == L::N {
            L::load(x).store(to);
        } else {
            L::load_partial(&x[..x.len().min(to.len())], L::Elem::ZERO).store_partial(to);
        }
    }
}
