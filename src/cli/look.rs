//! `edgegrad look`.

use crate::cli::Dtype;
use crate::cli::model::ModelPath;
use crate::cli::out::{Force, check_out};
use crate::cli::print::note;
use crate::cli::question::{choice, on_threads};
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::attribution::look::look;
use edgegrad::checkpoints;
use edgegrad::checkpoints::AnyModel;
use edgegrad::error::{Error, Result};
use edgegrad::formats::look::{Look as Seen, ScoredEdge};
use edgegrad::formats::pairs::Pairs;
use edgegrad::named::counted;
use edgegrad::patching::metric::Metric;
use edgegrad::tensor::Element;
use edgegrad::text::{LazyTokenizer, Words};
use serde_json::json;
use std::path::PathBuf;

/// Run one pair and write what the page shows of it
///
/// That is: logits at every position, the scores of edges by position, and attention patterns where
/// they are few or asked for. Give the file to `edgegrad report`.
#[derive(Debug, Args)]
pub(super) struct Look {
    /// A model folder, a GGUF file, or a name in the Hugging Face cache; tokens are shown as words
    /// if it has any: in the file, a vocab.json or a tokenizer.json
    #[arg(long, value_name = "MODEL")]
    model: ModelPath,
    /// Pairs: on each line {"clean": [ids], "corrupted": [ids], "answer": id, "distractor": id};
    /// each may be text if the model has a tokenizer
    #[arg(long, value_name = "FILE.jsonl")]
    pairs: PathBuf,
    /// Let the first token stand for an answer of text that is several
    #[arg(long)]
    first_token: bool,
    /// Which of the pairs, from 0
    #[arg(long, value_name = "I", default_value_t = 0)]
    pair: usize,
    /// How many edges to write, the largest |score| first
    #[arg(
        long,
        value_name = "N",
        default_value_t = 400,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
    )]
    edges: u32,
    /// The metric that edges are scored by
    #[arg(
        long,
        default_value = "logit-diff",
        value_parser = choice::<Metric>(),
    )]
    metric: Metric,
    /// Write the attention patterns of a long pair too: L H T^2 weights for each sequence. Up to
    /// 4 million weights they are written in any case
    #[arg(long)]
    attention: bool,
    /// The precision to compute in
    #[arg(long, default_value = "f32")]
    dtype: Dtype,
    /// Threads; all cores unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Where to write the result
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
    #[command(flatten)]
    force: Force,
}

impl Look {
    pub(super) fn run(&self) -> Result<()> {
        check_out(&self.out, self.force, [&*self.model, &self.pairs])?;
        on_threads(self.threads, || match self.dtype {
            Dtype::F32 => self.run_as::<f32>(),
            Dtype::F64 => self.run_as::<f64>(),
        })
    }

    fn run_as<T: Element>(&self) -> Result<()> {
        self.model.fetch()?;
        let model = checkpoints::read_in_panels::<T>(&self.model)?.transformer(&self.model)?;
        let model = AnyModel::Transformer(model);
        let bounds = model.bounds();
        let words = Words::read(&self.model, bounds.vocab)?;
        let text = LazyTokenizer::new(&*self.model, self.first_token);
        let limit = Some(self.pair.saturating_add(1));
        let pairs = Pairs::read(&self.pairs, &bounds, Some(&text), limit)?;
        let Some(pair) = pairs.only(self.pair) else {
            let message = format!("--pair {} of {}", self.pair, counted(pairs.len(), "pair"));
            let help = format!("count from 0 to {}", pairs.len() - 1);
            return Err(Error::input(self.pairs.display(), message, help));
        };
        let seen = look(&model, &words, &pair, self.metric, self.edges as usize, self.attention)?;
        let seen = Seen { model: self.name(), pair: self.pair, ..seen };
        seen.write(&self.out)?;
        self.say(&seen);
        Ok(())
    }

    fn say(&self, seen: &Seen) {
        let (place, diff) = (seen.position, &seen.logit_diff);
        println!(
            "{}, pair {}: {} tokens; logit-diff {:.6} clean, {:.6} corrupted at position {place}",
            self.model,
            self.pair,
            diff.clean.len(),
            diff.clean[place],
            diff.corrupted[place],
        );
        if seen.attention.is_none() {
            println!("attention: not written, which --attention asks for");
        }
        println!("{} edges by {}, the largest:", seen.edges.len(), seen.method);
        let mut table = Table::new("edges", [("edge", "edge"), ("score", "score")]);
        for ScoredEdge { name, score } in seen.edges.iter().take(10) {
            table.row([Cell::text(name), Cell::real(*score, 6)]);
        }
        table.print();
        let logit_diff = json!({ "clean": diff.clean[place], "corrupted": diff.corrupted[place] });
        note("logit_diff", logit_diff);
        println!("look: {}", self.out.display());
    }

    /// The last name of the model's path: other machines do not have the rest.
    fn name(&self) -> String {
        let path = self.model.canonicalize().unwrap_or_else(|_| self.model.to_path_buf());
        path.file_name().map_or("model".into(), |name| name.to_string_lossy().into_owned())
    }
}
