//! Products with a B that is stored in panels: [`Mat::panels`], and the same matrix transposed.
//!
//! A panel is as wide as a line of the cache, and its rows follow each other. So a weight matrix is
//! read as one long stream in both directions: for `x W`, where a row of a panel is multiplied by
//! an element of each row of A, and for `dy W'`, where rows of A are lanes, each element of a panel
//! is broadcast, and sums over the columns of all panels stay in the nearest caches. Nothing is
//! packed but A. Elements of C are summed as on every other path, so they have the same bits.
//!
//! Panels are cut into *pieces* that stay in the first-level cache while all rows of A pass; the
//! next piece is prefetched meanwhile. A piece of narrow elements is widened there first, or, for
//! the fewest rows, in registers: there reading the piece and multiplying it have to overlap.

use super::blocks::{Product, each_strip};
use super::kernel::{ByRows, LINE, UNROLL, add_products, by_rows, column, kept, resumed};
use super::layout::{LONGEST, depth};
use super::narrow::Narrow;
use super::pack;
use super::scratch::Scratch;
use super::{Data, Mat};
use crate::simd::{Element, Half, Kernel, Lanes, prefetch};
use std::ops::Range;
use std::slice::from_raw_parts;

/// Columns of a panel of these elements: a line of the cache.
pub const fn panel_columns<T>() -> usize {
    let columns = 64 / size_of::<T>();
    // With one column a panel and its transposed would look alike.
    if columns < 2 { 2 } else { columns }
}

/// Where column `j` begins in panels that are `panel` elements apart.
#[inline(always)]
pub(super) const fn column_at<T>(panel: usize, j: usize) -> usize {
    j / panel_columns::<T>() * panel + j % panel_columns::<T>()
}

/// Elements that a `rows` x `cols` matrix takes in panels: the last one is padded.
pub const fn panels_len<T>(rows: usize, cols: usize) -> usize {
    rows * cols.next_multiple_of(panel_columns::<T>())
}

/// Copies a matrix into panels: `to` has [`panels_len`] elements, and its padding becomes zeros.
///
/// # Panics
/// If `to` has another length.
#[track_caller]
pub fn to_panels<T: Element>(from: Mat<'_, T>, to: &mut [T]) {
    copy_to_panels(from, panel_columns::<T>(), to, |x| x);
}

/// Copies a matrix whose elements are all numbers of `format` into panels of these: as
/// [`to_panels`].
///
/// # Panics
/// If `to` has another length.
#[track_caller]
pub fn to_narrow_panels<T: Element>(from: Mat<'_, T>, format: Half, to: &mut [u16]) {
    copy_to_panels(from, panel_columns::<T>(), to, |x| format.of(x));
}

/// Copies a matrix into panels of so many columns.
#[track_caller]
pub(crate) fn copy_to_panels<T: Element, E: Copy + Default>(
    from: Mat<'_, T>,
    columns: usize,
    to: &mut [E],
    element: impl Fn(T) -> E,
) {
    let len = from.rows * from.cols.next_multiple_of(columns);
    assert_eq!(to.len(), len, "elements in panels");
    let panels = to.chunks_exact_mut((from.rows * columns).max(1));
    for (first, panel) in (0..from.cols).step_by(columns).zip(panels) {
        let there = columns.min(from.cols - first);
        // Columns that are contiguous, each into its place in the rows of a panel, which is in the
        // first-level cache.
        if let Data::Whole(data) = from.data
            && (from.panel, from.rs) == (0, 1)
        {
            if there < columns {
                panel.fill(E::default());
            }
            for j in 0..there {
                let column = &data[(first + j) * from.cs..][..from.rows];
                let to = panel[j..].iter_mut().step_by(columns);
                to.zip(column).for_each(|(to, &x)| *to = element(x));
            }
            continue;
        }
        for (i, to) in panel.chunks_exact_mut(columns).enumerate() {
            let (to, padding) = to.split_at_mut(there);
            match from.data {
                Data::Whole(data) if from.panel == 0 && from.cs == 1 => {
                    let row = &data[i * from.rs + first..][..there];
                    to.iter_mut().zip(row).for_each(|(to, &x)| *to = element(x));
                }
                _ => to.iter_mut().zip(first..).for_each(|(to, j)| *to = element(from.get(i, j))),
            }
            padding.fill(E::default());
        }
    }
}

