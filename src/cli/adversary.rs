//! `edgegrad evaluate --adversary` and `--masks`.

use crate::cli::print::note;
use crate::cli::question::{Asked, bar};
use clap::Args;
use edgegrad::discovery::adversary::{AdversaryOptions, HeldOut, masked, masks_in, search};
use edgegrad::error::Result;
use edgegrad::files::content_hash;
use edgegrad::formats::masks::Masks;
use edgegrad::patching::behaviour::Behaviour;
use edgegrad::patching::span::Span;
use edgegrad::tensor::Element;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// The options of the least faithfulness under any ablation.
#[derive(Debug, Args)]
pub(super) struct Adversary {
    /// Search the ablation of what the circuit leaves out that leaves least of the metric: masks
    /// between removed and restored, the same for all pairs
    #[arg(long, requires = "circuit")]
    adversary: bool,
    /// Where its search starts; from 3 to 24 points unless given, the more the smaller the graph
    #[arg(long, value_name = "N", requires = "adversary", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    starts: Option<u32>,
    /// Other pairs, on which the masks that it finds are evaluated
    #[arg(long, value_name = "FILE.jsonl", requires = "adversary")]
    held_out: Option<PathBuf>,
    /// Evaluate the circuit with the masks of a file that --adversary wrote
    #[arg(long, value_name = "FILE.json", requires = "circuit")]
    masks: Option<PathBuf>,
}

impl Adversary {
    /// What is read, so that nothing overwrites it.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.held_out.iter().chain(&self.masks)
    }

    /// What it is asked, for the [journal](Asked::journal).
    pub(super) fn settings(&self) -> Result<[(&'static str, String); 4]> {
        Ok([
            ("--adversary", self.adversary.to_string()),
            ("--starts", format!("{:?}", self.starts)),
            ("--held-out", content_hash(self.held_out.as_ref())?),
            ("--masks", content_hash(self.masks.as_ref())?),
        ])
    }

    fn options<T: Element>(&self, b: &Behaviour<'_, T>, seed: u64) -> AdversaryOptions {
        let mut options = AdversaryOptions::usual(b, seed);
        options.starts = self.starts.map_or(options.starts, |n| n as usize);
        options
    }

    /// The forward passes over all pairs that the search takes; 0 if it is not asked for.
    pub(super) fn passes<T: Element>(&self, b: &Behaviour<'_, T>) -> f64 {
        // The seed changes none of it.
        if self.adversary { self.options(b, 0).passes() } else { 0.0 }
    }

    /// Judges the circuit `kept [E]`.
    pub(super) fn judge<T: Element>(
        &self,
        asked: &Asked,
        b: &Behaviour<'_, T>,
        (span, kept): (&Span, &[bool]),
        seed: u64,
        report: &mut Map<String, Value>,
    ) -> Result<()> {
        if let Some(path) = &self.masks {
            let masks = masks_in(&Masks::read(path)?, path.display(), &b.graph, kept)?;
            let (f, values) = masked(b, span, &masks)?;
            println!("with the masks of {}: faithfulness {f:.4}", path.display());
            report.insert("masked".into(), json!({ "faithfulness": f, "per_pair": values }));
        }
        if self.adversary {
            self.search(asked, b, (span, kept), seed, report)?;
        }
        Ok(())
    }

    fn search<T: Element>(
        &self,
        asked: &Asked,
        b: &Behaviour<'_, T>,
        (span, kept): (&Span, &[bool]),
        seed: u64,
        report: &mut Map<String, Value>,
    ) -> Result<()> {
        // Read before the search, which can be long.
        let read = |path: &PathBuf| asked.pairs_of(path, b.model, None);
        let pairs = self.held_out.as_ref().map(read).transpose()?;
        let other = |pairs| asked.behaviour(b.model, pairs, b.journal.clone());
        let held_out = pairs.as_ref().map(other).transpose()?;
        let options = self.options(b, seed);
        let (shown, mut progress) = bar("adversary");
        let worst = search(b, span, kept, &options, &mut progress)?;
        shown.finish();
        let other = held_out.map(|other| worst.held_out(&other, kept)).transpose()?;
        let outside: Vec<f64> =
            (0..kept.len()).filter(|&e| !kept[e]).map(|e| worst.masks[e]).collect();
        let restored = outside.iter().filter(|&&mask| mask >= 0.5).count();
        println!(
            "\nworst faithfulness {:.4}, by an adversary that restores {restored} of the {} other \
             edges by half or more ({} starts, {} steps each)",
            worst.faithfulness,
            outside.len(),
            options.starts,
            options.steps,
        );
        note("worst", worst.faithfulness);
        if let Some(HeldOut { pairs, faithfulness, worst }) = other {
            println!(
                "on {pairs} other pairs: faithfulness {faithfulness:.4}, with the adversary's \
                 masks {worst:.4}"
            );
        }
        worst.put(&b.graph, kept, &options, other, report);
        Ok(())
    }
}
