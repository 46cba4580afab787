//! Copies of panels of B and strips of A in the order the micro-kernel reads them.

use super::kernel::width;
use crate::simd::{Element, Lanes};
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
        // A few rows of the copy at a time, so that they stay in the first-level cache.
        for (k, to) in to[..kc * width].chunks_mut(16 * width).enumerate() {
            let rows = to.len() / width;
            for j in 0..cols {
                // SAFETY: the caller promises column j of B.
                let b = unsafe { from_raw_parts(b.add(j * cs + 16 * k), rows) };
                let column = to[j..].as_mut_ptr();
                for (i, &x) in b.iter().enumerate() {
                    // SAFETY: row i of `rows` rows of `width` numbers, and j < width. A checked
                    // walk takes twice as long, which is a tenth of a small product.
                    unsafe { *column.add(i * width) = x };
                }
            }
            to.chunks_exact_mut(width).for_each(|to| to[cols..].fill(L::Elem::ZERO));
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

/// Copies `rows` rows of `kc` numbers, `a[i * rs + k * cs]`, and returns the strides of the copy,
/// one of which is 1. Rows of the copy lie `stride >= kc` apart where A has rows of its own.
///
/// # Safety
/// They must be readable there.
#[inline(always)]
pub(super) unsafe fn strip<L: Lanes>(
    a: *const L::Elem,
    rs: usize,
    cs: usize,
    rows: usize,
    kc: usize,
    stride: usize,
    to: &mut [L::Elem],
) -> (usize, usize) {
    if rs == 1 {
        for (k, to) in to[..kc * rows].chunks_exact_mut(rows).enumerate() {
            // SAFETY: the caller promises column k of A.
            copy::<L>(unsafe { from_raw_parts(a.add(k * cs), rows) }, to);
        }
        return (1, rows);
    }
    for (i, to) in to[..rows * stride].chunks_exact_mut(stride).enumerate() {
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
    (stride, 1)
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
