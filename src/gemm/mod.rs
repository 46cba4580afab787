//! Matrix products over strided slices: `C = alpha A B` or `C += alpha A B`.
//!
//! `A` is `[M, K]`, `B` is `[K, N]`, `C` is `[M, N]`; any of `A` and `B` may be transposed or a
//! window into something larger, by its strides, without a copy.
//!
//! The names are those of BLIS. C is computed in tiles of `MR` x `NR` that stay in registers
//! (`kernel.rs`), with `NR = NV * N`: a number of A is broadcast, a row of B's panel is `NV`
//! vectors. Around it (`blocks.rs`) run loops over blocks of `KC` x `NC` of B and `MC` x `KC` of A,
//! each small enough for half the second-level cache; one panel of B after the other stays near while
//! all strips of A pass, and tiles ask for the block that comes next. Where C has only a few strips
//! and B is large (`skinny.rs`), the loops follow B through memory instead. Either is copied
//! (`pack.rs`) only where reading it in place would be slower; if B is stored transposed, the few rows
//! become lanes and it is not copied at all (`few_rows.rs`). Sums of a few numbers need no tiles
//! (`shallow.rs`). Large products are split over threads by rows or columns of C (`threads.rs`), never
//! over K.
//!
//! **Each number of C is one sum in one order**: blocks of `KC` numbers of K, which depends on the
//! element type alone, one after the other in a block and block after block. So on one machine its
//! bits depend on its row of A, its column of B, alpha and [`Write`], and not on threads, M, N or
//! how A and B are stored: a product of some rows or columns has the bits of the whole. This holds
//! for the products too small for tiles (`small.rs`) as well. It does *not* hold for `f32` and
//! `f64` on a processor without a machine of its own: there `fallback.rs` takes the large products,
//! whose order is that of another crate.

mod blocks;
mod fallback;
mod few_rows;
mod kernel;
mod pack;
pub(crate) mod scratch;
mod shallow;
mod skinny;
mod small;
#[cfg(test)]
mod tests;
mod threads;

use crate::simd::Element;
use blocks::Product;
use std::marker::PhantomData;
use std::ops::Range;

/// A read-only matrix of `rows` x `cols` numbers, `data[i * rs + j * cs]`.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    rs: usize,
    cs: usize,
}

impl<'a, T> Mat<'a, T> {
    /// A row-major matrix of `rows` x `cols` that fills the front of `data`.
    ///
    /// # Panics
    /// If `data` is too short.
    #[track_caller]
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols, 1)
    }

    /// Element (i, j) is `data[i * rs + j * cs]`.
    ///
    /// # Panics
    /// If the last element lies outside `data`.
    #[track_caller]
    pub fn strided(data: &'a [T], rows: usize, cols: usize, rs: usize, cs: usize) -> Self {
        if !lies_within(data.len(), rows, cols, rs, cs) {
            no_such_matrix(data.len(), rows, cols, rs, cs);
        }
        Mat { data, rows, cols, rs, cs }
    }

    /// The transposed matrix; nothing moves.
    #[must_use]
    pub fn t(self) -> Self {
        Mat { data: self.data, rows: self.cols, cols: self.rows, rs: self.cs, cs: self.rs }
    }

    /// Some of its columns.
    ///
    /// # Panics
    /// If it has not so many.
    #[must_use]
    #[track_caller]
    pub fn columns(self, columns: Range<usize>) -> Self {
        assert!(columns.end <= self.cols, "columns {columns:?} of {}", self.cols);
        let first = (columns.start * self.cs).min(self.data.len());
        Mat { data: &self.data[first..], cols: columns.len(), ..self }
    }
}

/// A writable matrix of `rows` x `cols` numbers, `data[i * rs + j]`.
///
/// What lies between its rows belongs to others, so that columns can be shared out.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    at: *mut T,
    rows: usize,
    cols: usize,
    rs: usize,
    numbers: PhantomData<&'a mut T>,
}

// SAFETY: it is the only one that reaches its numbers, as a `&mut` to each of them.
unsafe impl<T: Send> Send for MatMut<'_, T> {}

