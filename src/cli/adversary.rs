//! `edgegrad evaluate --adversary` and `--masks`.

use crate::cli::print::note;
use crate::cli::question::{Asked, bar};
use clap::Args;
use edgegrad::discovery::adversary::{AdversaryOptions, masked, search};
use edgegrad::error::{Error, Result};
use edgegrad::files::content_hash;
use edgegrad::formats::masks::Masks;
use edgegrad::graph::Graph;
use edgegrad::patching::behaviour::Behaviour;
use edgegrad::patching::span::Span;
use edgegrad::tensor::Element;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

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
            let (f, values) = masked(b, span, &masks_in(path, &b.graph, kept)?)?;
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
        let outside = (0..kept.len()).filter(|&e| !kept[e]);
        let restored = outside.clone().filter(|&e| worst.masks[e] >= 0.5).count();
        let (starts, steps) = (options.starts, options.steps);
        println!(
            "\nworst faithfulness {:.4}, by an adversary that restores {restored} of the {} other \
             edges by half or more ({starts} starts, {steps} steps each)",
            worst.faithfulness,
            outside.clone().count(),
        );
        note("worst", worst.faithfulness);
        report.insert("worst".into(), worst.faithfulness.into());
        let mut about = json!({ "starts": starts, "steps": steps, "ends": worst.ends });
        if let Some(other) = held_out {
            let span = Span::new(&other, &other.extremes()?)?;
            let of = |masks: &[f64]| masked(&other, &span, masks).map(|(f, _)| f);
            let (plain, f) = (of(&masks_of(kept))?, of(&worst.masks)?);
            let pairs = other.pairs.len();
            println!(
                "on {pairs} other pairs: faithfulness {plain:.4}, with the adversary's masks {f:.4}"
            );
            about["held_out"] = json!({ "pairs": pairs, "faithfulness": plain, "worst": f });
        }
        report.insert("adversary".into(), about);
        let mask = |e: usize| (b.graph.edge(e).to_string(), worst.masks[e]);
        Masks(outside.map(mask).collect()).put(report);
        Ok(())
    }
}

/// The masks `[E]` that ablate what is not `kept [E]`.
fn masks_of(kept: &[bool]) -> Vec<f64> {
    kept.iter().map(|&kept| f64::from(u8::from(kept))).collect()
}

/// The masks `[E]` of a file; edges that it does not name are kept or ablated as in `kept`.
fn masks_in(path: &Path, graph: &Graph, kept: &[bool]) -> Result<Vec<f64>> {
    let file = Masks::read(path)?;
    let numbers = (0..graph.edges()).map(|e| (graph.edge(e).to_string(), e));
    let numbers: HashMap<String, usize> = numbers.collect();
    let mut masks = masks_of(kept);
    for (name, mask) in file.0 {
        let Some(&e) = numbers.get(&name) else {
            let message = format!("has the edge `{name:.60}`, which the graph does not have");
            let help = "give the file that was made with this model and these options";
            return Err(Error::input(path.display(), message, help));
        };
        masks[e] = mask;
    }
    Ok(masks)
}
