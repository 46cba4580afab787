//! Attention of all heads over sequences, as one operation.
//!
//! It reads queries, keys and values where the projection wrote them: products read windows of
//! `[B, T, (H + 2 KV) K]` in place, [`BLOCK`] queries at a time. A causal block computes only the
//! keys that some of its queries see, a block with a window only those inside it. Only the pattern
//! is saved, `H T^2` elements of a sequence; programs for which memory matters more than time save
//! nothing, and the backward pass computes a block's rows of it again, to the same bits. Where
//! scores are capped, it computes them again in any case. The alternative, heads permuted to an
//! axis of their own, needs three copies and their gradients.
//!
//! Threads take key-value heads, each with columns of its own in all gradients, so a single
//! sequence uses all threads.

use super::softmax::softmax_row;
use crate::gemm::scratch::Scratch;
use crate::gemm::{Mat, MatMut, Write, gemm};
use crate::simd::rows::{self, All, By, First, Rows, exps};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::rules::Pattern;
use crate::tape::{Backward, Forward, Op, Program, Rules, Tape, Var};
use std::sync::Arc;

/// The heads of an [`attention`], and what their scores are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attention {
    /// Query heads (H).
    pub heads: usize,
    /// Key-value heads (KV); each serves `heads / kv_heads` neighbouring query heads.
    pub kv_heads: usize,
    /// Width of a head (K).
    pub d_head: usize,
    /// Whether a position attends only to itself and the positions before it.
    pub causal: bool,
    /// A factor on the scores.
    pub scale: f64,
    /// If causal, how many positions a query sees, its own included; `None` for all before it.
    pub window: Option<usize>,
    /// The bound `c` of the scores, which become `c tanh(score / c)`.
    pub cap: Option<f64>,
    /// `[H, T]`, what is added to the scores of each key, after the cap.
    pub key_bias: Option<Arc<[f64]>>,
}

impl Attention {
    /// Scores times a factor, with nothing else about them; `sizes` are H, KV and K.
    pub fn plain(sizes: [usize; 3], causal: bool, scale: f64) -> Attention {
        let [heads, kv_heads, d_head] = sizes;
        Attention { heads, kv_heads, d_head, causal, scale, ..Attention::default() }
    }

    /// `(H + 2 KV) K`, the elements of a position.
    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.d_head
    }
}

/// `z = softmax(scale * Q K') V` for each head, with a window, capped scores and biases of keys if
/// the options have them: `[B, T, (H + 2 KV) K] -> [B, T, H K]`.
///
/// A row of `qkv` holds the queries of all heads, then their keys, then their values; a row of the
/// output holds the mixed values of all heads, side by side.
///
/// # Panics
/// If the shapes do not match, `kv_heads` does not divide `heads`, or a window is empty or not
/// causal.
#[track_caller]
pub fn attention<T: Element>(tape: &mut Tape<T>, qkv: Var, options: Attention) -> Var {
    let shape = tape.shape(qkv).clone();
    let Attention { heads, kv_heads, d_head, .. } = options;
    let &[batch, seq, width] = shape.dims() else {
        panic!("attention of {shape} with {options:?}");
    };
    let fits = width == options.width() && kv_heads > 0 && heads.is_multiple_of(kv_heads);
    assert!(fits, "attention of {shape} with {options:?}");
    let seen = options.window.is_none_or(|window| options.causal && window > 0);
    let biased = options.key_bias.as_ref().is_none_or(|bias| bias.len() == heads * seq);
    assert!(seen && biased, "attention of {seq} positions with {options:?}");
    tape.push(Fused { options, batch, seq }, &[qkv], &[], [batch, seq, heads * d_head])
}

/// The attention pattern of the last pass, `[B, H, T, T]`: of each head, the weight of each key for
/// each query. Rows sum to 1; keys that a query does not see have 0. `z` is the output of
/// [`attention`].
///
/// # Panics
/// If `z` is another variable, or the program only runs forward.
#[track_caller]
pub fn pattern<T: Element>(program: &Program<T>, z: Var) -> &[T] {
    program.left_by(NAME, z)
}