/// Rows of A that pass over a piece of B: packed, they take a part of the second-level cache.
const MC: usize = 96;
/// Bytes of a piece of B.
const PIECE: usize = 8 << 10;

/// Rows up to which numbers of 16 bits are widened in registers: those of one strip, which passes
/// once. On an Intel Xeon (Skylake) one row then takes .55 of the time of `f32` with AVX-512 and
/// .62 with AVX2, four rows .6 and .65; widened in a pass before it took as long as `f32`.
const IN_REGISTERS: usize = 6;

/// What a tile reads of B: its elements, or numbers of 16 bits.
const WHOLE: u8 = 0;
const BF16: u8 = 1;
const F16: u8 = 2;

/// Vectors in a row of a forward tile: they divide a panel or are several panels.
const fn vectors<L: Lanes>() -> usize {
    let panel = panel_columns::<L::Elem>() / L::N;
    match L::NV {
        _ if panel <= L::NV => L::NV / panel * panel,
        3 => 2,
        vectors => vectors,
    }
}

/// Vectors of a forward tile that lie in one panel.
const fn vectors_in_panel<L: Lanes>() -> usize {
    let panel = panel_columns::<L::Elem>() / L::N;
    if panel < vectors::<L>() { panel } else { vectors::<L>() }
}

/// Lanes of the group `g` of `rows` rows of A: two vectors, or one if that holds all that are left.
#[inline(always)]
fn lanes<L: Lanes>(rows: usize, g: usize) -> usize {
    if rows - g * 2 * L::N <= L::N { L::N } else { 2 * L::N }
}

/// Which of the narrow elements a pointer that counts them stands for.
fn element<T>(b: *const T) -> usize {
    b.addr() / size_of::<T>()
}

/// A product with B in panels.
pub(super) struct InPanels<'a, T>(pub(super) &'a Product<'a, T>);

impl<T: Element> Kernel<T> for InPanels<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let product = self.0;
        for i in (0..product.m).step_by(MC) {
            let rows = i..product.m.min(i + MC);
            match product.b_cs {
                1 => product.along_rows::<L>(rows),
                _ => product.along_columns::<L>(rows),
            }
        }
    }
}

