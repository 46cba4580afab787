//! The residual stream: the parts of a model write to it and read from it.
//!
//! A model records itself against a [`Stream`]. [`Sum`] is the plain one: a running sum that every
//! part reads. Masked graphs, adapters and specialised circuits are others: they know who wrote
//! what and can give every reader a sum of its own. The model knows of none of them.

use crate::ops::{self, Norm};
use crate::simd::Element;
use crate::tape::{Tape, Var};

/// A part of a model that writes to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Writer {
    /// The token embeddings.
    Embed,
    /// The position embeddings.
    Pos,
    /// The attention of a layer: all its heads.
    Attention(usize),
    /// The MLP of a layer: all its neurons.
    Mlp(usize),
}

/// A part of a model that reads the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reader {
    /// The attention of a layer: queries, keys and values of all its heads.
    Attention(usize),
    /// The MLP of a layer: all its neurons.
    Mlp(usize),
    /// The unembedding.
    Logits,
}

/// What a part writes: `z w + bias`, or `z` itself without `w`; with a norm after it, the norm of
/// that.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Who writes.
    pub by: Writer,
    /// `[B, T, N]`: the heads' mixed values side by side, the neurons' activations, or a sum.
    pub z: Var,
    /// `[N, D]`.
    pub w: Option<Var>,
    /// `[D]`.
    pub bias: Option<Var>,
    /// The norm of what the part adds, if one stands after it.
    pub norm: Option<AfterNorm>,
}

impl Written {
    /// Records what it adds to the stream, `[B, T, D]`.
    pub fn record<T: Element>(&self, tape: &mut Tape<T>) -> Var {
        let added = self.before_norm(tape);
        match self.norm {
            Some(AfterNorm { norm, gain }) => norm.record(tape, added, Some(gain), None),
            None => added,
        }
    }

    /// The same without the norm after it.
    pub fn before_norm<T: Element>(&self, tape: &mut Tape<T>) -> Var {
        match (self.w, self.bias) {
            (Some(w), bias) => ops::project(tape, self.z, w, bias),
            (None, Some(bias)) => ops::add(tape, self.z, bias),
            (None, None) => self.z,
        }
    }
}

/// A norm after a part.
#[derive(Clone, Copy, Debug)]
pub struct AfterNorm {
    /// The norm.
    pub norm: Norm,
    /// `[D]`, its gain.
    pub gain: Var,
}

/// What a part reads: `norm(x) w + bias`, or `norm(x)` without `w`.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Who reads.
    pub by: Reader,
    /// The norm.
    pub norm: Norm,
    /// `[D]`, the gain of the norm.
    pub gain: Option<Var>,
    /// `[D]`, the bias of the norm.
    pub norm_bias: Option<Var>,
    /// `[D, N]`: queries, keys and values of all heads side by side; the neurons (for a gated MLP
    /// all gates, then all values).
    pub w: Option<Var>,
    /// `[N]`.
    pub bias: Option<Var>,
}

/// The heads and neurons of a layer that are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Query heads.
    pub heads: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Neurons.
    pub neurons: usize,
}

/// Where the parts of a model write to and read from. All variables are `[B, T, ..]`.
pub trait Stream<T: Element> {
    /// Adds to the stream.
    fn write(&mut self, tape: &mut Tape<T>, written: Written);

    /// Reads all that was written so far.
    ///
    /// # Panics
    /// If nothing was.
    fn read(&mut self, tape: &mut Tape<T>, read: Read) -> Var;

    /// The heads and neurons of a transformer layer that are computed: all of them, unless the
    /// stream leaves some out. The activations are then as much narrower, and a part with nothing
    /// left neither reads nor writes.
    fn share(&self, _layer: usize, whole: Share) -> Share {
        whole
    }

    /// Which of the `heads` query heads of a layer are computed, in order: those of the
    /// [share](Self::share).
    fn heads(&self, _layer: usize, heads: usize) -> Vec<usize> {
        (0..heads).collect()
    }
}

/// The plain stream: one running sum for all readers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(Option<Var>);

impl Sum {
    /// A stream that holds `x [B, T, D]`.
    pub fn of(x: Var) -> Sum {
        Sum(Some(x))
    }

    /// The sum of what was written so far, `[B, T, D]`.
    ///
    /// # Panics
    /// If nothing was.
    pub fn so_far(&self) -> Var {
        self.0.expect("something was written")
    }

    /// Adds what a part writes, and returns that: `[B, T, D]`.
    pub fn add<T: Element>(&mut self, tape: &mut Tape<T>, written: Written) -> Var {
        let added = written.record(tape);
        self.put(tape, added);
        added
    }

    /// Adds `x [B, T, D]`.
    pub fn put<T: Element>(&mut self, tape: &mut Tape<T>, x: Var) {
        self.0 = Some(match self.0 {
            Some(sum) => ops::add(tape, sum, x),
            None => x,
        });
    }

    /// Reads the sum: its norm `[B, T, D]`, and the result of the read `[B, T, N]`.
    pub fn reads<T: Element>(&self, tape: &mut Tape<T>, read: &Read) -> (Var, Var) {
        let normed = read.norm.record(tape, self.so_far(), read.gain, read.norm_bias);
        let y = read.w.map_or(normed, |w| ops::project(tape, normed, w, read.bias));
        (normed, y)
    }
}

impl<T: Element> Stream<T> for Sum {
    fn write(&mut self, tape: &mut Tape<T>, written: Written) {
        self.add(tape, written);
    }

    fn read(&mut self, tape: &mut Tape<T>, read: Read) -> Var {
        self.reads(tape, &read).1
    }
}
