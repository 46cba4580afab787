//! Lookup of rows of a table: embeddings.

use crate::simd::Element;
use crate::tape::{Backward, Forward, Ids, Op, Rules, Tape, Var};

/// `y[..] = table[ids[..]]`: `[V, D], ids [..] -> [.., D]`; a table of shape `[V]` gives `[..]`.
///
/// # Panics
/// If the table is a scalar, or the limit of `ids` exceeds V.
#[track_caller]
pub fn gather<T: Element>(tape: &mut Tape<T>, table: Var, ids: Ids) -> Var {
    let st = tape.shape(table).clone();
    let [rows, width @ ..] = st.dims() else { panic!("gather from a single number") };
    assert!(tape.ids_limit(ids) <= *rows, "gather of ids below {} from {st}", tape.ids_limit(ids));
    let mut shape = tape.ids_shape(ids).dims().to_vec();
    shape.extend(width);
    tape.push(Gather { rows: *rows, width: width.iter().product() }, &[table], &[ids], shape)
}

struct Gather {
    rows: usize,
    width: usize,
}

impl<T: Element> Op<T> for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn rereads(&self, _: usize, _: &[bool], _: Rules) -> bool {
        false
    }

    fn rereads_output(&self, _: Rules) -> bool {
        false
    }

    fn forward(&self, run: Forward<'_, T>) {
        let (ids, width) = (run.ids(0), self.width);
        if width == 1 {
            let table = run.input(0);
            for (y, &i) in run.out.iter_mut().zip(ids) {
                *y = table[i as usize];
            }
        } else {
            let (table, mut room) = (run.matrix(0, self.rows, width), vec![]);
            for (y, &i) in run.out.chunks_exact_mut(width.max(1)).zip(ids) {
                y.copy_from_slice(table.row(i as usize, &mut room));
            }
        }
    }

    fn backward(&self, run: Backward<'_, T>) {
        let (ids, width) = (run.ids(0), self.width);
        let [Some(d_table), ..] = run.grads else { return };
        let d_table = d_table.accumulator();
        if width == 1 {
            for (&dy, &i) in run.grad_out.iter().zip(ids) {
                d_table[i as usize] += dy;
            }
        } else {
            for (dy, &i) in run.grad_out.chunks_exact(width.max(1)).zip(ids) {
                for (d, &g) in d_table[i as usize * width..][..width].iter_mut().zip(dy) {
                    *d += g;
                }
            }
        }
    }
}
