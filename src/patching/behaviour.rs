//! A behaviour of a model: its pairs, its metric, its graph and its ablation values. Every method
//! is a function of one.

use super::batches::Seen;
use super::metric::{Metric, Positions, Question};
use crate::checkpoints::AnyModel;
use crate::error::{Error, Result};
use crate::files::journal::Journal;
use crate::formats::pairs::{Asked, Pair, Pairs};
use crate::graph::Graph;
use crate::memory;
use crate::named::named;
use crate::nn::stream::Writer;
use crate::simd::Element;
use crate::tape::Rules;
use std::borrow::Cow;
use std::sync::Mutex;

named! {
    /// The ablation value of a writer's edges.
    Baseline {
        /// Its output on the corrupted sequence of the same pair (resample ablation).
        #[default]
        Resample = "resample",
        /// Zero.
        Zero = "zero",
        /// Its mean output over all positions of all clean sequences.
        Mean = "mean",
        /// Its mean output at the same position of all clean sequences.
        MeanPerPosition = "mean-per-position",
        /// A constant of its own, zero unless set.
        ///
        /// See [`Behaviour::set_constants`].
        Constant = "constant",
        /// The constant that minimises the ablated model's loss (optimal ablation), set in the same
        /// way.
        Optimal = "optimal",
    }
}

/// Rows (examples times positions) that are computed at once by default: enough for efficient
/// matrix products.
pub const ROWS: usize = 512;

/// A model with the pairs, the metric and the graph by which it is studied.
pub struct Behaviour<'a, T: Element> {
    /// The model.
    pub model: &'a AnyModel<T>,
    /// Its graph.
    pub graph: Graph,
    /// The pairs.
    pub pairs: &'a Pairs,
    /// The metric and its positions.
    pub question: Question,
    /// The ablation values.
    pub baseline: Baseline,
    /// The most rows (examples times positions) to compute at once.
    pub rows: usize,
    /// The [rules](crate::tape::rules) of reverse passes from the metric.
    pub rules: Rules,
    /// How far methods have come, for a process that goes on with them; the default keeps nothing.
    pub journal: Journal,
    /// With [`Baseline::Mean`] and constants: one row of each output; with
    /// [`Baseline::MeanPerPosition`]: one row for each position.
    pub(super) fixed: Vec<Vec<T>>,
    /// The metric of runs that somebody has made already.
    pub(super) seen: Mutex<Seen<'a>>,
}

impl<'a, T: Element> Behaviour<'a, T> {
    /// A behaviour whose ablation values are known without a run of the model; constants are zero.
    ///
    /// # Errors
    /// Those of [`Behaviour::new`].
    pub(super) fn checked(
        model: &'a AnyModel<T>,
        graph: Graph,
        pairs: &'a Pairs,
        question: Question,
        baseline: Baseline,
    ) -> Result<Self> {
        let placed = graph.granularity.positions.filter(|_| !graph.has_spans());
        if let Some(pair) = pairs.iter().find(|p| placed.is_some_and(|t| t != p.clean.len())) {
            return Err(Error::input(
                pairs.place_of(pair),
                format!(
                    "{} tokens where the first pair has {}",
                    pair.clean.len(),
                    placed.unwrap_or(0)
                ),
                "edges at positions need sequences of one length; leave out --positions",
            ));
        }
        if graph.has_spans() {
            pairs.all_spans()?;
        }
        if let AnyModel::Pooled { config, .. } = model
            && let Some(pair) = pairs.iter().find(|p| p.clean.len() != config.seq_len)
        {
            return Err(Error::input(
                pairs.place_of(pair),
                format!("{} tokens; the model reads {}", pair.clean.len(), config.seq_len),
                "give sequences of the model's length",
            ));
        }
        if matches!(model, AnyModel::Pooled { .. }) {
            one_answer(pairs, &question)?;
        }
        let edges = graph.edges();
        // Scores, sums and an order.
        memory::check(&format!("{edges} edges"), edges as u128 * 24, || {
            "divide the model less finely, or give shorter pairs".into()
        })?;
        let mut b = Behaviour {
            model,
            graph,
            pairs,
            question,
            baseline,
            rows: ROWS,
            rules: Rules::Plain,
            journal: Journal::default(),
            fixed: vec![],
            seen: Mutex::default(),
        };
        if matches!(baseline, Baseline::Constant | Baseline::Optimal) {
            b.fixed = b.widths().map(|n| vec![T::ZERO; n]).collect();
        }
        Ok(b)
    }

