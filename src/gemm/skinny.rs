//! The loops where C has few rows: B is most of the memory, and each number of it is used only a few
//! times, so a panel of it serves all strips of A while it is in the first-level cache.

use super::Write;
use super::blocks::{Plan, Product, height, row_stride};
use super::kernel::{Tile, width};
use super::pack;
use crate::simd::{Element, Lanes};

impl<T: Element> Product<'_, T> {
    /// Block after block of K, panel after panel of B, strip after strip of A.
    ///
    /// `strips` and `panel` take the copies the plan asks for.
    #[inline(always)]
    pub(super) fn skinny<L: Lanes<Elem = T>>(&self, plan: Plan, strips: &mut [T], panel: &mut [T]) {
        let nr = L::NV * L::N;
        let mut pc = 0;
        loop {
            let kc = plan.kc.min(self.k - pc);
            let write = if pc == 0 { self.write } else { Write::Add };
            let stride = row_stride::<L>(kc);
            let (a, b) = (self.a.wrapping_add(pc * self.a_cs), self.b.wrapping_add(pc * self.b_rs));
            let (mut a_rs, mut a_cs) = (self.a_rs, self.a_cs);
            let mut ic = 0;
            while plan.pack_a && ic < self.m {
                let rows = height::<L>(self.m - ic);
                let (a, to) = (a.wrapping_add(ic * self.a_rs), &mut strips[ic * stride..]);
                // SAFETY: the strip lies inside A.
                (a_rs, a_cs) =
                    unsafe { pack::strip::<L>(a, self.a_rs, self.a_cs, rows, kc, stride, to) };
                ic += rows;
            }
            for j in (0..self.n).step_by(nr) {
                let cols = nr.min(self.n - j);
                let mut b = b.wrapping_add(j * self.b_cs);
                let mut b_rs = self.b_rs;
                // A row in place must be as many vectors as the tile reads.
                if plan.pack_b || width::<L>(cols) != cols {
                    // SAFETY: the panel lies inside B.
                    unsafe { pack::panel::<L>(b, self.b_rs, self.b_cs, kc, cols, panel) };
                    (b, b_rs) = (panel.as_ptr(), width::<L>(cols));
                }
                let mut ic = 0;
                while ic < self.m {
                    let rows = height::<L>(self.m - ic);
                    let a = if plan.pack_a {
                        // Copied down its columns, a strip is as wide as it is high.
                        a_cs = if a_rs == 1 { rows } else { a_cs };
                        strips[ic * stride..].as_ptr()
                    } else {
                        a.wrapping_add(ic * self.a_rs)
                    };
                    let c = self.c.wrapping_add(ic * self.c_rs + j);
                    let (alpha, c_rs) = (self.alpha, self.c_rs);
                    let tile = Tile { kc, alpha, a, a_rs, a_cs, b, b_rs, c, c_rs, cols, write };
                    // SAFETY: strip and panel lie in A and B or in their copies, the tile in C,
                    // which is ours.
                    unsafe { tile.run::<L>(rows) };
                    ic += rows;
                }
            }
            pc += plan.kc;
            if pc >= self.k {
                return;
            }
        }
    }
}
