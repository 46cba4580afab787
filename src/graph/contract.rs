//! First-order scores of all edges from one reverse pass of the plain model.
//!
//! At masks of 1 every reader reads the running sum, so the gradient of a mask needs no masks. Let
//! `g_r` be the gradient of the metric with respect to what reader `r` reads, and `d_u` any
//! direction of what writer `u` adds. Then
//!
//! ```text
//! score[r, u] = sum over examples, positions of <g_r, d_u>
//! ```
//!
//! For `d_u = o_u - b_u` this is the derivative of the metric by the mask at 1: edge attribution
//! patching. The plain reverse pass leaves the gradients of queries, keys and values; `g_r` is
//! their product with the reader's weights, through the norm's derivative. Positions do not mix
//! here, so a few rows of the batch are taken at a time: all `d_u` at these rows are computed once,
//! and one product contracts all readers of a group with all writers. Neither all `d_u` nor all
//! `g_r` ever exist; memory grows with `L D B T`, as the model's own does. A test holds the scores
//! to the derivatives by the masks.

use super::record::{Output, Reading, Recorder};
use super::topology::{Graph, Group};
use crate::gemm::{Mat, MatMut, Write, gemm};
use crate::ops::{Norm, sum_rows};
use crate::simd::rows::{self, By, First};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Program, Var};
use std::ops::Range;

/// Elements of all writers at the rows of a step: enough rows for the products to be efficient, few
/// enough for the third-level cache.
pub(crate) const BANK: usize = 1 << 22;

/// The variables of a recording that scores of edges are computed from.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The graph.
    pub graph: Graph,
    /// The outputs of the parts, in the order of [`Graph::sources`].
    pub outputs: Vec<Output>,
    /// With masks: the baseline of each output.
    pub baselines: Vec<Var>,
    /// With masks: what each writer adds beyond its baseline, `[writers, B, T, D]` for each output.
    pub deltas: Vec<Var>,
    /// With masks: the variables computed for them alone. At masks of 1 nothing reads them.
    pub idle: Vec<Var>,
    /// What is read, in the order of [`Graph::groups`].
    pub readings: Vec<Reading>,
    /// What belongs to no node, by name.
    pub constants: Vec<(String, Var)>,
}

impl From<Recorder<'_>> for Recorded {
    fn from(r: Recorder<'_>) -> Self {
        Recorded {
            graph: r.graph.clone(),
            outputs: r.outputs,
            baselines: r.baselines,
            deltas: r.deltas.iter().map(|d| d.var).collect(),
            idle: r.idle,
            readings: r.readings,
            constants: r.constants,
        }
    }
}

impl Recorded {
    /// The variables whose gradients [`contract`](Self::contract) reads.
    pub fn wanted(&self) -> Vec<Var> {
        // One reader reads all of the norm; the gradients of several are those of their columns.
        let of = |(group, r): (&Group, &Reading)| match r.normed {
            Some(normed) if group.readers.len() == 1 => normed,
            _ => r.y,
        };
        self.graph.groups.iter().zip(&self.readings).map(of).collect()
    }

    /// Adds to `scores [E]` the sum over the batch of `<g_r, d_u>`. `directions` have the shapes of
    /// the [`outputs`](Self::outputs)' variables. The last reverse pass must have computed the
    /// gradients of [`wanted`](Self::wanted).
    ///
    /// # Panics
    /// If there is not one direction for each output, or one score for each edge.
    pub fn contract<T: Element>(
        &self,
        program: &Program<T>,
        directions: &[impl AsRef<[T]> + Sync],
        scores: &mut [f64],
    ) {
        assert_eq!(directions.len(), self.outputs.len(), "directions");
        assert_eq!(scores.len(), self.graph.edges(), "scores");
        let rows = |x: Var| program.shape(x).rows();
        let mut lengths: Vec<usize> = self.readings.iter().map(|r| rows(r.x)).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let groups = &self.graph.groups;
        let mut sums: Vec<Vec<T>> =
            groups.iter().map(|group| vec![T::ZERO; group.edges().len()]).collect();
        for length in lengths {
            // A model with several streams has a bank for each.
            let mut bank = Bank::new(self, program, length);
            for from in (0..length).step_by(bank.tile) {
                let at = from..(from + bank.tile).min(length);
                bank.fill(self, program, directions, at.clone());
                for ((group, reading), sums) in groups.iter().zip(&self.readings).zip(&mut sums) {
                    if rows(reading.x) == length {
                        let gradients = Gradients { program, group, reading, at: at.clone() };
                        self.meet(&gradients, &bank, directions, sums);
                    }
                }
            }
        }
        // A group's sums are freed once they are added: scores that nobody has written take no
        // memory yet, and with an edge for each position both are large.
        for (group, sums) in groups.iter().zip(sums) {
            for (score, sum) in scores[group.edges()].iter_mut().zip(sums) {
                *score += sum.to_f64();
            }
        }
    }

