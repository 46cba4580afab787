//! Products with K of at most [`SHALLOW`]. Each row of C takes a few instructions, so the overhead
//! per row decides: there are no tiles, and a panel of B stays in registers.

use super::blocks::Product;
use super::layout::{LONGEST, width};
use crate::simd::{Element, Kernel, Lanes, slice};
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// The largest K of this path.
pub(super) const SHALLOW: usize = 4;

impl<T: Element> Product<'_, T> {
    /// Computes a product with K from 1 to [`SHALLOW`].
    #[inline(always)]
    pub(super) fn shallow<L: Lanes<Elem = T>>(&self) {
        match self.k {
            1 => self.panels::<L, 1>(),
            2 => self.panels::<L, 2>(),
            3 => self.panels::<L, 3>(),
            SHALLOW => self.panels::<L, SHALLOW>(),
            k => unreachable!("K = {k}"),
        }
    }

    /// All panels of B. A single panel is inlined: the loop over panels would first save the
    /// registers that any of them needs.
    #[inline(always)]
    fn panels<L: Lanes<Elem = T>, const K: usize>(&self) {
        if self.n <= L::NV * L::N {
            self.panel::<L, K>(0, self.n);
        } else {
            L::outline(Panels::<T, K>(self));
        }
    }

    /// The columns of C from `j` on, at most a panel.
    #[inline(always)]
    fn panel<L: Lanes<Elem = T>, const K: usize>(&self, j: usize, cols: usize) {
        match width::<L>(cols) / L::N {
            1 => self.rows::<L, K, 1>(j, cols),
            2 if const { L::NV >= 2 } => self.rows::<L, K, 2>(j, cols),
            3 if const { L::NV == 3 } => self.rows::<L, K, 3>(j, cols),
            4 if const { L::NV >= 4 } => self.rows::<L, K, 4>(j, cols),
            vectors => unreachable!("{vectors} vectors"),
        }
    }

    /// All rows of C, `cols` columns from `j` on.
    #[inline(always)]
    fn rows<L: Lanes<Elem = T>, const K: usize, const V: usize>(&self, j: usize, cols: usize) {
        let mut b = [[L::splat(T::ZERO); V]; K];
        for (k, b) in b.iter_mut().enumerate() {
            for (v, b) in b.iter_mut().enumerate() {
                let len = cols.saturating_sub(v * L::N).min(L::N);
                let at = self.b.wrapping_add(k * self.b_rs + (j + v * L::N) * self.b_cs);
                *b = if self.b_cs == 1 {
                    // SAFETY: row k of B has this many columns.
                    slice::load(unsafe { from_raw_parts(at, len) })
                } else {
                    let mut row = [T::ZERO; LONGEST];
                    for (i, to) in row[..len].iter_mut().enumerate() {
                        // SAFETY: row k of B has this many columns.
                        *to = unsafe { *at.wrapping_add(i * self.b_cs) };
                    }
                    L::load(&row)
                };
            }
        }
        let alpha = L::splat(self.alpha);
        // Two loops: testing in each row would take a tenth of the time.
        match self.old {
            None => self.rows_with(b, j, cols, |_, _, _, sum| alpha * sum),
            Some(old) => self.rows_with(b, j, cols, |i, j, len, sum| {
                // SAFETY: row i of the addend has this many columns.
                let old = unsafe { old.from(i, j).row(0, len) };
                alpha.mul_add(sum, L::load_partial(old, T::ZERO))
            }),
        }
    }

    /// The same given the vectors of B: `finish` maps the sums of row i, `len` columns from j on,
    /// to what is written.
    #[inline(always)]
    fn rows_with<L: Lanes<Elem = T>, const K: usize, const V: usize>(
        &self,
        b: [[L; V]; K],
        j: usize,
        cols: usize,
        finish: impl Fn(usize, usize, usize, L) -> L,
    ) {
        // Copied to locals: through the reference, all would be loaded again after each store.
        let &Product { m, mut a, a_rs, a_cs, mut c, c_rs, .. } = self;
        for i in 0..m {
            let mut sums = [L::splat(T::ZERO); V];
            for (k, b) in b.iter().enumerate() {
                // SAFETY: A has m rows and k columns.
                let x = L::splat(unsafe { *a.wrapping_add(k * a_cs) });
                for (sum, &y) in sums.iter_mut().zip(b) {
                    *sum = x.mul_add(y, *sum);
                }
            }
            for (v, sum) in sums.into_iter().enumerate() {
                let len = cols.saturating_sub(v * L::N).min(L::N);
                let sum = finish(i, j + v * L::N, len, sum);
                let at = c.wrapping_add(j + v * L::N);
                // SAFETY: row i of C has this many columns, which are ours.
                sum.store_partial(unsafe { from_raw_parts_mut(at, len) });
            }
            (a, c) = (a.wrapping_add(a_rs), c.wrapping_add(c_rs));
        }
    }
}

/// The loop over several panels.
struct Panels<'a, T, const K: usize>(&'a Product<'a, T>);

impl<T: Element, const K: usize> Kernel<T> for Panels<'_, T, K> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let nr = L::NV * L::N;
        for j in (0..self.0.n).step_by(nr) {
            self.0.panel::<L, K>(j, nr.min(self.0.n - j));
        }
    }
}