const NAME: &str = "attention";

/// Queries of a block: few enough that their scores stay in cache between the products, and that a
/// causal block computes few scores it does not need.
const BLOCK: usize = 64;

struct Fused {
    options: Attention,
    batch: usize,
    seq: usize,
}

/// A block of queries of one head.
#[derive(Clone, Copy)]
struct QueryBlock {
    /// Its index among the query heads of the same key-value head.
    head: usize,
    /// The first query.
    from: usize,
    /// The number of queries.
    rows: usize,
    /// The first key that some of them see.
    first: usize,
    /// The number of keys from there to the last that some of them see.
    keys: usize,
}

/// A matrix, and the number of its columns that belong to each key-value head.
struct Columns<'a, T>(MatMut<'a, T>, usize);

impl<T: Send> Rows for Columns<'_, T> {
    fn split(self, heads: usize) -> (Self, Self) {
        let (first, rest) = self.0.split_cols(heads * self.1);
        (Columns(first, self.1), Columns(rest, self.1))
    }
}

impl Fused {
    /// The query heads of a key-value head.
    fn group(&self) -> usize {
        self.options.heads / self.options.kv_heads
    }

    /// The blocks of queries that attend to one key-value head, in order.
    fn parts(&self) -> impl Iterator<Item = QueryBlock> + use<> {
        let (seq, causal) = (self.seq, self.options.causal);
        let before = self.options.window.map_or(seq, |window| window - 1);
        (0..self.group()).flat_map(move |head| {
            (0..seq).step_by(BLOCK).map(move |from| {
                let rows = BLOCK.min(seq - from);
                let first = from.saturating_sub(before);
                let end = if causal { from + rows } else { seq };
                QueryBlock { head, from, rows, first, keys: end - first }
            })
        })
    }

    /// `[rows, K]` of a head from row `from` on; in a row, queries of all heads come first, then
    /// keys, then values.
    fn window<'a, T>(&self, qkv: &'a [T], from: usize, rows: usize, head: usize) -> Mat<'a, T> {
        let (width, d_head) = (self.options.width(), self.options.d_head);
        let first = (from * width + head * d_head).min(qkv.len());
        Mat::strided(&qkv[first..], rows, d_head, width, 1)
    }

    /// Calls `each` with every key-value head and its share of `sequences`; `share` splits the
    /// share of a sequence by heads.
    fn heads<S: Rows, R: Rows>(
        &self,
        sequences: S,
        share: impl Fn(S) -> R + Sync,
        each: impl Fn(usize, R) + Sync,
    ) {
        let work = self.seq * self.seq * self.group() * self.options.d_head;
        let kv_heads = self.options.kv_heads;
        rows::each(self.batch, work.saturating_mul(kv_heads), sequences, |sequence| {
            let parts = (First(0), share(sequence));
            rows::each(kv_heads, work, parts, |(First(head), part)| each(head, part));
        });
    }

    /// Caps the scores `[rows, keys]` of a query head and adds the biases of its keys, which begin
    /// at key `first`.
    fn adjust<T: Element>(&self, scores: &mut [T], keys: usize, head: usize, first: usize) {
        if let Some(cap) = self.options.cap {
            T::vectorize(Cap { cap: T::from_f64(cap), scores });
        }
        if let Some(bias) = &self.options.key_bias {
            let bias: &[f64] = &bias[head * self.seq + first..][..keys];
            for scores in scores.chunks_exact_mut(keys) {
                for (score, &bias) in scores.iter_mut().zip(bias) {
                    *score += T::from_f64(bias);
                }
            }
        }
    }

    /// The elements of a sequence in `qkv`, in the output and in the pattern `saved`; 1 where there
    /// are none, but 0 of a pattern that is not saved.
    fn lengths<T>(&self, saved: &[T]) -> [usize; 3] {
        let Attention { heads, d_head, .. } = self.options;
        let seq = self.seq;
        let square = if saved.is_empty() { 0 } else { heads * seq * seq };
        [(seq * self.options.width()).max(1), (seq * heads * d_head).max(1), square]
    }

    /// The elements of a block's rows of the pattern, where it is not saved.
    fn unsaved<T>(&self, saved: &[T]) -> usize {
        if saved.is_empty() { BLOCK.min(self.seq) * self.seq } else { 0 }
    }

    /// Computes a block's rows `[rows, T]` of the pattern; `scores [rows, keys]` are overwritten.
    fn pattern<T: Element>(
        &self,
        qkv: &[T],
        answers: usize,
        block: QueryBlock,
        scores: &mut [T],
        pattern: &mut [T],
    ) {
        let Attention { heads, causal, scale, window, .. } = self.options;
        let (seq, scale) = (self.seq, T::from_f64(scale));
        let QueryBlock { head, from, rows, first, keys } = block;
        let asks = answers * self.group() + head;
        let q = self.window(qkv, from, rows, asks);
        let k = self.window(qkv, first, keys, heads + answers);
        gemm(scale, q, k.t(), Write::Store, MatMut::new(scores, rows, keys));
        self.adjust(scores, keys, asks, first);
        let parts = (First(0), By(&*scores, keys), By(pattern, seq));
        rows::run(rows, exps(keys), parts, |(First(row), By(s, _), By(p, _))| {
            let query = causal.then_some(from + row);
            let window = window.unwrap_or(seq);
            T::vectorize(Softmax { scores: s, first, keys, query, window, pattern: p, seq });
        });
    }
}