    /// Calls `each` with the `[U, D]` additions of the writers and the sum `[D]` that their readers
    /// read: for each group and row, all writers that the group sees, in order. `directions` have
    /// the shapes of the [`outputs`](Self::outputs)' variables.
    pub fn writings<T: Element>(
        &self,
        program: &Program<T>,
        directions: &[impl AsRef<[T]> + Sync],
        mut each: impl FnMut(ReadSite, &[T], &[T]),
    ) {
        let width = self.graph.d_model;
        let mut lone = vec![T::ZERO; width];
        for (number, (group, reading)) in self.graph.groups.iter().zip(&self.readings).enumerate() {
            let length = program.shape(reading.x).rows();
            let time = program.shape(reading.x).dims()[1];
            let x = program.value(reading.x);
            let mut bank = Bank::new(self, program, length);
            for from in (0..length).step_by(bank.tile) {
                let at = from..(from + bank.tile).min(length);
                bank.fill(self, program, directions, at.clone());
                for row in at.clone() {
                    let x = &x[row * width..][..width];
                    let (example, position) = (row / time, row % time);
                    let place = ReadSite { group: number, example, position, time };
                    for (run, source) in bank.runs(self, group) {
                        for u in run.clone() {
                            let o = match (bank.slots[u], self.outputs[source]) {
                                (Some(slot), _) => {
                                    let row = slot * bank.tile + row - from;
                                    &bank.values[row * width..][..width]
                                }
                                (None, Output::Parts { w, .. }) => {
                                    let n = run.len();
                                    let z = directions[source].as_ref()[row * n + u - run.start];
                                    let w = program.matrix(w, run.len(), width);
                                    w.rows(u - run.start..u - run.start + 1).copy_to(&mut lone);
                                    lone.iter_mut().for_each(|o| *o = z * *o);
                                    &lone
                                }
                                (None, Output::Whole(_)) => unreachable!("of another stream"),
                            };
                            each(place, x, o);
                        }
                    }
                }
            }
        }
    }

    /// Contracts all readers of a group with all writers they see, at the rows of the bank.
    fn meet<T: Element>(
        &self,
        gradients: &Gradients<'_, T>,
        bank: &Bank<T>,
        directions: &[impl AsRef<[T]> + Sync],
        sums: &mut [T],
    ) {
        let Gradients { program, group, reading, ref at } = *gradients;
        let (width, count) = (bank.width, at.len());
        let (readers, seen) = (group.readers.len(), group.upstream.len());
        let time = program.shape(reading.x).dims()[1];
        let chunk = (BANK / (count * width).max(1)).clamp(1, readers);
        let mut gs = vec![T::ZERO; chunk * count * width];
        for first in (0..readers).step_by(chunk) {
            let range = first..(first + chunk).min(readers);
            let gs = &mut gs[..range.len() * count * width];
            gradients.compute(range.clone(), gs);
            for (run, sources) in bank.runs(self, group) {
                let column = run.start - group.upstream.start;
                let Some(slot) = bank.slots[run.start] else {
                    let Output::Parts { w, .. } = self.outputs[sources] else { unreachable!() };
                    let z = directions[sources].as_ref();
                    let w = program.matrix(w, run.len(), width);
                    neurons(
                        gs,
                        (w, run.len()),
                        &z[at.start * run.len()..],
                        bank,
                        at,
                        time,
                        &mut |t, r, dots| {
                            let row = self.graph.separate(group, t) * readers + first + r;
                            sum_rows(dots, &mut sums[row * seen + column..][..dots.len()]);
                        },
                    );
                    continue;
                };
                let stride = bank.tile * width;
                let values = &bank.values[slot * stride..];
                if group.positions == 1 {
                    let g = Mat::new(gs, range.len(), count * width);
                    let d = Mat::strided(values, run.len(), count * width, stride, 1);
                    let c = MatMut::strided(
                        &mut sums[first * seen + column..],
                        range.len(),
                        run.len(),
                        seen,
                    );
                    gemm(T::ONE, g, d.t(), Write::Add, c);
                } else {
                    for (i, row) in at.clone().enumerate() {
                        let g =
                            Mat::strided(&gs[i * width..], range.len(), width, count * width, 1);
                        let d = Mat::strided(&values[i * width..], run.len(), width, stride, 1);
                        let t = self.graph.separate(group, row % time);
                        let from = (t * readers + first) * seen + column;
                        let c = MatMut::strided(&mut sums[from..], range.len(), run.len(), seen);
                        gemm(T::ONE, g, d.t(), Write::Add, c);
                    }
                }
            }
        }
    }
}

