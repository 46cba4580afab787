//! The edge mix: one operation that reads the stream for all readers of a group, each with its own
//! masks.
//!
//! Let `x` be the running sum, `d_u = o_u - b_u` what writer `u` adds beyond its baseline, and `m`
//! the masks. Reader `r` sees
//!
//! ```text
//! x_r = x - sum over u of (1 - m[r, u]) d_u
//! y[:, columns of r] = norm(x_r) w[:, columns of r]
//! ```
//!
//! and the reverse pass follows from it, with `g_r` the gradient of `x_r`:
//!
//! ```text
//! dx = sum over r of g_r     dm[r, u] = <g_r, d_u>     dd_u = - sum over r of (1 - m[r, u]) g_r
//! ```
//!
//! **Origin.** `x` may also be the sum of all baselines. Then
//! `x_r = x + sum over u of m[r, u] d_u`, so that few kept edges are few additions, and
//! `dd_u = sum over r of m[r, u] g_r`. The [origin](Origin) of the masks says which of the two `x`
//! is.
//!
//! **Why one operation.** A reader whose masks are all at the origin reads `x` itself, so a group
//! with masks of 1 costs one norm and one product and has the bits of the plain model. For the
//! other readers, both passes take some rows for all readers at a time, so that what the writers
//! add is read from memory once, and the `x_r` never exist all at once. The alternative, a variable
//! for each reader's input, stores them all.

use crate::gemm::scratch::Scratch;
use crate::gemm::{Mat, MatMut, Write, gemm};
use crate::nn::stream::Read;
use crate::ops::{Norm, affine, sum_rows};
use crate::simd::rows::{self, By, First};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Grad, Op, Rules, Tape, Var};
use std::ops::Range;

/// The size in bytes of the rows of a step of the forward pass: about a second-level cache.
const FORWARD_BYTES: usize = 4 << 20;

/// The size in bytes of the rows of a step of the backward pass; small in tests, so that small
/// models take many steps.
const BACKWARD_BYTES: usize = if cfg!(test) { 16 << 10 } else { 16 << 20 };

/// The rows of a step of the backward pass that justify reading weights for them. Where fewer fit
/// with all readers, some readers are taken at a time.
const ENOUGH_ROWS: usize = 8;

/// If at least one mask in this many is not at the origin, a product over all masks is faster than
/// an addition for each that is not.
const DENSE: usize = 16;

/// The intersections of ranges with `rows`, relative to its start.
fn clip(own: &[Range<usize>], rows: &Range<usize>) -> Vec<Range<usize>> {
    let part = |o: &Range<usize>| {
        let part = o.start.max(rows.start)..o.end.min(rows.end);
        (!part.is_empty()).then(|| part.start - rows.start..part.end - rows.start)
    };
    own.iter().filter_map(part).collect()
}

/// What the writers of one part of the model add beyond their baselines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delta {
    /// `[writers, B, T, D]`.
    pub(super) var: Var,
    /// The number of writers.
    pub(super) writers: usize,
}

/// The masks at which a reader reads `x` itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// All 1: `x` is the sum of the writers' outputs.
    Clean,
    /// All 0: `x` is the sum of their baselines.
    Baseline,
}

impl Origin {
    fn mask<T: Element>(self) -> T {
        if self == Origin::Clean { T::ONE } else { T::ZERO }
    }
}

