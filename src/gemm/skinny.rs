//! Products where C has few rows and B is large. Nearly all memory traffic is B's, and each of its
//! elements is used only a few times, so the speed at which B is read decides.
//!
//! Memory reaches its full speed only along a few pages at a time, where the hardware prefetcher
//! follows. The usual loops read a panel of `NR` columns down all of K, a page a row. Instead, B is
//! read in runs of a few rows, along these rows from panel to panel, and the sums stay in memory
//! from run to run ([`PartialSums`]). All strips of A use a panel while it is in the first-level
//! cache. If B is stored transposed, it is read along its columns and packed.

use super::blocks::{Product, strips};
use super::kernel::{Ahead, PartialSums, Tile, UNROLL};
use super::layout::{depth, row_stride, width};
use super::pack;
use super::scratch::Scratch;
use crate::simd::{Element, Lanes};

/// C is skinny up to this many rows
const ROWS: usize = 32;
/// if B takes more bytes than this, a second-level cache.
const LARGE: usize = 1 << 20;
/// Bytes of a panel of a run: a quarter of a first-level cache of 32 KiB, 32 rows of wide tiles.
const PANEL: usize = 8 << 10;
/// Bytes that the stored sums may take.
const WAITING: usize = 128 << 10;
/// Prefetch distance in bytes along a row of B.
const AHEAD: usize = 512;

impl<T: Element> Product<'_, T> {
    /// Whether this path is the faster one.
    #[inline(always)]
    pub(super) fn is_skinny(&self) -> bool {
        self.m <= ROWS && self.k * self.n * size_of::<T>() > LARGE
    }

    /// Groups of columns of C, blocks of K, runs, panels of B, strips of A, from the outer to the
    /// inner loop.
    #[inline(always)]
    pub(super) fn skinny<L: Lanes<Elem = T>>(&self) {
        let nr = L::NV * L::N;
        let packs = self.b_cs != 1;
        let size = size_of::<T>();
        let all = self.n.next_multiple_of(nr);
        let kc = depth::<T>().min(self.k);
        // Stored transposed, a panel is packed along its columns: it need not be short, and its
        // sums are complete after one run.
        let run = if packs { kc } else { (PANEL / size / nr).next_multiple_of(UNROLL).min(kc) };
        let nc = if packs { all } else { (WAITING / size / self.m / nr).max(1) * nr };
        let stride = row_stride::<L>(kc);
        let high = self.m.div_ceil(L::MR);
        let tile = L::MR * nr;
        let waiting = if packs { 0 } else { nc.min(all) / nr * high * tile };
        let mut memory = Scratch::new(self.m * stride + run * nr + waiting);
        let (copies, memory) = memory.split_at_mut(self.m * stride);
        let (panel, sums) = memory.split_at_mut(run * nr);

        for jc in (0..self.n).step_by(nc) {
            let end = self.n.min(jc + nc);
            let mut pc = 0;
            loop {
                let kc = kc.min(self.k - pc);
                let a = self.a.wrapping_add(pc * self.a_cs);
                // SAFETY: these columns lie inside A.
                unsafe {
                    let strides = (self.a_rs, self.a_cs);
                    pack::rows::<L>(a, strides, (self.m, kc), copies, (kc, stride));
                }
                for k in (0..kc).step_by(run) {
                    let deep = run.min(kc - k);
                    for j in (jc..end).step_by(nr) {
                        let cols = nr.min(end - j);
                        let mut b = self.b.wrapping_add((pc + k) * self.b_rs + j * self.b_cs);
                        let ask = b.wrapping_byte_add(AHEAD);
                        let mut b_rs = self.b_rs;
                        // A row read in place must have as many elements as the tile reads.
                        if packs || width::<L>(cols) != cols {
                            // SAFETY: the panel lies inside B.
                            unsafe { pack::panel::<L>(b, b_rs, self.b_cs, deep, cols, panel) };
                            (b, b_rs) = (panel.as_ptr(), width::<L>(cols));
                        }
                        let (mut ic, mut strip) = (0, 0);
                        while ic < self.m {
                            let (rows, _) = strips::<L>(self.m - ic);
                            let (from, to) = (deep * strip / high, deep * (strip + 1) / high);
                            let part = PartialSums {
                                sums: sums
                                    .as_mut_ptr()
                                    .wrapping_add(((j - jc) / nr * high + strip) * tile),
                                resumes: k > 0,
                                pauses: k + deep < kc,
                            };
                            let ahead = match packs {
                                true => Ahead::NONE,
                                false => {
                                    let at = ask.wrapping_add(from * self.b_rs);
                                    Ahead::new(at, self.b_rs, to - from, deep)
                                }
                            };
                            let tile = Tile {
                                kc: deep,
                                alpha: self.alpha,
                                a: copies[ic * stride + k..].as_ptr(),
                                a_rs: stride,
                                a_cs: 1,
                                b,
                                b_rs,
                                c: self.c.wrapping_add(ic * self.c_rs + j),
                                c_rs: self.c_rs,
                                cols,
                                times: 1,
                                old: self.old(pc, ic, j),
                                ahead,
                                part: (!packs).then_some(&part),
                            };
                            // SAFETY: strip and panel lie in their packed copies or in B, the tile
                            // lies in C, which is ours; the stored sums have room for all tiles of
                            // these columns.
                            unsafe { tile.run::<L>(rows) };
                            ic += rows;
                            strip += 1;
                        }
                    }
                }
                pc += depth::<T>();
                if pc >= self.k {
                    break;
                }
            }
        }
    }
}
