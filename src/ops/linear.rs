//! The affine layer.

use crate::gemm::{Mat, MatMut, Write, gemm, gemm_row};
use crate::simd::rows::{self, By, First};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Rules, Tape, Var, Window};

/// `x w' + bias`: `[.., K] x [N, K] + [N] -> [.., N]`, the weight stored as in PyTorch's `Linear`.
///
/// # Panics
/// If the shapes do not match.
#[track_caller]
pub fn linear<T: Element>(tape: &mut Tape<T>, x: Var, w: Var, bias: Option<Var>) -> Var {
    record(tape, x, w, bias, Stored::OutIn)
}

/// `x w + bias`: `[.., K] x [K, N] + [N] -> [.., N]`, the weight stored as in GPT-2 and
/// TransformerLens.
///
/// # Panics
/// If the shapes do not match.
#[track_caller]
pub fn project<T: Element>(tape: &mut Tape<T>, x: Var, w: Var, bias: Option<Var>) -> Var {
    record(tape, x, w, bias, Stored::InOut)
}

#[track_caller]
fn record<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    w: Var,
    bias: Option<Var>,
    stored: Stored,
) -> Var {
    let (sx, sw) = (tape.shape(x).clone(), tape.shape(w).clone());
    let (n, k) = match (sw.dims(), stored) {
        (&[n, k], Stored::OutIn) | (&[k, n], Stored::InOut) => (n, k),
        _ => panic!("linear of {sx} with a weight of {sw}"),
    };
    assert!(sx.rank() >= 1 && sx.last() == k, "linear of {sx} with a weight of {sw}");
    let m = sx.rows();
    if let Some(bias) = bias {
        let sb = tape.shape(bias);
        assert!(sb.dims() == [n], "linear of {sx} with a weight of {sw} and a bias of {sb}");
    }
    let mut shape = sx.dims().to_vec();
    shape[sx.rank() - 1] = n;
    let inputs: &[Var] = &[x, w, bias.unwrap_or(w)];
    tape.push(Linear { m, n, k, stored }, &inputs[..2 + bias.is_some() as usize], &[], shape)
}

/// How a weight from `K` to `N` features is stored.
#[derive(Clone, Copy, PartialEq)]
enum Stored {
    /// `[N, K]`.
    OutIn,
    /// `[K, N]`.
    InOut,
}

struct Linear {
    m: usize,
    n: usize,
    k: usize,
    stored: Stored,
}

impl Linear {
    /// The weight as `[K, N]`, which `matrix` gives as it is stored.
    fn weight<'a, T>(&self, matrix: impl Fn(usize, usize, usize) -> Mat<'a, T>) -> Mat<'a, T> {
        match self.stored {
            Stored::OutIn => matrix(1, self.n, self.k).t(),
            Stored::InOut => matrix(1, self.k, self.n),
        }
    }
}

impl<T: Element> Op<T> for Linear {
    fn name(&self) -> &'static str {
        match self.stored {
            Stored::OutIn => "linear",
            Stored::InOut => "project",
        }
    }

    fn rereads(&self, i: usize, wanted: &[bool], _: Rules) -> bool {
        // Each factor for the gradient of the other.
        i < 2 && wanted[1 - i]
    }

    fn rereads_output(&self, _: Rules) -> bool {
        false
    }

    fn takes_windows(&self, i: usize) -> bool {
        i == 1
    }

    fn forward(&self, run: Forward<'_, T>) {
        let Linear { m, n, k, .. } = *self;
        let bias = run.has_input(2).then(|| run.input(2));
        let x = Mat::new(run.input(0), m, k);
        let w = self.weight(|i, rows, cols| run.matrix(i, rows, cols));
        affine(x, w, bias, MatMut::new(run.out, m, n));
    }

    fn backward(&self, run: Backward<'_, T>) {
        let Linear { m, n, k, .. } = *self;
        let dy = Mat::new(run.grad_out, m, n);
        let x = run.input(0);
        // Empty where it is not read again.
        let w = run.grads[0].is_some().then(|| self.weight(|i, n, k| run.matrix(i, n, k)));
        let [dx, dw, db, ..] = run.grads else { return };
        if let (Some(dx), Some(w)) = (dx, w) {
            let write = dx.write;
            gemm(T::ONE, dy, w.t(), write, MatMut::new(dx.slice(), m, k));
        }
        if let Some(dw) = dw {
            let write = dw.write;
            let x = Mat::new(x, m, k);
            // Its rows are columns of one factor, its columns those of the other.
            let (a, b, rows, columns) = match self.stored {
                Stored::OutIn => (dy, x, n, k),
                Stored::InOut => (x, dy, k, n),
            };
            for (Window { rows, columns }, numbers) in dw.windows(rows, columns) {
                let out = MatMut::new(numbers, rows.len(), columns.len());
                gemm(T::ONE, a.columns(rows).t(), b.columns(columns), write, out);
            }
        }
        if let Some(db) = db {
            sum_rows(run.grad_out, db.accumulator());
        }
    }
}

/// `y = x w + bias`: rows of `x` and `y` in row-major order.
pub(crate) fn affine<T: Element>(
    x: Mat<'_, T>,
    w: Mat<'_, T>,
    bias: Option<&[T]>,
    y: MatMut<'_, T>,
) {
    match bias {
        Some(bias) => gemm_row(T::ONE, x, w, bias, y),
        None => gemm(T::ONE, x, w, Write::Store, y),
    }
}

/// `total[j] += sum over rows of x[i][j]`: each sum in the order of the rows, divided over threads
/// by columns.
pub(crate) fn sum_rows<T: Element>(x: &[T], total: &mut [T]) {
    let width = total.len().max(1);
    let work = x.len() / width * COLUMNS;
    let parts = (First(0), By(total, COLUMNS));
    rows::run(width.div_ceil(COLUMNS), work, parts, |(First(first), By(total, _))| {
        T::vectorize(SumRows { x, width, from: first * COLUMNS, total });
    });
}

/// The fewest columns that a thread sums.
const COLUMNS: usize = 64;

struct SumRows<'a, T> {
    x: &'a [T],
    width: usize,
    /// The first column of `total`.
    from: usize,
    total: &'a mut [T],
}

impl<T: Element> Kernel<T> for SumRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { x, width, from, total } = self;
        for row in x.chunks_exact(width) {
            slice::update::<L>(
                total,
                &row[from..][..total.len()],
                #[inline(always)]
                |total, x| total + x,
            );
        }
    }
}