/// Records what a group reads: `x [B, T, D]`, masks `[B or 1, P, R, U]` -> `[B, T, N]`.
///
/// `columns` are those of `read.w` that belong to each reader; without `w` there is one reader. At
/// position `t` the masks are those of `separate[t]`, less than P.
///
/// # Panics
/// If the shapes do not match.
#[track_caller]
pub(super) fn mix<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    read: &Read,
    columns: &[Vec<Range<usize>>],
    (mask, separate): (Var, &[usize]),
    origin: Origin,
    deltas: &[Delta],
) -> Var {
    let &[batch, time, width] = tape.shape(x).dims() else { panic!("a stream of [B, T, D]") };
    let &[mask_batch, places, readers, writers] = tape.shape(mask).dims() else {
        panic!("masks of [B, P, R, U]")
    };
    assert!(mask_batch == 1 || mask_batch == batch, "masks of {mask_batch} examples of {batch}");
    let fits = separate.len() == time && separate.iter().all(|&place| place < places);
    assert!(fits, "masks of {places} places for {time} positions");
    assert_eq!(deltas.iter().map(|d| d.writers).sum::<usize>(), writers, "writers");
    assert!(columns.len() == readers && (read.w.is_some() || readers == 1), "readers");
    let out = read.w.map_or(width, |w| tape.shape(w).last());
    let mut inputs = vec![x, mask];
    let mut place = |var: Option<Var>| {
        var.map(|v| {
            inputs.push(v);
            inputs.len() - 1
        })
    };
    let [gain, norm_bias, w, bias] = [read.gain, read.norm_bias, read.w, read.bias].map(&mut place);
    let sources = deltas
        .iter()
        .map(|d| {
            assert_eq!(tape.shape(d.var).dims(), [d.writers, batch, time, width], "a delta");
            (place(Some(d.var)).expect("given"), d.writers)
        })
        .collect();
    // Contiguous rows of the stream that share their masks.
    let mut pieces: Vec<(usize, Range<usize>)> = vec![];
    for row in 0..batch * time {
        let example = if mask_batch == 1 { 0 } else { row / time };
        let block = example * places + separate[row % time];
        match pieces.last_mut() {
            Some((last, rows)) if *last == block => rows.end = row + 1,
            _ => pieces.push((block, row..row + 1)),
        }
    }
    let op = Mix {
        rows: batch * time,
        width,
        out,
        readers,
        writers,
        norm: read.norm,
        columns: columns.to_vec(),
        pieces,
        origin: origin.mask(),
        at: Layout { gain, norm_bias, w, bias, sources },
    };
    let shape = [batch, time, out];
    tape.push(op, &inputs, &[], shape)
}

/// The indices of the inputs after the stream (0) and the masks (1).
struct Layout {
    gain: Option<usize>,
    norm_bias: Option<usize>,
    w: Option<usize>,
    bias: Option<usize>,
    /// With their numbers of writers.
    sources: Vec<(usize, usize)>,
}

struct Mix<T> {
    /// B T.
    rows: usize,
    /// D.
    width: usize,
    /// N.
    out: usize,
    readers: usize,
    writers: usize,
    norm: Norm,
    columns: Vec<Vec<Range<usize>>>,
    /// The index of a block of masks `[R, U]`, and the rows it applies to.
    pieces: Vec<(usize, Range<usize>)>,
    /// The mask at which an edge changes nothing.
    origin: T,
    at: Layout,
}

/// The inputs of the operation, in either pass.
struct Seen<'a, T> {
    x: &'a [T],
    mask: &'a [T],
    gain: Option<&'a [T]>,
    norm_bias: Option<&'a [T]>,
    /// `[D, N]`.
    w: Option<Mat<'a, T>>,
    bias: Option<&'a [T]>,
    /// With their numbers of writers.
    deltas: Vec<(&'a [T], usize)>,
}