/// The position of a read: see [`Recorded::writings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadSite {
    /// The index of the group.
    pub group: usize,
    /// The example in the batch.
    pub example: usize,
    /// The position in the sequence.
    pub position: usize,
    /// Positions of a sequence.
    pub time: usize,
}

/// Neurons as writers: `d_u` would be an outer product, so the gradient is projected onto the
/// neurons instead. Calls `add` with `<g_r, d_u>` of all neurons, by row and reader.
fn neurons<T: Element>(
    gs: &[T],
    (w, neurons): (Mat<'_, T>, usize),
    z: &[T],
    bank: &Bank<T>,
    at: &Range<usize>,
    time: usize,
    add: &mut dyn FnMut(usize, usize, &[T]),
) {
    let (width, count) = (bank.width, at.len());
    let readers = gs.len() / (count * width).max(1);
    let mut dots = vec![T::ZERO; count * neurons];
    for r in 0..readers {
        let g = Mat::new(&gs[r * count * width..], count, width);
        gemm(T::ONE, g, w.t(), Write::Store, MatMut::new(&mut dots, count, neurons));
        for ((row, dots), z) in
            at.clone().zip(dots.chunks_exact_mut(neurons)).zip(z.chunks_exact(neurons))
        {
            T::vectorize(Multiply { x: z, to: dots });
            add(row % time, r, dots);
        }
    }
}

/// The gradients of what the readers of a group read, at a few rows.
struct Gradients<'a, T> {
    program: &'a Program<T>,
    group: &'a Group,
    reading: &'a Reading,
    at: Range<usize>,
}

impl<T: Element> Gradients<'_, T> {
    /// `g_r` of the readers `range` into `gs [range, rows, D]`.
    fn compute(&self, range: Range<usize>, gs: &mut [T]) {
        let Self { program, group, reading, at } = self;
        let read = &reading.read;
        let (width, rules) = (program.shape(reading.x).last(), program.rules());
        let count = at.len();
        let rows = |x: &'_ [T], n: usize| x[at.start * n..at.end * n].to_vec();
        let x = &program.value(reading.x)[at.start * width..at.end * width];
        let [gain, bias] = [read.gain, read.norm_bias].map(|v| v.map(|v| program.value(v)));
        // Recomputes the norm for what its derivative needs.
        let mut stats = vec![T::ZERO; count * Norm::SAVED];
        let mut normed = vec![T::ZERO; count * width];
        read.norm.forward(width, x, gain, bias, &mut normed, &mut stats);
        let n = program.shape(reading.y).last();
        if let (1, Some(normed)) = (group.readers.len(), reading.normed) {
            let dn = rows(program.grad(normed), width);
            return read.norm.backward(rules, width, x, gain, &stats, &dn, gs);
        }
        let dy = &program.grad(reading.y)[at.start * n..at.end * n];
        let parts = (First(range.start), By(gs, count * width));
        rows::each(range.len(), count * width * width, parts, |(First(r), By(g, _))| {
            let Some(w) = read.w else {
                return read.norm.backward(rules, width, x, gain, &stats, dy, g);
            };
            let w = program.matrix(w, width, n);
            let mut dn = vec![T::ZERO; count * width];
            let mut write = Write::Store;
            for c in &group.columns[r] {
                let dy = Mat::strided(&dy[c.start..], count, c.len(), n, 1);
                let w = w.columns(c.clone());
                gemm(T::ONE, dy, w.t(), write, MatMut::new(&mut dn, count, width));
                write = Write::Add;
            }
            read.norm.backward(rules, width, x, gain, &stats, &dn, g);
        });
    }
}

