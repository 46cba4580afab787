//! Node pruning: masks of whole nodes, sharpened step by step (differential binary masking), and
//! the scores of edges from those of the nodes at both ends.
//!
//! With `T` falling geometrically from 5 to 0.1 over the steps, a node that writes has
//!
//! ```text
//! m = sigmoid(a / T)                            the mask of all edges from it
//! L = objective(f) + penalty * sum of m
//! score(u -> v) = min(a_u, a_v)                 the logits have the largest of all
//! ```
//!
//! A key-value head that several query heads share reads for all of them, and has the largest of
//! theirs. The embeddings stay.

use super::descent;
use super::descent::Masks;
use super::options::Options;
use super::scorer::{Scorer, Steps};
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::graph::Graph;
use crate::graph::connect::Flow;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::learned::sigmoid;
use crate::patching::metric::Metric;
use crate::rng::Rng;
use crate::simd::Element;

/// The temperature at the first and at the last step.
const TEMPERATURES: [f64; 2] = [5.0, 0.1];

/// The scores as a value of [`Method`](super::Method).
pub(super) struct NodePruning;

impl Scorer for NodePruning {
    const USUAL_METRIC: Option<Metric> = Some(Metric::L2);
    // It draws the order of the batches.
    const SEEDED: bool = true;
    const STEPS: Option<Steps> = Some(descent::STEPS);
    const RANKS: bool = true;
    const PENALTY: Option<f64> = Some(1e-2);

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        descent::scores(b, &Nodes::of(&b.graph, options.learning.penalty), options, progress)
    }

    fn passes<T: Element>(_: &Behaviour<'_, T>, options: &Options) -> f64 {
        descent::passes(options)
    }

    fn sets(_: usize) -> Option<u128> {
        Some(descent::SETS)
    }
}

/// Masks of nodes.
struct Nodes {
    penalty: f64,
    nodes: usize,
    /// Which stay: those that read nothing.
    stay: Vec<bool>,
    /// For each edge, the node that writes it, and those that read it; the logits come last.
    ends: Vec<(usize, Vec<usize>)>,
}

/// The masks of nodes, and their temperature.
struct Sharp {
    masks: Vec<f64>,
    temperature: f64,
}

impl Nodes {
    fn of(graph: &Graph, penalty: f64) -> Nodes {
        let flow = Flow::new(graph);
        let ends: Vec<(usize, Vec<usize>)> =
            (0..graph.edges()).map(|e| (flow.source(e), flow.ends(e).collect())).collect();
        let mut stay = vec![true; flow.nodes()];
        ends.iter().flat_map(|(_, to)| to).for_each(|&node| stay[node] = false);
        stay.truncate(flow.logits());
        Nodes { penalty, nodes: flow.logits(), stay, ends }
    }
}

impl Masks for Nodes {
    const UNITS: &'static str = "node-pruning";
    /// The temperature.
    type Draw = f64;
    type Point = Sharp;

    /// A node has the log odds of its largest edge.
    fn start(&self, edges: &[f64]) -> Vec<f64> {
        let mut nodes = vec![f64::NEG_INFINITY; self.nodes];
        for (&odds, &(from, _)) in edges.iter().zip(&self.ends) {
            nodes[from] = nodes[from].max(odds);
        }
        // One that nothing reads is not learned.
        nodes.into_iter().map(|odds| if odds.is_finite() { odds } else { 0.0 }).collect()
    }

    fn draw(&self, _: &mut Rng, step: usize, steps: usize) -> f64 {
        let done = step as f64 / steps.max(2).saturating_sub(1) as f64;
        let [first, last] = TEMPERATURES;
        first * (last / first).powf(done)
    }

    fn masks(&self, a: &[f64], temperature: f64) -> (Vec<f64>, Sharp) {
        let mask = |(i, &a): (usize, &f64)| {
            if self.stay[i] { 1.0 } else { sigmoid(a / temperature) }
        };
        let masks: Vec<f64> = a.iter().enumerate().map(mask).collect();
        let edges = self.ends.iter().map(|&(from, _)| masks[from]).collect();
        (edges, Sharp { masks, temperature })
    }

    fn pull(&self, point: &Sharp, by_masks: &[f64]) -> Vec<f64> {
        let mut by_nodes = vec![self.penalty; self.nodes];
        for (g, &(from, _)) in by_masks.iter().zip(&self.ends) {
            by_nodes[from] += g;
        }
        let spread = point.masks.iter().map(|m| m * (1.0 - m) / point.temperature);
        by_nodes.iter().zip(spread).map(|(g, spread)| g * spread).collect()
    }

    fn scores(&self, a: &[f64]) -> Vec<f64> {
        let learned = a.iter().zip(&self.stay).filter(|(_, stay)| !**stay);
        let largest = learned.map(|(a, _)| *a).fold(0.0, f64::max);
        let kept = |i: usize| i == self.nodes || self.stay[i];
        let node = |i: usize| if kept(i) { largest } else { a[i] };
        let score = |(from, to): &(usize, Vec<usize>)| {
            let read = to.iter().map(|&i| node(i)).fold(f64::NEG_INFINITY, f64::max);
            node(*from).min(read)
        };
        self.ends.iter().map(score).collect()
    }
}
