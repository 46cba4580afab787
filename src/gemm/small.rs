//! Products that cost less than setting up a tile: tiny ones, and those with a few columns.
//!
//! They add in the order of the tiles, in blocks of `KC` and one product after the other, and with
//! the same multiply-add. So an element of C has the same bits on every path.

use super::blocks::Product;
use super::kernel::{Ahead, Tile};
use super::layout::{Addend, LONGEST, depth, width};
use super::pack;
use super::scratch::Scratch;
use super::shallow::SHALLOW;
use crate::simd::{Element, Kernel, Lanes, slice};
use std::slice::{from_mut, from_raw_parts};

/// Products of up to this many multiply-adds are computed element by element.
const TINY: usize = 512;
/// Up to this many columns would leave most lanes of a tile unused.
pub(super) const FEW_COLUMNS: usize = 3;
/// Elements of the longest row of a tile, `NR`.
const WIDEST: usize = 64;

impl<T: Element> Product<'_, T> {
    /// Computes the product if it is small and returns whether it was.
    #[inline(always)]
    pub(super) fn small<L: Lanes<Elem = T>>(&self) -> bool {
        if (1..=SHALLOW).contains(&self.k) && self.n > FEW_COLUMNS {
            self.shallow::<L>();
        } else if self.m * self.n * self.k <= TINY && self.k <= depth::<T>() {
            self.tiny::<L>();
        } else if self.n > FEW_COLUMNS {
            return false;
        } else if self.a_rs == 1 {
            match self.n {
                1 => self.down_columns::<L, 1>(),
                2 => self.down_columns::<L, 2>(),
                _ => self.down_columns::<L, FEW_COLUMNS>(),
            }
        } else if self.a_cs == 1 && (self.b_cs == 1 || self.b_rs == 1) {
            L::outline(Transposed(self));
        } else {
            return false;
        }
        true
    }

    /// Element (i, k) of A.
    #[inline(always)]
    fn a(&self, i: usize, k: usize) -> T {
        debug_assert!(i < self.m && k < self.k);
        // SAFETY: A has m rows and k columns, and may be read.
        unsafe { *self.a.add(i * self.a_rs + k * self.a_cs) }
    }

    /// Element (k, j) of B.
    #[inline(always)]
    fn b(&self, k: usize, j: usize) -> T {
        debug_assert!(k < self.k && j < self.n);
        // SAFETY: B has k rows and n columns, and may be read.
        unsafe { *self.b.add(k * self.b_rs + j * self.b_cs) }
    }

    /// Element (i, j) of C.
    #[inline(always)]
    fn c(&self, i: usize, j: usize) -> *mut T {
        debug_assert!(i < self.m && j < self.n);
        self.c.wrapping_add(i * self.c_rs + j)
    }

    /// The triple loop, with K known at compile time where it is common.
    #[inline(always)]
    fn tiny<L: Lanes<Elem = T>>(&self) {
        match self.k {
            1 => self.tiny_of_depth::<L>(1),
            2 => self.tiny_of_depth::<L>(2),
            3 => self.tiny_of_depth::<L>(3),
            k => self.tiny_of_depth::<L>(k),
        }
    }

    #[inline(always)]
    fn tiny_of_depth<L: Lanes<Elem = T>>(&self, depth: usize) {
        let alpha = L::splat(self.alpha);
        for i in 0..self.m {
            for j in 0..self.n {
                let mut sum = L::splat(T::ZERO);
                for k in 0..depth {
                    sum = L::splat(self.a(i, k)).mul_add(L::splat(self.b(k, j)), sum);
                }
                let sum = match self.old(0, i, j) {
                    None => alpha * sum,
                    // SAFETY: the addend is as large as C.
                    Some(old) => alpha.mul_add(sum, L::splat(unsafe { *old.at })),
                };
                // SAFETY: the element is ours alone.
                sum.store_partial(from_mut(unsafe { &mut *self.c(i, j) }));
            }
        }
    }

    /// Contiguous columns of A: a vector of rows of C at a time.
    #[inline(always)]
    fn down_columns<L: Lanes<Elem = T>, const COLUMNS: usize>(&self) {
        let alpha = L::splat(self.alpha);
        for from in (0..self.m).step_by(L::N) {
            let rows = L::N.min(self.m - from);
            for pc in (0..self.k).step_by(depth::<T>()) {
                let mut sums = [L::splat(T::ZERO); COLUMNS];
                for k in pc..self.k.min(pc + depth::<T>()) {
                    // SAFETY: `rows` contiguous elements of column k of A.
                    let a = unsafe { from_raw_parts(self.a.add(from + k * self.a_cs), rows) };
                    let a = slice::load::<L>(a);
                    for (j, sum) in sums.iter_mut().enumerate() {
                        *sum = a.mul_add(L::splat(self.b(k, j)), *sum);
                    }
                }
                for (j, sum) in sums.into_iter().enumerate() {
                    let mut column = [T::ZERO; LONGEST];
                    if let Some(old) = self.old(pc, from, j) {
                        for (i, x) in column[..rows].iter_mut().enumerate() {
                            // SAFETY: the addend is as large as C.
                            *x = unsafe { *old.from(i, 0).at };
                        }
                        alpha.mul_add(sum, L::load(&column)).store(&mut column);
                    } else {
                        (alpha * sum).store(&mut column);
                    }
                    for (i, &x) in column[..rows].iter().enumerate() {
                        // SAFETY: the element is ours alone.
                        unsafe { *self.c(from + i, j) = x };
                    }
                }
            }
        }
    }
}

