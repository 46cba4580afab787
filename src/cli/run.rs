//! `edgegrad run`.

use crate::cli::Dtype;
use crate::cli::model::ModelPath;
use crate::cli::out::{Force, check_out};
use crate::cli::question::on_threads;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::checkpoints;
use edgegrad::checkpoints::{AnyModel, Family};
use edgegrad::error::{Error, Result};
use edgegrad::files::safetensors;
use edgegrad::files::safetensors::{Pushed, Tensor};
use edgegrad::formats::pairs::Encode;
use edgegrad::formats::sequences::Taken;
use edgegrad::memory;
use edgegrad::nn::pooled;
use edgegrad::nn::pooled::Pooled;
use edgegrad::nn::stream::Sum;
use edgegrad::nn::transformer::{Config, Model, Transformer};
use edgegrad::stats;
use edgegrad::tape::{Tape, Var};
use edgegrad::tensor::Element;
use edgegrad::text::{Tokenizer, Words};
use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Compute a model's logits for sequences of token ids, or what follows a text
#[derive(Debug, Args)]
pub(super) struct Run {
    /// A model folder (Hugging Face's, TransformerLens', or a run's checkpoints/final), a GGUF file,
    /// or a name in the Hugging Face cache
    #[arg(long, value_name = "MODEL")]
    model: ModelPath,
    /// Sequences: on each line a list of token ids
    #[arg(long, value_name = "FILE.jsonl", required_unless_present = "text", requires = "out")]
    tokens: Option<PathBuf>,
    /// A text, encoded by the model's tokenizer: prints the likeliest next tokens
    #[arg(long, conflicts_with = "tokens")]
    text: Option<String>,
    /// With --text: how many tokens to print
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
    )]
    top: u32,
    /// Where to write the tensor `logits`: [sequences, length, V], or [sequences, V] for a pooled
    /// model; sequences of several lengths make `logits.0` [length, V], `logits.1`, ...
    #[arg(long, value_name = "FILE.safetensors")]
    out: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
    /// The precision to compute in
    #[arg(long, default_value = "f32")]
    dtype: Dtype,
    /// Threads; all cores unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// With f64: compute Hugging Face's models in doubles throughout, instead of rounding norms
    /// and rotations to single precision where transformers does
    #[arg(long)]
    exact: bool,
}

/// What the activations of one batch may take, unless a single sequence takes more.
const BATCH_BYTES: usize = 256 << 20;

impl Run {
    pub(super) fn run(&self) -> Result<()> {
        if let Some(out) = &self.out {
            check_out(
                out,
                self.force,
                [Some(&*self.model), self.tokens.as_deref()].into_iter().flatten(),
            )?;
        }
        on_threads(self.threads, || match self.dtype {
            Dtype::F32 => self.run_as::<f32>(),
            Dtype::F64 => self.run_as::<f64>(),
        })
    }

    fn run_as<T: Element>(&self) -> Result<()> {
        self.model.fetch()?;
        match checkpoints::read::<T>(&self.model)? {
            AnyModel::Transformer(mut model) => {
                // In singles there is nothing to round, and bits differ for other reasons.
                let theirs = T::NAME == f64::NAME
                    && !self.exact
                    && checkpoints::family(&self.model)? == Family::HuggingFace;
                if theirs {
                    model.config = model.config.rounded();
                }
                self.transformer(&model)
            }
            AnyModel::Pooled { config, weights } => self.pooled(&config, &weights),
        }
    }

    /// The sequences of the file, or the tokens of the text.
    fn rows(&self, lengths: RangeInclusive<usize>, vocab: usize) -> Result<Vec<Vec<u32>>> {
        let taken = Taken { lengths, vocab, encode: None };
        match (&self.tokens, &self.text) {
            (Some(path), _) => taken.read(path),
            (None, text) => {
                let text = text.as_deref().unwrap_or_default();
                let ids = Tokenizer::read(&self.model)?.encode(text, true)?;
                taken.check("--text", &ids)?;
                Ok(vec![ids])
            }
        }
    }

    fn pooled<T: Element>(&self, config: &pooled::Config, weights: &[Vec<T>]) -> Result<()> {
        let rows = self.rows(config.seq_len..=config.seq_len, config.vocab)?;
        let mut tape = Tape::new();
        let model = Pooled::record(&mut tape, config, rows.len());
        tape.keep_only(&[model.logits]);
        let mut program = tape.finish();
        model.set_parameters(&mut program, weights);
        model.set_batch(&mut program, rows.iter().map(|row| (&row[..], 0)));
        program.forward();
        let logits = program.value(model.logits);
        if self.text.is_some() {
            self.next(logits)?;
        }
        let Some(out) = &self.out else { return Ok(()) };
        let tensor = Tensor::new("logits", &[rows.len(), config.vocab], logits);
        safetensors::write(out, &[tensor], &safetensors::marked())?;
        println!("{}: logits [{}, {}]", out.display(), rows.len(), config.vocab);
        Ok(())
    }