impl<T: Element> Product<'_, T> {
    /// Some rows of C where panels hold columns of C.
    #[inline(always)]
    fn along_rows<L: Lanes<Elem = T>>(&self, rows: Range<usize>) {
        let (m, panel) = (rows.len(), panel_columns::<T>());
        let most = depth::<T>().min(self.k);
        let widths = vectors::<L>() * L::N;
        let halves = self.narrow.and_then(Narrow::half).filter(|_| m <= IN_REGISTERS);
        let mut memory = Scratch::new(m * (most + widths) + self.widened(widths.max(panel)));
        let (a, rest) = memory.split_at_mut(m * most);
        let (sums, wide) = rest.split_at_mut(m * widths);
        for pc in (0..self.k).step_by(depth::<T>()) {
            let kc = most.min(self.k - pc);
            let from = self.a.wrapping_add(rows.start * self.a_rs + pc * self.a_cs);
            // SAFETY: these rows and columns lie inside A.
            unsafe { pack::strips::<L>(from, (self.a_rs, self.a_cs), (m, kc), a, kc) };
            let mut j = 0;
            while j < self.n {
                // Several panels at a time, or a panel in parts, or what is left by itself.
                let whole = (self.n - j).div_ceil(panel) * (panel / L::N) >= vectors::<L>();
                let v = if whole { vectors::<L>() } else { vectors_in_panel::<L>() };
                let at = |j| self.b.wrapping_add(column_at::<T>(self.b_panel, j) + pc * panel);
                let panels = v / vectors_in_panel::<L>();
                let deep = (PIECE / size_of::<T>() / panel / panels).max(1);
                for k in (0..kc).step_by(deep) {
                    let deep = deep.min(kc - k);
                    let next = if k + deep < kc {
                        at(j).wrapping_add((k + deep) * panel)
                    } else {
                        at(j + v * L::N)
                    };
                    let piece = at(j).wrapping_add(k * panel);
                    let (b, b_panel, (next, width)) = match self.narrow {
                        None => (piece, self.b_panel, (next, size_of::<T>())),
                        Some(narrow) if halves.is_some() => {
                            (narrow.at(element(piece)).0, self.b_panel, narrow.at(element(next)))
                        }
                        Some(narrow) => {
                            let pieces = wide.chunks_mut(deep * panel).take(panels);
                            for (p, wide) in pieces.enumerate() {
                                narrow.widen_with::<L>(element(piece) + p * self.b_panel, wide);
                            }
                            (wide.as_ptr(), deep * panel, narrow.at(element(next)))
                        }
                    };
                    let lines = deep * panel * width / LINE;
                    for (i, high) in each_strip::<L>(m) {
                        let ahead = lines * i / m..lines * (i + high) / m;
                        let strip = Strip {
                            a: a[i * kc + k * high..].as_ptr(),
                            b,
                            panel: b_panel,
                            halves,
                            deep,
                            vectors: v,
                            sums: sums[i * v * L::N..].as_mut_ptr(),
                            resumes: k > 0,
                            ahead: next.wrapping_byte_add(ahead.start * LINE),
                            ahead_panel: self.b_panel * width,
                            lines: ahead.len(),
                        };
                        by_rows::<L, _>(strip, high);
                    }
                }
                let cols = (v * L::N).min(self.n - j);
                for (i, sums) in sums.chunks_exact(v * L::N).take(m).enumerate() {
                    self.write::<L>(pc, rows.start + i, j..j + cols, sums);
                }
                j += v * L::N;
            }
        }
    }

    /// Some rows of C where panels hold rows of B: `C^T = B^T A^T`, rows of A are lanes.
    #[inline(always)]
    fn along_columns<L: Lanes<Elem = T>>(&self, rows: Range<usize>) {
        let (m, panel) = (rows.len(), panel_columns::<T>());
        let most = depth::<T>().min(self.k);
        let groups = m.div_ceil(2 * L::N);
        let high = (PIECE / size_of::<T>() / panel).min(self.n).max(1);
        let lanes_of_sums = 2 * L::N * groups * high.next_multiple_of(L::N);
        let a_len = 2 * L::N * groups * most;
        let mut memory = Scratch::new(a_len + lanes_of_sums + self.widened(high * panel));
        let (a, rest) = memory.split_at_mut(a_len);
        let (sums, wide) = rest.split_at_mut(lanes_of_sums);
        for pc in (0..self.k).step_by(depth::<T>()) {
            let kc = most.min(self.k - pc);
            for g in 0..groups {
                let first = rows.start + g * 2 * L::N;
                let from = self.a.wrapping_add(first * self.a_rs + pc * self.a_cs);
                let columns = (2 * L::N).min(rows.end - first);
                let lanes = lanes::<L>(m, g);
                let strides = (self.a_cs, self.a_rs);
                let to = &mut a[g * 2 * L::N * most..];
                // SAFETY: these rows and columns lie inside A.
                unsafe { pack::rows::<L>(from, strides, (kc, columns), to, (lanes, lanes)) };
            }
            let b = self.b.wrapping_add(pc / panel * self.b_panel);
            for j in (0..self.n).step_by(high) {
                let high = high.min(self.n - j);
                for k in (0..kc).step_by(panel) {
                    let b = b.wrapping_add(k / panel * self.b_panel + j * panel);
                    let next = b.wrapping_add(self.b_panel);
                    let (b, (next, width)) = match self.narrow {
                        None => (b, (next, size_of::<T>())),
                        Some(narrow) => {
                            narrow.widen_with::<L>(element(b), &mut wide[..high * panel]);
                            (wide.as_ptr(), narrow.at(element(next)))
                        }
                    };
                    for g in 0..groups {
                        let lanes = lanes::<L>(m, g);
                        let column = Column {
                            a: a[g * 2 * L::N * most + k * lanes..].as_ptr(),
                            b,
                            deep: panel.min(kc - k),
                            high,
                            sums: sums[g * 2 * L::N * high.next_multiple_of(L::N)..].as_mut_ptr(),
                            resumes: k > 0,
                            ahead: if g == 0 { next } else { b },
                            ahead_row: panel * width,
                        };
                        match lanes == L::N {
                            true => L::outline(Outputs::<T, 1>(column)),
                            false => L::outline(Outputs::<T, 2>(column)),
                        }
                    }
                }
                self.turn::<L>(pc, rows.clone(), j..j + high, sums);
            }
        }
    }

    /// Elements of memory for a piece of narrow elements, which takes at least `least`.
    fn widened(&self, least: usize) -> usize {
        if self.narrow.is_some() { (PIECE / size_of::<T>()).max(least) } else { 0 }
    }

    /// Writes the columns `columns` of C, whose sums stand column after column, each with its rows
    /// as lanes.
    #[inline(always)]
    fn turn<L: Lanes<Elem = T>>(
        &self,
        pc: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        sums: &[T],
    ) {
        let mut square = [T::ZERO; LONGEST * LONGEST];
        let high = columns.len().next_multiple_of(L::N);
        for first in rows.clone().step_by(L::N) {
            let (g, v) = ((first - rows.start) / (2 * L::N), (first - rows.start) / L::N % 2);
            let lanes = lanes::<L>(rows.len(), g);
            let sums = &sums[g * 2 * L::N * high..];
            for j in columns.clone().step_by(L::N) {
                let of_square = &sums[(j - columns.start) * lanes + v * L::N..];
                L::transpose(of_square, lanes, &mut square, L::N);
                let cols = L::N.min(columns.end - j);
                for (i, sums) in
                    square.chunks_exact(L::N).take(L::N.min(rows.end - first)).enumerate()
                {
                    self.write::<L>(pc, first + i, j..j + cols, sums);
                }
            }
        }
    }
}

