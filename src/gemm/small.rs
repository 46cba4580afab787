//! Products that are over before a tile is set up: tiny ones, and those with a few columns.

use super::Write;
use super::blocks::Product;
use crate::simd::{Element, Lanes, slice};
use std::slice::from_raw_parts;

/// Products of up to this many multiply-adds are done one by one.
const TINY: usize = 512;
/// Fewer columns than these would leave most lanes of a tile empty.
const FEW_COLUMNS: usize = 3;
/// The most numbers of B that are copied onto the stack.
const COPY: usize = 256;

impl<T: Element> Product<'_, T> {
    /// Does the product if it is small; says whether it was.
    #[inline(always)]
    pub(super) fn small<L: Lanes<Elem = T>>(&self) -> bool {
        if self.m * self.n * self.k <= TINY {
            self.tiny();
        } else if self.n <= FEW_COLUMNS && self.a_cs == 1 && self.k * self.n <= COPY {
            self.rows_with_columns::<L>();
        } else if self.n <= FEW_COLUMNS && self.a_rs == 1 {
            match self.n {
                1 => self.down_columns::<L, 1>(),
                2 => self.down_columns::<L, 2>(),
                _ => self.down_columns::<L, FEW_COLUMNS>(),
            }
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

    /// `C[i, j] = alpha sum`, or added to C.
    #[inline(always)]
    fn put(&self, i: usize, j: usize, sum: T) {
        debug_assert!(i < self.m && j < self.n);
        // SAFETY: C has m rows and n columns, and is ours alone.
        let out = unsafe { &mut *self.c.add(i * self.c_rs + j) };
        *out = match self.write {
            Write::Store => self.alpha * sum,
            Write::Add => self.alpha.mul_add(sum, *out),
        };
    }

    /// The definition, with the depth known where it is common.
    #[inline(always)]
    fn tiny(&self) {
        match self.k {
            1 => self.tiny_of_depth(1),
            2 => self.tiny_of_depth(2),
            3 => self.tiny_of_depth(3),
            k => self.tiny_of_depth(k),
        }
    }

    #[inline(always)]
    fn tiny_of_depth(&self, depth: usize) {
        for i in 0..self.m {
            for j in 0..self.n {
                let mut sum = T::ZERO;
                for k in 0..depth {
                    sum = self.a(i, k).mul_add(self.b(k, j), sum);
                }
                self.put(i, j, sum);
            }
        }
    }

    /// Rows of A that lie in one piece, each times a copy of each column of B.
    #[inline(always)]
    fn rows_with_columns<L: Lanes<Elem = T>>(&self) {
        let mut columns = [T::ZERO; COPY];
        for j in 0..self.n {
            for (k, x) in columns[j * self.k..][..self.k].iter_mut().enumerate() {
                *x = self.b(k, j);
            }
        }
        for i in 0..self.m {
            // SAFETY: row i of A has k numbers, one after the other.
            let row = unsafe { from_raw_parts(self.a.add(i * self.a_rs), self.k) };
            for (j, column) in columns.chunks_exact(self.k).take(self.n).enumerate() {
                self.put(i, j, slice::dot::<L>(row, column));
            }
        }
    }

    /// Columns of A that lie in one piece: a vector of rows of C at a time.
    #[inline(always)]
    fn down_columns<L: Lanes<Elem = T>, const COLUMNS: usize>(&self) {
        let mut from = 0;
        while from < self.m {
            let rows = L::N.min(self.m - from);
            let mut sums = [L::splat(T::ZERO); COLUMNS];
            for k in 0..self.k {
                // SAFETY: `rows` numbers of column k of A, one after the other.
                let a = unsafe { from_raw_parts(self.a.add(from + k * self.a_cs), rows) };
                let a = slice::load::<L>(a);
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = a.mul_add(L::splat(self.b(k, j)), *sum);
                }
            }
            for (j, sum) in sums.into_iter().enumerate() {
                // As many as the widest vector has.
                let mut column = [T::ZERO; 16];
                sum.store_partial(&mut column[..L::N]);
                for (i, &x) in column[..rows].iter().enumerate() {
                    self.put(from + i, j, x);
                }
            }
            from += rows;
        }
    }
}
