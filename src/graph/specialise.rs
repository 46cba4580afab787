//! A circuit as a smaller program.
//!
//! The masked model computes everything and then mixes most of it away. A *specialised* recording
//! has only the heads, neurons and MLPs from which a kept edge reaches the logits: their columns
//! and rows of the weights, and a mix over the kept writers alone. The ablated edges of each group
//! of readers together carry one constant stream:
//!
//! ```text
//! x_r = c + sum over kept u of (o_u - b_u)
//! c   = sum of all b_u before the group, and constants
//! ```
//!
//! This is the masked model's `x_r` in another order of summation. A group whose edges are all
//! kept, and whose writers are all computed, reads the running sum of the plain model instead: the
//! circuit of all edges has the bits of the plain model.
//!
//! **Why a second recording.** The model records itself against a [`Stream`], which says what of it
//! is computed, so the tape needs to know no operation by name. The alternative, rewriting a
//! recorded tape, would need rules for every operation.

use super::connect::Flow;
use super::mix::{Delta, Origin, mix};
use super::record::{Beyond, Output};
use super::shares::{self, Shares};
use super::topology::{Graph, Group};
use crate::formats::edge_name::Node;
use crate::gemm::{Mat, MatMut, Write, gemm};
use crate::nn::stream::{Read, Reader, Share, Stream, Sum, Writer, Written};
use crate::nn::transformer::{Config, Model};
use crate::simd::Element;
use crate::tape::{Program, Tape, Var};
use std::ops::Range;
use std::slice;

/// The part of a parameter that a leaf holds.
#[derive(Debug)]
enum Pick {
    /// These columns of each row.
    Columns(Vec<Range<usize>>),
    /// These rows.
    Rows(Vec<Range<usize>>),
}

/// A leaf that holds a part of a parameter.
#[derive(Debug)]
struct Picked {
    leaf: Var,
    parameter: Var,
    pick: Pick,
}

/// The baseline of a source in the recording.
#[derive(Debug)]
struct Base {
    source: usize,
    leaf: Var,
    /// The columns of the source's output that are computed; empty for all.
    columns: Vec<Range<usize>>,
}

/// A reader's index in its group, and its columns.
type Own = (usize, Vec<Range<usize>>);

/// The part of a transformer that a circuit needs, and the [`Stream`] that records it.
#[derive(Debug)]
pub struct Specialised<'g> {
    graph: &'g Graph,
    config: &'g Config,
    batch: usize,
    time: usize,
    /// `[E]`, the kept edges that reach the logits.
    live: Vec<bool>,
    /// `[U]`, the writers that are computed.
    writers: Vec<bool>,
    /// For each group, whether it reads the running sum.
    plain: Vec<bool>,
    /// `[U]`, the writers that a group which does not reads.
    asked: Vec<bool>,
    sum: Sum,
    /// For each source, what its computed writers add beyond their baselines, if any group reads
    /// it.
    deltas: Vec<Option<Delta>>,
    bases: Vec<Base>,
    picked: Vec<Picked>,
    /// The groups that read a constant stream, with that stream.
    constants: Vec<(usize, Var)>,
    /// The variables of the masks, with their values.
    masks: Vec<(Var, Vec<bool>)>,
}

impl<'g> Specialised<'g> {
    /// The part of a model that the edges `kept [E]` need, for `batch` sequences of `time` tokens.
    ///
    /// With `resampled`, baselines are the writers' outputs in a run whose edges all carry
    /// baselines (resample ablation). A part without a kept path from the input then writes its
    /// baseline, and is left out.
    ///
    /// # Panics
    /// If `kept` is not `[E]`.
    pub fn new(
        graph: &'g Graph,
        config: &'g Config,
        kept: &[bool],
        resampled: bool,
        batch: usize,
        time: usize,
    ) -> Self {
        let flow = Flow::new(graph);
        let live = if resampled { flow.connected(kept) } else { flow.leading(kept) };
        let mut writers = vec![false; graph.writers.len()];
        for e in (0..live.len()).filter(|&e| live[e]) {
            writers[graph.place(e).3] = true;
        }
        for source in &graph.sources {
            let together = match source.part {
                Writer::Attention(_) => graph.interact.0,
                Writer::Mlp(_) => graph.interact.1,
                Writer::Embed | Writer::Pos => false,
            };
            // Writers that share a divisor are all computed, or none.
            let writers = &mut writers[source.writers.clone()];
            if together && writers.contains(&true) {
                writers.fill(true);
            }
        }
        let plain = graph.groups.iter().map(|g| {
            let all = live[g.edges()].iter().all(|&live| live);
            all && writers[g.upstream.clone()].iter().all(|&live| live)
        });
        let plain: Vec<bool> = plain.collect();
        let mut asked = vec![false; writers.len()];
        for e in (0..live.len()).filter(|&e| live[e]) {
            let (group, _, _, writer) = graph.place(e);
            asked[writer] |= !plain[group];
        }
        Specialised {
            plain,
            asked,
            deltas: vec![None; graph.sources.len()],
            graph,
            config,
            batch,
            time,
            live,
            writers,
            sum: Sum::default(),
            bases: vec![],
            picked: vec![],
            constants: vec![],
            masks: vec![],
        }
    }

