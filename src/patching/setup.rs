//! What is chosen of a behaviour beside its model and its pairs.

use super::behaviour::{Baseline, Behaviour, ROWS};
use super::metric::{Metric, Positions, Question};
use crate::checkpoints::AnyModel;
use crate::error::{Error, Result};
use crate::files::journal::Journal;
use crate::files::safetensors::Tensors;
use crate::formats::Convention;
use crate::formats::pairs::Pairs;
use crate::graph::{Granularity, Graph, Source, Start};
use crate::memory;
use crate::named::Named;
use crate::nn::stream::Writer;
use crate::simd::Element;
use std::path::Path;

/// The metric, the ablation values, and how finely the graph divides the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The metric.
    pub metric: Metric,
    /// The positions that it reads.
    pub at: Positions,
    /// The ablation values.
    pub baseline: Baseline,
    /// The sign of scores, and what the node `input` is.
    pub convention: Convention,
    /// Whether every position has edges of its own.
    pub positions: bool,
    /// Whether every span that the pairs name has edges of its own; not with positions.
    pub spans: bool,
    /// Whether every neuron is a node.
    pub neurons: bool,
    /// Whether token and position embeddings are two nodes.
    pub split_input: bool,
    /// Whether one edge carries the queries, keys and values of a head.
    pub joined_qkv: bool,
    /// Examples times positions that are computed at a time.
    pub rows: usize,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            metric: Metric::default(),
            at: Positions::default(),
            baseline: Baseline::default(),
            convention: Convention::default(),
            positions: false,
            spans: false,
            neurons: false,
            split_input: false,
            joined_qkv: false,
            rows: ROWS,
        }
    }
}

impl Setup {
    /// The graph of `model`; positions are those of the first pair, spans those that all name.
    ///
    /// # Errors
    /// If there are to be spans and the pairs name none, or the model is pooled.
    pub fn graph<T: Element>(&self, model: &AnyModel<T>, pairs: &Pairs) -> Result<Graph> {
        let start = match (self.split_input, self.convention) {
            (true, _) => Start::Split,
            (false, Convention::Ours) => Start::Joint,
            (false, Convention::EapIg) => Start::TokensOnly,
        };
        let positions = self.positions.then(|| pairs[0].clean.len());
        let (neurons, joined_qkv) = (self.neurons, self.joined_qkv);
        let granularity = Granularity { start, joined_qkv, neurons, positions };
        if !self.spans {
            return Ok(model.graph(granularity));
        }
        let spans = pairs.all_spans()?;
        if matches!(model, AnyModel::Pooled { .. }) {
            let message = "edges of a pooled model have the positions of its one layer";
            return Err(Error::input("--spans", message, "leave it out"));
        }
        let granularity = Granularity { positions: Some(spans.len()), ..granularity };
        Ok(model.graph(granularity).of_spans(&spans))
    }

    /// The behaviour of `model` on `pairs`; ablation values that are constants are zero.
    ///
    /// # Errors
    /// If the metric is undefined for them, or there are more edges than memory.
    pub fn behaviour<'a, T: Element>(
        &self,
        model: &'a AnyModel<T>,
        pairs: &'a Pairs,
        journal: Journal,
    ) -> Result<Behaviour<'a, T>> {
        let question = Question::new(self.metric, self.at, model.vocab_out(), pairs)?;
        let graph = self.graph(model, pairs)?;
        // What is said of each in a file.
        let edges = graph.edges();
        memory::check(&format!("{edges} edges"), edges as u128 * 200, || {
            "divide the model less finely: without --neurons or without --positions".into()
        })?;
        let mut b = Behaviour::new(model, graph, pairs, question, self.baseline)?;
        (b.rows, b.journal) = (self.rows, journal);
        Ok(b)
    }
}

impl<T: Element> Behaviour<'_, T> {
    /// Sets the ablation values that its baseline takes, if it takes any: those of `file`, or what
    /// `learn` finds.
    ///
    /// # Errors
    /// If there are some where none are used or none where some are, those of the file, and those
    /// of `learn`.
    pub fn ablate_by(
        &mut self,
        file: Option<&Path>,
        learn: impl FnOnce(&Self) -> Result<Vec<Vec<T>>>,
    ) -> Result<()> {
        let constants = match (file, self.baseline) {
            (Some(path), Baseline::Constant) => self.constants_in(&Tensors::read(path)?)?,
            (None, Baseline::Optimal) => learn(self)?,
            (None, Baseline::Constant) => {
                let message = "needs to know the constants";
                let help = "give them with --constants FILE.safetensors, or use --baseline mean";
                return Err(Error::input("--baseline constant", message, help));
            }
            (Some(_), baseline) => {
                let message = format!("are not used by --baseline {}", baseline.name());
                return Err(Error::input("--constants", message, "add --baseline constant"));
            }
            (None, _) => return Ok(()),
        };
        self.set_constants(constants);
        Ok(())
    }

    /// The ablation value of each part of the graph in a file.
    fn constants_in(&self, file: &Tensors) -> Result<Vec<Vec<T>>> {
        let read = |(source, width): (&Source, usize)| {
            let name = match source.part {
                Writer::Attention(layer) => format!("a{layer}"),
                Writer::Mlp(layer) => format!("m{layer}"),
                Writer::Embed | Writer::Pos => self.graph.writers[source.writers.start].to_string(),
            };
            let (shape, values) = file.get::<T>(&name)?;
            if values.len() != width {
                let message = format!("expected {width} elements, got {shape:?}");
                return Err(file.error(&name, message, "give one value for each channel"));
            }
            Ok(values)
        };
        self.graph.sources.iter().zip(self.widths()).map(read).collect()
    }
}