impl<T: Element> Op<T> for Fused {
    fn name(&self) -> &'static str {
        NAME
    }

    /// The pattern, `[B, H, T, T]`.
    fn saves(&self) -> usize {
        self.batch * self.options.heads * self.seq * self.seq
    }

    fn rereads_output(&self, _: Rules) -> bool {
        false
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn forward(&self, run: Forward<'_, T>) {
        let Attention { heads, kv_heads, d_head, .. } = self.options;
        let (seq, group) = (self.seq, self.group());
        let [wide, narrow, square] = self.lengths(run.saved);
        let unsaved = self.unsaved(run.saved);
        let sequences = (By(run.input(0), wide), By(run.out, narrow), By(run.saved, square));
        let share = |(By(qkv, _), By(z, _), By(pattern, _))| {
            let z = MatMut::new(z, seq, heads * d_head);
            (All(qkv), Columns(z, group * d_head), By(pattern, square / kv_heads))
        };
        self.heads(sequences, share, |answers, (All(qkv), Columns(mut z, _), By(pattern, _))| {
            let mut scratch = Scratch::new(BLOCK.min(seq) * seq);
            let mut own = Scratch::new(unsaved);
            for block in self.parts() {
                let QueryBlock { head, from, rows, first, keys } = block;
                let pattern = match unsaved {
                    0 => &mut pattern[(head * seq + from) * seq..][..rows * seq],
                    _ => &mut own[..rows * seq],
                };
                self.pattern(qkv, answers, block, &mut scratch[..rows * keys], pattern);
                let v = self.window(qkv, first, keys, heads + kv_heads + answers);
                let seen = Mat::strided(&pattern[first..], rows, keys, seq, 1);
                gemm(
                    T::ONE,
                    seen,
                    v,
                    Write::Store,
                    z.window((from, rows), (head * d_head, d_head)),
                );
            }
        });
    }

    /// `dV = P' dz`, `dP = dz V'`, `dS = P (dP - <dP, P>)`, `dQ = scale dS K`, `dK = scale dS' Q`,
    /// or what [rules](crate::tape::rules) put in their place.
    fn backward(&self, run: Backward<'_, T>) {
        let Attention { heads, kv_heads, d_head, scale, .. } = self.options;
        let [of_scores, of_values] = run.rules.of_attention();
        let (scale, of_values) = (T::from_f64(scale * of_scores), T::from_f64(of_values));
        let (seq, group, to_scores) = (self.seq, self.group(), run.rules.pattern());
        let [wide, narrow, square] = self.lengths(run.saved);
        let unsaved = self.unsaved(run.saved);
        let (input, grad_out, saved) = (run.input(0), run.grad_out, run.saved);
        let [Some(dx), ..] = run.grads else { return };
        let inputs = (By(input, wide), By(grad_out, narrow), By(saved, square));
        let share = |(By(dx, _), (By(qkv, _), By(dz, _), By(pattern, _)))| {
            let dx = MatMut::new(dx, seq, self.options.width());
            let (dq, dkv) = dx.split_cols(heads * d_head);
            let (dk, dv) = dkv.split_cols(kv_heads * d_head);
            let dx = (Columns(dq, group * d_head), Columns(dk, d_head), Columns(dv, d_head));
            (dx, (All(qkv), All(dz), By(pattern, square / kv_heads)))
        };
        let sequences = (By(dx.accumulator(), wide), inputs);
        self.heads(sequences, share, |answers, (dx, (All(qkv), All(dz), By(pattern, _)))| {
            let (Columns(mut dq, _), Columns(mut dk, _), Columns(mut dv, _)) = dx;
            let mut scratch = Scratch::new(BLOCK.min(seq) * seq);
            let mut own = Scratch::new(unsaved);
            for block in self.parts() {
                let QueryBlock { head, from, rows, first, keys } = block;
                let asks = answers * group + head;
                let dz = &dz[(from * heads + asks) * d_head..];
                let dz = Mat::strided(dz, rows, d_head, heads * d_head, 1);
                let pattern = match unsaved {
                    0 => &pattern[(head * seq + from) * seq..][..rows * seq],
                    _ => {
                        let own = &mut own[..rows * seq];
                        self.pattern(qkv, answers, block, &mut scratch[..rows * keys], own);
                        &*own
                    }
                };
                let seen = Mat::strided(&pattern[first..], rows, keys, seq, 1);
                let all = (0, d_head);
                gemm(of_values, seen.t(), dz, Write::Add, dv.window((first, keys), all));
                if to_scores == Pattern::Constant {
                    continue;
                }
                let scores = &mut scratch[..rows * keys];
                let v = self.window(qkv, first, keys, heads + kv_heads + answers);
                gemm(T::ONE, dz, v.t(), Write::Store, MatMut::new(scores, rows, keys));
                let parts = (By(pattern, seq), By(&mut *scores, keys));
                rows::run(rows, 2 * keys, parts, |(By(p, _), By(s, _))| {
                    let pattern =
                        PatternBackward { pattern: p, seq, first, keys, scores: s, to_scores };
                    T::vectorize(pattern);
                });
                let k = self.window(qkv, first, keys, heads + answers);
                let q = self.window(qkv, from, rows, asks);
                if let Some(cap) = self.options.cap {
                    let mut raw = Scratch::new(rows * keys);
                    let raw = &mut raw[..rows * keys];
                    let scale = T::from_f64(self.options.scale);
                    gemm(scale, q, k.t(), Write::Store, MatMut::new(raw, rows, keys));
                    T::vectorize(CapBackward { cap: T::from_f64(cap), raw, to: scores });
                }
                let scores = Mat::new(scores, rows, keys);
                let dq = dq.window((from, rows), (head * d_head, d_head));
                gemm(scale, scores, k, Write::Add, dq);
                gemm(scale, scores.t(), q, Write::Add, dk.window((first, keys), all));
            }
        });
    }
}

