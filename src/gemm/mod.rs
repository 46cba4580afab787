//! Matrix products over strided slices: `C = alpha A B` or `C += alpha A B`.
//!
//! `A` is `[M, K]`, `B` is `[K, N]`, `C` is `[M, N]`; any of `A` and `B` may be transposed or a
//! window into something larger, by its strides, without a copy.

use crate::simd::{Element, Kernel, Lanes};

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
        assert!(
            rows == 0 || cols == 0 || (rows - 1) * rs + (cols - 1) * cs < data.len(),
            "a {rows} x {cols} matrix with strides {rs}, {cs} in {} numbers",
            data.len()
        );
        Mat { data, rows, cols, rs, cs }
    }

    /// The transposed matrix; nothing moves.
    #[must_use]
    pub fn t(self) -> Self {
        Mat { data: self.data, rows: self.cols, cols: self.rows, rs: self.cs, cs: self.rs }
    }
}

/// A writable matrix of `rows` x `cols` numbers, `data[i * rs + j]`.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    rs: usize,
}

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
        assert!(
            rows == 0 || cols == 0 || (rs >= cols && (rows - 1) * rs + cols <= data.len()),
            "a {rows} x {cols} matrix with row stride {rs} in {} numbers",
            data.len()
        );
        MatMut { data, rows, cols, rs }
    }
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
/// The sum over K runs in an order that depends on the shapes alone, so the result has the same
/// bits whatever the number of threads.
///
/// # Panics
/// If the shapes do not fit together.
#[track_caller]
pub fn gemm<T: Element>(alpha: T, a: Mat<'_, T>, b: Mat<'_, T>, write: Write, c: MatMut<'_, T>) {
    assert!(
        a.cols == b.rows && c.rows == a.rows && c.cols == b.cols,
        "product of [{}, {}] and [{}, {}] into [{}, {}]",
        a.rows,
        a.cols,
        b.rows,
        b.cols,
        c.rows,
        c.cols
    );
    T::vectorize(Gemm { alpha, a, b, write, c });
}

struct Gemm<'a, T> {
    alpha: T,
    a: Mat<'a, T>,
    b: Mat<'a, T>,
    write: Write,
    c: MatMut<'a, T>,
}

impl<T: Element> Kernel<T> for Gemm<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Gemm { alpha, a, b, write, c } = self;
        for i in 0..a.rows {
            for j in 0..b.cols {
                let mut sum = T::ZERO;
                for k in 0..a.cols {
                    sum = a.data[i * a.rs + k * a.cs].mul_add(b.data[k * b.rs + j * b.cs], sum);
                }
                let out = &mut c.data[i * c.rs + j];
                *out = if write == Write::Store { alpha * sum } else { *out + alpha * sum };
            }
        }
    }
}
