//! Finding the circuit to train next.

use super::connected;
use super::connected::{Beginnings, Sides};
use super::control::{Moved, Placed};
use super::slices::{Ends, Extras, Slices};
use crate::attribution::method::{Method, Options};
use crate::checkpoints::AnyModel;
use crate::discovery::faithfulness;
use crate::discovery::select;
use crate::discovery::select::Rank;
use crate::error::{Error, Result};
use crate::formats::pairs::Pairs;
use crate::graph::connect::Flow;
use crate::graph::{Graph, Node};
use crate::named::named;
use crate::nn::transformer::Config;
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::metric::{Metric, Positions, Question};
use crate::patching::span::Span;
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use std::ops::Range;

named! {
    /// How a circuit is selected from scores.
    Select {
        /// The edges of largest `|score|` that lie on paths from the input to the logits.
        #[default]
        Edges = "edges",
        /// The ends with the largest sum of their edges' `|score|` that are on paths, and all edges
        /// between them.
        Nodes = "nodes",
        /// The fewest edges whose circuit reaches a given faithfulness.
        Faithfulness = "faithfulness",
        /// The edges on paths whose `|score|` reaches a threshold.
        Threshold = "threshold",
        /// The ends on paths with the largest sum of their edges' `|score|` per parameter they own,
        /// as long as together they own at most a share of what all ends own; and all edges between
        /// them.
        Share = "share",
    }
}

named! {
    /// How an amount moves from its start to its end.
    Ramp {
        /// In a straight line.
        #[default]
        Linear = "linear",
        /// Along half a period of a cosine.
        Cosine = "cosine",
    }
}

/// A number of edges or ends: from `start` to `end` over `steps` updates, then `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amount {
    /// At the first update.
    pub start: f64,
    /// From update `steps` on.
    pub end: f64,
    /// Updates from start to end.
    pub steps: usize,
    /// The course.
    pub ramp: Ramp,
}

impl Amount {
    /// The same at every update.
    pub fn constant(n: f64) -> Amount {
        Amount { start: n, end: n, steps: 0, ramp: Ramp::Linear }
    }

    /// At update `step`.
    ///
    /// ```
    /// use edgegrad::tuning::{Amount, Ramp};
    /// let falling = Amount { start: 100.0, end: 20.0, steps: 4, ramp: Ramp::Linear };
    /// let at: Vec<f64> = (0..6).map(|step| falling.at(step)).collect();
    /// assert_eq!(at, [100.0, 80.0, 60.0, 40.0, 20.0, 20.0]);
    /// ```
    pub fn at(&self, step: usize) -> f64 {
        if step >= self.steps {
            return self.end;
        }
        let done = step as f64 / self.steps as f64;
        let left = match self.ramp {
            Ramp::Linear => 1.0 - done,
            Ramp::Cosine => 0.5 * (1.0 + libm::cos(std::f64::consts::PI * done)),
        };
        self.end + (self.start - self.end) * left
    }
}

/// How circuits are found while a model is tuned.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovery {
    /// The attribution method.
    pub method: Method,
    /// Its options.
    pub options: Options,
    /// The metric computed from the output.
    pub metric: Metric,
    /// Its positions: the asked one, or all (of a process).
    pub positions: Positions,
    /// The ablation value of a removed edge.
    pub baseline: Baseline,
    /// How a circuit is selected from scores.
    pub select: Select,
    /// The number of edges or ends, the faithfulness, or the threshold.
    pub amount: Amount,
    /// Whether the least number of ends, or the least share, that holds a path is taken where the
    /// amount is less.
    pub or_least: bool,
    /// Decay rates of averages over the discoveries of a run, as AdaLoRA smooths its scores (Zhang
    /// et al. 2023): `I = b1 I + (1 - b1) |s|`, `U = b2 U + (1 - b2) | |s| - I |`, and `I U` is
    /// ranked.
    pub smoothing: Option<[f64; 2]>,
    /// Restricts training to ends in these layers.
    pub layers: Option<Range<usize>>,
    /// Random ends that are trained as well, as a share of those found.
    pub random: f64,
    /// The nodes among which a random control is drawn.
    pub placed: Placed,
}