/// `d_u` of all writers of one stream, at a few rows: `[U, tile, D]`.
pub(super) struct Bank<T> {
    values: Vec<T>,
    /// The index of each writer; neurons and writers of other streams have none.
    slots: Vec<Option<usize>>,
    /// The most rows.
    tile: usize,
    width: usize,
}

impl<T: Element> Bank<T> {
    fn new(recorded: &Recorded, program: &Program<T>, length: usize) -> Self {
        let width = recorded.graph.d_model;
        let mut slots = vec![None; recorded.graph.writers.len()];
        let mut count = 0;
        for (source, output) in recorded.graph.sources.iter().zip(&recorded.outputs) {
            let shape = program.shape(output.var());
            let neurons =
                matches!(output, Output::Parts { .. }) && shape.last() == source.writers.len();
            if shape.rows() == length && !neurons {
                for u in source.writers.clone() {
                    slots[u] = Some(count);
                    count += 1;
                }
            }
        }
        let tile = (BANK / (count * width).max(1)).clamp(16, 512).min(length.max(1));
        Bank { values: vec![T::ZERO; count * tile * width], slots, tile, width }
    }

    /// Computes `d_u` at the rows `at`.
    fn fill(
        &mut self,
        recorded: &Recorded,
        program: &Program<T>,
        directions: &[impl AsRef<[T]> + Sync],
        at: Range<usize>,
    ) {
        let (width, count, stride) = (self.width, at.len(), self.tile * self.width);
        let sources = recorded.graph.sources.iter().zip(&recorded.outputs).zip(directions);
        for ((source, output), direction) in sources {
            let Some(slot) = self.slots[source.writers.start] else { continue };
            let direction = direction.as_ref();
            let n = program.shape(output.var()).last();
            let rows = &direction[at.start * n..at.end * n];
            let writers = source.writers.len();
            let room = By(&mut self.values[slot * stride..][..writers * stride], stride);
            match output {
                Output::Whole(_) => rows::each(writers, stride, room, |By(to, _)| {
                    to[..rows.len()].copy_from_slice(rows);
                }),
                Output::Parts { w, .. } => {
                    let (k, w) = (n / writers, program.matrix(*w, n, width));
                    let parts = (First(0), room);
                    rows::each(writers, count * k * width, parts, |(First(u), By(to, _))| {
                        let z = Mat::strided(&rows[u * k..], count, k, n, 1);
                        let w = w.rows(u * k..(u + 1) * k);
                        gemm(T::ONE, z, w, Write::Store, MatMut::new(to, count, width));
                    });
                }
            }
        }
    }

    /// The writers that a group sees: runs that are contiguous in the bank, and runs of neurons,
    /// each with the index of its first source.
    fn runs(&self, recorded: &Recorded, group: &Group) -> Vec<(Range<usize>, usize)> {
        let mut runs: Vec<(Range<usize>, usize)> = vec![];
        for (i, source) in recorded.graph.sources.iter().enumerate() {
            if !group.upstream.contains(&source.writers.start) {
                continue;
            }
            let banked = self.slots[source.writers.start].is_some();
            match runs.last_mut() {
                Some((last, _)) if banked && self.slots[last.start].is_some() => {
                    last.end = source.writers.end;
                }
                _ => runs.push((source.writers.clone(), i)),
            }
        }
        runs
    }
}

/// `to *= x`.
struct Multiply<'a, T> {
    x: &'a [T],
    to: &'a mut [T],
}

impl<T: Element> Kernel<T> for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        slice::update::<L>(
            self.to,
            self.x,
            #[inline(always)]
            |to, x| to * x,
        );
    }
}
