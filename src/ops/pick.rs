//! Some columns of a wide affine layer: the logits of a few tokens.

use crate::gemm::{Mat, Write};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Ids, Op, Tape, Var};

/// `y[n, j] = <x[n], w[ids[n, j]]> + bias[ids[n, j]]`:
/// `[N, D] x [V, D] + [V], ids [N, J] -> [N, J]`.
///
/// It equals a [`linear`](super::linear) layer over all of `w` and a choice among its outputs, at
/// `J / V` of the cost.
///
/// # Panics
/// If the shapes do not match, or the limit of `ids` exceeds V.
#[track_caller]
pub fn pick<T: Element>(tape: &mut Tape<T>, x: Var, w: Var, bias: Option<Var>, ids: Ids) -> Var {
    let (sx, sw, si) = (tape.shape(x).clone(), tape.shape(w).clone(), tape.ids_shape(ids).clone());
    let limit = tape.ids_limit(ids);
    let (&[n, d], &[v, dw], &[ni, j]) = (sx.dims(), sw.dims(), si.dims()) else {
        panic!("pick of {sx} with a weight of {sw} and ids {si}");
    };
    assert!(
        d == dw && n == ni && (limit <= v || si.is_empty()),
        "pick of {sx} with a weight of {sw} and ids {si} below {limit}"
    );
    if let Some(bias) = bias {
        let sb = tape.shape(bias);
        assert!(sb.dims() == [v], "pick with a weight of {sw} and a bias of {sb}");
    }
    let inputs: &[Var] = &[x, w, bias.unwrap_or(w)];
    tape.push(
        Pick { vocab: v, width: d, each: j },
        &inputs[..2 + bias.is_some() as usize],
        &[ids],
        [n, j],
    )
}

struct Pick {
    /// The rows of `w` (V).
    vocab: usize,
    /// The elements of a row of `x` and of `w` (D).
    width: usize,
    /// Ids for each row of `x` (J).
    each: usize,
}

impl<T: Element> Op<T> for Pick {
    fn name(&self) -> &'static str {
        "pick"
    }

    fn forward(&self, run: Forward<'_, T>) {
        let bias = run.has_input(2).then(|| run.input(2));
        T::vectorize(PickForward {
            pick: self,
            x: run.input(0),
            w: run.matrix(1, self.vocab, self.width),
            bias,
            ids: run.ids(0),
            y: run.out,
        });
    }

    fn backward(&self, run: Backward<'_, T>) {
        let (x, ids, dy) = (run.input(0), run.ids(0), run.grad_out);
        let Pick { vocab, width, each } = *self;
        // Empty where it is not read again.
        let w = run.grads[0].is_some().then(|| run.matrix(1, vocab, width));
        let [dx, dw, db, ..] = run.grads else { return };
        if let (Some(dx), Some(w)) = (dx, w) {
            let write = dx.write;
            // Row n of dx is the sum over j of dy[n, j] w[ids[n, j]].
            let kernel = GradX { width, each, dx: dx.slice(), write, dy, w, ids };
            T::vectorize(kernel);
        }
        if let Some(dw) = dw {
            T::vectorize(GradW { width, each, dw: dw.accumulator(), dy, x, ids });
        }
        if let Some(db) = db {
            let db = db.accumulator();
            for (&dy, &i) in dy.iter().zip(ids) {
                db[i as usize] += dy;
            }
        }
    }
}

struct PickForward<'a, T> {
    pick: &'a Pick,
    x: &'a [T],
    w: Mat<'a, T>,
    bias: Option<&'a [T]>,
    ids: &'a [u32],
    y: &'a mut [T],
}

impl<T: Element> Kernel<T> for PickForward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { pick: &Pick { width, each, .. }, x, w, bias, ids, y } = self;
        let mut room = vec![];
        for (k, (y, &id)) in y.iter_mut().zip(ids).enumerate() {
            let x = &x[k / each * width..][..width];
            let id = id as usize;
            let start = bias.map_or(T::ZERO, |bias| bias[id]);
            *y = slice::dot::<L>(x, w.row(id, &mut room)) + start;
        }
    }
}

struct GradX<'a, T> {
    width: usize,
    each: usize,
    dx: &'a mut [T],
    write: Write,
    dy: &'a [T],
    w: Mat<'a, T>,
    ids: &'a [u32],
}

impl<T: Element> Kernel<T> for GradX<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { width, each, dx, write, dy, w, ids } = self;
        let mut room = vec![];
        for (n, dx) in dx.chunks_exact_mut(width.max(1)).enumerate() {
            if write == Write::Store {
                dx.fill(T::ZERO);
            }
            let of_row = n * each..(n + 1) * each;
            for (&dy, &id) in dy[of_row.clone()].iter().zip(&ids[of_row]) {
                add_scaled::<L>(dx, dy, w.row(id as usize, &mut room));
            }
        }
    }
}

struct GradW<'a, T> {
    width: usize,
    each: usize,
    dw: &'a mut [T],
    dy: &'a [T],
    x: &'a [T],
    ids: &'a [u32],
}

impl<T: Element> Kernel<T> for GradW<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { width, each, dw, dy, x, ids } = self;
        for (k, (&dy, &id)) in dy.iter().zip(ids).enumerate() {
            let row = &mut dw[id as usize * width..][..width];
            add_scaled::<L>(row, dy, &x[k / each * width..][..width]);
        }
    }
}

/// `y += factor x`.
#[inline(always)]
fn add_scaled<L: Lanes>(y: &mut [L::Elem], factor: L::Elem, x: &[L::Elem]) {
    let factor = L::splat(factor);
    slice::update::<L>(
        y,
        x,
        #[inline(always)]
        |y, x| x.mul_add(factor, y),
    );
}

#[cfg(test)]
mod tests {
    use crate::ops;
    use crate::tape::Tape;
    use crate::tape::gradcheck::Points;

    #[test]
    fn it_picks_what_the_whole_layer_gives() {
        let (n, d, v) = (3, 21, 5);
        let mut tape = Tape::<f64>::new();
        let (x, w) = (tape.leaf("x", [n, d]), tape.leaf("w", [v, d]));
        let bias = tape.leaf("bias", [v]);
        let ids = tape.ids([n, 2], v);
        let y = ops::pick(&mut tape, x, w, Some(bias), ids);
        let all = ops::linear(&mut tape, x, w, Some(bias));
        let mut program = tape.finish();
        let mut points = Points::new(1);
        for leaf in [x, w, bias] {
            let len = program.value(leaf).len();
            program.set(leaf, &points.list(len));
        }
        let chosen = [4, 0, 2, 2, 1, 3];
        program.set_ids(ids, &chosen);
        program.forward();
        for (k, &id) in chosen.iter().enumerate() {
            let (got, want) = (program.value(y)[k], program.value(all)[k / 2 * v + id as usize]);
            assert!((got - want).abs() < 1e-14 && want.abs() > 1e-3, "{k}: {got} {want}");
        }
    }
}
