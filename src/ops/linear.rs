//! The affine layer.

use crate::gemm::{Mat, MatMut, Write, gemm};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// `x w' + bias`: `[.., K] x [N, K] + [N] -> [.., N]`, the weight stored as PyTorch's `Linear` does.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn linear<T: Element>(tape: &mut Tape<T>, x: Var, w: Var, bias: Option<Var>) -> Var {
    let (sx, sw) = (tape.shape(x).clone(), tape.shape(w).clone());
    assert!(
        sw.rank() == 2 && sx.rank() >= 1 && sx.last() == sw.last(),
        "linear of {sx} with a weight of {sw}"
    );
    let (m, n, k) = (sx.rows(), sw.rows(), sw.last());
    if let Some(bias) = bias {
        let sb = tape.shape(bias);
        assert!(sb.dims() == [n], "linear of {sx} with a weight of {sw} and a bias of {sb}");
    }
    let mut shape = sx.dims().to_vec();
    shape[sx.rank() - 1] = n;
    let inputs: &[Var] = &[x, w, bias.unwrap_or(w)];
    tape.push(Linear { m, n, k }, &inputs[..2 + bias.is_some() as usize], &[], shape)
}

struct Linear {
    m: usize,
    n: usize,
    k: usize,
}

impl<T: Element> Op<T> for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn forward(&self, run: Forward<'_, T>) {
        let Linear { m, n, k } = *self;
        let x = Mat::new(run.input(0), m, k);
        let w = Mat::new(run.input(1), n, k);
        let write = if run.has_input(2) {
            // The bias is there before the product is added: no second pass over the output.
            let bias = run.input(2);
            run.out.chunks_exact_mut(n.max(1)).for_each(|row| row.copy_from_slice(bias));
            Write::Add
        } else {
            Write::Store
        };
        gemm(T::ONE, x, w.t(), write, MatMut::new(run.out, m, n));
    }

    fn backward(&self, run: Backward<'_, T>) {
        let Linear { m, n, k } = *self;
        let dy = Mat::new(run.grad_out, m, n);
        let x = Mat::new(run.input(0), m, k);
        let w = Mat::new(run.input(1), n, k);
        let [dx, dw, db, _] = run.grads;
        if let Some(dx) = dx {
            let write = dx.write;
            gemm(T::ONE, dy, w, write, MatMut::new(dx.slice(), m, k));
        }
        if let Some(dw) = dw {
            let write = dw.write;
            gemm(T::ONE, dy.t(), x, write, MatMut::new(dw.slice(), n, k));
        }
        if let Some(db) = db {
            T::vectorize(SumRows { x: run.grad_out, total: db.accumulator() });
        }
    }
}

/// `total[j] += sum over rows of x[i][j]`.
struct SumRows<'a, T> {
    x: &'a [T],
    total: &'a mut [T],
}

impl<T: Element> Kernel<T> for SumRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        for row in self.x.chunks_exact(self.total.len().max(1)) {
            slice::update::<L>(
                self.total,
                row,
                #[inline(always)]
                |total, x| total + x,
            );
        }
    }
}