/// A packed strip of A times a piece of one or more panels.
struct Strip<T> {
    /// Column after column.
    a: *const T,
    b: *const T,
    /// From panel to panel.
    panel: usize,
    /// B points to numbers of 16 bits.
    halves: Option<Half>,
    /// Columns of A, rows of B.
    deep: usize,
    /// Vectors of a row of B.
    vectors: usize,
    /// Memory for the tile, row after row.
    sums: *mut T,
    /// Continue with the sums stored there; else start with zeros.
    resumes: bool,
    /// What to prefetch: so many lines of each panel, which are so many bytes apart.
    ahead: *const T,
    ahead_panel: usize,
    lines: usize,
}

impl<T: Element> ByRows<T> for Strip<T> {
    /// Picks what B is.
    #[inline(always)]
    fn of<L: Lanes<Elem = T>, const R: usize>(self) {
        match self.halves {
            None => self.with::<L, R, WHOLE>(),
            Some(Half::Bf16) if const { R <= IN_REGISTERS } => self.with::<L, R, BF16>(),
            Some(Half::F16) if const { R <= IN_REGISTERS } => self.with::<L, R, F16>(),
            Some(_) => unreachable!("a strip of {R} rows"),
        }
    }
}

impl<T: Element> Strip<T> {
    /// Picks the number of vectors of a row.
    #[inline(always)]
    fn with<L: Lanes<Elem = T>, const R: usize, const B: u8>(self) {
        match self.vectors {
            1 if const { vectors_in_panel::<L>() == 1 } => L::outline(Tile::<T, R, 1, B>(self)),
            2 if const { vectors::<L>() == 2 } => L::outline(Tile::<T, R, 2, B>(self)),
            4 if const { vectors::<L>() == 4 } => L::outline(Tile::<T, R, 4, B>(self)),
            vectors => unreachable!("a tile of {vectors} vectors"),
        }
    }
}

/// A tile of `R` rows and `V` vectors. Only [`Product::along_rows`] makes them: A, B and the sums
/// lie in memory as the fields say.
struct Tile<T, const R: usize, const V: usize, const B: u8>(Strip<T>);

impl<T: Element, const R: usize, const V: usize, const B: u8> Kernel<T> for Tile<T, R, V, B> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let strip = self.0;
        // SAFETY: there is room for the tile; the piece before stored it.
        let mut sums = unsafe { resumed::<L, R, V>(strip.sums, strip.resumes) };
        let (mut a, mut b) = (strip.a, strip.b);
        let (mut ahead, mut lines) = (strip.ahead, strip.lines);
        for _ in 0..strip.deep / UNROLL {
            // A strip is at least a quarter of the rows that share a piece, or rows are few and
            // there is nothing else to wait for.
            for _ in 0..UNROLL.min(lines) {
                for p in 0..V / const { vectors_in_panel::<L>() } {
                    prefetch(ahead.wrapping_byte_add(p * strip.ahead_panel));
                }
                ahead = ahead.wrapping_byte_add(LINE);
                lines -= 1;
            }
            for _ in 0..UNROLL {
                step::<L, R, V, B>(&mut sums, a, b, strip.panel);
                (a, b) = (a.wrapping_add(R), columns_on::<T, B>(b, panel_columns::<T>()));
            }
        }
        for _ in 0..strip.deep % UNROLL {
            step::<L, R, V, B>(&mut sums, a, b, strip.panel);
            (a, b) = (a.wrapping_add(R), columns_on::<T, B>(b, panel_columns::<T>()));
        }
        // SAFETY: there is room for the tile.
        unsafe { kept(&sums, strip.sums) };
    }
}

