//! Products where C has few rows and B is stored transposed: `C^T = B^T A^T`. Rows of A are lanes,
//! and B is read in the order of memory, each element once.
//!
//! Packing B costs as much as multiplying ten rows: a panel needs columns side by side, and here
//! they are far apart. Instead each element of B is broadcast and multiplied by a vector that holds
//! one element of each row of A. Blocks of `N` x `N` of C^T are transposed when their sums are
//! complete.

use super::blocks::Product;
use super::layout::{LONGEST, depth, width};
use super::pack;
use super::scratch::Scratch;
use crate::simd::{Element, Kernel, Lanes, prefetch};
use std::hint::black_box;

impl<T: Element> Product<'_, T> {
    /// Whether this path is the faster one, for all columns that fill blocks of `N`: B is large,
    /// and at most a quarter of the lanes are unused.
    #[inline(always)]
    pub(super) fn has_few_rows<L: Lanes<Elem = T>>(&self) -> bool {
        let transposed = self.b_rs == 1 && self.b_cs != 1 && self.n >= L::N;
        let full = self.m <= 2 * L::N && 4 * self.m >= 3 * width::<L>(self.m);
        L::N >= 8 && L::NV >= 2 && transposed && full && self.is_skinny()
    }

    /// Computes the first columns, as many as fill blocks of `N`; returns how many.
    #[inline(always)]
    pub(super) fn few_rows<L: Lanes<Elem = T>>(&self) -> usize {
        let width = width::<L>(self.m);
        let squares = self.n / L::N * L::N;
        let kc = depth::<T>().min(self.k);
        let mut memory = Scratch::new(kc * width);
        for pc in (0..self.k).step_by(depth::<T>()) {
            let kc = kc.min(self.k - pc);
            let a = self.a.wrapping_add(pc * self.a_cs);
            // SAFETY: `m` rows of A, `kc` elements of each: the columns of a panel.
            unsafe { pack::panel::<L>(a, self.a_cs, self.a_rs, kc, self.m, &mut memory) };
            for j in (0..squares).step_by(L::N) {
                let square = Square { product: self, pc, kc, j, a: &memory };
                // Enough independent sums to hide the latency of the multiply-add.
                if const { L::N == 16 } {
                    match width == L::N {
                        true => L::outline(Pieces::<T, 16, 1>(square)),
                        false => L::outline(Pieces::<T, 8, 2>(square)),
                    }
                } else if const { L::N == 8 && L::NV >= 2 } {
                    match width == L::N {
                        true => L::outline(Pieces::<T, 8, 1>(square)),
                        false => L::outline(Pieces::<T, 4, 2>(square)),
                    }
                } else {
                    unreachable!("vectors of {}", L::N);
                }
            }
        }
        squares
    }
}

/// `L::N` columns of C from `j` on, over `kc` elements of K from `pc` on; `a` holds these of A.
struct Square<'a, T> {
    product: &'a Product<'a, T>,
    pc: usize,
    kc: usize,
    j: usize,
    a: &'a [T],
}

/// A block of `N` columns in groups of `R` columns of C and `V` vectors of rows.
struct Pieces<'a, T, const R: usize, const V: usize>(Square<'a, T>);

impl<T: Element, const R: usize, const V: usize> Kernel<T> for Pieces<'_, T, R, V> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Square { product, pc, kc, j, a } = self.0;
        // C^T, and a block of it transposed.
        let mut sums = [T::ZERO; 2 * LONGEST * LONGEST];
        let mut square = [T::ZERO; LONGEST * LONGEST];
        for r in (0..L::N).step_by(R) {
            let b = product.b.wrapping_add(pc + (j + r) * product.b_cs);
            // SAFETY: B has `kc` elements in each of these columns from `pc` on.
            let of_piece = unsafe { piece::<L, R, V>(b, product.b_cs, &a[..kc * V * L::N]) };
            for (i, sum) in of_piece.into_iter().flatten().enumerate() {
                sum.store(&mut sums[(r * V + i) * L::N..]);
            }
        }
        for v in 0..V {
            L::transpose(&sums[v * L::N..], V * L::N, &mut square, L::N);
            let rows = product.m.saturating_sub(v * L::N).min(L::N);
            for (i, sum) in square.chunks_exact(L::N).take(rows).enumerate() {
                product.write::<L>(pc, v * L::N + i, j..j + L::N, sum);
            }
        }
    }
}

/// The sums of `R` columns of B, `b_cs` apart, with the rows of A in `V` vectors: `[R][V * N]`.
///
/// # Safety
/// Each of these columns must have as many readable elements as `a` has rows.
#[inline(always)]
unsafe fn piece<L: Lanes, const R: usize, const V: usize>(
    b: *const L::Elem,
    b_cs: usize,
    a: &[L::Elem],
) -> [[L; V]; R] {
    // One pointer for four columns; as in `kernel.rs`, the compiler must not know how they relate.
    let mut fours = [b; 4];
    for (q, at) in fours.iter_mut().enumerate().take(R / 4) {
        *at = black_box(b.wrapping_add(4 * q * b_cs));
    }
    let mut sums = [[L::splat(L::Elem::ZERO); V]; R];
    let mut k = 0;
    for rows in a.chunks(L::N * V * L::N) {
        // Prefetch the neighbouring columns, which are next.
        for i in R..2 * R {
            prefetch(b.wrapping_add(k + i * b_cs));
        }
        for row in rows.chunks_exact(V * L::N) {
            let row: [L; V] = std::array::from_fn(|v| L::load(&row[v * L::N..]));
            for (sums, at) in sums.chunks_exact_mut(4).zip(fours) {
                for (i, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: the caller promises element `k` of column `i` of these four.
                    let x = L::splat(unsafe { *at.wrapping_add(k + i * b_cs) }).pinned();
                    for (sum, &y) in sums.iter_mut().zip(&row) {
                        *sum = x.mul_add(y, *sum);
                    }
                }
            }
            k += 1;
        }
    }
    sums
}