impl<T: Element> Mix<T> {
    fn seen<'a>(
        &self,
        input: impl Fn(usize) -> &'a [T],
        matrix: impl Fn(usize, usize, usize) -> Mat<'a, T>,
    ) -> Seen<'a, T> {
        let at = &self.at;
        Seen {
            x: input(0),
            mask: input(1),
            gain: at.gain.map(&input),
            norm_bias: at.norm_bias.map(&input),
            w: at.w.map(|i| matrix(i, self.width, self.out)),
            bias: at.bias.map(&input),
            deltas: at.sources.iter().map(|&(i, n)| (input(i), n)).collect(),
        }
    }

    /// The masks of reader `r` in block `block`.
    fn masks<'a>(&self, mask: &'a [T], block: usize, r: usize) -> &'a [T] {
        &mask[(block * self.readers + r) * self.writers..][..self.writers]
    }

    /// The rows where reader `r` does not read `x` itself, merged where contiguous.
    fn own_rows(&self, mask: &[T], r: usize) -> Vec<Range<usize>> {
        let mut own: Vec<Range<usize>> = vec![];
        for (block, rows) in &self.pieces {
            if self.masks(mask, *block, r).iter().any(|&m| m != self.origin) {
                match own.last_mut() {
                    Some(last) if last.end == rows.start => last.end = rows.end,
                    _ => own.push(rows.clone()),
                }
            }
        }
        own
    }

    /// The number of readers in a step of the backward pass, and of its rows, at most; a row of a
    /// reader takes `part` elements. Neither depends on how many rows there are, so that the bits
    /// of a gradient do not.
    fn step(&self, part: usize) -> (usize, usize) {
        let bytes = (part * size_of::<T>()).max(1);
        let readers = (BACKWARD_BYTES / (ENOUGH_ROWS * bytes)).clamp(1, self.readers.max(1));
        (readers, (BACKWARD_BYTES / (readers * bytes)).max(1))
    }

    /// The rows of the steps of the backward pass, `most` at a time: some whole pieces, or a part
    /// of one. The parts of a piece begin with it, so that they do not depend on the rows before.
    fn steps(&self, most: usize) -> Vec<Range<usize>> {
        let mut steps: Vec<Range<usize>> = vec![];
        for (_, piece) in &self.pieces {
            match steps.last_mut() {
                Some(last) if piece.end - last.start <= most => last.end = piece.end,
                _ => {
                    // As few parts, but of equal size.
                    let size = piece.len().div_ceil(piece.len().div_ceil(most));
                    let part = |start: usize| start..(start + size).min(piece.end);
                    steps.extend(piece.clone().step_by(size).map(part));
                }
            }
        }
        steps
    }

    /// Computes `x_r` of `readers` at `rows` into `xs [readers, rows, D]`.
    fn mix(&self, seen: &Seen<'_, T>, readers: &[usize], rows: &Range<usize>, xs: &mut [T]) {
        let (width, stream) = (self.width, self.rows * self.width);
        let (count, size) = (readers.len(), rows.len() * width);
        for xs in xs.chunks_exact_mut(size.max(1)) {
            xs.copy_from_slice(&seen.x[rows.start * width..rows.end * width]);
        }
        let mut factors = vec![];
        for (block, piece) in &self.pieces {
            let part = piece.start.max(rows.start)..piece.end.min(rows.end);
            if part.is_empty() {
                continue;
            }
            let (from, to) = (part.start * width, (part.start - rows.start) * width);
            let len = part.len() * width;
            let mut first = 0;
            for &(delta, writers) in &seen.deltas {
                factors.clear();
                for &r in readers {
                    let masks = &self.masks(seen.mask, *block, r)[first..first + writers];
                    factors.extend(masks.iter().map(|&m| m - self.origin));
                }
                first += writers;
                let used = factors.iter().filter(|&&f| f != T::ZERO).count();
                // A product also covers the masks at the origin, but each costs little.
                if DENSE * used > factors.len() && used > 4 {
                    let factors = Mat::new(&factors, count, writers);
                    let delta = Mat::strided(&delta[from..], writers, len, stream, 1);
                    let xs = MatMut::strided(&mut xs[to..], count, len, size);
                    gemm(T::ONE, factors, delta, Write::Add, xs);
                } else if used > 0 {
                    for (i, &factor) in factors.iter().enumerate().filter(|f| *f.1 != T::ZERO) {
                        let (r, u) = (i / writers, i % writers);
                        let delta = &delta[u * stream + from..][..len];
                        let x = &mut xs[r * size + to..][..len];
                        T::vectorize(AddScaled { factor, x: delta, to: x });
                    }
                }
            }
        }
    }

    /// The number of rows in a step of the forward pass, so that the inputs of all readers at these
    /// rows stay in cache; a row of a reader takes `part` elements.
    fn rows_at_a_time(&self, own: &[Vec<Range<usize>>], part: usize) -> usize {
        let has = |own: &&Vec<Range<usize>>, row: usize| {
            let at = own.partition_point(|range| range.end <= row);
            own.get(at).is_some_and(|range| range.contains(&row))
        };
        let readers = |(_, rows): &(usize, Range<usize>)| {
            own.iter().filter(|own| has(own, rows.start)).count()
        };
        let busiest = self.pieces.iter().map(readers).max().unwrap_or(0).max(1);
        let most = (FORWARD_BYTES / (busiest * part * size_of::<T>())).clamp(1, self.rows.max(1));
        // As many steps, but of equal size.
        self.rows.div_ceil(self.rows.div_ceil(most).max(1)).max(1)
    }

    /// The columns of `w` that belong to reader `r`, as matrices `[D, K]` with their first column.
    fn weights<'a>(
        &'a self,
        w: Mat<'a, T>,
        r: usize,
    ) -> impl Iterator<Item = (Range<usize>, Mat<'a, T>)> {
        self.columns[r].iter().map(move |c| (c.clone(), w.columns(c.clone())))
    }

    /// The number of elements that reader `r` reads at one row.
    fn reads(&self, r: usize, w: bool) -> usize {
        if w { self.columns[r].iter().map(Range::len).sum() } else { self.width }
    }
}