    /// The same behaviour on other pairs of the same kind, with the same ablation values.
    pub fn on<'p>(&self, pairs: &'p Pairs) -> Behaviour<'p, T>
    where
        'a: 'p,
    {
        Behaviour {
            model: self.model,
            graph: self.graph.clone(),
            pairs,
            fixed: self.fixed.clone(),
            journal: self.journal.clone(),
            seen: Mutex::default(),
            ..*self
        }
    }

    /// The same behaviour under another metric, with the same ablation values.
    ///
    /// # Errors
    /// If the metric is undefined for its pairs or its model.
    pub fn asking(&self, metric: Metric) -> Result<Behaviour<'a, T>> {
        let (positions, vocab_out) = (self.question.positions(), self.model.vocab_out());
        Ok(Behaviour {
            graph: self.graph.clone(),
            question: Question::new(metric, positions, vocab_out, self.pairs)?,
            fixed: self.fixed.clone(),
            journal: self.journal.clone(),
            seen: Mutex::default(),
            ..*self
        })
    }

    /// The width of each part's output at a position, in the order of the graph's sources: D for
    /// embeddings and whole MLPs, `H K` for the values of all heads before `W_O` (`H (K + 1)` where
    /// a norm stands after attention and its bias is shared), F for the activations of neurons.
    pub fn widths(&self) -> impl Iterator<Item = usize> + '_ {
        let (d, heads, neurons) = match self.model {
            AnyModel::Transformer(m) => {
                (m.config.d_model, m.config.heads * m.config.d_written(), m.config.d_mlp)
            }
            AnyModel::Pooled { config, .. } => (config.d_model, config.d_model, config.d_mlp),
        };
        self.graph.sources.iter().map(move |source| match source.part {
            Writer::Attention(_) => heads,
            Writer::Mlp(_) if self.graph.granularity.neurons => neurons,
            _ => d,
        })
    }

    /// Sets the ablation values of each part for [`Baseline::Constant`] or [`Baseline::Optimal`],
    /// in the [`widths`](Self::widths) of the parts; the same at all positions.
    ///
    /// # Panics
    /// If the baseline is another, or the widths differ.
    pub fn set_constants(&mut self, constants: Vec<Vec<T>>) {
        let constant = matches!(self.baseline, Baseline::Constant | Baseline::Optimal);
        assert!(constant, "constants for another baseline");
        assert!(self.widths().eq(constants.iter().map(Vec::len)), "constants of other shapes");
        self.fixed = constants;
    }

    /// The ablation values of each part with constants or [`Baseline::Mean`].
    pub fn constants(&self) -> &[Vec<T>] {
        &self.fixed
    }

    /// The weight of a pair in the mean over all.
    pub fn weight(&self) -> f64 {
        1.0 / self.pairs.len() as f64
    }

    /// Its graph for sequences as long as those of `pair`, with the same spans.
    pub(crate) fn graph_of(&self, pair: &Pair) -> Cow<'_, Graph> {
        match self.graph.has_spans() {
            true => Cow::Owned(self.graph.laid_out(&pair.spans)),
            false => Cow::Borrowed(&self.graph),
        }
    }

    /// The pairs of one length each and, in a graph of spans, of one layout, in the order of first
    /// appearance.
    pub fn lengths(&self) -> Vec<Vec<&'a Pair>> {
        let layout =
            |pair: &'a Pair| (pair.clean.len(), self.graph.has_spans().then_some(&pair.spans));
        let mut groups: Vec<Vec<&'a Pair>> = vec![];
        for pair in self.pairs.iter() {
            match groups.iter_mut().find(|g| layout(g[0]) == layout(pair)) {
                Some(group) => group.push(pair),
                None => groups.push(vec![pair]),
            }
        }
        groups
    }
}

/// Checks that the pairs suit a model with one output for the whole sequence.
fn one_answer(pairs: &Pairs, question: &Question) -> Result<()> {
    let help = "give each pair an answer and a distractor, without a position";
    if question.metric() == Metric::Nll && question.positions() == Positions::All {
        let message = "`nll` at all positions: a pooled model gives one answer for a sequence";
        return Err(Error::input(pairs.place(), message, "look at the asked positions"));
    }
    for pair in pairs.iter() {
        let message = match pair.asked {
            Asked::Outputs { .. } => "asks for outputs at each position",
            Asked::Tokens { position, .. } if position + 1 != pair.clean.len() => {
                "asks at a position before the end"
            }
            Asked::Tokens { .. } => continue,
        };
        let message = format!("{message}; a pooled model gives one answer for a sequence");
        return Err(Error::input(pairs.place_of(pair), message, help));
    }
    Ok(())
}