/// The place so many elements of B further on.
#[inline(always)]
const fn columns_on<T, const B: u8>(b: *const T, columns: usize) -> *const T {
    match B {
        WHOLE => b.wrapping_add(columns),
        _ => b.cast::<u16>().wrapping_add(columns).cast(),
    }
}

/// Adds the products of a column of the strip with a row of B.
#[inline(always)]
fn step<L: Lanes, const R: usize, const V: usize, const B: u8>(
    sums: &mut [[L; V]; R],
    a: *const L::Elem,
    b: *const L::Elem,
    panel: usize,
) {
    let together = const { vectors_in_panel::<L>() };
    if const { L::LANES_AS_FACTORS && B == WHOLE } && together >= V {
        // SAFETY: the column of A has `R` rows, the row of B `V * L::N` columns.
        return unsafe { column(sums, a, b) };
    }
    let mut row = [L::splat(L::Elem::ZERO); V];
    for (v, y) in row.iter_mut().enumerate() {
        let at = columns_on::<L::Elem, B>(b, v / together * panel + v % together * L::N);
        // SAFETY: the row of each panel has its columns.
        *y = unsafe {
            match B {
                WHOLE => L::load(from_raw_parts(at, L::N)),
                BF16 => L::load_half(from_raw_parts(at.cast(), L::N), Half::Bf16),
                _ => L::load_half(from_raw_parts(at.cast(), L::N), Half::F16),
            }
        };
    }
    // SAFETY: the column of A has `R` rows.
    unsafe { add_products(sums, a, 1, &row) };
}

/// Some rows of A as lanes times a piece of a panel that is a part of a few rows of B.
#[derive(Clone, Copy)]
struct Column<T> {
    /// Row after row, the elements of one row of B's.
    a: *const T,
    b: *const T,
    /// Rows of B.
    deep: usize,
    /// Columns of B, rows of the panel.
    high: usize,
    /// Memory for all sums, column after column.
    sums: *mut T,
    /// Continue with the sums stored there; else start with zeros.
    resumes: bool,
    /// What to prefetch: as many rows of a panel, which are so many bytes apart.
    ahead: *const T,
    ahead_row: usize,
}

/// All columns, rows of A in `V` vectors. Only [`Product::along_columns`] makes them.
struct Outputs<T, const V: usize>(Column<T>);

impl<T: Element, const V: usize> Kernel<T> for Outputs<T, V> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let column = self.0;
        // Enough independent sums to hide the latency of the multiply-add.
        let mut j = 0;
        if const { V == 1 } {
            while j + 8 <= column.high {
                outputs::<L, 8, V>(column, j);
                j += 8;
            }
        } else {
            while j + 4 <= column.high {
                outputs::<L, 4, V>(column, j);
                j += 4;
            }
        }
        while j < column.high {
            outputs::<L, 1, V>(column, j);
            j += 1;
        }
    }
}

/// The sums of `R` columns from `j` on.
#[inline(always)]
fn outputs<L: Lanes, const R: usize, const V: usize>(column: Column<L::Elem>, j: usize) {
    let panel = panel_columns::<L::Elem>();
    let at = column.sums.wrapping_add(j * V * L::N);
    // SAFETY: there is room for these columns; the panel before stored them.
    let mut sums = unsafe { resumed::<L, R, V>(at, column.resumes) };
    for i in 0..R {
        prefetch(column.ahead.wrapping_byte_add((j + i) * column.ahead_row));
    }
    let b = column.b.wrapping_add(j * panel);
    for k in 0..column.deep {
        let mut row = [L::splat(L::Elem::ZERO); V];
        for (v, y) in row.iter_mut().enumerate() {
            // SAFETY: A has so many rows of `V` vectors.
            *y =
                L::load(unsafe { from_raw_parts(column.a.wrapping_add((k * V + v) * L::N), L::N) });
        }
        // SAFETY: the panel has these rows.
        unsafe { add_products(&mut sums, b.wrapping_add(k), panel, &row) };
    }
    // SAFETY: there is room for these columns.
    unsafe { kept(&sums, at) };
}