/// A circuit with its scores and its trained ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// `[E]`.
    pub scores: Vec<f64>,
    /// `[E]`.
    pub kept: Vec<bool>,
    /// The ends that are trained.
    pub ends: Ends,
}

/// Finds one circuit after the other.
pub struct Finder {
    graph: Graph,
    discovery: Discovery,
    /// The averages of [`Discovery::smoothing`].
    averages: Option<[Vec<f64>; 2]>,
    sides: Sides,
    /// What each end counts against the amount: 1, or the parameters it owns for a share of them.
    costs: Vec<usize>,
    rng: Rng,
}

impl Finder {
    /// For a model of the shape `config`, and a run with the seed `seed`.
    ///
    /// # Errors
    /// If more edges or ends are asked for than there are, a share is out of range, or a number of
    /// ends or a share holds no path: then the least that does.
    pub fn new(
        config: &Config,
        graph: Graph,
        discovery: Discovery,
        extras: Extras,
        seed: u64,
    ) -> Result<Finder> {
        let Amount { start, end, .. } = discovery.amount;
        let (least, most, what) = match discovery.select {
            Select::Edges => (1.0, graph.edges() as f64, "edges of the graph"),
            Select::Nodes => (1.0, ends_of(&graph) as f64, "ends of the graph's edges"),
            Select::Faithfulness => (f64::MIN, f64::MAX, "numbers"),
            Select::Threshold => (0.0, f64::MAX, "numbers"),
            Select::Share => (0.0, 1.0, "of all"),
        };
        for n in [start, end] {
            if !(least <= n && n <= most) {
                let message = format!("{n}: there are {most} {what}");
                return Err(Error::input("edges", message, "ask for fewer, and for one at least"));
            }
        }
        if !(discovery.random >= 0.0 && discovery.random.is_finite()) {
            let message = format!("must be at least 0, got {}", discovery.random);
            return Err(Error::input("random", message, "give a share such as 0.1"));
        }
        let costs = match discovery.select {
            Select::Share => numbers_owned(config, &graph, extras),
            _ => vec![1; ends_of(&graph)],
        };
        let rng = Rng::new(seed, Purpose::Null, 0);
        let sides = Sides::new(&graph);
        let mut finder = Finder { graph, discovery, averages: None, sides, costs, rng };
        if matches!(finder.discovery.select, Select::Nodes | Select::Share) {
            finder.hold_a_path()?;
        }
        Ok(finder)
    }

    /// Checks that the amounts of ends hold a path; with [`Discovery::or_least`] raises those that
    /// do not.
    fn hold_a_path(&mut self) -> Result<()> {
        let least = self.sides.least(&self.costs);
        let Amount { start, end, .. } = self.discovery.amount;
        let short = |&n: &f64| self.budget(n) < least;
        let Some(asked) = [start, end].into_iter().find(short) else { return Ok(()) };
        let (amount, said) = match self.discovery.select {
            Select::Share => {
                let share = least as f64 / self.costs.iter().sum::<usize>() as f64;
                (share, format!("{share:.4} of the parameters"))
            }
            _ => (least as f64, format!("{least} ends")),
        };
        if !self.discovery.or_least {
            return Err(too_few(asked, said));
        }
        tracing::warn!(
            "edges: {asked} holds no path from the input to the logits, so it is {said}"
        );
        let raised = |n: f64| n.max(amount);
        self.discovery.amount =
            Amount { start: raised(start), end: raised(end), ..self.discovery.amount };
        Ok(())
    }

    /// What the chosen ends may cost together.
    fn budget(&self, amount: f64) -> usize {
        let whole = match self.discovery.select {
            Select::Share => self.costs.iter().sum::<usize>() as f64,
            _ => 1.0,
        };
        (amount * whole).round() as usize
    }

