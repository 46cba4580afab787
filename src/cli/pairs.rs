//! `edgegrad pairs`.

use crate::cli::Dtype;
use crate::cli::model::ModelPath;
use crate::cli::out::{Force, check_out};
use crate::cli::print::note;
use crate::cli::question::{choice, on_threads};
use clap::Args;
use edgegrad::checkpoints;
use edgegrad::checkpoints::AnyModel;
use edgegrad::error::Result;
use edgegrad::files::{atomic, input};
use edgegrad::formats::pairs::{Asked, Bounds, Encode, Pairs};
use edgegrad::graph::Granularity;
use edgegrad::named::counted;
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::metric::{Metric, Positions, Question};
use edgegrad::stats::wilson;
use edgegrad::tasks::prompts::table::Table;
use edgegrad::tasks::prompts::{Fitted, Kind, Rejected, fitted};
use edgegrad::tensor::Element;
use edgegrad::text::Tokenizer;
use std::path::PathBuf;

/// Write pairs of texts that fit a tokenizer, and say how often the model is right
#[derive(Debug, Args)]
pub(super) struct MakePairs {
    /// What they ask about
    #[arg(value_parser = choice::<Kind>(), required_unless_present = "from")]
    kind: Option<Kind>,
    /// A CSV file of EAP-IG's or MIB's to take the pairs from
    #[arg(long, value_name = "FILE.csv", conflicts_with_all = ["kind", "seed"])]
    from: Option<PathBuf>,
    /// The column of that file with the corrupted texts
    #[arg(long, value_name = "COLUMN", requires = "from", default_value = "corrupted")]
    corrupted: String,
    /// A model folder with a tokenizer.json, a GGUF file, or a name in the Hugging Face cache
    #[arg(long, value_name = "MODEL")]
    model: ModelPath,
    /// How many pairs, 100 unless given; or rows of the file, all unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    n: Option<u32>,
    /// What the choice of the pairs depends on
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Let answers and distractors change places: what `tune` turns a behaviour around with
    #[arg(long)]
    opposite: bool,
    /// Where to write the pairs
    #[arg(long, value_name = "FILE.jsonl")]
    out: PathBuf,
    #[command(flatten)]
    force: Force,
    /// The precision to compute in
    #[arg(long, default_value = "f32")]
    dtype: Dtype,
    /// Threads; all cores unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
}

impl MakePairs {
    pub(super) fn run(&self) -> Result<()> {
        check_out(&self.out, self.force, [&*self.model].into_iter().chain(self.from.as_deref()))?;
        on_threads(self.threads, || match self.dtype {
            Dtype::F32 => self.run_as::<f32>(),
            Dtype::F64 => self.run_as::<f64>(),
        })
    }

    fn run_as<T: Element>(&self) -> Result<()> {
        self.model.fetch()?;
        let tokenizer = Tokenizer::read(&self.model)?;
        let model = checkpoints::read_in_panels::<T>(&self.model)?;
        let bounds = model.bounds();
        let mut found = self.found(&tokenizer, &bounds)?;
        if self.opposite {
            found.turn_around();
        }
        let text = found.jsonl();
        let place = self.out.display().to_string();
        let pairs = Pairs::parse(place, text.as_bytes(), &bounds, None, None)?;
        self.show_first(&pairs, &tokenizer);
        let right = clean(&model, &pairs)?;
        let count = right.iter().filter(|&&x| x > 0.0).count();
        let (low, high) = wilson(count, right.len());
        let mean = right.iter().sum::<f64>() / right.len() as f64;
        println!(
            "{}: right on {count} of {} ({:.1} %, 95 % interval {:.1} to {:.1} %), \
             logit-diff {mean:.4}",
            self.model,
            right.len(),
            100.0 * count as f64 / right.len() as f64,
            100.0 * low,
            100.0 * high,
        );
        note("right", count);
        note("logit_diff", mean);
        atomic::write_bytes(&self.out, text.as_bytes())?;
        println!("pairs: {}", self.out.display());
        Ok(())
    }
}

impl MakePairs {
    /// The pairs; says how many there are, and why candidates are none.
    fn found(&self, tokenizer: &Tokenizer, bounds: &Bounds) -> Result<Fitted> {
        let n = self.n.map(|n| n as usize);
        let found = match (&self.from, self.kind) {
            (Some(from), _) => {
                let text = input::text(from, input::DATA)?;
                let table = Table::parse(&from.display().to_string(), &text, &self.corrupted)?;
                table.fitted(n, tokenizer, bounds)?
            }
            (None, kind) => {
                fitted(kind.unwrap_or_default(), n.unwrap_or(100), self.seed, tokenizer, bounds)?
            }
        };
        let (candidate, last) = match self.from {
            Some(_) => ("row", (Rejected::Same, "with one token as answer and distractor")),
            None => ("candidate", (Rejected::Again, "drawn before")),
        };
        let [length, answer, other] =
            [Rejected::Length, Rejected::Answer, last.0].map(|why| found.count(why));
        println!(
            "{} of {}; rejected: {length} of unequal length, {answer} with an answer of several \
             tokens, {other} {}",
            counted(found.lines.len(), "pair"),
            counted(found.candidates(), candidate),
            last.1,
        );
        note("pairs", found.lines.len());
        note("candidates", found.candidates());
        note("unequal", length);
        note("several_tokens", answer);
        note(if self.from.is_some() { "same" } else { "again" }, other);
        Ok(found)
    }

    /// The first text with its answers: ids of another tokenizer show at once.
    fn show_first(&self, pairs: &Pairs, tokenizer: &Tokenizer) {
        if self.from.is_none() {
            return;
        }
        let Asked::Tokens { answer, distractor, .. } = &pairs[0].asked else { return };
        let clean: String = pairs[0].clean.iter().map(|&id| tokenizer.piece(id)).collect();
        let pieces = |ids: &[u32]| {
            let few = ids.iter().take(3).map(|&id| format!("{:?}", tokenizer.piece(id)));
            let more = if ids.len() > 3 { ", .." } else { "" };
            format!("{}{more}", few.collect::<Vec<_>>().join(", "))
        };
        println!("first: {clean:?} -> {}, not {}", pieces(answer), pieces(distractor));
    }
}

/// The logit difference of each clean text.
fn clean<T: Element>(model: &AnyModel<T>, pairs: &Pairs) -> Result<Vec<f64>> {
    let question = Question::new(Metric::LogitDiff, Positions::Asked, model.vocab_out(), pairs)?;
    let graph = model.graph(Granularity::default());
    let b = Behaviour::new(model, graph, pairs, question, Baseline::Resample)?;
    let mut all = vec![0.0; pairs.len()];
    b.whole_batches(|probe, batch| {
        probe.run_clean(batch);
        for (pair, x) in batch.iter().zip(probe.results(batch.len())) {
            all[pairs.index(pair)] = x;
        }
        Ok(())
    })?;
    Ok(all)
}
