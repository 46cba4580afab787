//! The micro-kernel: one tile of C, held in registers during the loop over K.

use super::layout::{Addend, width};
use super::small::FEW_COLUMNS;
use crate::simd::{Element, Kernel, Lanes, prefetch};
use std::hint::black_box;
use std::ptr::null;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// One tile: `C[rows, cols] = alpha A[rows, kc] B[kc, cols]`, plus what `old` holds.
#[derive(Clone, Copy)]
pub(super) struct Tile<T> {
    pub(super) kc: usize,
    pub(super) alpha: T,
    /// A is `a[i * a_rs + k * a_cs]`; one of the strides is 1.
    pub(super) a: *const T,
    pub(super) a_rs: usize,
    pub(super) a_cs: usize,
    /// B is `b[k * b_rs + j]`, of [`width`] columns.
    pub(super) b: *const T,
    pub(super) b_rs: usize,
    /// C is `c[i * c_rs + j]`; only `cols` elements of a row are read or written.
    pub(super) c: *mut T,
    pub(super) c_rs: usize,
    pub(super) cols: usize,
    /// How many such tiles follow each other, one below the other.
    pub(super) times: usize,
    /// What is added to the tile, if anything.
    pub(super) old: Option<Addend<T>>,
    /// What to prefetch.
    pub(super) ahead: Ahead<T>,
}

/// Memory to prefetch while a tile is computed: rows as wide as the tile, `stride` apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead<T> {
    pub(super) at: *const T,
    pub(super) stride: usize,
    /// How many rows.
    pub(super) rows: usize,
    /// How many of them in an iteration of the loop.
    each: usize,
}

impl<T> Ahead<T> {
    /// Nothing.
    pub(super) const NONE: Ahead<T> = Ahead { at: null(), stride: 0, rows: 0, each: 0 };

    /// These rows, prefetched while sums of `kc` products are computed.
    #[inline(always)]
    pub(super) fn new(at: *const T, stride: usize, rows: usize, kc: usize) -> Self {
        Ahead { at, stride, rows, each: rows.div_ceil((kc / UNROLL).max(1)) }
    }

    /// The same rows, `columns` to the right.
    #[inline(always)]
    pub(super) fn beside(self, columns: usize) -> Self {
        Ahead { at: self.at.wrapping_add(columns), ..self }
    }

    /// The rows that follow `many` of these groups.
    #[inline(always)]
    pub(super) fn after(self, many: usize) -> Self {
        Ahead { at: self.at.wrapping_add(many * self.rows * self.stride), ..self }
    }
}

impl<T: Element> Tile<T> {
    /// Computes the tile, of `rows` rows, 1 to `L::MR`.
    ///
    /// # Safety
    /// A, B and C must lie in memory as the fields say, and nothing else may access C.
    #[inline(always)]
    pub(super) unsafe fn run<L: Lanes<Elem = T>>(self, rows: usize) {
        by_rows::<L, _>(self, rows);
    }

    /// Picks the layout of A.
    #[inline(always)]
    fn with_a<L: Lanes<Elem = T>, const R: usize, const V: usize>(self) {
        if self.a_rs == 1 {
            L::outline(Micro::<T, R, V, true>(self));
        } else if const { !L::LANES_AS_FACTORS || R <= FEW_COLUMNS } {
            L::outline(Micro::<T, R, V, false>(self));
        } else {
            unreachable!("a strip of {R} rows that is not packed");
        }
    }
}

/// What is compiled for each number of rows of a strip.
pub(super) trait ByRows<T: Element> {
    /// The code for `R` rows.
    fn of<L: Lanes<Elem = T>, const R: usize>(self);
}

/// Picks the code for `rows` rows, 1 to `L::MR`. A condition in a `const` block is known before
/// code is generated: what these lanes never run is not compiled.
#[inline(always)]
pub(super) fn by_rows<L: Lanes, S: ByRows<L::Elem>>(strip: S, rows: usize) {
    match rows {
        1 => strip.of::<L, 1>(),
        2 => strip.of::<L, 2>(),
        3 => strip.of::<L, 3>(),
        4 => strip.of::<L, 4>(),
        5 if const { L::MR > 4 } => strip.of::<L, 5>(),
        6 if const { L::MR > 4 } => strip.of::<L, 6>(),
        7 if const { L::MR > 6 } => strip.of::<L, 7>(),
        8 if const { L::MR > 6 } => strip.of::<L, 8>(),
        _ => unreachable!("a strip of {rows} rows"),
    }
}

