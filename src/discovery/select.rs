//! Circuits from scores: the edges of largest score, and their part on a path to the logits.
//!
//! Edges are ordered by decreasing `|score|` ([`Rank::Abs`]) or by decreasing score
//! ([`Rank::Signed`]: positive scores are those of edges whose ablation lowers the metric), equal
//! ones by their number. So circuits of increasing size contain each other. An edge without a score
//! comes last.
//!
//! *Greedy* growth ([`greedy`]) starts at the logits and always takes the first edge in that order
//! among those into a node that is already kept. Both are EAP-IG's selections, except for ties.

use super::connect::Flow;
use crate::graph::Graph;
use crate::named::named;
use crate::stats;
use std::collections::BTreeSet;

named! {
    /// The order of scores.
    Rank {
        /// By absolute value.
        #[default]
        Abs = "abs",
        /// By value, negative ones last.
        Signed = "signed",
    }
}

impl Rank {
    /// The key that edges are ordered by; an edge without a score comes last.
    pub fn value(self, score: f64) -> f64 {
        match self {
            _ if score.is_nan() => f64::NEG_INFINITY,
            Rank::Abs => score.abs(),
            Rank::Signed => score,
        }
    }

    /// All edges by index, the first one to keep first.
    pub fn order(self, scores: &[f64]) -> Vec<usize> {
        // Adding 0 makes -0 and 0 equal, which `total_cmp` tells apart.
        let values: Vec<f64> = scores.iter().map(|&score| self.value(score) + 0.0).collect();
        stats::falling(&values)
    }
}

/// `[total]`: which edges are among the first `n` of `order`.
pub fn first(order: &[usize], n: usize, total: usize) -> Vec<bool> {
    let mut kept = vec![false; total];
    order.iter().take(n).for_each(|&e| kept[e] = true);
    kept
}

/// `[E]`: which edges have a score of at least `tau`, in absolute value or as it is.
pub fn threshold(scores: &[f64], rank: Rank, tau: f64) -> Vec<bool> {
    scores.iter().map(|&s| !s.is_nan() && rank.value(s) >= tau).collect()
}

/// All edges that can reach the logits, in the order of [`greedy`] growth.
pub fn greedy_order(graph: &Graph, scores: &[f64], rank: Rank) -> Vec<usize> {
    let order = rank.order(scores);
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, &e)| places[e] = i);
    let flow = Flow::new(graph);
    // Edges into grouped keys and values lead to several nodes.
    let mut seen = vec![false; order.len()];
    let mut waiting = BTreeSet::new();
    let mut reached = vec![false; flow.nodes()];
    let mut next = Some(flow.logits());
    let mut taken = Vec::with_capacity(order.len());
    loop {
        let into = next.take().map(|node| flow.edges_into(node));
        for e in into.into_iter().flatten() {
            if !std::mem::replace(&mut seen[e], true) {
                waiting.insert(places[e]);
            }
        }
        let Some(place) = waiting.pop_first() else { return taken };
        taken.push(order[place]);
        let from = flow.source(order[place]);
        if !std::mem::replace(&mut reached[from], true) {
            next = Some(from);
        }
    }
}

/// `[E]`: the first `n` edges of growth from the logits.
pub fn greedy(graph: &Graph, scores: &[f64], rank: Rank, n: usize) -> Vec<bool> {
    first(&greedy_order(graph, scores, rank), n, scores.len())
}