impl<T: Element> Op<T> for Mix<T> {
    fn name(&self) -> &'static str {
        "mix"
    }

    /// The norm of the stream, and what the norm's derivative needs.
    fn saves(&self) -> usize {
        self.rows * (self.width + Norm::SAVED)
    }

    fn forward(&self, run: Forward<'_, T>) {
        let seen = self.seen(|i| run.input(i), |i, rows, cols| run.matrix(i, rows, cols));
        let (rows, width, stream) = (self.rows, self.width, self.rows * self.width);
        let (normed, stats) = run.saved.split_at_mut(stream);
        self.norm.forward(width, seen.x, seen.gain, seen.norm_bias, normed, stats);
        let own: Vec<_> = (0..self.readers).map(|r| self.own_rows(seen.mask, r)).collect();
        match seen.w {
            _ if own.iter().all(|own| own.first() == Some(&(0..rows))) => {}
            Some(w) => {
                let x = Mat::new(normed, rows, width);
                affine(x, w, seen.bias, MatMut::new(run.out, rows, self.out));
            }
            None => run.out.copy_from_slice(normed),
        }
        // Readers with masks of their own, some rows at a time.
        let wide = |r: usize| self.reads(r, seen.w.is_some());
        let masked: Vec<usize> = (0..self.readers).filter(|&r| !own[r].is_empty()).collect();
        let Some(widest) = masked.iter().map(|&r| wide(r)).max() else { return };
        let behind = width + Norm::SAVED + widest;
        let most = self.rows_at_a_time(&own, width + behind);
        let work = width * widest;
        let parts = (First(0), By(run.out, (most * self.out).max(1)));
        let chunks = rows.div_ceil(most);
        rows::each(chunks, masked.len() * most * work, parts, |(First(i), By(out, _))| {
            let rows = i * most..(i * most + most).min(rows);
            let n = rows.len();
            let here =
                |&r: &usize| Some((r, clip(&own[r], &rows))).filter(|(_, own)| !own.is_empty());
            let (readers, own): (Vec<usize>, Vec<_>) = masked.iter().filter_map(here).unzip();
            let mut scratch = Scratch::new(readers.len() * n * (width + behind));
            let (xs, rest) = scratch.split_at_mut(readers.len() * n * width);
            self.mix(&seen, &readers, &rows, xs);
            let each = (By(&readers[..], 1), By(&own[..], 1));
            let parts = (each, By(&*xs, n * width), By(&mut *rest, n * behind));
            rows::each(readers.len(), n * work, parts, |(each, By(xs, _), By(rest, _))| {
                let (By(r, _), By(own, _)) = each;
                self.read(&seen, r[0], n, &own[0], xs, rest);
            });
            // Readers own columns of the output, which slices cannot share out; so results are
            // copied here.
            for ((&r, own), rest) in readers.iter().zip(own).zip(rest.chunks_exact(n * behind)) {
                let (y, wide) = (&rest[n * (width + Norm::SAVED)..], wide(r));
                for row in own.into_iter().flatten() {
                    let (from, to) = (&y[row * wide..][..wide], &mut out[row * self.out..]);
                    if seen.w.is_none() {
                        to[..wide].copy_from_slice(from);
                        continue;
                    }
                    let mut first = 0;
                    for c in &self.columns[r] {
                        to[c.clone()].copy_from_slice(&from[first..first + c.len()]);
                        first += c.len();
                    }
                }
            }
        });
    }

    fn backward(&self, run: Backward<'_, T>) {
        let seen = self.seen(|i| run.input(i), |i, rows, cols| run.matrix(i, rows, cols));
        let (rows, width, stream) = (self.rows, self.width, self.rows * self.width);
        let (normed, stats) = run.saved.split_at(stream);
        let (dy, rules) = (run.grad_out, run.rules);
        let at = &self.at;
        let grads = run.grads;
        // Readers add to all gradients one after the other.
        for d in grads.iter_mut().flatten() {
            d.accumulator();
        }
        if let Some(d) = at.bias.and_then(|i| grads[i].as_mut()) {
            sum_rows(dy, d.slice());
        }
        let wants =
            |i: Option<usize>, grads: &[Option<Grad<T>>]| i.is_some_and(|i| grads[i].is_some());
        let wants_w = wants(at.w, grads);
        let wants_norm = wants(at.gain, grads) || wants(at.norm_bias, grads);
        let wants_mask = grads[1].is_some();
        let own: Vec<_> = (0..self.readers).map(|r| self.own_rows(seen.mask, r)).collect();
        let plain = !wants_mask && own.iter().all(Vec::is_empty);

        if plain {
            // All readers read the same stream: one product for all of them.
            let mut scratch = Scratch::new(2 * stream);
            let (dn, dx) = scratch[..2 * stream].split_at_mut(stream);
            match seen.w {
                Some(w) => {
                    let dy = Mat::new(dy, rows, self.out);
                    gemm(T::ONE, dy, w.t(), Write::Store, MatMut::new(dn, rows, width));
                    if wants_w {
                        let d = grads[at.w.expect("wanted")].as_mut().expect("wanted");
                        let x = Mat::new(normed, rows, width);
                        let d = MatMut::new(d.slice(), width, self.out);
                        gemm(T::ONE, x.t(), dy, Write::Add, d);
                    }
                }
                None => dn.copy_from_slice(dy),
            }
            if wants_norm {
                self.norm_gradients(seen.x, stats, dn, grads);
            }
            if let Some(d) = &mut grads[0] {
                self.norm.backward(rules, width, seen.x, seen.gain, stats, dn, dx);
                d.contribute(dx);
            }
            return;
        }

        let part = 3 * width + Norm::SAVED;
        let (chunk, most) = self.step(part);
        let steps = self.steps(most);
        let longest = steps.iter().map(Range::len).max().unwrap_or(0);
        let mut scratch = Scratch::new(chunk * longest * part);
        for rows in steps {
            for first in (0..self.readers).step_by(chunk) {
                let readers = first..(first + chunk).min(self.readers);
                let step = Step { readers, rows: rows.clone(), dy, rules, wants_w, wants_norm };
                self.step_backward(&seen, &step, &own, &mut scratch, grads);
            }
        }
    }
}

