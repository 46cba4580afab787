//! Attention of all heads over sequences, as one operation.

use super::softmax::softmax_row;
use crate::gemm::{Mat, MatMut, Write, gemm};
use crate::simd::rows::{self, By, EXP, First, Rows};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Tape, Var};
use std::sync::{Mutex, PoisonError};

/// The heads of an [`attention`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Heads that ask (H).
    pub heads: usize,
    /// Heads that answer (KV); each serves `heads / kv_heads` neighbours of those that ask.
    pub kv_heads: usize,
    /// Width of a head (K).
    pub d_head: usize,
    /// Whether a position sees only itself and those before it.
    pub causal: bool,
    /// A factor on the scores.
    pub scale: f64,
}

impl Attention {
    /// `(H + 2 KV) K`, the numbers of one position.
    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.d_head
    }
}

/// `z = softmax(scale * Q K') V` for each head: `[B, T, (H + 2 KV) K] -> [B, T, H K]`.
///
/// A row of `qkv` holds the queries of all heads, then their keys, then their values; a row of the
/// output holds what the heads mixed, side by side.
///
/// # Panics
/// If the shape does not fit, or the heads that answer do not divide those that ask.
#[track_caller]
pub fn attention<T: Element>(tape: &mut Tape<T>, qkv: Var, options: Attention) -> Var {
    let shape = tape.shape(qkv).clone();
    let Attention { heads, kv_heads, d_head, .. } = options;
    let &[batch, seq, width] = shape.dims() else {
        panic!("attention of {shape} with {options:?}");
    };
    let fits = width == options.width() && kv_heads > 0 && heads.is_multiple_of(kv_heads);
    assert!(fits, "attention of {shape} with {options:?}");
    let op = Fused { options, batch, seq, scratch: Mutex::default() };
    tape.push(op, &[qkv], &[], [batch, seq, heads * d_head])
}

/// Queries whose scores are computed together: few enough that they stay in the cache between
/// the products, and that a causal block computes little of what it does not see.
const BLOCK: usize = 64;

struct Fused<T> {
    options: Attention,
    batch: usize,
    seq: usize,
    /// `[B, BLOCK, T]`, scores of a block or their gradients; made by the first pass.
    scratch: Mutex<Vec<T>>,
}

/// A head in a block of queries: where its rows are.
#[derive(Clone, Copy)]
struct Part {
    head: usize,
    /// The first query.
    from: usize,
    /// How many queries.
    rows: usize,
    /// How many keys some of them see.
    keys: usize,
}

impl<T: Element> Fused<T> {
    /// The blocks of queries of each head, in order.
    fn parts(&self) -> impl Iterator<Item = Part> + use<T> {
        let (seq, causal) = (self.seq, self.options.causal);
        (0..self.options.heads).flat_map(move |head| {
            (0..seq).step_by(BLOCK).map(move |from| {
                let rows = BLOCK.min(seq - from);
                Part { head, from, rows, keys: if causal { from + rows } else { seq } }
            })
        })
    }

    /// Where the queries, the keys and the values of a head begin in a row.
    fn starts(&self, head: usize) -> [usize; 3] {
        let Attention { heads, kv_heads, d_head, .. } = self.options;
        let answers = head / (heads / kv_heads);
        [head, heads + answers, heads + kv_heads + answers].map(|h| h * d_head)
    }

    /// `[rows, K]` from row `from` on and column `start` on.
    fn window<'a>(&self, qkv: &'a [T], from: usize, rows: usize, start: usize) -> Mat<'a, T> {
        let width = self.options.width();
        let first = (from * width + start).min(qkv.len());
        Mat::strided(&qkv[first..], rows, self.options.d_head, width, 1)
    }

    fn window_mut<'a>(
        &self,
        qkv: &'a mut [T],
        from: usize,
        rows: usize,
        start: usize,
    ) -> MatMut<'a, T> {
        let width = self.options.width();
        let first = (from * width + start).min(qkv.len());
        MatMut::strided(&mut qkv[first..], rows, self.options.d_head, width)
    }

    /// Calls `each` with every sequence's part of `parts` and of the scratch memory.
    fn sequences<R: Rows>(&self, parts: R, each: impl Fn(R, &mut [T]) + Sync) {
        let slab = BLOCK.min(self.seq) * self.seq;
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        scratch.resize(self.batch * slab, T::ZERO);
        let work = self.seq * self.seq * self.options.heads * self.options.d_head;
        let parts = (parts, By(&mut scratch[..], slab));
        rows::each(self.batch, work, parts, |(parts, By(scratch, _))| each(parts, scratch));
    }

    /// Numbers of a sequence in `qkv`, in the output and in the pattern; 1 where there are none.
    fn lengths(&self) -> [usize; 3] {
        let Attention { heads, d_head, .. } = self.options;
        let seq = self.seq;
        [seq * self.options.width(), seq * heads * d_head, heads * seq * seq].map(|n| n.max(1))
    }
}

