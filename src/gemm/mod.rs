//! Matrix products over strided slices: `C = alpha A B` or `C += alpha A B`.
//!
//! `A` is `[M, K]`, `B` is `[K, N]`, `C` is `[M, N]`; any of `A` and `B` may be transposed or a
//! window into something larger, by its strides, without a copy.
//!
//! The names are those of BLIS. The micro-kernel (`kernel.rs`) computes a tile of C of `MR` x `NR`
//! in registers, `NR = NV * N`: it broadcasts an element of A and multiplies a row of `NR` elements
//! of B, which is `NV` vectors. `MR` rows of A are a *strip*, `NR` columns of B are a *panel*. The
//! loops around it (`blocks.rs`) run over blocks of B of `KC` x `NC` and blocks of A of `MC` x
//! `KC`, each small enough for half of the second-level cache. A panel of B stays in the
//! first-level cache while all strips of A pass, and each tile prefetches a part of the next block.
//! Where a multiply-add takes a lane as its factor (`Lanes::LANES_AS_FACTORS`, on NEON), nothing is
//! broadcast: strips of A are packed column after column, and a column is loaded as vectors.
//!
//! These shapes leave that path:
//!
//! - B in panels of a cache line's width (`panels.rs`): read in the order of memory both ways; also
//!   of 16 bits an element, or of integers that share scales (`narrow.rs`, `scaled.rs`).
//! - C of a few strips and a large B (`stream.rs`): the loops follow B through memory.
//! - The same with B stored transposed (`few_rows.rs`): rows of A become lanes, B is not packed. If
//!   rows would leave too many lanes empty (`skinny.rs`), panels of B are packed.
//! - K of at most four (`shallow.rs`): no tiles, B stays in registers.
//! - Tiny products and matrices times a few columns (`small.rs`): the set-up would cost more.
//!
//! A or B is packed (`pack.rs`) only where reading it in place would be slower. Large products are
//! split over threads by rows or columns of C (`threads.rs`), never over K.
//!
//! **Each element of C is one sum in one order**: over K in blocks of `KC` products, one after the
//! other within a block and block after block. `KC` depends on the element type alone. So on one
//! instruction set, the bits of an element depend on its row of A, its column of B, alpha and
//! [`Write`], and not on threads, M, N or how A and B are stored: the product of some rows or
//! columns has the bits of the whole product. This holds for the shapes listed above as well. It
//! does *not* hold for `f32` and `f64` on a processor with none of AVX2, AVX-512 and NEON: there
//! `fallback.rs` hands large products to `matrixmultiply`, which has its own order.

mod blocks;
mod fallback;
mod few_rows;
mod kernel;
mod layout;
mod narrow;
mod pack;
mod panels;
mod scaled;
pub(crate) mod scratch;
mod shallow;
mod skinny;
mod small;
mod stream;
#[cfg(test)]
mod tests;
mod threads;

use crate::simd::{Element, Half};
use blocks::Product;
use narrow::Narrow;
use panels::column_at;
pub(crate) use panels::copy_to_panels;
pub use panels::{panel_columns, panels_len, to_narrow_panels, to_panels};
pub use scaled::Scaled;
pub(crate) use scaled::quant;
use std::marker::PhantomData;
use std::ops::Range;

/// A read-only `rows` x `cols` matrix: element (i, j) is `data[i * rs + j * cs]`, or stands in
/// [panels](Mat::panels).
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a, T> {
    data: Data<'a, T>,
    rows: usize,
    cols: usize,
    rs: usize,
    cs: usize,
    /// From panel to panel; 0 if there are none. In a panel the strides are those above.
    panel: usize,
}