/// `C^T = alpha B^T A^T`: rows of A, which are contiguous, become the columns of a tile.
struct Transposed<'a, T>(&'a Product<'a, T>);

impl<T: Element> Kernel<T> for Transposed<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let product = self.0;
        let nr = L::NV * L::N;
        let len = nr * depth::<T>().min(product.k);
        let (mut near, mut far);
        let panel: &mut [T] = if len <= 512 {
            near = [T::ZERO; 512];
            &mut near
        } else {
            far = Scratch::new(len);
            &mut far
        };
        let mut out = [T::ZERO; FEW_COLUMNS * WIDEST];
        for i in (0..product.m).step_by(nr) {
            let cols = nr.min(product.m - i);
            let numbers =
                || (0..product.n).flat_map(|j| (0..cols).map(move |x| (j * nr + x, i + x, j)));
            if let Some(old) = product.old {
                for (at, i, j) in numbers() {
                    // SAFETY: the addend is as large as C.
                    out[at] = unsafe { *old.from(i, j).at };
                }
            }
            for pc in (0..product.k).step_by(depth::<T>()) {
                let kc = depth::<T>().min(product.k - pc);
                let rows = product.a.wrapping_add(i * product.a_rs + pc);
                let sums = out.as_mut_ptr();
                // SAFETY: `cols` rows of A, `kc` elements of each.
                unsafe { pack::panel::<L>(rows, 1, product.a_rs, kc, cols, panel) };
                let tile = Tile {
                    kc,
                    alpha: product.alpha,
                    a: product.b.wrapping_add(pc * product.b_rs),
                    a_rs: product.b_cs,
                    a_cs: product.b_rs,
                    b: panel.as_ptr(),
                    b_rs: width::<L>(cols),
                    c: sums,
                    c_rs: nr,
                    cols,
                    times: 1,
                    ahead: Ahead::NONE,
                    old: (pc > 0 || product.old.is_some()).then_some(Addend { at: sums, rs: nr }),
                };
                // SAFETY: one of B's strides is 1, the panel has kc rows, `out` has room for as
                // many rows as B has columns, each of a whole panel.
                unsafe { tile.run::<L>(product.n) };
            }
            for (at, i, j) in numbers() {
                // SAFETY: the element is ours alone.
                unsafe { *product.c(i, j) = out[at] };
            }
        }
    }
}