impl<T: Element> ByRows<T> for Tile<T> {
    /// Picks the number of vectors a row of the tile takes.
    #[inline(always)]
    fn of<L: Lanes<Elem = T>, const R: usize>(self) {
        match width::<L>(self.cols) / L::N {
            1 => self.with_a::<L, R, 1>(),
            2 if const { L::NV >= 2 } => self.with_a::<L, R, 2>(),
            3 if const { L::NV == 3 } => self.with_a::<L, R, 3>(),
            4 if const { L::NV >= 4 } => self.with_a::<L, R, 4>(),
            _ => unreachable!("a tile of {} columns", self.cols),
        }
    }
}

/// Rows of B in an iteration of the loop.
pub(super) const UNROLL: usize = 4;

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// A tile of `R` rows and `V` vectors. A is read down its columns if `COLUMNS`, else along its
/// rows. Only [`Tile::run`] makes one, so what `run` demands holds.
struct Micro<T, const R: usize, const V: usize, const COLUMNS: bool>(Tile<T>);

impl<T: Element, const R: usize, const V: usize, const COLUMNS: bool> Kernel<T>
    for Micro<T, R, V, COLUMNS>
{
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let mut tile = self.0;
        for _ in 0..self.0.times {
            one::<L, R, V, COLUMNS>(tile);
            tile.a = tile.a.wrapping_add(R * if COLUMNS { 1 } else { tile.a_rs });
            tile.c = tile.c.wrapping_add(R * tile.c_rs);
            tile.old = tile.old.map(|old| old.from(R, 0));
            tile.ahead = tile.ahead.after(1);
        }
    }
}

/// One tile.
#[inline(always)]
fn one<L: Lanes, const R: usize, const V: usize, const COLUMNS: bool>(tile: Tile<L::Elem>) {
    let Tile { kc, alpha, a, a_rs, a_cs, mut b, b_rs, c, c_rs, cols, times: _, old, mut ahead } =
        tile;
    let (a_rs, a_cs) = if COLUMNS { (1, a_cs) } else { (a_rs, 1) };
    // One pointer for three rows: addressing modes scale an index by 1 and 2 for free. `black_box`
    // hides how the pointers relate; otherwise the compiler adds the stride row by row instead.
    let third = |i: usize| black_box(a.wrapping_add(i * a_rs));
    let mut thirds = [a; 2];
    if !COLUMNS && R > 3 {
        thirds[1] = third(3);
    }
    let mut sums = [[L::splat(L::Elem::ZERO); V]; R];
    let strides = if COLUMNS { (1, a_cs) } else { (a_rs, 1) };
    // C is written when the sums are complete; prefetched now, it is in cache by then.
    for i in 0..R {
        for v in 0..V {
            prefetch(c.wrapping_add(i * c_rs + v * L::N));
        }
    }
    if const { L::LANES_AS_FACTORS && COLUMNS } {
        by_columns(&mut sums, a, a_cs, b, b_rs, kc);
    } else {
        for _ in 0..kc / UNROLL {
            if ahead.rows > 0 {
                for _ in 0..ahead.each {
                    for line in 0..(V * L::N * size_of::<L::Elem>()).div_ceil(LINE) {
                        prefetch(ahead.at.wrapping_byte_add(line * LINE));
                    }
                    ahead.at = ahead.at.wrapping_add(ahead.stride);
                }
                ahead.rows = ahead.rows.saturating_sub(ahead.each);
            }
            for u in 0..UNROLL {
                step::<L, R, V, COLUMNS>(&mut sums, &mut thirds, strides, u, b);
                b = b.wrapping_add(b_rs);
            }
            if !COLUMNS {
                for a in &mut thirds {
                    *a = a.wrapping_add(UNROLL);
                }
            }
        }
        for _ in 0..kc % UNROLL {
            step::<L, R, V, COLUMNS>(&mut sums, &mut thirds, strides, 0, b);
            b = b.wrapping_add(b_rs);
            if !COLUMNS {
                for a in &mut thirds {
                    *a = a.wrapping_add(1);
                }
            }
        }
    }

    // In most products alpha is 1.
    if old.is_none() && alpha != L::Elem::ONE {
        sums.iter_mut().flatten().for_each(|sum| *sum = L::splat(alpha) * *sum);
    }
    let alpha = L::splat(alpha);
    let row = |i: usize| c.wrapping_add(i * c_rs);
    if cols == V * L::N {
        for (i, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let sum = match old {
                    None => sum,
                    Some(old) => {
                        // SAFETY: row i of the addend has `cols` columns.
                        let old = unsafe { old.from(0, v * L::N).row(i, L::N) };
                        alpha.mul_add(sum, L::load(old))
                    }
                };
                // SAFETY: row i of C has `cols` columns, which are ours.
                sum.store(unsafe { from_raw_parts_mut(row(i).wrapping_add(v * L::N), L::N) });
            }
        }
    } else {
        // A copy: indexed by variables, `sums` itself would be kept in memory during the loop
        // above.
        let sums = sums;
        for v in 0..V {
            let len = cols.saturating_sub(v * L::N).min(L::N);
            for (i, sums) in sums.iter().enumerate() {
                let sum = match old {
                    None => sums[v],
                    Some(old) => {
                        // SAFETY: row i of the addend has `cols` columns.
                        let old = unsafe { old.from(0, v * L::N).row(i, len) };
                        alpha.mul_add(sums[v], L::load_partial(old, L::Elem::ZERO))
                    }
                };
                // SAFETY: row i of C has `cols` columns, which are ours.
                sum.store_partial(unsafe {
                    from_raw_parts_mut(row(i).wrapping_add(v * L::N), len)
                });
            }
        }
    }
}