/// The elements that a matrix is a view of.
#[derive(Clone, Copy, Debug)]
enum Data<'a, T> {
    Whole(&'a [T]),
    /// Only in panels.
    Narrow(Narrow<'a>),
}

impl<'a, T> Data<'a, T> {
    /// The elements from `first` on.
    #[inline]
    fn after(self, first: usize) -> Self {
        match self {
            Data::Whole(data) => Data::Whole(&data[first.min(data.len())..]),
            Data::Narrow(data) => Data::Narrow(data.after(first)),
        }
    }

    #[inline]
    fn get(self, i: usize) -> T
    where
        T: Element,
    {
        match self {
            Data::Whole(data) => data[i],
            Data::Narrow(data) => data.get(i),
        }
    }
}

impl<'a, T> Mat<'a, T> {
    /// A row-major `rows` x `cols` matrix over the first `rows * cols` elements of `data`.
    ///
    /// # Panics
    /// If `data` has fewer elements.
    #[track_caller]
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols, 1)
    }

    /// A `rows` x `cols` matrix whose element (i, j) is `data[i * rs + j * cs]`.
    ///
    /// # Panics
    /// If the last element lies outside `data`.
    #[track_caller]
    pub fn strided(data: &'a [T], rows: usize, cols: usize, rs: usize, cs: usize) -> Self {
        if !lies_within(data.len(), rows, cols, rs, cs) {
            no_such_matrix(data.len(), rows, cols, rs, cs);
        }
        Mat { data: Data::Whole(data), rows, cols, rs, cs, panel: 0 }
    }

    /// A `rows` x `cols` matrix in panels of [`panel_columns`] columns, one panel after the other,
    /// each row by row; [`to_panels`] copies one there. Weights that fit no cache are read at the
    /// speed of memory this way, and faster than in any other, for `x W` and for `dy W'` alike.
    ///
    /// ```
    /// use edgegrad::gemm::{Mat, MatMut, Write, gemm, panels_len, to_panels};
    /// let (x, w) = (vec![1.0f32; 2 * 3], vec![0.5; 3 * 20]);
    /// let mut panels = vec![0.0; panels_len::<f32>(3, 20)];
    /// to_panels(Mat::new(&w, 3, 20), &mut panels);
    /// let mut y = vec![0.0; 2 * 20];
    /// let (x, w) = (Mat::new(&x, 2, 3), Mat::panels(&panels, 3, 20));
    /// gemm(1.0, x, w, Write::Store, MatMut::new(&mut y, 2, 20));
    /// assert_eq!(y, [1.5; 2 * 20]);
    /// ```
    ///
    /// # Panics
    /// If `data` has fewer than [`panels_len`] elements.
    #[track_caller]
    pub fn panels(data: &'a [T], rows: usize, cols: usize) -> Self {
        Mat::in_panels(Data::Whole(data), data.len(), rows, cols)
    }

    /// A `rows` x `cols` matrix in [panels](Mat::panels) of elements of 16 bits, which
    /// [`to_narrow_panels`] copies there. Half the bytes are read; a product has the bits that it
    /// has with the same elements as `T`.
    ///
    /// # Panics
    /// If `bits` has fewer than [`panels_len`] elements.
    #[track_caller]
    pub fn narrow_panels(bits: &'a [u16], format: Half, rows: usize, cols: usize) -> Self {
        Mat::in_panels(Data::Narrow(Narrow::Halves { bits, format }), bits.len(), rows, cols)
    }

    /// A matrix of scaled integers in [panels](Mat::panels): a product has the bits that it has
    /// with the same elements as `T`.
    ///
    /// # Panics
    /// If its panels are those of other elements.
    #[track_caller]
    pub fn scaled(all: &'a Scaled) -> Self {
        let [rows, cols, width] = all.shape();
        assert_eq!(width, panel_columns::<T>(), "columns of a panel");
        let data = Data::Narrow(Narrow::Scaled { all, first: 0 });
        Mat::in_panels(data, panels_len::<T>(rows, cols), rows, cols)
    }

    #[track_caller]
    fn in_panels(data: Data<'a, T>, len: usize, rows: usize, cols: usize) -> Self {
        let enough = len >= panels_len::<T>(rows, cols);
        assert!(enough, "{rows} x {cols} in panels of {len} elements");
        let rs = panel_columns::<T>();
        Mat { data, rows, cols, rs, cs: 1, panel: (rows * rs).max(1) }
    }

    /// The transposed matrix, `cols` x `rows`; nothing is copied.
    #[must_use]
    pub fn t(self) -> Self {
        Mat { rows: self.cols, cols: self.rows, rs: self.cs, cs: self.rs, ..self }
    }

    /// The columns in a range: `rows` x `columns.len()`, over the same memory.
    ///
    /// # Panics
    /// If the range ends beyond the last column, or begins within a [panel](Mat::panels) and ends
    /// beyond it.
    #[must_use]
    #[track_caller]
    #[inline]
    pub fn columns(self, columns: Range<usize>) -> Self {
        assert!(columns.end <= self.cols, "columns {columns:?} of {}", self.cols);
        if self.panel == 0 || self.cs != 1 {
            let data = self.data.after(columns.start * self.cs);
            return Mat { data, cols: columns.len(), ..self };
        }
        self.columns_of_panels(columns)
    }

    /// Across panels, or a part of one, which is a matrix with strides.
    #[track_caller]
    fn columns_of_panels(self, columns: Range<usize>) -> Self {
        let width = panel_columns::<T>();
        let within = columns.start % width;
        let part = within + columns.len() <= width;
        assert!(part || within == 0, "columns {columns:?} begin within a panel");
        let data = self.data.after(column_at::<T>(self.panel, columns.start));
        let panel = match data {
            Data::Whole(_) if part => 0,
            _ => self.panel,
        };
        Mat { data, cols: columns.len(), panel, ..self }
    }

    /// The rows in a range: `rows.len()` x `cols`, over the same memory.
    ///
    /// # Panics
    /// As [`columns`](Self::columns).
    #[must_use]
    #[track_caller]
    pub fn rows(self, rows: Range<usize>) -> Self {
        self.t().columns(rows).t()
    }

    /// Element (i, j).
    ///
    /// # Panics
    /// If there is no such row or column.
    #[must_use]
    #[track_caller]
    pub fn get(&self, i: usize, j: usize) -> T
    where
        T: Element,
    {
        assert!(i < self.rows && j < self.cols, "({i}, {j}) of {} x {}", self.rows, self.cols);
        let width = panel_columns::<T>();
        self.data.get(match self.panel {
            0 => i * self.rs + j * self.cs,
            panel if self.cs == 1 => column_at::<T>(panel, j) + i * width,
            panel => column_at::<T>(panel, i) + j * width,
        })
    }

    /// Copies all elements into `to`, row by row.
    ///
    /// # Panics
    /// If it has another length.
    #[track_caller]
    pub fn copy_to(&self, to: &mut [T])
    where
        T: Element,
    {
        assert_eq!(to.len(), self.rows * self.cols, "elements");
        for (i, to) in to.chunks_exact_mut(self.cols.max(1)).enumerate() {
            self.copy_row(i, to);
        }
    }

    fn copy_row(&self, i: usize, to: &mut [T])
    where
        T: Element,
    {
        if self.panel > 0 && self.cs == 1 {
            let width = panel_columns::<T>();
            for (to, panel) in to.chunks_mut(width).zip((0..).step_by(self.panel)) {
                let at = panel + i * width;
                match self.data {
                    Data::Whole(data) => to.copy_from_slice(&data[at..][..to.len()]),
                    Data::Narrow(data) => data.widen(at, to),
                }
            }
            return;
        }
        match self.data {
            Data::Whole(data) if self.cs == 1 => {
                to.copy_from_slice(&data[i * self.rs..][..to.len()]);
            }
            _ => to.iter_mut().enumerate().for_each(|(j, to)| *to = self.get(i, j)),
        }
    }

    /// Row `i`: where it stands, or copied into `room` if it is in panels or its elements are not
    /// side by side.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    #[track_caller]
    pub(crate) fn row<'b>(&self, i: usize, room: &'b mut Vec<T>) -> &'b [T]
    where
        'a: 'b,
        T: Element,
    {
        match self.data {
            Data::Whole(data) if self.panel == 0 && self.cs == 1 => {
                &data[i * self.rs..][..self.cols]
            }
            _ => {
                assert!(i < self.rows, "row {i} of {}", self.rows);
                room.resize(self.cols, T::ZERO);
                self.copy_row(i, room);
                room
            }
        }
    }
}