/// What a step of the backward pass is of.
struct Step<'a, T> {
    readers: Range<usize>,
    rows: Range<usize>,
    /// The gradient of the output, of all rows.
    dy: &'a [T],
    rules: Rules,
    /// Whether the gradients of the weights are requested, and of the norm's gain or bias.
    wants_w: bool,
    wants_norm: bool,
}

impl<T: Element> Step<'_, T> {
    /// Columns of the gradient of the output, `[rows, K]`.
    fn columns(&self, range: Range<usize>, out: usize) -> Mat<'_, T> {
        let dy = &self.dy[self.rows.start * out + range.start..];
        Mat::strided(dy, self.rows.len(), range.len(), out, 1)
    }
}

impl<T: Element> Mix<T> {
    /// Adds what the readers and rows of a step contribute to all gradients; reader `r` does not
    /// read `x` itself at the rows `own[r]`.
    fn step_backward(
        &self,
        seen: &Seen<'_, T>,
        step: &Step<'_, T>,
        own: &[Vec<Range<usize>>],
        scratch: &mut [T],
        grads: &mut [Option<Grad<T>>],
    ) {
        let (width, n, count) = (self.width, step.rows.len(), step.readers.len());
        let size = n * width;
        let own: Vec<_> =
            own[step.readers.clone()].iter().map(|own| clip(own, &step.rows)).collect();
        let (xs, rest) = scratch.split_at_mut(count * size);
        let (gs, rest) = rest.split_at_mut(count * size);
        let behind = size + n * Norm::SAVED;
        let rest = &mut rest[..count * behind];
        let readers: Vec<usize> = step.readers.clone().collect();
        self.mix(seen, &readers, &step.rows, xs);
        let buffers = (By(&mut *xs, size), By(&mut *gs, size), By(&mut *rest, behind));
        let parts = (First(step.readers.start), By(&own[..], 1), buffers);
        let work = size * self.reads(step.readers.start, seen.w.is_some());
        rows::each(count, work, parts, |(First(r), By(own, _), buffers)| {
            let (By(xs, _), By(gs, _), By(rest, _)) = buffers;
            self.pull(seen, step, r, &own[0], xs, gs, rest);
        });
        let each = xs.chunks_exact(size).zip(gs.chunks_exact_mut(size));
        for (r, ((xs, gs), rest)) in step.readers.clone().zip(each.zip(rest.chunks_exact(behind))) {
            let (dn, stats) = rest.split_at(size);
            if step.wants_w && seen.w.is_some() {
                let d = grads[self.at.w.expect("wanted")].as_mut().expect("wanted");
                let normed = Mat::new(gs, n, width);
                for c in &self.columns[r] {
                    let d = MatMut::strided(&mut d.slice()[c.start..], width, c.len(), self.out);
                    gemm(T::ONE, normed.t(), step.columns(c.clone(), self.out), Write::Add, d);
                }
            }
            if step.wants_w {
                self.norm.backward(step.rules, width, xs, seen.gain, stats, dn, gs);
            }
            if step.wants_norm {
                self.norm_gradients(xs, stats, dn, grads);
            }
            if let Some(d) = &mut grads[0] {
                let to = &mut d.slice()[step.rows.start * width..][..size];
                T::vectorize(AddScaled { factor: T::ONE, x: gs, to });
            }
        }
        self.edge_gradients(seen, step, gs, grads);
    }