/// Adds the products with row `u` of B after the one that `thirds` points to; `b` is that row.
#[inline(always)]
fn step<L: Lanes, const R: usize, const V: usize, const COLUMNS: bool>(
    sums: &mut [[L; V]; R],
    thirds: &mut [*const L::Elem; 2],
    (a_rs, a_cs): (usize, usize),
    u: usize,
    b: *const L::Elem,
) {
    let mut row = [L::splat(L::Elem::ZERO); V];
    for (v, y) in row.iter_mut().enumerate() {
        // SAFETY: row k of B has `V * L::N` columns.
        *y = L::load(unsafe { from_raw_parts(b.wrapping_add(v * L::N), L::N) });
    }
    for (i, sums) in sums.iter_mut().enumerate() {
        let at = match i / 3 {
            _ if COLUMNS => thirds[0].wrapping_add(i),
            q => thirds[q].wrapping_add((i % 3) * a_rs),
        };
        // SAFETY: column k of A has `R` rows.
        let x = L::splat(unsafe { *at.wrapping_add(if COLUMNS { 0 } else { u }) });
        // A value used once can remain a memory operand.
        let x = if V > 1 { x.pinned() } else { x };
        for (sum, &y) in sums.iter_mut().zip(row.iter()) {
            *sum = x.mul_add(y, *sum);
        }
    }
    if COLUMNS {
        thirds[0] = thirds[0].wrapping_add(a_cs);
    }
}

/// Adds the products of all columns of a strip, `a_cs` apart, and the rows of B, `b_rs` apart. A
/// column is loaded as vectors whose lanes are the factors. The loops over packed operands know
/// their strides, so that no row needs an address of its own and loads go in pairs.
#[inline(always)]
fn by_columns<L: Lanes, const R: usize, const V: usize>(
    sums: &mut [[L; V]; R],
    a: *const L::Elem,
    a_cs: usize,
    b: *const L::Elem,
    b_rs: usize,
    kc: usize,
) {
    match (a_cs, b_rs) {
        (packed, panel) if packed == R && panel == V * L::N => {
            columns(sums, a, R, b, V * L::N, kc);
        }
        (packed, _) if packed == R => columns(sums, a, R, b, b_rs, kc),
        _ => columns(sums, a, a_cs, b, b_rs, kc),
    }
}

