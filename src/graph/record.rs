//! Recording a model with access to the edges of its graph.

use super::mix::{Delta, Origin, mix};
use super::shares::Shares;
use super::topology::Graph;
use crate::nn::stream::{Read, Stream, Sum, Writer, Written};
use crate::ops::{self, MatMul};
use crate::simd::Element;
use crate::tape::{Tape, Var};

/// The output of a part of the model.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    /// One writer: `o [B, T, D]`.
    Whole(Var),
    /// Several writers side by side: writer `u` adds `z[.., u] w[u]`. Ablation values of heads live
    /// in `z`, before `W_O`: zeros, means and another run's values are the same there, at a twelfth
    /// of the memory, and no constant of a head is one that the head cannot write.
    Parts {
        /// `[B, T, writers K]`.
        z: Var,
        /// `[writers K, D]`.
        w: Var,
    },
}

impl Output {
    /// The variable of the writers' outputs: `o [B, T, D]`, or `z [B, T, writers K]`.
    pub fn var(self) -> Var {
        match self {
            Output::Whole(o) => o,
            Output::Parts { z, .. } => z,
        }
    }
}

/// What a group of readers reads in a recording.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The norm and the weights of the read.
    pub read: Read,
    /// `[B, T, D]`, the running sum it reads.
    pub x: Var,
    /// `[B, T, N]`, the result.
    pub y: Var,
    /// `[B, T, D]`, the norm of `x`, if there is one and no masks.
    pub normed: Option<Var>,
    /// `[B or 1, P, R, U]`, the masks of its edges, if the recording has masks: P positions or
    /// spans are separate.
    pub mask: Option<Var>,
}

/// The masks of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskShape {
    /// Whether each example of the batch has masks of its own.
    pub per_example: bool,
}

/// A [`Stream`] that records the outputs of all writers and what all readers read. Without masks it
/// records the plain model; with masks, every group reads through the edge mix.
#[derive(Debug)]
pub struct Recorder<'g> {
    pub(super) graph: &'g Graph,
    masks: Option<MaskShape>,
    sum: Sum,
    /// The outputs of the parts, in the order of [`Graph::sources`].
    pub outputs: Vec<Output>,
    /// With masks: the baseline of each output, a leaf of the same shape that starts as zeros.
    pub baselines: Vec<Var>,
    pub(super) deltas: Vec<Delta>,
    /// With masks: the variables computed for them alone. At masks of 1 nothing reads them.
    pub idle: Vec<Var>,
    /// What was read, in the order of [`Graph::groups`].
    pub readings: Vec<Reading>,
    /// What was added to the stream but belongs to no node, by name.
    pub constants: Vec<(String, Var)>,
}

impl<'g> Recorder<'g> {
    /// Records a model whose graph is `graph`.
    pub fn new(graph: &'g Graph, masks: Option<MaskShape>) -> Self {
        Recorder {
            graph,
            masks,
            sum: Sum::default(),
            outputs: vec![],
            baselines: vec![],
            deltas: vec![],
            idle: vec![],
            readings: vec![],
            constants: vec![],
        }
    }

    /// Starts a new stream, for a model whose parts do not all share one.
    pub(crate) fn restart(&mut self) {
        self.sum = Sum::default();
    }

    /// The sum of what was written so far, `[B, T, D]`.
    pub fn so_far(&self) -> Var {
        self.sum.so_far()
    }

    /// Records what the latest writers add beyond their baselines.
    fn delta<T: Element>(&mut self, tape: &mut Tape<T>, output: Output, writers: usize) {
        let Beyond { baseline, delta, computed } = Beyond::record(tape, output, writers);
        self.baselines.push(baseline);
        self.idle.extend(computed);
        self.deltas.push(delta);
    }
}

/// What writers add beyond their baselines, in a recording.
pub(super) struct Beyond {
    /// A leaf of zeros in the shape of the output's variable.
    pub(super) baseline: Var,
    pub(super) delta: Delta,
    /// The variables computed for it.
    pub(super) computed: Vec<Var>,
}