impl<T: Element> Op<T> for Fused<T> {
    fn name(&self) -> &'static str {
        "attention"
    }

    /// The pattern, `[B, H, T, T]`.
    fn saves(&self) -> usize {
        self.batch * self.options.heads * self.seq * self.seq
    }

    fn forward(&self, run: Forward<'_, T>) {
        let Attention { heads, d_head, causal, scale, .. } = self.options;
        let (seq, scale) = (self.seq, T::from_f64(scale));
        let [wide, narrow, square] = self.lengths();
        let parts = (By(run.input(0), wide), By(run.out, narrow), By(run.saved, square));
        self.sequences(parts, |(By(qkv, _), By(z, _), By(pattern, _)), scratch| {
            for part in self.parts() {
                let Part { head, from, rows, keys } = part;
                let [q, k, v] = self
                    .starts(head)
                    .map(|start| move |from, rows| self.window(qkv, from, rows, start));
                let scores = &mut scratch[..rows * keys];
                let into = MatMut::new(scores, rows, keys);
                gemm(scale, q(from, rows), k(0, keys).t(), Write::Store, into);
                let pattern = &mut pattern[(head * seq + from) * seq..][..rows * seq];
                let first = causal.then_some(from);
                let parts = (First(0), By(&*scores, keys), By(&mut *pattern, seq));
                rows::run(rows, EXP * keys, parts, |(First(row), By(s, _), By(p, _))| {
                    let first = first.map(|first| first + row);
                    T::vectorize(Softmax { scores: s, keys, first, pattern: p, seq });
                });
                let seen = Mat::strided(pattern, rows, keys, seq, 1);
                let mixed = &mut z[(from * heads + head) * d_head..];
                let mixed = MatMut::strided(mixed, rows, d_head, heads * d_head);
                gemm(T::ONE, seen, v(0, keys), Write::Store, mixed);
            }
        });
    }

    /// `dV = P' dz`, `dP = dz V'`, `dS = P (dP - <dP, P>)`, `dQ = scale dS K`, `dK = scale dS' Q`.
    fn backward(&self, run: Backward<'_, T>) {
        let Attention { heads, d_head, scale, .. } = self.options;
        let (seq, scale) = (self.seq, T::from_f64(scale));
        let [wide, narrow, square] = self.lengths();
        let (input, grad_out, saved) = (run.input(0), run.grad_out, run.saved);
        let [Some(dx), ..] = run.grads else { return };
        let inputs = (By(input, wide), By(grad_out, narrow), By(saved, square));
        self.sequences(
            (By(dx.accumulator(), wide), inputs),
            |(By(dx, _), (By(qkv, _), By(dz, _), By(pattern, _))), scratch| {
                for part in self.parts() {
                    let Part { head, from, rows, keys } = part;
                    let [q, k, v] = self.starts(head);
                    let dz = Mat::strided(
                        &dz[(from * heads + head) * d_head..],
                        rows,
                        d_head,
                        heads * d_head,
                        1,
                    );
                    let pattern = &pattern[(head * seq + from) * seq..][..rows * seq];
                    let seen = Mat::strided(pattern, rows, keys, seq, 1);
                    let dv = self.window_mut(dx, 0, keys, v);
                    gemm(T::ONE, seen.t(), dz, Write::Add, dv);
                    let scores = &mut scratch[..rows * keys];
                    let values = self.window(qkv, 0, keys, v);
                    let into = MatMut::new(scores, rows, keys);
                    gemm(T::ONE, dz, values.t(), Write::Store, into);
                    let parts = (By(pattern, seq), By(&mut *scores, keys));
                    rows::run(rows, 2 * keys, parts, |(By(p, _), By(s, _))| {
                        T::vectorize(SoftmaxBackward { pattern: p, seq, keys, scores: s });
                    });
                    let scores = Mat::new(scores, rows, keys);
                    let dq = self.window_mut(dx, from, rows, q);
                    gemm(scale, scores, self.window(qkv, 0, keys, k), Write::Add, dq);
                    let dk = self.window_mut(dx, 0, keys, k);
                    gemm(scale, scores.t(), self.window(qkv, from, rows, q), Write::Add, dk);
                }
            },
        );
    }
}

/// Rows of `pattern` as the softmax of rows of `scores`.
struct Softmax<'a, T> {
    /// `[rows, keys]`.
    scores: &'a [T],
    keys: usize,
    /// The position of the first row, where it matters: row `i` sees `first + i + 1` keys.
    first: Option<usize>,
    /// `[rows, seq]`.
    pattern: &'a mut [T],
    seq: usize,
}

impl<T: Element> Kernel<T> for Softmax<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { scores, keys, first, pattern, seq } = self;
        let rows = scores.chunks_exact(keys).zip(pattern.chunks_exact_mut(seq));
        for (i, (scores, pattern)) in rows.enumerate() {
            let seen = first.map_or(keys, |first| first + i + 1);
            let (pattern, hidden) = pattern.split_at_mut(seen);
            softmax_row::<L>(&scores[..seen], pattern);
            hidden.fill(T::ZERO);
        }
    }
}

