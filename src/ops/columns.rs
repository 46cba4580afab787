//! A window of the last axis.

use crate::simd::Element;
use crate::tape::{Backward, Forward, Op, Rules, Tape, Var};
use std::ops::Range;

/// `y[.., j] = x[.., start + j]`: `[.., N] -> [.., end - start]`.
/// # Panics
/// If the range extends beyond the last axis.
/// If the range lies outside of the last axis.
#[track_caller]
pub fn columns<T: Element>(tape: &mut Tape<T>, x: Var, range: Range<usize>) -> Var {
    let from = tape.shape(x).clone();
    let fits = from.rank() > 0 && range.start <= range.end && range.end <= from.last();
    assert!(fits, "columns {range:?} of {from}");
    let mut shape = from.dims().to_vec();
    shape[from.rank() - 1] = range.len();
    tape.push(Columns { width: from.last(), range }, &[x], &[], shape)
}

struct Columns {
    width: usize,
    range: Range<usize>,
}

impl<T: Element> Op<T> for Columns {
    fn name(&self) -> &'static str {
        "columns"
    }

    fn rereads(&self, _: usize, _: &[bool], _: Rules) -> bool {
        false
    }

    fn rereads_output(&self, _: Rules) -> bool {
        false
    }

    fn forward(&self, run: Forward<'_, T>) {
        let rows = run.input(0).chunks_exact(self.width.max(1));
        for (y, x) in run.out.chunks_exact_mut(self.range.len().max(1)).zip(rows) {
            y.copy_from_slice(&x[self.range.clone()]);
        }
    }

    fn backward(&self, run: Backward<'_, T>) {
        let [Some(dx), ..] = run.grads else { return };
        let rows = dx.accumulator().chunks_exact_mut(self.width.max(1));
        for (dx, dy) in rows.zip(run.grad_out.chunks_exact(self.range.len().max(1))) {
            for (dx, &dy) in dx[self.range.clone()].iter_mut().zip(dy) {
                *dx += dy;
            }
        }
    }
}
