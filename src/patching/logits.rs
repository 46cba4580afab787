//! The logits of a whole model for sequences of tokens.

use crate::checkpoints::{AnyModel, Family};
use crate::error::Result;
use crate::memory;
use crate::nn::pooled;
use crate::nn::pooled::Pooled;
use crate::nn::stream::Sum;
use crate::nn::transformer::{Config, Model, Transformer};
use crate::simd::Element;
use crate::tape::{Program, Tape, Var};
use crate::tensor::Buffer;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// What the activations of one batch may take, unless a single sequence takes more.
pub(super) const BATCH_BYTES: usize = 256 << 20;

/// The sequences `rows` by their length, by number.
pub fn by_length(rows: &[Vec<u32>]) -> BTreeMap<usize, Vec<usize>> {
    let mut lengths = BTreeMap::<usize, Vec<usize>>::new();
    for (i, row) in rows.iter().enumerate() {
        lengths.entry(row.len()).or_default().push(i);
    }
    lengths
}

impl<T: Element> AnyModel<T> {
    /// The lengths of sequences that it reads.
    pub fn lengths(&self) -> RangeInclusive<usize> {
        match self {
            AnyModel::Transformer(model) => 1..=model.config.context,
            AnyModel::Pooled { config, .. } => config.seq_len..=config.seq_len,
        }
    }

    /// In double precision, rounds norms and rotations to singles where transformers does, if the
    /// model is from there. In singles there is nothing to round, and bits differ for other
    /// reasons.
    pub fn round_as(&mut self, family: Family) {
        if let AnyModel::Transformer(model) = self
            && T::NAME == f64::NAME
            && family == Family::HuggingFace
        {
            model.config = model.config.rounded();
        }
    }
}

/// The forward pass of `batch` sequences of length `len`, and its logits.
pub fn record<T: Element>(
    config: &Config,
    batch: usize,
    len: usize,
) -> (Transformer, Var, Tape<T>) {
    let mut tape = Tape::new();
    let recorded = Transformer::record(&mut tape, config, batch, len, &mut Sum::default());
    let logits = recorded.logits(&mut tape, recorded.last);
    tape.keep_only(&[logits]);
    (recorded, logits, tape)
}

/// Checks that a sequence of `len` tokens fits in memory beside the weights, which are there
/// already.
///
/// # Errors
/// If it does not.
pub fn check_memory<T: Element>(model: &Model<T>, len: usize) -> Result<()> {
    let weights: usize = model.weights.iter().map(|w| w.len() * size_of::<T>()).sum();
    let beside = record::<T>(&model.config, 1, len).2.bytes() - weights as u128;
    memory::check(&format!("1 x {len} tokens"), beside, || {
        "run shorter sequences, or use --dtype f32".into()
    })
}

/// The logits `[sequences, length, V]` of `rows`, at least one and all of one length, in the memory
/// that they were computed in where one batch holds them all. `shown` is told the sequences that
/// are done.
///
/// # Errors
/// Those of `shown`.
pub fn of_one_length<T: Element, E>(
    model: &Model<T>,
    rows: &[&[u32]],
    mut shown: impl FnMut(usize) -> Result<(), E>,
) -> Result<Buffer<T>, E> {
    let mut batches = Batches::new(model, rows[0].len(), rows.len());
    if batches.size == rows.len() {
        batches.run(rows);
        shown(rows.len())?;
        return Ok(batches.program.take(batches.logits));
    }
    let mut all = Buffer::zeros(0);
    let mut done = 0;
    for part in rows.chunks(batches.size) {
        let found = batches.run(part);
        let each = found.len() / part.len();
        if all.is_empty() {
            all = Buffer::zeros(each * rows.len());
        }
        all[done * each..][..found.len()].copy_from_slice(found);
        done += part.len();
        shown(done)?;
    }
    Ok(all)
}

/// A program for sequences of one length, some at a time.
struct Batches<T> {
    recorded: Transformer,
    logits: Var,
    program: Program<T>,
    len: usize,
    /// The sequences of a batch.
    size: usize,
}

impl<T: Element> Batches<T> {
    /// Of batches that are no larger than `count` sequences of `len` tokens.
    fn new(model: &Model<T>, len: usize, count: usize) -> Self {
        let bytes = |batch| {
            usize::try_from(record::<T>(&model.config, batch, len).2.bytes()).unwrap_or(usize::MAX)
        };
        let size = BATCH_BYTES / (bytes(2) - bytes(1)).max(1);
        let size = size.clamp(1, count);
        let (recorded, logits, mut tape) = record(&model.config, size, len);
        recorded.give_weights(&mut tape, &model.weights);
        Batches { recorded, logits, program: tape.finish(), len, size }
    }

    /// The logits of `rows`, no more than a batch.
    fn run(&mut self, rows: &[&[u32]]) -> &[T] {
        self.program.fill_ids(self.recorded.tokens, |ids| {
            for (ids, row) in ids.chunks_exact_mut(self.len).zip(rows) {
                ids.copy_from_slice(row);
            }
        });
        self.program.forward();
        let found = self.program.value(self.logits);
        &found[..found.len() / self.size * rows.len()]
    }
}

/// Calls `each` with the logits `[sequences, length, V]` of some of `rows` and with their numbers,
/// until all had their turn: shorter ones first, those of one length in their order.
///
/// # Errors
/// Those of `each`.
pub fn of_transformer<T: Element, E>(
    model: &Model<T>,
    rows: &[Vec<u32>],
    mut each: impl FnMut(&[usize], &[T]) -> Result<(), E>,
) -> Result<(), E> {
    for (&len, of) in &by_length(rows) {
        let mut batches = Batches::new(model, len, of.len());
        for part in of.chunks(batches.size) {
            let sequences: Vec<&[u32]> = part.iter().map(|&i| &rows[i][..]).collect();
            each(part, batches.run(&sequences))?;
        }
    }
    Ok(())
}

/// The logits `[sequences, V]` of a pooled model.
///
/// # Panics
/// If a sequence has another length than the model's.
pub fn of_pooled<T: Element>(
    config: &pooled::Config,
    weights: &[Vec<T>],
    rows: &[Vec<u32>],
) -> Buffer<T> {
    let mut tape = Tape::new();
    let model = Pooled::record(&mut tape, config, rows.len());
    tape.keep_only(&[model.logits]);
    let mut program = tape.finish();
    model.set_parameters(&mut program, weights);
    model.set_batch(&mut program, rows.iter().map(|row| (&row[..], 0)));
    program.forward();
    program.take(model.logits)
}