/// Rows of `scores`, gradients of a pattern, as gradients of the scores it came from.
struct SoftmaxBackward<'a, T> {
    /// `[rows, seq]`.
    pattern: &'a [T],
    seq: usize,
    keys: usize,
    /// `[rows, keys]`.
    scores: &'a mut [T],
}

impl<T: Element> Kernel<T> for SoftmaxBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { pattern, seq, keys, scores } = self;
        let rows = scores.chunks_exact_mut(keys).zip(pattern.chunks_exact(seq));
        for (scores, pattern) in rows {
            // What is not seen has a pattern of 0, and so gets a gradient of 0.
            let pattern = &pattern[..keys];
            let mean = L::splat(slice::dot::<L>(pattern, scores));
            slice::update::<L>(
                scores,
                pattern,
                #[inline(always)]
                |g: L, p: L| p * (g - mean),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;
    use crate::tape::gradcheck::Points;

    /// The same of plain operations: heads get an axis of their own, then batched products.
    fn composed<T: Element>(tape: &mut Tape<T>, qkv: Var, options: Attention) -> Var {
        let Attention { heads, kv_heads, d_head, causal, scale } = options;
        let &[batch, seq, _] = tape.shape(qkv).dims() else { panic!("three axes") };
        let mut by_head = |(from, count): (usize, usize)| {
            let x = ops::columns(tape, qkv, from * d_head..(from + count) * d_head);
            let x = tape.reshape(x, [batch, seq, count, 1, d_head]);
            // As often as it is asked.
            let zeros = tape.leaf("zeros", [heads / count, 1]);
            let x = ops::add(tape, x, zeros);
            let x = ops::permute(tape, x, &[0, 2, 3, 1, 4]);
            tape.reshape(x, [batch * heads, seq, d_head])
        };
        let [q, k, v] =
            [(0, heads), (heads, kv_heads), (heads + kv_heads, kv_heads)].map(&mut by_head);
        let to_keys = ops::MatMul { transpose_b: true, scale, ..Default::default() };
        let scores = ops::matmul(tape, q, k, to_keys);
        let pattern =
            if causal { ops::causal_softmax(tape, scores) } else { ops::softmax(tape, scores) };
        let z = ops::matmul(tape, pattern, v, ops::MatMul::default());
        let z = tape.reshape(z, [batch, heads, seq, d_head]);
        let z = ops::permute(tape, z, &[0, 2, 1, 3]);
        tape.reshape(z, [batch, seq, heads * d_head])
    }

    /// Output and gradient of random numbers.
    fn run<T: Element>(
        batch: usize,
        seq: usize,
        options: Attention,
        record: impl FnOnce(&mut Tape<T>, Var, Attention) -> Var,
    ) -> [Vec<T>; 2] {
        let mut tape = Tape::<T>::new();
        let x = tape.leaf("qkv", [batch, seq, options.width()]);
        let z = record(&mut tape, x, options);
        let mut program = tape.finish();
        let plan = program.plan_backward(z, &[x]);
        let mut points = Points::new(3);
        let mut list = |n| points.list(n).into_iter().map(T::from_f64).collect::<Vec<T>>();
        program.set(x, &list(batch * seq * options.width()));
        program.forward();
        program.backward_from(&plan, &list(program.value(z).len()));
        [program.value(z).to_vec(), program.grad(x).to_vec()]
    }

    fn check<T: Element>(tolerance: f64) {
        for (batch, seq, heads, kv_heads, d_head) in [
            (2, 5, 3, 3, 4),
            (3, 9, 6, 2, 5),
            (1, 64, 2, 2, 8),
            (2, 150, 4, 1, 16),
            (1, 1, 1, 1, 1),
        ] {
            for causal in [false, true] {
                let options = Attention { heads, kv_heads, d_head, causal, scale: 0.9 };
                let fused = run::<T>(batch, seq, options, attention);
                let plain = run::<T>(batch, seq, options, composed);
                for (a, b) in fused.iter().zip(&plain) {
                    let size = b.iter().fold(0.0f64, |m, x| m.max(x.to_f64().abs()));
                    let apart = |(a, b): (&T, &T)| (a.to_f64() - b.to_f64()).abs();
                    let worst = a.iter().zip(b).map(apart).fold(0.0, f64::max);
                    assert!(a.len() == b.len() && size > 0.1, "{size}");
                    assert!(worst <= tolerance * size, "{options:?}: {worst:e} of {size}");
                }
            }
        }
    }

    #[test]
    fn it_is_its_composition() {
        check::<f64>(1e-14);
        check::<f32>(4e-6);
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        let options = Attention { heads: 4, kv_heads: 2, d_head: 32, causal: true, scale: 0.3 };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads").install(|| run::<f32>(5, 130, options, attention))
        };
        let one = on(1);
        assert!(one == on(2) && one == on(5));
        // Nor on what else is in the batch, nor on what comes later in the sequence.
        let alone = run::<f32>(1, 130, options, attention);
        let n = alone[0].len();
        assert_eq!(alone[0], one[0][..n]);
        let shorter = run::<f32>(1, 77, options, attention);
        let n = shorter[0].len();
        assert_eq!(shorter[0], one[0][..n]);
    }
}
