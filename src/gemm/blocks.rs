//! The loops around the micro-kernel, on one thread: over NC, KC, MC, NR and MR from outer to
//! inner.
//!
//! **Packing is the exception.** GotoBLAS and BLIS pack every block of A and B. Here A is read in
//! place wherever its rows are contiguous, and B is packed only if more than [`pack_b_strips`]
//! strips of A read it. On Zen 5 packing a panel takes as long as one or two strips, and reading in
//! place reaches 97 % of the peak. Packing blocks of A was 2 to 8 % slower; tiles of 12 x 32 and 14
//! x 32 spill registers. The price: rows of A whose distance is a large power of two compete for
//! the same cache sets, which packed blocks avoid by their [`row_stride`].
//!
//! On NEON A is always packed, column after column of a strip. With B packed too, 88 % (`f32`) and
//! 85 % (`f64`) of the instructions of the inner loop are multiply-adds (`tests/arm/kernels`); with
//! B in place 84 and 81, since each row of B has an address to compute; with tiles of 5 x 4 vectors
//! that broadcast elements of A in place it was 68. Not timed: there was no such processor.
//!
//! Prefetching the next panel of a B that is read in place was tried as well: two shapes were 5 %
//! faster, others 1 to 2 % slower.

use super::kernel::{Ahead, Tile};
use super::layout::{Addend, depth, row_stride, width};
use super::narrow::Narrow;
use super::pack;
use super::panels::{InPanels, column_at, panel_columns};
use super::scratch::Scratch;
use super::{Data, Mat, MatMut, Summand};
use crate::simd::{Element, Kernel, Lanes, slice};
use std::iter;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr;
use std::slice::from_raw_parts_mut;

/// A product whose shapes match, over raw memory so that threads can share C.
///
/// The holder may read A and B and owns the block of C that this describes.
#[derive(Debug)]
pub(super) struct Product<'a, T> {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) alpha: T,
    pub(super) a: *const T,
    pub(super) a_rs: usize,
    pub(super) a_cs: usize,
    pub(super) b: *const T,
    pub(super) b_rs: usize,
    pub(super) b_cs: usize,
    /// From panel to panel of B; 0 if it is in no panels.
    pub(super) b_panel: usize,
    /// The panels of B if these are of narrow elements; `b` then counts them from a null pointer
    /// on.
    pub(super) narrow: Option<Narrow<'a>>,
    pub(super) c: *mut T,
    pub(super) c_rs: usize,
    /// What is added to the product, if anything.
    pub(super) old: Option<Addend<T>>,
    memory: PhantomData<(&'a T, &'a mut T)>,
}

// SAFETY: it stands for two shared borrows and one unique borrow of elements that are Send + Sync.
unsafe impl<T: Element> Send for Product<'_, T> {}

impl<'a, T: Element> Product<'a, T> {
    /// `C = old + alpha A B`; C has at least one element.
    #[inline]
    pub(super) fn new(
        alpha: T,
        a: Mat<'a, T>,
        b: Mat<'a, T>,
        old: Summand<'a, T>,
        c: MatMut<'a, T>,
    ) -> Self {
        assert!(c.rows > 0 && c.cols > 0);
        let a_data = match a.data {
            Data::Whole(data) if a.panel == 0 => data,
            _ => panic!("the first factor is in panels"),
        };
        let (out, nowhere) = (c.at, ptr::null::<T>());
        let (b_data, narrow) = match b.data {
            Data::Whole(data) => (data.as_ptr(), None),
            Data::Narrow(data) => (nowhere, Some(data)),
        };
        let old = match old {
            Summand::Nothing => None,
            Summand::C => Some(Addend { at: out, rs: c.rs }),
            Summand::Row(row) => Some(Addend { at: row[..c.cols].as_ptr(), rs: 0 }),
        };
        Product {
            m: c.rows,
            n: c.cols,
            k: a.cols,
            alpha,
            a: a_data.as_ptr(),
            a_rs: a.rs,
            a_cs: a.cs,
            b: b_data,
            b_rs: b.rs,
            b_cs: b.cs,
            b_panel: b.panel,
            narrow,
            c: out,
            c_rs: c.rs,
            old,
            memory: PhantomData,
        }
    }