impl Beyond {
    pub(super) fn record<T: Element>(tape: &mut Tape<T>, output: Output, writers: usize) -> Self {
        let var = output.var();
        let shape = tape.shape(var).clone();
        let baseline = tape.leaf("baseline", shape.clone());
        let beyond = ops::sub(tape, var, baseline);
        let mut computed = vec![beyond];
        let &[b, t, n] = shape.dims() else { unreachable!("streams have three axes") };
        let var = match output {
            Output::Whole(_) => tape.reshape(beyond, [1, b, t, n]),
            Output::Parts { w, .. } => {
                let (k, d) = (n / writers, tape.shape(w).last());
                let parts = tape.reshape(beyond, [b * t, writers, k]);
                let parts = ops::permute(tape, parts, &[1, 0, 2]);
                let w = tape.reshape(w, [writers, k, d]);
                let product = ops::matmul(tape, parts, w, MatMul::default());
                computed.extend([parts, product]);
                tape.reshape(product, [writers, b, t, d])
            }
        };
        Beyond { baseline, delta: Delta { var, writers }, computed }
    }
}

impl<T: Element> Stream<T> for Recorder<'_> {
    fn write(&mut self, tape: &mut Tape<T>, written: Written) {
        let Written { by, z, w, bias, norm } = written;
        let part = self.graph.sources.get(self.outputs.len()).filter(|s| s.part == by);
        if let (Some(after), Some(source)) = (norm, part)
            && self.graph.divided(by)
        {
            let writers = source.writers.len();
            let shares = Shares::record(tape, &written, after, writers);
            let added = shares.sum(tape);
            self.sum.put(tape, added);
            self.outputs.push(Output::Parts { z: shares.z, w: shares.w });
            if self.masks.is_some() {
                self.delta(tape, Output::Parts { z: shares.z, w: shares.w }, writers);
            }
            return;
        }
        let added = self.sum.add(tape, written);
        let Some(source) = part else {
            match by {
                // The first part of a joint input waits for the second.
                Writer::Embed => {}
                Writer::Pos => self.constants.push(("pos".into(), added)),
                other => panic!("{other:?} is not a writer of the graph"),
            }
            return;
        };
        let writers = source.writers.len();
        let joint = by == Writer::Pos && self.outputs.is_empty();
        let output = match (by, w) {
            _ if joint => Output::Whole(self.sum.so_far()),
            (Writer::Attention(l), Some(w)) => {
                self.constants.extend(bias.map(|b| (format!("a{l}.b_O"), b)));
                Output::Parts { z, w }
            }
            (Writer::Mlp(l), Some(w)) if self.graph.granularity.neurons => {
                self.constants.extend(bias.map(|b| (format!("m{l}.b_out"), b)));
                Output::Parts { z, w }
            }
            _ => Output::Whole(added),
        };
        self.outputs.push(output);
        if self.masks.is_some() {
            self.delta(tape, output, writers);
        }
    }

    fn read(&mut self, tape: &mut Tape<T>, read: Read) -> Var {
        let group = &self.graph.groups[self.readings.len()];
        assert_eq!(group.part, read.by, "the graph of another model");
        let x = self.sum.so_far();
        let (y, normed, mask) = match self.masks {
            None => {
                let (normed, y) = self.sum.reads(tape, &read);
                (y, (normed != x).then_some(normed), None)
            }
            Some(shape) => {
                let batch = if shape.per_example { tape.shape(x).dims()[0] } else { 1 };
                let dims = [batch, group.positions, group.readers.len(), group.upstream.len()];
                let mask = tape.leaf("mask", dims);
                let separate = self.graph.separates(group, tape.shape(x).dims()[1]);
                let upstream = self.graph.sources.iter().zip(&self.deltas);
                let upstream = upstream.filter(|(s, _)| group.upstream.contains(&s.writers.start));
                let deltas: Vec<Delta> = upstream.map(|(_, &d)| d).collect();
                (
                    mix(tape, x, &read, &group.columns, (mask, &separate), Origin::Clean, &deltas),
                    None,
                    Some(mask),
                )
            }
        };
        self.readings.push(Reading { read, x, y, normed, mask });
        y
    }
}