    /// The settings of the discovery.
    pub fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// The graph of the model.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The circuit of `model` at update `step`, on these pairs: every edge is on a path from the
    /// input to the logits, and its ends are those that are trained, but for what
    /// [`layers`](Discovery::layers) leaves out and [`random`](Discovery::random) adds.
    ///
    /// # Errors
    /// If the metric is undefined for such pairs, there is not enough memory, or the amount allows
    /// no path: then the least that does.
    pub fn find<T: Element>(
        &mut self,
        model: &AnyModel<T>,
        vocab_out: usize,
        pairs: &Pairs,
        step: usize,
    ) -> Result<Found> {
        let d = &self.discovery;
        let question = Question::new(d.metric, d.positions, vocab_out, pairs)?;
        let b = Behaviour::new(model, self.graph.clone(), pairs, question, d.baseline)?;
        let scores = d.method.scores(&b, &d.options, &mut |_| {})?.values;
        let ranked = self.smooth(&scores);
        let kept = self.select(&b, &ranked, self.discovery.amount.at(step))?;
        let mut ends = Ends::of(&self.graph, &kept);
        let extra = (self.discovery.random * ends.count() as f64).round() as usize;
        self.add_random(&mut ends, extra);
        self.restrict(&mut ends);
        Ok(Found { scores, kept, ends })
    }

    fn smooth(&mut self, scores: &[f64]) -> Vec<f64> {
        let sizes: Vec<f64> = scores.iter().map(|s| s.abs()).collect();
        let Some([b1, b2]) = self.discovery.smoothing else { return sizes };
        let none = || [vec![0.0; sizes.len()], vec![0.0; sizes.len()]];
        let [mean, spread] = self.averages.get_or_insert_with(none);
        let each = sizes.iter().zip(mean).zip(spread);
        each.map(|((s, mean), spread)| {
            *mean = b1 * *mean + (1.0 - b1) * s;
            *spread = b2 * *spread + (1.0 - b2) * (s - *mean).abs();
            *mean * *spread
        })
        .collect()
    }

