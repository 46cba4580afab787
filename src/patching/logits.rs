//! The logits of a whole model for sequences of tokens.

use crate::checkpoints::{AnyModel, Family};
use crate::error::Result;
use crate::memory;
use crate::nn::pooled;
use crate::nn::pooled::Pooled;
use crate::nn::stream::Sum;
use crate::nn::transformer::{Config, Model, Transformer};
use crate::simd::Element;
use crate::tape::{Tape, Var};
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
    /// model is from there. In singles there is nothing to round, and bits differ for other reasons.
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
    let bytes = |batch, len| {
        usize::try_from(record::<T>(&model.config, batch, len).2.bytes()).unwrap_or(usize::MAX)
    };
    for (&len, of) in &by_length(rows) {
        let batch = BATCH_BYTES / (bytes(2, len) - bytes(1, len)).max(1);
        let batch = batch.clamp(1, of.len());
        let (recorded, logits, mut tape) = record(&model.config, batch, len);
        recorded.give_weights(&mut tape, &model.weights);
        let mut program = tape.finish();
        for part in of.chunks(batch) {
            program.fill_ids(recorded.tokens, |ids| {
                for (ids, &i) in ids.chunks_exact_mut(len).zip(part) {
                    ids.copy_from_slice(&rows[i]);
                }
            });
            program.forward();
            let size = program.value(logits).len() / batch;
            each(part, &program.value(logits)[..part.len() * size])?;
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
) -> Vec<T> {
    let mut tape = Tape::new();
    let model = Pooled::record(&mut tape, config, rows.len());
    tape.keep_only(&[model.logits]);
    let mut program = tape.finish();
    model.set_parameters(&mut program, weights);
    model.set_batch(&mut program, rows.iter().map(|row| (&row[..], 0)));
    program.forward();
    program.value(model.logits).to_vec()
}
