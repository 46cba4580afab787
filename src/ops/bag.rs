//! Weighted sums of rows of a table: attention whose values are table rows.

use crate::simd::rows::{self, By};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Ids, Op, Tape, Var};

/// `y[b] = sum over t of weights[b, t] table[ids[b, t]]`: `[R, D], [B, T], ids [B, T] -> [B, D]`.
///
/// It equals a [`gather`](super::gather) of `[B, T, D]` and a batched product with the weights,
/// without storing the gathered rows.
///
/// # Panics
/// If the shapes do not match, or the limit of `ids` exceeds R.
#[track_caller]
pub fn bag<T: Element>(tape: &mut Tape<T>, table: Var, weights: Var, ids: Ids) -> Var {
    let (st, sw, si) = (tape.shape(table), tape.shape(weights), tape.ids_shape(ids));
    let limit = tape.ids_limit(ids);
    assert!(
        st.rank() == 2 && sw.rank() == 2 && sw == si && limit <= st.rows(),
        "bag of rows of {st} with weights {sw} and ids {si} below {limit}"
    );
    let (batch, len, width) = (sw.rows(), sw.last(), st.last());
    tape.push(Bag { len, width }, &[table, weights], &[ids], [batch, width])
}

struct Bag {
    len: usize,
    width: usize,
}

impl<T: Element> Op<T> for Bag {
    fn name(&self) -> &'static str {
        "bag"
    }

    fn forward(&self, run: Forward<'_, T>) {
        if self.len == 0 || self.width == 0 {
            return run.out.fill(T::ZERO);
        }
        let (table, weights, ids) = (run.input(0), run.input(1), run.ids(0));
        let parts = (By(weights, self.len), By(ids, self.len), By(run.out, self.width));
        let examples = weights.len() / self.len;
        rows::run(
            examples,
            self.work(),
            parts,
            |(By(weights, _), By(ids, _), By(y, _))| match self.width {
                2 => narrow_forward::<T, 2>(self.len, table, weights, ids, y),
                _ => T::vectorize(BagForward { bag: self, table, weights, ids, y }),
            },
        );
    }

    /// `d weights[b, t] = <dy[b], table[ids[b, t]]>`, `d table[ids[b, t]] += weights[b, t] dy[b]`.
    fn backward(&self, run: Backward<'_, T>) {
        if self.len == 0 || self.width == 0 {
            for grad in run.grads.iter_mut().flatten() {
                grad.accumulator();
            }
            return;
        }
        let (table, weights, ids) = (run.input(0), run.input(1), run.ids(0));
        let dy = run.grad_out;
        let [d_table, d_weights, ..] = run.grads else { return };
        if let Some(d_weights) = d_weights {
            let d_weights = By(d_weights.accumulator(), self.len);
            let parts = (By(ids, self.len), By(dy, self.width), d_weights);
            rows::run(dy.len() / self.width, self.work(), parts, |(By(ids, _), By(dy, _), d)| {
                match self.width {
                    2 => narrow_weights::<T, 2>(self.len, table, ids, dy, d.0),
                    _ => T::vectorize(WeightsKernel { bag: self, table, ids, dy, d_weights: d.0 }),
                }
            });
        }
        if let Some(d_table) = d_table {
            let d_table = d_table.accumulator();
            match self.width {
                2 => narrow_table::<T, 2>(self.len, weights, ids, dy, d_table),
                _ => T::vectorize(TableKernel { bag: self, weights, ids, dy, d_table }),
            }
        }
    }
}

impl Bag {
    /// The work of an example, in additions; looking up a row costs as much as two vectors.
    fn work(&self) -> usize {
        self.len * (self.width + 32)
    }

    fn row<'a, T>(&self, table: &'a [T], id: u32) -> &'a [T] {
        &table[id as usize * self.width..][..self.width]
    }
}

/// Vectors of a row that are summed together.
const COLUMNS: usize = 2;

struct BagForward<'a, T> {
    bag: &'a Bag,
    table: &'a [T],
    weights: &'a [T],
    ids: &'a [u32],
    y: &'a mut [T],
}