    /// The product of the first `m` rows of A and that of the remaining rows.
    pub(super) fn split_rows(&self, m: usize) -> (Self, Self) {
        assert!(m < self.m);
        let rest = Product {
            m: self.m - m,
            a: self.a.wrapping_add(m * self.a_rs),
            c: self.c.wrapping_add(m * self.c_rs),
            old: self.old.map(|old| old.from(m, 0)),
            ..*self
        };
        (Product { m, ..*self }, rest)
    }

    /// The product with the first `n` columns of B and that with the remaining columns.
    pub(super) fn split_cols(&self, n: usize) -> (Self, Self) {
        assert!(n < self.n);
        let first = match self.b_panel {
            panel if panel > 0 && self.b_cs == 1 => {
                assert!(n.is_multiple_of(panel_columns::<T>()), "{n} columns are no panels");
                column_at::<T>(panel, n)
            }
            _ => n * self.b_cs,
        };
        let rest = Product {
            n: self.n - n,
            b: self.b.wrapping_add(first),
            c: self.c.wrapping_add(n),
            old: self.old.map(|old| old.from(0, n)),
            ..*self
        };
        (Product { n, ..*self }, rest)
    }
}

impl<T> Product<'_, T> {
    /// What is added to the elements of C from (i, j) on once `pc` products of K are summed.
    #[inline(always)]
    pub(super) fn old(&self, pc: usize, i: usize, j: usize) -> Option<Addend<T>> {
        let old = if pc == 0 { self.old } else { Some(Addend { at: self.c, rs: self.c_rs }) };
        old.map(|old| old.from(i, j))
    }
}

impl<T: Element> Product<'_, T> {
    /// Adds sums over the block of K from `pc` on to some columns of a row of C.
    #[inline(always)]
    pub(super) fn write<L: Lanes<Elem = T>>(
        &self,
        pc: usize,
        i: usize,
        columns: Range<usize>,
        sums: &[T],
    ) {
        let alpha = L::splat(self.alpha);
        for (from, sum) in columns.clone().step_by(L::N).zip(sums.chunks_exact(L::N)) {
            let (sum, len) = (L::load(sum), L::N.min(columns.end - from));
            let sum = match self.old(pc, i, from) {
                None => alpha * sum,
                // SAFETY: row i of what is added has these columns.
                Some(old) => alpha.mul_add(sum, slice::load(unsafe { old.row(0, len) })),
            };
            let to = self.c.wrapping_add(i * self.c_rs + from);
            // SAFETY: row i of C has these columns, which are ours.
            slice::store(sum, unsafe { from_raw_parts_mut(to, len) });
        }
    }
}

/// The sizes of the blocks and what of A and B is packed.
#[derive(Clone, Copy, Debug)]
struct Blocking {
    kc: usize,
    nc: usize,
    mc: usize,
    /// Pack blocks of A, else read them in place.
    pack_a: bool,
    /// Pack all of B, else only a last panel that does not fill its vectors.
    pack_b: bool,
    /// Elements of a packed block of A.
    block: usize,
    /// Elements of the packed panels of B.
    panels: usize,
}

