//! Products where C has few rows and B is large, its rows contiguous: B is read once, in place.
//!
//! Memory reaches its full speed only along a few rows at a time, and only if it is asked without a
//! pause. So B is cut into *pieces*: [`rows`] rows, [`WIDTH`] bytes of each. All strips of A pass
//! over a piece while it is in the first-level cache, and each of them prefetches its share of the
//! next piece into the second-level cache; prefetched into the first, it would displace the piece
//! in use. The sums stay in memory from piece to piece, unrounded and unscaled, so the pieces give
//! the same bits as one pass over K.
//!
//! Measured on Zen 3 (AVX2), with all weights of GPT-2-small in order: .92 of the time of panels
//! read in place for one row, .75 to .87 for 3 to 8, .9 for 12 and 16, .96 for 32. Tried there and
//! slower: pieces copied into panels first, and pieces of twice or half as many rows; more rows of
//! a matrix of 768 columns compete for the same sets of the cache. Not measured with 512 bits.

use super::blocks::{Product, each_strip};
use super::kernel::{ByRows, LINE, UNROLL, add_products, by_rows, column, kept, resumed};
use super::layout::depth;
use super::pack;
use super::scratch::Scratch;
use crate::simd::{Element, Kernel, Lanes, prefetch_far};
use std::slice::from_raw_parts;

/// Bytes of a row of a piece.
const WIDTH: usize = 2 << 10;
/// Vectors of the widest tile, that of a single row of A.
const WIDEST: usize = 8;

/// Columns that all tiles' widths divide.
fn unit<L: Lanes>() -> usize {
    WIDEST * L::N * if L::NV == 3 { 3 } else { 1 }
}

/// Rows of a piece: enough multiply-adds for a tile to hide the way of its sums through memory.
fn rows<L: Lanes>() -> usize {
    8 * L::NV
}

/// Vectors in a row of a tile of `rows` rows: as many sums as hide the latency of a multiply-add.
#[inline(always)]
fn vectors<L: Lanes>(rows: usize) -> usize {
    match rows {
        _ if L::NV == 1 => 1,
        1 => WIDEST,
        2 | 3 => 4,
        _ => L::NV,
    }
}

/// Columns of a block of C, and where its sums are: of the strip from row `i` on from `i * width`
/// on, tile after tile, row after row.
#[derive(Clone, Copy)]
struct Columns {
    first: usize,
    count: usize,
    width: usize,
}

impl<T: Element> Product<'_, T> {
    /// Blocks of columns of C, blocks of K, pieces of B, strips of A, from the outer to the inner
    /// loop.
    #[inline(always)]
    pub(super) fn stream<L: Lanes<Elem = T>>(&self) {
        let unit = unit::<L>();
        let width = (WIDTH / size_of::<T>()).next_multiple_of(unit);
        let mut memory = Scratch::new(self.m * (depth::<T>() + width) + rows::<L>() * unit);
        let (a, rest) = memory.split_at_mut(self.m * depth::<T>());
        let (sums, edge) = rest.split_at_mut(self.m * width);
        for first in (0..self.n).step_by(width) {
            let columns = Columns { first, count: width.min(self.n - first), width };
            for pc in (0..self.k).step_by(depth::<T>()) {
                let kc = depth::<T>().min(self.k - pc);
                // A single block of K is packed once.
                if first == 0 || self.k > depth::<T>() {
                    let from = self.a.wrapping_add(pc * self.a_cs);
                    let strides = (self.a_rs, self.a_cs);
                    // SAFETY: these columns lie inside A.
                    unsafe {
                        pack::strips::<L>(from, strides, (self.m, kc), a, depth::<T>());
                    }
                }
                for k in (0..kc).step_by(rows::<L>()) {
                    self.piece::<L>(columns, (pc, k, rows::<L>().min(kc - k)), a, sums, edge);
                }
                self.add_sums::<L>(pc, columns, sums);
            }
        }
    }

    /// Adds to the sums the products with `deep` rows of B from `pc + k` on.
    #[inline(always)]
    fn piece<L: Lanes<Elem = T>>(
        &self,
        columns: Columns,
        (pc, k, deep): (usize, usize, usize),
        a: &[T],
        sums: &mut [T],
        edge: &mut [T],
    ) {
        let unit = unit::<L>();
        let b = self.b.wrapping_add((pc + k) * self.b_rs + columns.first);
        let next = match pc + k + deep < self.k {
            true => b.wrapping_add(deep * self.b_rs),
            false => self.b.wrapping_add(columns.first + columns.width),
        };
        // What is read in place must fill all tiles.
        let whole = columns.count / unit * unit;
        if whole < columns.count {
            let (from, cols) = (b.wrapping_add(whole), columns.count - whole);
            // SAFETY: these columns lie inside B.
            unsafe { pack::rows::<L>(from, (self.b_rs, 1), (deep, cols), edge, (unit, unit)) };
        }
        for (i, rows) in each_strip::<L>(self.m) {
            let (from, to) = (deep * i / self.m, deep * (i + rows) / self.m);
            let strip = Strip {
                a: a[i * depth::<T>() + k * rows..].as_ptr(),
                b,
                b_rs: self.b_rs,
                deep,
                columns: whole,
                sums: sums[i * columns.width..].as_mut_ptr(),
                resumes: k > 0,
                ahead: next.wrapping_add(from * self.b_rs),
                ahead_rs: self.b_rs,
                ahead_rows: to - from,
            };
            by_rows::<L, _>(strip, rows);
            if whole < columns.count {
                let sums = sums[i * columns.width + whole * rows..].as_mut_ptr();
                let (b, columns) = (edge.as_ptr(), columns.count - whole);
                let ahead = next.wrapping_add(from * self.b_rs + whole);
                by_rows::<L, _>(Strip { b, b_rs: unit, columns, sums, ahead, ..strip }, rows);
            }
        }
    }

    /// Adds the sums of the block of K from `pc` on to columns of C.
    #[inline(always)]
    fn add_sums<L: Lanes<Elem = T>>(&self, pc: usize, columns: Columns, sums: &[T]) {
        for (first, rows) in each_strip::<L>(self.m) {
            let wide = vectors::<L>(rows) * L::N;
            for (r, i) in (first..first + rows).enumerate() {
                for at in (0..columns.count).step_by(L::N) {
                    let (j, len) = (columns.first + at, L::N.min(columns.count - at));
                    let tile = first * columns.width + at / wide * wide * rows;
                    let sums = &sums[tile + r * wide + at % wide..][..L::N];
                    self.write::<L>(pc, i, j..j + len, sums);
                }
            }
        }
    }
}

