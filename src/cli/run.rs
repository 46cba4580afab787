//! `edgegrad run`.

use crate::cli::Dtype;
use crate::cli::model::ModelPath;
use crate::cli::out::{Force, check_out};
use crate::cli::print::note;
use crate::cli::question::on_threads;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::checkpoints;
use edgegrad::checkpoints::AnyModel;
use edgegrad::error::{Error, Result};
use edgegrad::files::safetensors;
use edgegrad::files::safetensors::Tensor;
use edgegrad::formats::pairs::Encode;
use edgegrad::formats::sequences::Taken;
use edgegrad::nn::pooled;
use edgegrad::nn::transformer::Model;
use edgegrad::patching::logits;
use edgegrad::stats;
use edgegrad::tensor::Element;
use edgegrad::text::{Tokenizer, Words};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Compute a model's logits for sequences of token ids, or what follows a text
#[derive(Debug, Args)]
pub(super) struct Run {
    /// A model folder (Hugging Face's, TransformerLens', or a run's checkpoints/final), a GGUF
    /// file, or a name in the Hugging Face cache
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
        let mut model = checkpoints::read_in_panels::<T>(&self.model)?;
        if !self.exact {
            model.round_as(checkpoints::family(&self.model)?);
        }
        let rows = self.rows(model.lengths(), model.bounds().vocab)?;
        match &model {
            AnyModel::Transformer(model) => self.transformer(model, &rows),
            AnyModel::Pooled { config, weights } => self.pooled(config, weights, &rows),
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

    fn pooled<T: Element>(
        &self,
        config: &pooled::Config,
        weights: &[Vec<T>],
        rows: &[Vec<u32>],
    ) -> Result<()> {
        let logits = logits::of_pooled(config, weights, rows);
        if self.text.is_some() {
            self.next(&logits)?;
        }
        let Some(out) = &self.out else { return Ok(()) };
        let tensor = Tensor::new("logits", &[rows.len(), config.vocab], &logits);
        safetensors::write(out, &[tensor], &safetensors::marked())?;
        note("sequences", rows.len());
        println!("{}: logits [{}, {}]", out.display(), rows.len(), config.vocab);
        Ok(())
    }

    fn transformer<T: Element>(&self, model: &Model<T>, rows: &[Vec<u32>]) -> Result<()> {
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        logits::check_memory(model, longest)?;
        if self.text.is_some() {
            logits::of_transformer(model, rows, |_, values| {
                self.next(&values[(longest - 1) * model.config.vocab_out..])
            })?;
        }
        match &self.out {
            Some(out) => write_logits(model, rows, out),
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
    let lengths = logits::by_length(rows);
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
        let mut push = |_: &[usize], values: &[T]| {
            let count = values.iter().filter(|x| !x.to_f64().is_finite()).count();
            not_finite.fetch_add(count, Ordering::Relaxed);
            pushed.push(values)
        };
        // In the pool, so that the threads are awake between one product and the next.
        rayon::scope(|_| logits::of_transformer(model, rows, &mut push))
    })?;
    note("sequences", rows.len());
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
