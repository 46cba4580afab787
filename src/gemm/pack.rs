//! Copies of panels of B and strips of A in the order the micro-kernel reads them.

use super::kernel::width;
use crate::simd::{Element, Lanes, prefetch};
use std::slice::from_raw_parts;

/// Copies `kc` rows of `cols` numbers, `b[k * rs + j * cs]`, to `to[k * width + j]`, where
/// [`width`] fills them up with zeros.
///
/// # Safety
/// They must be readable there.
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
    let rows = to[..kc * width].chunks_exact_mut(width);
    if cs == 1 {
        for (k, to) in rows.enumerate() {
            // SAFETY: the caller promises row k of B.
            copy::<L>(unsafe { from_raw_parts(b.add(k * rs), cols) }, to);
        }
    } else if rs == 1 {
        let to = &mut to[..kc * width];
        for j in (0..width).step_by(L::N) {
            let columns = cols.saturating_sub(j).min(L::N);
            for k in (0..kc).step_by(L::N) {
                let (rows, to) = (L::N.min(kc - k), &mut to[k * width + j..]);
                if columns == L::N && rows == L::N {
                    // The square beside it comes next but for the rest of these columns.
                    for i in L::N..2 * L::N {
                        prefetch(b.wrapping_add((j + i) * cs + k + L::N - 1));
                    }
                    // SAFETY: the caller promises columns j to j + N of B, and here of each N
                    // numbers from row k on; `cs` apart, the last of them ends this many on.
                    let square =
                        unsafe { from_raw_parts(b.add(j * cs + k), (L::N - 1) * cs + L::N) };
                    L::transpose(square, cs, to, width);
                } else if columns == 0 {
                    to.chunks_mut(width).take(rows).for_each(|to| to[..L::N].fill(L::Elem::ZERO));
                } else {
                    // SAFETY: the caller promises column `j + i` of B, here from row k on.
                    let column = |i| unsafe { from_raw_parts(b.add((j + i) * cs + k), rows) };
                    edge::<L>(columns, rows, column, to, width);
                }
            }
        }
    } else {
        for (k, to) in rows.enumerate() {
            for (j, to) in to.iter_mut().enumerate() {
                // SAFETY: the caller promises row k of B, up to column `cols`.
                *to = if j < cols { unsafe { *b.add(k * rs + j * cs) } } else { L::Elem::ZERO };
            }
        }
    }
}

/// Copies `kc` rows of `cols` numbers, `rs` apart, to panel after panel: `cols` fills them all.
///
/// Row after row, for memory is read at full speed only in long pieces.
///
/// # Safety
/// They must be readable there.
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

/// How many rows ahead of the one that is copied memory is asked for.
const AHEAD: usize = 4;

/// A square that sticks out of B, by way of one that is filled up with zeros: `columns` columns of
/// `rows` numbers each, to `to[k * width + i]`.
#[inline(always)]
fn edge<'a, L: Lanes>(
    columns: usize,
    rows: usize,
    column: impl Fn(usize) -> &'a [L::Elem],
    to: &mut [L::Elem],
    width: usize,
) {
    let (mut square, mut turned) = ([L::Elem::ZERO; SQUARE], [L::Elem::ZERO; SQUARE]);
    for (i, to) in square.chunks_exact_mut(L::N).take(columns).enumerate() {
        L::load_partial(column(i), L::Elem::ZERO).store(to);
    }
    L::transpose(&square, L::N, &mut turned, L::N);
    for (k, x) in turned.chunks_exact(L::N).take(rows).enumerate() {
        L::load(x).store(&mut to[k * width..]);
    }
}

/// A square of the longest vectors.
const SQUARE: usize = 16 * 16;

/// Copies `rows` rows of `kc` numbers, `a[i * rs + k * cs]`, to `to[i * stride + k]`.
///
/// # Safety
/// They must be readable there.
#[inline(always)]
pub(super) unsafe fn rows<L: Lanes>(
    a: *const L::Elem,
    rs: usize,
    cs: usize,
    rows: usize,
    kc: usize,
    stride: usize,
    to: &mut [L::Elem],
) {
    let to = &mut to[..rows * stride];
    if cs == 1 || rs != 1 {
        for (i, to) in to.chunks_exact_mut(stride).enumerate() {
            if cs == 1 {
                // SAFETY: the caller promises row i of A.
                copy::<L>(unsafe { from_raw_parts(a.add(i * rs), kc) }, &mut to[..kc]);
            } else {
                for (k, to) in to[..kc].iter_mut().enumerate() {
                    // SAFETY: the caller promises row i of A.
                    *to = unsafe { *a.add(i * rs + k * cs) };
                }
            }
        }
        return;
    }
    // Columns lie in one piece: square after square along them.
    for k in (0..kc).step_by(L::N) {
        let columns = L::N.min(kc - k);
        for (i, to) in to.chunks_mut(L::N * stride).enumerate() {
            let (from, high) = (a.wrapping_add(i * L::N + k * cs), L::N.min(to.len() / stride));
            if columns == L::N && high == L::N {
                // SAFETY: the caller promises N numbers of N columns, `cs` apart.
                let square = unsafe { from_raw_parts(from, (L::N - 1) * cs + L::N) };
                L::transpose(square, cs, &mut to[k..], stride);
            } else {
                // SAFETY: the caller promises these numbers of column `k + i`.
                let column = |i| unsafe { from_raw_parts(from.wrapping_add(i * cs), high) };
                edge::<L>(columns, high, column, &mut to[k..], stride);
            }
        }
    }
}

/// Copies `x`, and zeros behind it to the end of `to`.
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
