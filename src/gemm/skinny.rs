//! Products where C has few rows and B is large and stored transposed: panels of B are packed along
//! its columns, one after the other, and all strips of A use a panel while it is in the first-level
//! cache.

use super::blocks::{Product, each_strip};
use super::kernel::{Ahead, Tile};
use super::layout::{depth, row_stride, width};
use super::pack;
use super::scratch::Scratch;
use crate::simd::{Element, Lanes};

/// C is skinny up to this many rows
const ROWS: usize = 32;
/// if B takes more bytes than this, a second-level cache.
const LARGE: usize = 1 << 20;

impl<T: Element> Product<'_, T> {
    /// Whether reading B once matters more than packing A and B in blocks.
    #[inline(always)]
    pub(super) fn is_skinny(&self) -> bool {
        self.m <= ROWS && self.k * self.n * size_of::<T>() > LARGE
    }

    /// Blocks of K, panels of B, strips of A, from the outer to the inner loop.
    #[inline(always)]
    pub(super) fn skinny<L: Lanes<Elem = T>>(&self) {
        let nr = L::NV * L::N;
        let most = depth::<T>().min(self.k);
        let stride = row_stride::<L>(most);
        let mut memory = Scratch::new(self.m * stride + most * nr);
        let (copies, panel) = memory.split_at_mut(self.m * stride);
        for pc in (0..self.k).step_by(depth::<T>()) {
            let kc = most.min(self.k - pc);
            let a = self.a.wrapping_add(pc * self.a_cs);
            // SAFETY: these columns lie inside A.
            unsafe {
                let strides = (self.a_rs, self.a_cs);
                pack::block::<L>(a, strides, (self.m, kc), copies, stride);
            }
            for j in (0..self.n).step_by(nr) {
                let cols = nr.min(self.n - j);
                let b = self.b.wrapping_add(pc * self.b_rs + j * self.b_cs);
                // SAFETY: the panel lies inside B.
                unsafe { pack::panel::<L>(b, self.b_rs, self.b_cs, kc, cols, panel) };
                for (i, rows) in each_strip::<L>(self.m) {
                    let tile = Tile {
                        kc,
                        alpha: self.alpha,
                        a: copies[i * stride..].as_ptr(),
                        a_rs: if L::LANES_AS_FACTORS { 1 } else { stride },
                        a_cs: if L::LANES_AS_FACTORS { rows } else { 1 },
                        b: panel.as_ptr(),
                        b_rs: width::<L>(cols),
                        c: self.c.wrapping_add(i * self.c_rs + j),
                        c_rs: self.c_rs,
                        cols,
                        times: 1,
                        old: self.old(pc, i, j),
                        ahead: Ahead::NONE,
                    };
                    // SAFETY: strip and panel lie in their packed copies, the tile lies in C, which
                    // is ours.
                    unsafe { tile.run::<L>(rows) };
                }
            }
        }
    }
}