/// Computes rows of `pattern` as the softmax of rows of `scores`.
struct Softmax<'a, T> {
    /// `[rows, keys]`.
    scores: &'a [T],
    /// The position of the first key.
    first: usize,
    keys: usize,
    /// The position of the query of the first row, if causal.
    query: Option<usize>,
    /// How many positions a causal query sees at most.
    window: usize,
    /// `[rows, seq]`.
    pattern: &'a mut [T],
    seq: usize,
}

impl<T: Element> Kernel<T> for Softmax<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { scores, first, keys, query, window, pattern, seq } = self;
        let rows = scores.chunks_exact(keys).zip(pattern.chunks_exact_mut(seq));
        for (i, (scores, pattern)) in rows.enumerate() {
            let end = query.map_or(first + keys, |query| query + i + 1);
            let start = query.map_or(first, |_| end.saturating_sub(window).max(first));
            let (seen, hidden) = pattern.split_at_mut(end);
            let (far, seen) = seen.split_at_mut(start);
            softmax_row::<L>(&scores[start - first..end - first], seen);
            far.fill(T::ZERO);
            hidden.fill(T::ZERO);
        }
    }
}

/// `score = cap tanh(score / cap)`.
struct Cap<'a, T> {
    cap: T,
    scores: &'a mut [T],
}