/// A packed strip of A times a piece of B.
#[derive(Clone, Copy)]
struct Strip<T> {
    /// Column after column.
    a: *const T,
    b: *const T,
    b_rs: usize,
    /// Columns of A, rows of B.
    deep: usize,
    /// Columns of B, up to a multiple of the tile's.
    columns: usize,
    /// Memory for all tiles, one after the other.
    sums: *mut T,
    /// Continue with the sums stored there; else start with zeros.
    resumes: bool,
    /// What to prefetch: `ahead_rows` rows, `ahead_rs` apart, as wide as B.
    ahead: *const T,
    ahead_rs: usize,
    ahead_rows: usize,
}

impl<T: Element> ByRows<T> for Strip<T> {
    /// Picks the number of vectors a row of a tile takes.
    #[inline(always)]
    fn of<L: Lanes<Elem = T>, const R: usize>(self) {
        match vectors::<L>(R) {
            1 if const { L::NV == 1 } => L::outline(Tiles::<T, R, 1>(self)),
            2 if const { R > 3 && L::NV == 2 } => L::outline(Tiles::<T, R, 2>(self)),
            3 if const { R > 3 && L::NV == 3 } => L::outline(Tiles::<T, R, 3>(self)),
            4 if const { L::NV > 1 && R > 1 && (R < 4 || L::NV == 4) } => {
                L::outline(Tiles::<T, R, 4>(self))
            }
            WIDEST if const { L::NV > 1 && R == 1 } => L::outline(Tiles::<T, R, WIDEST>(self)),
            vectors => unreachable!("a tile of {vectors} vectors"),
        }
    }
}

/// The tiles of a strip, of `R` rows and `V` vectors. Only [`Product::piece`] makes them: A, B and
/// the sums lie in memory as the fields say.
struct Tiles<T, const R: usize, const V: usize>(Strip<T>);

impl<T: Element, const R: usize, const V: usize> Kernel<T> for Tiles<T, R, V> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let strip = self.0;
        for j in (0..strip.columns).step_by(V * L::N) {
            let at = strip.sums.wrapping_add(j * R);
            // SAFETY: there is room for the tile; the piece before stored it.
            let mut sums = unsafe { resumed::<L, R, V>(at, strip.resumes) };
            for row in 0..strip.ahead_rows {
                let ahead = strip.ahead.wrapping_add(row * strip.ahead_rs + j);
                for line in 0..(V * L::N * size_of::<T>()).div_ceil(LINE) {
                    prefetch_far(ahead.wrapping_byte_add(line * LINE));
                }
            }
            let (mut a, mut b) = (strip.a, strip.b.wrapping_add(j));
            for _ in 0..strip.deep / UNROLL {
                for _ in 0..UNROLL {
                    step::<L, R, V>(&mut sums, a, b);
                    (a, b) = (a.wrapping_add(R), b.wrapping_add(strip.b_rs));
                }
            }
            for _ in 0..strip.deep % UNROLL {
                step::<L, R, V>(&mut sums, a, b);
                (a, b) = (a.wrapping_add(R), b.wrapping_add(strip.b_rs));
            }
            // SAFETY: there is room for the tile.
            unsafe { kept(&sums, at) };
        }
    }
}

/// Adds the products of a column of the strip with a row of B.
#[inline(always)]
fn step<L: Lanes, const R: usize, const V: usize>(
    sums: &mut [[L; V]; R],
    a: *const L::Elem,
    b: *const L::Elem,
) {
    if const { L::LANES_AS_FACTORS } {
        // SAFETY: the column of A has `R` rows, the row of B `V * L::N` columns.
        return unsafe { column(sums, a, b) };
    }
    let mut row = [L::splat(L::Elem::ZERO); V];
    for (v, y) in row.iter_mut().enumerate() {
        // SAFETY: the row of B has `V * L::N` columns.
        *y = L::load(unsafe { from_raw_parts(b.wrapping_add(v * L::N), L::N) });
    }
    // SAFETY: the column of A has `R` rows.
    unsafe { add_products(sums, a, 1, &row) };
}