    /// The computed writers of a source, by their index in it.
    fn computed(&self, source: usize) -> Vec<usize> {
        let writers = self.graph.sources[source].writers.clone();
        writers.clone().filter(|&u| self.writers[u]).map(|u| u - writers.start).collect()
    }

    /// The computed heads of a layer, or the computed neurons.
    fn parts(&self, part: Writer) -> Vec<usize> {
        let found = self.graph.sources.iter().position(|s| s.part == part);
        found.map_or(vec![], |source| self.computed(source))
    }

    /// A leaf for a part of a parameter, or the parameter itself if all of it is needed.
    fn pick<T: Element>(&mut self, tape: &mut Tape<T>, parameter: Var, pick: Pick) -> Var {
        let shape = tape.shape(parameter).dims().to_vec();
        let size = |ranges: &[Range<usize>]| ranges.iter().map(Range::len).sum::<usize>();
        let dims = match (&pick, &shape[..]) {
            (Pick::Columns(ranges), &[_]) => vec![size(ranges)],
            (Pick::Columns(ranges), &[d, _]) => vec![d, size(ranges)],
            (Pick::Rows(ranges), &[_, d]) => vec![size(ranges), d],
            _ => unreachable!("weights are matrices, biases are rows"),
        };
        let leaf = tape.leaf("part", dims);
        self.picked.push(Picked { leaf, parameter, pick });
        leaf
    }

    /// The columns of the reading weight that are computed, in their new order, and the new columns
    /// of each live reader of the group.
    fn layout(&self, group: &Group) -> (Vec<Range<usize>>, Vec<Own>) {
        let &Config { heads, kv_heads, d_head, d_mlp, gated, .. } = self.config;
        let mut readers = vec![];
        match group.part {
            Reader::Attention(_) if self.graph.interact.0 => {
                // All heads are computed.
                let readers = group.columns.iter().cloned().enumerate().collect();
                (std::iter::once(0..self.config.d_qkv()).collect(), readers)
            }
            Reader::Attention(layer) => {
                // Each computed head gets keys and values of its own, even if it shared them.
                let live = self.parts(Writer::Attention(layer));
                let shared = heads / kv_heads;
                let old = |part: usize, h: usize| match part {
                    0 => h,
                    part => heads + (part - 1) * kv_heads + h / shared,
                };
                let block = |i: usize| i * d_head..(i + 1) * d_head;
                let parts = (0..3).flat_map(|part| live.iter().map(move |&h| (part, h)));
                let from: Vec<usize> = parts.map(|(part, h)| old(part, h)).collect();
                for (r, reader) in group.readers.iter().enumerate() {
                    let serves = |h: usize| match reader.node {
                        Node::Head { head, .. } => head == h,
                        Node::KeyValue { head, .. } => head == h / shared,
                        _ => unreachable!("attention is read by heads"),
                    };
                    let olds: Vec<usize> =
                        group.columns[r].iter().map(|c| c.start / d_head).collect();
                    let mine =
                        |&at: &usize| olds.contains(&from[at]) && serves(live[at % live.len()]);
                    let columns: Vec<_> = (0..from.len()).filter(mine).map(block).collect();
                    if !columns.is_empty() {
                        readers.push((r, columns));
                    }
                }
                (from.into_iter().map(block).collect(), readers)
            }
            Reader::Mlp(layer) if self.graph.granularity.neurons => {
                let live = self.parts(Writer::Mlp(layer));
                let halves = 1 + usize::from(gated);
                for (i, &j) in live.iter().enumerate() {
                    let columns = (0..halves).map(|half| half * live.len() + i);
                    readers.push((j, columns.map(|c| c..c + 1).collect()));
                }
                let from = (0..halves).flat_map(|half| live.iter().map(move |&j| half * d_mlp + j));
                (from.map(|c| c..c + 1).collect(), readers)
            }
            Reader::Mlp(_) | Reader::Logits => {
                (group.columns[0].clone(), vec![(0, group.columns[0].clone())])
            }
        }
    }