/// A writable `rows` x `cols` matrix: element (i, j) is `data[i * rs + j]`.
///
/// The elements between the end of a row and the start of the next belong to others, so threads can
/// share a matrix by columns. Two slices cannot express that, so this is a pointer with strides;
/// all code that relies on it is in this file.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    at: *mut T,
    rows: usize,
    cols: usize,
    rs: usize,
    elements: PhantomData<&'a mut T>,
}

// SAFETY: no other reference reaches its elements, as with a `&mut` to each of them.
unsafe impl<T: Send> Send for MatMut<'_, T> {}

impl<'a, T> MatMut<'a, T> {
    /// A row-major `rows` x `cols` matrix over the first `rows * cols` elements of `data`.
    ///
    /// # Panics
    /// If `data` has fewer elements.
    #[track_caller]
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A `rows` x `cols` matrix whose element (i, j) is `data[i * rs + j]`; `rs` is at least
    /// `cols`.
    ///
    /// # Panics
    /// If rows would overlap or the last element lies outside `data`.
    #[track_caller]
    pub fn strided(data: &'a mut [T], rows: usize, cols: usize, rs: usize) -> Self {
        let apart = rs >= cols || rows == 0;
        if !apart || !lies_within(data.len(), rows, cols, rs, 1) {
            no_such_matrix(data.len(), rows, cols, rs, 1);
        }
        MatMut { at: data.as_mut_ptr(), rows, cols, rs, elements: PhantomData }
    }

    /// The first `cols` columns and the remaining ones.
    ///
    /// # Panics
    /// If the matrix has fewer than `cols` columns.
    #[must_use]
    #[track_caller]
    pub fn split_cols(self, cols: usize) -> (Self, Self) {
        assert!(cols <= self.cols, "{cols} of {} columns", self.cols);
        let rest = MatMut { at: self.at.wrapping_add(cols), cols: self.cols - cols, ..self };
        (MatMut { cols, ..self }, rest)
    }

