//! Products that add up only a few numbers: each row of C is written as soon as it is begun, so what
//! counts is how little is done besides. B stays in registers.

use super::blocks::Product;
use super::kernel::width;
use crate::simd::{Element, Kernel, Lanes, slice};
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// The most numbers of a sum.
pub(super) const SHALLOW: usize = 4;

impl<T: Element> Product<'_, T> {
    /// The product of a depth of 1 to [`SHALLOW`].
    #[inline(always)]
    pub(super) fn shallow<L: Lanes<Elem = T>>(&self) {
        match self.k {
            1 => self.panels::<L, 1>(),
            2 => self.panels::<L, 2>(),
            3 => self.panels::<L, 3>(),
            SHALLOW => self.panels::<L, SHALLOW>(),
            k => unreachable!("a product of depth {k}"),
        }
    }

    /// Panel after panel of B.
    #[inline(always)]
    fn panels<L: Lanes<Elem = T>, const K: usize>(&self) {
        let nr = L::NV * L::N;
        for j in (0..self.n).step_by(nr) {
            let cols = nr.min(self.n - j);
            match width::<L>(cols) / L::N {
                1 => L::outline(Rows::<T, K, 1> { product: self, j, cols }),
                2 => L::outline(Rows::<T, K, 2> { product: self, j, cols }),
                _ => L::outline(Rows::<T, K, 4> { product: self, j, cols }),
            }
        }
    }
}

/// All rows of C, `cols` columns from `j` on.
struct Rows<'a, T, const K: usize, const V: usize> {
    product: &'a Product<'a, T>,
    j: usize,
    cols: usize,
}

impl<T: Element, const K: usize, const V: usize> Kernel<T> for Rows<'_, T, K, V> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Rows { product, j, cols } = self;
        let mut b = [[L::splat(T::ZERO); V]; K];
        for (k, b) in b.iter_mut().enumerate() {
            for (v, b) in b.iter_mut().enumerate() {
                let len = cols.saturating_sub(v * L::N).min(L::N);
                let at = product.b.wrapping_add(k * product.b_rs + (j + v * L::N) * product.b_cs);
                *b = if product.b_cs == 1 {
                    // SAFETY: row k of B has this many columns.
                    slice::load(unsafe { from_raw_parts(at, len) })
                } else {
                    let mut row = [T::ZERO; LONGEST];
                    for (i, to) in row[..len].iter_mut().enumerate() {
                        // SAFETY: row k of B has this many columns.
                        *to = unsafe { *at.wrapping_add(i * product.b_cs) };
                    }
                    L::load(&row)
                };
            }
        }
        let alpha = L::splat(product.alpha);
        for i in 0..product.m {
            let mut sums = [L::splat(T::ZERO); V];
            for (k, b) in b.iter().enumerate() {
                // SAFETY: A has m rows and k columns.
                let x = L::splat(unsafe { *product.a.add(i * product.a_rs + k * product.a_cs) });
                for (sum, &y) in sums.iter_mut().zip(b) {
                    *sum = x.mul_add(y, *sum);
                }
            }
            for (v, sum) in sums.into_iter().enumerate() {
                let len = cols.saturating_sub(v * L::N).min(L::N);
                let at = product.c.wrapping_add(i * product.c_rs + j + v * L::N);
                let sum = match product.old {
                    None => alpha * sum,
                    Some(old) => {
                        // SAFETY: row i of what is added has this many columns.
                        let old = unsafe { old.from(0, j + v * L::N).row(i, len) };
                        alpha.mul_add(sum, L::load_partial(old, T::ZERO))
                    }
                };
                // SAFETY: row i of C has this many columns, which are ours.
                sum.store_partial(unsafe { from_raw_parts_mut(at, len) });
            }
        }
    }
}

/// The longest vector.
const LONGEST: usize = 16;