    /// Sets weights and masks.
    ///
    /// # Panics
    /// If the program is not the one that was recorded.
    pub fn install<T: Element>(&self, program: &mut Program<T>, model: &Model<T>, all: &[Var]) {
        for Picked { leaf, parameter, pick } in &self.picked {
            let at = all.iter().position(|x| x == parameter).expect("a parameter");
            let (weight, width) = (&model.weights[at], program.shape(*parameter).last());
            let count = weight.len() / width;
            let (every_row, every_column) = (0..count, 0..width);
            let (rows, columns) = match pick {
                Pick::Columns(ranges) => (slice::from_ref(&every_row), &ranges[..]),
                Pick::Rows(ranges) => (&ranges[..], slice::from_ref(&every_column)),
            };
            // Row by row: as one slice, a weight in panels is kept a second time.
            let (matrix, mut row) = (weight.matrix(count, width), vec![T::ZERO; width]);
            let mut to = program.value_mut(*leaf).iter_mut();
            for i in rows.iter().cloned().flatten() {
                matrix.rows(i..i + 1).copy_to(&mut row);
                let picked = columns.iter().flat_map(|r| &row[r.clone()]);
                picked.zip(&mut to).for_each(|(&from, to)| *to = from);
            }
        }
        for (mask, kept) in &self.masks {
            let values = program.value_mut(*mask).iter_mut().zip(kept);
            values.for_each(|(m, &kept)| *m = if kept { T::ONE } else { T::ZERO });
        }
    }

    /// Sets what ablated edges carry: the `baselines` of all sources as the dense model writes
    /// them, `[B, T, D]` or before their output weight.
    ///
    /// # Panics
    /// If they have other sizes.
    pub fn set_baselines<T: Element>(
        &self,
        program: &mut Program<T>,
        model: &Model<T>,
        baselines: &[Vec<T>],
    ) {
        for Base { source, leaf, columns } in &self.bases {
            let from = &baselines[*source];
            let to = program.value_mut(*leaf);
            if columns.is_empty() {
                to.copy_from_slice(from);
                continue;
            }
            let rows = self.batch * self.time;
            let rows = from.chunks_exact(from.len() / rows);
            let parts = rows.flat_map(|row| columns.iter().flat_map(|c| &row[c.clone()]));
            to.iter_mut().zip(parts).for_each(|(to, &from)| *to = from);
        }
        let mut streams = Streams::new(self, model, baselines);
        for &(g, leaf) in &self.constants {
            program.set(leaf, streams.before(&self.graph.groups[g]));
        }
    }
}

/// The running sum of baselines and constants, computed as far as needed.
struct Streams<'a, T: Element> {
    graph: &'a Graph,
    model: &'a Model<T>,
    baselines: &'a [Vec<T>],
    rows: usize,
    /// `[B, T, D]`.
    sum: Vec<T>,
    /// The number of sources in it.
    added: usize,
}

impl<'a, T: Element> Streams<'a, T> {
    fn new(s: &Specialised<'a>, model: &'a Model<T>, baselines: &'a [Vec<T>]) -> Self {
        let (rows, d) = (s.batch * s.time, s.config.d_model);
        let mut streams = Streams {
            graph: s.graph,
            model,
            baselines,
            rows,
            sum: vec![T::ZERO; rows * d],
            added: 0,
        };
        // Positions that belong to no node.
        let inputs = s.graph.inputs();
        let placed = s.graph.sources[..inputs].iter().any(|s| s.part == Writer::Pos);
        if !placed && let Some(positions) = streams.parameter("pos_embed.W_pos") {
            for (row, sum) in streams.sum.chunks_exact_mut(d).enumerate() {
                let at = row % s.time * d;
                sum.copy_from_slice(&positions[at..at + d]);
            }
        }
        streams
    }

    fn parameter(&self, name: &str) -> Option<&'a [T]> {
        let list = self.model.config.parameters();
        let at = list.iter().position(|p| p.name == name)?;
        Some(&self.model.weights[at])
    }

    /// `[B, T, D]`, what a group reads if all its edges are ablated.
    fn before(&mut self, group: &Group) -> &[T] {
        let graph = self.graph;
        while let Some(source) = graph.sources.get(self.added)
            && source.writers.end <= group.upstream.end
        {
            let parts = match source.part {
                Writer::Attention(layer) => Some((layer, true)),
                Writer::Mlp(layer) if graph.granularity.neurons => Some((layer, false)),
                _ => None,
            };
            let z = &self.baselines[self.added];
            match parts {
                None => self.sum.iter_mut().zip(z).for_each(|(s, &z)| *s += z),
                Some((layer, attention)) => {
                    let (w, bias) = shares::rows(self.model, layer, attention);
                    let (n, d) = (z.len() / self.rows, graph.d_model);
                    let c = MatMut::new(&mut self.sum, self.rows, d);
                    gemm(T::ONE, Mat::new(z, self.rows, n), Mat::new(&w, n, d), Write::Add, c);
                    for sum in self.sum.chunks_exact_mut(d) {
                        let bias = bias.iter().flatten();
                        sum.iter_mut().zip(bias).for_each(|(s, &b)| *s += b);
                    }
                }
            }
            self.added += 1;
        }
        &self.sum
    }
}

