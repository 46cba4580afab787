//! Matrix products, single and batched.

use crate::gemm::{Mat, MatMut, Write, gemm};
use crate::simd::Element;
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// How [`matmul`] reads its operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatMul {
    /// Multiply by the transpose of the last two axes of `a`.
    pub transpose_a: bool,
    /// Multiply by the transpose of the last two axes of `b`.
    pub transpose_b: bool,
    /// A factor on the product.
    pub scale: f64,
}

impl Default for MatMul {
    fn default() -> Self {
        MatMul { transpose_a: false, transpose_b: false, scale: 1.0 }
    }
}

/// `scale * a b`: `[.., M, K] x [.., K, N] -> [.., M, N]`, or `[.., M, K] x [K, N] -> [.., M, N]`
/// with one `b` for the whole batch. `options` can transpose either.
///
/// # Panics
/// If the shapes do not match.
#[track_caller]
pub fn matmul<T: Element>(tape: &mut Tape<T>, a: Var, b: Var, options: MatMul) -> Var {
    let (sa, sb) = (tape.shape(a).clone(), tape.shape(b).clone());
    let misfit = || -> ! { panic!("matmul of {sa} and {sb} with {options:?}") };
    if sa.rank() < 2 || sb.rank() < 2 {
        misfit();
    }
    let (batch_a, in_a) = sa.dims().split_at(sa.rank() - 2);
    let (batch_b, in_b) = sb.dims().split_at(sb.rank() - 2);
    let (mut m, k) = if options.transpose_a { (in_a[1], in_a[0]) } else { (in_a[0], in_a[1]) };
    let (kb, n) = if options.transpose_b { (in_b[1], in_b[0]) } else { (in_b[0], in_b[1]) };
    if k != kb || (batch_a != batch_b && !batch_b.is_empty()) {
        misfit();
    }
    let mut shape = batch_a.to_vec();
    shape.extend([m, n]);
    let mut batch = batch_a.iter().product();
    if batch_b.is_empty() && !options.transpose_a {
        // With one `b`, the batch only adds rows.
        m *= batch;
        batch = 1;
    }
    let shared = batch_b.is_empty();
    tape.push(Product { options, batch, m, k, n, shared }, &[a, b], &[], shape)
}

struct Product {
    options: MatMul,
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
    /// Whether the whole batch shares one `b`.
    shared: bool,
}

impl Product {
    fn a<'a, T>(&self, data: &'a [T], i: usize) -> Mat<'a, T> {
        let data = &data[i * self.m * self.k..][..self.m * self.k];
        if self.options.transpose_a {
            Mat::new(data, self.k, self.m).t()
        } else {
            Mat::new(data, self.m, self.k)
        }
    }

    /// All of B, one below the other: rows and columns.
    fn all_b(&self) -> (usize, usize) {
        let count = if self.shared { 1 } else { self.batch };
        let (rows, cols) =
            if self.options.transpose_b { (self.n, self.k) } else { (self.k, self.n) };
        (count * rows, cols)
    }

    fn b<'a, T>(&self, all: Mat<'a, T>, i: usize) -> Mat<'a, T> {
        let i = if self.shared { 0 } else { i };
        if self.options.transpose_b {
            all.rows(i * self.n..(i + 1) * self.n).t()
        } else {
            all.rows(i * self.k..(i + 1) * self.k)
        }
    }
}

impl<T: Element> Op<T> for Product {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn forward(&self, run: Forward<'_, T>) {
        let (rows, cols) = self.all_b();
        let (a, b) = (run.input(0), run.matrix(1, rows, cols));
        let scale = T::from_f64(self.options.scale);
        for (i, c) in run.out.chunks_exact_mut((self.m * self.n).max(1)).enumerate() {
            let c = MatMut::new(c, self.m, self.n);
            gemm(scale, self.a(a, i), self.b(b, i), Write::Store, c);
        }
    }

    /// `dA = dC B'`, `dB = A' dC`, each transposed where its operand is.
    fn backward(&self, run: Backward<'_, T>) {
        let Product { options, batch, m, k, n, shared } = *self;
        let (rows, cols) = self.all_b();
        // As a first factor it stands in no panels.
        let b = match options.transpose_a {
            true => Mat::new(run.input(1), rows, cols),
            false => run.matrix(1, rows, cols),
        };
        let (a, scale) = (run.input(0), T::from_f64(options.scale));
        let dc = |i: usize| Mat::new(&run.grad_out[i * m * n..][..m * n], m, n);
        let [da, db, ..] = run.grads else { return };
        if let Some(da) = da {
            let write = da.write;
            for (i, da) in da.slice().chunks_exact_mut((m * k).max(1)).enumerate() {
                let b = self.b(b, i).t();
                if options.transpose_a {
                    gemm(scale, b.t(), dc(i).t(), write, MatMut::new(da, k, m));
                } else {
                    gemm(scale, dc(i), b, write, MatMut::new(da, m, k));
                }
            }
        }
        if let Some(db) = db {
            if batch == 0 {
                // The gradient of an empty sum must still be written.
                db.accumulator();
            }
            let mut write = db.write;
            for i in 0..batch {
                let at = if shared { 0 } else { i * k * n };
                let db = &mut db.slice()[at..at + k * n];
                let a = self.a(a, i).t();
                if options.transpose_b {
                    gemm(scale, dc(i).t(), a.t(), write, MatMut::new(db, n, k));
                } else {
                    gemm(scale, a, dc(i), write, MatMut::new(db, k, n));
                }
                if shared {
                    write = Write::Add;
                }
            }
        }
    }
}