    /// Reads `n` rows of reader `r`, `xs [n, D]`, at those of them in `own`: writes the result to
    /// `rest`, after the normed rows and what the norm's derivative needs.
    fn read(
        &self,
        seen: &Seen<'_, T>,
        r: usize,
        n: usize,
        own: &[Range<usize>],
        xs: &[T],
        rest: &mut [T],
    ) {
        let width = self.width;
        let (normed, rest) = rest.split_at_mut(n * width);
        let (stats, y) = rest.split_at_mut(n * Norm::SAVED);
        for rows in own {
            let at = rows.start * width..rows.end * width;
            let stats = &mut stats[rows.start * Norm::SAVED..rows.end * Norm::SAVED];
            let normed = &mut normed[at.clone()];
            let x = &xs[at.clone()];
            self.norm.forward(width, x, seen.gain, seen.norm_bias, normed, stats);
            let Some(w) = seen.w else {
                y[at].copy_from_slice(normed);
                continue;
            };
            let wide = self.reads(r, true);
            let mut first = 0;
            for (columns, w) in self.weights(w, r) {
                let y = &mut y[rows.start * wide + first..];
                let y = MatMut::strided(y, rows.len(), columns.len(), wide);
                let bias = seen.bias.map(|b| &b[columns.clone()]);
                affine(Mat::new(normed, rows.len(), width), w, bias, y);
                first += columns.len();
            }
        }
    }