    /// The selected edges: all of them on paths from the input to the logits.
    fn select<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        sizes: &[f64],
        amount: f64,
    ) -> Result<Vec<bool>> {
        let (graph, all) = (&self.graph, sizes.len());
        let flow = Flow::new(graph);
        let order = Rank::Abs.order(sizes);
        let beginnings = Beginnings { flow: &flow, order: &order };
        match self.discovery.select {
            Select::Edges => {
                let found = beginnings.largest(amount.round() as usize);
                found.map_err(|least| too_few(amount, format!("{least} edges")))
            }
            Select::Threshold => {
                let kept = flow.connected(&select::threshold(sizes, Rank::Abs, amount));
                if kept.contains(&true) {
                    return Ok(kept);
                }
                let most = sizes[order[beginnings.first_path().saturating_sub(1)]];
                Err(too_few(amount, format!("|score| of {most:.6} or below")))
            }
            Select::Nodes | Select::Share => {
                let (values, budget) = (sums(graph, sizes), self.budget(amount));
                let ends = connected::grow(&self.sides, &values, &self.costs, budget);
                Ok(connected::between(&flow, graph, &Ends::numbered(graph, &ends)))
            }
            Select::Faithfulness => {
                let span = Span::new(b, &b.extremes()?)?;
                let more = |&n: &usize| Some((n + (n / 8).max(1)).min(all)).filter(|_| n < all);
                let counts: Vec<usize> = std::iter::successors(Some(1), more).collect();
                let circuit = |i: usize| beginnings.connected(counts[i]);
                let found =
                    faithfulness::smallest(b, &span, counts.len(), circuit, amount, &mut |_| {})?;
                // If no circuit reaches it, all edges are selected: the target may be above the
                // model's own.
                Ok(found.map_or_else(|_| vec![true; all], |(i, _)| circuit(i)))
            }
        }
    }

    /// A random control of `circuit`: the same ends at the nodes that `moved` says, or at others
    /// drawn now, and all edges between them.
    pub fn matched(&mut self, circuit: &Found, moved: Option<&Moved>) -> Found {
        let drawn = moved.cloned().unwrap_or_else(|| self.draw());
        let ends = drawn.of(&self.graph, &circuit.ends);
        let kept = connected::between(&Flow::new(&self.graph), &self.graph, &ends);
        Found { scores: circuit.scores.clone(), kept, ends }
    }

    /// Everything else: the edges between ends that `circuit` does not have, the input and the
    /// logits, which both share, and the ends of those on paths.
    ///
    /// # Errors
    /// If no path is left without the circuit.
    pub fn complement(&self, circuit: &Found) -> Result<Found> {
        let graph = &self.graph;
        let own = Ends::of(graph, &circuit.kept);
        let shared =
            |node: Node| matches!(node, Node::Input | Node::Embed | Node::Pos | Node::Logits);
        let mut ends = own.clone();
        for (group, readers) in graph.groups.iter().zip(&mut ends.readers) {
            let each = group.readers.iter().zip(readers);
            each.for_each(|(reader, is)| *is = !*is || shared(reader.node));
        }
        let writers = graph.writers.iter().zip(&mut ends.writers);
        writers.for_each(|(&node, is)| *is = !*is || shared(node));
        let kept = connected::between(&Flow::new(graph), graph, &ends);
        let beside = own.numbers();
        let mut ends = Ends::of(graph, &kept);
        if !ends.numbers().iter().any(|end| !beside.contains(end)) {
            let message = "complement: no path is left without the circuit";
            return Err(Error::input("method", message, "ask for a smaller circuit"));
        }
        self.restrict(&mut ends);
        Ok(Found { scores: circuit.scores.clone(), kept, ends })
    }

    /// Draws where a random control is.
    pub fn draw(&mut self) -> Moved {
        Moved::draw(&self.graph, self.discovery.placed, &mut self.rng)
    }

    /// Adds random ends that are not among them yet.
    fn add_random(&mut self, ends: &mut Ends, mut count: usize) {
        let mut rest: Vec<&mut bool> =
            ends.readers.iter_mut().flatten().chain(&mut ends.writers).filter(|e| !**e).collect();
        while count > 0 && !rest.is_empty() {
            *rest.swap_remove(self.rng.below(rest.len() as u64) as usize) = true;
            count -= 1;
        }
    }

    /// Removes ends of other layers.
    fn restrict(&self, ends: &mut Ends) {
        let Some(layers) = &self.discovery.layers else { return };
        let inside = |node: Node| match node {
            Node::Head { layer, .. }
            | Node::KeyValue { layer, .. }
            | Node::Mlp { layer }
            | Node::Neuron { layer, .. } => layers.contains(&layer),
            Node::Input | Node::Embed | Node::Pos => layers.start == 0,
            Node::Logits => layers.end >= self.graph.layers,
        };
        for (group, readers) in self.graph.groups.iter().zip(&mut ends.readers) {
            group.readers.iter().zip(readers).for_each(|(r, is)| *is &= inside(r.node));
        }
        self.graph.writers.iter().zip(&mut ends.writers).for_each(|(&w, is)| *is &= inside(w));
    }
}

/// An amount that no connected circuit is within.
fn too_few(amount: f64, least: String) -> Error {
    let message = format!("{amount}: no path from the input to the logits is within it");
    Error::input("edges", message, format!("the least that holds one is {least}"))
}

/// The number of ends of a graph's edges.
pub fn ends_of(graph: &Graph) -> usize {
    graph.writers.len() + graph.groups.iter().map(|g| g.readers.len()).sum::<usize>()
}

/// The sum of the `sizes [E]` of the edges of each end: readers, group by group, then writers.
fn sums(graph: &Graph, sizes: &[f64]) -> Vec<f64> {
    let first: Vec<usize> = graph
        .groups
        .iter()
        .scan(0, |next, g| {
            let first = *next;
            *next += g.readers.len();
            Some(first)
        })
        .collect();
    let readers = ends_of(graph) - graph.writers.len();
    let mut sums = vec![0.0; ends_of(graph)];
    for (e, size) in sizes.iter().enumerate() {
        let (group, _, reader, writer) = graph.place(e);
        sums[first[group] + reader] += size;
        sums[readers + writer] += size;
    }
    sums
}

/// The number of parameters that each end owns alone.
fn numbers_owned(config: &Config, graph: &Graph, extras: Extras) -> Vec<usize> {
    let of =
        |end: usize| Slices::of_ends(graph, config, &Ends::numbered(graph, &[end]), extras).count();
    (0..ends_of(graph)).map(of).collect()
}