impl Blocking {
    #[inline(always)]
    fn new<L: Lanes>(p: &Product<'_, L::Elem>) -> Self {
        let size = size_of::<L::Elem>();
        let nr = L::NV * L::N;
        let kc = p.k.min(depth::<L::Elem>());
        let nc = (NC_BYTES / size / kc.max(1)).next_multiple_of(nr).min(p.n);
        let most = MC_BYTES / size / kc.max(1);
        // Blocks of equal size, or nearly so.
        let mc = p.m.div_ceil(p.m.div_ceil(most)).next_multiple_of(L::MR);
        let often = p.m > pack_b_strips::<L>() * L::MR && p.k * p.n * size > PACK_B_BYTES;
        let pack_b = p.b_cs != 1 || often;
        let pack_a = match (p.a_rs, p.a_cs) {
            // Each column of a strip is in a cache line of its own.
            (1, _) => p.n > nr && p.m > nr,
            (_, cs) => cs != 1 || L::LANES_AS_FACTORS,
        };
        let columns = if pack_b { nc.next_multiple_of(nr) } else { nr };
        let tail = p.n % nr != 0 && width::<L>(p.n % nr) != p.n % nr;
        Blocking {
            kc,
            nc,
            mc,
            pack_a,
            pack_b,
            block: if pack_a { mc.min(p.m) * row_stride::<L>(kc) } else { 0 },
            panels: if pack_b || tail { kc * columns } else { 0 },
        }
    }
}

/// Bytes of a block of B: half of a second-level cache of 1 MiB.
const NC_BYTES: usize = 512 << 10;
/// Bytes of a block of A: the other half.
const MC_BYTES: usize = 512 << 10;
/// Up to so many strips of A read B in place: packing takes as long as one or two of them. But
/// where a row of a panel is a single line of the cache, memory is read line by line from distant
/// rows: on Zen 3, packing for 64 rows made the products of `rows-64-forward-kn` 1.2 times as fast.
fn pack_b_strips<L: Lanes>() -> usize {
    if L::NV * L::N * size_of::<L::Elem>() > 64 { 20 } else { 5 }
}
/// Up to this size B is always read in place: it stays in the first-level cache.
const PACK_B_BYTES: usize = 20 << 10;

/// The height of the next strips of the `left` rows, and how many have it: `MR`, but the last two
/// strips are of nearly equal height.
#[inline(always)]
fn strips<L: Lanes>(left: usize) -> (usize, usize) {
    match left {
        _ if left >= 2 * L::MR => (L::MR, left / L::MR - 1),
        _ if left > L::MR => (left.div_ceil(2), 1),
        _ => (left, 1),
    }
}

/// The first row and the height of each strip of `rows` rows.
#[inline(always)]
pub(super) fn each_strip<L: Lanes>(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut next = 0;
    iter::from_fn(move || {
        let first = next;
        let (height, _) = (first < rows).then(|| strips::<L>(rows - first))?;
        next += height;
        Some((first, height))
    })
}

/// By reference: a copy would be read right after it is stored, and wait for the store.
impl<T: Element> Kernel<T> for &Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        if self.b_panel > 0 {
            L::outline(InPanels(self));
        } else if !self.small::<L>() {
            L::outline(Tiled(self));
        }
    }
}

/// A product computed in tiles. Out of line, because setting up its variables takes longer than a
/// small product.
struct Tiled<'a, T>(&'a Product<'a, T>);

impl<T: Element> Kernel<T> for Tiled<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let mut product = self.0;
        let rest;
        if product.has_few_rows::<L>() {
            let done = product.few_rows::<L>();
            if done == product.n {
                return;
            }
            rest = product.split_cols(done).1;
            product = &rest;
        }
        if product.is_skinny() {
            return match product.b_cs {
                1 => product.stream::<L>(),
                _ => product.skinny::<L>(),
            };
        }
        let plan = Blocking::new::<L>(product);
        let len = plan.block + plan.panels;
        // A small buffer is taken from the stack, which is faster than the pool.
        let (mut near, mut far);
        let memory: &mut [T] = match len {
            0 => &mut [],
            1..=256 => {
                near = [T::ZERO; 256];
                &mut near
            }
            _ => {
                far = Scratch::new(len);
                &mut far
            }
        };
        let (block, panels) = memory.split_at_mut(plan.block);
        product.blocks::<L>(plan, block, panels);
    }
}