    /// The window of `rows` x `cols` elements that starts at (i, j).
    ///
    /// # Panics
    /// If it extends beyond the matrix.
    #[must_use]
    #[track_caller]
    pub fn window(
        &mut self,
        (i, rows): (usize, usize),
        (j, cols): (usize, usize),
    ) -> MatMut<'_, T> {
        let inside = i + rows <= self.rows && j + cols <= self.cols;
        assert!(inside, "{rows} x {cols} from ({i}, {j}) of {} x {}", self.rows, self.cols);
        let at = self.at.wrapping_add(i * self.rs + j);
        MatMut { at, rows, cols, rs: self.rs, elements: PhantomData }
    }
}

/// Whether all elements of a matrix with these strides lie within `len`; the kernels rely on it.
#[inline]
fn lies_within(len: usize, rows: usize, cols: usize, rs: usize, cs: usize) -> bool {
    let last = || (rows - 1).checked_mul(rs)?.checked_add((cols - 1).checked_mul(cs)?);
    rows == 0 || cols == 0 || last().is_some_and(|at| at < len)
}

/// The checks of shapes panic in functions of their own. A message formatted where the check stands
/// keeps the shapes it names in memory, written in halves and read as a whole, and store forwarding
/// fails for such a read: a product of 12 x 12 x 2 spent five of its nineteen nanoseconds on that.
#[cold]
#[track_caller]
fn no_such_matrix(len: usize, rows: usize, cols: usize, rs: usize, cs: usize) -> ! {
    panic!("a {rows} x {cols} matrix with strides {rs}, {cs} in {len} elements")
}

#[cold]
#[track_caller]
fn no_such_product(a: [usize; 2], b: [usize; 2], c: [usize; 2]) -> ! {
    panic!("product of {a:?} and {b:?} into {c:?}")
}

/// Whether a product replaces C or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Replace C; its old values, even NaN, do not matter.
    Store,
    /// Add to C.
    Add,
}

/// `C = alpha A B` or `C += alpha A B`, as `write` says: A `[M, K]`, B `[K, N]`, C `[M, N]`.
///
/// The order of each sum depends on K alone. So the bits do not depend on the number of threads,
/// and the product of some rows or columns has the bits of the whole product (the module's
/// documentation names the one exception).
///
/// # Panics
/// If the shapes do not match, or A is in [panels](Mat::panels).
#[track_caller]
#[inline]
pub fn gemm<T: Element>(alpha: T, a: Mat<'_, T>, b: Mat<'_, T>, write: Write, c: MatMut<'_, T>) {
    gemm_on(crate::simd::backend(), alpha, a, b, write.into(), c);
}

/// `C = row + alpha A B`: A `[M, K]`, B `[K, N]`, C `[M, N]`, and `row` `[N]` is added to each row.
///
/// The result has the bits of a [`gemm`] with [`Write::Add`] to a C whose rows are all `row`,
/// without the pass that fills it.
///
/// # Panics
/// If the shapes do not match or `row` has fewer than N elements.
#[track_caller]
pub fn gemm_row<T: Element>(alpha: T, a: Mat<'_, T>, b: Mat<'_, T>, row: &[T], c: MatMut<'_, T>) {
    gemm_on(crate::simd::backend(), alpha, a, b, Summand::Row(row), c);
}

/// What is added to the product.
#[derive(Clone, Copy, Debug)]
enum Summand<'a, T> {
    Nothing,
    /// The old values of C.
    C,
    /// One row, added to every row of C.
    Row(&'a [T]),
}

impl<T> From<Write> for Summand<'_, T> {
    fn from(write: Write) -> Self {
        match write {
            Write::Store => Summand::Nothing,
            Write::Add => Summand::C,
        }
    }
}

/// `C = old + alpha A B` on a given backend. Inlined, so that the operands' descriptions need not
/// go through memory: a read of what was just written in halves has to wait for the store.
#[track_caller]
#[inline(always)]
fn gemm_on<T: Element>(
    backend: crate::simd::Backend,
    alpha: T,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    old: Summand<'_, T>,
    c: MatMut<'_, T>,
) {
    if a.cols != b.rows || c.rows != a.rows || c.cols != b.cols {
        no_such_product([a.rows, a.cols], [b.rows, b.cols], [c.rows, c.cols]);
    }
    if c.rows > 0 && c.cols > 0 {
        threads::run(backend, &Product::new(alpha, a, b, old, c));
    }
}