impl<T: Element> Kernel<T> for Cap<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let (cap, factor) = (L::splat(self.cap), L::splat(T::ONE / self.cap));
        slice::map_in_place::<L>(
            self.scores,
            #[inline(always)]
            |x| (x * factor).tanh() * cap,
        );
    }
}

/// `to *= 1 - tanh(raw / cap)^2`, the slope of the cap at the raw scores.
struct CapBackward<'a, T> {
    cap: T,
    raw: &'a [T],
    to: &'a mut [T],
}

impl<T: Element> Kernel<T> for CapBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let (one, factor) = (L::splat(T::ONE), L::splat(T::ONE / self.cap));
        slice::update::<L>(
            self.to,
            self.raw,
            #[inline(always)]
            |to: L, raw: L| {
                let t = (raw * factor).tanh();
                to * (one - t * t)
            },
        );
    }
}

/// Maps rows of `scores`, which hold gradients of the pattern, to gradients of the scores.
struct PatternBackward<'a, T> {
    /// `[rows, seq]`.
    pattern: &'a [T],
    seq: usize,
    /// The position of the first key.
    first: usize,
    keys: usize,
    /// `[rows, keys]`.
    scores: &'a mut [T],
    /// By which rule.
    to_scores: Pattern,
}

impl<T: Element> Kernel<T> for PatternBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { pattern, seq, first, keys, scores, to_scores } = self;
        let rows = scores.chunks_exact_mut(keys).zip(pattern.chunks_exact(seq));
        for (scores, pattern) in rows {
            // Keys that are not seen have a pattern of 0, so their gradient is 0.
            let pattern = &pattern[first..first + keys];
            if to_scores == Pattern::Flattened {
                flattened::<L>(pattern, scores);
                continue;
            }
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

/// `g = P2 (g - <g, P2>)` for one row, `P2` the pattern at temperature 2: the roots of its weights
/// over their sum, so that no score is needed.
#[inline(always)]
fn flattened<L: Lanes>(pattern: &[L::Elem], g: &mut [L::Elem]) {
    let [total, sum] = slice::sums(
        [pattern, g],
        [L::Elem::ZERO; 2],
        #[inline(always)]
        |[total, sum]: [L; 2], [p, g]| {
            let root = p.sqrt();
            [total + root, root.mul_add(g, sum)]
        },
    );
    let (mean, factor) = (L::splat(sum / total), L::splat(L::Elem::ONE / total));
    slice::update::<L>(
        g,
        pattern,
        #[inline(always)]
        |g: L, p: L| p.sqrt() * factor * (g - mean),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;
    use crate::simd::emulated;
    use crate::tape::gradcheck::Points;
    use crate::tensor::Buffer;

    /// The same as a composition of plain operations: heads get an axis of their own, then batched
    /// products.
    fn composed<T: Element>(tape: &mut Tape<T>, qkv: Var, options: Attention) -> Var {
        let Attention { heads, kv_heads, d_head, causal, scale, .. } = options;
        let &[batch, seq, _] = tape.shape(qkv).dims() else { panic!("three axes") };
        let mut by_head = |(from, count): (usize, usize)| {
            let x = ops::columns(tape, qkv, from * d_head..(from + count) * d_head);
            let x = tape.reshape(x, [batch, seq, count, 1, d_head]);
            // Each key-value head, once for each of its query heads.
            let zeros = tape.leaf("zeros", [heads / count, 1]);
            let x = ops::add(tape, x, zeros);
            let x = ops::permute(tape, x, &[0, 2, 3, 1, 4]);
            tape.reshape(x, [batch * heads, seq, d_head])
        };
        let [q, k, v] =
            [(0, heads), (heads, kv_heads), (heads + kv_heads, kv_heads)].map(&mut by_head);
        let to_keys = ops::MatMul { transpose_b: true, scale, ..Default::default() };
        let mut scores = ops::matmul(tape, q, k, to_keys);
        if let Some(cap) = options.cap {
            scores = ops::scale(tape, scores, cap.recip());
            scores = ops::tanh(tape, scores);
            scores = ops::scale(tape, scores, cap);
        }
        let pattern = if options.window.is_some() || options.key_bias.is_some() {
            let added = tape.leaf("added", [heads, seq, seq]);
            tape.give(added, Buffer::from(&added_to_scores::<T>(&options, seq)[..]).share());
            let by_head = tape.reshape(scores, [batch, heads, seq, seq]);
            let sum = ops::add(tape, by_head, added);
            let pattern = ops::softmax(tape, sum);
            tape.reshape(pattern, [batch * heads, seq, seq])
        } else if causal {
            ops::causal_softmax(tape, scores)
        } else {
            ops::softmax(tape, scores)
        };
        let z = ops::matmul(tape, pattern, v, ops::MatMul::default());
        let z = tape.reshape(z, [batch, heads, seq, d_head]);
        let z = ops::permute(tape, z, &[0, 2, 1, 3]);
        tape.reshape(z, [batch, seq, heads * d_head])
    }

    /// `[H, T, T]`, biases of keys, and -1e9 where a query does not see a key.
    fn added_to_scores<T: Element>(options: &Attention, seq: usize) -> Vec<T> {
        let window = options.window.unwrap_or(seq);
        let added = |i: usize| {
            let (head, query, key) = (i / seq / seq, i / seq % seq, i % seq);
            let hidden = options.causal && (key > query || query - key >= window);
            let bias = options.key_bias.as_ref().map_or(0.0, |bias| bias[head * seq + key]);
            T::from_f64(if hidden { -1e9 } else { bias })
        };
        (0..options.heads * seq * seq).map(added).collect()
    }

    /// Output and gradient for random inputs.
    fn run<T: Element>(
        batch: usize,
        seq: usize,
        options: Attention,
        record: impl FnOnce(&mut Tape<T>, Var, Attention) -> Var,
    ) -> [Vec<T>; 2] {
        let mut tape = Tape::<T>::new();
        let width = options.width();
        let x = tape.leaf("qkv", [batch, seq, width]);
        let z = record(&mut tape, x, options);
        let mut program = tape.finish();
        let plan = program.plan_backward(z, &[x]);
        let mut points = Points::new(3);
        let mut list = |n| points.list(n).into_iter().map(T::from_f64).collect::<Vec<T>>();
        program.set(x, &list(batch * seq * width));
        program.forward();
        program.backward_from(&plan, &list(program.value(z).len()));
        [program.value(z).to_vec(), program.grad(x).to_vec()]
    }

    /// Rows of the pattern sum to 1, attend to no later position, and mix the values into the
    /// output.
    #[test]
    fn the_pattern_is_what_mixes_the_values() {
        for causal in [false, true] {
            let (batch, seq, heads, d_head) = (2, 70, 2, 3);
            let options = Attention::plain([heads, heads, d_head], causal, 0.7);
            let mut tape = Tape::<f64>::new();
            let x = tape.leaf("qkv", [batch, seq, options.width()]);
            let z = attention(&mut tape, x, options.clone());
            let mut program = tape.finish();
            let numbers = Points::new(5).list(batch * seq * options.width());
            program.set(x, &numbers);
            program.forward();
            let pattern = pattern(&program, z);
            assert_eq!(pattern.len(), batch * heads * seq * seq);
            for (row, weights) in pattern.chunks_exact(seq).enumerate() {
                let (b, h, t) = (row / seq / heads, row / seq % heads, row % seq);
                assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                assert!(!causal || weights[t + 1..].iter().all(|&w| w == 0.0));
                for k in 0..d_head {
                    let value = |s: usize| {
                        numbers[(b * seq + s) * options.width() + (2 * heads + h) * d_head + k]
                    };
                    let mixed: f64 = (0..seq).map(|s| weights[s] * value(s)).sum();
                    let z = program.value(z)[(b * seq + t) * heads * d_head + h * d_head + k];
                    assert!((mixed - z).abs() < 1e-12, "{mixed} {z}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "was not computed by `attention`")]
    fn other_variables_have_no_pattern() {
        let mut tape = Tape::<f64>::new();
        let x = tape.leaf("x", [3]);
        let y = ops::tanh(&mut tape, x);
        pattern(&tape.finish(), y);
    }

    #[test]
    #[should_panic(expected = "forward only")]
    fn a_pattern_that_is_not_kept_is_not_shown() {
        let options = Attention::plain([1, 1, 1], true, 1.0);
        let mut tape = Tape::<f64>::new();
        let x = tape.leaf("x", [1, 2, 3]);
        let z = attention(&mut tape, x, options);
        let y = ops::tanh(&mut tape, z);
        tape.keep_only(&[z, y]);
        pattern(&tape.finish(), z);
    }

    fn check<T: Element>(tolerance: f64) {
        for (batch, seq, heads, kv_heads, d_head) in [
            (2, 5, 3, 3, 4),
            (3, 9, 6, 2, 5),
            (1, 64, 2, 2, 8),
            (2, 150, 4, 1, 16),
            (1, 1, 1, 1, 1),
        ] {
            // Not optimised, an emulator takes a minute for the longest.
            if emulated() && seq > 64 {
                continue;
            }
            for (causal, window, cap, biased) in [
                (false, None, None, false),
                (true, None, None, false),
                (true, Some(3), None, false),
                (true, Some(66), Some(0.4), false),
                (false, None, Some(0.4), true),
                (true, Some(1), None, true),
            ] {
                let biases = Points::new(7).list(heads * seq);
                let key_bias = biased.then(|| biases.into());
                let scale = 0.9;
                let options =
                    Attention { heads, kv_heads, d_head, causal, scale, window, cap, key_bias };
                let fused = run::<T>(batch, seq, options.clone(), attention);
                let plain = run::<T>(batch, seq, options.clone(), composed);
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
        let options = Attention::plain([4, 2, 32], true, 0.3);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads").install(|| run::<f32>(5, 130, options.clone(), attention))
        };
        let one = on(1);
        assert!(one == on(2) && one == on(5));
        // They depend neither on the rest of the batch nor on later positions.
        let alone = run::<f32>(1, 130, options.clone(), attention);
        let n = alone[0].len();
        assert_eq!(alone[0], one[0][..n]);
        let shorter = run::<f32>(1, 77, options, attention);
        let n = shorter[0].len();
        assert_eq!(shorter[0], one[0][..n]);
    }
}
