//! Cases: models whose true circuit is known.
//!
//! A case is a folder with a model (`config.json`, `model.safetensors`), pairs (`pairs.jsonl`) and
//! the edges that are true, as the `in_graph` of [a file of a circuit](EdgeFile) (`circuit.json`).

use crate::checkpoints;
use crate::checkpoints::AnyModel;
use crate::error::{Error, Result};
use crate::formats::EdgeFile;
use crate::formats::pairs::Pairs;
use crate::graph::{Granularity, Graph};
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::metric::{Metric, Positions, Question};
use crate::simd::Element;
use std::path::{Path, PathBuf};

/// The file of the true circuit.
pub const CIRCUIT: &str = "circuit.json";

/// A model, its pairs, and its true edges.
pub struct Case<T: Element> {
    /// The name of its folder.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// The model.
    pub model: AnyModel<T>,
    /// The pairs.
    pub pairs: Pairs,
    /// Its edges.
    pub graph: Graph,
    /// `[E]`, which of them are true.
    pub truth: Vec<bool>,
}

impl<T: Element> Case<T> {
    /// Reads a case.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the circuit is that of another model or holds no edge.
    pub fn read(folder: &Path) -> Result<Case<T>> {
        let model = checkpoints::read::<T>(folder)?;
        let graph = model.graph(Granularity::default());
        let pairs = Pairs::read(folder.join("pairs.jsonl"), &model.bounds(), None, None)?;
        let file = EdgeFile::read(folder.join(CIRCUIT))?;
        let truth = graph.circuit_in(&file)?;
        if !truth.contains(&true) {
            let message = "edges: not one has \"in_graph\": true";
            let help = "mark the edges that are true; scores can be ranked against nothing else";
            return Err(Error::input(file.place(), message, help));
        }
        Ok(Case { name: name(folder), folder: folder.into(), model, pairs, graph, truth })
    }

    /// The model asked by `metric` at the answers of the pairs, against `baseline`.
    ///
    /// # Errors
    /// If the pairs do not have what the metric or the baseline needs.
    pub fn behaviour(&self, metric: Metric, baseline: Baseline) -> Result<Behaviour<'_, T>> {
        let question =
            Question::new(metric, Positions::Asked, self.model.vocab_out(), &self.pairs)?;
        Behaviour::new(&self.model, self.graph.clone(), &self.pairs, question, baseline)
    }

    /// The number of true edges.
    pub fn true_edges(&self) -> usize {
        self.truth.iter().filter(|&&is| is).count()
    }
}

/// The last component of a path, without control characters.
fn name(folder: &Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let last = whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy();
    last.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The case folders in `folder`: itself, or those in it that hold a circuit, by name.
///
/// # Errors
/// If it cannot be read, or is neither.
pub fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e| Error::io(folder, &e, "list");
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.join(CIRCUIT).is_file() {
            found.push(path);
        }
    }
    found.sort();
    // A folder that has any file of a case is meant to be one: reading it names what is missing.
    let own = ["config.json", CIRCUIT].iter().any(|file| folder.join(file).exists());
    if own {
        return Ok(vec![folder.to_path_buf()]);
    }
    if found.is_empty() {
        let message = format!("is no case, and no folder in it has a {CIRCUIT}");
        let help =
            "a case is a folder with config.json, model.safetensors, pairs.jsonl and circuit.json";
        return Err(Error::input(folder.display(), message, help));
    }
    Ok(found)
}