    fn transformer<T: Element>(&self, model: &Model<T>) -> Result<()> {
        let rows = self.rows(1..=model.config.context, model.config.vocab)?;
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        memory::check(&format!("1 x {longest} tokens"), beside(model, longest), || {
            "run shorter sequences, or use --dtype f32".into()
        })?;
        if self.text.is_some() {
            let (recorded, logits, mut tape) = record(&model.config, 1, longest);
            recorded.give_weights(&mut tape, &model.weights);
            let mut program = tape.finish();
            program.fill_ids(recorded.tokens, |ids| ids.copy_from_slice(&rows[0]));
            program.forward();
            self.next(&program.value(logits)[(longest - 1) * model.config.vocab_out..])?;
        }
        match &self.out {
            Some(out) => write_logits(model, &rows, out),
            None => Ok(()),
        }
    }

    /// Prints the tokens of the largest logits `[V]`.
    fn next<T: Element>(&self, logits: &[T]) -> Result<()> {
        let words = Words::read(&self.model, logits.len())?;
        let logits: Vec<f64> = logits.iter().map(|x| x.to_f64()).collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|x| (x - largest).exp()).sum();
        let order = stats::falling(&logits);
        let columns = [("token", "token"), ("id", "id"), ("logit", "logit"), ("p", "p")];
        let mut table = Table::new("next", columns);
        for &id in order.iter().take(self.top as usize) {
            let word = words.word(id as u32);
            let shown = format!("{word:?}");
            let p = (logits[id] - largest).exp() / total;
            table.row([
                Cell::text(word).shown(shown),
                Cell::count(id),
                Cell::real(logits[id], 4),
                Cell::real(p, 4),
            ]);
        }
        table.print();
        Ok(())
    }
}

/// Writes the logits of the sequences `rows`.
fn write_logits<T: Element>(model: &Model<T>, rows: &[Vec<u32>], out: &Path) -> Result<()> {
    let v = model.config.vocab_out;
    let mut lengths = BTreeMap::<usize, Vec<usize>>::new();
    for (i, row) in rows.iter().enumerate() {
        lengths.entry(row.len()).or_default().push(i);
    }
    let tensors: Vec<(String, Vec<usize>)> = match lengths.first_key_value() {
        Some((&len, _)) if lengths.len() == 1 => {
            vec![("logits".into(), vec![rows.len(), len, v])]
        }
        _ => {
            let named = |(len, of): (&usize, &Vec<usize>)| {
                of.iter().map(|i| (format!("logits.{i}"), vec![*len, v])).collect::<Vec<_>>()
            };
            lengths.iter().flat_map(named).collect()
        }
    };
    let not_finite = AtomicUsize::new(0);
    safetensors::write_computed(out, &tensors, |pushed| {
        // In the pool, so that the threads are awake between one product and the next.
        rayon::scope(|_| {
            lengths
                .iter()
                .try_for_each(|(&len, of)| same_length(model, len, of, rows, pushed, &not_finite))
        })
    })?;
    match &tensors[..] {
        [(name, shape)] => println!("{}: {name} {shape:?}", out.display()),
        many => println!("{}: logits of {} sequences", out.display(), many.len()),
    }
    match not_finite.into_inner() {
        0 => Ok(()),
        count => Err(Error::failed(
            out.display(),
            format!("{count} logits are NaN or infinite"),
            "check the weights; f32 may overflow where --dtype f64 does not",
        )),
    }
}

/// The forward pass of `batch` sequences of length `len`, and its logits.
pub(super) fn record<T: Element>(
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

/// The bytes of a forward pass of one sequence beside the weights, which are there already.
fn beside<T: Element>(model: &Model<T>, len: usize) -> u128 {
    let weights: usize = model.weights.iter().map(|w| w.len() * size_of::<T>()).sum();
    record::<T>(&model.config, 1, len).2.bytes() - weights as u128
}

/// Pushes the logits of the sequences `of` in `rows`, all of length `len`.
fn same_length<T: Element>(
    model: &Model<T>,
    len: usize,
    of: &[usize],
    rows: &[Vec<u32>],
    out: &mut Pushed<'_, T>,
    not_finite: &AtomicUsize,
) -> io::Result<()> {
    let bytes = |batch| {
        usize::try_from(record::<T>(&model.config, batch, len).2.bytes()).unwrap_or(usize::MAX)
    };
    let batch = (BATCH_BYTES / (bytes(2) - bytes(1)).max(1)).clamp(1, of.len());
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
        let each = program.value(logits).len() / batch;
        let values = &program.value(logits)[..part.len() * each];
        let count = values.iter().filter(|x| !x.to_f64().is_finite()).count();
        not_finite.fetch_add(count, Ordering::Relaxed);
        out.push(values)?;
    }
    Ok(())
}