impl<T: Element> Kernel<T> for BagForward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { bag, table, weights, ids, y } = self;
        let examples = weights.chunks_exact(bag.len).zip(ids.chunks_exact(bag.len));
        for (y, (weights, ids)) in y.chunks_exact_mut(bag.width).zip(examples) {
            // A few columns at a time, so that their sums stay in registers; full groups take a
            // third of the time.
            for (i, y) in y.chunks_mut(COLUMNS * L::N).enumerate() {
                let from = i * COLUMNS * L::N;
                let whole = y.len() == COLUMNS * L::N;
                let mut sums = [L::splat(T::ZERO); COLUMNS];
                for (&w, &id) in weights.iter().zip(ids) {
                    let row = &bag.row(table, id)[from..from + y.len()];
                    let w = L::splat(w);
                    if whole {
                        for (v, sum) in sums.iter_mut().enumerate() {
                            *sum = w.mul_add(L::load(&row[v * L::N..]), *sum);
                        }
                    } else {
                        for (sum, row) in sums.iter_mut().zip(row.chunks(L::N)) {
                            *sum = w.mul_add(slice::load(row), *sum);
                        }
                    }
                }
                for (sum, y) in sums.iter().zip(y.chunks_mut(L::N)) {
                    slice::store(*sum, y);
                }
            }
        }
    }
}

struct TableKernel<'a, T> {
    bag: &'a Bag,
    weights: &'a [T],
    ids: &'a [u32],
    dy: &'a [T],
    d_table: &'a mut [T],
}

impl<T: Element> Kernel<T> for TableKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { bag, weights, ids, dy, d_table } = self;
        let examples = weights.chunks_exact(bag.len).zip(ids.chunks_exact(bag.len));
        for (dy, (weights, ids)) in dy.chunks_exact(bag.width).zip(examples) {
            for (&w, &id) in weights.iter().zip(ids) {
                let row = &mut d_table[id as usize * bag.width..][..bag.width];
                let w = L::splat(w);
                slice::update::<L>(
                    row,
                    dy,
                    #[inline(always)]
                    |row, dy| w.mul_add(dy, row),
                );
            }
        }
    }
}

struct WeightsKernel<'a, T> {
    bag: &'a Bag,
    table: &'a [T],
    ids: &'a [u32],
    dy: &'a [T],
    d_weights: &'a mut [T],
}

impl<T: Element> Kernel<T> for WeightsKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { bag, table, ids, dy, d_weights } = self;
        let examples = d_weights.chunks_exact_mut(bag.len).zip(ids.chunks_exact(bag.len));
        for (dy, (d_weights, ids)) in dy.chunks_exact(bag.width).zip(examples) {
            for (d, &id) in d_weights.iter_mut().zip(ids) {
                *d += slice::dot::<L>(bag.row(table, id), dy);
            }
        }
    }
}

// In the plane (D = 2, the authors' default) a vector would be nearly empty: rows are arrays.

fn narrow_forward<T: Element, const D: usize>(
    len: usize,
    table: &[T],
    weights: &[T],
    ids: &[u32],
    y: &mut [T],
) {
    let table = table.as_chunks::<D>().0;
    let examples = weights.chunks_exact(len).zip(ids.chunks_exact(len));
    for (y, (weights, ids)) in y.as_chunks_mut::<D>().0.iter_mut().zip(examples) {
        let mut sum = [T::ZERO; D];
        for (&w, &id) in weights.iter().zip(ids) {
            let row = &table[id as usize];
            for j in 0..D {
                sum[j] = w.mul_add(row[j], sum[j]);
            }
        }
        *y = sum;
    }
}

fn narrow_table<T: Element, const D: usize>(
    len: usize,
    weights: &[T],
    ids: &[u32],
    dy: &[T],
    d_table: &mut [T],
) {
    let d_table = d_table.as_chunks_mut::<D>().0;
    let examples = weights.chunks_exact(len).zip(ids.chunks_exact(len));
    for (dy, (weights, ids)) in dy.as_chunks::<D>().0.iter().zip(examples) {
        for (&w, &id) in weights.iter().zip(ids) {
            let row = &mut d_table[id as usize];
            for j in 0..D {
                row[j] = w.mul_add(dy[j], row[j]);
            }
        }
    }
}

fn narrow_weights<T: Element, const D: usize>(
    len: usize,
    table: &[T],
    ids: &[u32],
    dy: &[T],
    d_weights: &mut [T],
) {
    let table = table.as_chunks::<D>().0;
    let examples = d_weights.chunks_exact_mut(len).zip(ids.chunks_exact(len));
    for (dy, (d_weights, ids)) in dy.as_chunks::<D>().0.iter().zip(examples) {
        for (d, &id) in d_weights.iter_mut().zip(ids) {
            let row = &table[id as usize];
            for j in 0..D {
                *d = row[j].mul_add(dy[j], *d);
            }
        }
    }
}