impl<'a, T> MatMut<'a, T> {
    /// A row-major matrix of `rows` x `cols` that fills the front of `data`.
    ///
    /// # Panics
    /// If `data` is too short.
    #[track_caller]
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Element (i, j) is `data[i * rs + j]`; `rs` is at least `cols`.
    ///
    /// # Panics
    /// If rows would overlap or the last element lies outside `data`.
    #[track_caller]
    pub fn strided(data: &'a mut [T], rows: usize, cols: usize, rs: usize) -> Self {
        let apart = rs >= cols || rows == 0;
        if !apart || !lies_within(data.len(), rows, cols, rs, 1) {
            no_such_matrix(data.len(), rows, cols, rs, 1);
        }
        MatMut { at: data.as_mut_ptr(), rows, cols, rs, numbers: PhantomData }
    }

    /// The first `cols` columns and the others.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    #[track_caller]
    pub fn split_cols(self, cols: usize) -> (Self, Self) {
        assert!(cols <= self.cols, "{cols} of {} columns", self.cols);
        let rest = MatMut { at: self.at.wrapping_add(cols), cols: self.cols - cols, ..self };
        (MatMut { cols, ..self }, rest)
    }

    /// `rows` x `cols` numbers from (i, j) on.
    ///
    /// # Panics
    /// If they lie outside.
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
        MatMut { at, rows, cols, rs: self.rs, numbers: PhantomData }
    }
}

/// Whether a matrix with these strides has no element beyond `len` numbers; the kernels rely on it.
#[inline]
fn lies_within(len: usize, rows: usize, cols: usize, rs: usize, cs: usize) -> bool {
    let last = || (rows - 1).checked_mul(rs)?.checked_add((cols - 1).checked_mul(cs)?);
    rows == 0 || cols == 0 || last().is_some_and(|at| at < len)
}

/// A function, as are those below: a message where the check is would keep what it names in memory,
/// and the product would wait for it.
#[cold]
#[track_caller]
fn no_such_matrix(len: usize, rows: usize, cols: usize, rs: usize, cs: usize) -> ! {
    panic!("a {rows} x {cols} matrix with strides {rs}, {cs} in {len} numbers")
}

#[cold]
#[track_caller]
fn no_such_product(a: [usize; 2], b: [usize; 2], c: [usize; 2]) -> ! {
    panic!("product of {a:?} and {b:?} into {c:?}")
}

/// Whether a result replaces what was there or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Replace; what was there, even NaN, does not matter.
    Store,
    /// Add.
    Add,
}

/// `C = alpha A B` or `C += alpha A B`, as `write` says.
///
/// The sum over K runs in an order that depends on K alone, so the result has the same bits whatever
/// the number of threads, and a product of some rows or columns has the bits of the whole (the
/// module's documentation names the one exception).
///
/// # Panics
/// If the shapes do not fit together.
#[track_caller]
#[inline]
pub fn gemm<T: Element>(alpha: T, a: Mat<'_, T>, b: Mat<'_, T>, write: Write, c: MatMut<'_, T>) {
    gemm_on(crate::simd::machine(), alpha, a, b, write.into(), c);
}

/// `C = row + alpha A B`: `row` is added to each row, in the pass that writes C.
///
/// The result has the bits of a [`gemm`] that adds to a C whose rows are all `row`.
///
/// # Panics
/// If the shapes do not fit together or `row` is shorter than a row of C.
#[track_caller]
pub fn gemm_row<T: Element>(alpha: T, a: Mat<'_, T>, b: Mat<'_, T>, row: &[T], c: MatMut<'_, T>) {
    gemm_on(crate::simd::machine(), alpha, a, b, Summand::Row(row), c);
}

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
enum Summand<'a, T> {
    Nothing,
    /// What was in C.
    C,
    /// One row for all of C.
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

/// `C = old + alpha A B` on a given machine. Part of its caller, so that what it is told need not go
/// through memory: what was written there in halves cannot be read as a whole for a while.
#[track_caller]
#[inline]
fn gemm_on<T: Element>(
    machine: crate::simd::Machine,
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
        threads::run(machine, &Product::new(alpha, a, b, old, c));
    }
}