    /// From the gradient `dy` of the result of reader `r`, computes that of the norm's output into
    /// the front of `rest` and that of its `xs` into `gs`. If the gradient of the weights is
    /// requested, it first restores the normed rows.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the scratch memory")]
    fn pull(
        &self,
        seen: &Seen<'_, T>,
        step: &Step<'_, T>,
        r: usize,
        own: &[Range<usize>],
        xs: &mut [T],
        gs: &mut [T],
        rest: &mut [T],
    ) {
        let (n, width) = (step.rows.len(), self.width);
        let (dn, stats) = rest.split_at_mut(n * width);
        // The rows between the reader's own are those of the stream.
        let x = &seen.x[step.rows.start * width..][..n * width];
        let mut from = 0;
        for (start, end) in own.iter().map(|o| (o.start, o.end)).chain([(n, n)]) {
            let at = from * width..start * width;
            xs[at.clone()].copy_from_slice(&x[at]);
            from = end;
        }
        self.norm.forward(width, xs, seen.gain, seen.norm_bias, gs, stats);
        match seen.w {
            Some(w) => {
                let mut write = Write::Store;
                for (c, w) in self.weights(w, r) {
                    let dy = step.columns(c, self.out);
                    gemm(T::ONE, dy, w.t(), write, MatMut::new(dn, n, width));
                    write = Write::Add;
                }
            }
            None => dn.copy_from_slice(&step.dy[step.rows.start * width..][..n * width]),
        }
        if !step.wants_w {
            self.norm.backward(step.rules, width, xs, seen.gain, stats, dn, gs);
        }
    }

    /// Adds to the gradients of the norm's gain and bias.
    fn norm_gradients(&self, x: &[T], stats: &[T], dn: &[T], grads: &mut [Option<Grad<T>>]) {
        let mut take = |i: Option<usize>| i.and_then(|i| grads[i].take().map(|g| (i, g)));
        let (mut gain, mut bias) = (take(self.at.gain), take(self.at.norm_bias));
        self.norm.parameter_gradients(
            self.width,
            x,
            stats,
            dn,
            gain.as_mut().map(|g| g.1.accumulator()),
            bias.as_mut().map(|g| g.1.accumulator()),
        );
        for (i, g) in [gain, bias].into_iter().flatten() {
            grads[i] = Some(g);
        }
    }

    /// Adds the contributions of a step to the gradients of masks and deltas; the gradients of what
    /// its readers see are `gs [readers, rows, D]`.
    fn edge_gradients(
        &self,
        seen: &Seen<'_, T>,
        step: &Step<'_, T>,
        gs: &[T],
        grads: &mut [Option<Grad<T>>],
    ) {
        let (width, stream, count) = (self.width, self.rows * self.width, step.readers.len());
        let mut factors = vec![];
        for (block, piece) in &self.pieces {
            let rows = piece.start.max(step.rows.start)..piece.end.min(step.rows.end);
            if rows.is_empty() {
                continue;
            }
            let (from, len) = (rows.start * width, rows.len() * width);
            let gs = &gs[(rows.start - step.rows.start) * width..];
            let gs = Mat::strided(gs, count, len, step.rows.len() * width, 1);
            let mut first = 0;
            for (&(i, writers), &(delta, _)) in self.at.sources.iter().zip(&seen.deltas) {
                if let Some(d) = &mut grads[1] {
                    let delta = Mat::strided(&delta[from..], writers, len, stream, 1);
                    let at = (block * self.readers + step.readers.start) * self.writers + first;
                    let d = MatMut::strided(&mut d.slice()[at..], count, writers, self.writers);
                    gemm(T::ONE, gs, delta.t(), Write::Add, d);
                }
                if let Some(d) = &mut grads[i] {
                    factors.clear();
                    for r in step.readers.clone() {
                        let masks = &self.masks(seen.mask, *block, r)[first..first + writers];
                        factors.extend(masks.iter().map(|&m| m - self.origin));
                    }
                    if factors.iter().any(|&f| f != T::ZERO) {
                        let factors = Mat::new(&factors, count, writers);
                        let d = MatMut::strided(&mut d.slice()[from..], writers, len, stream);
                        gemm(T::ONE, factors.t(), gs, Write::Add, d);
                    }
                }
                first += writers;
            }
        }
    }
}

/// `to += factor x`.
struct AddScaled<'a, T> {
    factor: T,
    x: &'a [T],
    to: &'a mut [T],
}

impl<T: Element> Kernel<T> for AddScaled<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let factor = L::splat(self.factor);
        slice::update::<L>(
            self.to,
            self.x,
            #[inline(always)]
            |to: L, x: L| x.mul_add(factor, to),
        );
    }
}