impl<T: Element> Product<'_, T> {
    /// Blocks of B, blocks of A, panels of B, strips of A, from the outer to the inner loop.
    #[inline(always)]
    fn blocks<L: Lanes<Elem = T>>(&self, plan: Blocking, block: &mut [T], panels: &mut [T]) {
        let nr = L::NV * L::N;
        let mut jc = 0;
        while jc < self.n {
            let nb = plan.nc.min(self.n - jc);
            // The panels that are packed: all, or the last one if it does not fill its vectors.
            let last = nb % nr;
            let first = match () {
                () if plan.pack_b => 0,
                () if last == 0 || width::<L>(last) == last => nb,
                () => nb - last,
            };
            let mut pc = 0;
            loop {
                let kc = plan.kc.min(self.k - pc);
                let b = self.b.wrapping_add(pc * self.b_rs + jc * self.b_cs);
                let whole = if self.b_cs == 1 { first + (nb - first) / nr * nr } else { first };
                // SAFETY: these panels lie inside B.
                unsafe {
                    pack::panels::<L>(b.wrapping_add(first), self.b_rs, kc, whole - first, panels);
                }
                // The block that is packed next; each tile prefetches a part of its panel.
                let (next, deep) = match () {
                    () if !plan.pack_b || self.b_cs != 1 => (b, 0),
                    () if pc + kc < self.k => {
                        (b.wrapping_add(kc * self.b_rs), plan.kc.min(self.k - pc - kc))
                    }
                    () if jc + nb < self.n => (self.b.wrapping_add(jc + nb), plan.kc),
                    () => (b, 0),
                };
                let each = deep.div_ceil(self.m.div_ceil(L::MR));
                let ahead = Ahead::new(next, self.b_rs, each, kc);
                for ic in (0..self.m).step_by(plan.mc) {
                    let mb = plan.mc.min(self.m - ic);
                    let a = self.a.wrapping_add(ic * self.a_rs + pc * self.a_cs);
                    let (a, a_rs, a_cs) = if plan.pack_a {
                        let stride = row_stride::<L>(kc);
                        // SAFETY: the block lies inside A.
                        unsafe {
                            let strides = (self.a_rs, self.a_cs);
                            pack::block::<L>(a, strides, (mb, kc), block, stride);
                        }
                        (block.as_ptr(), stride, 1)
                    } else {
                        (a, self.a_rs, self.a_cs)
                    };
                    for j in (0..nb).step_by(nr) {
                        let cols = nr.min(nb - j);
                        if ic == 0 && j >= whole {
                            let b = b.wrapping_add(j * self.b_cs);
                            let to = &mut panels[(j - first) * kc..];
                            // SAFETY: the panel lies inside B.
                            unsafe { pack::panel::<L>(b, self.b_rs, self.b_cs, kc, cols, to) };
                        }
                        let (b, b_rs) = if j < first {
                            (b.wrapping_add(j), self.b_rs)
                        } else {
                            (panels[(j - first) * kc..].as_ptr(), width::<L>(cols))
                        };
                        let mut i = 0;
                        while i < mb {
                            let (rows, times) = strips::<L>(mb - i);
                            let strip = a.wrapping_add(i * a_rs);
                            let (times, a_rs, a_cs) = match plan.pack_a {
                                true if const { L::LANES_AS_FACTORS } => (1, 1, rows),
                                _ => (times, a_rs, a_cs),
                            };
                            let tile = Tile {
                                kc,
                                alpha: self.alpha,
                                a: strip,
                                a_rs,
                                a_cs,
                                b,
                                b_rs,
                                c: self.c.wrapping_add((ic + i) * self.c_rs + jc + j),
                                c_rs: self.c_rs,
                                cols,
                                times,
                                old: self.old(pc, ic + i, jc + j),
                                ahead: ahead.beside(j).after((ic + i) / L::MR),
                            };
                            // SAFETY: strip and panel lie in A and B or in their packed copies, the
                            // tile lies in C, which is ours.
                            unsafe { tile.run::<L>(rows) };
                            i += times * rows;
                        }
                    }
                }
                pc += plan.kc;
                if pc >= self.k {
                    break;
                }
            }
            jc += nb;
        }
    }
}