/// [`by_columns`] once the strides are known.
#[inline(always)]
fn columns<L: Lanes, const R: usize, const V: usize>(
    sums: &mut [[L; V]; R],
    mut a: *const L::Elem,
    a_cs: usize,
    mut b: *const L::Elem,
    b_rs: usize,
    kc: usize,
) {
    for _ in 0..kc / COLUMNS_UNROLLED {
        for _ in 0..COLUMNS_UNROLLED {
            // SAFETY: A has `kc` columns of R rows, B as many rows of V vectors.
            unsafe { column(sums, a, b) };
            (a, b) = (a.wrapping_add(a_cs), b.wrapping_add(b_rs));
        }
    }
    for _ in 0..kc % COLUMNS_UNROLLED {
        // SAFETY: as above.
        unsafe { column(sums, a, b) };
        (a, b) = (a.wrapping_add(a_cs), b.wrapping_add(b_rs));
    }
}

/// Columns of A in an iteration of [`columns`]: with four, less than 85 % of the instructions of
/// its loop in `f64` are multiply-adds.
const COLUMNS_UNROLLED: usize = 8;

/// The sums of a tile, row after row from `at` on, or zeros if it does not `resume` any.
///
/// # Safety
/// The sums that are resumed must be there.
#[inline(always)]
pub(super) unsafe fn resumed<L: Lanes, const R: usize, const V: usize>(
    at: *const L::Elem,
    resume: bool,
) -> [[L; V]; R] {
    let mut sums = [[L::splat(L::Elem::ZERO); V]; R];
    if resume {
        for (i, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                // SAFETY: as the caller promises.
                *sum =
                    L::load(unsafe { from_raw_parts(at.wrapping_add((i * V + v) * L::N), L::N) });
            }
        }
    }
    sums
}

/// Stores the sums of a tile where [`resumed`] finds them.
///
/// # Safety
/// There must be room for them.
#[inline(always)]
pub(super) unsafe fn kept<L: Lanes, const R: usize, const V: usize>(
    sums: &[[L; V]; R],
    at: *mut L::Elem,
) {
    for (i, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            // SAFETY: as the caller promises.
            sum.store(unsafe { from_raw_parts_mut(at.wrapping_add((i * V + v) * L::N), L::N) });
        }
    }
}

/// Adds the products of `R` elements, `stride` apart, and a row of vectors.
///
/// # Safety
/// These elements must be readable.
#[inline(always)]
pub(super) unsafe fn add_products<L: Lanes, const R: usize, const V: usize>(
    sums: &mut [[L; V]; R],
    a: *const L::Elem,
    stride: usize,
    row: &[L; V],
) {
    for (i, sums) in sums.iter_mut().enumerate() {
        // SAFETY: as the caller promises.
        let x = L::splat(unsafe { *a.wrapping_add(i * stride) });
        // A value used once can remain a memory operand.
        let x = if V > 1 { x.pinned() } else { x };
        for (sum, &y) in sums.iter_mut().zip(row) {
            *sum = x.mul_add(y, *sum);
        }
    }
}

/// Adds the products of a column of A and a row of B.
///
/// # Safety
/// The column must have `R` elements, the row `V` vectors.
#[inline(always)]
pub(super) unsafe fn column<L: Lanes, const R: usize, const V: usize>(
    sums: &mut [[L; V]; R],
    a: *const L::Elem,
    b: *const L::Elem,
) {
    // SAFETY: as the caller promises.
    let (column, row) = unsafe { (from_raw_parts(a, R), from_raw_parts(b, V * L::N)) };
    let row: [L; V] = std::array::from_fn(|v| L::load(&row[v * L::N..]));
    let mut vectors = column.chunks_exact(L::N);
    let mut done = 0;
    for x in &mut vectors {
        L::load(x).add_outer(&row, &mut sums[done..]);
        done += L::N;
    }
    for (sums, &x) in sums[done..].iter_mut().zip(vectors.remainder()) {
        let x = L::splat(x);
        for (sum, &y) in sums.iter_mut().zip(&row) {
            *sum = x.mul_add(y, *sum);
        }
    }
}