impl<T: Element> Stream<T> for Specialised<'_> {
    fn write(&mut self, tape: &mut Tape<T>, written: Written) {
        let Written { by, z, w, norm, .. } = written;
        let graph = self.graph;
        let Some(source) = graph.sources.iter().position(|s| s.part == by) else {
            // The first part of a joint input, or positions that belong to no node.
            self.sum.add(tape, written);
            return;
        };
        let writers = graph.sources[source].writers.clone();
        let input = source < graph.inputs();
        let summed = (0..graph.groups.len())
            .any(|g| self.plain[g] && graph.groups[g].upstream.end >= writers.end);
        let asked = self.asked[writers.clone()].contains(&true);
        let added = (summed || input).then(|| self.sum.add(tape, written));
        if !asked {
            return;
        }
        let computed = self.computed(source);
        let (output, columns) = match (w.filter(|_| graph.divided(by)), norm) {
            (Some(_), Some(after)) => {
                let Shares { z, w, .. } = Shares::record(tape, &written, after, computed.len());
                (Output::Parts { z, w }, vec![])
            }
            (Some(w), None) => {
                let wide = tape.shape(w).dims()[0] / writers.len();
                let rows: Vec<_> = computed.iter().map(|&i| i * wide..(i + 1) * wide).collect();
                let part = computed.len() < writers.len();
                let w = if part { self.pick(tape, w, Pick::Rows(rows.clone())) } else { w };
                (Output::Parts { z, w }, rows)
            }
            // The whole start of the stream.
            (None, _) if by == Writer::Pos && source == 0 => {
                (Output::Whole(self.sum.so_far()), vec![])
            }
            (None, _) => {
                let added = added.unwrap_or_else(|| Sum::default().add(tape, written));
                (Output::Whole(added), vec![])
            }
        };
        let Beyond { baseline, delta, .. } = Beyond::record(tape, output, computed.len());
        self.bases.push(Base { source, leaf: baseline, columns });
        self.deltas[source] = Some(delta);
    }

    fn read(&mut self, tape: &mut Tape<T>, read: Read) -> Var {
        let g = self.graph.group(read.by);
        if self.plain[g] {
            return self.sum.reads(tape, &read).1;
        }
        let group = &self.graph.groups[g];
        let x = tape.leaf("baselines", [self.batch, self.time, self.config.d_model]);
        self.constants.push((g, x));
        let (from, readers) = self.layout(group);
        let read = Read {
            w: read.w.map(|w| self.pick(tape, w, Pick::Columns(from.clone()))),
            bias: read.bias.map(|b| self.pick(tape, b, Pick::Columns(from))),
            ..read
        };
        // The computed writers before this group that any group reads, in order.
        let (mut deltas, mut writers) = (vec![], vec![]);
        for (s, source) in self.graph.sources.iter().enumerate() {
            if let Some(delta) = self.deltas[s]
                && group.upstream.contains(&source.writers.start)
            {
                deltas.push(delta);
                writers.extend(self.computed(s).into_iter().map(|i| source.writers.start + i));
            }
        }
        if writers.is_empty() {
            return Sum::of(x).reads(tape, &read).1;
        }
        let mask = tape.leaf("mask", [1, group.positions, readers.len(), writers.len()]);
        let mut kept = vec![];
        for t in 0..group.positions {
            for (r, _) in &readers {
                let edge = |&u: &usize| self.live[self.graph.number(g, t, *r, u)];
                kept.extend(writers.iter().map(edge));
            }
        }
        self.masks.push((mask, kept));
        let columns: Vec<_> = readers.into_iter().map(|(_, columns)| columns).collect();
        let separate = self.graph.separates(group, self.time);
        mix(tape, x, &read, &columns, (mask, &separate), Origin::Baseline, &deltas)
    }

    fn share(&self, layer: usize, whole: Share) -> Share {
        let heads = self.parts(Writer::Attention(layer)).len();
        let attention = self.graph.group(Reader::Attention(layer));
        let apart = !(self.plain[attention] || self.graph.interact.0);
        let kv_heads = if apart || heads != whole.heads { heads } else { whole.kv_heads };
        let neurons = match self.parts(Writer::Mlp(layer)).len() {
            0 => 0,
            n if self.graph.granularity.neurons => n,
            _ => whole.neurons,
        };
        Share { heads, kv_heads, neurons }
    }

    fn heads(&self, layer: usize, _: usize) -> Vec<usize> {
        self.parts(Writer::Attention(layer))
    }
}
